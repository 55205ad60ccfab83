"""JSON of one structure, in the forms of pymatgen, OPTIMADE, JARVIS and ASE, by itself or in an entry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from goldilocks_batch.core.errors import ErrorCode, Stage
from goldilocks_batch.structures.arrays import from_arrays
from goldilocks_batch.structures.numerals import charge_and_moments, periodicity
from goldilocks_batch.structures.optimade import missing_atoms
from goldilocks_batch.structures.outcome import Reading, ReadOptions, refuse
from goldilocks_batch.structures.pymatgen_json import read_structure, vectors
from goldilocks_batch.structures.sources.reference import ArraysPayload

__all__ = ["FORMS", "WRAPPERS", "holds_structure", "read_json"]

#: Cell, positions and species in the dictionaries that hold them as lists, by whose form it is.
_ARRAYS = {
    "OPTIMADE": ("lattice_vectors", "cartesian_site_positions", "species_at_sites"),
    "JARVIS": ("lattice_mat", "coords", "elements"),
    "ASE": ("cell", "positions", "numbers"),
}
FORMS: dict[str, frozenset[str]] = {
    "pymatgen": frozenset({"lattice", "sites"}),
    **{name: frozenset(keys) for name, keys in _ARRAYS.items()},
}
"""What the dictionary of a structure must hold, by whose form it is."""
WRAPPERS = ("structure", "atoms", "attributes", "data")
"""Where entries of databases keep the structure."""
_DEEPEST = 4
_KEYS_SHOWN = 8


def holds_structure(content: Any, depth: int = _DEEPEST) -> bool:
    """Whether a JSON value is a structure, or an entry or document that holds one."""
    if not isinstance(content, dict) or not depth:
        return False
    if _form(content) is not None:
        return True
    return any(holds_structure(content[name], depth - 1) for name in WRAPPERS if name in content)


def read_json(text: str, options: ReadOptions) -> Reading:
    """Read the structure in a JSON text.

    Args:
        text: JSON.
        options: limits and what is accepted.

    Raises:
        StructureError: PARSE_FAILED, no JSON or not of a known form; NO_STRUCTURE, SEVERAL_STRUCTURES; and
            what readers of the forms raise.
    """
    content = _structure(json.loads(text), _DEEPEST)
    form = _form(content)
    if form is None or form == "pymatgen":
        return read_structure(content, options)
    return _read_arrays(content, form, options)


def _read_arrays(content: Mapping[str, Any], form: str, options: ReadOptions) -> Reading:
    lattice, positions, species = _ARRAYS[form]
    found = content[species]
    if found is None or (isinstance(found, list) and None in found):
        refuse(ErrorCode.NULL_VALUE, f"{species} is null, or holds a null")
    kind = int if form == "ASE" else str
    if not isinstance(found, list) or not all(type(item) is kind for item in found):
        what = "atomic numbers" if kind is int else "names"
        refuse(ErrorCode.PARSE_FAILED, f"{species} must be a list of {what}")
    if len(found) > options.max_sites:
        message = f"{len(found)} sites are listed, the limit is {options.max_sites}"
        refuse(ErrorCode.TOO_MANY_SITES, message, Stage.CHECK)
    if lacking := missing_atoms(content.get("structure_features") or ()):
        refuse(*lacking)
    cartesian = content.get("cartesian") if form == "JARVIS" else True
    if not isinstance(cartesian, bool):
        refuse(ErrorCode.PARSE_FAILED, "cartesian, true or false, does not say what the coordinates are")
    payload = ArraysPayload(
        vectors(content[lattice], lattice, 3),
        vectors(content[positions], positions, len(found)),
        cartesian,
        np.array(found) if kind is int else found,
        _periodicity(content, form),
        json.dumps(content["species"]) if form == "OPTIMADE" and content.get("species") else None,
        _remarks(content) if form == "ASE" else (),
    )
    return from_arrays(payload)


def _remarks(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Charge and moments as ASE gives them."""
    charges = content.get("initial_charges")
    sound = isinstance(charges, list) and all(isinstance(charge, int | float) for charge in charges)
    return charge_and_moments(sum(charges) if sound and charges else 0, content.get("initial_magmoms"))


def _periodicity(content: Mapping[str, Any], form: str) -> Any:
    given = content.get("dimension_types" if form == "OPTIMADE" else "pbc")
    return None if given is None or form == "JARVIS" else periodicity(given)


def _form(content: Mapping[str, Any]) -> str | None:
    """Whose form a dictionary is of, None for none."""
    return next((name for name, keys in FORMS.items() if keys <= content.keys()), None)


def _structure(content: Any, depth: int) -> dict[str, Any]:
    """The one structure in a JSON value."""
    if isinstance(content, str):  # JSON in JSON, as some tables hold it
        content = json.loads(content)
    if isinstance(content, list):
        if len(content) != 1:
            code = ErrorCode.SEVERAL_STRUCTURES if content else ErrorCode.NO_STRUCTURE
            refuse(code, f"a JSON list of {len(content)} items, one structure is expected; {_BY_ITSELF}")
        content = content[0]
    if not isinstance(content, dict):
        refuse(ErrorCode.NO_STRUCTURE, f"the JSON is a {_KINDS.get(type(content), 'list')}: {_EXPECTED}")
    if _form(content) is not None:
        return dict(content)
    within = [content[name] for name in WRAPPERS if isinstance(content.get(name), dict | list)]
    if within and depth:
        known = [part for part in within if isinstance(part, list) or holds_structure(part)]
        if known:
            return _structure(known[0], depth - 1)
    found = [value for value in content.values() if holds_structure(value)]
    if len(found) > 1:
        message = f"the JSON holds {len(found)} structures, one is expected; {_BY_ITSELF}"
        refuse(ErrorCode.SEVERAL_STRUCTURES, message)
    if found and len(content) == 1:
        return _structure(found[0], depth - 1)
    if "sites" in content:
        refuse(ErrorCode.NO_STRUCTURE, "the JSON has sites and no lattice: a molecule, not a crystal")
    shown = ", ".join(list(content)[:_KEYS_SHOWN]) or "none"
    more = ", …" if len(content) > _KEYS_SHOWN else ""
    return refuse(ErrorCode.NO_STRUCTURE, f"the JSON is an object with the keys {shown}{more}: {_EXPECTED}")


_KINDS = {str: "text", int: "number", float: "number", bool: "truth value", type(None): "null"}
_BY_ITSELF = "name the file itself as an input to have a row for each"
_EXPECTED = "no structure; expected is one of " + "; ".join(
    f"{name} ({', '.join(sorted(keys))})" for name, keys in FORMS.items()
)
