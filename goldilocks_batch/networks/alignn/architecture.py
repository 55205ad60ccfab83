"""The networks of an ALIGNN ensemble: checkpoints read, held to their keys, arranged for inference."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from goldilocks_batch.core.errors import ErrorCode, ModelError
from goldilocks_batch.networks.checkpoint import (
    PREFIX,
    Checkpoint,
    check_keys,
    constructor_number,
    read_checkpoint,
)

__all__ = ["N_ADDITIONAL", "RADIUS", "Architecture", "checkpoints_in", "read_networks"]

#: Features beside the graph: composition, structure, lattice, metallicity.
N_ADDITIONAL = 231
#: Å, the longest distance that the published networks tell from others.
RADIUS = 10.0
#: Nearest neighbours of an atom in the graphs that they were trained on.
NEIGHBOURS = 12
#: Values of a pooling argument that mean what these networks do.
_MEAN = (None, "mean", "mean_pool", "global_mean_pool")
#: The five linear maps of an edge-gated convolution.
LINEAR = ("src_gate", "dst_gate", "edge_gate", "src_update", "dst_update")


@dataclass(frozen=True, slots=True)
class Architecture:
    """Constructor arguments that decide shapes; the defaults are those of the published code.

    Attributes:
        atom_inputs: numbers an element.
        hidden: width of all features.
        alignn_layers: layers that update bonds, then atoms.
        gcn_layers: layers that update atoms alone.
        bond_bins: Gaussians of a distance.
        angle_bins: Gaussians of a cosine.
        additional: features beside the graph.
    """

    atom_inputs: int
    hidden: int
    alignn_layers: int
    gcn_layers: int
    bond_bins: int
    angle_bins: int
    additional: int

    @classmethod
    def of(cls, checkpoint: Checkpoint, additional: int = N_ADDITIONAL) -> Architecture:
        """What a checkpoint's constructor arguments say.

        Args:
            checkpoint: the network.
            additional: features beside the graph that it must take.

        Raises:
            ModelError: ARTIFACT_INVALID, they describe a network that predicts something else.
        """
        arguments = checkpoint.arguments
        wanted: dict[str, object] = {
            "name": "alignn",
            "classification": False,
            "robust_regression": False,
            "num_quantiles": 1,
            "use_layer_norm": True,
            "additional_compound_features": True,
            "add_feat_len": additional,
            "radius": RADIUS,
        }
        required = ("additional_compound_features", "add_feat_len")
        for name, value in wanted.items():
            found = arguments.get(name, None if name in required else value)
            if found != value:
                raise _unlike(checkpoint, f'constructor argument "{name}"', found, value)
        for name, found in arguments.items():
            if "pool" in name and found not in _MEAN:
                raise _unlike(checkpoint, f'constructor argument "{name}"', found, "mean")
        for name, value in {"radius": RADIUS, "max_neighbors": NEIGHBOURS}.items():
            found = _graph_settings(checkpoint).get(name, value)
            if found != value:
                raise _unlike(checkpoint, f'the graphs\' "{name}"', found, value)
        return cls(
            atom_inputs=constructor_number(checkpoint, "atom_input_features"),
            hidden=constructor_number(checkpoint, "hidden_features", 64),
            alignn_layers=constructor_number(checkpoint, "alignn_layers", 4, least=0),
            gcn_layers=constructor_number(checkpoint, "gcn_layers", 4, least=0),
            bond_bins=constructor_number(checkpoint, "edge_input_features", 40),
            angle_bins=constructor_number(checkpoint, "triplet_input_features", 20),
            additional=additional,
        )

    def arguments(self) -> dict[str, object]:
        """The constructor arguments of such a network, as checkpoints hold them."""
        return {
            "name": "alignn",
            "atom_input_features": self.atom_inputs,
            "hidden_features": self.hidden,
            "radius": RADIUS,
            "edge_input_features": self.bond_bins,
            "triplet_input_features": self.angle_bins,
            "alignn_layers": self.alignn_layers,
            "gcn_layers": self.gcn_layers,
            "classification": False,
            "robust_regression": False,
            "quantile_regression": True,
            "num_quantiles": 1,
            "use_layer_norm": True,
            "additional_compound_features": True,
            "add_feat_len": self.additional,
        }

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter and buffer by key, without the prefix."""
        width = self.hidden
        out: dict[str, tuple[int, ...]] = {
            "edge_rbf.centers": (self.bond_bins,),
            "angle_rbf.centers": (self.angle_bins,),
            "add_feat_norm.weight": (self.additional,),
            "add_feat_norm.bias": (self.additional,),
            "proj_add_feat.weight": (width, self.additional),
            "proj_add_feat.bias": (width,),
            "conv_to_fc.weight": (width, 2 * width),
            "conv_to_fc.bias": (width,),
            "output_layer.weight": (1, width),
            "output_layer.bias": (1,),
        }
        inputs = {"atom": self.atom_inputs, "edge": self.bond_bins, "angle": self.angle_bins}
        for name, length in inputs.items():
            out[f"{name}_embedding.0.weight"] = (width, length)
            out |= {f"{name}_embedding.{key}": (width,) for key in ("0.bias", "1.weight", "1.bias")}
        for layer in self.bond_layers() + self.atom_layers():
            out |= {f"{layer}.{name}.weight": (width, width) for name in LINEAR}
            out |= {f"{layer}.{name}.bias": (width,) for name in LINEAR}
            out |= {f"{layer}.norm.weight": (width,), f"{layer}.norm.bias": (width,)}
        return out

    def bond_layers(self) -> list[str]:
        """Key prefixes of the convolutions on the line graph, in order."""
        return [f"alignn_layers.{k}.edge_update" for k in range(self.alignn_layers)]

    def atom_layers(self) -> list[str]:
        """Key prefixes of the convolutions on the atoms, in order."""
        alignn = [f"alignn_layers.{k}.node_update" for k in range(self.alignn_layers)]
        return alignn + [f"gcn_layers.{k}" for k in range(self.gcn_layers)]


def _unlike(checkpoint: Checkpoint, what: str, found: object, expected: object) -> ModelError:
    message = f"{checkpoint.path}: {what} is {found!r}, expected {expected!r}"
    return ModelError(ErrorCode.ARTIFACT_INVALID, message)


def _graph_settings(checkpoint: Checkpoint) -> Mapping[str, object]:
    """How the graphs were made that a network was trained on, as far as the checkpoint says."""
    data = checkpoint.settings.get("data")
    settings = data.get("graph_params") if isinstance(data, dict) else None
    return settings if isinstance(settings, dict) else {}


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoints of one quantile, sorted by name.

    Raises:
        ModelError: ARTIFACT_MISSING, there is no such folder; ARTIFACT_INVALID, it holds no checkpoint.
    """
    if not folder.is_dir():
        raise ModelError(ErrorCode.ARTIFACT_MISSING, f"no folder of checkpoints at {folder}")
    paths = sorted(folder.glob("*.ckpt"))
    if not paths:
        raise ModelError(
            ErrorCode.ARTIFACT_INVALID,
            f"{folder} holds no *.ckpt file; expected the checkpoints of one quantile",
        )
    return paths


def read_networks(
    folders: Sequence[Sequence[Path]],
    additional: int = N_ADDITIONAL,
    *,
    over: Sequence[float] | None = None,
) -> tuple[Architecture, list[list[Checkpoint]]]:
    """Read the checkpoints of some ensembles, all of one architecture.

    Args:
        folders: the checkpoints of each ensemble.
        additional: features beside the graph that they must take.
        over: the weight on over-prediction that each ensemble must have been trained with; None for any.  A
            checkpoint that does not say is taken at its folder's word.

    Returns:
        The architecture, and the checkpoints of each ensemble.

    Raises:
        ModelError: a file is missing or not acceptable, constructor arguments differ, an ensemble mixes
        quantiles, has another one than it should, or holds a network twice.
    """
    ensembles = [[read_checkpoint(path) for path in paths] for paths in folders]
    networks = [network for ensemble in ensembles for network in ensemble]
    architecture = Architecture.of(networks[0], additional)
    shapes = architecture.shapes()
    for network in networks:
        _same_arguments(networks[0], network)
        check_keys(network, shapes)
        _same_centers(networks[0], network)
    for number, ensemble in enumerate(ensembles):
        _one_quantile(ensemble, None if over is None else over[number])
        _no_twins(ensemble)
    return architecture, ensembles


def _same_arguments(first: Checkpoint, other: Checkpoint) -> None:
    names = sorted(set(first.arguments) | set(other.arguments))
    different = [name for name in names if first.arguments.get(name) != other.arguments.get(name)]
    if different:
        pairs = ", ".join(
            f'"{name}" {first.arguments.get(name)!r} and {other.arguments.get(name)!r}' for name in different
        )
        raise ModelError(
            ErrorCode.ARTIFACT_INVALID,
            f"{first.path} and {other.path} have different constructor arguments: {pairs};"
            " an ensemble is of one architecture",
        )


def _same_centers(first: Checkpoint, other: Checkpoint) -> None:
    for key, (low, high) in {"edge_rbf.centers": (0.0, RADIUS), "angle_rbf.centers": (-1.0, 1.0)}.items():
        centers = other.weights[key]
        if not np.array_equal(first.weights[key], centers):
            raise ModelError(
                ErrorCode.ARTIFACT_INVALID, f'"{PREFIX}{key}" differs between {first.path} and {other.path}'
            )
        if not np.allclose(centers, np.linspace(low, high, len(centers)), rtol=0, atol=1e-4 * (high - low)):
            raise ModelError(
                ErrorCode.ARTIFACT_INVALID,
                f'{other.path}: "{PREFIX}{key}" are not evenly spaced from {low:g} to {high:g}',
            )


def _no_twins(ensemble: Sequence[Checkpoint]) -> None:
    """A network that counts twice makes the spread smaller than it is."""
    seen: dict[bytes, Path] = {}
    for network in ensemble:
        content = b"".join(network.weights[key].tobytes() for key in sorted(network.weights))
        digest = hashlib.sha256(content).digest()
        if digest in seen:
            raise ModelError(
                ErrorCode.ARTIFACT_INVALID,
                f"{seen[digest]} and {network.path} are the same network; an ensemble is of different ones",
            )
        seen[digest] = network.path


def _one_quantile(ensemble: Sequence[Checkpoint], over: float | None) -> None:
    quantiles = {network.path: network.quantile for network in ensemble}
    if len(set(quantiles.values())) > 1:
        listed = ", ".join(f"{path.name}: {value}" for path, value in quantiles.items())
        raise ModelError(
            ErrorCode.ARTIFACT_INVALID,
            f"{ensemble[0].path.parent} mixes checkpoints of different quantiles ({listed});"
            " a bound is the mean over networks of one",
        )
    for path, found in quantiles.items():
        if over is not None and isinstance(found, float) and abs(found - over) > 1e-6:
            raise ModelError(
                ErrorCode.ARTIFACT_INVALID,
                f"{path} was trained with weight {found:g} on over-prediction, expected {over:g}: it belongs"
                " to another bound or level",
            )
