"""What GitHub has set up for the workflows and the stage branches, as far as its program `gh` can tell."""

import json
import re
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any
from urllib.parse import quote

from ..errors import Outside, Refused
from ..external import gh, shell
from ..model.doctor import OK, UNKNOWN, WRONG, Look

BRANCH = "stage/doctor/v0"  # stands for every stage branch: no such branch need be there
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
NAME = re.compile(r"[A-Z0-9_]+")
PRINTED = "`staging init` prints the commands for GitHub"
KEPT = {"creation", "update"}  # rules that keep stage branches to those who may
IN_THE_WAY = {
    "deletion": "nobody may delete them, so a cleanup cannot",
    "non_fast_forward": "nobody may force push to them",
    "pull_request": "every change needs a pull request, so nobody can push a version",
}
WILD = {"**/": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}
BROKEN = (TypeError, KeyError, AttributeError, IndexError)  # what reading an answer of another shape raises
Ask = Callable[[], list[Any] | None]


@dataclass(frozen=True)
class Wanted:
    """What the workflows of a repository need on GitHub."""

    repository: str
    environment: str  # that the workflows name
    names: Collection[str]  # of secrets or variables
    cleanup_names: Collection[str]  # those of them that cleanups read, which may have an environment of their own
    main: str


def begin(wanted: Wanted) -> Callable[[], list[Look]]:
    """Start all questions; gives the function that waits for the answers."""
    if not REPOSITORY.fullmatch(wanted.repository):
        text = f"{wanted.repository} cannot be a repository of GitHub"
        look = Look("GitHub", UNKNOWN, text, ("git remote --verbose",))
        return lambda: [look]
    start = f"repos/{wanted.repository}"
    common = {
        "repository": start,
        "variables": f"{start}/actions/variables",
        "secrets": f"{start}/actions/secrets",
        "organization's variables": f"{start}/actions/organization-variables",
        "organization's secrets": f"{start}/actions/organization-secrets",
        "rules": f"{start}/rules/branches/{quote(BRANCH, safe='')}",
    }
    paths = common | _of_environment(start, wanted.environment)
    asked: dict[str, Ask] = {what: cache(shell.begin(partial(gh.get, path))) for what, path in paths.items()}
    return lambda: _answered(wanted, start, asked)


def _of_environment(start: str, environment: str) -> dict[str, str]:
    path = f"{start}/environments/{quote(environment, safe='')}"
    return {
        "environment": path,
        "branches": f"{path}/deployment-branch-policies",
        "environment's variables": f"{path}/variables",
        "environment's secrets": f"{path}/secrets",
    }


def _answered(wanted: Wanted, start: str, asked: dict[str, Ask]) -> list[Look]:
    try:
        default = (asked["repository"]() or [{}])[0].get("default_branch")
    except (Outside, *BROKEN) as error:
        return [Look("GitHub", UNKNOWN, _said(error), _login(error))]
    if default is None:
        text = f"gh cannot see {wanted.repository}: it is not there, or not for this account"
        return [Look("GitHub", UNKNOWN, text, ("gh auth status",))]
    found = [_default_branch(wanted, str(default))]
    named = _chosen(asked, "STAGING_ENVIRONMENT") or wanted.environment
    cleanup = _chosen(asked, "STAGING_CLEANUP_ENVIRONMENT") or named
    own = asked if named == wanted.environment else asked | _asking(start, named)
    looks = {
        f"environment {named}": lambda: _environment(wanted, named, own),
        "secrets and variables": lambda: _names(wanted.names, named, own),
        "rules of stage branches": lambda: _rules(wanted, own["rules"]),
    }
    if cleanup != named:
        other = asked | _asking(start, cleanup)
        looks |= {
            f"environment {cleanup}": lambda: _cleanup_environment(wanted, cleanup, other),
            "secrets and variables of cleanups": lambda: _names(wanted.cleanup_names, cleanup, other),
        }
    for what, look in looks.items():
        try:
            state, text, commands = look()
            found.append(Look(what, state, text, commands))
        except Refused as error:
            found.append(Look(what, WRONG, str(error), ("staging init",)))
        except (Outside, *BROKEN) as error:
            found.append(Look(what, UNKNOWN, _said(error), _login(error)))
    return found


def _asking(start: str, environment: str) -> dict[str, Ask]:
    return {what: cache(partial(gh.get, path)) for what, path in _of_environment(start, environment).items()}


def _default_branch(wanted: Wanted, default: str) -> Look:
    if default == wanted.main:
        return Look("GitHub", OK, f"{wanted.repository}, default branch {default}")
    text = (
        f"the default branch of {wanted.repository} is {default}, and main is {wanted.main}. GitHub runs cleanups from "
        f"the default branch: the workflows must be there too"
    )
    return Look("GitHub", UNKNOWN, text, (f"gh repo edit {wanted.repository} --default-branch {wanted.main}",))


def _chosen(asked: Mapping[str, Ask], variable: str) -> str:
    """The environment that a variable of the repository names, else of its organization; empty where none does."""
    for place in ("variables", "organization's variables"):
        try:
            listed = [v for page in asked[place]() or () for v in page.get("variables", ())]
            named = next((v["value"] for v in listed if v["name"] == variable), "")
        except (Outside, *BROKEN):
            continue
        if named and isinstance(named, str):
            return named
    return ""


Found = tuple[str, str, tuple[str, ...]]  # state, what was found, commands


def _environment(wanted: Wanted, name: str, asked: Mapping[str, Ask]) -> Found:
    path, policy = _policy(wanted, name, asked)
    if policy is None:
        return OK, "all branches may deploy there", ()
    if not policy["custom_branch_policies"]:
        text = 'only protected branches may deploy there. Choose "Selected branches and tags" in its settings first'
        return WRONG, text, (_allowing(path, "stage/*/*"), _allowing(path, wanted.main))
    return _allowed(path, _patterns(asked), {"stage/*/*": BRANCH, wanted.main: wanted.main})


def _cleanup_environment(wanted: Wanted, name: str, asked: Mapping[str, Ask]) -> Found:
    """It is there so that stage branches do not see its secrets: main alone may use it."""
    path, policy = _policy(wanted, name, asked)
    if policy is None or not policy["custom_branch_policies"]:
        who = "all branches" if policy is None else "only protected branches"
        text = f'{who} may use it. Choose "Selected branches and tags" in its settings, so that main alone may'
        return WRONG, text, (_allowing(path, wanted.main),)
    patterns = _patterns(asked)
    if open_to := [pattern for pattern in patterns if matches(pattern, BRANCH)]:
        text = f"stage branches may use it too ({', '.join(open_to)}), and see its secrets. Remove that"
        chosen = shlex.quote(f".branch_policies[] | select(.name == {json.dumps(open_to[0])}).id")
        policies = shlex.quote(f"{path}/deployment-branch-policies")
        return WRONG, text, (f'gh api --method DELETE {policies}/"$(gh api {policies} --jq {chosen})"',)
    return _allowed(path, patterns, {wanted.main: wanted.main})


def _policy(wanted: Wanted, name: str, asked: Mapping[str, Ask]) -> tuple[str, Any]:
    """The path of an environment, and which branches may use it. Raises `Refused` where there is none."""
    if (there := asked["environment"]()) is None:
        raise Refused(f"{wanted.repository} has no environment {name}. {PRINTED}")
    path = f"repos/{wanted.repository}/environments/{quote(name, safe='')}"
    return path, there[0]["deployment_branch_policy"]


def _patterns(asked: Mapping[str, Ask]) -> list[str]:
    return [str(b["name"]) for page in asked["branches"]() or () for b in page["branch_policies"]]


def _allowed(path: str, patterns: Collection[str], wanted: Mapping[str, str]) -> Found:
    """Whether each branch, by the pattern that would allow it, may use an environment."""
    lacking = [needed for needed, branch in wanted.items() if not any(matches(pattern, branch) for pattern in patterns)]
    if not lacking:
        return OK, f"these branches may deploy there: {', '.join(patterns)}", ()
    text = f"{' and '.join(lacking)} may not deploy there: only {', '.join(patterns) or 'no branch'}"
    return WRONG, text, tuple(_allowing(path, needed) for needed in lacking)


def _allowing(path: str, pattern: str) -> str:
    return (
        f"gh api --method POST {shlex.quote(f'{path}/deployment-branch-policies')} -f {shlex.quote(f'name={pattern}')}"
    )


def _names(wanted: Collection[str], environment: str, asked: Mapping[str, Ask]) -> Found:
    """Whether the workflows find what they read, as a secret or a variable, of the environment or above it."""
    there: set[str] = set()
    unread: list[str] = []
    for place in ("environment's ", "", "organization's "):
        for kind in ("variables", "secrets"):
            try:
                pages = asked[f"{place}{kind}"]() or []
                there |= {str(entry["name"]) for page in pages for entry in page[kind]}
            except (Outside, *BROKEN) as error:
                unread.append(_said(error))
    missing = [name for name in wanted if name not in there]
    if not missing:
        return OK, ", ".join(wanted) or "none is needed", ()
    where = f"--env {shlex.quote(environment)}"
    if unread:
        commands = (f"gh variable list {where}", f"gh secret list {where}")
        return UNKNOWN, f"whether there are {', '.join(missing)}: {unread[0]}", commands
    commands = tuple(f"gh variable set {name} {where}" for name in missing)
    return WRONG, f"neither environment {environment} nor the repository has {', '.join(missing)}", commands


def _rules(wanted: Wanted, rules: Ask) -> Found:
    pages = rules()
    listing = (f"gh ruleset check {BRANCH} --repo {wanted.repository}",)
    if pages is None:
        return UNKNOWN, "GitHub tells no rules of branches here", listing
    kinds = {str(rule["type"]) for page in pages for rule in _listed(page)}
    if against := sorted(kinds & IN_THE_WAY.keys()):
        told = "; ".join(IN_THE_WAY[kind] for kind in against)
        return WRONG, f"another ruleset is in the way: {told}. Exclude stage/** in it", listing
    if lacking := sorted(KEPT - kinds):
        return (
            WRONG,
            f"no rule says who may change stage branches (no {', '.join(lacking)}). {PRINTED}",
            ("staging init",),
        )
    return OK, "only those whom the ruleset names may create and update them", ()


def matches(pattern: str, branch: str) -> bool:
    """Whether a pattern of GitHub's takes the branch: `*` does not match a slash."""
    words = re.findall(r"(?:\*\*/)+|\*+|.", pattern, re.DOTALL)
    once = ("**/" if word.startswith("**/") else word[:1] for word in words)
    return bool(re.fullmatch("".join(WILD.get(word) or re.escape(word) for word in once), branch))


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, Outside) else "GitHub's answer is not understood"


def _login(error: Exception) -> tuple[str, ...]:
    if "not installed" in str(error):
        return ("https://cli.github.com",)
    return ("gh auth login",) if "auth" in str(error) else ("gh auth status",)


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value
