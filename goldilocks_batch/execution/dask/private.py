"""What is used of Dask that its documentation does not promise; a new version is checked against this module.

Each function says which attribute it relies on, and what for.  ``tests/unit/execution/test_private.py`` calls
all of them on real clusters of the installed version.
"""

from __future__ import annotations

from typing import Any

from distributed import Worker
from distributed.comm.inproc import global_manager

__all__ = [
    "count_seats",
    "http_address",
    "is_busy",
    "job_keywords",
    "name_after_loopback",
    "never_pause",
    "reach_specification",
]


def name_after_loopback() -> None:
    """Give ``inproc://`` addresses of this process the loopback address (``inproc.Manager._ip``).

    Dask would ask for a route to the internet to learn this machine's address, and warn where there is none.
    """
    global_manager._ip = "127.0.0.1"


def http_address(cluster: Any) -> tuple[str, int]:
    """Address and port that the scheduler in this process serves HTTP on (``Scheduler.http_server``).

    ``Cluster.dashboard_link`` is a template in the user's configuration.
    """
    server = cluster.scheduler.http_server
    return str(server.address), int(server.port)


def reach_specification(cluster: Any) -> None:
    """Start the workers that a ``SpecCluster`` should have and has not (``SpecCluster._correct_state``).

    ``SpecCluster.scale`` does the same in the background, where its errors end in a log.

    Raises:
        Exception: what starting a worker raised.
    """
    cluster.sync(cluster._correct_state)


def job_keywords(cluster: Any) -> dict[str, Any]:
    """What dask-jobqueue adds to the options of every job of a cluster (``JobQueueCluster._job_kwargs``).

    Returns:
        ``interface``, ``protocol`` and ``security``, for jobs that have other options than the cluster's.
    """
    return {name: cluster._job_kwargs[name] for name in ("interface", "protocol", "security")}


def never_pause(worker: Worker) -> None:
    """Keep Dask from setting a worker going or pausing it for its memory (``Worker.memory_manager``).

    A worker that was paused by others would go on as soon as there is memory.
    """
    if worker.memory_manager is not None:  # there is none without a memory limit
        worker.memory_manager.memory_pause_fraction = False


def is_busy(worker: Worker) -> bool:
    """Whether a worker has a task under way (``WorkerState.executing``)."""
    return bool(worker.state.executing)


def count_seats(worker: Worker) -> int:
    """Threads of a worker (``WorkerState.nthreads``)."""
    return int(worker.state.nthreads)
