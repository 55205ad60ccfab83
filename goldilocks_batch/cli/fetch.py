"""``fetch``: structures of public databases as a manifest."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.completion import complete_provider
from goldilocks_batch.cli.exits import Exit, guarded
from goldilocks_batch.cli.help import Command
from goldilocks_batch.config.flags import MESSAGES

__all__ = ["FetchCommand", "fetch"]

#: As the library has them, which is loaded when they are needed.
_LIMIT, _RETRIES, _SECONDS = 100_000, 4, 120.0
_SYMBOLS = re.compile(r"[A-Z][a-z]?(,[A-Z][a-z]?)*")


class FetchCommand(Command):
    """A command whose ``--elements`` takes all symbols that come after it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Join the symbols, so that they are one value."""
        joined: list[str] = []
        for arg in args:
            after = len(joined) > 1 and joined[-2] == "--elements" and _SYMBOLS.fullmatch(joined[-1])
            if after and _SYMBOLS.fullmatch(arg):
                joined[-1] += f",{arg}"
            else:
                joined.append(arg)
        return super().parse_args(ctx, joined)


@guarded
def fetch(
    providers: Annotated[
        list[str],
        typer.Argument(
            metavar="PROVIDERS",
            autocompletion=complete_provider,
            help="mc3d, mp, jarvis, oqmd, alexandria, cod, nomad or another of the public index; the base "
            "URL of an OPTIMADE interface; or NAME=URL.",
        ),
    ],
    output: opt.OutputFile,
    filter_text: Annotated[
        str | None,
        typer.Option("--filter", metavar="FILTER", help="What to ask for, in OPTIMADE's filter language."),
    ] = None,
    elements: Annotated[
        list[str] | None,
        typer.Option(
            "--elements",
            metavar="SYMBOLS",
            help="Elements that must all be in a structure; others may be too.",
        ),
    ] = None,
    formula: Annotated[
        str | None, typer.Option(help="Formula of the structures, such as SiO2, in any order and multiple.")
    ] = None,
    nsites_max: Annotated[int | None, typer.Option(min=1, help="Sites in the cell at most.")] = None,
    number: Annotated[
        int,
        typer.Option("--number", "-n", min=1, help="Entries of each provider at most."),
    ] = _LIMIT,
    retries: Annotated[
        int,
        typer.Option(min=0, max=100, help="How often a provider that gives no answer is asked again."),
    ] = _RETRIES,
    timeout: Annotated[
        float,
        typer.Option(min=1.0, metavar="SECONDS", help="Time for a page, which is asked for once more then."),
    ] = _SECONDS,
    overwrite: opt.Overwrite = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress, only the summary.", rich_help_panel=MESSAGES)
    ] = False,
) -> None:
    """Get structures from public databases, by OPTIMADE, as a manifest that `run` reads.

    Ids are `provider/id`; the manifest says where each entry is found, when it was changed and under which
    licence it is. Answers are kept on disk page by page: the same command goes on where it was ended.

    `run` takes databases too, as inputs: `optimade:mc3d?elements=Si,O&nsites_max=40`.

    **Examples**

    `goldilocks-batch fetch mc3d --elements Si O --nsites-max 40 -o silicates.parquet`

    `goldilocks-batch fetch mp alexandria --formula SiO2 -o silica.parquet`

    `goldilocks-batch fetch oqmd --filter 'elements HAS "Li" AND nelements=2' -n 5000 -o lithium.parquet`

    `goldilocks-batch fetch mine=https://example.org/optimade -o mine.parquet`

    **Exit codes**: 0 every provider gave all of it; 1 one gave nothing, or not all; 2 nobody could be asked.
    """
    from goldilocks_batch.cli.fetching import end_of_fetch, watch_for
    from goldilocks_batch.runs.fetch import fetch as fetch_databases
    from goldilocks_batch.structures.databases.asking import Patience
    from goldilocks_batch.structures.databases.query import Query, combined

    symbols = [name for given in elements or () for name in re.split(r"[,\s]+", given) if name]
    query = Query(combined(filter_text, symbols, formula, nsites_max), number)
    patience = Patience(retries=retries, answer=timeout)
    with watch_for(quiet) as watch:
        fetched = fetch_databases(
            providers, query, output, patience=patience, overwrite=overwrite, watch=watch
        )
    end_of_fetch(fetched)
    raise typer.Exit(Exit.OK if fetched.complete else Exit.SOME_FAILED)
