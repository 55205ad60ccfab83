"""POSCAR files: what VASP makes of them; ASE is the oracle where it agrees with its manual."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.structures.crystal import SYMBOLS
from goldilocks_batch.structures.outcome import Reading
from goldilocks_batch.structures.sources.reference import Format
from tests.structure_texts import outcome, read_text_of, refusal


def poscar(
    scale: str = "1.0",
    vectors: tuple[str, str, str] = ("4.12 0 0", "0 4.12 0", "0 0 4.12"),
    kinds: str = "Cs Cl\n1 1",
    mode: str = "Direct",
    rows: tuple[str, ...] = ("0 0 0", "0.5 0.5 0.5"),
    title: str = "x",
    tail: str = "",
) -> str:
    return "\n".join([title, scale, *vectors, kinds, mode, *rows]) + "\n" + tail


def reading(text: str) -> Reading:
    return read_text_of(text, Format.POSCAR)


def assert_caesium_chloride(found: Reading) -> None:
    np.testing.assert_allclose(found.crystal.lattice, 4.12 * np.eye(3), atol=1e-6)
    assert found.crystal.numbers.tolist() == [55, 17]
    np.testing.assert_allclose(found.crystal.cart, np.array([[0, 0, 0], [2.06, 2.06, 2.06]]), atol=1e-6)


UNIT = ("1 0 0", "0 1 0", "0 0 1")
LEGAL = {
    "plain": poscar(),
    "byte-order mark": "\ufeff" + poscar(),
    "windows": poscar().replace("\n", "\r\n"),
    "old macintosh": poscar().replace("\n", "\r"),
    "no title": poscar(title=""),
    "blank title": poscar(title="   "),
    "scale": poscar("4.12", UNIT),
    "scale of Cartesian positions": poscar("4.12", UNIT, mode="Cartesian"),
    "volume": poscar("-69.934528", UNIT),
    "volume and Cartesian positions": poscar("-69.934528", UNIT, mode="Cartesian"),
    "three factors": poscar("4.12 4.12 4.12", UNIT),
    "three factors, Cartesian": poscar("4.12 4.12 8.24", ("1 0 0", "0 1 0", "0 0 .5"), mode="C",
        rows=("0 0 0", ".5 .5 .25")),
    "comments": poscar("1.0 ! scale", ("4.12 0 0 ! a", "0 4.12 0 # b", "0 0 4.12"),
        "Cs Cl # elements\n1 1 ! counts", "Direct ! mode", ("0 0 0 ! Cs", "0.5 0.5 0.5 ! Cl")),
    "Fortran exponents": poscar("1.0D0", ("4.12D0 0 0", "0 4.12d+00 0", "0 0 4.12"), rows=("0 0 0",
        "5.0D-01 0.5 0.5")),
    "upper case": poscar(kinds="CS CL\n1 1"),
    "lower case": poscar(kinds="cs cl\n1 1", mode="direct"),
    "potentials": poscar(kinds="Cs_sv_GW Cl_GW\n1 1"),
    "hashes": poscar(kinds="Cs_sv/a1b2c3d4 Cl/99ffaa\n1 1"),
    "slashes": poscar(kinds="Cs/ Cl/\n1 1"),
    "numbered kinds": poscar(kinds="Cs1 Cl1\n1 1"),
    "charges": poscar(kinds="Cs+ Cl-\n1 1"),
    "kinds over lines": poscar(kinds="Cs\nCl\n1\n1"),
    "no atoms of a kind": poscar(kinds="Cs Cl O\n1 1 0"),
    "selective dynamics": poscar(mode="Selective dynamics\nDirect", rows=("0 0 0 T T T",
        "0.5 0.5 0.5 F F F")),
    "selective dynamics, short": poscar(mode="sel\ndir", rows=("0 0 0 .TRUE. .TRUE. .FALSE.",
        "0.5 0.5 0.5 T T F Cl")),
    "fractional": poscar(mode="fractional"),
    "Cartesian": poscar(mode="kartesisch", rows=("0 0 0", "2.06 2.06 2.06")),
    "symbols beside": poscar(rows=("0 0 0 Cs1", "0.5 0.5 0.5 Cl1")),
    "numbers beside": poscar(rows=("0 0 0 0.1 0.2 7", "0.5 0.5 0.5 0.1 0.2 8")),
    "velocities": poscar(tail="\n0.001 0 0\n0 0.001 0\n"),
    "predictor": poscar(tail="\nCartesian\n0.001 0 0\n0 0.001 0\n\n1\n0.5E+00\n0 0 0 0\n"),
    "lattice velocities": poscar(tail="Lattice velocities and vectors\n1\n0 0 0\n"),
    "version 4, symbols beside": poscar(kinds="1 1", rows=("0 0 0 Cs", "0.5 0.5 0.5 Cl")),
}  # fmt: skip


@pytest.mark.parametrize("text", LEGAL.values(), ids=LEGAL)
def test_legal_files(text: str) -> None:
    found = reading(text)
    assert_caesium_chloride(found)
    assert found.flags == ()


@pytest.mark.parametrize(
    ("mode", "rows"),
    [("Direct", ("0 0 0", "0.5 0.5 0.5")), ("Direct", ("0 0 0 T T T", "0.5 0.5 0.5 F F F")),
     ("Selective\nDirect", ("0 0 0 T T T", "0.5 0.5 0.5 F F F"))],
)  # fmt: skip
def test_version_4_takes_elements_from_its_first_line_and_says_so(mode: str, rows: tuple[str, ...]) -> None:
    found = reading(poscar(kinds="1 1", mode=mode, rows=rows, title="Cs Cl"))
    assert_caesium_chloride(found)
    assert found.flags == ("species_from_comment",)


def test_a_left_handed_cell_is_turned_and_atoms_stay() -> None:
    text = poscar(vectors=("0 4.12 0", "4.12 0 0.3", "0 0 4.12"), rows=("0 0 0", "0.4 0.5 0.6"))
    found = reading(text)
    assert found.flags == ("left_handed_cell",)
    assert np.linalg.det(found.crystal.lattice) > 0
    np.testing.assert_allclose(np.abs(found.crystal.lattice[0]), np.array([0, 4.12, 0]))
    np.testing.assert_allclose(
        found.crystal.cart[1], np.array([0.5 * 4.12, 0.4 * 4.12, 0.5 * 0.3 + 0.6 * 4.12])
    )


REFUSED = {
    "empty": ("", ErrorCode.PARSE_FAILED, "empty"),
    "something else": ("my notes\nabc\n", ErrorCode.PARSE_FAILED, "lines"),
    "few positions": (poscar(kinds="Cs Cl\n1 2"), ErrorCode.PARSE_FAILED,
        "3 atoms are announced, 2 positions"),
    "more positions": (poscar(rows=("0 0 0", ".5 .5 .5", ".25 .25 .25")), ErrorCode.PARSE_FAILED,
        "more positions follow"),
    "an empty line between": (poscar(rows=("0 0 0", "", ".5 .5 .5")), ErrorCode.PARSE_FAILED, "empty line"),
    "no mode": (poscar(mode="").replace("\n\n", "\n"), ErrorCode.PARSE_FAILED, "Direct or Cartesian"),
    "fused numbers": (poscar(rows=("0.0-0.0 0.0", "0 0 0")), ErrorCode.PARSE_FAILED, "line 9"),
    "two numbers": (poscar(rows=("0 0", "0 0 0")), ErrorCode.PARSE_FAILED, "a position is expected"),
    "two factors": (poscar("4.12 4.12"), ErrorCode.PARSE_FAILED, "scaling factor"),
    "negative factor of three": (poscar("4.12 4.12 -4.12", UNIT), ErrorCode.PARSE_FAILED, "negative"),
    "scale in words": (poscar("one"), ErrorCode.PARSE_FAILED, "'one'"),
    "zero scale": (poscar("0.0"), ErrorCode.LATTICE_ZERO, "zero"),
    "vector in words": (poscar(vectors=("a b c", "0 1 0", "0 0 1")), ErrorCode.PARSE_FAILED,
        "lattice vector"),
    "kinds and numbers": (poscar(kinds="Cs Cl O\n1 1"), ErrorCode.PARSE_FAILED, "3 kinds"),
    "nameless": (poscar(kinds="1 1", title="CsCl"), ErrorCode.SPECIES_UNKNOWN, "VASP 4"),
    "nameless with flags": (poscar(kinds="1 1", rows=("0 0 0 T T T", ".5 .5 .5 F F F")),
        ErrorCode.SPECIES_UNKNOWN, "VASP 4"),
    "dummy": (poscar(kinds="Cs X\n1 1"), ErrorCode.SPECIES_UNKNOWN, "'X'"),
    "pseudo-hydrogen": (poscar(kinds="H1.25 Cl\n1 1"), ErrorCode.SPECIES_UNKNOWN, "H1.25"),
    "other symbols beside": (poscar(rows=("0 0 0 Cl", ".5 .5 .5 Cs")), ErrorCode.CONTENT_MISMATCH,
        "beside its position"),
    "no atoms": (poscar(kinds="Cs Cl\n0 0"), ErrorCode.NO_STRUCTURE, "no atoms"),
    "many atoms": (poscar(kinds="Cs Cl\n1 100000"), ErrorCode.TOO_MANY_SITES, "limit"),
    "nan": (poscar(rows=("0 0 nan", ".5 .5 .5")), ErrorCode.NOT_FINITE, "NaN"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "code", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_and_why(text: str, code: ErrorCode, words: str) -> None:
    error = refusal(text, Format.POSCAR)
    assert error.code is code
    assert words in error.message


CUT_CODES = (
    ErrorCode.PARSE_FAILED,
    ErrorCode.SPECIES_UNKNOWN,
    ErrorCode.LATTICE_ZERO,
    ErrorCode.LATTICE_COLLAPSED,
    ErrorCode.NO_STRUCTURE,
    ErrorCode.CONTENT_MISMATCH,
)


@pytest.mark.parametrize("writer", ["pymatgen", "ase"])
def test_a_file_cut_anywhere_is_refused_or_the_same(writer: str) -> None:
    text = written([4.0, 5.0, 6.0], [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]], [8, 12, 12], writer)
    whole = reading(text).crystal
    for stop in range(1, len(text) - 1):
        cut = outcome(text[:stop], Format.POSCAR)
        if isinstance(cut, ErrorCode):
            assert cut in CUT_CODES
            continue
        found = cut.crystal
        assert len(found) == len(whole)  # no more than digits of the last number are gone
        same = np.array_equal(found.frac, whole.frac)
        assert same or "ends_abruptly" in cut.flags or text[stop - 1] == "."
        assert np.array_equal(found.frac[:2], whole.frac[:2])
        assert np.array_equal(found.lattice, whole.lattice)


def written(lengths: list[float], frac: list[list[float]], numbers: list[int], writer: str) -> str:
    if writer == "ase":
        from ase import Atoms
        from ase.io import write

        stream = io.StringIO()
        write(
            stream, Atoms(numbers, scaled_positions=frac, cell=lengths, pbc=True), format="vasp", direct=True
        )
        return stream.getvalue()
    from pymatgen.core.lattice import Lattice
    from pymatgen.core.structure import Structure
    from pymatgen.io.vasp.inputs import Poscar

    return Poscar(
        Structure(Lattice(np.diag(lengths)), [SYMBOLS[z] for z in numbers], np.array(frac))
    ).get_str(significant_figures=12)


@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from(["1.0", "2.5", "-300.0"]),
    cartesian=st.booleans(),
    selective=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_random_files_equal_ase(seed: int, scale: str, cartesian: bool, selective: bool) -> None:
    """pymatgen does not scale Cartesian positions by a volume, ASE does, as VASP."""
    from ase.io.vasp import read_vasp

    rng = np.random.default_rng(seed)
    vectors = np.diag(rng.uniform(3, 6, 3)) + rng.uniform(-0.5, 0.5, (3, 3))
    frac = (np.arange(4)[:, None] + rng.uniform(0, 0.6, (4, 3))) / 4
    places = frac @ vectors if cartesian else frac
    text = poscar(
        scale,
        tuple(" ".join(f"{x:.10f}" for x in row) for row in vectors),  # type: ignore[arg-type]
        "O Mg\n1 3",
        ("Selective dynamics\n" if selective else "") + ("Cartesian" if cartesian else "Direct"),
        tuple(" ".join(f"{x:.10f}" for x in row) + (" T F T" if selective else "") for row in places),
    )
    found = reading(text).crystal
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = read_vasp(io.StringIO(text))
    np.testing.assert_allclose(found.lattice, expected.cell[:], atol=1e-8)
    np.testing.assert_allclose(found.cart, expected.positions, atol=1e-7)
    assert found.numbers.tolist() == expected.numbers.tolist()
