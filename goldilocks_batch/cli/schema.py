"""``schema``: the columns of the result table."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from goldilocks_batch.cli.exits import guarded

__all__ = ["schema"]


#: Columns of a terminal from which all fits in a table.
_WIDE = 110


@guarded
def schema(
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON, for programs.")] = False,
) -> None:
    """Print the columns of the result table, with type, unit and meaning, and the flags a row may carry.

    **Examples**

    `goldilocks-batch schema`

    `goldilocks-batch schema --json`
    """
    import json

    from rich.padding import Padding

    from goldilocks_batch.cli.tables import console, print_table
    from goldilocks_batch.results.schema import COLUMNS, FLAGS, RESULT_SCHEMA_ID

    columns = [(column.name, _short(column.type), column.unit, column.text) for column in COLUMNS]
    if as_json:
        names = ("name", "type", "unit", "meaning")
        listed = [dict(zip(names, column, strict=True)) for column in columns]
        found = {"schema": RESULT_SCHEMA_ID, "columns": listed, "flags": FLAGS}
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    out = console()
    if not out.is_terminal or out.width >= _WIDE:
        print_table(out, ("column", "type", "unit", "meaning"), columns, title=RESULT_SCHEMA_ID)
    else:
        out.print(RESULT_SCHEMA_ID, style="italic")
        for name, kind, unit, text in columns:
            out.print(f"{name}  {kind}  {unit}".rstrip(), style="bold")
            out.print(Padding(text, (0, 0, 0, 4)))
    out.print()
    print_table(out, ("flag", "meaning"), FLAGS.items(), title="flags", header=False)


def _short(kind: Any) -> str:
    """An Arrow type as people write it: ``int32[3]``, ``string[]``."""
    import pyarrow as pa

    if pa.types.is_fixed_size_list(kind):
        return f"{kind.value_type}[{kind.list_size}]"
    return f"{kind.value_type}[]" if pa.types.is_list(kind) else str(kind)
