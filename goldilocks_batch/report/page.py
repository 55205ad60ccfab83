"""The page: gather, draw, fill the template, write the file."""

from __future__ import annotations

import base64
import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import category

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.core.files import atomic_path
from goldilocks_batch.core.versions import versions
from goldilocks_batch.report import charts, view
from goldilocks_batch.report.about import Links, entry_of, inputs_of, yaml_of
from goldilocks_batch.report.listing import failure_view
from goldilocks_batch.report.tally import Tally, gathered
from goldilocks_batch.report.times import pace_of
from goldilocks_batch.report.wording import distance, number, percent
from goldilocks_batch.results.folder import PAGE, RunFolder
from goldilocks_batch.results.parts import Scan
from goldilocks_batch.results.record import now
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.status import Status, status_of, written_at

__all__ = ["WrittenPage", "write_report"]

#: What a page of ours says of itself near its beginning.
_GENERATOR = "goldilocks-batch report"
#: What a record says of a model; older versions wrote less.
_MODEL = (
    "model model_revision model_digest confidence tolerance coverage_central correction correction_origin "
    "files"
).split()
_NUMBERS = ("confidence", "tolerance", "coverage_central", "correction")
_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True, slots=True)
class WrittenPage:
    """A page that was written.

    Attributes:
        path: the file.
        rows: rows that it tells of.
        missing: rows of the inputs that have no result yet.
        size: bytes.
    """

    path: Path
    rows: int
    missing: int
    size: int


def write_report(folder: str | Path, path: str | Path | None = None) -> WrittenPage:
    """Write one self-contained HTML page about a run, finished or not.

    Memory does not grow with the number of rows, nor does the page: it holds distributions, counts and the
    leading rows.

    Args:
        folder: a run's output folder (the one with ``run.json``).
        path: the page; ``report.html`` in the folder by default.  A page of an earlier call is replaced.

    Raises:
        RunError: RESUME_REFUSED, it is not the folder of a run; ROWS_LOST, a result file is damaged;
            OUTPUT_EXISTS, another file than such a page has that name; WRITE_FAILED, it cannot be written.
    """
    folder = Path(folder)
    final = folder / PAGE if path is None else Path(path)
    _check_replaceable(final)
    text, status = _page(folder)
    data = text.encode("utf-8", "backslashreplace")  # paths of other encodings
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(ErrorCode.WRITE_FAILED, f"cannot write {final}: {error}") from error
    with atomic_path(final) as temporary:
        temporary.write_bytes(data)
    return WrittenPage(final, status.report.rows, sum(map(len, status.missing)), len(data))


def _check_replaceable(path: Path) -> None:
    try:
        if not path.exists():
            return
        with path.open("rb") as file:
            ours = _GENERATOR.encode() in file.read(2000)
    except OSError as error:
        raise RunError(ErrorCode.WRITE_FAILED, f"cannot write {path}: {error}") from error
    if not ours:
        raise RunError(
            ErrorCode.OUTPUT_EXISTS, f"{path} is there and is no report of a run: choose another --output"
        )


def _page(folder: Path) -> tuple[str, Status]:
    found = RunFolder.of(folder)
    record = found.record.values
    scan, tally = _gathered(found)
    status, links = status_of(folder, scan), Links()
    model = dict.fromkeys(_MODEL) | record.get("model", {})
    model |= {name: None for name in _NUMBERS if not isinstance(model[name], int | float)}
    options = record.get("identity", {}).get("options", {})
    bound = str(options.get("grid", "lower"))
    report = status.report
    entry = entry_of(record)
    safe = view.safe_constants(tally, record.get("resolved", {}).get("small_constant"))
    asked = f"{model['model']} at {model['confidence']}"
    values = {
        "generator": _GENERATOR,
        "name": folder.absolute().name,
        "quoted": shlex.quote(str(folder)),
        "folder": str(folder.absolute()),
        "made": now(),
        "version": versions()["goldilocks-batch"],
        "begun": record.get("started", record["attempts"][0]["started"]),
        "finished": record.get("finished", ""),
        "expected": int(record["rows"]),
        "fingerprint": record["fingerprint"],
        "packages": record.get("versions", {}),
        "status": status,
        "report": report,
        "rows": tally.rows,
        "ok": tally.ok,
        "failed": tally.rows - tally.ok,
        "missing": sum(map(len, status.missing)),
        "model": model,
        "entry": entry,
        "options": options,
        "bound": bound,
        "remarks": record.get("resolved", {}).get("remarks", []),
        "kdist": view.kdist_view(tally, bound, safe),
        "elements": view.element_view(tally),
        "cost": view.cost_view(tally, report, asked, safe),
        "doubt": view.doubt_view(tally, report, links),
        "failures": failure_view(tally, links),
        "time": _time_view(status, report, written_at(scan.parts)),
        "inputs": inputs_of(record),
        "yaml": yaml_of(record),
    }
    return _rendered(values), status


def _gathered(found: RunFolder) -> tuple[Scan, Tally]:
    """The result files and what is in them; those of a run that goes on may be compacted meanwhile."""
    scan = found.parts.scan()
    try:
        return scan, gathered(scan.parts)
    except RunError:
        if all(part.path.exists() for part in scan.parts):
            raise
    scan = found.parts.scan()
    return scan, gathered(scan.parts)


def _time_view(status: Status, report: Report, written: list[tuple[float, int]]) -> dict[str, Any]:
    spent = sum(report.seconds.values())
    most = max(report.seconds.values(), default=1.0) or 1.0
    stages = [
        {
            "name": name,
            "seconds": seconds,
            "share": percent(seconds / spent if spent else 0.0),
            "bar": 100 * seconds / most,
            "each": 1000 * seconds / report.rows if report.rows else 0.0,
        }
        for name, seconds in sorted(report.seconds.items(), key=lambda item: -item[1])
    ]
    pace = pace_of(status.attempts, written)
    chart = ""
    if pace is not None:
        unit, size = next(
            (unit, size)
            for unit, size in (("h", 3600.0), ("min", 60.0), ("s", 1.0))
            if pace.edges[-1] >= 2 * size or size == 1.0
        )
        chart = charts.pace(
            [edge / size for edge in pace.edges], pace.rates, [at / size for at in pace.begins], unit
        )
    known = [attempt for attempt in status.attempts if "seconds" in attempt]
    seconds = sum(attempt["seconds"] for attempt in known)
    rows = sum(attempt.get("rows", 0) for attempt in known)
    return {
        "stages": stages,
        "spent": spent,
        "chart": chart,
        "seconds": seconds if known else None,
        "rate": rows / seconds if seconds else None,
    }


def _rendered(values: dict[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters |= {
        "number": number,
        "kdist": distance,
        "count": lambda value: f"{value:,}",
        "duration": _duration,
        "memory": lambda value: f"{value / 2**20:,.0f} MiB",
        "when": lambda text: str(text).replace("T", " ").replace("+00:00", " UTC"),
        "svg": Markup,  # of matplotlib, which escapes the words that we gave it
    }
    script = (_TEMPLATES / "script.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    return environment.get_template("page.html").render(
        **values,
        script=Markup(script),  # noqa: S704 - a file of this package
        style=Markup(style),  # noqa: S704 - likewise
        script_digest=digest,
    )


def _printable(value: Any) -> Any:
    """Control characters, which no text needs and some hide behind, become visible."""
    if not isinstance(value, str) or value.isprintable() or hasattr(value, "__html__"):
        return value
    return "".join("�" if category(c).startswith("C") and c not in "\n\t" else c for c in value)


def _duration(seconds: float) -> str:
    """A duration in the two largest of its units."""
    if seconds < 0.05:
        return "< 0.1 s"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min" if seconds >= 600 else f"{int(seconds // 60)} min {int(seconds % 60)} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"
