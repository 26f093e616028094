"""Images that a small network learns within seconds; nothing is downloaded for them."""

from __future__ import annotations

import torch

from nats_gym.training.data import ImageData


def quarters(count: int = 80) -> ImageData:
    """Four classes of 8×8 images that differ in brightness by quarter; the last 20 validate."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (count,), generator=generator)
    images = torch.randint(0, 100, (count, 3, 8, 8), generator=generator)
    for row, label in enumerate(labels.tolist()):
        top, left = 4 * (label // 2), 4 * (label % 2)
        images[row, :, top : top + 4, left : left + 4] += 100
    return ImageData(
        "quarters",
        4,
        images.to(torch.uint8),
        labels,
        {"train": torch.arange(count - 20), "x-valid": torch.arange(count - 20, count)},
        (0.3, 0.3, 0.3),
        (0.2, 0.2, 0.2),
        1,
    )
