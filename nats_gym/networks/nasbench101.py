"""NAS-Bench-101's networks: a stem, three stacks of cells with a pool between them, a classifier.

Source: Ying et al., arXiv 1902.09635, section 2 and appendix S4, and the package ``nasbench``,
whose initial weights and constants of batch norm these are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from numpy.typing import ArrayLike
from torch import nn

from nats_gym import checks
from nats_gym.networks.network import MOST_CELLS, MOST_CHANNELS, MOST_CLASSES, lay_out
from nats_gym.spaces.cell_graphs import edges
from nats_gym.spaces.nasbench101 import NASBench101Space
from nats_gym.spaces.nasbench101_cost import (
    CELLS_PER_STACK,
    KERNELS,
    OPERATIONS,
    STACKS,
    STEM_WIDTH,
    on_seven_vertices,
    vertex_channels,
)

#: Of batch norm: share of a running figure that a batch replaces, and what is added to a variance.
MOMENTUM, EPSILON = 1 - 0.997, 1e-5
# Standard deviation of a normal distribution that is cut off at two of its own.
_CUT_STD = 0.87962566103423978


class ConvBNReLU(nn.Sequential):
    """Convolution, batch norm, ReLU: an operation, the stem, or the projection of a cell's input.

    Args:
        c_in, c_out: widths.
        kernel: 1 or 3; the size stays.
        momentum: of the batch norm.
    """

    def __init__(self, c_in: int, c_out: int, kernel: int, momentum: float) -> None:
        conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False)
        std = math.sqrt(1 / (c_in * kernel**2)) / _CUT_STD
        nn.init.trunc_normal_(conv.weight, 0.0, std, -2 * std, 2 * std)
        norm = nn.BatchNorm2d(c_out, EPSILON, momentum)
        super().__init__(conv, norm, nn.ReLU(inplace=True))


class VertexCell(nn.Module):
    """A pruned cell, whose vertices compute and whose edges add up.

    Args:
        sources: of each vertex but the input, those that lead to it, ascending; the output last.
        operations: of the interior vertices, places in
            :data:`~nats_gym.spaces.nasbench101_cost.OPERATIONS`.
        channels: of the interior vertices.
        c_in, c_out: widths of input and output.
        momentum: of batch norms.
    """

    def __init__(
        self,
        sources: Sequence[Sequence[int]],
        operations: Sequence[int],
        channels: Sequence[int],
        c_in: int,
        c_out: int,
        momentum: float,
    ) -> None:
        super().__init__()
        self._sources = [list(some) for some in sources]
        self._channels = [*channels, c_out]
        self.projections = nn.ModuleDict(
            {
                str(vertex): ConvBNReLU(c_in, wide, 1, momentum)
                for vertex, (some, wide) in enumerate(
                    zip(self._sources, self._channels, strict=True), 1
                )
                if 0 in some
            }
        )
        self.operations = nn.ModuleDict(
            {
                str(vertex): ConvBNReLU(wide, wide, KERNELS[operation], momentum)
                if KERNELS[operation]
                else nn.MaxPool2d(3, 1, 1)
                for vertex, (operation, wide) in enumerate(
                    zip(operations, channels, strict=True), 1
                )
            }
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, c_in, H, W)`` → ``(B, c_out, H, W)``."""
        values = [x]
        last = len(self._sources)
        for vertex, (sources, wide) in enumerate(
            zip(self._sources, self._channels, strict=True), 1
        ):
            # Vertices before the output are cut to what this one takes; the output joins them.
            parts = [values[one] for one in sources if one]
            if vertex == last:
                parts = [torch.cat(parts, 1)] if len(parts) > 1 else parts
            else:
                parts = [part if part.shape[1] == wide else part[:, :wide] for part in parts]
            if 0 in sources:
                parts.append(self.projections[str(vertex)](x))
            total = parts[0]
            for number, part in enumerate(parts[1:]):
                total = total.add_(part) if number else total + part  # the first sum is our own
            values.append(total if vertex == last else self.operations[str(vertex)](total))
        return values[last]


class CellNetwork(nn.Module):
    """The network of a cell.

    Args:
        sources, operations: see :class:`VertexCell`.
        channels: of the interior vertices in each stack.
        stem_width: channels of the stem and the first stack; the next have twice as many each.
        cells: of a stack.
        num_classes: width of the classifier.
        momentum: of batch norms.
    """

    def __init__(
        self,
        sources: Sequence[Sequence[int]],
        operations: Sequence[int],
        channels: Sequence[Sequence[int]],
        stem_width: int,
        cells: int,
        num_classes: int,
        momentum: float = MOMENTUM,
    ) -> None:
        super().__init__()
        self.stem = ConvBNReLU(3, stem_width, 3, momentum)
        self.stacks = nn.ModuleList()
        width = stem_width
        for stack, some in enumerate(channels):
            made = []
            for _ in range(cells):
                wide = stem_width << stack
                made.append(VertexCell(sources, operations, some, width, wide, momentum))
                width = wide
            self.stacks.append(nn.ModuleList(made))
        self.classifier = nn.Linear(width, num_classes)
        nn.init.xavier_uniform_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images ``(B, 3, H, W)``, sides divisible by 4 → logits of each class."""
        stem = cast(nn.Conv2d, self.stem[0])
        x = self.stem(lay_out(images, stem.out_channels))
        for number, stack in enumerate(self.stacks):
            if number:
                x = nn.functional.max_pool2d(x, 2)
            for cell in cast(nn.ModuleList, stack):
                x = cell(x)
        return self.classifier(x.mean((2, 3)))


def build_network(
    space: NASBench101Space,
    choices: ArrayLike,
    num_classes: int,
    *,
    cells_per_stage: int | None = None,
    stem_width: int | None = None,
    norm_momentum: float | None = None,
) -> CellNetwork:
    """Build the network of a cell, initialised as the public benchmark's.

    Args:
        space: NAS-Bench-101's.
        choices: of a valid cell, ``(26,)``.
        num_classes: width of the classifier.
        cells_per_stage: of a stack; default the official 3.
        stem_width: channels of the stem and the first stack; default the official 128. With fewer
            than five the vertices that share an output may be left without any, and that is
            refused.
        norm_momentum: share of batch norm's running figures that a batch replaces; default the
            official 0.003, which takes a thousand steps to forget the initial ones.

    Raises:
        InvalidInput: for a number out of range.
    """
    cells = checks.integer(
        CELLS_PER_STACK if cells_per_stage is None else cells_per_stage,
        "cells_per_stage",
        1,
        MOST_CELLS,
    )
    least = len(OPERATIONS) + 2  # as many as vertices may share the output
    width = checks.integer(
        STEM_WIDTH if stem_width is None else stem_width, "stem_width", least, MOST_CHANNELS
    )
    num_classes = checks.integer(num_classes, "num_classes", 1, MOST_CLASSES)
    cell = space.cell(choices)
    assert cell is not None
    matrix, names = cell
    last = len(matrix) - 1
    drawn = sum(
        int(matrix[source, target]) << number
        for number, (source, target) in enumerate(edges(last + 1))
    )
    on_seven = on_seven_vertices(drawn, last + 1)
    channels = [
        vertex_channels(on_seven, width << stack)[: last - 1].tolist() for stack in range(STACKS)
    ]
    return CellNetwork(
        [matrix[:, target].nonzero()[0].tolist() for target in range(1, last + 1)],
        [OPERATIONS.index(name) for name in names[1:-1]],
        channels,
        width,
        cells,
        num_classes,
        MOMENTUM
        if norm_momentum is None
        else checks.number(norm_momentum, "norm_momentum", above=0, high=1),
    )
