"""What the surrogate of NAS-Bench-101 reads of a cell: counts along its paths and among its edges.

Everything is counted on the canonical drawing, whose vertices come in one order for all drawings of
a cell; all but the last group would be the same for any.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym.spaces.cell_graphs import MOST_VERTICES, OPERATIONS, edges

Array = NDArray[np.float32]

LAST = MOST_VERTICES - 1
INTERIOR = range(1, LAST)
KINDS = len(OPERATIONS)
#: How many features there are of a cell.
CELL_FEATURES = 151
#: Beyond all that a path can count, however often it is added.
_FAR = 1_000.0


def cell_features(choices: ArrayLike, params: ArrayLike, flops: ArrayLike) -> NDArray[np.float64]:
    """Describe cells to the surrogate, ``(feature, cell)``.

    In order, with ``log`` for log(1 + n), and "by operation" for three figures, of 3×3
    convolutions, 1×1 convolutions and pools:

    * paths from input to output by how many vertices of an operation they pass, 0 … 5, for each
      operation, then by how many of any (log; 24);
    * the most and the fewest vertices of an operation, for each, and of any, of all paths (8);
    * vertices by operation; vertices; edges (5);
    * edges from the input; to the output; from input to output (3);
    * vertices that read the input, that the output reads, and that do both, by operation (9);
    * edges between vertices, by operations of both (9);
    * paths of two edges between vertices, by operations of all three (27); the same from the input
      (9) and to the output (9);
    * share of the output's channels that a vertex has (1);
    * edges into vertices, out of them, and squares of the former, by operation (9);
    * each edge, then the operation of each vertex, one-hot (36);
    * logarithms of parameters and FLOPs (2).

    Args:
        choices: canonical, ``(cell, 26)``.
        params, flops: in millions, ``(cell,)``.
    """
    rows = np.asarray(choices)
    count = len(rows)
    present = rows[:, : len(edges())].T.astype(np.float32)
    edge = np.zeros((MOST_VERTICES, MOST_VERTICES, count), np.float32)
    for value, (source, target) in zip(present, edges(), strict=True):
        edge[source, target] = value
    used = np.zeros((MOST_VERTICES, count), np.float32)
    does = np.zeros((MOST_VERTICES, KINDS, count), np.float32)
    for vertex in INTERIOR:
        used[vertex] = edge[:vertex, vertex].max(0)
        label = rows[:, len(edges()) + vertex - 1]
        for kind in range(KINDS):
            does[vertex, kind] = (label == kind) * used[vertex]
    passed = [*does.swapaxes(0, 1), used]
    into, out_of = edge.sum(0), edge.sum(1)
    read_input, read_by_output = edge[0], edge[:, LAST]
    pairs, triples, first_two, last_two = _edges_by(edge, does)
    shares = np.maximum(into[LAST] - edge[0, LAST], 1)
    groups = [
        *(np.log1p(_paths_by(edge, what)) for what in passed),
        *(extreme[None] for what in passed for extreme in _longest_and_shortest(edge, what)),
        does.sum(0),
        used.sum(0)[None],
        edge.sum((0, 1))[None],
        out_of[:1],
        into[LAST:],
        edge[0, LAST:],
        (does * read_input[:, None]).sum(0),
        (does * read_by_output[:, None]).sum(0),
        (does * (read_input * read_by_output)[:, None]).sum(0),
        pairs,
        triples,
        first_two,
        last_two,
        (1 / shares)[None],
        (does * into[:, None]).sum(0),
        (does * out_of[:, None]).sum(0),
        (does * into[:, None] ** 2).sum(0),
        present,
        does[1:LAST],
        np.log([np.asarray(params), np.asarray(flops)]),
    ]
    flat = [group.reshape(-1, count) for group in groups]
    return np.concatenate(flat, dtype=np.float64)


def _edges_by(edge: Array, does: Array) -> tuple[Array, Array, Array, Array]:
    """Edges between vertices by operations of both ends, and paths of two by those of all.

    Returns:
        Edges ``(3, 3, cell)``, paths of two edges ``(3, 3, 3, cell)``, those from the input by the
        other two vertices and those to the output by the first two ``(3, 3, cell)``.
    """
    # By vertex: those before it and behind it, by operation.
    before, after = np.zeros((2, *does.shape), np.float32)
    for source in INTERIOR:
        for target in range(source + 1, LAST):
            before[target] += does[source] * edge[source, target]
            after[source] += does[target] * edge[source, target]
    pairs, first_two, last_two = np.zeros((3, KINDS, KINDS, edge.shape[-1]), np.float32)
    triples = np.zeros((KINDS, KINDS, KINDS, edge.shape[-1]), np.float32)
    for vertex in INTERIOR:
        for kind in range(KINDS):
            own = does[vertex, kind]
            come = before[vertex] * own
            pairs[:, kind] += come
            last_two[:, kind] += come * edge[vertex, LAST]
            first_two[kind] += after[vertex] * (own * edge[0, vertex])
            triples[:, kind] += come[:, None] * after[vertex]
    return pairs, triples, first_two, last_two


def _paths_by(edge: Array, what: Array) -> Array:
    """Paths from input to output by how many vertices of a kind they pass, ``(6, cell)``."""
    paths = np.zeros((MOST_VERTICES, LAST, edge.shape[-1]), np.float32)
    paths[0, 0] = 1
    for vertex in range(1, MOST_VERTICES):
        come = np.zeros_like(paths[0])
        for source in range(vertex):
            come += paths[source] * edge[source, vertex]
        counted = come * what[vertex]
        paths[vertex] = come - counted
        paths[vertex, 1:] += counted[:-1]
    return paths[LAST]


def _longest_and_shortest(edge: Array, what: Array) -> tuple[Array, Array]:
    """The most and the fewest vertices of a kind on a path from input to output, ``(cell,)``."""
    most, fewest = np.zeros((2, MOST_VERTICES, edge.shape[-1]), np.float32)
    for vertex in range(1, MOST_VERTICES):
        # Where there is no edge, what comes by it is out of the question.
        absent = _FAR * (1 - edge[:vertex, vertex])
        most[vertex] = (most[:vertex] - absent).max(0) + what[vertex]
        fewest[vertex] = (fewest[:vertex] + absent).min(0) + what[vertex]
    return most[LAST], fewest[LAST]
