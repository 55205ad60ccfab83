"""Space group of a crystal: one search that serves features, result table and k-point reduction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, FeatureError, Stage
from goldilocks_batch.structures._niggli import niggli_reduced
from goldilocks_batch.structures._operations import clear_operations
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.space_groups import space_group_type
from goldilocks_batch.structures.spglib_calls import quiet_spglib

__all__ = [
    "ANGLE_TOLERANCE",
    "DISTANCES_ONLY",
    "SYMPREC",
    "SYSTEMS",
    "Symmetry",
    "find_symmetry",
    "quiet_spglib",
    "reduced_lattice",
]

#: Distance tolerance of the training data, Å.
SYMPREC = 0.01
#: Angle tolerance of the training data, degrees.
ANGLE_TOLERANCE = 5.0
#: In place of an angle tolerance: the distance tolerance alone decides.
DISTANCES_ONLY = -1.0

#: Crystal systems with the number of the last space group of each, *International Tables A*.
SYSTEMS = {
    "triclinic": 2,
    "monoclinic": 15,
    "orthorhombic": 74,
    "tetragonal": 142,
    "trigonal": 167,
    "hexagonal": 194,
    "cubic": 230,
}
_SYSTEM_LETTERS = dict(zip(SYSTEMS, "amothhc", strict=True))
_CENTROSYMMETRIC = frozenset(("-1", "2/m", "mmm", "4/m", "4/mmm", "-3", "-3m", "6/m", "6/mmm", "m-3", "m-3m"))


@dataclass(frozen=True, slots=True, eq=False)
class Symmetry:
    """Space group of a crystal and the operations in the basis of its own cell, in no particular order.

    Attributes:
        number: space-group number, 1 to 230.
        international: short Hermann-Mauguin symbol, e.g. ``Fm-3m``.
        hall_number: spglib's Hall number, 1 to 530.
        point_group: symbol, e.g. ``m-3m``.
        rotations: ``(m, 3, 3)`` int32, on fractional coordinates.
        translations: ``(m, 3)`` float64, fractional.
        equivalent_atoms: ``(n,)`` int32, for each atom the first one it is mapped on.
        setting: ``(3, 3)`` and ``(3,)``, the matrix and shift that take fractional coordinates to those of
            the Hall number's setting; None where the operations do not depend on the tolerance and were
            found without spglib's search.
    """

    number: int
    international: str
    hall_number: int
    point_group: str
    rotations: NDArray[np.int32]
    translations: NDArray[np.float64]
    equivalent_atoms: NDArray[np.int32]
    setting: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    @property
    def crystal_system(self) -> str:
        """One of the seven, e.g. ``cubic``."""
        return next(name for name, last in SYSTEMS.items() if self.number <= last)

    @property
    def bravais(self) -> str:
        """Letter of the system (trigonal counts as h) and of the symbol's centring, e.g. ``cF``, ``oA``."""
        return _SYSTEM_LETTERS[self.crystal_system] + self.international[0]

    @property
    def is_centrosymmetric(self) -> bool:
        """Whether the point group is one of the eleven Laue groups."""
        return self.point_group in _CENTROSYMMETRIC


def find_symmetry(
    crystal: Crystal, symprec: float = SYMPREC, angle_tolerance: float = ANGLE_TOLERANCE
) -> Symmetry:
    """Space group and operations of a crystal, as spglib's ``get_symmetry_dataset`` gives them.

    Where the operations do not depend on the tolerance, they are found directly and spglib only names their
    type; otherwise spglib searches.

    Args:
        crystal: the crystal; all three axes count as periodic.
        symprec: distance tolerance, Å.
        angle_tolerance: of cell angles, degrees; by default that of pymatgen's ``SpacegroupAnalyzer``.
            :data:`DISTANCES_ONLY`, spglib's own default, compares angles by the distances that they make.

    Raises:
        FeatureError: SYMMETRY_FAILED, spglib finds nothing or the coordinates are not finite.
    """
    found = _from_operations(crystal, symprec)
    if found is not None:
        return found
    # spglib dies of a segmentation fault on a lattice that is not finite
    if not (np.isfinite(crystal.lattice).all() and np.isfinite(crystal.frac).all()):
        raise _failure("the lattice or a coordinate is not finite")
    try:
        found = _from_search(crystal, symprec, angle_tolerance)
    except Exception as exc:  # spglib raises its own class or a binding's, by version
        raise _failure(str(exc)) from exc
    if found is None or not 1 <= found.number <= 230:
        raise _failure(f"spglib finds no space group at symprec {symprec} Å; atoms may be too close")
    return found


def reduced_lattice(lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Niggli-reduced vectors of the same lattice, ``(3, 3)``, Å; the given ones if there are none."""
    found, reduced = niggli_reduced(lattice)
    vectors: NDArray[np.float64] = reduced
    return vectors if found else lattice


def _from_operations(crystal: Crystal, symprec: float) -> Symmetry | None:
    count, rotations, translations, first = clear_operations(
        crystal.lattice, crystal.frac, crystal.numbers, symprec
    )
    kind = space_group_type(rotations, translations) if count else None
    if kind is None:
        return None
    return Symmetry(
        number=kind.number,
        international=kind.international,
        hall_number=kind.hall_number,
        point_group=kind.point_group,
        rotations=rotations,
        translations=translations,
        equivalent_atoms=first,
    )


def _from_search(crystal: Crystal, symprec: float, angle_tolerance: float) -> Symmetry | None:
    kinds: dict[int, int] = {}
    codes = [kinds.setdefault(z, len(kinds) + 1) for z in crystal.numbers.tolist()]
    cell = (crystal.lattice, crystal.frac, codes)
    with quiet_spglib() as spglib:
        found = spglib.get_symmetry_dataset(cell, symprec=symprec, angle_tolerance=angle_tolerance)
    if found is None:
        return None
    return Symmetry(
        number=int(found.number),
        international=str(found.international),
        hall_number=int(found.hall_number),
        point_group=str(found.pointgroup).strip(),
        rotations=found.rotations,
        translations=found.translations,
        equivalent_atoms=found.equivalent_atoms,
        setting=(found.transformation_matrix, found.origin_shift),
    )


def _failure(reason: str) -> FeatureError:
    return FeatureError(ErrorCode.SYMMETRY_FAILED, f"symmetry search failed: {reason}", stage=Stage.SYMMETRY)
