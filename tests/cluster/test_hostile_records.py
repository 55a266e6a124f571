"""Whoever may write Secrets writes Helm's records: nothing in them makes this program act on what is not its own.

Each forged record is met by every function that reads records, by a command that goes by one and by one that goes by
many. One of each kind is met by every command that acts on a release. All of them refuse it and touch nothing.
"""

import http.server
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from hostile import Hostile
from live import IMAGE, LABEL, Namespace, Production, Staging
from records import Edit, forge, newest, packed, unpacked, write
from repositories import Repository
from sentry_server import SentryServer
from staged import Place, Sentry, install, names, push
from staging_cronjobs.errors import Refused
from staging_cronjobs.external import helm_record
from staging_cronjobs.external.cluster import Cluster
from staging_cronjobs.external.helm_record import TYPE, Release
from staging_cronjobs.model.staged_version import StagedVersion

RIDGE = StagedVersion("ridge-snow", "0.2.0")
UPDATE = names(RIDGE)[0]
PAUSE = ("pause", "--branch", RIDGE.branch)
CLEANUP_ALL = ("cleanup", "--dataset-id", RIDGE.dataset_id, "--all-versions", "--yes")
COMMANDS = (
    PAUSE,
    ("resume", "--branch", RIDGE.branch),
    ("run", "--branch", RIDGE.branch, "--key", "update"),
    ("cleanup", "--branch", RIDGE.branch, "--yes"),
    CLEANUP_ALL,
    ("deploy", "--branch", RIDGE.branch, "--docker-image", IMAGE),
)
PRODUCTION = "ridge-snow-update"
DEPLOYMENT = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {selector: {}, template: {}}\n"
BINDING = "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: x}\n"


class Listener:
    """A server of somebody else's: whoever sends it anything has leaked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.asked.append(self.path)
                self.send_error(404)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


def set_in(path: str, value: object) -> Edit:
    """An edit that sets a value under a dotted path."""
    *folders, last = path.split("/")

    def edit(content: dict[str, Any]) -> None:
        place: Any = content
        for folder in folders:
            place = place[folder]
        place[last] = value

    return edit


def added(manifest: str) -> Edit:
    """An edit that adds to the manifest."""
    return lambda content: content.update(manifest=f"{content['manifest']}\n{manifest}\n")


def cronjob(name: str, more: str = "") -> str:
    return f"---\napiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: {name}\n{more}spec: {{}}"


# A million texts, by references of YAML: a few lines more would be gigabytes.
MULTIPLIED = "\n  a0: &a0 x" + "".join(f"\n  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 7))
HOOK = {
    "name": "h",
    "kind": "CronJob",
    "path": "x",
    "manifest": cronjob("stolen"),
    "events": ["pre-upgrade", "pre-delete"],
}
FORGED: dict[str, Edit] = {
    "a name that is an option": set_in("config/jobs/update/name", "--server={url}"),
    "a name that writes a file": set_in("config/jobs/update/name", "--profile-output=stolen"),
    "production's name": set_in("config/jobs/update/name", PRODUCTION),
    "a key that is none": lambda c: c["config"]["jobs"].update({"a b": c["config"]["jobs"]["update"]}),
    "another branch": set_in("config/record/branch", "precious"),
    "an id that is none": set_in("config/record/dataset_id", "../x"),
    "a version that is none": set_in("config/record/version", "9.x"),
    "a version of 5,000 digits": set_in("config/record/version", "9" * 5000),
    "a path outside": set_in("config/record/template_path", "../../etc"),
    "a path that git reads otherwise": set_in("config/record/template_path", ":(glob)**"),
    "a store with escapes": set_in("config/record/stores", ["s3://x\x1b]8;;http://evil\x07"]),
    "an image with a line": set_in("config/record/image", "i\n::error::x"),
    "no record": set_in("config", {}),
    "a list for values": set_in("config", []),
    "another release's name": set_in("name", "production"),
    "production's CronJob in the manifest": added(cronjob(PRODUCTION)),
    "a Deployment in the manifest": added(DEPLOYMENT),
    "a ClusterRoleBinding in the manifest": added(BINDING),
    "another namespace in the manifest": added(cronjob(UPDATE, "  namespace: kube-system\n")),
    "a kind in other letters": added(f"{cronjob(UPDATE)}\nKind: Deployment"),
    "a key twice": added(f"{cronjob(UPDATE)}\nkind: Deployment"),
    "a line break of Helm's own reader": added(f"{cronjob(UPDATE)} # \u0085kind: Deployment"),
    "a document within a text, where Helm divides": added(
        cronjob(UPDATE).replace("{}", f"\n  a: 'b\n---c\n{DEPLOYMENT.strip('-').strip()} # '")
    ),
    "the same with a line break of Helm's own reader": added(
        cronjob(UPDATE).replace("{}", f"\n  a: 'b\u2028---c\n{DEPLOYMENT.strip('-').strip()} # '")
    ),
    "a text that multiplies": added(cronjob(UPDATE).replace("{}", MULTIPLIED)),
    "no YAML in the manifest": added("---\n{ ["),
    "a list of objects": added("---\napiVersion: v1\nkind: List\nmetadata: {}\nitems: []"),
    "a hook": set_in("hooks", [HOOK]),
    # Go's reader takes these for the fields of the same name.
    "a manifest in other letters": lambda c: c.update(Manifest=f"{c['manifest']}\n{DEPLOYMENT}\n"),
    "a manifest with a long s": lambda c: c.update({"manife\u017ft": f"{c['manifest']}\n{DEPLOYMENT}\n"}),
    "hooks in other letters": lambda c: c.update(HOOKS=[HOOK]),
    "a status in other letters": set_in("info/Status", "superseded"),
    "another status than its label": set_in("info/status", "superseded"),
    "another namespace": set_in("namespace", "kube-system"),
    "hooks that are no list": set_in("hooks", {"a": HOOK}),
}


def snapshot(live: Namespace, repository: Repository) -> object:
    """All that a command could change."""
    objects = live.state("cronjobs", "jobs", "secrets")
    return objects, repository.git("ls-remote", "origin")


@dataclass(frozen=True)
class Scene:
    """A staged version beside production, with their monitors, and somebody else's server."""

    place: Place
    sentry: Sentry
    listener: Listener
    secret: dict[str, Any]  # the version's true record

    def forged(self, what: str) -> None:
        """Put such a record in the place of the true one."""
        live = self.place.live
        forge(live, RIDGE.release, FORGED[what])
        if what == "a name that is an option":  # the address is known only now
            forge(live, RIDGE.release, set_in("config/jobs/update/name", f"--server={self.listener.url}"))

    def refused(self, command: tuple[str, ...], hostile: Hostile) -> None:
        """The command says so, and changes nothing."""
        repository, live, slugs = self.place.repository, self.place.live, self.sentry.slugs()
        before = snapshot(live, repository)
        done = self.place.staging(repository.path, *command, **self.sentry.environment, STAGING_TIMEOUT="1s")
        changed = (snapshot(live, repository), self.sentry.slugs()) != (before, slugs)
        hostile.tried("release records", done.stdout + done.stderr, changed=changed, ran=self.listener.asked)
        assert done.code == (5 if command == CLEANUP_ALL and done.stderr.startswith("Cleanup of") else 3), done.stderr
        assert not Path(repository.path, "stolen").exists()


@pytest.fixture(scope="module")
def scene(place: Place) -> Iterator[Scene]:
    staging, live, repository = place.staging, place.live, place.repository
    repository.stage(RIDGE.dataset_id, RIDGE.version)
    repository.git("push", "--quiet", "origin", "main:refs/heads/precious")
    entry = next(d for d in staging.catalogue(repository.path) if d["dataset_id"] == RIDGE.dataset_id)
    production = Production(live)
    production(entry["cronjobs"])
    install(staging, repository, RIDGE)
    with SentryServer() as server:
        project = server.add_project("weather")
        sentry, listener = Sentry(server, project, server.add_token([project])), Listener()
        sentry.check_in(*names(RIDGE), PRODUCTION)
        yield Scene(place, sentry, listener, newest(live, RIDGE.release))
        listener.server.shutdown()
        listener.server.server_close()
    assert not production.changes()


@pytest.fixture
def restored(scene: Scene) -> Iterator[None]:
    """Afterwards there is the true record again, and no other."""
    yield
    live, true = scene.place.live, scene.secret
    for secret in live.all("secrets"):
        live.delete("secrets", secret["metadata"]["name"])
    assert live.create(
        {**true, "apiVersion": "v1", "kind": "Secret", "metadata": _plain(true["metadata"], "name", "labels")}
    ).accepted


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_record_is_refused(scene: Scene, restored: None, hostile: Hostile, what: str) -> None:
    scene.forged(what)
    for command in (PAUSE, CLEANUP_ALL):
        scene.refused(command, hostile)
    listed = scene.place.staging.run(scene.place.repository.path, "list", "-o", "json").json
    assert [row["release"] for row in listed] == [RIDGE.release]


# Refused for what it says of jobs, as a record of another, for what Helm would create, and for what Helm would run.
KINDS = ("a name that is an option", "another status than its label", "a Deployment in the manifest", "a hook")


@pytest.mark.parametrize("what", KINDS)
def test_a_forged_record_is_refused_by_every_command(scene: Scene, restored: None, hostile: Hostile, what: str) -> None:
    scene.forged(what)
    for command in COMMANDS:
        scene.refused(command, hostile)


@dataclass(frozen=True)
class Held(Cluster):
    """A namespace that holds these records."""

    records: Sequence[dict[str, Any]] = ()

    def get(self, plural: str, selector: str, *flags: str) -> list[dict[str, Any]]:
        assert (plural, selector.partition(",")[0]) == ("secrets", "owner=helm")
        return [*self.records]


READERS: dict[str, Callable[[Cluster], object]] = {
    "own": lambda cluster: helm_record.own(cluster, RIDGE),
    "find": lambda cluster: checked([helm_record.find(cluster, RIDGE.release)]),
    "listing": lambda cluster: checked(*helm_record.listing(cluster)),
    "histories": lambda cluster: checked(*helm_record.histories(cluster, [RIDGE.release])),
}


def checked(found: Sequence[Release | None], unproven: Mapping[str, str] = MappingProxyType({})) -> None:
    """As each command does before it acts on what it has read."""
    for why in unproven.values():
        raise Refused(why)
    for release in found:
        assert release
        helm_record.check(release)


@pytest.mark.parametrize("reader", READERS)
def test_whatever_reads_records_takes_the_true_one(scene: Scene, reader: str) -> None:
    READERS[reader](Held("context", scene.place.live.name, records=[scene.secret]))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", FORGED)
def test_whatever_reads_records_refuses_a_forged_one(scene: Scene, hostile: Hostile, what: str, reader: str) -> None:
    content = unpacked(scene.secret)
    FORGED[what](content)
    forged = {**scene.secret, "data": {"release": packed(content)}}
    with pytest.raises(Refused) as refused:
        READERS[reader](Held("context", scene.place.live.name, records=[forged]))
    hostile.tried("release records", str(refused.value))


def second(live: Namespace, more: str = DEPLOYMENT, **changed: Any) -> None:
    """One more record of the release, which Helm would take for its own."""
    secret = newest(live, RIDGE.release)
    content = unpacked(secret)
    added(more)(content)
    create(
        live, content, {"name": "a", "labels": secret["metadata"]["labels"]} | changed.pop("metadata", {}), **changed
    )


def create(live: Namespace, content: object, metadata: Mapping[str, Any], **changed: Any) -> None:
    """A Secret of Helm's type that holds this."""
    made = {"apiVersion": "v1", "kind": "Secret", "type": TYPE, "data": {"release": packed(content)}}
    assert live.create({**made, "metadata": metadata, **changed}).accepted


def one_of_another_type(live: Namespace) -> None:
    labels = {**newest(live, RIDGE.release)["metadata"]["labels"], "version": "9"}
    second(live, type="Opaque", metadata={"name": f"sh.helm.release.v1.{RIDGE.release}.v9", "labels": labels})


def one_under_anothers_name(live: Namespace) -> None:
    """A rollback goes by the name: the true one has no labels, by which this program would find it."""
    secret = newest(live, RIDGE.release)["metadata"]
    second(live, more="", metadata={"name": "zz"})
    forge(live, RIDGE.release, added(DEPLOYMENT))
    write(live, secret["name"], {"metadata": {"labels": None}})


def one_before_a_killed_upgrade(live: Namespace) -> None:
    """What a takeover rolls back to."""
    forge(live, RIDGE.release, added(DEPLOYMENT))
    secret = newest(live, RIDGE.release)
    content: dict[str, Any] = {**unpacked(secret), "version": 2}
    content["info"] |= {"status": "pending-upgrade"}
    content["manifest"] = content["manifest"].replace(DEPLOYMENT, "")
    labels = {**secret["metadata"]["labels"], "version": "2", "status": "pending-upgrade"}
    create(live, content, {"name": f"sh.helm.release.v1.{RIDGE.release}.v2", "labels": labels})


@pytest.mark.parametrize("forged", [second, one_of_another_type, one_under_anothers_name, one_before_a_killed_upgrade])
def test_a_second_record_that_helm_would_act_on_is_refused(
    scene: Scene, restored: None, hostile: Hostile, forged: Callable[[Namespace], None]
) -> None:
    forged(scene.place.live)
    for command in COMMANDS:
        scene.refused(command, hostile)


UNREADABLE: dict[str, dict[str, Any]] = {
    "a bomb": {"data": {"release": ""}},
    "no base64": {"data": {"release": b64encode(b"%%%").decode()}},
    "no release": {"data": {"release": None}},
    "no version": {"metadata": {"labels": {"version": None}}},
    "a version that is none": {"metadata": {"labels": {"version": "9.x"}}},
    "a status that is none": {"metadata": {"labels": {"status": "fine"}}},
}


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_what_cannot_be_read_is_told_and_stops_nobody_else(
    staging: Staging, repository: Repository, live: Namespace, hostile: Hostile, sentry: Sentry
) -> None:
    import zlib

    healthy = StagedVersion("ridge-snow", "1.0.0")
    install(staging, repository, healthy)
    push(repository, healthy)
    zipper = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    bomb = zipper.compress(b'{"name": "' + b" " * 40_000_000) + zipper.flush()
    UNREADABLE["a bomb"]["data"]["release"] = b64encode(b64encode(bomb)).decode()
    for number, (what, patch) in enumerate(UNREADABLE.items(), 2):
        staged = StagedVersion("ridge-snow", f"{number}.0")
        install(staging, repository, staged)
        secret = newest(live, staged.release)["metadata"]["name"]
        write(live, secret, {"metadata": {"labels": {f"{LABEL}dataset-id": "ridge-snow"}}})
        write(live, secret, patch)
        done = staging(repository.path, "list", "-o", "json")
        hostile.tried("release records", done.stdout + done.stderr)
        assert done.code == 0, done.stderr
        rows = {row["release"]: row for row in done.json}
        assert rows[healthy.release]["status"] == "deployed"
        assert rows[staged.release]["status"] == "unproven", what
        assert rows[staged.release]["problem"]
        if "data" in patch:
            acting = staging.run(repository.path, "cleanup", "--branch", staged.branch, "--yes", code=3)
            assert "cannot be read" in acting.stderr, what
            ours = [f"{LABEL}dataset-id", f"{LABEL}dataset-version", *(f"{LABEL}job.{name}" for name in names(staged))]
            write(live, secret, {"metadata": {"labels": dict.fromkeys(ours)}})  # as Helm loses them in a rollback
            rows = {row["release"]: row for row in staging.run(repository.path, "list", "-o", "json").json}
            assert rows[staged.release]["status"] == "unproven", what
        live.kubectl("delete", "secret", secret)
    copy = live.get("cronjobs", names(healthy)[0])
    live.kubectl("label", "cronjob", copy["metadata"]["name"], f"{LABEL}dataset-id-", f"{LABEL}dataset-version-")
    live.kubectl("annotate", "cronjob", copy["metadata"]["name"], f"{LABEL}key-", f"{LABEL}branch-")
    (row,) = staging.run(repository.path, "list", "-o", "json").json
    assert (row["dataset_id"], row["version"]) == ("ridge-snow", "1.0.0")
    assert [job["key"] for job in row["jobs"]] == ["update", "validate"]


LYING: dict[str, dict[str, str | None]] = {
    "another dataset": {f"{LABEL}dataset-id": "harbor-wind-forecast"},
    "another version": {f"{LABEL}dataset-version": "9.0"},
    "no identity": {f"{LABEL}dataset-id": None, f"{LABEL}dataset-version": None},
    "an id that is none": {f"{LABEL}dataset-id": "A..b"},
    "no time": {"modifiedAt": None, "createdAt": None},
    "a time that is none": {"modifiedAt": "soon"},
    "a time beyond all years": {"modifiedAt": "99999999999"},
    "production's job": {f"{LABEL}job.{PRODUCTION}": "update"},
    "no jobs": {f"{LABEL}job.{name}": None for name in names(RIDGE)},
}


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_labels_that_lie_about_a_release_are_not_what_is_listed(
    staging: Staging, repository: Repository, live: Namespace, production: Production, hostile: Hostile
) -> None:
    made = install(staging, repository, RIDGE)
    push(repository, RIDGE)
    job = live.get("cronjobs", UPDATE)
    marks = {**job["metadata"], "name": PRODUCTION}
    production([{"apiVersion": "batch/v1", "kind": "CronJob", "metadata": _plain(marks, *MARKS), "spec": job["spec"]}])
    (true,) = staging.run(repository.path, "list", "-o", "json").json
    assert [(job["key"], job["name"]) for job in true["jobs"]] == [(k, j.name) for k, j in made.jobs.items()]
    before = {**newest(live, RIDGE.release)["metadata"]["labels"]}
    for what, labels in LYING.items():
        write(live, newest(live, RIDGE.release)["metadata"]["name"], {"metadata": {"labels": labels}})
        listed, swept = (staging(repository.path, verb, "-o", "json") for verb in ("list", "sweep"))
        said = listed.stdout + listed.stderr + swept.stdout + swept.stderr
        hostile.tried("release records", said, changed=live.names("cronjobs") != sorted([PRODUCTION, *names(RIDGE)]))
        assert [{**row, "updated": ""} for row in listed.json] == [{**true, "updated": ""}], what
        assert [f for f in swept.json if f["removable"]] == [], what
        write(
            live,
            newest(live, RIDGE.release)["metadata"]["name"],
            {"metadata": {"labels": {**dict.fromkeys(labels), **before}}},
        )


MARKS = ("name", "labels", "annotations")


def _plain(metadata: dict[str, Any], *fields: str) -> dict[str, Any]:
    return {field: metadata[field] for field in fields}


@pytest.mark.parametrize("helm", ["helm4"], indirect=True)
def test_labels_of_other_secrets_name_no_monitors(
    staging: Staging, repository: Repository, live: Namespace, sentry: Sentry, hostile: Hostile
) -> None:
    install(staging, repository, RIDGE)
    sentry.check_in(*names(RIDGE), PRODUCTION)
    labels = {
        "owner": "helm",
        "name": RIDGE.release,
        "status": "deployed",
        "version": "9",
        f"{LABEL}job.{PRODUCTION}": "update",
    }
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "forged", "labels": labels}}
    assert live.create(secret).accepted
    secret = f"sh.helm.release.v1.{RIDGE.release}.v1"
    write(live, secret, {"metadata": {"labels": {f"{LABEL}job.{PRODUCTION}": "update"}}})
    done = staging(repository.path, "cleanup", "--branch", RIDGE.branch, "--yes", **sentry.environment)
    hostile.tried("release records", done.stdout + done.stderr, changed=PRODUCTION not in sentry.slugs())
    assert done.code == 0, done.stderr
    assert sentry.slugs() == [PRODUCTION]
