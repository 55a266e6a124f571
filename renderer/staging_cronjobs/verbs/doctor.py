"""`staging doctor`: whether everything is there that staging needs, from this machine to GitHub. Nothing is changed."""

import json
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from ..checks import cluster_access, github_setup, isolation, preflight, staged_with_kubectl
from ..errors import Outside, Refused, StagingError, Usage
from ..external import cluster as clusters
from ..external import git, kubectl, main_settings, sentry, shell, user_code
from ..external.cluster import Cluster
from ..model import stores
from ..model.catalogue import Dataset
from ..model.doctor import OK, UNKNOWN, WRONG, Look, told
from ..model.settings import TABLE, Settings, without_main
from ..model.staged_version import StagedVersion
from ..model.values import name_of
from . import check, init

SHOWN = 5  # datasets, of which each gets a line of its own
MENDS = {  # by what was looked at, where no look of its own names a command
    "helm": ("https://helm.sh/docs/intro/install",),
    "kubectl": ("https://kubernetes.io/docs/tasks/tools",),
    "git": ("https://git-scm.com/downloads",),
    "settings": ("${EDITOR:-vi} pyproject.toml",),
    "repository": ("git status", "git remote --verbose"),
    "cluster": ("kubectl version",),
    "namespace": ("kubectl get namespaces",),
    "rights": ("kubectl auth can-i --list",),
    "Sentry": ("read -rs SENTRY_AUTH_TOKEN && export SENTRY_AUTH_TOKEN",),
    "datasets": ("staging catalogue",),
    "templates": ("staging catalogue",),
    "stores": ('store-isolation = "none"',),
    "kubectl apply": ("kubectl get cronjobs",),
    "package": (
        *("try:", "    from staging_cronjobs import mount", "except ImportError:", "    pass"),
        *("else:", "    mount(app, DATASETS)"),
    ),
}
Answer = Callable[[], list[Look]]
Read = Callable[[], list[Dataset]]


def look(load: Callable[[], Settings], token: str) -> list[Look]:
    """Every look, in the order in which a person mends things. `load` gives the settings, with options over them."""
    with shell.ahead():
        versions = {"helm": clusters.helm_version, "kubectl": _kubectl, "git": _git}
        answers = [_begun(name, partial(_program, name, version)) for name, version in versions.items()]
        try:
            answers += _project(load(), token)
        except StagingError as error:
            answers.append(_known("settings", WRONG, str(error)))
        return [_mended(found) for answer in answers for found in answer()]


def _project(own: Settings, token: str) -> list[Answer]:
    """What can be asked where the settings can be read. All is begun before the first answer is waited for."""
    read = None if token else shell.begin(partial(user_code.read, user_code.in_project(own), own, init.IMAGE))
    try:
        checkout = git.checkout(own)
        project = init.look(own, "", ())
    except StagingError as error:
        return [*_places(own, None, token, read), _known("repository", _state(error), str(error))]
    names = (init.needed(project), init.needed(project, init.WORKFLOWS[1]))
    wanted = github_setup.Wanted(checkout.repository, project.environment, *names, checkout.main)
    hub = github_setup.begin(wanted)
    files = [_known_all(what, found) for what, found in init.lacking(project).items()]
    return [*_places(own, checkout, token, read), *files, hub]


def _places(own: Settings, found: git.Checkout | None, token: str, read: Read | None) -> list[Answer]:
    """Main's word on where things are, and what is asked there."""
    place, answers = _main(own, found)
    settings = place.settings
    monitors = _begun("Sentry", lambda: _sentry(settings, token))
    datasets = partial(_datasets, place, read)
    try:
        cluster = clusters.connect(settings)
    except StagingError as error:
        none = _known("cluster", WRONG, str(error), "kubectl config get-contexts")
        return [*answers, none, monitors, lambda: datasets(None)]
    questions: dict[str, Answer] = {
        "cluster": partial(cluster_access.server, cluster),
        "namespace": partial(cluster_access.namespace, cluster),
        "rights": partial(cluster_access.held, cluster),
    }
    asked = [_begun(what, question) for what, question in questions.items()]
    there = shell.begin(partial(kubectl.everything, cluster))
    return [*answers, *asked, _namespace_set(settings, cluster), monitors, lambda: datasets(there)]


def _main(own: Settings, found: git.Checkout | None) -> tuple[main_settings.Place, list[Answer]]:
    notes: list[str] = []
    fetch = shlex.join(("git", "fetch", own.remote, own.main))
    try:
        place = main_settings.placed(own, notes.append)
    except StagingError as error:
        # No token goes to an address that main has not confirmed.
        return main_settings.Place(without_main(own), found), [_known("main", _state(error), str(error), fetch)]
    if place.problem:
        return place, [_known("main", UNKNOWN, place.problem, fetch)]
    where = f"{own.remote}/{own.main}"
    try:
        preflight.check_place(own, place.settings, where)
    except Refused as error:
        return place, [_known("main", WRONG, str(error), shlex.join(("git", "diff", where, "--", "pyproject.toml")))]
    return place, [_known("main", OK, f"{where} was fetched. Its settings say where releases are")]


# -- what this machine has ---------------------------------------------------------------------------------------------


def _kubectl() -> str:
    text = shell.run("kubectl", "version", "--client", "-o", "json").stdout
    try:
        return str(json.loads(text)["clientVersion"]["gitVersion"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Outside("kubectl does not say its version") from None


def _git() -> str:
    return shell.run("git", "--version").stdout.strip().removeprefix("git version ")


def _program(name: str, version: Callable[[], str]) -> list[Look]:
    try:
        return [Look(name, OK, version())]
    except Outside as error:
        return [Look(name, WRONG, str(error))]


# -- where things go ---------------------------------------------------------------------------------------------------


def _namespace_set(settings: Settings, cluster: Cluster) -> Answer:
    """Whether everybody means the same namespace."""
    if settings.namespace:
        return list
    text = f"namespace is not set in {TABLE} on main, so each kubeconfig decides. Here it is {cluster.namespace}"
    return _known("namespace set", WRONG, text, f'namespace = "{cluster.namespace}"')


def _sentry(settings: Settings, token: str) -> list[Look]:
    if not token and (settings.sentry_org or settings.sentry_project):
        text = "SENTRY_AUTH_TOKEN is not set here, so the token cannot be tried. Only cleanup, pause and resume use it"
        return [Look("Sentry", UNKNOWN, text)]
    tokens: tuple[str, ...] = (f"{settings.sentry_url}/settings/{settings.sentry_org}/developer-settings/",)
    if not (settings.sentry_org and settings.sentry_project):
        tokens = ('sentry-org = "my-organization"', 'sentry-project = "weather"')
    try:
        project = sentry.connect(settings, token)
        if project is None:
            return [Look("Sentry", OK, "not set up, so monitors are not touched")]
        count = len(sentry.listed(project))
        scopes = sentry.scopes(project)
    except (Usage, sentry.Denied) as error:
        return [Look("Sentry", WRONG, str(error), tokens)]
    if scopes is None:
        text = f"the token lists {count} monitors of {project}; Sentry does not tell its scopes"
        return [Look("Sentry", UNKNOWN, text, tokens)]
    if not scopes & sentry.DELETING:
        text = f"the token lists the monitors of {project}, and cannot delete them: it lacks the scope alerts:write"
        return [Look("Sentry", WRONG, text, tokens)]
    return [Look("Sentry", OK, f"the token lists {count} monitors of {project}, and may delete them")]


# -- what the code says ------------------------------------------------------------------------------------------------


def _datasets(
    place: main_settings.Place, read: Read | None, there: Callable[[], dict[str, kubectl.Object]] | None
) -> list[Look]:
    settings = place.settings
    if read is None:  # it could read the token: see docs/security.md
        text = "their code is not loaded while SENTRY_AUTH_TOKEN is set"
        return [Look("datasets", UNKNOWN, text, ("env -u SENTRY_AUTH_TOKEN staging doctor",))]
    try:
        datasets = read()
    except StagingError as error:
        return [told("datasets", WRONG, str(error))]
    verdicts = check.prove(datasets, settings)
    bad = [f"{v.dataset_id} v{v.version} cannot be staged: {v.problem}" for v in verdicts if v.problem]
    fine = len({v.dataset_id for v in verdicts if v.release and not (v.problem or v.absent)})
    found = _several("datasets", bad, f"{fine} of {len(datasets)} can be staged", "staging check")
    if place.checkout:
        found += _several("templates", _templates(place.checkout, datasets), "they have the versions of the code")
    if settings.store_isolation == "version":
        found += _several("stores", _shared_stores(datasets), "each has its version in its URL")
    sound = {v.dataset_id for v in verdicts if v.release} - {v.dataset_id for v in verdicts if v.problem}
    found.append(_archivers([d for d in datasets if d.dataset_id in sound], settings))
    return found + (_applied(datasets, settings, there) if there else [])


def _templates(checkout: git.Checkout, datasets: Iterable[Dataset]) -> list[str]:
    found = []
    for dataset in datasets:
        if dataset.version is not None:
            try:
                preflight.check_template(dataset, StagedVersion(dataset.dataset_id, dataset.version), checkout)
            except StagingError as error:
                found.append(str(error))
    return found


def _shared_stores(datasets: Iterable[Dataset]) -> list[str]:
    return [
        f"{url} of {dataset.dataset_id} does not have version {dataset.version} in it: other versions may write there"
        for dataset in datasets
        for url in dataset.stores
        if dataset.version and dataset.cronjobs and not stores.is_own(url, dataset.version)
    ]


def _archivers(datasets: Iterable[Dataset], settings: Settings) -> Look:
    if found := isolation.archiving(datasets, settings):
        return Look("jobs", UNKNOWN, found[0], found[1:])
    return Look("jobs", OK, "none says by its name or command that it archives")


def _applied(
    datasets: Sequence[Dataset], settings: Settings, there: Callable[[], dict[str, kubectl.Object]]
) -> list[Look]:
    """What was staged with kubectl apply."""
    production = {name_of(c) for d in datasets for c in d.cronjobs}
    try:
        names = sorted(name for name in set(there()) - production if name.startswith(staged_with_kubectl.START))
    except StagingError as error:
        return [Look("kubectl apply", UNKNOWN, f"what was staged so: {error}")]
    old = [name for name in names if staged_with_kubectl.matches(name, datasets, settings)]
    told_each = [
        f"CronJob {name} was staged with kubectl apply. docs/migrating.md makes a release of it" for name in old
    ]
    return _several("kubectl apply", told_each, "nothing is staged so", "staging check")


# -- how it is told ----------------------------------------------------------------------------------------------------


def _several(what: str, wrong: Sequence[str], fine: str, *commands: str) -> list[Look]:
    """One look for each sentence, up to a number; one where nothing is wrong."""
    if not wrong:
        return [Look(what, OK, fine)]
    found = [told(what, WRONG, sentence, *commands) for sentence in wrong[:SHOWN]]
    more = len(wrong) - SHOWN
    return [*found, *([Look(what, WRONG, f"{more} more", commands)] if more > 0 else [])]


def _mended(found: Look) -> Look:
    """With what mends it, or shows more of it."""
    return found if found.commands or found.state == OK else replace(found, commands=MENDS.get(found.what, ()))


def _begun(what: str, question: Answer) -> Answer:
    """A question that is begun; where it fails, nothing is known."""
    answer = shell.begin(question)

    def waited() -> list[Look]:
        try:
            return answer()
        except StagingError as error:
            return [told(what, _state(error), str(error))]

    return waited


def _known(what: str, state: str, sentence: str, *commands: str) -> Answer:
    return lambda: [told(what, state, sentence, *commands)]


def _known_all(what: str, wrong: Sequence[str]) -> Answer:
    fine = {"workflows": "up to date", "settings": f"{TABLE} is there", "Dockerfile": "found"}
    undecided = any(sentence.endswith(init.DATASETS) for sentence in wrong)
    commands = {"workflows": "staging init", "settings": init.DATASETS if undecided else "staging init"}
    named = [commands[what]] if what in commands else []
    return lambda: _several(what, wrong, fine.get(what, "installed as it should be"), *named)


def _state(error: StagingError) -> str:
    """What could not be asked is unknown; what was asked and refused is wrong."""
    return UNKNOWN if isinstance(error, Outside) else WRONG
