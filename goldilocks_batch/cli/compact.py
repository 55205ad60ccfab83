"""``compact``: few large result files."""

from __future__ import annotations

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import guarded

__all__ = ["compact"]


@guarded
def compact(output: opt.Folder) -> None:
    """Write few large result files in place of many small ones; results and resuming stay the same.

    **Example**

    `goldilocks-batch compact screening`
    """
    from goldilocks_batch.cli.tables import console
    from goldilocks_batch.results.folder import RunFolder

    before, after = RunFolder.of(output).compact()
    console().print(f"{before:,} result files before, {after:,} now")
