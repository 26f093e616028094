"""NATS-Bench's networks in the plain way: every edge of every cell, one after another.

Slow and simple, to compare :mod:`nats_gym.networks` with. The modules carry the names of the
official weights, so that a state dict fits both.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from nats_gym.spaces import get_space

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
ENDS = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
SIZE_CELL = (3, 3, 3, 1, 3, 3)


class ReLUConvBN(nn.Module):
    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(c_out),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.op(x)


class Skip(nn.Module):
    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 1, bias=False)
        self.bn = nn.BatchNorm2d(c_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv(x))


class Pool(nn.Module):
    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.preprocess = ReLUConvBN(c_in, c_out, 1) if c_in != c_out else None
        self.op = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.op(x if self.preprocess is None else self.preprocess(x))


class Zero(nn.Module):
    """``by_product``: multiply by zero, as the official code does between equal widths.

    The product hands back gradients that are zero, where zeros hand back none at all.
    """

    def __init__(self, c_out: int, by_product: bool) -> None:
        super().__init__()
        self.c_out, self.by_product = c_out, by_product

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.by_product:
            return x.mul(0.0)
        return x.new_zeros(len(x), self.c_out, *x.shape[2:])


class Cell(nn.Module):
    def __init__(self, choices: Sequence[int], c_in: int, c_out: int, by_product: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for digit, (_, source) in zip(choices, ENDS, strict=True):
            wide = c_out if source else c_in
            operation = OPERATIONS[digit]
            if operation == "none":
                layer: nn.Module = Zero(c_out, by_product)
            elif operation == "skip_connect":
                layer = nn.Identity() if wide == c_out else Skip(wide, c_out)
            elif operation == "avg_pool_3x3":
                layer = Pool(wide, c_out)
            else:
                layer = ReLUConvBN(wide, c_out, 3 if operation == "nor_conv_3x3" else 1)
            self.layers.append(layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        nodes = [x]
        for node in (1, 2, 3):
            edges = [edge for edge, (target, _) in enumerate(ENDS) if target == node]
            nodes.append(sum(self.layers[edge](nodes[ENDS[edge][1]]) for edge in edges))
        return nodes[3]


class Residual(nn.Module):
    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv_a = ReLUConvBN(c_in, c_out, 3, stride=2)
        self.conv_b = ReLUConvBN(c_out, c_out, 3)
        self.downsample = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.downsample(x) + self.conv_b(self.conv_a(x))


class ReferenceNetwork(nn.Module):
    """See the module; ``choices`` are those of the space."""

    def __init__(
        self,
        space: str,
        choices: Sequence[int],
        num_classes: int,
        cells_per_stage: int | None = None,
        stem_width: int = 16,
        by_product: bool = False,
    ) -> None:
        super().__init__()
        if space == "tss":
            widths = [stem_width * factor for factor in (1, 2, 2, 4, 4)]
            cell, repeats = tuple(choices), cells_per_stage or 5
        else:
            widths = [8 * (digit + 1) for digit in choices]
            cell, repeats = SIZE_CELL, cells_per_stage or 1
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0])
        )
        self.cells = nn.ModuleList()
        width = widths[0]
        for stage in (0, 2, 4):
            if stage:
                self.cells.append(Residual(width, widths[stage - 1]))
                width = widths[stage - 1]
            for _ in range(repeats):
                self.cells.append(Cell(cell, width, widths[stage], by_product))
                width = widths[stage]
        self.lastact = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(images)
        for cell in self.cells:
            x = cell(x)
        return self.classifier(self.pool(self.lastact(x)).flatten(1))


def reference(space: str, index: int, num_classes: int, **options: int) -> ReferenceNetwork:
    """The plain network of an official index."""
    choices = get_space(space).choices(index).tolist()
    return ReferenceNetwork(space, choices, num_classes, **options)
