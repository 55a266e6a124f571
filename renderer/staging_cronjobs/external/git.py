"""The git side: this checkout, its remote's main, and the remote's stage branches."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path, PurePosixPath

from ..errors import Outside, Refused, StagingError
from ..model import settings as rules
from ..model.settings import Settings
from . import shell

UNADDED = re.compile(r"(.*/)?([^/]+\.py|zarr\.json|pyproject\.toml)", re.DOTALL)  # untracked, yet part of what runs
CODECOMMIT = re.compile(r"codecommit:(?:[^/]*:)?//(?:[^/@]*@)?([^/]+)")  # the URLs of git-remote-codecommit
# A URL, or `user@host:path`, of a server; host and path are its groups.
SERVED = re.compile(r"(?:(?!file:)[a-z+]+://(?:[^/]*@)?([^/:]+)[^/]*/|(?:[^/@:]*@)?([^/:]+):(?!//))(.*)")
# Hosts with more before the last two parts.
OF_TWO = ("ssh.dev.azure.com", "vs-ssh.visualstudio.com", "git-codecommit.")
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
HEAD_LINE = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})\trefs/heads/(\S+)")  # as `git ls-remote` prints it
BLOB_LINE = re.compile(r"^[0-9a-f]{40,64} blob \d+\n", re.MULTILINE)  # as `git cat-file --batch` prints it
LINK, SUBMODULE, FOLDER = "120000", "160000", "040000"  # modes that git gives what is no file
Entry = tuple[str, str]  # mode and object of what a commit has at a path
OPTIONS = (
    "-c",
    "color.ui=false",  # or output that is read here could have colours in it
    "-c",
    "safe.bareRepository=explicit",  # a folder that a branch made look like a repository is none
    "-c",
    "maintenance.auto=false",  # to tidy up after a fetch is for the user's own git
    "--literal-pathspecs",  # a path is a path, whatever it looks like
    "--no-optional-locks",
)


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
        return self.remote_heads([branch]).get(branch)

    def remote_heads(self, branches: Collection[str]) -> dict[str, str]:
        """The same of several branches, without those that the remote does not have."""
        if not branches:
            return {}
        asked = f"branch {min(branches)}" if len(branches) == 1 else f"{len(branches)} branches"
        heads = self._heads(f"cannot ask {self.remote} for {asked}", *(f"refs/heads/{branch}" for branch in branches))
        return {branch: heads[branch] for branch in branches if branch in heads}

    def stage_branches(self) -> dict[str, str]:
        """The remote's branches under `stage/` with their commits.

        Raises `Outside` when the remote cannot be asked, or the answer lacks main: then it is no whole listing.
        """
        heads = self._heads(f"cannot list the branches of {self.remote}", "refs/heads/*")
        if self.main not in heads:
            raise Outside(
                f"the list of branches of {self.remote} lacks {self.main}, so it is not complete. Nothing was decided."
            )
        return {branch: commit for branch, commit in heads.items() if branch.startswith("stage/")}

    def delete_branches(self, heads: Mapping[str, str]) -> dict[str, StagingError]:
        """Delete the remote's branches that still are at these commits. One that is already gone is done.

        Gives, by branch, `Refused` when it has moved, and `Outside` when the remote does not allow it.
        """
        if not heads:
            return {}
        refs = {f"refs/heads/{branch}": commit for branch, commit in heads.items()}
        leases = [f"--force-with-lease={ref}:{commit}" for ref, commit in refs.items()]
        deletions = [f":{ref}" for ref in refs]
        result = self._git("push", "--quiet", "--no-verify", *leases, "--", self.remote, *deletions, check=False)
        now = self.remote_heads(heads) if result.code else {}
        return {branch: self._kept(branch, heads[branch], head, result.complaint) for branch, head in now.items()}

    def _kept(self, branch: str, commit: str, now: str, complaint: str) -> StagingError:
        """Why a branch was not deleted."""
        if now != commit:
            return Refused(
                f"branch {branch} has moved from {commit[:12]} to {now[:12]}. Someone pushed: run this again."
            )
        return Outside(f"{self.remote} does not let branch {branch} be deleted: {complaint}")

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

    def commits(self, *refs: str) -> list[str]:
        """The commits that refs of this clone are at; empty when it lacks one of them."""
        found = self._git("rev-parse", *refs, check=False)
        return [] if found.code else found.stdout.split()

    def on_main(self, path: str) -> str:
        """A file of main, as sentences name it."""
        return f"{path} on {self.remote}/{self.main}"

    def _heads(self, cannot: str, *patterns: str) -> dict[str, str]:
        """Branches of the remote and their commits; the names are whatever the remote sends."""
        result = self._git("ls-remote", "--", self.remote, *patterns, check=False)
        if result.code:
            raise Outside(f"{cannot}: {result.complaint}")
        lines = [HEAD_LINE.fullmatch(line) for line in result.stdout.split("\n") if line]
        if not all(lines):
            raise Outside(f"{self.remote} did not answer with a list of branches. Nothing was decided.")
        return {line[2]: line[1] for line in lines if line}

    def entries(self, ref: str, *paths: str, recursive: bool = False) -> dict[str, Entry]:
        """Mode and object of what a commit has at the paths, their folders included; of everything with `recursive`."""
        how = ("-r", "-t") if recursive else ("-t",)
        listed = self._git("ls-tree", "-z", "--full-tree", *how, ref, "--", *paths).stdout
        found = (entry.split("\t", 1) for entry in listed.split("\0") if entry)
        return {path: (facts.split(" ")[0], facts.split(" ")[2]) for facts, path in found}

    def file(self, there: Mapping[str, Entry], path: str) -> str | None:
        """The object of a plain file in plain folders. Raises `Refused` where something else is in the way."""
        for part in with_parents(path):
            mode, blob = there.get(part, ("", ""))
            if mode in (LINK, SUBMODULE) or (mode == FOLDER if part == path else mode.startswith("100")):
                kind = {LINK: "a symbolic link", SUBMODULE: "a submodule", FOLDER: "a folder"}.get(mode, "a file")
                raise Refused(
                    f"{self.on_main(part)} is {kind}, so {path} cannot be read there. Replace it with a plain one."
                )
            if part == path and blob:
                return blob
        return None

    def contents(self, blobs: Sequence[str]) -> list[str]:
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
        candidates = [str(PurePosixPath(part, "pyproject.toml")) for part in ("", *with_parents(folder))]
        there = self.entries(ref, *{part for path in candidates for part in with_parents(path)})
        for path in reversed(candidates):  # the nearest first
            if path in there and (blob := self.file(there, path)):
                return self.contents([blob])[0], path
        return "", "pyproject.toml"

    def _git(self, *args: str, stdin: str = "", check: bool = True) -> shell.Result:
        return shell.run("git", *OPTIONS, *args, cwd=self.folder, stdin=stdin, check=check)


@shell.ahead()
def find(settings: Settings) -> Checkout | None:
    """The work tree that the project lies in; None when it lies in none.

    Raises `Outside`, with git's own reason, for one that git cannot use or that has no such remote.
    """
    facts = ("--show-toplevel", "--is-shallow-repository", "HEAD")  # printed one after the other
    ask = partial(shell.run, "git", *OPTIONS, cwd=settings.project, check=False)
    named = shell.begin(lambda: ask("remote", "get-url", "--", settings.remote))
    found = ask("rev-parse", *facts)
    if not found.stdout:
        if not any((folder / ".git").exists() for folder in (settings.project, *settings.project.resolve().parents)):
            return None
        raise Outside(f"git cannot use the checkout at {settings.project}. It says: {found.complaint}")
    try:
        top, shallow, commit = found.stdout.rstrip("\n").rsplit("\n", 2)
    except ValueError:
        raise Outside("git does not say where the checkout is. Check it with `git rev-parse --show-toplevel`") from None
    folder, url = Path(top).resolve(), named()
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


def with_parents(path: str) -> list[str]:
    """The folders on the way to a path, and the path itself; nothing for the top."""
    whole = PurePosixPath(path)
    return [str(part) for part in (*reversed(whole.parents), whole) if part.name]
