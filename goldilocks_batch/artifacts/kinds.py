"""The kinds of models there are, and what follows from a model's kind before it is loaded."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ModelKind"]


class ModelKind(StrEnum):
    """What a model is made of; the word is the one in registries and in ``run.json``.

    ``forest``, ``alignn``, ``k_index`` and ``constant`` are published models, described by the registry;
    ``trained``, ``trained_alignn`` and ``boosted`` are folders that describe themselves, and so are those of
    ``goldilocks``, forests with a record of goldilocks-ml.
    """

    CONSTANT = "constant"
    FOREST = "forest"
    ALIGNN = "alignn"
    TRAINED = "trained"
    TRAINED_ALIGNN = "trained_alignn"
    BOOSTED = "boosted"
    K_INDEX = "k_index"
    GOLDILOCKS = "goldilocks"

    @property
    def describes_itself(self) -> bool:
        """Whether its own folder says what it is, and not the registry."""
        return self in (
            ModelKind.TRAINED,
            ModelKind.TRAINED_ALIGNN,
            ModelKind.BOOSTED,
            ModelKind.GOLDILOCKS,
        )

    @property
    def has_networks(self) -> bool:
        """Whether graph networks decide, which a GPU answers faster."""
        return self in (ModelKind.ALIGNN, ModelKind.TRAINED_ALIGNN)

    @property
    def has_interval(self) -> bool:
        """Whether it gives a median and an upper bound beside the lower one."""
        return self is not ModelKind.CONSTANT

    @property
    def is_converted(self) -> bool:
        """Whether its files are turned into arrays before workers load them."""
        return self in (ModelKind.FOREST, ModelKind.K_INDEX, ModelKind.GOLDILOCKS)

    @property
    def single_files(self) -> tuple[str, ...]:
        """Roles that must be one file each in the registry."""
        forest = ("forest",)
        return {ModelKind.FOREST: forest, ModelKind.K_INDEX: forest, ModelKind.ALIGNN: ("atoms",)}.get(
            self, ()
        )

    @property
    def ensembles(self) -> tuple[str, ...]:
        """Roles that may be a folder of checkpoints in the registry."""
        return ("lower", "median", "upper") if self is ModelKind.ALIGNN else ()

    @property
    def seconds(self) -> float:
        """Process-seconds that a structure of some ten atoms takes on a CPU, measured."""
        return {
            ModelKind.CONSTANT: 0.002,
            ModelKind.BOOSTED: 0.002,
            ModelKind.FOREST: 0.003,
            ModelKind.TRAINED: 0.003,
            ModelKind.K_INDEX: 0.003,
            ModelKind.GOLDILOCKS: 0.003,
        }.get(self, 0.01)

    @property
    def seconds_with_gpu(self) -> float:
        """The same where networks run on a GPU; what is left is mostly the CPU's part.  An estimate."""
        return 0.005 if self.has_networks else self.seconds
