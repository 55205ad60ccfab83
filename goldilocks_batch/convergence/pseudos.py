"""Pseudopotentials and cutoffs: which file an element has, and what its table says.

Tables are read as they are published: SSSP's JSON maps an element to ``filename``, ``md5``, ``cutoff_wfc``
and ``cutoff_rho`` in Ry (https://archive.materialscloud.org, "SSSP"); PseudoDojo's ``.djrepo`` files, one an
element, hold ``hints`` (``low``, ``normal``, ``high``) with ``ecut`` in Hartree, whose density cutoff is four
times as large for these norm-conserving pseudopotentials, and ``md5_upf`` (http://www.pseudo-dojo.org).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldilocks_batch.config.convergence import CodeOptions
from goldilocks_batch.core.errors import ConfigError, ErrorCode

__all__ = ["Family", "Pseudo", "read_family"]

_RYDBERGS = 2.0  # in a Hartree
_DUAL = 4.0  # density cutoff over that of wave functions, for norm-conserving pseudopotentials
_VALENCE = re.compile(r'z_valence\s*=\s*"\s*([0-9.EeDd+-]+)\s*"|^\s*([0-9.]+)\s+Z valence', re.M)
_FUNCTIONAL = re.compile(r'functional\s*=\s*"\s*([^"]*?)\s*"')
#: Bytes from the start of a UPF file within which its header lies.
_HEADER = 200_000


@dataclass(frozen=True, slots=True)
class Pseudo:
    """The pseudopotential of one element.

    Attributes:
        path: the file.
        sha256: of its content.
        valence: electrons that it leaves; None if its header does not say.
        functional: as its header names it, or an empty text.
        cutoff: kinetic-energy cutoff of wave functions, Ry; None without a table.
        density_cutoff: that of the density, Ry; None without a table.
    """

    path: Path
    sha256: str
    valence: float | None
    functional: str
    cutoff: float | None
    density_cutoff: float | None


@dataclass(frozen=True, slots=True)
class Family:
    """The pseudopotentials there are.

    Attributes:
        of: by element.
        table: name of the table of cutoffs; empty without one.
    """

    of: Mapping[str, Pseudo]
    table: str = ""

    def identity(self) -> dict[str, Any]:
        """What it is, for a protocol: digests of all files, and the cutoffs that are used with them."""
        return {
            element: [pseudo.sha256, pseudo.cutoff, pseudo.density_cutoff]
            for element, pseudo in sorted(self.of.items())
        }


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a table says of an element: cutoffs in Ry."""

    filename: str | None
    md5: str | None
    cutoff: float
    density_cutoff: float


def read_family(code: CodeOptions) -> Family:
    """Find the pseudopotential of every element in the folder, with its cutoffs.

    The file of an element is the one that the configuration names, or its table, or the only one whose name
    begins with the element's symbol (``Si.upf``, ``Si_ONCV.UPF``, ``si-pbe.upf``).

    Args:
        code: the configuration.

    Raises:
        ConfigError: CONFIG_INVALID, the folder or the table cannot be read, several files could be an
            element's, or a file is not the one that the table names by its md5.
    """
    folder = code.pseudo_dir
    if folder is None or not folder.is_dir():
        given = "is not given" if folder is None else f"is {folder}, which is no folder"
        raise _wrong(
            f"code.pseudo_dir {given}: espresso needs a folder with one UPF file for each element. "
            "'goldilocks-batch config example converge-qe' prints a configuration for --config"
        )
    table = _table(code)
    found = {}
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".upf")
    for element in sorted({*code.pseudopotentials, *table, *filter(None, map(_element_of, files))}):
        entry = table.get(element)
        path = _file(element, code, entry, folder, files)
        if path is not None:
            found[element] = _pseudo(path, entry)
    return Family(found, "" if code.cutoffs is None else code.cutoffs.name)


def _file(
    element: str, code: CodeOptions, entry: _Entry | None, folder: Path, files: list[Path]
) -> Path | None:
    """The element's file; None if there is none."""
    named = code.pseudopotentials.get(element) or (entry.filename if entry else None)
    if named is not None:
        return folder / named if (folder / named).is_file() else None
    fitting = [path for path in files if _element_of(path) == element]
    if len(fitting) > 1:
        names = ", ".join(path.name for path in fitting)
        raise _wrong(f"{folder} has several files for {element}: {names}; name one in code.pseudopotentials")
    return fitting[0] if fitting else None


def _element_of(path: Path) -> str | None:
    """The element that a file's name begins with."""
    match = re.match(r"([A-Za-z]{1,2})(?![A-Za-z])", path.name)
    return match[1].capitalize() if match else None


def _pseudo(path: Path, entry: _Entry | None) -> Pseudo:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _wrong(f"{path} cannot be read: {error}") from error
    if entry is not None and entry.md5 is not None:
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if md5 != entry.md5:
            raise _wrong(f"{path} has the md5 {md5}, its table of cutoffs names {entry.md5}: another file")
    header = data[:_HEADER].decode("utf-8", errors="replace")
    valence = _VALENCE.search(header)
    functional = _FUNCTIONAL.search(header)
    return Pseudo(
        path,
        hashlib.sha256(data).hexdigest(),
        float((valence[1] or valence[2]).upper().replace("D", "E")) if valence else None,
        functional[1] if functional else "",
        entry.cutoff if entry else None,
        entry.density_cutoff if entry else None,
    )


def _table(code: CodeOptions) -> dict[str, _Entry]:
    if code.cutoffs is None:
        return {}
    try:
        if code.cutoffs.is_dir():
            return {
                path.stem: _of_dojo(_read(path), code.stringency)
                for path in sorted(code.cutoffs.glob("*.djrepo"))
            }
        return {element: _of_sssp(values) for element, values in _read(code.cutoffs).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _wrong(
            f"{code.cutoffs} is no table of cutoffs ({type(error).__name__}: {error}); expected SSSP's JSON "
            "(element: filename, cutoff_wfc, cutoff_rho) or a folder of PseudoDojo's .djrepo files"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def _of_sssp(values: dict[str, Any]) -> _Entry:
    return _Entry(
        values.get("filename"), values.get("md5"), float(values["cutoff_wfc"]), float(values["cutoff_rho"])
    )


def _of_dojo(values: dict[str, Any], stringency: str) -> _Entry:
    hints = values.get("hints") or values["ppgen_hints"]
    cutoff = _RYDBERGS * float(hints[stringency]["ecut"])
    return _Entry(None, values.get("md5_upf"), cutoff, _DUAL * cutoff)


def _wrong(message: str) -> ConfigError:
    return ConfigError(ErrorCode.CONFIG_INVALID, message)
