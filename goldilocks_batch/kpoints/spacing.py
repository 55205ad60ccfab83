"""One number in place of a mesh: a spacing from which codes make that very mesh, whatever way they round.

Of the codes' rules (``n`` divisions along a reciprocal vector of length ``|b|``, the 2π in it, at a spacing
``s``):

- VASP, ``KSPACING``: ``n = max(1, ceil(|b| / s))`` (https://vasp.at/wiki/KSPACING, whose ``b`` has no 2π);
  VASP knows no axis that is not periodic.
- AiiDA, ``KpointsData.set_kpoints_mesh_from_density``: ``n = max(1, ceil(round(|b| / s, 5)))``, 1 along an
  axis that is not periodic.  AiiDA-QuantumESPRESSO's ``create_kpoints_from_distance`` then takes the largest
  of the three for all, where the three cell vectors are equally long to 1e-5 Å.
- ASE, ``ase.io.espresso.kspacing_to_grid``: ``n = floor(|b| / s) + 1``, 1 along an axis that is not periodic;
  its ``|b|`` and ``s`` are without the 2π.

All give ``n`` for ``|b|/n < s < |b|/(n - 1)``, and differ on the edges.  A spacing inside that interval for
every axis, and some way from its edges, is a spacing for all three.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.kpoints.mesh import reciprocal_lengths

__all__ = ["aiida_keeps", "spacing_interval", "spacing_within"]

#: Share of the interval's width that is kept from either edge.
_KEPT_AWAY = 0.1
#: How far ``|b| / s`` has to stay from integers: AiiDA rounds it to five decimals, and codes print and read
#: cells with some ten digits.
_CLEAR = 2e-5
#: Cell vectors whose lengths agree to this, Å, are equally long for AiiDA-QuantumESPRESSO.
_EQUAL = 1e-5


def spacing_interval(
    mesh: Sequence[int], lattice: NDArray[np.float64], pbc: Sequence[bool] = (True, True, True)
) -> tuple[float, float]:
    """Ends of the open interval of spacings that give a mesh, 1/Å with the 2π.

    Args:
        mesh: divisions along the three reciprocal vectors, each at least 1.
        lattice: ``(3, 3)``, Å, rows a, b, c.
        pbc: which axes count; along others every code that knows of them takes 1.

    Returns:
        The lower and the upper end; the upper is infinite where one point is taken along all axes that count.
        The interval is empty, the lower end not below the upper, where no spacing gives the mesh.
    """
    lengths = reciprocal_lengths(lattice[None])[0]
    lower, upper = 0.0, math.inf
    for count, length, periodic in zip(mesh, lengths.tolist(), pbc, strict=True):
        if periodic:
            lower = max(lower, length / count)
            upper = min(upper, length / (count - 1) if count > 1 else math.inf)
    return lower, upper


def spacing_within(
    mesh: Sequence[int],
    lattice: NDArray[np.float64],
    kdist: float,
    pbc: Sequence[bool] = (True, True, True),
) -> float | None:
    """The spacing nearest to a k-distance that lies well inside a mesh's interval, in few digits.

    Args:
        mesh: divisions along the three reciprocal vectors, each at least 1.
        lattice: ``(3, 3)``, Å.
        kdist: 1/Å, with the 2π; the answer is this itself wherever it lies inside.
        pbc: which axes count, as in :func:`spacing_interval`.

    Returns:
        The spacing, 1/Å with the 2π; None where no single number gives the mesh by all rules, as when axes of
        equal length have unequal counts, or where the interval is so narrow that rounding decides.
    """
    lower, upper = spacing_interval(mesh, lattice, pbc)
    if not lower < upper:
        return None
    width = (lower if math.isinf(upper) else upper - lower) * _KEPT_AWAY
    first, last = lower + width, upper - width
    if not (first < last and _clear(mesh, lattice, first, pbc) and _clear(mesh, lattice, last, pbc)):
        return None
    nearest = min(max(kdist, first), last)
    return _shortest(nearest, first, last)


def _clear(mesh: Sequence[int], lattice: NDArray[np.float64], spacing: float, pbc: Sequence[bool]) -> bool:
    """Whether rounding cannot take the spacing to another mesh."""
    if math.isinf(spacing):
        return True
    ratios = reciprocal_lengths(lattice[None])[0] / spacing
    return all(
        (count == 1 or ratio > count - 1 + _CLEAR) and ratio < count - _CLEAR
        for count, ratio, periodic in zip(mesh, ratios.tolist(), pbc, strict=True)
        if periodic
    )


def _shortest(value: float, first: float, last: float) -> float:
    """The value with four significant digits or as many more as keep it between two others."""
    for digits in range(4, 17):
        rounded = float(f"{value:.{digits}g}")
        if first <= rounded <= last:
            return rounded
    return value


def aiida_keeps(
    mesh: Sequence[int], lattice: NDArray[np.float64], pbc: Sequence[bool] = (True, True, True)
) -> bool:
    """Whether AiiDA-QuantumESPRESSO's rule for cell vectors of equal lengths leaves a mesh as it is.

    Args:
        mesh: divisions along the three reciprocal vectors.
        lattice: ``(3, 3)``, Å.
        pbc: which axes are periodic; along the others it takes 1.
    """
    lengths = np.linalg.norm(lattice, axis=1)
    if (np.abs(lengths - lengths[0]) >= _EQUAL).any():
        return True
    largest = max(mesh)
    # lengths that agree to nearly the limit may be read otherwise from a file
    return all(count == (largest if periodic else 1) for count, periodic in zip(mesh, pbc, strict=True))
