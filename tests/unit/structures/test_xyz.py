"""Extended XYZ; ASE is the oracle for what it writes itself."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.structures.numerals import periodicity
from goldilocks_batch.structures.sources.reference import Format
from tests.structure_texts import outcome, read_text_of, refusal

CELL = 'Lattice="4.12 0.0 0.0 0.0 4.12 0.0 0.0 0.0 4.12"'
COLUMNS = "Properties=species:S:1:pos:R:3"
ROWS = "Cs 0 0 0\nCl 2.06 2.06 2.06\n"


def xyz(header: str = f"{CELL} {COLUMNS}", rows: str = ROWS, count: int = 2) -> str:
    return f"{count}\n{header}\n{rows}"


OTHERS = """energy=-1.0 stress="1 1 1 0 0 0" virial="1 1 1 0 0 0" flag note='x y' d="{\\"a\\": 1}" """

LEGAL = {
    "plain": xyz(),
    "byte-order mark": "\ufeff" + xyz(),
    "windows": xyz().replace("\n", "\r\n"),
    "tabs": xyz(f"{CELL}\t{COLUMNS}", ROWS.replace(" ", "\t")),
    "no properties": xyz(CELL),
    "quoted properties": xyz(f'{CELL} Properties="species:S:1:pos:R:3"'),
    "lower case keys": xyz(f"{CELL} {COLUMNS}".replace("Lattice", "lattice").replace("Prop", "prop")),
    "brackets": xyz(f"Lattice=[[4.12,0,0],[0,4.12,0],[0,0,4.12]] {COLUMNS}"),
    "curly brackets": xyz(f"Lattice={{4.12 0 0 0 4.12 0 0 0 4.12}} {COLUMNS}"),
    "positions first": xyz(f"{CELL} Properties=pos:R:3:species:S:1", "0 0 0 Cs\n2.06 2.06 2.06 Cl\n"),
    "numbers": xyz(f"{CELL} Properties=id:I:1:pos:R:3:Z:I:1", "1 0 0 0 55\n2 2.06 2.06 2.06 17\n"),
    "numbers for names": xyz(CELL, "55 0 0 0\n17 2.06 2.06 2.06\n"),
    "names and numbers": xyz(f"{CELL} {COLUMNS}:Z:I:1", "Cs 0 0 0 55\nCl 2.06 2.06 2.06 17\n"),
    "labels": xyz(rows="Cs1 0 0 0\nCl2 2.06 2.06 2.06\n"),
    "lower case": xyz(rows="cs 0 0 0\ncl 2.06 2.06 2.06\n"),
    "upper case": xyz(rows="CS 0 0 0\nCL 2.06 2.06 2.06\n"),
    "Fortran": xyz(rows="Cs 0 0 0\nCl 2.06D0 2.06d0 2.06\n"),
    "other keys": xyz(f"{CELL} {COLUMNS} {OTHERS}"),
    "blank lines after": xyz() + "\n\n",
}  # fmt: skip


@pytest.mark.parametrize("text", LEGAL.values(), ids=LEGAL)
def test_legal_files(text: str) -> None:
    found = read_text_of(text, Format.XYZ)
    np.testing.assert_allclose(found.crystal.lattice, 4.12 * np.eye(3))
    assert found.crystal.numbers.tolist() == [55, 17]
    np.testing.assert_allclose(found.crystal.frac, np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), atol=1e-12)
    assert found.crystal.pbc.all()
    assert found.flags == ()


@pytest.mark.parametrize(
    ("given_as", "expected"),
    [("T", "TTT"), ("F", "FFF"), ("TTF", "TTF"), ("FFF", "FFF"), ('"T T F"', "TTF"), ('"f f f"', "FFF"),
        ('"t t f"', "TTF"),
     ('"true true false"', "TTF"), ('"True False True"', "TFT"), ('"1 1 0"', "TTF"), ("[T, T, F]", "TTF"),
         ("[T,F,F]", "TFF"),
     ("true", "TTT"), ("False", "FFF"), ('"F F F"', "FFF"), ("110", "TTF"), ('".TRUE. .FALSE. .TRUE."',
         "TFT")],
)  # fmt: skip
@pytest.mark.parametrize("key", ["pbc", "PBC", "Pbc"])
def test_periodicity(given_as: str, expected: str, key: str) -> None:
    found = read_text_of(xyz(f"{CELL} {COLUMNS} {key}={given_as}"), Format.XYZ).crystal
    assert "".join("T" if axis else "F" for axis in found.pbc) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, [1, 1, 1]), ([1, 1, 0], [1, 1, 0]), ((True, False, 0.0), [1, 0, 0]), (np.array([True, True,
        False]), [1, 1, 0]),
     (["T", "F", "true"], [1, 0, 1]), ("False", [0, 0, 0])],
)  # fmt: skip
def test_periodicity_of_values(value: Any, expected: list[int]) -> None:
    assert periodicity(value).tolist() == [bool(axis) for axis in expected]


REFUSED = {
    "empty": ("", ErrorCode.PARSE_FAILED, "empty"),
    "garbage": ("hello\n", ErrorCode.PARSE_FAILED, "number of atoms"),
    "frames": (xyz() + xyz(), ErrorCode.SEVERAL_STRUCTURES, "several frames"),
    "more atoms": (xyz(count=1), ErrorCode.PARSE_FAILED, "more than the 1 atoms"),
    "fewer atoms": (xyz(count=3), ErrorCode.PARSE_FAILED, "atom 3 is missing"),
    "no atoms": (xyz(count=0, rows=""), ErrorCode.NO_STRUCTURE, "no atoms"),
    "molecule": (xyz("water"), ErrorCode.LATTICE_ZERO, "no Lattice"),
    "three lengths": (xyz(f'Lattice="4.12 4.12 4.12" {COLUMNS}'), ErrorCode.PARSE_FAILED, "nine numbers"),
    "cell in words": (xyz(f'Lattice="a b c d e f g h i" {COLUMNS}'), ErrorCode.PARSE_FAILED, "nine numbers"),
    "periodicity in words": (xyz(f"{CELL} {COLUMNS} pbc=maybe"), ErrorCode.PARSE_FAILED, "'maybe'"),
    "two axes": (xyz(f'{CELL} {COLUMNS} pbc="T T"'), ErrorCode.PARSE_FAILED, "three truth values"),
    "two cells": (xyz(f"{CELL} {CELL.replace('4.12', '5').lower()} {COLUMNS}"), ErrorCode.PARSE_FAILED,
        "twice"),
    "bad properties": (xyz(f"{CELL} Properties=species:S:1:pos:R"), ErrorCode.PARSE_FAILED, "Properties"),
    "no positions": (xyz(f"{CELL} Properties=species:S:1:force:R:3"), ErrorCode.PARSE_FAILED, "pos:R:3"),
    "contradiction": (xyz(f"{CELL} {COLUMNS}:Z:I:1", "Cs 0 0 0 17\nCl 2.06 2.06 2.06 55\n"),
        ErrorCode.CONTENT_MISMATCH, "by number"),
    "words": (xyz(rows="Cs 0 0 zero\nCl 2 2 2\n"), ErrorCode.PARSE_FAILED, "zero"),
    "nan": (xyz(rows="Cs 0 0 nan\nCl 2 2 2\n"), ErrorCode.NOT_FINITE, "NaN"),
    "dummy": (xyz(rows="X 0 0 0\nCl 2 2 2\n"), ErrorCode.SPECIES_UNKNOWN, "'X'"),
    "number 0": (xyz(rows="0 0 0 0\n17 2 2 2\n"), ErrorCode.SPECIES_UNKNOWN, "1 to 118"),
    "water": (xyz(rows="Ow 0 0 0\nCl 2 2 2\n"), ErrorCode.SPECIES_UNKNOWN, "'Ow'"),
    "many atoms": (xyz(count=100000), ErrorCode.TOO_MANY_SITES, "limit"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "code", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_and_why(text: str, code: ErrorCode, words: str) -> None:
    error = refusal(text, Format.XYZ)
    assert error.code is code
    assert words in error.message


@pytest.mark.parametrize(
    ("header", "pbc"),
    [('Lattice="2.5 0 0 0 2.5 0 0 0 0" pbc="T T F"', "TTF"),
        ('Lattice="0 0 0 0 2.5 0 0 0 2.5" pbc="F T T"', "FTT"),
     ('Lattice="0 0 0 0 0 0 0 0 2.5" pbc="F F T"', "FFT"), ('Lattice="0 0 0 0 0 0 0 0 0" pbc="F F F"', "FFF"),
     ('pbc="F F F"', "FFF"), ("pbc=FFF", "FFF")],
)  # fmt: skip
def test_cells_without_vectors_along_axes_that_are_not_periodic(header: str, pbc: str) -> None:
    found = read_text_of(xyz(f"{header} {COLUMNS}", "C 0 0 0\nC 1.25 1.25 1.0\n"), Format.XYZ)
    assert found.flags == ("cell_completed",)
    crystal = found.crystal
    assert "".join("T" if axis else "F" for axis in crystal.pbc) == pbc
    assert np.linalg.det(crystal.lattice) > 0
    np.testing.assert_allclose(crystal.cart, np.array([[0, 0, 0], [1.25, 1.25, 1.0]]), atol=1e-12)
    for axis, letter in enumerate(pbc):
        if letter == "F":
            assert np.linalg.norm(crystal.lattice[axis]) >= 15
            rest = np.delete(crystal.lattice, axis, axis=0)
            np.testing.assert_allclose(rest @ crystal.lattice[axis], 0, atol=1e-9)
    assert (
        refusal(xyz(f"{header.split('pbc')[0]} pbc=TTT {COLUMNS}"), Format.XYZ).code is ErrorCode.LATTICE_ZERO
    )


def test_charges_and_moments_are_flagged() -> None:
    assert read_text_of(xyz(f"{CELL} {COLUMNS} charge=1"), Format.XYZ).flags == ("charged",)
    assert read_text_of(xyz(f"{CELL} {COLUMNS} charge=0.0"), Format.XYZ).flags == ()
    for name in ("magmoms:R:1", "initial_magmoms:R:1"):
        moments = xyz(f"{CELL} {COLUMNS}:{name}", "Cs 0 0 0 1.0\nCl 2.06 2.06 2.06 0\n")
        assert read_text_of(moments, Format.XYZ).flags == ("magnetic",)
        none = moments.replace("1.0\nCl", "0.0\nCl")
        assert read_text_of(none, Format.XYZ).flags == ()


@given(seed=st.integers(0, 2**32 - 1), pbc=st.tuples(st.booleans(), st.booleans(), st.booleans()))
@settings(max_examples=40, deadline=None)
def test_what_ase_writes(seed: int, pbc: tuple[bool, bool, bool]) -> None:
    from ase import Atoms
    from ase.io import write

    rng = np.random.default_rng(seed)
    vectors = np.diag(rng.uniform(4, 6, 3)) + rng.uniform(-0.5, 0.5, (3, 3))
    frac = (np.arange(3)[:, None] + rng.uniform(0, 0.6, (3, 3))) / 3
    atoms = Atoms(
        [8, 12, 26], scaled_positions=frac, cell=vectors, pbc=pbc, info={"note": 'a "b" = c', "x": [1, 2]}
    )
    atoms.set_array("forces", rng.normal(size=(3, 3)))
    atoms.set_array("tags2", np.arange(3))
    stream = io.StringIO()
    write(stream, atoms, format="extxyz")
    text = stream.getvalue()
    found = read_text_of(text, Format.XYZ).crystal
    np.testing.assert_allclose(found.lattice, vectors, atol=1e-7)
    np.testing.assert_allclose(found.cart, atoms.positions, atol=1e-7)
    assert tuple(found.pbc) == pbc
    for stop in range(
        1, len(text) - 1, 7
    ):  # a cut file is refused, or but digits of the last number are gone
        ended = outcome(text[:stop], Format.XYZ)
        if isinstance(ended, ErrorCode):
            continue
        cut = ended.crystal
        assert len(cut) == 3
        assert np.array_equal(cut.frac[:2], found.frac[:2])
