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
        forest: its arrays; three quantiles: lower, median, upper.
        feature_blocks: what its columns are.
    """

    def __init__(self, forest: Forest, feature_blocks: tuple[str, ...]) -> None:
        self.feature_blocks = feature_blocks
        self.zeros: Zeros = "library"
        self.cell: Cell = "averaged"
        self._forest = forest

    def prepare(self, crystals: Sequence[Crystal]) -> None:
        """Nothing to prepare: features are all a forest takes."""

    def predict(self, inputs: ModelInputs) -> RawBounds:
        """The three quantiles of every row."""
        if inputs.features is None:
            raise ValueError("a forest needs features")
        return RawBounds(self._forest.predict(inputs.features).astype(np.float64))


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
}
