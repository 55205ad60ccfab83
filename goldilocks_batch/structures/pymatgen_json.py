"""The dictionary that pymatgen makes of a structure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, Stage
from goldilocks_batch.structures.cif.cell import lattice_from_parameters
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.numerals import has_moment, periodicity
from goldilocks_batch.structures.outcome import Reading, ReadOptions, refuse
from goldilocks_batch.structures.species import OCCUPANCY_TOLERANCE, UNREMARKED_OCCUPANCY, atomic_number

__all__ = ["read_structure", "vectors"]

AGREEMENT = 0.01
"""Å; how far fractional and Cartesian coordinates of a site may be apart."""


def read_structure(content: Mapping[str, Any], options: ReadOptions) -> Reading:
    """Read the dictionary that pymatgen makes of a structure.

    Args:
        content: with ``lattice`` and ``sites``.
        options: limits and what is accepted.

    Raises:
        StructureError: PARSE_FAILED, not of pymatgen's form; CONTENT_MISMATCH, fractional and Cartesian
            coordinates differ.
    """
    lattice, sites = content["lattice"], content["sites"]
    if lattice is None or sites is None or (isinstance(sites, list) and None in sites):
        refuse(ErrorCode.NULL_VALUE, "lattice or sites are null")
    if not isinstance(sites, list) or not isinstance(lattice, dict):
        refuse(ErrorCode.PARSE_FAILED, "lattice must be an object and sites a list, as pymatgen writes them")
    if len(sites) > options.max_sites:
        message = f"{len(sites)} sites are listed, the limit is {options.max_sites}"
        refuse(ErrorCode.TOO_MANY_SITES, message, Stage.CHECK)
    matrix = _matrix(lattice)
    frac = _fractional(sites, matrix)
    flags: list[str] = []
    numbers = [_element(index, site, flags) for index, site in enumerate(sites)]
    pbc = periodicity(lattice["pbc"]) if lattice.get("pbc") is not None else np.ones(3, dtype=bool)
    flags += _flags(content, sites)
    crystal = Crystal(matrix, frac, np.array(numbers, dtype=np.int64), pbc)
    return Reading(crystal, tuple(dict.fromkeys(flags)))


def _matrix(lattice: dict[str, Any]) -> NDArray[np.float64]:
    if "matrix" in lattice:
        return vectors(lattice["matrix"], "lattice.matrix", 3)
    names = ("a", "b", "c", "alpha", "beta", "gamma")
    values = [lattice.get(name) for name in names]
    if not all(isinstance(value, int | float) for value in values):
        refuse(ErrorCode.PARSE_FAILED, "the lattice has neither a matrix nor a, b, c, alpha, beta, gamma")
    known = [float(value) for value in values if value is not None]
    return lattice_from_parameters(known[:3], known[3:])


def _fractional(sites: list[dict[str, Any]], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(n, 3)`` fractional coordinates; from Cartesian ones where a site has no others."""
    rows = [site["abc"] for site in sites if "abc" in site]
    lacking = [index for index, site in enumerate(sites) if "abc" not in site]
    if any("xyz" not in sites[index] for index in lacking):
        refuse(ErrorCode.PARSE_FAILED, f"site {lacking[0]} has no coordinates, abc or xyz")
    if not lacking:
        frac = vectors(rows, "abc", len(sites))
        _expect_agreement(sites, frac, matrix)
        return frac
    cart = [site.get("xyz") for site in sites]
    if any(row is None for row in cart):
        refuse(ErrorCode.PARSE_FAILED, "some sites have only abc, some only xyz")
    if not abs(np.linalg.det(matrix)) > 0:
        refuse(ErrorCode.LATTICE_COLLAPSED, "the lattice vectors lie in a plane", Stage.CHECK)
    found: NDArray[np.float64] = vectors(cart, "xyz", len(sites)) @ np.linalg.inv(matrix)
    return found


def _expect_agreement(
    sites: list[dict[str, Any]], frac: NDArray[np.float64], matrix: NDArray[np.float64]
) -> None:
    if not all("xyz" in site for site in sites):
        return
    cart = vectors([site["xyz"] for site in sites], "xyz", len(sites))
    apart = np.sqrt(np.sum((frac @ matrix - cart) ** 2, axis=1))
    worst = int(apart.argmax()) if len(apart) else 0
    if len(apart) and np.isfinite(apart).all() and apart[worst] > AGREEMENT:
        message = f"site {worst}: abc and xyz are {apart[worst]:.3g} Å apart; keep the right one"
        refuse(ErrorCode.CONTENT_MISMATCH, message)


def vectors(values: Any, name: str, rows: int) -> NDArray[np.float64]:
    """Return ``(rows, 3)`` numbers from lists.

    Raises:
        StructureError: NULL_VALUE, SHAPE_MISMATCH or PARSE_FAILED.
    """
    if values is not None and not (
        isinstance(values, list) and all(isinstance(row, list | type(None)) for row in values)
    ):
        refuse(ErrorCode.PARSE_FAILED, f"{name} must hold {rows} vectors of 3 numbers")
    if values is None or any(row is None or None in row for row in values):
        refuse(ErrorCode.NULL_VALUE, f"{name} holds a null")
    if len(values) != rows or any(len(row) != 3 for row in values):
        refuse(ErrorCode.SHAPE_MISMATCH, f"{name} must hold {rows} vectors of 3 numbers")
    return np.array(values, dtype=np.float64).reshape(rows, 3)


def _element(index: int, site: Mapping[str, Any], flags: list[str]) -> int:
    species = site.get("species")
    if not isinstance(species, list) or not all(isinstance(part, dict) for part in species):
        refuse(ErrorCode.PARSE_FAILED, f"site {index} has no list of species")
    shares = [part.get("occu", 1.0) for part in species]
    if not all(isinstance(share, int | float) for share in shares):
        refuse(ErrorCode.PARSE_FAILED, f"site {index} has an occupancy (occu) that is no number")
    if len(species) != 1 or abs(shares[0] - 1.0) > OCCUPANCY_TOLERANCE:
        mixture = ", ".join(f"{part.get('element')} {part.get('occu')}" for part in species)
        code = ErrorCode.PARTIAL_OCCUPANCY
        if len(species) == 1 and not 0 <= shares[0] <= 1:
            code = ErrorCode.OCCUPANCY_INVALID
        message = f"site {index} holds {mixture or 'nothing'}; only fully occupied sites of one element work"
        refuse(code, message, Stage.CHECK)
    if abs(shares[0] - 1.0) > UNREMARKED_OCCUPANCY:
        flags.append("occupancy_rounded")
    return atomic_number(str(species[0].get("element")))


def _flags(content: Mapping[str, Any], sites: list[dict[str, Any]]) -> list[str]:
    flags = []
    charge = content.get("charge") or 0
    states = [part.get("oxidation_state") or 0 for site in sites for part in site["species"]]
    states = [state for state in states if isinstance(state, int | float)]
    if (isinstance(charge, int | float) and abs(charge) > 1e-3) or abs(sum(states)) > 1e-3:
        flags.append("charged")
    for site in sites:
        properties = site.get("properties") or {}
        spins = [part.get("spin") for part in site["species"]]
        if has_moment([properties.get("magmom"), *spins]):
            flags.append("magnetic")
            break
    return flags
