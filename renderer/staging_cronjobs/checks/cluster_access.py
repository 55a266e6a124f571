"""What the cluster says of itself and of this account: its version, the namespace, and each right that is needed."""

import json
import shlex
from collections.abc import Collection

from ..errors import Outside
from ..external import helm_record, kubectl, shell
from ..external.cluster import OLDEST_KUBERNETES, Cluster, numbers, plain
from ..model import rights
from ..model.doctor import OK, UNKNOWN, WRONG, Look

PATIENCE = "--request-timeout=10s"
ROLES = {"deploy": rights.DEPLOY, "operate": rights.OPERATE}
Right = tuple[str, str]  # resource, verb


def server(cluster: Cluster) -> list[Look]:
    """Whether the cluster answers, and is new enough."""
    done = cluster.kubectl("version", "-o", "json", PATIENCE, check=False)
    version = _server_version(done.stdout)
    if done.code or not version:
        where = _flag("--context", cluster.context)
        return [
            Look(
                "cluster", WRONG, f"{cluster.server} does not answer: {plain(done)}", (f"kubectl{where} cluster-info",)
            )
        ]
    if numbers(version) < numbers(OLDEST_KUBERNETES):
        needed = f"{OLDEST_KUBERNETES} or newer is needed"
        return [Look("cluster", WRONG, f"{cluster.server} is Kubernetes {version}. {needed}")]
    return [Look("cluster", OK, f"{cluster.server}, Kubernetes {version}")]


def namespace(cluster: Cluster) -> list[Look]:
    """Whether the namespace is there; an account that may not read it finds out by a dry run."""
    found = cluster.kubectl("get", PATIENCE, "-o", "name", "--", "namespaces", cluster.namespace, check=False)
    if found.code and "(Forbidden)" in found.stderr:
        dry = ("secret", "generic", "staging-doctor", "--dry-run=server", "-o", "name", PATIENCE)
        found = cluster.kubectl("create", *dry, check=False)
    if not found.code or "(AlreadyExists)" in found.stderr:
        return [Look("namespace", OK, cluster.namespace)]
    if "(NotFound)" in found.stderr:
        command = f"kubectl{_flag('--context', cluster.context)} create namespace {cluster.namespace}"
        return [Look("namespace", WRONG, f"there is no namespace {cluster.namespace}", (command,))]
    return [Look("namespace", UNKNOWN, f"whether there is a namespace {cluster.namespace}: {plain(found)}")]


def held(cluster: Cluster) -> list[Look]:
    """One look for each kind of object: which of the verbs that are needed this account may use."""
    wanted = {role: rights.needed(own, helm_record.driver()) for role, own in ROLES.items()}
    asked = sorted(set().union(*wanted.values()))
    reviews = {"apiVersion": "v1", "kind": "List", "items": [_review(cluster.namespace, *right) for right in asked]}
    given = json.dumps(reviews)
    done = cluster.kubectl("create", "--validate=false", "-o", "json", PATIENCE, "-f", "-", stdin=given, check=False)
    try:
        answers = dict(_answer(document) for document in shell.documents(done.stdout))
    except (ValueError, TypeError, KeyError, RecursionError):
        answers = {}
    if done.code or set(answers) != set(asked):
        return [Look("rights", UNKNOWN, f"what this account may do: {plain(done)}")]
    return _by_resource(cluster, wanted, {right for right in asked if not answers[right]})


def account(cluster: Cluster) -> str:
    """Who this account is, in the cluster's words. Raises `Outside` where it does not say."""
    done = cluster.kubectl("auth", "whoami", "-o", "json", PATIENCE, check=False)
    try:
        return str(json.loads(done.stdout)["status"]["userInfo"]["username"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Outside(f"{cluster} does not say who this account is: {plain(done)}") from None


def _by_resource(cluster: Cluster, wanted: dict[str, set[Right]], missing: Collection[Right]) -> list[Look]:
    # Whoever has all rights of one role is that role, and need not have those of the other.
    whole = [role for role, own in wanted.items() if not own & set(missing)]
    found = []
    for resource in dict.fromkeys(resource for resource, _ in sorted(set().union(*wanted.values()))):
        lacking = sorted(verb for name, verb in missing if name == resource)
        has = sorted({verb for own in wanted.values() for name, verb in own if name == resource} - set(lacking))
        what = f"rights on {resource}"
        if not lacking:
            found.append(Look(what, OK, ", ".join(has)))
            continue
        roles = [role for role, own in wanted.items() if {(resource, verb) for verb in lacking} & own]
        told = f"this account may not {', '.join(lacking)}, which is needed to {' and to '.join(roles)}"
        if whole:
            text = f"{told}. It may {whole[0]}; whether another account may is not asked"
            found.append(Look(what, UNKNOWN, text, _asking(cluster, resource, lacking)))
        else:
            found.append(Look(what, WRONG, told, _granting(cluster, resource, lacking)))
    return found


def _granting(cluster: Cluster, resource: str, verbs: Collection[str]) -> tuple[str, ...]:
    """What an administrator types, to give this account what it lacks."""
    try:
        user = account(cluster)
    except Outside:
        user = "USER"
    name = f"staging-{resource.replace('/', '-')}"
    kind = f"{resource}.{rights.GROUPS[resource]}" if resource in rights.GROUPS else resource
    role = ("role", name, f"--verb={','.join(verbs)}", f"--resource={kind}")
    binding = ("rolebinding", name, f"--role={name}", f"--user={user}")
    return tuple(kubectl.line(cluster, "create", *what) for what in (role, binding))


def _asking(cluster: Cluster, resource: str, verbs: Collection[str]) -> tuple[str, ...]:
    """How to ask for another account."""
    return tuple(kubectl.line(cluster, "auth", "can-i", verb, resource, "--as=USER") for verb in verbs)


def _review(namespace: str, resource: str, verb: str) -> dict[str, object]:
    name, _, sub = resource.partition("/")
    attributes = {"namespace": namespace, "verb": verb, "group": rights.GROUPS.get(name, ""), "resource": name}
    kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    return {**kind, "spec": {"resourceAttributes": attributes | ({"subresource": sub} if sub else {})}}


def _answer(document: dict[str, dict[str, dict[str, str]]]) -> tuple[Right, bool]:
    asked = document["spec"]["resourceAttributes"]
    resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
    allowed: object = document["status"]["allowed"]
    return (resource, asked["verb"]), allowed is True


def _server_version(text: str) -> str:
    try:
        return str(json.loads(text)["serverVersion"]["gitVersion"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""


def _flag(name: str, value: str) -> str:
    return f" {name}={shlex.quote(value)}" if value else ""
