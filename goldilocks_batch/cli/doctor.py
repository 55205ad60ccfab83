"""``doctor``: is everything there that a run needs?"""

from __future__ import annotations

import typer

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import Exit, guarded
from goldilocks_batch.config.run import RunConfig

__all__ = ["doctor"]


@guarded
@opt.of_run(
    "output", "model", "confidence", "grid", "device", *opt.FILES, "executor", "workers", "gpus", file=True
)
def doctor(settings: RunConfig) -> None:
    """Check the environment: versions, model files, folders, locks, scheduler, GPUs; say what to do.

    **Examples**

    `goldilocks-batch doctor --config slurm.yaml`

    `goldilocks-batch doctor --model alignn --artifacts models/`
    """
    from goldilocks_batch.cli.tables import console
    from goldilocks_batch.runs.doctor import examine

    findings, out = examine(settings), console()
    for finding in findings:
        out.print(f"{finding.state:<8} {finding.subject}: {finding.text}")
    raise typer.Exit(Exit.NOT_RUN if any(f.state == "problem" for f in findings) else Exit.OK)
