"""All feature blocks of a batch of crystals, one row each, failures kept apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, FeatureError, ModelError, Stage
from goldilocks_batch.features._cell_kernel import spans_a_cell
from goldilocks_batch.features.bands import bands_block
from goldilocks_batch.features.composition import composition_block, untabulated_element
from goldilocks_batch.features.cslr import cell_block, reciprocal_block, symmetry_block
from goldilocks_batch.features.lattice import lattice_block
from goldilocks_batch.features.physics import elements_block, physics_block
from goldilocks_batch.features.soap import Zeros, soap
from goldilocks_batch.features.structure_block import structure_block
from goldilocks_batch.features.table import BLOCKS, PUBLISHED_BLOCKS, block_slices, column_names, n_columns
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.symmetry import Symmetry

__all__ = ["Features", "Featurizer", "Metallicity"]

#: The metallicity network: ``(n, 64)`` features of crystals, and the failed ones by position.
Metallicity = Callable[[Sequence[Crystal]], tuple[NDArray[np.float32], dict[int, FeatureError]]]

#: Values, whether the structure block is zero, and failures by position.
_Block = tuple[NDArray[np.float64], NDArray[np.bool_], dict[int, FeatureError]]


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Features of a batch.

    Attributes:
        values: ``(n, columns)`` float64; a failed row is NaN throughout, all other entries are finite.
        structure_block_zero: ``(n,)`` True where an element has no tabulated radius and the block is zero.
        failures: by row, why it failed.
    """

    values: NDArray[np.float64]
    structure_block_zero: NDArray[np.bool_]
    failures: dict[int, FeatureError]


class Featurizer:
    """Computes feature blocks; build one for each worker.

    Args:
        metallicity: the network behind the metallicity block; None leaves the block out.
        blocks: the blocks wanted, in this order; by default those of the published forest that can be had.
        zeros: what stands for SOAP entries that vanish by symmetry; ``library`` for the published models,
            ``exact`` for models trained on this package's own features.

    Attributes:
        blocks: the blocks computed, in the order of the columns.
        metallicity: the network behind the metallicity block, None where there is none.
        timings: CPU seconds spent on each block so far.

    Raises:
        ValueError: an unknown or repeated block, or metallicity without its network.
    """

    def __init__(
        self,
        metallicity: Metallicity | None = None,
        blocks: Sequence[str] | None = None,
        zeros: Zeros = "library",
    ) -> None:
        if blocks is None:
            blocks = [b for b in PUBLISHED_BLOCKS if b != "metallicity" or metallicity is not None]
        unknown = sorted(set(blocks) - set(BLOCKS))
        if unknown or len(set(blocks)) < len(blocks):
            raise ValueError(
                f"blocks must be distinct and among {', '.join(BLOCKS)}; got {', '.join(blocks)}"
            )
        if "metallicity" in blocks and metallicity is None:
            raise ValueError(
                "the metallicity block needs its network; pass metallicity or leave the block out"
            )
        self.blocks = tuple(blocks)
        self.timings = dict.fromkeys(self.blocks, 0.0)
        self.metallicity = metallicity
        self._zeros = zeros
        self._slices = block_slices(self.blocks)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return column_names(self.blocks)

    def __call__(self, crystals: Sequence[Crystal], symmetries: Sequence[Symmetry]) -> Features:
        """Compute the blocks of a batch.

        Args:
            crystals: n primitive cells.
            symmetries: the symmetry of each.

        Returns:
            Their features; no crystal affects the row of another.

        Raises:
            ValueError: the two sequences differ in length.
        """
        if len(crystals) != len(symmetries):
            raise ValueError(
                f"{len(crystals)} crystals and {len(symmetries)} symmetries; one for each is needed"
            )
        n = len(crystals)
        values = np.zeros((n, n_columns(self.blocks)))
        zero = np.zeros(n, dtype=bool)
        failures = {row: error for row in range(n) if (error := _refused(crystals[row])) is not None}
        for block in self.blocks:
            rows = [row for row in range(n) if row not in failures]
            if not rows:
                break
            with self._timed(block):
                part = [crystals[row] for row in rows], [symmetries[row] for row in rows]
                block_values, block_zero, failed = self._guarded(block, *part)
            values[rows, self._slices[block]] = block_values
            zero[rows] |= block_zero
            failures.update({rows[position]: error for position, error in failed.items()})
        values[~np.isfinite(values)] = 0.0
        values[list(failures)] = np.nan
        zero[list(failures)] = False
        return Features(values, zero, dict(sorted(failures.items())))

    def _guarded(self, block: str, crystals: Sequence[Crystal], symmetries: Sequence[Symmetry]) -> _Block:
        """One block of a batch; if anything goes wrong, crystal by crystal to find whose fault it is."""
        try:
            return self._compute(block, crystals, symmetries)
        except ModelError:  # the network's files, nobody's fault here
            raise
        except Exception as exc:
            if len(crystals) == 1:
                return np.zeros((1, BLOCKS[block])), np.zeros(1, dtype=bool), {0: _as_failure(block, exc)}
        single = [self._guarded(block, [c], [s]) for c, s in zip(crystals, symmetries, strict=True)]
        failures = {row: failed[0] for row, (_, _, failed) in enumerate(single) if failed}
        return np.vstack([part[0] for part in single]), np.concatenate([part[1] for part in single]), failures

    def _compute(self, block: str, crystals: Sequence[Crystal], symmetries: Sequence[Symmetry]) -> _Block:
        zero = np.zeros(len(crystals), dtype=bool)
        if block == "composition":
            return composition_block(crystals), zero, {}
        if block == "structure":
            return *structure_block(crystals, symmetries), {}
        if block == "lattice":
            return lattice_block(crystals, symmetries), zero, {}
        if block == "physics":
            return physics_block(crystals, symmetries), zero, {}
        if block == "bands":
            return bands_block(crystals, symmetries), zero, {}
        if block == "elements":
            return elements_block(crystals), zero, {}
        if block == "symmetry":
            return *symmetry_block(crystals, symmetries), {}
        if block == "cell":
            return cell_block(crystals), zero, {}
        if block == "reciprocal":
            return reciprocal_block(crystals), zero, {}
        if block == "soap":
            return (
                np.stack([soap(c, s, self._zeros) for c, s in zip(crystals, symmetries, strict=True)]),
                zero,
                {},
            )
        assert self.metallicity is not None  # noqa: S101 checked on construction
        values, failures = self.metallicity(crystals)
        return values.astype(np.float64), zero, failures

    @contextmanager
    def _timed(self, block: str) -> Iterator[None]:
        start = time.process_time()
        try:
            yield
        finally:
            self.timings[block] += time.process_time() - start


def _refused(crystal: Crystal) -> FeatureError | None:
    """Why a crystal can have no features at all, None if it can."""
    if len(crystal) == 0 or crystal.frac.shape != (len(crystal), 3) or crystal.lattice.shape != (3, 3):
        return _failed(f"{len(crystal)} sites with arrays {crystal.frac.shape} and {crystal.lattice.shape}")
    if spans_a_cell(crystal.lattice, crystal.frac):
        return untabulated_element(crystal)
    if not (np.isfinite(crystal.lattice).all() and np.isfinite(crystal.frac).all()):
        return _failed("the lattice or a coordinate is not finite")
    edges = np.linalg.norm(crystal.lattice, axis=1).round(3).tolist()
    return _failed(f"the cell has a volume of {crystal.volume:.3g} Å³ with edges {edges} Å")


def _failed(found: str) -> FeatureError:
    message = f"no features: {found}; a crystal with a cell is expected"
    return FeatureError(ErrorCode.FEATURES_FAILED, message, stage=Stage.FEATURES)


def _as_failure(block: str, exc: Exception) -> FeatureError:
    if isinstance(exc, FeatureError):
        return exc
    message = f"the {block} block failed: {type(exc).__name__}: {exc}"
    error = FeatureError(ErrorCode.FEATURES_FAILED, message, stage=Stage.FEATURES)
    error.__cause__ = exc
    return error
