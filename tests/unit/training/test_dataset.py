"""Features of training sets: the screening's own numbers, computed once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goldilocks_batch.config.training import Target
from goldilocks_batch.core.errors import ErrorCode, InputError
from goldilocks_batch.features.featurizer import Featurizer
from goldilocks_batch.screening.batch import Batch
from goldilocks_batch.structures.sources.reference import Reference
from goldilocks_batch.structures.sources.sourceset import open_sources
from goldilocks_batch.training.dataset import load_dataset
from goldilocks_batch.training.features import Describer, FeatureSet, cached_features
from tests.training_data import labelled_rows, write_labelled

KDIST = Target(column="k_dist")
SMALL = FeatureSet("comp_lattice.v1")


class Counting:
    """The serial work, a structure a file, counted; interrupted before the row ``stop``."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop = stop
        self.done: list[str] = []

    def __call__(self, references: Sequence[Reference], features: FeatureSet, folder: Path) -> None:
        describe = Describer(features)
        for row, reference in enumerate(references):
            if row == self.stop:
                raise KeyboardInterrupt
            pq.write_table(describe([reference]), folder / f"part-{row}.parquet")
            self.done.append(reference.id)


def test_rows_are_the_screening_features_of_the_primitive_cells(tmp_path: Path) -> None:
    path = write_labelled(tmp_path / "a.parquet", 6)
    dataset = load_dataset(path, KDIST, FeatureSet("comp_struct_soap_lattice.v1"))
    sources = open_sources([path])
    batch = Batch([r for piece in sources.pieces(0, 6) for r in piece.read()])
    batch.load(1000, "exact")
    alive = batch.alive
    expected = Featurizer(zeros="exact")(batch.crystals(alive), batch.symmetries(alive))
    assert dataset.features.tobytes() == expected.values.tobytes()
    assert dataset.n_sites.tolist() == [2] * 6
    assert dataset.n_elements.tolist() == [2] * 6
    assert set(dataset.systems) <= {"cubic", "tetragonal"}
    assert dataset.kdist.tolist() == [row["k_dist"] for row in labelled_rows(6)]
    volume = [np.linalg.det(np.array(row["lattice_vectors"])) for row in labelled_rows(6)]
    assert np.abs(np.linalg.det(dataset.lattices)) == pytest.approx(volume)


def test_nothing_known_is_computed_again(tmp_path: Path) -> None:
    path, cache = write_labelled(tmp_path / "a.parquet", 6), tmp_path / "cache"
    first, second, third = Counting(), Counting(), Counting()
    fresh = load_dataset(path, KDIST, SMALL, cache=cache, compute=first)
    known = load_dataset(path, KDIST, SMALL, cache=cache, compute=second)
    assert (len(first.done), second.done) == (6, [])
    assert known.features.tobytes() == fresh.features.tobytes()
    # two more structures, and one of the old ones with another cell
    rows = labelled_rows(8)
    rows[2]["lattice_vectors"] = [[5.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 5.0]]
    pq.write_table(pa.Table.from_pylist(rows), path)
    load_dataset(path, KDIST, SMALL, cache=cache, compute=third)
    assert third.done == [rows[2]["id"], rows[6]["id"], rows[7]["id"]]


def test_what_an_interrupted_training_has_computed_is_kept(tmp_path: Path) -> None:
    path, cache = write_labelled(tmp_path / "a.parquet", 6), tmp_path / "cache"
    with pytest.raises(KeyboardInterrupt):
        load_dataset(path, KDIST, SMALL, cache=cache, compute=Counting(stop=4))
    second = Counting()
    found = load_dataset(path, KDIST, SMALL, cache=cache, compute=second)
    assert second.done == [row["id"] for row in labelled_rows(6)[4:]]
    assert found.features.tobytes() == load_dataset(path, KDIST, SMALL).features.tobytes()


def test_an_attempt_that_computed_nothing_leaves_nothing(tmp_path: Path) -> None:
    path, cache = write_labelled(tmp_path / "a.parquet", 6), tmp_path / "cache"
    with pytest.raises(KeyboardInterrupt):
        load_dataset(path, KDIST, SMALL, cache=cache, compute=Counting(stop=0))
    assert not list(cache.glob("*/*"))


def test_structures_that_took_their_worker_with_them_are_tried_again(tmp_path: Path) -> None:
    path, cache = write_labelled(tmp_path / "a.parquet", 3), tmp_path / "cache"

    def lost(references: Sequence[Reference], features: FeatureSet, folder: Path) -> None:
        table = Describer.failed(references, features, ErrorCode.WORKER_CRASH, "gone")
        pq.write_table(table, folder / "part-0.parquet")

    references = [r for piece in open_sources([path]).pieces(0, 3) for r in piece.read()]
    crashed = cached_features(references, SMALL, cache, compute=lost)
    assert crashed["error_code"].to_pylist() == ["WORKER_CRASH"] * 3
    assert cached_features(references, SMALL, cache)["error_code"].null_count == 3


def test_each_feature_set_has_a_cache_of_its_own(tmp_path: Path) -> None:
    path, cache = write_labelled(tmp_path / "a.parquet", 4), tmp_path / "cache"
    load_dataset(path, KDIST, SMALL, cache=cache)
    wider = FeatureSet("comp_struct_lattice.v1")
    assert load_dataset(path, KDIST, wider, cache=cache).features.shape == (4, 167)
    assert len(list(cache.iterdir())) == 2
    assert wider.digest != SMALL.digest != FeatureSet("comp_lattice.v1", zeros="library").digest


def test_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    path, cache = write_labelled(tmp_path / "a.parquet", 4), tmp_path / "cache"
    load_dataset(path, KDIST, SMALL, cache=cache)
    (file,) = cache.glob("*/*/*.parquet")
    file.write_bytes(file.read_bytes()[:-20])
    again = Counting()
    load_dataset(path, KDIST, SMALL, cache=cache, compute=again)
    assert len(again.done) == 4


def test_structures_without_features_are_left_out_and_counted(tmp_path: Path) -> None:
    species = [row["species_at_sites"] for row in labelled_rows(5)]
    species[1], species[3] = ["Xx", "Cu"], ["Cu"]
    dataset = load_dataset(write_labelled(tmp_path / "a.parquet", 5, species_at_sites=species), KDIST, SMALL)
    rows = labelled_rows(5)
    assert dataset.ids.tolist() == [rows[place]["id"] for place in (0, 2, 4)]
    assert dataset.kdist.tolist() == [rows[place]["k_dist"] for place in (0, 2, 4)]
    assert sum(dataset.left_out.values()) == 2
    assert dataset.failures["id"].to_pylist() == [rows[1]["id"], rows[3]["id"]]
    assert dataset.failures["error_code"].to_pylist() == ["SPECIES_UNKNOWN", "SHAPE_MISMATCH"]


def test_no_structure_with_features_is_an_error(tmp_path: Path) -> None:
    path = write_labelled(tmp_path / "a.parquet", 2, species_at_sites=[["Xx", "Cu"]] * 2)
    with pytest.raises(InputError, match="none of the 2 structures") as refusal:
        load_dataset(path, KDIST, SMALL)
    assert refusal.value.code == ErrorCode.DATASET_INVALID


def test_limits_cannot_train(tmp_path: Path) -> None:
    path = write_labelled(tmp_path / "a.parquet", 3, k=[0.2, None, 0.3], most=[None, 0.15, None])
    dataset = load_dataset(path, Target(column="k", at_most="most"), SMALL)
    assert dataset.censored.tolist() == [False, True, False]
    with pytest.raises(InputError, match="1 of 3 rows have a limit and no label"):
        dataset.for_training()
    labelled = dataset.take(~dataset.censored)
    assert labelled.for_training() is labelled
    assert len(labelled) == len(labelled.formulas) == len(labelled.lattices) == 2
