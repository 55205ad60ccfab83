"""Activation functions in float32 without branches or library calls, so that loops over them vectorise.

The exponential is ``2^n · p(r)`` with ``x = n ln 2 + r``; adding and subtracting 1.5·2²³ rounds to n and
leaves n in the low bits of the sum, which then are the exponent.  Polynomials were fitted to the smallest
largest relative error on the interval: 8e-8 for exp on ``|r| ≤ ln 2 / 2``, 3e-8 for ``log(1 + u) / u`` on
``0 ≤ u ≤ 1``.  NaN stays NaN.
"""

from __future__ import annotations

import numpy as np

from goldilocks_batch.core.compiled import kernel

__all__ = ["FASTMATH", "exp32", "sigmoid32", "silu32", "softplus32"]

#: What kernels that inline these may do: fuse a product and a sum, nothing else.
FASTMATH = {"contract"}

_LOG2E = np.float32(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_ROUND = np.float32(12582912.0)
_LOW, _HIGH = np.float32(-87.0), np.float32(87.0)
_E0, _E1, _E2 = np.float32(1.00000007), np.float32(0.99999969), np.float32(0.49998895)
_E3, _E4, _E5 = np.float32(0.16667575), np.float32(0.04191538), np.float32(0.00829765)
_L0, _L1, _L2 = np.float32(0.99999997), np.float32(-0.49999553), np.float32(0.33320343)
_L3, _L4, _L5 = np.float32(-0.24852943), np.float32(0.19145106), np.float32(-0.137466)
_L6, _L7, _L8 = np.float32(0.07921048), np.float32(-0.0301108), np.float32(0.00538402)
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_SHIFT = np.int32(23)


@kernel(fastmath=FASTMATH, error_model="numpy")
def exp32(x: np.float32) -> np.float32:
    """``exp(x)``, with x held between -87 and 87."""
    x = _LOW if x < _LOW else x
    x = _HIGH if x > _HIGH else x
    rounded = x * _LOG2E + _ROUND
    n = rounded - _ROUND
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    p = _E0 + r * (_E1 + r * (_E2 + r * (_E3 + r * (_E4 + r * _E5))))
    bits = np.float32(p).view(np.int32) + np.int32(np.float32(rounded).view(np.int32) << _SHIFT)
    return np.int32(bits).view(np.float32)


@kernel(fastmath=FASTMATH, error_model="numpy")
def sigmoid32(x: np.float32) -> np.float32:
    """``1 / (1 + exp(-x))``."""
    return np.float32(_ONE / (_ONE + exp32(-x)))


@kernel(fastmath=FASTMATH, error_model="numpy")
def silu32(x: np.float32) -> np.float32:
    """``x / (1 + exp(-x))``."""
    return np.float32(x / (_ONE + exp32(-x)))


@kernel(fastmath=FASTMATH, error_model="numpy")
def softplus32(x: np.float32) -> np.float32:
    """``log(1 + exp(x))``."""
    u = exp32(-abs(x))
    tail = _L4 + u * (_L5 + u * (_L6 + u * (_L7 + u * _L8)))
    log = u * (_L0 + u * (_L1 + u * (_L2 + u * (_L3 + u * tail))))
    return np.float32((_ZERO if x < _ZERO else x) + log)
