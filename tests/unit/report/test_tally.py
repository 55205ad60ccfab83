"""What is gathered in batches against a plain look at all rows."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core.composition import Composition
from pymatgen.symmetry.groups import SpaceGroup

from goldilocks_batch.report.tally import HARMLESS, SIZES, Tally
from goldilocks_batch.results.schema import FLAGS
from goldilocks_batch.structures.crystal import SYMBOLS
from goldilocks_batch.structures.symmetry import SYSTEMS
from tests.report_runs import rows


def tallied(table: pa.Table, size: int = 1000) -> Tally:
    tally = Tally()
    for batch in table.to_batches(max_chunksize=size):
        tally.add(batch)
    return tally


@settings(max_examples=25)
@given(st.integers(0, 120), st.integers(0, 50), st.integers(1, 70), st.sampled_from([0.0, 0.3, 1.0]))
def test_batches_of_any_size_tell_what_all_rows_do(count: int, seed: int, size: int, failed: float) -> None:
    table = rows(count, seed, failed=failed)
    tally, listed = tallied(table, size), table.to_pylist()
    ok = [row for row in listed if row["status"] == "ok"]
    assert (tally.rows, tally.ok) == (count, len(ok))
    codes = Counter(row["error_code"] for row in listed if row["status"] != "ok")
    assert {name: code.rows for name, code in tally.codes.items()} == codes
    for name, code in tally.codes.items():
        first = [row["id"] for row in listed if row["error_code"] == name][:3]
        assert [example["id"] for example in code.examples] == first
        assert code.stages == {"check": code.rows}
    holding, failing, medians = Counter[str](), Counter[str](), dict[str, list[float]]()
    for row in listed:
        for element in Composition(row["formula"]).elements if row["formula"] else ():
            holding[element.symbol] += 1
            failing[element.symbol] += row["status"] != "ok"
            if row["status"] == "ok":
                medians.setdefault(element.symbol, []).append(row["kdist_median"])
    for number, symbol in enumerate(SYMBOLS):
        assert (tally.holding[number], tally.failing[number]) == (holding[symbol], failing[symbol])
        if symbol in medians:
            exact = np.quantile(medians[symbol], 0.5, method="inverted_cdf")
            assert tally.elements.median(number) == pytest.approx(exact, rel=2.5e-3)
    assert tally.unknown == sum(row["formula"] is None and row["status"] != "ok" for row in listed)
    assert tally.kdist.totals[0] == len(ok)
    assert tally.weights.sum() == sum(row["n_kpoints_irreducible"] for row in ok)


@pytest.mark.parametrize("size", [7, 100, 1000])
def test_leading_rows_are_those_of_the_sorted_table(size: int) -> None:
    table = rows(400, 3)
    ok = [row for row in table.to_pylist() if row["status"] == "ok"]
    tally = tallied(table, size)
    for picks, key in (
        (tally.densest, lambda row: row["n_kpoints_irreducible"]),
        (tally.widest, lambda row: row["kdist_upper"] / row["kdist_lower"]),
        (tally.doubtful, lambda row: (len(set(row["flags"]) - HARMLESS), row["training_distance"])),
    ):
        best = sorted(ok, key=lambda row: row["row"])
        best.sort(key=key, reverse=True)
        assert [row["row"] for row in picks.rows] == [row["row"] for row in best[: len(picks.rows)]]
        assert len(picks.rows) == 20


def test_the_first_of_equal_rows_lead() -> None:
    table = rows(300, failed=0.0)
    same = table.set_column(
        table.schema.get_field_index("n_kpoints_irreducible"),
        table.schema.field("n_kpoints_irreducible"),
        pa.array([8] * 300, pa.int64()),
    )
    assert [row["row"] for row in tallied(same, 37).densest.rows] == list(range(20))


def test_shares_of_the_densest() -> None:
    table = rows(500, failed=0.0)
    points = np.sort(table["n_kpoints_irreducible"].to_numpy())[::-1]
    tally = tallied(table)
    assert tally.share_of_densest(0.1) == pytest.approx(points[:50].sum() / points.sum(), rel=0.02)
    assert tally.share_of_densest(1.0) == pytest.approx(1.0)
    assert math.isnan(Tally().share_of_densest(0.1))


def test_columns_that_older_versions_did_not_write_may_be_missing() -> None:
    table = rows(50).drop_columns(["training_distance", "constant_kdist", "kdist_upper", "flags"])
    tally = tallied(table)
    assert tally.ok
    assert not tally.distance.totals[0]
    assert not tally.constants
    assert not tally.widest.rows
    assert not tally.doubtful.rows


@pytest.mark.parametrize("number", range(1, 231))
def test_crystal_systems(number: int) -> None:
    place = int(np.searchsorted(list(SYSTEMS.values()), number))
    assert list(SYSTEMS)[place] == SpaceGroup.from_int_number(number).crystal_system


def test_sizes_are_in_order_and_flags_are_known() -> None:
    assert list(SIZES.values()) == sorted(SIZES.values())
    assert set(FLAGS) >= HARMLESS
