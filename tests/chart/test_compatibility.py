"""What each supported Helm renders for each supported Kubernetes: docs/compatibility.md is made of this."""

from pathlib import Path
from typing import Any

import pytest

import compatibility
from controlplane import schemas
from rendering import hand_made, render_chart


def test_every_helm_renders_the_same_for_every_kubernetes_and_it_is_valid() -> None:
    rows = compatibility.rows()
    assert len({row[0] for row in rows}) >= 2
    assert [row for row in rows if set(row[2:]) != {compatibility.SAME}] == []


def test_the_table_in_the_documentation_has_these_columns_and_rows() -> None:
    rows, (header, *documented) = compatibility.rows(), compatibility.documented()
    assert header == compatibility.header(), "`make docs`"
    at_hand, known = {row[0] for row in rows}, {row[0] for row in documented}
    assert {row[0] for row in documented} >= {"the chart's ci/", "tests/support/weather"}
    assert [row for row in documented if row[0] in at_hand] == [row for row in rows if row[0] in known], "`make docs`"


@pytest.mark.parametrize(
    ("field", "value", "invalid_for"),
    [
        ("ttlSecondsAfterFinished", 60, set()),
        ("ttlSecondsAfterFinish", 60, {"oldest", "newest"}),
        ("ttlSecondsAfterFinished", "60", {"oldest", "newest"}),
        ("completions", 2**31, {"oldest", "newest"}),
        ("managedBy", "example.org/controller", {"oldest"}),
    ],
)
def test_what_a_kubernetes_does_not_have_is_invalid_for_it(
    helm_4: Path, field: str, value: Any, invalid_for: set[str]
) -> None:
    values = hand_made("update")
    values["jobs"]["update"]["spec"]["jobTemplate"]["spec"][field] = value
    manifests = [render_chart(helm_4, values)]
    found = {version for version in schemas.VERSIONS if compatibility.complaints(version, manifests)}
    assert found == invalid_for
