"""The ALIGNN model: loading, the contract of every model, batches, a device that runs out of memory."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, ModelError, Stage
from goldilocks_batch.models.alignn import Alignn
from goldilocks_batch.models.alignn_graphs import edges_of, supercell
from goldilocks_batch.models.interface import CPU_FALLBACK, ModelInputs
from goldilocks_batch.networks import devices
from goldilocks_batch.networks.alignn import gpu
from goldilocks_batch.networks.alignn.architecture import Architecture, checkpoints_in, read_networks
from goldilocks_batch.networks.alignn.cpu import CpuEnsemble
from goldilocks_batch.networks.alignn.placed import EDGE_BYTES, GPU_EDGES
from goldilocks_batch.networks.alignn.stacked import TorchEnsemble
from goldilocks_batch.networks.checkpoint import Checkpoint, read_element_table
from goldilocks_batch.networks.devices import exact_products
from goldilocks_batch.networks.graphs.collate import GraphBatch
from goldilocks_batch.structures.crystal import Crystal
from tests.random_networks import (
    alignn_arguments,
    alignn_state,
    random_crystal,
    write_checkpoint,
    write_elements,
)

BOUNDS = {"lower": 0.95, "median": 0.5, "upper": 0.05}
FCC = Crystal(2.0 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]]), np.zeros((1, 3)), np.array([29]))
CRYSTALS = [random_crystal(0, 4), FCC, random_crystal(1, 9), random_crystal(2, 2), random_crystal(3, 6)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two checkpoints a bound, three for the upper, and a table of elements."""
    arguments = alignn_arguments()
    seed = 0
    for bound, quantile in BOUNDS.items():
        for number in range(3 if bound == "upper" else 2):
            path = tmp_path / bound / f"{number}.ckpt"
            write_checkpoint(path, arguments, alignn_state(arguments, seed), quantile)
            seed += 1
    write_elements(tmp_path / "elements.json")
    return tmp_path


def load(folder: Path, **options: Any) -> Alignn:
    lower, median, upper = (checkpoints_in(folder / bound) for bound in BOUNDS)
    return Alignn.load(lower, median, upper, folder / "elements.json", **options)


def inputs(crystals: list[Crystal]) -> ModelInputs:
    rng = np.random.default_rng(7)
    return ModelInputs(crystals, rng.normal(size=(len(crystals), 231)))


def rows(given: ModelInputs, chosen: list[int]) -> ModelInputs:
    assert given.features is not None
    return ModelInputs([given.crystals[i] for i in chosen], given.features[chosen])


@pytest.mark.slow
def test_bounds_are_means_and_deviations_over_their_networks(folder: Path) -> None:
    answer = load(folder).predict(inputs(CRYSTALS))
    _, ensembles = read_networks([checkpoints_in(folder / bound) for bound in BOUNDS])
    for column, ensemble in enumerate(ensembles):
        for network in ensemble:
            assert network.quantile == list(BOUNDS.values())[column]
    single = [load_one(folder, bound).predict(inputs(CRYSTALS)).values[:, 0] for bound in paths_of(folder)]
    outputs = np.stack(single, axis=1)
    parts = [outputs[:, :2], outputs[:, 2:4], outputs[:, 4:]]
    assert answer.spread is not None
    np.testing.assert_allclose(answer.values, np.stack([p.mean(axis=1) for p in parts], axis=1), atol=1e-6)
    np.testing.assert_allclose(answer.spread, np.stack([p.std(axis=1) for p in parts], axis=1), atol=1e-6)


def paths_of(folder: Path) -> list[Path]:
    return [path for bound in BOUNDS for path in checkpoints_in(folder / bound)]


def load_one(folder: Path, path: Path) -> Alignn:
    return Alignn.load([path], [path], [path], folder / "elements.json")


def test_batch_equals_single_and_keeps_order(folder: Path) -> None:
    model, given = load(folder), inputs(CRYSTALS)
    answer = model.predict(given)
    for order in ([3, 1, 0, 4, 2], *[[i] for i in range(len(CRYSTALS))]):
        part = model.predict(rows(given, order))
        np.testing.assert_allclose(part.values, answer.values[order], atol=1e-6)
        assert part.spread is not None
        assert answer.spread is not None
        np.testing.assert_allclose(part.spread, answer.spread[order], atol=1e-6)
    model.edges = 1
    np.testing.assert_allclose(model.predict(given).values, answer.values, atol=1e-6)


def test_inputs_stay_as_they_were(folder: Path) -> None:
    given = inputs(CRYSTALS)
    assert given.features is not None
    arrays = [given.features] + [a for c in CRYSTALS for a in (c.lattice, c.frac, c.numbers, c.pbc)]
    before = [array.copy() for array in arrays]
    load(folder).predict(given)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_bad_structures_fail_alone(folder: Path) -> None:
    unknown = Crystal(4.0 * np.eye(3), np.zeros((1, 3)), np.array([94]))
    lonely = Crystal(40.0 * np.eye(3), np.zeros((1, 3)), np.array([10]))
    given = inputs([CRYSTALS[0], unknown, CRYSTALS[2], lonely])
    model = load(folder)
    answer = model.predict(given)
    assert {row: (e.code, e.stage) for row, e in answer.failures.items()} == {
        1: (ErrorCode.ELEMENT_NOT_TABULATED, Stage.GRAPH),
        3: (ErrorCode.NO_NEIGHBOURS, Stage.GRAPH),
    }
    assert "Pu" in answer.failures[1].message
    assert np.isnan(answer.values[[1, 3]]).all()
    np.testing.assert_allclose(answer.values[[0, 2]], model.predict(rows(given, [0, 2])).values, atol=1e-6)


def test_nothing_in_nothing_out(folder: Path) -> None:
    answer = load(folder).predict(ModelInputs([], np.empty((0, 231))))
    assert answer.values.shape == (0, 3)
    assert not answer.failures


def test_features_of_another_shape_are_an_error(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"expected features of shape \(1, 231\), found \(1, 483\)"):
        load(folder).predict(ModelInputs([FCC], np.zeros((1, 483))))
    with pytest.raises(ValueError, match="needs features"):
        load(folder).predict(ModelInputs([FCC]))


def test_single_site_cells(folder: Path) -> None:
    given = inputs([FCC, CRYSTALS[0]])
    skipped = load(folder).predict(given)
    expanded = load(folder, single_site="supercell").predict(given)
    flags = {"single_site", "single_site_supercell"}
    assert flags & set(skipped.flags[0]) == {"single_site"}
    assert flags & set(expanded.flags[0]) == {"single_site_supercell"}
    assert not flags & set(skipped.flags.get(1, ()) + expanded.flags.get(1, ()))
    assert np.abs(skipped.values[0] - expanded.values[0]).max() > 1e-4
    np.testing.assert_allclose(skipped.values[1], expanded.values[1], atol=1e-6)
    by_hand = load(folder).predict(ModelInputs([supercell(FCC)], given.features[:1]))  # type: ignore[index]
    np.testing.assert_allclose(by_hand.values[0], expanded.values[0], atol=1e-6)


def test_supercell_is_pymatgens() -> None:
    crystal = random_crystal(4, n_atoms=2)
    ours = supercell(crystal).to_pymatgen()
    theirs = crystal.to_pymatgen().make_supercell([2, 2, 2], in_place=False)
    assert ours.matches(theirs, primitive_cell=False, scale=False)
    assert len(ours) == 16
    slab = Crystal(crystal.lattice, crystal.frac, crystal.numbers, np.array([True, True, False]))
    assert len(supercell(slab)) == 8


def test_a_pair_without_line_graph_is_flagged(folder: Path) -> None:
    # two atoms alone in a large cell: the only bond from each leads to the other, and back
    lattice = 40.0 * np.eye(3)
    pair = Crystal(lattice, np.array([[0.0, 0, 0], [0.02, 0, 0]]), np.array([1, 1]))
    answer = load(folder).predict(inputs([pair]))
    assert "no_line_graph" in answer.flags[0]
    assert np.isfinite(answer.values).all()


def test_disagreement_is_flagged(folder: Path) -> None:
    answer = load(folder).predict(inputs(CRYSTALS))
    assert answer.spread is not None
    wide = (answer.spread > 0.25 * np.abs(answer.values)).any(axis=1)
    assert wide.any()
    assert [("ensemble_disagrees" in answer.flags.get(i, ())) for i in range(5)] == wide.tolist()
    alike = load_one(folder, paths_of(folder)[0]).predict(inputs(CRYSTALS))
    assert not any("ensemble_disagrees" in flags for flags in alike.flags.values())


class SmallDevice:
    """The networks in torch, on a device too small for more than some line-graph edges at once."""

    def __init__(self, ensemble: TorchEnsemble, most: int) -> None:
        self.ensemble = ensemble
        self.most = most
        self.tried: list[tuple[int, bool]] = []

    def __call__(
        self, batch: GraphBatch, additional: NDArray[np.float64], *, skip_alignn: bool = False
    ) -> NDArray[np.float32]:
        edges = len(batch.line_source) + len(batch.bonds.source)
        self.tried.append((len(batch), edges <= self.most))
        if edges > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.ensemble(batch, additional, skip_alignn=skip_alignn)


@pytest.fixture
def small_device(folder: Path) -> Callable[[int], tuple[Alignn, SmallDevice]]:
    architecture, ensembles = read_networks([checkpoints_in(folder / bound) for bound in BOUNDS])
    checkpoints = [network for ensemble in ensembles for network in ensemble]
    elements = read_element_table(folder / "elements.json")

    def build(most: int) -> tuple[Alignn, SmallDevice]:
        device = SmallDevice(TorchEnsemble(architecture, checkpoints, elements, "cpu"), most)
        model = Alignn(
            device,
            (2, 2, 3),
            ~np.isnan(elements[:, 0]),
            architecture.alignn_layers,
            fallback=CpuEnsemble(architecture, checkpoints, elements),
            edges=10**6,
        )
        return model, device

    return build


def test_torch_path_equals_cpu_path(
    folder: Path, small_device: Callable[[int], tuple[Alignn, SmallDevice]]
) -> None:
    model, device = small_device(10**6)
    given = inputs(CRYSTALS)
    answer, wanted = model.predict(given), load(folder).predict(given)
    np.testing.assert_allclose(answer.values, wanted.values, atol=2e-6)
    assert answer.flags == wanted.flags
    assert device.tried == [(4, True), (1, True)]  # those with a line graph, and the one without


def test_a_batch_that_does_not_fit_is_halved_and_the_limit_learns(
    folder: Path, small_device: Callable[[int], tuple[Alignn, SmallDevice]]
) -> None:
    given = inputs(CRYSTALS)
    wanted = load(folder).predict(given)
    sizes = [edges_of(graph) for graph in load(folder).prepare(CRYSTALS).graphs if graph]
    model, device = small_device(max(sizes))
    answer = model.predict(given)
    np.testing.assert_allclose(answer.values, wanted.values, atol=2e-6)
    assert (4, False) in device.tried
    assert not any("cpu_fallback" in flags for flags in answer.flags.values())
    assert model.edges < sum(sizes)
    device.tried.clear()
    np.testing.assert_allclose(model.predict(given).values, wanted.values, atol=2e-6)
    assert all(fitted for _, fitted in device.tried), "the limit has not settled on what fits"


@pytest.mark.slow
def test_the_limit_is_learned_within_one_call(
    folder: Path, small_device: Callable[[int], tuple[Alignn, SmallDevice]]
) -> None:
    crystals = [random_crystal(seed, 2 + seed % 5) for seed in range(60)]
    sizes = [edges_of(graph) for graph in load(folder).prepare(crystals).graphs if graph]
    model, device = small_device(2 * max(sizes))
    model.edges = 4 * sum(sizes)
    answer = model.predict(inputs(crystals))
    np.testing.assert_allclose(answer.values, load(folder).predict(inputs(crystals)).values, atol=2e-6)
    failed = [size for size, fitted in device.tried if not fitted]
    assert len(failed) <= math.ceil(math.log2(sum(sizes) / max(sizes))) + 1
    assert failed == sorted(failed, reverse=True)
    assert sum(size for size, fitted in device.tried if fitted) == len(crystals)


def test_cells_without_a_line_graph_teach_no_limit_that_hinders_others(
    folder: Path, small_device: Callable[[int], tuple[Alignn, SmallDevice]]
) -> None:
    most = max(edges_of(graph) for graph in load(folder).prepare(CRYSTALS).graphs if graph)
    crystals = [FCC] * (most // 10)  # of 12 bonds each: too many for one batch
    model, device = small_device(most)
    wanted = load(folder).predict(inputs(crystals))
    np.testing.assert_allclose(model.predict(inputs(crystals)).values, wanted.values, atol=2e-6)
    assert any(not fitted for _, fitted in device.tried)
    assert model.edges >= most // 2


@pytest.mark.parametrize(
    "message",
    ["CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"],
)
def test_other_words_for_no_memory(
    folder: Path,
    small_device: Callable[[int], tuple[Alignn, SmallDevice]],
    monkeypatch: pytest.MonkeyPatch,
    message: str,
) -> None:
    model, _ = small_device(0)

    def full(*_: object, **__: object) -> NDArray[np.float32]:
        raise RuntimeError(message)

    monkeypatch.setattr(model, "_ensemble", full)
    answer = model.predict(inputs(CRYSTALS))
    assert all("cpu_fallback" in answer.flags[row] for row in range(len(CRYSTALS)))
    np.testing.assert_allclose(answer.values, load(folder).predict(inputs(CRYSTALS)).values, atol=1e-6)


def test_products_are_not_rounded_whatever_the_environment_says() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")  # as in some containers
    try:
        with exact_products():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


class ForgedGpu:
    """In the place of torch's view of a GPU: so much memory, and networks that run on the CPU in torch.

    Attributes:
        fraction: what torch was held to.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, free: int, full: bool = False) -> None:
        self._full = full
        self.fraction = 1.0
        monkeypatch.setattr(devices, "resolved_device", lambda _device: "cuda")
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free, 80 * 10**9))
        monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", self._hold)
        monkeypatch.setattr(gpu, "gpu_ensemble", self._ensemble)

    def _hold(self, fraction: float) -> None:
        self.fraction = fraction

    def _ensemble(
        self,
        architecture: Architecture,
        checkpoints: Sequence[Checkpoint],
        elements: NDArray[np.float32],
        _device: str,
    ) -> TorchEnsemble:
        if self._full:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return TorchEnsemble(architecture, checkpoints, elements, "cpu")


def test_batches_are_as_large_as_the_share_of_memory_allows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = EDGE_BYTES * 7 * 16  # networks, channels
    forged = ForgedGpu(monkeypatch, free=40 * 10**9)
    assert load(folder, device="auto").edges == GPU_EDGES
    assert forged.fraction == 1.0, "nobody said what its share is"
    monkeypatch.setenv("GOLDILOCKS_GPU_MEMORY", str(10**9))
    assert load(folder, device="auto").edges == 500_000_000 // edge
    assert forged.fraction == 500_000_000 / (80 * 10**9)
    monkeypatch.setenv("GOLDILOCKS_GPU_MEMORY", str(2 * 10**9))
    assert load(folder, device="auto").edges == 1_400_000_000 // edge
    forged = ForgedGpu(monkeypatch, free=10 * edge)  # somebody else has taken the rest meanwhile
    model = load(folder, device="auto")
    assert model.edges == 10
    answer = model.predict(inputs(CRYSTALS))
    np.testing.assert_allclose(answer.values, load_on_cpu(folder), atol=2e-6)
    assert not any(CPU_FALLBACK in flags for flags in answer.flags.values())


def load_on_cpu(folder: Path) -> NDArray[np.float64]:
    architecture, ensembles = read_networks([checkpoints_in(folder / bound) for bound in BOUNDS])
    elements = read_element_table(folder / "elements.json")
    networks = [network for ensemble in ensembles for network in ensemble]
    model = Alignn(
        CpuEnsemble(architecture, networks, elements),
        (2, 2, 3),
        ~np.isnan(elements[:, 0]),
        architecture.alignn_layers,
    )
    return model.predict(inputs(CRYSTALS)).values


def test_no_memory_for_the_networks_themselves_is_the_cpus_answer_flagged(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ForgedGpu(monkeypatch, free=10**9, full=True)
    answer = load(folder, device="auto").predict(inputs(CRYSTALS))
    np.testing.assert_array_equal(answer.values, load_on_cpu(folder))
    assert all(CPU_FALLBACK in answer.flags[row] for row in range(len(CRYSTALS)))
    assert "others have taken the GPU's memory" in caplog.text


def test_a_gpu_that_fails_otherwise_is_not_taken_for_full(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ForgedGpu(monkeypatch, free=10**9)

    def broken(*_: object) -> TorchEnsemble:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(gpu, "gpu_ensemble", broken)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        load(folder, device="auto")


def test_one_structure_too_large_falls_back_to_the_cpu_and_says_so(
    folder: Path, small_device: Callable[[int], tuple[Alignn, SmallDevice]]
) -> None:
    given = inputs(CRYSTALS)
    wanted = load(folder).predict(given)
    sizes = [edges_of(graph) if graph else 0 for graph in load(folder).prepare(CRYSTALS).graphs]
    model, device = small_device(sorted(sizes)[-2])
    answer = model.predict(given)
    np.testing.assert_allclose(answer.values, wanted.values, atol=2e-6)
    fallen = [row for row, flags in answer.flags.items() if "cpu_fallback" in flags]
    assert fallen == [int(np.argmax(sizes))]
    assert (1, False) in device.tried


def test_other_errors_of_the_device_are_not_swallowed(
    small_device: Callable[[int], tuple[Alignn, SmallDevice]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = small_device(10**6)

    def broken(*_: object, **__: object) -> NDArray[np.float32]:
        raise RuntimeError("device-side assert")

    monkeypatch.setattr(model, "_ensemble", broken)
    with pytest.raises(RuntimeError, match="device-side assert"):
        model.predict(inputs([CRYSTALS[0]]))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(folder: Path) -> None:
    with pytest.raises(ModelError, match="torch sees no GPU"):
        load(folder, device="cuda")
    np.testing.assert_array_equal(
        load(folder, device="auto").predict(inputs(CRYSTALS)).values,
        load(folder).predict(inputs(CRYSTALS)).values,
    )


def refused(folder: Path, code: ErrorCode, pattern: str) -> None:
    with pytest.raises(ModelError, match=pattern) as caught:
        load(folder)
    assert caught.value.code is code


def test_empty_and_missing_folders(folder: Path) -> None:
    for path in (folder / "lower").iterdir():
        path.unlink()
    refused(folder, ErrorCode.ARTIFACT_INVALID, r"lower holds no \*\.ckpt")
    (folder / "lower").rmdir()
    refused(folder, ErrorCode.ARTIFACT_MISSING, "no folder of checkpoints")


def test_a_folder_of_two_quantiles(folder: Path) -> None:
    arguments = alignn_arguments()
    write_checkpoint(folder / "lower" / "stray.ckpt", arguments, alignn_state(arguments, 9), 0.9)
    refused(
        folder, ErrorCode.ARTIFACT_INVALID, r"mixes checkpoints of different quantiles.*stray\.ckpt: 0\.9"
    )


def test_different_constructor_arguments(folder: Path) -> None:
    arguments = alignn_arguments(gcn_layers=2)
    write_checkpoint(folder / "upper" / "9.ckpt", arguments, alignn_state(arguments, 9), 0.05)
    refused(folder, ErrorCode.ARTIFACT_INVALID, '"gcn_layers" 1 and 2')


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        ({"classification": True}, '"classification" is True, expected False'),
        ({"num_quantiles": 3}, '"num_quantiles" is 3, expected 1'),
        ({"name": "cgcnn"}, "\"name\" is 'cgcnn'"),
        ({"add_feat_len": 483}, '"add_feat_len" is 483, expected 231'),
        ({"hidden_features": "wide"}, "\"hidden_features\" is 'wide', expected a whole number"),
        ({"hidden_features": 0}, '"hidden_features" is 0, expected a whole number from 1'),
        ({"alignn_layers": 10**7}, '"alignn_layers" is 10000000, expected a whole number from 0 to 4096'),
        ({"radius": 8.0}, r'"radius" is 8\.0, expected 10\.0'),
        ({"pooling_type": "max_pool"}, "\"pooling_type\" is 'max_pool', expected 'mean'"),
    ],
)
def test_networks_of_another_purpose(folder: Path, changes: dict[str, Any], pattern: str) -> None:
    state = alignn_state(alignn_arguments(), 0)
    for bound in BOUNDS:
        for path in (folder / bound).iterdir():
            write_checkpoint(path, alignn_arguments(**changes), state, BOUNDS[bound])
    refused(folder, ErrorCode.ARTIFACT_INVALID, pattern)


def test_keys_that_do_not_fit(folder: Path) -> None:
    arguments = alignn_arguments()
    state = alignn_state(arguments, 0)
    key = "model.alignn_layers.1.edge_update.norm.weight"
    path = folder / "median" / "0.ckpt"
    write_checkpoint(path, arguments, {k: v for k, v in state.items() if k != key})
    refused(folder, ErrorCode.ARTIFACT_INVALID, rf'median/0\.ckpt.*missing "{key}" \(16,\)')
    write_checkpoint(path, arguments, state | {"model.head.weight": torch.zeros(2)})
    refused(folder, ErrorCode.ARTIFACT_INVALID, 'not expected: "model.head.weight"')
    write_checkpoint(path, arguments, state | {key: torch.zeros(4)})
    refused(folder, ErrorCode.ARTIFACT_INVALID, rf'"{key}" has shape \(4,\), expected \(16,\)')
    write_checkpoint(path, arguments, state | {key: torch.full((16,), torch.nan)})
    refused(folder, ErrorCode.ARTIFACT_INVALID, f'"{key}" holds 16 values that are NaN')
    centers = "model.angle_rbf.centers"
    write_checkpoint(path, arguments, state | {centers: state[centers] ** 3})
    refused(folder, ErrorCode.ARTIFACT_INVALID, f'"{centers}" differs between')


def rewritten(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change every checkpoint."""
    for path in paths_of(folder):
        content = torch.load(path, weights_only=True)
        change(content)
        torch.save(content, path)


@pytest.mark.parametrize(
    ("settings", "pattern"),
    [({"max_neighbors": 16}, '"max_neighbors" is 16, expected 12'), ({"radius": 8.0}, r'"radius" is 8\.0')],
)
def test_networks_of_other_graphs(folder: Path, settings: dict[str, Any], pattern: str) -> None:
    rewritten(folder, lambda content: content["hyper_parameters"].update(data={"graph_params": settings}))
    refused(folder, ErrorCode.ARTIFACT_INVALID, f"graphs' {pattern}")


def test_gaussians_of_another_reach(folder: Path) -> None:
    centers = torch.linspace(0, 8, 40)
    rewritten(folder, lambda content: content["state_dict"].update({"model.edge_rbf.centers": centers}))
    refused(folder, ErrorCode.ARTIFACT_INVALID, r"edge_rbf\.centers\" are not evenly spaced from 0 to 10")


def test_networks_of_another_bound_or_level(folder: Path) -> None:
    assert load(folder, confidence=0.95)
    with pytest.raises(ModelError, match=r"lower/0\.ckpt was trained with weight 0\.95.*expected 0\.9"):
        load(folder, confidence=0.9)
    (folder / "lower").rename(folder / "spare")
    (folder / "upper").rename(folder / "lower")
    (folder / "spare").rename(folder / "upper")
    with pytest.raises(ModelError, match=r"lower/0\.ckpt was trained with weight 0\.05.*expected 0\.95"):
        load(folder, confidence=0.95)


def test_networks_that_do_not_say_are_taken_at_their_folders_word(folder: Path) -> None:
    wanted = load(folder).predict(inputs(CRYSTALS))
    rewritten(folder, lambda content: content["hyper_parameters"].pop("loss"))
    np.testing.assert_array_equal(
        load(folder, confidence=0.95).predict(inputs(CRYSTALS)).values, wanted.values
    )


def test_the_same_network_under_two_names(folder: Path) -> None:
    shutil.copy(folder / "upper" / "0.ckpt", folder / "upper" / "copy.ckpt")
    refused(folder, ErrorCode.ARTIFACT_INVALID, r"upper/0\.ckpt and .*copy\.ckpt are the same network")


def test_elements_of_another_length(folder: Path) -> None:
    write_elements(folder / "elements.json", 7)
    refused(folder, ErrorCode.ARTIFACT_INVALID, "has 7 numbers an element")
