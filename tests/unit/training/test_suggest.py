"""What to label next: unsure, unlike the training set, unlike each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core.structure import Structure

import goldilocks_batch
from goldilocks_batch.core.errors import ConfigError, ErrorCode, InputError, RunError
from goldilocks_batch.structures.read import load
from goldilocks_batch.structures.sources.sourceset import open_sources
from goldilocks_batch.training.selection import Whitening, suggest
from goldilocks_batch.training.suggest import suggest_next
from tests.training_data import write_labelled

TRAINING = np.random.default_rng(0).normal(size=(80, 4)) * [1, 10, 0.1, 5] + 3
SURE, UNSURE = [0.19, 0.21], [0.1, 0.4]


def test_directions_are_uncorrelated_and_of_unit_variance() -> None:
    white = Whitening.of(TRAINING, explained=1.0)(TRAINING)
    assert white.shape == (80, 4)
    assert np.cov(white.T) == pytest.approx(np.eye(4), abs=1e-9)


def test_constant_columns_do_not_matter() -> None:
    wider = np.column_stack([TRAINING, np.full(80, 7.0)])
    white = Whitening.of(wider)
    elsewhere = wider.copy()
    elsewhere[:, 4] = 1e6
    assert np.allclose(white(elsewhere), white(wider))
    assert Whitening.of(np.ones((5, 3)))(np.zeros((2, 3))).shape == (2, 1)


def test_the_unsure_one_of_two_alike_is_taken() -> None:
    far = TRAINING.mean(axis=0) + 4 * TRAINING.std(axis=0)
    pool = np.array([far, far * 1.0001])
    assert suggest(pool, np.array([SURE, UNSURE]), TRAINING, 1).rows.tolist() == [1]


def test_the_unknown_one_of_two_equally_unsure_is_taken() -> None:
    pool = np.array([TRAINING[5] * 1.01, TRAINING.mean(axis=0) + 5 * TRAINING.std(axis=0)])
    found = suggest(pool, np.array([UNSURE, UNSURE]), TRAINING, 2)
    assert found.rows.tolist() == [1, 0]
    assert found.distance[0] > found.distance[1]


def test_twins_are_not_both_taken() -> None:
    spread = TRAINING.std(axis=0)
    one, other = TRAINING.mean(axis=0) + 6 * spread, TRAINING.mean(axis=0) - 3 * spread
    pool = np.array([one, one, one, other])
    assert suggest(pool, np.array([UNSURE] * 4), TRAINING, 2).rows.tolist() == [0, 3]


def test_without_a_training_set_the_widest_begins_and_twins_are_not_both_taken() -> None:
    one, other = TRAINING.mean(axis=0), TRAINING.mean(axis=0) + 3 * TRAINING.std(axis=0)
    found = suggest(np.array([one, other, other, one]), np.array([SURE, UNSURE, UNSURE, SURE]), None, 2)
    assert found.rows.tolist() == [1, 0]
    assert np.isnan(found.distance).all()


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 20))
def test_choices_are_distinct_and_never_too_many(count: int, pool_size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pool = rng.normal(size=(pool_size, 4))
    lower = rng.uniform(0.05, 0.2, pool_size)
    bounds = np.column_stack([lower, lower * rng.uniform(1, 4, pool_size)])
    found = suggest(pool, bounds, TRAINING, count)
    assert len(found.rows) == len(set(found.rows.tolist())) == min(count, pool_size)
    assert (np.diff(found.score) <= 1e-9).all()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose bounds have been filled in: the constant model gives no upper ones."""
    folder = tmp_path_factory.mktemp("run")
    pool = write_labelled(folder / "pool.parquet", 70, seed=3)
    config = goldilocks_batch.RunConfig(
        inputs=(pool,), output=folder / "run", model="baseline", executor="serial", shard_size=40, quiet=True
    )
    goldilocks_batch.run(config)
    return folder / "run"


@pytest.fixture(scope="module")
def bounded(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bounded")
    (folder / "results").mkdir()
    (folder / "run.json").write_bytes((run / "run.json").read_bytes())
    for path in (run / "results").iterdir():
        table = pq.read_table(path)
        place = table.column_names.index("kdist_upper")
        upper = [0.2 + 0.01 * (row % 13) for row in table["row"].to_pylist()]
        upper[0] = None  # a row without an interval is no candidate
        table = table.set_column(place, table.schema.field(place), pa.array(upper, pa.float64()))
        pq.write_table(table, folder / "results" / path.name)
    return folder


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = write_labelled(tmp_path_factory.mktemp("known") / "labels.parquet", 40)
    return path


def test_a_run_gives_a_manifest_of_suggestions(bounded: Path, known: Path, tmp_path: Path) -> None:
    assert suggest_next(bounded, 10, tmp_path / "next.parquet", training=known) == 10
    table = pq.read_table(tmp_path / "next.parquet")
    assert table.num_rows == len(set(table["id"].to_pylist())) == 10
    assert (np.diff(table["score"].to_numpy()) <= 1e-9).all()
    assert (table["distance_from_training"].to_numpy() >= 0).all()
    sources = open_sources([tmp_path / "next.parquet"])
    assert [len(load(r, max_sites=10)) for p in sources.pieces(0, 10) for r in p.read()] == [2] * 10


@pytest.mark.parametrize("layout", ["parquet", "summary", "cgcnn"])
def test_structures_that_are_known_need_no_label(
    bounded: Path, known: Path, layout: str, tmp_path: Path
) -> None:
    expected, found = tmp_path / "expected.parquet", tmp_path / "found.parquet"
    schema = "comp_lattice.v1"
    suggest_next(bounded, 10, expected, training=known, schema=schema)
    table = pq.read_table(known).drop_columns("k_dist")
    if layout == "parquet":
        training = tmp_path / "structures.parquet"
        pq.write_table(table, training)
    else:
        training = tmp_path / "folder"
        training.mkdir()
        for row in table.to_pylist():
            structure = Structure(
                row["lattice_vectors"],
                row["species_at_sites"],
                row["cartesian_site_positions"],
                coords_are_cartesian=True,
            )
            structure.to(str(training / f"{row['id']}.cif"), significant_figures=12)
        head, end = ("id\n", "") if layout == "summary" else ("", ",")
        lines = "".join(f"{name}{end}\n" for name in table["id"].to_pylist())
        (training / ("summary.csv" if head else "id_prop.csv")).write_text(head + lines)
    suggest_next(bounded, 10, found, training=training, schema=schema)
    assert pq.read_table(found)["id"].equals(pq.read_table(expected)["id"])


def test_known_structures_without_features_are_refused(bounded: Path, tmp_path: Path) -> None:
    (tmp_path / "id_prop.csv").write_text("absent,\n")
    with pytest.raises(InputError, match="has the features") as refusal:
        suggest_next(bounded, 5, tmp_path / "next.parquet", training=tmp_path)
    assert refusal.value.code == ErrorCode.INPUT_EMPTY


def test_all_candidates_if_there_are_fewer(bounded: Path, known: Path, tmp_path: Path) -> None:
    parts = len(list((bounded / "results").iterdir()))
    assert (
        suggest_next(bounded, 500, tmp_path / "next.parquet", training=known, schema="comp_lattice.v1")
        == 70 - parts
    )


def test_runs_without_intervals_or_records_are_refused(run: Path, known: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="interval") as refusal:
        suggest_next(run, 5, tmp_path / "next.parquet", training=known)
    assert refusal.value.code == ErrorCode.INPUT_EMPTY
    with pytest.raises(ConfigError, match="asked for 0"):
        suggest_next(run, 0, tmp_path / "next.parquet")


def test_a_folder_without_its_record_is_refused(bounded: Path, known: Path, tmp_path: Path) -> None:
    (tmp_path / "results").symlink_to(bounded / "results")
    with pytest.raises(RunError, match=r"no run\.json"):
        suggest_next(tmp_path, 5, tmp_path / "next.parquet", training=known)


def test_a_run_without_a_training_set_at_hand(bounded: Path, tmp_path: Path) -> None:
    assert suggest_next(bounded, 8, tmp_path / "next.parquet", schema="comp_lattice.v1") == 8
    table = pq.read_table(tmp_path / "next.parquet")
    assert table["distance_from_training"].null_count == 8
    assert table["interval_width"][0].as_py() == pytest.approx(max(table["interval_width"].to_pylist()))
    with pytest.raises(ConfigError, match=r"known are comp_lattice\.v1"):
        suggest_next(bounded, 8, tmp_path / "next.parquet", schema="comp")
