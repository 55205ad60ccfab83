"""``config``: configuration files to start from."""

from __future__ import annotations

from typing import Annotated

import typer

from goldilocks_batch.cli.exits import guarded
from goldilocks_batch.cli.help import Command, Group

__all__ = ["app"]

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Configuration files to start from.

    **Example**

    `goldilocks-batch config example local > local.yaml`
    """,
)


@app.command(cls=Command)
@guarded
def example(
    name: Annotated[
        str | None, typer.Argument(help="local, slurm-cpu, train-rf …; without a name they are listed.")
    ] = None,
) -> None:
    """Print an example configuration; `local` has every option of a run with its default.

    **Examples**

    `goldilocks-batch config example`

    `goldilocks-batch config example slurm-cpu > slurm.yaml`
    """
    from goldilocks_batch.config import bundled

    if name is not None:
        typer.echo(bundled.example(name), nl=False)
        return
    for known, text in bundled.examples().items():
        remarks = [line.lstrip("# ") for line in text.splitlines() if line.startswith("# ")]
        what = next(line for line in remarks if not line.startswith("goldilocks-batch "))
        first, _, _ = what.partition(". ")
        typer.echo(f"{known:<14} {first.rstrip('.')}")
