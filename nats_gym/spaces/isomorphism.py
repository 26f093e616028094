"""Which cells compute the same function: NAS-Bench-201's isomorphism strings.

A node's string is the sorted contributions of its inputs joined by ``+``. Zero edges contribute
``#``, skips the source's own string, other operations ``(source)@operation``. A node whose inputs
are all zero reads ``#+#``, which no longer counts as zero: the published count of 6,466 classes
rests on that, so it is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def unique_strings(
    choices: NDArray[np.int64], edges: Sequence[tuple[int, int]], operations: Sequence[str]
) -> list[str]:
    """Isomorphism strings of ``choices (cells, edges)``; ``edges`` are (target, source) pairs."""
    output = max(target for target, _ in edges)
    strings = []
    for cell in choices.tolist():
        nodes = ["0"]
        for node in range(1, output + 1):
            inputs = [
                _contribution(nodes[source], operations[choice])
                for (target, source), choice in zip(edges, cell, strict=True)
                if target == node
            ]
            nodes.append("+".join(sorted(inputs)))
        strings.append(nodes[output])
    return strings


def _contribution(source: str, operation: str) -> str:
    if operation == "none" or source == "#":
        return "#"
    return source if operation == "skip_connect" else f"({source})@{operation}"
