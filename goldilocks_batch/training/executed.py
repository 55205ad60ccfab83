"""Features for training, on the executors that also screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from goldilocks_batch.artifacts.find import find_network
from goldilocks_batch.artifacts.kinds import ModelKind
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.core.places import cache_folder
from goldilocks_batch.results.parts import Parts
from goldilocks_batch.results.report import Report
from goldilocks_batch.runs.run import Assignment, Observer, carry_out
from goldilocks_batch.structures.sources.memory import MemorySource
from goldilocks_batch.structures.sources.reference import Reference
from goldilocks_batch.structures.sources.sourceset import SourceSet
from goldilocks_batch.training.features import Describer, FeatureSet
from goldilocks_batch.training.resources import Progress, Resources

__all__ = ["ClusterFeatures", "Describing", "default_cache", "resources_for"]

#: Builds what describes structures, and answers with the table and its report.
Pipeline = Callable[[Sequence[Reference], int], tuple[pa.Table, Report]]


@dataclass(frozen=True, slots=True)
class Describing:
    """Compute what training needs to know of each structure, as work for an executor.

    Attributes:
        features: which features.
    """

    features: FeatureSet

    @property
    def uses_gpu(self) -> bool:
        """No GPU has a part in it."""
        return False

    def build(self) -> Pipeline:
        """Load what the features need."""
        describe = Describer(self.features)

        def pipeline(references: Sequence[Reference], _first_row: int) -> tuple[pa.Table, Report]:
            return _reported(describe(references))

        return pipeline

    def failed(
        self, references: Sequence[Reference], _first_row: int, code: ErrorCode, message: str
    ) -> tuple[pa.Table, Report]:
        """Rows of structures that no worker survived."""
        return _reported(Describer.failed(references, self.features, code, message))


@dataclass(frozen=True, slots=True)
class ClusterFeatures:
    """Computes features on the executor that a configuration asks for, started only if there is work.

    Attributes:
        config: executor, workers, shard size; what it says of inputs and models is not used.
        observer: told of progress.
    """

    config: RunConfig
    observer: Observer

    def __call__(self, references: Sequence[Reference], features: FeatureSet, folder: Path) -> None:
        """Write the descriptions as parts to ``folder``.

        Raises:
            GoldilocksError: as :func:`goldilocks_batch.run`.
            KeyboardInterrupt: on interruption, with the parts kept.
        """
        sources = SourceSet((MemorySource(tuple(references)),))
        assignment = Assignment(Describing(features), sources, Parts(folder, features.digest))
        if carry_out(assignment, self.config, ModelKind.FOREST, self.observer) == "interrupted":
            raise KeyboardInterrupt


def default_cache() -> Path:
    """``features`` in the project's cache."""
    return cache_folder() / "features"


def resources_for(
    config: RunConfig, cache: Path, observer: Observer, *, progress: Progress | None = None
) -> Resources:
    """How a training's features are had, and its forests grown.

    Args:
        config: execution options, ``max_sites``, and where a metallicity network is looked for.
        cache: folder of the feature cache.
        observer: told of the features' progress.
        progress: told of the forests'.
    """
    return Resources(
        find=lambda: find_network(config.choice),
        max_sites=config.max_sites,
        cache=cache,
        compute=ClusterFeatures(config, observer),
        n_jobs=1 if config.executor == "serial" else config.workers or -1,
        progress=progress,
    )


def _reported(table: pa.Table) -> tuple[pa.Table, Report]:
    failures = Counter(code for code in table["error_code"].to_pylist() if code is not None)
    return table, Report(table.num_rows, table.num_rows - failures.total(), failures)
