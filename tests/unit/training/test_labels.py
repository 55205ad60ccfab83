"""Labelled datasets: three layouts, and everything that can be wrong with a label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goldilocks_batch.config.training import Target
from goldilocks_batch.core.errors import ErrorCode, InputError
from goldilocks_batch.structures.read import load
from goldilocks_batch.training.labels import read_labels
from tests.training_data import labelled_rows, write_labelled

KDIST = Target(column="k_dist")
CIF = """data_x
_cell_length_a 3.0
_cell_length_b 3.0
_cell_length_c 3.0
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Cu 0 0 0
"""


def refused(path: Path, code: ErrorCode, *words: str, target: Target = KDIST) -> None:
    with pytest.raises(InputError) as refusal:
        read_labels(path, target)
    assert refusal.value.code == code
    for word in words:
        assert word in str(refusal.value)


def test_a_manifest_gives_references_and_labels_in_order(tmp_path: Path) -> None:
    labels = read_labels(write_labelled(tmp_path / "a.parquet", 12), KDIST)
    rows = labelled_rows(12)
    assert [r.id for r in labels.references] == [row["id"] for row in rows]
    assert labels.kdist.tolist() == [row["k_dist"] for row in rows]
    assert np.isinf(labels.at_most).all()
    assert len(load(labels.references[0], max_sites=10)) == 2


def test_a_length_becomes_a_distance(tmp_path: Path) -> None:
    path = write_labelled(tmp_path / "a.parquet", 3, L=[20.0, 40.0, 80.0])
    labels = read_labels(path, Target(column="L", kind="kpoint_length"))
    assert labels.kdist == pytest.approx([2 * np.pi / 20, 2 * np.pi / 40, 2 * np.pi / 80])


def test_limits_stand_in_for_missing_labels(tmp_path: Path) -> None:
    path = write_labelled(tmp_path / "a.parquet", 3, k=[0.2, None, 0.3], most=[None, 0.15, None])
    labels = read_labels(path, Target(column="k", at_most="most"))
    assert np.isnan(labels.kdist).tolist() == [False, True, False]
    assert labels.at_most.tolist() == [np.inf, 0.15, np.inf]


def test_a_cgcnn_folder(tmp_path: Path) -> None:
    (tmp_path / "id_prop.csv").write_text("a,0.2\nb,0.3\n")
    for name in "ab":
        (tmp_path / f"{name}.cif").write_text(CIF)
    labels = read_labels(tmp_path, Target())
    assert [r.id for r in labels.references] == ["a", "b"]
    assert labels.kdist.tolist() == [0.2, 0.3]
    assert len(load(labels.references[1], max_sites=10)) == 1


@pytest.mark.parametrize(
    ("header", "rows", "files"),
    [
        ("id,formula,k_dist", ["a,Cu,0.2", "b,Cu,0.3"], ["a.cif", "b.cif"]),
        ("material_id,kspacing", ["a,0.2", "b,0.3"], ["cifs/a.cif", "cifs/b.cif"]),
        ("name,k_dist,cif_path", ["a,0.2,x/1.cif", "b,0.3,x/2.cif"], ["x/1.cif", "x/2.cif"]),
    ],
)
def test_a_summary_table(tmp_path: Path, header: str, rows: list[str], files: list[str]) -> None:
    (tmp_path / "summary.csv").write_text("\n".join([header, *rows]) + "\n")
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(CIF)
    for where in (tmp_path, tmp_path / "summary.csv"):
        labels = read_labels(where, Target())
        assert [r.id for r in labels.references] == ["a", "b"]
        assert labels.kdist.tolist() == [0.2, 0.3]
        assert all(len(load(r, max_sites=10)) == 1 for r in labels.references)


def test_missing_targets(tmp_path: Path) -> None:
    path = write_labelled(tmp_path / "a.parquet", 4, k_dist=[0.1, None, float("nan"), 0.2])
    ids = [str(row["id"]) for row in labelled_rows(4)]
    refused(path, ErrorCode.DATASET_INVALID, "2 of 4", "missing", ids[1], ids[2])


@pytest.mark.parametrize("bad", [0.0, -0.1, float("inf")])
def test_targets_that_are_no_distance(tmp_path: Path, bad: float) -> None:
    path = write_labelled(tmp_path / "a.parquet", 3, k_dist=[0.1, bad, 0.2])
    refused(path, ErrorCode.DATASET_INVALID, "1 of 3", "positive", str(labelled_rows(3)[1]["id"]))


@pytest.mark.parametrize("bad", [40.0, 1e-300, 0.004])
def test_targets_that_no_crystal_has(tmp_path: Path, bad: float) -> None:
    path = write_labelled(tmp_path / "a.parquet", 3, k_dist=[0.1, bad, 0.2])
    named = f"{labelled_rows(3)[1]['id']} ({bad})"
    refused(path, ErrorCode.DATASET_INVALID, "1 of 3", named, "0.005 to 5 1/Å", "--kind kpoint_length")


@pytest.mark.parametrize("bad", [0.2, 2000.0, 5e-324])
def test_lengths_that_no_mesh_has(tmp_path: Path, bad: float) -> None:
    path = write_labelled(tmp_path / "a.parquet", 3, L=[20.0, bad, 30.0])
    target = Target(column="L", kind="kpoint_length")
    refused(path, ErrorCode.DATASET_INVALID, "1 of 3", f"({bad})", "--kind kdist", target=target)


def test_limits_are_as_plausible_as_labels(tmp_path: Path) -> None:
    path = write_labelled(tmp_path / "a.parquet", 3, k=[0.2, None, 0.3], most=[None, 15.0, None])
    refused(
        path, ErrorCode.DATASET_INVALID, "1 of 3", "0.005 to 5", target=Target(column="k", at_most="most")
    )
    refused(path, ErrorCode.DATASET_INVALID, "missing", "--at-most COLUMN", target=Target(column="k"))


def test_a_target_column_of_text(tmp_path: Path) -> None:
    path = write_labelled(tmp_path / "a.parquet", 3, k_dist=["fine", "0.2", "coarse"])
    refused(path, ErrorCode.DATASET_INVALID, "all 3", "string", "'fine'")
    (tmp_path / "id_prop.csv").write_text("a,0.2\nb,dense\nc,0.3\n")
    refused(tmp_path, ErrorCode.DATASET_INVALID, "1 of 3", "b ('dense')", "text", target=Target())


def test_duplicate_ids(tmp_path: Path) -> None:
    path = write_labelled(tmp_path / "a.parquet", 5, id=["p", "q", "p", "r", "q"])
    refused(path, ErrorCode.DUPLICATE_ID, "2 of 3", "p, q")
    (tmp_path / "id_prop.csv").write_text("a,0.2\na,0.3\n")
    refused(tmp_path, ErrorCode.DUPLICATE_ID, "1 of 1", "[a]", target=Target())


def test_all_targets_equal(tmp_path: Path) -> None:
    path = write_labelled(tmp_path / "a.parquet", 4, k_dist=[0.2] * 4)
    refused(path, ErrorCode.DATASET_INVALID, "all 4 targets", "equal", "0.2")


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    path = write_labelled(tmp_path / "a.parquet", 4)
    refused(path, ErrorCode.DATASET_INVALID, "no column kd", "k_dist", target=Target(column="kd"))
    wanted = Target(column="k_dist", at_most="limit")
    refused(path, ErrorCode.DATASET_INVALID, "no column limit", target=wanted)
    pq.write_table(pq.read_table(path).rename_columns({"k_dist": "k"}), path)
    refused(path, ErrorCode.DATASET_INVALID, "name its target column", "k", target=Target())


def test_a_column_with_a_usual_name_is_found(tmp_path: Path) -> None:
    path = write_labelled(tmp_path / "a.parquet", 4)
    assert read_labels(path, Target()).kdist.tolist() == read_labels(path, KDIST).kdist.tolist()


def test_no_rows(tmp_path: Path) -> None:
    path = write_labelled(tmp_path / "a.parquet", 2)
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    refused(path, ErrorCode.DATASET_INVALID, "no rows")
    (tmp_path / "summary.csv").write_text("")
    refused(tmp_path, ErrorCode.DATASET_INVALID, "(none)", target=Target())


def test_what_is_no_dataset(tmp_path: Path) -> None:
    refused(tmp_path / "absent", ErrorCode.INPUT_NOT_FOUND)
    refused(tmp_path, ErrorCode.INPUT_NOT_FOUND, "id_prop.csv")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and no more")
    refused(tmp_path / "x.parquet", ErrorCode.INPUT_UNREADABLE)
    (tmp_path / "summary.csv").write_bytes(b"id,k_dist\n\xff\xfe,0.2\n")
    refused(tmp_path, ErrorCode.INPUT_UNREADABLE, target=Target())


def test_names_that_climb_out_of_the_folder(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.cif").write_text(CIF)
    (inside / "id_prop.csv").write_text("../secret,0.2\nb,0.3\n")
    refused(inside, ErrorCode.PATH_FORBIDDEN, "1 of 2", "../secret", target=Target())
    (inside / "id_prop.csv").unlink()
    (inside / "summary.csv").write_text(f"id,k_dist,path\na,0.2,{tmp_path / 'secret.cif'}\nb,0.3,b.cif\n")
    refused(inside, ErrorCode.PATH_FORBIDDEN, "[a]", target=Target())


def test_a_dictionary_of_ids_is_read_as_text(tmp_path: Path) -> None:
    path = write_labelled(tmp_path / "a.parquet", 2, id=pa.array(["x", "y"]).dictionary_encode())
    assert [r.id for r in read_labels(path, KDIST).references] == ["x", "y"]
