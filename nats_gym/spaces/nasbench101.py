"""The search space of NAS-Bench-101 (nb101): 423,624 cells of up to seven vertices, nine edges.

Source: Ying et al., ICML 2019, arXiv 1902.09635; official is the order of module hashes.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym import checks
from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, did_you_mean, shown
from nats_gym.spaces.architecture_space import ArchitectureSpace, Figures
from nats_gym.spaces.cell_graphs import (
    INPUT,
    MOST_VERTICES,
    OPERATIONS,
    OUTPUT,
    edges,
    module_hash,
    prune,
)
from nats_gym.spaces.cell_list import (
    EDGE_VALUES,
    INTERIOR,
    LABEL_VALUES,
    NUM_EDGES,
    NUM_LABELS,
    CellList,
    embedded_list,
)
from nats_gym.spaces.cell_prefixes import CellPrefixes
from nats_gym.spaces.decisions import Choices, Indices
from nats_gym.spaces.nasbench101_cost import CELLS_PER_STACK, STEM_WIDTH, network_cost
from nats_gym.streams import RandomSource

SIZE = 423_624
LAST = MOST_VERTICES - 1
#: Operations of the interior vertices by labels, as numbers and by name.
_ROWS_OF_LABELS = np.arange(NUM_LABELS)[:, None] // LABEL_VALUES % len(OPERATIONS)
_LABELS = [tuple(OPERATIONS[label] for label in row) for row in _ROWS_OF_LABELS.tolist()]
#: A cell as text, a vertex a group: its operation, and where its edges come from.
EXAMPLE = "|conv3x3-bn-relu~0|+|maxpool3x3~0~1|+|output~1~2|"
_VERTEX = re.compile(r"\|([^|+~]+)((?:~[0-9])*)\|")
_HASH = re.compile("[0-9a-f]{32}")


class NASBench101Space(ArchitectureSpace):
    """Cells of NAS-Bench-101: choices are 21 edges, then the operations of five vertices.

    Vertex 0 is the input and 6 the output. A row is the cell that is left when the vertices on no
    path from input to output are dropped: valid if there is a path, and at most nine edges are
    left. So many rows are the same cell. The canonical row draws a cell of fewer vertices on the
    first of them and the output; what it does without has no edges, and the first operation.

    >>> space = NASBench101Space()
    >>> str(space.string(space.choices(167)))
    '|maxpool3x3~0|+|maxpool3x3~0~1|+|output~2|'
    >>> str(space.module_hash(space.choices(0)))
    '00005c142e6f48ac74fdcf73e3439874'
    """

    name = "nb101"
    title = "NAS-Bench-101"
    official = True
    full_epochs = 108
    network_builder = "nats_gym.networks.nasbench101:build_network"
    schedules = (4, 12, 36, 108)
    # Of the public notebook's searches.
    budgets = dict.fromkeys(["cifar10"], 5e6)
    budget_epochs = 108
    decisions = {  # noqa: RUF012
        **{f"{target}←{source}": ("no", "edge") for source, target in edges()},
        **{f"vertex {vertex}": OPERATIONS for vertex in range(1, LAST)},
    }

    @property
    def cells(self) -> CellList:
        """The list of all cells."""
        return embedded_list()

    # ── choices ⇄ official index ─────────────────────────────────────────────────────────────

    @property
    def size(self) -> int:
        """Number of architectures."""
        return SIZE

    def index_at(self, rank: ArrayLike) -> Indices:
        """Official index ``(...)`` of the rows of a ``rank (...)``; -1 for none and for -1."""
        drawing, labels = np.divmod(np.asarray(rank, dtype=np.int64), NUM_LABELS)
        return self.cells.index(np.maximum(drawing, 0), labels)  # drawing 0 is no cell

    def rank_at(self, index: ArrayLike) -> Indices:
        """Rank ``(...)`` of the canonical row of a valid official ``index (...)``."""
        return self.cells.canonical[np.asarray(index)].astype(np.int64)

    def _row_at(self, rank: Indices) -> Choices:
        drawing, labels = np.divmod(rank, NUM_LABELS)
        rows = np.empty((*rank.shape, self.num_decisions), dtype=np.int64)
        rows[..., :NUM_EDGES] = (drawing[..., None] & EDGE_VALUES) != 0
        rows[..., NUM_EDGES:] = _ROWS_OF_LABELS[labels]
        return rows

    def index_of(self, choices: Sequence[int]) -> int:
        """Official index of one row of choices, -1 for none; :meth:`index` without arrays."""
        rank = self.rank_of(choices)
        return self.cells.index_of(rank) if rank >= 0 else -1

    def is_valid(self, choices: Choices) -> NDArray[np.bool_]:
        """Whether each of ``choices (..., 26)`` is a cell, ``(...)``."""
        return np.asarray(self.index(choices) >= 0)

    def canonical(self, choices: Choices) -> Choices:
        """Choices ``(..., 26)`` of the canonical drawing of valid ones."""
        return self.choices(self.index(choices))

    # ── strings and hashes ───────────────────────────────────────────────────────────────────

    def _string(self, choices: tuple[int, ...]) -> str:
        drawing = int("".join(map(str, choices[:NUM_EDGES])), 2)
        used = max((i for i, label in enumerate(choices[NUM_EDGES:], 1) if label), default=0)
        form, count = _text(drawing, used)
        return form % tuple(OPERATIONS[label] for label in choices[NUM_EDGES:][:count])

    def names_of(self, index: Indices) -> NDArray[np.object_]:
        """Official strings ``(batch,)`` of official indices ``(batch,)``; empty for -1."""
        drawings, labels = np.divmod(self.cells.canonical[index], NUM_LABELS)
        names = np.empty(len(drawings), object)
        for i, (drawing, label) in enumerate(zip(drawings.tolist(), labels.tolist(), strict=True)):
            form, count = _canonical_text(drawing)
            names[i] = form % _LABELS[label][:count]
        names[np.asarray(index) < 0] = ""
        return names

    def _parse(self, string: str) -> list[int]:
        if _HASH.fullmatch(string):
            return self.choices(self.find(string)).tolist()
        groups = string.split("+")
        matches = [_VERTEX.fullmatch(group) for group in groups]
        found = [(match[1], match[2].split("~")[1:]) for match in matches if match]
        if (
            len(found) < len(groups)
            or len(found) > LAST
            or found[-1][0] != OUTPUT
            or not all(
                sources == sorted(set(sources)) and all(int(source) < vertex for source in sources)
                for vertex, (_, sources) in enumerate(found, 1)
            )
        ):
            raise InvalidInput(
                f"malformed nb101 architecture {shown(string)}; a right one: {shown(EXAMPLE)}, "
                "or a module hash of 32 hexadecimal digits"
            )
        for name, _ in found[:-1]:
            if name not in OPERATIONS:
                raise InvalidInput(
                    f"unknown operation {shown(name)} in nb101 architecture {shown(string)}; "
                    f"allowed: {', '.join(OPERATIONS)}.{did_you_mean(name, OPERATIONS)}"
                )
        choices = [0] * self.num_decisions
        for vertex, (name, sources) in enumerate(found, 1):
            target = LAST if vertex == len(found) else vertex
            for source in sources:
                choices[edges().index((int(source), target))] = 1
            if target != LAST:
                choices[NUM_EDGES + vertex - 1] = OPERATIONS.index(name)
        return choices

    def cell(self, choices: ArrayLike) -> tuple[NDArray[np.int64], list[str]] | None:
        """Matrix and operations of one row's cell, pruned; None where no path leads to the output.

        Args:
            choices: of one architecture, ``(26,)``.
        """
        row = self.check_choices(choices)
        matrix = np.zeros((MOST_VERTICES, MOST_VERTICES), dtype=np.int64)
        for (source, target), present in zip(edges(), row[:NUM_EDGES], strict=True):
            matrix[source, target] = present
        inner = [OPERATIONS[label] for label in row[NUM_EDGES:]]
        return prune(matrix, [INPUT, *inner, OUTPUT])

    def module_hash(self, choices: ArrayLike) -> NDArray[np.str_]:
        """The public hashes ``(...)`` of cells, 32 hexadecimal digits; empty for none."""
        index = self.index(choices)
        hashes = [self.hash_of(one) if one >= 0 else "" for one in index.ravel().tolist()]
        return np.array(hashes, dtype="<U32").reshape(index.shape)

    def hash_of(self, index: ArrayLike) -> str:
        """Module hash of one valid official index."""
        cell = self.cell(self.choices(self.check_one_index(index)))
        assert cell is not None
        return module_hash(*cell)

    def find(self, hash_: str) -> int:
        """Official index of a module hash.

        Raises:
            InvalidInput: for a hash that no cell has.
        """
        hash_ = checks.text(hash_, "a module hash")
        index = bisect_left(range(self.size), hash_, key=self.hash_of)
        if index == self.size or self.hash_of(index) != hash_:
            raise InvalidInput(f"no cell of nb101 has the module hash {shown(hash_)}")
        return index

    # ── moving about ─────────────────────────────────────────────────────────────────────────

    def mutate(self, choices: ArrayLike, rng: RandomSource) -> Choices:
        """Change choices of each cell by the rule of the public regularised evolution.

        Each edge flips with probability 1/7, so three of them on average, and each operation
        becomes one of the two others with probability 1/5; both anew until the row is valid. It
        may then be the same cell again.
        """
        parents = self.check_choices(choices)
        flat = parents.reshape(-1, self.num_decisions)

        def change(source: RandomSource, rows: Indices) -> Choices:
            drawn = source.random((len(rows), self.num_decisions))
            child = flat[rows].copy()
            child[:, :NUM_EDGES] ^= drawn[:, :NUM_EDGES] < 1 / MOST_VERTICES
            # Below 1/5 a number says which of the two others as well.
            step = np.floor(drawn[:, NUM_EDGES:] * INTERIOR * (len(OPERATIONS) - 1)).astype(int) + 1
            labels = child[:, NUM_EDGES:]
            changed = step < len(OPERATIONS)
            labels[changed] = ((labels + step) % len(OPERATIONS))[changed]
            return child

        return self.draw_valid(rng, parents.shape[:-1], change)

    def prefixes(self, admitted: NDArray[np.bool_] | None = None) -> CellPrefixes:
        """Which choices may follow the first ones of a row so that a cell can still come.

        Args:
            admitted: which cells count, by official index ``(size,)``; None for all.
        """
        return CellPrefixes(self.cells, self.check_admitted(admitted))

    # ── closed forms ─────────────────────────────────────────────────────────────────────────

    def costs(self, index: ArrayLike, dataset: str) -> tuple[Figures, Figures]:
        """Parameters and FLOPs in millions of official indices ``(...)``; NaN of -1."""
        data = get_dataset(dataset)
        index = self.check_answers(index)
        drawings, labels = np.divmod(self.cells.canonical[index.ravel()], NUM_LABELS)
        given, place = np.unique(drawings, return_inverse=True)
        present = (given[:, None] & EDGE_VALUES) != 0
        costs = network_cost(
            (present @ (1 << np.arange(NUM_EDGES)))[place],
            _ROWS_OF_LABELS[labels],
            num_classes=data.num_classes,
            resolution=data.resolution,
            cells=data.cells_per_stage.get(self.name, CELLS_PER_STACK),
            stem_width=data.stem_width.get(self.name, STEM_WIDTH),
        )
        params, flops = (
            np.where(index < 0, np.nan, cost.reshape(index.shape) / 1e6) for cost in costs
        )
        return params, flops

    def params(self, choices: ArrayLike, dataset: str) -> Figures:
        """Parameters in millions, ``(...)``; NaN for what is no cell."""
        return self.costs(self.index(choices), dataset)[0]

    def flops(self, choices: ArrayLike, dataset: str) -> Figures:
        """Multiply-accumulates of one image in millions, ``(...)``; NaN for what is no cell.

        As the public tables count them, with twice the outputs of the batch norms.
        """
        return self.costs(self.index(choices), dataset)[1]

    def paths(self, choices: ArrayLike, dataset: str) -> Figures:
        """Paths from input to output, ``(...)``, on any data set."""
        get_dataset(dataset)
        row = self.check_choices(choices)
        paths = np.zeros((MOST_VERTICES, *row.shape[:-1]))
        paths[0] = 1.0
        for edge, (source, target) in enumerate(edges()):
            paths[target] += paths[source] * row[..., edge]
        return np.asarray(paths[LAST])


def _text(drawing: int, used: int = 0) -> tuple[str, int]:
    """A drawing as text with a ``%s`` for each operation, and how many there are.

    Vertices before the output are left out if neither they nor those behind them have an edge, or
    are among the ``used`` ones.
    """
    present = [
        ends for ends, value in zip(edges(), EDGE_VALUES.tolist(), strict=True) if drawing & value
    ]
    count = max([used, *(vertex for ends in present for vertex in ends if vertex != LAST)])
    groups = [
        "|" + name + "".join(f"~{source}" for source, end in present if end == target) + "|"
        for name, target in [*(("%s", vertex) for vertex in range(1, count + 1)), (OUTPUT, LAST)]
    ]
    return "+".join(groups), count


_canonical_text = cache(_text)  # of the few that are canonical
