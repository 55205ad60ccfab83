"""``train alignn``: split by composition, fit networks, calibrate, judge, write."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.config.training import NetworkSettings, TrainAlignnConfig
from goldilocks_batch.core.versions import versions
from goldilocks_batch.models.alignn import Alignn
from goldilocks_batch.models.alignn_graphs import Graph, build_graphs
from goldilocks_batch.models.calibration import Calibration, conformal_rank
from goldilocks_batch.models.interface import ModelInputs
from goldilocks_batch.models.trained_networks import (
    TrainedNetworks,
    positive,
    read_networks_of,
    write_networks,
)
from goldilocks_batch.networks.alignn.architecture import Architecture
from goldilocks_batch.networks.checkpoint import Checkpoint
from goldilocks_batch.networks.devices import resolved_device
from goldilocks_batch.training.about import about_model
from goldilocks_batch.training.alignn_files import checkpoint_bytes, initial_weights
from goldilocks_batch.training.alignn_fit import Fitted, Rows, fit_networks
from goldilocks_batch.training.card import model_card, report
from goldilocks_batch.training.dataset import Dataset
from goldilocks_batch.training.elements import element_table, table_bytes
from goldilocks_batch.training.evaluate import evaluate
from goldilocks_batch.training.judged import Judged, failures_file
from goldilocks_batch.training.placement import placed, refuse_occupied
from goldilocks_batch.training.protocols import single_protocol
from goldilocks_batch.training.recipes import judged_bounds
from goldilocks_batch.training.resources import Progress, Resources
from goldilocks_batch.training.seen import Seen
from goldilocks_batch.training.splits import holdout
from goldilocks_batch.training.train import CONFIDENCES

__all__ = ["train_alignn"]


def train_alignn(
    dataset: Path,
    config: TrainAlignnConfig,
    output: Path,
    *,
    resources: Resources | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    overwrite: bool = False,
) -> tuple[TrainedNetworks, Judged]:
    """Train, calibrate, judge and write an ensemble of networks.

    Compositions are dealt to four sets: those that calibrate, those kept for the evaluation, those that tell
    when to stop, and the rest, which trains.  While it goes on, ``<output>.training`` keeps its state after
    every epoch; the same call goes on from there.  On the CPU it ends with the same bytes as if it had not
    been interrupted.

    Args:
        dataset: see :mod:`~goldilocks_batch.training.labels`.
        config: the options.
        output: the model's folder, missing or empty; it appears when the model is whole.
        resources: how features are had.
        device: ``cpu``, ``cuda`` or ``auto``.
        progress: told of how many epochs are done, and how many there can be.
        overwrite: replace a model that is there.

    Returns:
        The model as read back from its folder, and its figures on the rows kept for them.

    Raises:
        InputError, ConfigError: the dataset or an option is unusable; nothing was written.
        ModelError: TRAINING_DIVERGED.
        RunError: OUTPUT_EXISTS, the folder holds other things; WRITE_FAILED.
    """
    resources = resources or Resources()
    refuse_occupied(output, overwrite)
    device = resolved_device(device)
    single_protocol(dataset, mixed=config.mixed_protocols)
    features = resources.features(config.feature_schema)
    data = resources.load(dataset, config.target, features).for_training()
    table = element_table()
    prepared = build_graphs(
        data.cells, ~np.isnan(table[:, 0]), config.network.alignn_layers, config.single_site
    )
    data = data.without(prepared.failures)
    graphs = [graph for graph in prepared.graphs if graph is not None]
    sets = _dealt(data.formulas.tolist(), config)
    # before the work, not after it
    conformal_rank(int(sets["calibration"].sum()), max(CONFIDENCES), "add labels")
    architecture = _architecture(config.network, table.shape[1], len(features.columns))
    state = output.absolute().with_name(output.absolute().name + ".training")
    fitted = _fitted(data, graphs, sets, config, architecture, table, device, state, progress)
    calibration = _calibration(data.take(sets["calibration"]), fitted, config, architecture, table)
    learned = data.take(sets["training"] | sets["stopping"])
    about = about_model(
        learned,
        features,
        config,
        calibration,
        _trainer(config, fitted, device),
        config.seed,
        config.network.quantiles,
    )
    about["feature_parameters"] = {"cell": features.cell, "single_site": config.single_site}
    about["deterministic"] = device == "cpu"
    checkpoints = _checkpoints(fitted, config.network, architecture)
    judged_rows = data.take(sets["test"])
    with placed(output) as folder:
        everything = (folder, checkpoints, table_bytes(table), calibration)
        write_networks(*everything, about)
        bounds, intervals = judged_bounds(read_networks_of(folder), judged_rows)
        own = evaluate(judged_rows, bounds, intervals)
        title = f"Held-out rows ({config.test_share:.0%}, by composition)"
        about["evaluation"] = {"kind": title, **own.to_dict()}
        draft = read_networks_of(folder).record
        card = {"card.md": model_card(draft, {title: report(own)}).encode()}
        seen = Seen.of(learned).calibrated_on(data.take(sets["calibration"])).file()
        write_networks(*everything, about, {**card, **seen, **failures_file(data)})
    state.unlink(missing_ok=True)
    return read_networks_of(output), Judged(own, judged_rows, bounds)


def _architecture(network: NetworkSettings, atom_inputs: int, additional: int) -> Architecture:
    return Architecture(
        atom_inputs=atom_inputs,
        hidden=network.hidden,
        alignn_layers=network.alignn_layers,
        gcn_layers=network.gcn_layers,
        bond_bins=40,
        angle_bins=20,
        additional=additional,
    )


def _dealt(formulas: Sequence[str], config: TrainAlignnConfig) -> dict[str, NDArray[np.bool_]]:
    """Which rows calibrate, judge, tell when to stop and train; compositions are never divided."""
    everything = np.ones(len(formulas), dtype=bool)
    sets: dict[str, NDArray[np.bool_]] = {}
    shares = {
        "test": config.test_share,
        "calibration": config.calibration_share / (1.0 - config.test_share),
        "stopping": config.stopping_share,
    }
    left = everything
    for number, (name, share) in enumerate(shares.items()):
        rows = np.flatnonzero(left)
        held = holdout([formulas[row] for row in rows.tolist()], min(share, 0.9), config.seed + number)
        sets[name] = np.zeros(len(formulas), dtype=bool)
        sets[name][rows[held]] = True
        left = left & ~sets[name]
    return {**sets, "training": left}


def _fitted(
    data: Dataset,
    graphs: Sequence[Graph],
    sets: Mapping[str, NDArray[np.bool_]],
    config: TrainAlignnConfig,
    architecture: Architecture,
    table: NDArray[np.float32],
    device: str,
    state: Path,
    progress: Progress | None,
) -> Fitted:
    def rows(chosen: NDArray[np.bool_]) -> Rows:
        taken = [graph for graph, take in zip(graphs, chosen, strict=True) if take]
        return Rows(taken, data.features[chosen], data.kdist[chosen])

    training, network = rows(sets["training"]), config.network
    levels = np.repeat(network.quantiles, network.members)
    first = np.quantile(training.kdist, levels)
    about = [config.model_dump(mode="json"), data.labels.sha256, len(data), architecture.arguments()]
    return fit_networks(
        training,
        rows(sets["stopping"]),
        (1.0 - levels).tolist(),
        [initial_weights(architecture, bias, config.seed * 10_000 + k) for k, bias in enumerate(first)],
        architecture,
        table,
        config.fit,
        seed=config.seed,
        device=device,
        state=state,
        identity=hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest(),
        progress=progress,
    )


def _checkpoints(
    fitted: Fitted, network: NetworkSettings, architecture: Architecture
) -> dict[float, list[tuple[str, bytes]]]:
    """Names and contents of each quantile's checkpoints; see :mod:`.alignn_model` for the names."""
    found: dict[float, list[tuple[str, bytes]]] = {level: [] for level in network.quantiles}
    for k, (weights, epoch) in enumerate(zip(fitted.weights, fitted.epochs, strict=True)):
        level, member = network.quantiles[k // network.members], k % network.members
        over = round(1.0 - level, 9)
        content = checkpoint_bytes(weights, architecture, over, int(epoch))
        found[level].append((f"quantile{100 * over:g}_{member}.ckpt", content))
    return found


def _calibration(
    data: Dataset,
    fitted: Fitted,
    config: TrainAlignnConfig,
    architecture: Architecture,
    table: NDArray[np.float32],
) -> Calibration:
    """Quantiles of held-out rows, from the kernels that screen."""
    networks = [Checkpoint(Path(), weights, {}) for weights in fitted.weights]
    members = config.network.members
    ensembles = [networks[start : start + members] for start in range(0, len(networks), members)]
    model = Alignn.of(architecture, ensembles, table, single_site=config.single_site)
    raw = model.predict(ModelInputs(data.cells, data.features)).values
    return Calibration(
        np.array(config.network.quantiles),
        positive(raw).astype(np.float32),
        data.kdist.astype(np.float32),
        "split",
    )


def _trainer(config: TrainAlignnConfig, fitted: Fitted, device: str) -> dict[str, Any]:
    """For the record: what fitted the networks, and how."""
    return {
        "library": "torch",
        "version": versions()["torch"],
        "device": device,
        "epochs": len(fitted.losses),
        "best_epochs": fitted.epochs.tolist(),
        "settings": config.model_dump(mode="json", exclude={"remarks"}),
    }
