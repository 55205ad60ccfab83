"""How a training's features are had and its forests grown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from goldilocks_batch.artifacts.record import FEATURE_SCHEMAS, ModelRecord
from goldilocks_batch.artifacts.registry import SHIPPED, load_registry
from goldilocks_batch.artifacts.resolved import ResolvedFile
from goldilocks_batch.artifacts.trained import shipped_model
from goldilocks_batch.config.choices import Cell
from goldilocks_batch.config.training import Target
from goldilocks_batch.core.errors import ConfigError, ErrorCode, ModelError
from goldilocks_batch.features.soap import Zeros
from goldilocks_batch.training.dataset import Dataset, load_dataset
from goldilocks_batch.training.features import Compute, FeatureSet

__all__ = ["Progress", "Resources", "checked_schema", "existing_folder_of", "folder_of"]

#: Told of forests or epochs: how many are done, of how many.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Resources:
    """How features are had and forests grown; without influence on the numbers, but for the first two.

    Attributes:
        files: the metallicity network's, if the features need it.
        max_sites: the largest cell accepted, in sites as supplied.
        cache: folder of the feature cache, None for none.
        compute: does the feature work; None for this process.
        n_jobs: threads that grow trees; -1 for one a core.
        progress: told of every forest.
        find: gets the network's files, if they are needed and not given.
    """

    files: tuple[ResolvedFile, ...] = ()
    max_sites: int = 1000
    cache: Path | None = None
    compute: Compute | None = None
    n_jobs: int = 1
    progress: Progress | None = None
    find: Callable[[], tuple[ResolvedFile, ...]] | None = None

    def features(self, schema: str, zeros: Zeros = "exact", cell: Cell = "exact") -> FeatureSet:
        """The feature set of a schema, of one kind of cell.

        Raises:
            ConfigError: CONFIG_INVALID, it needs a network and there is none.
            ModelError: the network's files cannot be found.
        """
        needed = "metallicity" in FEATURE_SCHEMAS[schema]
        files = (self.files or (self.find() if self.find else ())) if needed else ()
        if needed and not files:
            raise ConfigError(
                ErrorCode.CONFIG_INVALID,
                f"feature schema {schema} needs the metallicity network: name the folder of model files with "
                "--artifacts, or train with a schema that needs none, such as comp_struct_soap_lattice.v1",
            )
        return FeatureSet(schema, zeros, files, self.max_sites, cell)

    def features_of(self, record: ModelRecord) -> FeatureSet:
        """The feature set of a trained model.

        Raises:
            ConfigError: as :meth:`features`; or CONFIG_INVALID, the network is another than its own.
        """
        zeros: Zeros = record.feature_parameters.get("soap_zeros", "exact")
        found = self.features(record.feature_schema, zeros, record.cell)
        own = {(required.name, required.sha256) for required in record.requires_artifacts}
        if own != {(file.role, file.sha256) for file in found.files}:
            raise ConfigError(
                ErrorCode.CONFIG_INVALID,
                f"model {record.name} was trained with another metallicity network than the one given; its "
                "model.json names the sha256 of the files",
            )
        return found

    def load(self, path: Path, target: Target, features: FeatureSet) -> Dataset:
        """A dataset with these features."""
        return load_dataset(path, target, features, cache=self.cache, compute=self.compute)

    def forest_counter(self, total: int) -> Callable[[], None]:
        """To be called after each of ``total`` forests; tells ``progress``."""
        done = 0

        def grown() -> None:
            nonlocal done
            done += 1
            if self.progress is not None:
                self.progress(done, total)

        if self.progress is not None:
            self.progress(0, total)
        return grown


def checked_schema(schema: str) -> str:
    """A schema's name, if it is one.

    Raises:
        ConfigError: CONFIG_INVALID, with the schemas that are known.
    """
    if schema not in FEATURE_SCHEMAS:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"feature schema '{schema}' is unknown: known are {', '.join(FEATURE_SCHEMAS)}",
        )
    return schema


def folder_of(model: Path) -> Path:
    """A model's folder, by its path or as ``mc3d``, the model in the package."""
    return shipped_model(SHIPPED) if str(model) == SHIPPED and not model.is_dir() else model


def existing_folder_of(model: Path) -> Path:
    """The same, if it is there.

    Raises:
        ModelError: ARTIFACT_MISSING.
    """
    folder = folder_of(model)
    if folder.is_dir():
        return folder
    published = str(model) in load_registry().models
    found = "is a published model, whose bounds stay as published" if published else "does not exist"
    raise ModelError(
        ErrorCode.ARTIFACT_MISSING,
        f"{model} {found}: name the folder of a trained model, or {SHIPPED}, the one in the package",
    )
