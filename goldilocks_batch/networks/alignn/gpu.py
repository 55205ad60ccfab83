"""An ALIGNN ensemble in plain torch operations, all networks at once: for a GPU, and as a check on the CPU.

Weights are stacked along a first axis of length k, the networks; every operation works on all of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.config.choices import Precision
from goldilocks_batch.networks.alignn.architecture import Architecture
from goldilocks_batch.networks.checkpoint import Checkpoint
from goldilocks_batch.networks.graphs.collate import GraphBatch
from goldilocks_batch.networks.radial import RadialBasis

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TorchEnsemble"]


class TorchEnsemble:
    """Networks of one architecture, ready to run.

    Args:
        architecture: their shape.
        checkpoints: their weights.
        elements: ``(119, atom_inputs)`` numbers of each element, NaN where there are none.
        device: where to run, as torch names it.
        precision: of matrix products; sums and norms are float32 in any case.
    """

    def __init__(
        self,
        architecture: Architecture,
        checkpoints: Sequence[Checkpoint],
        elements: NDArray[np.float32],
        device: str,
        precision: Precision = "float32",
    ) -> None:
        import torch

        self._precision = precision
        self._architecture = architecture
        self._device = torch.device(device)
        self._weights = {
            key: self._tensor(np.stack([checkpoint.weights[key] for checkpoint in checkpoints]))
            for key in architecture.shapes()
        }
        self._bases = [
            RadialBasis(checkpoints[0].weights[f"{name}_rbf.centers"]) for name in ("edge", "angle")
        ]
        self._elements = self._tensor(elements)

    def __call__(
        self, batch: GraphBatch, additional: NDArray[np.float64], *, skip_alignn: bool = False
    ) -> NDArray[np.float32]:
        """Outputs of all networks; see :class:`~goldilocks_batch.networks.alignn.cpu.CpuEnsemble`.

        Raises:
            torch.OutOfMemoryError: the batch does not fit the device.
        """
        import torch

        with torch.inference_mode(), self._rounded():
            outputs: NDArray[np.float32] = self._forward(batch, additional, skip_alignn).float().cpu().numpy()
        return outputs

    @contextlib.contextmanager
    def _rounded(self) -> Iterator[None]:
        """Matrix products as precise as was asked for, whatever the process's environment says."""
        import torch

        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if self._precision == "tf32" else "highest")
        try:
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self._precision == "bf16"):
                yield
        finally:
            torch.set_float32_matmul_precision(before)

    def forward(
        self, batch: GraphBatch, additional: NDArray[np.float64], *, skip_alignn: bool = False
    ) -> Tensor:
        """The same as a tensor on the device, ``(n, k)``, which gradients can be taken of."""
        return self._forward(batch, additional, skip_alignn)

    def parameters(self) -> dict[str, Tensor]:
        """What can be trained, by key, each with the networks along its first axis; not copies."""
        return {key: value for key, value in self._weights.items() if not key.endswith("_rbf.centers")}

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        import torch

        return torch.as_tensor(array, device=self._device)

    def _forward(self, batch: GraphBatch, additional: NDArray[np.float64], skip_alignn: bool) -> Tensor:
        architecture = self._architecture
        edges, angles = self._bases
        x = self._embedded("atom_embedding", self._elements[self._tensor(batch.numbers)])
        y = self._embedded("edge_embedding", self._tensor(edges(batch.bonds.distance[batch.example[0]])))
        angle = self._embedded("angle_embedding", self._tensor(angles(batch.cosine)))
        atoms = np.arange(len(batch.numbers))
        everyone, source = self._tensor(atoms), self._tensor(batch.bonds.source)
        target = self._tensor(np.repeat(atoms, np.diff(batch.bonds.into)))
        atom_layers = architecture.atom_layers()
        level = 0
        if skip_alignn:
            atom_layers = atom_layers[architecture.alignn_layers :]
        for k, layer in enumerate(atom_layers):
            if not skip_alignn and k < architecture.alignn_layers:
                y = self._line_layer(architecture.bond_layers()[k], k, y, angle, batch)
                level = k + 1
            kind = self._tensor(batch.kind[level].astype(np.int64))
            edge_gate = self._linear(f"{layer}.edge_gate", y)
            x = self._convolved(layer, x, everyone, target, source, edge_gate, kind)
        return self._head(x, batch, additional)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        """``(k, n, outputs)`` from ``(k, n, inputs)`` or, the same for all networks, ``(n, inputs)``."""
        import torch

        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        if x.ndim == 2:
            x = x.expand(len(weight), *x.shape)
        return torch.baddbmm(bias[:, None, :], x, weight.transpose(1, 2))

    def _normalised(self, name: str, x: Tensor) -> Tensor:
        from torch.nn.functional import layer_norm

        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return layer_norm(x, x.shape[-1:]) * weight[:, None, :] + bias[:, None, :]

    def _embedded(self, name: str, x: Tensor) -> Tensor:
        from torch.nn.functional import silu

        return silu(self._normalised(f"{name}.1", self._linear(f"{name}.0", x)))

    def _line_layer(self, layer: str, k: int, y: Tensor, angle: Tensor, batch: GraphBatch) -> Tensor:
        """Features of the kinds of bonds after a layer on the line graph, ``(k, n_kinds_after, width)``."""
        example, kind = batch.example[k + 1], batch.kind[k]
        starts, ends = batch.line_into[example], batch.line_into[example + 1]
        target = np.repeat(np.arange(len(example)), ends - starts)
        first = np.concatenate([[0], np.cumsum(ends - starts)[:-1]])
        edge = np.arange(len(target)) + (starts - first)[target]
        own = self._tensor(kind[example].astype(np.int64))
        source = self._tensor(kind[batch.line_source[edge]].astype(np.int64))
        angle_gate = self._linear(f"{layer}.edge_gate", angle)
        return self._convolved(
            layer,
            y,
            own,
            self._tensor(target),
            source,
            angle_gate,
            self._tensor(batch.angle_kind[edge].astype(np.int64)),
        )

    def _convolved(
        self,
        layer: str,
        x: Tensor,
        own: Tensor,
        target: Tensor,
        source: Tensor,
        edge_gate: Tensor,
        edge: Tensor,
    ) -> Tensor:
        """Edge-gated convolution.

        Args:
            layer: key prefix of the weights.
            x: ``(k, n, width)`` features before.
            own: ``(n_after,)`` the row of `x` that each row of the result continues.
            target: ``(n_edges,)`` row of the result that an edge leads to.
            source: ``(n_edges,)`` row of `x` that it comes from.
            edge_gate: ``(k, m, width)`` the edges' part of the gate.
            edge: ``(n_edges,)`` row of `edge_gate`.
        """
        from torch.nn.functional import silu

        # index_select: its gradient is the same whatever the threads, unlike that of indexing
        gate = self._linear(f"{layer}.src_gate", x).index_select(1, own[target])
        gate += self._linear(f"{layer}.dst_gate", x).index_select(1, source)
        gate += edge_gate.index_select(1, edge)
        message = silu(gate, inplace=not gate.requires_grad)
        message = message * self._linear(f"{layer}.dst_update", x).index_select(1, source)
        total = self._linear(f"{layer}.src_update", x).index_select(1, own)
        total = total.to(x.dtype).index_add_(1, target, message.to(x.dtype))
        return x.index_select(1, own) + silu(self._normalised(f"{layer}.norm", total))

    def _head(self, x: Tensor, batch: GraphBatch, additional: NDArray[np.float64]) -> Tensor:
        """``(n_structures, k)`` outputs."""
        import torch
        from torch.nn.functional import silu

        sizes = np.diff(batch.bonds.first_atom)
        structure = self._tensor(np.repeat(np.arange(len(sizes)), sizes))
        pooled = x.new_zeros((len(x), len(sizes), x.shape[2])).index_add_(1, structure, x)
        pooled /= self._tensor(sizes.astype(np.float32))[:, None]
        rows = self._tensor(additional.astype(np.float32)).expand(len(x), *additional.shape)
        projected = silu(self._linear("proj_add_feat", self._normalised("add_feat_norm", rows)))
        hidden = silu(self._linear("conv_to_fc", torch.cat([pooled, projected], dim=2)))
        return self._linear("output_layer", hidden)[:, :, 0].T
