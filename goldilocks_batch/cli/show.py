"""``show``: the result table of a run, for people."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import guarded

__all__ = ["cells", "numbers", "show"]

#: Rows that are printed unless more are asked for.
_ROWS = 100


@guarded
def show(
    output: opt.Folder,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Columns to print, with commas between them. [default: id, formula, space group, "
            "kdist, mesh, irreducible k-points, flags]"
        ),
    ] = None,
    where: opt.Where = None,
    sort: Annotated[str | None, typer.Option(help="Column to sort by. [default: as the inputs]")] = None,
    descending: Annotated[bool, typer.Option("--descending", help="Largest first.")] = False,
    rows: Annotated[int, typer.Option("--rows", "-n", min=0, help="Print so many rows; 0: all.")] = _ROWS,
) -> None:
    """Print the results of a run: a line for each structure.

    **Examples**

    `goldilocks-batch show screening`

    `goldilocks-batch show screening --where status=failed --columns id,error_code,error_message`

    `goldilocks-batch show screening --where 'kdist<0.15' --sort n_kpoints_irreducible --descending`
    """
    from goldilocks_batch.cli.tables import console, print_table
    from goldilocks_batch.results.folder import RunFolder, read_results
    from goldilocks_batch.results.selection import USUAL, selected

    expected = int(RunFolder.of(output).record.values["rows"])
    results = read_results(output, partial=True)
    names = None if columns is None else [name.strip() for name in columns.split(",")]
    table, left_out = selected(
        results, columns=names or USUAL, where=where or (), sort=sort, descending=descending,
        rows=rows or None,
    )  # fmt: skip
    if names is None and not table["error_code"].null_count < table.num_rows:
        table = table.drop_columns("error_code")
    print_table(console(), table.column_names, cells(table), right=numbers(table), broken=("id", "flags"))
    if left_out:
        typer.echo(f"{left_out:,} more rows: --rows 0 prints all", err=True)
    if results.num_rows < expected:
        typer.echo(f"{results.num_rows:,} of {expected:,} rows are there: the run is not complete", err=True)


def cells(table: Any) -> list[list[str]]:
    """The texts of a table's rows."""
    return [[_text(value) for value in row.values()] for row in table.to_pylist()]


def numbers(table: Any) -> list[str]:
    """The columns of a table that hold numbers."""
    import pyarrow as pa

    kinds = (pa.types.is_integer, pa.types.is_floating)
    return [field.name for field in table.schema if any(is_kind(field.type) for is_kind in kinds)]


def _text(value: object) -> str:
    """A value as people write it: nothing for null, ``4×4×4`` for a mesh."""
    if value is None:
        return ""
    if isinstance(value, list):
        return ("×" if value and isinstance(value[0], int) else ", ").join(map(str, value))
    return f"{value:.4f}" if isinstance(value, float) else str(value)
