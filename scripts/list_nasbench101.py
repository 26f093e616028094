"""List the cells of NAS-Bench-101 in official order: ``nats_gym/data/cells/nasbench101.npz``.

Graphs are enumerated and labelled in every way; what is left of each is the first drawing of it,
and its module hash, by which the public benchmark orders them. About two minutes on one core.

    python scripts/list_nasbench101.py
"""

from __future__ import annotations

import hashlib

import numpy as np

from nats_gym.spaces.cell_graphs import (
    MOST_EDGES,
    MOST_VERTICES,
    OPERATIONS,
    edges,
    hash_of,
    placements,
    redraw,
)
from nats_gym.spaces.cell_list import Integers, place_graphs, save

#: SHA-256 of the hashes of all cells in ascending order, joined by newlines.
DIGEST = "a7f10bf770c1b5b8a221e37824e42b3b1a237a5d21ccf545bbe8e23abd933403"


def canonical_graphs(vertices: int) -> Integers:
    """Graphs of so many vertices, all of them between input and output, ascending.

    Of all drawings of a graph the one of the lowest number stands for it; bit ``k`` is edge ``k``.
    """
    ends = edges(vertices)
    graphs = np.arange(1 << len(ends), dtype=np.int64)
    graphs = graphs[sum(graphs >> k & 1 for k in range(len(ends))) <= MOST_EDGES]
    for vertex in range(vertices):
        into = sum(1 << k for k, (_, target) in enumerate(ends) if target == vertex)
        out = sum(1 << k for k, (source, _) in enumerate(ends) if source == vertex)
        for needed in filter(None, (into, out)):
            graphs = graphs[(graphs & needed) != 0]
    present = (graphs[:, None] >> np.arange(len(ends)) & 1).astype(bool)
    drawings = redraw(present, placements(vertices, vertices), 1 << np.arange(len(ends)))
    return graphs[((drawings >= graphs[:, None]) | (drawings < 0)).all(1)]


def hashes_of(graph: int, vertices: int, labellings: Integers) -> list[str]:
    """Module hashes of a graph, labelled as each of ``labellings`` says."""
    sources: list[list[int]] = [[] for _ in range(vertices)]
    targets: list[list[int]] = [[] for _ in range(vertices)]
    for k, (source, target) in enumerate(edges(vertices)):
        if graph >> k & 1:
            sources[target].append(source)
            targets[source].append(target)
    values = len(OPERATIONS) ** np.arange(vertices - 3, -1, -1)
    labels = labellings[:, None] // values % len(OPERATIONS)
    return [hash_of(sources, targets, (-1, *row, -2)) for row in labels.tolist()]


def main() -> None:
    """Enumerate, hash, check and write."""
    graphs, hashes = [], []
    for vertices in range(2, MOST_VERTICES + 1):
        found = canonical_graphs(vertices)
        is_first = place_graphs(found, vertices).is_first
        for graph, first in zip(found.tolist(), is_first, strict=True):
            hashes += hashes_of(graph, vertices, np.flatnonzero(first))
        graphs.append(found)
        print(f"{vertices} vertices: {len(found):,} graphs, {is_first.sum():,} cells", flush=True)
    order = np.argsort(np.array(hashes))
    in_order = [hashes[cell] for cell in order]
    assert len(set(hashes)) == len(hashes), "two cells have the same hash"
    assert hashlib.sha256("\n".join(in_order).encode()).hexdigest() == DIGEST
    official = np.empty(len(order), dtype=np.int64)
    official[order] = np.arange(len(order))
    save(np.concatenate(graphs), official)


if __name__ == "__main__":
    main()
