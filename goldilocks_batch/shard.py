"""References in, rows out: the stages joined as pure functions, with what each needs loaded once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goldilocks_batch.batch import Batch
from goldilocks_batch.config import RunConfig
from goldilocks_batch.crystal import SYMBOLS
from goldilocks_batch.errors import ConfigError, ErrorCode, ModelError, PredictionError, Stage
from goldilocks_batch.features.featurizer import Features, Featurizer
from goldilocks_batch.features.metallicity import Metallicity
from goldilocks_batch.features.table import column_names
from goldilocks_batch.models.artifacts import ResolvedFile, ResolvedModel, file_of, resolve, resolve_files
from goldilocks_batch.models.bounds import finalise
from goldilocks_batch.models.constant import AIIDA_BALANCED
from goldilocks_batch.models.interface import ModelInputs, RawBounds
from goldilocks_batch.models.load import SingleSite, load_model
from goldilocks_batch.models.registry import level_name, load_registry
from goldilocks_batch.report import Report
from goldilocks_batch.rows import Answers, MeshOptions, failed_table, known_columns, report_of, result_table
from goldilocks_batch.sources import Reference

__all__ = ["Featurization", "Featurizing", "Screener", "Screening"]


@dataclass(frozen=True, slots=True)
class Screening:
    """Predict bounds and meshes.

    Attributes:
        model: the model's files, found and checked.
        max_sites: the largest cell accepted.
        meshes: how bounds become meshes.
        single_site: what graph networks do with a cell of one atom.
        device: where networks run.
    """

    model: ResolvedModel
    max_sites: int
    meshes: MeshOptions
    single_site: SingleSite = "skip"
    device: str = "cpu"

    @classmethod
    def from_config(cls, config: RunConfig) -> Self:
        """Find and check the model that a configuration asks for.

        Raises:
            ModelError: it is unknown, or its files are missing or not the right ones.
            ConfigError: it has no such bound as ``grid`` asks for.
        """
        registry = load_registry(config.registry)
        model = resolve(registry, config.model, config.confidence, config.artifacts)
        if model.kind == "constant" and config.grid != "lower":
            raise ConfigError(
                ErrorCode.CONFIG_INVALID,
                f"model '{config.model}' has a lower bound only, no {config.grid}: use --grid lower",
            )
        baseline = load_registry().model("baseline").levels[level_name(config.confidence)].kdist
        constants = (("aiida", AIIDA_BALANCED), ("constant", baseline or AIIDA_BALANCED))
        meshes = MeshOptions(config.grid, config.equal_axes, constants)
        return cls(model, config.max_sites, meshes, config.single_site, config.device)

    def identity(self) -> dict[str, object]:
        """What makes it the same model in the eyes of a resumed run."""
        model = self.model
        return {"name": model.name, "digest": model.digest, "correction": model.correction}

    def describe(self) -> dict[str, Any]:
        """For the run record."""
        files = [
            {"role": f.role, "path": str(f.path), "sha256": f.sha256, "pinned": f.pinned}
            for f in self.model.files
        ]
        return {**self.provenance(), "files": files}

    def provenance(self) -> dict[str, object]:
        """The columns that are the same in every row."""
        model = self.model
        return {
            "model": model.name,
            "model_revision": model.revision,
            "model_digest": model.digest,
            "confidence": model.confidence,
            # a constant has no upper bound for anything to lie below
            "coverage_central": None if model.kind == "constant" else round(2 * model.confidence - 1, 10),
            "correction": model.correction,
            "correction_origin": model.correction_origin,
            "constant_kdist": dict(self.meshes.constants)["constant"],
        }

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a user of the model should know."""
        return self.model.remarks

    def build(self) -> Screener:
        """Load the model and what its features need."""
        return Screener(self)

    def failed(
        self, references: Sequence[Reference], first_row: int, code: ErrorCode, message: str
    ) -> tuple[pa.Table, Report]:
        """Rows of structures that no worker survived."""
        table = failed_table(references, first_row, code, message, self.provenance())
        return table, report_of(table, {})


class Screener:
    """The pipeline of :class:`Screening`: stateless between calls."""

    def __init__(self, work: Screening) -> None:
        self._work = work
        self._model = load_model(work.model, single_site=work.single_site, device=work.device)
        self._featurizer = _featurizer(work.model.files, self._model.feature_blocks)

    def __call__(self, references: Sequence[Reference], first_row: int) -> tuple[pa.Table, Report]:
        """One result row for every reference, in order."""
        batch = Batch(references)
        batch.load(self._work.max_sites)
        answers = self.answer(batch)
        table = result_table(batch, answers, self._work.meshes, self._work.provenance(), first_row)
        return table, report_of(table, batch.seconds)

    @property
    def feature_blocks(self) -> tuple[str, ...]:
        """The feature blocks that the model takes."""
        return self._model.feature_blocks

    def features_of(self, batch: Batch) -> BatchFeatures | None:
        """The model's features of the structures of a batch that are alive; None if it takes none."""
        return featurize_batch(batch, self._featurizer) if self._featurizer else None

    def answer(self, batch: Batch) -> Answers:
        """Features, prediction and final bounds for the structures of a batch that are alive."""
        features = self.features_of(batch)
        alive = batch.alive
        crystals = batch.crystals(alive)
        with batch.timed(Stage.PREDICT.value):
            values = features.values[np.isin(features.indices, alive)] if features else None
            raw = _predicted(self._model.predict(ModelInputs(crystals, values)), batch, alive)
            bounds = finalise(raw, self._work.model.correction)
        for row, failure in bounds.failures.items():
            if batch.failures[alive[row]] is None:
                batch.fail(alive[row], failure, Stage.PREDICT)
        known = set(self._work.model.training_elements)
        for row, index in enumerate(alive):
            batch.flags[index] += [*raw.flags.get(row, ()), *bounds.flags[row]]
            if known and not known.issuperset(SYMBOLS[z] for z in np.unique(crystals[row].numbers)):
                batch.flags[index].append("outside_training_elements")
        good = np.isin(alive, batch.alive)
        spread = None if bounds.spread is None else bounds.spread[good]
        return Answers(alive[good], bounds.values[good], spread)


@dataclass(frozen=True, slots=True)
class BatchFeatures:
    """``values`` ``(m, k)`` of the structures at ``indices`` ``(m,)`` of a batch."""

    indices: NDArray[np.int64]
    values: NDArray[np.float64]


def featurize_batch(batch: Batch, featurizer: Featurizer) -> BatchFeatures:
    """Features of what is alive; structures without any fail."""
    alive = batch.alive
    before = dict(featurizer.timings)
    features: Features = featurizer(batch.crystals(alive), batch.symmetries(alive))
    for block, seconds in featurizer.timings.items():
        batch.seconds[f"features.{block}"] += seconds - before[block]
    for row, failure in features.failures.items():
        batch.fail(alive[row], failure, Stage.FEATURES)
    for index in alive[features.structure_block_zero]:
        batch.flags[index].append("structure_block_zero")
    return BatchFeatures(alive, features.values)


def _predicted(raw: RawBounds, batch: Batch, alive: NDArray[np.int64]) -> RawBounds:
    """The model's answer; rows it failed are failed in the batch."""
    if len(raw.values) != len(alive):
        message = f"the model gave {len(raw.values)} answers for {len(alive)} structures"
        raise PredictionError(ErrorCode.PREDICTION_FAILED, message)
    for row, failure in raw.failures.items():
        batch.fail(alive[row], failure, Stage.PREDICT)
    return raw


def _featurizer(files: tuple[ResolvedFile, ...], blocks: tuple[str, ...]) -> Featurizer | None:
    if not blocks:
        return None
    network = None
    if "metallicity" in blocks:
        network = Metallicity(file_of(files, "metallicity_checkpoint"), file_of(files, "metallicity_atoms"))
    return Featurizer(network, blocks)


@dataclass(frozen=True, slots=True)
class Featurization:
    """Compute the forest's features and nothing else.

    Attributes:
        files: the metallicity network's.
        max_sites: the largest cell accepted.
        blocks: the feature blocks wanted.
    """

    files: tuple[ResolvedFile, ...]
    max_sites: int
    blocks: tuple[str, ...] = ("composition", "structure", "soap", "lattice", "metallicity")

    @classmethod
    def from_config(cls, config: RunConfig) -> Self:
        """Find and check the metallicity network's files.

        Raises:
            ModelError: they are missing or not the right ones.
        """
        registry = load_registry(config.registry)
        wanted = registry.model("rf").files
        files = resolve_files(registry, wanted, "the metallicity block", config.artifacts)
        return cls(files, config.max_sites)

    def identity(self) -> dict[str, object]:
        """What makes the features the same."""
        digests = [file.sha256 for file in self.files]
        return {"files": digests, "blocks": list(self.blocks), "max_sites": self.max_sites}

    def build(self) -> Featurizing:
        """Load the metallicity network."""
        return Featurizing(self)

    def failed(
        self, references: Sequence[Reference], first_row: int, code: ErrorCode, message: str
    ) -> tuple[pa.Table, Report]:
        """Rows of structures that no worker survived."""
        batch = Batch.failed(references, code, message)
        columns = column_names(self.blocks)
        nothing = BatchFeatures(batch.alive, np.empty((0, len(columns))))
        return _feature_table(batch, columns, nothing, first_row)


class Featurizing:
    """The pipeline of :class:`Featurization`."""

    def __init__(self, work: Featurization) -> None:
        self._work = work
        featurizer = _featurizer(work.files, work.blocks)
        if featurizer is None:
            raise ModelError(ErrorCode.MODEL_UNKNOWN, "no feature block was asked for")
        self.featurizer = featurizer

    def __call__(self, references: Sequence[Reference], first_row: int) -> tuple[pa.Table, Report]:
        """One row for every reference: what is known of it, and its features."""
        batch = Batch(references)
        batch.load(self._work.max_sites)
        features = featurize_batch(batch, self.featurizer)
        return _feature_table(batch, self.featurizer.columns, features, first_row)


def _feature_table(
    batch: Batch, names: Sequence[str], features: BatchFeatures, first_row: int
) -> tuple[pa.Table, Report]:
    whole = np.full((len(batch), len(names)), np.nan)
    whole[features.indices] = features.values
    known = known_columns(batch, first_row)
    wanted = ("id", "source", "stage", "error_code", "error_message")
    columns = {name: known[name] for name in wanted}
    columns |= {name: pa.array(whole[:, place], from_pandas=True) for place, name in enumerate(names)}
    failures = Counter(str(failure.code) for failure in batch.failures if failure is not None)
    report = Report(len(batch), len(batch.alive), failures, seconds=dict(batch.seconds))
    return pa.table(columns), report
