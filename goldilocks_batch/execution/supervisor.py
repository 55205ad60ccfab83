"""Shards are done in child processes; what ends a child is known to the process that waits for it.

A worker (of Dask, or of a job array) only waits.  Native code that crashes, hangs or eats the memory takes
its child along, never the worker, and the supervisor tells the three apart.  So when a *worker* is lost,
its job or its node has ended, and no structure is blamed.
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
from collections import defaultdict
from dataclasses import dataclass
from multiprocessing import Pipe
from typing import Any

import psutil

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.execution.executor import Done, Lost, Outcome
from goldilocks_batch.execution.job import Job, Order, Step

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
        gpus: it sees one of these, as CUDA numbers or names them, or none if there are none; None leaves it
            to the environment.
    """

    seconds: float
    memory: int
    gpus: tuple[str, ...] | None = None


class Supervisor:
    """A child process that does one job after the other, and is replaced when it is lost."""

    def __init__(self, step: Step, limits: Limits, family: str) -> None:
        self._connection, theirs = Pipe()
        self.family = family
        self.kind = family, step, limits.gpus
        self.gpu = _least_used(limits.gpus) if limits.gpus is not None else None
        environment = {
            "MALLOC_TRIM_THRESHOLD_": "65536",  # give freed memory back, as Dask's own workers do
            **os.environ,
            **dict.fromkeys(_THREADS, "1"),
            **({} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}),
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

    def run(self, order: Order, limits: Limits) -> Outcome | bytes | None:
        """Do one shard or half of it; None if the child was lost before it had loaded the model.

        Raises:
            GoldilocksError: an error that would end every job, as the child raised it.
        """
        job = order.job
        try:
            self._connection.send(order)
            kind, value = self._receive(job, Limits(_LOADING, limits.memory))
            if kind == "lost":
                return None
            if kind == "ready":
                kind, value = self._receive(job, limits)
        except BrokenPipeError:  # the child was killed while it was idle
            self.close()
            return None
        if kind == "done":
            return value if isinstance(value, bytes) else Done(job.shard, value)
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
_idle: dict[tuple[str, Step, tuple[str, ...] | None], list[Supervisor]] = defaultdict(list)


def _disown() -> None:
    """Forget, in a fork of this process, the children of the process that it was forked from."""
    global _leasing
    _leasing = threading.Lock()
    _living.clear()
    _idle.clear()


os.register_at_fork(after_in_child=_disown)


def _least_used(gpus: tuple[str, ...]) -> str:
    """The GPU that the fewest children have; the empty string, which hides all, if there are none."""
    used = [child.gpu for child in tuple(_living)]
    return min(gpus, key=used.count, default="")


def run_supervised(order: Order, limits: Limits, family: str = "") -> Outcome | bytes:
    """Carry out an order in an idle child of this process, or in a new one; safe to call from many threads.

    Args:
        order: a shard, or half of one.
        limits: what the child may take.
        family: the children that may do it; each run in this process has its own.

    Returns:
        How the shard ended; or what the first half of it gave.

    Raises:
        GoldilocksError: an error that would end every job; UNSEEN_FILES if this machine does not see the
            run's files.
    """
    for path in order.job.visible:
        if not path.exists():
            raise RunError(ErrorCode.UNSEEN_FILES, f"{path} is not there on {socket.gethostname()}")
    for _ in range(_LOADING_ATTEMPTS):
        child = _lease(order.step, limits, family)
        try:
            outcome = child.run(order, limits)
        finally:
            if child.alive:
                _idle[child.kind].append(child)
        if outcome is not None:
            return outcome
    raise RunError(
        ErrorCode.WORKER_CRASH,
        f"{_LOADING_ATTEMPTS} processes in a row were lost on {socket.gethostname()} while they loaded the "
        f"model; each may take {limits.memory / 1e9:.2f} GB",
    )


def _lease(step: Step, limits: Limits, family: str) -> Supervisor:
    with _leasing:  # two threads at once would choose the same GPU
        idle = _idle[family, step, limits.gpus]
        return idle.pop() if idle else Supervisor(step, limits, family)


def dismiss(family: str = "") -> None:
    """End all children of a family, whatever they are doing."""
    with _leasing:
        for kind in [kind for kind in _idle if kind[0] == family]:
            del _idle[kind]
        ended = [child for child in _living if child.family == family]
    for child in ended:
        child.close()
