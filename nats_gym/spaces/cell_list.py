"""The 423,624 cells of NAS-Bench-101, and which of them any drawing on seven vertices is.

Embedded are the 2,494 unlabelled graphs, and the official index of every cell in the order of
graphs and labels; ``scripts/list_nasbench101.py`` makes both. The rest is computed from them.

A *drawing* is a number below 2²¹: its edges in order, the first as the highest bit. *Labels* are a
number below 3⁵: the operations of the vertices 1 … 5, the first counting most. So
``drawing · 243 + labels`` is the lexicographic rank of a cell's 26 choices.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nats_gym.spaces.cell_graphs import MOST_VERTICES, OPERATIONS, edges, placements, redraw

FILE = Path(__file__).parents[1] / "data" / "cells" / "nasbench101.npz"

INTERIOR = MOST_VERTICES - 2
NUM_EDGES = len(edges())
NUM_DRAWINGS, NUM_LABELS = 1 << NUM_EDGES, len(OPERATIONS) ** INTERIOR
#: What an edge adds to a drawing, and a vertex' operation to labels.
EDGE_VALUES = 1 << np.arange(NUM_EDGES - 1, -1, -1, dtype=np.int64)
LABEL_VALUES = len(OPERATIONS) ** np.arange(INTERIOR - 1, -1, -1, dtype=np.int64)

Integers = NDArray[np.int64]
Int32s = NDArray[np.int32]

#: Bits of a drawing's entry that say how its graph is placed in it.
_WAY_BITS = 9


class GraphsOfOneSize(NamedTuple):
    """Unlabelled graphs of as many vertices, and every drawing and labelling of them.

    Attributes:
        drawings: on seven vertices, by way of placing them; the first is canonical, -1 is none,
            ``(graphs, ways)``.
        read: labels of the graph's own vertices, by way and labels of the seven, ``(ways, 243)``.
        least: the first of the labellings that are the same cell, ``(graphs, labellings)``.
    """

    drawings: Integers
    read: Integers
    least: Integers

    @property
    def is_first(self) -> NDArray[np.bool_]:
        """Whether a labelling is the first of its cell, ``(graphs, labellings)``."""
        return np.asarray(self.least == np.arange(self.least.shape[1]))


def place_graphs(graphs: Integers, vertices: int) -> GraphsOfOneSize:
    """Place graphs of so many vertices on seven in every way, and label them.

    Args:
        graphs: bit ``k`` is edge ``k`` of :func:`~nats_gym.spaces.cell_graphs.edges`.
        vertices: of each of them.
    """
    ways = placements(vertices, MOST_VERTICES)
    present = (graphs[:, None] >> np.arange(len(edges(vertices))) & 1).astype(bool)
    drawings = redraw(present, ways, EDGE_VALUES)
    labels = np.arange(NUM_LABELS)[:, None] // LABEL_VALUES % len(OPERATIONS)  # (243, 5)
    # A way places the graph's vertices; what lies there, in their order, are its labels.
    own = LABEL_VALUES[INTERIOR - (vertices - 2) :]
    read = labels[:, ways[:, 1:-1] - 1].swapaxes(0, 1) @ own
    labellings = np.arange(len(OPERATIONS) ** (vertices - 2))
    least = np.tile(labellings, (len(graphs), 1))
    # Other ways to the same drawing exchange vertices that the graph alone cannot tell apart.
    graph, way = np.nonzero(drawings[:, 1:] == drawings[:, :1])
    spread = labellings * (NUM_LABELS // len(labellings))  # on seven vertices, way 0
    np.minimum.at(least, graph, read[way + 1][:, spread])
    return GraphsOfOneSize(drawings, read, least)


class CellList:
    """Every cell, by official index and by drawing.

    All labellings of all graphs are counted together. A drawing has an entry: where the labellings
    of its graph begin, and in the low bits the way its graph is placed in it; -1 is no cell.

    Args:
        graphs: the unlabelled graphs, ascending by vertices, then by their number.
        official: official index of every cell, counted by graph, then by labels.

    Attributes:
        size: number of cells.
        canonical: ``drawing · 243 + labels`` of each cell's canonical drawing, ``(size,)``.
    """

    def __init__(self, graphs: Integers, official: Int32s) -> None:
        self.size = len(official)
        self.canonical = np.empty(self.size, dtype=np.int32)
        entries = np.full(NUM_DRAWINGS, -1, dtype=np.int32)
        self._read = np.zeros((1 << _WAY_BITS, NUM_LABELS), dtype=np.uint8)
        found, starts, labelling, way, cell = [], [], 0, 0, 0
        for group in _by_size(graphs):
            count, ways = group.drawings.shape
            labellings = group.least.shape[1]
            start = labelling + labellings * np.arange(count)
            graph, placed = np.nonzero(group.drawings >= 0)
            entries[group.drawings[graph, placed]] = start[graph] << _WAY_BITS | way + placed
            self._read[way : way + ways] = group.read
            is_first = group.is_first
            indices = official[cell : cell + is_first.sum()]
            at = np.cumsum(is_first).reshape(is_first.shape) - 1
            found.append(indices[np.take_along_axis(at, group.least, 1)].ravel())
            starts.append(start)
            graph, labels = np.nonzero(is_first)
            self.canonical[indices] = group.drawings[graph, 0] * NUM_LABELS + labels * (
                NUM_LABELS // labellings
            )
            labelling, way, cell = labelling + is_first.size, way + ways, cell + len(indices)
        # The last one answers for an entry of -1.
        self._index = np.concatenate([*found, [-1]]).astype(np.int32)
        self._starts = np.concatenate(starts)
        self._entries = entries[_pruned_drawings()]

    def index(self, drawing: Integers, labels: Integers) -> Integers:
        """Official index ``(...)`` of cells, -1 for none; the two broadcast."""
        entry = self._entries[drawing]
        way = entry & ((1 << _WAY_BITS) - 1)
        return self._index[(entry >> _WAY_BITS) + self._read[way, labels]].astype(np.int64)

    def index_of(self, rank: int) -> int:
        """:meth:`index` of one ``drawing · 243 + labels``, without arrays."""
        drawing, labels = divmod(rank, NUM_LABELS)
        entry = self._entries.item(drawing)
        way = entry & ((1 << _WAY_BITS) - 1)
        return self._index.item((entry >> _WAY_BITS) + self._read.item(way, labels))

    def is_cell(self) -> NDArray[np.bool_]:
        """Whether each drawing is a cell, whatever its labels, ``(2²¹,)``."""
        return np.asarray(self._entries >= 0)

    def holds(self, admitted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether some labels make each drawing one of the ``admitted (size,)``, ``(2²¹,)``."""
        by_graph = np.logical_or.reduceat(self._by_labelling(admitted)[:-1], self._starts)
        by_start = np.zeros(len(self._index), dtype=bool)
        by_start[self._starts] = by_graph
        return np.asarray(by_start[self._entries >> _WAY_BITS])

    def labels_of(
        self, drawings: NDArray[np.bool_], admitted: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Which labels make one of the ``drawings (2²¹,)`` one of the ``admitted``, ``(243,)``."""
        by_labelling = self._by_labelling(admitted)
        entries = np.unique(self._entries[drawings])
        start, way = entries >> _WAY_BITS, entries & ((1 << _WAY_BITS) - 1)
        return np.array([by_labelling[start + read].any() for read in self._read[way].T])

    def _by_labelling(self, admitted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.asarray(np.append(admitted, False)[self._index])


def load(path: Path = FILE) -> CellList:
    """Read a list as :func:`save` writes it."""
    with np.load(path) as stored:
        low = stored["low"]
        high = np.unpackbits(stored["high"], axis=1, count=len(low)).astype(np.int32)
        official = low + (high[0] << 16) + (high[1] << 17) + (high[2] << 18)
        return CellList(np.cumsum(stored["steps"], dtype=np.int64), official)


def save(graphs: Integers, official: Integers, path: Path = FILE) -> None:
    """Write what a list is made of: the order takes 19 bits a cell, 16 of them apart.

    Args:
        graphs: as :class:`CellList` takes them.
        official: likewise.
        path: of the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    high = np.packbits(official >> np.array([[16], [17], [18]]) & 1, axis=1)
    steps = np.diff(graphs, prepend=0).astype(np.int32)
    np.savez(path, steps=steps, low=official.astype(np.uint16), high=high)


@cache
def embedded_list() -> CellList:
    """The list that the package brings, laid out once."""
    return load()


def _by_size(graphs: Integers) -> Iterator[GraphsOfOneSize]:
    for vertices in range(2, MOST_VERTICES + 1):
        # Something leads to the output, so the highest bit is one of its edges.
        least, limit = (1 << len(edges(count)) for count in (vertices - 1, vertices))
        yield place_graphs(graphs[(graphs >= least) & (graphs < limit)], vertices)


def _pruned_drawings() -> Integers:
    """Every drawing without the edges on no path from input to output, ``(2²¹,)``."""
    output = MOST_VERTICES - 1
    # The edges into the output are the last, so the lowest bits.
    within = np.arange(NUM_DRAWINGS >> output)  # (2¹⁵,): the edges among the others
    leads_on = np.zeros((MOST_VERTICES, len(within)), dtype=np.uint8)  # vertex → its targets
    reached = np.ones(len(within), dtype=np.uint8)  # the set of vertices, as bits
    for number, (source, target) in enumerate(edges(output)):
        present = (within >> (len(edges(output)) - 1 - number) & 1).astype(np.uint8)
        leads_on[source] |= present << target
        reached |= (present & (reached >> source & 1)) << target  # sources come ready: ascending
    last = np.arange(1 << output)
    leads = np.zeros((len(within), len(last)), dtype=np.uint8)
    for source in range(output):
        leads |= (last >> (output - 1 - source) & 1).astype(np.uint8) << source
    for source in range(output - 2, -1, -1):
        leads |= ((leads & leads_on[source][:, None]) != 0).astype(np.uint8) << source
    live = (leads & reached[:, None]).ravel()
    kept = np.zeros(len(last), dtype=np.int64)
    for value, (source, target) in zip(EDGE_VALUES, edges(), strict=True):
        ends = 1 << source | (1 << target if target != output else 0)
        kept[(last & ends) == ends] |= value
    return np.asarray(np.arange(NUM_DRAWINGS) & kept[live])
