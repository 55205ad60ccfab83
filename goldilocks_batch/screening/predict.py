"""``predict``: a few structures already in memory, the table back in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import pyarrow as pa

from goldilocks_batch.artifacts.find import find_model
from goldilocks_batch.config.choices import Device, Grid, SingleSite
from goldilocks_batch.config.model import ModelChoice
from goldilocks_batch.core.errors import ConfigError, ErrorCode
from goldilocks_batch.core.text import nearest
from goldilocks_batch.models.convert import convert_forest
from goldilocks_batch.screening.pipeline import Screening
from goldilocks_batch.structures.sources.memory import references_of

__all__ = ["predict"]

Word = TypeVar("Word", bound=str)

#: Structures between two calls of ``progress``.
_STEP = 50


def predict(
    structures: Any,
    *,
    ids: str | Sequence[str] | None = None,
    model: str = "mc3d",
    confidence: float = 0.95,
    tolerance: float | None = None,
    grid: Grid = "lower",
    equal_axes: bool = False,
    symprec: float = 0.01,
    single_site: SingleSite = "skip",
    max_sites: int = 1000,
    artifacts: str | Path | None = None,
    offline: bool = False,
    registry: str | Path | None = None,
    device: Device = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> pa.Table:
    """Bounds on kdist and k-point meshes for structures in memory, in this process.

    The same checks, features and model as :func:`goldilocks_batch.run`, without files, workers and resume.
    For more than some thousands of structures write them to a manifest and ``run`` it.

    Args:
        structures: one, or many, mixed as you like, of pymatgen's ``Structure``, ASE's ``Atoms`` and
            :class:`~goldilocks_batch.structures.crystal.Crystal`.
        ids: what to call them; their places, from 0, by default.
        model: a name in the registry, mc3d, or the folder of a trained model.
        confidence: one-sided; 0.95, 0.90 or 0.85 of published models, any between 0.5 and 1 of others.
        tolerance: meV per atom that counts as converged: 1, 3 or 5 of mc3d; None: 1, or what a model has.
        grid: which kdist the recommended mesh is made from.
        equal_axes: equal counts along axes of equal length.
        symprec: distance tolerance of the table's space group and primitive cell, Å.
        single_site: what graph networks do with a cell of one atom.
        max_sites: the largest cell that is worked on.
        artifacts: folder of model files, ``<organisation>/<repository>/<file>``.
        offline: fetch no model files; the project's cache is still used.
        registry: a registry file in place of the package's.
        device: where networks run.
        progress: called with the number of structures that are done, and that of all.

    Returns:
        A table in the result schema, one row for every structure in order.  A structure without a prediction
        has a row that says why.

    Raises:
        ConfigError: an option has an unknown value or no effect on this model, or an object is no structure.
        InputError: DUPLICATE_ID, an id occurs twice.
        ModelError: the model is unknown, or its files are missing, altered or not acceptable.
    """
    choice = ModelChoice(model, confidence, _path(artifacts), _path(registry), offline, tolerance)
    work = Screening.of(
        find_model(choice, convert=convert_forest),
        grid=_one_of("grid", grid, Grid),
        equal_axes=equal_axes,
        symprec=_tolerance(symprec),
        max_sites=max_sites,
        single_site=_one_of("single_site", single_site, SingleSite),
        device=_one_of("device", device, Device),
    )
    references = references_of(structures, ids)
    screener = work.build()
    if progress is None:
        return screener(references, 0)[0]
    progress(0, len(references))
    tables = [screener([], 0)[0]]  # there may be none
    for start in range(0, len(references), _STEP):
        tables.append(screener(references[start : start + _STEP], start)[0])
        progress(min(start + _STEP, len(references)), len(references))
    return pa.concat_tables(tables)


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def _tolerance(symprec: float) -> float:
    if not 0 < symprec <= 0.5:
        message = f"symprec is {symprec!r}: a distance tolerance in Å is above 0, and at most 0.5"
        raise ConfigError(ErrorCode.CONFIG_INVALID, message)
    return symprec


def _one_of(name: str, value: Word, words: object) -> Word:
    """An option that is one of a few words."""
    known = get_args(words)
    if value not in known:
        hint = nearest(str(value), [str(word) for word in known])
        raise ConfigError(ErrorCode.CONFIG_INVALID, f"{name} is {value!r}: {hint}")
    return value
