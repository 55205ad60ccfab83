"""Ids of files: distinct, whatever folders, archives and endings they come with."""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldilocks_batch.core.errors import ErrorCode, InputError
from goldilocks_batch.structures.sources.formats import id_of
from goldilocks_batch.structures.sources.naming import Named, distinct
from goldilocks_batch.structures.sources.sourceset import SourceSet, open_sources


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"text of {name}")
    return root


def ids(sources: SourceSet) -> list[str]:
    found = [own for batch in sources.ids() for own in batch]
    pieces = sources.pieces(0, sources.rows)
    assert [name.id for piece in pieces for name in piece.names()] == found
    assert [reference.id for piece in pieces for reference in piece.read()] == found
    return found


def test_endings_tell_files_of_one_folder_apart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, "Si.cif", "Si.vasp", "Ge.cif", "POSCAR", "POSCAR.vasp", "POSCAR.gz")
    with caplog.at_level(logging.WARNING):
        assert ids(open_sources([tmp_path])) == [
            "Ge",
            "POSCAR",
            "POSCAR.gz",
            "POSCAR.vasp",
            "Si.cif",
            "Si.vasp",
        ]
    assert f"{tmp_path}/Si.cif is 'Si.cif'" in caplog.text
    assert "5 files" in caplog.text
    assert "Ge" not in caplog.text


def test_folders_tell_files_of_several_inputs_apart(tmp_path: Path) -> None:
    touch(tmp_path, "a/POSCAR", "a/x.cif", "b/POSCAR", "b/y.cif")
    assert ids(open_sources([tmp_path / "a", tmp_path / "b"])) == ["a/POSCAR", "x", "b/POSCAR", "y"]
    assert ids(open_sources([tmp_path / "a/POSCAR", tmp_path / "b/POSCAR"])) == ["a/POSCAR", "b/POSCAR"]
    assert ids(open_sources([tmp_path])) == ["a/POSCAR", "a/x", "b/POSCAR", "b/y"]


def test_archives_tell_their_members_apart(tmp_path: Path) -> None:
    touch(tmp_path, "a/Si.cif")
    for name in ("one.zip", "two.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("Si.cif", "text")
            archive.writestr(f"{name}.vasp", "text")
    found = ids(open_sources([tmp_path / "a", tmp_path / "one.zip", tmp_path / "two.zip"]))
    assert found == ["a/Si", "one.zip/Si", "one.zip", "two.zip/Si", "two.zip"]


def test_folders_of_one_name_need_more_of_their_paths(tmp_path: Path) -> None:
    touch(tmp_path, "2024/set/Si.cif", "2025/set/Si.cif", "2025/set/Si.vasp")
    found = ids(open_sources([tmp_path / "2024/set", tmp_path / "2025/set"]))
    assert found == ["2024/set/Si.cif", "2025/set/Si.cif", "2025/set/Si.vasp"]


def test_the_same_input_twice_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "Si.cif")
    with pytest.raises(InputError) as caught:
        open_sources([tmp_path, tmp_path / "Si.cif"])
    assert caught.value.code == ErrorCode.DUPLICATE_ID


@pytest.mark.parametrize("inputs", [["a", "b"], ["a/POSCAR", "b/POSCAR"], ["c"]])
def test_strict_ids_are_those_of_the_files_alone(inputs: list[str], tmp_path: Path) -> None:
    touch(tmp_path, "a/POSCAR", "b/POSCAR", "c/Si.cif", "c/Si.vasp")
    with pytest.raises(InputError) as caught:
        open_sources([tmp_path / name for name in inputs], strict_ids=True)
    assert caught.value.code == ErrorCode.DUPLICATE_ID


def test_what_files_are_called_is_part_of_what_they_are(tmp_path: Path) -> None:
    """Else a run that is resumed from a folder that was moved would have two kinds of ids."""
    touch(tmp_path, "a/Si.cif", "b/Si.cif")
    before = [about["ids"] for about in open_sources([tmp_path / "a", tmp_path / "b"]).describe()]
    (tmp_path / "b").rename(tmp_path / "c")
    after = [about["ids"] for about in open_sources([tmp_path / "a", tmp_path / "c"]).describe()]
    assert before[0] == after[0]
    assert before[1] != after[1]
    assert "ids" not in open_sources([tmp_path / "a"]).describe()[0]


PARTS = st.lists(
    st.sampled_from(["a", "b", "POSCAR", "Si.cif", "Si.vasp", "Si.cif.gz"]), min_size=1, max_size=3
)
FILES = st.lists(PARTS.map("/".join), unique=True, max_size=6)


@given(groups=st.lists(st.tuples(st.sampled_from(["/d/a", "/d/b", "/e/a", "/d/a.zip"]), FILES), max_size=4))
def test_ids_are_distinct_and_change_only_where_they_must(groups: list[tuple[str, list[str]]]) -> None:
    roots = [root for root, _ in groups]
    named = [Named(Path(root), names) for root, names in groups if roots.count(root) == 1]
    called = distinct(named)
    usual = [id_of(name) for group in named for name in group.names]
    found = [
        own.get(name, id_of(name)) for group, own in zip(named, called, strict=True) for name in group.names
    ]
    whole = [str(group.root / name) for group in named for name in group.names]
    if len(set(whole)) == len(whole):
        assert len(set(found)) == len(found)
    for before, after in zip(usual, found, strict=True):
        assert before == after or usual.count(before) > 1
