"""What ``models`` prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from goldilocks_batch.artifacts.conversions import ConvertedRecord, check_conversion, read_conversion
from goldilocks_batch.artifacts.goldilocks_record import (
    GoldilocksRecord,
    bands_of,
    calibrated_by,
    expect_served,
    read_goldilocks_record,
)
from goldilocks_batch.artifacts.inventory import Status, entries_of, levels_of, status_of
from goldilocks_batch.artifacts.places import Places
from goldilocks_batch.artifacts.registry import Entry, FileEntry, LevelEntry, Registry
from goldilocks_batch.cli.tables import console, print_table

__all__ = ["print_model", "print_statuses", "print_trained"]


def print_statuses(statuses: Iterable[Status], folders: Sequence[Path]) -> None:
    """A line for every level of every model, and where was looked."""
    out, rows = console(), []
    for status in statuses:
        size = f"{status.size / 1e6:,.1f}" if status.size else ""
        where = ", ".join(map(str, status.folders))
        rows.append((status.model, status.kind, ", ".join(status.levels), status.state, size, where))
    print_table(
        out, ("model", "kind", "level", "state", "MB", "where"), rows, right=("MB",), broken=("where",)
    )
    out.print(f"looked in: {', '.join(map(str, folders))}", soft_wrap=True)


def print_model(registry: Registry, name: str, places: Places) -> None:
    """A model of the registry.

    Raises:
        ModelError: MODEL_UNKNOWN.
    """
    out, model = console(), registry.model(name)
    _fields(
        out,
        {
            name: f"{model.title} ({model.kind})",
            "features": model.feature_schema or "none",
            "domain": model.domain,
            "corrections": model.correction_origin,
            "published rung": "; ".join(filter(None, map(_rule_of, model.levels.values()))),
            "licence": model.licence,
            "citation": model.citation,
            "remarks": " ".join(model.remarks),
        },
    )
    headings, rows = ("level", "correction 1/Å", "kdist 1/Å", "files here"), []
    levels = levels_of(registry, name)
    for confidence in levels:
        level = model.levels[f"{confidence:.2f}"]
        kdist = "" if level.kdist is None else f"{level.kdist:.4f}"
        state = status_of(registry, name, confidence, places).state
        rows.append((f"{confidence:.2f}", f"{level.correction:+.4f}", kdist, state))
    out.print()
    print_table(out, headings, rows, title="levels (one-sided)", right=headings[1:3])
    entries = entries_of(registry, name, levels)
    out.print("\nfiles" if entries else "\nneeds no files")
    for entry in entries:
        _print_entry(out, entry)


def print_trained(folder: Path) -> None:
    """A model that was trained with this package, or the conversion of a published forest.

    Raises:
        ModelError: it cannot be read.
    """
    from goldilocks_batch.models.trained import read_trained

    theirs = read_goldilocks_record(folder)
    if theirs is not None:
        _print_goldilocks(folder, theirs)
        return
    converted = read_conversion(folder)
    if converted is not None:
        _print_conversion(folder, converted)
        return
    model = read_trained(folder)
    record, out = model.record, console()
    about, training = record.calibration, record.training
    largest = f", cells of up to {training.sites['largest']} sites" if "largest" in training.sites else ""
    _fields(
        out,
        {
            record.name: f"{record.record_origin} ({record.role})",
            "features": record.feature_schema,
            "domain": f"{training.labels:,} labels, {len(training.elements)} elements{largest}",
            "calibration": f"{about.kind} conformal, {about.rows:,} rows: {about.guarantee}",
            "levels": "any one-sided confidence that the calibration rows allow",
            "remarks": " ".join(record.remarks),
            "folder": str(folder),
        },
    )


def _print_conversion(folder: Path, record: ConvertedRecord) -> None:
    check_conversion(folder, record.source.sha256)
    needed = ", ".join(f"{entry.record_id}/{entry.file}" for entry in record.requires_artifacts)
    _fields(
        console(),
        {
            record.source.name: f"{record.record_origin} ({record.role})",
            "source": f"{record.source.size_bytes / 1e6:,.1f} MB, sha256 {record.source.sha256}",
            "features": record.feature_schema,
            "quantiles": ", ".join(f"{quantile:g}" for quantile in record.quantiles),
            "needs": needed,
            "remarks": "Corrections and levels are the registry's: used by --model rf --artifacts.",
            "folder": str(folder),
        },
    )


def _print_goldilocks(folder: Path, record: GoldilocksRecord) -> None:
    expect_served(folder, record)
    pickle = record.artifacts.estimator
    _fields(
        console(),
        {
            folder.resolve().name: f"goldilocks-ml, {record.runtime.id} {record.runtime.version}",
            "features": record.feature_schema,
            "target": record.target.contract,
            "quantiles": ", ".join(f"{quantile:g}" for quantile in record.quantiles),
            "published rung": _rule(bands_of(folder, record) if record.is_of_rungs else ()),
            "calibration": calibrated_by(record),
            "needs": ", ".join(f"{entry.record_id}/{entry.file}" for entry in record.requires_artifacts),
            "folder": str(folder),
            "not here": ""
            if (folder / pickle).is_file()
            else f"{pickle}, which 'models pull' and 'run' fetch",
        },
    )


def _rule_of(level: LevelEntry) -> str:
    return _rule([(band.below, band.level) for band in level.bands])


def _rule(bands: Sequence[tuple[float | None, float]]) -> str:
    """Which quantile a model of rungs publishes, for people; nothing of other models."""
    rest = " elsewhere" if len(bands) > 1 else ""
    return ", ".join(
        f"the {level:g} quantile" + (rest if below is None else f" where the median is below rung {below:g}")
        for below, level in bands
    )


def _fields(out: Console, fields: dict[str, str]) -> None:
    rows = [(name, text) for name, text in fields.items() if text]
    print_table(out, ("name", "text"), rows, header=False)


def _print_entry(out: Console, entry: Entry) -> None:
    known = [entry.host, f"revision {entry.revision[:12]}" if entry.revision else "newest revision"]
    if isinstance(entry, FileEntry):
        what = entry.path
        known += [f"{entry.size / 1e6:,.2f} MB"] if entry.size else []
        known += [f"sha256 {entry.sha256[:12]}" if entry.sha256 else "pinned at the first fetch"]
        known += [f"also {mirror}" for mirror in entry.mirrors]
    else:
        what = f"{entry.path}/*{entry.ending}"
        known += [f"{len(entry.sha256)} files, pinned" if entry.sha256 else "pinned at the first fetch"]
    out.print(f"  {entry.repository}/{what}  ({', '.join(known)})", soft_wrap=True)
