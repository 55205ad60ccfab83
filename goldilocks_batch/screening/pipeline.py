"""References in, rows out: the stages joined as pure functions, with what each needs loaded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goldilocks_batch.artifacts.kinds import ModelKind
from goldilocks_batch.artifacts.resolve import published_constant
from goldilocks_batch.artifacts.resolved import ResolvedModel
from goldilocks_batch.config.choices import Device, Grid, SingleSite
from goldilocks_batch.core.errors import ConfigError, ErrorCode, PredictionError, Stage
from goldilocks_batch.models.bounds import finalise
from goldilocks_batch.models.constant import AIIDA_BALANCED
from goldilocks_batch.models.interface import CPU_FALLBACK, ModelInputs, RawBounds
from goldilocks_batch.models.load import load_model
from goldilocks_batch.networks.devices import device_name
from goldilocks_batch.results.report import Report, total
from goldilocks_batch.screening.batch import Batch
from goldilocks_batch.screening.featurization import (
    BatchFeatures,
    build_featurizer,
    featurize_batch,
    metal_probability,
)
from goldilocks_batch.screening.overlap import overlapped
from goldilocks_batch.screening.rows import Answers, MeshOptions, failed_table, report_of, result_table
from goldilocks_batch.structures.crystal import SYMBOLS
from goldilocks_batch.structures.sources.reference import Reference
from goldilocks_batch.structures.symmetry import SYMPREC

__all__ = ["Screener", "Screening"]

#: Structures of a batch that is made ready while a GPU works on the one before.
GPU_BATCH = 256


@dataclass(frozen=True, slots=True)
class Screening:
    """Predict bounds and meshes.

    Attributes:
        model: the model's files, found and checked.
        max_sites: the largest cell accepted.
        meshes: how bounds become meshes.
        single_site: what graph networks do with a cell of one atom.
        device: where networks run.
        allow_missing_hydrogens: go on with structures whose files say that hydrogens lack positions.
        symprec: distance tolerance of the table's symmetry and primitive cell, Å.
    """

    model: ResolvedModel
    max_sites: int
    meshes: MeshOptions
    single_site: SingleSite = "skip"
    device: str = "cpu"
    allow_missing_hydrogens: bool = False
    symprec: float = SYMPREC

    @classmethod
    def of(
        cls,
        model: ResolvedModel,
        *,
        grid: Grid = "lower",
        equal_axes: bool = False,
        symprec: float = SYMPREC,
        max_sites: int = 1000,
        single_site: SingleSite = "skip",
        device: Device = "auto",
        allow_missing_hydrogens: bool = False,
    ) -> Self:
        """Predict with a model.

        Args:
            model: its files, found and checked.
            grid: which of its bounds the recommended mesh is made from.
            equal_axes: equal counts along axes of equal length.
            symprec: distance tolerance of the table's symmetry and primitive cell, Å.
            max_sites: the largest cell accepted.
            single_site: what graph networks do with a cell of one atom.
            device: where networks run.
            allow_missing_hydrogens: go on with structures whose files say that hydrogens lack positions.

        Raises:
            ConfigError: the model has no such bound as ``grid`` asks for, or an option has no effect on it.
        """
        _refuse_unused(model, single_site, device)
        if not model.kind.has_interval and grid != "lower":
            raise ConfigError(
                ErrorCode.CONFIG_INVALID,
                f"model '{model.name}' has a lower bound only, no {grid}: use --grid lower",
            )
        constants: tuple[tuple[str, float], ...] = (("aiida", AIIDA_BALANCED),)
        published = model.constant_kdist
        if model.kind is not ModelKind.BOOSTED:
            published = published_constant(model.confidence)
        if published is not None:
            constants += (("constant", published),)
        meshes = MeshOptions(grid, equal_axes, constants, model.small_constant)
        return cls(model, max_sites, meshes, single_site, device, allow_missing_hydrogens, symprec)

    def identity(self) -> dict[str, object]:
        """What makes it the same model in the eyes of a resumed run."""
        model = self.model
        known: dict[str, object] = {
            "name": model.name,
            "digest": model.digest,
            "correction": model.correction,
        }
        # others have one tolerance, and old runs of theirs go on
        return known | ({"tolerance": model.tolerance} if model.kind is ModelKind.BOOSTED else {})

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
            "tolerance": model.tolerance,
            # a constant has no upper bound for anything to lie below
            "coverage_central": None if not model.kind.has_interval else round(2 * model.confidence - 1, 10),
            "correction": model.correction,
            "correction_origin": model.correction_origin,
            "constant_kdist": dict(self.meshes.constants).get("constant"),
        }

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a user of the model should know."""
        return self.model.remarks

    @property
    def uses_gpu(self) -> bool:
        """Whether networks decide, which a GPU answers faster, and may run on one."""
        return self.model.kind.has_networks and self.device != "cpu"

    def build(self) -> Screener:
        """Load the model and what its features need."""
        return Screener(self)

    def failed(
        self, references: Sequence[Reference], first_row: int, code: ErrorCode, message: str
    ) -> tuple[pa.Table, Report]:
        """Rows of structures that no worker survived."""
        table = failed_table(references, first_row, code, message, self.provenance())
        return table, report_of(table, {})


@dataclass(frozen=True, slots=True)
class _Ready:
    """A batch with all that the model is asked on.

    Attributes:
        batch: the structures.
        alive: ``(n_alive,)`` places of those that are asked about.
        inputs: theirs.
    """

    batch: Batch
    alive: NDArray[np.int64]
    inputs: ModelInputs


class Screener:
    """The pipeline of :class:`Screening`: stateless between calls.

    Where networks run on a GPU, structures are taken in batches, and a thread waits for the GPU's answer on
    one batch while the next is made ready.
    """

    def __init__(self, work: Screening) -> None:
        self._work = work
        self._model = load_model(work.model, single_site=work.single_site, device=work.device)
        self._device = device_name(work.device) if work.model.kind.has_networks else None
        self._batch_size = None if self._device in (None, "cpu") else GPU_BATCH
        self._trained = {z for z, symbol in enumerate(SYMBOLS) if symbol in work.model.training_elements}
        self._featurizer = build_featurizer(work.model.files, self._model.feature_blocks, self._model.zeros)

    def __call__(self, references: Sequence[Reference], first_row: int) -> tuple[pa.Table, Report]:
        """One result row for every reference, in order."""
        if self._batch_size is None or len(references) <= self._batch_size:
            ready = self._made_ready(references)
            return self._rows(ready, self._asked(ready), first_row)
        starts = range(0, len(references), self._batch_size)
        batches = [references[start : start + self._batch_size] for start in starts]
        found = [
            self._rows(ready, raw, first_row + start)
            for start, (ready, raw) in zip(
                starts, overlapped(batches, self._made_ready, self._asked), strict=True
            )
        ]
        return pa.concat_tables([table for table, _ in found]), total(report for _, report in found)

    def _made_ready(self, references: Sequence[Reference]) -> _Ready:
        """All that comes before the model's answer, on the CPU."""
        batch = Batch(references)
        self.load(batch)
        features = self.features_of(batch)
        alive = batch.alive
        crystals = batch.crystals(alive)
        with batch.timed(Stage.GRAPH.value):
            prepared = self._model.prepare(crystals)
        values = features.values_of(alive) if features else None
        return _Ready(batch, alive, ModelInputs(crystals, values, prepared))

    def _asked(self, ready: _Ready) -> RawBounds:
        """The model's answer."""
        with ready.batch.timed(Stage.PREDICT.value):
            return self._model.predict(ready.inputs)

    def _rows(self, ready: _Ready, raw: RawBounds, first_row: int) -> tuple[pa.Table, Report]:
        """One result row for every structure of a batch, in order."""
        batch = ready.batch
        answers = self._final(ready, raw)
        table = result_table(batch, answers, self._work.meshes, self._work.provenance(), first_row)
        return table, report_of(table, batch.seconds)

    def load(self, batch: Batch) -> None:
        """Read the structures of a batch and find their cells, the one that the model wants among them."""
        batch.load(
            self._work.max_sites,
            self._model.cell,
            symprec=self._work.symprec,
            allow_missing_hydrogens=self._work.allow_missing_hydrogens,
        )

    @property
    def feature_blocks(self) -> tuple[str, ...]:
        """The feature blocks that the model takes."""
        return self._model.feature_blocks

    def features_of(self, batch: Batch) -> BatchFeatures | None:
        """The model's features of the structures of a batch that are alive; None if it takes none."""
        return featurize_batch(batch, self._featurizer) if self._featurizer else None

    def _final(self, ready: _Ready, raw: RawBounds) -> Answers:
        """Final bounds for the structures that are alive."""
        batch, alive, crystals = ready.batch, ready.alive, ready.inputs.crystals
        _fail_unanswered(raw, batch, alive)
        bounds = finalise(raw, self._work.model.correction)
        for row, failure in bounds.failures.items():
            if batch.failures[alive[row]] is None:
                batch.fail(alive[row], failure, Stage.PREDICT)
        for row, index in enumerate(alive):
            batch.flags[index] += [*raw.flags.get(row, ()), *bounds.flags[row]]
            if self._trained and not self._trained.issuperset(crystals[row].numbers.tolist()):
                batch.flags[index].append("outside_training_elements")
        good = np.isin(alive, batch.alive)
        spread = None if bounds.spread is None else bounds.spread[good]
        distance = None if raw.distance is None else raw.distance[good]
        devices = self._devices(raw, np.flatnonzero(good).tolist())
        metal = metal_probability(self._featurizer, ready.inputs.features)
        metal = None if metal is None else metal[good]
        rungs = None if raw.rungs is None else raw.rungs.at(good)
        return Answers(alive[good], bounds.values[good], spread, distance, devices, metal, rungs)

    def _devices(self, raw: RawBounds, rows: Sequence[int]) -> list[str] | None:
        """What the networks ran on for some rows of the model's answer; None without networks."""
        if self._device is None:
            return None
        return ["cpu" if CPU_FALLBACK in raw.flags.get(row, ()) else self._device for row in rows]


def _refuse_unused(model: ResolvedModel, single_site: SingleSite, device: Device) -> None:
    """Refuse what was asked for and would change nothing."""
    networks, name = model.kind.has_networks, f"model '{model.name}'"
    without, unused = f"is for networks, and {name} has none", ""
    if device == "cuda" and not networks:
        unused = f"device cuda {without}"
    elif single_site != "skip" and not networks:
        unused = f"single_site {single_site} {without}"
    elif single_site != "skip" and model.kind.describes_itself:
        unused = f"single_site {single_site} has no effect: {name} does what it was trained with"
    if unused:
        raise ConfigError(ErrorCode.CONFIG_INVALID, f"{unused}; leave it out")


def _fail_unanswered(raw: RawBounds, batch: Batch, alive: NDArray[np.int64]) -> None:
    """Fail the structures of a batch that the model has failed."""
    if len(raw.values) != len(alive):
        message = f"the model gave {len(raw.values)} answers for {len(alive)} structures"
        raise PredictionError(ErrorCode.PREDICTION_FAILED, message)
    for row, failure in raw.failures.items():
        batch.fail(alive[row], failure, Stage.PREDICT)
