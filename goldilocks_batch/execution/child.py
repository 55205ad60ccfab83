"""The process that does the shards of one seat: started by :mod:`~goldilocks_batch.execution.supervisor`.

It can be lost at any moment, to a crash, the clock or the memory limit; the supervisor sees which.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from multiprocessing.connection import Connection

from goldilocks_batch.core.errors import GoldilocksError
from goldilocks_batch.execution.ending import heed_stops
from goldilocks_batch.execution.job import Job, pipeline_for, run_job

__all__ = ["main"]


def main() -> None:
    """Do jobs that come through the pipe whose descriptor is the first argument, until it closes."""
    # whoever stops the run stops the supervisor; it decides what becomes of the shard in hand
    heed_stops()
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    connection = Connection(int(sys.argv[1]))
    while True:
        try:
            job: Job = connection.recv()
        except EOFError:
            return
        _answer(connection, job)


def _answer(connection: Connection, job: Job) -> None:
    """Tell that the model is loaded, then how the shard ended."""
    try:
        pipeline_for(job.work)
        connection.send(("ready", None))
        connection.send(("done", run_job(job)))
    except GoldilocksError as error:
        connection.send(("error", error))
    except Exception as error:  # whatever it is, it costs one row after splitting
        connection.send(("raised", f"{type(error).__name__}: {error}"))


def _leave_with(parent: int) -> None:
    """End this process soon after its supervisor."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


if __name__ == "__main__":
    main()
