"""Crystals that everybody knows: what a trained model recommends for them, for its card."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.kpoints.mesh import mesh
from goldilocks_batch.models.boosted import BoostedParts
from goldilocks_batch.models.constant import AIIDA_BALANCED
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal
from goldilocks_batch.structures.sources.reference import ArraysPayload, Reference
from goldilocks_batch.training.dataset import matrix
from goldilocks_batch.training.features import FeatureSet, cached_features

__all__ = ["well_known_crystals", "well_known_table"]

_FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
_BCC = np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])
#: Lattice, edge of the conventional cell (Å), and elements with their fractional coordinates.  The edges are
#: experimental ones; of the elements they are those of ``ase.data.reference_states``.
_CUBIC = {
    "Si": (_FCC, 5.43, {"Si": [0.0, 0.25]}),
    "Ge": (_FCC, 5.66, {"Ge": [0.0, 0.25]}),
    "GaAs": (_FCC, 5.653, {"Ga": [0.0], "As": [0.25]}),
    "NaCl": (_FCC, 5.640, {"Na": [0.0], "Cl": [0.5]}),
    "MgO": (_FCC, 4.212, {"Mg": [0.0], "O": [0.5]}),
    "diamond": (_FCC, 3.567, {"C": [0.0, 0.25]}),
    "Al": (_FCC, 4.05, {"Al": [0.0]}),
    "Cu": (_FCC, 3.61, {"Cu": [0.0]}),
    "Fe": (_BCC, 2.87, {"Fe": [0.0]}),
    "W": (_BCC, 3.16, {"W": [0.0]}),
}
#: Edges of graphite's cell, Å.
_GRAPHITE = (2.462, 6.707)
_CONFIDENCE = 0.95


def well_known_crystals() -> dict[str, Crystal]:
    """Eleven crystals in their primitive cells, by name."""
    found = {}
    for name, (shape, edge, places) in _CUBIC.items():
        symbols = [symbol for symbol, along in places.items() for _ in along]
        frac = np.array([place for along in places.values() for place in along])
        found[name] = _crystal(edge * shape, np.repeat(frac[:, None], 3, axis=1), symbols)
    a, c = _GRAPHITE
    lattice = np.array([[a, 0.0, 0.0], [-a / 2, a * np.sqrt(0.75), 0.0], [0.0, 0.0, c]])
    sites = np.array([[0, 0, 1 / 4], [0, 0, 3 / 4], [1 / 3, 2 / 3, 1 / 4], [2 / 3, 1 / 3, 3 / 4]])
    found["graphite"] = _crystal(lattice, sites, ["C"] * 4)
    return found


def _crystal(lattice: NDArray[np.float64], frac: NDArray[np.float64], symbols: list[str]) -> Crystal:
    return Crystal(lattice, frac, np.array([SYMBOLS.index(symbol) for symbol in symbols], dtype=np.int64))


def well_known_table(parts: BoostedParts, elements: Collection[str], features: FeatureSet) -> str:
    """Bounds and meshes of the well-known crystals as Markdown; empty if the model knows none of them.

    Args:
        parts: the model.
        elements: that its training set holds; crystals of others are left out.
        features: the model's.
    """
    crystals = {
        name: crystal
        for name, crystal in well_known_crystals().items()
        if {SYMBOLS[z] for z in crystal.numbers} <= set(elements)
    }
    if not crystals:
        return ""
    references = [
        Reference(name, name, ArraysPayload(crystal.lattice, crystal.frac, False, crystal.numbers))
        for name, crystal in crystals.items()
    ]
    known = cached_features(references, features)
    values = matrix(known["features"], len(features.columns))
    lattices = np.array([crystal.lattice for crystal in crystals.values()])
    heads, columns = ["crystal", "AiiDA's mesh"], [list(crystals), _meshes(AIIDA_BALANCED, lattices)]
    for tolerance in parts.tolerances:
        lower, median, _ = parts.bounds_at(values, tolerance, (_CONFIDENCE,))[0].T
        heads += [f"{tolerance:g} meV: median", "lower", "mesh"]
        columns += [[f"{k:.3f}" for k in median], [f"{k:.3f}" for k in lower], _meshes(lower, lattices)]
    rows = [heads, ["---", *["---:"] * (len(heads) - 1)], *zip(*columns, strict=True)]
    return (
        "k-distances (1/Å) of primitive cells at experimental lattice constants, and the meshes of their "
        f"lower bounds at {_CONFIDENCE}, beside the mesh of the constant {AIIDA_BALANCED} "
        "(AiiDA-QuantumESPRESSO, balanced).\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)
    )


def _meshes(kdist: NDArray[np.float64] | float, lattices: NDArray[np.float64]) -> list[str]:
    whole = np.broadcast_to(np.asarray(kdist, dtype=np.float64), len(lattices))
    counts = mesh(whole, lattices, np.ones((len(lattices), 3), dtype=bool))
    return ["×".join(map(str, count)) for count in counts]
