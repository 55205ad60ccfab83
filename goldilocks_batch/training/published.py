"""Published models judged on labels of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from goldilocks_batch.artifacts.record import FEATURE_SCHEMAS
from goldilocks_batch.artifacts.resolved import ResolvedModel
from goldilocks_batch.config.training import Target
from goldilocks_batch.core.errors import ConfigError, ErrorCode, GoldilocksError
from goldilocks_batch.models.bounds import finalise
from goldilocks_batch.models.interface import ModelInputs
from goldilocks_batch.models.load import load_model
from goldilocks_batch.training.evaluate import evaluate
from goldilocks_batch.training.judged import Judged, write_judged
from goldilocks_batch.training.protocols import remarks_on
from goldilocks_batch.training.resources import Resources

__all__ = ["evaluate_published"]


def evaluate_published(
    models: Sequence[ResolvedModel],
    dataset: Path,
    target: Target,
    output: Path,
    *,
    resources: Resources | None = None,
) -> Judged:
    """Judge a published model's final bounds on a dataset, as screening gives them.

    Args:
        models: the same model at one or several confidences; the first is the one that plots are about.
        dataset: labels; whether the model was trained on their structures is not known.
        target: which column holds the label, and where there is one, the limit of those without.
        output: the report's folder.
        resources: how features are had.

    Raises:
        ConfigError: CONFIG_INVALID, the model is a constant and has no interval.
        InputError, ModelError: the dataset or a file of the model is unusable.
        RunError: WRITE_FAILED.
    """
    resources = resources or Resources()
    if not models[0].kind.has_interval:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"model '{models[0].name}' has a lower bound only; what its constants cover and cost on these "
            "labels is in the evaluation of any other model, such as mc3d, under constants in use",
        )
    loaded = {model.confidence: load_model(model) for model in models}
    first = next(iter(loaded.values()))
    schema = next(name for name, blocks in FEATURE_SCHEMAS.items() if blocks == first.feature_blocks)
    data = resources.load(dataset, target, resources.features(schema, first.zeros, first.cell))
    inputs, failures, bounds = ModelInputs(data.cells, data.features), dict[int, GoldilocksError](), {}
    for resolved, model in zip(models, loaded.values(), strict=True):
        raw = model.predict(inputs)
        final = finalise(raw, resolved.correction)
        failures |= final.failures | raw.failures
        bounds[resolved.confidence] = final.values
    kept = np.setdiff1d(np.arange(len(data)), list(failures))
    data, bounds = data.without(failures), {c: values[kept] for c, values in bounds.items()}
    remark = (
        f"Bounds of the published model '{models[0].name}', {models[0].correction_origin}. Which of these "
        "structures it was trained on is not known."
    )
    remarks = (remark, *remarks_on(data.labels.protocols, None))
    judged = Judged(evaluate(data, bounds), data, bounds, remarks)
    write_judged(judged, output)
    return judged
