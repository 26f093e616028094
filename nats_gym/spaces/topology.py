"""The topology search space (tss): 15,625 cells of six edges with five operations.

Order, strings and networks follow NATS-Bench (Dong et al., arXiv 2009.00437) and NAS-Bench-201
(arXiv 2001.00326).
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym import checks
from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, did_you_mean, shown
from nats_gym.spaces import network_cost
from nats_gym.spaces.architecture_space import Figures
from nats_gym.spaces.decisions import Choices, Indices
from nats_gym.spaces.dense import DenseSpace
from nats_gym.spaces.isomorphism import unique_strings
from nats_gym.streams import RandomSource, uniform_integers

#: Edges (target, source) of the cell in the order of the choices.
EDGES: tuple[tuple[int, int], ...] = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
OPERATIONS: tuple[str, ...] = (
    "none",
    "skip_connect",
    "nor_conv_1x1",
    "nor_conv_3x3",
    "avg_pool_3x3",
)
NONE, CONV_1X1, CONV_3X3 = 0, 2, 3
#: Paths of the cell from input to output, by nodes, the short before the long.
PATHS: tuple[tuple[int, ...], ...] = ((0, 3), (0, 1, 3), (0, 2, 3), (0, 1, 2, 3))

STEM_WIDTH = 16
CELLS_PER_STAGE = 5
#: A cell as text, an operation a group: |op~0|+|op~0|op~1|+|op~0|op~1|op~2|.
STRING = re.compile(
    r"\+".join(
        r"\|" + "".join(rf"([^|+~]+)~{source}\|" for source in range(target))
        for target in (1, 2, 3)
    )
)
EXAMPLE = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"


class TopologySpace(DenseSpace):
    """Cells of NATS-Bench's topology space: choices are the operations on :data:`EDGES`.

    >>> space = TopologySpace()
    >>> str(space.string(space.choices(0)))
    '|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|'
    """

    name = "tss"
    title = "topology"
    official = True
    full_epochs = 200
    network_builder = "nats_gym.networks.network:build_topology"
    fit_description = "nats_gym.tables.ridge:describe_topologies"
    choice_names = OPERATIONS
    decisions = dict.fromkeys((f"{target}←{source}" for target, source in EDGES), OPERATIONS)
    edges = EDGES
    drawing = "nats_gym.envs.cell_drawing:CellDrawing"

    @cached_property
    def rank_to_index(self) -> Indices:
        """Official index by lexicographic rank: the official shuffle, seed 88, inverted."""
        return np.argsort(self.index_to_rank)

    @cached_property
    def index_to_rank(self) -> Indices:
        """Lexicographic rank of each official index."""
        ranks = list(range(self.size))
        random.Random(88).shuffle(ranks)
        return np.array(ranks, dtype=np.int64)

    def _string(self, choices: tuple[int, ...]) -> str:
        nodes: dict[int, str] = {1: "|", 2: "|", 3: "|"}
        for (target, source), choice in zip(EDGES, choices, strict=True):
            nodes[target] += f"{OPERATIONS[choice]}~{source}|"
        return "+".join(nodes.values())

    def _parse(self, string: str) -> list[int]:
        match = STRING.fullmatch(string)
        if match is None:
            raise InvalidInput(
                f"malformed tss architecture {shown(string)}; a right one: {shown(EXAMPLE)}"
            )
        for name in match.groups():
            if name not in OPERATIONS:
                raise InvalidInput(
                    f"unknown operation {shown(name)} in tss architecture {shown(string)}; "
                    f"allowed: {', '.join(OPERATIONS)}.{did_you_mean(name, OPERATIONS)}"
                )
        return [OPERATIONS.index(name) for name in match.groups()]

    def official_config(self, string: str, network: Mapping[str, Any]) -> dict[str, Any]:
        """Width of the first stage, and how many cells each has."""
        self.parse(checks.text(string, "string"))
        options = checks.mapping(network, "network is a dictionary of options")
        cells = checks.integer(options.get("cells_per_stage", CELLS_PER_STAGE), "cells_per_stage")
        return {"channel": STEM_WIDTH, "num_cells": cells}

    def mutate(self, choices: ArrayLike, rng: RandomSource) -> Choices:
        """Give one edge of each cell a different operation.

        The paper's rule: a uniform node of 1, 2, 3, a uniform edge into it, a uniform operation
        among the other four. So edges into node 1 change most often.
        """
        child = self.check_choices(choices).copy()
        batch = child.shape[:-1]
        node = uniform_integers(rng, 3, batch)  # 0, 1, 2 for nodes 1, 2, 3, with node+1 edges
        edge = node * (node + 1) // 2 + uniform_integers(rng, node + 1, batch)
        old = np.take_along_axis(child, edge[..., None], -1)
        step = 1 + uniform_integers(rng, self.num_choices - 1, batch)[..., None]
        np.put_along_axis(child, edge[..., None], (old + step) % self.num_choices, -1)
        return child

    def features(self, choices: ArrayLike) -> Figures:
        """Which sequences of operations lead from input to output, ``(..., 155)``.

        The path encoding of BANANAS (arXiv 1910.11858): sequences of one operation, of two, of
        three. Those through ``none`` lead nowhere.
        """
        ops = self.check_choices(choices)
        edge = {pair: place for place, pair in enumerate(EDGES)}
        columns = []
        for length in (1, 2, 3):
            paths = [
                [edge[target, source] for source, target in itertools.pairwise(nodes)]
                for nodes in PATHS
                if len(nodes) == length + 1
            ]
            for sequence in itertools.product(range(self.num_choices), repeat=length):
                present = np.zeros(ops.shape[:-1], dtype=bool)
                for path in () if NONE in sequence else paths:
                    present |= (ops[..., path] == sequence).all(axis=-1)
                columns.append(present)
        return np.stack(columns, axis=-1).astype(np.float64)

    def _cost(self, choices: ArrayLike, dataset: str) -> tuple[Figures, Figures]:
        data = get_dataset(dataset)
        ops = self.check_choices(choices)
        ones = (ops == CONV_1X1).sum(-1).astype(np.float64)  # (...)
        threes = (ops == CONV_3X3).sum(-1).astype(np.float64)
        parts = [network_cost.conv_bn(3, STEM_WIDTH, 3, data.resolution)]
        for stage in range(3):
            width = STEM_WIDTH << stage
            resolution = network_cost.halved(data.resolution, stage)
            if stage:
                parts.append(network_cost.residual_block(width // 2, width, resolution))
            for kernel, count in ((1, ones), (3, threes)):
                params, macs = network_cost.conv_bn(width, width, kernel, resolution)
                repeats = count * data.cells_per_stage.get(self.name, CELLS_PER_STAGE)
                parts.append((params * repeats, macs * repeats))
        parts.append(network_cost.head(4 * STEM_WIDTH, data.num_classes))
        return network_cost.total(*parts)

    def params(self, choices: ArrayLike, dataset: str) -> Figures:
        """Parameters in millions, ``(...)``; edges on no live path count too."""
        return self._cost(choices, dataset)[0]

    def flops(self, choices: ArrayLike, dataset: str) -> Figures:
        """Multiply-accumulates of one image in millions, ``(...)``."""
        return self._cost(choices, dataset)[1]

    def paths(self, choices: ArrayLike, dataset: str) -> Figures:
        """Paths without ``none`` from input to output, ``(...)``, on any data set."""
        return super().paths(choices, dataset) * self._count_paths(choices)

    def is_live(self, choices: ArrayLike) -> NDArray[np.bool_]:
        """Whether a path without ``none`` leads from input to output, ``(...)`` (15,284 do)."""
        return np.asarray(self._count_paths(choices) > 0)

    def _count_paths(self, choices: ArrayLike) -> Figures:
        ops = self.check_choices(choices)
        paths = [np.ones(ops.shape[:-1]), *np.zeros((3, *ops.shape[:-1]))]
        for edge, (target, source) in enumerate(EDGES):
            paths[target] = paths[target] + paths[source] * (ops[..., edge] != NONE)
        return np.asarray(paths[3])

    @cached_property
    def _unique_strings_by_rank(self) -> NDArray[np.str_]:
        place = np.arange(self.size)[:, None] // self.place_values % self.num_choices
        return np.array(unique_strings(place, EDGES, OPERATIONS))

    @cached_property
    def _classes_by_rank(self) -> Indices:
        by_index = self._unique_strings_by_rank[self.index_to_rank]
        _, first, inverse = np.unique(by_index, return_index=True, return_inverse=True)
        return np.asarray(first[inverse][self.rank_to_index], dtype=np.int64)

    def unique_string(self, choices: ArrayLike) -> NDArray[np.str_]:
        """Official isomorphism string (``consider_zero=True``), ``(...)``.

        Cells with the same string compute the same function; there are 6,466 strings.
        """
        return np.asarray(self._unique_strings_by_rank[self.rank(choices)])

    def isomorphism_class(self, choices: ArrayLike) -> Indices:
        """Lowest official index among the cells with the same isomorphism string, ``(...)``."""
        return np.asarray(self._classes_by_rank[self.rank(choices)])

    @cached_property
    def _workloads_by_index(self) -> Indices:
        rows = self.all_choices()
        first: dict[object, int] = {}
        found = []
        for index, (of, row) in enumerate(
            zip(self.isomorphism_class(rows).tolist(), rows.tolist(), strict=True)
        ):
            live = live_edges(row)
            nodes = {0, *(EDGES[edge][0] for edge in live)}  # not zero: of any size
            work = sorted((row[edge], EDGES[edge][1] in nodes) for edge in live)
            reads_input = any(EDGES[edge][1] == 0 for edge in live)
            found.append(first.setdefault((of, reads_input, *work), index))
        return np.array(found)

    def workload_class(self, choices: ArrayLike) -> Indices:
        """The same among those that also compute the same operations, ``(...)``.

        Isomorphic cells may compute one twice, or what a convolution makes of zeros.
        """
        return np.asarray(self._workloads_by_index[self.index(choices)])


def live_edges(choices: Sequence[int], widths_differ: bool = False) -> tuple[int, ...]:
    """Numbers of the edges that matter, see :class:`~nats_gym.networks.cell.Cell`, ascending.

    Args:
        choices: operation of each edge.
        widths_differ: whether the cell's input is of another width: then skips and pools of it
            hold a convolution too.
    """
    reaches_output = {3}
    for (target, source), choice in reversed(list(zip(EDGES, choices, strict=True))):
        if choice != NONE and target in reaches_output:
            reaches_output.add(source)
    live, nonzero = [], {0}
    for edge, ((target, source), choice) in enumerate(zip(EDGES, choices, strict=True)):
        normed = choice in (CONV_1X1, CONV_3X3) or (source == 0 and widths_differ)
        if choice != NONE and target in reaches_output and (source in nonzero or normed):
            live.append(edge)
            nonzero.add(target)
    return tuple(live)
