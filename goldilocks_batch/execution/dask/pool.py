"""Where workers come from, and what is the same for all Dask clusters that a run starts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Protocol

from distributed.diagnostics.plugin import WorkerPlugin

from goldilocks_batch.execution.dask.private import http_address

__all__ = ["LOOPBACK", "SETTINGS", "Pool", "dashboard_options", "local_dashboard"]

_log = logging.getLogger(__name__)

#: Dask opens a port for HTTP whether a dashboard is wanted or not: on loopback, then.
LOOPBACK = "127.0.0.1:0"

SETTINGS = {
    # workers only supervise: one that is lost has lost its job or its node, which a structure hardly
    # causes; a shard that was lost with two is set aside, and bisected only if it ends one alone
    "distributed.scheduler.allowed-failures": 1,
    # results go to files, not to workers' memory
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.admin.large-graph-warning-threshold": "1GB",
}


class Pool(Protocol):
    """Where workers come from."""

    #: What a Dask client connects to: a cluster, an address, or a scheduler file's content.
    target: Any
    #: TLS credentials of the client, None for none.
    security: Any
    #: Address of the dashboard, None for none.
    dashboard: str | None
    #: Threads expected once all workers are there.
    seats: int
    #: Of every worker.
    plugins: tuple[WorkerPlugin, ...]

    def tend(self, workers: int) -> None:
        """Replace workers that are gone; called every some seconds.

        Args:
            workers: how many are there.

        Raises:
            RunError: CLUSTER_FAILED, no worker can be had.
        """

    def close(self) -> None:
        """Let the workers go."""


def dashboard_options(wanted: str | None) -> dict[str, object]:
    """A scheduler's options about its dashboard.

    Args:
        wanted: the address to bind it to; None for no dashboard.  Without bokeh there is none either, which
            is logged as a warning.
    """
    there = wanted is not None and find_spec("bokeh") is not None
    if wanted is not None and not there:
        _log.warning("no dashboard: it needs bokeh; pip install 'goldilocks-batch[dashboard]'")
    return {"dashboard": there, "dashboard_address": wanted if there else LOOPBACK}


def local_dashboard(cluster: Any, options: Mapping[str, object]) -> str | None:
    """Where the dashboard of a cluster whose scheduler runs in this process can be seen; None without one.

    Args:
        cluster: started.
        options: from :func:`dashboard_options`.
    """
    if not options["dashboard"]:
        return None
    address, port = http_address(cluster)
    return f"http://{address}:{port}/status"
