"""``featurize``: the table of features."""

from __future__ import annotations

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import guarded
from goldilocks_batch.config.run import RunConfig

__all__ = ["featurize"]


@guarded
@opt.of_run(
    "inputs",
    *opt.FILES,
    "max_sites",
    "allow_missing_hydrogens",
    *opt.READING,
    *opt.WORKERS,
    "quiet",
    file=True,
    required=True,
)
def featurize(settings: RunConfig, output: opt.OutputFile) -> None:
    """Write the 483 features of the forest, one named column each, and a table of failures beside them.

    **Example**

    `goldilocks-batch featurize manifest.parquet -o features.parquet --artifacts models/`
    """
    from goldilocks_batch.cli.progress import observer_for
    from goldilocks_batch.cli.summary import print_table_written
    from goldilocks_batch.runs.featurize import featurize as featurize_inputs

    with observer_for(settings.quiet) as observer:
        summary = featurize_inputs(settings, output, observer=observer)
    raise print_table_written(summary, "features")
