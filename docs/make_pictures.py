"""Make the picture of the documentation: the table of the example, as a terminal shows it.

python docs/make_pictures.py      # writes docs/pictures/example.svg
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "pictures" / "example.svg"
MODEL = "mc3d"
SHOWN = (
    "Al-fcc Al2O3-corundum BN-hexagonal C-diamond C-graphene Cu-fcc Fe-bcc GaAs GaN-wurtzite MgO MoS2-2H "
    "NaCl Si-diamond SiO2-quartz SrTiO3 TiO2-rutile Xe-fcc"
).split()


def main() -> None:
    """Screen the example, and draw some rows of its table."""
    from goldilocks_batch import read_results
    from goldilocks_batch.cli.show import cells, numbers
    from goldilocks_batch.cli.tables import print_table
    from goldilocks_batch.results.selection import USUAL

    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "screening"
        structures = ROOT / "examples" / "structures"
        command = [sys.executable, "-m", "goldilocks_batch.cli.app", "run", str(structures), "--model", MODEL]
        subprocess.run([*command, "-o", str(output), "--quiet"], check=True)  # noqa: S603 - this package
        results = read_results(output)
    shown = pa.array([name in SHOWN for name in results["id"].to_pylist()])
    table = results.filter(shown).select([name for name in USUAL if name != "error_code"])
    plain = Console(width=200, file=io.StringIO(), force_terminal=True, color_system=None)
    with plain.capture() as drawing:
        print_table(plain, table.column_names, cells(table), right=numbers(table))
    head, *lines = (line.rstrip() for line in drawing.get().splitlines())
    console = Console(record=True, width=max(map(len, [head, *lines])) + 1, file=io.StringIO())
    for line in (f"run examples/structures --model {MODEL} -o screening", "show screening"):
        console.print(Text(f"$ goldilocks-batch {line}"), style="dim")
    console.print(Text(head, style="bold"))
    for line in lines:  # each a text of its own: some programs drop the blanks before a number
        console.print(Text(line))
    svg = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="goldilocks-batch"), flags=re.DOTALL)
    svg = svg.replace("Fira Code", "ui-monospace, Menlo, Consolas")  # a reader's own font: nothing is fetched
    PICTURE.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
