"""Every field that a CronJob's spec can have, by the API server's own schema, is rendered and read back unchanged.

Specs are made by Hypothesis, each with a share of the fields: one with the smallest values (zeros, false, empty
texts), one with others.
"""

import json
import re
from pathlib import Path as File

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from controlplane.fixtures import tool
from cronjob_specs import Path, Specs, examples
from live import Namespace, Verdict
from rendering import Object, Reader, hand_made, render_chart, without_ours
from staging_cronjobs.model import values
from staging_cronjobs.model.catalogue import Dataset
from staging_cronjobs.model.values import Record

SPECS = 32
# Fields that are rendered, but that the API server does not take from these specs.
REFUSED = {
    r"\.ephemeralContainers\.": "only for pods that run",
    r"^jobTemplate\.spec\.(selector|manualSelector)": "a CronJob's Jobs get selectors of their own",
    r"readinessProbe\.terminationGracePeriodSeconds$": "only for probes that end a container",
    r"volumeClaimTemplate\.metadata\.(?!labels|annotations)": "a claim gets its own",
    r"template\.spec\.resources\.claims": "only for containers",
    r"template\.spec\.os\.name$": "decides which of the others are allowed",
}


def refused(leaf: Path) -> bool:
    return any(re.search(pattern, ".".join(leaf)) for pattern in REFUSED)


def drawn(specs: Specs, leaves: list[Path], count: int) -> list[Object]:
    """Specs that have all these fields among them."""
    return [spec for number in range(count) for spec in examples(specs.having(leaves[number::count]), 2)]


def in_production(specs: list[Object]) -> list[Object]:
    return [
        {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": f"ridge-snow-a{n}"}, "spec": spec}
        for n, spec in enumerate(specs)
    ]


def rendered(sources: list[Object], helms: list[File], reader: Reader) -> list[Object]:
    """What the chart makes of them, in the same order: the same with each Helm."""
    record = Record.model_validate(hand_made()["record"])
    built = values.build(Dataset(dataset_id="ridge-snow", cronjobs=sources), record)
    given = values.dump(built)
    texts = {render_chart(helm, given) for helm in helms}
    (found,) = {json.dumps(reader.objects(text), sort_keys=True) for text in texts}
    return sorted(json.loads(found), key=lambda one: int(one["metadata"]["name"].rpartition("-a")[2]))


def test_every_field_survives(
    specs: Specs, live: Namespace, helm_oldest: File, helm_3: File, helm_4: File, request: pytest.FixtureRequest
) -> None:
    taken = [leaf for leaf in specs.leaves if not refused(leaf)]
    others = [leaf for leaf in specs.leaves if refused(leaf)]
    accepted = drawn(specs, taken, SPECS)
    made = accepted + drawn(specs, others, SPECS // 4)
    assert {leaf for spec in made for leaf in specs.present(spec)} >= set(specs.leaves)

    sources = in_production(made)
    found = rendered(sources, [helm_oldest, helm_3, helm_4], Reader(tool("kubectl", request.config)))
    assert len(found) == len(sources)
    for source, one in zip(sources, found, strict=True):
        assert without_ours(one["spec"]) == without_ours({"suspend": False} | source["spec"])

    asked = [(ask(live, source), ask(live, one)) for source, one in zip(sources[: len(accepted)], found, strict=False)]
    assert not [verdict.message for pair in asked for verdict in pair if not verdict.accepted]
    for before, after in asked:
        assert without_ours(after.body["spec"]) == without_ours(before.body["spec"])
    # The API server itself drops zeros that mean nothing, and fields whose feature is switched off: an eighth.
    kept = {leaf for _, after in asked for leaf in specs.present(after.body["spec"])}
    assert len(kept & {*taken}) > 0.85 * len(taken)


@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[*HealthCheck],
)
@given(data=st.data())
def test_any_fields_survive_together(
    specs: Specs, helm_4: File, request: pytest.FixtureRequest, data: st.DataObject
) -> None:
    leaves = data.draw(st.lists(st.sampled_from(specs.leaves), min_size=1, max_size=30, unique=True))
    sources = in_production([data.draw(specs.having(leaves))])
    (found,) = rendered(sources, [helm_4], Reader(tool("kubectl", request.config)))
    assert without_ours(found["spec"]) == without_ours({"suspend": False} | sources[0]["spec"])


def ask(live: Namespace, cron_job: Object) -> Verdict:
    """What the API server would hold, asked strictly."""
    body = {**cron_job, "metadata": {**cron_job["metadata"], "namespace": live.name}}
    url = "cronjobs?dryRun=All&fieldValidation=Strict"
    answer = live.client.post(version="batch/v1", namespace=live.name, url=url, json=body)
    return Verdict(answer.status_code, answer.json())
