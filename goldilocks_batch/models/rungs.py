"""A forest that answers with a rung of the structure's own ladder of meshes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from goldilocks_batch.artifacts.goldilocks_record import CSLR_BLOCKS
from goldilocks_batch.config.choices import Cell
from goldilocks_batch.core.errors import ErrorCode, ModelError
from goldilocks_batch.features.soap import Zeros
from goldilocks_batch.kpoints.ladder import ladder
from goldilocks_batch.kpoints.rungs import Band, Rungs, published_rungs, whole_rungs
from goldilocks_batch.models.forest import Forest
from goldilocks_batch.models.interface import ModelInputs, RawBounds
from goldilocks_batch.structures.crystal import Crystal

__all__ = ["RungModel"]


class RungModel:
    """A forest of rungs, whose answers are given as k-distances of them.

    It is asked on pymatgen's primitive cell: its training cells are MC3D's, whose vectors that leaves as they
    are for 98 in 100 (the Niggli cell has another ladder for one in five).  The lower bound is of the rung
    that the model publishes, the median of the median rung, and the upper bound of the rung at the lower end
    of the interval that goldilocks-ml reports.

    Args:
        forest: its arrays; it must have been made for all quantiles that it is asked.
        bands: which quantile is published, by the median.
        confidence: the interval's: rungs of the quantile ``1 - confidence`` make the upper bound.
        path: of its file, for messages.

    Raises:
        ModelError: ARTIFACT_INVALID, it was made for other quantiles.
    """

    feature_blocks: tuple[str, ...] = CSLR_BLOCKS
    zeros: Zeros = "library"
    cell: Cell = "averaged"

    def __init__(self, forest: Forest, bands: tuple[Band, ...], confidence: float, path: Path) -> None:
        self._forest = forest
        self._bands = bands
        self._least = round(1 - confidence, 10)
        self._levels = sorted({self._least, 0.5, *(level for _, level in bands)})
        known = forest.quantiles
        missing = [level for level in self._levels if not np.isclose(known, level, rtol=0, atol=1e-9).any()]
        if missing:
            raise ModelError(
                ErrorCode.ARTIFACT_INVALID,
                f"{path} predicts the quantiles {known.tolist()}; its rule needs {missing} too",
            )

    def prepare(self, crystals: Sequence[Crystal]) -> None:
        """Nothing to prepare: features are all a forest takes."""

    def predict(self, inputs: ModelInputs) -> RawBounds:
        """K-distances in the middle of the rungs' intervals; one past the last is the last, and flagged."""
        if inputs.features is None:
            raise ValueError("a forest needs features")
        answers = self._forest.predict(inputs.features, self._levels)
        quantiles = {level: answers[:, place] for place, level in enumerate(self._levels)}
        wanted = np.column_stack(
            [
                published_rungs(quantiles, self._bands),
                whole_rungs(quantiles[0.5]),
                whole_rungs(quantiles[self._least]),
            ]
        )
        count = len(inputs.crystals)
        values = np.empty((count, 3))
        flags: dict[int, tuple[str, ...]] = {}
        rung, last = np.empty(count, dtype=np.int32), np.empty(count, dtype=np.int32)
        low, high = np.empty(count), np.empty(count)
        for row, crystal in enumerate(inputs.crystals):
            rungs = ladder(crystal.lattice, crystal.pbc)
            chosen = np.minimum(wanted[row], len(rungs))
            if wanted[row, 0] > len(rungs):
                flags[row] = ("rung_beyond_ladder",)
            values[row] = [rungs.kdist(int(one)) for one in chosen]
            rung[row], last[row] = chosen[0], len(rungs)
            low[row], high[row] = rungs.low[chosen[0] - 1], rungs.high[chosen[0] - 1]
        high[np.isinf(high)] = np.nan
        return RawBounds(values, flags=flags, rungs=Rungs(rung, last, low, high))
