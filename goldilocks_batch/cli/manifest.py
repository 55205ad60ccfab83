"""``manifest``: any inputs as one manifest."""

from __future__ import annotations

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import guarded
from goldilocks_batch.config.run import RunConfig

__all__ = ["manifest"]


@guarded
@opt.of_run("inputs", "max_sites", *opt.READING, required=True)
def manifest(settings: RunConfig, output: opt.OutputFile) -> None:
    """Turn any inputs into one compact manifest: the fast input of `run`.

    Structures that cannot be read are left out and listed in `<output>.failures.parquet`.

    **Example**

    `goldilocks-batch manifest structures/ archive.tar.gz -o manifest.parquet`
    """
    from goldilocks_batch.cli.summary import print_table_written
    from goldilocks_batch.runs.manifest import write_manifest
    from goldilocks_batch.structures.sources.sourceset import open_sources

    sources = open_sources(settings.inputs, **settings.reading)
    summary = write_manifest(sources, output, max_sites=settings.max_sites)
    raise print_table_written(summary, "manifest")
