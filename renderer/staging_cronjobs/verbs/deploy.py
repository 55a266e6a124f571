"""`staging deploy`: the order of steps. Nothing is changed before every check has passed."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from ..checks import isolation, ownership, preflight, staged_with_kubectl
from ..errors import AGAIN, Outside, StagingError, Superseded, Unfinished, Usage
from ..external import cluster as clusters
from ..external import dataset_versions, git, helm, helm_record, kubectl, main_settings, shell
from ..external.cluster import Cluster
from ..external.helm_record import Release, Revision
from ..model import backfill, catalogue, command_line, diff, values
from ..model.catalogue import Dataset
from ..model.cronjob import pod_of
from ..model.diff import Changes
from ..model.origin import by
from ..model.settings import Settings
from ..model.staged_version import StagedVersion, numbers
from ..model.values import Record, Values
from . import Say, check_done, origin, recovery, removal


@dataclass(frozen=True)
class Outcome:
    """What a deploy did, or with `dry_run` would do."""

    cluster: Cluster
    release: str
    installed: bool  # False: an existing release was upgraded
    values: Values
    main_version: str | None
    changes: Changes
    warnings: tuple[str, ...] = ()  # what may keep a job from running, or from running apart from production
    notices: tuple[str, ...] = ()
    suspended: Mapping[str, bool] = field(default_factory=dict)  # by key, as the cluster has it; may lack some
    backfill: str = ""  # the project's command that fills the stores
    dry_run: bool = False  # nothing was changed
    refusal: StagingError | None = None  # of a dry run: why a deploy would stop now

    @property
    def legacy(self) -> bool:
        """Whether main has a newer version: its data exists, and nobody need backfill it."""
        return numbers(self.main_version or "") > numbers(self.values.record.version)


@dataclass(frozen=True)
class _Place:
    """Where a deploy is from, and where it goes."""

    settings: Settings
    checkout: git.Checkout
    staged: StagedVersion
    cluster: Cluster

    @property
    def main(self) -> str:
        """Main's name on the remote."""
        return f"{self.settings.remote}/{self.settings.main}"


@dataclass(frozen=True)
class _Code:
    """What the branch's code gives, compared with main's."""

    datasets: list[Dataset]
    dataset: Dataset
    main_version: str | None


@dataclass(frozen=True)
class _Found:
    """What the cluster has, and what it would make of the new jobs."""

    ours: Mapping[str, kubectl.Object]  # the CronJobs that have a name of ours, by name
    theirs: Mapping[str, kubectl.Object]  # production's, by key
    wanted: helm.Objects  # the new ones as the API server would have them, by name
    warnings: list[str]


@shell.ahead()
def deploy(
    settings: Settings,
    staged: StagedVersion,
    image: str,
    load: Callable[[], list[Dataset]],
    *,
    paused: bool = False,
    skip: Collection[str] = (),
    allow_dirty: bool = False,
    dry_run: bool = False,
    say: Say,
) -> Outcome:
    """Deploy one staged version. `load` gives the catalogue with its jobs, whose loading has begun already.

    With `dry_run`, every check is made and nothing is changed.
    """
    _check_image(image)
    say(f"fetching {settings.main} of {settings.remote}")
    place = _placed(settings, staged, allow_dirty=allow_dirty)
    cluster, settings = place.cluster, place.settings
    before, signed = _prepared(place), origin.of(place.checkout)
    say("loading the datasets")
    code = _compared(place, load())
    new = _render(settings, staged, image, code.dataset, place.checkout, signed, skip=skip, namespace=cluster.namespace)
    isolation.check_own(new, settings)
    say(f"asking the cluster ({cluster})")
    cluster.require_helm()
    new, unmoved = _staggered(before(), settings, new)
    found = _asked(place, code, new)
    release = _current(place, new, found, say, wait=not dry_run)
    ran, names = (release.runs if release else None), [job.name for job in new.jobs.values()]
    # A pause that was killed is still meant, so it is what was asked for last that counts, not what ran.
    if release and release.live:
        new = new.paused_as(release.values)
    else:
        new = new.model_copy(update={"suspend": settings.first_deploy == "paused"})
    stops = paused and bool(release and release.live) and not new.suspend
    new = new.model_copy(update={"suspend": paused or new.suspend})
    stopped = _stopped(cluster, release, names) if release and release.live else []
    beside = diff.from_production(new, found.wanted, found.theirs)
    suspended = _suspended(new, found.wanted)
    notices, refusal, others = [*unmoved, *_image_notice(new)], None, list[Revision]()
    # A deploy runs the branch's code, so it leaves a token alone, wherever one is at hand.
    if stops and settings.sentry_org:
        silence = command_line.staging("pause", staged.branch)
        notices.append(
            f"Sentry will report every run of {staged.release} as missed. With SENTRY_AUTH_TOKEN in the environment "
            f"`{silence}` disables its monitors"
        )
    if dry_run:
        for key, job in new.jobs.items():
            found.wanted[job.name]["spec"]["suspend"] = suspended[key]
        refusal, more = _would_stop(place, release)
        changes = diff.from_live(ran, new, found.ours, found.wanted, stopped, beside)
    else:
        kept = _ready(cluster, release, say) if release else None
        say(f"{'upgrading' if ran else 'installing'} release {staged.release}")
        others = helm.upgrade(cluster, staged.release, new, kept, _description(new.record))
        more = _after(place, new.record, others, say)
        changes = diff.since(ran, new, stopped, beside)
    return Outcome(
        cluster,
        staged.release,
        ran is None,
        new,
        code.main_version,
        changes,
        tuple(found.warnings),
        (*notices, *more),
        suspended,
        backfill.command(settings.backfill, new.record.model_dump()),
        dry_run,
        refusal,
    )


def render(
    settings: Settings,
    staged: StagedVersion,
    image: str,
    load: Callable[[str], list[Dataset]],
    *,
    paused: bool = False,
    skip: Collection[str] = (),
) -> Values:
    """The values of one staged version: no cluster and no remote is asked."""
    _check_image(image)
    checkout = git.checkout(settings)
    dataset = catalogue.find(load(staged.dataset_id), staged.dataset_id)
    preflight.check_template(dataset, staged, checkout)
    signed = origin.of(checkout)
    new = _render(settings, staged, image, dataset, checkout, signed, skip=skip, namespace=settings.namespace)
    new, _ = values.staggered(new, staged.offset(settings.stagger_minutes))
    return new.model_copy(update={"suspend": paused})


def _placed(own: Settings, staged: StagedVersion, *, allow_dirty: bool) -> _Place:
    """The checkout, with main as it is now, and the cluster that main's settings name.

    While main is fetched, the cluster that the branch names is asked: it is the same one, or the deploy is refused.
    """
    found = git.checkout(own)
    fetched = shell.begin(lambda: main_settings.with_main(found, own))
    shell.begin(lambda: found.uncommitted)
    named = shell.answered(lambda: clusters.connect(own))
    shell.begin(lambda: _begin_asking(named(), staged))
    checkout, settings = fetched()
    preflight.check_place(own, settings, f"{settings.remote}/{settings.main}")
    preflight.check_committed(checkout, allow_dirty=allow_dirty)
    same = (own.namespace, own.kube_context) == (settings.namespace, settings.kube_context)
    cluster = named() if same else clusters.connect(settings)
    _begin_asking(cluster, staged)
    return _Place(settings, checkout, staged, cluster)


def _begin_asking(cluster: Cluster, staged: StagedVersion) -> None:
    shell.begin(lambda: kubectl.everything(cluster))
    shell.begin(lambda: helm_record.find(cluster, staged.release))
    shell.begin(cluster.require_helm)
    shell.begin(lambda: helm.template(cluster, staged.release, ""), held=True)


def _prepared(place: _Place) -> Callable[[], Release | None]:
    """The release. What its record and its jobs need is looked at while the datasets load: few deploys change it."""
    cluster, staged = place.cluster, place.staged
    release = shell.answered(lambda: helm_record.find(cluster, staged.release))
    with suppress(StagingError):
        if (there := release()) and there.live:
            shell.begin(lambda: preflight.missing(cluster, there.values))
            path = there.values.record.template_path
            shell.begin(lambda: dataset_versions.of_main(place.checkout, path, staged.dataset_id))
            helm_record.check(there)
    return release


def _compared(place: _Place, datasets: list[Dataset]) -> _Code:
    """The staged dataset, once its version is the branch's and not main's."""
    staged, checkout = place.staged, place.checkout
    dataset = catalogue.find(datasets, staged.dataset_id)
    main_version = dataset_versions.of_main(
        checkout, preflight.check_template(dataset, staged, checkout), staged.dataset_id
    )
    preflight.check_main(staged, place.main, main_version)
    return _Code(datasets, dataset, main_version)


def _asked(place: _Place, code: _Code, new: Values) -> _Found:
    """What the cluster has and says, once nothing in it stands against the new jobs."""
    cluster, staged, settings = place.cluster, place.staged, place.settings
    there, production = kubectl.everything(cluster), _production(code.dataset, settings)
    theirs = {key: there[name] for key, name in production.items() if name in there}
    ours = {name: there[name] for job in new.jobs.values() if (name := job.name) in there}
    if code.main_version is None:
        running = {cronjob["metadata"]["name"] for cronjob in theirs.values()}
        preflight.check_new(
            staged, place.main, dataset_versions.templates_on_main(place.checkout, staged.dataset_id), running
        )
    staged_with_kubectl.check_stopped(
        there, staged, code.datasets, settings, lambda names: kubectl.running(cluster, names, "")
    )
    isolation.check_alone(cluster, settings, there, code.datasets, new)
    ownership.check_free(kubectl.foreign(cluster, ours, staged.release), staged.release)
    # From here on every question is known: all of them are asked at once, and answers looked at in this order.
    shell.begin(lambda: preflight.missing(cluster, new))
    shell.begin(lambda: helm_record.find(cluster, staged.release))
    shell.begin(lambda: place.checkout.remote_head(staged.branch))
    wanted, warnings = helm.dry_run(cluster, staged.release, new, ours)
    warnings = [f"The API server warns: {line}" for line in warnings] + preflight.missing(cluster, new)
    warnings += isolation.archivers(new) + preflight.tracked(new)
    warnings += preflight.shared(new, production) if code.main_version else []
    return _Found(ours, theirs, wanted, warnings)


def _current(place: _Place, new: Values, found: _Found, say: Say, *, wait: bool) -> Release | None:
    """The release as it is now, if it is this staged version's; with `wait`, once no living helm is at work on it.

    Late: what a person pauses or resumes from here on would be undone, and is told.
    """
    staged, checkout = place.staged, place.checkout
    release = helm_record.find(place.cluster, staged.release)
    ownership.check_identity(release, new.record)
    if release is None or release.live:  # of a release that is not, what is left is waited for
        ownership.check_staying(place.cluster, staged.release, found.ours)
    if wait:
        head = checkout.remote_head(staged.branch)
        if release and release.pending:
            release = recovery.settle(place.cluster, release, say)
            head = checkout.remote_head(staged.branch)  # meanwhile a newer push may have been deployed
        _check_head(checkout, staged, head)
    return release


def _suspended(new: Values, wanted: helm.Objects) -> dict[str, bool]:
    """Whether each job will be, by key, as the API server would have it: a policy may suspend what nobody asked to."""
    jobs = {key: wanted.get(job.name, {"spec": job.spec}) for key, job in new.jobs.items()}
    return {key: new.suspends(key) or bool(job["spec"].get("suspend")) for key, job in jobs.items()}


def _render(
    settings: Settings,
    staged: StagedVersion,
    image: str,
    dataset: Dataset,
    checkout: git.Checkout,
    signed: Mapping[str, str],
    *,
    skip: Collection[str],
    namespace: str,
) -> Values:
    prefix = settings.job_prefixes.get(dataset.dataset_id, "")
    record = Record(
        repository=checkout.repository,
        dataset_id=staged.dataset_id,
        version=staged.version,
        branch=staged.branch,
        commit=checkout.recorded,
        image=image,
        template_path=checkout.relative(dataset.template_path or ""),
        stores=dataset.stores,
    ).model_copy(update=signed)
    new = values.build(dataset, record, skip={*skip, *settings.skip_jobs}, prefix=prefix, namespace=namespace)
    values.check_skipped(dataset, skip, prefix)
    return new


def _staggered(release: Release | None, settings: Settings, new: Values) -> tuple[Values, list[str]]:
    """The values with their schedules moved, if they are to be, and what is told of it.

    A release keeps what it was made with: a schedule that moves can fire twice.
    """
    offset = new.record.staged_version.offset(settings.stagger_minutes)
    if not (release and release.live):
        return values.staggered(new, offset)
    kept = release.values.record.stagger
    moved, told = values.staggered(new, kept)
    if offset and not kept:
        told.append(
            f"release {release.name} was made without stagger, and keeps its schedules. To move them, clean it up and "
            "deploy again"
        )
    return moved, told


def _check_image(image: str) -> None:
    if not image or image != image.strip() or any(c.isspace() for c in image):
        raise Usage(f"the image is {image!r}: pass --docker-image with the image that the jobs run")


def _check_head(checkout: git.Checkout, staged: StagedVersion, head: str | None) -> None:
    """Just before the change: a deploy that finishes after a cleanup would be an orphan for ever."""
    commit = checkout.head()
    if head is None:
        raise Superseded(f"branch {staged.branch} is not on {checkout.remote}: push it first, or it was deleted")
    if head != commit:
        raise Superseded(
            f"branch {staged.branch} is at {head[:12]} on {checkout.remote}, not at {commit[:12]}: "
            "a newer push deploys it"
        )


def _would_stop(place: _Place, release: Release | None) -> tuple[StagingError | None, list[str]]:
    """What would still stop a deploy after the difference is known, and what it would wait for.

    Told beside the difference: a branch that is not pushed yet is the usual case of a dry run.
    """
    notices = []
    if release:
        helm_record.check(release)
    if release and release.pending:
        notices.append(
            f"release {release.name} is {release.status}: a deploy waits for that helm, or takes over if it was killed"
        )
    try:
        _check_head(place.checkout, place.staged, place.checkout.remote_head(place.staged.branch))
    except Superseded as error:
        return error, notices
    return None, notices


def _ready(cluster: Cluster, release: Release, say: Say) -> Release | None:
    """The release once Helm can upgrade it: a killed helm's lock is taken over, and a cleanup that began is finished.

    Objects that still terminate would be taken over by an install, and vanish after it.
    """
    if release.pending:
        recovery.take_over(cluster, release, say)
    elif not release.live:
        check_done(removal.clear(cluster, [release]))
    else:
        return release
    return helm_record.find(cluster, release.name)


def _after(place: _Place, new: Record, others: Collection[Revision], say: Say) -> list[str]:
    """The branch's head again: gone means that a cleanup ran meanwhile, so what was made goes as well."""
    cluster, checkout, name = place.cluster, place.checkout, place.staged.release
    try:
        head = checkout.remote_head(new.branch)
    except Outside as error:
        raise Unfinished(f"{name} is deployed, but whether its branch still exists is unknown: {error}") from None
    if head is None:
        # With Sentry the release stays as `uninstalled`: a job may have made its monitor, and only a cleanup can tell.
        _remove_again(cluster, new, keep_record=bool(place.settings.sentry_project), say=say)
        raise Superseded(f"branch {new.branch} was deleted meanwhile: release {name} was removed again")
    if others:
        raise Unfinished(f"{cluster}: {helm.replaced(name, others)}")
    if head == checkout.head():
        return []
    return [f"branch {new.branch} has moved to {head[:12]} meanwhile: its own deploy follows"]


def _remove_again(cluster: Cluster, new: Record, *, keep_record: bool, say: Say) -> None:
    release = helm_record.find(cluster, new.staged_version.release)
    if release is None:
        return
    say(f"deleting release {release.name} again")
    try:
        check_done(removal.clear(cluster, [release]))
        if not keep_record:
            check_done(removal.purge(cluster, [release.name]))
    except (Outside, Unfinished) as error:
        reason = str(error).removesuffix(AGAIN).rstrip(". ")  # this command would not go on from here
        raise Unfinished(
            f"branch {new.branch} was deleted meanwhile, and not all of the release is gone: {reason}. "
            f"`{command_line.cleanup(new.dataset_id, new.version, '--branch', new.branch)}` finishes it"
        ) from None


def _production(dataset: Dataset, settings: Settings) -> dict[str, str]:
    """The names of the dataset's production jobs by key."""
    prefix = settings.job_prefixes.get(dataset.dataset_id, "")
    names = [values.name_of(cronjob) for cronjob in dataset.cronjobs]
    return {values.key_of(name, dataset.dataset_id, prefix): name for name in names}


def _stopped(cluster: Cluster, release: Release, names: Collection[str]) -> list[str]:
    """Jobs that run now and that an upgrade to the CronJobs `names` stops: Helm deletes a dropped one with its Jobs."""
    ran = release.job_names if release.pending else release.newest.names
    dropped = ran - {*names}
    return kubectl.active_jobs(cluster, release, dropped) if dropped else []


def _image_notice(new: Values) -> list[str]:
    pods = [pod_of(job.spec) for job in new.jobs.values()]
    images = {c.get("image") for pod in pods for c in pod["containers"]}
    if new.record.image in images:
        return []
    return [f"no job runs the image {new.record.image}: they run {', '.join(sorted(map(str, images)))}"]


def _description(record: Record) -> str:
    dirty = " with uncommitted changes" if record.commit.endswith("-dirty") else ""
    told = f": {record.subject}" if record.subject else ""
    return f"{record.branch} at {record.commit[:12]}{dirty}{by(record.actor, record.run)}{told}"
