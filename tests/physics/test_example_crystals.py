"""The example crystals: their files are what the script writes, their groups and formulas what it states."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from goldilocks_batch.structures.crystal import SYMBOLS
from goldilocks_batch.structures.symmetry import find_symmetry
from tests.structure_texts import read_text_of

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def script() -> ModuleType:
    """``examples/make_structures.py`` as a module."""
    spec = importlib.util.spec_from_file_location("make_structures", EXAMPLES / "make_structures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MADE = script()
NAMES = [*MADE.CRYSTALS, *MADE.LARGER, *MADE.LOWER_SYMMETRY]


def test_the_folder_holds_each_crystal_once() -> None:
    assert len(NAMES) == len(set(NAMES))
    found = {path.name for path in (EXAMPLES / "structures").iterdir()}
    assert found == {f"{name}.cif" for name in NAMES} | {"C-graphene.xyz"}
    assert (EXAMPLES / "structures" / "C-graphene.xyz").read_text(encoding="utf-8") == MADE.GRAPHENE


@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")  # of spglib, in the script
@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_what_the_script_writes_and_holds_what_it_states(name: str) -> None:
    from pymatgen.core.composition import Composition

    text = (EXAMPLES / "structures" / f"{name}.cif").read_text(encoding="utf-8")
    assert text == MADE.cif(name)
    stated = re.search(r"_Int_Tables_number +(\d+)", text)
    assert stated is not None
    crystal = read_text_of(text).crystal
    assert find_symmetry(crystal).number == int(stated[1])
    held = Composition("".join(SYMBOLS[number] for number in crystal.numbers))
    named = re.match(r"[A-Za-z0-9]+", name)
    assert named is not None
    assert held.reduced_composition == Composition(named[0]).reduced_composition
