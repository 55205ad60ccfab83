"""CIF: from text to a crystal, or to a message that says what is wrong with the file.

gemmi (kept by crystallographers) reads the syntax and knows the space groups.  The result has pymatgen's
conventions, on which models were trained: its orientation of the cell, thirds completed within 1e-4,
coordinates wrapped into the cell, sites sorted by electronegativity.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.structures.cif.cell import cell_parameters, lattice_from_parameters
from goldilocks_batch.structures.cif.contents import Contents, parse_formula
from goldilocks_batch.structures.cif.document import Block, read_block
from goldilocks_batch.structures.cif.sites import Sites, read_sites
from goldilocks_batch.structures.cif.symmetry import solve
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal
from goldilocks_batch.structures.outcome import Reading, ReadOptions

__all__ = ["lattice_from_parameters", "read_cif"]


def read_cif(text: str, options: ReadOptions) -> Reading:
    """Read the one structure in a CIF.

    Args:
        text: of the file.
        options: limits and what is accepted.

    Raises:
        StructureError: the text is no CIF or holds no one ordered crystal, or contradicts itself.
    """
    block = read_block(text)
    lengths, angles, assumed = cell_parameters(block.values)
    lattice = lattice_from_parameters(lengths, angles)
    formula = parse_formula(block.values.get("_chemical_formula_sum", "?"))
    assert block.sites is not None  # noqa: S101 - read_block has refused a block without
    sites = read_sites(block.sites, formula, options)
    volume = float(lattice[0, 0] * lattice[1, 1] * lattice[2, 2])  # c lies along z, a in the xz plane
    contents = Contents.of(block.values, sites.multiplicities, volume, ends_in_sites=block.ends_in_sites)
    solved = solve(block, sites, lattice, contents, options)
    expanded = solved.expanded
    numbers = sites.numbers[expanded.listed]
    flags = [*sites.flags, *solved.flags, *_further_flags(block, sites, expanded.listed, contents)]
    if options.allow_missing_hydrogens and contents.lack_hydrogens(numbers):
        flags.append("hydrogens_missing")
    if assumed:
        flags.append("angles_assumed")
    if expanded.completed:
        flags.append("special_position_completed")
    order = _order(numbers)
    crystal = Crystal(lattice, expanded.frac[order], numbers[order])
    return Reading(crystal, tuple(dict.fromkeys(flags)) if flags else ())


def _further_flags(block: Block, sites: Sites, listed: NDArray[np.int64], contents: Contents) -> list[str]:
    flags = []
    if sites.charges is not None and abs(sites.charges[listed].sum()) > 1e-3:
        flags.append("charged")
    if _has_moments(block):
        flags.append("magnetic")
    if not block.ends_in_a_line and block.ends_in_sites and not contents.fix_sites:
        last = next(reversed(block.sites.columns)) if block.sites else ""
        flags += ["ends_abruptly"] if "_fract_" in last else []
    return flags


def _has_moments(block: Block) -> bool:
    if block.column("_space_group_symop_magn_operation_xyz", "_atom_site_moment_label") is not None:
        return True
    return any(tag.startswith("_space_group_magn") for tag in block.values)


@lru_cache(maxsize=1)
def _electronegativities() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pauling electronegativity by element, NaN where pymatgen has none, and its rank with the symbol."""
    import warnings

    from pymatgen.core.periodic_table import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about elements without a value
        values = np.array([math.nan, *(float(Element(symbol).X) for symbol in SYMBOLS[1:])])
    ranks = np.full(len(SYMBOLS), math.nan)
    known = [z for z in range(1, len(SYMBOLS)) if not math.isnan(values[z])]
    for rank, z in enumerate(sorted(known, key=lambda z: (values[z], SYMBOLS[z]))):
        ranks[z] = rank
    return values, ranks


def _order(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order in which pymatgen puts sites: by electronegativity, then symbol, then as listed.

    Elements without an electronegativity come where a comparison sort with NaN leaves them, as there.
    """
    values, ranks = _electronegativities()
    order, known = _by_rank(numbers, ranks)
    if known:
        return order
    keys = [(float(value), SYMBOLS[z]) for value, z in zip(values[numbers], numbers.tolist(), strict=True)]
    return np.array(sorted(range(len(numbers)), key=keys.__getitem__), dtype=np.int64)


@kernel()
def _by_rank(numbers: NDArray[np.int64], ranks: NDArray[np.float64]) -> tuple[NDArray[np.int64], bool]:
    """Return the stable order of the elements' ranks, and whether all have one."""
    ranked = ranks[numbers]
    for rank in ranked:
        if np.isnan(rank):
            return np.empty(0, dtype=np.int64), False
    return np.argsort(ranked, kind="mergesort"), True
