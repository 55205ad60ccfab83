"""Compiled: four real symmetric matrices side by side become tridiagonal, by Householder's reflections.

The last row of what is left is reflected on its last entry, and so on upwards, as in EISPACK's ``tred1``
(Martin, Reinsch and Wilkinson, Numer. Math. 11, 181 (1968); Golub and Van Loan, *Matrix Computations*,
section 8.3.1).  Each reflection takes ``v wᵀ + w vᵀ`` from the matrix, and the next one needs the product of
what is left with a vector.  Both are done in one pass over the lower triangle (Howell et al., ACM TOMS 34, 14
(2008)), two rows at a time, so that it is read and written once for each row of the matrix.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.core.lanes import fill4, load4, root, store, where_greater

__all__ = ["NEGLIGIBLE", "tridiagonal"]

#: Squares of entries that are smaller count as zero.
NEGLIGIBLE = 1e-280


@kernel(error_model="numpy", fastmath={"contract"})
def tridiagonal(
    matrices: NDArray[np.float64], n: int, diagonals: NDArray[np.float64], squares: NDArray[np.float64]
) -> None:
    """Tridiagonal matrices with the eigenvalues of others.

    Rows and columns of zeros at the end of a matrix stay what they are, and nothing else hangs on them, nor
    on the other matrices.

    Args:
        matrices: ``(n, n, 4)``, flat: entry i, j of all four stand side by side.  The lower triangles are
            read, and overwritten.
        n: size of the matrices.
        diagonals: ``(n, 4)``, flat, is filled.
        squares: ``(n, 4)``, flat, is filled with the squares of the entries beside the diagonal, that of i
            and i + 1 in row i.
    """
    zero, one, half, two, negligible = fill4(0.0), fill4(1.0), fill4(0.5), fill4(2.0), fill4(NEGLIGIBLE)
    u, v, w, y = np.empty(4 * n), np.zeros(4 * n), np.zeros(4 * n), np.empty(4 * n)
    for i in range(n - 1, 0, -1):
        vi, wi = load4(v, i), load4(w, i)
        before, square = zero, zero
        for j in range(i):
            x = load4(matrices, i * n + j) - vi * load4(w, j) - wi * load4(v, j)
            store(u, j, x)
            store(y, j, zero)
            before = square
            square = square + x * x
        store(diagonals, i, load4(matrices, i * n + i) - two * vi * wi)
        store(squares, i - 1, square)
        # the reflection 1 - c u uᵀ makes the row's last entry the only one; where it is that, c is 0
        last, length = load4(u, i - 1), root(square)
        length = where_greater(zero, last, zero - length, length)
        store(u, i - 1, where_greater(before, negligible, last + length, zero))
        c = where_greater(before, negligible, one / (length * (last + length)), zero)
        _step(matrices, n, i, u, v, w, y)
        along = zero
        for j in range(i):
            along = along + load4(y, j) * load4(u, j)
        share = half * c * (c * along)
        for j in range(i):
            x = load4(u, j)
            store(w, j, c * load4(y, j) - share * x)
            store(v, j, x)
    store(diagonals, 0, load4(matrices, 0) - two * load4(v, 0) * load4(w, 0))


@kernel(error_model="numpy", fastmath={"contract"})
def _step(
    matrices: NDArray[np.float64],
    n: int,
    size: int,
    u: NDArray[np.float64],
    v: NDArray[np.float64],
    w: NDArray[np.float64],
    y: NDArray[np.float64],
) -> None:
    """Take ``v wᵀ + w vᵀ`` from the first ``size`` rows and columns, and add their product with u to y."""
    zero = fill4(0.0)
    for pair in range(size // 2):
        r = 2 * pair
        first, second = r * n, (r + 1) * n
        v0, w0, u0, y0 = load4(v, r), load4(w, r), load4(u, r), zero
        v1, w1, u1, y1 = load4(v, r + 1), load4(w, r + 1), load4(u, r + 1), zero
        for c in range(r):
            vc, wc, uc = load4(v, c), load4(w, c), load4(u, c)
            a0 = load4(matrices, first + c) - v0 * wc - w0 * vc
            a1 = load4(matrices, second + c) - v1 * wc - w1 * vc
            store(matrices, first + c, a0)
            store(matrices, second + c, a1)
            y0 = y0 + a0 * uc
            y1 = y1 + a1 * uc
            store(y, c, load4(y, c) + a0 * u0 + a1 * u1)
        a0 = load4(matrices, first + r) - v0 * w0 - w0 * v0
        beside = load4(matrices, second + r) - v1 * w0 - w1 * v0
        a1 = load4(matrices, second + r + 1) - v1 * w1 - w1 * v1
        store(matrices, first + r, a0)
        store(matrices, second + r, beside)
        store(matrices, second + r + 1, a1)
        store(y, r, load4(y, r) + y0 + a0 * u0 + beside * u1)
        store(y, r + 1, load4(y, r + 1) + y1 + beside * u0 + a1 * u1)
    if size % 2:
        r = size - 1
        v0, w0, u0, y0 = load4(v, r), load4(w, r), load4(u, r), zero
        for c in range(r):
            a0 = load4(matrices, r * n + c) - v0 * load4(w, c) - w0 * load4(v, c)
            store(matrices, r * n + c, a0)
            y0 = y0 + a0 * load4(u, c)
            store(y, c, load4(y, c) + a0 * u0)
        a0 = load4(matrices, r * n + r) - v0 * w0 - w0 * v0
        store(matrices, r * n + r, a0)
        store(y, r, load4(y, r) + y0 + a0 * u0)
