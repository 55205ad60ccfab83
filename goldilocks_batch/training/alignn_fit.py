"""Fit ALIGNN networks: several at once, each with its own loss, early stopping and best weights.

What is trained are several :class:`~goldilocks_batch.networks.alignn.module.Alignn` side by side, evaluated
on compact batches (:mod:`~goldilocks_batch.networks.alignn.stacked`).  They share graphs, gathers and memory
traffic, while the gradient of the sum of their losses is each one's own.  A network trained beside others
ends as it would alone, but for the stop: all train until none has improved for a while, and each keeps its
best weights.

The loss is the pinball loss.  With weight ``w`` on over-prediction, ``max(w (p - y), (1 - w) (y - p))``, its
minimum is the quantile ``1 - w``; the published networks store that ``w``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.config.training import FitSettings
from goldilocks_batch.core.errors import ErrorCode, ModelError
from goldilocks_batch.models.alignn_graphs import Graph
from goldilocks_batch.networks.alignn.architecture import Architecture
from goldilocks_batch.networks.alignn.stacked import TorchEnsemble
from goldilocks_batch.networks.checkpoint import Checkpoint
from goldilocks_batch.networks.devices import deterministic
from goldilocks_batch.networks.graphs.collate import collate, pack
from goldilocks_batch.training.alignn_files import reading_state, write_state

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Fitted", "Rows", "fit_networks"]

#: Line-graph edges whose activations are kept for the gradient at a time.
_LINE_EDGES = 60_000


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Structures to fit to.

    Attributes:
        graphs: n.
        features: ``(n, k)`` float64, beside the graph.
        kdist: ``(n,)`` float64, 1/Å.
    """

    graphs: Sequence[Graph]
    features: NDArray[np.float64]
    kdist: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.graphs)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Networks after training.

    Attributes:
        weights: of each network, by key, at its best epoch.
        epochs: ``(k,)`` that epoch, from 1.
        losses: ``(n_epochs, k)`` pinball loss on the stopping rows, 1/Å, after each epoch.
    """

    weights: list[dict[str, NDArray[np.float32]]]
    epochs: NDArray[np.int64]
    losses: NDArray[np.float64]


def fit_networks(
    training: Rows,
    stopping: Rows,
    over: Sequence[float],
    starts: Sequence[Mapping[str, NDArray[np.float32]]],
    architecture: Architecture,
    elements: NDArray[np.float32],
    settings: FitSettings,
    *,
    seed: int,
    device: str = "cpu",
    state: Path | None = None,
    identity: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Fit networks side by side; on the CPU, the same arguments give the same weights.

    Args:
        training: rows whose gradient is followed.
        stopping: rows that tell when to stop.
        over: ``(k,)`` each network's weight on over-prediction.
        starts: ``(k,)`` each network's first weights.
        architecture: of all of them.
        elements: ``(119, atom_inputs)`` numbers of each element.
        settings: how.
        seed: of the order of the rows.
        device: ``cpu`` or ``cuda``.
        state: a file that keeps how far the training is, after every epoch; a training that finds one of
            its own goes on from there and ends as if it had not been interrupted.
        identity: of the data and options; a state of another training is refused.
        progress: told of how many epochs are done, and how many there can be, at first and after each.

    Raises:
        ConfigError: CONFIG_INVALID, the state is another training's.
        ModelError: TRAINING_DIVERGED, a loss is not a number.
    """
    with deterministic(device):
        training_run = _Run(over, starts, architecture, elements, settings, device)
        training_run.resume(state, identity)
        if progress is not None:
            progress(len(training_run.losses), settings.epochs)
        while not training_run.finished:
            training_run.epoch(training, stopping, seed)
            training_run.save(state, identity)
            if progress is not None:
                progress(len(training_run.losses), settings.epochs)
        return training_run.fitted()


class _Run:
    """A training under way."""

    def __init__(
        self,
        over: Sequence[float],
        starts: Sequence[Mapping[str, NDArray[np.float32]]],
        architecture: Architecture,
        elements: NDArray[np.float32],
        settings: FitSettings,
        device: str,
    ) -> None:
        import torch

        networks = [Checkpoint(Path(), dict(start), {}) for start in starts]
        self._ensemble = TorchEnsemble(architecture, networks, elements, device)
        self._fixed = {key: value for key, value in starts[0].items() if key.endswith("_rbf.centers")}
        self._parameters = self._ensemble.parameters()
        for tensor in self._parameters.values():
            tensor.requires_grad_()
        self._settings = settings
        self._over = torch.tensor(over, dtype=torch.float32, device=device)
        self._optimizer = torch.optim.AdamW(
            self._parameters.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self._best = {key: tensor.detach().clone() for key, tensor in self._parameters.items()}
        self._best_epoch = np.zeros(len(over), dtype=np.int64)
        self.losses: list[NDArray[np.float64]] = []

    @property
    def finished(self) -> bool:
        """Whether the time is up, or no network has improved for a while."""
        done = len(self.losses)
        return done >= self._settings.epochs or done - self._best_epoch.max() >= self._settings.patience

    def epoch(self, training: Rows, stopping: Rows, seed: int) -> None:
        """One pass over the training rows, and a look at the stopping rows."""
        done = len(self.losses)
        for group in self._optimizer.param_groups:
            group["lr"] = self._settings.rate(done)
        order = np.random.default_rng([seed, done]).permutation(len(training))
        for start in range(0, len(order), self._settings.batch_size):
            self._step(training, order[start : start + self._settings.batch_size])
        loss = self._stopping_loss(stopping)
        if not np.isfinite(loss).all():
            raise ModelError(
                ErrorCode.TRAINING_DIVERGED,
                f"the loss of epoch {done + 1} is not a number; lower fit.learning_rate "
                f"({self._settings.learning_rate:g}) or fit.clip",
            )
        earlier = np.min(self.losses, axis=0) if self.losses else np.full(len(loss), np.inf)
        better = loss < earlier
        self.losses.append(loss)
        self._best_epoch[better] = len(self.losses)
        for key, tensor in self._parameters.items():
            self._best[key][better] = tensor.detach()[better]

    def _step(self, rows: Rows, chosen: NDArray[np.int64]) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        for batch in _batches(rows, chosen):
            loss = self._pinball(rows, batch).sum() / len(chosen)
            loss.backward()  # type: ignore[no-untyped-call]  # torch annotates it not
        _clip(list(self._parameters.values()), self._settings.clip)
        self._optimizer.step()

    def _pinball(self, rows: Rows, batch: NDArray[np.int64]) -> Tensor:
        """``(n, k)`` losses, 1/Å."""
        import torch

        graphs = [rows.graphs[row] for row in batch]
        skip = graphs[0][0].n_line_edges == 0
        found = self._ensemble.forward(collate(graphs), rows.features[batch], skip_alignn=skip)
        true = torch.as_tensor(rows.kdist[batch].astype(np.float32), device=found.device)[:, None]
        above = found - true
        return torch.maximum(self._over * above, (self._over - 1.0) * above)

    def _stopping_loss(self, rows: Rows) -> NDArray[np.float64]:
        import torch

        total = np.zeros(len(self._over))
        with torch.no_grad():
            for batch in _batches(rows, np.arange(len(rows))):
                total += self._pinball(rows, batch).double().sum(dim=0).cpu().numpy()
        return total / len(rows)

    def save(self, path: Path | None, identity: str) -> None:
        """Keep how far it is."""
        if path is None:
            return
        content = {
            "identity": identity,
            "parameters": {key: tensor.detach().cpu() for key, tensor in self._parameters.items()},
            "best": {key: tensor.cpu() for key, tensor in self._best.items()},
            "best_epoch": self._best_epoch.tolist(),
            "losses": [loss.tolist() for loss in self.losses],
            "optimizer": self._optimizer.state_dict(),
        }
        write_state(path, content)

    def resume(self, path: Path | None, identity: str) -> None:
        """Go on from where an earlier process was, if there is a state."""
        import torch

        if path is None or not path.exists():
            return
        with reading_state(path, identity) as content, torch.no_grad():
            for key, tensor in self._parameters.items():
                tensor.copy_(content["parameters"][key])
                self._best[key].copy_(content["best"][key])
            self._best_epoch = np.array(content["best_epoch"], dtype=np.int64)
            self.losses = [np.array(loss) for loss in content["losses"]]
            self._optimizer.load_state_dict(content["optimizer"])

    def fitted(self) -> Fitted:
        """The networks, each at its best epoch."""
        arrays = {key: tensor.cpu().numpy() for key, tensor in self._best.items()}
        weights = [
            {**self._fixed, **{key: array[network].copy() for key, array in arrays.items()}}
            for network in range(len(self._over))
        ]
        return Fitted(weights, self._best_epoch, np.array(self.losses))


def _batches(rows: Rows, chosen: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Rows whose activations fit the memory together; those without a line graph by themselves."""
    costs = np.array([rows.graphs[row][0].n_line_edges for row in chosen], dtype=np.int64)
    for place in (np.flatnonzero(costs > 0), np.flatnonzero(costs == 0)):
        for packed in pack(costs[place], _LINE_EDGES):
            yield chosen[place[packed]]


def _clip(parameters: Sequence[Tensor], largest: float) -> None:
    """Shorten the gradient of each network to a norm; networks lie along the first axis."""
    import torch

    gradients = [tensor.grad for tensor in parameters if tensor.grad is not None]
    squares = torch.stack([gradient.flatten(1).square().sum(dim=1) for gradient in gradients])
    factor = (largest / squares.sum(dim=0).sqrt().clamp_min(1e-12)).clamp_max(1.0)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))
