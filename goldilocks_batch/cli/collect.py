"""``collect``: complete a run on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import guarded
from goldilocks_batch.cli.taking import takes
from goldilocks_batch.config.run import RunConfig

__all__ = ["collect"]


def _changes(_path: Path | None, **given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


@guarded
@takes(
    "changes",
    RunConfig,
    "device",
    "artifacts",
    "offline",
    *opt.WORKERS,
    "gpus",
    "compact_above",
    "quiet",
    load=_changes,
)
def collect(output: opt.Folder, changes: dict[str, Any]) -> None:
    """Complete a run with the configuration kept in its folder, on this machine unless told otherwise.

    Convergence studies are completed likewise, and their tables written.

    **Example**

    `goldilocks-batch collect screening`
    """
    from goldilocks_batch.cli.logs import hush
    from goldilocks_batch.cli.progress import observer_for
    from goldilocks_batch.cli.summary import end_of_run
    from goldilocks_batch.results.folder import RunFolder
    from goldilocks_batch.runs.array import recorded_config
    from goldilocks_batch.runs.run import run

    changes = {"executor": "local", "cluster": None, **changes}
    if RunFolder.of(output).holds_studies:
        _collect_studies(output, changes)
    settings = recorded_config(output).updated(**changes)
    if settings.quiet:
        hush()
    with observer_for(settings.quiet) as observer:
        summary = run(settings, observer=observer)
    raise end_of_run(summary)


def _collect_studies(output: Path, changes: dict[str, Any]) -> NoReturn:
    from goldilocks_batch.cli.converge import end_of_studies
    from goldilocks_batch.cli.logs import hush
    from goldilocks_batch.cli.progress import observer_for
    from goldilocks_batch.convergence.attempt import recorded_studies
    from goldilocks_batch.convergence.converge import converge

    settings = recorded_studies(output).updated(**changes)
    if settings.run.quiet:
        hush()
    with observer_for(settings.run.quiet, "converging", "studies") as observer:
        summary = converge(settings, observer=observer)
    raise end_of_studies(summary)
