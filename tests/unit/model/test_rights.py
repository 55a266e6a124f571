"""The rights that commands need are those that docs/rbac.yaml gives, and no others."""

from pathlib import Path

from ruamel.yaml import YAML

from staging_cronjobs.model import rights

MANIFEST = Path(__file__).parents[3] / "docs" / "rbac.yaml"
ROLES = {"staging-ci": (rights.DEPLOY, rights.OPTIONAL), "staging-operator": (rights.OPERATE,)}


def test_the_code_and_the_manifest_name_the_same_rights() -> None:
    roles = {r["metadata"]["name"]: r["rules"] for r in YAML(typ="safe").load_all(MANIFEST.read_text()) if "rules" in r}
    assert roles.keys() == ROLES.keys()
    for name, rules in roles.items():
        given = {
            (group, resource, verb)
            for rule in rules
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }
        own = {right for part in ROLES[name] for right in rights.needed(part, "secrets")}
        assert given == {(rights.GROUPS.get(resource.partition("/")[0], ""), resource, verb) for resource, verb in own}


def test_where_configmaps_hold_the_records_they_take_the_place_of_secrets() -> None:
    found = rights.needed(rights.DEPLOY, "configmaps")
    assert ("configmaps", "create") in found and not [r for r in found if r[0] == "secrets"]
