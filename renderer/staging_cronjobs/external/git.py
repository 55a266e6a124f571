"""The git side: this checkout, its remote's main, and the remote's stage branches."""

import json
import posixpath
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import Outside, Refused
from ..model import settings as rules
from ..model import version_source
from ..model.settings import Settings
from ..model.staged_version import VERSION
from ..model.version_source import VersionSource
from . import shell

METADATA = "zarr.json"  # of Zarr v3, in the template's folder
OLDER = (".zattrs", ".zmetadata")  # of Zarr v2, which main may still have
UNADDED = re.compile(r"(.*/)?([^/]+\.py|zarr\.json|pyproject\.toml)", re.DOTALL)  # untracked, yet part of what runs
CODECOMMIT = re.compile(r"codecommit:(?:[^/]*:)?//(?:[^/@]*@)?([^/]+)")  # the URLs of git-remote-codecommit
# A URL, or `user@host:path`, of a server; host and path are its groups.
SERVED = re.compile(r"(?:(?!file:)[a-z+]+://(?:[^/]*@)?([^/:]+)[^/]*/|(?:[^/@:]*@)?([^/:]+):(?!//))(.*)")
OF_TWO = (
    "ssh.dev.azure.com",
    "vs-ssh.visualstudio.com",
    "git-codecommit.",
)  # hosts with more before the last two parts
LFS_POINTER = "version https://git-lfs.github.com/spec/"
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
HEAD_LINE = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})\trefs/heads/(\S+)")  # as `git ls-remote` prints it
BLOB_LINE = re.compile(r"^[0-9a-f]{40,64} blob \d+\n", re.MULTILINE)  # as `git cat-file --batch` prints it
LINK, SUBMODULE, FOLDER = "120000", "160000", "040000"  # modes that git gives what is no file
Wanted = tuple[str, str]  # a dataset's id, and its template's path
Entry = tuple[str, str]  # mode and object of what a commit has at a path
OPTIONS = (
    "-c",
    "color.ui=false",  # or output that is read here could have colours in it
    "-c",
    "safe.bareRepository=explicit",  # a folder that a branch made look like a repository is none
    "--literal-pathspecs",  # a path is a path, whatever it looks like
    "--no-optional-locks",
)


@dataclass(frozen=True)
class Template:
    """What a template says about its dataset."""

    where: str  # for sentences: its file, and where that is
    attributes: Mapping[str, Any]

    def version_of(self, dataset_id: str) -> str:
        """Its version. Raises `Refused` when it is another dataset's, or has no usable version."""
        if (owner := self.attributes.get("dataset_id", dataset_id)) != dataset_id:
            raise Refused(
                f"{self.where} is the template of dataset {_short(owner)}, not of {dataset_id}. "
                "Correct its dataset_id, or the template path in the code."
            )
        if "dataset_version" not in self.attributes:
            raise Refused(f"{self.where} has no attribute dataset_version, so its version cannot be compared. Add it.")
        version = self.attributes["dataset_version"]
        if not isinstance(version, str) or not VERSION.fullmatch(version):
            raise Refused(
                f"{self.where} has dataset_version {_short(version)}, which cannot be compared. "
                'It must be text, numbers joined by dots, such as "0.2.0".'
            )
        return version


@dataclass(frozen=True)
class OnMain:
    """What main has of a dataset."""

    versions: frozenset[str]  # none: main does not have it; several: several templates have its id
    where: str  # the file that says it, if that was not moved; empty for one outside of the repository
    problem: str = ""  # why it cannot be told


@dataclass(frozen=True)
class Checkout:
    """A work tree, and the remote whose branches stage datasets."""

    folder: Path  # the top of the work tree
    remote: str
    main: str
    repository: str  # owner/name
    commit: str = field(default="", compare=False)  # that is checked out; `HEAD` when there is none yet
    shallow: bool = field(default=False, compare=False)
    version_source: str = field(default="", compare=False)  # the setting; empty for Zarr templates

    def head(self) -> str:
        """The commit that is checked out. Raises `Outside` when there is none yet."""
        if self.commit == "HEAD":
            raise Outside(f"{self.folder} has no commit yet. Commit and push first.")
        return self.commit

    @cached_property
    def uncommitted(self) -> list[str]:
        """Files that differ from the commit, and source files that git does not know."""
        status = self._git("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all").stdout
        entries = [(entry[:2], entry[3:]) for entry in status.split("\0") if entry]
        return [path for state, path in entries if state != "??" or UNADDED.fullmatch(path)]

    @property
    def recorded(self) -> str:
        """The commit as a release records it: with `-dirty`, as `git describe` writes it, for uncommitted changes."""
        return f"{self.head()}-dirty" if self.uncommitted else self.head()

    def subject(self) -> str:
        """The first line of what the checked-out commit says of itself."""
        return self._git("log", "-1", "--no-show-signature", "--encoding=UTF-8", "--format=%s", "HEAD").stdout.strip()

    def fetch_main(self, *more: str) -> None:
        """Make `<remote>/<main>` what the remote has now. Raises `Outside` when that cannot be read."""
        depth = ("--depth", "1") if self.shallow else ()
        options = ("--quiet", "--no-tags", "--no-recurse-submodules", *depth)
        main = f"+refs/heads/{self.main}:{self.main_ref}"
        result = self._git("fetch", *options, "--", self.remote, main, *more, check=False)
        if result.code:
            raise Outside(f"cannot read {self.main} of {self.remote}: {result.complaint}")

    def main_version(self, template_path: str, dataset_id: str) -> str | None:
        """The dataset's version on main, as fetched; None when main has nothing in the template's place.

        Raises `Refused` when what main has there cannot be compared.
        """
        if source := self.source:
            path = self._path(source, template_path, dataset_id)
            blob = self._file(self._entries(self.main_ref, *_with_parents(path)), path)
            text = self._contents([blob])[0] if blob else None
            return self._sourced(source, text, self.on_main(path), dataset_id)
        template = self.template_on_main(template_path)
        return template.version_of(dataset_id) if template else None

    @cached_property
    def source(self) -> VersionSource | None:
        """Where versions are, if not in templates. Raises `Refused` where this program does not know such a place."""
        if wrong := version_source.problem(self.version_source):
            raise Refused(f"{wrong} That is what {self.remote}/{self.main} says.")
        return version_source.parse(self.version_source)

    def version_in_tree(self, template_path: str | None, dataset_id: str) -> tuple[str, str]:
        """The dataset's version in the work tree, and where that says so. Raises `Refused` when nothing does."""
        if not self.source:
            template = self.template_here(template_path or "")
            return template.version_of(dataset_id), template.where
        path = self._path(self.source, template_path or "", dataset_id)
        if found := self.version_here(template_path or "", dataset_id):
            return found
        raise Refused(f"{path} does not have the version of {dataset_id}. Write it there, or correct version-source.")

    def template_here(self, template_path: str) -> Template:
        """The template in the work tree. Raises `Refused` when it is missing or cannot be read."""
        path = f"{self.relative(template_path)}/{METADATA}"
        file = self.folder / path
        if not file.is_file():
            raise Refused(
                f"there is no {path}, the template that the code names. Write it, correct the path, or set "
                "version-source."
            )
        try:
            return _template(path, METADATA, file.read_text("utf-8", errors="replace"))
        except OSError as error:
            raise Outside(f"cannot read {path}: {error.strerror}") from None

    @cached_property
    def tracked(self) -> list[str]:
        """The files that git knows."""
        return [path for path in self._git("ls-files", "-z").stdout.split("\0") if path]

    def text(self, path: str) -> str:
        """A file of the work tree; empty for one that is not there, or is no file."""
        try:
            return (self.folder / path).read_text("utf-8", errors="replace")
        except OSError:
            return ""

    def version_here(self, template_path: str, dataset_id: str) -> tuple[str, str] | None:
        """The dataset's version in the work tree, and the file that says so; None when no template is the dataset's.

        A template that has moved is found by its id. Raises `Refused` for one that cannot be read.
        """
        if source := self.source:
            path = self.relative(self._path(source, template_path, dataset_id))
            text = self.text(path) if (self.folder / path).is_file() else None
            version = self._sourced(source, text, path, dataset_id)
            return (version, path) if version else None
        if (self.folder / self.relative(template_path) / METADATA).is_file():
            template = self.template_here(template_path)
            return template.version_of(dataset_id), template.where
        for path in self.tracked:
            if PurePosixPath(path).name == METADATA and f'"{dataset_id}"' in self.text(path):
                template = self.template_here(str(PurePosixPath(path).parent))
                if template.attributes.get("dataset_id") == dataset_id:
                    return template.version_of(dataset_id), template.where
        return None

    def template_on_main(self, template_path: str) -> Template | None:
        """The template on main, as fetched; None when main has nothing in its place.

        Raises `Refused` when what is there cannot be read as a template.
        """
        folder = self.relative(template_path)
        paths = [str(PurePosixPath(folder, name)) for name in (METADATA, *OLDER)]
        there = self._entries(self.main_ref, *_with_parents(folder), *paths)
        return self._template_in(there, folder, lambda blob: self._contents([blob])[0])

    def _template_in(self, there: Mapping[str, Entry], folder: str, text_of: Callable[[str], str]) -> Template | None:
        """The template in a folder of main, of which `there` has all entries; `text_of` gives an object's text."""
        for name in (METADATA, *OLDER):
            path = str(PurePosixPath(folder, name))
            if blob := self._file(there, path):
                return _template(self.on_main(path), name, text_of(blob))
        if folder in there:
            raise Refused(
                f"{self.on_main(folder)} has no {METADATA}, so its version cannot be compared. Add it, or set "
                "version-source."
            )
        return None

    def _path(self, source: VersionSource, template_path: str, dataset_id: str) -> str:
        """The file that has the dataset's version. Raises `Refused` for one that lies outside."""
        folder = self.relative(template_path) if source.needs_template else ""
        path = posixpath.normpath(source.path(folder, dataset_id))
        if path.startswith(("/", "../")):
            raise Refused(f"version-source names {path}, which is outside the repository. Correct it on {self.main}.")
        return path

    def _sourced(self, source: VersionSource, text: str | None, where: str, dataset_id: str) -> str | None:
        """The version that a file says; None where a dataset's own file or key is not there."""
        if text is None:
            if source.own_file:
                return None
            raise Refused(f"there is no {where}, which version-source names. Write it, or correct the setting on main.")
        if text.startswith(LFS_POINTER):
            raise Refused(f"{where} is a Git LFS pointer, so its version cannot be read. Take it out of Git LFS.")
        return source.version(text, where, dataset_id)

    def templates_on_main(self, dataset_id: str) -> list[str]:
        """Folders on main whose template has the dataset's id, or may have it: what cannot be read is no proof."""
        if self.source:
            return []  # none is asked what a version is
        blobs = _metadata(self._entries(self.main_ref, recursive=True))
        texts = dict(zip(blobs, self._contents([*blobs.values()]), strict=True))
        return sorted({str(PurePosixPath(p).parent) for p, text in texts.items() if self._has_id(p, text, dataset_id)})

    def versions_of(self, wanted: Collection[Wanted]) -> dict[Wanted, OnMain]:
        """What main, as fetched, has of each of these datasets. All files are read in one go."""
        find = self._by_source(self.source, wanted) if self.source else self._by_template()
        found: dict[Wanted, OnMain] = {}
        for dataset_id, template_path in wanted:
            where = ""
            try:
                where = self._says(dataset_id, template_path)
                found[dataset_id, template_path] = OnMain(frozenset(find(dataset_id, template_path)), where)
            except Refused as error:
                found[dataset_id, template_path] = OnMain(frozenset(), where, str(error))
        # Of releases whose templates were in different folders, one may know where main has it now.
        known = {dataset_id: one for (dataset_id, _), one in found.items() if one.versions}
        return {key: one if one.versions or one.problem else known.get(key[0], one) for key, one in found.items()}

    def _says(self, dataset_id: str, template_path: str) -> str:
        """The file in which main says a dataset's version, if it was not moved. Raises `Refused` for one outside."""
        if self.source:
            return self._path(self.source, template_path, dataset_id)
        return str(PurePosixPath(self.relative(template_path), METADATA))

    def _by_template(self) -> Callable[[str, str], set[str]]:
        """Who finds the versions of a dataset on main: in its template, or in each that has its id elsewhere."""
        there = self._entries(self.main_ref, recursive=True)
        blobs = _metadata(there)
        texts = dict(zip(blobs.values(), self._contents([*blobs.values()]), strict=True))

        def find(dataset_id: str, template_path: str) -> set[str]:
            own = self._template_in(there, self.relative(template_path), texts.__getitem__)
            if own and own.attributes.get("dataset_id", dataset_id) == dataset_id:
                return {own.version_of(dataset_id)}
            folders = {PurePosixPath(p).parent for p, blob in blobs.items() if self._has_id(p, texts[blob], dataset_id)}
            moved = [self._template_in(there, str(folder), texts.__getitem__) for folder in folders]
            return {template.version_of(dataset_id) for template in moved or [own] if template}

        return find

    def _by_source(self, source: VersionSource, wanted: Collection[Wanted]) -> Callable[[str, str], set[str]]:
        """The same by `version-source`: each file is read once, with two programs for all of them."""
        paths: set[str] = set()
        for dataset_id, template_path in wanted:
            with suppress(Refused):
                paths.add(self._path(source, template_path, dataset_id))
        there = self._entries(self.main_ref, *{part for path in paths for part in _with_parents(path)})
        objects: set[str] = set()
        for path in paths:
            with suppress(Refused):
                objects |= {self._file(there, path) or ""} - {""}
        texts = dict(zip(objects, self._contents([*objects]), strict=True))

        def find(dataset_id: str, template_path: str) -> set[str]:
            path = self._path(source, template_path, dataset_id)
            text = texts.get(self._file(there, path) or "")
            return {version for version in [self._sourced(source, text, self.on_main(path), dataset_id)] if version}

        return find

    def behind(self, commits: Collection[str]) -> dict[str, int]:
        """How many commits of main, as fetched, each of these commits lacks. Three programs, however many commits.

        Those that this clone does not have are left out; a shallow clone knows nothing of this.
        """
        if self.shallow:
            return {}
        wanted = sorted({commit for commit in commits if COMMIT.fullmatch(commit)})
        asked = self._git(
            "cat-file", "--batch-check", stdin="".join(f"{commit}\n" for commit in (self.main_ref, *wanted))
        )
        there = [line.split(" ")[0] for line in asked.stdout.splitlines() if line.split(" ")[1:2] == ["commit"]]
        main, known = there[0] if there else "", {*there} & {*wanted}
        if not known:
            return {}
        base = self._git("merge-base", "--octopus", main, *known, check=False).stdout.split()
        ends = "".join(f"{commit}\n" for commit in (main, *known, *(f"^{commit}" for commit in base)))
        listed = self._git("rev-list", "--parents", "--stdin", stdin=ends).stdout.splitlines()
        parents = {line.split(" ")[0]: line.split(" ")[1:] for line in listed}
        of_main = _reached(parents, main)
        return {commit: len(of_main - _reached(parents, commit)) for commit in known}

    def remote_head(self, branch: str) -> str | None:
        """The commit that the remote's `branch` is at; None when it has no such branch.

        Raises `Outside` when the remote cannot be asked: a failed listing is not a missing branch.
        """
        return self._heads(f"refs/heads/{branch}", f"cannot ask {self.remote} for branch {branch}").get(branch)

    def stage_branches(self) -> dict[str, str]:
        """The remote's branches under `stage/` with their commits.

        Raises `Outside` when the remote cannot be asked, or the answer lacks main: then it is no whole listing.
        """
        heads = self._heads("refs/heads/*", f"cannot list the branches of {self.remote}")
        if self.main not in heads:
            raise Outside(
                f"the list of branches of {self.remote} lacks {self.main}, so it is not complete. Nothing was decided."
            )
        return {branch: commit for branch, commit in heads.items() if branch.startswith("stage/")}

    def delete_branch(self, branch: str, commit: str) -> None:
        """Delete the remote's `branch` if it still is at `commit`. Already gone is done.

        Raises `Refused` when it has moved, `Outside` when the remote does not allow it.
        """
        ref = f"refs/heads/{branch}"
        lease = f"--force-with-lease={ref}:{commit}"
        result = self._git("push", "--quiet", "--no-verify", lease, "--", self.remote, f":{ref}", check=False)
        if result.code == 0 or (now := self.remote_head(branch)) is None:
            return
        if now != commit:
            raise Refused(
                f"branch {branch} has moved from {commit[:12]} to {now[:12]}. Someone pushed: run this again."
            )
        raise Outside(f"{self.remote} does not let branch {branch} be deleted: {result.complaint}")

    def relative(self, template_path: str) -> str:
        """The path from the top of the repository. Raises `Refused` for one that lies outside."""
        try:
            return (self.folder / template_path).resolve().relative_to(self.folder).as_posix()
        except (ValueError, RuntimeError, OSError):  # a path that no system takes, or a loop of links
            raise Refused(f"template path {template_path!r} is outside the repository {self.folder}") from None

    @property
    def main_ref(self) -> str:
        """Main, as fetched."""
        return f"refs/remotes/{self.remote}/{self.main}"

    @property
    def default_ref(self) -> str:
        """The remote's default branch, as fetched."""
        return f"refs/staging-cronjobs/{self.remote}"

    def commit_of(self, ref: str) -> str:
        """The commit that a ref of this clone is at; empty when it has no such ref."""
        return self._git("rev-parse", "--verify", "--quiet", "--end-of-options", ref, check=False).stdout.strip()

    def on_main(self, path: str) -> str:
        """A file of main, as sentences name it."""
        return f"{path} on {self.remote}/{self.main}"

    def _has_id(self, path: str, text: str, dataset_id: str) -> bool:
        """Whether a template of main is the dataset's. Raises `Refused` for one that Git LFS keeps elsewhere."""
        if f'"{dataset_id}"' not in text and not text.startswith(LFS_POINTER):
            return False  # most are a variable's, or another's
        try:
            template = _template(self.on_main(path), PurePosixPath(path).name, text)
        except Refused:
            if text.startswith(LFS_POINTER):
                raise
            return '"dataset_id"' in text  # broken, yet about this dataset
        return template.attributes.get("dataset_id") == dataset_id

    def _heads(self, pattern: str, cannot: str) -> dict[str, str]:
        """Branches of the remote and their commits; the names are whatever the remote sends."""
        result = self._git("ls-remote", "--", self.remote, pattern, check=False)
        if result.code:
            raise Outside(f"{cannot}: {result.complaint}")
        lines = [HEAD_LINE.fullmatch(line) for line in result.stdout.split("\n") if line]
        if not all(lines):
            raise Outside(f"{self.remote} did not answer with a list of branches. Nothing was decided.")
        return {line[2]: line[1] for line in lines if line}

    def _entries(self, ref: str, *paths: str, recursive: bool = False) -> dict[str, Entry]:
        """Mode and object of what a commit has at the paths, their folders included; of everything with `recursive`."""
        how = ("-r", "-t") if recursive else ("-t",)
        listed = self._git("ls-tree", "-z", "--full-tree", *how, ref, "--", *paths).stdout
        found = (entry.split("\t", 1) for entry in listed.split("\0") if entry)
        return {path: (facts.split(" ")[0], facts.split(" ")[2]) for facts, path in found}

    def _file(self, there: Mapping[str, Entry], path: str) -> str | None:
        """The object of a plain file in plain folders. Raises `Refused` where something else is in the way."""
        for part in _with_parents(path):
            mode, blob = there.get(part, ("", ""))
            if mode in (LINK, SUBMODULE) or (mode == FOLDER if part == path else mode.startswith("100")):
                kind = {LINK: "a symbolic link", SUBMODULE: "a submodule", FOLDER: "a folder"}.get(mode, "a file")
                raise Refused(
                    f"{self.on_main(part)} is {kind}, so {path} cannot be read there. Replace it with a plain one."
                )
            if part == path and blob:
                return blob
        return None

    def _contents(self, blobs: Sequence[str]) -> list[str]:
        """The texts of objects. Raises `Outside` when not all of them are to be had."""
        if not blobs:
            return []
        answer = self._git("cat-file", "--batch", stdin="".join(f"{blob}\n" for blob in blobs)).stdout
        _, *texts = BLOB_LINE.split(answer)
        if len(texts) != len(blobs):
            raise Outside(f"git does not have all files of {self.remote}/{self.main}: fetch it again, without a filter")
        return texts

    def settings_at(self, ref: str, project: Path) -> tuple[str, str]:
        """The text of the pyproject.toml that counts for the project at a commit, and its path; empty without one."""
        folder = project.resolve().relative_to(self.folder).as_posix()
        candidates = [str(PurePosixPath(part, "pyproject.toml")) for part in ("", *_with_parents(folder))]
        there = self._entries(ref, *{part for path in candidates for part in _with_parents(path)})
        for path in reversed(candidates):  # the nearest first
            if path in there and (blob := self._file(there, path)):
                return self._contents([blob])[0], path
        return "", "pyproject.toml"

    def _git(self, *args: str, stdin: str = "", check: bool = True) -> shell.Result:
        return shell.run("git", *OPTIONS, *args, cwd=self.folder, stdin=stdin, check=check)


def find(settings: Settings) -> Checkout | None:
    """The work tree that the project lies in; None when it lies in none.

    Raises `Outside`, with git's own reason, for one that git cannot use or that has no such remote.
    """
    facts = ("--show-toplevel", "--is-shallow-repository", "HEAD")  # printed one after the other
    found = shell.run("git", *OPTIONS, "rev-parse", *facts, cwd=settings.project, check=False)
    if not found.stdout:
        if not any((folder / ".git").exists() for folder in (settings.project, *settings.project.resolve().parents)):
            return None
        raise Outside(f"git cannot use the checkout at {settings.project}. It says: {found.complaint}")
    try:
        top, shallow, commit = found.stdout.rstrip("\n").rsplit("\n", 2)
    except ValueError:
        raise Outside("git does not say where the checkout is. Check it with `git rev-parse --show-toplevel`") from None
    folder = Path(top).resolve()
    url = shell.run("git", *OPTIONS, "remote", "get-url", "--", settings.remote, cwd=folder, check=False)
    if url.code:
        raise Outside(
            f"{folder} has no git remote {settings.remote!r}. It says: {url.complaint}. "
            f"Add that remote, or set remote in {rules.TABLE} or STAGING_REMOTE."
        )
    repository = settings.repository or owner_and_name(url.stdout.strip())
    own = (settings.remote, settings.main, repository, commit, shallow == "true", settings.version_source)
    return Checkout(folder, *own)


def user_name(folder: Path) -> str:
    """Who git takes for the author of commits; empty where nobody has told it."""
    return shell.run("git", *OPTIONS, "config", "--get", "user.name", cwd=folder, check=False).stdout.strip()


def checkout(settings: Settings) -> Checkout:
    """The work tree that the project lies in. Raises `Outside` when there is none, or it cannot be used."""
    if found := find(settings):
        return found
    raise Outside(f"{settings.project} is not in a git work tree. Run this in a checkout of the repository.")


def owner_and_name(url: str) -> str:
    """`owner/name` of a remote's URL, the same for every form that one host has: https, ssh, scp-like or a path.

    On a server it is the whole path, because groups have subgroups in GitLab. For Azure DevOps it is `project/name`,
    for CodeCommit `repos/name`, and for a folder its last two parts.
    """
    if helper := CODECOMMIT.fullmatch(url):
        return f"repos/{helper[1]}"  # as its URLs by https and ssh end
    served = SERVED.fullmatch(url)
    path = served[3] if served else url
    parts = [part for part in path.rstrip("/").removesuffix(".git").split("/") if part]
    if marker := next((part for part in parts if part in ("_git", "_ssh")), None):  # Azure DevOps
        around = parts[: parts.index(marker)]
        above = around[1:] if "dev.azure.com/" in url or around[:1] == ["DefaultCollection"] else around
        parts = [*(above or parts[-1:]), parts[-1]]  # a project's own repository is named without it
    elif served and not (served[1] or served[2]).startswith(OF_TWO) and not _of_bitbucket(url, parts):
        return "/".join(parts)
    return "/".join(parts[-2:])


def _of_bitbucket(url: str, parts: Sequence[str]) -> bool:
    """Whether these are the parts of an https URL of Bitbucket's own server: those by ssh have no `scm`."""
    return url.startswith("http") and parts[-3:-2] == ["scm"]


def same_repository(one: str, other: str) -> bool:
    """Whether two identities are one repository's: hosts take its name in any case."""
    return one.casefold() == other.casefold()


def renamed(repository: str) -> str:
    """What to do where a release is of a repository that may be this one under another name."""
    return f"If that is this repository under another name, set repository = {json.dumps(repository)} in {rules.TABLE}."


def _reached(parents: Mapping[str, Sequence[str]], commit: str) -> set[str]:
    """A commit and all that it has, of those whose parents are given."""
    found: set[str] = set()
    waiting = [commit]
    while waiting:
        one = waiting.pop()
        if one in parents and one not in found:
            found.add(one)
            waiting += parents[one]
    return found


def _metadata(there: Mapping[str, Entry]) -> dict[str, str]:
    """The objects of all that may be templates, by their paths."""
    names = (METADATA, *OLDER)
    found = ((p, blob) for p, (mode, blob) in there.items() if mode.startswith("100"))
    return {path: blob for path, blob in found if PurePosixPath(path).name in names}


def _template(where: str, name: str, text: str) -> Template:
    """What a metadata file of this name says. Raises `Refused` for one without attributes."""
    if text.startswith(LFS_POINTER):
        raise Refused(
            f"{where} is a Git LFS pointer, not the file itself, so its version cannot be read. "
            "Take it out of Git LFS, in .gitattributes, and commit it again."
        )
    try:
        attributes = _attributes(name, json.loads(text))
    except (ValueError, RecursionError, KeyError, TypeError):
        attributes = None
    if not isinstance(attributes, dict):
        raise Refused(f"{where} is not JSON with attributes, so its version cannot be compared. Correct it.")
    return Template(where, attributes)


def _attributes(name: str, content: Any) -> Any:
    if name == ".zattrs":
        return content
    return content["metadata"][".zattrs"] if name == ".zmetadata" else content["attributes"]


def _with_parents(path: str) -> list[str]:
    """The folders on the way to a path, and the path itself; nothing for the top."""
    whole = PurePosixPath(path)
    return [str(part) for part in (*reversed(whole.parents), whole) if part.name]


def _short(value: object) -> str:
    shown = json.dumps(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}…"
