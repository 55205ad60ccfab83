"""One tree for everything that can go wrong.

::

    GoldilocksError
    ├── ConfigError        an option or a configuration file
    ├── InputError         an input as a whole: missing, unreadable, ambiguous, duplicate ids
    ├── StructureError     one structure: reading, checking, primitive cell      (fails one row)
    ├── FeatureError       one structure: symmetry, features, graph              (fails one row)
    ├── PredictionError    one structure: the model's answer                     (fails one row)
    ├── ModelError         a model's files: missing, altered, forbidden, unknown
    └── RunError           a run: cannot resume, cannot write, workers lost

Every error carries a stable ``code`` (`ErrorCode` says what each means), a message that says what was found
and what was expected, and, where it is about one structure, that structure's id.  Errors travel between
processes, so all of them pickle.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

__all__ = [
    "ConfigError",
    "ErrorCode",
    "FeatureError",
    "GoldilocksError",
    "InputError",
    "ModelError",
    "PredictionError",
    "RunError",
    "Stage",
    "StructureError",
]


class Stage(StrEnum):
    """Where in the flow a row stopped."""

    READ = "read"
    CHECK = "check"
    PRIMITIVE = "primitive"
    SYMMETRY = "symmetry"
    FEATURES = "features"
    GRAPH = "graph"
    PREDICT = "predict"
    MESH = "mesh"
    WORKER = "worker"
    DONE = "done"


_COMMAND, _RETIRED = "command", "retired"


class ErrorCode(StrEnum):
    """Stable codes; a code is never renamed or reused, new ones may be added.

    Attributes:
        meaning: what the code says, in half a sentence.
        ends: ``"row"`` for what fails one structure and stands in its row, ``"command"`` for what ends a run,
            ``"retired"`` for what no version gives any more; older tables have it.
    """

    meaning: str
    ends: str

    def __new__(cls, code: str, meaning: str, ends: str = "row") -> Self:
        """Make a member from its code, which is its value, and what is known of it."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        member.ends = ends
        return member

    # configuration and inputs: the run does not start
    CONFIG_INVALID = "CONFIG_INVALID", "an option or a configuration file is wrong", _COMMAND
    INPUT_NOT_FOUND = "INPUT_NOT_FOUND", "an input does not exist", _COMMAND
    INPUT_UNREADABLE = "INPUT_UNREADABLE", "an input is damaged or may not be read", _COMMAND
    INPUT_EMPTY = "INPUT_EMPTY", "the inputs hold no structure", _COMMAND
    MANIFEST_DIALECT = "MANIFEST_DIALECT", "a manifest's columns fit no dialect, or several", _COMMAND
    INPUT_CHANGED = "INPUT_CHANGED", "an input was changed while a run was reading it", _COMMAND
    DATABASE_FAILED = "DATABASE_FAILED", "a database did not give all of what was asked", _COMMAND
    DUPLICATE_ID = "DUPLICATE_ID", "an id occurs more than once", _COMMAND
    DATASET_INVALID = (
        "DATASET_INVALID",
        "targets of a training set are missing, not positive, all equal, or too few",
        _COMMAND,
    )
    TRAINING_DIVERGED = (
        "TRAINING_DIVERGED",
        "the loss of a network in training is not a number any more",
        _COMMAND,
    )
    # reading one structure
    FILE_NOT_FOUND = "FILE_NOT_FOUND", "the structure's file is not there"
    FILE_UNREADABLE = "FILE_UNREADABLE", "the structure's file cannot be read"
    PATH_FORBIDDEN = "PATH_FORBIDDEN", "the structure's file lies outside the manifest's folder"
    FORMAT_UNKNOWN = "FORMAT_UNKNOWN", "the structure's file has an unknown format"
    PARSE_FAILED = "PARSE_FAILED", "the structure's text is truncated or garbled"
    NO_STRUCTURE = "NO_STRUCTURE", "the structure's text holds no structure"
    SEVERAL_STRUCTURES = "SEVERAL_STRUCTURES", "the structure's text holds several structures"
    ID_INVALID = "ID_INVALID", "the structure's id in a manifest is no UTF-8 text"
    NULL_VALUE = "NULL_VALUE", "a manifest's column is null in the structure's row"
    SYMMETRY_UNKNOWN = "SYMMETRY_UNKNOWN", "the file's space group is in no table"
    SYMMETRY_AMBIGUOUS = "SYMMETRY_AMBIGUOUS", "the file leaves origin or axes of its space group open"
    SYMMETRY_CONTRADICTORY = (
        "SYMMETRY_CONTRADICTORY",
        "operations, space group and cell in the file contradict each other",
    )
    CONTENT_MISMATCH = "CONTENT_MISMATCH", "atoms are not what the file's own formula, counts or names say"
    HYDROGENS_MISSING = "HYDROGENS_MISSING", "the file says that there are hydrogens without positions"
    # checking one structure
    PARTIAL_OCCUPANCY = "PARTIAL_OCCUPANCY", "a site is partly occupied, or shared by several species"
    OCCUPANCY_INVALID = "OCCUPANCY_INVALID", "an occupancy is above one or below zero"
    SPECIES_UNKNOWN = "SPECIES_UNKNOWN", "a dummy atom, or no element's symbol"
    SHAPE_MISMATCH = "SHAPE_MISMATCH", "arrays of the structure do not fit each other"
    LATTICE_ZERO = "LATTICE_ZERO", "a lattice vector or the cell's volume is zero"
    LATTICE_COLLAPSED = "LATTICE_COLLAPSED", "the cell is flat, or nearly so"
    LATTICE_LEFT_HANDED = "LATTICE_LEFT_HANDED", "left-handed lattice vectors; they are turned now", _RETIRED
    NOT_FINITE = "NOT_FINITE", "a number is NaN or infinite"
    ATOMS_OVERLAP = "ATOMS_OVERLAP", "two atoms are on one spot, closer than 0.5 Å"
    TOO_MANY_SITES = "TOO_MANY_SITES", "the cell has more sites than `--max-sites`"
    PRIMITIVE_FAILED = "PRIMITIVE_FAILED", "no primitive cell was found"
    # features, graphs, prediction
    SYMMETRY_FAILED = "SYMMETRY_FAILED", "no space group was found"
    ELEMENT_NOT_TABULATED = "ELEMENT_NOT_TABULATED", "a table that the features need lacks an element"
    NO_NEIGHBOURS = "NO_NEIGHBOURS", "an atom has no neighbour within 10 Å"
    FEATURES_FAILED = "FEATURES_FAILED", "another obstacle to the features"
    GRAPH_FAILED = "GRAPH_FAILED", "another obstacle to the graph"
    PREDICTION_FAILED = "PREDICTION_FAILED", "the model gave no usable answer"
    PREDICTION_NOT_FINITE = "PREDICTION_NOT_FINITE", "the model's answer is NaN or infinite"
    # convergence studies
    CODE_MISSING = (
        "CODE_MISSING",
        "the code of a convergence study is not installed where it is to run",
        _COMMAND,
    )
    PSEUDOPOTENTIAL_MISSING = "PSEUDOPOTENTIAL_MISSING", "an element of the structure has no pseudopotential"
    CODE_FAILED = "CODE_FAILED", "the code ended without an energy, or with one that is no number"
    SCF_NOT_CONVERGED = "SCF_NOT_CONVERGED", "the code did not reach self-consistency"
    BUDGET = "BUDGET", "the convergence study stopped at its limit of time, k-points or mesh"
    # exports
    BOUND_MISSING = "BOUND_MISSING", "the model gives no such bound, or no mesh for it"
    STRUCTURE_CHANGED = "STRUCTURE_CHANGED", "the structure is not the one that the row was computed from"
    # models
    MODEL_UNKNOWN = "MODEL_UNKNOWN", "there is no model, or no confidence level, of that name", _COMMAND
    REGISTRY_INVALID = "REGISTRY_INVALID", "a registry file is not understood", _COMMAND
    ARTIFACT_MISSING = "ARTIFACT_MISSING", "a model's file is not there and cannot be fetched", _COMMAND
    ARTIFACT_DIGEST = "ARTIFACT_DIGEST", "a model's file is not the one that the registry names", _COMMAND
    ARTIFACT_FORBIDDEN = "ARTIFACT_FORBIDDEN", "a model's file asks to run code", _COMMAND
    ARTIFACT_INVALID = "ARTIFACT_INVALID", "a model's file is not what it should be", _COMMAND
    # runs
    RESUME_REFUSED = (
        "RESUME_REFUSED",
        "the run in the output folder had other inputs, models or options",
        _COMMAND,
    )
    OUTPUT_EXISTS = "OUTPUT_EXISTS", "the output folder holds other things, or is in use", _COMMAND
    WRITE_FAILED = "WRITE_FAILED", "results could not be written", _COMMAND
    ROWS_LOST = "ROWS_LOST", "rows are missing at the end of a run", _COMMAND
    UNSEEN_FILES = "UNSEEN_FILES", "workers do not see the inputs or the output folder", _COMMAND
    CLUSTER_FAILED = (
        "CLUSTER_FAILED",
        "no worker can be had, or the scheduler is gone; finished work is kept",
        _COMMAND,
    )
    WORKER_CRASH = "WORKER_CRASH", "the structure, tried alone, crashed its process"
    TIMEOUT = "TIMEOUT", "the structure, tried alone, took longer than allowed"
    OUT_OF_MEMORY = "OUT_OF_MEMORY", "the structure, tried alone, took more memory than allowed"
    INTERNAL = "INTERNAL", "something nobody foresaw: please report it"


class GoldilocksError(Exception):
    """Base of all errors raised on purpose by this package.

    Args:
        code: the stable code.
        message: what was found, what was expected, what to do.
        stage: where in the flow it happened, for errors about one structure.
        structure_id: the structure's id, where one is known.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        stage: Stage | None = None,
        structure_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.stage = stage
        self.structure_id = structure_id

    def __str__(self) -> str:
        where = f"{self.structure_id}: " if self.structure_id is not None else ""
        return f"{where}{self.message} [{self.code}]"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.code, self.message, self.stage, self.structure_id))


def _rebuild(
    kind: type[GoldilocksError], code: ErrorCode, message: str, stage: Stage | None, structure_id: str | None
) -> GoldilocksError:
    return kind(code, message, stage=stage, structure_id=structure_id)


class ConfigError(GoldilocksError):
    """An option or configuration file is wrong; nothing has been run."""


class InputError(GoldilocksError):
    """An input as a whole cannot be used; nothing has been run."""


class StructureError(GoldilocksError):
    """One structure cannot be read, or is not a crystal the models can judge."""


class FeatureError(GoldilocksError):
    """One structure has no features or graph."""


class PredictionError(GoldilocksError):
    """The model's answer for one structure is unusable."""


class ModelError(GoldilocksError):
    """A model is unknown, or its files are missing, altered or not acceptable."""


class RunError(GoldilocksError):
    """A run cannot start, resume, or finish."""
