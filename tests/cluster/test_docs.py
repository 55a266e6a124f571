"""What the documentation shows of a cluster is what the program says on one."""

from pathlib import Path

import docs
from controlplane.cluster import Cluster
from repositories import make_repository


def test_the_session_is_what_the_documentation_shows(
    cluster: Cluster, namespace: str, helm_4: Path, tmp_path: Path
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "helm").symlink_to(helm_4)
    (tools / "kubectl").symlink_to(cluster.bin / "kubectl")
    shown = docs.run_session(make_repository(tmp_path), cluster, namespace, str(tools))
    found = [line for file in docs.FILES for line in docs.differences(file, shown)]
    found += [line for file in docs.PICTURES for line in docs.picture_differences(file, shown)]
    assert not found, f"run `make docs`:\n{''.join(found)}"
    text = "".join(file.read_text() for file in docs.FILES)
    assert [step for step in shown if f"<!-- session: {step} -->" not in text] == []
