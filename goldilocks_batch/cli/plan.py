"""What ``--dry-run`` prints."""

from __future__ import annotations

from goldilocks_batch.cli.tables import console, ignored_files, rounded
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.runs.dry_run import check_array, check_requests, plan, scripts

__all__ = ["print_plan"]


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
    for name, script in scripts(config, planned.jobs, array=array).items():
        out.print(f"\n--- {name} ---")
        out.print(script)
