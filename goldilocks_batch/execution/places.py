"""Where the processes of a worker run networks: dealt to the machine's GPUs in turn, while there is room."""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.core.machine import free_gpu_memory, visible_gpus
from goldilocks_batch.networks.devices import built_for_gpus

__all__ = [
    "CORES",
    "GPU_PROCESS_BYTES",
    "NO_GPU",
    "Place",
    "Sharing",
    "dealt",
    "forget_places",
    "places_for",
]

_log = logging.getLogger(__name__)

#: GPU memory without which a process is better off on its core: half a gigabyte that CUDA takes for a
#: context, and batches of some tens of structures.
GPU_PROCESS_BYTES = 2 * 10**9


@dataclass(frozen=True, slots=True)
class Place:
    """Where one process runs networks.

    Attributes:
        gpu: the GPU, as ``CUDA_VISIBLE_DEVICES`` numbers or names it; empty for none, which hides all.
        memory: what the process may take of the GPU's memory, bytes; None where that is not known.
    """

    gpu: str
    memory: int | None = None


#: The place of a process that runs networks on its core.
CORES = Place("")


@dataclass(frozen=True, slots=True)
class Sharing:
    """How the processes of a machine share its GPUs.

    Attributes:
        gpus: as many are used at most; None for all that are visible.
        processes: on each at most; None for as many as its free memory has room for.
        every: every process uses a GPU, whatever memory there is.
    """

    gpus: int | None = None
    processes: int | None = None
    every: bool = False

    @classmethod
    def of(cls, config: RunConfig, *, here: bool) -> Self:
        """As a configuration has it.

        Args:
            config: of the run.
            here: for this machine, which the number of GPUs to use is meant for.
        """
        if config.device == "cpu":
            return cls(gpus=0)
        return cls(config.gpus if here else None, config.gpu_processes, config.device == "cuda")


#: Of work that runs no networks.
NO_GPU = Sharing(gpus=0)


def dealt(
    free: Mapping[str, int | None], seats: int, processes: int | None = None, *, every: bool = False
) -> tuple[Place, ...]:
    """A place for each of some processes; those on GPUs come first.

    Args:
        free: memory of each GPU that nobody has taken, bytes; None where that is not known or the GPU takes
            one process alone.  Such a GPU has one, unless ``processes`` or ``every`` says more.
        seats: how many processes there are.
        processes: on each GPU at most; None for as many as have :data:`GPU_PROCESS_BYTES` each.
        every: all processes go to GPUs.
    """

    def room(gpu: str) -> int:
        if every:
            return seats
        if processes is not None:
            return processes
        memory = free[gpu]
        return 1 if memory is None else memory // GPU_PROCESS_BYTES

    rooms = {gpu: room(gpu) for gpu in free}
    taken: Counter[str] = Counter()
    order: list[str] = []
    while len(order) < seats and (left := [gpu for gpu in free if taken[gpu] < rooms[gpu]]):
        gpu = min(left, key=taken.__getitem__)  # the first of those that the fewest have
        taken[gpu] += 1
        order.append(gpu)
    shares = {gpu: None if (memory := free[gpu]) is None else memory // taken[gpu] for gpu in taken}
    return tuple(Place(gpu, shares[gpu]) for gpu in order) + (CORES,) * (seats - len(order))


_lock = threading.Lock()
_known: dict[tuple[str, int, Sharing], tuple[Place, ...]] = {}


def places_for(family: str, seats: int, sharing: Sharing) -> tuple[Place, ...]:
    """The places of a family's processes; GPUs are measured at the first call, before any process is on one.

    Args:
        family: of processes, see :func:`~goldilocks_batch.execution.supervisor.run_supervised`.
        seats: how many there are.
        sharing: how they share GPUs.
    """
    key = family, seats, sharing
    with _lock:
        if key not in _known:
            free = free_gpu_memory(visible_gpus()[: sharing.gpus])
            _known[key] = dealt(free, seats, sharing.processes, every=sharing.every)
            _tell(_known[key], sharing)
        return _known[key]


def forget_places(family: str) -> None:
    """Measure anew when the family is next asked for."""
    with _lock:
        for key in [key for key in _known if key[0] == family]:
            del _known[key]


def _start_anew() -> None:
    """In a fork of this process, which another thread may have left with the lock."""
    global _lock
    _lock = threading.Lock()
    _known.clear()


os.register_at_fork(after_in_child=_start_anew)


def _tell(places: tuple[Place, ...], sharing: Sharing) -> None:
    """Say who shares what, where GPUs could be used."""
    numbers = Counter(places)
    used = len({place.gpu for place in places} - {CORES.gpu})
    if sharing.gpus and used < min(sharing.gpus, len(places)):
        _log.warning("%d GPUs asked for, %d found here", sharing.gpus, used)
    if not used:
        return
    if not built_for_gpus():
        _log.warning(
            "GPUs are not used: the PyTorch that is installed was built without them; networks run on cores"
        )
        return
    for place, number in numbers.items():
        memory = "" if place.memory is None else f", {place.memory / 1e9:.1f} GB of its memory for each"
        if place.gpu:
            _log.info("GPU %s: the networks of %d processes%s", place.gpu, number, memory)
    if numbers[CORES]:
        _log.info("%d further processes find no room on a GPU and use their cores", numbers[CORES])
