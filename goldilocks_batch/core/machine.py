"""What this process may use of the machine: cores, memory, GPUs.  It is asked here and nowhere else."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Gpus", "cores", "free_memory", "gpus", "memory_share", "visible_gpus"]

#: Where the kernel shows devices.
_DEVICES = Path("/dev")
#: A GPU each: of NVIDIA's driver.
_NUMBERED = "nvidia[0-9]*"
#: Of WSL and of AMD's driver: one file, however many GPUs are behind it.
_SHARED = ("dxg", "kfd")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_share(seats: int) -> int:
    """Bytes that each of ``seats`` processes may take of this machine's memory, or of this SLURM job's."""
    granted = os.environ.get("SLURM_MEM_PER_NODE", "")  # MiB
    if granted.isdigit() and granted != "0":
        return int(granted) * 2**20 // seats
    import psutil

    total: int = psutil.virtual_memory().total
    return total // seats


def free_memory(seats: int) -> float:
    """Bytes for each of ``seats`` processes of what nobody on this machine uses now."""
    import psutil

    available: int = psutil.virtual_memory().available
    return available / seats


@dataclass(frozen=True, slots=True)
class Gpus:
    """The GPUs of this machine.

    Attributes:
        present: how many devices there are; 1 where one file stands for all of them.
        visible: those that this process may use, as ``CUDA_VISIBLE_DEVICES`` numbers or names them.
        restriction: the value of ``CUDA_VISIBLE_DEVICES``, None where it is not set.
    """

    present: int
    visible: tuple[str, ...]
    restriction: str | None

    @property
    def usable(self) -> int:
        """How many of the devices that are there this process may use."""
        return min(self.present, len(self.visible))


def gpus() -> Gpus:
    """Look at the GPUs of this machine: at its devices and its environment; no driver is loaded."""
    numbered = len(list(_DEVICES.glob(_NUMBERED)))
    present = numbered or int(any((_DEVICES / name).exists() for name in _SHARED))
    restriction = os.environ.get("CUDA_VISIBLE_DEVICES")
    if restriction is None:
        # CUDA counts what it finds from 0, whatever the numbers in the files' names: containers keep those
        return Gpus(present, tuple(map(str, range(present))), None)
    return Gpus(present, _named(restriction), restriction)


def visible_gpus() -> tuple[str, ...]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` numbers or names them."""
    return gpus().visible


def _named(restriction: str) -> tuple[str, ...]:
    """What a value of ``CUDA_VISIBLE_DEVICES`` shows: CUDA ignores what follows an entry that is none.

    Source: CUDA C++ Programming Guide, "CUDA Environment Variables".
    """
    entries = (entry.strip() for entry in restriction.split(","))
    return tuple(itertools.takewhile(lambda entry: entry and not entry.startswith("-"), entries))
