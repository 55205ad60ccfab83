"""A study as work for an executor: read the structure, go on where its rungs end, write a row."""

from __future__ import annotations

import json
import logging
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from goldilocks_batch.config.convergence import ConvergeConfig, digest_of
from goldilocks_batch.convergence.bands import UNKNOWN, Bands
from goldilocks_batch.convergence.calculators import Code
from goldilocks_batch.convergence.espresso import elements_of
from goldilocks_batch.convergence.folder import Known, StudyFolder
from goldilocks_batch.convergence.pseudos import Family, read_family
from goldilocks_batch.convergence.study import Budget, CalculationFailed, Point, Rule, Study, carry_on
from goldilocks_batch.convergence.table import Head, failed_row, row_of, table_of
from goldilocks_batch.core.errors import ErrorCode, GoldilocksError, RunError, StructureError
from goldilocks_batch.kpoints.ladder import Ladder, ladder
from goldilocks_batch.kpoints.mesh import irreducible_count
from goldilocks_batch.results.report import Report
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.outcome import ReadOptions
from goldilocks_batch.structures.read import read
from goldilocks_batch.structures.sources.reference import Reference
from goldilocks_batch.structures.symmetry import find_symmetry

__all__ = [
    "Converging",
    "budget_of",
    "family_of",
    "findable",
    "input_digest",
    "portable",
    "rule_of",
    "rungs_of",
]

_log = logging.getLogger(__name__)


def rule_of(config: ConvergeConfig) -> Rule:
    """What counts as converged."""
    return Rule(config.tolerances, config.ladder.tail)


def budget_of(config: ConvergeConfig) -> Budget:
    """Where a study stops without a label."""
    chosen = config.budget
    limits = (chosen.seconds, chosen.kpoints, chosen.divisions)
    return Budget(*(math.inf if limit is None else limit for limit in limits))


def family_of(config: ConvergeConfig) -> Family:
    """The pseudopotentials; empty for codes that have their own.

    Raises:
        ConfigError: as :func:`~goldilocks_batch.convergence.pseudos.read_family`.
    """
    return read_family(config.code) if config.code.calculator == "espresso" else Family({})


def rungs_of(crystal: Crystal, config: ConvergeConfig) -> tuple[Ladder, int]:
    """The ladder of a crystal, and the first rung of its study."""
    rungs = ladder(crystal.lattice, crystal.pbc, config.ladder.floor)
    return rungs, rungs.rung_of(config.ladder.start)


def input_digest(crystal: Crystal, config: ConvergeConfig, family: Family) -> str:
    """Sha256 of what decides a structure's energies: cell, atoms, code, pseudopotentials, cutoffs."""
    arrays = (crystal.lattice, crystal.frac, crystal.numbers, crystal.pbc)
    chosen = {e: v for e, v in family.identity().items() if e in elements_of(crystal)}
    return digest_of(
        {"crystal": [array.ravel().tolist() for array in arrays], "pseudo": chosen}
        | {"code": config.science()["code"]}
    )


@dataclass(frozen=True, slots=True)
class Converging:
    """Convergence studies, as work for an executor.

    Attributes:
        settings: the configuration as JSON, its paths absolute.
        folder: of all studies.
        protocol: digest of the protocol.
    """

    settings: str
    folder: Path
    protocol: str

    @property
    def uses_gpu(self) -> bool:
        """A code that runs on GPUs sees to that itself."""
        return False

    @property
    def config(self) -> ConvergeConfig:
        """The configuration."""
        return ConvergeConfig(**json.loads(self.settings))

    def build(self) -> _Pipeline:
        """Look for the code.

        Raises:
            RunError: CODE_MISSING.
            ConfigError: the pseudopotentials, or ASE's calculator, are not what they were.
        """
        config = self.config
        return _Pipeline(self, config, Code.found(config.decided_code, family_of(config)))

    def head(self, reference: Reference, config: ConvergeConfig) -> Head:
        """What the row of a structure begins with."""
        return Head(reference.id, reference.source, config.code.calculator, self.protocol)

    def failed(
        self, references: Sequence[Reference], first_row: int, code: ErrorCode, message: str
    ) -> tuple[pa.Table, Report]:
        """Rows of studies that no worker survived; the rungs that are there still give limits."""
        config, rows = self.config, []
        for reference in references:
            head, folder = self.head(reference, config), StudyFolder(self.folder, reference.id)
            known = folder.known()
            if known is None:
                rows.append(failed_row(head, code, message))
                continue
            rungs, _ = rungs_of(known.crystal, config)
            points = tuple(folder.finished(known.digest, known.start))
            study = Study(points, converged=False, failure=CalculationFailed(code, message))
            rows.append(row_of(head, known, rungs, study, rule_of(config)))
        return table_of(rows, config.tolerances, first_row), _report(rows)


@dataclass(frozen=True, slots=True)
class _Pipeline:
    """Does studies one after the other."""

    work: Converging
    config: ConvergeConfig
    code: Code

    def __call__(self, references: Sequence[Reference], first_row: int) -> tuple[pa.Table, Report]:
        """One row for every reference, in order."""
        rows = [self._row(reference) for reference in references]
        return table_of(rows, self.config.tolerances, first_row), _report(rows)

    def _row(self, reference: Reference) -> dict[str, Any]:
        head = self.work.head(reference, self.config)
        run = self.config.run
        options = ReadOptions(run.max_sites, allow_missing_hydrogens=run.allow_missing_hydrogens)
        try:
            reading = read(reference, options)
            symmetry = find_symmetry(reading.crystal)
        except StructureError as error:
            return failed_row(head, error.code, error.message)
        except RunError:
            raise
        except GoldilocksError as error:  # no space group
            return failed_row(head, error.code, error.message)
        crystal = reading.crystal
        rungs, start = rungs_of(crystal, self.config)
        digest = input_digest(crystal, self.config, self.code.family)
        known = Known(crystal, start, digest, self.code.version, tuple(reading.flags))
        folder = StudyFolder(self.work.folder, reference.id)
        with folder.alone():
            folder.begin(known)
            study = self._study(folder, known, rungs, symmetry.rotations)
            folder.leave(failed=study.failure is not None and study.failure.code != ErrorCode.BUDGET)
        return row_of(head, known, rungs, study, rule_of(self.config))

    def _study(
        self, folder: StudyFolder, known: Known, rungs: Ladder, rotations: np.ndarray[Any, Any]
    ) -> Study:
        def count(mesh: tuple[int, int, int]) -> int:
            return irreducible_count(np.array(mesh, dtype=np.int64), rotations)

        begun, bands, last = False, None, UNKNOWN

        def calculate(rung: int, mesh: tuple[int, int, int], seconds: float) -> Point:
            # a density of an earlier attempt may be half written: only this process's own is gone on from
            nonlocal begun, bands, last
            if not begun:
                folder.clear()
            began = time.monotonic()
            energy, last = self._energy(folder, known.crystal, mesh, seconds, begun, bands, last)
            needed = last.needed
            if not begun:
                bands = needed
            elif bands is not None:
                # odd and even meshes take turns; what was too few once is not tried again
                bands = None if needed is None else max(bands, needed)
            begun = True
            spent = round(time.monotonic() - began, 3)
            point = Point(rung, mesh, energy, count(mesh), spent, last.several_fermi_energies)
            folder.add(point, known.digest)
            if self.config.keep:
                folder.keep(rung)
            _log.debug("%s: rung %d, %s: %.6f eV per atom", folder.path.name, rung, mesh, energy)
            return point

        done = folder.finished(known.digest, known.start)
        return carry_on(
            rungs, known.start, rule_of(self.config), budget_of(self.config), calculate, count, done
        )

    def _energy(
        self,
        folder: StudyFolder,
        crystal: Crystal,
        mesh: tuple[int, int, int],
        seconds: float,
        go_on: bool,
        bands: int | None,
        last: Bands,
    ) -> tuple[float, Bands]:
        """One energy, and what its eigenvalues tell.

        What fails from the last density is tried once more from scratch.  What was calculated with too few
        bands, or with one of several Fermi energies that is not the last mesh's, is calculated again as the
        code does it by itself.
        """
        ends = time.monotonic() + seconds
        code, work = self.code, folder.work
        try:
            energy = code.energy(crystal, mesh, work, seconds, go_on=go_on, bands=bands)
            found = code.bands(work)
            too_few = bands is not None and not found.highest_is_empty
            if not too_few and not (go_on and found.has_another_fermi_energy(last)):
                return energy, found
            why = f"{bands} bands may be too few" if too_few else "another of several Fermi energies"
            _log.info("%s: %s on %s, calculated again", folder.path.name, why, mesh)
            folder.set_aside("-".join(map(str, mesh)))
        except CalculationFailed as failure:
            if not go_on or failure.code not in (ErrorCode.CODE_FAILED, ErrorCode.SCF_NOT_CONVERGED):
                raise
            folder.clear()
            go_on = False
            if time.monotonic() >= ends:
                raise
        energy = code.energy(crystal, mesh, work, max(0.0, ends - time.monotonic()), go_on=go_on, waves=False)
        found = code.bands(work)
        if found.needed is not None and found.needed <= (bands or 0):  # that number has failed
            found = replace(found, needed=None)
        return energy, found


def _report(rows: Sequence[dict[str, Any]]) -> Report:
    """Counts: a label is what was asked for, anything else has a code."""
    codes: Counter[str] = Counter(row["error_code"] for row in rows if row["status"] != "label")
    ladder_points = [point for row in rows for point in row.get("ladder", ())]
    report = Report(len(rows), len(rows) - codes.total(), codes)
    report.flags.update(flag for row in rows for flag in row["flags"])
    report.kpoints["n_kpoints_irreducible"] = sum(p["n_kpoints_irreducible"] for p in ladder_points)
    report.spend("code", sum(point["seconds"] for point in ladder_points))
    return report


def findable(config: ConvergeConfig) -> ConvergeConfig:
    """The configuration with absolute paths of pseudopotentials, for who takes it up from another folder."""
    named = {name: getattr(config.code, name) for name in ("pseudo_dir", "cutoffs")}
    absolute = {name: path.absolute() for name, path in named.items() if path is not None}
    return config.model_copy(update={"code": config.code.model_copy(update=absolute)})


def portable(config: ConvergeConfig) -> str:
    """A configuration as JSON for workers: paths are absolute."""
    kept = findable(config).model_dump(mode="json", exclude={"run"})
    kept["run"] = config.run.model_dump(
        mode="json", include={"max_sites", "allow_missing_hydrogens", "output"}
    )
    return json.dumps(kept, sort_keys=True)
