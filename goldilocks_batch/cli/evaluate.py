"""``evaluate``: a model on labels that it never saw."""

from __future__ import annotations

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import guarded
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.config.training import Target

__all__ = ["evaluate"]


@guarded
@opt.of_run(*opt.FILES, "tolerance", "max_sites", *opt.WORKERS, "quiet", file=True)
@opt.of_labels("column", "kind", "at_most")
def evaluate(
    model: opt.JudgedModel,
    dataset: opt.Dataset,
    output: opt.ReportFolder,
    target: Target,
    settings: RunConfig,
    confidence: opt.JudgedConfidences = None,
    cache: opt.FeatureCache = None,
) -> None:
    """Judge a model on labels that it never saw: errors, coverage, width, and k-points spent.

    Writes tables (Markdown and JSON), plots (PNG) and every row's bounds (Parquet).

    **Examples**

    `goldilocks-batch evaluate model/ labels.parquet --target k_dist -o report/`

    `goldilocks-batch evaluate rf labels.parquet --artifacts models/ -o report/`

    `goldilocks-batch evaluate mc3d studies.parquet --at-most k_dist_at_most -o report/`
    """
    from goldilocks_batch.artifacts.inventory import levels_of
    from goldilocks_batch.artifacts.registry import load_registry
    from goldilocks_batch.cli.resources import resources_of
    from goldilocks_batch.cli.tables import console
    from goldilocks_batch.cli.verdicts import end_of_features, print_markdown
    from goldilocks_batch.runs.attempt import found_model
    from goldilocks_batch.training.card import report as tables
    from goldilocks_batch.training.published import evaluate_published
    from goldilocks_batch.training.recipes import evaluate_model
    from goldilocks_batch.training.train import CONFIDENCES

    known = load_registry(settings.registry)
    with resources_of(settings, cache) as resources:
        if str(model) in known.models and not model.is_dir():
            levels = levels_of(known, str(model)) if confidence is None else confidence
            published = [found_model(settings.updated(model=str(model), confidence=c).choice) for c in levels]
            judged = evaluate_published(published, dataset, target, output, resources=resources)
        else:
            judged = evaluate_model(
                model,
                dataset,
                target,
                output,
                confidences=confidence or CONFIDENCES,
                tolerance=settings.tolerance,
                resources=resources,
            )
    print_markdown(tables(judged.evaluation, remarks=judged.remarks))
    console().print(f"tables, plots and predictions: {output}")
    raise end_of_features(judged.dataset.left_out, output)
