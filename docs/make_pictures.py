"""Make the picture of the documentation: some lines of the example's table, as a terminal shows them.

python docs/make_pictures.py      # writes docs/pictures/example.svg
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "pictures" / "example.svg"
RUN = ["run", "examples/structures", "--model", "starter"]
SHOWN = (
    "Al-fcc Al2O3-corundum BN-hexagonal C-diamond C-graphene Cu-fcc Fe-bcc GaAs GaN-wurtzite MgO MoS2-2H "
    "NaCl Si-diamond SiO2-quartz SrTiO3 TiO2-rutile Xe-fcc"
).split()


def main() -> None:
    """Screen the example, and draw some rows of its table."""
    program = [sys.executable, "-m", "goldilocks_batch.cli.app"]
    with tempfile.TemporaryDirectory() as output:
        run = [*program, *RUN, "--output", f"{output}/screening", "--quiet"]
        subprocess.run(run, check=True, cwd=ROOT)  # noqa: S603 - this package
        show = [*program, "show", f"{output}/screening"]
        done = subprocess.run(show, check=True, capture_output=True, encoding="utf-8")  # noqa: S603
    head, *lines = (line.rstrip() for line in done.stdout.splitlines())
    shown = [line for line in lines if line.split(" ")[0] in SHOWN]
    console = Console(record=True, width=max(map(len, [head, *shown])) + 1, file=io.StringIO())
    console.print(Text(f"$ goldilocks-batch {' '.join(RUN)} -o screening"), style="dim")
    console.print(Text("$ goldilocks-batch show screening"), style="dim")
    console.print(Text(head, style="bold"))
    for line in shown:
        console.print(Text(line), soft_wrap=True)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="goldilocks-batch"), flags=re.DOTALL)
    svg = svg.replace("Fira Code", "ui-monospace, Menlo, Consolas")  # a reader's own font: nothing is fetched
    PICTURE.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
