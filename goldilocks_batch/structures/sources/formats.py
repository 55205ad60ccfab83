"""What a file's name says: its format, the id of its structure, that it may hold many, or that it is none."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath

from goldilocks_batch.structures.sources.compression import plain_name
from goldilocks_batch.structures.sources.reference import Format

__all__ = [
    "KNOWN_NAMES",
    "FormatCensus",
    "format_of",
    "id_of",
    "is_archive",
    "is_json",
    "is_json_lines",
    "is_parquet",
    "safe_text",
]

ENDINGS: dict[str, Format] = {
    ".cif": Format.CIF,
    ".mcif": Format.CIF,
    ".vasp": Format.POSCAR,
    ".poscar": Format.POSCAR,
    ".contcar": Format.POSCAR,
    ".xyz": Format.XYZ,
    ".extxyz": Format.XYZ,
    ".json": Format.JSON,
}
KNOWN_NAMES = f"{', '.join(f'*{ending}' for ending in ENDINGS)}, POSCAR*, *POSCAR, CONTCAR*, *CONTCAR"
KNOWN_NAMES += "; each also with .gz, .bz2 or .xz after it"
_VASP = ("POSCAR", "CONTCAR")
#: Endings of what belongs to structures called POSCAR and is none.
_OTHER = {".py", ".sh", ".md", ".log", ".yaml", ".yml", ".png", ".pdf"}


def format_of(name: str) -> Format | None:
    """Return the format that a file's name stands for, compressed or not, or None for an unknown one."""
    base = PurePosixPath(plain_name(PurePosixPath(name).name)).name
    ending = PurePosixPath(base).suffix.lower()
    if ending in ENDINGS:
        return ENDINGS[ending]
    vasp = base.upper().startswith(_VASP) or base.upper().endswith(_VASP)
    return Format.POSCAR if vasp and ending not in _OTHER else None


def id_of(relative: str) -> str:
    """Return the id of a file: its relative path without known endings, always with forward slashes."""
    path = PurePosixPath(plain_name(relative))
    return safe_text(str(path.with_suffix("") if path.suffix.lower() in ENDINGS else path))


def safe_text(name: str) -> str:
    """Return ``name`` with bytes that are not UTF-8 escaped, so that it can be written to a table."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def is_archive(name: str) -> bool:
    """Whether the name is that of an archive that can be read."""
    return name.lower().endswith((".zip", ".tar.gz", ".tgz"))


def is_json(name: str) -> bool:
    """Whether the name is that of a JSON file, which may hold one structure or many."""
    return plain_name(name).lower().endswith(".json")


def is_json_lines(name: str) -> bool:
    """Whether the name is that of a file with one JSON value a line."""
    return plain_name(name).lower().endswith((".jsonl", ".ndjson"))


def is_parquet(name: str) -> bool:
    """Whether the name is that of a Parquet file, which may be a manifest."""
    return name.lower().endswith((".parquet", ".pq"))


class FormatCensus:
    """Counts what a directory or archive holds besides structures, by ending.

    Attributes:
        ignored: how many there are.
        of_many: names of those that may hold many structures: archives, JSON Lines and Parquet files.
    """

    def __init__(self) -> None:
        self.ignored: Counter[str] = Counter()
        self.of_many: list[str] = []

    def knows(self, name: str, *, of_run: bool = False) -> bool:
        """Whether ``name`` is a structure's; counts it as ignored if not.

        What macOS adds to archives (``__MACOSX``, ``._*``) and backups of editors (``*~``) are none.

        Args:
            name: path in the directory or archive.
            of_run: it lies in the output folder of a run, whose tables are results.
        """
        path = PurePosixPath(name)
        if "__MACOSX" in path.parts or path.name.startswith("._"):
            self.ignored["(of macOS)"] += 1
        elif path.name.endswith("~"):
            self.ignored["(backups)"] += 1
        elif format_of(name) is not None:
            return True
        else:
            self.ignored[path.suffix.lower() or "(none)"] += 1
            if not of_run and (is_archive(name) or is_json_lines(name) or is_parquet(name)):
                self.of_many.append(name)
        return False

    def describe(self) -> dict[str, object]:
        """The counts, for the run record."""
        return {"ignored": self.ignored.total(), "ignored_endings": dict(self.ignored.most_common(8))}
