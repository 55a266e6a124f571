"""`staging deploy`, `pause` and `resume`: the order of steps. Nothing is changed before every check has passed."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from . import branches, catalogue, checks, locks, objects, releases, values
from . import cluster as clusters
from .catalogue import Dataset
from .cluster import Cluster
from .errors import AGAIN, Outside, Refused, Superseded, Unfinished, Usage
from .releases import Release
from .settings import Settings
from .staged_version import StagedVersion
from .values import Record, Values

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What a deploy did."""

    cluster: Cluster
    release: str
    installed: bool  # False: an existing release was upgraded
    values: Values
    main_version: str | None
    notices: tuple[str, ...] = ()


def deploy(
    settings: Settings,
    staged: StagedVersion,
    image: str,
    load: Callable[[str], list[Dataset]],
    *,
    paused: bool = False,
    skip: Collection[str] = (),
    say: Say,
) -> Outcome:
    """Deploy one staged version. `load` gives the catalogue with the jobs of the dataset whose id it is given."""
    _check_image(image)
    checkout = branches.checkout(settings)
    say(f"fetching {settings.main} of {checkout.repository}")
    checkout.fetch_main()
    say("loading the datasets")
    dataset = catalogue.find(load(staged.dataset_id), staged.dataset_id)
    main = f"{settings.remote}/{settings.main}"
    main_version = checkout.main_version(checks.check_template(dataset, staged))
    checks.check_main(staged, main, main_version)
    cluster = clusters.connect(settings)
    new = _render(settings, staged, image, dataset, checkout, skip=skip, namespace=cluster.namespace)
    say(f"asking the cluster ({cluster})")
    cluster.require_helm()
    if main_version is None:
        production = [c["metadata"]["name"] for c in dataset.cronjobs]
        checks.check_new(
            staged, main, checkout.templates_on_main(staged.dataset_id), list(objects.existing(cluster, production))
        )
    release = releases.find(cluster, staged.release)
    checks.check_identity(release, new.record)
    names = [job.name for job in new.jobs.values()]
    checks.check_free(objects.foreign(cluster, names, staged.release), staged.release)
    releases.dry_run(cluster, staged.release, new, release.job_names if release else ())
    release = locks.settle(cluster, release, say) if release else None
    _check_head(checkout, staged, new.record.commit)
    live = release is not None and release.live
    if release and release.pending:
        locks.take_over(cluster, release, say)
    elif release and release.status == "uninstalling":
        locks.clear(cluster, release)
    suspend = paused or (release.values.suspend if release and live else settings.first_deploy == "paused")
    new = new.model_copy(update={"suspend": suspend})
    say(f"{'upgrading' if live else 'installing'} release {staged.release}")
    releases.upgrade(cluster, staged.release, new, release.labels if release else {}, _description(new.record))
    notices = _after(cluster, checkout, staged, new.record.commit, keep_record=bool(settings.sentry_project), say=say)
    return Outcome(cluster, staged.release, not live, new, main_version, (*_image_notice(new), *notices))


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
    checkout = branches.checkout(settings)
    dataset = catalogue.find(load(staged.dataset_id), staged.dataset_id)
    checks.check_template(dataset, staged)
    new = _render(settings, staged, image, dataset, checkout, skip=skip, namespace=settings.namespace)
    return new.model_copy(update={"suspend": paused})


def set_suspend(cluster: Cluster, staged: StagedVersion, suspend: bool, say: Say) -> tuple[Release, bool]:
    """Pause or resume a release: the chart's `suspend`, all other values as they are. False: it was so already."""
    cluster.require_helm()
    release = releases.find(cluster, staged.release)
    if release is None or not release.live:
        state = f"is {release.status}" if release else "does not exist"
        raise Refused(f"release {staged.release} {state} in {cluster}: there is nothing to pause or resume")
    _check_target(release, staged)
    if release.pending:
        release = locks.settle(cluster, release, say) or release
    if release.pending:
        raise Outside(
            f"release {release.name} is {release.status}, left by a helm that was killed: deploy it again, or free it "
            f"with `helm rollback {release.name} --namespace {cluster.namespace}`"
        )
    if release.values.suspend == suspend:
        return release, False
    new = release.values.model_copy(update={"suspend": suspend})
    releases.upgrade(cluster, release.name, new, release.labels, "paused" if suspend else "resumed")
    return release, True


def _render(
    settings: Settings,
    staged: StagedVersion,
    image: str,
    dataset: Dataset,
    checkout: branches.Checkout,
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
        commit=checkout.head(),
        image=image,
        template_path=checkout.relative(dataset.template_path or ""),
        stores=dataset.stores,
    )
    new = values.build(dataset, record, skip={*skip, *settings.skip_jobs}, prefix=prefix, namespace=namespace)
    values.check_skipped(dataset, skip, prefix)
    return new


def _check_image(image: str) -> None:
    if not image or image != image.strip() or any(c.isspace() for c in image):
        raise Usage(f"the image is {image!r}: pass --docker-image with the image that the jobs run")


def _check_target(release: Release, staged: StagedVersion) -> None:
    if release.values.record.staged_version != staged:
        record = release.values.record
        raise Refused(
            f"release {release.name} belongs to {record.dataset_id} v{record.version}, not to {staged.branch}"
        )


def _check_head(checkout: branches.Checkout, staged: StagedVersion, commit: str) -> None:
    """Just before the change: a deploy that finishes after a cleanup would be an orphan for ever."""
    head = checkout.remote_head(staged.branch)
    if head is None:
        raise Superseded(f"branch {staged.branch} is not on {checkout.remote}: push it first, or it was deleted")
    if head != commit:
        raise Superseded(
            f"branch {staged.branch} is at {head[:12]} on {checkout.remote}, not at {commit[:12]}: "
            "a newer push deploys it"
        )


def _after(
    cluster: Cluster, checkout: branches.Checkout, staged: StagedVersion, commit: str, *, keep_record: bool, say: Say
) -> list[str]:
    """The branch's head again: gone means that a cleanup ran meanwhile, so what was made goes as well.

    With `keep_record` the release stays as `uninstalled`: a job may have made its monitor, and only a cleanup, which
    has Sentry's token, can tell.
    """
    try:
        head = checkout.remote_head(staged.branch)
    except Outside as error:
        raise Unfinished(
            f"{staged.release} is deployed, but whether its branch still exists is unknown: {error}"
        ) from None
    if head is None:
        if release := releases.find(cluster, staged.release):
            say(f"deleting release {staged.release} again")
            try:
                locks.clear(cluster, release)
                if not keep_record:
                    releases.uninstall(cluster, staged.release, keep_history=False)
            except (Outside, Unfinished) as error:
                reason = str(error).removesuffix(AGAIN).rstrip(":; ")  # this command would not go on from here
                raise Unfinished(
                    f"branch {staged.branch} was deleted meanwhile, and not all of the release is gone: {reason}; "
                    f"`staging cleanup --branch {staged.branch}` finishes it"
                ) from None
        raise Superseded(f"branch {staged.branch} was deleted meanwhile: release {staged.release} was removed again")
    if head != commit:
        return [f"branch {staged.branch} has moved to {head[:12]} meanwhile: its own deploy follows"]
    return []


def _image_notice(new: Values) -> list[str]:
    pods = [job.spec["jobTemplate"]["spec"]["template"]["spec"] for job in new.jobs.values()]
    images = {c.get("image") for pod in pods for c in pod["containers"]}
    if new.record.image in images:
        return []
    return [f"no job runs the image {new.record.image}: they run {', '.join(sorted(map(str, images)))}"]


def _description(record: Record) -> str:
    return f"{record.branch} at {record.commit[:12]}"
