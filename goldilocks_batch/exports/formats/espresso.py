"""``pw.in`` of Quantum ESPRESSO by ASE; what is no business of a mesh comes from the user's template."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from goldilocks_batch.core.errors import ConfigError, ErrorCode
from goldilocks_batch.exports.formats.atoms import atoms_of
from goldilocks_batch.exports.formats.interface import Notes
from goldilocks_batch.exports.rows import Item
from goldilocks_batch.structures.crystal import SYMBOLS

__all__ = ["Espresso"]

#: Of a calculation and never of a row: without a template these places are marked, and pw.x stops at each.
_MARKED: dict[str, dict[str, Any]] = {
    "control": {"calculation": "scf", "pseudo_dir": "@PSEUDO_DIR@"},
    "system": {"ecutwfc": "@ECUTWFC@", "occupations": "@OCCUPATIONS@"},
}
_MARK = "@PSEUDOPOTENTIAL_{}@"
#: What the structure decides, so that a template cannot.
_OF_THE_STRUCTURE = re.compile(r"ibrav|nat|ntyp|celldm\(.*|a|b|c|cosab|cosac|cosbc")
#: What is right for one structure and wrong for others.
_OF_ONE = re.compile(r".*\(.*|nbnd|space_group|tot_charge|tot_magnetization|nr[123]s?|nqx[123]")
_CARDS = re.compile(
    r"(ATOMIC_SPECIES|ATOMIC_POSITIONS|K_POINTS|CELL_PARAMETERS|CONSTRAINTS|OCCUPATIONS|ATOMIC_FORCES|"
    r"ATOMIC_VELOCITIES|SOLVENTS|HUBBARD|ADDITIONAL_K_POINTS)\b",
    re.IGNORECASE,
)
_EMPTY = re.compile(r"^&(?!CONTROL|SYSTEM|ELECTRONS)\w+\n/\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Espresso:
    """Inputs of pw.x.

    Attributes:
        gamma: write ``K_POINTS gamma`` where Γ is the only point: faster, and refused by some features of
            pw.x.
        data: namelists, by name.
        pseudopotentials: file names by element.
    """

    gamma: bool = False
    data: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: _MARKED)
    pseudopotentials: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, template: Path | None, *, gamma: bool = False) -> Self:
        """With the namelists and pseudopotentials of a template.

        Args:
            template: an input of pw.x; its structure and k-points are not used.
            gamma: as the attribute.

        Raises:
            ConfigError: CONFIG_INVALID, it cannot be read, is no input of pw.x, or has a card of which it is
                not known whether it fits another structure.
        """
        return cls(gamma) if template is None else cls(gamma, *_read(template))

    def files(self, item: Item, notes: Notes) -> dict[str, str]:
        """``pw.in``."""
        from ase.io.espresso import write_espresso_in

        if not item.crystal.pbc.all():
            notes.add("axis that is not periodic: pw.x takes every axis for periodic")
        atoms = atoms_of(item.crystal)
        elements = sorted({*atoms.get_chemical_symbols()})
        lacking = [element for element in elements if element not in self.pseudopotentials]
        if lacking or self.data is _MARKED:
            notes.add("places marked @…@ to be filled in: pw.x stops there")
        files = {element: self.pseudopotentials.get(element, _MARK.format(element)) for element in elements}
        mesh = None if self.gamma and item.kpoints.is_gamma else item.kpoints.mesh
        text = io.StringIO()
        data = {name: dict(values) for name, values in self.data.items()}
        write_espresso_in(text, atoms, data, files, kpts=mesh, crystal_coordinates=True)
        return {"pw.in": _EMPTY.sub("", text.getvalue())}


def _read(template: Path) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Namelists and pseudopotentials of an input of pw.x."""
    from ase.io.espresso import read_fortran_namelist

    try:
        text = template.read_text(encoding="utf-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            namelists, lines = read_fortran_namelist(io.StringIO(text))
    except (OSError, ValueError, AttributeError, KeyError) as error:
        raise _refused(template, f"cannot be read as an input of pw.x ({error})") from error
    data = {str(name).lower(): dict(values) for name, values in namelists.items()}
    if "system" not in data:
        raise _refused(template, "has no namelist &SYSTEM: it is no input of pw.x")
    data["system"] = {k: v for k, v in data["system"].items() if not _OF_THE_STRUCTURE.fullmatch(k.lower())}
    of_one = [key for key in data["system"] if _OF_ONE.fullmatch(key.lower())]
    if of_one:
        raise _refused(template, f"sets {', '.join(of_one)}, which is right for one structure only")
    species: dict[str, str] = {}
    card = ""
    for line in lines:
        found = _CARDS.match(line)
        if found is not None:
            card = found[1].upper()
            if card not in ("ATOMIC_SPECIES", "ATOMIC_POSITIONS", "K_POINTS", "CELL_PARAMETERS"):
                raise _refused(template, f"has the card {card}, which is of one structure")
        elif card == "ATOMIC_SPECIES":
            words = line.split()
            if len(words) != 3 or words[0] not in SYMBOLS[1:]:
                raise _refused(
                    template, f"has {line!r} among its species, and an element, a mass, a file are expected"
                )
            species[words[0]] = words[2]
    return data, species


def _refused(template: Path, what: str) -> ConfigError:
    return ConfigError(ErrorCode.CONFIG_INVALID, f"the template {template} {what}")
