"""The ALIGNN module on compact batches, all networks of an ensemble at once.

Training follows its gradients, and a GPU runs it where the fused kernels of
:mod:`~goldilocks_batch.networks.alignn.kernels` can't.  A batch holds each kind of bond and of angle once
(:mod:`~goldilocks_batch.networks.graphs.classes`), so the layers of
:class:`~goldilocks_batch.networks.alignn.module.Alignn` see some three times fewer rows and edges than in a
forward pass on whole graphs.  Up to rounding the outputs are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.networks.alignn.architecture import Architecture
from goldilocks_batch.networks.checkpoint import Checkpoint
from goldilocks_batch.networks.devices import exact_products, needing_geometric
from goldilocks_batch.networks.graphs.collate import GraphBatch

if TYPE_CHECKING:
    from torch import Tensor

    from goldilocks_batch.networks.alignn.module import AlignnLayer, EdgeGatedConvolution

__all__ = ["TorchEnsemble"]


class TorchEnsemble:
    """Networks of one architecture, ready to run.

    Args:
        architecture: their shape.
        checkpoints: their weights.
        elements: ``(119, atom_inputs)`` numbers of each element, NaN where there are none.
        device: where to run, as torch names it.

    Raises:
        ConfigError: CONFIG_INVALID, torch or PyTorch Geometric is not installed.

    Attributes:
        module: the networks side by side.
    """

    def __init__(
        self,
        architecture: Architecture,
        checkpoints: Sequence[Checkpoint],
        elements: NDArray[np.float32],
        device: str,
    ) -> None:
        with needing_geometric("training"):
            import torch

            from goldilocks_batch.networks.alignn.module import Alignn

        self._device = torch.device(device)
        self.module = Alignn.side_by_side(architecture, checkpoints).to(self._device)
        self._elements = self._tensor(elements)

    def __call__(
        self, batch: GraphBatch, additional: NDArray[np.float64], *, skip_alignn: bool = False
    ) -> NDArray[np.float32]:
        """Outputs of all networks; see :class:`~goldilocks_batch.networks.alignn.cpu.CpuEnsemble`.

        Raises:
            torch.OutOfMemoryError: the batch does not fit the device.
        """
        import torch

        with torch.inference_mode(), exact_products():
            found = self.forward(batch, additional, skip_alignn=skip_alignn)
            outputs: NDArray[np.float32] = found.cpu().numpy()
        return outputs

    def parameters(self) -> dict[str, Tensor]:
        """What can be trained, by key, each with the networks along its first axis; not copies."""
        found = dict(self.module.named_parameters())
        # in the order that states of trainings have always had: an optimizer numbers its parameters
        return {key: found[key] for key in self.module.architecture.shapes() if key in found}

    def forward(
        self, batch: GraphBatch, additional: NDArray[np.float64], *, skip_alignn: bool = False
    ) -> Tensor:
        """Outputs as a tensor on the device, ``(n, k)``, 1/Å, which gradients can be taken of.

        Args:
            batch: n structures.
            additional: ``(n, 231)`` features beside the graph.
            skip_alignn: leave out the ALIGNN layers, as is done for graphs without a line graph.
        """
        module = self.module
        atoms = np.arange(len(batch.numbers))
        edges = self._edges(batch.bonds.source, np.repeat(atoms, np.diff(batch.bonds.into)))
        distance = batch.bonds.distance[batch.example[0]]
        x = module.atom_embedding(self._elements[self._tensor(batch.numbers)])
        y = module.edge_embedding(module.edge_rbf(self._tensor(distance)))
        kind = self._index(batch.kind[0])
        if not skip_alignn and len(module.alignn_layers):
            angle = module.angle_embedding(module.angle_rbf(self._tensor(batch.cosine)))
            for level, layer in enumerate(cast("list[AlignnLayer]", module.alignn_layers)):
                y = self._line_layer(layer.edge_update, level, y, angle, batch)
                kind = self._index(batch.kind[level + 1])
                x = layer.node_update(x, edges, y, kind)
        for convolution in module.gcn_layers:
            x = convolution(x, edges, y, kind)
        structure = np.repeat(np.arange(len(batch)), np.diff(batch.bonds.first_atom))
        features = self._tensor(additional.astype(np.float32))
        outputs: Tensor = module.read_out(x, self._index(structure), features)
        return outputs

    def _line_layer(
        self, update: EdgeGatedConvolution, level: int, y: Tensor, angle: Tensor, batch: GraphBatch
    ) -> Tensor:
        """Features of the kinds of bonds after a layer on the line graph, ``(n_kinds_after, k, width)``."""
        example, kind = batch.example[level + 1], batch.kind[level]
        starts, ends = batch.line_into[example], batch.line_into[example + 1]
        target = np.repeat(np.arange(len(example)), ends - starts)
        first = np.concatenate([[0], np.cumsum(ends - starts)[:-1]])
        edge = np.arange(len(target)) + (starts - first)[target]
        own = y.index_select(0, self._index(kind[example]))
        edges = self._edges(kind[batch.line_source[edge]], target)
        after: Tensor = update((y, own), edges, angle, self._index(batch.angle_kind[edge]))
        return after

    def _edges(self, source: NDArray[np.integer], target: NDArray[np.integer]) -> Tensor:
        return self._index(np.stack([source, target]))

    def _index(self, array: NDArray[np.integer]) -> Tensor:
        return self._tensor(array.astype(np.int64))

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        import torch

        return torch.as_tensor(array, device=self._device)
