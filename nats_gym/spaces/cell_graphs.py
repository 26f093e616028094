"""Cells as labelled graphs, as NAS-Bench-101 has them: pruning, drawings, and the module hash.

A cell is drawn as an upper triangular matrix: vertex 0 is the input, the last one the output, and
edges lead from lower to higher vertices. One graph can be drawn in several ways. Rules follow
Ying et al. (ICML 2019, arXiv 1902.09635).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import md5
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Most vertices of a cell, input and output included, and most edges that count.
MOST_VERTICES, MOST_EDGES = 7, 9
#: What an interior vertex may do, in the order of the labels.
OPERATIONS: tuple[str, ...] = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
INPUT, OUTPUT = "input", "output"


@cache
def edges(vertices: int = MOST_VERTICES) -> tuple[tuple[int, int], ...]:
    """Possible edges (source, target); edge number ``k`` is the ``x + y(y-1)/2`` of x→y."""
    return tuple((source, target) for target in range(vertices) for source in range(target))


def prune(
    matrix: ArrayLike, operations: Sequence[str]
) -> tuple[NDArray[np.int64], list[str]] | None:
    """Drop the vertices that no path from input to output passes; None if there is no path.

    Args:
        matrix: 0 and 1, upper triangular, ``(vertices, vertices)``, of any number of vertices.
        operations: what each vertex does, ``(vertices,)``.
    """
    square = np.asarray(matrix, dtype=np.int64)
    rows = square.tolist()
    vertices = range(len(rows))
    reached, leads = [False] * len(rows), [False] * len(rows)
    reached[0] = leads[-1] = True
    for source in vertices:
        if reached[source]:
            for target in vertices[source + 1 :]:
                reached[target] |= bool(rows[source][target])
    for source in reversed(vertices[:-1]):
        row = rows[source]
        leads[source] = any(row[target] and leads[target] for target in vertices[source + 1 :])
    if not reached[-1]:
        return None
    kept = [vertex for vertex in vertices if reached[vertex] and leads[vertex]]
    if len(kept) < len(rows):
        square = square[np.ix_(kept, kept)]
    return square.copy(), [operations[vertex] for vertex in kept]


def module_hash(matrix: ArrayLike, operations: Sequence[str]) -> str:
    """The public benchmark's name of a cell: 32 hexadecimal digits, equal for equal graphs.

    Args:
        matrix: of a pruned cell, ``(vertices, vertices)``.
        operations: of its vertices; ``"input"`` and ``"output"`` at the ends.

    Raises:
        ValueError: for an interior operation that is not one of :data:`OPERATIONS`.
    """
    square = np.asarray(matrix)
    sources = [np.flatnonzero(column).tolist() for column in square.T]
    targets = [np.flatnonzero(row).tolist() for row in square]
    labels = [-1, *(OPERATIONS.index(operation) for operation in operations[1:-1]), -2]
    return hash_of(sources, targets, labels)


def hash_of(
    sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], labels: Sequence[int]
) -> str:
    """:func:`module_hash` of each vertex' sources, targets and label, -1 for input, -2 for output.

    A vertex' hash takes in those of its neighbours, once for every vertex that there is.
    """
    hashes = [
        _first_hash(len(out), len(into), label)
        for out, into, label in zip(targets, sources, labels, strict=True)
    ]
    around = list(zip(sources, targets, range(len(labels)), strict=True))
    for _ in labels:
        hashes = [
            _md5(
                "".join(sorted([hashes[source] for source in into]))
                + "|"
                + "".join(sorted([hashes[target] for target in out]))
                + "|"
                + hashes[vertex]
            )
            for into, out, vertex in around
        ]
    return _md5(str(sorted(hashes)))


def _md5(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


@cache
def _first_hash(out_degree: int, in_degree: int, label: int) -> str:
    return _md5(str((out_degree, in_degree, label)))


def placements(vertices: int, frame: int) -> NDArray[np.int64]:
    """Places ``(ways, vertices)`` of a cell's vertices among ``frame``: input first, output last.

    Interior vertices take every ordered choice of places in between, the natural one first.
    """
    inner = permutations(range(1, frame - 1), vertices - 2)
    return np.array([(0, *places, frame - 1) for places in inner], dtype=np.int64)


def redraw(present: NDArray[Any], places: NDArray[np.int64], values: ArrayLike) -> NDArray[Any]:
    """Numbers ``(graphs, ways)`` of cells with their vertices elsewhere; -1 where upside down.

    Args:
        present: whether a graph has an edge, ``(graphs, edges)``, in the order of :func:`edges`.
        places: :func:`placements` of their vertices.
        values: what each edge of the frame adds to the number of a drawing.
    """
    vertices = places.shape[1]
    value = np.asarray(values, dtype=np.float64)
    wrong = 1.0 + 2.0 * value.sum()
    source, target = (places[:, ends] for ends in np.array(edges(vertices)).T)  # (ways, edges)
    moved = np.where(
        source < target, value[(source + target * (target - 1) // 2).clip(0, len(value) - 1)], wrong
    )
    number = present.astype(np.float64) @ moved.T  # exact: whole numbers below 2⁵³
    return np.where(number < wrong, number, -1).astype(np.int64)
