"""Compiled: eigenvalues of four symmetric matrices of one or two blocks, side by side.

Each block has a lane of its own.  It is made tridiagonal, and QR steps without square roots follow: those of
Pal, Walker and Kahan (B. N. Parlett, *The Symmetric Eigenvalue Problem* (1998), section 8.15), which LAPACK's
``dsterf`` takes too, with Wilkinson's shift.  Where LAPACK looks for entries that vanish anywhere, here all
rows from the first to the last one that is left take part in a step: then all blocks can take it together.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.core.lanes import fill4, fill8, load4, load8, root, store, where_greater
from goldilocks_batch.features._tridiagonal_kernel import NEGLIGIBLE, tridiagonal

__all__ = ["eigenvalues"]

#: Steps for each row, of which some two are needed; LAPACK allows as many.
_STEPS = 30
#: An entry beside the diagonal is zero if its square is smaller than this times that of the largest
#: eigenvalue.  Rounding keeps entries at a tenth of that where eigenvalues are equal.
_VANISHING = 1e-29
#: A rotation made from less than this is none.
_LITTLE = 1e-270
#: Entries between these have squares, and squares of those, that are ordinary numbers.
_SMALLEST, _LARGEST = 1e-60, 1e60
_LANES = 8


@kernel(error_model="numpy")
def eigenvalues(matrices: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Eigenvalues of four matrices, to some 1e-15 of the largest one of all.

    Args:
        matrices: ``(g, n, n, 4)``, g being 1 or 2: entries i, j of a block of each matrix stand side by side.
            The lower triangles are read, and overwritten; beyond a block's own size all must be zero.
        sizes: ``(g, 4)`` of the blocks, at most n.

    Returns:
        ``(4, m)`` ascending, m being the size of the largest matrix, and NaN beyond a matrix' own; all are
        NaN if an entry is not finite or the search does not end.
    """
    groups, n = matrices.shape[:2]
    m = 0
    for k in range(4):
        size = 0
        for g in range(groups):
            size += sizes[g, k]
        m = max(m, size)
    found = np.full((4, m), np.nan)
    scale = _scaled(matrices.reshape(-1))
    if n == 0 or math.isnan(scale):
        return found
    diagonals, squares = np.zeros((n, _LANES)), np.zeros((n, _LANES))
    diagonal, square = np.empty((n, 4)), np.zeros((n, 4))
    last = np.full(_LANES, -1.0)
    for g in range(groups):
        tridiagonal(matrices[g].reshape(-1), n, diagonal.reshape(-1), square.reshape(-1))
        for k in range(4):
            last[4 * g + k] = sizes[g, k] - 1.0
            for i in range(n):
                diagonals[i, 4 * g + k] = diagonal[i, k]
                squares[i, 4 * g + k] = square[i, k]
    if _iterate(diagonals.reshape(-1), squares.reshape(-1), last):
        for k in range(4):
            size = 0
            for g in range(groups):
                for i in range(sizes[g, k]):
                    found[k, size] = diagonals[i, 4 * g + k] * scale
                    size += 1
            _sort(found[k], size)
    return found


@kernel(error_model="numpy")
def _sort(values: NDArray[np.float64], n: int) -> None:
    """Bring the first n values into ascending order, by Shell's method with Knuth's gaps 1, 4, 13, 40, ..."""
    gap = 1
    while gap < n // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, n):
            value, place = values[i], i
            while place >= gap and values[place - gap] > value:
                values[place] = values[place - gap]
                place -= gap
            values[place] = value
        gap //= 3


@kernel(error_model="numpy")
def _scaled(entries: NDArray[np.float64]) -> float:
    """Multiply entries, ``(4 m,)``, by a number if they are very large or small."""
    zero = fill4(0.0)
    check, most = zero, zero
    for i in range(len(entries) // 4):
        x = load4(entries, i)
        check = check + x * zero
        size = where_greater(x, zero, x, zero - x)
        most = where_greater(size, most, size, most)
    lanes, largest = np.empty(8), 0.0
    store(lanes, 0, check)
    store(lanes, 1, most)
    for k in range(4):
        if lanes[k] != 0.0:
            return math.nan
        largest = max(largest, lanes[4 + k])
    if largest == 0.0 or _SMALLEST < largest < _LARGEST:
        return 1.0
    for i in range(len(entries)):
        entries[i] /= largest
    return largest


@kernel(error_model="numpy")
def _iterate(diagonals: NDArray[np.float64], squares: NDArray[np.float64], last: NDArray[np.float64]) -> bool:
    """Make tridiagonal matrices diagonal; whether that came to an end.

    Args:
        diagonals: ``(n, 8)``, flat; eigenvalues in the end.
        squares: ``(n, 8)``, flat, of the entries beside the diagonal, that of i and i + 1 in row i.
        last: ``(8,)`` the last row of each matrix, -1 if it has none; overwritten.
    """
    n = len(diagonals) // _LANES
    vanishing, ends = np.zeros(_LANES), np.zeros(3 * _LANES)
    for i in range(n):
        for k in range(_LANES):
            norm = diagonals[i * _LANES + k] ** 2 + 4.0 * squares[i * _LANES + k]
            vanishing[k] = max(vanishing[k], _VANISHING * norm)
    for _ in range(_STEPS * n):
        bottom = 0
        for k in range(_LANES):
            row = int(last[k])
            while row > 0 and squares[(row - 1) * _LANES + k] <= vanishing[k]:
                row -= 1
            if row <= 0:
                last[k] = -1.0  # it takes no part any more
                continue
            last[k] = row
            bottom = max(bottom, row)
            ends[k] = diagonals[(row - 1) * _LANES + k]
            ends[_LANES + k] = diagonals[row * _LANES + k]
            ends[2 * _LANES + k] = squares[(row - 1) * _LANES + k]
        if bottom == 0:
            return True
        _step(diagonals, squares, bottom, last, ends)
    return False


@kernel(error_model="numpy", fastmath={"contract"})
def _step(
    diagonals: NDArray[np.float64],
    squares: NDArray[np.float64],
    bottom: int,
    last: NDArray[np.float64],
    ends: NDArray[np.float64],
) -> None:
    """A QR step of all matrices.

    Args:
        diagonals: as above.
        squares: as above.
        bottom: the last row of all.
        last: ``(8,)`` the last row of each matrix; beyond it nothing is changed.
        ends: ``(3, 8)``, flat: last but one and last entry of the diagonal, and the square beside them.
    """
    zero, one, half, negligible = fill8(0.0), fill8(1.0), fill8(0.5), fill8(NEGLIGIBLE)
    little = fill8(_LITTLE)
    stop, beside = load8(last, 0), load8(ends, 2)
    # Wilkinson's shift: the eigenvalue of the last two rows that is nearer to the last entry
    apart = half * (load8(ends, 0) - load8(ends, 1))
    reach = root(apart * apart + beside)
    shift = load8(ends, 1) - beside / (apart + where_greater(zero, apart, zero - reach, reach))
    # c and s are the squares of the rotation's cosine and sine, p that of what it is made from
    c, s, row = one, zero, zero
    entry = load8(diagonals, 0)
    gamma = entry - shift
    p = gamma * gamma
    for i in range(bottom):
        square = where_greater(stop, row, load8(squares, i), zero)
        r = p + (square + negligible)
        inverse, ratio = one / r, r / p  # neither waits for the other
        if i > 0:
            store(squares, i - 1, where_greater(row, stop, load8(squares, i - 1), s * r))
        before, old_gamma, old_entry = c, gamma, entry
        c = where_greater(r, little, p * inverse, one)
        s = where_greater(r, little, square * inverse, zero)
        entry = load8(diagonals, i + 1)
        gamma = c * (entry - shift) - s * old_gamma
        new = where_greater(stop, row, old_gamma + (entry - gamma), shift + old_gamma)
        store(diagonals, i, where_greater(row, stop, old_entry, new))
        rotated = where_greater(p, negligible, gamma * ratio * gamma, before * square)
        p = where_greater(r, little, rotated, gamma * gamma)
        row = row + one
    kept = load8(squares, bottom - 1)
    store(squares, bottom - 1, where_greater(row, stop, kept, s * p))
    store(diagonals, bottom, where_greater(row, stop, entry, shift + gamma))
