from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from goldilocks_batch.core.errors import ErrorCode, InputError
from goldilocks_batch.structures.sources.reference import FilePayload, Format, Reference
from goldilocks_batch.structures.sources.sourceset import SourceSet, open_sources


def read_all(sources: SourceSet, step: int = 1000) -> list[Reference]:
    """All references, by way of pickled pieces as workers get them."""
    references = []
    for start in range(0, sources.rows, step):
        stop = min(start + step, sources.rows)
        pieces = pickle.loads(pickle.dumps(sources.pieces(start, stop)))
        found = [reference for piece in pieces for reference in piece.read()]
        assert len(found) == stop - start == sum(map(len, pieces))
        references += found
    return references


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")


def test_a_directory_gives_relative_ids_and_formats(tmp_path: Path) -> None:
    touch(tmp_path, "b.cif", "a/POSCAR", "a/deep/x.y.vasp", "a/CONTCAR_2", "m.extxyz", "s.JSON", "p.poscar")
    touch(tmp_path, "notes.txt", "a/OUTCAR", "a/b.txt")
    sources = open_sources([tmp_path])
    references = read_all(sources, step=2)
    formats = {r.id: r.payload.format for r in references if isinstance(r.payload, FilePayload)}
    assert formats == {
        "a/CONTCAR_2": Format.POSCAR,
        "a/POSCAR": Format.POSCAR,
        "a/deep/x.y": Format.POSCAR,
        "b": Format.CIF,
        "m": Format.XYZ,
        "p": Format.POSCAR,
        "s": Format.JSON,
    }
    assert [r.id for r in references] == sorted(formats)
    assert references[3].source == str(tmp_path / "b.cif")
    about = sources.describe()[0]
    assert about["kind"] == "directory"
    assert about["rows"] == 7
    assert about["ignored"] == 3
    assert about["ignored_endings"] == {".txt": 2, "(none)": 1}


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.cif", "out/b.cif")
    root = tmp_path / "in"
    (root / "file.cif").symlink_to(tmp_path / "out/b.cif")
    (root / "folder").symlink_to(tmp_path / "out", target_is_directory=True)
    (root / "loop").symlink_to(root, target_is_directory=True)
    (tmp_path / "out/back").symlink_to(root, target_is_directory=True)
    (root / "nowhere.cif").symlink_to(tmp_path / "gone.cif")
    assert [r.id for r in read_all(open_sources([root]))] == ["a", "file", "folder/b", "nowhere"]


def test_a_link_to_itself_is_an_input_that_cannot_be_listed(tmp_path: Path) -> None:
    touch(tmp_path, "a.cif")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    with pytest.raises(InputError, match="cannot be listed") as caught:
        open_sources([tmp_path])
    assert caught.value.code == ErrorCode.INPUT_UNREADABLE


@pytest.mark.skipif(os.name != "posix", reason="names of bytes are POSIX's")
def test_names_that_are_not_text_get_a_readable_id(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9.cif", "w"):  # noqa: PTH123 - bytes
        pass
    (reference,) = read_all(open_sources([tmp_path]))
    assert reference.id == "caf\\udce9"
    assert reference.source.encode("utf-8")
    assert isinstance(reference.payload, FilePayload)
    assert reference.payload.path.exists()


@pytest.mark.parametrize(("name", "expected"), [("Si.cif", "Si"), ("POSCAR", "POSCAR"), ("a.b.xyz", "a.b")])
def test_a_single_file_is_named_by_its_stem(name: str, expected: str, tmp_path: Path) -> None:
    touch(tmp_path, name)
    sources = open_sources([tmp_path / name])
    assert [r.id for r in read_all(sources)] == [expected]
    assert sources.describe()[0]["kind"] == "file"


def test_fingerprints_follow_content(tmp_path: Path) -> None:
    touch(tmp_path, "d/a.cif", "d/b.cif", "single.cif")
    before = [open_sources([tmp_path / "d"]).fingerprint, open_sources([tmp_path / "single.cif"]).fingerprint]
    again = [open_sources([tmp_path / "d"]).fingerprint, open_sources([tmp_path / "single.cif"]).fingerprint]
    assert before == again
    (tmp_path / "d/b.cif").write_text("other text")
    (tmp_path / "single.cif").write_text("tixt")
    after = [open_sources([tmp_path / "d"]).fingerprint, open_sources([tmp_path / "single.cif"]).fingerprint]
    assert before[0] != after[0]
    assert before[1] != after[1]
    (tmp_path / "d/b.cif").rename(tmp_path / "d/c.cif")
    assert open_sources([tmp_path / "d"]).fingerprint != after[0]


@pytest.mark.parametrize(
    ("name", "code"), [("absent.cif", ErrorCode.INPUT_NOT_FOUND), ("notes.txt", ErrorCode.FORMAT_UNKNOWN)]
)
def test_inputs_that_are_none(name: str, code: ErrorCode, tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    with pytest.raises(InputError, match=name) as caught:
        open_sources([tmp_path / name])
    assert caught.value.code == code


def test_nothing_to_read(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    with pytest.raises(InputError, match=r"1 other files \(\.txt 1\)") as caught:
        open_sources([tmp_path])
    assert caught.value.code == ErrorCode.INPUT_EMPTY
    with pytest.raises(InputError, match="none given"):
        open_sources([])
