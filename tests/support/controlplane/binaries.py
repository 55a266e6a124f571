"""The programs that tests need: found in the cache, else on PATH in a fitting version, else built with Go."""

import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

MODULES = Path(__file__).parent / "modules"
KUBERNETES = (
    "-X k8s.io/component-base/version.gitVersion={version}"
    " -X k8s.io/component-base/version.gitMajor={major}"
    " -X k8s.io/component-base/version.gitMinor={minor}"
)
# Without them Helm 3 takes a cluster that it cannot ask for 1.20; Helm 4 finds out from the modules it is built of.
HELM_3 = " ".join(
    f"-X helm.sh/helm/v3/pkg/{package}.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/{package}.k8sVersionMinor={{client_go}}"
    for package in ("chartutil", "lint/rules")
)


class UnavailableError(Exception):
    """Something outside is missing or failed; the message is one sentence for a person."""


@dataclass(frozen=True)
class Binary:
    """One program: where its pinned version is written, and how it is built."""

    key: str  # what this package calls it
    name: str  # what the file is called
    folder: str  # its folder in modules/
    module: str  # the Go module whose version is the program's
    package: str  # the command's package within the module
    ldflags: str  # programs that are not built by their own Makefile do not know their version
    seconds: int  # to build the first time on two cores beside another build, for the progress line
    version_command: tuple[str, ...] = ("--version",)
    build: int = 0  # how often the way it is built has changed: those of before stay where they are

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def version(self) -> str:
        return in_go_mod(self.folder, rf"^\s*(?:require )?{re.escape(self.module)} (v\S+)")

    @property
    def cached(self) -> Path:
        system, machine = platform.system().lower(), platform.machine().lower()
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
        build = f"-{self.build}" if self.build else ""
        return cache() / f"{self.name}-{self.version}{build}-{system}-{machine}" / self.name

    def fits(self, version: str) -> bool:
        """Server parts must be exactly the pinned ones, and tests name Helm's versions.

        kubectl supports servers one minor version away, so any such kubectl will do.
        """
        wanted, found = _numbers(self.version), _numbers(version)
        if self.key == "act":  # it must be without terminals: modules/act/pty
            return False
        if self.key == "kubectl":
            return wanted[:1] == found[:1] and abs(wanted[1] - found[1]) <= 1
        return wanted == found


def _kubernetes(name: str, seconds: int, version_command: tuple[str, ...] = ("--version",)) -> Binary:
    module = "k8s.io/kubernetes"
    return Binary(name, name, "kubernetes", module, f"/cmd/{name}", KUBERNETES, seconds, version_command)


def _kwok(name: str, seconds: int) -> Binary:
    ldflags = "-X sigs.k8s.io/kwok/pkg/consts.Version={number}"
    return Binary(name, name, "kwok", "sigs.k8s.io/kwok", f"/cmd/{name}", ldflags, seconds)


def _helm(key: str, major: int, seconds: int) -> Binary:
    module = f"helm.sh/helm/v{major}"
    ldflags = f"-X {module}/internal/version.version={{version}}"
    command = ("version", "--short")
    if major == 3:
        return Binary(key, "helm", key, module, "/cmd/helm", f"{ldflags} {HELM_3}", seconds, command, build=1)
    return Binary(key, "helm", key, module, "/cmd/helm", ldflags, seconds, command)


def _tool(name: str, module: str, package: str = "", ldflags: str = "", seconds: int = 60) -> Binary:
    return Binary(name, name, name, module, package, ldflags, seconds)


BINARIES = {
    binary.key: binary
    for binary in (
        _helm("helm4", 4, 310),
        _kubernetes("kube-apiserver", 480),
        _kubernetes("kube-controller-manager", 190),
        _kubernetes("kube-scheduler", 20),
        _kubernetes("kubectl", 50, ("version", "--client")),
        Binary("etcd", "etcd", "etcd", "go.etcd.io/etcd/server/v3", "", "", 60),
        _kwok("kwok", 150),
        _kwok("kwokctl", 40),
        _helm("helm3", 3, 120),
        _helm("helm3-oldest", 3, 120),
        replace(_tool("act", "github.com/nektos/act", "", "-X main.version={number}", 120), build=1),
        _tool("ct", "github.com/helm/chart-testing/v3", "/ct", "", 120),
        _tool("actionlint", "github.com/rhysd/actionlint", "/cmd/actionlint"),
        _tool("kubeconform", "github.com/yannh/kubeconform", "/cmd/kubeconform", "-X main.version={version}"),
        _tool("helm-docs", "github.com/norwoodj/helm-docs", "/cmd/helm-docs", "-X main.version={number}"),
    )
}
AT_ONCE = 2  # builds: while one loads its modules or links, which takes one core, another one compiles
SERVER = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok", "kwokctl")


def cache() -> Path:
    """The folder, outside any clone, that all clones share."""
    if explicit := os.environ.get("STAGING_TOOLS_CACHE"):
        return Path(explicit).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "staging-cronjobs"


def say(line: str) -> None:
    """Print a progress line."""
    print(f"{line}\n", end="", file=sys.stderr, flush=True)  # in one piece, beside the lines of another build


def path(key: str) -> Path:
    """Where one program is; builds it when it must."""
    return paths([key])[key]


def paths(keys: Iterable[str] = tuple(BINARIES), say: Callable[[str], None] = say) -> dict[str, Path]:
    """Where these programs are; builds what is neither in the cache nor on PATH."""
    found = {key: _present(BINARIES[key]) for key in keys}
    missing = [BINARIES[key] for key, file in found.items() if file is None]
    together: dict[tuple[str, str], list[Binary]] = {}  # one `go build` has one module, and the same flags for all
    for binary in missing:
        together.setdefault((binary.folder, _linker_flags(binary)), []).append(binary)
    if missing:
        with only_one(cache(), say), ThreadPoolExecutor(AT_ONCE) as builders:
            for _ in builders.map(lambda binaries: _build(binaries, say), together.values()):
                pass  # raises what a build has raised
    return {key: file or BINARIES[key].cached for key, file in found.items()}


def _present(binary: Binary) -> Path | None:
    return binary.cached if binary.cached.exists() else _on_path(binary)


def _on_path(binary: Binary) -> Path | None:
    file = shutil.which(binary.name)
    if file is None:
        return None
    try:
        command = [file, *binary.version_command]
        output = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"v?\d+\.\d+\.\d+\S*", output)
    return Path(file).absolute() if version and binary.fits(version.group()) else None


def _build(wanted: Sequence[Binary], say: Callable[[str], None]) -> None:
    binaries = [binary for binary in wanted if not binary.cached.exists()]  # another clone may have built some
    if not binaries:
        return
    go, named = _go(binaries[0]), f"{', '.join(binary.name for binary in binaries)} {binaries[0].version}"
    say(f"building {named}, {_about(sum(binary.seconds for binary in binaries))} the first time …")
    start = time.monotonic()
    _go_build(go, binaries)
    say(f"built {named} in {time.monotonic() - start:.0f} s")


@contextmanager
def only_one(folder: Path, say: Callable[[str], None]) -> Generator[None]:
    """One clone at a time on a machine: builds take all its cores anyway."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another build on this machine …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _go(binary: Binary) -> str:
    wanted = in_go_mod(binary.folder, r"^go (\S+)")
    go = shutil.which("go")
    if go is None:
        raise UnavailableError(
            f"{binary.name} {binary.version} must be built, and that needs Go {wanted} or newer on PATH."
        )
    output = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, env=environment()).stdout
    found = output.strip().removeprefix("go")
    if _numbers(found) < _numbers(wanted):
        raise UnavailableError(f"{binary} must be built with Go {wanted} or newer; {go} is {found}.")
    return go


def _go_build(go: str, binaries: Sequence[Binary]) -> None:
    """Build programs of one module with the same flags, which Go compiles once and links side by side."""
    first, packages = binaries[0], [binary.module + binary.package for binary in binaries]
    with TemporaryDirectory(prefix=".build-", dir=cache()) as folder:
        # A command at the root of its module is named after that.
        target = Path(folder, first.name) if len(binaries) == 1 else f"{folder}{os.sep}"
        flags = ("-mod=readonly", "-trimpath", "-ldflags", f"-s -w {_linker_flags(first)}", "-o", str(target))
        build = subprocess.run(
            [go, "build", *flags, *packages],
            cwd=MODULES / first.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if build.returncode:
            names = ", ".join(map(str, binaries))
            raise UnavailableError(f"go could not build {names}:\n{build.stderr.strip()[-2000:]}")
        for binary in binaries:
            binary.cached.parent.mkdir(parents=True, exist_ok=True)
            Path(folder, binary.name).rename(binary.cached)  # so that a half-written program is never found


def _linker_flags(binary: Binary) -> str:
    major, minor = _numbers(binary.version)[:2]
    facts = {"version": binary.version, "number": binary.version.removeprefix("v"), "major": major, "minor": minor}
    if "{client_go}" in binary.ldflags:
        facts["client_go"] = in_go_mod(binary.folder, r"^\s*k8s\.io/client-go v0\.(\d+)")
    return binary.ldflags.format(**facts)


def environment() -> dict[str, str]:
    """For Go: this machine's own platform, the Go that is installed, and no workspace around the clone."""
    foreign = ("GOOS", "GOARCH", "GOFLAGS")
    own = {name: value for name, value in os.environ.items() if name not in foreign}
    return own | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def in_go_mod(folder: str, pattern: str) -> str:
    found = re.search(pattern, (MODULES / folder / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise UnavailableError(f"tests/controlplane/modules/{folder}/go.mod has no line like {pattern}.")
    return found.group(1)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


def _about(seconds: int) -> str:
    return f"about {seconds} s" if seconds < 100 else f"about {round(seconds / 60)} minutes"
