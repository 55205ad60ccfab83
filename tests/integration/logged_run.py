"""The command line, but shards take their time and leave a line each in a log: LOG PAUSE run …"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

from goldilocks_batch.cli.app import main
from goldilocks_batch.execution.job import Job
from goldilocks_batch.results.shards import Shard
from goldilocks_batch.runs.attempt import Assignment
from goldilocks_batch.screening.pipeline import Screening
from tests.integration.failing import FailingScreening

job_of = Assignment.job


def logged_run(log: Path, pause: float) -> None:
    """Only what workers are sent is another work; client, record and messages are the real ones."""

    def logged_job(assignment: Assignment[Screening], shard: Shard) -> Job:
        job = job_of(assignment, shard)
        return replace(job, work=FailingScreening(assignment.work, (), log, pause))

    with mock.patch.object(Assignment, "job", logged_job):
        main()


if __name__ == "__main__":
    name, seconds = sys.argv[1:3]
    del sys.argv[1:3]
    logged_run(Path(name), float(seconds))
