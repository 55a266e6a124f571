"""The `staging` command. Heavy modules are imported by the command that needs them."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from . import completion, control, overview, project, removal

PARTS = (  # in the order of the help
    ("Operate what is staged", (overview.app, control.app, removal.app)),
    ("Work on a project", (project.app,)),
    ("Set up your shell", (completion.app,)),
)


class Parted(TyperGroup):
    """The program, whose help has the commands of an operator first, under a heading of their own."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - Typer's signature
        """Write a list for each part, all as wide."""
        shown = {name: command for name, command in self.commands.items() if not command.hidden}
        width = max(map(len, shown))
        for title, apps in PARTS:
            commands = [command for part in apps for command in part.registered_commands]
            names = [c.name or getattr(c.callback, "__name__", "") for c in commands]
            room = formatter.width - width - 6  # as click leaves around them
            rows = [(name.ljust(width), shown[name].get_short_help_str(room)) for name in names if name in shown]
            with formatter.section(title):
                formatter.write_dl(rows)


app = typer.Typer(
    cls=Parted,
    name="staging",
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def program(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """Run several versions of a dataset side by side on Kubernetes."""
    if version:
        from .. import __version__
        from ..external import shipped
        from ..output.printing import show

        show(f"{__version__} (commit {commit})" if (commit := shipped.commit()) else __version__)
        raise typer.Exit


for _, apps in PARTS:
    for part in apps:
        app.add_typer(part)
