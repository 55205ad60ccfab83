"""Elements of formulas and their places, against pymatgen."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core.composition import Composition
from pymatgen.core.periodic_table import Element

from goldilocks_batch.report.elements import PLACES, elements_of
from goldilocks_batch.structures.crystal import SYMBOLS, formula


def test_every_element_stands_where_the_periodic_table_has_it() -> None:
    assert sorted(symbol for symbol, _, _ in PLACES) == sorted(element.symbol for element in Element)
    for symbol, row, column in PLACES:
        element = Element(symbol)
        if element.is_lanthanoid or element.is_actinoid:
            assert row == (8 if element.is_lanthanoid else 9)
        else:
            assert (row, column) == (element.row, element.group)
    assert len({(row, column) for _, row, column in PLACES}) == len(PLACES)


@given(st.lists(st.lists(st.integers(1, 103), min_size=1, max_size=6), max_size=8))
def test_elements_are_those_that_pymatgen_reads(crystals: list[list[int]]) -> None:
    formulas = [formula(np.array(numbers)) for numbers in crystals]
    places, numbers = elements_of(formulas)
    found = [sorted(SYMBOLS[z] for z in numbers[places == place]) for place in range(len(formulas))]
    assert found == [sorted(e.symbol for e in Composition(text).elements) for text in formulas]


def test_what_is_no_element_is_left_out() -> None:
    places, numbers = elements_of(["Si", "Qq2O", ""])
    assert places.tolist() == [0, 1]
    assert numbers.tolist() == [14, 8]
