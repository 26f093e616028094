"""Channels, parameters and multiply-accumulates of NAS-Bench-101's networks, in closed form.

Cells are drawn on seven vertices, the input first, the output last. Bit ``x + y(y-1)/2`` of a
cell's *edges* is the edge x→y; a vertex that a cell does without has no edges, and its operation
does not count.

Source: Ying et al., arXiv 1902.09635, section 2 and appendix S4, and the package ``nasbench``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Integers = NDArray[np.int64]
Figures = NDArray[np.float64]

VERTICES = 7
INTERIOR = VERTICES - 2
INPUT, OUTPUT = 0, VERTICES - 1
OPERATIONS: tuple[str, ...] = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
#: Side of the kernel of each operation; a pool has no weights.
KERNELS: tuple[int, ...] = (3, 1, 0)

STEM_WIDTH = 128
STACKS = 3
CELLS_PER_STACK = 3


def on_seven_vertices(edges: ArrayLike, vertices: ArrayLike) -> Integers:
    """Edges of cells of 2 … 7 vertices, their output moved to the seventh, ``(...)``."""
    given, count = np.asarray(edges, dtype=np.int64), np.asarray(vertices, dtype=np.int64)
    below = (count - 1) * (count - 2) // 2  # bits of the edges that do not end at the output
    inner = given & ((1 << below) - 1)
    return np.asarray(inner | (given >> below << _bit(0, OUTPUT)), dtype=np.int64)


def vertex_channels(edges: ArrayLike, width: int) -> Integers:
    """Channels of the interior vertices of pruned cells that are ``width`` wide.

    The vertices that lead to the output share its channels, the first of them one more each where
    they do not divide; going backwards, every other takes the most of its successors.

    Args:
        edges: of pruned cells, ``(...)``.
        width: channels of the output.

    Returns:
        ``(..., 5)``, 0 where there is no such vertex.
    """
    given = np.asarray(edges, dtype=np.int64)
    to_output = _edge(given, np.arange(1, OUTPUT), OUTPUT)  # (..., 5)
    degree = to_output.sum(-1, keepdims=True)
    share, rest = np.divmod(width, np.maximum(degree, 1))
    channels = to_output * (share + (np.cumsum(to_output, -1) <= rest))
    for vertex in range(INTERIOR - 1, 0, -1):
        later = np.arange(vertex + 1, OUTPUT)
        most = (channels[..., vertex:] * _edge(given, vertex, later)).max(-1)
        channels[..., vertex - 1] += most * ~to_output[..., vertex - 1]
    return np.asarray(channels, dtype=np.int64)


def network_cost(
    edges: ArrayLike,
    operations: ArrayLike,
    *,
    num_classes: int,
    resolution: int,
    cells: int = CELLS_PER_STACK,
    stem_width: int = STEM_WIDTH,
) -> tuple[Figures, Figures]:
    """Parameters and FLOPs of the networks of pruned cells.

    Args:
        edges: of each cell, ``(batch,)``.
        operations: of its interior vertices, places in :data:`OPERATIONS`, ``(batch, 5)``.
        num_classes: width of the classifier.
        resolution: height and width of an image.
        cells: of a stack.
        stem_width: channels of the stem, and of the first stack.

    Returns:
        Parameters; and multiply-accumulates of one image with twice the outputs of its batch
        norms, as the public tables count FLOPs. Both whole numbers, ``(batch,)``.
    """
    # Few drawings are told apart by edges alone: what follows from these is computed once.
    given, place = np.unique(np.asarray(edges, dtype=np.int64), return_inverse=True)
    place = place.reshape(-1)
    classifier = (stem_width << (STACKS - 1)) * num_classes
    fixed = np.array([[classifier + num_classes], [classifier]])  # (2, cell) in the end
    fixed = fixed + _cost(3**2 * 3 * stem_width, stem_width, resolution)[:, None]  # the stem
    by_vertex = np.zeros((2, INTERIOR, len(KERNELS), len(given)))
    from_input = _edge(given, INPUT, np.arange(1, OUTPUT)).T  # (5, cell)
    for stack in range(STACKS):
        width, side = stem_width << stack, resolution >> stack
        channels = vertex_channels(given, width).T.astype(np.float64)
        read = (width >> (stack > 0)) + (cells - 1) * width  # channels of all inputs of cells
        shortcut = _cost(read * width, cells * width, side)
        fixed = fixed + shortcut[:, None] * _edge(given, INPUT, OUTPUT)
        projected = _cost(read * channels, cells * channels, side) * from_input
        for operation, kernel in enumerate(KERNELS):
            normed = cells * channels * (kernel > 0)
            weights = kernel**2 * channels * normed
            by_vertex[:, :, operation] += projected + _cost(weights, normed, side)
    total = fixed[:, place]
    chosen = np.asarray(operations, dtype=np.int64)
    for vertex in range(INTERIOR):
        at = chosen[:, vertex] * len(given) + place
        total += by_vertex[:, vertex].reshape(2, -1).take(at, axis=1)
    return total[0], total[1]


def _cost(weights: Figures | int, normed: Figures | int, side: int) -> Figures:
    """Parameters and FLOPs, ``(2, ...)``, of convolutions and the batch norms behind."""
    both = np.asarray(weights + 2 * normed, dtype=np.float64)
    return np.stack([both, both * side**2])


def _bit(source: ArrayLike, target: ArrayLike) -> Integers:
    """Number of the edge source→target."""
    end = np.asarray(target, dtype=np.int64)
    return np.asarray(np.asarray(source) + end * (end - 1) // 2, dtype=np.int64)


def _edge(edges: Integers, source: ArrayLike, target: ArrayLike) -> NDArray[np.bool_]:
    """Whether cells ``(...)`` have the edges ``(e,)``: ``(..., e)``; ``(...)`` for one edge."""
    bit = _bit(source, target)
    return np.asarray((edges[..., None] >> bit & 1 if bit.ndim else edges >> bit & 1) != 0)
