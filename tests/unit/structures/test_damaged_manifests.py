"""Manifests with rows that cannot be read: each costs one row, and no other loses its id."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goldilocks_batch.core.errors import ErrorCode, InputError
from goldilocks_batch.structures.sources import row_groups
from goldilocks_batch.structures.sources.reference import ArraysPayload, FailedPayload, TextPayload
from goldilocks_batch.structures.sources.sourceset import open_sources
from tests.unit.structures.test_parquet import LATTICE, codes, read_all, write


def text_of(values: list[bytes | None], *, large: bool = False) -> pa.Array:
    """A column that says it is text, of any bytes."""
    array = pa.array(values, pa.large_binary() if large else pa.binary())
    kind = pa.large_string() if large else pa.string()
    return pa.Array.from_buffers(kind, len(array), array.buffers())


@pytest.mark.parametrize("large", [False, True])
def test_a_text_that_is_no_utf8_is_read_as_in_a_file(large: bool, tmp_path: Path) -> None:
    texts: list[bytes | None] = [f"text {i}".encode() for i in range(50)]
    texts[7] = b"caf\xe9"
    path = write(tmp_path / "m.parquet", {"cif": text_of(texts, large=large)})
    references = read_all(open_sources([path]))
    assert codes(references) == [None] * 50
    found = [r.payload.text for r in references if isinstance(r.payload, TextPayload)]
    assert found[7] == "caf\ufffd"
    assert found[8] == "text 8"


@pytest.mark.parametrize("column", ["poscar", "path", "species"])
def test_bytes_that_are_no_utf8_cost_one_row(column: str, tmp_path: Path) -> None:
    names: list[bytes | None] = [b"[]"] * 50
    names[7] = b"\xe9\xff"
    columns: dict[str, Any] = {column: text_of(names)}
    if column == "species":
        columns |= {
            "lattice_vectors": [LATTICE] * 50,
            "cartesian_site_positions": [[[0.0, 0.0, 0.0]]] * 50,
            "species_at_sites": [["Fe"]] * 50,
        }
    references = read_all(open_sources([write(tmp_path / "m.parquet", columns)]))
    assert [r.id for r in references] == [f"m:{row}" for row in range(50)]
    others = codes(references[:7] + references[8:])
    assert others == ([ErrorCode.FORMAT_UNKNOWN] if column == "path" else [None]) * 49
    if column == "species":
        assert codes(references)[7] == ErrorCode.FILE_UNREADABLE


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("dictionary", [False, True])
def test_an_id_that_is_no_utf8_costs_its_row_and_no_other_its_id(
    large: bool, dictionary: bool, tmp_path: Path
) -> None:
    ids: list[bytes | None] = [f"id-{i}".encode() for i in range(50)]
    ids[7], ids[9] = b"caf\xe9", None
    columns = {"id": text_of(ids, large=large), "cif": ["text"] * 50}
    path = write(tmp_path / "m.parquet", columns, use_dictionary=dictionary)
    sources = open_sources([path])
    references = read_all(sources)
    expected = [f"id-{i}" for i in range(50)]
    expected[7], expected[9] = "caf\\xe9", "m:9"
    assert [r.id for r in references] == expected
    found = codes(references)
    assert (found[7], found[9]) == (ErrorCode.ID_INVALID, ErrorCode.NULL_VALUE)
    assert found.count(None) == 48
    assert [name.id for piece in sources.pieces(0, 50) for name in piece.names()] == expected


def test_text_that_is_laid_out_as_views_is_text(tmp_path: Path) -> None:
    ids = pa.array(["a", None, "an id of more than twelve bytes"], pa.string_view())
    path = write(tmp_path / "m.parquet", {"id": ids, "cif": pa.array(["text"] * 3, pa.string_view())})
    references = read_all(open_sources([path]))
    assert [r.id for r in references] == ["a", "m:1", "an id of more than twelve bytes"]
    assert codes(references) == [None, ErrorCode.NULL_VALUE, None]


def test_names_are_those_of_the_references_without_reading_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "m.parquet", {"id": ["a", "b", "c"], "cif": ["text"] * 3}, row_group_size=2)
    pieces = open_sources([path]).pieces(0, 3)
    expected = [(r.id, r.source) for piece in pieces for r in piece.read()]
    monkeypatch.setattr(row_groups, "decoder", None)
    row_groups.decoded.cache_clear()
    assert [tuple(name) for piece in pieces for name in piece.names()] == expected


def test_a_row_of_endless_lists_costs_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_groups, "_MANY", 20_000)
    monkeypatch.setattr(row_groups, "_LONGEST", 3_000)
    monkeypatch.setattr(row_groups, "_BATCH", 7)
    sizes = random.Random(0).choices([1, 2, 3], k=50)
    numbers = [[26] * size for size in sizes]
    frac = [[float(i)] * 3 * size for i, size in enumerate(sizes)]
    numbers[20] = [26] * 100_000
    numbers[21], frac[21] = [26] * 50_000, [0.0] * 150_000
    columns = {"id": [f"id-{i}" for i in range(50)], "cell": [np.ravel(LATTICE)] * 50}
    path = write(tmp_path / "m.parquet", {**columns, "frac": frac, "numbers": numbers})
    references = read_all(open_sources([path]), step=13)
    assert [r.id for r in references] == columns["id"]
    assert [row for row, code in enumerate(codes(references)) if code == ErrorCode.TOO_MANY_SITES] == [20, 21]
    assert codes(references).count(None) == 48
    for row, reference in enumerate(references):
        if isinstance(reference.payload, ArraysPayload):
            assert len(reference.payload.species) == sizes[row]
            assert (reference.payload.positions == row).all()


def test_a_damaged_page_of_one_row_group_costs_its_rows(tmp_path: Path) -> None:
    texts = [random.Random(row).randbytes(50).hex() for row in range(40)]
    columns = {"id": [f"id-{i}" for i in range(40)], "cif": texts}
    options = {"row_group_size": 10, "use_dictionary": False, "write_page_checksum": True}
    path = write(tmp_path / "m.parquet", columns, **options)
    chunk = pq.read_metadata(path).row_group(2).column(1)
    place = chunk.data_page_offset + chunk.total_compressed_size - 60
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(data)
    references = read_all(open_sources([path]))
    assert [r.id for r in references] == columns["id"]
    assert codes(references) == [None] * 20 + [ErrorCode.FILE_UNREADABLE] * 10 + [None] * 10


@pytest.mark.parametrize("name", ["cif", "id"])
def test_a_column_that_is_there_twice_is_refused(name: str, tmp_path: Path) -> None:
    arrays = [pa.array(["a"]), pa.array(["text"]), pa.array(["b"])]
    pq.write_table(pa.Table.from_arrays(arrays, ["id", "cif", name]), tmp_path / "m.parquet")
    with pytest.raises(InputError, match=rf"more than once|more than one column {name}") as caught:
        open_sources([tmp_path / "m.parquet"])
    assert caught.value.code == ErrorCode.MANIFEST_DIALECT


def test_a_row_that_fails_does_so_with_its_own_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "m.parquet", {"cif": text_of([b"a", None])})
    (_, second) = read_all(open_sources([path]))
    assert isinstance(second.payload, FailedPayload)
    assert second.payload.error.code == ErrorCode.NULL_VALUE
