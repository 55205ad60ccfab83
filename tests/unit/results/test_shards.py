from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.results.shards import Identity, Shard, cut_shards, missing_rows, remaining_shards


@given(
    rows=st.integers(0, 3000),
    size=st.integers(1, 400),
    boundaries=st.lists(st.integers(-5, 3200), max_size=8),
)
def test_shards_tile_the_rows(rows: int, size: int, boundaries: list[int]) -> None:
    shards = cut_shards(rows, size, boundaries)
    assert [row for shard in shards for row in range(shard.start, shard.stop)] == list(range(rows))
    assert all(0 < len(shard) <= size for shard in shards)
    assert len(shards) == 1 or all(2 * len(shard) >= size for shard in shards)
    assert shards == cut_shards(rows, size, boundaries)


def test_shards_keep_to_the_row_groups() -> None:
    shards = cut_shards(5000, 256, [1000, 2000, 3000, 4000])
    assert {1000, 2000, 3000, 4000} <= {shard.start for shard in shards}
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_small_groups_are_joined_as_long_as_they_fit() -> None:
    assert {len(shard) for shard in cut_shards(100_000, 5500, range(0, 100_000, 1000))} == {5000}


def test_many_tiny_groups_do_not_make_many_tiny_shards() -> None:
    assert len(cut_shards(1000, 250, range(1000))) <= 8


@given(
    rows=st.integers(1, 500),
    size=st.integers(1, 90),
    other=st.integers(1, 90),
    keep=st.lists(st.booleans(), min_size=500, max_size=500),
)
def test_what_remains_and_what_is_done_make_the_whole(
    rows: int, size: int, other: int, keep: list[bool]
) -> None:
    done = [shard for shard, kept in zip(cut_shards(rows, other), keep, strict=False) if kept]
    left = remaining_shards(cut_shards(rows, size), done)
    seen = sorted([*left, *done])
    assert [row for shard in seen for row in range(shard.start, shard.stop)] == list(range(rows))
    assert all(len(shard) <= size for shard in left)
    assert missing_rows(rows, [*left, *done]) == []


def test_halves() -> None:
    assert Shard(3, 8).halves() == (Shard(3, 5), Shard(5, 8))


def test_changed_identity_is_refused_and_says_what_changed() -> None:
    before = Identity(
        {"options": {"confidence": 0.95, "grid": "lower"}, "inputs": [{"rows": 3, "digest": "a"}]}
    )
    after = Identity(
        {"options": {"confidence": 0.90, "grid": "lower"}, "inputs": [{"rows": 3, "digest": "b"}]}
    )
    assert before.fingerprint != after.fingerprint
    before.check_resumable(before.parts)
    with pytest.raises(RunError) as caught:
        after.check_resumable(before.parts)
    assert caught.value.code == ErrorCode.RESUME_REFUSED
    text = caught.value.message
    assert "options.confidence was 0.95, is 0.9" in text
    assert "inputs[0].digest was 'a', is 'b'" in text
    assert "--overwrite" in text
    assert "grid" not in text


def test_more_inputs_than_before_is_a_change() -> None:
    with pytest.raises(RunError, match="inputs: 1 before, 2 now"):
        Identity({"inputs": ["a", "b"]}).check_resumable({"inputs": ["a"]})
