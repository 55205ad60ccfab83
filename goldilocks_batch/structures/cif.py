"""A quick reader for the plain CIF files that databases write.

It understands one data block whose sites are all listed (no symmetry but the identity), fully occupied
and named by plain element symbols, and gives what pymatgen's ``CifParser`` gives for it with its
defaults, bit for bit: thirds snapped within 1e-4, coordinates wrapped into the cell, sites sorted by
electronegativity.  Whatever else it meets, it declines, and pymatgen reads the file.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, Stage, StructureError
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal
from goldilocks_batch.structures.species import NUMBERS

__all__ = ["lattice_from_parameters", "read_plain_cif"]

CELL_TAGS = tuple(f"_cell_length_{x}" for x in "abc") + tuple(
    f"_cell_angle_{x}" for x in ("alpha", "beta", "gamma")
)
FRACT_TAGS = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")
# single values that say nothing about the sites
HARMLESS = (
    "_chemical_",
    "_audit_",
    "_database_",
    "_cell_volume",
    "_cell_formula_units_Z",
    "_cell_measurement",
)
SYMBOL_TAGS = ("_symmetry_space_group_name_H-M", "_space_group_name_H-M_alt")
NUMBER_TAGS = ("_symmetry_Int_Tables_number", "_space_group_IT_number")
OPERATION_TAGS = ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz")
OPERATION_IDS = ("_symmetry_equiv_pos_site_id", "_space_group_symop_id")
SITE_TAGS = {
    "_atom_site_type_symbol",
    "_atom_site_label",
    "_atom_site_symmetry_multiplicity",
    "_atom_site_occupancy",
    "_atom_site_adp_type",
    "_atom_site_B_iso_or_equiv",
    "_atom_site_U_iso_or_equiv",
    "_atom_site_thermal_displace_type",
    *FRACT_TAGS,
}
LABEL = re.compile(r"([A-Z][a-z]?)[0-9]*")
SITE_TOLERANCE = 1e-4 * (1 + 1e-6)  # pymatgen merges sites below 1e-4; leave the merely doubtful to it too
FRAC_TOLERANCE = 1e-4


class _DeclinedError(Exception):
    """The text holds something that this reader leaves to pymatgen."""


def read_plain_cif(text: str) -> Crystal | None:
    """Return the crystal of a plain CIF, or None for pymatgen to read it.

    Raises:
        StructureError: the cell parameters are not those of a cell.
    """
    try:
        values, loops = _tokenize(text)
        *operations, sites = sorted(loops, key=lambda loop: FRACT_TAGS[0] in loop)
        _expect_no_symmetry(values, operations)
        frac, numbers = _sites(sites)
        parameters = [float(values[tag]) for tag in CELL_TAGS]
    except (_DeclinedError, KeyError, ValueError):
        return None
    lattice = lattice_from_parameters(parameters[:3], parameters[3:])
    if len(numbers) == 0 or not np.isfinite(frac).all() or _any_close(frac, SITE_TOLERANCE):
        return None
    order = np.argsort(_ranks()[numbers], kind="stable")
    return Crystal(lattice, frac[order] - np.floor(frac[order]), numbers[order])


def lattice_from_parameters(lengths: list[float], angles: list[float]) -> NDArray[np.float64]:
    """Return the ``(3, 3)`` lattice with c along z and a in the xz plane, as pymatgen orients it.

    Args:
        lengths: a, b, c in Å.
        angles: α, β, γ in degrees.

    Raises:
        StructureError: a length or an angle is not positive and finite, or the angles close no cell.
    """
    if not all(map(math.isfinite, lengths + angles)):
        _refuse(ErrorCode.NOT_FINITE, f"cell parameters {lengths + angles} are not all finite")
    if min(lengths) <= 0:
        _refuse(ErrorCode.LATTICE_ZERO, f"cell lengths {lengths} are not all positive")
    if not all(0 < angle < 180 for angle in angles):
        _refuse(ErrorCode.LATTICE_COLLAPSED, f"cell angles {angles} are not all between 0 and 180 degrees")
    a, b, c = lengths
    radians = np.radians(angles)
    cos_alpha, cos_beta, cos_gamma = np.cos(radians)
    sin_alpha, sin_beta, _ = np.sin(radians)
    cos_gamma_star = (cos_alpha * cos_beta - cos_gamma) / (sin_alpha * sin_beta)
    if abs(cos_gamma_star) >= 1:
        _refuse(ErrorCode.LATTICE_COLLAPSED, f"no cell has the angles {angles}")
    gamma_star = np.arccos(cos_gamma_star)
    return np.array(
        [
            [a * sin_beta, 0.0, a * cos_beta],
            [-b * sin_alpha * np.cos(gamma_star), b * sin_alpha * np.sin(gamma_star), b * cos_alpha],
            [0.0, 0.0, c],
        ]
    )


def _refuse(code: ErrorCode, message: str) -> None:
    raise StructureError(code, message, stage=Stage.CHECK)


def _tokenize(text: str) -> tuple[dict[str, str], list[dict[str, list[str]]]]:
    """Return the single values, and the columns of each loop, of the only data block."""
    if not text.isascii():
        raise _DeclinedError
    lines = [line for line in map(str.strip, text.splitlines()) if line and line[0] != "#"]
    if not lines or not lines[0].startswith("data_") or len(lines[0].split()) != 1 or "powder" in lines[0]:
        raise _DeclinedError
    values: dict[str, str] = {}
    loops: list[dict[str, list[str]]] = []
    at = 1
    while at < len(lines):
        line = lines[at]
        if line == "loop_":
            loop, at = _loop(lines, at + 1)
            loops.append(loop)
        elif line[0] == "_":
            tag, value = _single(line)
            if tag in values:
                raise _DeclinedError
            values[tag] = value
            at += 1
        else:
            raise _DeclinedError
    return values, loops


def _single(line: str) -> tuple[str, str]:
    parts = line.split(None, 1)
    if len(parts) != 2 or not (parts[0] in _KNOWN_VALUES or parts[0].startswith(HARMLESS)):
        raise _DeclinedError
    tag, value = parts
    quote = value[0]
    if quote in "'\"":
        if len(value) < 2 or value[-1] != quote or quote in value[1:-1]:
            raise _DeclinedError
        value = value[1:-1]
    elif quote == ";" or len(value.split()) > 1:
        raise _DeclinedError
    if "#" in value:
        raise _DeclinedError
    return tag, value


_KNOWN_VALUES = frozenset((*CELL_TAGS, *SYMBOL_TAGS, *NUMBER_TAGS))


def _loop(lines: list[str], at: int) -> tuple[dict[str, list[str]], int]:
    first = at
    while at < len(lines) and lines[at][0] == "_":
        at += 1
    tags = lines[first:at]
    first = at
    while at < len(lines) and lines[at][0] != "_" and lines[at] != "loop_":
        at += 1
    body = " ".join(lines[first:at])
    if any(tag in OPERATION_TAGS for tag in tags):
        return _operations(tags, lines[first:at]), at
    tokens = body.split()
    rows, rest = divmod(len(tokens), max(len(tags), 1))
    plain = not any(mark in body for mark in "'\";#(_")
    if rest or not rows or not plain or not SITE_TAGS.issuperset(tags) or len(set(tags)) < len(tags):
        raise _DeclinedError
    return {tag: tokens[column :: len(tags)] for column, tag in enumerate(tags)}, at


def _operations(tags: list[str], rows: list[str]) -> dict[str, list[str]]:
    """Return a loop of one symmetry operation, perhaps with a number before it."""
    if len(rows) != 1 or not set(tags) <= {*OPERATION_TAGS, *OPERATION_IDS} or len(tags) > 2:
        raise _DeclinedError
    operation = rows[0]
    if len(tags) == 2:
        if tags[0] not in OPERATION_IDS:
            raise _DeclinedError
        operation = operation.split(None, 1)[-1]
    return {tags[-1]: [operation]}


def _expect_no_symmetry(values: dict[str, str], loops: list[dict[str, list[str]]]) -> None:
    """Decline unless the only operation is the identity, or there is none and the group is P 1."""
    if loops:
        found = [loop[tag][0] for loop in loops for tag in OPERATION_TAGS if tag in loop]
        if len(found) != len(loops) or len(found) != 1:
            raise _DeclinedError
        operation = "".join(found[0].strip("'\"").split()).lower()
        if operation not in ("x,y,z", "+x,+y,+z"):
            raise _DeclinedError
        return
    names = {values[tag].replace(" ", "") for tag in SYMBOL_TAGS if tag in values}
    numbers = {values[tag] for tag in NUMBER_TAGS if tag in values}
    if names != {"P1"} or numbers - {"1"}:
        raise _DeclinedError


def _sites(loop: dict[str, list[str]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return snapped, unwrapped fractional coordinates and atomic numbers in the file's order."""
    labels = loop["_atom_site_label"]
    symbols = loop.get("_atom_site_type_symbol")
    if symbols is None:
        matches = [LABEL.fullmatch(label) for label in labels]
        symbols = [match[1] if match else "" for match in matches]
    if any(float(occupancy) != 1.0 for occupancy in loop.get("_atom_site_occupancy", ())):
        raise _DeclinedError
    # D and T are species of their own in pymatgen's sorting
    if "D" in symbols or "T" in symbols:
        raise _DeclinedError
    numbers = np.array([NUMBERS[symbol] for symbol in symbols], dtype=np.int64)
    if not np.isfinite(_ranks()[numbers]).all():
        raise _DeclinedError
    frac = np.empty((len(symbols), 3))
    for axis, tag in enumerate(FRACT_TAGS):
        frac[:, axis] = list(map(float, loop[tag]))
    for third in (1 / 3, 2 / 3):
        frac[np.abs(frac / third - 1) <= FRAC_TOLERANCE] = third
    return frac, numbers


@lru_cache(maxsize=1)
def _ranks() -> NDArray[np.float64]:
    """Return each element's place in pymatgen's order of sites (electronegativity, then symbol).

    NaN where an element has no electronegativity: there pymatgen's order depends on the input's.
    """
    import warnings

    from pymatgen.core.periodic_table import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about elements without a value
        values = [(float(Element(symbol).X), symbol, z) for z, symbol in enumerate(SYMBOLS) if z > 0]
    ranks = np.full(len(SYMBOLS), np.nan)
    for rank, (_, _, z) in enumerate(sorted(v for v in values if not math.isnan(v[0]))):
        ranks[z] = rank
    return ranks


@njit(cache=True)
def _any_close(frac: NDArray[np.float64], tolerance: float) -> bool:
    """Whether two sites agree within a tolerance along all axes, modulo the lattice."""
    for i in range(len(frac)):
        for j in range(i):
            close = True
            for k in range(3):
                difference = frac[i, k] - frac[j, k]
                if abs(difference - np.rint(difference)) >= tolerance:
                    close = False
                    break
            if close:
                return True
    return False
