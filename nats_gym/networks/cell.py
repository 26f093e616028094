"""A cell: four nodes, six edges, of which only those are computed that matter."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from nats_gym.networks.blocks import ConvBN, Norm, Pool, ProjectedPool, Projection
from nats_gym.spaces.topology import EDGES, OPERATIONS, live_edges

INPUT, OUTPUT = 0, 3
_NONE, _SKIP, _POOL = (OPERATIONS.index(n) for n in ("none", "skip_connect", "avg_pool_3x3"))
_KERNELS = {OPERATIONS.index("nor_conv_1x1"): 1, OPERATIONS.index("nor_conv_3x3"): 3}


class Cell(nn.Module):
    """One cell of either space.

    An edge is left out of the computation if its operation is ``none``, if no path without
    ``none`` leads from its target to the output, or if it hands on a node that is exactly zero.
    A convolution of such a node is *not* left out: its batch norm adds a bias that is trained.
    The module list holds every edge all the same, so names and parameters are complete.

    Args:
        choices: operation of each edge, in the order of :data:`nats_gym.spaces.topology.EDGES`.
        c_in, c_out: widths of its input and of the other nodes.

    Attributes:
        c_in: likewise.
        live: numbers of the edges that are computed.
        reads_input: whether one of them starts at the cell's input.
    """

    def __init__(self, choices: Sequence[int], c_in: int, c_out: int) -> None:
        super().__init__()
        self.c_in, self.c_out = c_in, c_out
        self.layers = nn.ModuleList(
            make_edge(choice, c_out if source else c_in, c_out)
            for choice, (_, source) in zip(choices, EDGES, strict=True)
        )
        self.live = live_edges(choices, c_in != c_out)
        self._drawn = tuple(edge for edge, choice in enumerate(choices) if choice != _NONE)
        self.reads_input = any(EDGES[edge][1] == INPUT for edge in self.live)

    def compute_every_edge(self) -> None:
        """Compute from now on all edges but those of ``none``: the outputs stay what they are."""
        self.live, self.reads_input = self._drawn, True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, c_in, H, W)`` → ``(B, c_out, H, W)``."""
        return run_cell(self.live, self.layers, x, self.c_out)


def run_cell(
    live: Sequence[int], layers: Sequence[nn.Module] | nn.ModuleList, x: torch.Tensor, c_out: int
) -> torch.Tensor:
    """Compute a cell from its live edges alone.

    Args:
        live: what :func:`live_edges` says of the operations in ``layers``.
        layers: the module of each edge, by its number.
        x: the cell's input, ``(B, c_in, H, W)``.
        c_out: width of the other nodes.

    Returns:
        ``(B, c_out, H, W)``.
    """
    nodes = [x]
    rectified: dict[int, torch.Tensor] = {}
    zero: set[int] = set()
    for target in range(1, OUTPUT + 1):
        total: torch.Tensor | None = None
        fresh = False  # whether nobody else reads it, so that it may be added to in place
        for edge in live:
            end, source = EDGES[edge]
            if end != target:
                continue
            layer = layers[edge]
            if isinstance(layer, ConvBN | ProjectedPool):
                if source not in rectified:
                    rectified[source] = nodes[source].relu()
                value = layer(rectified[source])
            else:
                value = layer(nodes[source])
            new = not isinstance(layer, nn.Identity) and source not in zero
            if source in zero:  # it makes the same of every pixel
                value = value[:1].expand(x.shape[0], -1, *x.shape[2:])
            if total is None:
                total, fresh = value, new
            elif fresh:
                total = total.add_(value)
            else:
                total, fresh = (value.add_(total) if new else total + value), True
        if total is None:
            zero.add(target)
            # Two pixels stand for all: the fewest that batch norm takes in training.
            total = x.new_zeros(2, c_out, 1, 1)
        nodes.append(total)
    if OUTPUT in zero:
        return x.new_zeros(x.shape[0], c_out, *x.shape[2:])
    return nodes[OUTPUT]


def make_edge(choice: int, c_in: int, c_out: int, norm: Norm = nn.BatchNorm2d) -> nn.Module:
    """The module of an edge with an operation; a :class:`ConvBN` is fed what is rectified."""
    if choice in _KERNELS:
        return ConvBN(c_in, c_out, _KERNELS[choice], norm=norm)
    if choice == _SKIP:
        return nn.Identity() if c_in == c_out else Projection(c_in, c_out, norm)
    if choice == _POOL:
        return Pool() if c_in == c_out else ProjectedPool(c_in, c_out, norm)
    return nn.Identity()  # none: never computed
