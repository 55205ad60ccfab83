"""The cell of a CIF: lattice vectors from its six parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, Stage
from goldilocks_batch.structures.numerals import number
from goldilocks_batch.structures.outcome import refuse

__all__ = ["cell_parameters", "lattice_from_parameters"]

LENGTH_TAGS = ("_cell_length_a", "_cell_length_b", "_cell_length_c")
TAGS = (*LENGTH_TAGS, "_cell_angle_alpha", "_cell_angle_beta", "_cell_angle_gamma")


def cell_parameters(values: Mapping[str, str]) -> tuple[list[float], list[float], bool]:
    """Return the lengths (Å), the angles (degrees), and whether an angle was left out.

    The CIF core dictionary gives an angle that is left out the value 90.

    Raises:
        StructureError: PARSE_FAILED, a length is missing or a parameter is no number.
    """
    found = []
    assumed = False
    for tag in TAGS:
        text = values.get(tag, "?")
        try:
            found.append(float(text))
        except ValueError:
            if text not in ("?", ".", ""):
                found.append(_number(tag, text))
                continue
            if tag in LENGTH_TAGS:
                message = f"the cell has no {tag}; all three lengths are needed"
                refuse(ErrorCode.PARSE_FAILED, message)
            found.append(90.0)
            assumed = True
    return found[:3], found[3:], assumed


def _number(tag: str, text: str) -> float:
    try:
        return number(text)
    except ValueError:
        refuse(ErrorCode.PARSE_FAILED, f"{tag} is {text[:40]!r}, a number is expected")


def lattice_from_parameters(lengths: list[float], angles: list[float]) -> NDArray[np.float64]:
    """Return the ``(3, 3)`` lattice with c along z and a in the xz plane, as pymatgen orients it.

    Args:
        lengths: a, b, c in Å.
        angles: α, β, γ in degrees.

    Raises:
        StructureError: a length or an angle is not positive and finite, or the angles close no cell.
    """
    if not all(map(math.isfinite, lengths + angles)):
        refuse(ErrorCode.NOT_FINITE, f"cell parameters {lengths + angles} are not all finite", Stage.CHECK)
    if min(lengths) <= 0:
        refuse(ErrorCode.LATTICE_ZERO, f"cell lengths {lengths} are not all positive", Stage.CHECK)
    if not all(0 < angle < 180 for angle in angles):
        message = f"cell angles {angles} are not all between 0 and 180 degrees"
        refuse(ErrorCode.LATTICE_COLLAPSED, message, Stage.CHECK)
    a, b, c = lengths
    radians = np.radians(angles)
    cos_alpha, cos_beta, cos_gamma = np.cos(radians).tolist()
    sin_alpha, sin_beta, _ = np.sin(radians).tolist()
    cos_gamma_star = (cos_alpha * cos_beta - cos_gamma) / (sin_alpha * sin_beta)
    if abs(cos_gamma_star) >= 1:
        refuse(ErrorCode.LATTICE_COLLAPSED, f"no cell has the angles {angles}", Stage.CHECK)
    gamma_star = np.arccos(cos_gamma_star)
    cosine, sine = float(np.cos(gamma_star)), float(np.sin(gamma_star))
    return np.array(
        [
            [a * sin_beta, 0.0, a * cos_beta],
            [-b * sin_alpha * cosine, b * sin_alpha * sine, b * cos_alpha],
            [0.0, 0.0, c],
        ]
    )
