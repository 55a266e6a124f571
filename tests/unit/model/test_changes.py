"""What a deploy changes: since what ran before, from production, and what an upgrade left."""

import copy
from typing import Any

from staging_cronjobs.model import diff
from staging_cronjobs.model.values import Job, Record, Values

NAME = "staging-ridge-snow-v0-2-0-update"
LABELS = {"staging-cronjobs/release": "staging-ridge-snow-v0-2-0"}


def spec(image: str = "i:1", schedule: str = "0 * * * *", **pod: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "worker", "image": image, **pod}]}}
    return {"schedule": schedule, "suspend": False, "jobTemplate": {"spec": {"parallelism": 2, "template": template}}}


def values(suspend: bool = False, **jobs: dict[str, Any]) -> Values:
    facts = dict.fromkeys(("repository", "branch", "commit", "image", "template_path"), "")
    record = Record.model_validate({**facts, "dataset_id": "ridge-snow", "version": "0.2.0", "stores": []})
    made = {key: Job(name=f"staging-ridge-snow-v0-2-0-{key}", spec=given) for key, given in jobs.items()}
    return Values(record=record, suspend=suspend, jobs=made)


def cronjob(given: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"metadata": metadata, "spec": copy.deepcopy(given)}


def test_jobs_added_changed_and_dropped_since_what_ran_before() -> None:
    before = values(update=spec(), validate=spec(), archive=spec())
    new = values(update=spec("i:2", "15 * * * *"), validate=spec(), extra=spec())
    found = diff.since(before, new, ["archive-1"], {})
    assert (found.first, found.added, found.dropped, found.stopped) == (False, ["extra"], ["archive"], ["archive-1"])
    assert found.changed == {"update": ["containers[worker].image i:1 → i:2", "schedule 0 * * * * → 15 * * * *"]}


def test_the_first_deploy_changes_nothing() -> None:
    found = diff.since(None, values(update=spec()), [], {})
    assert (found.first, found.changed, found.dropped) == (True, {}, [])


def test_names_and_our_marks_are_no_difference_from_production() -> None:
    production = cronjob(spec(env=[{"name": "CRON_JOB_NAME", "value": "ridge-snow-update"}]), name="ridge-snow-update")
    ours = cronjob(spec(env=[{"name": "CRON_JOB_NAME", "value": NAME}]), name=NAME, labels=LABELS)
    ours["spec"]["jobTemplate"]["metadata"] = {"labels": LABELS}
    new = values(update=spec(), validate=spec())
    wanted = {NAME: ours, NAME.replace("update", "validate"): ours}
    assert diff.from_production(new, wanted, {"update": production}) == {"update": [], "validate": None}
    ours["spec"]["timeZone"] = "Europe/Oslo"
    ours["spec"]["jobTemplate"]["spec"]["parallelism"] = 1
    found = diff.from_production(new, wanted, {"update": production})
    assert found["update"] == ["parallelism 2 → 1", "timeZone added (Europe/Oslo)"]
    assert diff.from_production(new, {}, {"update": production}) == {}


def test_cron_job_name_has_another_place_and_is_no_difference_but_the_order_of_others_is() -> None:
    name, first, second = ({"name": n, "value": "x"} for n in ("CRON_JOB_NAME", "A", "B"))
    production = cronjob(spec(env=[name, first, second]))
    new, ours = values(update=spec()), cronjob(spec(env=[first, second, name]))
    assert diff.from_production(new, {NAME: ours}, {"update": production}) == {"update": []}
    ours = cronjob(spec(env=[second, first, name]))
    found = diff.from_production(new, {NAME: ours}, {"update": production})
    assert found == {"update": ["containers[worker].env order"]}


def test_a_dry_run_compares_the_cronjobs_as_they_are_whoever_changed_them() -> None:
    helm = {"meta.helm.sh/release-name": "staging-ridge-snow-v0-2-0", "staging-cronjobs/commit": "1"}
    live = cronjob(spec("i:1", env=[{"name": "ADDED", "value": "x"}]), labels=LABELS, annotations={**helm, "by": "me"})
    wanted = cronjob(spec("i:2"), labels=LABELS | {"team": "snow"}, annotations={"staging-cronjobs/commit": "2"})
    new, before = values(update=spec("i:2"), validate=spec()), values(update=spec("i:2"), archive=spec())
    found = diff.from_live(before, new, {NAME: live}, {NAME: wanted}, ["archive-1"], {})
    assert (found.first, found.added, found.dropped, found.stopped) == (False, ["validate"], ["archive"], ["archive-1"])
    assert found.changed == {
        "update": [
            "annotations[by] removed",
            "labels[team] added (snow)",
            "containers[worker].env removed",
            "containers[worker].image i:1 → i:2",
        ]
    }
    assert diff.from_live(None, new, {}, {}, [], {}).first
