"""Splits by composition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldilocks_batch.core.errors import ConfigError, ErrorCode
from goldilocks_batch.training.splits import fold_numbers, holdout

GROUPS = st.lists(st.sampled_from([f"A{i}" for i in range(12)]), min_size=4, max_size=80).filter(
    lambda names: len(set(names)) >= 4
)


@given(GROUPS, st.integers(2, 4), st.integers(0, 5))
def test_groups_stay_whole_in_folds_and_every_fold_has_rows(
    names: list[str], n_folds: int, seed: int
) -> None:
    folds = fold_numbers(names, n_folds, seed)
    for name in set(names):
        assert len(np.unique(folds[np.array(names) == name])) == 1
    sizes = np.bincount(folds, minlength=n_folds)
    assert len(sizes) == n_folds
    assert sizes.min() > 0
    assert sizes.max() - sizes.min() <= max(names.count(name) for name in names)


@given(GROUPS, st.floats(0.05, 0.95), st.integers(0, 5))
def test_groups_stay_whole_when_held_out(names: list[str], share: float, seed: int) -> None:
    held = holdout(names, share, seed)
    assert 0 < held.sum() < len(names)
    for name in set(names):
        assert len(np.unique(held[np.array(names) == name])) == 1


@given(GROUPS, st.integers(0, 5))
def test_the_order_of_rows_does_not_matter(names: list[str], seed: int) -> None:
    backwards = names[::-1]
    assert (fold_numbers(names, 3, seed) == fold_numbers(backwards, 3, seed)[::-1]).all()
    assert (holdout(names, 0.3, seed) == holdout(backwards, 0.3, seed)[::-1]).all()


def test_shares_are_met_and_seeds_differ() -> None:
    names = [f"g{i}" for i in range(1000)]
    assert holdout(names, 0.25, 0).mean() == pytest.approx(0.25, abs=0.002)
    assert (holdout(names, 0.25, 0) != holdout(names, 0.25, 1)).any()
    assert (np.bincount(fold_numbers(names, 10, 0)) == 100).all()


def test_too_few_compositions_are_refused() -> None:
    with pytest.raises(ConfigError, match="3 different compositions cannot be split into 5 folds") as refusal:
        fold_numbers(["a", "b", "c", "c"], 5, 0)
    assert refusal.value.code == ErrorCode.DATASET_INVALID
    with pytest.raises(ConfigError, match=r"all 2 rows have one composition \(NaCl\)"):
        holdout(["NaCl", "NaCl"], 0.5, 0)
