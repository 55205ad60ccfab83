"""Eigenvalues of matrices side by side, against LAPACK."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from goldilocks_batch.features._eigenvalues_kernel import eigenvalues

Matrix = NDArray[np.float64]


def side_by_side(blocks: list[list[Matrix]]) -> tuple[Matrix, NDArray[np.int64]]:
    """Lower triangles of blocks, by group and lane, as the kernel takes them."""
    size = max(len(block) for group in blocks for block in group)
    matrices = np.zeros((len(blocks), size, size, 4))
    sizes = np.array([[len(block) for block in group] for group in blocks], dtype=np.int64)
    for g, group in enumerate(blocks):
        for k, block in enumerate(group):
            matrices[g, : len(block), : len(block), k] = np.tril(block)
    return matrices, sizes


def check(blocks: list[list[Matrix]]) -> None:
    """Each lane has the eigenvalues of its blocks, and NaN beyond."""
    found = eigenvalues(*side_by_side(blocks))
    largest = max((np.abs(block).max() for group in blocks for block in group if block.size), default=0.0)
    size = found.shape[1]
    for k in range(4):
        lane = [np.linalg.eigvalsh(group[k] / (largest or 1.0)) for group in blocks]
        expected = np.sort(np.concatenate(lane)) * largest
        np.testing.assert_allclose(found[k, : len(expected)], expected, rtol=0, atol=1e-14 * size * largest)
        assert np.isnan(found[k, len(expected) :]).all()


def symmetric(entries: Matrix) -> Matrix:
    return np.tril(entries) + np.tril(entries, -1).T


def random(rng: np.random.Generator, n: int) -> Matrix:
    return symmetric(rng.normal(size=(n, n)))


def turned(rng: np.random.Generator, levels: Matrix) -> Matrix:
    """A full matrix with these eigenvalues."""
    turn, _ = np.linalg.qr(rng.normal(size=(len(levels), len(levels))))
    return symmetric(turn @ np.diag(levels) @ turn.T)


def graded(rng: np.random.Generator, n: int) -> Matrix:
    sizes = 10.0 ** rng.uniform(-150, 0, size=n)
    return random(rng, n) * np.sqrt(np.outer(sizes, sizes))


def crowded(rng: np.random.Generator, n: int) -> Matrix:
    """Few levels, each of many states, as symmetry makes them."""
    return turned(rng, rng.choice([-36.5, -36.5 + 1e-13, -17.0, 0.0, 2.0], size=n))


def wilkinson(_rng: np.random.Generator, n: int) -> Matrix:
    """Pairs of eigenvalues that agree to machine precision, from entries that are all large."""
    return np.diag(np.abs(np.arange(n) - n // 2).astype(float)) + np.eye(n, k=1) + np.eye(n, k=-1)


KINDS: dict[str, Callable[[np.random.Generator, int], Matrix]] = {
    "random": random,
    "crowded": crowded,
    "graded": graded,
    "wilkinson": wilkinson,
    "diagonal": lambda rng, n: np.diag(rng.normal(size=n)),
    "zero": lambda _rng, n: np.zeros((n, n)),
    "ones": lambda _rng, n: np.ones((n, n)),
    "integers": lambda rng, n: symmetric(rng.integers(-1, 2, size=(n, n)).astype(float)),
    "pairs": lambda _rng, n: np.kron(np.eye((n + 1) // 2), np.eye(2)[::-1]).astype(np.float64)[:n, :n],
    "ungraded": lambda rng, n: graded(rng, n)[::-1, ::-1].copy(),
}


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.integers(0, 40)), min_size=8, max_size=8),
    st.integers(1, 2),
    st.sampled_from([1.0, 1e-300, 1e-100, 1e-20, 1e20, 1e150, 1e300]),
)
@settings(max_examples=300, deadline=None)
def test_equal_to_lapack_whatever_stands_side_by_side(
    seed: int, wanted: list[tuple[str, int]], groups: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    blocks = [scale * KINDS[kind](rng, n) for kind, n in wanted[: 4 * groups]]
    if max(map(len, blocks)) > 0:
        check([blocks[4 * g : 4 * g + 4] for g in range(groups)])


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("n", [1, 2, 3, 56, 129])
def test_every_kind_in_every_lane(kind: str, n: int) -> None:
    rng = np.random.default_rng(n)
    check([[KINDS[kind](rng, n) for _ in range(4)] for _ in range(2)])


def test_the_largest_matrices_of_the_bands_block() -> None:
    rng = np.random.default_rng(0)
    check([[random(rng, 400), crowded(rng, 399), random(rng, 7), np.zeros((0, 0))]])


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(0, 7))
@settings(max_examples=100, deadline=None)
def test_a_block_has_the_same_bits_whatever_its_neighbours_are(seed: int, n: int, lane: int) -> None:
    rng = np.random.default_rng(seed)
    one = random(rng, n)
    found = []
    for _ in range(2):
        others = [random(rng, int(rng.integers(0, 31))) for _ in range(8)]
        group, k = divmod(lane, 4)
        blocks = [others[:4], others[4:]]
        blocks[1 - group][k] = np.zeros((0, 0))
        blocks[group][k] = one
        found.append(eigenvalues(*side_by_side(blocks))[k, :n])
    assert found[0].tobytes() == found[1].tobytes()


def test_what_stands_above_the_diagonal_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    matrices, sizes = side_by_side([[random(rng, 9) for _ in range(4)]])
    expected = eigenvalues(matrices.copy(), sizes)
    above = np.triu(np.ones((9, 9), dtype=bool), 1)
    matrices[0, above] = np.nan
    with_nan = eigenvalues(np.where(np.isnan(matrices), 1e9, matrices), sizes)
    np.testing.assert_allclose(with_nan, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_entries_that_are_not_finite_have_no_eigenvalues(wrong: float) -> None:
    matrices, sizes = side_by_side([[np.eye(3)] * 4] * 2)
    matrices[1, 2, 0, 3] = wrong
    assert np.isnan(eigenvalues(matrices, sizes)).all()
