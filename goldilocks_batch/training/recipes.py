"""``train``, ``calibrate``, ``evaluate``: from files to a model folder, a new calibration, a report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from goldilocks_batch.errors import ConfigError, ErrorCode, RunError
from goldilocks_batch.provenance import versions
from goldilocks_batch.training.card import describe_training, model_card, report
from goldilocks_batch.training.conformal import LEVELS, Calibration, Kind
from goldilocks_batch.training.dataset import Dataset, load_dataset
from goldilocks_batch.training.evaluate import Evaluation, evaluate
from goldilocks_batch.training.features import Compute, FeatureSet
from goldilocks_batch.training.labels import Target
from goldilocks_batch.training.model_record import ModelRecord
from goldilocks_batch.training.record import TrainedModel, read_model, write_model
from goldilocks_batch.training.splits import holdout
from goldilocks_batch.training.train import (
    CONFIDENCES,
    TrainConfig,
    bounds_of,
    cross_validate,
    fit,
    trainer_about,
)

__all__ = ["Check", "Judged", "Resources", "calibrate_model", "evaluate_model", "train_model"]

_GUARANTEES: dict[Kind, str] = {
    "split": "If the calibration rows and a new structure are exchangeable, a bound holds with at least its "
    "stated probability, averaged over structures; nothing is promised for any one kind of structure.",
    "cross": "Each row was predicted by a forest that saw no row of its composition; the final forest saw "
    "all. Coverage is then close to the stated one, measured below, but no finite-sample proof covers it.",
}


@dataclass(frozen=True, slots=True)
class Resources:
    """How features are had.

    Attributes:
        features: the feature set; None for the one that the configuration or the model names, which must need
            no network.
        cache: folder of the feature cache, None for none.
        compute: does the feature work; None for this process.
        n_jobs: threads that grow trees.
    """

    features: FeatureSet | None = None
    cache: Path | None = None
    compute: Compute | None = None
    n_jobs: int = 1

    def load(self, path: Path, target: Target, schema: str) -> tuple[Dataset, FeatureSet]:
        """A dataset with the features of a schema.

        Raises:
            ConfigError: CONFIG_INVALID, the schema needs a network that was not given, or another was given.
        """
        features = self.features or FeatureSet(schema)
        if features.schema != schema or ("metallicity" in features.blocks and features.network is None):
            raise ConfigError(
                ErrorCode.CONFIG_INVALID,
                f"feature schema {schema} is wanted, with the network of its metallicity block if it has "
                f"one; given are features of {features.schema}"
                f"{'' if features.network else ' without a network'}",
            )
        return load_dataset(path, target, features, cache=self.cache, compute=self.compute), features


@dataclass(frozen=True, slots=True)
class Check:
    """A dataset that had no part in the training, to judge the model on.

    Attributes:
        title: heading in the card.
        path: the dataset.
        target: its target column.
    """

    title: str
    path: Path
    target: Target


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Figures, and what they were made from, for plots.

    Attributes:
        evaluation: the figures.
        dataset: the rows.
        bounds: by confidence, ``(n, 3)``, 1/Å.
    """

    evaluation: Evaluation
    dataset: Dataset
    bounds: Mapping[float, Any]


def train_model(
    dataset: Path,
    config: TrainConfig,
    output: Path,
    *,
    checks: Sequence[Check] = (),
    resources: Resources | None = None,
) -> tuple[TrainedModel, Judged]:
    """Train, calibrate, judge and write a model.

    Args:
        dataset: see :mod:`~goldilocks_batch.training.labels`.
        config: the options.
        output: the model's folder; must be empty or hold a model, which is replaced.
        checks: further datasets for the card.
        resources: how features are had.

    Returns:
        The model as read back from its folder, and its figures on held-out or cross-validated rows.

    Raises:
        InputError, ConfigError: the dataset or an option is unusable; nothing was written.
        RunError: OUTPUT_EXISTS, the folder holds other things; WRITE_FAILED.
    """
    resources = resources or Resources()
    _refuse_foreign(output)
    data, features = resources.load(dataset, config.target, config.feature_schema)
    data = data.for_training()
    held = np.zeros(len(data), dtype=bool)
    if config.test_share:
        held = holdout(data.formulas.tolist(), config.test_share, config.seed + 2)
    kept = data.take(~held)
    forest, calibration = fit(
        kept.features,
        kept.kdist,
        kept.formulas,
        config.forest,
        config.calibration,
        config.seed,
        n_jobs=resources.n_jobs,
    )
    if config.test_share:
        title = f"Held-out rows ({config.test_share:.0%}, by composition)"
        judged_rows, bounds = data.take(held), bounds_of(forest, calibration, data.features[held])
    else:
        title = f"Cross-validated ({config.validation_folds} folds by composition, calibration included)"
        judged_rows, bounds = data, cross_validate(data, config, n_jobs=resources.n_jobs)
    own = evaluate(judged_rows, bounds)
    about = _about(kept, features, config, calibration, {"kind": title, **own.to_dict()})
    found = {}
    for check in checks:
        other, _ = resources.load(check.path, check.target, config.feature_schema)
        found[check.title] = evaluate(other, bounds_of(forest, calibration, other.features))
    about["evaluation"] |= {"checks": {name: result.to_dict() for name, result in found.items()}}
    draft = ModelRecord.model_validate(
        {**about, "artifacts": {"estimator_sha256": "0" * 64, "calibration_sha256": "0" * 64}}
    )
    card = model_card(draft, own, title, found)
    write_model(output, forest, calibration, about, {"card.md": card.encode()})
    return read_model(output), Judged(own, judged_rows, bounds)


def calibrate_model(
    model: Path, dataset: Path, target: Target, output: Path, *, resources: Resources | None = None
) -> TrainedModel:
    """Calibrate a model's forest anew, on labels it was not trained on.

    Args:
        model: the model's folder.
        dataset: labels of the kind of structures, and of the protocol, that it is to be used for.
        target: which column holds the label.
        output: the new model's folder.
        resources: how features are had.

    Raises:
        ModelError: the model cannot be read.
        InputError, ConfigError: the dataset is unusable, too small, or the one that it was trained on.
        RunError: OUTPUT_EXISTS or WRITE_FAILED.
    """
    _refuse_foreign(output)
    old = read_model(model)
    data, _ = (resources or Resources()).load(dataset, target, old.record.feature_schema)
    data = data.for_training()
    if data.labels.sha256 == old.record.training.dataset_sha256:
        raise ConfigError(
            ErrorCode.DATASET_INVALID,
            f"{dataset} is what the model was trained on; a calibration needs labels that it never saw",
        )
    predictions = old.forest.predict(data.features, LEVELS)
    calibration = Calibration(np.array(LEVELS), predictions, data.kdist.astype(np.float32), "split")
    calibration.margins(max(CONFIDENCES))  # too few rows are refused here
    about = old.record.model_dump(mode="json", exclude={"artifacts"})
    about["calibration"] = _calibration_about(calibration) | {"dataset": describe_training(data)}
    # figures of another calibration say nothing of this one
    about["evaluation"] = {}
    write_model(output, old.forest, calibration, about)
    return read_model(output)


def evaluate_model(
    model: Path,
    dataset: Path,
    target: Target,
    output: Path,
    *,
    confidences: Sequence[float] = CONFIDENCES,
    resources: Resources | None = None,
) -> Judged:
    """Judge a model on a dataset; ``evaluation.json`` and ``evaluation.md`` are written to ``output``.

    Raises:
        ModelError: the model cannot be read.
        InputError, ConfigError: the dataset is unusable, or a confidence needs more calibration rows.
        RunError: WRITE_FAILED.
    """
    trained = read_model(model)
    data, _ = (resources or Resources()).load(dataset, target, trained.record.feature_schema)
    bounds = bounds_of(trained.forest, trained.calibration, data.features, confidences)
    judged = Judged(evaluate(data, bounds), data, bounds)
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / "evaluation.json").write_text(json.dumps(judged.evaluation.to_dict(), indent=1) + "\n")
        (output / "evaluation.md").write_text(report(judged.evaluation), encoding="utf-8")
    except OSError as error:
        message = f"cannot write the evaluation to {output}: {error}"
        raise RunError(ErrorCode.WRITE_FAILED, message) from error
    return judged


def _about(
    data: Dataset,
    features: FeatureSet,
    config: TrainConfig,
    calibration: Calibration,
    evaluation: dict[str, Any],
) -> dict[str, Any]:
    version = versions()["goldilocks-batch"]
    return {
        "record_origin": f"goldilocks-batch {version}",
        "name": config.name,
        "calibration": _calibration_about(calibration),
        "feature_schema": features.schema,
        "feature_columns": features.columns,
        "feature_parameters": {"soap_zeros": features.zeros} if "soap" in features.blocks else {},
        "quantiles": (0.05, 0.5, 0.95),
        "requires_artifacts": [
            {"name": "metallicity", "file": file, "record_id": file, "sha256": sha256}
            for file, sha256 in features.network_digests
        ],
        "runtime": {"version": version},
        "seed": config.forest.seed,
        "trainer": trainer_about(config),
        "training": describe_training(data),
        "evaluation": evaluation,
        "remarks": config.remarks,
    }


def _calibration_about(calibration: Calibration) -> dict[str, Any]:
    margins = {f"{c:.2f}": calibration.margins(c) for c in CONFIDENCES}
    return {
        "kind": calibration.kind,
        "rows": len(calibration),
        "guarantee": _GUARANTEES[calibration.kind],
        "margins": {
            level: {name: round(getattr(m, name), 6) for name in ("lower", "upper", "central")}
            for level, m in margins.items()
        },
    }


def _refuse_foreign(output: Path) -> None:
    if output.exists() and not (output / "manifest.json").is_file() and any(output.iterdir()):
        raise RunError(
            ErrorCode.OUTPUT_EXISTS, f"{output} holds things that are no model; choose another output folder"
        )
