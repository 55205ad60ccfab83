from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.runs import manifest
from goldilocks_batch.runs.manifest import MANIFEST_SCHEMA, write_manifest
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.read import load
from goldilocks_batch.structures.sources.reference import Reference
from goldilocks_batch.structures.sources.sourceset import SourceSet, open_sources

POSCAR = "CsCl\n1.0\n4 0 0\n0 4 0\n0 0 4\nCs Cl\n1 1\ndirect\n0 0 0\n0.5 0.5 {z}\n"


def crystals_of(sources: SourceSet) -> dict[str, Crystal]:
    pieces = sources.pieces(0, sources.rows)
    return {r.id: load(r, max_sites=50) for piece in pieces for r in piece.read()}


def poscars(path: Path, count: int) -> Path:
    """Structures, every fifth of them broken."""
    texts = [POSCAR.format(z="nan" if i % 5 == 4 else 0.5 + i / 1e3) for i in range(count)]
    pq.write_table(pa.table({"id": [f"s{i}" for i in range(count)], "poscar": texts}), path)
    return path


def test_sound_structures_are_kept_and_broken_ones_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "GROUP_ROWS", 4)
    sources = open_sources([poscars(tmp_path / "in.parquet", 23)])
    summary = write_manifest(sources, tmp_path / "out.parquet", max_sites=50)
    assert (summary.rows, summary.failed) == (19, 4)
    assert summary.failures_path == tmp_path / "out.failures.parquet"
    failures = pq.read_table(summary.failures_path).to_pylist()
    assert [row["id"] for row in failures] == ["s4", "s9", "s14", "s19"]
    assert {(row["stage"], row["error_code"]) for row in failures} == {("check", "NOT_FINITE")}
    assert failures[0]["source"] == f"{tmp_path / 'in.parquet'}:4"
    written = open_sources([summary.path])
    assert written.describe()[0]["dialect"] == "goldilocks"
    assert written.boundaries == (4, 8, 12, 16, 19)
    again = crystals_of(written)
    assert list(again) == [f"s{i}" for i in range(23) if i % 5 != 4]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "in.parquet",
        "out.failures.parquet",
        "out.parquet",
    ]


def test_a_manifest_of_a_manifest_is_the_same(tmp_path: Path) -> None:
    first = write_manifest(
        open_sources([poscars(tmp_path / "in.parquet", 4)]), tmp_path / "a.parquet", max_sites=9
    )
    second = write_manifest(open_sources([first.path]), tmp_path / "b.parquet", max_sites=9)
    assert second.failures_path is None
    assert not (tmp_path / "b.failures.parquet").exists()
    columns = ["id", "cell", "frac", "numbers", "pbc"]
    assert pq.read_table(first.path, columns=columns).equals(pq.read_table(second.path, columns=columns))


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 8))
@settings(max_examples=25)
def test_crystals_come_back_to_the_last_bit(
    seed: int, count: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("round")
    sites = rng.integers(1, 6, count)
    columns = {
        "id": [f"s{i}" for i in range(count)],
        "cell": [(np.diag(rng.uniform(4, 9, 3)) + rng.uniform(-1, 1, (3, 3))).ravel() for _ in sites],
        "positions": [(np.arange(n)[:, None] * 2.0 + rng.uniform(-0.2, 0.2, (n, 3))).ravel() for n in sites],
        "atomic_numbers": [rng.integers(1, 119, n) for n in sites],
        "pbc": [rng.integers(0, 2, 3).astype(bool) for _ in sites],
    }
    pq.write_table(pa.table(columns), folder / "in.parquet")
    references: dict[str, Reference] = {}
    sources = open_sources([folder / "in.parquet"])
    summary = write_manifest(sources, folder / "out.parquet", max_sites=50)
    assert summary.rows + summary.failed == count
    if summary.rows == 0:
        return
    found = crystals_of(open_sources([summary.path]))
    assert len(found) == summary.rows
    for piece in sources.pieces(0, count):
        references |= {r.id: r for r in piece.read()}
    for name, crystal in found.items():
        expected = load(references[name], max_sites=50)
        for attribute in ("lattice", "frac", "numbers", "pbc"):
            assert np.array_equal(getattr(crystal, attribute), getattr(expected, attribute))
        assert crystal.numbers.dtype == np.int64


def test_nothing_is_left_of_a_manifest_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = open_sources([poscars(tmp_path / "in.parquet", 4)])
    (tmp_path / "out.parquet").write_text("old")
    monkeypatch.setattr(manifest, "_table", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(RunError, match="disk full") as caught:
        write_manifest(sources, tmp_path / "out.parquet", max_sites=50)
    assert caught.value.code == ErrorCode.WRITE_FAILED
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet", "out.parquet"]
    assert (tmp_path / "out.parquet").read_text() == "old"


def test_only_broken_structures_make_an_empty_manifest(tmp_path: Path) -> None:
    table = pa.table({"id": ["a"], "cif": ["garbage"]})
    pq.write_table(table, tmp_path / "in.parquet")
    summary = write_manifest(open_sources([tmp_path / "in.parquet"]), tmp_path / "out.parquet", max_sites=5)
    assert (summary.rows, summary.failed) == (0, 1)
    assert pq.read_schema(summary.path).names == MANIFEST_SCHEMA.names
