"""NAS-Bench-101's networks in the plain way: every vertex of every cell, one after another.

Written from the paper (arXiv 1902.09635, section 2 and appendix S4), to compare
:mod:`nats_gym.networks` and the closed forms with. A cell is a matrix of lists, its input first,
its output last, with the operations of the vertices between.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import nn

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
Matrix = Sequence[Sequence[int]]


def random_cell(rng: random.Random) -> tuple[list[list[int]], list[str]]:
    """A pruned cell of up to seven vertices and nine edges."""
    while True:
        count = rng.randint(2, 7)
        matrix = [[int(x < y and rng.random() < 0.5) for y in range(count)] for x in range(count)]
        reached, leading = {0}, {count - 1}
        for y in range(count):
            if any(matrix[x][y] for x in reached):
                reached.add(y)
        for x in reversed(range(count)):
            if any(matrix[x][y] for y in leading):
                leading.add(x)
        if len(reached & leading) == count and sum(map(sum, matrix)) <= 9:
            return matrix, rng.choices(OPERATIONS, k=count - 2)


def channels_of(matrix: Matrix, width: int) -> list[int]:
    """Channels of the interior vertices of a cell that is ``width`` wide."""
    last = len(matrix) - 1
    leading = [v for v in range(1, last) if matrix[v][last]]
    channels = {v: width // len(leading) for v in leading}
    for v in leading[: width - sum(channels.values())]:
        channels[v] += 1
    for v in reversed(range(1, last)):
        if v not in channels:
            channels[v] = max(channels[w] for w in range(v + 1, last) if matrix[v][w])
    return [channels[v] for v in range(1, last)]


def conv_bn_relu(c_in: int, c_out: int, kernel: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(c_out, eps=1e-5, momentum=0.003),
        nn.ReLU(),
    )


class ReferenceCell(nn.Module):
    def __init__(self, matrix: Matrix, operations: Sequence[str], c_in: int, c_out: int) -> None:
        super().__init__()
        self.matrix, self.last = matrix, len(matrix) - 1
        self.channels = [c_in, *channels_of(matrix, c_out), c_out]
        self.projections = nn.ModuleDict(
            {
                str(v): conv_bn_relu(c_in, self.channels[v], 1)
                for v in range(1, self.last + 1)
                if matrix[0][v]
            }
        )
        self.operations = nn.ModuleDict()
        for v, name in enumerate(operations, 1):
            wide = self.channels[v]
            self.operations[str(v)] = (
                nn.MaxPool2d(3, 1, 1)
                if name == "maxpool3x3"
                else conv_bn_relu(wide, wide, 3 if name == "conv3x3-bn-relu" else 1)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {0: x}
        for v in range(1, self.last):
            parts = [values[u][:, : self.channels[v]] for u in range(1, v) if self.matrix[u][v]]
            if self.matrix[0][v]:
                parts.append(self.projections[str(v)](x))
            values[v] = self.operations[str(v)](sum(parts))
        out = [values[v] for v in range(1, self.last) if self.matrix[v][self.last]]
        if not out:
            return self.projections[str(self.last)](x)
        joined = torch.cat(out, 1)
        if self.matrix[0][self.last]:
            joined = joined + self.projections[str(self.last)](x)
        return joined


class ReferenceNetwork(nn.Module):
    def __init__(
        self,
        matrix: Matrix,
        operations: Sequence[str],
        num_classes: int = 10,
        stem_width: int = 128,
        cells: int = 3,
    ) -> None:
        super().__init__()
        self.stem = conv_bn_relu(3, stem_width, 3)
        self.stacks = nn.ModuleList()
        wide = stem_width
        for stack in range(3):
            width = stem_width * 2**stack
            self.stacks.append(nn.ModuleList())
            for _ in range(cells):
                self.stacks[-1].append(ReferenceCell(matrix, operations, wide, width))
                wide = width
        self.classifier = nn.Linear(wide, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(images)
        for number, stack in enumerate(self.stacks):
            if number:
                x = nn.functional.max_pool2d(x, 2)
            for cell in stack:
                x = cell(x)
        return self.classifier(x.mean((2, 3)))
