"""Splits by composition: structures of one reduced formula never lie on both sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ConfigError, ErrorCode

__all__ = ["fold_numbers", "holdout"]


def fold_numbers(groups: Sequence[str] | NDArray[np.str_], n_folds: int, seed: int) -> NDArray[np.int64]:
    """Give every row a fold, all rows of a group the same one.

    Groups are shuffled, then laid one after the other into the fold that has the fewest rows so far, large
    groups first, so that folds differ by no more than a group.  The order of the rows has no influence on
    which groups go together.

    Args:
        groups: ``(n,)`` a name for each row, e.g. its reduced formula.
        n_folds: how many, at least 2.
        seed: of the shuffle.

    Returns:
        ``(n,)`` int64, 0 to ``n_folds - 1``.

    Raises:
        ConfigError: DATASET_INVALID, there are fewer groups than folds.
    """
    names, group_of, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    if not 2 <= n_folds <= len(names):
        raise ConfigError(
            ErrorCode.DATASET_INVALID,
            f"{len(names)} different compositions cannot be split into {n_folds} folds; at least 2 folds and "
            "as many compositions as folds are needed",
        )
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of = np.empty(len(names), dtype=np.int64)
    filled = np.zeros(n_folds, dtype=np.int64)
    for group in order:
        fold = int(np.argmin(filled))
        fold_of[group] = fold
        filled[fold] += sizes[group]
    return fold_of[group_of]


def holdout(groups: Sequence[str] | NDArray[np.str_], share: float, seed: int) -> NDArray[np.bool_]:
    """Mark a share of the rows, whole groups at a time.

    Args:
        groups: ``(n,)`` a name for each row.
        share: in (0, 1); the rows marked are as near to it as the last group drawn allows.
        seed: of the draw.

    Returns:
        ``(n,)`` bool, neither all nor none of the rows.

    Raises:
        ConfigError: DATASET_INVALID, there is only one group.
    """
    names, group_of, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise ConfigError(
            ErrorCode.DATASET_INVALID,
            f"all {len(group_of)} rows have one composition ({', '.join(map(str, names[:1]))}); nothing can "
            "be held out",
        )
    order = np.random.default_rng(seed).permutation(len(names))
    before = np.cumsum(sizes[order]) - sizes[order]
    wanted = order[before + 0.5 * sizes[order] < share * len(group_of)]
    chosen = wanted[: len(names) - 1] if len(wanted) else order[:1]
    return np.isin(group_of, chosen)
