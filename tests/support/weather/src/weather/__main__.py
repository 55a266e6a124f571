"""The commands of this repository."""

import typer

from weather.datasets import DATASETS

app = typer.Typer(no_args_is_help=True, help="Weather datasets.")


@app.command()
def list_datasets() -> None:
    """Print the id of every dataset."""
    for dataset in DATASETS:
        typer.echo(dataset.dataset_id)


@app.command()
def update(dataset_id: str) -> None:
    """Bring a dataset up to date."""
    typer.echo(f"update {dataset_id}")


@app.command()
def validate(dataset_id: str) -> None:
    """Look whether a dataset is up to date and sound."""
    typer.echo(f"validate {dataset_id}")


@app.command()
def archive(dataset_id: str, destination: str = "s3://weather-archive") -> None:
    """Keep the source files of a dataset."""
    typer.echo(f"archive {dataset_id} in {destination}")


if __name__ == "__main__":
    app()
