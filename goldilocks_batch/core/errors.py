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

Every error carries a stable ``code`` (listed in the README), a message that says what was found and
what was expected, and, where it is about one structure, that structure's id.  Errors travel between
processes, so all of them pickle.
"""

from __future__ import annotations

from enum import StrEnum

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


class ErrorCode(StrEnum):
    """Stable codes; a code is never renamed or reused, new ones may be added."""

    # configuration and inputs: the run does not start
    CONFIG_INVALID = "CONFIG_INVALID"
    INPUT_NOT_FOUND = "INPUT_NOT_FOUND"
    INPUT_UNREADABLE = "INPUT_UNREADABLE"
    INPUT_EMPTY = "INPUT_EMPTY"
    MANIFEST_DIALECT = "MANIFEST_DIALECT"
    DUPLICATE_ID = "DUPLICATE_ID"
    DATASET_INVALID = "DATASET_INVALID"
    TRAINING_DIVERGED = "TRAINING_DIVERGED"
    # reading one structure
    FILE_NOT_FOUND = "FILE_NOT_FOUND"
    FILE_UNREADABLE = "FILE_UNREADABLE"
    PATH_FORBIDDEN = "PATH_FORBIDDEN"
    FORMAT_UNKNOWN = "FORMAT_UNKNOWN"
    PARSE_FAILED = "PARSE_FAILED"
    NO_STRUCTURE = "NO_STRUCTURE"
    SEVERAL_STRUCTURES = "SEVERAL_STRUCTURES"
    NULL_VALUE = "NULL_VALUE"
    # checking one structure
    PARTIAL_OCCUPANCY = "PARTIAL_OCCUPANCY"
    SPECIES_UNKNOWN = "SPECIES_UNKNOWN"
    SHAPE_MISMATCH = "SHAPE_MISMATCH"
    LATTICE_ZERO = "LATTICE_ZERO"
    LATTICE_COLLAPSED = "LATTICE_COLLAPSED"
    LATTICE_LEFT_HANDED = "LATTICE_LEFT_HANDED"
    NOT_FINITE = "NOT_FINITE"
    ATOMS_OVERLAP = "ATOMS_OVERLAP"
    TOO_MANY_SITES = "TOO_MANY_SITES"
    PRIMITIVE_FAILED = "PRIMITIVE_FAILED"
    # features, graphs, prediction
    SYMMETRY_FAILED = "SYMMETRY_FAILED"
    ELEMENT_NOT_TABULATED = "ELEMENT_NOT_TABULATED"
    NO_NEIGHBOURS = "NO_NEIGHBOURS"
    FEATURES_FAILED = "FEATURES_FAILED"
    GRAPH_FAILED = "GRAPH_FAILED"
    PREDICTION_FAILED = "PREDICTION_FAILED"
    PREDICTION_NOT_FINITE = "PREDICTION_NOT_FINITE"
    # models
    MODEL_UNKNOWN = "MODEL_UNKNOWN"
    REGISTRY_INVALID = "REGISTRY_INVALID"
    ARTIFACT_MISSING = "ARTIFACT_MISSING"
    ARTIFACT_DIGEST = "ARTIFACT_DIGEST"
    ARTIFACT_FORBIDDEN = "ARTIFACT_FORBIDDEN"
    ARTIFACT_INVALID = "ARTIFACT_INVALID"
    # runs
    RESUME_REFUSED = "RESUME_REFUSED"
    OUTPUT_EXISTS = "OUTPUT_EXISTS"
    WRITE_FAILED = "WRITE_FAILED"
    ROWS_LOST = "ROWS_LOST"
    UNSEEN_FILES = "UNSEEN_FILES"
    CLUSTER_FAILED = "CLUSTER_FAILED"
    WORKER_CRASH = "WORKER_CRASH"
    TIMEOUT = "TIMEOUT"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    INTERNAL = "INTERNAL"


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
