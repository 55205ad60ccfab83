"""What a file and its atoms give rise to is flagged on the structure's row."""

from __future__ import annotations

import numpy as np

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.results.schema import FLAGS
from goldilocks_batch.screening.batch import Batch
from goldilocks_batch.structures.sources.reference import (
    ArraysPayload,
    Format,
    Payload,
    Reference,
    TextPayload,
)
from tests.structure_texts import cif_text


def references() -> list[Reference]:
    salt = cif_text([5.64] * 3, sites=["Na1 Na 0 0 0", "Cl1 Cl .5 .5 .5"])
    hydroxide = cif_text([4.3] * 3, sites=["Mg1 Mg 0 0 0", "OH1 OH .5 .5 .5"])
    left = ArraysPayload(np.diag([4.12, 4.12, -4.12]), np.array([[0.0] * 3, [2.06] * 3]), True, ("Cs", "Cl"))
    slab = ArraysPayload(np.diag([4.12, 4.12, 20.0]), np.array([[0.0] * 3, [2.06] * 3]), True, ("Cs", "Cl"))
    layer = ArraysPayload(
        np.diag([2.5, 2.5, 0.0]),
        np.array([[0.0] * 3, [1.25, 1.25, 0.0]]),
        True,
        ("C", "C"),
        np.array([True, True, False]),
    )
    payloads: tuple[Payload, ...] = (
        TextPayload(Format.CIF, salt),
        TextPayload(Format.CIF, hydroxide),
        left,
        slab,
        layer,
    )
    return [Reference(str(place), "test", payload) for place, payload in enumerate(payloads)]


def test_flags_of_reading_and_of_the_crystal_reach_the_batch() -> None:
    batch = Batch(references())
    batch.load(100)
    assert {"symmetry_assumed_p1", "odd_density"} <= set(batch.flags[0])
    failure = batch.failures[1]
    assert failure is not None
    assert failure.code is ErrorCode.HYDROGENS_MISSING
    assert "left_handed_cell" in batch.flags[2]
    assert {"vacuum", "vacuum_c"} <= set(batch.flags[3])
    assert {"cell_completed", "low_dimensional"} <= set(batch.flags[4])
    assert {flag for flags in batch.flags for flag in flags} <= set(FLAGS)


def test_missing_hydrogens_can_be_allowed() -> None:
    batch = Batch(references())
    batch.load(100, allow_missing_hydrogens=True)
    assert batch.failures[1] is None
    assert "hydrogens_missing" in batch.flags[1]
