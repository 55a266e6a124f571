"""Helm: what it renders, installs, upgrades, rolls back and uninstalls. What it keeps is read in `helm_record.py`."""

import json
import re
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, NoReturn

from ..errors import Outside, Refused, Unfinished, to_finish
from ..model import values
from ..model.values import Values
from . import helm_record, shell, shipped
from .cluster import OLDEST_KUBERNETES, Cluster, plain
from .helm_record import Release, Revision

CHART = str(shipped.path("chart", "charts/staging-cronjobs"))
REJECTIONS = (" is invalid: ", "cannot be handled as", "denied the request", "denied request")  # of bad objects
WARNING = "Warning: "  # before what the API server warns of
# Before its reasons: kubectl's words, and the name of the object, which is said already.
PREAMBLE = re.compile(r'^(Error from server \(\w+\): )?(The \S+ "[^"]+" is invalid:|\S+ "[^"]+" is forbidden:)?[\s:*]*')
LOCKED = "another operation (install/upgrade/rollback) is in progress"  # Helm's words
WRITTEN = "the object has been modified"  # the API server's, where a CronJob's status changed since Helm looked at it
TRIES = 3  # of an upgrade that met that: a run begins or ends in one instant, and rarely in the next one too

Objects = dict[str, dict[str, Any]]


def dry_run(cluster: Cluster, release: str, new: Values, known: Collection[str]) -> tuple[Objects, list[str]]:
    """The CronJobs by name as the API server would have them, its defaults included, and what it warns of.

    Nothing is created. `known` are CronJobs that exist. Raises `Refused` with the chart's or the server's reasons,
    unknown fields among them.
    """
    manifest = template(cluster, release, values.dump(new))
    if manifest.code:
        raise Refused(f"the chart refuses the values of {release}: {plain(manifest)}")
    made, warnings, complaints = _tried(cluster, _objects(manifest.stdout), known)
    if not complaints:
        return made, warnings
    told = "; ".join(_told(name, lines) for name, lines in complaints.items())
    if any(word in line for lines in complaints.values() for line in lines for word in REJECTIONS):
        raise Refused(f"the API server refuses jobs of {release}: {told}. Fix the dataset's code")
    raise Outside(f"{cluster}: the jobs of {release} could not be checked: {told}")


def recorded(cluster: Cluster, release: Release, known: Collection[str]) -> Objects:
    """The CronJobs by name as Helm's record has them, with the API server's defaults; without those that it refuses."""
    helm_record.check(release)
    return _tried(cluster, _objects(release.newest.manifest), known)[0]


def upgrade(
    cluster: Cluster, name: str, new: Values, old: Release | None, description: str, tries: int = TRIES
) -> list[Revision]:
    """`helm upgrade --install`, rolled back when it fails. Gives what others made meanwhile, and this has replaced.

    `old` is the release as it was read: its record is checked, and its labels are handed on, because Helm forgets them
    with an old revision, after a rollback, and when it installs over a release that was uninstalled. Raises `Refused`
    when another helm came first, `Outside` with Helm's words, or `Unfinished`.
    """
    if old:
        helm_record.check(old)
    # Whole objects are put, not patches: Helm's patch loses entries of lists, and keeps what a person added.
    # Helm 4 would refuse that together with server-side apply.
    replace = ("--force", "--atomic") if cluster.helm_major == 3 else (*_REPLACE_4, *_UNDO_4)
    marks = ",".join(f"{k}={v}" for k, v in {**(old.labels if old else {}), **new.release_labels}.items())
    # Not where it is live: what somebody takes away meanwhile must not come back.
    living = old if old and old.live else None
    install = () if living else ("--install",)
    # The API server has checked the objects already, more strictly than Helm would.
    command = ("upgrade", *install, "--disable-openapi-validation", "-f", "-", "--labels", marks, *replace)
    command += ("--reset-values",)  # killed before it has got the values, Helm would take the old ones
    command += ("--timeout", cluster.timeout, "-o", "json")
    told = ("--description", description, "--", name, CHART)
    result = cluster.helm(*command, *told, stdin=values.dump(new), check=False)
    if living and not result.code and _number(result.stdout) == living.revision + 1:
        return []  # nobody was between, and of an upgrade Helm's word is the record's
    try:
        now = helm_record.find(cluster, name)
    except Outside as error:
        done = f"helm could not deploy {name}: {plain(result)}" if result.code else f"helm has deployed {name}"
        raise Unfinished(to_finish(f"{cluster}: {done}. What is there now is unknown: {error}")) from None
    later = [r for r in now.revisions if r.number > (old.revision if old else 0)] if now else []
    if result.code:
        if tries > 1 and WRITTEN in result.stderr and _undone(now, old):
            return upgrade(cluster, name, new, now, description, tries - 1)
        _explain(cluster, name, new, now, old, later, plain(result))
    # Helm ends well when it could not write down that an install is done; every later upgrade would take it for a lock.
    if not living and now and now.status == "pending-install":
        raise Unfinished(
            f"{cluster}: the jobs of {name} are there, but helm could not record it as deployed: does the account "
            f"lack the right to update {helm_record.driver()}?"
        )
    own = [r.number for r in later if r.values == new]
    return [r for r in later if own and r.number < own[-1] and r.values != new]


def template(cluster: Cluster, release: str, text: str) -> shell.Result:
    """What the chart makes of the values in a text; asks no cluster."""
    helm_record.driver()  # first: with a database as its record, Helm would look for that even here
    # Offline, helm compares the chart's floor with the version helm was built for; upgrade asks the cluster itself.
    command = ("template", release, CHART, "-f", "-", "--kube-version", OLDEST_KUBERNETES)
    return cluster.helm(*command, stdin=text, check=False)


def _number(made: str) -> int:
    """The revision that Helm says it has made; 0 where it says none."""
    try:
        return json.loads(made)["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0


def _undone(now: Release | None, old: Release | None) -> bool:
    """Whether a release that has failed is again as it was."""
    deployed = bool(now and old and now.status == "deployed" and now.revision > old.revision)
    return deployed and any(now.newest.manifest == r.manifest for r in old.revisions)


def _explain(
    cluster: Cluster,
    name: str,
    new: Values,
    now: Release | None,
    old: Release | None,
    later: Collection[Revision],
    reason: str,
) -> NoReturn:
    """Raises what a failed upgrade has come to: `now` is the release, `later` its revisions since `old`."""
    if now is None and old is None:
        raise Outside(f"{cluster}: helm could not deploy {name} and deleted it again: {reason}")
    if now is None:
        raise Outside(f"{cluster}: helm could not deploy {name}, which somebody deleted meanwhile: {reason}")
    if now.same_as(old):
        raise Outside(f"{cluster}: helm could not deploy {name}, and nothing has changed: {reason}")
    # A revision of this upgrade is there, as what failed or is stuck. Without one, others were faster.
    tried = any(r.values == new and r.status != "deployed" for r in later) and LOCKED not in reason
    if later and not tried:
        raise Refused(
            f"{cluster}: another command was at work on release {name} at the same time, and its revision "
            f"{now.revision} is {now.status}. Nothing of this one was done. Run it again if it should still be done"
        )
    if _undone(now, old):
        raise Outside(f"{cluster}: helm could not deploy {name} and rolled it back: {reason}")
    if old and later and now.status == "deployed":
        raise Outside(f"{cluster}: helm could not deploy {name}, because somebody else deployed it meanwhile: {reason}")
    raise Unfinished(to_finish(f"{cluster}: helm could not deploy {name}, nor undo it. It is {now.status}: {reason}"))


def replaced(name: str, others: Collection[Revision]) -> str:
    """The sentence about revisions that others made while an upgrade was at work, and that it has replaced."""
    made = " and ".join(
        f"revision {r.number} (commit {r.values.record.commit[:12]}{', paused' if r.values.suspend else ''})"
        for r in others
    )
    return (
        f"another command made {made} of release {name} at the same time, and this one has replaced that. If the other "
        "one should count, run it again"
    )


def rollback(cluster: Cluster, release: Release, revision: int) -> None:
    """`helm rollback`: it also frees a release whose upgrade was killed."""
    helm_record.check(release)
    replace = ("--force",) if cluster.helm_major == 3 else _REPLACE_4
    cluster.helm("rollback", *replace, "--timeout", cluster.timeout, "--", release.name, str(revision))


def uninstall(cluster: Cluster, names: Sequence[str], starts: int) -> dict[str, Outside]:
    """Begin to delete the objects of releases, whose records are checked; the records stay, as `uninstalled`.

    One that is already gone is done. So many starts of helm share the releases, and each stops at the first that fails:
    gives Helm's words for all of its share. Nothing waits until objects are gone: see `kubectl.remains`.
    """
    flags = ("--keep-history", "--cascade", "foreground")
    shares = [names[first::starts] for first in range(min(starts, len(names)))]
    asked = [partial(cluster.helm, "uninstall", *flags, "--", *share, check=False) for share in shares]
    failed: dict[str, Outside] = {}
    for share, result in zip(shares, shell.together(asked, shell.GRACE), strict=True):
        if result.code and (len(share) > 1 or "not found" not in result.stderr):
            failed |= {name: Outside(f"{cluster}: helm could not uninstall {name}: {plain(result)}") for name in share}
    return failed


_REPLACE_4 = ("--force-replace", "--server-side=false")
# To undo makes Helm 4 wait too, by default with a watch that takes two seconds; no CronJob is ever waited for.
_UNDO_4 = ("--rollback-on-failure", "--wait=legacy")


def _tried(
    cluster: Cluster, wanted: Objects, known: Collection[str]
) -> tuple[Objects, list[str], dict[str, list[str]]]:
    """The objects as the API server would have them, what it warns of, and what it has against each, by name.

    What exists is replaced, as the upgrade does it, so that the server sees an update; the rest is created.
    """
    made: Objects = {}
    warnings: dict[str, None] = {}  # each once
    complaints: dict[str, list[str]] = {}
    names = sorted(wanted)
    asked = [partial(cluster.dry_run, "cronjobs", wanted[name], exists=name in known) for name in names]
    for name, answer in zip(names, shell.together(asked), strict=True):
        lines = [line for line in answer.stderr.splitlines() if line.strip()]
        warnings |= {line.removeprefix(WARNING): None for line in lines if line.startswith(WARNING)}
        if answer.code:
            complaints[name] = [line for line in lines if not line.startswith(WARNING)]
        else:
            made[name] = cluster.items(answer.stdout)[0]
    return made, list(warnings), complaints


def _told(name: str, lines: Collection[str]) -> str:
    """What the API server has against one object."""
    return f"{name}: {', '.join(filter(None, (PREAMBLE.sub('', line) for line in lines)))}"


def _objects(manifest: str) -> Objects:
    """The CronJobs of a manifest that Helm wrote, by name, as Helm reads them."""
    from ruamel.yaml import YAML

    reader = YAML(typ="safe", pure=True)
    for text in ("value", "merge"):  # Helm writes the texts `=` and `<<` so that they read as tags of YAML
        reader.constructor.add_constructor(f"tag:yaml.org,2002:{text}", lambda _, node: node.value)
    return {thing["metadata"]["name"]: thing for thing in reader.load_all(manifest) if thing}
