"""Print the result table of a run.

python examples/show_results.py example-run
"""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from goldilocks_batch import read_results

COLUMNS = "id formula space_group_symbol n_sites kdist mesh n_kpoints_irreducible flags".split()


def main() -> None:
    """Print one line for each structure."""
    results = read_results(Path(sys.argv[1] if len(sys.argv) > 1 else "example-run"))
    table = Table(title="recommended meshes, cells as supplied", box=None, title_justify="left")
    for name in COLUMNS:
        table.add_column(name.replace("_", " "))
    for row in results.select([*COLUMNS, "error_code"]).to_pylist():
        mesh = "x".join(map(str, row["mesh"])) if row["mesh"] else str(row["error_code"])
        kdist = f"{row['kdist']:.3f}" if row["kdist"] else ""
        table.add_row(
            row["id"],
            row["formula"],
            row["space_group_symbol"],
            str(row["n_sites"] or ""),
            kdist,
            mesh,
            str(row["n_kpoints_irreducible"] or ""),
            ", ".join(row["flags"]),
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    main()
