"""A control plane in a folder, a node for a cluster that exists, and the guard that takes both away again."""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlplane import binaries, ports, processes
from controlplane.binaries import UnavailableError

MANIFESTS = Path(__file__).parent / "manifests"
STAGES = MANIFESTS / "stages.yaml"
# Of helm and kubectl, which run so often and so shortly that collecting garbage and sharing work only cost time. Both
# read all of kubectl's messages at each start, and in this language there are only those of `kubectl config`. To other
# programs it is no locale at all, so they speak English.
FOR_A_MOMENT = {"GOGC": "off", "GOMAXPROCS": "1", "LC_MESSAGES": "zh_TW.none"}
START_SECONDS = 120  # it takes about 4; the rest is for machines that do other things too

# What the jobs of real catalogues ask of a node.
NODE_LABELS = {
    "eks.amazonaws.com/compute-type": "auto",
    "karpenter.sh/capacity-type": "spot",
    "kubernetes.io/arch": "amd64",
    "kubernetes.io/os": "linux",
}
OUR_NODES = {"key": "manage-nodes-with-annotation-selector", "value": "kwok.x-k8s.io/node=fake"}
PATCHES = [
    {"name": "etcd", "extraArgs": [{"key": "unsafe-no-fsync", "value": "true"}]},  # it is never started again
    # There is no other: it would only end itself when the API server is away for a moment.
    {"name": "kube-controller-manager", "extraArgs": [{"key": "leader-elect", "value": "false"}]},
    # kwokctl tells kwok to manage all nodes, and then a guest's node would have two masters.
    {
        "name": "kwok-controller",
        "extraArgs": [{"key": "manage-all-nodes", "value": "false", "override": True}, OUR_NODES],
    },
]


def new_folder() -> Path:
    """A new folder of its own; its name is the cluster's name."""
    folder = Path(tempfile.gettempdir()).resolve() / f"staging-cronjobs-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    return folder


@dataclass(frozen=True)
class Cluster:
    """What a folder holds for its user: a kubeconfig, and the tools that fit."""

    folder: Path

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def context(self) -> str:
        """The kubeconfig's current context."""
        lines = self.kubeconfig.read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("current-context:"))

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    def link(self, **tools: Path) -> None:
        """Make programs available in the folder."""
        self.bin.mkdir(parents=True, exist_ok=True)
        for name, file in tools.items():
            self.bin.joinpath(name).symlink_to(file)

    def environment(self) -> dict[str, str]:
        """For a child process that uses the cluster."""
        own = {
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(self.folder / "cache"),  # ~/.kube/cache is the user's
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
        }
        return {**os.environ, **own}

    def kubectl(self, *args: str, given: str | None = None, seconds: float = START_SECONDS) -> str:
        return self.run("kubectl", *args, given=given, seconds=seconds, **FOR_A_MOMENT)

    def last_words(self) -> str:
        """The last line of each log, for a message about a failure."""
        logs = {log.name: log.read_text(errors="replace").splitlines() for log in sorted(self.folder.rglob("*.log"))}
        return "\n".join(f"{name}: {lines[-1]}" for name, lines in logs.items() if lines)

    def version(self) -> str:
        return json.loads(self.kubectl("get", "--raw=/version"))["gitVersion"]

    def run(
        self,
        program: str,
        *args: str,
        given: str | None = None,
        seconds: float = START_SECONDS,
        **environment: str,
    ) -> str:
        """Run one of the folder's programs; gives its output."""
        try:
            done = subprocess.run(
                [self.bin / program, *args],
                env=self.environment() | environment,
                input=given or "",
                capture_output=True,
                text=True,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            raise UnavailableError(f"{program} {args[0]} took more than {seconds:.0f} s") from None
        if done.returncode:
            raise UnavailableError(f"{program} {args[0]} failed:\n{done.stderr.strip()[-2000:]}")
        return done.stdout


class ControlPlane(Cluster):
    """etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok with one node."""

    def prepare(self) -> None:
        """Find or build the programs, before any clock runs."""
        found = binaries.paths((*binaries.SERVER, "helm4"))
        self.link(**{binaries.BINARIES[key].name: file for key, file in found.items()})

    def start(self) -> None:
        with ports.reserved(binaries.cache() / "ports.lock") as block:
            config = self.folder / "kwokctl.json"
            config.write_text(json.dumps(self._config(block)))
            own = f"--kubeconfig={self.kubeconfig}"
            self._kwokctl("create", "cluster", own, f"--config={config}", f"--config={STAGES}")
        add_node(self, self.folder.name.strip("."), labels={"type": "kwok"}, annotations={"kwok.x-k8s.io/node": "fake"})

    def stop(self) -> None:
        processes.remove(self.folder)

    def stop_api_server(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the API server alone, and wait until it has ended."""
        processes.end(self.folder, "kube-apiserver", number)

    def start_api_server(self) -> None:
        """Start it again, with what it knew, and whatever did not endure its absence."""
        for file in self.folder.glob("kwok/clusters/*/pids/*.pid"):
            if not list(processes.running(self.folder, file.stem)):
                file.unlink()  # kwokctl takes a process for running until its parent has looked at how it ended
        self._kwokctl("start", "cluster")

    def answers(self) -> bool:
        try:
            return self.kubectl("get", "--raw=/readyz", "--request-timeout=5s").startswith("ok")
        except (UnavailableError, OSError):
            return False

    def _kwokctl(self, *args: str) -> None:
        self.run(
            "kwokctl",
            *args,
            f"--name={self.folder.name.strip('.')}",
            f"--wait={START_SECONDS}s",
            seconds=2 * START_SECONDS,
            KWOK_WORKDIR=str(self.folder / "kwok"),
            GOGC="400",  # their memory is small; a start takes a third of its work less
        )

    def _config(self, block: range) -> dict[str, Any]:
        names = ("etcdPort", "etcdPeerPort", "kubeApiserverPort", "kubeControllerManagerPort", "kubeSchedulerPort")
        programs = {
            "etcdBinary": "etcd",
            "kubeApiserverBinary": "kube-apiserver",
            "kubeControllerManagerBinary": "kube-controller-manager",
            "kubeSchedulerBinary": "kube-scheduler",
            "kubectlBinary": "kubectl",
            "kwokControllerBinary": "kwok",
        }
        options = {
            "runtime": "binary",
            "bindAddress": "127.0.0.1",
            "kubeVersion": binaries.BINARIES["kube-apiserver"].version,
            "kubeAuthorization": True,
            "kubeSchedulerConfig": str(MANIFESTS / "scheduler.yaml"),
            "disableQPSLimits": True,
            **dict(zip((*names, "kwokControllerPort"), block, strict=False)),
            **{option: str(self.bin / program) for option, program in programs.items()},
        }
        return {
            "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
            "kind": "KwokctlConfiguration",
            "options": options,
            "componentsPatches": PATCHES,
        }


class Node(Cluster):
    """kwok as a guest of a cluster that exists, with one node of its own, unless there is a kwok node already."""

    def prepare(self, kubeconfig: str) -> None:
        """Copy the current context: one file, where KUBECONFIG may be a list of files that refer to others."""
        self.link(kubectl=binaries.path("kubectl"))
        view = self.run("kubectl", "config", "view", "--raw", "--flatten", "--minify", KUBECONFIG=kubeconfig)
        self.kubeconfig.write_text(view)
        if not self.kubectl("get", "nodes", "--selector=type=kwok", "--output=name", "--request-timeout=10s"):
            self.link(kwok=binaries.path("kwok"))

    @property
    def needed(self) -> bool:
        return self.bin.joinpath("kwok").exists()

    def start(self) -> None:
        if not self.needed:
            return
        name = self.folder.name
        with (self.folder / "kwok.log").open("w") as log:
            subprocess.Popen(
                [
                    self.bin / "kwok",
                    f"--kubeconfig={self.kubeconfig}",
                    f"--config={STAGES}",
                    "--manage-all-nodes=false",
                    f"--manage-nodes-with-label-selector=staging-cronjobs.test/node={name}",
                    "--node-lease-duration-seconds=40",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        add_node(self, name, labels={"staging-cronjobs.test/node": name}, annotations={})

    def stop(self) -> None:
        try:
            if self.needed:
                self.kubectl("delete", "node", self.folder.name, "--ignore-not-found", "--timeout=20s")
        finally:
            processes.remove(self.folder)


def add_node(cluster: Cluster, name: str, labels: Mapping[str, str], annotations: Mapping[str, str]) -> None:
    """Add a node that kwok plays, and wait until it is ready."""
    labels = {**NODE_LABELS, "kubernetes.io/hostname": name, **labels}
    metadata = {"name": name, "labels": labels, "annotations": dict(annotations)}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
    cluster.kubectl("create", "-f", "-", given=json.dumps(node))
    cluster.kubectl("wait", "--for=condition=Ready", f"node/{name}", f"--timeout={START_SECONDS // 2}s")


KINDS = {"control-plane": ControlPlane, "node": Node}


@contextmanager
def running() -> Generator[ControlPlane]:
    """A control plane for the length of a block; it goes away also when this process is killed."""
    plane = ControlPlane(new_folder())
    try:
        plane.prepare()
        with guarded(plane, "control-plane"):
            yield plane
    finally:
        processes.remove(plane.folder)


@contextmanager
def guest(kubeconfig: str) -> Generator[Cluster]:
    """A cluster that exists; without a kwok node it gets one for the length of a block."""
    node = Node(new_folder())
    try:
        try:
            node.prepare(kubeconfig)
        except UnavailableError as error:
            raise UnavailableError(f"the cluster of {kubeconfig} cannot be used: {error}") from None
        with guarded(node, "node"):
            yield node
    finally:
        processes.remove(node.folder)


@contextmanager
def guarded(cluster: Cluster, kind: str) -> Generator[None]:
    """Start it by a guard process, which stops it when its standard input ends: at the latest with this process."""
    guard = subprocess.Popen(
        [sys.executable, "-m", "controlplane.guard", kind, cluster.folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # ^C is for the starter
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert guard.stdin and guard.stdout
    try:
        answer = json.loads(guard.stdout.readline() or '"its guard process ended"')
        if answer != "ready":
            raise UnavailableError(f"the control plane did not start: {answer}")
        yield
    finally:
        guard.stdin.close()
        guard.stdout.close()
        guard.wait()
