"""Files of many structures as JSON: every entry a row, read by itself."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldilocks_batch.core.errors import ErrorCode, InputError, StructureError
from goldilocks_batch.structures.crystal import formula
from goldilocks_batch.structures.outcome import ReadOptions
from goldilocks_batch.structures.read import read
from goldilocks_batch.structures.sources.entries import EntriesSource
from goldilocks_batch.structures.sources.reference import Reference, TextPayload
from goldilocks_batch.structures.sources.sourceset import SourceSet, open_sources

CELL = [[4.12, 0, 0], [0, 4.12, 0], [0, 0, 4.12]]
PLACES: list[list[float]] = [[0, 0, 0], [2.06, 2.06, 2.06]]
PAIRS = (("Cs", "Cl"), ("Na", "Cl"), ("Fe", "Al"))
NUMBERS = {"Cs": 55, "Cl": 17, "Na": 11, "Fe": 26, "Al": 13}


def pymatgen(pair: tuple[str, str]) -> dict[str, Any]:
    sites = [
        {"species": [{"element": name, "occu": 1}], "abc": [place / 4.12 for place in places], "label": "Å"}
        for name, places in zip(pair, PLACES, strict=True)
    ]
    return {"@class": "Structure", "lattice": {"matrix": CELL}, "sites": sites}


def jarvis(pair: tuple[str, str]) -> dict[str, Any]:
    coords = [[0, 0, 0], [0.5, 0.5, 0.5]]
    return {"lattice_mat": CELL, "coords": coords, "elements": list(pair), "cartesian": False}


def optimade(pair: tuple[str, str], **more: Any) -> dict[str, Any]:
    about = {"lattice_vectors": CELL, "cartesian_site_positions": PLACES, "species_at_sites": list(pair)}
    return {"type": "structures", "attributes": {**about, **more}}


def ase(pair: tuple[str, str]) -> dict[str, Any]:
    return {"cell": CELL, "positions": PLACES, "numbers": [NUMBERS[name] for name in pair], "pbc": [1, 1, 1]}


FORMS: dict[str, tuple[Any, str]] = {
    "list of structures": (lambda p, _: pymatgen(p), "m:{}"),
    "documents": (lambda p, i: {"material_id": f"mp-{i}", "structure": pymatgen(p), "nsites": 2}, "mp-{}"),
    "entries": (lambda p, i: {"entry_id": f"e-{i}", "structure": pymatgen(p), "energy": -1.0}, "e-{}"),
    "JARVIS": (lambda p, i: {"jid": f"JVASP-{i}", "atoms": jarvis(p), "spg": 221}, "JVASP-{}"),
    "JARVIS atoms": (lambda p, _: jarvis(p), "m:{}"),
    "OPTIMADE": (lambda p, i: {"id": f"o/{i}", **optimade(p)}, "o/{}"),
    "ASE": (lambda p, i: {"id": i, "atoms": ase(p)}, "{}"),
}


def outcomes(sources: SourceSet, step: int = 100) -> dict[str, str]:
    found: dict[str, str] = {}
    for start in range(0, sources.rows, step):
        for piece in pickle.loads(pickle.dumps(sources.pieces(start, min(start + step, sources.rows)))):
            for reference in piece.read():
                try:
                    found[reference.id] = formula(read(reference, ReadOptions(1000)).crystal.numbers)
                except StructureError as error:
                    found[reference.id] = str(error.code)
    assert len(found) == sources.rows
    return found


def whole(container: str, entries: list[Any]) -> str:
    if container == "lines":
        return "\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    content = {"list": entries, "answer": {"links": {"next": None}, "data": entries, "meta": {}}}
    content |= {"dump": {"entries": entries}}
    return json.dumps(content[container], indent=1, ensure_ascii=False)


@pytest.mark.parametrize("container", ["list", "lines", "answer", "dump"])
@pytest.mark.parametrize("form", FORMS)
def test_every_entry_is_a_row(form: str, container: str, tmp_path: Path) -> None:
    make, ids = FORMS[form]
    path = tmp_path / ("m.jsonl" if container == "lines" else "m.json")
    path.write_text(whole(container, [make(pair, i) for i, pair in enumerate(PAIRS)]), encoding="utf-8")
    sources = open_sources([path])
    expected = {ids.format(0): "CsCl", ids.format(1): "NaCl", ids.format(2): "AlFe"}
    assert outcomes(sources) == expected
    assert outcomes(sources, step=1) == expected
    assert sources.describe()[0]["kind"] == "entries"


@pytest.mark.parametrize("name", ["m.json.gz", "m.json.bz2", "m.json.xz", "m.jsonl.gz", "m.ndjson.xz"])
def test_compressed_files_of_entries(name: str, tmp_path: Path) -> None:
    compressors: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress}
    compress = compressors.get(Path(name).suffix, lzma.compress)
    text = whole("list" if ".json." in name else "lines", [optimade(pair) for pair in PAIRS])
    (tmp_path / name).write_bytes(compress(text.encode()))
    expected = {"m:0": "CsCl", "m:1": "NaCl", "m:2": "AlFe"}
    assert outcomes(open_sources([tmp_path / name]), step=1) == expected
    # in any order: compressed streams only go forward
    sources = open_sources([tmp_path / name])
    for row in (2, 0, 1):
        (reference,) = sources.pieces(row, row + 1)[0].read()
        assert isinstance(reference.payload, TextPayload)
        assert json.loads(reference.payload.text) == optimade(PAIRS[row])


def test_a_table_by_ids(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps({f"mp-{i}": pymatgen(p) for i, p in enumerate(PAIRS)}))
    assert outcomes(open_sources([tmp_path / "m.json"])) == {"mp-0": "CsCl", "mp-1": "NaCl", "mp-2": "AlFe"}


def test_a_dump_of_optimade(tmp_path: Path) -> None:
    species = [{"name": "M", "chemical_symbols": ["Na", "K"], "concentration": [0.5, 0.5]}]
    lines = [
        {"x-optimade": {"meta": {"api_version": "1.1.0"}}},
        {"type": "info", "id": "structures", "properties": {}},
        {"id": "a", **optimade(PAIRS[0], dimension_types=[1, 1, 0])},
        {"id": "b", **optimade(("M", "Cl"), species=species)},
        {"id": "ref", "type": "references", "attributes": {}},
        {"id": "c", "type": "structures", "attributes": {}},
        {"id": "d", **optimade(("Cs", "X"))},
    ]
    text = "\ufeff" + "\n\n".join(map(json.dumps, lines)) + "\n{broken\n"
    (tmp_path / "m.jsonl").write_text(text, encoding="utf-8")
    sources = open_sources([tmp_path / "m.jsonl"])
    assert outcomes(sources) == {
        "a": "CsCl",
        "b": "PARTIAL_OCCUPANCY",
        "c": "NO_STRUCTURE",
        "d": "SPECIES_UNKNOWN",
        "m:4": "PARSE_FAILED",
    }
    assert sources.ignored == {"(header)": 1, "(info)": 1, "(references)": 1}
    (reference,) = sources.pieces(0, 1)[0].read()
    assert read(reference, ReadOptions(9)).crystal.pbc.tolist() == [True, True, False]


def test_an_entry_that_is_not_understood_is_named_by_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(
        json.dumps([{"jid": "a", "formula": "NaCl"}, {"jid": "b", **optimade(PAIRS[0])}])
    )
    sources = open_sources([tmp_path / "m.json"])
    assert outcomes(sources) == {"a": "NO_STRUCTURE", "b": "CsCl"}
    (reference,) = sources.pieces(0, 1)[0].read()
    with pytest.raises(StructureError, match=r"keys jid, formula: no structure.*JARVIS \(coords, elements"):
        read(reference, ReadOptions(9))


def test_ids_of_entries_may_be_named(tmp_path: Path) -> None:
    entries = [
        {"id": "same", "data": {"mat_id": f"agm-{i}"}, "structure": pymatgen(p)} for i, p in enumerate(PAIRS)
    ]
    (tmp_path / "m.json").write_text(json.dumps(entries))
    with pytest.raises(InputError) as caught:
        open_sources([tmp_path / "m.json"])
    assert caught.value.code == ErrorCode.DUPLICATE_ID
    assert list(outcomes(open_sources([tmp_path / "m.json"], id_column="mat_id"))) == [
        "agm-0",
        "agm-1",
        "agm-2",
    ]


@pytest.mark.parametrize("container", ["list", "dump", "answer"])
@pytest.mark.parametrize("keep", [0.5, 0.9, 0.999])
def test_a_file_that_is_cut_is_refused(container: str, keep: float, tmp_path: Path) -> None:
    text = whole(container, [jarvis(pair) for pair in PAIRS * 3]).rstrip('\n}] "meta:{,')
    (tmp_path / "m.json").write_text(text[: int(len(text) * keep)])
    with pytest.raises(InputError, match="cut or damaged after") as caught:
        open_sources([tmp_path / "m.json"])
    assert caught.value.code == ErrorCode.INPUT_UNREADABLE


ALONE = [
    pymatgen(PAIRS[0]),
    jarvis(PAIRS[0]),
    optimade(PAIRS[0]),
    [ase(PAIRS[0])],
    {"structure": pymatgen(PAIRS[0])},
    {"data": {"id": "x", **optimade(PAIRS[0])}},
]


def test_coordinates_of_a_kind_that_is_not_said_are_refused(tmp_path: Path) -> None:
    content = jarvis(PAIRS[0])
    fractional = content.pop("cartesian")
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert outcomes(open_sources([tmp_path / "a.json"])) == {"a": "PARSE_FAILED"}
    (tmp_path / "a.json").write_text(json.dumps(content | {"coords": PLACES, "cartesian": not fractional}))
    assert outcomes(open_sources([tmp_path / "a.json"])) == {"a": "CsCl"}


@pytest.mark.parametrize("content", ALONE)
def test_a_file_of_one_structure_is_one_row(content: Any, tmp_path: Path) -> None:
    (tmp_path / "Si.json").write_text(json.dumps(content))
    sources = open_sources([tmp_path / "Si.json"])
    assert outcomes(sources) == {"Si": "CsCl"}
    assert not isinstance(sources.sources[0], EntriesSource)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(
    values=st.lists(JSON, min_size=2, max_size=6), indent=st.sampled_from([None, 1]), ascii_only=st.booleans()
)
def test_every_value_of_a_list_is_found_where_it_stands(
    values: list[Any], indent: int | None, ascii_only: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("values") / "m.json"
    path.write_text(json.dumps(values, indent=indent, ensure_ascii=ascii_only), "utf-8", "surrogatepass")
    if b"\xed" in path.read_bytes():  # a lone surrogate is no UTF-8 at all
        return
    sources = open_sources([path], check_ids=False)
    references: list[Reference] = [r for piece in sources.pieces(0, sources.rows) for r in piece.read()]
    texts = [r.payload.text for r in references if isinstance(r.payload, TextPayload)]
    kept = [
        v
        for v in values
        if not (isinstance(v, dict) and ("x-optimade" in v or isinstance(v.get("type"), str)))
    ]
    assert [json.loads(text) for text in texts] == kept
