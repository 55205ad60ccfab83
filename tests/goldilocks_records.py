"""Folders as goldilocks-ml 0.2.3 writes them: ``model.json`` and the pickle of a small forest."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from goldilocks_batch.features.composition import composition_labels
from goldilocks_batch.features.cslr import CELL_LABELS, RECIPROCAL_LABELS, SYMMETRY_LABELS
from tests.unit.models.test_forest import trained
from tests.unit.models.test_forest_pickle import regressor

__all__ = ["LEVELS", "distance_record", "rung_parts", "rung_record", "write_model"]

#: All quantiles that the published forest of rungs was fitted for.
LEVELS = (0.05, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99)


def cslr_names() -> list[str]:
    """The 174 columns as goldilocks-ml names them."""
    return [*composition_labels(), *SYMMETRY_LABELS, *CELL_LABELS, *RECIPROCAL_LABELS]


def distance_names() -> list[str]:
    """The 483 columns as goldilocks-ml names them."""
    parameters = ("a", "b", "c", "alpha", "beta", "gamma")
    lengths = [f"{cell}_{name}" for cell in ("lattice", "reciprocal") for name in parameters]
    return [
        *(f"composition_{i}" for i in range(146)),
        *(f"symmetry_{name}" for name in ("spacegroup_num", "crystal_system_int", "is_centrosymmetric")),
        *(f"density_{name}" for name in ("density", "vpa", "packing_fraction")),
        *(f"soap_{i}" for i in range(252)),
        *lengths,
        *("crystal_system_id", "bravais_id", "spacegroup_number"),
        *(f"metallicity_{i}" for i in range(64)),
    ]


def _common(**more: Any) -> dict[str, Any]:
    return {
        "record_schema_version": 1,
        "role": "model",
        "task": "regression",
        "trainer": "quantile_random_forest",
        "deterministic": True,
        "seed": 42,
        "quantiles": [0.05, 0.5, 0.95],
        **more,
    }


def rung_record(**changes: Any) -> dict[str, Any]:
    """The record of a forest of rungs, all but the digest of its pickle."""
    bands = [
        {"count": 900, "level": 0.9, "mae": 1.5, "upper": 7.0},
        {"count": 877, "level": 0.975, "mae": 4.0, "upper": None},
    ]
    return (
        _common(
            runtime={"id": "k_points.k_index.qrf", "version": 1},
            target={"contract": "goldilocks.k_index.ladder_1based.v2", "name": "k_index", "units": None},
            artifacts={"estimator": "k_index_qrf.pkl", "calibration": "calibration.json"},
            feature_schema="cslr.v1",
            feature_columns=cslr_names(),
            feature_parameters={"batch_size": 128},
            levels=list(LEVELS),
            requires_artifacts=[],
            calibration=None,
            decision={
                "rule": "quantile_by_band",
                "baseline_level": 0.5,
                "rounding": "half_up",
                "metric": "mae",
                "max_underprediction": 0.05,
                "bands": bands,
                "selected_on": "validation",
            },
        )
        | changes
    )


def distance_record(**changes: Any) -> dict[str, Any]:
    """The record of a forest of k-distances, as that of the published one."""
    needed = {
        "metallicity_checkpoint": (
            "is_metal.ckpt",
            "964d818de8a155e3219d1bff9f7fca12137a003c5c71ff6b4f1d68d472d4c9d1",
        ),
        "metallicity_atom_init": (
            "atom_init.json",
            "cb90bd2257dbf8cfc4e6b2b6d4348d4616e8e9680f1339b1461137032e0f1894",
        ),
    }
    return (
        _common(
            runtime={"id": "k_points.k_distance.qrf", "version": 1},
            target={
                "contract": "goldilocks.k_distance.mesh_lower_bound.2pi.v1",
                "name": "k_distance",
                "units": "1/angstrom",
            },
            artifacts={"estimator": "QRF95.pkl"},
            feature_schema="comp_struct_soap_lattice_metal.v1",
            feature_columns=distance_names(),
            feature_parameters={},
            requires_artifacts=[
                {"name": name, "file": file, "record_id": "ptc95-vbq12", "sha256": sha256}
                for name, (file, sha256) in needed.items()
            ],
            calibration=None,
        )
        | changes
    )


def rung_parts(seed: int, *, times: float = 6.0, levels: tuple[float, ...] = LEVELS) -> dict[str, Any]:
    """A forest of rungs, whose labels are whole numbers from 1 up and depend on the volume of the cell."""
    parts = trained(seed, n_train=120, n_features=174, trees=9)
    for nodes in parts["nodes"]:
        decisive = nodes["feature"] == 0  # the labels are its absolute value
        nodes["feature"][decisive] = cslr_names().index("volume")
        nodes["threshold"][decisive] = 70 + 60 * nodes["threshold"][decisive]
    parts["y_train"] = (np.round(parts["y_train"] * times) + 1).astype(np.float32)
    return parts | {"quantiles": levels}


def write_model(
    folder: Path, record: dict[str, Any], published: dict[str, type], parts: dict[str, Any]
) -> Path:
    """Write a record and the pickle (protocol 5) of a forest made of these parts."""
    folder.mkdir(parents=True, exist_ok=True)
    forest = regressor(published, parts)
    data = pickle.dumps(forest, protocol=5)
    artifacts = {"estimator_sha256": hashlib.sha256(data).hexdigest()} | record["artifacts"]
    (folder / artifacts["estimator"].replace("/", "_")).write_bytes(data)
    (folder / "model.json").write_text(
        json.dumps(record | {"artifacts": artifacts}, indent=2, sort_keys=True)
    )
    return folder
