"""Text of one structure as arrays; the only place where other libraries' parsers run.

Whatever they raise becomes a :class:`~goldilocks_batch.core.errors.StructureError`, and what they warn about
is kept from the terminal.
"""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from goldilocks_batch.core.errors import ErrorCode, Stage, StructureError
from goldilocks_batch.structures.checks import from_cartesian
from goldilocks_batch.structures.cif import CELL_TAGS, FRACT_TAGS, lattice_from_parameters, read_plain_cif
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.sources.reference import Format
from goldilocks_batch.structures.species import NUMBERS, atomic_number

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

__all__ = ["from_pymatgen", "parse"]

NOT_GIVEN = (".", "?")


def parse(text: str, text_format: Format) -> Crystal:
    """Return the one crystal in a text, unchecked.

    Raises:
        StructureError: the text cannot be understood, holds no or several structures, or one that is
            disordered or of unknown species.
    """
    if not text.strip():
        _refuse(ErrorCode.PARSE_FAILED, "the text is empty")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            return _PARSERS[text_format](text, caught)
        except StructureError:
            raise
        except Exception as error:
            message = f"not understood as {text_format}: {_one_line(error)}"
            code = ErrorCode.PARSE_FAILED
            if "Can't parse Element or Species" in message:
                code = ErrorCode.SPECIES_UNKNOWN
            raise StructureError(code, message, stage=Stage.READ) from error


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def _refuse(code: ErrorCode, message: str, stage: Stage = Stage.READ) -> NoReturn:
    raise StructureError(code, message, stage=stage)


# CIF


def _parse_cif(text: str, _caught: list[warnings.WarningMessage]) -> Crystal:
    crystal = read_plain_cif(text)
    if crystal is None:
        crystal = _parse_any_cif(text)
    _check_not_cut(text, crystal)
    return crystal


def _check_not_cut(text: str, crystal: Crystal) -> None:
    """Refuse a file that ends within its list of sites and has fewer kinds or shares than its formula.

    A file cut between two sites is otherwise a perfect CIF of another compound.
    """
    last_tag = text.rfind("\n_")
    formula = re.search(r"^_chemical_formula_sum\s+(?:'([^'\n]*)'|\"([^\"\n]*)\"|(\S+))", text, re.MULTILINE)
    if formula is None or not text.startswith("_atom_site_", last_tag + 1):
        return
    wanted: Counter[int] = Counter()
    for symbol, count in re.findall(r"([A-Z][a-z]?)([\d.]*)", "".join(filter(None, formula.groups()))):
        if symbol not in NUMBERS:
            return
        wanted[NUMBERS[symbol]] += float(count or 1)  # type: ignore[assignment]
    found = Counter(crystal.numbers.tolist())
    shares = [found[number] / count for number, count in wanted.items() if count > 0]
    if not shares or set(found) != set(wanted) or max(shares) - min(shares) > 1e-3 * max(shares):
        _refuse(
            ErrorCode.PARSE_FAILED,
            f"the {len(crystal)} sites do not make the compound of _chemical_formula_sum "
            f"({formula[0].split(None, 1)[1]}); the file ends within its sites and seems cut short",
        )


def _parse_any_cif(text: str) -> Crystal:
    blocks = re.split(r"^\s*data_", text, flags=re.MULTILINE | re.IGNORECASE)[1:]
    if not blocks:
        _refuse(ErrorCode.PARSE_FAILED, "no CIF: no line starts with data_")
    with_sites = sum(FRACT_TAGS[0] in block for block in blocks)
    if with_sites == 0:
        _refuse(
            ErrorCode.NO_STRUCTURE, f"no data block lists sites by {FRACT_TAGS[0]}; is the file cut short?"
        )
    if with_sites > 1:
        _refuse(ErrorCode.SEVERAL_STRUCTURES, f"{with_sites} data blocks hold structures, one is expected")

    from pymatgen.io.cif import CifParser

    parser = CifParser.from_str(text)
    remarks: list[str] = parser.warnings  # type: ignore[attr-defined]
    for block in parser.as_dict().values():
        if FRACT_TAGS[0] in block:
            _check_cif_block(block)
    try:
        structures = parser.parse_structures(primitive=False, on_error="ignore")
    except ValueError as error:
        reason = " ".join(" ".join(remarks).split()) or str(error)
        occupied_twice = re.search(r"Occupancy [\d.]+ exceeded", reason)
        code = ErrorCode.ATOMS_OVERLAP if occupied_twice else ErrorCode.PARSE_FAILED
        raise StructureError(code, f"no structure in the CIF: {reason[:300]}", stage=Stage.READ) from error
    if any("implicit hydrogens" in remark for remark in remarks):
        _refuse(ErrorCode.SPECIES_UNKNOWN, "the CIF declares hydrogen atoms without positions")
    return from_pymatgen(structures[0])


def _check_cif_block(block: Mapping[str, Any]) -> None:
    """Refuse what pymatgen would pass over or report unclearly."""
    for tag in FRACT_TAGS:
        for value in block.get(tag, ()):
            if value in NOT_GIVEN:
                _refuse(ErrorCode.NULL_VALUE, f"{tag} is {value!r} for a site")
            if value.lower().lstrip("+-") in ("nan", "inf", "infinity"):
                _refuse(ErrorCode.NOT_FINITE, f"{tag} is {value!r} for a site", Stage.CHECK)
    for tag in ("_atom_site_disorder_group", "_atom_site_disorder_assembly"):
        if set(block.get(tag, ())) - {*NOT_GIVEN, "0"}:
            _refuse(ErrorCode.PARTIAL_OCCUPANCY, f"{tag} names alternative sites", Stage.CHECK)
    for symbol in block.get("_atom_site_type_symbol", ()):
        letters = re.match(r"[A-Za-z]*", symbol)
        if letters is None or letters[0].title() not in NUMBERS:
            _refuse(
                ErrorCode.SPECIES_UNKNOWN,
                f"_atom_site_type_symbol {symbol[:40]!r} is no element",
                Stage.CHECK,
            )
    parameters = [_plain_number(block.get(tag)) for tag in CELL_TAGS]
    if None not in parameters:
        known = [value for value in parameters if value is not None]
        lattice_from_parameters(known[:3], known[3:])


def _plain_number(value: object) -> float | None:
    """Return a CIF number without its uncertainty, or None if it is not one."""
    try:
        return float(str(value).split("(", 1)[0])
    except ValueError:
        return None


# POSCAR


def _parse_poscar(text: str, caught: list[warnings.WarningMessage]) -> Crystal:
    from pymatgen.io.vasp.inputs import Poscar

    structure = Poscar.from_str(text, read_velocities=False).structure
    if any("cannot be determined" in str(warning.message) for warning in caught):
        _refuse(ErrorCode.SPECIES_UNKNOWN, "the POSCAR does not name its elements (VASP 4 format)")
    return from_pymatgen(structure)


def from_pymatgen(structure: Structure) -> Crystal:
    """Convert a pymatgen structure.

    Raises:
        StructureError: SPECIES_UNKNOWN, a site holds a dummy species; PARTIAL_OCCUPANCY, it is disordered.
    """
    from pymatgen.core.periodic_table import DummySpecies

    for index, site in enumerate(structure):
        if any(isinstance(species, DummySpecies) for species in site.species):
            message = f"site {index} holds {site.species_string}, which is no chemical element"
            _refuse(ErrorCode.SPECIES_UNKNOWN, message, Stage.CHECK)
        if not site.is_ordered:
            message = (
                f"site {index} holds {site.species_string}; only fully occupied sites of one element work"
            )
            _refuse(ErrorCode.PARTIAL_OCCUPANCY, message, Stage.CHECK)
    return Crystal.from_pymatgen(structure)


# pymatgen JSON


def _parse_json(text: str, _caught: list[warnings.WarningMessage]) -> Crystal:
    content = json.loads(text)
    if isinstance(content, list):
        code = ErrorCode.SEVERAL_STRUCTURES if len(content) > 1 else ErrorCode.NO_STRUCTURE
        _refuse(code, f"a JSON list of {len(content)} items, one pymatgen structure is expected")
    if not isinstance(content, dict) or not {"lattice", "sites"} <= content.keys():
        _refuse(ErrorCode.NO_STRUCTURE, "the JSON is no pymatgen structure: it lacks lattice or sites")
    lattice, sites = content["lattice"], content["sites"]
    if lattice is None or sites is None or None in sites:
        _refuse(ErrorCode.NULL_VALUE, "lattice or sites are null")
    matrix = _json_numbers(lattice["matrix"], "lattice.matrix", 3)
    frac = _json_numbers([site["abc"] for site in sites], "abc", len(sites))
    numbers = [_json_species(index, site["species"]) for index, site in enumerate(sites)]
    pbc = lattice.get("pbc") or (True, True, True)
    return Crystal(matrix, frac, np.array(numbers, dtype=np.int64), np.array(pbc, dtype=bool))


def _json_numbers(values: Any, name: str, rows: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    if values is None or any(row is None or None in row for row in values):
        _refuse(ErrorCode.NULL_VALUE, f"{name} holds a null")
    if len(values) != rows or any(len(row) != 3 for row in values):
        _refuse(ErrorCode.SHAPE_MISMATCH, f"{name} must hold {rows} vectors of 3 numbers")
    return np.array(values, dtype=np.float64).reshape(rows, 3)


def _json_species(index: int, species: list[dict[str, Any]]) -> int:
    if len(species) != 1 or abs(species[0]["occu"] - 1.0) > 1e-8:
        mixture = ", ".join(f"{entry['element']} {entry['occu']}" for entry in species)
        message = f"site {index} holds {mixture or 'nothing'}; only fully occupied sites of one element work"
        _refuse(ErrorCode.PARTIAL_OCCUPANCY, message, Stage.CHECK)
    return atomic_number(str(species[0]["element"]))


# extended XYZ


def _parse_xyz(text: str, _caught: list[warnings.WarningMessage]) -> Crystal:
    """Read one frame of extended XYZ; the comment line's syntax is left to ASE."""
    from ase.io.extxyz import key_val_str_to_dict

    lines = text.split("\n")
    sites = int(lines[0])
    header = key_val_str_to_dict(lines[1])
    rows = [line.split() for line in lines[2 : 2 + sites]]
    rest = [line for line in lines[2 + sites :] if line.strip()]
    if rest:
        if rest[0].strip().isdigit():
            _refuse(ErrorCode.SEVERAL_STRUCTURES, "the file holds several frames, one is expected")
        raise ValueError(f"{len(rest)} lines more than the {sites} atoms announced")
    if "Lattice" not in header:
        _refuse(
            ErrorCode.LATTICE_ZERO, "no Lattice in the comment line: a molecule, not a crystal", Stage.CHECK
        )
    columns = _xyz_columns(str(header.get("Properties", "species:S:1:pos:R:3")))
    width = max(stop for _, stop in columns.values())
    if len(rows) < sites or any(len(row) < width for row in rows):
        raise ValueError(f"{sites} atoms of {width} columns announced, fewer found")
    lattice = np.array(header["Lattice"], dtype=np.float64).T  # ASE reads it column by column
    start, stop = columns["pos"]
    cart = np.array([row[start:stop] for row in rows], dtype=np.float64).reshape(sites, 3)
    if "species" in columns:
        numbers = [atomic_number(row[columns["species"][0]]) for row in rows]
    else:
        numbers = [int(row[columns["Z"][0]]) for row in rows]
    pbc = np.array(np.broadcast_to(header.get("pbc", True), 3), dtype=bool)
    return from_cartesian(lattice, cart, np.array(numbers, dtype=np.int64), pbc)


def _xyz_columns(properties: str) -> dict[str, tuple[int, int]]:
    """Return where the columns of each property start and stop."""
    fields = properties.split(":")
    columns, at = {}, 0
    for name, width in zip(fields[::3], map(int, fields[2::3]), strict=True):
        columns[name] = (at, at + width)
        at += width
    return columns


_PARSERS: dict[Format, Callable[[str, list[warnings.WarningMessage]], Crystal]] = {
    Format.CIF: _parse_cif,
    Format.POSCAR: _parse_poscar,
    Format.XYZ: _parse_xyz,
    Format.JSON: _parse_json,
}
