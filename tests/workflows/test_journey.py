"""The life of a staged version by workflow: pushed, pushed again, deleted, cleaned up; by hand; and the daily sweep."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from acting import GITHUB_TOKEN, SENTRY_TOKEN, SETTINGS, Run, World
from staged import names
from staging_cronjobs.model.staged_version import StagedVersion

SNOW, WIND = StagedVersion("ridge-snow", "0.2.0"), StagedVersion("harbor-wind-forecast", "0.3.0")
TIDE = StagedVersion("tide-level-analysis", "0.9.0")
PRODUCTION = "ridge-snow-update"
REPOSITORY = SETTINGS["DOCKER_REPOSITORY"]
KUBECONFIG = f"aws eks update-kubeconfig --name {SETTINGS['EKS_CLUSTER_NAME']}"
SCHEDULED = re.compile(r"(jobs|pods)/.*-\d{8}(-\w+)?")  # by hand it is six digits; no test waits for a schedule


@dataclass
class Story:
    """What happened, in order; what there was after each event."""

    world: World
    runs: dict[str, Run] = field(default_factory=dict)
    after: dict[str, list[str]] = field(default_factory=dict)
    calls: dict[str, list[str]] = field(default_factory=dict)
    commits: dict[str, str] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)  # that SNOW runs
    suspended: dict[str, bool] = field(default_factory=dict)  # whether SNOW is
    monitors: dict[str, set[str]] = field(default_factory=dict)  # how those of SNOW stand

    def tell(self, name: str, run: Callable[..., Run], *args: str, **options: str) -> None:
        before = len(self.world.hub.calls())
        self.runs[name] = run(*args, **options)
        self.calls[name] = self.world.hub.calls()[before:]
        self.after[name] = [thing for thing in self.world.left() if not SCHEDULED.fullmatch(thing)]
        self.monitors[name] = {m.status for m in self.world.sentry.server.monitors if m.slug in names(SNOW)}
        for found in self.world.live.all("cronjobs", f"staging-cronjobs/release={SNOW.release}"):
            spec = found["spec"]
            self.suspended[name] = spec["suspend"]
            self.images[name] = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"]

    def built(self, name: str) -> list[str]:
        """How the registry and Depot were called."""
        return [call for call in self.calls[name] if call.startswith(("image: docker", "image: depot"))]


@pytest.fixture(scope="module")
def story(make_world: Callable[[], World], install_by_hand: Callable[[World, StagedVersion], None]) -> Story:
    """Names may be secrets or variables: the first push has secrets, the second variables, the rest some of both."""
    world = make_world()
    story, hub, repository = Story(world), world.hub, world.repository
    for staged in (SNOW, WIND):
        repository.bump(staged.dataset_id, staged.version)
    story.commits["first"] = repository.commit("Two datasets in one commit")
    for staged in (SNOW, WIND):
        repository.git("push", "--quiet", "origin", f"HEAD:refs/heads/{staged.branch}")

    story.tell("first", hub.push, SNOW.branch)
    hub.secrets, hub.variables = {}, hub.secrets
    story.tell("same commit", hub.push, WIND.branch)

    story.commits["second"] = repository.commit("Tune the blending")
    repository.git("push", "--quiet", "origin", f"HEAD:refs/heads/{SNOW.branch}")
    hub.secrets["DOCKER_REPOSITORY"] = hub.variables.pop("DOCKER_REPOSITORY")
    hub.state.joinpath("other-build").touch()
    story.tell("second", hub.push, SNOW.branch)
    hub.state.joinpath("other-build").unlink()
    story.tell("late", hub.push, SNOW.branch, commit=story.commits["first"])

    hub.secrets[SENTRY_TOKEN] = world.sentry.token
    world.sentry.check_in(*names(SNOW))
    for action in ("pause", "resume", "run"):
        story.tell(action, hub.dispatch, action, SNOW.branch, "update" if action == "run" else "")
    for action in ("list", "status"):
        story.tell(action, hub.dispatch, action, "")
    story.tell("status of one", hub.dispatch, "status", WIND.branch)
    for action in ("pause", "resume"):
        story.tell(f"{action} one", hub.dispatch, action, SNOW.branch, "validate")
    world.sentry.check_in(*names(SNOW), *names(WIND), PRODUCTION)

    story.tell("not deleted", hub.delete, SNOW.branch)
    story.tell("tag deleted", hub.delete, "v1.0.0", kind="tag")
    repository.delete_remote_branch(SNOW.branch)
    story.tell("deleted", hub.delete, SNOW.branch)
    story.tell("deleted again", hub.delete, SNOW.branch)

    # WIND is cleaned up by a person, and of TIDE somebody deleted the branch while no workflow was looking.
    install_by_hand(world, TIDE)
    world.sentry.check_in(*names(TIDE))
    story.tell("by hand", hub.dispatch, "cleanup", WIND.branch)
    story.tell("reported", hub.daily)
    hub.variables["STAGING_SWEEP"] = "remove"
    story.tell("swept", hub.daily)
    return story


def of(staged: StagedVersion, objects: list[str]) -> set[str]:
    """The CronJobs and monitors of a staged version among what there was."""
    return {name for name in objects if name.startswith((f"cronjobs/{staged.release}", f"monitor/{staged.release}"))}


def told(run: Run, words: str) -> bool:
    """Whether it ended with one notice, of these words."""
    return [words in notice for notice in run.annotations("notice")] == [True] and not run.annotations("error")


def everything(staged: StagedVersion) -> set[str]:
    return {f"{kind}/{name}" for kind in ("cronjobs", "monitor") for name in names(staged)}


def test_every_event_ends_well(story: Story) -> None:
    failed = {name: run.log for name, run in story.runs.items() if run.code}
    assert not failed, "\n".join(f"== {name}\n{log}" for name, log in failed.items())


def test_each_event_runs_its_jobs_and_no_others(story: Story) -> None:
    jobs = {name: " ".join(sorted(run.jobs)) for name, run in story.runs.items()}
    assert jobs == {
        **dict.fromkeys(("first", "same commit", "second", "late"), "deploy image quality"),
        **dict.fromkeys(
            ("pause", "resume", "run", "list", "status", "status of one", "pause one", "resume one"), "operate"
        ),
        **dict.fromkeys(("not deleted", "deleted", "deleted again", "by hand"), "cleanup"),
        "tag deleted": "",
        **dict.fromkeys(("reported", "swept"), "sweep"),
    }


def test_every_step_runs_or_is_listed_here(story: Story) -> None:
    left_out = {
        name: [step for job in run.jobs for step in sorted(run.not_run(job))] for name, run in story.runs.items()
    }
    assert {name: steps for name, steps in left_out.items() if steps} == {
        **{key: ["List or status", "Run a job"] for key in ("pause", "resume", "pause one", "resume one")},
        "run": ["List or status", "Pause or resume"],
        **{key: ["Pause or resume", "Run a job"] for key in ("list", "status", "status of one")},
    }


def test_a_push_is_deployed_with_the_image_of_its_commit(story: Story) -> None:
    assert of(SNOW, story.after["first"]) == {f"cronjobs/{name}" for name in names(SNOW)}
    assert of(WIND, story.after["same commit"]) == {f"cronjobs/{name}" for name in names(WIND)}
    for name, commit in (("first", "first"), ("second", "second"), ("late", "second")):
        assert story.images[name] == f"{REPOSITORY}:{story.commits[commit]}"


def test_an_image_is_built_once_for_both_platforms(story: Story) -> None:
    image = f"{REPOSITORY}:{story.commits['first']}"
    look = f"image: docker buildx imagetools inspect {image}"
    what = "--file Dockerfile --platform linux/amd64,linux/arm64"
    build = f"image: depot build --project {SETTINGS['DEPOT_PROJECT']} {what} --tag {image} --push ."
    assert story.built("first") == [look, build]
    assert story.built("same commit") == story.built("late") == [look]


def test_an_image_that_another_run_pushes_meanwhile_is_used(story: Story) -> None:
    assert [call.split()[1] for call in story.built("second")] == ["docker", "depot", "docker"]


@pytest.mark.parametrize("name", ["first", "same commit", "second"])
def test_aws_is_asked_with_the_role_that_is_set(story: Story, name: str) -> None:
    role = f"assume {SETTINGS['AWS_ROLE_TO_ASSUME']} in {SETTINGS['AWS_REGION']}"
    login = f"ECR login as of {SETTINGS['AWS_ROLE_TO_ASSUME']}"
    calls = [call for call in story.calls[name] if call not in story.built(name)]
    assert calls == [f"image: {role}", f"image: {login}", f"deploy: {role}", f"deploy: {KUBECONFIG}"]


def test_a_push_that_a_newer_one_overtook_changes_nothing_and_says_so(story: Story) -> None:
    assert story.after["late"] == story.after["second"]
    assert told(story.runs["late"], "a newer push deploys it")


def test_a_version_is_paused_with_its_monitors_resumed_and_run_by_hand(story: Story) -> None:
    assert [story.suspended[name] for name in ("second", "pause", "resume")] == [False, True, False]
    assert [story.monitors[name] for name in ("pause", "resume")] == [{"disabled"}, {"active"}]
    assert [story.monitors[name] for name in ("pause one", "resume one")] == [{"active", "disabled"}, {"active"}]
    by_hand = re.compile(rf"jobs/{SNOW.job_name('update')}-\d{{6}}")
    started = [name for name in story.after["run"] if by_hand.fullmatch(name)]
    assert len(started) == 1
    assert not [name for name in story.after["resume"] if name.startswith("jobs/")]


def test_what_is_staged_is_in_the_summary_of_the_run(story: Story) -> None:
    listed, status, one = (story.runs[name].summary for name in ("list", "status", "status of one"))
    for summary in (listed, status):
        assert summary.startswith("### Staged versions\n")
        assert SNOW.dataset_id in summary and WIND.dataset_id in summary
    assert WIND.dataset_id in one and SNOW.dataset_id not in one
    assert story.after["status of one"] == story.after["run"]


def test_a_deletion_takes_the_version_away_with_its_monitors(story: Story) -> None:
    before, after = story.after["tag deleted"], story.after["deleted"]
    assert of(SNOW, before) == everything(SNOW)
    assert not [name for name in after if SNOW.release in name]
    assert of(WIND, after) == everything(WIND)
    assert f"monitor/{PRODUCTION}" in after


def test_a_branch_that_is_there_again_keeps_its_version(story: Story) -> None:
    assert of(SNOW, story.after["not deleted"]) == everything(SNOW)
    assert told(story.runs["not deleted"], f"branch {SNOW.branch} is there again")


def test_a_deletion_that_was_cleaned_up_before_is_no_failure(story: Story) -> None:
    assert story.after["deleted again"] == story.after["deleted"]
    assert told(story.runs["deleted again"], "nothing is left to clean up")


def test_a_version_is_cleaned_up_by_hand_with_its_branch(story: Story) -> None:
    assert not [name for name in story.after["by hand"] if WIND.release in name]
    assert story.world.repository.remote_head(WIND.branch) is None


def test_the_sweep_reports_and_removes_only_where_that_is_allowed(story: Story) -> None:
    assert TIDE.release in story.runs["reported"].log
    assert of(TIDE, story.after["reported"]) == everything(TIDE)
    assert story.after["swept"] == [f"monitor/{PRODUCTION}"]


def test_the_daily_run_has_the_status_of_everything_in_its_summary(story: Story) -> None:
    reported, swept = (story.runs[name].summary for name in ("reported", "swept"))
    for summary in (reported, swept):
        assert summary.startswith("### Staged versions\n\n| version | state | branch | main | jobs |\n| --- |")
    assert f"| `{TIDE.dataset_id} v{TIDE.version}` | deployed" in reported
    assert "is gone, and the release is still here" in reported and "with something wrong" in reported
    assert "### Sweep\n" in reported  # after it


def test_the_sentry_token_and_the_tokens_of_runs_are_not_shown(story: Story) -> None:
    shown = "\n".join(text for run in story.runs.values() for text in (run.log, run.summary))  # act hides nothing
    assert story.world.sentry.token not in shown
    assert GITHUB_TOKEN not in shown
