from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldilocks_batch.core.errors import ErrorCode, InputError, Stage
from goldilocks_batch.structures.crystal import SYMBOLS
from goldilocks_batch.structures.sources.reference import (
    ArraysPayload,
    FailedPayload,
    FilePayload,
    Format,
    Reference,
    TextPayload,
)
from goldilocks_batch.structures.sources.sourceset import SourceSet, open_sources

LATTICE = [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]
OPTIMADE: dict[str, list[Any]] = {
    "immutable_id": ["a", "b"],
    "lattice_vectors": [LATTICE, LATTICE],
    "cartesian_site_positions": [[[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]], [[0.0, 0.0, 0.0]]],
    "species_at_sites": [["Cs", "Cl"], ["Fe"]],
}
ASE: dict[str, list[Any]] = {
    "id": ["a", "b"],
    "cell": [LATTICE, LATTICE],
    "positions": OPTIMADE["cartesian_site_positions"],
    "atomic_numbers": [[55, 17], [26]],
}


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def read_all(sources: SourceSet, step: int = 1000) -> list[Reference]:
    references = []
    for start in range(0, sources.rows, step):
        for piece in sources.pieces(start, min(start + step, sources.rows)):
            references += pickle.loads(pickle.dumps(piece)).read()
    assert len(references) == sources.rows
    return references


def codes(references: list[Reference]) -> list[ErrorCode | None]:
    return [r.payload.error.code if isinstance(r.payload, FailedPayload) else None for r in references]


@pytest.mark.parametrize(
    ("column", "text_format"), [("cif", Format.CIF), ("poscar", Format.POSCAR), ("structure", Format.JSON)]
)
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_texts(column: str, text_format: Format, kind: pa.DataType, tmp_path: Path) -> None:
    texts = pa.array(["one", None, "three"]).cast(kind)
    path = write(tmp_path / "m.parquet", {"id": ["x", "y", "z"], column: texts})
    one, null, three = read_all(open_sources([path]))
    assert one == Reference("x", f"{path}:0", TextPayload(text_format, "one"))
    assert three == Reference("z", f"{path}:2", TextPayload(text_format, "three"))
    assert isinstance(null.payload, FailedPayload)
    error = null.payload.error
    assert (error.code, error.stage, error.structure_id) == (ErrorCode.NULL_VALUE, Stage.READ, "y")


@pytest.mark.parametrize("columns", [OPTIMADE, ASE, {**ASE, "pbc": [[True, True, True]] * 2}])
def test_arrays(columns: dict[str, list[Any]], tmp_path: Path) -> None:
    path = write(tmp_path / "m.parquet", columns)
    first, second = (r.payload for r in read_all(open_sources([path]), step=1))
    assert isinstance(first, ArraysPayload)
    assert isinstance(second, ArraysPayload)
    assert first.cartesian
    assert first.lattice.tolist() == LATTICE
    assert first.positions.tolist() == [[0, 0, 0], [2, 2, 2]]
    assert second.positions.tolist() == [[0, 0, 0]]
    assert list(first.species) in (["Cs", "Cl"], [55, 17])


def test_optional_optimade_columns(tmp_path: Path) -> None:
    species = json.dumps([{"name": "Fe", "chemical_symbols": ["Fe"], "concentration": [1]}])
    extra = {"species": [species, species], "dimension_types": [[1, 1, 0], [1, 1, 1]]}
    path = write(tmp_path / "m.parquet", OPTIMADE | extra)
    payload = read_all(open_sources([path]))[0].payload
    assert isinstance(payload, ArraysPayload)
    assert payload.definitions == species
    assert payload.pbc is not None
    assert payload.pbc.tolist() == [True, True, False]


def change(columns: dict[str, list[Any]], name: str, value: Any) -> dict[str, list[Any]]:
    """The same two rows, the first one's ``name`` replaced."""
    return columns | {name: [value, columns[name][1]]}


PBC = ASE | {"pbc": [[True, True, True]] * 2}
DIMENSIONS = OPTIMADE | {"dimension_types": [[1, 1, 1]] * 2, "species": ["[]", "[]"]}


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        (change(OPTIMADE, "lattice_vectors", None), ErrorCode.NULL_VALUE),
        (change(OPTIMADE, "lattice_vectors", [LATTICE[0], None, LATTICE[2]]), ErrorCode.NULL_VALUE),
        (change(OPTIMADE, "cartesian_site_positions", None), ErrorCode.NULL_VALUE),
        (change(OPTIMADE, "cartesian_site_positions", [[0.0, None, 0.0]]), ErrorCode.NULL_VALUE),
        (change(OPTIMADE, "species_at_sites", None), ErrorCode.NULL_VALUE),
        (change(OPTIMADE, "species_at_sites", ["Cs", None]), ErrorCode.NULL_VALUE),
        (change(DIMENSIONS, "dimension_types", [1, None, 1]), ErrorCode.NULL_VALUE),
        (change(DIMENSIONS, "species", None), ErrorCode.NULL_VALUE),
        (change(OPTIMADE, "immutable_id", None), ErrorCode.NULL_VALUE),
        (change(PBC, "pbc", None), ErrorCode.NULL_VALUE),
        (change(PBC, "pbc", [True]), ErrorCode.SHAPE_MISMATCH),
        (change(ASE, "atomic_numbers", [55, None]), ErrorCode.NULL_VALUE),
        (change(ASE, "atomic_numbers", [55]), ErrorCode.SHAPE_MISMATCH),
        (change(ASE, "cell", LATTICE[:2]), ErrorCode.SHAPE_MISMATCH),
        (change(ASE, "cell", []), ErrorCode.SHAPE_MISMATCH),
        (change(ASE, "positions", [[0.0, 0.0], [2.0, 2.0, 2.0, 2.0]]), ErrorCode.SHAPE_MISMATCH),
        (change(ASE, "positions", [[0.0, 0.0, 0.0]]), ErrorCode.SHAPE_MISMATCH),
    ],
)
def test_a_bad_row_fails_alone(columns: dict[str, list[Any]], code: ErrorCode, tmp_path: Path) -> None:
    references = read_all(open_sources([write(tmp_path / "m.parquet", columns)]))
    assert codes(references) == [code, None]
    assert references[1].id == "b"


@given(
    sites=st.lists(st.integers(1, 6), min_size=1, max_size=12),
    seed=st.integers(0, 2**32 - 1),
    group=st.integers(1, 5),
    step=st.integers(1, 7),
    dialect=st.sampled_from(["optimade", "ase", "flat"]),
)
@settings(max_examples=40)
def test_round_trips(
    sites: list[int],
    seed: int,
    group: int,
    step: int,
    dialect: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    rng = np.random.default_rng(seed)
    cells = [rng.normal(size=(3, 3)) for _ in sites]
    positions = [rng.normal(size=(n, 3)) for n in sites]
    numbers = [rng.integers(1, 119, n) for n in sites]
    columns: dict[str, Any] = {"id": [f"s{i}" for i in range(len(sites))]}
    if dialect == "optimade":
        columns["lattice_vectors"] = [c.tolist() for c in cells]
        columns["cartesian_site_positions"] = [p.tolist() for p in positions]
        columns["species_at_sites"] = [[SYMBOLS[z] for z in n] for n in numbers]
    elif dialect == "ase":
        columns["cell"] = pa.array([c.tolist() for c in cells], pa.list_(pa.list_(pa.float64(), 3), 3))
        columns["pos"] = pa.array([p.tolist() for p in positions], pa.large_list(pa.list_(pa.float64())))
        columns["atomic_numbers"] = pa.array(numbers, pa.list_(pa.uint8()))
    else:
        columns["cell"] = [c.ravel() for c in cells]
        columns["positions"] = [p.ravel() for p in positions]
        columns["atomic_numbers"] = numbers
    path = tmp_path_factory.mktemp("round") / "m.parquet"
    sources = open_sources([write(path, columns, row_group_size=group)])
    references = read_all(sources, step)
    assert [r.id for r in references] == columns["id"]
    for reference, cell, position, number in zip(references, cells, positions, numbers, strict=True):
        payload = reference.payload
        assert isinstance(payload, ArraysPayload)
        assert np.array_equal(payload.lattice, cell)
        assert np.array_equal(payload.positions, position)
        found = [SYMBOLS.index(s) if isinstance(s, str) else int(s) for s in payload.species]
        assert found == number.tolist()


def test_paths_stay_in_the_folder_unless_allowed(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    outside = tmp_path / "out.cif"
    for path in (outside, folder / "a.cif"):
        path.write_text("text")
    (folder / "link.cif").symlink_to(outside)
    names: list[str | None] = ["a.cif", "./x/../a.cif", str(folder / "a.cif"), "link.cif", "gone.cif"]
    names += ["../out.cif", str(outside), "../gone.cif", "notes.txt", "", None, "in/../../out.cif"]
    manifest = write(folder / "m.parquet", {"id": range(len(names)), "path": names})
    references = read_all(open_sources([manifest]))
    assert [r.id for r in references] == [str(i) for i in range(len(names))]
    assert codes(references) == [
        *[None] * 5,
        *[ErrorCode.PATH_FORBIDDEN] * 3,
        ErrorCode.FORMAT_UNKNOWN,
        ErrorCode.FILE_NOT_FOUND,
        ErrorCode.NULL_VALUE,
        ErrorCode.PATH_FORBIDDEN,
    ]
    paths = [r.payload.path for r in references if isinstance(r.payload, FilePayload)]
    assert paths[:3] == [folder / "a.cif"] * 3
    allowed = read_all(open_sources([manifest], allow_outside=True))
    assert codes(allowed)[5:8] == [None] * 3
    assert isinstance(allowed[5].payload, FilePayload)
    assert allowed[5].payload.path == outside


def test_the_fingerprint_of_paths_covers_the_files(tmp_path: Path) -> None:
    (tmp_path / "a.cif").write_text("text")
    manifest = write(tmp_path / "m.parquet", {"path": ["a.cif", "gone.cif"]})
    before = open_sources([manifest]).fingerprint
    assert open_sources([manifest]).fingerprint == before
    (tmp_path / "a.cif").write_text("longer text")
    changed = open_sources([manifest]).fingerprint
    (tmp_path / "gone.cif").write_text("found")
    assert len({before, changed, open_sources([manifest]).fingerprint}) == 3


def test_ids_without_a_column_are_numbered(tmp_path: Path) -> None:
    path = write(tmp_path / "set.parquet", {"cif": ["x"] * 5}, row_group_size=2)
    assert [r.id for r in read_all(open_sources([path]))] == [f"set:{i}" for i in range(5)]


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"id": ["a"], "formula": ["x"]}, "no dialect"),
        ({"id": ["a"], "lattice_vectors": [LATTICE]}, "no dialect"),
        ({"cif": ["x"], "poscar": ["y"]}, "more than one: cif, poscar"),
        ({"cif": OPTIMADE["immutable_id"], **OPTIMADE}, "more than one: cif, optimade"),
        ({"pos": ASE["positions"], **ASE}, "both positions and pos"),
        ({"cif": [1.5]}, "column cif is double, the dialect cif needs text"),
        ({"structure": [[1.5]]}, "column structure is list"),
        (
            {"species": [1.5, 2.5], **{k: OPTIMADE[k] for k in OPTIMADE if k != "species"}},
            "column species is double",
        ),
        (ASE | {"atomic_numbers": ["Fe", "Fe"]}, "column atomic_numbers is string"),
        (ASE | {"cell": ["4 0 0", "x"]}, "column cell is string"),
        (ASE | {"id": [1.5, 2.5]}, "id column id is double"),
    ],
)
def test_columns_that_make_no_manifest(columns: dict[str, Any], found: str, tmp_path: Path) -> None:
    path = write(tmp_path / "m.parquet", columns)
    with pytest.raises(InputError, match=found) as caught:
        open_sources([path])
    assert caught.value.code == ErrorCode.MANIFEST_DIALECT
    assert str(path) in caught.value.message


def test_the_message_names_columns_found_and_needed(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        open_sources([write(tmp_path / "m.parquet", {"uid": ["a"], "formula": ["x"]})])
    for name in ("uid", "formula", "species_at_sites", "positions or pos", "poscar", "path"):
        assert name in caught.value.message


@pytest.mark.parametrize("damage", ["empty", "text", "footer", "truncated"])
def test_a_file_that_is_no_parquet(damage: str, tmp_path: Path) -> None:
    path = write(tmp_path / "m.parquet", ASE)
    data = path.read_bytes()
    footer = data[:-200] + b"\xff" * 192 + data[-8:]
    path.write_bytes({"empty": b"", "text": b"id,cif\n", "footer": footer, "truncated": data[:-100]}[damage])
    with pytest.raises(InputError, match="no readable Parquet") as caught:
        open_sources([path])
    assert caught.value.code == ErrorCode.INPUT_UNREADABLE


def spoil(path: Path, group: int, column: str) -> None:
    """Overwrite the data pages of one column chunk."""
    metadata = pq.read_metadata(path).row_group(group)
    chunk = next(
        metadata.column(i)
        for i in range(metadata.num_columns)
        if metadata.column(i).path_in_schema.startswith(column)
    )
    data = bytearray(path.read_bytes())
    start = chunk.data_page_offset
    data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(data)


@pytest.mark.parametrize("column", ["cif", "id"])
def test_a_corrupt_page_fails_the_rows_of_its_row_group(column: str, tmp_path: Path) -> None:
    columns = {"id": [f"s{i}" for i in range(9)], "cif": [f"text {i}" for i in range(9)]}
    path = write(tmp_path / "m.parquet", columns, row_group_size=3, use_dictionary=False)
    spoil(path, 1, column)
    references = read_all(open_sources([path]), step=2)
    assert codes(references) == [None] * 3 + [ErrorCode.FILE_UNREADABLE] * 3 + [None] * 3
    named = [f"s{i}" for i in range(3, 6)] if column == "cif" else [f"m:{i}" for i in range(3, 6)]
    assert [r.id for r in references[3:6]] == named


def test_a_flipped_byte_is_caught_by_the_page_checksum(tmp_path: Path) -> None:
    columns = {"id": ["a", "b"], "cif": ["first text", "other text"]}
    path = write(
        tmp_path / "m.parquet", columns, use_dictionary=False, compression="none", write_page_checksum=True
    )
    path.write_bytes(path.read_bytes().replace(b"other text", b"0ther text"))
    assert codes(read_all(open_sources([path]))) == [ErrorCode.FILE_UNREADABLE] * 2


def test_a_manifest_that_vanished_fails_its_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "m.parquet", ASE)
    sources = open_sources([path])
    path.unlink()
    references = read_all(sources)
    assert codes(references) == [ErrorCode.FILE_UNREADABLE] * 2
    assert [r.id for r in references] == ["m:0", "m:1"]


def test_an_unknown_version_of_the_own_dialect_is_refused(tmp_path: Path) -> None:
    table = pa.table({"id": ["a"], "cell": [[1.0] * 9], "frac": [[0.0] * 3], "numbers": [[1]]})
    pq.write_table(table.replace_schema_metadata({"goldilocks_batch.manifest": "99"}), tmp_path / "m.parquet")
    with pytest.raises(InputError, match="version 99"):
        open_sources([tmp_path / "m.parquet"])
