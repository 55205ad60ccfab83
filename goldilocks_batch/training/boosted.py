"""Train boosted trees on labels at several tolerances: fit, calibrate, judge, write."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.config.training import Studies, TrainBoostedConfig
from goldilocks_batch.core.versions import versions
from goldilocks_batch.models.boosted import BoostedParts, group_columns
from goldilocks_batch.models.scaled import SIZES
from goldilocks_batch.models.trained_boosted import BoostedModel, read_boosted, write_boosted
from goldilocks_batch.training.boosted_card import boosted_card
from goldilocks_batch.training.boosted_data import BoostedData, read_boosted_data
from goldilocks_batch.training.boosted_fit import Fitted, ensembles, fit_boosted
from goldilocks_batch.training.features import FeatureSet
from goldilocks_batch.training.labelled import Labelled
from goldilocks_batch.training.placement import placed, refuse_occupied
from goldilocks_batch.training.protocols import single_protocol
from goldilocks_batch.training.resources import Resources
from goldilocks_batch.training.scaled_fit import More, calibrate_scaled, small_constants
from goldilocks_batch.training.splits import fold_numbers, holdout
from goldilocks_batch.training.tolerances import LEVELS, constants_of, judge
from goldilocks_batch.training.well_known import well_known_table

__all__ = ["SCHEMA", "cross_validated", "judge_studies", "more_of", "train_boosted"]

#: The features of boosted models: of the exact primitive cell, without SOAP and without a network.
SCHEMA = "comp_struct_physics_bands.v1"

Bounds = dict[tuple[int, float], NDArray[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)
class _Study:
    """Convergence studies: ``kdist`` is ``(m, t)``, NaN where there is no label at a tolerance."""

    name: str
    data: BoostedData


def train_boosted(
    dataset: Path,
    config: TrainBoostedConfig,
    output: Path,
    *,
    resources: Resources | None = None,
    overwrite: bool = False,
) -> tuple[BoostedModel, dict[str, Any]]:
    """Train, calibrate, judge and write a model.

    Args:
        dataset: a Parquet manifest with a column of labels for each tolerance: upper ends of the intervals of
            k-distances that give the converged mesh of the cell as supplied.
        config: the options.
        output: the model's folder, missing or empty; it appears when the model is whole.
        resources: how features are had.
        overwrite: replace a model that is there.

    Returns:
        The model as read back from its folder, and its figures.

    Raises:
        InputError, ConfigError: the dataset or an option is unusable; nothing was written.
        RunError: OUTPUT_EXISTS, the folder holds other things; WRITE_FAILED.
    """
    resources = resources or Resources()
    refuse_occupied(output, overwrite)
    protocols = single_protocol(dataset, mixed=config.mixed_protocols)
    features = resources.features(SCHEMA)
    columns = group_columns(features.columns)
    whole = read_boosted_data(
        dataset, config.columns, features, resources, config.structures, at_least=config.at_least
    )
    tolerances = tuple(sorted(config.columns))
    studies = [_read_study(study, tolerances, features, resources) for study in config.studies]
    held = np.zeros(len(whole.ids), dtype=bool)
    if config.test_share:
        held = holdout(whole.formulas.tolist(), config.test_share, config.seed + 2)
    data = whole.take(~held)
    labelled = data.labelled(tolerances)
    grown = resources.forest_counter(ensembles(config.boosting, len(tolerances)))
    fitted = fit_boosted(
        labelled,
        config.boosting,
        columns,
        extra=lambda parts: more_of(parts, [study.data for study in studies]),
        grown=grown,
    )
    parts = fitted.parts
    if config.test_share:
        rest = whole.take(held)
        title, bounds = f"Held-out rows ({config.test_share:.0%}, by composition)", bounds_of(parts, rest)
        groups = parts.groups(rest.features, parts.nearness(rest.features))
        judged, about = rest.labelled(tolerances), rest
    else:
        title = f"Cross-validated ({config.boosting.folds} folds by composition, calibration included)"
        groups = fitted.groups
        bounds = cross_validated(labelled, fitted)
        judged, about = labelled, data
    figures = judge(judged, about.supplied, bounds, groups, about.n_elements)
    outside = {study.name: judge_studies(fitted, labelled, study.data) for study in studies}
    record = _about(data, labelled, config, features)
    record["small_sites"] = SIZES[0]
    record["small_constants"] = small_constants(labelled, fitted.location, fitted.groups, fitted.more)
    if protocols:
        record["training"]["protocols"] = list(protocols)
    record["evaluation"] = {"kind": title, "tolerances": figures, "studies": outside}
    known = well_known_table(parts, data.element_counts, features)
    card = boosted_card(record, title, figures, outside, known)
    with placed(output) as folder:
        write_boosted(folder, parts, record, {"card.md": card.encode()})
    return read_boosted(output), {"title": title, "figures": figures, "studies": outside}


def bounds_of(parts: BoostedParts, data: BoostedData) -> Bounds:
    """A model's bounds of some rows, by place of the tolerance and confidence."""
    found: Bounds = {}
    for place, tolerance in enumerate(parts.tolerances):
        found |= {
            (place, c): values
            for c, values in zip(LEVELS, parts.bounds_at(data.features, tolerance, LEVELS), strict=True)
        }
    return found


def cross_validated(data: Labelled, fitted: Fitted) -> Bounds:
    """Bounds of the training rows from trees and a calibration that saw no row of their composition."""
    groups = fitted.groups
    tolerances = range(len(data.tolerances))
    found: Bounds = {(t, c): np.empty((len(data.groups), 3)) for t in tolerances for c in LEVELS}
    for fold in np.unique(fitted.folds):
        out = fitted.folds == fold
        scaled = calibrate_scaled(
            data.take(~out), fitted.location[~out], fitted.scale[~out], groups.take(~out)
        )
        own = groups.take(out)
        for c in LEVELS:
            above = np.zeros((int(out.sum()), 3))
            for t in tolerances:
                values = scaled.bounds(fitted.location[out, t], fitted.scale[out, t], own, t, c)
                above = np.maximum(above, values)
                found[t, c][out] = above
    return found


def more_of(parts: BoostedParts, studies: Sequence[BoostedData]) -> More | None:
    """Convergence studies of the smallest cells, for their calibration."""
    if not studies:
        return None
    features = np.vstack([study.features for study in studies])
    kdist = np.vstack([study.kdist for study in studies])
    small = parts.groups(features, np.zeros(len(features))).of["size"] == 0
    location = [parts.ask(features[small], tolerance)[0] for tolerance in parts.tolerances]
    return More(np.log(kdist[small].T), np.array(location))


def judge_studies(fitted: Fitted, data: Labelled, study: BoostedData, folds: int = 5) -> dict[str, Any]:
    """How often lower bounds hold for studies, whose own scores calibrate only the others: by folds.

    Returns:
        By tolerance: studies with a label, and by confidence the share whose lower bound holds, without any
        study in the calibration and with those of the other folds.
    """
    parts, groups = fitted.parts, fitted.groups
    own = parts.groups(study.features, parts.nearness(study.features))
    fold_of = fold_numbers(study.formulas, min(folds, len(np.unique(study.formulas))), 0)
    asked = [parts.ask(study.features, tolerance) for tolerance in parts.tolerances]
    lower: dict[tuple[str, int, float], NDArray[np.float64]] = {}
    for fold in (-1, *np.unique(fold_of)):
        rows = np.ones(len(fold_of), dtype=bool) if fold == -1 else fold_of == fold
        more = None if fold == -1 else more_of(parts, [study.take(~rows)])
        scaled = calibrate_scaled(data, fitted.location, fitted.scale, groups, more)
        kind = "without" if fold == -1 else "with"
        for c in LEVELS:
            above = np.zeros(int(rows.sum()))
            for t, (location, scale) in enumerate(asked):
                values = scaled.bounds(location[rows], scale[rows], own.take(rows), t, c)[:, 0]
                above = np.maximum(above, values)
                lower.setdefault((kind, t, c), np.empty(len(rows)))[rows] = above
    found: dict[str, Any] = {}
    for t, tolerance in enumerate(parts.tolerances):
        known = np.isfinite(study.kdist[:, t])
        if known.any():
            found[f"{tolerance:g}"] = {"converged": int(known.sum())} | {
                kind: {
                    f"{c:.2f}": float((lower[kind, t, c] <= study.kdist[:, t] * (1 + 1e-6))[known].mean())
                    for c in LEVELS
                }
                for kind in ("without", "with")
            }
    return found


def _read_study(
    study: Studies, tolerances: tuple[float, ...], features: FeatureSet, resources: Resources
) -> _Study:
    """Studies at the model's tolerances; NaN at one that they lack."""
    data = read_boosted_data(study.path, study.columns, features, resources, complete=False)
    own = sorted(study.columns)
    kdist = np.full((len(data.ids), len(tolerances)), np.nan)
    for place, tolerance in enumerate(tolerances):
        if tolerance in own:
            kdist[:, place] = data.kdist[:, own.index(tolerance)]
    return _Study(
        study.path.name,
        replace(data, kdist=kdist, at_least=np.zeros(kdist.shape, dtype=bool)),
    )


def _about(
    data: BoostedData, labelled: Labelled, config: TrainBoostedConfig, features: FeatureSet
) -> dict[str, Any]:
    """The fields of the record that do not follow from the arrays, but for the evaluation."""
    version = versions()["goldilocks-batch"]
    quantiles: Callable[[int], Mapping[str, float]] = lambda t: {  # noqa: E731
        name: round(float(np.exp(np.quantile(labelled.label[:, t], q))), 4)
        for name, q in (("q05", 0.05), ("median", 0.5), ("q95", 0.95))
    }
    return {
        "record_origin": f"goldilocks-batch {version}",
        "name": config.name,
        "role": "boosted_trees",
        "quantile_rule": "location_scale.v1",
        "tolerances": labelled.tolerances,
        "constants": constants_of(labelled.label, labelled.tolerances),
        "calibration": {
            "method": "conformal_location_scale",
            "kind": "cross",
            "rows": len(labelled.groups),
            "guarantee": "Each row was predicted by trees that saw no row of its composition; the final "
            "trees saw all. Coverage is then measured to be close to the stated one, and no finite-sample "
            "proof covers it.",
        },
        "feature_schema": SCHEMA,
        "feature_columns": features.columns,
        "feature_parameters": {"cell": features.cell},
        "quantiles": (),
        "runtime": {"version": version},
        "target": {
            "contract": "goldilocks.k_distance.mesh_lower_bound.2pi.v1",
            "name": "k_distance",
            "units": "1/angstrom",
        },
        "seed": config.boosting.seed,
        "trainer": {
            "library": "lightgbm",
            "version": importlib.metadata.version("lightgbm"),
            "settings": config.boosting.model_dump(mode="json"),
        },
        "training": {
            "dataset": data.name,
            "dataset_sha256": data.sha256,
            "columns": {f"{tolerance:g}": name for tolerance, name in sorted(config.columns.items())},
            "labels": len(data.ids),
            "compositions": len(np.unique(data.formulas)),
            "left_out": dict(data.left_out),
            "elements": list(data.element_counts),
            "element_counts": dict(data.element_counts),
            "sites": {"median": int(np.median(data.features[:, 146 + 6])), "largest": data.largest},
            "kdist": {f"{t:g}": quantiles(place) for place, t in enumerate(labelled.tolerances)},
            "never_converged": config.never_converged,
        },
        "remarks": (*config.remarks, *_of_the_never_converged(config.never_converged)),
    }


def _of_the_never_converged(share: float) -> tuple[str, ...]:
    """What studies without a label do to a bound."""
    if not share:
        return ()
    return (
        f"Studies that never converge, {100 * share:.1f} % in the campaign behind its labels, are not among "
        f"these: a bound at 0.95 holds for {0.95 * (1 - share):.3f} of all structures at least; to cover "
        f"0.95 of all, ask for a confidence of {min(0.95 / (1 - share), 0.999):.3f}.",
    )
