"""``model.json`` as goldilocks-ml writes it: which of its models can be asked here, and on which columns.

The format is goldilocks-ml 0.2.3's (``goldilocks_ml.inference`` and its quantile forests), record schema
version 1.  Two runtimes are served: the forest of k-distances and the forest of rungs.  Columns are known by
the schema's name and their place; the package's own names of them are held to, since another order is another
model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from goldilocks_batch.artifacts.folder import (
    PLAIN_NAME,
    SHA256,
    RecordPart,
    cannot_be_used,
    parsed_json,
    read_plain,
    sha256_of_bytes,
)
from goldilocks_batch.artifacts.record import COLUMN_DIGESTS, FEATURE_SCHEMAS, SCHEMA_ID, Required

__all__ = [
    "CSLR",
    "CSLR_BLOCKS",
    "GoldilocksRecord",
    "bands_of",
    "blocks_of_width",
    "calibrated_by",
    "expect_served",
    "read_goldilocks_record",
]

#: Schema of the forest of rungs, and its blocks of features.
CSLR = "cslr.v1"
CSLR_BLOCKS = ("composition", "symmetry", "cell", "reciprocal")

#: By runtime: its version, the contract of its target, the target's unit, its feature schema.
_SERVED = {
    "k_points.k_distance.qrf": (
        1,
        "goldilocks.k_distance.mesh_lower_bound.2pi.v1",
        "1/angstrom",
        SCHEMA_ID,
    ),
    "k_points.k_index.qrf": (1, "goldilocks.k_index.ladder_1based.v2", None, CSLR),
}
#: Columns of each schema, and the sha256 of their names as goldilocks-ml has them, one a line.
_COLUMNS = {
    SCHEMA_ID: (483, "a45c9031995a25d61f68fdbed624ee75eb25b49fc839697b9649be0a9524fd82"),
    CSLR: (174, "9067bfc3de69c3593d23ebef7213e6ef2cc5177d38d9e60c8a8e860be75d5354"),
}
_SOAP = {"r_cut": 10.0, "n_max": 8, "l_max": 6, "sigma": 1.0}
_CALIBRATION = ("split_conformal_quantile_regression", "clamped_to_include_median")


class _Files(RecordPart):
    estimator: str = Field(pattern=PLAIN_NAME)
    estimator_sha256: str = Field(pattern=SHA256)


class _Runtime(RecordPart):
    id: str
    version: int


class _Target(RecordPart):
    contract: str
    units: str | None = None


class _Calibration(RecordPart):
    method: str
    endpoint_adjustment: str
    correction: float
    coverage: float
    sample_count: int = 0


class _Band(RecordPart):
    upper: float | None = None
    level: float


class _Decision(RecordPart):
    rule: str
    rounding: str | None = None
    level: float | None = None
    baseline_level: float | None = None
    bands: tuple[dict[str, Any], ...] = ()


class GoldilocksRecord(RecordPart):
    """``model.json`` of a model that goldilocks-ml trained, as far as it is used here.

    Attributes:
        levels: all quantiles that the estimator was fitted for; those of the interval where none are named.
        decision: which quantile the model publishes.
    """

    record_schema_version: Literal[1] = 1
    role: str = "model"
    trainer: str
    runtime: _Runtime
    target: _Target
    artifacts: _Files
    feature_schema: str
    feature_columns: tuple[str, ...]
    feature_parameters: dict[str, Any] = Field(default_factory=dict)
    quantiles: tuple[float, float, float]
    levels: tuple[float, ...] = ()
    requires_artifacts: tuple[Required, ...] = ()
    calibration: _Calibration | None = None
    decision: _Decision | None = None

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks of features, in the order of its columns."""
        return CSLR_BLOCKS if self.feature_schema == CSLR else FEATURE_SCHEMAS[self.feature_schema]

    @property
    def is_of_rungs(self) -> bool:
        """Whether it answers with a rung of the structure's ladder, and not with a k-distance."""
        return self.feature_schema == CSLR


def blocks_of_width(columns: int) -> tuple[str, tuple[str, ...]] | None:
    """Schema and blocks of a published forest with so many columns; None if there is none."""
    known = {count: schema for schema, (count, _) in _COLUMNS.items()}
    if columns not in known:
        return None
    schema = known[columns]
    return schema, CSLR_BLOCKS if schema == CSLR else FEATURE_SCHEMAS[schema]


def read_goldilocks_record(folder: Path) -> GoldilocksRecord | None:
    """The record of a folder that holds a model of goldilocks-ml; None if it holds none of its models.

    Its records have a whole number as their version, this package's have a word.  The record is not checked
    against a manifest: it names the digests of all other files, and enters the model's own digest.

    Raises:
        ModelError: ARTIFACT_INVALID, it is one, of a version or form that is not known here.
    """
    if not (folder / "model.json").is_file():
        return None
    data = read_plain(folder, "model.json", 4 * 2**20)
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return None  # for whoever reads this package's own records to say
    if not isinstance(values, dict) or type(values.get("record_schema_version")) is not int:
        return None
    if values.get("role", "model") != "model":
        raise cannot_be_used(
            folder / "model.json",
            f"its role is {values['role']!r}: it answers no question by itself, a model that needs it does",
        )
    return parsed_json(GoldilocksRecord, data, folder / "model.json")


def expect_served(folder: Path, record: GoldilocksRecord) -> None:
    """Refuse what a record asks for and would be answered wrongly here.

    Raises:
        ModelError: ARTIFACT_INVALID, with what it asks for and what is known.
    """
    complaint = _complaint(record)
    if complaint is not None:
        raise cannot_be_used(folder / "model.json", complaint)
    if record.is_of_rungs:
        bands_of(folder, record)


def _complaint(record: GoldilocksRecord) -> str | None:
    runtime, target = record.runtime, record.target
    if runtime.id not in _SERVED:
        return f"its runtime is {runtime.id!r}; known are {' and '.join(_SERVED)}"
    version, contract, units, schema = _SERVED[runtime.id]
    if runtime.version != version:
        return f"its runtime is version {runtime.version} of {runtime.id}; known is {version}"
    if target.contract != contract:
        why = ": its rungs count from 0 on another ladder" if "ladder_0based" in target.contract else ""
        return f"its target is {target.contract!r}, expected was {contract!r}{why}"
    if target.units != units:
        return f"its target is in {target.units!r}, expected was {units!r}"
    if record.feature_schema != schema:
        return f"its feature schema is {record.feature_schema!r}, expected was {schema!r}"
    return _complaint_of_features(record) or _complaint_of_quantiles(record)


def _complaint_of_features(record: GoldilocksRecord) -> str | None:
    columns, digest = _COLUMNS[record.feature_schema]
    found = sha256_of_bytes("\n".join(record.feature_columns).encode())
    if len(record.feature_columns) != columns or found not in (
        digest,
        COLUMN_DIGESTS.get(record.feature_schema),
    ):
        names = f"its {len(record.feature_columns)} feature columns"
        return f"{names} are not the {columns} of {record.feature_schema} in their order"
    parameters = {name: value for name, value in record.feature_parameters.items() if name != "batch_size"}
    soap = parameters.pop("soap", {})
    if parameters or (record.is_of_rungs and soap):
        return f"its features have parameters that are not known here: {', '.join(parameters) or 'soap'}"
    if not isinstance(soap, dict) or {**_SOAP, **soap} != _SOAP:
        return f"its SOAP has the parameters {soap!r}; these features have {_SOAP}"
    return None


def _complaint_of_quantiles(record: GoldilocksRecord) -> str | None:
    low, median, high = record.quantiles
    if not (0 < low < 0.5 == median and abs(low + high - 1) < 1e-9):
        return f"its quantiles {record.quantiles} are not a median and two that lie as far from it"
    about = record.calibration
    if about is not None and (about.method, about.endpoint_adjustment) != _CALIBRATION:
        return f"its calibration is {about.method}, {about.endpoint_adjustment}; known is {_CALIBRATION}"
    return None


def bands_of(folder: Path, record: GoldilocksRecord) -> tuple[tuple[float | None, float], ...]:
    """The rule by which a forest of rungs publishes one.

    Returns:
        Pairs, ascending: for medians below the first number, the quantile that is published; the last has no
        such number.

    Raises:
        ModelError: ARTIFACT_INVALID, it has none, or one that is not known here.
    """
    path, decision = folder / "model.json", record.decision
    if decision is None:
        raise cannot_be_used(path, "it names no decision: which quantile a forest of rungs publishes")
    levels = record.levels or record.quantiles
    if decision.rounding != "half_up":
        raise cannot_be_used(path, f"its rungs are rounded by {decision.rounding!r}; known is half_up")
    if decision.rule == "quantile":
        level = decision.level
        if level is None or level not in levels or any(band.get("offset", 0) for band in decision.bands):
            raise cannot_be_used(path, f"its decision is level {level} with the bands {decision.bands}")
        return ((None, level),)
    if decision.rule != "quantile_by_band" or decision.baseline_level != 0.5:
        raise cannot_be_used(path, f"its decision is by {decision.rule!r} on {decision.baseline_level}")
    bands = [_Band.model_validate(band) for band in decision.bands]
    uppers = [band.upper for band in bands]
    ascending = [upper for upper in uppers if upper is not None]
    whole = uppers[-1:] == [None] and uppers[:-1] == sorted(set(ascending))
    if not whole or any(band.level not in levels or band.level < 0.5 for band in bands):
        raise cannot_be_used(path, f"the bands of its decision are not whole: {decision.bands}")
    return tuple((band.upper, band.level) for band in bands)


def calibrated_by(record: GoldilocksRecord) -> str:
    """Where its correction comes from, for people."""
    about = record.calibration
    if about is None:
        return "none: the record has no calibration"
    return (
        f"inside the model: split conformal on {about.sample_count} labels, {about.correction:+.4f} for a "
        f"central coverage of {about.coverage:.2f}"
    )
