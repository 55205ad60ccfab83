"""ALIGNN ensembles: bounds as means over networks, graphs packed into batches, on the CPU or a GPU.

Network: Choudhary and DeCost, npj Comput. Mater. 7, 185 (2021), in the form that the Goldilocks project
trained and published: line-graph edges by site, 231 features of the whole structure beside the graph, one
quantile a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.config.choices import Cell, SingleSite
from goldilocks_batch.core.errors import ErrorCode, ModelError
from goldilocks_batch.features.soap import Zeros
from goldilocks_batch.models.alignn_graphs import PreparedGraphs, build_graphs, edges_of
from goldilocks_batch.models.interface import CPU_FALLBACK, ModelInputs, RawBounds
from goldilocks_batch.networks.alignn.architecture import N_ADDITIONAL, Architecture, read_networks
from goldilocks_batch.networks.alignn.placed import CPU_EDGES, Ensemble, fits, placed
from goldilocks_batch.networks.checkpoint import Checkpoint, read_element_table
from goldilocks_batch.networks.graphs.collate import collate, pack
from goldilocks_batch.structures.crystal import Crystal

__all__ = ["Alignn"]


#: A bound is flagged where its networks' standard deviation exceeds this share of it.
DISAGREEMENT = 0.25


@dataclass(slots=True)
class _Progress:
    """Outputs so far, ``(n, n_networks)``, and the rows that fell back to the CPU."""

    outputs: NDArray[np.float32]
    fallen_back: set[int] = field(default_factory=set)


class Alignn:
    """The three ensembles of a confidence level.

    Args:
        ensemble: their networks, those of the lower bound first, then median, upper.
        sizes: networks of each.
        tabulated: ``(119,)`` bool, elements the networks know, by atomic number.
        depth: layers on the line graph.
        single_site: see `SingleSite`; the published application skips the ALIGNN layers.
        fallback: the same networks on the CPU, for what does not fit the device; None if `ensemble` is on
            the CPU.
        edges: of a batch at most, those of its line graphs and its bonds; lowered when a batch has not
            fitted.
        crowded_out: whether all of it is on the CPU because there was no memory left on the GPU.
        additional: features beside the graph.
    """

    feature_blocks: tuple[str, ...] = ("composition", "structure", "lattice", "metallicity")
    zeros: Zeros = "library"
    cell: Cell = "averaged"

    def __init__(
        self,
        ensemble: Ensemble,
        sizes: tuple[int, ...],
        tabulated: NDArray[np.bool_],
        depth: int,
        *,
        single_site: SingleSite = "skip",
        fallback: Ensemble | None = None,
        edges: int = CPU_EDGES,
        crowded_out: bool = False,
        additional: int = N_ADDITIONAL,
    ) -> None:
        self._ensemble = ensemble
        self._columns = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
        self._tabulated = tabulated
        self._depth = depth
        self._single_site = single_site
        self._fallback = fallback
        self.edges = edges
        self._crowded_out = crowded_out
        self._additional = additional

    @classmethod
    def load(
        cls,
        lower: Sequence[Path],
        median: Sequence[Path],
        upper: Sequence[Path],
        elements: Path,
        *,
        single_site: SingleSite = "skip",
        device: str = "cpu",
        confidence: float | None = None,
        additional: int = N_ADDITIONAL,
    ) -> Self:
        """Load the checkpoints of each bound and the table of elements.

        Args:
            lower: checkpoints whose mean is the lower bound; likewise
            median: and
            upper: theirs.
            elements: path of ``atom_init_with_sssp_cutoffs.json``.
            single_site: what to do with a cell of one atom.
            device: ``cpu``, ``cuda`` or ``auto``, which is ``cuda`` where there is a GPU.
            confidence: one-sided, which the checkpoints must be of; None for any.
            additional: features beside the graph that they take.

        Raises:
            ModelError: a file is missing or not acceptable; there is no GPU where one was asked for.
        """
        over = None if confidence is None else (confidence, 0.5, 1.0 - confidence)
        architecture, ensembles = read_networks([lower, median, upper], additional, over=over)
        table = read_element_table(elements)
        if table.shape[1] != architecture.atom_inputs:
            raise ModelError(
                ErrorCode.ARTIFACT_INVALID,
                f"{elements} has {table.shape[1]} numbers an element,"
                f" the checkpoints expect {architecture.atom_inputs}",
            )
        return cls.of(architecture, ensembles, table, single_site=single_site, device=device)

    @classmethod
    def of(
        cls,
        architecture: Architecture,
        ensembles: Sequence[Sequence[Checkpoint]],
        table: NDArray[np.float32],
        *,
        single_site: SingleSite = "skip",
        device: str = "cpu",
    ) -> Self:
        """Networks that have been read.

        Args:
            architecture: of all of them.
            ensembles: each gives a column of the answer, the mean over its networks.
            table: ``(119, atom_inputs)`` numbers of each element.
            single_site: what to do with a cell of one atom.
            device: ``cpu``, ``cuda`` or ``auto``.

        Raises:
            ModelError: there is no GPU where one was asked for.
        """
        networks = [network for ensemble in ensembles for network in ensemble]
        there = placed(architecture, networks, table, device)
        return cls(
            there.ensemble,
            tuple(map(len, ensembles)),
            ~np.isnan(table[:, 0]),
            architecture.alignn_layers,
            single_site=single_site,
            fallback=there.fallback,
            edges=there.edges,
            crowded_out=there.crowded_out,
            additional=architecture.additional,
        )

    def predict(self, inputs: ModelInputs) -> RawBounds:
        """Mean and standard deviation over the networks of each bound.

        Args:
            inputs: primitive cells and their features beside the graph; of published networks 231:
                composition, structure, lattice, metallicity.
        """
        if inputs.features is None:
            raise ValueError("ALIGNN needs features beside the graph")
        prepared = inputs.prepared
        if not isinstance(prepared, PreparedGraphs):
            prepared = self.prepare(inputs.crystals)
        return self.infer(prepared, inputs.features)

    def prepare(self, crystals: Sequence[Crystal]) -> PreparedGraphs:
        """Build the graphs of some primitive cells, on the CPU."""
        return build_graphs(crystals, self._tabulated, self._depth, self._single_site)

    def infer(self, prepared: PreparedGraphs, features: NDArray[np.float64]) -> RawBounds:
        """Evaluate the networks on prepared graphs.

        Args:
            prepared: n graphs.
            features: ``(n, k)``, beside the graph.
        """
        expected = (len(prepared.graphs), self._additional)
        if features.shape != expected:
            raise ValueError(f"expected features of shape {expected}, found {features.shape}")
        progress = _Progress(
            np.full((len(prepared.graphs), sum(map(len, self._columns))), np.nan, np.float32)
        )
        costs = np.array([edges_of(g) if g else 0 for g in prepared.graphs], dtype=np.int64)
        lined = np.array([g is not None and g[0].n_line_edges > 0 for g in prepared.graphs], dtype=bool)
        if self._crowded_out:
            progress.fallen_back.update(np.flatnonzero(costs).tolist())
        for rows in (np.flatnonzero(lined), np.flatnonzero(~lined & (costs > 0))):
            self._infer(rows, costs, prepared, features, progress)
        return self._bounds(prepared, progress)

    def _infer(
        self,
        rows: NDArray[np.int64],
        costs: NDArray[np.int64],
        prepared: PreparedGraphs,
        features: NDArray[np.float64],
        progress: _Progress,
    ) -> None:
        """Evaluate rows that all have a line graph, or none; one batch too large has the rest packed anew."""
        while len(rows):
            done = np.zeros(len(costs), dtype=bool)
            for batch in pack(costs[rows], self.edges):
                if not self._evaluated(rows[batch], prepared, features, progress):
                    self.edges = min(self.edges, max(int(costs[rows[batch]].sum()) // 2, 1))
                    break
                done[rows[batch]] = True
            rows = rows[~done[rows]]

    def _evaluated(
        self,
        rows: NDArray[np.int64],
        prepared: PreparedGraphs,
        features: NDArray[np.float64],
        progress: _Progress,
    ) -> bool:
        """Evaluate a batch; False if it has to be halved first."""
        graphs = [graph for row in rows if (graph := prepared.graphs[row]) is not None]
        batch = collate(graphs)
        skip = graphs[0][0].n_line_edges == 0
        if self._fallback is None:
            progress.outputs[rows] = self._ensemble(batch, features[rows], skip_alignn=skip)
            return True
        if fits(self._ensemble, batch, features[rows], skip, progress.outputs, rows):
            return True
        if len(rows) > 1:
            return False
        progress.outputs[rows] = self._fallback(batch, features[rows], skip_alignn=skip)
        progress.fallen_back.add(int(rows[0]))
        return True

    def _bounds(self, prepared: PreparedGraphs, progress: _Progress) -> RawBounds:
        outputs = progress.outputs.astype(np.float64)
        values = np.stack([outputs[:, columns].mean(axis=1) for columns in self._columns], axis=1)
        spread = np.stack([outputs[:, columns].std(axis=1) for columns in self._columns], axis=1)
        flags = dict(prepared.flags)
        with np.errstate(invalid="ignore"):
            disagree = (spread > DISAGREEMENT * np.abs(values)).any(axis=1)
        for row in np.flatnonzero(disagree).tolist():
            flags[row] = (*flags.get(row, ()), "ensemble_disagrees")
        for row in sorted(progress.fallen_back):
            flags[row] = (*flags.get(row, ()), CPU_FALLBACK)
        return RawBounds(values, spread, flags, dict(prepared.failures))
