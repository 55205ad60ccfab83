"""``cluster``: configurations for the cluster at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import guarded
from goldilocks_batch.cli.help import Command, Group

__all__ = ["app"]

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Configurations for the cluster at hand.

    **Example**

    `goldilocks-batch cluster init -o slurm.yaml`
    """,
)


@app.command(cls=Command)
@guarded
def init(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path("slurm.yaml"),
    overwrite: opt.Overwrite = False,
) -> None:
    """Ask SLURM for its partitions and accounts, and write a configuration with them.

    **Example**

    `goldilocks-batch cluster init -o slurm.yaml`
    """
    from goldilocks_batch.cli.tables import console
    from goldilocks_batch.core.errors import ConfigError, ErrorCode
    from goldilocks_batch.runs.doctor import site_configuration

    if output.exists() and not overwrite:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID, f"{output} exists; choose another --output or --overwrite"
        )
    output.write_text(site_configuration(), encoding="utf-8")
    console().print(f"{output} written; look through it, then: goldilocks-batch doctor --config {output}")
