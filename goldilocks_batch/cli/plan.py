"""What ``--dry-run`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from goldilocks_batch.cli.tables import console, ignored_files, rounded
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.runs.dry_run import check_array, check_requests, plan, scripts

if TYPE_CHECKING:
    from goldilocks_batch.config.convergence import ConvergeConfig

__all__ = ["print_plan", "print_plan_of_studies"]


def print_plan(config: RunConfig, *, array: bool = False) -> None:
    """What a run would do, and the job scripts it would submit.

    Raises:
        GoldilocksError: as :func:`~goldilocks_batch.runs.dry_run.plan`, or a job could never start.
    """
    if array or config.submits_jobs:
        check_requests(config)
    planned, out = plan(config, array=array), console()
    if array:
        check_array(sum(planned.jobs.values()))
    source = "measured in this run" if planned.measured else "typical of the model"
    out.print(f"{planned.rows:,} rows, {planned.left:,} to do in {planned.shards:,} shards")
    out.print(
        f"about {rounded(planned.core_hours)} core-hours at {rounded(1000 * planned.core_seconds)} ms a "
        f"structure ({source})"
    )
    if ignored := ignored_files(planned.ignored):
        out.print(ignored)
    if planned.fetches:
        out.print(f"to be fetched into the cache first: {', '.join(planned.fetches)}")
    _print_scripts(scripts(config, planned.jobs, array=array))


def print_plan_of_studies(config: ConvergeConfig, *, array: bool = False) -> None:
    """How many studies there would be, and the job scripts that they would be submitted with.

    Raises:
        GoldilocksError: as :func:`~goldilocks_batch.convergence.dry_run.plan_studies`.
    """
    from goldilocks_batch.convergence.dry_run import plan_studies

    planned = plan_studies(config, array=array)
    console().print(f"{planned.rows:,} structures, {planned.left:,} studies to do")
    _print_scripts(planned.scripts)


def _print_scripts(found: Mapping[str, str]) -> None:
    out = console()
    for name, script in found.items():
        out.print(f"\n--- {name} ---")
        out.print(script)
