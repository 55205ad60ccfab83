"""What this process may use of the machine: cores, memory, GPUs.  It is asked here and nowhere else."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "GPU_MEMORY",
    "Gpus",
    "cores",
    "free_gpu_memory",
    "free_memory",
    "gpu_memory_share",
    "gpus",
    "memory_share",
    "visible_gpus",
]

#: Environment variable that tells a process how many bytes of its GPU's memory it may take.
GPU_MEMORY = "GOLDILOCKS_GPU_MEMORY"
#: Seconds in which the driver's own program must have told of the GPUs.
_PATIENCE = 30.0
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


def free_gpu_memory(names: Sequence[str]) -> dict[str, int | None]:
    """Bytes of each GPU's memory that nobody has taken; None for a GPU that processes can't be seen to share.

    The driver's ``nvidia-smi`` is asked, so that this process takes no GPU memory itself.  It does not tell
    of parts of GPUs (MIG), nor of AMD's; and a GPU in an exclusive compute mode takes one process alone.

    Args:
        names: as ``CUDA_VISIBLE_DEVICES`` numbers or names GPUs: by the driver's numbers, which processes
            that are dealt one go by too (``CUDA_DEVICE_ORDER=PCI_BUS_ID``), or by the beginnings of UUIDs.
    """
    program = shutil.which("nvidia-smi") if names else None
    told: list[list[str]] = []
    if program is not None:
        fields = "index,uuid,compute_mode,memory.free"
        query = [program, f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(  # noqa: S603 - a fixed command
                query, capture_output=True, text=True, timeout=_PATIENCE, check=True
            )
            told = [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines()]
    found: dict[str, int | None] = {}
    for name in names:
        lines = [
            line[2:] for line in told if len(line) == 4 and (line[0] == name or line[1].startswith(name))
        ]
        mode, mebibytes = lines[0] if len(lines) == 1 else ("", "")
        found[name] = int(mebibytes) * 2**20 if mode == "Default" and mebibytes.isdigit() else None
    return found


def gpu_memory_share() -> int | None:
    """Bytes of its GPU's memory that this process may take, as whoever started it says; None for no limit."""
    said = os.environ.get(GPU_MEMORY, "")
    return int(said) if said.isdigit() else None
