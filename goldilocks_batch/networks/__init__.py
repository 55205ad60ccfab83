"""Graph neural networks: crystal graphs, checkpoints, the definition of ALIGNN and its fast forward passes.

Attributes:
    to_pyg: the graph and the line graph of a structure for PyTorch Geometric.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from goldilocks_batch.networks.pyg import to_pyg

__all__ = ["to_pyg"]


def __getattr__(name: str) -> Any:
    if name == "to_pyg":  # when it is first used: what else lives here is imported without compiled kernels
        from goldilocks_batch.networks.pyg import to_pyg

        return to_pyg
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
