"""The commands of this repository."""

from typing import Annotated

import typer

from weather.datasets import DATASETS

app = typer.Typer(no_args_is_help=True)


@app.command()
def deploy_production(docker_image: Annotated[str, typer.Option()]) -> None:
    """Deploy the CronJobs of all datasets."""
    for dataset in DATASETS:
        for job in dataset.operational_kubernetes_resources(docker_image):
            typer.echo(job.name)


for dataset in DATASETS:
    commands = typer.Typer(help=f"Work on {dataset.dataset_id}.")

    @commands.command()
    def update() -> None:
        """Bring it up to date."""

    @commands.command()
    def backfill_kubernetes(docker_image: Annotated[str, typer.Option()]) -> None:
        """Write all of it."""

    app.add_typer(commands, name=dataset.dataset_id)

if __name__ == "__main__":
    app()
