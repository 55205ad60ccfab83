"""The metallicity block: 64 numbers from inside a crystal graph network that tells metals from insulators.

Network: CGCNN, Xie and Grossman, Phys. Rev. Lett. 120, 145301 (2018), as published in
``JunwenYin/metallicity-goldilocks-CGCNN``; the block is the mean over atoms of the features before its head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, FeatureError, ModelError, Stage
from goldilocks_batch.features._cgcnn_kernel import convolve
from goldilocks_batch.networks.checkpoint import (
    Checkpoint,
    check_keys,
    constructor_number,
    read_checkpoint,
    read_element_table,
)
from goldilocks_batch.networks.graphs.collate import collate_bonds, pack, pool
from goldilocks_batch.networks.graphs.neighbours import Bonds, find_bonds
from goldilocks_batch.networks.radial import RadialBasis
from goldilocks_batch.networks.threads import one_thread
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal

__all__ = ["METAL", "N_METALLICITY", "Metallicity"]

#: Numbers of the block.
N_METALLICITY = 64
#: The class of metals, of the two that the network tells apart: matbench_mp_is_metal's label 1.
METAL = 1
#: Atoms of a batch: what the kernel passes over more than once then fits the second-level cache.
ATOMS_PER_BATCH = 256
#: Added to the variance by torch's BatchNorm1d.
EPSILON = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """One convolution, arranged for the kernel."""

    atoms: NDArray[np.float32]  # (width, 4 width): branches f, s of the target, then of the source
    bonds: NDArray[np.float32]  # (bins, 2 width): branches f, s
    bias: NDArray[np.float32]  # (2 width,)
    scale: NDArray[np.float32]  # (width,)
    shift: NDArray[np.float32]  # (width,)


class Metallicity:
    """The network, ready to run; build one for each worker.

    Its representation is a feature block; its own head, for two classes, makes a probability of that.

    Args:
        checkpoint: path of ``is_metal.ckpt``.
        elements: path of ``atom_init.json``.

    Raises:
        ModelError: a file is missing, or is not the network or table expected.
    """

    def __init__(self, checkpoint: Path, elements: Path) -> None:
        network = read_checkpoint(checkpoint)
        table = read_element_table(elements)
        check_keys(network, _expected(network))
        weights = network.weights
        if table.shape[1] != weights["embedding.weight"].shape[1]:
            raise ModelError(
                ErrorCode.ARTIFACT_INVALID,
                f"{elements} has {table.shape[1]} numbers an element, {checkpoint} expects"
                f" {weights['embedding.weight'].shape[1]}",
            )
        self._tabulated = ~np.isnan(table[:, 0])
        with one_thread():
            self._embedding = table @ weights["embedding.weight"].T + weights["embedding.bias"]
            self._basis = RadialBasis(weights["rbf.centers"])
            self._layers = [_layer(network, index) for index in range(constructor_number(network, "n_conv"))]
        names = ["conv_to_fc", *(f"fcs.{i}" for i in range(constructor_number(network, "n_h") - 1)), "fc_out"]
        self._head = [(weights[f"{name}.weight"].T.copy(), weights[f"{name}.bias"]) for name in names]

    def metal_probability(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """What the network's head makes of its representation: how much it takes each crystal for a metal.

        The softmax of its two outputs, softplus between its layers (Xie and Grossman's head).  It is not
        calibrated, and the published network comes without a threshold of its own.

        Args:
            features: ``(n, 64)``, as calling this gives them.

        Returns:
            ``(n,)`` between 0 and 1; NaN in rows that are NaN.
        """
        with one_thread():
            # a row at a time, so that its last digits do not depend on the others
            logits = np.array([self._logits(row) for row in features.astype(np.float32)]).reshape(-1, 2)
        difference = np.clip(logits[:, 1 - METAL] - logits[:, METAL], -700.0, 700.0)
        probability: NDArray[np.float64] = 1.0 / (1.0 + np.exp(difference))
        return probability

    def _logits(self, row: NDArray[np.float32]) -> NDArray[np.float64]:
        """``(2,)`` of one crystal."""
        x = _softplus(row)
        for weight, bias in self._head[:-1]:
            x = _softplus(x @ weight + bias)
        weight, bias = self._head[-1]
        return (x @ weight + bias).astype(np.float64)

    def __call__(self, crystals: Sequence[Crystal]) -> tuple[NDArray[np.float32], dict[int, FeatureError]]:
        """Features of some primitive cells.

        Args:
            crystals: the cells; not changed.

        Returns:
            ``(n, 64)`` float32, zero where there is an error, and the errors by index:
            ELEMENT_NOT_TABULATED or NO_NEIGHBOURS.
        """
        features = np.zeros((len(crystals), N_METALLICITY), dtype=np.float32)
        graphs: dict[int, Bonds] = {}
        failures: dict[int, FeatureError] = {}
        for index, crystal in enumerate(crystals):
            try:
                self._check_elements(crystal)
                graphs[index] = find_bonds(crystal)
            except FeatureError as error:
                failures[index] = error
        alive = np.array(list(graphs), dtype=np.int64)
        sizes = np.array([graph.n_atoms for graph in graphs.values()], dtype=np.int64)
        with one_thread():
            for batch in pack(sizes, ATOMS_PER_BATCH):
                chosen = alive[batch]
                numbers = np.concatenate([crystals[i].numbers for i in chosen])
                features[chosen] = self._forward(numbers, [graphs[i] for i in chosen.tolist()])
        return features, failures

    def _check_elements(self, crystal: Crystal) -> None:
        unknown = np.unique(crystal.numbers[~self._tabulated[crystal.numbers]])
        if len(unknown):
            raise FeatureError(
                ErrorCode.ELEMENT_NOT_TABULATED,
                f"the metallicity network does not know {', '.join(SYMBOLS[z] for z in unknown)};"
                f" its table holds {int(self._tabulated.sum())} elements",
                stage=Stage.FEATURES,
            )

    def _forward(self, numbers: NDArray[np.int64], graphs: Sequence[Bonds]) -> NDArray[np.float32]:
        """``(n_structures, 64)`` for one batch."""
        bonds = collate_bonds(graphs)
        first, gaussians = self._basis.near(bonds.distance)
        x = self._embedding[numbers]
        for layer in self._layers:
            x = convolve(
                x,
                x @ layer.atoms,
                bonds.into,
                bonds.source,
                first,
                gaussians,
                layer.bonds,
                layer.bias,
                layer.scale,
                layer.shift,
            )
        pooled: NDArray[np.float32] = pool(x, bonds.first_atom)
        return pooled


def _softplus(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """``log(1 + exp(x))``; above 20 torch gives x itself, which is the same in float32."""
    return np.logaddexp(x, np.float32(0))


def _expected(network: Checkpoint) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of a network with a checkpoint's constructor arguments."""
    width = constructor_number(network, "atom_fea_len")
    if width != N_METALLICITY:
        raise ModelError(
            ErrorCode.ARTIFACT_INVALID,
            f"{network.path}: atoms have {width} features, the metallicity block has {N_METALLICITY}",
        )
    classes = constructor_number(network, "num_classes")
    if classes != 2:
        message = f"{network.path}: it tells {classes} classes apart, expected 2: metals and the others"
        raise ModelError(ErrorCode.ARTIFACT_INVALID, message)
    bins, hidden = constructor_number(network, "edge_feat_dim"), constructor_number(network, "h_fea_len")
    shapes: dict[str, tuple[int, ...]] = {
        "embedding.weight": (width, constructor_number(network, "orig_atom_fea_len")),
        "embedding.bias": (width,),
        "rbf.centers": (bins,),
        "conv_to_fc.weight": (hidden, width),
        "conv_to_fc.bias": (hidden,),
        "fc_out.weight": (constructor_number(network, "num_classes"), hidden),
        "fc_out.bias": (constructor_number(network, "num_classes"),),
    }
    for index in range(constructor_number(network, "n_h") - 1):
        shapes |= {f"fcs.{index}.weight": (hidden, hidden), f"fcs.{index}.bias": (hidden,)}
    for index in range(constructor_number(network, "n_conv")):
        for branch in ("lin_f", "lin_s"):
            shapes[f"convs.{index}.{branch}.weight"] = (width, 2 * width + bins)
            shapes[f"convs.{index}.{branch}.bias"] = (width,)
        for name in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"convs.{index}.batch_norm.{name}"] = (width,)
        shapes[f"convs.{index}.batch_norm.num_batches_tracked"] = ()
    return shapes


def _layer(network: Checkpoint, index: int) -> _Layer:
    def of(name: str) -> NDArray[np.float32]:
        return network.weights[f"convs.{index}.{name}"]

    f, s = of("lin_f.weight"), of("lin_s.weight")
    width = len(f)
    scale = of("batch_norm.weight") / np.sqrt(of("batch_norm.running_var") + np.float32(EPSILON))
    return _Layer(
        atoms=np.concatenate(
            [f[:, :width], s[:, :width], f[:, width : 2 * width], s[:, width : 2 * width]]
        ).T.copy(),
        bonds=np.concatenate([f[:, 2 * width :], s[:, 2 * width :]]).T.copy(),
        bias=np.concatenate([of("lin_f.bias"), of("lin_s.bias")]),
        scale=scale,
        shift=of("batch_norm.bias") - of("batch_norm.running_mean") * scale,
    )
