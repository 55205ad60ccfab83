"""Features of structures, as a stage of a screening and as an end in themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goldilocks_batch.artifacts.resolved import ResolvedFile, file_of
from goldilocks_batch.core.errors import ErrorCode, ModelError, Stage
from goldilocks_batch.features.featurizer import Features, Featurizer
from goldilocks_batch.features.metallicity import Metallicity
from goldilocks_batch.features.soap import Zeros
from goldilocks_batch.features.table import block_slices, column_names
from goldilocks_batch.results.report import Report
from goldilocks_batch.screening.batch import Batch
from goldilocks_batch.screening.rows import known_columns
from goldilocks_batch.structures.sources.reference import Reference

__all__ = [
    "BatchFeatures",
    "Featurization",
    "Featurizing",
    "build_featurizer",
    "featurize_batch",
    "metal_probability",
]


@dataclass(frozen=True, slots=True)
class BatchFeatures:
    """``values`` ``(m, k)`` of the structures at ``indices`` ``(m,)`` of a batch."""

    indices: NDArray[np.int64]
    values: NDArray[np.float64]

    def values_of(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Rows of some of the structures, in ascending order of their place in the batch."""
        return self.values[np.isin(self.indices, indices)]


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


def build_featurizer(
    files: Sequence[ResolvedFile], blocks: tuple[str, ...], zeros: Zeros = "library"
) -> Featurizer | None:
    """A featurizer for some blocks, its network loaded if they include metallicity; None for no blocks."""
    if not blocks:
        return None
    network = None
    if "metallicity" in blocks:
        network = Metallicity(file_of(files, "metallicity_checkpoint"), file_of(files, "metallicity_atoms"))
    return Featurizer(network, blocks, zeros)


def metal_probability(
    featurizer: Featurizer | None, values: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    """``(n,)`` how much the metallicity network takes each crystal for a metal; None where it is not asked.

    Args:
        featurizer: the one that made the features.
        values: ``(n, columns)`` its features.
    """
    if featurizer is None or values is None or not isinstance(featurizer.metallicity, Metallicity):
        return None
    return featurizer.metallicity.metal_probability(values[:, block_slices(featurizer.blocks)["metallicity"]])


@dataclass(frozen=True, slots=True)
class Featurization:
    """Compute the forest's features and nothing else.

    Attributes:
        files: the metallicity network's.
        max_sites: the largest cell accepted.
        blocks: the feature blocks wanted.
        allow_missing_hydrogens: go on with structures whose files say that hydrogens lack positions.
    """

    files: tuple[ResolvedFile, ...]
    max_sites: int
    blocks: tuple[str, ...] = ("composition", "structure", "soap", "lattice", "metallicity")
    allow_missing_hydrogens: bool = False

    def identity(self) -> dict[str, object]:
        """What makes the features the same."""
        digests = [file.sha256 for file in self.files]
        return {"files": digests, "blocks": list(self.blocks), "max_sites": self.max_sites}

    @property
    def uses_gpu(self) -> bool:
        """No GPU has a part in features."""
        return False

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
        featurizer = build_featurizer(work.files, work.blocks)
        if featurizer is None:
            raise ModelError(ErrorCode.MODEL_UNKNOWN, "no feature block was asked for")
        self.featurizer = featurizer

    def __call__(self, references: Sequence[Reference], first_row: int) -> tuple[pa.Table, Report]:
        """One row for every reference: what is known of it, and its features."""
        batch = Batch(references)
        batch.load(self._work.max_sites, allow_missing_hydrogens=self._work.allow_missing_hydrogens)
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
