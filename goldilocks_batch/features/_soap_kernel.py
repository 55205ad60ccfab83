"""Kernels of the SOAP block: neighbours of one atom and their expansion in Gaussians × harmonics.

Cost model: a mean MC3D cell has some 5 distinct atoms with 700 neighbours each within 13.7 Å, and a pair of
atoms costs 56 exponentials (7 degrees l × 8 Gaussians), 49 harmonics and 49 × 8 multiply-adds.  All three run
over blocks of neighbours side by side, so that they fill vector registers: the exponentials as a polynomial
without any call, the harmonics by three-term recurrences, the sums eight at a time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel

__all__ = ["BLOCK", "N_GAUSSIANS", "average_power", "neighbours_within"]

#: Neighbours expanded together; the arrays of a block stay in the second-level cache.
BLOCK = 128
#: Gaussians for each degree l; the accumulation is written for this width.
N_GAUSSIANS = 8

#: Taylor coefficients 1/k! of exp.
_T2, _T3, _T4, _T5, _T6, _T7, _T8, _T9, _T10, _T11 = (1.0 / math.factorial(k) for k in range(2, 12))
_LOG2_E = 1.4426950408889634
#: ln 2 in two parts, the first with few enough digits that its products with small integers are exact.
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
#: 1.5 · 2^52: a double that has this added is rounded to an integer, held in its low bits.
_ROUND = 6755399441055744.0


@kernel(error_model="numpy")
def neighbours_within(
    triangular: NDArray[np.float64], frac: NDArray[np.float64], center: int, radius: float
) -> NDArray[np.float64]:
    """Vectors from one atom to all atoms and images within a radius, itself included.

    With a lower triangular lattice matrix the coordinates of a lattice point are bounded one after the
    other (third, second, first axis), so every image visited is a neighbour, however skewed the cell.

    Args:
        triangular: ``(3, 3)`` lower triangular lattice matrix, rows a, b, c, Å, positive diagonal.
        frac: ``(n, 3)`` fractional coordinates.
        center: index of the atom.
        radius: Å.

    Returns:
        ``(3, m)`` Cartesian vectors in the frame of `triangular`, Å, in no particular order.
    """
    ax = triangular[0, 0]
    bx, by = triangular[1, 0], triangular[1, 1]
    cx, cy, cz = triangular[2, 0], triangular[2, 1], triangular[2, 2]
    out = np.empty((3, 1024))
    count = 0
    r2 = radius * radius
    for j in range(len(frac)):
        da = frac[j, 0] - frac[center, 0]
        db = frac[j, 1] - frac[center, 1]
        dc = frac[j, 2] - frac[center, 2]
        for nc in range(math.ceil(-radius / cz - dc), math.floor(radius / cz - dc) + 1):
            w = nc + dc
            z = w * cz
            r2_xy = r2 - z * z
            if r2_xy < 0.0:
                continue
            reach_y = math.sqrt(r2_xy)
            y0 = w * cy
            for nb in range(math.ceil((-reach_y - y0) / by - db), math.floor((reach_y - y0) / by - db) + 1):
                v = nb + db
                y = v * by + y0
                r2_x = r2_xy - y * y
                if r2_x < 0.0:
                    continue
                reach_x = math.sqrt(r2_x)
                x0 = v * bx + w * cx
                first = math.ceil((-reach_x - x0) / ax - da)
                last = math.floor((reach_x - x0) / ax - da)
                if count + last - first + 1 > out.shape[1]:
                    grown = np.empty((3, 2 * out.shape[1] + last - first + 1))
                    grown[:, :count] = out[:, :count]
                    out = grown
                for na in range(first, last + 1):
                    out[0, count] = (na + da) * ax + x0
                    out[1, count] = y
                    out[2, count] = z
                    count += 1
    return out[:, :count]


@kernel(error_model="numpy", fastmath={"contract"})
def _harmonics(
    xyz: NDArray[np.float64],
    n: int,
    l_max: int,
    recurrence: NDArray[np.float64],
    rows: NDArray[np.float64],
) -> None:
    """Real solid harmonics r^l Y_lm of `n` vectors; row ``l² + l + m`` of `rows`, sine parts at m < 0."""
    x, y, z = xyz[0], xyz[1], xyz[2]
    r2 = xyz[3]
    first = rows[0]
    for i in range(n):
        first[i] = recurrence[0, 0, 0]
    for m in range(1, l_max + 1):  # sectoral: (x + iy)^m
        factor = recurrence[m, m, 0]
        cos_old, sin_old = rows[m * m - m + (m - 1)], rows[m * m - m - (m - 1)]
        cos_new, sin_new = rows[m * m + 2 * m], rows[m * m]
        if m == 1:
            for i in range(n):
                cos_new[i] = factor * x[i] * cos_old[i]
                sin_new[i] = factor * y[i] * cos_old[i]
        else:
            for i in range(n):
                c, s = cos_old[i], sin_old[i]
                cos_new[i] = factor * (x[i] * c - y[i] * s)
                sin_new[i] = factor * (x[i] * s + y[i] * c)
    for deg in range(1, l_max + 1):
        for m in range(-deg + 1, deg):
            up, down = recurrence[deg, abs(m), 0], recurrence[deg, abs(m), 1]
            new, old = rows[deg * deg + deg + m], rows[deg * deg - deg + m]
            if abs(m) == deg - 1:
                for i in range(n):
                    new[i] = up * z[i] * old[i]
            else:
                older = rows[deg * deg - 3 * deg + 2 + m]
                for i in range(n):
                    new[i] = up * z[i] * old[i] - down * r2[i] * older[i]


@kernel(error_model="numpy", fastmath={"contract"})
def _gaussians(
    r2: NDArray[np.float64],
    n: int,
    rates: NDArray[np.float64],
    scratch: NDArray[np.float64],
    bits: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:
    """``out[t, i] = exp(rates[t] · r2[i])`` for exponents between -700 and 0; relative error 1e-14.

    exp(e) = 2^k exp(f) with |f| ≤ ln 2 / 2, exp(f) as a polynomial.  Adding `_ROUND` leaves the integer k in
    the low bits of the sum, from where integer arithmetic moves it to the exponent field of a double.
    `bits` is the memory of `scratch` seen as integers.
    """
    for t in range(len(rates)):
        rate = rates[t]
        row = out[t]
        for i in range(n):
            e = rate * r2[i]
            shifted = e * _LOG2_E + _ROUND
            k = shifted - _ROUND
            f = e - k * _LN2_HIGH - k * _LN2_LOW
            p = _T8 + f * (_T9 + f * (_T10 + f * _T11))
            p = _T4 + f * (_T5 + f * (_T6 + f * (_T7 + f * p)))
            row[i] = 1.0 + f * (1.0 + f * (_T2 + f * (_T3 + f * p)))
            scratch[i] = shifted
        for i in range(n):
            bits[i] = (bits[i] + 1023) << 52
        for i in range(n):
            row[i] *= scratch[i]


@kernel(error_model="numpy", fastmath={"contract", "reassoc"})
def _accumulate(
    rows: NDArray[np.float64], gauss: NDArray[np.float64], n: int, l_max: int, sums: NDArray[np.float64]
) -> None:
    """``sums[lm, k] += Σ_i rows[lm, i] · gauss[8 l + k, i]``; eight sums at a time stay in registers."""
    for deg in range(l_max + 1):
        g = gauss[deg * N_GAUSSIANS : (deg + 1) * N_GAUSSIANS]
        g0, g1, g2, g3, g4, g5, g6, g7 = g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7]
        for lm in range(deg * deg, (deg + 1) * (deg + 1)):
            harmonic = rows[lm]
            s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
            for i in range(n):
                y = harmonic[i]
                s0 += y * g0[i]
                s1 += y * g1[i]
                s2 += y * g2[i]
                s3 += y * g3[i]
                s4 += y * g4[i]
                s5 += y * g5[i]
                s6 += y * g6[i]
                s7 += y * g7[i]
            total = sums[lm]
            total[0] += s0
            total[1] += s1
            total[2] += s2
            total[3] += s3
            total[4] += s4
            total[5] += s5
            total[6] += s6
            total[7] += s7


@kernel(error_model="numpy", fastmath={"contract"})
def average_power(
    triangular: NDArray[np.float64],
    frac: NDArray[np.float64],
    centers: NDArray[np.int64],
    weights: NDArray[np.float64],
    radius: float,
    rates: NDArray[np.float64],
    mixing: NDArray[np.float64],
    recurrence: NDArray[np.float64],
    power: NDArray[np.float64],
) -> None:
    """Add the weighted mean power spectrum of some atoms to `power`.

    Args:
        triangular: ``(3, 3)`` lower triangular lattice matrix, Å.
        frac: ``(n, 3)`` fractional coordinates.
        centers: ``(c,)`` atoms to expand around.
        weights: ``(c,)`` weight of each of them.
        radius: neighbour cutoff, Å.
        rates: ``((l_max+1)·8,)`` exponents (negative), 1/Å², l slow.
        mixing: ``(l_max+1, 8, 8)`` from Gaussians to orthonormal radial functions.
        recurrence: ``(l_max+1, l_max+1, 2)`` factors of the harmonics.
        power: ``(l_max+1, 8, 8)`` result, upper triangle of each matrix.
    """
    l_max = len(mixing) - 1
    size = (l_max + 1) * (l_max + 1)
    block = np.empty((4, BLOCK))
    rows = np.empty((size, BLOCK))
    gauss = np.empty((len(rates), BLOCK))
    scratch = np.empty(BLOCK)
    bits = scratch.view(np.int64)
    sums = np.empty((size, N_GAUSSIANS))
    coefficient = np.empty(N_GAUSSIANS)
    for center, weight in zip(centers, weights):  # noqa: B905 numba has no strict=
        xyz = neighbours_within(triangular, frac, center, radius)
        sums[:] = 0.0
        for start in range(0, xyz.shape[1], BLOCK):
            n = min(BLOCK, xyz.shape[1] - start)
            for i in range(n):
                x, y, z = xyz[0, start + i], xyz[1, start + i], xyz[2, start + i]
                block[0, i], block[1, i], block[2, i] = x, y, z
                block[3, i] = x * x + y * y + z * z
            _harmonics(block, n, l_max, recurrence, rows)
            _gaussians(block[3], n, rates, scratch, bits, gauss)
            _accumulate(rows, gauss, n, l_max, sums)
        for deg in range(l_max + 1):
            for lm in range(deg * deg, (deg + 1) * (deg + 1)):
                for a in range(N_GAUSSIANS):
                    total = 0.0
                    for k in range(N_GAUSSIANS):
                        total += mixing[deg, a, k] * sums[lm, k]
                    coefficient[a] = total
                for a in range(N_GAUSSIANS):
                    for b in range(a, N_GAUSSIANS):
                        power[deg, a, b] += weight * coefficient[a] * coefficient[b]
