"""Figures as Markdown: the tables of an evaluation, and the card of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from goldilocks_batch.artifacts.record import ModelRecord
from goldilocks_batch.training.dataset import Dataset
from goldilocks_batch.training.figures import Coverage, Evaluation
from goldilocks_batch.training.protocols import said

__all__ = ["describe_training", "margin_table", "model_card", "report"]

_KINDS = {"quantile_forest": "A quantile forest", "alignn_ensemble": "An ensemble of ALIGNN networks"}


_LIMITS = (
    "Of {censored} of the {rows} rows only a limit is known, which the label does not exceed: a bound below "
    "it may hold or not. Coverage is then a range, from none of these rows held to all of them."
)


_TWO_SIDED = (
    "Two-sided: both ends moved by one margin, calibrated to hold together; runs give one-sided bounds."
)


def report(evaluation: Evaluation, *, groups_at: float | None = None, remarks: Sequence[str] = ()) -> str:
    """Tables of an evaluation.

    Args:
        evaluation: the figures.
        groups_at: the confidence whose coverage is shown group by group; by default the first.
        remarks: what one should know before one reads the figures.
    """
    censored = evaluation.rows - evaluation.labelled
    limits = f", of {censored} more only a limit" if censored else ""
    parts = [
        *remarks,
        f"{evaluation.labelled} labels{limits}. MAE of the median {evaluation.mae:.4f} 1/Å (of the labels' "
        f"own median as a constant: {evaluation.mae_constant:.4f}), R² {evaluation.r2:.3f}.",
        "Coverage, the share of structures for which a bound holds, with 95 % error bars. A lower bound "
        "holds if it is no larger than the label: its mesh is converged. Width is upper minus lower bound.",
        *([_LIMITS.format(censored=censored, rows=evaluation.rows)] if censored else []),
        _coverage_table(evaluation),
        *([_TWO_SIDED] if evaluation.levels[0].two_sided else []),
        "What it costs to use the lower bound, beside the constant kdist that holds for as many structures: "
        "k-points of the full meshes, summed over all rows, and waste, how many times the k-points of the "
        "label's own mesh are spent, on average. The sum is ruled by the few densest meshes; the average "
        "gives every structure the same weight.",
        _cost_table(evaluation),
        *_verdict(evaluation, censored),
        "Constants in use, on the same rows:",
        _constant_table(evaluation),
    ]
    chosen = next((v for v in evaluation.levels if v.confidence == groups_at), evaluation.levels[0])
    for kind, groups in chosen.groups.items():
        rows = [[name, str(c.rows), _share(c)] for name, c in groups.items()]
        parts.append(_table([kind, "rows", f"lower bound at {chosen.confidence:.2f} holds"], rows))
    return "\n\n".join(parts) + "\n"


def _verdict(evaluation: Evaluation, censored: int) -> list[str]:
    """What the cost table comes to."""
    said = ["The constant is the best one for these very rows, which nobody knows beforehand."]
    if censored:
        said.append("Equal coverage means the upper end of both ranges: limits count as if the bound held.")
    dearer = [f"{v.confidence:.2f}" for v in evaluation.levels if v.ratio > 1.0]
    if dearer:
        said.append(f"The model spends more k-points in sum than that constant at {', '.join(dearer)}.")
    return [" ".join(said)]


def describe_training(dataset: Dataset) -> dict[str, Any]:
    """What a record says of the labels."""
    low, median, high = np.quantile(dataset.kdist, (0.05, 0.5, 0.95))
    protocols = dataset.labels.protocols
    told = {"protocols": list(protocols)} if protocols else {}
    return told | {
        "dataset": dataset.labels.name,
        "dataset_sha256": dataset.labels.sha256,
        "target": dataset.labels.target.model_dump(mode="json"),
        "labels": len(dataset),
        "compositions": len(np.unique(dataset.formulas)),
        "left_out": dataset.left_out,
        "elements": list(dataset.elements),
        "sites": {"median": int(np.median(dataset.n_sites)), "largest": int(dataset.n_sites.max())},
        "kdist": {"q05": round(low, 4), "median": round(median, 4), "q95": round(high, 4)},
    }


def model_card(record: ModelRecord, sections: Mapping[str, str]) -> str:
    """A model's card, from its record and figures.

    Args:
        record: the record.
        sections: Markdown by title, of how good it is.
    """
    about = record.training.model_dump(mode="json")
    parts = [
        f"# {record.name}",
        f"{_KINDS[record.role]} that predicts the k-point distance (1/Å, with the 2π) at which the total "
        "energy of a crystal is converged: a median, and bounds at any one-sided confidence between 0.5 and "
        "1.",
        "\n".join(f"- {remark}" for remark in record.remarks),
        "## Labels",
        _labels(about),
        f"Elements ({len(about['elements'])}): {' '.join(about['elements'])}. A structure with another "
        "element, or with more sites than the largest cell, is flagged in the results.",
        "## Model",
        f"Features `{record.feature_schema}` ({len(record.feature_columns)} columns"
        f"{', no downloaded network' if not record.requires_artifacts else ''}). "
        f"{_making(record)}",
        "## Calibration",
        f"Conformalized quantile regression in log kdist, {record.calibration.kind}, "
        f"{record.calibration.rows} rows. {record.calibration.guarantee}",
        _calibration_labels(record),
        margin_table(record),
    ]
    for title, text in sections.items():
        parts += [f"## {title}", text.rstrip()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _labels(about: Mapping[str, Any]) -> str:
    """What :func:`describe_training` says, as a sentence or two."""
    target, kdist, sites = about["target"], about["kdist"], about["sites"]
    meaning = "kdist" if target["kind"] == "kdist" else "kdist = 2π/L of the k-point length L"
    column = f"column `{target['column']}`, " if target["column"] else ""
    protocols = "".join(f" Labels of {said(protocol)}." for protocol in about.get("protocols", ()))
    return (
        f"`{about['dataset']}` (sha256 `{about['dataset_sha256'][:16]}…`), {column}{meaning}. "
        f"{about['labels']} structures of {about['compositions']} compositions; median primitive cell "
        f"{sites['median']} sites, largest {sites['largest']}; kdist {kdist['q05']} to {kdist['q95']} 1/Å "
        f"(5 % to 95 %), median {kdist['median']}. {sum(about['left_out'].values())} structures were left "
        f"out because they have no features.{protocols}"
    )


def _calibration_labels(record: ModelRecord) -> str:
    """What the labels of a calibration are, if they are others than those of the training."""
    about = record.calibration.dataset
    if about is None:
        return ""
    return (
        f"Calibrated on other labels than it was trained on: {_labels(about)} {about['known_compositions']} "
        "of them share their composition with the training set."
    )


def _making(record: ModelRecord) -> str:
    """What it is made of, and how."""
    trainer = record.trainer
    by = f"{trainer['library']} {trainer['version']}, seed {record.seed}"
    same = "the same data and versions give the same bytes" if record.deterministic else "on a GPU"
    if record.role == "quantile_forest":
        trees = trainer["settings"]["forest"]["n_estimators"]
        return f"{trees} trees, quantiles from Meinshausen's weights. Grown by {by}; {same}."
    network = trainer["settings"]["network"]
    return (
        f"{network['members']} networks for each of the quantiles "
        f"{', '.join(f'{quantile:g}' for quantile in network['quantiles'])}; a quantile is their mean. Width "
        f"{network['hidden']}, {network['alignn_layers']} + {network['gcn_layers']} layers. Fitted by {by}, "
        f"{trainer['epochs']} epochs, the best of each network kept; {same}."
    )


def margin_table(record: ModelRecord) -> str:
    """What the calibration multiplies a model's quantiles by."""
    rows = [
        [level, *(f"{np.exp(sign * m[name]):.3f}" for name, sign in (("lower", -1), ("upper", 1)))]
        for level, m in record.calibration.margins.items()
    ]
    return _table(["confidence", "factor on the lower quantile", "factor on the upper quantile"], rows)


def _coverage_table(evaluation: Evaluation) -> str:
    header = ["confidence", "lower bound holds", "upper bound holds", "both, nominal", "both hold"]
    two_sided = any(v.two_sided for v in evaluation.levels)
    rows = [
        [
            f"{v.confidence:.2f}",
            _share(v.lower),
            _share(v.upper),
            f"{100 * (2 * v.confidence - 1):.0f} %",
            _share(v.central),
            f"{v.pinball:.5f}",
            f"{v.width:.3f}",
            *([_share(v.two_sided), f"{v.two_sided_width:.3f}"] if v.two_sided else []),
        ]
        for v in evaluation.levels
    ]
    more = ["two-sided holds", "its width (1/Å)"] if two_sided else []
    return _table([*header, "pinball (1/Å)", "width (1/Å)", *more], rows)


def _cost_table(evaluation: Evaluation) -> str:
    header = [
        "confidence",
        "k-points",
        "constant's k-points",
        "ratio",
        "waste",
        "constant's waste",
        "ratio",
        "constant (1/Å)",
    ]
    rows = [
        [
            f"{v.confidence:.2f}",
            f"{v.model.kpoints:,}",
            f"{v.constant_kpoints:,.0f}",
            f"{v.ratio:.2f}",
            f"{v.model.waste:.2f}",
            f"{v.constant_waste:.2f}",
            f"{v.model.waste / v.constant_waste:.2f}",
            f"{v.constant_kdist:.3f}",
        ]
        for v in evaluation.levels
    ]
    return _table(header, rows)


def _constant_table(evaluation: Evaluation) -> str:
    rows = [
        [name, f"{s.kdist:.3f}", _share(s.coverage), f"{s.kpoints:,}", f"{s.waste:.2f}", f"{s.mae:.4f}"]
        for name, s in evaluation.constants.items()
    ]
    return _table(["constant", "kdist (1/Å)", "holds for", "k-points", "waste", "MAE (1/Å)"], rows)


def _share(coverage: Coverage) -> str:
    """``95.1 % (93.7-96.2)``, or a range where rows with only a limit leave it open."""
    bar = f"({100 * coverage.low:.1f}-{100 * coverage.high:.1f})"
    if coverage.unknown:
        return f"{100 * coverage.least:.1f} to {100 * coverage.most:.1f} % {bar}"
    return f"{100 * coverage.least:.1f} % {bar}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    lines = [" | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in cells]
    return "\n".join(f"| {line} |" for line in lines)
