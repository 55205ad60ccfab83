"""The card of a boosted model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goldilocks_batch.models.trained_boosted import THIN
from goldilocks_batch.training.about import NOT_JUDGED
from goldilocks_batch.training.protocols import said
from goldilocks_batch.training.tolerances import tables

__all__ = ["boosted_card"]


def boosted_card(
    record: Mapping[str, Any],
    title: str,
    figures: Mapping[str, Any],
    studies: Mapping[str, Any],
    well_known: str = "",
) -> str:
    """A card in Markdown.

    Args:
        record: the fields of the model's record.
        title: how the figures were had.
        figures: see :func:`~goldilocks_batch.training.tolerances.judge`; empty where there are none.
        studies: by name, see :func:`~goldilocks_batch.training.boosted.judge_studies`.
        well_known: see :func:`~goldilocks_batch.training.well_known.well_known_table`; empty for none.
    """
    about = record["training"]
    tolerances = ", ".join(f"{t:g}" for t in record["tolerances"])
    thin = [f"{e} {n}" for e, n in about["element_counts"].items() if n < THIN]
    parts = [
        f"# {record['name']}",
        "Boosted trees that predict the k-point distance (1/Å, with the 2π) at which the total energy of a "
        f"crystal is converged within {tolerances} meV per atom: a median, and bounds at any one-sided "
        "confidence between 0.5 and 1.",
        "\n".join(f"- {remark}" for remark in record["remarks"]),
        "## Labels",
        f"{about['labels']} structures of {about['compositions']} compositions, from `{about['dataset']}` "
        f"(sha256 {about['dataset_sha256'][:12]}…). Primitive cells of {about['sites']['median']} sites in "
        f"the middle, {about['sites']['largest']} at most. 5, 50 and 95 % of the labels lie below, in 1/Å: "
        + "; ".join(
            f"{q['q05']:.3f}, {q['median']:.3f}, {q['q95']:.3f} at {t} meV" for t, q in about["kdist"].items()
        )
        + "."
        + "".join(f" Labels of {said(protocol)}." for protocol in about.get("protocols", ())),
        f"Elements ({len(about['elements'])}): {' '.join(about['elements'])}. Thin (under {THIN} structures, "
        f"flagged `thin_elements`): {', '.join(thin) or 'none'}. A structure with another element, with more "
        "sites, or further from all of these than 95 % of them are from each other is flagged.",
        "## Model",
        f"Features `{record['feature_schema']}` ({len(record['feature_columns'])} columns, no downloaded "
        "network) of the primitive cell that the crystal's own symmetry gives. LightGBM "
        f"{record['trainer']['version']}; the package's own code predicts.",
        "## Calibration",
        f"A location and a scale, calibrated on {record['calibration']['rows']} rows out of fold, with "
        "factors for cells of a size, metals alone, crystal systems and the distance to the training set. "
        f"{record['calibration']['guarantee']}",
        _unfinished(about["never_converged"]),
        f"## Well-known crystals\n\n{well_known}" if well_known else "",
        f"## {title}",
        tables(figures) if figures else NOT_JUDGED,
    ]
    if studies:
        parts += ["## Convergence studies of another protocol", _studies(studies)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _unfinished(share: float) -> str:
    if not share:
        return ""
    worst = {c: c * (1 - share) for c in (0.95, 0.90, 0.85, 0.80)}
    needed = {c: c / (1 - share) for c in (0.95, 0.90, 0.85, 0.80) if c < 1 - share}
    return (
        f"{share:.1%} of the studies behind the labels never converged; they are not among them, and belong "
        "to the lower tail. If a bound holds for none of them, a confidence of "
        + ", ".join(f"{c:.2f} means {w:.3f}" for c, w in worst.items())
        + " of all structures, studies without an end among them. For "
        + ", ".join(f"{c:.2f} of all ask for {w:.3f}" for c, w in needed.items())
        + f"; more than {1 - share:.3f} of all cannot be promised."
    )


def _studies(studies: Mapping[str, Any]) -> str:
    lines = [
        "Share of converged studies whose lower bound holds: without any study in the calibration, and with "
        "those of other compositions as calibration of the smallest cells, by cross-validation.",
        "",
        "| studies | meV/atom | converged | confidence | without | with the others |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, found in studies.items():
        for tolerance, figures in found.items():
            for c, without in figures["without"].items():
                lines.append(
                    f"| {name} | {tolerance} | {figures['converged']} | {c} | {without:.3f} | "
                    f"{figures['with'][c]:.3f} |"
                )
    return "\n".join(lines)
