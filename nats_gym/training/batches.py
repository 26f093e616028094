"""Batches from images held as bytes: drawn, flipped, cropped and normalised on the device.

An epoch's order, flips and crops are one draw each, made on the CPU, so that every device sees
the same images. Flip and crop of a whole block of images are one gather from a view of the padded
images; no image is touched by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from nats_gym.training.data import ImageData

Batch = tuple[torch.Tensor, torch.Tensor]

# Batches are prepared together up to this many numbers: each call costs some microseconds, and
# what is much larger leaves the processor's cache.
_BLOCK_NUMBERS = 1 << 19


@dataclass(frozen=True, eq=False)
class EpochDraws:
    """What chance decides of an epoch, a value per image in the order of training.

    Attributes:
        order: positions in the training split, int64 ``(n,)``.
        flip: mirror the image, bool ``(n,)``.
        top, left: first row and column of the crop in the padded image, after the flip, int64
            ``(n,)``, from 0 to twice the padding.
    """

    order: torch.Tensor
    flip: torch.Tensor
    top: torch.Tensor
    left: torch.Tensor


def draw_epoch(count: int, padding: int, seed: int, among: int | None = None) -> EpochDraws:
    """Draw an epoch of ``count`` images from a generator of its own.

    Args:
        count: how many.
        padding: see :class:`EpochDraws`.
        seed: of the generator.
        among: draw each among so many, whatever the others are; None draws every image once.
    """
    generator = torch.Generator().manual_seed(seed)
    if among is None:
        order = torch.randperm(count, generator=generator)
    else:
        order = torch.randint(among, (count,), generator=generator)
    flip = torch.rand(count, generator=generator) < 0.5
    corner = torch.randint(2 * padding + 1, (2, count), generator=generator)
    return EpochDraws(order, flip, corner[0], corner[1])


class Normalizer:
    """Turns bytes into the numbers that a network sees: ``(x/255 − mean) / std`` per channel.

    Args:
        data: whose mean and standard deviation.
        memory_format: layout of the result.
    """

    def __init__(self, data: ImageData, memory_format: torch.memory_format) -> None:
        device = data.images.device
        std = torch.tensor(data.std, dtype=torch.float64)
        mean = torch.tensor(data.mean, dtype=torch.float64)
        self._scale = (1 / (255 * std)).float().view(3, 1, 1).to(device)
        self._shift = (-mean / std).float().view(3, 1, 1).to(device)
        self._format = memory_format

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Float32 ``(B, 3, H, W)`` of uint8 ``(B, 3, H, W)``."""
        numbers = images.to(torch.float32, memory_format=self._format)
        return torch.addcmul(self._shift, numbers, self._scale)


class TrainingBatches:
    """The training images, padded once, and epochs of batches from them.

    Args:
        data: the data set, on its device.
        split: which images.
        batch_size: images in a batch; the last of an epoch may hold fewer.
        flip: mirror half of them.
        padding: black pixels at each border before the crop.
        memory_format: layout of the batches.
    """

    def __init__(
        self,
        data: ImageData,
        split: str,
        batch_size: int,
        flip: bool,
        padding: int,
        memory_format: torch.memory_format,
    ) -> None:
        rows = data.rows(split)
        size = data.resolution
        self._labels = data.labels[rows]
        padded = torch.nn.functional.pad(data.images[rows], [padding] * 4)
        # (n, 3, top, left, H, W): every crop of every image, without a copy of any.
        self._crops = padded.unfold(2, size, 1).unfold(3, size, 1)
        self._batch_size, self._flip, self._padding = batch_size, flip, padding
        self._normalize = Normalizer(data, memory_format)
        together = max(1, _BLOCK_NUMBERS // (3 * size**2 * batch_size))
        self._block = together * batch_size

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self._labels) // self._batch_size)

    def epoch(self, seed: int, drawn: int | None = None) -> Iterator[Batch]:
        """Batches of an epoch: images float32 ``(B, 3, H, W)``, labels int64 ``(B,)``.

        Args:
            seed: of order, flips and crops.
            drawn: so many images, drawn with replacement; None for each once.
        """
        among = len(self._labels)
        if drawn is None:
            draws = draw_epoch(among, self._padding, seed)
        else:
            draws = draw_epoch(drawn, self._padding, seed, among)
        device = self._labels.device
        order, flip, top, left = (
            values.to(device) for values in (draws.order, draws.flip, draws.top, draws.left)
        )
        labels = self._labels[order]
        for start in range(0, len(labels), self._block):
            part = slice(start, start + self._block)
            images = self._prepare(order[part], flip[part], top[part], left[part])
            yield from zip(
                torch.split(images, self._batch_size),
                torch.split(labels[part], self._batch_size),
                strict=True,
            )

    def _prepare(
        self, rows: torch.Tensor, flip: torch.Tensor, top: torch.Tensor, left: torch.Tensor
    ) -> torch.Tensor:
        if self._flip:
            # The crop of a mirrored image is the mirrored crop from the other side.
            left = torch.where(flip, 2 * self._padding - left, left)
        images = self._crops[rows, :, top, left]
        if self._flip:
            images = torch.where(flip.view(-1, 1, 1, 1), images.flip(-1), images)
        return self._normalize(images)


def evaluation_batches(
    data: ImageData,
    split: str,
    batch_size: int,
    memory_format: torch.memory_format,
    seed: int | None = None,
) -> Iterator[Batch]:
    """Batches of a split in its own order, normalised and nothing else; in any with a seed."""
    normalize = Normalizer(data, memory_format)
    order = data.rows(split)
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        order = order[torch.randperm(len(order), generator=generator).to(order.device)]
    for rows in torch.split(order, batch_size):
        yield normalize(data.images[rows]), data.labels[rows]
