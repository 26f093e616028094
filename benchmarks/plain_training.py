"""The reference way: NATS-Bench's networks, edge by edge, and a loop over a DataLoader.

Every edge is computed, every image is augmented by itself; what ``benchmarks/training.py``
compares nats-gym with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Dataset

from nats_gym.spaces import get_space
from nats_gym.training.recipe import Recipe

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
# The cell of every size architecture.
SIZE_CELL = (3, 3, 3, 1, 3, 3)


def relu_conv_bn(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(c_out),
    )


class Zero(nn.Module):
    def __init__(self, c_out: int) -> None:
        super().__init__()
        self.c_out = c_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.new_zeros(len(x), self.c_out, *x.shape[2:])


def edge(operation: str, c_in: int, c_out: int) -> nn.Module:
    if operation == "none":
        return Zero(c_out)
    if operation == "skip_connect":
        if c_in == c_out:
            return nn.Identity()
        return nn.Sequential(nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out))
    if operation == "avg_pool_3x3":
        pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        return pool if c_in == c_out else nn.Sequential(relu_conv_bn(c_in, c_out, 1), pool)
    return relu_conv_bn(c_in, c_out, 3 if operation == "nor_conv_3x3" else 1)


class Cell(nn.Module):
    def __init__(self, digits: tuple[int, ...], c_in: int, c_out: int) -> None:
        super().__init__()
        ends = [(node, source) for node in range(1, 4) for source in range(node)]
        self.ends = ends
        self.edges = nn.ModuleList(
            edge(OPERATIONS[digit], c_out if source else c_in, c_out)
            for digit, (_, source) in zip(digits, ends, strict=True)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        nodes = [x]
        for node in range(1, 4):
            nodes.append(
                sum(
                    layer(nodes[source])
                    for layer, (end, source) in zip(self.edges, self.ends, strict=True)
                    if end == node
                )
            )
        return nodes[3]


class Reduction(nn.Module):
    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first = relu_conv_bn(c_in, c_out, 3, stride=2)
        self.second = relu_conv_bn(c_out, c_out, 3)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x)) + self.shortcut(x)


def plain_network(
    space: str, index: int, num_classes: int, cells_per_stage: int | None = None
) -> nn.Module:
    """The network of an official index, with every edge of every cell."""
    digits = tuple(get_space(space).digits(index).tolist())
    if space == "tss":
        cell, widths, cells = digits, (16, 16, 32, 32, 64), cells_per_stage or 5
    else:
        widths = tuple(8 * (digit + 1) for digit in digits)
        cell, cells = SIZE_CELL, cells_per_stage or 1
    layers: list[nn.Module] = [
        nn.Conv2d(3, widths[0], 3, padding=1, bias=False),
        nn.BatchNorm2d(widths[0]),
    ]
    width = widths[0]
    for stage, wide in enumerate(widths):
        if stage % 2:
            layers.append(Reduction(width, wide))
            width = wide
            continue
        for _ in range(cells):
            layers.append(Cell(cell, width, wide))
            width = wide
    layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(width, num_classes))


class AugmentedImages(Dataset[Any]):
    """Images as uint8, each flipped, cropped and normalised when it is asked for."""

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        mean: tuple[float, ...],
        std: tuple[float, ...],
        padding: int,
    ) -> None:
        self.images, self.labels, self.padding = images, labels, padding
        self.mean = np.array(mean, np.float32)[:, None, None]
        self.std = np.array(std, np.float32)[:, None, None]
        self.rng = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        image, pad = self.images[row], self.padding
        if self.rng.random() < 0.5:
            image = image[:, :, ::-1]
        size = image.shape[-1]
        padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
        top, left = self.rng.integers(0, 2 * pad + 1, 2)
        crop = padded[:, top : top + size, left : left + size]
        normal = (crop.astype(np.float32) / np.float32(255) - self.mean) / self.std
        return torch.from_numpy(normal), int(self.labels[row])


def plain_epoch(
    network: nn.Module,
    loader: DataLoader[Any],
    recipe: Recipe,
    device: torch.device,
) -> tuple[float, float]:
    """Train one epoch as a tutorial would; returns what it prints: mean loss and accuracy."""
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=True,
    )
    criterion = nn.CrossEntropyLoss()
    network.train()
    total, count, correct = 0.0, 0, 0
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.amp):
            logits = network(images)
            loss = criterion(logits, labels)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)
        correct += int((logits.argmax(1) == labels).sum())
        count += len(labels)
    return total / count, 100 * correct / count
