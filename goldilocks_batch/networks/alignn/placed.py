"""An ensemble where it runs: on the CPU, or on a GPU, with the CPU for what finds no memory there."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.networks import devices
from goldilocks_batch.networks.alignn.architecture import Architecture
from goldilocks_batch.networks.alignn.cpu import CpuEnsemble
from goldilocks_batch.networks.checkpoint import Checkpoint
from goldilocks_batch.networks.graphs.collate import GraphBatch

__all__ = ["CPU_EDGES", "Ensemble", "Placed", "fits", "placed"]

_log = logging.getLogger(__name__)

#: Edges of a batch, those of its line graphs and its bonds, on the CPU; see `benchmarks/alignn_cpu.py`.
CPU_EDGES = 26_000
#: The same on a GPU at most.
GPU_EDGES = 1_000_000
#: Bytes of a GPU's memory that an edge takes for each network and each of its channels: 12 kB with nine
#: networks of width 64.
EDGE_BYTES = 21


class Ensemble(Protocol):
    """Networks that can be evaluated on a batch."""

    def __call__(
        self, batch: GraphBatch, additional: NDArray[np.float64], *, skip_alignn: bool = False
    ) -> NDArray[np.float32]:
        """``(n_structures, n_networks)`` outputs, 1/Å."""


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Networks, ready to run.

    Attributes:
        ensemble: evaluates them.
        fallback: the same on the CPU, for what does not fit the device; None if `ensemble` is on the CPU.
        edges: of a batch to begin with, those of its line graphs and its bonds.
        crowded_out: whether they run on the CPU because others had taken the GPU's memory.
    """

    ensemble: Ensemble
    fallback: Ensemble | None = None
    edges: int = CPU_EDGES
    crowded_out: bool = False


def placed(
    architecture: Architecture,
    checkpoints: Sequence[Checkpoint],
    elements: NDArray[np.float32],
    device: str,
) -> Placed:
    """Put networks where they are to run.

    Args:
        architecture: their shape.
        checkpoints: their weights.
        elements: ``(119, atom_inputs)`` numbers of each element, NaN where there are none.
        device: ``cpu``, ``cuda`` or ``auto``, which is ``cuda`` where there is a GPU.

    Raises:
        ModelError: there is no GPU where one was asked for.
    """
    on_cpu = CpuEnsemble(architecture, checkpoints, elements)
    if devices.resolved_device(device) == "cpu":
        return Placed(on_cpu)
    from goldilocks_batch.networks.alignn.gpu import gpu_ensemble

    try:
        memory = devices.limited_memory()
        ensemble = gpu_ensemble(architecture, checkpoints, elements, "cuda")
    except RuntimeError as error:
        if not devices.out_of_memory(error):
            raise
        _log.warning("others have taken the GPU's memory, networks run on the CPU: %s", error)
        return Placed(on_cpu, crowded_out=True)
    edges = memory // (EDGE_BYTES * len(checkpoints) * architecture.hidden)
    return Placed(ensemble, on_cpu, max(1, min(edges, GPU_EDGES)))


def fits(
    ensemble: Ensemble,
    batch: GraphBatch,
    features: NDArray[np.float64],
    skip: bool,
    outputs: NDArray[np.float32],
    rows: NDArray[np.int64],
) -> bool:
    """Evaluate a batch on a device; False, and the device's cached memory freed, if it does not fit.

    Args:
        ensemble: the networks.
        batch: n structures.
        features: ``(n, k)`` beside the graph.
        skip: leave out the layers on the line graph.
        outputs: ``(m, n_networks)``, of which the rows of the batch are filled in.
        rows: ``(n,)`` those rows.
    """
    try:
        outputs[rows] = ensemble(batch, features, skip_alignn=skip)
    except RuntimeError as error:
        if not devices.out_of_memory(error):
            raise
    else:
        return True
    devices.free_cached_memory()  # outside the handler: the traceback holds the failed attempt's tensors
    return False
