"""Codes are told a Γ-centred mesh in their own words, and what goes wrong has a code of its own."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import kpts2sizeandoffsets

from goldilocks_batch import ConvergeConfig, GoldilocksError
from goldilocks_batch.config.convergence import CodeOptions
from goldilocks_batch.convergence.calculators import Code, calculator_class, filled, mesh_parameters
from goldilocks_batch.convergence.espresso import espresso_parameters, has_direction
from goldilocks_batch.convergence.outputs import last_lines
from goldilocks_batch.convergence.pseudos import Family, Pseudo
from goldilocks_batch.convergence.study import CalculationFailed
from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.structures.crystal import Crystal
from tests.tight_binding import energy_per_atom
from tests.unit.convergence.test_bands import METAL, written

CRYSTAL = Crystal(3.0 * np.eye(3), np.zeros((1, 3)), np.array([13]))


def tight(**parameters: object) -> CodeOptions:
    return CodeOptions(
        calculator="tests.tight_binding.TightBinding", kpoints={"kpts": "mesh"}, parameters=parameters
    )


def script(code: str, **options: Any) -> CodeOptions:
    """ASE's Espresso with a program of Python in the place of pw.x."""
    command = f'{sys.executable} -c "{code}"'
    given = {"ecutwfc": 20}
    return CodeOptions(calculator="espresso", command=command, conv_thr=1e-6, parameters=given, **options)


def failure(options: CodeOptions, folder: Path, seconds: float = 60.0) -> CalculationFailed:
    family = Family({"Al": Pseudo(Path("Al.upf"), "0", 3.0, "PBE", 20.0, 80.0)})
    options = options.model_copy(update={"pseudo_dir": folder})
    with pytest.raises(CalculationFailed) as raised:
        Code(options, family).energy(CRYSTAL, (2, 2, 2), folder, seconds, go_on=False)
    return raised.value


@pytest.mark.parametrize("mesh", [(1, 1, 1), (2, 3, 4), (4, 4, 4)])
@pytest.mark.parametrize("name", ["castep", "gpaw", "dftb"])
def test_meshes_of_codes_that_ase_counts_for_are_centred_on_gamma(
    name: str, mesh: tuple[int, int, int]
) -> None:
    told = filled(mesh_parameters(CodeOptions(calculator=name)), mesh)["kpts"]
    atoms = Atoms("Al", cell=3.0 * np.eye(3), pbc=True)
    size, offsets = kpts2sizeandoffsets(atoms=atoms, **told)
    assert tuple(size) == mesh
    points = [np.mod((np.arange(n) + 0.5) / n - 0.5 + o, 1) for n, o in zip(size, offsets, strict=True)]
    assert all(np.isclose(np.minimum(axis, 1 - axis), 0).any() for axis in points)


def test_the_mesh_of_abinit_is_centred_on_gamma(tmp_path: Path) -> None:
    from ase.io.abinit import write_abinit_in

    parameters = filled(mesh_parameters(CodeOptions(calculator="abinit")), (2, 4, 4))
    path = tmp_path / "abinit.in"
    with path.open("w") as stream:
        write_abinit_in(stream, Atoms("Al", cell=3.0 * np.eye(3), pbc=True), parameters, [1], ["Al.psp8"])
    words = path.read_text().split()
    assert words[words.index("ngkpt") + 1 : words.index("ngkpt") + 4] == ["2", "4", "4"]
    assert [float(w) for w in words[words.index("shiftk") + 1 : words.index("shiftk") + 4]] == [0.0, 0.0, 0.0]
    assert "kptopt" in words


def test_the_mesh_of_vasp_is_centred_on_gamma(tmp_path: Path) -> None:
    told = filled(mesh_parameters(CodeOptions(calculator="vasp")), (2, 4, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vasp = calculator_class("vasp")(directory=str(tmp_path), xc="pbe", **told)
    vasp.write_kpoints(atoms=Atoms("Al", cell=3.0 * np.eye(3), pbc=True), directory=str(tmp_path))
    lines = (tmp_path / "KPOINTS").read_text().splitlines()
    assert lines[2].strip().lower().startswith("g")
    assert lines[3].split() == ["2", "4", "4"]


def test_a_calculator_whose_mesh_is_not_known_is_refused_until_it_is_told() -> None:
    with pytest.raises(GoldilocksError, match=r"say it in code\.kpoints"):
        mesh_parameters(CodeOptions(calculator="cp2k"))
    template = {"kpts": {"size": "mesh", "gamma": True}}
    assert filled(mesh_parameters(CodeOptions(calculator="aims", kpoints=template)), (1, 2, 3)) == {
        "kpts": {"size": [1, 2, 3], "gamma": True}
    }


@pytest.mark.parametrize("name", ["nonsense", "no_module.Class", "tests.tight_binding.Other"])
def test_a_calculator_that_there_is_not_is_refused(name: str) -> None:
    with pytest.raises(GoldilocksError, match="no calculator"):
        calculator_class(name)


def test_any_calculator_gives_an_energy_per_atom(tmp_path: Path) -> None:
    code = Code(tight(), Family({}))
    assert code.energy(CRYSTAL, (2, 3, 4), tmp_path, 60.0, go_on=False) == energy_per_atom((2, 3, 4))


@pytest.mark.parametrize(("trouble", "said"), [("nan", "no finite number"), ("raise", "come apart")])
def test_what_a_calculator_says_is_told_with_its_output(tmp_path: Path, trouble: str, said: str) -> None:
    found = failure(tight(trouble=trouble, at=1), tmp_path)
    assert found.code == ErrorCode.CODE_FAILED
    assert said in found.message
    if trouble == "raise":
        assert found.output == "output.txt:\nall went well\nuntil it did not"


@pytest.mark.parametrize(
    ("code", "expected", "said"),
    [
        ("raise SystemExit(3)", ErrorCode.CODE_FAILED, "status 3"),
        ("import os; os.kill(os.getpid(), 9)", ErrorCode.CODE_FAILED, "signal 9"),
        ("print(7)", ErrorCode.CODE_FAILED, "no energy could be read"),
        (
            "print('     convergence NOT achieved after 2 iterations'); raise SystemExit(2)",
            ErrorCode.SCF_NOT_CONVERGED,
            "self-consistency",
        ),
        ("import time; print(1, flush=True); time.sleep(600)", ErrorCode.BUDGET, "budget.seconds"),
    ],
)
def test_how_a_program_ends_decides_the_code(
    tmp_path: Path, code: str, expected: ErrorCode, said: str
) -> None:
    found = failure(script(code), tmp_path, seconds=2.0)
    assert (found.code, said in found.message) == (expected, True), found.message


def test_a_program_that_there_is_not_is_said_before_anything_runs() -> None:
    for options in (
        CodeOptions(command="/nowhere/pw.x"),
        CodeOptions(command="true", prefix="mpirun-of-old -n 4"),
    ):
        with pytest.raises(GoldilocksError) as raised:
            Code.found(options, Family({}))
        assert raised.value.code == ErrorCode.CODE_MISSING


def test_elements_without_a_pseudopotential_are_named(tmp_path: Path) -> None:
    with pytest.raises(CalculationFailed, match="no pseudopotential of Al") as raised:
        Code(CodeOptions(pseudo_dir=tmp_path), Family({})).energy(
            CRYSTAL, (1, 1, 1), tmp_path, 9.0, go_on=False
        )
    assert raised.value.code == ErrorCode.PSEUDOPOTENTIAL_MISSING


def test_last_lines_are_of_text_and_short(tmp_path: Path) -> None:
    (tmp_path / "wave.dat").write_bytes(b"\0" * 100)
    (tmp_path / "espresso.pwo").write_text("\n".join(f"line {i}" for i in range(100_000)))
    found = last_lines(tmp_path)
    assert found.startswith("espresso.pwo:\n")
    assert found.endswith("line 99999")
    assert len(found) <= 8000
    assert len(found.splitlines()) < 70


def test_what_decides_energies_is_in_the_science_and_no_path_is() -> None:
    base = ConvergeConfig(code={"pseudo_dir": "a", "prefix": "mpirun"})
    same = ConvergeConfig(code={"pseudo_dir": "b", "command": "/opt/pw.x"}, budget={"seconds": 5}, workers=3)
    assert base.science() == same.science()
    for change in ({"code": {"degauss": 0.02}}, {"tolerances": [2]}, {"ladder": {"start": 0.5}}):
        assert ConvergeConfig(**change).science() != base.science()


def test_energies_are_as_exact_as_the_smallest_tolerance_needs() -> None:
    rydberg = 13605.693  # meV
    for tolerances in ([5, 3, 1], [20]):
        config = ConvergeConfig(tolerances=tolerances)
        threshold = config.decided_code.conv_thr
        assert threshold == pytest.approx(0.05 * min(tolerances) / rydberg, rel=0.01)
        assert config.science()["code"]["conv_thr"] == threshold
    assert ConvergeConfig(code={"conv_thr": 1e-8}).decided_code.conv_thr == 1e-8
    with pytest.raises(GoldilocksError, match="cannot tell 1 meV per atom"):
        ConvergeConfig(code={"conv_thr": 3e-5})
    ConvergeConfig(code={"conv_thr": 3e-5}, tolerances=[20])


def test_a_mesh_that_goes_on_from_the_last_one_has_thresholds_and_a_subspace_for_that() -> None:
    pseudo = Pseudo(Path("Al.upf"), "0", 3.0, "PBE", 20.0, 80.0)
    family, code = Family({"Al": pseudo}), ConvergeConfig().decided_code
    begun = espresso_parameters(code, family, CRYSTAL, go_on=False)["input_data"]
    later = espresso_parameters(code, family, CRYSTAL, go_on=True)["input_data"]
    added = {"startingpot": "file", "diago_david_ndim": 4}
    assert later == begun | added
    carried = espresso_parameters(code, family, CRYSTAL, go_on=True, waves=True)["input_data"]
    assert carried == later | {"startingwfc": "file", "diago_thr_init": 1e-4}
    own = code.model_copy(update={"parameters": {"diago_thr_init": 1e-3, "diagonalization": "cg"}})
    for waves in (False, True):
        chosen = espresso_parameters(own, family, CRYSTAL, go_on=True, waves=waves)["input_data"]
        assert chosen == (carried if waves else later) | own.parameters


def test_bands_that_a_mesh_needs_are_told_unless_others_are_chosen() -> None:
    family = Family({"Al": Pseudo(Path("Al.upf"), "0", 3.0, "PBE", 20.0, 80.0)})
    code = ConvergeConfig().decided_code
    told = espresso_parameters(code, family, CRYSTAL, go_on=True, bands=5)["input_data"]
    assert told == espresso_parameters(code, family, CRYSTAL, go_on=True)["input_data"] | {"nbnd": 5}
    own = code.model_copy(update={"parameters": {"nbnd": 9}})
    assert espresso_parameters(own, family, CRYSTAL, go_on=True, bands=5)["input_data"]["nbnd"] == 9


@pytest.mark.parametrize("name", ["nbnd", "NBND", "outdir", "prefix"])
def test_a_user_who_chooses_bands_or_files_is_not_asked_again(tmp_path: Path, name: str) -> None:
    written(tmp_path, METAL, 3.0, 9.5)
    assert Code(script(""), Family({})).bands(tmp_path).needed == 4
    chosen = script("").model_copy(update={"parameters": {name: 9}})
    assert Code(chosen, Family({})).bands(tmp_path).needed is None
    assert Code(tight(), Family({})).bands(tmp_path).needed is None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("ecutwfc", "nspin", "starting_magnetization(1)", "Mixing_Beta"), False),
        (("ecutwfc", "noncolin"), True),
        (("assume_isolated",), True),
        (("tefield", "edir"), True),
        (("of_next_year",), True),
    ],
)
def test_parameters_that_may_name_a_direction_are_known(names: tuple[str, ...], expected: bool) -> None:
    assert has_direction(names) is expected


@pytest.mark.parametrize("parameters", [{"ecutwfc": 20}, {"ecutwfc": 20, "noncolin": True}])
def test_a_cell_is_turned_where_no_parameter_has_a_direction(
    tmp_path: Path, parameters: dict[str, object]
) -> None:
    lattice = 2.8 * np.array([[1.0, 0.0, 0.0], [0.5, 0.75**0.5, 0.0], [0.5, 12**-0.5, (2 / 3) ** 0.5]])
    face_centred = Crystal(lattice, np.zeros((1, 3)), np.array([13]))
    options = script("", pseudo_dir=tmp_path).model_copy(update={"parameters": parameters})
    family = Family({"Al": Pseudo(Path("Al.upf"), "0", 3.0, "PBE", 20.0, 80.0)})
    with pytest.raises(CalculationFailed):
        Code(options, family).energy(face_centred, (2, 2, 2), tmp_path, 60.0, go_on=False)
    lines = (tmp_path / "espresso.pwi").read_text().partition("CELL_PARAMETERS angstrom\n")[2].split("\n")[:3]
    told = np.array([line.split() for line in lines], dtype=np.float64)
    assert told @ told.T == pytest.approx(lattice @ lattice.T, abs=1e-9)
    if "noncolin" in parameters:
        assert told == pytest.approx(lattice, abs=1e-9)
    else:  # half the edges of the cube
        assert sorted(np.abs(told).round(6).ravel().tolist()) == pytest.approx(
            [0.0] * 3 + [2.8 * 0.5**0.5] * 6
        )


def test_options_of_a_run_stand_beside_the_others() -> None:
    config = ConvergeConfig(inputs="x.cif", output="out", workers=2, budget={"seconds": 100})
    assert config.run.inputs == (Path("x.cif"),)
    assert config.execution.shard_size == 1
    assert config.execution.task_timeout > 100
    assert ConvergeConfig().run.output == Path("studies")
    assert config.updated(retry=True).run == config.run
    with pytest.raises(GoldilocksError, match="tolerances"):
        ConvergeConfig(tolerances=[1, 1])
    with pytest.raises(GoldilocksError, match="did you mean"):
        ConvergeConfig(code={"stringncy": "low"}, budgett={})
