"""Batches on a GPU: uploaded by one copy, with the pointers that fused kernels walk along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.networks.alignn.kernels import Walk
from goldilocks_batch.networks.graphs.collate import GraphBatch

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["DeviceBatch", "uploaded"]


class DeviceBatch:
    """A batch on a device, with the walks that follow from it.

    Its arrays are had by name: those of the batch, and ``additional``.

    Args:
        batch: n structures.
        additional: ``(n, k)`` features beside the graph.
        device: where to.
    """

    def __init__(self, batch: GraphBatch, additional: NDArray[np.float64], device: torch.device) -> None:
        import torch

        self._sizes = [len(example) for example in batch.example]
        self._arrays = uploaded(
            {
                "numbers": batch.numbers,
                "first_atom": batch.bonds.first_atom,
                "into": batch.bonds.into,
                "source": batch.bonds.source,
                "distance": batch.bonds.distance,
                "line_into": batch.line_into,
                "line_source": batch.line_source,
                "kind": batch.kind,
                "example": np.concatenate(batch.example),
                "angle_kind": batch.angle_kind,
                "cosine": batch.cosine,
                "additional": additional,
            },
            device,
        )
        self._examples = self["example"].split(self._sizes)  # type: ignore[no-untyped-call]
        self._everyone = torch.arange(len(batch.numbers), dtype=torch.int32, device=device)

    def __getitem__(self, name: str) -> Tensor:
        return self._arrays[name]

    def example(self, level: int) -> Tensor:
        """``(n_kinds,)`` a bond of each kind before a layer on the line graph, or after the last."""
        return self._examples[level]

    def line_walk(self, layer: int) -> Walk:
        """From kinds of bonds before a layer on the line graph to the kinds after it."""
        kind, example = self["kind"][layer], self.example(layer + 1)
        into = self["line_into"]
        return Walk(
            own=kind.index_select(0, example),
            start=into[:-1].index_select(0, example),
            stop=into[1:].index_select(0, example),
            source=kind.index_select(0, self["line_source"]),
            edge=self["angle_kind"],
        )

    def atom_walk(self, level: int) -> Walk:
        """From atoms to atoms, along bonds of the kinds after `level` layers on the line graph."""
        into = self["into"]
        return Walk(self._everyone, into[:-1], into[1:], self["source"], self["kind"][level])


def uploaded(arrays: Mapping[str, NDArray[np.generic]], device: torch.device) -> dict[str, Tensor]:
    """Arrays on a device by one copy: whole numbers as int32, others as float32.

    To a GPU it goes from pinned memory and the host does not wait for it; torch keeps the memory until the
    copy is done.

    Args:
        arrays: by name.
        device: where to.
    """
    import torch

    sizes = [array.size for array in arrays.values()]
    block = torch.empty(sum(sizes), dtype=torch.int32, pin_memory=device.type == "cuda")
    plain = block.numpy()
    place = 0
    for array in arrays.values():
        floating = np.issubdtype(array.dtype, np.floating)
        part = plain[place : place + array.size]
        (part.view(np.float32) if floating else part)[:] = array.ravel()
        place += array.size
    found = {}
    parts = block.to(device, non_blocking=True).split(sizes)  # type: ignore[no-untyped-call]
    for (name, array), part in zip(arrays.items(), parts, strict=True):
        floating = np.issubdtype(array.dtype, np.floating)
        found[name] = (part.view(torch.float32) if floating else part).view(array.shape)
    return found
