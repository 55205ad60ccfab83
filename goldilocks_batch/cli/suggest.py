"""``suggest``: what to label next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import guarded
from goldilocks_batch.config.choices import FeatureSchema
from goldilocks_batch.config.run import RunConfig

__all__ = ["suggest"]


@guarded
@opt.of_run(*opt.FILES, "max_sites", *opt.WORKERS, "quiet", file=True)
def suggest(
    results: Annotated[Path, typer.Argument(help="Output folder of a finished run.")],
    settings: RunConfig,
    output: opt.OutputFile = Path("next.parquet"),
    number: Annotated[int, typer.Option("--number", "-n", help="How many structures.")] = 200,
    training: opt.Labelled = None,
    features: Annotated[
        FeatureSchema | None,
        typer.Option(
            help="The features that say what is alike. [default: those of the run's model, if it was "
            "trained with this package, or comp_struct_soap_lattice.v1]",
        ),
    ] = None,
    cache: opt.FeatureCache = None,
) -> None:
    """Pick the structures of a run that are most worth labelling next, as a manifest, best first.

    What counts is the width of the predicted interval, the distance from the training set, and diversity.

    **Examples**

    `goldilocks-batch suggest screening/ -n 200 -o next.parquet`

    `goldilocks-batch suggest screening/ -n 200 --training labels.parquet`
    """
    from goldilocks_batch.cli.resources import resources_of
    from goldilocks_batch.cli.tables import console
    from goldilocks_batch.training.suggest import suggest_next

    with resources_of(settings, cache) as resources:
        count = suggest_next(
            results,
            number,
            output,
            training=training,
            schema=features,
            resources=resources,
        )
    out = console()
    out.print(f"{count:,} structures, best first, in {output}")
    if training is None:
        out.print("chosen by interval and diversity alone: name the labels that there are with --training")
