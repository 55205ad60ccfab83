"""Networks fitted side by side: gradients, early stopping, and trainings that go on after a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from goldilocks_batch.config.training import FitSettings
from goldilocks_batch.core.errors import ConfigError, ErrorCode, ModelError
from goldilocks_batch.models.alignn_graphs import Graph, build_graphs
from goldilocks_batch.networks.alignn.architecture import Architecture
from goldilocks_batch.networks.alignn.cpu import CpuEnsemble
from goldilocks_batch.networks.alignn.stacked import TorchEnsemble
from goldilocks_batch.networks.checkpoint import Checkpoint
from goldilocks_batch.networks.graphs.collate import collate
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.training.alignn_files import initial_weights
from goldilocks_batch.training.alignn_fit import Fitted, Rows, fit_networks
from tests.random_networks import random_crystal

SHAPE = Architecture(
    atom_inputs=4, hidden=8, alignn_layers=1, gcn_layers=1, bond_bins=40, angle_bins=20, additional=3
)
QUICK = FitSettings(epochs=6, patience=6, batch_size=4, learning_rate=0.01, warm_up=1)
OVER = (0.9, 0.5)


def table() -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(119, SHAPE.atom_inputs)).astype(np.float32)


def rows(seeds: range, atoms: int = 3) -> Rows:
    crystals: list[Crystal] = [random_crystal(seed, atoms) for seed in seeds]
    crystals.append(Crystal(3.0 * np.eye(3), np.zeros((1, 3)), np.array([29])))  # no line graph
    prepared = build_graphs(crystals, np.ones(119, dtype=bool), SHAPE.alignn_layers, "skip")
    graphs: list[Graph] = [graph for graph in prepared.graphs if graph is not None]
    rng = np.random.default_rng(seeds.start)
    features = rng.normal(size=(len(graphs), 3))
    return Rows(graphs, features, np.exp(-1.5 + 0.4 * features[:, 0]))


def starts(count: int = 2) -> list[dict[str, NDArray[np.float32]]]:
    return [initial_weights(SHAPE, 0.2, seed) for seed in range(count)]


def fitted(
    state: Path | None = None, settings: FitSettings = QUICK, over: tuple[float, ...] = OVER, seed: int = 5
) -> Fitted:
    return fit_networks(
        rows(range(8)),
        rows(range(20, 24)),
        over,
        starts(len(over)),
        SHAPE,
        table(),
        settings,
        seed=seed,
        state=state,
        identity="this",
    )


def same(a: Fitted, b: Fitted) -> bool:
    return all(
        x[key].tobytes() == y[key].tobytes()
        for x, y in zip(a.weights, b.weights, strict=True)
        for key in SHAPE.shapes()
    )


@pytest.mark.slow
def test_gradients_are_those_of_small_differences() -> None:
    networks = [Checkpoint(Path(), start, {}) for start in starts()]
    ensemble = TorchEnsemble(SHAPE, networks, table(), "cpu")
    data = rows(range(2))
    batch, features = collate(list(data.graphs[:2])), data.features[:2]
    parameters = ensemble.parameters()
    for tensor in parameters.values():
        tensor.requires_grad_()
    ensemble.forward(batch, features).sum().backward()  # type: ignore[no-untyped-call]
    rng = np.random.default_rng(0)
    for key, tensor in parameters.items():
        assert tensor.grad is not None, key
        direction = torch.as_tensor(rng.normal(size=tensor.shape), dtype=torch.float32)
        step = 1e-2 / direction.norm()
        with torch.no_grad():
            tensor += step * direction
            above = ensemble.forward(batch, features).double().sum()
            tensor -= 2 * step * direction
            below = ensemble.forward(batch, features).double().sum()
            tensor += step * direction
        expected = float((above - below) / (2 * step))
        assert float((tensor.grad * direction).sum()) == pytest.approx(expected, abs=2e-3, rel=2e-2), key


@pytest.mark.slow
def test_the_same_call_gives_the_same_bytes_and_another_seed_others() -> None:
    first = fitted()
    assert same(first, fitted())
    assert len(first.losses) == 6
    assert not same(first, fitted(seed=6))


@pytest.mark.nightly
def test_a_small_set_is_learned_by_heart() -> None:
    data = rows(range(8))
    settings = FitSettings(epochs=80, patience=80, batch_size=9, learning_rate=0.01, weight_decay=0.0)
    found = fit_networks(data, data, (0.5,), starts(1), SHAPE, table(), settings, seed=0)
    assert found.losses.min() < 0.15 * found.losses[0, 0]


@pytest.mark.slow
def test_a_network_beside_others_is_the_network_alone() -> None:
    together = fitted()
    alone = fit_networks(
        rows(range(8)), rows(range(20, 24)), OVER[:1], starts(1), SHAPE, table(), QUICK, seed=5
    )
    np.testing.assert_allclose(alone.losses[:, 0], together.losses[:, 0], rtol=1e-4)


@pytest.mark.slow
def test_best_weights_are_kept_not_the_last() -> None:
    found = fitted(settings=replace_fit(learning_rate=0.3, epochs=8))
    stopping = rows(range(20, 24))
    for k, weights in enumerate(found.weights):
        best = int(found.epochs[k]) - 1
        assert best == int(np.argmin(found.losses[:, k]))
        network = CpuEnsemble(SHAPE, [Checkpoint(Path(), weights, {})], table())
        graphs = list(stopping.graphs[:-1])  # those with a line graph, in one batch
        predicted = network(collate(graphs), stopping.features[:-1])[:, 0]
        alone = network(collate([stopping.graphs[-1]]), stopping.features[-1:], skip_alignn=True)[:, 0]
        above = np.concatenate([predicted, alone]) - stopping.kdist
        loss = np.maximum(OVER[k] * above, (OVER[k] - 1) * above).mean()
        assert loss == pytest.approx(found.losses[best, k], abs=1e-5)


def test_it_stops_when_nothing_improves() -> None:
    found = fitted(settings=replace_fit(learning_rate=1e-12, epochs=50, patience=3))
    assert len(found.losses) <= 3 + found.epochs.max()
    assert len(found.losses) < 50


@pytest.mark.slow
def test_an_interrupted_training_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop(epoch: int, _most: int) -> None:
        if epoch == 3:
            raise StoppedError

    state = tmp_path / "state"
    arguments = (rows(range(8)), rows(range(20, 24)), OVER, starts(), SHAPE, table(), QUICK)
    with pytest.raises(StoppedError):
        fit_networks(*arguments, seed=5, state=state, identity="this", progress=stop)
    seen: list[int] = []
    went_on = fit_networks(
        *arguments,
        seed=5,
        state=state,
        identity="this",
        progress=lambda epoch, _most: seen.append(epoch),
    )
    assert seen == [3, 4, 5, 6]
    assert same(went_on, fitted())


def test_a_state_of_another_training_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    fitted(state)
    with pytest.raises(ConfigError, match="other data or options"):
        fit_networks(
            rows(range(8)), rows(range(20, 24)), OVER, starts(), SHAPE, table(), QUICK, seed=5,
            state=state, identity="that",
        )  # fmt: skip
    state.write_bytes(b"no state at all")
    with pytest.raises(ConfigError, match="not the state of a training"):
        fitted(state)


def test_a_loss_that_is_no_number_ends_it() -> None:
    data = rows(range(4))
    data.kdist[0] = np.inf
    with pytest.raises(ModelError, match="learning_rate") as refusal:
        fit_networks(data, data, OVER, starts(), SHAPE, table(), QUICK, seed=5)
    assert refusal.value.code == ErrorCode.TRAINING_DIVERGED


@pytest.mark.nightly
def test_the_pinball_loss_finds_quantiles() -> None:
    """Labels that nothing explains: each network ends at its quantile of them."""
    alike = rows(range(1)).graphs[0]
    labels = np.random.default_rng(2).uniform(0.1, 0.5, 61)
    noise = Rows([alike] * len(labels), np.zeros((len(labels), 3)), labels)
    settings = FitSettings(epochs=60, patience=60, batch_size=16, learning_rate=0.003, weight_decay=0.0)
    over = (0.8, 0.2)
    found = fit_networks(noise, noise, over, starts(), SHAPE, table(), settings, seed=0)
    networks = [Checkpoint(Path(), weights, {}) for weights in found.weights]
    outputs = CpuEnsemble(SHAPE, networks, table())(collate([alike]), noise.features[:1])
    np.testing.assert_allclose((labels[:, None] < outputs).mean(axis=0), [0.2, 0.8], atol=0.04)


def replace_fit(**changes: float) -> FitSettings:
    return FitSettings.model_validate({**QUICK.model_dump(), **changes})
