"""What all trainings are asked of their labels."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from goldilocks_batch.config.checking import Options
from goldilocks_batch.config.flags import TRAINING, Flag

__all__ = ["OnLabels"]


class OnLabels(Options):
    """Options of every training."""

    mixed_protocols: Annotated[bool, Flag(TRAINING)] = Field(
        False, description="train on labels of several codes, functionals or pseudopotentials together"
    )
