"""From resolved files to a model in memory; the one place that knows every kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from goldilocks_batch.artifacts.kinds import ModelKind
from goldilocks_batch.artifacts.resolved import ResolvedModel
from goldilocks_batch.config.choices import Cell, SingleSite
from goldilocks_batch.core.errors import ErrorCode, ModelError
from goldilocks_batch.features.soap import Zeros
from goldilocks_batch.models.forest import Forest
from goldilocks_batch.models.interface import Model, ModelInputs, RawBounds
from goldilocks_batch.structures.crystal import Crystal

__all__ = ["ForestModel", "load_model"]


class ForestModel:
    """A quantile forest on feature blocks.

    Args:
        forest: its arrays.
        feature_blocks: what its columns are.
        quantiles: lower, median, upper; the forest's own by default.
        correction: subtracted from the lower and added to the upper bound, 1/Å; neither passes the median,
            which is goldilocks-ml's rule (``clamped_to_include_median``).
    """

    def __init__(
        self,
        forest: Forest,
        feature_blocks: tuple[str, ...],
        quantiles: tuple[float, ...] | None = None,
        correction: float = 0.0,
    ) -> None:
        self.feature_blocks = feature_blocks
        self.zeros: Zeros = "library"
        self.cell: Cell = "averaged"
        self._forest = forest
        self._quantiles = quantiles
        self._correction = correction

    def prepare(self, crystals: Sequence[Crystal]) -> None:
        """Nothing to prepare: features are all a forest takes."""

    def predict(self, inputs: ModelInputs) -> RawBounds:
        """The three quantiles of every row."""
        if inputs.features is None:
            raise ValueError("a forest needs features")
        values = self._forest.predict(inputs.features, self._quantiles).astype(np.float64)
        if self._correction:
            values[:, 0] = np.minimum(values[:, 0] - self._correction, values[:, 1])
            values[:, 2] = np.maximum(values[:, 2] + self._correction, values[:, 1])
        return RawBounds(values)


def _expect_level(forest: Forest, resolved: ResolvedModel) -> None:
    """Refuse a forest of another confidence level: not all published files have a digest to tell them by."""
    c = resolved.confidence
    if not np.allclose(forest.quantiles, [1 - c, 0.5, c], atol=1e-9):
        raise ModelError(
            ErrorCode.ARTIFACT_INVALID,
            f"{resolved.source.path} predicts the quantiles {forest.quantiles.tolist()}, level {c:.2f} "
            f"needs {1 - c:.2f}, 0.50 and {c:.2f}: it is the file of another level",
        )


def load_model(
    resolved: ResolvedModel,
    *,
    single_site: SingleSite = "skip",
    device: str = "cpu",
) -> Model:
    """Load a model.

    Args:
        resolved: its files.
        single_site: what the published networks do with a cell of one atom; models trained here do what
            they were trained with.
        device: where networks run: ``cpu``, ``cuda`` or ``auto``.

    Raises:
        ModelError: a file has changed or gone, or is not what its role asks for.
    """
    return _LOADERS[resolved.kind](resolved, _Options(single_site, device))


@dataclass(frozen=True, slots=True)
class _Options:
    single_site: SingleSite
    device: str


def _constant(resolved: ResolvedModel, _options: _Options) -> Model:
    from goldilocks_batch.models.constant import ConstantModel

    assert resolved.kdist is not None  # noqa: S101 - the registry of a constant model has one
    return ConstantModel(resolved.kdist)


def _forest(resolved: ResolvedModel, _options: _Options) -> Model:
    from goldilocks_batch.models.convert import PUBLISHED_BLOCKS, load_forest

    forest = load_forest(resolved)
    _expect_level(forest, resolved)
    return ForestModel(forest, PUBLISHED_BLOCKS)


def _k_index(resolved: ResolvedModel, _options: _Options) -> Model:
    from goldilocks_batch.models.convert import load_forest
    from goldilocks_batch.models.rungs import RungModel

    return RungModel(load_forest(resolved), resolved.bands, resolved.confidence, resolved.source.path)


def _goldilocks(resolved: ResolvedModel, _options: _Options) -> Model:
    from goldilocks_batch.artifacts.goldilocks_record import (
        bands_of,
        blocks_of_width,
        expect_served,
        read_goldilocks_record,
    )
    from goldilocks_batch.models.convert import load_forest
    from goldilocks_batch.models.rungs import RungModel

    folder = resolved.file("record").parent
    record = read_goldilocks_record(folder)
    assert record is not None  # noqa: S101 - its digest has just been checked
    expect_served(folder, record)
    forest, path = load_forest(resolved), resolved.source.path
    known = blocks_of_width(int(forest.n_features[0]))
    if known is None or known[0] != record.feature_schema:
        message = f"{path} takes {forest.n_features[0]} columns, its record says {record.feature_schema}"
        raise ModelError(ErrorCode.ARTIFACT_INVALID, message)
    if record.is_of_rungs:
        return RungModel(forest, bands_of(folder, record), resolved.confidence, path)
    correction = record.calibration.correction if record.calibration else 0.0
    return ForestModel(forest, record.blocks, record.quantiles, correction)


def _alignn(resolved: ResolvedModel, options: _Options) -> Model:
    from goldilocks_batch.models.alignn import Alignn

    return Alignn.load(
        resolved.role("lower"),
        resolved.role("median"),
        resolved.role("upper"),
        resolved.file("atoms"),
        single_site=options.single_site,
        device=options.device,
        confidence=resolved.confidence,
    )


def _trained(resolved: ResolvedModel, _options: _Options) -> Model:
    from goldilocks_batch.models.trained_forest import read_model

    return read_model(resolved.file("manifest").parent).at(resolved.confidence)


def _trained_networks(resolved: ResolvedModel, options: _Options) -> Model:
    from goldilocks_batch.models.trained_networks import read_networks_of

    model = read_networks_of(resolved.file("manifest").parent)
    return model.at(resolved.confidence, device=options.device)


def _boosted(resolved: ResolvedModel, _options: _Options) -> Model:
    from goldilocks_batch.models.trained_boosted import read_boosted

    return read_boosted(resolved.file("manifest").parent).at(resolved.confidence, resolved.tolerance)


_LOADERS: dict[ModelKind, Callable[[ResolvedModel, _Options], Model]] = {
    ModelKind.CONSTANT: _constant,
    ModelKind.FOREST: _forest,
    ModelKind.ALIGNN: _alignn,
    ModelKind.TRAINED: _trained,
    ModelKind.TRAINED_ALIGNN: _trained_networks,
    ModelKind.BOOSTED: _boosted,
    ModelKind.K_INDEX: _k_index,
    ModelKind.GOLDILOCKS: _goldilocks,
}
