"""pymatgen's JSON: by itself, in lists, entries and documents."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.structures.outcome import Reading
from goldilocks_batch.structures.sources.reference import Format
from tests.structure_texts import read_text_of, refusal


def document(**changes: Any) -> dict[str, Any]:
    from pymatgen.core.lattice import Lattice
    from pymatgen.core.structure import Structure

    structure = Structure(Lattice.cubic(4.12), ["Cs", "Cl"], np.array([[0.0] * 3, [0.5] * 3]))
    return json.loads(json.dumps(structure.as_dict())) | changes  # type: ignore[no-any-return]


def with_site(**changes: Any) -> dict[str, Any]:
    content = document()
    content["sites"][0] |= changes
    return content


def with_lattice(**changes: Any) -> dict[str, Any]:
    content = document()
    content["lattice"] |= changes
    return content


def without(part: str, *names: str) -> dict[str, Any]:
    content = document()
    for place in [content["lattice"]] if part == "lattice" else content["sites"]:
        for name in names:
            place.pop(name)
    return content


def reading(content: Any) -> Reading:
    return read_text_of(content if isinstance(content, str) else json.dumps(content), Format.JSON)


def occupancy(share: Any) -> list[dict[str, Any]]:
    return [{"element": "Cs", "occu": share}]


LEGAL: dict[str, tuple[Any, tuple[str, ...]]] = {
    "structure": (document(), ()),
    "byte-order mark": ("\ufeff" + json.dumps(document()), ()),
    "list of one": ([document()], ()),
    "entry": ({"@class": "ComputedStructureEntry", "structure": document(), "energy": -1.0}, ()),
    "document": ({"material_id": "mp-1", "structure": document(), "nsites": 2}, ()),
    "by id": ({"mp-1": document()}, ()),
    "in a string": (json.dumps(json.dumps(document())), ()),
    "no matrix": (without("lattice", "matrix"), ()),
    "no fractions": (without("site", "abc"), ()),
    "nothing but fractions": (without("site", "xyz", "label", "properties"), ()),
    "rounded": (with_site(species=occupancy(0.9999999)), ()),
    "nearly one": (with_site(species=occupancy(0.9999)), ("occupancy_rounded",)),
    "balanced": (
        document(
            sites=[
                {"species": [{"element": e, "occu": 1, "oxidation_state": o}], "abc": [x] * 3}
                for e, o, x in (("Cs", 1, 0.0), ("Cl", -1, 0.5))
            ]
        ),
        (),
    ),
    "unbalanced": (
        with_site(species=[{"element": "Cs", "occu": 1, "oxidation_state": 2}]), ("charged",)
    ),
    "charge": (document(charge=1), ("charged",)),
    "moment": (with_site(properties={"magmom": 1.0}), ("magnetic",)),
    "vector moment": (with_site(properties={"magmom": [0, 0, 2.0]}), ("magnetic",)),
    "no moment": (with_site(properties={"magmom": 0.0}), ()),
    "spin": (with_site(species=[{"element": "Cs", "occu": 1, "spin": 5}]), ("magnetic",)),
}  # fmt: skip


@pytest.mark.parametrize(("content", "flags"), LEGAL.values(), ids=LEGAL)
def test_legal_texts(content: Any, flags: tuple[str, ...]) -> None:
    found = reading(content)
    np.testing.assert_allclose(found.crystal.lattice, 4.12 * np.eye(3), atol=1e-9)
    np.testing.assert_allclose(found.crystal.frac, np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), atol=1e-9)
    assert found.crystal.numbers.tolist() == [55, 17]
    assert found.flags == flags


@pytest.mark.parametrize(
    ("pbc", "expected"),
    [([True, True, False], "TTF"), ("T T F", "TTF"), ("TTF", "TTF"), (["T", "F", "F"], "TFF"), ("True",
        "TTT"),
     (["true", "true", "false"], "TTF"), ([1, 0, 1], "TFT"), (None, "TTT"), ("F F F", "FFF"), (False, "FFF")],
)  # fmt: skip
def test_periodicity(pbc: Any, expected: str) -> None:
    found = reading(with_lattice(pbc=pbc)).crystal.pbc
    assert "".join("T" if axis else "F" for axis in found) == expected


def test_a_left_handed_cell_is_turned() -> None:
    matrix = [[0, 4.12, 0], [4.12, 0, 0], [0, 0, 4.12]]
    found = reading({"lattice": {"matrix": matrix}, "sites": without("site", "xyz")["sites"]})
    assert found.flags == ("left_handed_cell",)
    assert np.linalg.det(found.crystal.lattice) > 0
    np.testing.assert_allclose(found.crystal.cart, np.array([[0, 0, 0], [2.06] * 3]), atol=1e-12)


REFUSED: dict[str, tuple[Any, ErrorCode, str]] = {
    "cut": (json.dumps(document())[:-40], ErrorCode.PARSE_FAILED, "json"),
    "two": ([document(), document()], ErrorCode.SEVERAL_STRUCTURES, "list of 2"),
    "none": ([], ErrorCode.NO_STRUCTURE, "list of 0"),
    "two by id": ({"a": document(), "b": document()}, ErrorCode.SEVERAL_STRUCTURES, "2 structures"),
    "other": ({"author": "x"}, ErrorCode.NO_STRUCTURE, "keys author: no structure"),
    "molecule": ({"sites": document()["sites"], "charge": 0}, ErrorCode.NO_STRUCTURE, "molecule"),
    "alloy": (with_site(species=[{"element": "Cs", "occu": 0.5}, {"element": "Rb", "occu": 0.5}]),
        ErrorCode.PARTIAL_OCCUPANCY, "Rb 0.5"),
    "vacancies": (with_site(species=occupancy(0.9)), ErrorCode.PARTIAL_OCCUPANCY, "0.9"),
    "too much": (with_site(species=occupancy(1.1)), ErrorCode.OCCUPANCY_INVALID, "1.1"),
    "occupancy in words": (with_site(species=occupancy("full")), ErrorCode.PARSE_FAILED, "occu"),
    "no species": (with_site(species=None), ErrorCode.PARSE_FAILED, "species"),
    "dummy": (with_site(species=[{"element": "X", "occu": 1}]), ErrorCode.SPECIES_UNKNOWN, "'X'"),
    "other places": (with_site(xyz=[1, 1, 1]), ErrorCode.CONTENT_MISMATCH, "abc and xyz"),
    "no places": (without("site", "abc", "xyz"), ErrorCode.PARSE_FAILED, "no coordinates"),
    "no cell": (without("lattice", "matrix", "a"), ErrorCode.PARSE_FAILED, "neither a matrix"),
    "odd periodicity": (with_lattice(pbc="maybe"), ErrorCode.PARSE_FAILED, "three truth values"),
    "null": (document(lattice=None), ErrorCode.NULL_VALUE, "null"),
    "nan": (json.dumps(without("site", "xyz")).replace("0.5", "NaN", 1), ErrorCode.NOT_FINITE, "NaN"),
    "deep": ("[" * 100000, ErrorCode.PARSE_FAILED, "json"),
    "5000 digits": (json.dumps(document()).replace("4.12", "9" * 5000, 1), ErrorCode.PARSE_FAILED, "digits"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "code", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_and_why(content: Any, code: ErrorCode, words: str) -> None:
    error = refusal(content if isinstance(content, str) else json.dumps(content), Format.JSON)
    assert error.code is code
    assert words in error.message
    assert "KeyError" not in error.message
