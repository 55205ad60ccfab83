"""Shards are done in child processes; what ends a child is known to the process that waits for it.

A worker (of Dask, or of a job array) only waits.  Native code that crashes, hangs or eats the memory takes
its child along, never the worker, and the supervisor tells the three apart.  So when a *worker* is lost,
its job or its node has ended, and no structure is taken for the cause.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from typing import Any

import psutil

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.core.machine import GPU_MEMORY
from goldilocks_batch.execution.executor import Done, Lost, Outcome
from goldilocks_batch.execution.job import Job
from goldilocks_batch.execution.places import CORES, NO_GPU, Place, Sharing, forget_places, places_for

__all__ = ["Limits", "Supervisor", "dismiss", "run_supervised"]

#: What tells numerical libraries how many threads to start: kernels work on small matrices, one a process.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
#: Seconds between two looks at the memory of a child.
_TICK = 0.1
#: Seconds in which a model must be loaded.
_LOADING = 900.0
#: A child lost while it loads the model is not a structure's fault; so many times it is tried again.
_LOADING_ATTEMPTS = 3
#: A child killed by the kernel while it held this share of its memory was most likely killed for it.
_NEARLY_FULL = 0.8


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may take for one shard.

    Attributes:
        seconds: time.
        memory: resident memory, bytes.
        seats: children at a time.
        sharing: how they share the machine's GPUs.
    """

    seconds: float
    memory: int
    seats: int = 1
    sharing: Sharing = NO_GPU


class Supervisor:
    """A child process that does one job after the other, and is replaced when it is lost.

    Args:
        place: where it runs networks.
        family: that it belongs to.
    """

    def __init__(self, place: Place, family: str) -> None:
        self._connection, theirs = Pipe()
        self.family = family
        self.place = place
        environment = {
            "MALLOC_TRIM_THRESHOLD_": "65536",  # give freed memory back, as Dask's own workers do
            **os.environ,
            **dict.fromkeys(_THREADS, "1"),
            **_seeing(place),
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),  # noqa: PTH109
        }
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - a fixed command
                [sys.executable, "-m", "goldilocks_batch.execution.child", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=environment,
            )
        self.alive = True
        _living.add(self)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def run(self, job: Job, limits: Limits) -> Outcome | None:
        """Do one shard; None if the child was lost before it had loaded the model.

        Raises:
            GoldilocksError: an error that would end every job, as the child raised it.
        """
        try:
            self._connection.send(job)
            kind, value = self._receive(job, Limits(_LOADING, limits.memory))
            if kind == "lost":
                return None
            if kind == "ready":
                kind, value = self._receive(job, limits)
        except BrokenPipeError:  # the child was killed while it was idle
            self.close()
            return None
        if kind == "done":
            return Done(job.shard, value)
        if kind == "lost":
            lost: Lost = value
            return lost
        if kind == "raised":
            self.close()  # what went wrong may stay in the process: a GPU's context, for one
            return Lost(job.shard, ErrorCode.INTERNAL, value)
        raise value

    def _receive(self, job: Job, limits: Limits) -> tuple[str, Any]:
        """The child's next message, or ``("lost", Lost)``."""
        deadline = time.monotonic() + limits.seconds
        resident = 0
        while not self._connection.poll(_TICK):
            with contextlib.suppress(psutil.Error):
                resident = psutil.Process(self.pid).memory_info().rss
            if resident > limits.memory:
                self.close()
                return "lost", Lost(job.shard, ErrorCode.OUT_OF_MEMORY, _too_large(resident, limits.memory))
            if time.monotonic() > deadline:
                self.close()
                text = f"not done within {limits.seconds:g} s (--task-timeout)"
                return "lost", Lost(job.shard, ErrorCode.TIMEOUT, text)
        try:
            message: tuple[str, Any] = self._connection.recv()
        except (EOFError, ConnectionResetError):
            self.close(patience=10.0)
            return "lost", _post_mortem(job, self._process.returncode, resident, limits.memory)
        return message

    def close(self, patience: float = 0.0) -> None:
        """End the child; one that is ending by itself has ``patience`` seconds to do so."""
        self.alive = False
        _living.discard(self)
        self._connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        self._process.kill()
        self._process.wait()


def _too_large(resident: int, limit: int) -> str:
    return f"{resident / 1e9:.2f} GB taken, {limit / 1e9:.2f} GB allowed (--memory-limit)"


def _post_mortem(job: Job, status: int, resident: int, limit: int) -> Lost:
    if status == -signal.SIGKILL and resident > _NEARLY_FULL * limit:
        return Lost(job.shard, ErrorCode.OUT_OF_MEMORY, f"killed with {resident / 1e9:.2f} GB taken")
    if status < 0:
        reason = signal.strsignal(-status) or f"signal {-status}"
        return Lost(job.shard, ErrorCode.WORKER_CRASH, f"the process that did it ended: {reason}")
    return Lost(job.shard, ErrorCode.WORKER_CRASH, f"the process that did it left with status {status}")


_leasing = threading.Lock()
_living: set[Supervisor] = set()
_idle: dict[str, list[Supervisor]] = defaultdict(list)


def _disown() -> None:
    """Forget, in a fork of this process, the children of the process that it was forked from."""
    global _leasing
    _leasing = threading.Lock()
    _living.clear()
    _idle.clear()


os.register_at_fork(after_in_child=_disown)


def _seeing(place: Place) -> dict[str, str]:
    """Variables by which CUDA and torch in a child keep to its place."""
    ordered = {"CUDA_DEVICE_ORDER": os.environ.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID")}
    memory = {} if place.memory is None else {GPU_MEMORY: str(place.memory)}
    return {"CUDA_VISIBLE_DEVICES": place.gpu, **ordered, **memory}


def run_supervised(job: Job, limits: Limits, family: str = "") -> Outcome:
    """Do a shard in an idle child of this process, or in a new one; safe to call from many threads.

    Args:
        job: the shard.
        limits: what the child may take.
        family: the children that may do it; each run in this process has its own.

    Returns:
        How the shard ended.

    Raises:
        GoldilocksError: an error that would end every job; UNSEEN_FILES if this machine does not see the
            run's files.
    """
    for path in job.visible:
        if not path.exists():
            raise RunError(ErrorCode.UNSEEN_FILES, f"{path} is not there on {socket.gethostname()}")
    places = places_for(family, limits.seats, limits.sharing if job.work.uses_gpu else NO_GPU)
    for _ in range(_LOADING_ATTEMPTS):
        child = _lease(places, family)
        try:
            outcome = child.run(job, limits)
        finally:
            if child.alive:
                _idle[family].append(child)
        if outcome is not None:
            return outcome
    raise RunError(
        ErrorCode.WORKER_CRASH,
        f"{_LOADING_ATTEMPTS} processes in a row were lost on {socket.gethostname()} while they loaded the "
        f"model; each may take {limits.memory / 1e9:.2f} GB",
    )


def _lease(places: Sequence[Place], family: str) -> Supervisor:
    """An idle child on a GPU; else a new one, where a place on a GPU is vacant; else any."""
    with _leasing:  # two threads at once would choose the same place
        vacant = _vacant(places, family)
        for child in _idle[family]:
            if child.place in places and (child.place.gpu or not vacant.gpu):
                _idle[family].remove(child)
                return child
        return Supervisor(vacant, family)


def _vacant(places: Sequence[Place], family: str) -> Place:
    """The first place that no child of the family has: those on GPUs come first."""
    left = Counter(places) - Counter(child.place for child in tuple(_living) if child.family == family)
    return next((place for place in places if left[place]), CORES)


def dismiss(family: str = "") -> None:
    """End all children of a family, whatever they are doing."""
    with _leasing:
        _idle.pop(family, None)
        ended = [child for child in _living if child.family == family]
    for child in ended:
        child.close()
    forget_places(family)
