"""Admission policies for the CronJobs of one namespace: the API server's own, so no webhook has to answer."""

import json
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from typing import Any

from live import Namespace, wait_until

API = "admissionregistration.k8s.io/v1"


@contextmanager
def in_force(
    live: Namespace,
    kind: str,
    operations: Collection[str],
    rules: dict[str, Any],
    binding: dict[str, Any],
    *,
    seen: Callable[[], object],
) -> Generator[None]:
    """A policy for the length of a block, which begins when `seen` says that the API server goes by it."""
    name = {"name": f"{kind.lower()}-{live.name}"}
    rule = {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": [*operations], "resources": ["cronjobs"]}
    here = {"matchLabels": {"kubernetes.io/metadata.name": live.name}}
    spec = {"matchConstraints": {"namespaceSelector": here, "resourceRules": [rule]}, "failurePolicy": "Fail", **rules}
    specs = {kind: spec, f"{kind}Binding": {"policyName": name["name"], **binding}}
    items = [{"apiVersion": API, "kind": k, "metadata": name, "spec": s} for k, s in specs.items()]
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    live.kubectl("create", "-f", "-", given=objects)
    try:
        wait_until(seen, what=f"a {kind} that is in force")
        yield
    finally:
        live.kubectl("delete", "-f", "-", given=objects)
