"""Empty bands are left out where one that is calculated shows that the others are empty, too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from goldilocks_batch.convergence.bands import UNKNOWN, bands_of, occupation

KINDS = ("gaussian", "mp", "mv", "fd")
WIDTH = 0.01  # Hartree
HEAD = {"lsda": "false", "noncolin": "false", "occupations_kind": "smearing", "kind": "mv"}


def delta(kind: str, x: float) -> float:
    """What replaces the delta function, as ``w0gauss`` of Quantum ESPRESSO has it."""
    root = np.sqrt(np.pi)
    values = {
        "gaussian": np.exp(-(x**2)) / root,
        "mp": np.exp(-(x**2)) * (1.5 - x**2) / root,
        "mv": np.exp(-((x - 1 / np.sqrt(2)) ** 2)) * (2 - np.sqrt(2) * x) / root,
        "fd": 1 / (2 + np.exp(-x) + np.exp(x)),
    }
    return float(values[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("x", [-2.0, -0.5, 0.0, 0.3, 1.0, 2.5])
def test_occupations_are_the_integral_of_the_smeared_delta_function(kind: str, x: float) -> None:
    expected, _ = quad(lambda t: delta(kind, t), -40, x, limit=200)
    assert occupation(kind, np.array([x])) == pytest.approx([expected], abs=1e-9)


#: Widths above and below the Fermi energy after which states count as empty and as full.
REACH = {"gaussian": (4.0, 4.0), "mp": (4.5, 4.5), "mv": (3.6, 5.0), "fd": (19.0, 19.0)}


@pytest.mark.parametrize("kind", KINDS)
def test_states_that_count_as_empty_or_full_are_so_to_a_hundred_millionth(kind: str) -> None:
    above, below = REACH[kind]
    assert np.abs(occupation(kind, -np.linspace(above, 30, 500))).max() < 1e-8
    assert np.abs(occupation(kind, np.linspace(below, 30, 500)) - 1).max() < 1e-8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("more", [-0.1, 0.1])
def test_the_highest_band_is_empty_where_it_is_far_enough(tmp_path: Path, kind: str, more: float) -> None:
    bands = [[0.0, REACH[kind][0] + more + n] for n in range(3)]
    found = bands_of(written(tmp_path, bands, 1.0, 0.0, kind=kind)).needed
    assert found == (2 if more > 0 else None)


def written(
    base: Path,
    bands: Sequence[Sequence[float]],
    electrons: float,
    fermi: float,
    own: bool = False,
    **changes: str,
) -> Path:
    """What pw.x leaves: eigenvalues of some k-points, in widths of the smearing."""
    head = HEAD | changes
    kind = head.pop("kind")
    folder = base / "density" / "pwscf.save"
    folder.mkdir(parents=True, exist_ok=True)
    states = "".join(
        f'<ks_energies><k_point weight="{2 / len(bands)}">0 0 0</k_point><eigenvalues size="{len(one)}">'
        f"{' '.join(str(WIDTH * energy) for energy in one)}</eigenvalues></ks_energies>"
        for one in bands
    )
    told = "".join(f"<{name}>{value}</{name}>" for name, value in head.items())
    (folder / "data-file-schema.xml").write_text(
        '<?xml version="1.0"?><qes:espresso xmlns:qes="http://www.quantum-espresso.org/ns/qes/qes-1.0">'
        f"<input><bands>{'' if own else f'<nbnd>{len(bands[0])}</nbnd>'}</bands></input>"
        f"<output><band_structure>{told}<nelec>{electrons}</nelec>"
        f"<fermi_energy>{WIDTH * fermi}</fermi_energy>"
        f'<smearing degauss="{WIDTH}">{kind}</smearing>{states}</band_structure></output></qes:espresso>'
    )
    return base


#: A band of free electrons and those above it; three electrons fill one and half of the next.
METAL = [[k**2, (k - 4) ** 2 + 5, (k + 4) ** 2 - 4, 60 + k, 90.0] for k in np.linspace(0, 2, 40)]
#: Two electrons fill one band, and the next ones lie far above it.
INSULATOR = [[-k, 40 + k, 60 + k, 90.0] for k in np.linspace(0, 2, 40)]
NARROW = [[-k, 7 + k, 60 + k, 90.0] for k in np.linspace(0, 2, 40)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_metal_needs_its_occupied_bands_and_one(tmp_path: Path, kind: str) -> None:
    fermi = 9.5
    occupied = sum(min(one[n] for one in METAL) < fermi + REACH[kind][0] for n in range(5))
    assert occupied == 3
    assert bands_of(written(tmp_path, METAL, 3.0, fermi, kind=kind)).needed == 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_fermi_energy_at_the_edge_of_a_wide_gap_leaves_the_number_as_it_is(
    tmp_path: Path, kind: str
) -> None:
    """By cold and Methfessel-Paxton smearing there is one there, and another one in the gap."""
    found = bands_of(written(tmp_path, INSULATOR, 2.0, 0.5, kind=kind)).needed
    assert found == (2 if kind in ("gaussian", "fd") else None)
    assert bands_of(written(tmp_path, INSULATOR, 2.0, 20.0, kind=kind)).needed == 2


@pytest.mark.parametrize("kind", ["mv", "mp"])
@pytest.mark.parametrize("fermi", [0.5, 20.0])
def test_fewer_bands_lead_to_the_same_of_two_fermi_energies(tmp_path: Path, kind: str, fermi: float) -> None:
    """Bisection from 121 widths below to 44 above, by three bands, ends at the edge; to 64, in the gap."""
    low = [[-119.0, *one] for one in INSULATOR]
    found = bands_of(written(tmp_path, low, 4.0, fermi, kind=kind))
    assert found.needed == {0.5: 3, 20.0: 4}[fermi]
    assert found.highest_is_empty
    assert found.several_fermi_energies
    four = bands_of(written(tmp_path, [one[:4] for one in low], 4.0, fermi, kind=kind))
    assert four.needed == found.needed
    three = bands_of(written(tmp_path, [one[:3] for one in low], 4.0, fermi, kind=kind))
    assert three.needed == {0.5: 3, 20.0: None}[fermi]
    assert three.highest_is_empty


def test_an_insulator_whose_gap_is_narrower_than_the_smearing_has_one(tmp_path: Path) -> None:
    assert bands_of(written(tmp_path, NARROW, 2.0, 1.0)).needed == 2


@pytest.mark.parametrize("top", [9.5, 13.0])
def test_a_highest_band_that_holds_electrons_is_too_few(tmp_path: Path, top: float) -> None:
    few = [[one[0], one[1], top + n] for n, one in enumerate(METAL)]
    assert bands_of(written(tmp_path, few, 3.0, 9.5)).needed is None
    enough = [[one[0], one[1], 13.2 + n] for n, one in enumerate(METAL)]
    assert bands_of(written(tmp_path, enough, 3.0, 9.5)).needed == 3


@pytest.mark.parametrize(
    "changes",
    [{"lsda": "true"}, {"noncolin": "true"}, {"occupations_kind": "fixed"}, {"kind": "of next year"}],
)
def test_what_is_not_counted_here_keeps_its_bands(tmp_path: Path, changes: dict[str, str]) -> None:
    assert bands_of(written(tmp_path, METAL, 3.0, 9.5, False, **changes)).needed is None


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_file_that_is_not_there_or_not_whole_tells_nothing(tmp_path: Path, keep: float) -> None:
    assert bands_of(tmp_path) == UNKNOWN
    path = written(tmp_path, METAL, 3.0, 9.5) / "density" / "pwscf.save" / "data-file-schema.xml"
    text = path.read_text()
    path.write_text(text[: int(keep * len(text))])
    assert bands_of(tmp_path) == UNKNOWN


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fermi", [0.5, 20.0])
def test_a_wide_gap_has_two_fermi_energies_whichever_was_found(
    tmp_path: Path, kind: str, fermi: float
) -> None:
    found = bands_of(written(tmp_path, INSULATOR, 2.0, fermi, kind=kind))
    assert found.several_fermi_energies == (kind in ("mv", "mp"))


@pytest.mark.parametrize("kind", ["mv", "mp"])
def test_which_of_two_fermi_energies_was_found_is_told(tmp_path: Path, kind: str) -> None:
    edge, gap, higher = (
        bands_of(written(tmp_path, INSULATOR, 2.0, fermi, kind=kind)) for fermi in (0.5, 20.0, 25.0)
    )
    assert edge.has_another_fermi_energy(gap)
    assert gap.has_another_fermi_energy(edge)
    assert not gap.has_another_fermi_energy(higher)
    assert not edge.has_another_fermi_energy(edge)
    assert not edge.has_another_fermi_energy(UNKNOWN)
    assert not bands_of(written(tmp_path, METAL, 3.0, 9.5, kind=kind)).has_another_fermi_energy(gap)


@pytest.mark.parametrize("kind", KINDS)
def test_a_metal_has_one_fermi_energy(tmp_path: Path, kind: str) -> None:
    assert not bands_of(written(tmp_path, METAL, 3.0, 9.5, kind=kind)).several_fermi_energies


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_that_pw_takes_by_itself_is_not_told(tmp_path: Path, kind: str) -> None:
    for bands, needed in ((METAL, 4), ([one[:4] for one in METAL], None)):
        found = bands_of(written(tmp_path, bands, 3.0, 9.5, own=True, kind=kind))
        assert (found.needed, found.highest_is_empty) == (needed, True)


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=6), st.sampled_from(KINDS))
def test_more_bands_above_an_empty_one_change_no_number(
    tmp_path_factory: pytest.TempPathFactory, shifts: list[float], kind: str
) -> None:
    base = tmp_path_factory.mktemp("bands")
    bands = [[shift, 3 + shift, 70 + shift, 95 + shift] for shift in shifts]
    fewer = bands_of(written(base, [one[:3] for one in bands], 3.0, 3.0, kind=kind)).needed
    assert fewer == bands_of(written(base, bands, 3.0, 3.0, kind=kind)).needed
    assert fewer in (None, 3)
