"""Make the pictures of the documentation: the table of the example in a terminal, its report in a browser.

python docs/make_pictures.py      # writes docs/pictures/example.svg, and report.png where there is a Chromium
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "pictures" / "example.svg"
PAGE = ROOT / "docs" / "pictures" / "report.png"
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
        draw_report(output)
    shown = pa.array([name in SHOWN for name in results["id"].to_pylist()])
    table = results.filter(shown).select([name for name in USUAL if name != "error_code"])
    plain = Console(width=200, file=io.StringIO(), force_terminal=True, color_system=None)
    with plain.capture() as drawing:
        print_table(plain, table.column_names, cells(table), right=numbers(table))
    head, *lines = (line.rstrip() for line in drawing.get().splitlines())
    console = Console(record=True, width=max(map(len, [head, *lines])) + 1, file=io.StringIO())
    for line in (f"run examples/structures --model {MODEL} -o screening", "show screening --rows 0"):
        console.print(Text(f"$ goldilocks-batch {line}"), style="dim")
    console.print(Text(head, style="bold"))
    for line in lines:  # each a text of its own: some programs drop the blanks before a number
        console.print(Text(line))
    svg = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="goldilocks-batch"), flags=re.DOTALL)
    svg = svg.replace("Fira Code", "ui-monospace, Menlo, Consolas")  # a reader's own font: nothing is fetched
    PICTURE.write_text(svg, encoding="utf-8")


def draw_report(output: Path) -> None:
    """A part of the page about the example, light beside dark, as a browser shows it."""
    from PIL import Image

    from goldilocks_batch import write_report

    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.stderr.write("no Chromium here: report.png is left as it is (make test-browser installs one)\n")
        return
    from playwright.sync_api import sync_playwright

    page_path = write_report(output).path
    halves = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            size = {"width": 1000, "height": 1500}
            page = browser.new_page(viewport=size, color_scheme=scheme, reduced_motion="reduce")
            page.goto(f"{page_path.as_uri()}#kdist")
            halves.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
        browser.close()
    light, dark = halves
    light.paste(dark, (0, 0), _below_the_diagonal(light.size))
    light.quantize(128).save(PAGE, optimize=True)


def _below_the_diagonal(size: tuple[int, int]) -> Any:
    from PIL import Image, ImageDraw

    mask = Image.new("1", size)
    wide, high = size
    ImageDraw.Draw(mask).polygon([(wide * 0.62, 0), (wide, 0), (wide, high), (wide * 0.38, high)], fill=1)
    return mask


if __name__ == "__main__":
    main()
