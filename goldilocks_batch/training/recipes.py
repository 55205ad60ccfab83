"""``train``, ``calibrate``, ``evaluate``: from files to a model folder, a new calibration, a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.artifacts.record import ModelRecord
from goldilocks_batch.artifacts.trained import chosen_tolerance
from goldilocks_batch.config.training import Target, TrainConfig
from goldilocks_batch.core.errors import ConfigError, ErrorCode
from goldilocks_batch.models.calibration import Calibration
from goldilocks_batch.models.trained import Trained, read_trained
from goldilocks_batch.models.trained_boosted import BoostedModel
from goldilocks_batch.models.trained_forest import TrainedModel, read_model, write_model
from goldilocks_batch.training.about import NOT_JUDGED, about_model, calibration_about
from goldilocks_batch.training.boosted_recipes import boosted_bounds, calibrate_boosted
from goldilocks_batch.training.card import describe_training, model_card, report
from goldilocks_batch.training.dataset import Dataset
from goldilocks_batch.training.evaluate import evaluate
from goldilocks_batch.training.judged import Judged, failures_file, write_judged
from goldilocks_batch.training.label_tables import some
from goldilocks_batch.training.placement import placed, refuse_occupied
from goldilocks_batch.training.protocols import remarks_on, single_protocol
from goldilocks_batch.training.resources import Resources, existing_folder_of
from goldilocks_batch.training.seen import Seen, overlap_with
from goldilocks_batch.training.splits import holdout
from goldilocks_batch.training.train import (
    CONFIDENCES,
    bounds_of,
    cross_validate,
    fit,
    forests_to_grow,
    trainer_about,
)

__all__ = ["Check", "calibrate_model", "evaluate_model", "judged_bounds", "train_model"]


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


def train_model(
    dataset: Path,
    config: TrainConfig,
    output: Path,
    *,
    checks: Sequence[Check] = (),
    resources: Resources | None = None,
    overwrite: bool = False,
) -> tuple[TrainedModel, Judged]:
    """Train, calibrate, judge and write a model.

    Structures without features are listed in its ``failures.parquet``.

    Args:
        dataset: see :mod:`~goldilocks_batch.training.labels`.
        config: the options.
        output: the model's folder, missing or empty; it appears when the model is whole.
        checks: further datasets for the card.
        resources: how features are had.
        overwrite: replace a model that is there.

    Returns:
        The model as read back from its folder, and its figures on held-out or cross-validated rows.

    Raises:
        InputError, ConfigError: the dataset or an option is unusable; nothing was written.
        RunError: OUTPUT_EXISTS, the folder holds other things; WRITE_FAILED.
    """
    resources = resources or Resources()
    refuse_occupied(output, overwrite)
    single_protocol(dataset, mixed=config.mixed_protocols)
    features = resources.features(config.feature_schema)
    data = resources.load(dataset, config.target, features).for_training()
    config.check_described(data.labels.name, data.labels.sha256)
    held = np.zeros(len(data), dtype=bool)
    if config.test_share:
        held = holdout(data.formulas.tolist(), config.test_share, config.seed + 2)
    kept = data.take(~held)
    grown = resources.forest_counter(forests_to_grow(config))
    forest, calibration = fit(
        kept.features,
        kept.kdist,
        kept.formulas,
        config.forest,
        config.calibration,
        config.seed,
        n_jobs=resources.n_jobs,
        grown=grown,
    )
    if config.test_share:
        title = f"Held-out rows ({config.test_share:.0%}, by composition)"
        judged_rows = data.take(held)
        bounds, intervals = (
            bounds_of(forest, calibration, judged_rows.features, central=central) for central in (False, True)
        )
    else:
        title = f"Cross-validated ({config.validation_folds} folds by composition, calibration included)"
        judged_rows = data
        bounds, intervals = cross_validate(data, config, n_jobs=resources.n_jobs, grown=grown)
    own = evaluate(judged_rows, bounds, intervals)
    about = about_model(kept, features, config, calibration, trainer_about(config), config.forest.seed)
    about["evaluation"] = {"kind": title, **own.to_dict()}
    seen, found, sections = Seen.of(kept), {}, {title: report(own)}
    for check in checks:
        other = resources.load(check.path, check.target, features)
        known = seen.overlap(other)
        related = known.trained | known.compositions
        parts = {check.title: (other, known.remarks)}
        if related.any() and not related.all():
            parts[f"{check.title}, compositions that the training set lacks"] = (other.take(~related), ())
        for name, (rows, remarks) in parts.items():
            found[name] = evaluate(
                rows,
                bounds_of(forest, calibration, rows.features),
                bounds_of(forest, calibration, rows.features, central=True),
            )
            sections[name] = report(found[name], remarks=remarks)
    about["evaluation"] |= {"checks": {name: result.to_dict() for name, result in found.items()}}
    draft = ModelRecord.model_validate(
        {**about, "artifacts": {"estimator_sha256": "0" * 64, "calibration_sha256": "0" * 64}}
    )
    card = {"card.md": model_card(draft, sections).encode()}
    extra = {**card, **seen.file(), **failures_file(data)}
    with placed(output) as folder:
        write_model(folder, forest, calibration, about, extra)
    return read_model(output), Judged(own, judged_rows, bounds)


def calibrate_model(
    model: Path,
    dataset: Path,
    target: Target,
    output: Path,
    *,
    tolerance: float | None = None,
    resources: Resources | None = None,
    overwrite: bool = False,
) -> Trained | BoostedModel:
    """Calibrate a model anew, on labels it was not trained on.

    Structures without features are listed in the new model's ``failures.parquet``.

    Args:
        model: the model's folder, or ``mc3d``.
        dataset: labels of the kind of structures, and of the protocol, that it is to be used for.
        target: which column holds the label.
        output: the new model's folder, missing or empty.
        tolerance: of the labels, meV per atom, for boosted trees, which keep this one alone.
        resources: how features are had.
        overwrite: replace a model that is there.

    Returns:
        The new model, as read back from its folder.

    Raises:
        ModelError: the model cannot be read.
        InputError, ConfigError: the dataset is unusable, too small, or has structures that trained the model.
        RunError: OUTPUT_EXISTS or WRITE_FAILED.
    """
    resources = resources or Resources()
    refuse_occupied(output, overwrite)
    single_protocol(dataset, mixed=False)
    origin = existing_folder_of(model)
    old = read_trained(origin)
    features = resources.features_of(old.record)
    data = resources.load(dataset, target, features).for_training()
    if not isinstance(old, BoostedModel):
        data = data.without(old.failures(data.cells))
    known = overlap_with(origin, old.record.training.dataset_sha256, data)
    if known.trained.any():
        which = some(data.ids[known.trained].tolist(), len(data), "structures")
        raise ConfigError(
            ErrorCode.DATASET_INVALID,
            f"{which} of {dataset} are what the model was trained on; a calibration needs labels that it "
            "never saw: drop them",
        )
    if isinstance(old, BoostedModel):
        return calibrate_boosted(old, data, tolerance, int(known.compositions.sum()), output)
    chosen_tolerance(old.record, tolerance)  # one that it does not answer at is refused
    predictions = old.predict(data.features, data.cells, old.levels)
    calibration = Calibration(np.array(old.levels), predictions, data.kdist.astype(np.float32), "split")
    calibration.margins(max(CONFIDENCES))  # too few rows are refused here
    about = old.record.model_dump(mode="json", exclude={"artifacts"})
    labels = describe_training(data) | {"known_compositions": int(known.compositions.sum())}
    about["calibration"] = calibration_about(calibration) | {"dataset": labels}
    about["calibration"]["guarantee"] += (
        f" These rows are of {data.labels.name}, none of them trained the model."
    )
    # figures of another calibration say nothing of this one
    about["evaluation"] = {}
    seen = Seen.read(origin)
    draft = ModelRecord.model_validate({**about, "artifacts": old.record.artifacts})
    card = {"card.md": model_card(draft, {"Figures": NOT_JUDGED}).encode()}
    extra = {**card, **(seen.calibrated_on(data).file() if seen else {}), **failures_file(data)}
    with placed(output) as folder:
        old.write_anew(folder, calibration, about, extra)
    return read_trained(output)


def evaluate_model(
    model: Path,
    dataset: Path,
    target: Target,
    output: Path,
    *,
    confidences: Sequence[float] = CONFIDENCES,
    tolerance: float | None = None,
    resources: Resources | None = None,
) -> Judged:
    """Judge a model on a dataset; :func:`write_judged` says what is written to ``output``.

    Args:
        model: the model's folder, or ``mc3d``.
        dataset: labels that it was not trained on.
        target: which column holds the label, and where there is one, the limit of those without.
        output: the report's folder.
        confidences: one-sided levels; the first is the one that plots and groups are about.
        tolerance: meV per atom, of a model that answers at several; its smallest by default.
        resources: how features are had.

    Raises:
        ModelError: the model cannot be read.
        InputError, ConfigError: the dataset is unusable, or a confidence needs more calibration rows.
        RunError: WRITE_FAILED.
    """
    resources = resources or Resources()
    folder = existing_folder_of(model)
    trained = read_trained(folder)
    data = resources.load(dataset, target, resources.features_of(trained.record))
    intervals: dict[float, NDArray[np.float64]] | None = None
    if isinstance(trained, BoostedModel):
        bounds = boosted_bounds(trained, data, confidences, tolerance)
    else:
        chosen_tolerance(trained.record, tolerance)  # one that it does not answer at is refused
        data = data.without(trained.failures(data.cells))
        bounds, intervals = judged_bounds(trained, data, confidences)
    known = overlap_with(folder, trained.record.training.dataset_sha256, data)
    trained_on = trained.record.training.model_dump().get("protocols")
    remarks = (*known.remarks, *remarks_on(data.labels.protocols, trained_on))
    judged = Judged(evaluate(data, bounds, intervals), data, bounds, remarks)
    write_judged(judged, output)
    return judged


def judged_bounds(
    trained: Trained, data: Dataset, confidences: Sequence[float] = CONFIDENCES
) -> tuple[dict[float, NDArray[np.float64]], dict[float, NDArray[np.float64]]]:
    """Calibrated bounds of a dataset's rows, in one pass.

    Returns:
        By confidence ``(n, 3)``, 1/Å: one-sided bounds; two-sided intervals.
    """
    margins = [trained.calibration.margins(confidence) for confidence in confidences]
    wanted = sorted({quantile for m in margins for quantile in m.quantiles})
    raw = trained.predict(data.features, data.cells, wanted)
    quantiles = {m: raw[:, [wanted.index(q) for q in m.quantiles]] for m in margins}
    one_sided = {m.confidence: m.apply(values) for m, values in quantiles.items()}
    return one_sided, {m.confidence: m.apply(values, central=True) for m, values in quantiles.items()}
