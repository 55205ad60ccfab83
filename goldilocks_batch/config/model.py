"""Which model is asked, and where its files may be looked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["ModelChoice"]


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """What finding a model takes.

    Attributes:
        model: a name in the registry, the model in the package, or the folder of a trained one.
        confidence: one-sided.
        artifacts: folder of model files, ``<organisation>/<repository>/<file>``, that is looked in first.
        registry: a registry file in place of the package's.
        offline: whether no host may be asked.
        tolerance: meV per atom; None for the model's first.
    """

    model: str
    confidence: float = 0.95
    artifacts: Path | None = None
    registry: Path | None = None
    offline: bool = False
    tolerance: float | None = None
