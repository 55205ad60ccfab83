"""Boosted trees with calibrated bounds at several tolerances: a trained model in a folder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.models.nearness import Nearness
from goldilocks_batch.models.scaled import Groups, Scaled, groups_of
from goldilocks_batch.models.trees import Trees

__all__ = ["BoostedParts", "group_columns", "location_of", "log_tolerance", "scale_of"]

#: Columns that groups are made from.
_GROUP_COLUMNS = {
    "sites": "physics.n_sites",
    "metals": "physics.metals",
    "system": "structure.crystal_system_int",
}
#: No error is taken to be smaller than this, log kdist.
_SMALLEST_SCALE = 0.04


def log_tolerance(tolerance: float) -> float:
    """The column of the tolerance, of meV per atom."""
    return math.log(tolerance)


def group_columns(names: Sequence[str]) -> dict[str, int]:
    """Places of the columns that groups are made from.

    Raises:
        ValueError: a column is not there.
    """
    return {group: list(names).index(name) for group, name in _GROUP_COLUMNS.items()}


def location_of(trees: Trees, features: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """What trees of features and tolerance say of ``(n, k)`` features: μ, ``(n,)``."""
    return trees.where(features.shape[1], log_tolerance(tolerance)).predict(features)


def scale_of(
    trees: Trees, features: NDArray[np.float64], location: NDArray[np.float64], tolerance: float
) -> NDArray[np.float64]:
    """What trees of features, μ and tolerance say, kept from vanishing: w, ``(n,)``."""
    rows = np.column_stack([features, location])
    return np.maximum(trees.where(rows.shape[1], log_tolerance(tolerance)).predict(rows), _SMALLEST_SCALE)


@dataclass(frozen=True, slots=True, eq=False)
class BoostedParts:
    """Everything that predicts.

    Attributes:
        tolerances: meV per atom, ascending.
        location: trees of μ, of features and tolerance.
        scale: trees of w, of features, μ and tolerance.
        nearness: the training set.
        scaled: the calibration; None before there is one.
        columns: places of the columns that groups are made from.
    """

    tolerances: tuple[float, ...]
    location: Trees
    scale: Trees
    nearness: Nearness
    scaled: Scaled | None
    columns: Mapping[str, int]

    def calibrated(self, scaled: Scaled) -> Self:
        """The same with a calibration."""
        return replace(self, scaled=scaled)

    def groups(self, features: NDArray[np.float64], distance: NDArray[np.float64]) -> Groups:
        """Groups of ``(n, k)`` features at ``(n,)`` distances to the training set."""
        at = self.columns
        return groups_of(
            *(features[:, at["sites"]], features[:, at["metals"]], features[:, at["system"]], distance)
        )

    def ask(
        self, features: NDArray[np.float64], tolerance: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """μ and w of ``(n, k)`` features, ``(n,)`` each."""
        location = location_of(self.location, features, tolerance)
        return location, scale_of(self.scale, features, location, tolerance)

    def bounds(
        self, features: NDArray[np.float64], tolerance: float, confidence: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Bounds ``(n, 3)``, 1/Å, and distances to the training set ``(n,)``.

        Bounds at a tolerance are not below those at a smaller one, which are computed too: a larger tolerance
        never gives a denser mesh.
        """
        distance = self.nearness(features)
        return self.bounds_at(features, tolerance, (confidence,), distance)[0], distance

    def bounds_at(
        self,
        features: NDArray[np.float64],
        tolerance: float,
        confidences: Sequence[float],
        distance: NDArray[np.float64] | None = None,
    ) -> list[NDArray[np.float64]]:
        """Bounds ``(n, 3)`` for each of some confidences, 1/Å; ``distance`` if it is known already."""
        assert self.scaled is not None  # noqa: S101 - a model that predicts has a calibration
        groups = self.groups(features, self.nearness(features) if distance is None else distance)
        found: list[NDArray[np.float64]] = []
        for place in range(self.tolerances.index(tolerance) + 1):
            location, scale = self.ask(features, self.tolerances[place])
            own = [self.scaled.bounds(location, scale, groups, place, c) for c in confidences]
            found = [np.maximum(a, b) for a, b in zip(found, own, strict=True)] if found else own
        return found
