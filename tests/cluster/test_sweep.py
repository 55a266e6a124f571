"""Sweep finds what was forgotten, removes what is provably ours and over, and takes no failed listing for "gone"."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from live import Namespace, Staging, with_program
from repositories import LEGACY, Repository
from sentry_server import answered, meanwhile
from staged import Sentry, install, names, push, push_other
from staging_cronjobs.model.staged_version import StagedVersion

pytestmark = pytest.mark.parametrize("helm", ["helm4"], indirect=True)

USAGE, OUTSIDE, UNFINISHED = 2, 4, 5
NOW = ("--grace", "0s")

HEALTHY = StagedVersion("ridge-snow", "0.2.0")
NO_BRANCH = StagedVersion("harbor-wind-forecast", "0.3.0")
BROKEN_OFF = StagedVersion("ridge-snow", "0.3.0")  # its cleanup did not finish
DROPPED = StagedVersion("estuary-salinity-analysis", "0.2.0")  # a push dropped its job validate
ON_MAIN = StagedVersion("lidar-canopy-height-v9", "0.4.1")
OVERTAKEN = StagedVersion(*LEGACY)
NO_RELEASE = StagedVersion("glacier-ice-forecast-5-day", "0.9.0")
FOREIGN = StagedVersion("orchard-frost-climatology", "0.2.0")  # of another repository
COPY = "copy-of-an-update"
STRANGER = "staging-ridge-snow-v0-0-9-update"  # a monitor that no release here has on record


@dataclass(frozen=True)
class World:
    """A namespace, a remote and a Sentry, and the program between them."""

    staging: Staging
    repository: Repository
    live: Namespace
    sentry: Sentry

    def deploy(self, *versions: StagedVersion) -> None:
        """Branch, release and monitors of each."""
        for staged in versions:
            push(self.repository, staged)
            self.install(staged)
            self.sentry.check_in(*names(staged))

    def install(self, staged: StagedVersion, *keys: str, **options: Any) -> None:
        install(self.staging, self.repository, staged, keys or ("update", "validate"), **options)

    def forget(self, *versions: StagedVersion) -> None:
        """Deployed, and then someone deleted the branch without a cleanup."""
        self.deploy(*versions)
        for staged in versions:
            self.repository.delete_remote_branch(staged.branch)

    def break_off(self, *versions: StagedVersion) -> None:
        """A cleanup that ended before the monitors."""
        self.forget(*versions)
        for staged in versions:
            self.staging.helm("uninstall", staged.release, "--keep-history", "--wait")

    def drop_validate(self, staged: StagedVersion) -> None:
        """Deployed, and then again without that job."""
        self.deploy(staged)
        self.install(staged, "update")

    def sweep(self, *args: str, code: int = 0, **environment: str) -> Any:
        """What it finds, as (kind, name, removable), and what it says."""
        done = self.staging.run(
            self.repository.path, "sweep", "-o", "json", *args, code=code, **self.sentry.environment, **environment
        )
        return [(f["kind"], f["name"], f["removable"]) for f in done.json], done.stderr

    def releases(self) -> list[str]:
        return sorted(self.staging.helm("list", "--deployed", "--uninstalled", "--short", "--max", "0").split())

    def snapshot(self) -> object:
        """All that a sweep could have changed."""
        objects = self.live.state("cronjobs", "jobs", "secrets")
        heads = self.repository.git("ls-remote", str(self.repository.remote))
        return objects, heads, self.sentry.slugs(), self.sentry.deleted()

    @contextmanager
    def untouched(self) -> Generator[None]:
        before = self.snapshot()
        yield
        assert self.snapshot() == before


@pytest.fixture
def world(staging: Staging, repository: Repository, live: Namespace, sentry: Sentry) -> World:
    return World(staging, repository, live, sentry)


@pytest.fixture
def forgotten(world: World) -> World:
    """One release that would be removed."""
    world.deploy(HEALTHY)
    world.forget(NO_BRANCH)
    return world


def test_each_release_is_told_once_with_all_that_is_to_be_told(world: World) -> None:
    world.forget(ON_MAIN, OVERTAKEN)
    found, _ = world.sweep(*NOW)
    assert sorted(found) == [("no-branch", ON_MAIN.release, True), ("no-branch", OVERTAKEN.release, True)]
    details = {f["name"]: f["detail"] for f in world.staging(
        world.repository.path, "sweep", "-o", "json", *NOW, **world.sentry.environment
    ).json}  # fmt: skip
    main = "main has version 0.4.1 too: two writers, clean this up"
    assert details[ON_MAIN.release] == f"branch {ON_MAIN.branch} is gone; {main}"
    assert details[OVERTAKEN.release].startswith(f"branch {OVERTAKEN.branch} is gone; main is at ")


def test_every_kind_is_found_and_only_what_is_over_goes(world: World) -> None:
    world.deploy(HEALTHY, ON_MAIN, OVERTAKEN)
    world.forget(NO_BRANCH)
    world.break_off(BROKEN_OFF)
    world.drop_validate(DROPPED)
    push(world.repository, NO_RELEASE)
    world.install(FOREIGN, owner="someone-else/weather")
    world.install(FOREIGN, "update", owner="someone-else/weather")  # and it dropped a job
    world.sentry.check_in(*names(FOREIGN), STRANGER)
    copy = world.live.get("cronjobs", names(HEALTHY)[0])
    metadata = {"name": COPY, "labels": copy["metadata"]["labels"]}
    assert world.live.create({**copy, "kind": "CronJob", "apiVersion": "batch/v1", "metadata": metadata}).accepted

    over = [
        ("dropped-monitor", names(DROPPED)[1], True),
        ("no-branch", NO_BRANCH.release, True),
        ("unfinished", BROKEN_OFF.release, True),
    ]
    stays = [
        ("no-release", NO_RELEASE.branch, False),
        ("on-main", ON_MAIN.release, False),
        ("other-repository", FOREIGN.release, False),
        ("overtaken", OVERTAKEN.release, False),
        ("unproven", COPY, False),
        ("unproven", STRANGER, False),
    ]
    with world.untouched():
        found, said = world.sweep(*NOW)
        assert sorted(found) == sorted([*over, *stays])
        assert said == f"warning: {len(over)} can be deleted. Run `staging sweep --yes`\n"
        table = world.staging.run(world.repository.path, "sweep", *NOW, code=0, **world.sentry.environment).stdout
        assert all(kind in table for kind, *_ in found)

    found, said = world.sweep(*NOW, "--yes")
    assert sorted(found) == sorted([*over, *stays])
    assert [line for line in said.splitlines() if line.startswith("removing ")] == [
        f"removing dropped-monitor {names(DROPPED)[1]}",
        f"removing no-branch {NO_BRANCH.release}",
        f"removing unfinished {BROKEN_OFF.release}",
    ]
    with world.untouched():
        found, _ = world.sweep(*NOW, "--yes")
        assert sorted(found) == stays
    left = [HEALTHY, ON_MAIN, OVERTAKEN, DROPPED, FOREIGN]
    assert world.releases() == sorted(v.release for v in left)
    jobs = [*names(HEALTHY), *names(ON_MAIN), *names(OVERTAKEN), names(DROPPED)[0], names(FOREIGN)[0]]
    assert world.live.names("cronjobs") == sorted([*jobs, COPY])
    assert world.sentry.slugs() == sorted([*jobs, names(FOREIGN)[1], STRANGER])
    branches = [v.branch for v in (HEALTHY, ON_MAIN, OVERTAKEN, DROPPED, NO_RELEASE)]
    assert all(world.repository.remote_head(branch) for branch in branches)


def test_at_most_so_many_in_one_run(world: World) -> None:
    versions = [StagedVersion("ridge-snow", f"0.{number}.0") for number in (2, 3, 4)]
    world.forget(*versions)
    found, said = world.sweep(*NOW, "--yes", "--max", "2")
    assert len(found) == 3
    assert "1 more are left for the next run (--max 2)" in said
    assert world.releases() == [versions[2].release]
    assert world.sentry.slugs() == names(versions[2])
    world.sweep(*NOW, "--yes", "--max", "2")
    assert world.releases() == world.sentry.slugs() == world.live.leftovers() == []


def test_what_changed_a_moment_ago_is_too_young(world: World) -> None:
    world.forget(NO_BRANCH)
    world.break_off(BROKEN_OFF)
    world.drop_validate(DROPPED)
    with world.untouched():
        for grace in ((), ("--grace", "10m")):
            found, said = world.sweep("--yes", *grace)
            assert sorted(found) == [
                ("dropped-monitor", names(DROPPED)[1], False),
                ("no-branch", NO_BRANCH.release, False),
                ("unfinished", BROKEN_OFF.release, False),
            ]
            assert said == ""


def test_without_sentry_the_slugs_are_said(forgotten: World) -> None:
    done = forgotten.staging.run(forgotten.repository.path, "sweep", *NOW, "--yes")
    assert f"monitors are not touched, Sentry is not set up: {', '.join(names(NO_BRANCH))}" in done.stderr
    assert forgotten.releases() == [HEALTHY.release]
    assert forgotten.sentry.server.requests == []


def test_the_stores_that_stay_are_said_and_whose_they_are(world: World) -> None:
    world.forget(NO_BRANCH, HEALTHY)
    world.repository.bump(HEALTHY.dataset_id, HEALTHY.version)
    world.repository.commit("Merge what was staged")
    world.repository.push("main")
    _, said = world.sweep(*NOW, "--yes")
    stores = {
        v: f"stores that stay: s3://weather-data/{v.dataset_id}/v{v.version}.icechunk" for v in (NO_BRANCH, HEALTHY)
    }
    lines = said.splitlines()
    assert stores[NO_BRANCH] in lines
    productions = f"These are production's stores now: main has version {HEALTHY.version}. Do not delete them."
    assert lines[lines.index(stores[HEALTHY]) + 1] == productions
    assert said.count("production's stores") == 1


def test_keep_monitors_asks_sentry_nothing(forgotten: World) -> None:
    forgotten.sweep(*NOW, "--yes", "--keep-monitors")
    assert forgotten.releases() == [HEALTHY.release]
    assert forgotten.sentry.server.requests == []


# What happens between the look and the removal


def test_a_branch_pushed_meanwhile_is_left_alone_with_its_release(forgotten: World) -> None:
    world = forgotten
    again = meanwhile(lambda: push_other(world.repository, NO_BRANCH))
    world.sentry.server.inject(again, method="GET")  # asked for after the branches
    releases, slugs = world.releases(), world.sentry.slugs()
    found, said = world.sweep(*NOW, "--yes")
    assert found == [("no-branch", NO_BRANCH.release, True)]
    assert f"{NO_BRANCH.branch} is there again: left alone" in said
    assert world.repository.remote_head(NO_BRANCH.branch)
    assert (world.releases(), world.sentry.slugs()) == (releases, slugs)


def test_a_release_deployed_again_meanwhile_is_left_alone(world: World) -> None:
    world.forget(NO_BRANCH)  # found first; while it is removed the other one comes back
    world.break_off(BROKEN_OFF)
    world.sentry.server.inject(meanwhile(lambda: world.deploy(BROKEN_OFF)), method="GET", skip=1)
    found, said = world.sweep(*NOW, "--yes")
    assert ("unfinished", BROKEN_OFF.release, True) in found
    assert f"release {BROKEN_OFF.release} is deployed again: left alone" in said
    assert world.releases() == [BROKEN_OFF.release]
    assert world.live.names("cronjobs") == world.sentry.slugs() == names(BROKEN_OFF)
    assert world.repository.remote_head(BROKEN_OFF.branch)


def test_a_job_that_came_back_meanwhile_keeps_its_monitor(world: World) -> None:
    first = StagedVersion("estuary-salinity-analysis", "0.0.2")
    world.forget(first)
    world.drop_validate(DROPPED)
    world.sentry.server.inject(meanwhile(lambda: world.install(DROPPED)), method="GET", skip=1)
    found, _ = world.sweep(*NOW, "--yes")
    assert ("dropped-monitor", names(DROPPED)[1], True) in found
    assert world.releases() == [DROPPED.release]
    assert world.sentry.slugs() == names(DROPPED)


def test_a_branch_pushed_after_an_unfinished_cleanup_is_left_alone(world: World) -> None:
    world.break_off(BROKEN_OFF)
    head = push_other(world.repository, BROKEN_OFF)
    found, _ = world.sweep(*NOW, "--yes")
    assert found == [("unfinished", BROKEN_OFF.release, True)]
    assert world.repository.remote_head(BROKEN_OFF.branch) == head
    assert world.releases() == world.sentry.slugs() == []


def test_one_that_fails_does_not_stop_the_others(world: World) -> None:
    world.forget(NO_BRANCH, HEALTHY)
    taken = names(NO_BRANCH)[0]
    spec = world.live.get("cronjobs", taken)["spec"]
    world.live.delete("cronjobs", taken)
    foreign = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": taken}, "spec": spec}
    assert world.live.create(foreign).accepted
    found, said = world.sweep(*NOW, "--yes", code=UNFINISHED)
    assert len(found) == 2
    assert f"error: {NO_BRANCH.release}: CronJob {taken} has the name of a job" in said
    assert said.splitlines()[-1].startswith("error: 1 of 2 could not be removed")
    assert world.releases() == [NO_BRANCH.release]
    assert taken in world.live.names("cronjobs")


# Listings that fail


def hiding(world: World, folder: Path, name: str, script: str) -> dict[str, str]:
    """A PATH with another program of that name."""
    return {"PATH": with_program(world.staging, folder, name, script).environment["PATH"]}


def fail(world: World, what: str, folder: Path) -> dict[str, str]:
    """Make one listing fail; gives what `staging` has in its environment then."""
    sentry = world.sentry
    match what:
        case "remote gone":
            world.repository.git("remote", "set-url", "origin", str(folder / "nowhere.git"))
        case "main gone":
            world.repository.git("--git-dir", str(world.repository.remote), "update-ref", "-d", "refs/heads/main")
        case "branches not listed":
            return hiding(world, folder, "git", 'case "$*" in *ls-remote*) exit 128;; esac\nexec $REAL "$@"')
        case "branches without main":
            return hiding(
                world,
                folder,
                "git",
                'case "$*" in *ls-remote*) $REAL "$@" | grep -v refs/heads/main$;; *) exec $REAL "$@";; esac',
            )
        case "no branches at all":
            return hiding(world, folder, "git", 'case "$*" in *ls-remote*) exit 0;; esac\nexec $REAL "$@"')
        case "Sentry 500":
            sentry.server.inject(answered(500), times=5)
        case "Sentry 401":
            return {"SENTRY_AUTH_TOKEN": "sntryu_expired"}
        case "Sentry empty":
            return {"SENTRY_AUTH_TOKEN": sentry.server.add_token([], {"alerts:read", "alerts:write"})}
        case "Sentry in part":
            for number in range(101):
                sentry.server.add_monitor(f"production-{number}", sentry.project)
            sentry.server.inject(answered(403), path="cursor=")
        case "cluster gone":
            config = folder / "kubeconfig"
            text = Path(world.staging.environment["KUBECONFIG"]).read_text()
            folder.mkdir()
            config.write_text(text)
            server = world.live.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
            config.write_text(text.replace(server, "https://127.0.0.1:9"))
            return {"KUBECONFIG": str(config)}
        case "releases not listed":
            return hiding(world, folder, "kubectl", 'case "$*" in proxy*|*secrets*) exit 1;; esac\nexec $REAL "$@"')
        case "cronjobs not listed":
            return hiding(world, folder, "kubectl", 'case "$*" in proxy*|*/cronjobs*) exit 1;; esac\nexec $REAL "$@"')
    return {}


FAILURES = {
    "remote gone": "cannot read main of origin",
    "main gone": "cannot read main of origin",
    "branches not listed": "cannot list the branches of origin",
    "branches without main": "the list of branches of origin lacks main, so it is not complete",
    "no branches at all": "the list of branches of origin lacks main, so it is not complete",
    "Sentry 500": "HTTP 500. Tried 5 times",
    "Sentry 401": "does not know the token (401)",
    "Sentry empty": "shows this token no monitor at all",
    "Sentry in part": "lacks the scope alerts:read",
    "cluster gone": "127.0.0.1:9",
    "releases not listed": "kubectl get failed",
    "cronjobs not listed": "kubectl get failed",
}


@pytest.mark.parametrize("what", FAILURES)
def test_a_listing_that_fails_is_an_error_and_removes_nothing(forgotten: World, tmp_path: Path, what: str) -> None:
    environment = {**forgotten.sentry.environment, **fail(forgotten, what, tmp_path / "failing")}
    with forgotten.untouched():
        done = forgotten.staging.run(forgotten.repository.path, "sweep", *NOW, "--yes", code=OUTSIDE, **environment)
    *said, line = done.stderr.splitlines()
    assert all("The settings of origin/main are those that were fetched last" in line for line in said)
    assert line.startswith("error: ")
    assert FAILURES[what] in line
    assert done.stdout == ""


def test_sentry_set_up_without_a_token_is_an_error(forgotten: World) -> None:
    with forgotten.untouched():
        done = forgotten.staging.run(
            forgotten.repository.path, "sweep", *NOW, "--yes", code=USAGE, **forgotten.sentry.settings
        )
    assert "SENTRY_AUTH_TOKEN" in done.stderr


def test_no_checkout_is_an_error(forgotten: World, tmp_path: Path) -> None:
    folder = tmp_path / "nowhere"
    folder.mkdir()
    with forgotten.untouched():
        done = forgotten.staging.run(folder, "sweep", *NOW, "--yes", code=OUTSIDE, **forgotten.sentry.environment)
    assert "is not in a git work tree" in done.stderr
