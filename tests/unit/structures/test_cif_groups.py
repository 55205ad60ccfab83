"""Every space group by every name: Hall, Hermann-Mauguin, number; spglib's operations are the oracle."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.structures.cif.groups import by_hall, by_name, by_number
from goldilocks_batch.structures.cif.operations import from_triplets, keeps_metric
from tests.structure_texts import cif_text, outcome, positions, read_text_of, refusal

#: A point on no special position of any setting, in a cell of some 40 Å.
POINT = np.array([0.0873, 0.2017, 0.4329])


@dataclass(frozen=True)
class Known:
    """One of spglib's 530 settings."""

    hall_number: int
    number: int
    hall: str
    full: str
    names: tuple[str, ...]
    choice: str
    rotations: NDArray[np.float64]
    translations: NDArray[np.float64]

    @property
    def orbit(self) -> set[tuple[float, ...]]:
        return positions(self.rotations @ POINT + self.translations)

    def cell(self, seed: int) -> tuple[list[float], list[float]]:
        """Lengths and angles of a random cell that has this symmetry and no more."""
        rng = np.random.default_rng(seed)
        metric = np.diag(rng.uniform(1500, 2800, 3)) + rng.uniform(60, 300, (3, 3))
        metric = (metric + metric.T) / 2
        metric = np.mean([turn.T @ metric @ turn for turn in self.rotations], axis=0)
        a, b, c = np.sqrt(np.diag(metric))
        cosines = metric[1, 2] / (b * c), metric[0, 2] / (a * c), metric[0, 1] / (a * b)
        return [round(float(x), 6) for x in (a, b, c)], [
            round(float(x), 6) for x in np.degrees(np.arccos(cosines))
        ]

    def text(self, head: str) -> str:
        lengths, angles = self.cell(self.hall_number)
        return cif_text(lengths, angles, ["Si1 Si " + " ".join(map(str, POINT))], head)


@lru_cache(maxsize=1)
def table() -> tuple[Known, ...]:
    import spglib

    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for hall_number in range(1, 531):
            kind = spglib.get_spacegroup_type(hall_number)
            symmetry = spglib.get_symmetry_from_database(hall_number)
            parts = [part.strip() for part in kind.international.split("=")]
            names = [kind.international_full, *(parts[1:] if len(parts) > 1 else parts)]
            if 3 <= kind.number <= 15:
                names.append(" ".join(w for w in kind.international_full.split() if w != "1"))
            found.append(
                Known(
                    hall_number,
                    kind.number,
                    kind.hall_symbol,
                    kind.international_full,
                    tuple(dict.fromkeys(names)),
                    kind.choice,
                    symmetry["rotations"].astype(float),
                    symmetry["translations"],
                )
            )
    return tuple(found)


def quoted(name: str) -> str:
    return f"'{name}'" if '"' in name else f'"{name}"'


def variants(name: str) -> Iterator[str]:
    """The ways in which people write a symbol."""
    yield name
    yield name.replace(" ", "")
    yield name.replace("_", "")
    yield name.replace("_", "").replace(" ", "_")
    yield name.lower()
    yield name.upper()


def test_there_are_530_settings_of_230_groups() -> None:
    assert len(table()) == 530
    assert {known.number for known in table()} == set(range(1, 231))


@pytest.mark.parametrize("first", range(0, 530, 106))
def test_every_hall_symbol_gives_its_operations(first: int) -> None:
    """With spaces it is unique; without, four pairs (P 32 and P 3 2 …) can only be refused."""
    ambiguous = 0
    for known in table()[first : first + 106]:
        spaced = known.hall
        for name in (spaced, spaced.lower(), spaced.upper(), spaced.replace(" ", "_")):
            found = read_text_of(known.text(f"_space_group_name_Hall {quoted(name)}"))
            assert positions(found.crystal.frac) == known.orbit, name
            assert found.flags == ()
        glued = outcome(known.text(f"_symmetry_space_group_name_Hall {quoted(spaced.replace(' ', ''))}"))
        if isinstance(glued, ErrorCode):
            assert glued is ErrorCode.SYMMETRY_CONTRADICTORY
            ambiguous += 1
        else:
            assert positions(glued.crystal.frac) == known.orbit, spaced
    assert ambiguous <= 4


@pytest.mark.parametrize("first", range(0, 530, 53))
def test_every_name_with_its_setting_gives_its_operations(first: int) -> None:
    for known in table()[first : first + 53]:
        suffixes = [f":{known.choice}", f" :{known.choice.upper()}"] if known.choice else [""]
        suffixes += [f" {known.choice}", known.choice.lower()] if known.choice in ("H", "R") else []
        suffixes += {"1": [" S", "s", " (origin choice 1)"], "2": [" Z", "Z", " origin choice 2"]}.get(
            known.choice, []
        )
        for name in known.names:
            for suffix in suffixes:
                for form in variants(name):
                    found = read_text_of(known.text(f"_space_group_name_H-M_alt {quoted(form + suffix)}"))
                    assert positions(found.crystal.frac) == known.orbit, (form, suffix)


@pytest.mark.parametrize("first", range(0, 530, 106))
def test_a_name_without_its_setting_is_right_or_refused(first: int) -> None:
    """The shape of the cell tells axes; nothing in these files tells the origin."""
    for known in table()[first : first + 106]:
        origins = known.choice[:1] in ("1", "2")
        for name in known.names:
            form = name.replace("_", "")
            text = known.text(f"_symmetry_space_group_name_H-M {quoted(form)}")
            if origins:
                assert refusal(text).code is ErrorCode.SYMMETRY_AMBIGUOUS, form
                continue
            named = by_name(form)
            assert named is not None
            same_axes = [s for s in named.settings if "e" in form.split()[-1] or "e" in form]
            if same_axes and len(named.settings) > 1:  # C m m e is C m m a or C m m b: the standard is meant
                continue
            assert positions(read_text_of(text).crystal.frac) == known.orbit, form


def test_numbers_mean_the_standard_setting_and_are_flagged_where_there_are_others() -> None:
    seen = set()
    for known in table():
        if known.number in seen:
            continue
        seen.add(known.number)
        named = by_number(known.number)
        text = known.text(f"_symmetry_Int_Tables_number {known.number}")
        if known.choice in ("1", "2"):
            assert refusal(text).code is ErrorCode.SYMMETRY_AMBIGUOUS
            continue
        found = read_text_of(text)
        assert positions(found.crystal.frac) == known.orbit, known.number
        assert ("symmetry_by_number" in found.flags) == bool(named.others), known.number


@pytest.mark.parametrize(
    "known", [k for k in table() if k.choice in ("1", "2")], ids=lambda k: k.full + k.choice
)
def test_contents_decide_an_origin(known: Known) -> None:
    """A site on a special position of one origin, with Z: the other origin gives another number of atoms."""
    other = next(
        k for k in table() if k.full == known.full and k.choice == {"1": "2", "2": "1"}[known.choice]
    )
    decided = 0
    grid = np.array(np.meshgrid(*[np.arange(8) / 8] * 3, indexing="ij")).reshape(3, -1).T
    for point in grid[:: max(1, len(grid) // 24)]:
        here, there = (len(positions(k.rotations @ point + k.translations)) for k in (known, other))
        lengths, angles = known.cell(1)
        head = (
            f"_symmetry_space_group_name_H-M '{known.full}'\n_chemical_formula_sum Si\n"
            f"_cell_formula_units_Z {here}"
        )
        text = cif_text(lengths, angles, ["Si1 Si " + " ".join(map(str, point))], head)
        if here == there:
            continue
        found = read_text_of(text)
        expected = positions(known.rotations @ point + known.translations)
        assert positions(found.crystal.frac) == expected
        assert "symmetry_resolved" in found.flags
        decided += 1
    assert decided >= 3


def test_the_cell_decides_rhombohedral_or_hexagonal_axes() -> None:
    pairs = [k for k in table() if k.choice in ("H", "R")]
    assert len(pairs) == 14
    for known in pairs:
        bare = known.text(f"_symmetry_space_group_name_H-M '{known.full}'")
        assert positions(read_text_of(bare).crystal.frac) == known.orbit
        wrong = {"H": "R", "R": "H"}[known.choice]
        contradicted = read_text_of(known.text(f"_symmetry_space_group_name_H-M '{known.full} :{wrong}'"))
        assert positions(contradicted.crystal.frac) == known.orbit
        assert "symmetry_resolved" in contradicted.flags


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ("_symmetry_space_group_name_H-M 'F m m m (nonstandard)'", ErrorCode.SYMMETRY_UNKNOWN),
        ("_symmetry_space_group_name_H-M 'no such group'", ErrorCode.SYMMETRY_UNKNOWN),
        ("_symmetry_space_group_name_Hall 'gibberish'", ErrorCode.SYMMETRY_UNKNOWN),
        (
            "_symmetry_space_group_name_H-M 'F m -3 m'\n_space_group_IT_number 216",
            ErrorCode.SYMMETRY_CONTRADICTORY,
        ),
        ("_symmetry_space_group_name_H-M 'P 63/m m c'", ErrorCode.SYMMETRY_CONTRADICTORY),
        (
            "_symmetry_space_group_name_H-M 'F m -3 m'\nloop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'",
            ErrorCode.SYMMETRY_CONTRADICTORY,
        ),
        (
            "loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n'x-y,x,z'",
            ErrorCode.SYMMETRY_CONTRADICTORY,
        ),
        ("loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n'x+0.37,y,z'", ErrorCode.PARSE_FAILED),
        ("loop_\n_symmetry_equiv_pos_as_xyz\n'x,y'", ErrorCode.PARSE_FAILED),
    ],
)
def test_a_symmetry_that_cannot_be(head: str, code: ErrorCode) -> None:
    text = cif_text(sites=["Na1 Na 0 0 0", "Cl1 Cl 0.25 0.25 0.25"], head=head)
    assert refusal(text).code is code


def test_an_ambiguous_origin_is_refused_with_both_readings() -> None:
    text = cif_text([5.431] * 3, sites=["Si1 Si 0 0 0"], head="_symmetry_space_group_name_H-M 'F d -3 m'")
    error = refusal(text)
    assert error.code is ErrorCode.SYMMETRY_AMBIGUOUS
    assert "F d -3 m:1 (8 sites) or F d -3 m:2 (16 sites)" in error.message


def test_settings_that_a_number_leaves_open_are_refused_with_the_readings() -> None:
    head = "_chemical_formula_sum 'Ca O3 Ti'\n_cell_formula_units_Z 4\n_symmetry_Int_Tables_number 62"
    sites = [
        "Ca1 Ca 0.9932 0.0351 0.25",
        "Ti1 Ti 0 0.5 0",
        "O1 O 0.0707 0.483 0.25",
        "O2 O 0.7112 0.2884 0.0371",
    ]
    text = cif_text([5.388, 5.447, 7.654], sites=sites, head=head)
    error = refusal(text)
    assert error.code is ErrorCode.SYMMETRY_AMBIGUOUS
    assert "P b n m" in error.message
    named = read_text_of(text.replace("_symmetry_Int", "_space_group_name_H-M_alt 'P b n m'\n_symmetry_Int"))
    assert len(named.crystal) == 20


@pytest.mark.parametrize(
    "tag", ["_space_group.IT_coordinate_system_code", "_space_group_IT_coordinate_system_code"]
)
def test_a_code_of_the_setting_is_used(tag: str) -> None:
    for known in table():
        if known.choice not in ("1", "2", "cab", "b3"):
            continue
        head = f"_space_group_IT_number {known.number}\n{tag} {known.choice}"
        assert positions(read_text_of(known.text(head)).crystal.frac) == known.orbit, known


@given(st.sampled_from(table()), st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=60, deadline=None)
def test_operations_in_any_order_and_form(known: Known, random: object, decimal: bool) -> None:
    import gemmi

    triplets = [operation.triplet() for operation in gemmi.symops_from_hall(known.hall)]
    random.shuffle(triplets)  # type: ignore[attr-defined]
    if decimal:
        triplets = [re.sub(r"(\d)/(\d)", lambda m: f"{int(m[1]) / int(m[2]):.4f}", t) for t in triplets]
        triplets = [t.upper() for t in triplets]
    head = "loop_\n_space_group_symop_operation_xyz\n" + "\n".join(f"'{t}'" for t in triplets)
    assert positions(read_text_of(known.text(head)).crystal.frac) == known.orbit
    unquoted = head.replace("'", "").replace(",", ", ")
    assert positions(read_text_of(known.text(unquoted)).crystal.frac) == known.orbit
    if len(triplets) > 2:  # one is missing: no group any more, or another than the one that is named
        fewer = head.rsplit("\n", 1)[0] + f"\n\n_symmetry_space_group_name_Hall {quoted(known.hall)}"
        assert refusal(known.text(fewer)).code is ErrorCode.SYMMETRY_CONTRADICTORY


def test_short_monoclinic_symbols_follow_the_cell_and_mean_unique_axis_b_otherwise() -> None:
    named = by_name("P 21/c")
    assert named is not None
    assert named.settings[0].name == "P 1 21/c 1"
    for name in ("P21/c", "p 2_1/c", "P 1 21/c 1", "P121/c1"):
        text = cif_text(
            [5.1, 5.2, 5.3], [90, 99.2, 90], ["Zr1 Zr 0.27 0.04 0.21"], f"_space_group_name_H-M_alt '{name}'"
        )
        assert len(read_text_of(text).crystal) == 4
        assert len(read_text_of(text.replace("99.2", "90.0")).crystal) == 4


def test_unknown_hall_symbols_with_a_shift_of_origin_are_understood() -> None:
    (setting,) = by_hall("P 2 2 -1n (x-1/4,y-1/4,z-1/4)")
    assert len(setting.operations) == 8
    assert by_hall("nothing") == ()


def test_operations_that_do_not_keep_the_cell() -> None:
    swapped = from_triplets(("x,y,z", "y,x,-z"))
    assert keeps_metric(swapped, np.diag([4.0, 4.0, 5.0]))
    assert not keeps_metric(swapped, np.diag([4.0, 4.1, 5.0]))
