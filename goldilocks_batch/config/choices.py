"""Options that are one of a few words, each defined once for configuration, command line and library."""

from __future__ import annotations

from typing import Literal

__all__ = ["Device", "ExecutorName", "Grid", "Precision", "SingleSite"]

#: Which kdist the recommended mesh is made from.
Grid = Literal["lower", "median", "upper"]
#: What graph networks do with a cell of one atom, which has no bond angles: skip the layers that use them, as
#: the published application does, or double the cell along its periodic axes first.
SingleSite = Literal["skip", "supercell"]
#: Arithmetic of networks' matrix products on a GPU: ``tf32`` and ``bf16`` round factors to 10 and 7 bits.
Precision = Literal["float32", "tf32", "bf16"]
#: Where networks run; auto: on a GPU if there is one.
Device = Literal["auto", "cpu", "cuda"]
#: Who does the shards of a run.
ExecutorName = Literal["local", "serial", "slurm"]
