"""The cluster of one machine: a scheduler and supervising workers in this very process."""

from __future__ import annotations

import logging
import threading
import uuid
from typing import Any

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
    """Supervising workers in this very process, with a child process a seat.

    They talk through memory; the only sockets are those of HTTP, on loopback unless ``dashboard`` says else.

    Args:
        seats: number of child processes without a GPU; None for one per core that this process may use,
            less one a GPU process.
        dashboard: address to bind the dashboard to, if bokeh is installed; None for no dashboard.
        gpus: number of child processes that see a GPU each; the others see none.

    Attributes:
        family: of the child processes.
    """

    security = None
    plugins = ()

    def __init__(self, seats: int | None, dashboard: str | None, gpus: int = 0) -> None:
        seats = seats or max(1, cores() - gpus)
        self.seats = seats + gpus
        self.two_kinds = gpus > 0
        self.family = uuid.uuid4().hex
        self._scratch = TemporaryFolder("run")
        workers = {"cpu": self._worker(seats, "CPU")}
        if gpus:
            workers["gpu"] = self._worker(gpus, "GPU")
        options = {"protocol": "inproc://", **dashboard_options(dashboard)}
        name_after_loopback()
        with _setting, dask.config.set(SETTINGS):
            self.target = SpecCluster(
                workers=workers,
                scheduler={"cls": Scheduler, "options": options},
                silence_logs=logging.CRITICAL,
            )
        self.dashboard = local_dashboard(self.target, options)

    def _worker(self, seats: int, resource: str) -> dict[str, Any]:
        options = {
            "nthreads": seats,
            "resources": {resource: seats},
            "protocol": "inproc://",
            "memory_limit": 0,
            "dashboard": False,
            "dashboard_address": LOOPBACK,
            "local_directory": str(self._scratch.path),
            "silence_logs": logging.CRITICAL,
        }
        return {"cls": Worker, "options": options}

    def tend(self, workers: int) -> None:
        """Nothing to do: the workers live as long as this process."""

    def close(self) -> None:
        """End the child processes and the workers."""
        dismiss(self.family)
        self.target.close(timeout=10)
        dismiss(self.family)  # of those that a waiting task had started meanwhile
        self._scratch.close()
