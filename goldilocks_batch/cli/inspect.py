"""``inspect``: all that is known of one structure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import Exit, guarded
from goldilocks_batch.config.run import RunConfig

__all__ = ["inspect"]


@guarded
@opt.of_run(*opt.ASKED)
def inspect(
    structure: Annotated[Path, typer.Argument(help="One structure file.")], settings: RunConfig
) -> None:
    """Show all that is known of one structure: cells, symmetry, feature blocks, bounds, meshes, flags.

    **Examples**

    `goldilocks-batch inspect examples/structures/Si-diamond.cif --model mc3d`

    `goldilocks-batch inspect POSCAR --artifacts models/`

    `goldilocks-batch inspect Al.cif --model alignn --single-site supercell --artifacts models/`
    """
    from goldilocks_batch.cli.inspection import print_inspection

    failed = print_inspection(settings.updated(inputs=(structure,)))
    raise typer.Exit(Exit.SOME_FAILED if failed else Exit.OK)
