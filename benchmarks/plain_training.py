"""The reference way: a loop over a DataLoader, every image augmented by itself.

What ``benchmarks/training.py`` compares nats-gym with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Dataset

from nats_gym.training.recipe import Recipe


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
