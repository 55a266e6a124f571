"""Whose settings count: main's say where releases are and where a token goes. A checked-out branch could lie."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..errors import Outside, Refused
from ..model import settings as rules
from ..model.settings import Settings
from . import git, shell


@dataclass(frozen=True)
class Place:
    """What is known of where releases are."""

    settings: Settings
    checkout: git.Checkout | None  # None in no checkout
    problem: str = ""  # why main is not as the remote has it now

    def fetched(self) -> git.Checkout:
        """The checkout, whose main is as the remote has it now. Raises `Outside` where there is none, or it is not."""
        found = self.checkout or git.checkout(self.settings)
        if self.problem:
            raise Outside(self.problem)
        return found


@shell.ahead()
def with_main(found: git.Checkout, own: Settings) -> tuple[git.Checkout, Settings]:
    """The checkout with main fetched, and the settings with what main says about places: see `settings.from_main`.

    Raises `Refused` for a main that only the checked-out branch calls so.
    """
    if "main" in own.given:
        found.fetch_main()
    else:
        found.fetch_main(f"+HEAD:{found.default_ref}")
        shell.begin(lambda: _settled(found, own))
        _confirm_main(found, own)
    return _settled(found, own)


def placed(own: Settings, say: Callable[[str], object]) -> Place:
    """The settings with what main says about places, for work on a release; `say` gets what was used instead of main.

    A stage branch may be checked out: its own word on where releases are, and where a token goes, must not count.
    Raises `Outside` when a checkout is there and its main cannot be read.
    """
    found = git.find(own)
    if found is None:
        return Place(_without_main(own, say), None, f"{own.project} is in no git checkout")
    try:
        checkout, settings = with_main(found, own)
        return Place(settings, checkout)
    except Outside as error:
        if not found.commits(found.main_ref) or not ("main" in own.given or own.main == Settings().main):
            raise Outside(
                f"{error}. Only main's settings say where releases are: pass --namespace and --kube-context, or run "
                "this outside of the checkout."
            ) from None
        say(f"{error}. The settings of {found.remote}/{found.main} are those that were fetched last.")
        checkout, settings = _settled(found, own)
        return Place(settings, checkout, str(error))


def _settled(found: git.Checkout, own: Settings) -> tuple[git.Checkout, Settings]:
    """The checkout and settings, with main as it was fetched."""
    text, path = found.settings_at(found.main_ref, own.project)
    settings = rules.from_main(own, text, found.on_main(path))
    if (settings.remote, settings.repository) == (own.remote, own.repository):  # then it is the same checkout
        return replace(found, main=settings.main, version_source=settings.version_source), settings
    return git.checkout(settings), settings


def _without_main(own: Settings, say: Callable[[str], object]) -> Settings:
    """In no checkout a person's own settings are all there is: no branch has written them."""
    settings, file = rules.without_main(own), own.project / "pyproject.toml"
    if not {"namespace", "kube_context"} <= own.given and file.is_file():
        say(f"{own.project} is in no git checkout. Settings are read from {file} and the kubeconfig.")
    if settings != own:
        say(f"sentry-url of {file} is not used, because no main confirms it. Set SENTRY_URL to {own.sentry_url}.")
    return settings


def _confirm_main(found: git.Checkout, own: Settings) -> None:
    """A branch could call itself main in its own file, so the remote's default branch must call the same one main."""
    if len({*found.commits(found.main_ref, found.default_ref)}) == 1:
        return
    text, path = found.settings_at(found.default_ref, own.project)
    where = f"{path} on the default branch of {found.remote}"
    if (default := rules.main_of(text, where)) != own.main:
        raise Refused(
            f"{own.project / 'pyproject.toml'} says that main is {own.main!r}, and {where} says {default!r}. "
            "Both must name production's branch. Correct one of them, or set STAGING_MAIN."
        )
