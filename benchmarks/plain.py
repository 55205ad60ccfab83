"""The plain way: the public libraries used well, one structure at a time.

Featurizers and networks are built once.  This is what the package is measured against and, to rounding,
what it must agree with.
"""

from __future__ import annotations

import json
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.core.composition import Composition
from pymatgen.core.structure import Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

__all__ = ["PlainFeaturizer"]

_SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
_BRAVAIS = ("aP", "mP", "mC", "oP", "oC", "oI", "oF", "tP", "tI", "hP", "hR", "cP", "cI", "cF")


class _Convolution(MessagePassing):  # type: ignore[misc]
    """Crystal graph convolution, normalised after the residual as the metallicity network does it."""

    def __init__(self, width: int, edge_width: int) -> None:
        super().__init__(aggr="add")
        self.lin_f = nn.Linear(2 * width + edge_width, width)
        self.lin_s = nn.Linear(2 * width + edge_width, width)
        self.batch_norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor, edge_index: Tensor, edges: Tensor) -> Tensor:
        """``(n_atoms, width)`` updated atoms."""
        return self.batch_norm(self.propagate(edge_index, x=x, edges=edges) + x)  # type: ignore[no-any-return]

    def message(self, x_i: Tensor, x_j: Tensor, edges: Tensor) -> Tensor:
        """Gate times core of every edge."""
        z = torch.cat([x_i, x_j, edges], dim=1)
        return torch.sigmoid(self.lin_f(z)) * nn.functional.softplus(self.lin_s(z))


class _Metallicity(nn.Module):
    """The metallicity network up to its pooled atoms."""

    def __init__(self, checkpoint: Path) -> None:
        super().__init__()
        stored = torch.load(checkpoint, weights_only=True, map_location="cpu")["state_dict"]
        state = {key.removeprefix("model."): value for key, value in stored.items()}
        width, inputs = state["embedding.weight"].shape
        centres = state["rbf.centers"]
        self.centres: Tensor
        self.register_buffer("centres", centres)
        self.gamma = float(1 / (centres[1] - centres[0]) ** 2)
        self.embedding = nn.Linear(inputs, width)
        count = len({key.split(".")[1] for key in state if key.startswith("convs.")})
        self.convs = nn.ModuleList(_Convolution(width, len(centres)) for _ in range(count))
        self.load_state_dict({**state, "centres": centres}, strict=False)
        self.eval()

    def forward(self, atoms: Tensor, edge_index: Tensor, distances: Tensor) -> Tensor:
        """``(width,)`` mean over the atoms."""
        edges = torch.exp(-self.gamma * (distances[:, None] - self.centres) ** 2)
        x = self.embedding(atoms)
        for convolution in self.convs:
            x = convolution(x, edge_index, edges)
        return x.mean(dim=0)  # type: ignore[no-any-return]


class PlainFeaturizer:
    """483 features of a CIF text, with the time of every block in :attr:`seconds`."""

    def __init__(self, artifacts: Path) -> None:
        from dscribe.descriptors import SOAP
        from matminer.featurizers.base import MultipleFeaturizer
        from matminer.featurizers.composition import ElementProperty, Stoichiometry, ValenceOrbital
        from matminer.featurizers.structure import DensityFeatures, GlobalSymmetryFeatures

        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._composition = MultipleFeaturizer(
            [
                ElementProperty.from_preset("magpie", impute_nan=True),
                Stoichiometry(),
                ValenceOrbital(impute_nan=True),
            ]
        )
        self._structure = MultipleFeaturizer(
            [
                GlobalSymmetryFeatures(["spacegroup_num", "crystal_system_int", "is_centrosymmetric"]),
                DensityFeatures(["density", "vpa", "packing fraction"]),
            ]
        )
        self._soap = SOAP(species=["X"], r_cut=10, n_max=8, l_max=6, sigma=1.0, periodic=True)
        folder = artifacts / "JunwenYin" / "metallicity-goldilocks-CGCNN"
        self._table = json.loads((folder / "atom_init.json").read_text())
        self._network = _Metallicity(folder / "is_metal.ckpt")

    def __call__(self, cif: str) -> NDArray[np.float64]:
        """``(483,)`` features."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            given = self._timed("parse", lambda: Structure.from_str(cif, fmt="cif"))
            cell = self._timed("primitive", given.get_primitive_structure)
            blocks = [
                self._timed("composition", lambda: self._of_composition(cell)),
                self._timed("structure", lambda: self._of_structure(cell)),
                self._timed("soap", lambda: self._of_soap(cell)),
                self._timed("lattice", lambda: self._of_lattice(cell)),
                self._timed("metallicity", lambda: self._of_metallicity(cell)),
            ]
        features: NDArray[np.float64] = np.concatenate(blocks)
        return np.nan_to_num(features, nan=0.0, posinf=0.0, neginf=0.0)

    def _timed(self, name: str, work: Any) -> Any:
        began = time.perf_counter()
        result = work()
        self.seconds[name] += time.perf_counter() - began
        return result

    def _of_composition(self, cell: Structure) -> NDArray[np.float64]:
        return np.array(
            self._composition.featurize(Composition(cell.composition.reduced_formula)), dtype=float
        )

    def _of_structure(self, cell: Structure) -> NDArray[np.float64]:
        try:
            return np.array(self._structure.featurize(cell), dtype=float)
        except Exception:
            return np.zeros(6)  # as in training: an element without a tabulated radius

    def _of_soap(self, cell: Structure) -> NDArray[np.float64]:
        from ase import Atoms

        atoms = Atoms("X" * len(cell), positions=cell.cart_coords, cell=cell.lattice.matrix, pbc=True)
        mean: NDArray[np.float64] = self._soap.create(atoms).mean(axis=0)
        return mean

    def _of_lattice(self, cell: Structure) -> NDArray[np.float64]:
        analyzer = SpacegroupAnalyzer(cell, symprec=0.01)
        system = analyzer.get_crystal_system()
        symbol = analyzer.get_space_group_symbol()
        letter = dict(zip(_SYSTEMS, "amothhc", strict=True))[system]
        bravais = letter + symbol[0]
        code = _BRAVAIS.index(bravais) if bravais in _BRAVAIS else -1
        reciprocal = cell.lattice.reciprocal_lattice
        return np.array(
            [
                *cell.lattice.parameters,
                *reciprocal.parameters,
                _SYSTEMS.index(system),
                code,
                analyzer.get_space_group_number(),
            ],
            dtype=float,
        )

    def _of_metallicity(self, cell: Structure) -> NDArray[np.float64]:
        source, target, distance = [], [], []
        for centre, shell in enumerate(cell.get_all_neighbors(10.0)):
            for neighbour in sorted(shell, key=lambda n: n.nn_distance)[:12]:
                source.append(centre)
                target.append(neighbour.index)
                distance.append(neighbour.nn_distance)
        atoms = torch.tensor([self._table[str(site.specie.Z)] for site in cell], dtype=torch.float32)
        with torch.no_grad():
            pooled = self._network(
                atoms, torch.tensor([source, target]), torch.tensor(distance, dtype=torch.float32)
            )
        return pooled.numpy().astype(float)  # type: ignore[no-any-return]
