"""``calibrate``: a trained model's bounds on other labels."""

from __future__ import annotations

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import guarded
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.config.training import Target

__all__ = ["calibrate"]


@guarded
@opt.of_run(*opt.FILES, "tolerance", "max_sites", *opt.WORKERS, "quiet", file=True)
@opt.of_labels("column", "kind")
def calibrate(
    model: opt.TrainedModel,
    dataset: opt.Dataset,
    output: opt.ModelFolder,
    target: Target,
    settings: RunConfig,
    cache: opt.FeatureCache = None,
    overwrite: opt.Overwrite = False,
) -> None:
    """Calibrate a trained model anew, on labels of your own that it was not trained on.

    Trees or networks stay; bounds are moved so that they hold as often as they promise for such structures.

    **Example**

    `goldilocks-batch calibrate mc3d labels.parquet --target k_dist -o calibrated/`
    """
    from goldilocks_batch.cli.resources import resources_of
    from goldilocks_batch.cli.tables import console
    from goldilocks_batch.cli.verdicts import end_of_features, print_markdown
    from goldilocks_batch.training.card import margin_table
    from goldilocks_batch.training.recipes import calibrate_model

    with resources_of(settings, cache) as resources:
        made = calibrate_model(
            *(model, dataset, target, output),
            tolerance=settings.tolerance,
            resources=resources,
            overwrite=overwrite,
        )
    calibration, out = made.record.calibration, console()
    labels = calibration.dataset or {}
    out.print(f"calibrated on {calibration.rows:,} labels. {calibration.guarantee}")
    if labels["known_compositions"]:
        out.print(
            f"{labels['known_compositions']:,} of their structures share their composition with the training "
            "set: expect somewhat less coverage for new compositions"
        )
    if made.record.calibration.margins:
        print_markdown(margin_table(made.record))
    out.print(f"model: {output}")
    raise end_of_features(labels["left_out"], output)
