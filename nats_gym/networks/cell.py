"""The cell: a graph of four nodes, of which only what reaches the output is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from nats_gym.networks.operations import Norm, ReLUConvBN, operation
from nats_gym.spaces.topology import EDGES, OPERATIONS

OUTPUT = 3


@dataclass(frozen=True)
class LiveNode:
    """What a node sums up; edges are numbers into :data:`nats_gym.spaces.topology.EDGES`.

    Attributes:
        node: its number, 1 to 3.
        computed: (edge, source) of each edge with an operation to compute.
        identical: sources that are added as they are.
        of_zeros: edges whose source is zero, but which are not: convolutions, whose batch norm
            adds its bias.
    """

    node: int
    computed: tuple[tuple[int, int], ...]
    identical: tuple[int, ...]
    of_zeros: tuple[int, ...]


def live_nodes(digits: Sequence[int], same_width: bool = True) -> tuple[LiveNode, ...]:
    """Plan a cell: the nodes that reach its output, in order, without those that are zero.

    Empty if the output itself is zero.

    Args:
        digits: the operation of each edge.
        same_width: whether the cell's input is as wide as its output. If not, skips and pools
            of it have a convolution too.
    """
    names = [OPERATIONS[digit] for digit in digits]
    edges = [
        (edge, *ends)
        for edge, (name, ends) in enumerate(zip(names, EDGES, strict=True))
        if name != "none"
    ]
    reaches = {OUTPUT}
    for _, target, source in reversed(edges):
        if target in reaches:
            reaches.add(source)
    alias = {0: 0}  # a node that is another unchanged; nodes that are zero have no entry
    plan = []
    for node in range(1, OUTPUT + 1):
        computed, identical, of_zeros = [], [], []
        for edge, target, source in edges:
            if target != node or node not in reaches:
                continue
            if source not in alias:
                if names[edge].startswith("nor_conv"):
                    of_zeros.append(edge)
            elif names[edge] == "skip_connect" and (same_width or source != 0):
                identical.append(alias[source])
            else:
                computed.append((edge, alias[source]))
        if not computed and not of_zeros and len(identical) == 1:
            alias[node] = identical[0]
        elif computed or of_zeros or identical:
            alias[node] = node
            plan.append(LiveNode(node, tuple(computed), tuple(identical), tuple(of_zeros)))
    return tuple(plan), alias.get(OUTPUT)
