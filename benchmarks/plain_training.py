"""The reference way: a loop over a DataLoader, every image augmented by itself.

What ``benchmarks/training.py`` and ``scripts/gpu_check.py`` compare nats-gym with, and the images
that they train on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Dataset

from nats_gym.training.batches import Batch
from nats_gym.training.data import ImageData
from nats_gym.training.recipe import Recipe


def random_images(train: int, valid: int = 0, resolution: int = 32) -> ImageData:
    """Random bytes with CIFAR-10's mean and padding: a step's time does not depend on them."""
    generator = torch.Generator().manual_seed(0)
    count = train + valid
    splits = {"train": torch.arange(train), "x-valid": torch.arange(train, count)}
    return ImageData(
        "random",
        10,
        torch.randint(
            0, 256, (count, 3, resolution, resolution), dtype=torch.uint8, generator=generator
        ),
        torch.randint(0, 10, (count,), generator=generator),
        {name: rows for name, rows in splits.items() if len(rows)},
        (0.49, 0.48, 0.45),
        (0.25, 0.24, 0.26),
        4,
    )


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


def loader_of(data: ImageData, recipe: Recipe, workers: int, pinned: bool) -> DataLoader[Any]:
    """The images by way of a DataLoader, whose workers stay."""
    images = AugmentedImages(
        data.images.cpu().numpy(), data.labels.cpu().numpy(), data.mean, data.std, data.crop_padding
    )
    return DataLoader(
        images,
        recipe.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pinned,
    )


class ResidentImages:
    """The images on the device, a batch flipped, cropped and normalised at once."""

    def __init__(self, data: ImageData, batch_size: int) -> None:
        pad, device = data.crop_padding, data.images.device
        self.padded = nn.functional.pad(data.images, [pad] * 4)
        self.labels, self.batch_size, self.padding = data.labels, batch_size, pad
        self.mean = torch.tensor(data.mean, device=device).view(3, 1, 1)
        self.std = torch.tensor(data.std, device=device).view(3, 1, 1)
        self.channels = torch.arange(3, device=device).view(3, 1, 1)
        self.pixels = torch.arange(data.resolution, device=device)

    def __iter__(self) -> Iterator[Batch]:
        device = self.labels.device
        for rows in torch.randperm(len(self.labels), device=device).split(self.batch_size):
            flip = torch.rand(len(rows), 1, 1, 1, device=device) < 0.5
            top, left = torch.randint(2 * self.padding + 1, (2, len(rows), 1), device=device)
            images = self.padded[
                rows.view(-1, 1, 1, 1),
                self.channels,
                (top + self.pixels)[:, None, :, None],
                (left + self.pixels)[:, None, None, :],
            ]
            images = torch.where(flip, images.flip(-1), images)
            yield (images.float() / 255 - self.mean) / self.std, self.labels[rows]


def plain_epoch(
    network: nn.Module,
    batches: Iterable[Any],
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
    for images, labels in batches:
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
