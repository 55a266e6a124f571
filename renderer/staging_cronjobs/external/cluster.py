"""One namespace of one cluster, reached through helm and kubectl, and how old these and Kubernetes may be."""

import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import Outside, Usage
from ..model.settings import Settings, given, seconds
from . import kubectl_proxy, shell, waits

OLDEST_HELM = "3.18.5"  # the values.schema.json engine changed there
NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # it becomes part of a path
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
OBJECT = re.compile(r'^Error from server \(\w+\): \S+ "[^"]+"')  # kubectl says the same of each that was asked for
NOISE = re.compile(r"Warning:|WARNING:|level=|Use --debug|[IWEF]\d{4} [\d:.]+ +\d+ ")  # the last: kubectl's own log
STALE = ("(Conflict)", "(NotFound)")  # the API server's words for what is not as it was read
HELM_PLACE = {"HELM_NAMESPACE": "namespace", "HELM_KUBECONTEXT": "kube_context"}
HELM_ALONE = re.compile(r"HELM_KUBE(?!CONTEXT$).+")
KINDS = {"cronjobs": "CronJob", "jobs": "Job", "pods": "Pod", "secrets": "Secret", "configmaps": "ConfigMap"}
MAKERS = ("cronjobs", "jobs")  # kinds of batch/v1, which make other objects
LONGEST = 5_000  # characters of a selector: with its commas quoted it fits into the 8 kB of a line that nginx takes
OLDEST_KUBERNETES = "1.29.0"  # the chart's kubeVersion


@dataclass(frozen=True)
class Cluster:
    """Where releases live. Both programs get context and namespace, so that a default can never be meant.

    Raises `Usage` for what cannot be a namespace.
    """

    context: str  # empty: the cluster that this runs in, by its service account
    namespace: str
    timeout: str = "5m"  # Helm's --timeout
    everywhere: bool = False  # all namespaces: for lists alone

    def __post_init__(self) -> None:
        if not NAMESPACE.fullmatch(self.namespace):
            raise Usage(
                f"namespace {self.namespace!r} is not usable: it must be lower-case letters, digits and dashes, "
                "63 characters at most"
            )

    def __str__(self) -> str:
        return f"{self.server}, {'all namespaces' if self.everywhere else f'namespace {self.namespace}'}"

    @property
    def server(self) -> str:
        """The cluster alone, for sentences."""
        return f"context {self.context}" if self.context else "this cluster"

    @property
    def timeout_seconds(self) -> float:
        """Helm's --timeout in seconds."""
        return seconds(self.timeout, "timeout")

    @cached_property
    def helm_major(self) -> int:
        """3 or 4. Raises `Outside` for a Helm older than 3.18.5."""
        return numbers(helm_version())[0]

    def require_helm(self) -> None:
        """Raises `Outside` unless helm is there and new enough to be understood."""
        _ = self.helm_major

    def require_namespace(self) -> None:
        """Raises `Outside` when the namespace does not exist: to list what is in it gives nothing, and no error."""
        if self.everywhere:
            return
        asked = self._raw("get", f"/api/v1/namespaces/{self.namespace}")
        if "(NotFound)" in asked.stderr:  # whoever may not ask is believed
            raise Outside(
                f"{self.server} has no namespace {self.namespace}. Give the right one with --namespace, or correct the "
                "setting or the kubeconfig that it comes from"
            )

    def helm(self, *args: str, stdin: str = "", check: bool = True) -> shell.Result:
        """Run helm. With `check`, raises `Outside` when it fails."""
        return self._run("helm", "--kube-context", args, stdin, check)

    def kubectl(self, *args: str, stdin: str = "", check: bool = True) -> shell.Result:
        """Run kubectl. With `check`, raises `Outside` when it fails."""
        return self._run("kubectl", "--context", args, stdin, check)

    def get(self, plural: str, selector: str, *flags: str) -> list[dict[str, Any]]:
        """All objects of a kind that a label selector matches; with flags, by a kubectl of its own that has them."""
        path = f"{self._path(plural)}?labelSelector={quote(selector)}"
        if flags:
            return self.items(self.kubectl("get", "--raw", path, *flags).stdout)
        return self.items(self._found(self._raw("get", path)).stdout)

    def get_all(self, plurals: Collection[str], selector: str) -> list[dict[str, Any]]:
        """All objects of several kinds that a label selector matches, side by side."""
        found = shell.together([partial(self.get, plural, selector) for plural in plurals])
        return [
            thing | {"kind": KINDS[plural]} for plural, things in zip(plurals, found, strict=True) for thing in things
        ]

    def get_one(self, plural: str, name: str) -> dict[str, Any] | None:
        """One object; None when there is none."""
        answer = self._raw("get", f"{self._path(plural)}/{name}")
        return None if "(NotFound)" in answer.stderr else self.items(self._found(answer).stdout)[0]

    def items(self, text: str) -> list[dict[str, Any]]:
        """The objects of a list, or the one object, that kubectl printed. Raises `Outside` for anything else."""
        try:
            found = json.loads(text)
            items = found.get("items", [found])
            if all(isinstance(item["metadata"]["name"], str) for item in items):
                return items
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            pass
        raise Outside(f"{self}: kubectl does not answer with objects as JSON. Check it with `kubectl get cronjobs`")

    def delete(self, plural: str, name: str, **preconditions: str) -> None:
        """Delete an object with all that it made, if its `uid` or `resourceVersion` still is the one that was seen.

        One that is gone is done. Raises `Outside` for another one, or when it cannot be deleted.
        """
        # In the foreground an object stays until the cluster's garbage collector has seen that it made nothing.
        policy = "Foreground" if plural in MAKERS else "Background"
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy}
        body = json.dumps({**options, "preconditions": preconditions})
        result = self._raw("delete", f"{self._path(plural)}/{name}", body)
        if result.code and "(NotFound)" not in result.stderr:
            raise Outside(f"{self}: kubectl could not delete {plural.removesuffix('s')}/{name}: {plain(result)}")

    def put(self, plural: str, thing: Mapping[str, Any]) -> bool:
        """Write an object back that was read; False when it is gone, or somebody has changed it since."""
        name = thing["metadata"]["name"]
        # The items of a list do not say what they are.
        kind = {"apiVersion": "batch/v1" if plural in MAKERS else "v1", "kind": KINDS[plural]}
        result = self._raw("replace", f"{self._path(plural)}/{name}", json.dumps({**kind, **thing}))
        if result.code and not any(reason in result.stderr for reason in STALE):
            raise Outside(f"{self}: kubectl could not change {plural.removesuffix('s')}/{name}: {plain(result)}")
        return not result.code

    def dry_run(self, plural: str, thing: Mapping[str, Any], *, exists: bool) -> shell.Result:
        """What the API server says of an object that is to be created, or where it `exists` replaced. Nothing is."""
        query = "?dryRun=All&fieldValidation=Strict"
        path = f"{self._path(plural)}/{thing['metadata']['name']}" if exists else self._path(plural)
        verb = "replace" if exists else "create"
        return self._raw(verb, f"{path}{query}", json.dumps(thing))

    def _path(self, plural: str) -> str:
        group = "/apis/batch/v1" if plural in MAKERS else "/api/v1"
        within = "" if self.everywhere else f"/namespaces/{self.namespace}"
        return f"{group}{within}/{plural}"

    def _found(self, answer: shell.Result) -> shell.Result:
        if answer.code:
            raise Outside(f"{self}: kubectl get failed: {plain(answer)}")
        return answer

    def _raw(self, verb: str, path: str, given: str = "") -> shell.Result:
        """What `kubectl VERB --raw PATH` says: it needs neither discovery nor the server's OpenAPI."""
        command = (verb, "--raw", path, *(("-f", "-") if given else ()))
        proxy = kubectl_proxy.to(self.context)  # here, because no other thread may start a program

        def ask() -> shell.Result | None:
            shell.tell("kubectl", *([f"--context={self.context}"] if self.context else []), *command)
            return proxy.ask(verb, path, given)

        with waits.on("the API server"):
            answer = shell.asked((self.context, verb, path, given), ask)
        return self.kubectl(*command, stdin=given, check=False) if answer is None else answer

    def _run(self, program: str, flag: str, args: Sequence[str], stdin: str, check: bool) -> shell.Result:
        # Early, because `--` may stand among the arguments: what follows it is a name, whatever it looks like.
        within = () if self.everywhere else (f"--namespace={self.namespace}",)
        where = (*within, *([f"{flag}={self.context}"] if self.context else []))
        verb, *rest = args
        result = shell.run(program, verb, *where, *rest, stdin=stdin, check=False)
        if check and result.code:
            raise Outside(f"{self}: {program} {verb} failed: {plain(result)}")
        return result


def one_of(label: str, names: Collection[str]) -> str:
    """A selector for objects whose label is one of the names; of many names, for all that have the label at all."""
    named = f"{label} in ({','.join(sorted(names))})"
    return named if len(named) <= LONGEST else label


def helm_version() -> str:
    """Helm's version. Raises `Outside` where it is missing, or older than 3.18.5."""
    # Even this would connect to the database of HELM_DRIVER=sql.
    text = shell.run("helm", "version", "--template", "{{.Version}}", env={"HELM_DRIVER": ""}).stdout.strip()
    if numbers(text) < numbers(OLDEST_HELM):
        raise Outside(f"helm is {text}: {OLDEST_HELM} or newer is needed. Update it")
    return text


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version as helm and Kubernetes write it, such as v3.22.0-rc.1."""
    return tuple(int(n) for n in version.lstrip("v").split("-")[0].split("+")[0].split(".") if n.isdigit())


def connect(settings: Settings) -> Cluster:
    """The cluster and namespace that the settings and the kubeconfig name; nothing is asked of the cluster itself.

    Raises `Usage` where variables of helm's say something else.
    """
    settings = _with_helms(settings)
    if settings.kube_context and settings.namespace:
        return Cluster(settings.kube_context, settings.namespace, settings.timeout)
    choice = ("--context", settings.kube_context) if settings.kube_context else ()
    result = shell.run("kubectl", "config", "view", "--minify", "-o", "json", *choice, check=False)
    if result.code:
        if "KUBERNETES_SERVICE_HOST" in os.environ and SERVICE_ACCOUNT.is_file() and not settings.kube_context:
            return Cluster("", settings.namespace or SERVICE_ACCOUNT.read_text().strip(), settings.timeout)
        raise Outside(
            f"no cluster is named: {plain(result)}. Set KUBECONFIG, choose a context with "
            "`kubectl config use-context`, or pass --kube-context"
        )
    try:
        view: Mapping[str, Any] = json.loads(result.stdout)
        context = (view.get("contexts") or [{}])[0]
        name = str(context.get("name", view.get("current-context", "")))
        namespace = settings.namespace or str(context.get("context", {}).get("namespace") or "default")
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        raise Outside("kubectl does not print its configuration as JSON. Check it with `kubectl config view`") from None
    return Cluster(name, namespace, settings.timeout)


def _with_helms(settings: Settings) -> Settings:
    """The settings with helm's own variables: over the kubeconfig as in helm, and never against a project's setting."""
    if alone := sorted(name for name in os.environ if HELM_ALONE.fullmatch(name) and os.environ[name]):
        raise Usage(
            f"{alone[0]} is set. It would lead helm elsewhere, and kubectl does not know it. Unset it, and put the "
            "same into your kubeconfig"
        )
    for variable, name in HELM_PLACE.items():
        value, own = os.environ.get(variable, ""), getattr(settings, name)
        if not value or name in settings.chosen:
            continue
        option = f"--{name.replace('_', '-')}"
        if own and own != value:
            raise Usage(
                f"{variable} is {value!r}, and the project's {option[2:]} is {own!r}. Unset {variable}, or pass "
                f"{option}"
            )
        settings = given(settings, **{name: value})
    return settings


def plain(result: shell.Result) -> str:
    """A tool's complaint on one line, without its warnings and prefixes."""
    lines = [line.strip() for line in (result.stderr or result.stdout).splitlines()]
    once: dict[str, str] = {}
    for line in lines:
        if line and not NOISE.match(line):
            once.setdefault(OBJECT.sub("", line), line)
    text = "; ".join(line.removeprefix("Error: ").removeprefix("error: ") for line in once.values())
    return text.strip("; ") or f"exit code {result.code}"
