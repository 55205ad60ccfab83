"""What every model has in common: a batch of structures in, raw bounds out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.config.choices import Cell
from goldilocks_batch.core.errors import GoldilocksError
from goldilocks_batch.features.soap import Zeros
from goldilocks_batch.kpoints.rungs import Rungs
from goldilocks_batch.structures.crystal import Crystal

__all__ = ["CPU_FALLBACK", "Model", "ModelInputs", "RawBounds"]

#: The flag of rows whose networks were to run on a GPU and found no memory there.
CPU_FALLBACK = "cpu_fallback"


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """A batch.

    Attributes:
        crystals: n primitive cells, of the kind that the model wants.
        features: ``(n, k)`` float64, the model's feature blocks side by side; None if it has none.
        prepared: what :meth:`Model.prepare` gave for these crystals, if it has been called already.
    """

    crystals: Sequence[Crystal]
    features: NDArray[np.float64] | None = None
    prepared: object = None


@dataclass(frozen=True, slots=True)
class RawBounds:
    """A model's answer before any correction.

    Attributes:
        values: ``(n, 3)`` float64, 1/Å: lower, median, upper; NaN in a column that the model does not
            give and in a row that failed.
        spread: ``(n, 3)`` standard deviations over an ensemble, 1/Å, or None.
        flags: remarks by the row they belong to.
        failures: why a row has no answer.
        distance: ``(n,)`` to what the model was trained on, in units of its own; None if it does not say.
        rungs: the rung that lower is of, on the ladder of the cell asked; None of models of k-distances.
        given: which of lower, median and upper the model gives; a NaN in one of these is a failure.
    """

    values: NDArray[np.float64]
    spread: NDArray[np.float64] | None = None
    flags: dict[int, tuple[str, ...]] = field(default_factory=dict)
    failures: dict[int, GoldilocksError] = field(default_factory=dict)
    given: tuple[bool, bool, bool] = (True, True, True)
    distance: NDArray[np.float64] | None = None
    rungs: Rungs | None = None


class Model(Protocol):
    """A model loaded into memory; stateless between calls.

    Rows do not influence each other: a batch gives what its rows give one by one, in the same order, to
    float32 rounding, and the inputs are left as they were.
    """

    #: Feature blocks it takes, in the order of the feature table; none for no features.
    feature_blocks: tuple[str, ...]
    #: What its features hold for SOAP entries that vanish by symmetry.
    zeros: Zeros
    #: The cell it was trained on and is asked on.
    cell: Cell

    def prepare(self, crystals: Sequence[Crystal]) -> object:
        """What of a prediction the CPU does in any case, such as graphs; it comes back in the inputs."""

    def predict(self, inputs: ModelInputs) -> RawBounds:
        """Raw bounds for a batch."""
