"""The `staging` command. Heavy modules are imported by the command that needs them."""

from typing import Annotated

import typer

from . import completion, operators, project

app = typer.Typer(
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


app.add_typer(operators.app)  # the order of the help
app.add_typer(project.app)
app.add_typer(completion.app)
