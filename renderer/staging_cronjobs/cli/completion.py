"""Completion for bash, zsh and fish: `staging completion`, and what its scripts ask at each press of TAB.

It is our own and not Typer's, whose zsh script evaluates what it is given: names come from a cluster.
"""

import inspect
import re
import signal
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, get_args

import typer

from ..errors import StagingError
from ..output.printing import show_text
from .reporting import interrupt, reported

app = typer.Typer()
SECONDS = 3  # that a person may wait for names
REQUEST = "--request-timeout=2s"
WORD = re.compile(r"[a-z0-9][a-z0-9./-]*")  # no name has anything else, and a shell reads it as it stands
PLACES = {"--namespace": "namespace", "-n": "namespace", "--kube-context": "kube_context", "--context": "kube_context"}
NAMED = {"--branch": "branch", "--dataset-id": "dataset_id", "--version": "version"}
SCRIPTS = {
    "bash": """
_staging() {
  COMPREPLY=()
  local word
  while IFS= read -r word; do COMPREPLY+=("$word"); done < <(
    staging __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null
  )
}
complete -o default -F _staging staging
""",
    "zsh": """
#compdef staging
_staging() {
  local -a found
  found=("${(@f)$(staging __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "${found[*]}" ]]; then compadd -- "${found[@]}"; else _files; fi
}
if [[ "${funcstack[1]}" == _staging ]]; then _staging "$@"; else compdef _staging staging; fi
""",
    "fish": """
function __staging_complete
    set --local words (commandline --tokenize --cut-at-cursor --current-process) (commandline --current-token)
    staging __complete -- $words[2..-1] 2>/dev/null
end
complete --command staging --no-files --arguments '(__staging_complete)'
""",
}


class Shell(StrEnum):
    """The shells that have a script."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


@app.command()
@reported
def completion(shell: Annotated[Shell, typer.Argument(help="Your shell.", show_default=False)]) -> None:
    """Print the script that completes commands, options and names in your shell."""
    show_text(SCRIPTS[shell].strip())


@app.command(name="__complete", hidden=True)
def complete(context: typer.Context, words: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Print what the last of the words may become, a line each; nothing where that fails."""
    if found := candidates(context.find_root().command, words or [""]):
        show_text("\n".join(found))


def candidates(root: Any, words: Sequence[str]) -> list[str]:
    """What the last word may become, given those before it."""
    *before, last = [word for word in words if word != "="] + ([""] if words[-1] == "=" else [])  # bash splits at it
    given = [word for word in before if word in root.commands]
    if not given:
        found: Iterable[str] = _options(root) if last.startswith("-") else _commands(root)
        return [word for word in found if word.startswith(last)]
    command = root.commands[given[0]]
    option = next((p for p in command.params if before[-1] in p.opts and not getattr(p, "is_flag", False)), None)
    if option is None and last.startswith("-"):
        return [word for word in _options(command) if word.startswith(last)]
    argument = next((p for p in command.params if p.param_type_name == "argument"), None)
    wanted = option or argument
    return sorted({word for word in _values(command, wanted, before, last) if word.startswith(last)}) if wanted else []


def _commands(root: Any) -> Iterator[str]:
    return (name for name, command in root.commands.items() if not command.hidden)


def _options(command: Any) -> Iterator[str]:
    for param in command.params:
        if param.param_type_name == "option" and not param.hidden:
            yield from (name for name in param.opts if name.startswith("--"))
    yield "--help"


def _values(command: Any, param: Any, before: Sequence[str], last: str) -> Iterable[str]:
    kind, *_ = get_args(inspect.unwrap(command.callback).__annotations__.get(param.name)) or (str,)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return list(kind)
    wanted = param.name if param.name == "name" else NAMED.get(param.opts[0], "")
    return _staged(wanted, before, last) if wanted else []


def _staged(kind: str, before: Sequence[str], last: str) -> list[str]:
    """What there is in the cluster, as far as it can be told soon: nobody is kept waiting, and no error is shown."""
    try:
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        found = list(_names(kind, before, last))
    except (Exception, KeyboardInterrupt):
        return []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return [word for word in found if WORD.fullmatch(word)]


def _names(kind: str, before: Sequence[str], last: str) -> Iterator[str]:
    from ..external import cluster as clusters
    from ..model.marks import LABEL
    from ..model.staged_version import StagedVersion
    from .options import settings_for

    place = {PLACES[word]: value for word, value in pairwise(before) if word in PLACES}
    cluster = clusters.connect(settings_for(**place))
    for cronjob in cluster.get("cronjobs", f"{LABEL}release", REQUEST):
        labels = cronjob["metadata"].get("labels") or {}
        try:
            staged = StagedVersion(labels.get(f"{LABEL}dataset-id", ""), labels.get(f"{LABEL}dataset-version", ""))
        except StagingError:  # somebody else's labels
            continue
        if kind == "name" and last.startswith("staging-"):
            yield from (staged.release, str(cronjob["metadata"]["name"]))
        else:
            yield staged.branch if kind == "name" else getattr(staged, kind)
