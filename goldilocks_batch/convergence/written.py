"""What Quantum ESPRESSO writes of a mesh that is done, in ``data-file-schema.xml``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

__all__ = ["UNREADABLE", "Written", "written_in"]

#: What reading raises where a file is another version's, or half written.
UNREADABLE = (OSError, ValueError, TypeError, ElementTree.ParseError)


@dataclass(frozen=True, slots=True)
class Written:
    """A calculation without spin.

    Attributes:
        folder: ``*.save`` of pw.x.
        root: of the file.
        bands: its ``output/band_structure``.
        own: whether the number of bands is pw.x's own.
    """

    folder: Path
    root: ElementTree.Element
    bands: ElementTree.Element
    own: bool


def written_in(folder: Path) -> Written:
    """What is written in a folder in which pw.x has worked.

    Raises:
        OSError: it cannot be read.
        ValueError: there is no such file, or more than one; it tells of no bands, or of spin.
        ElementTree.ParseError: it is no whole file.
    """
    (path,) = folder.glob("*/*.save/data-file-schema.xml")
    root = ElementTree.parse(path).getroot()  # noqa: S314 - pw.x has just written it
    bands = root.find("output/band_structure")
    if bands is None or any(bands.findtext(name) != "false" for name in ("lsda", "noncolin")):
        raise ValueError("no bands, or spin")
    return Written(path.parent, root, bands, root.find("input/bands/nbnd") is None)
