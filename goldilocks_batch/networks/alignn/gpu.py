"""An ALIGNN ensemble on a GPU: one fused kernel and two matrix products a convolution, all networks at once.

A batch is uploaded as one block of int32 and float32 numbers, from pinned memory, without waiting.
Gaussians, pointers and whatever else follows from the batch are made on the GPU; the host waits once, for the
outputs.  Where the fused kernel does not run, :mod:`~goldilocks_batch.networks.alignn.stacked` does the same
in plain torch, and a warning in the log says so.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import one_at_a_time
from goldilocks_batch.networks.alignn.architecture import Architecture
from goldilocks_batch.networks.alignn.device_batch import DeviceBatch
from goldilocks_batch.networks.alignn.kernels import Walk, convolve, fused_kernels_run_on
from goldilocks_batch.networks.checkpoint import Checkpoint
from goldilocks_batch.networks.devices import exact_products
from goldilocks_batch.networks.graphs.collate import GraphBatch
from goldilocks_batch.networks.radial import RadialBasis

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["FusedEnsemble", "gpu_ensemble"]

_log = logging.getLogger(__name__)

#: Projections of a convolution's nodes, in the order in which the kernel finds them.
_PROJECTIONS = ("src_gate", "dst_gate", "dst_update", "src_update")


class _Ensemble(Protocol):
    def __call__(
        self, batch: GraphBatch, additional: NDArray[np.float64], *, skip_alignn: bool = False
    ) -> NDArray[np.float32]: ...


def gpu_ensemble(
    architecture: Architecture,
    checkpoints: Sequence[Checkpoint],
    elements: NDArray[np.float32],
    device: str = "cuda",
) -> _Ensemble:
    """The networks with fused kernels where these run, else in plain torch.

    Args:
        architecture: their shape.
        checkpoints: their weights.
        elements: ``(119, atom_inputs)`` numbers of each element, NaN where there are none.
        device: where to run, as torch names it.
    """
    import torch

    reason = "Triton is not installed or does not know the device"
    if fused_kernels_run_on(torch.device(device)):
        try:
            with one_at_a_time("triton"):  # the others find the code in Triton's own cache
                return FusedEnsemble(architecture, checkpoints, elements, device).tried()
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # no C compiler, no place for its cache, a driver that is too old …
            reason = f"Triton can't compile it ({type(error).__name__}: {error})"
    _log.warning("networks run in plain torch on %s, some times slower than fused: %s", device, reason)
    from goldilocks_batch.networks.alignn.stacked import TorchEnsemble

    return TorchEnsemble(architecture, checkpoints, elements, device)


class FusedEnsemble:
    """Networks of one architecture, ready to run; weights are stacked along a first axis, the networks.

    Args:
        architecture: their shape.
        checkpoints: their weights.
        elements: ``(119, atom_inputs)`` numbers of each element, NaN where there are none.
        device: where to run, as torch names it.
    """

    def __init__(
        self,
        architecture: Architecture,
        checkpoints: Sequence[Checkpoint],
        elements: NDArray[np.float32],
        device: str,
    ) -> None:
        import torch

        self._architecture = architecture
        self._device = torch.device(device)
        self._weights = {
            key: torch.as_tensor(np.stack([c.weights[key] for c in checkpoints]), device=self._device)
            for key in architecture.shapes()
            if not key.endswith("_rbf.centers")
        }
        self._rbf = {
            name: _Gaussians(checkpoints[0].weights[f"{name}_rbf.centers"], self._device)
            for name in ("edge", "angle")
        }
        with torch.inference_mode(), exact_products():
            self._layers = {
                name: _Layer(name, self._weights)
                for name in architecture.bond_layers() + architecture.atom_layers()
            }
            # every element is embedded once, not every atom
            self._atoms = self._embedded("atom", torch.as_tensor(elements, device=self._device))

    def __call__(
        self, batch: GraphBatch, additional: NDArray[np.float64], *, skip_alignn: bool = False
    ) -> NDArray[np.float32]:
        """Outputs of all networks; see :class:`~goldilocks_batch.networks.alignn.cpu.CpuEnsemble`.

        Raises:
            torch.OutOfMemoryError: the batch does not fit the device.
        """
        import torch

        with torch.inference_mode(), exact_products():
            on_device = DeviceBatch(batch, additional, self._device)
            outputs: NDArray[np.float32] = self._outputs(on_device, skip_alignn).cpu().numpy()
        return outputs

    def tried(self) -> FusedEnsemble:
        """The same, after its kernels have been compiled and have run on two bonded atoms."""
        import torch

        width, networks = self._architecture.hidden, len(self._atoms)

        def index(*rows: int) -> Tensor:
            return torch.tensor(rows, dtype=torch.int32, device=self._device)

        walk = Walk(index(0, 1), index(0, 1), index(1, 2), index(1, 0), index(0, 0))
        features = torch.zeros(networks, 2, width, device=self._device)
        projected = torch.zeros(networks, 2, 4 * width, device=self._device)
        gates = torch.zeros(networks, 1, width, device=self._device)
        norm = torch.zeros(networks, width, device=self._device)
        if bool((convolve(projected, gates, features, walk, norm, norm) != 0).any()):
            raise RuntimeError("zeros come out as something else")
        return self

    def _outputs(self, batch: DeviceBatch, skip_alignn: bool) -> Tensor:
        """``(n, k)`` outputs on the device."""
        architecture = self._architecture
        x = self._atoms.index_select(1, batch["numbers"])
        y = self._embedded("edge", self._rbf["edge"](batch["distance"][batch.example(0).long()]))
        level, atom_layers = 0, architecture.atom_layers()
        if skip_alignn:
            atom_layers = atom_layers[architecture.alignn_layers :]
        elif architecture.alignn_layers:
            angle = self._embedded("angle", self._rbf["angle"](batch["cosine"]))
        for k, name in enumerate(atom_layers):
            if not skip_alignn and k < architecture.alignn_layers:
                y = self._layers[architecture.bond_layers()[k]](y, angle, batch.line_walk(k))
                level = k + 1
            x = self._layers[name](x, y, batch.atom_walk(level))
        return self._head(x, batch)

    def _head(self, x: Tensor, batch: DeviceBatch) -> Tensor:
        import torch
        from torch.nn.functional import silu

        first = batch["first_atom"].long()
        pooled = torch.segment_reduce(x.transpose(0, 1).contiguous(), "mean", offsets=first, unsafe=True)
        rows = batch["additional"].view(1, len(first) - 1, -1).expand(len(x), -1, -1)
        projected = silu(self._linear("proj_add_feat", self._normalised("add_feat_norm", rows)))
        hidden = silu(self._linear("conv_to_fc", torch.cat([pooled.transpose(0, 1), projected], dim=2)))
        return self._linear("output_layer", hidden)[:, :, 0].T

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

        linear = self._linear(f"{name}_embedding.0", x)
        return silu(self._normalised(f"{name}_embedding.1", linear), inplace=True)


class _Layer:
    """An edge-gated convolution: two matrix products, one kernel."""

    def __init__(self, name: str, weights: Mapping[str, Tensor]) -> None:
        import torch

        def of(part: str, kind: str) -> Tensor:
            return weights[f"{name}.{part}.{kind}"]

        bias = [of(part, "bias") for part in _PROJECTIONS]
        bias[0] = bias[0] + of("edge_gate", "bias")  # the gate's parts are added up in any case
        self._weight = torch.cat([of(part, "weight") for part in _PROJECTIONS], dim=1).transpose(1, 2)
        self._weight = self._weight.contiguous()
        self._bias = torch.cat(bias, dim=1)[:, None]
        self._edge_weight = of("edge_gate", "weight").transpose(1, 2).contiguous()
        self._norm = of("norm", "weight"), of("norm", "bias")

    def __call__(self, x: Tensor, edges: Tensor, walk: Walk) -> Tensor:
        """``(k, n_after, width)`` from nodes ``(k, n, width)`` and kinds of edges ``(k, m, width)``."""
        import torch

        projected = torch.baddbmm(self._bias, x, self._weight)
        gates = torch.bmm(edges, self._edge_weight)
        return convolve(projected, gates, x, walk, *self._norm)


class _Gaussians:
    """:class:`~goldilocks_batch.networks.radial.RadialBasis` on a device."""

    def __init__(self, centers: NDArray[np.float32], device: torch.device) -> None:
        import torch

        self._gamma = RadialBasis(centers).gamma
        self._centers = torch.as_tensor(centers, device=device)

    def __call__(self, values: Tensor) -> Tensor:
        """``(n, bins)`` of ``(n,)``."""
        return (values[:, None] - self._centers).square_().mul_(-self._gamma).exp_()
