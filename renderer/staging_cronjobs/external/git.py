"""The git side: this checkout, its remote's main, and the remote's stage branches."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import Outside, Refused
from ..model.settings import Settings
from . import shell

METADATA = "zarr.json"  # zarr v3: the group's metadata, in the template's folder


@dataclass(frozen=True)
class Checkout:
    """A work tree, and the remote whose branches stage datasets."""

    folder: Path  # the top of the work tree
    remote: str
    main: str
    repository: str  # owner/name
    commit: str = field(default="", compare=False)  # that is checked out; `HEAD` when there is none yet
    shallow: bool = field(default=False, compare=False)

    def head(self) -> str:
        """The commit that is checked out. Raises `Outside` when there is none yet."""
        if self.commit == "HEAD":
            raise Outside(f"{self.folder} has no commit yet: commit and push before this")
        return self.commit

    def fetch_main(self) -> None:
        """Make `<remote>/<main>` what the remote has now. Raises `Outside` when that cannot be read."""
        depth = ("--depth", "1") if self.shallow else ()
        result = self._git(
            "fetch", "--quiet", "--no-tags", *depth, self.remote, f"+refs/heads/{self.main}:{self._main}", check=False
        )
        if result.code:
            raise Outside(f"cannot read {self.main} of {self.remote}: {result.complaint}")

    def main_version(self, template_path: str) -> str | None:
        """`dataset_version` of the template on main, as fetched; None when main has no such template.

        Raises `Refused` when what main has there cannot be read.
        """
        path = f"{self.relative(template_path)}/{METADATA}"
        # A failed reading (main not fetched, a remote that does not give the content) is not an absent template.
        if not self._git("ls-tree", "-z", "--full-tree", self._main, "--", path).stdout:
            return None
        where = f"{path} on {self.remote}/{self.main}"
        attributes = _attributes(self._git("show", f"{self._main}:{path}").stdout)
        if attributes is None:
            raise Refused(f"{where} is not JSON with attributes: its dataset_version cannot be compared")
        if not isinstance(version := attributes.get("dataset_version"), str):
            raise Refused(f"{where} has no attribute dataset_version: this version cannot be compared with it")
        return version

    def templates_on_main(self, dataset_id: str) -> list[str]:
        """Folders on main whose zarr.json carries the dataset's id."""
        found = self._git(
            "grep",
            "--name-only",
            "-z",
            "--fixed-strings",
            f'"{dataset_id}"',
            self._main,
            "--",
            f"*{METADATA}",
            check=False,
        )
        if found.code > 1:  # 1: nothing found
            raise Outside(f"git cannot search {self.remote}/{self.main}: {found.complaint}")
        paths = [entry.removeprefix(f"{self._main}:") for entry in found.stdout.split("\0") if entry]
        texts = {path: self._git("show", f"{self._main}:{path}").stdout for path in paths}
        return [str(Path(p).parent) for p, t in texts.items() if (_attributes(t) or {}).get("dataset_id") == dataset_id]

    def remote_head(self, branch: str) -> str | None:
        """The commit that the remote's `branch` is at; None when it has no such branch.

        Raises `Outside` when the remote cannot be asked: a failed listing is not a missing branch.
        """
        ref = f"refs/heads/{branch}"
        result = self._git("ls-remote", self.remote, ref, check=False)
        if result.code:
            raise Outside(f"cannot ask {self.remote} for branch {branch}: {result.complaint}")
        heads = (line.split("\t") for line in result.stdout.splitlines())
        return next((commit for commit, name in heads if name == ref), None)

    def stage_branches(self) -> dict[str, str]:
        """The remote's branches under `stage/` with their commits.

        Raises `Outside` when the remote cannot be asked, or the answer lacks main: then it is no whole listing.
        """
        result = self._git("ls-remote", self.remote, "refs/heads/*", check=False)
        if result.code:
            raise Outside(f"cannot list the branches of {self.remote}: {result.complaint}")
        lines = (line.split("\t") for line in result.stdout.splitlines())
        heads = {name.removeprefix("refs/heads/"): commit for commit, name in lines}
        if self.main not in heads:
            raise Outside(
                f"the list of branches of {self.remote} lacks {self.main}: it is not whole, nothing was decided"
            )
        return {branch: commit for branch, commit in heads.items() if branch.startswith("stage/")}

    def delete_branch(self, branch: str, commit: str) -> None:
        """Delete the remote's `branch` if it still is at `commit`. Already gone is done.

        Raises `Refused` when it has moved, `Outside` when the remote does not allow it.
        """
        ref = f"refs/heads/{branch}"
        lease = f"--force-with-lease={ref}:{commit}"
        result = self._git("push", "--quiet", "--no-verify", lease, self.remote, f":{ref}", check=False)
        if result.code == 0 or (now := self.remote_head(branch)) is None:
            return
        if now != commit:
            raise Refused(f"branch {branch} has moved from {commit[:12]} to {now[:12]}: someone pushed; run this again")
        raise Outside(f"{self.remote} does not let branch {branch} be deleted: {result.complaint}")

    @property
    def _main(self) -> str:
        return f"refs/remotes/{self.remote}/{self.main}"

    def relative(self, template_path: str) -> str:
        """The path from the top of the repository. Raises `Refused` for one that lies outside."""
        try:
            return (self.folder / template_path).resolve().relative_to(self.folder).as_posix()
        except ValueError:
            raise Refused(f"template path {template_path} is outside the repository {self.folder}") from None

    def _git(self, *args: str, check: bool = True) -> shell.Result:
        return shell.run("git", *args, cwd=self.folder, check=check)


def checkout(settings: Settings) -> Checkout:
    """The work tree that the project lies in. Raises `Outside` when there is none, or no such remote."""
    facts = ("--show-toplevel", "--is-shallow-repository", "HEAD")  # printed one after the other
    found = shell.run("git", "rev-parse", *facts, cwd=settings.project, check=False)
    if not found.stdout:
        raise Outside(f"{settings.project} is not in a git work tree: run this in a checkout of the repository")
    top, shallow, commit = found.stdout.rstrip("\n").rsplit("\n", 2)
    folder = Path(top).resolve()
    url = shell.run("git", "remote", "get-url", settings.remote, cwd=folder, check=False)
    if url.code:
        raise Outside(f"{folder} has no git remote {settings.remote!r}: set remote in [tool.staging-cronjobs]")
    repository = settings.repository or owner_and_name(url.stdout.strip())
    return Checkout(folder, settings.remote, settings.main, repository, commit, shallow == "true")


def owner_and_name(url: str) -> str:
    """`owner/name` of a remote's URL: https, ssh, scp-like or a path."""
    path = re.sub(r"^([a-z+]+://[^/]+/|[^/:]+:)", "", url)
    return "/".join(path.rstrip("/").removesuffix(".git").split("/")[-2:])


def _attributes(text: str) -> dict[str, object] | None:
    try:
        attributes = json.loads(text).get("attributes")
    except (ValueError, AttributeError):
        return None
    return attributes if isinstance(attributes, dict) else None
