"""The cluster of one machine: a scheduler and a supervising worker in this very process."""

from __future__ import annotations

import logging
import threading
import uuid

import dask
from distributed import Scheduler, SpecCluster, Worker

from goldilocks_batch.core.machine import cores
from goldilocks_batch.core.temporary import TemporaryFolder
from goldilocks_batch.execution.dask.pool import LOOPBACK, SETTINGS, dashboard_options, local_dashboard
from goldilocks_batch.execution.dask.private import name_after_loopback
from goldilocks_batch.execution.supervisor import dismiss

__all__ = ["LocalPool"]


#: Dask's configuration is the process's: what two threads set and restore must not cross.
_setting = threading.Lock()


class LocalPool:
    """A supervising worker in this very process, with a child process a seat.

    Scheduler and worker talk through memory; the only sockets are those of HTTP, on loopback unless
    ``dashboard`` says else.

    Args:
        seats: number of child processes; None for one per core that this process may use.
        dashboard: address to bind the dashboard to, if bokeh is installed; None for no dashboard.

    Attributes:
        family: of the child processes.
    """

    security = None
    plugins = ()

    def __init__(self, seats: int | None, dashboard: str | None) -> None:
        self.seats = seats or cores()
        self.family = uuid.uuid4().hex
        self._scratch = TemporaryFolder("run")
        options = {"protocol": "inproc://", **dashboard_options(dashboard)}
        worker = {
            "nthreads": self.seats,
            "protocol": "inproc://",
            "memory_limit": 0,
            "dashboard": False,
            "dashboard_address": LOOPBACK,
            "local_directory": str(self._scratch.path),
            "silence_logs": logging.CRITICAL,
        }
        name_after_loopback()
        with _setting, dask.config.set(SETTINGS):
            self.target = SpecCluster(
                workers={"1": {"cls": Worker, "options": worker}},
                scheduler={"cls": Scheduler, "options": options},
                silence_logs=logging.CRITICAL,
            )
        self.dashboard = local_dashboard(self.target, options)

    def tend(self, workers: int) -> None:
        """Nothing to do: the worker lives as long as this process."""

    def close(self) -> None:
        """End the child processes and the worker."""
        dismiss(self.family)
        self.target.close(timeout=10)
        dismiss(self.family)  # of those that a waiting task had started meanwhile
        self._scratch.close()
