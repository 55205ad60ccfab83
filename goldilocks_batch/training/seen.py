"""Which structures a model has seen, so that their labels neither calibrate nor flatter it.

A structure is known again by its composition and its average minimum distances, the mean over its atoms of
the distance to the first, second … neighbour (Widdowson et al., MATCH Commun. Math. Comput. Chem. 87, 529,
2022).  They depend on no choice of cell, origin, orientation or order, and change smoothly with the atoms, so
a structure is the same one in another file format, rounded to that format's digits.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.artifacts.folder import ModelFolder, cannot_be_used, packed
from goldilocks_batch.core.errors import FeatureError
from goldilocks_batch.networks.graphs.neighbours import CUTOFF, MAX_NEIGHBOURS, find_bonds
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.training.dataset import Dataset

__all__ = ["Overlap", "Seen", "overlap_with"]

_FILE = "seen.safetensors"

#: Distances that differ by no more are those of the same structure, Å: CIF files with four decimals move them
#: by some 0.001, another functional by 0.01 and more.
_TOLERANCE = 0.004


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """What of a dataset a model knows.

    Attributes:
        trained: ``(n,)`` bool, structures that trained it or decided when to stop.
        calibrated: ``(n,)`` bool, others that its bounds were calibrated on.
        compositions: ``(n,)`` bool, other structures of a composition that trained it.
    """

    trained: NDArray[np.bool_]
    calibrated: NDArray[np.bool_]
    compositions: NDArray[np.bool_]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of figures on that dataset should know, a sentence each."""
        count, made = len(self.trained), int((self.trained | self.calibrated).sum())
        related = int(self.compositions.sum())
        said = {
            f"The model was made with {made} of these {count} structures: the figures flatter it.": made,
            f"{related} of these {count} structures are not in the training set but share their composition "
            "with one that is.": related,
        }
        return tuple(sentence for sentence, rows in said.items() if rows)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Structures that a model was made with.

    Attributes:
        compositions: ``(n,)`` uint64, digests of the reduced formulas.
        distances: ``(n, 12)`` float32, average minimum distances, Å; neighbours out of reach count as 10 Å.
        trained: ``(n,)`` uint8, 1 if the structure had a part in the training, 0 if it only calibrated.
    """

    compositions: NDArray[np.uint64]
    distances: NDArray[np.float32]
    trained: NDArray[np.uint8]

    @classmethod
    def of(cls, data: Dataset, *, trained: bool = True) -> Self:
        """The structures of a dataset."""
        marks = np.full(len(data), trained, dtype=np.uint8)
        return cls(_digests(data.formulas), _distances(data.cells), marks)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """What a model's folder says; None of a model that was written without it.

        Raises:
            ModelError: ARTIFACT_DIGEST or ARTIFACT_INVALID, the file is not what it should be.
        """
        files = ModelFolder(folder)
        if files.sha256(_FILE) is None:
            return None
        arrays = files.arrays(_FILE)
        complaint = _complaint(arrays)
        if complaint:
            raise cannot_be_used(folder / _FILE, complaint)
        return cls(**arrays)

    def calibrated_on(self, data: Dataset) -> Self:
        """The same training with another calibration."""
        kept, new = self.trained == 1, type(self).of(data, trained=False)
        return type(self)(
            np.concatenate([self.compositions[kept], new.compositions]),
            np.concatenate([self.distances[kept], new.distances]),
            np.concatenate([self.trained[kept], new.trained]),
        )

    def file(self) -> dict[str, bytes]:
        """Its file by name."""
        names = ("compositions", "distances", "trained")
        return {_FILE: packed({name: getattr(self, name) for name in names})}

    def overlap(self, data: Dataset) -> Overlap:
        """Which structures of a dataset are among these."""
        new = type(self).of(data)
        places: defaultdict[int, list[int]] = defaultdict(list)
        for place, composition in enumerate(self.compositions.tolist()):
            places[composition].append(place)
        found = np.zeros((3, len(data)), dtype=np.bool_)
        for row, composition in enumerate(new.compositions.tolist()):
            there = places.get(composition, [])
            apart = np.abs(self.distances[there] - new.distances[row]).max(axis=1, initial=0.0)
            same = self.trained[there][apart <= _TOLERANCE]
            found[:, row] = (same == 1).any(), len(same) > 0, (self.trained[there] == 1).any()
        trained, known, compositions = found
        return Overlap(trained, known & ~trained, compositions & ~trained)


def overlap_with(folder: Path, training_sha256: str, data: Dataset) -> Overlap:
    """What of a dataset the model of a folder knows; of old models only whether it is the same file.

    Args:
        folder: the model's.
        training_sha256: of the file that it was trained on.
        data: the dataset.

    Raises:
        ModelError: as :meth:`Seen.read`.
    """
    seen = Seen.read(folder)
    if seen is not None:
        return seen.overlap(data)
    nothing = np.zeros(len(data), dtype=bool)
    return Overlap(np.full(len(data), data.labels.sha256 == training_sha256), nothing, nothing)


def _digests(formulas: NDArray[np.str_]) -> NDArray[np.uint64]:
    found = [hashlib.sha256(str(formula).encode()).digest()[:8] for formula in formulas]
    return np.array([int.from_bytes(digest, "little") for digest in found], dtype=np.uint64)


def _distances(crystals: Sequence[Crystal]) -> NDArray[np.float32]:
    """``(n, 12)`` average minimum distances, Å."""
    found = np.full((len(crystals), MAX_NEIGHBOURS), CUTOFF, dtype=np.float32)
    for row, crystal in enumerate(crystals):
        try:
            bonds = find_bonds(crystal)
        except FeatureError:  # an atom alone: the composition has to do
            continue
        each = np.full((len(crystal), MAX_NEIGHBOURS), CUTOFF)
        first = np.searchsorted(bonds.source, bonds.source)
        each[bonds.source, np.arange(len(bonds)) - first] = bonds.distance
        found[row] = each.mean(axis=0)
    return found


def _complaint(arrays: Mapping[str, NDArray[Any]]) -> str:
    kinds = {name: str(array.dtype) for name, array in arrays.items()}
    if kinds != {"compositions": "uint64", "distances": "float32", "trained": "uint8"}:
        return f"expected compositions, distances and trained; found {kinds}"
    n = len(arrays["compositions"]) if arrays["compositions"].ndim == 1 else -1
    shapes = [array.shape for array in arrays.values()]
    if [arrays[name].shape for name in ("distances", "trained")] != [(n, MAX_NEIGHBOURS), (n,)]:
        return f"its shapes {shapes} do not fit each other"
    return ""
