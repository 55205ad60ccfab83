"""Print the result table of a run.

python examples/show_results.py example-run
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from goldilocks_batch import read_results

COLUMNS = "id formula space_group_symbol n_sites kdist mesh n_kpoints_irreducible flags".split()


def table(rows: list[dict[str, Any]]) -> Table:
    """One line for each row of the results."""
    lines = Table(title="recommended meshes, cells as supplied", box=None, title_justify="left")
    for name in COLUMNS:
        lines.add_column(name.replace("_", " "))
    for row in rows:
        lines.add_row(
            row["id"],
            row["formula"],
            row["space_group_symbol"],
            str(row["n_sites"] or ""),
            f"{row['kdist']:.3f}" if row["kdist"] else "",
            "x".join(map(str, row["mesh"])) if row["mesh"] else str(row["error_code"]),
            str(row["n_kpoints_irreducible"] or ""),
            ", ".join(row["flags"]),
        )
    return lines


def main() -> None:
    """Print one line for each structure."""
    results = read_results(Path(sys.argv[1] if len(sys.argv) > 1 else "example-run"))
    rows = results.select([*COLUMNS, "error_code"]).to_pylist()
    Console(width=None if sys.stdout.isatty() else 120).print(table(rows))


if __name__ == "__main__":
    main()
