"""Elements from what files call their atoms: the right one, or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldilocks_batch.structures.crystal import SYMBOLS
from goldilocks_batch.structures.labels import of_label, of_type


@pytest.mark.parametrize("z", range(1, 104))
def test_every_element_by_type_and_label(z: int) -> None:
    symbol = SYMBOLS[z]
    for text in (
        symbol,
        symbol.upper(),
        symbol.lower(),
        f"{symbol}3+",
        f"{symbol}+3",
        f"{symbol}2-",
        f"{symbol}0+",
    ):
        atom = of_type(text)
        assert atom is not None, text
        assert atom.number == z, text
    for text in (symbol, f"{symbol}1", f"{symbol}12", f"{symbol}1A", f"({symbol}1)", f"{symbol}_oct",
        f"{symbol}3+",
                 f"{symbol}(2)", f"{symbol}1'", f"{symbol}*"):  # fmt: skip
        atom = of_label(text)
        assert atom is not None, text
        assert atom.number == z, text
    if len(symbol) == 2:
        for text in (symbol.upper(), f"{symbol.upper()}1"):
            found, with_formula = of_label(text), of_label(text, frozenset({z}))
            assert found is None or found.number == z, text
            assert with_formula is not None, text
            assert with_formula.number == z, text


@pytest.mark.parametrize(
    "label", ["T1", "M1", "A1", "X1", "R1", "L1", "E1", "G1", "J1", "Q1", "Z1", "Oct1", "Tet2", "Vac1",
        "Va", "Me1",
              "Ln1", "An1", "RE1", "NO3", "CO1", "HO1", "NH4", "1", "", "?", "Nh1", "Cn2", "Og", "Ch1", "Cb1"]
)  # fmt: skip
def test_labels_that_name_no_element_or_two(label: str) -> None:
    assert of_label(label) is None


@pytest.mark.parametrize(
    "label", ["OH", "OH2", "OH1", "Oh1", "Ow", "OW1", "Ow2", "Wat", "Wat1", "WAT", "H2O", "HOH1"]
)
def test_water_and_hydroxyl_are_oxygen_without_its_hydrogens(label: str) -> None:
    atom = of_label(label)
    assert atom is not None
    assert (atom.number, atom.hydrogens) == (8, True)


@pytest.mark.parametrize("label", ["H1", "H2", "H12", "O1", "O2", "Oa", "OB", "Ob1", "Ho1", "W1", "D1"])
def test_these_are_not(label: str) -> None:
    atom = of_label(label)
    assert atom is not None
    assert not atom.hydrogens


def test_the_formula_decides_a_doubtful_label() -> None:
    for label, formula, number in (
        ("CO1", {27, 8}, 27), ("CO1", {6, 1}, 6), ("HO1", {67, 8}, 67), ("NA1", {7, 6}, 7), ("NA1", {11,
            17}, 11),
        ("Cb1", {6}, 6), ("SIT", {14, 8}, 14),
    ):  # fmt: skip
        atom = of_label(label, frozenset(formula))
        assert atom is not None
        assert atom.number == number
    assert of_label("CO1", frozenset({27, 6})) is None
    assert of_label("T1", frozenset({14, 8})) is None


@pytest.mark.parametrize(
    ("symbol", "number", "charge"),
    [("6Li", 3, 0), ("Fe3+", 26, 3), ("O2-", 8, -2), ("O-", 8, -1), ("Fe+3", 26, 3), ("Al0", 13, 0), ("O2",
        8, 0),
     ("Siva", 14, 0), ("D", 1, 0), ("FE3+", 26, 3), ("Fe2.5+", 26, 2.5)],
)  # fmt: skip
def test_types_with_charges_counts_and_isotopes(symbol: str, number: int, charge: float) -> None:
    atom = of_type(symbol)
    assert atom is not None
    assert (atom.number, atom.charge) == (number, charge)


@pytest.mark.parametrize("symbol", ["X", "T", "M", "4u", "Vac", "Qq", "Unknown", "??", "1", "NH4", "CH3", ""])
def test_types_that_are_no_elements(symbol: str) -> None:
    assert of_type(symbol) is None


@given(st.text(max_size=8))
def test_any_text_is_an_element_or_not(text: str) -> None:
    for atom in (of_type(text), of_label(text)):
        assert atom is None or 1 <= atom.number < len(SYMBOLS)
