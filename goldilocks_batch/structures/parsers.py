"""Text of one structure to a crystal: a parser for each format.

Whatever goes wrong in reading becomes a :class:`~goldilocks_batch.core.errors.StructureError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from goldilocks_batch.core.errors import ErrorCode, Stage, StructureError
from goldilocks_batch.structures.cif import read_cif
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.json_text import read_json
from goldilocks_batch.structures.outcome import Reading, ReadOptions, refuse
from goldilocks_batch.structures.poscar import read_poscar
from goldilocks_batch.structures.sources.reference import Format
from goldilocks_batch.structures.xyz import read_xyz

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

__all__ = ["from_pymatgen", "parse"]


def parse(text: str, text_format: Format, options: ReadOptions) -> Reading:
    """Return the one structure in a text, its crystal unchecked.

    Args:
        text: of the file; a byte-order mark before it is passed over.
        text_format: what it is written in.
        options: limits and what is accepted.

    Raises:
        StructureError: the text cannot be understood, holds no or several structures, or one that is
            disordered, of unknown species, or contradicts itself.
    """
    text = text.removeprefix("\ufeff")
    if not text.strip():
        refuse(ErrorCode.PARSE_FAILED, f"the text is empty; a structure as {text_format} is expected")
    try:
        return _PARSERS[text_format](text, options)
    except StructureError:
        raise
    except Exception as error:
        message = f"not understood as {text_format}: {_one_line(error)}"
        raise StructureError(ErrorCode.PARSE_FAILED, message, stage=Stage.READ) from error


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def from_pymatgen(structure: Structure) -> Crystal:
    """Convert a pymatgen structure.

    Raises:
        StructureError: SPECIES_UNKNOWN, a site holds a dummy species; PARTIAL_OCCUPANCY, it is disordered.
    """
    from pymatgen.core.periodic_table import DummySpecies

    for index, site in enumerate(structure):
        if any(isinstance(species, DummySpecies) for species in site.species):
            message = f"site {index} holds {site.species_string}, which is no chemical element"
            refuse(ErrorCode.SPECIES_UNKNOWN, message, Stage.CHECK)
        if not site.is_ordered:
            message = (
                f"site {index} holds {site.species_string}; only fully occupied sites of one element work"
            )
            refuse(ErrorCode.PARTIAL_OCCUPANCY, message, Stage.CHECK)
    return Crystal.from_pymatgen(structure)


_PARSERS: dict[Format, Callable[[str, ReadOptions], Reading]] = {
    Format.CIF: read_cif,
    Format.POSCAR: read_poscar,
    Format.XYZ: read_xyz,
    Format.JSON: read_json,
}
