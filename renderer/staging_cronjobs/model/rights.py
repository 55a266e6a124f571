"""The rights in the namespace that the commands need. docs/rbac.yaml gives them, with the reason for each."""

from collections.abc import Mapping

Rights = Mapping[str, tuple[str, ...]]  # resource -> verbs

DEPLOY: Rights = {
    "secrets": ("list", "create", "update", "get", "delete"),
    "cronjobs": ("get", "create", "update", "delete", "list"),
    "jobs": ("list",),
    "pods": ("list",),
}
OPERATE: Rights = {
    "secrets": ("list", "create", "update", "get", "delete"),
    "cronjobs": ("list", "get", "update", "delete"),
    "jobs": ("list", "create", "delete"),
    "pods": ("list", "get"),
    "pods/log": ("get",),
}
OPTIONAL: Rights = dict.fromkeys(("configmaps", "serviceaccounts", "persistentvolumeclaims"), ("get",))  # to deploy
GROUPS = {"cronjobs": "batch", "jobs": "batch"}  # all else is in the core group


def needed(rights: Rights, records: str) -> set[tuple[str, str]]:
    """Resource and verb of each, where Helm keeps its records in this kind of object."""
    return {(records if name == "secrets" else name, verb) for name, verbs in rights.items() for verb in verbs}
