"""The baselines: one k-distance for everything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from goldilocks_batch.config.choices import Cell
from goldilocks_batch.features.soap import Zeros
from goldilocks_batch.models.interface import ModelInputs, RawBounds
from goldilocks_batch.structures.crystal import Crystal

__all__ = ["AIIDA_BALANCED", "ConstantModel"]

#: ``kpoints_distance`` of AiiDA-QuantumESPRESSO's protocol ``balanced``, 1/Å.
AIIDA_BALANCED = 0.15


class ConstantModel:
    """The k-distance that converges a share ``confidence`` of the training structures.

    It is a lower bound and nothing else: a constant has no median for *this* structure and no upper
    bound, so those stay empty rather than repeat the constant.

    Args:
        kdist: the constant, 1/Å.
    """

    feature_blocks: tuple[str, ...] = ()
    zeros: Zeros = "exact"
    cell: Cell = "exact"

    def __init__(self, kdist: float) -> None:
        self._kdist = kdist

    def prepare(self, crystals: Sequence[Crystal]) -> None:
        """Nothing to prepare."""

    def predict(self, inputs: ModelInputs) -> RawBounds:
        """The constant as lower bound, NaN for the others."""
        values = np.full((len(inputs.crystals), 3), np.nan)
        values[:, 0] = self._kdist
        return RawBounds(values, given=(True, False, False))
