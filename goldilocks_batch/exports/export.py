"""``export``: the rows of a run as inputs of codes, streamed; what cannot be written is listed."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from goldilocks_batch.config.choices import ExportFormat
from goldilocks_batch.core.errors import ConfigError, ErrorCode, RunError, Stage, StructureError
from goldilocks_batch.core.names import Names
from goldilocks_batch.core.text import nearest
from goldilocks_batch.core.versions import versions
from goldilocks_batch.exports.formats.atoms import Xyz
from goldilocks_batch.exports.formats.espresso import Espresso
from goldilocks_batch.exports.formats.interface import Lines, Notes
from goldilocks_batch.exports.formats.json_lines import Aiida, Atomate2
from goldilocks_batch.exports.formats.table import Csv
from goldilocks_batch.exports.formats.vasp import Vasp
from goldilocks_batch.exports.places import MARKER, archive_ending, shard_name, staged, vacant
from goldilocks_batch.exports.rows import Choice, Chunk, Rows, Skipped
from goldilocks_batch.exports.writers import FilesWriter, LinesWriter, Writer
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.schema import failure_schema
from goldilocks_batch.runs.run import Observer, Silent

__all__ = ["ExportSummary", "Target", "export"]

_MOST_SHARDS = 100_000


@dataclass(frozen=True, slots=True)
class Target:
    """What is written, and where.

    Attributes:
        form: the format.
        output: a folder, an archive by its ending, or a file of many rows.
        shards: how many archives or files, or folders of folders.
        template: for qe, an input of pw.x with what is no business of a mesh.
        gamma: for qe, write ``K_POINTS gamma`` where Γ is the only point.
        kspacing: for vasp, write ``KSPACING`` in place of ``KPOINTS`` where a spacing gives the mesh.
        overwrite: replace what an export has written there.
    """

    form: ExportFormat
    output: Path
    shards: int = 1
    template: Path | None = None
    gamma: bool = False
    kspacing: bool = False
    overwrite: bool = False


@dataclass(slots=True)
class ExportSummary:
    """How an export ended.

    Attributes:
        output: as asked for.
        written: rows that were written.
        skipped: rows that were not, by the code of what is wrong with them.
        left_out: rows that went well and did not meet the conditions.
        missing: rows of which the run has no result yet.
        renamed: ids that are no file names, so that their folders have others.
        notes: what else there is to know, and of how many rows.
        skipped_path: the table of the rows skipped; None if there are none.
    """

    output: Path
    written: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    left_out: int = 0
    missing: int = 0
    renamed: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    skipped_path: Path | None = None


def export(run: Path, target: Target, choice: Choice, *, observer: Observer | None = None) -> ExportSummary:
    """Write the rows of a run as inputs of a code, each mesh with the cell that it is for.

    Structures are read again from the run's inputs, which must not have changed.  Rows that failed, in the
    run or here, are listed with their codes in a table ``skipped.parquet``.  Everything appears at the end,
    or nothing does.

    Args:
        run: the run's folder.
        target: what is written, and where.
        choice: of which rows.
        observer: told of progress.

    Raises:
        ConfigError: CONFIG_INVALID, an option has no effect on the format, or the run has no such rows.
        RunError: OUTPUT_EXISTS, something is there; RESUME_REFUSED, it is no folder of a run; ROWS_LOST,
            there are no results; INPUT_CHANGED, while they were read; WRITE_FAILED.
    """
    observer = observer or Silent()
    form = _form(target)
    final = target.output.absolute()
    folder = isinstance(form, Vasp | Espresso) and not archive_ending(final)
    for shard in range(1 if folder else target.shards):
        path = final if folder else final.with_name(shard_name(final, shard, target.shards))
        vacant(path, overwrite=target.overwrite, folder=folder)
    rows = Rows(run, choice)
    if around := rows.inputs.folder_around(final):
        message = f"{target.output} lies in {around}, an input of the run, which would change: choose another"
        raise RunError(ErrorCode.OUTPUT_EXISTS, message)
    summary = ExportSummary(target.output, missing=rows.rows - rows.there)
    observer.started(rows.there, 0, None)
    with staged(final, folder=folder) as stage, contextlib.ExitStack() as unfinished:
        skipped_name = "skipped.parquet" if folder else f"{_stem(final)}.skipped.parquet"
        writer: Writer
        if isinstance(form, Vasp | Espresso):
            writer = FilesWriter(form, stage, final, target.shards, Names(rows.ids()))
        else:
            writer = LinesWriter(form, stage, final, target.shards)
        unfinished.callback(writer.abandon)
        notes = Notes()
        with pq.ParquetWriter(stage / skipped_name, failure_schema(), compression="zstd") as table:
            _write(rows, writer, target.shards, notes, table, summary, observer)
        writer.close()
        rows.inputs.check_unchanged()
        summary.notes = notes.counts
        summary.renamed = getattr(writer, "renamed", 0)
        if summary.skipped:
            summary.skipped_path = (final if folder else final.parent) / skipped_name
        else:
            (stage / skipped_name).unlink()
        if folder:
            (stage / MARKER).write_text(_about(rows, target, choice, summary), encoding="utf-8")
    return summary


def _form(target: Target) -> Vasp | Espresso | Lines:
    """The format, with its options.

    Raises:
        ConfigError: CONFIG_INVALID, an option has no effect on it, or the ending of the output's name is one
            of something else.
    """
    if target.form not in get_args(ExportFormat):
        hint = nearest(target.form, list(get_args(ExportFormat)))
        raise ConfigError(ErrorCode.CONFIG_INVALID, f"format is {target.form!r}: {hint}")
    if not 1 <= target.shards <= _MOST_SHARDS:
        raise ConfigError(ErrorCode.CONFIG_INVALID, f"shards is {target.shards}: 1 to {_MOST_SHARDS:,}")
    unused = []
    if target.form != "qe":
        unused += [name for name in ("template", "gamma") if getattr(target, name)]
    if target.form != "vasp" and target.kspacing:
        unused.append("kspacing")
    if unused:
        message = f"{' and '.join(unused)}: no effect on the format {target.form}; leave it out"
        raise ConfigError(ErrorCode.CONFIG_INVALID, message)
    forms: dict[str, Vasp | Lines] = {
        "vasp": Vasp(target.kspacing),
        "aiida": Aiida(),
        "atomate2": Atomate2(),
        "ase": Xyz(),
        "csv": Csv(),
    }
    form = forms[target.form] if target.form in forms else Espresso.of(target.template, gamma=target.gamma)
    if not isinstance(form, Vasp | Espresso) and archive_ending(target.output):
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"{target.output} is the name of an archive, and the format {target.form} is one file: name it "
            f"{_stem(target.output)}.{_USUAL[target.form]}, or with .gz after that",
        )
    return form


_USUAL = {"aiida": "jsonl", "atomate2": "jsonl", "ase": "xyz", "csv": "csv"}


def _stem(path: Path) -> str:
    """A file's name without its endings."""
    ending = archive_ending(path) or ("".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix)
    return path.name[: len(path.name) - len(ending)]


def _write(
    rows: Rows,
    writer: Writer,
    shards: int,
    notes: Notes,
    table: pq.ParquetWriter,
    summary: ExportSummary,
    observer: Observer,
) -> None:
    """Write every row, or list it."""
    now = 0
    for chunk in rows.chunks():
        for item in chunk.items:
            shard = item.row["row"] * shards // rows.rows
            if shard > now:
                writer.begin(shard)
                now = shard
            try:
                writer.write(item, notes)
                summary.written += 1
            except OSError:
                raise
            except Exception as error:  # a library's, of a structure that it cannot write
                message = f"unexpected {type(error).__name__} in writing: {error}"
                unforeseen = StructureError(ErrorCode.INTERNAL, message, stage=Stage.MESH)
                chunk.skipped.append(Skipped(item.row, unforeseen))
        if chunk.skipped:
            table.write_table(pa.Table.from_pylist(list(_listed(chunk)), schema=failure_schema()))
        failures = Counter(str(skipped.error.code) for skipped in chunk.skipped)
        summary.skipped += failures
        summary.left_out += chunk.left_out
        observer.advanced(Report(chunk.rows, chunk.rows - len(chunk.skipped), failures))


def _listed(chunk: Chunk) -> Iterator[dict[str, Any]]:
    for skipped in chunk.skipped:
        yield _failure(skipped)


def _failure(skipped: Skipped) -> dict[str, Any]:
    row, error = skipped.row, skipped.error
    return {
        "id": row["id"],
        "source": row["source"],
        "stage": None if error.stage is None else str(error.stage),
        "error_code": str(error.code),
        "error_message": error.message,
    }


def _about(rows: Rows, target: Target, choice: Choice, summary: ExportSummary) -> str:
    """What an export's folder tells of itself."""
    about = {
        "format": target.form,
        "cell": choice.cell,
        "bound": choice.bound or "recommended",
        "where": list(choice.where),
        "run": {name: rows.record.get(name) for name in ("fingerprint", "started", "model", "inputs")},
        "versions": versions(),
        "written": summary.written,
        "skipped": dict(summary.skipped),
        "left_out": summary.left_out,
        "missing": summary.missing,
        "notes": dict(summary.notes),
    }
    return json.dumps(about, indent=2, default=str, ensure_ascii=False) + "\n"
