from __future__ import annotations

import pickle
import tracemalloc
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldilocks_batch.core.errors import ErrorCode, InputError
from goldilocks_batch.structures.sources import sourceset
from goldilocks_batch.structures.sources.reference import FilePayload, Format, TextPayload
from goldilocks_batch.structures.sources.sourceset import SourceSet, open_sources


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> SourceSet:
    """A directory of 3, an archive of 2, a file, and a manifest of 7 rows in groups of 3."""
    root = tmp_path_factory.mktemp("mixed")
    (root / "d").mkdir()
    for name in ("d/a.cif", "d/b.cif", "d/c.cif", "single.vasp"):
        (root / name).write_text("text")
    with zipfile.ZipFile(root / "z.zip", "w") as archive:
        archive.writestr("za.cif", "text")
        archive.writestr("zb.cif", "text")
    table = pa.table({"id": [f"m{i}" for i in range(7)], "cif": ["text"] * 7})
    pq.write_table(table, root / "m.parquet", row_group_size=3)
    return open_sources([root / "d", root / "z.zip", root / "single.vasp", root / "m.parquet"])


IDS = ["a", "b", "c", "za", "zb", "single", *[f"m{i}" for i in range(7)]]


@given(limits=st.tuples(st.integers(0, 13), st.integers(0, 13)))
def test_pieces_give_exactly_their_rows(mixed: SourceSet, limits: tuple[int, int]) -> None:
    start, stop = sorted(limits)
    pieces = pickle.loads(pickle.dumps(mixed.pieces(start, stop)))
    assert [r.id for piece in pieces for r in piece.read()] == IDS[start:stop]


def test_mixed_inputs_are_one_sequence(mixed: SourceSet) -> None:
    assert mixed.rows == 13
    assert mixed.boundaries == (3, 5, 6, 9, 12, 13)
    kinds = [(about["kind"], about["rows"]) for about in mixed.describe()]
    assert kinds == [("directory", 3), ("archive", 2), ("file", 1), ("manifest", 7)]
    assert all(len(str(about["digest"])) == 64 for about in mixed.describe())
    with pytest.raises(IndexError):
        mixed.pieces(0, 14)


def test_the_order_of_inputs_is_part_of_the_fingerprint(mixed: SourceSet) -> None:
    paths = [Path(str(about["path"])) for about in mixed.describe()]
    assert open_sources(paths).fingerprint == mixed.fingerprint
    assert open_sources(paths[::-1]).fingerprint != mixed.fingerprint
    assert open_sources(paths[:-1]).fingerprint != mixed.fingerprint


def manifest(path: Path, ids: list[str]) -> Path:
    pq.write_table(pa.table({"id": ids, "cif": ["text"] * len(ids)}), path, row_group_size=10)
    return path


def test_duplicate_ids_are_named_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/m3.cif").write_text("text")
    path = manifest(tmp_path / "m.parquet", [f"m{i}" for i in range(50)])
    with pytest.raises(InputError) as caught:
        open_sources([path, tmp_path / "d"])
    assert caught.value.code == ErrorCode.DUPLICATE_ID
    assert f"'m3' in {path} (row 3) and {tmp_path / 'd'} (row 0)" in caught.value.message
    assert open_sources([path, tmp_path / "d"], check_ids=False).rows == 51


def test_ids_are_compared_in_bounded_memory_and_the_footer_is_parsed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, parsed, read = 300_000, [], pq.read_metadata

    def counted(path: Path) -> pq.FileMetaData:
        parsed.append(path)
        return read(path)

    path = tmp_path / "m.parquet"
    table = pa.table({"id": [f"structure-{i:08d}" for i in range(rows)], "cif": ["text"] * rows})
    pq.write_table(table, path, row_group_size=1000)
    del table
    monkeypatch.setattr(pq, "read_metadata", counted)
    tracemalloc.start()
    sources = open_sources([path])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sources.rows == rows
    assert peak < 18 * rows + 2**20  # a hash and its copy in order; one row group's ids
    assert len(parsed) == 1
    pieces = sources.pieces(1500, 3500)
    assert [len(piece) for piece in pieces] == [500, 1000, 500]
    assert [piece.read()[0].id for piece in pieces] == [f"structure-{i:08d}" for i in (1500, 2000, 3000)]
    assert len(parsed) == 1


def test_only_some_of_many_duplicates_are_named(tmp_path: Path) -> None:
    path = manifest(tmp_path / "m.parquet", [f"m{i % 40}" for i in range(400)])
    with pytest.raises(InputError) as caught:
        open_sources([path])
    assert caught.value.message.count(" and ") == 5


def test_the_same_stem_in_two_formats_is_a_duplicate_where_ids_are_strict(tmp_path: Path) -> None:
    for name in ("a.cif", "a.vasp"):
        (tmp_path / name).write_text("text")
    with pytest.raises(InputError, match="'a' in"):
        open_sources([tmp_path], strict_ids=True)


def test_equal_hashes_of_different_ids_are_no_duplicates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = manifest(tmp_path / "m.parquet", [f"m{i}" for i in range(30)])
    monkeypatch.setattr(sourceset, "hash", lambda _: 7, raising=False)
    assert open_sources([path]).rows == 30
    manifest(path, [f"m{i}" for i in range(29)] + ["m4"])
    with pytest.raises(InputError, match="'m4' in"):
        open_sources([path])


def test_pieces_do_not_depend_on_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest(tmp_path / "m.parquet", ["a"])
    (tmp_path / "b.cif").write_text("text")
    monkeypatch.chdir(tmp_path)
    pieces = open_sources([Path("m.parquet"), Path("b.cif")]).pieces(0, 2)
    monkeypatch.chdir("/")
    first, second = (reference.payload for piece in pieces for reference in piece.read())
    assert first == TextPayload(Format.CIF, "text")
    assert isinstance(second, FilePayload)
    assert second.path.read_text() == "text"
