"""Linear maps and layer norms of one network, or of several that lie side by side.

Several networks keep their parameters stacked along a first axis, and their features along an axis after the
rows: ``(n, width)`` becomes ``(n, networks, width)``.  Rows then gather and add up for all networks at once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["linear", "norm"]


class _Linears(nn.Module):
    """Several `nn.Linear` side by side: weight ``(k, outputs, inputs)``, bias ``(k, outputs)``."""

    def __init__(self, inputs: int, outputs: int, networks: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(networks, outputs, inputs))
        self.bias = nn.Parameter(torch.empty(networks, outputs))
        bound = inputs**-0.5
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, k, outputs)`` of ``(n, k, inputs)`` or, the same for all networks, ``(n, inputs)``."""
        if x.ndim == 2:
            x = x[:, None].expand(-1, len(self.weight), -1)
        mapped = torch.baddbmm(self.bias[:, None], x.transpose(0, 1), self.weight.transpose(1, 2))
        return mapped.transpose(0, 1).contiguous()  # rows are gathered next: they should lie in one piece


class _Norms(nn.Module):
    """Several `nn.LayerNorm` side by side: weight and bias ``(k, width)``."""

    def __init__(self, width: int, networks: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(networks, width))
        self.bias = nn.Parameter(torch.zeros(networks, width))

    def forward(self, x: Tensor) -> Tensor:
        """``(n, k, width)`` of ``(n, k, width)`` or, the same for all networks, ``(n, width)``."""
        if x.ndim == 2:
            x = x[:, None]
        return nn.functional.layer_norm(x, x.shape[-1:]) * self.weight + self.bias


def linear(inputs: int, outputs: int, networks: int | None) -> nn.Module:
    """A linear map with bias; of `networks` side by side, or of one without that axis if it is None."""
    return nn.Linear(inputs, outputs) if networks is None else _Linears(inputs, outputs, networks)


def norm(width: int, networks: int | None) -> nn.Module:
    """A layer norm; of `networks` side by side, or of one without that axis if it is None."""
    return nn.LayerNorm(width) if networks is None else _Norms(width, networks)
