"""A run's folder whose files are damaged, foreign, missing or misnamed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.results.folder import RunFolder, read_results
from goldilocks_batch.results.shards import Identity
from goldilocks_batch.results.status import status_of
from goldilocks_batch.structures.sources.files import open_directory
from tests.unit.results.run_folders import IDENTITY, part, record

OTHER = Identity({"inputs": ["another"], "version": "1"})


def begin(output: Path, identity: Identity = IDENTITY, *, overwrite: bool = False) -> RunFolder:
    """Begin a run of this identity in a folder."""
    folder = RunFolder(output)
    with folder.opened(identity, overwrite=overwrite):
        folder.record.begin(identity, rows=30)
    return folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A run of 30 rows in three parts."""
    begin(tmp_path / "run")
    for start in (0, 10, 20):
        part(tmp_path / "run", start, start + 10)
    return tmp_path / "run"


def test_a_run_killed_while_its_record_was_first_written(tmp_path: Path) -> None:
    (tmp_path / ".run.json.17-ab12cd34.tmp").write_text('{"state": "run')
    (tmp_path / ".lock").touch()
    begin(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "run.json"]


@pytest.mark.parametrize("name", [".run.json.bak", ".run.yaml.1.tmp", "thesis.tex"])
def test_what_no_run_has_made_is_in_the_way(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(RunError, match=name) as caught:
        begin(tmp_path)
    assert caught.value.code == ErrorCode.OUTPUT_EXISTS
    begin(tmp_path, overwrite=True)
    assert (tmp_path / name).exists()


#: What a record may have become, and what is said of it.
DAMAGED: list[tuple[str, str]] = [
    ("", "JSONDecodeError"),
    ('{"state": "running", "iden', "JSONDecodeError"),
    ("[" * 100_000, "RecursionError|JSONDecodeError"),
    ('{"rows": ' + "9" * 5000 + "}", "ValueError"),
    ("[]", "valid dictionary|Input should be"),
    ("null", "Input should be"),
    ("3", "Input should be"),
    ("{}", "identity: Field required"),
]
#: Keys of a record, and values that they can't have.
ODD: list[tuple[str, Any]] = [
    ("identity", []),
    ("attempts", []),
    ("attempts", {}),
    ("attempts", None),
    ("attempts", ["running"]),
    ("attempts", [{"state": "running"}]),
    ("attempts", [{"state": "running", "started": "yesterday"}]),
    ("attempts", [{"state": "running", "started": 17}]),
    ("fingerprint", None),
    ("rows", "many"),
    ("rows", -1),
    ("rows", None),
    ("state", 7),
]


def refusals(output: Path) -> list[RunError]:
    """What everybody says of a folder that is not in order."""
    found = []
    for look in (status_of, read_results, RunFolder.of, begin):
        with pytest.raises(RunError) as caught:
            look(output)
        assert caught.value.code == ErrorCode.RESUME_REFUSED
        assert "\n" not in caught.value.message
        found.append(caught.value)
    return found


@pytest.mark.parametrize(("text", "complaint"), DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_record_is_one_clear_line_and_removing_it_resumes(
    output: Path, text: str, complaint: str
) -> None:
    expected = read_results(output)
    (output / "run.json").write_text(text)
    for error in refusals(output):
        assert any(word in error.message for word in complaint.split("|")), error.message
        assert "remove it and run the same command again" in error.message
        assert "--overwrite" not in error.message
    (output / "run.json").unlink()
    begin(output)
    assert read_results(output).equals(expected)


@pytest.mark.parametrize(("key", "value"), ODD, ids=range(len(ODD)))
def test_an_odd_record_is_one_clear_line(output: Path, key: str, value: object) -> None:
    record(output, 30, **{key: value})
    assert all(key in error.message for error in refusals(output))
    values = json.loads((output / "run.json").read_text())
    del values[key]
    (output / "run.json").write_text(json.dumps(values))
    assert all(f"{key}: Field required" in error.message for error in refusals(output))


def test_a_record_that_is_a_folder(output: Path) -> None:
    (output / "run.json").unlink()
    (output / "run.json").mkdir()
    assert all("cannot be read" in error.message for error in refusals(output))


def test_another_run_does_not_take_a_folder_whose_record_is_gone(output: Path) -> None:
    (output / "run.json").unlink()
    with pytest.raises(RunError, match="results of a different run") as caught:
        begin(output, OTHER)
    assert caught.value.code == ErrorCode.RESUME_REFUSED
    assert len(list(output.glob("results/part-*"))) == 3
    begin(output, OTHER, overwrite=True)
    assert not list(output.glob("results/part-*"))


def test_missing_rows_are_refused_unless_asked_for(output: Path) -> None:
    (output / "results" / "part-0000000010-0000000020.parquet").unlink()
    with pytest.raises(RunError, match="results for 20 of 30 rows, none for row 10") as caught:
        read_results(output)
    assert caught.value.code == ErrorCode.ROWS_LOST
    assert read_results(output, ["row"], partial=True)["row"].to_pylist() == [*range(10), *range(20, 30)]


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_every_part_is_needed(output: Path, kept: int) -> None:
    for number, path in enumerate(sorted(output.glob("results/part-*"))):
        if number != kept:
            path.unlink()
    with pytest.raises(RunError, match="results for 10 of 30 rows"):
        read_results(output)


def test_file_names_decide_nothing(output: Path) -> None:
    expected = read_results(output)
    first, second, third = sorted(output.glob("results/part-*"))
    first.rename(output / "results" / "part-x.parquet")
    second.rename(first)
    third.rename(output / "results" / "part-0000000000-0000000030.parquet")
    assert read_results(output).equals(expected)


def test_parts_of_another_run_are_left_out(output: Path) -> None:
    expected = read_results(output)
    part(output, 0, 30, OTHER.fingerprint)
    part(output, 30, 40, OTHER.fingerprint)
    assert read_results(output).equals(expected)
    (output / "results" / "part-0000000010-0000000020.parquet").unlink()
    with pytest.raises(RunError, match="20 of 30 rows, none for row 10; 2 files are damaged or of another"):
        read_results(output)


def test_rows_that_the_inputs_do_not_have(output: Path) -> None:
    extra = part(output, 30, 40).path
    for partial in (False, True):
        with pytest.raises(RunError, match="beyond the 30") as caught:
            read_results(output, partial=partial)
        assert caught.value.code == ErrorCode.ROWS_LOST
        assert extra.name in caught.value.message


def test_only_the_folder_of_a_run_is_read(tmp_path: Path, output: Path) -> None:
    (output / "run.json").unlink()
    for folder in (tmp_path / "nowhere", tmp_path, output):
        with pytest.raises(RunError, match=r"(not the|no) folder of a run") as caught:
            read_results(folder)
        assert caught.value.code == ErrorCode.RESUME_REFUSED


def test_the_record_of_a_run_is_no_structure(tmp_path: Path, output: Path) -> None:
    (tmp_path / "NaCl.cif").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "run.json").write_text('{"@class": "Structure", "lattice": {}}')
    found = open_directory(tmp_path)
    assert found.names == ["NaCl.cif", "other/run.json"]
    before = found.digest
    assert found.describe()["ignored_endings"] == {"(records of runs)": 1, "(none)": 1, ".parquet": 3}
    begin(output)  # which changes the record
    assert open_directory(tmp_path).digest == before


def test_of_runs_that_begin_together_one_goes_on_and_the_others_are_told_so(tmp_path: Path) -> None:
    rounds, together = 30, 6
    start, end = Barrier(together, timeout=60), Barrier(together, timeout=60)

    def attempt(_: int) -> list[str]:
        outcomes = []
        for index in range(rounds):
            start.wait()
            try:
                with RunFolder(tmp_path / f"{index}" / "deep" / "run").opened(IDENTITY):
                    outcomes.append("begun")
                    end.wait()
            except RunError as error:
                outcomes.append(f"{error.code} {'another run' in error.message}")
                end.wait()
        return outcomes

    with ThreadPoolExecutor(together) as pool:
        found = zip(*pool.map(attempt, range(together)), strict=True)
        assert {tuple(sorted(outcomes)) for outcomes in found} == {
            ("OUTPUT_EXISTS True",) * (together - 1) + ("begun",)
        }
