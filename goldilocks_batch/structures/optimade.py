"""What OPTIMADE says of a structure beside its sites.

The properties are those of the OPTIMADE specification 1.2, "Structures Entries".
"""

from __future__ import annotations

from collections.abc import Collection

from goldilocks_batch.core.errors import ErrorCode

__all__ = ["missing_atoms"]

_REASONS = {
    "assemblies": (
        ErrorCode.PARTIAL_OCCUPANCY,
        "sites belong to assemblies, of which only some are there at a time; only ordered structures work",
    ),
    "implicit_atoms": (
        ErrorCode.CONTENT_MISMATCH,
        "structure_features says that some atoms are on no site (implicit_atoms); add them as sites",
    ),
    "unknown_positions": (
        ErrorCode.NULL_VALUE,
        "structure_features says that some positions are not known (unknown_positions)",
    ),
}


def missing_atoms(features: Collection[str | None]) -> tuple[ErrorCode, str] | None:
    """Return why the listed sites are not the whole crystal, None if nothing says so.

    Args:
        features: the entry's ``structure_features``; mixtures and attached atoms are told by its species.
    """
    return next((reason for name, reason in _REASONS.items() if name in features), None)
