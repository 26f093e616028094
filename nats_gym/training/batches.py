"""Batches from images held as bytes: drawn, flipped, cropped and normalised on the device.

An epoch's order, flips and crops are one draw each, made on the CPU, so that every device sees
the same images. Flip and crop of a whole block of images are one gather from a view of the padded
images; no image is touched by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from nats_gym.networks.preprocessing import Normalizer
from nats_gym.training.data import ImageData

Batch = tuple[torch.Tensor, torch.Tensor]

# Batches are prepared together up to this many numbers: each call costs some microseconds, and
# what is much larger leaves the processor's cache.
_BLOCK_NUMBERS = 1 << 19


@dataclass(frozen=True, eq=False)
class EpochDraws:
    """What chance decides of an epoch, a value per image in the order of training.

    Attributes:
        order: positions in the training split, int64 ``(n,)``; of several trainings beside each
            other ``(G, n)``, as all that follows.
        flip: mirror the image, bool ``(n,)``.
        top, left: first row and column of the crop in the padded image, after the flip, int64
            ``(n,)``, from 0 to twice the padding.
    """

    order: torch.Tensor
    flip: torch.Tensor
    top: torch.Tensor
    left: torch.Tensor

    def __len__(self) -> int:
        """Images of an epoch."""
        return self.order.shape[-1]

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """All four."""
        return self.order, self.flip, self.top, self.left


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


class TrainingBatches:
    """The training images, padded once, and epochs of batches from them.

    Args:
        data: the data set, on its device.
        split: which images.
        batch_size: images in a batch; the last of an epoch may hold fewer.
        flip: mirror half of them.
        padding: black pixels at each border before the crop.
        memory_format: layout of the batches.

    Attributes:
        batch_size: likewise.
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
        self.batch_size, self._flip, self._padding = batch_size, flip, padding
        self._normalize = _normalizer(data, memory_format)
        self._together = _BLOCK_NUMBERS // (3 * size**2 * batch_size)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self._labels) // self.batch_size)

    def sizes(self) -> Iterator[int]:
        """Images in each batch of an epoch."""
        for start in range(0, len(self._labels), self.batch_size):
            yield min(self.batch_size, len(self._labels) - start)

    def epoch(self, seed: int, drawn: int | None = None) -> Iterator[Batch]:
        """Batches of an epoch: images float32 ``(B, 3, H, W)``, labels int64 ``(B,)``.

        Args:
            seed: of order, flips and crops.
            drawn: so many images, drawn with replacement; None for each once.
        """
        for images, labels in self.epochs([seed], drawn):
            yield images[0], labels[0]

    def epochs(self, seeds: Sequence[int], drawn: int | None = None) -> Iterator[Batch]:
        """An epoch of each of G seeds, beside each other: ``(G, B, 3, H, W)``, ``(G, B)``.

        Args:
            seeds: see :meth:`epoch`.
            drawn: likewise.
        """
        draws = self.draw(seeds, drawn)
        block = self.batch_size * max(1, self._together // len(seeds))
        for start in range(0, len(draws), block):
            part = [values[:, start : start + block] for values in draws.tensors]
            images, labels = self.prepare(EpochDraws(*part))
            yield from zip(
                torch.split(images, self.batch_size, 1),
                torch.split(labels, self.batch_size, 1),
                strict=True,
            )

    def draw(self, seeds: Sequence[int], drawn: int | None = None) -> EpochDraws:
        """The draws of :meth:`epochs`, ``(G, n)`` each, on the device."""
        among = len(self._labels)
        of_each = [
            draw_epoch(among, self._padding, seed)
            if drawn is None
            else draw_epoch(drawn, self._padding, seed, among)
            for seed in seeds
        ]
        columns = zip(*(draws.tensors for draws in of_each), strict=True)
        return EpochDraws(*(torch.stack(column).to(self._labels.device) for column in columns))

    def prepare(self, draws: EpochDraws) -> Batch:
        """Images float32 ``(G, B, 3, H, W)`` and labels ``(G, B)`` of draws ``(G, B)``."""
        # Normalised as one batch: a layout with the channels last is one of four dimensions.
        rows, flip, top, left = (values.flatten() for values in draws.tensors)
        if self._flip:
            # The crop of a mirrored image is the mirrored crop from the other side.
            left = torch.where(flip, 2 * self._padding - left, left)
        images = self._crops[rows, :, top, left]
        if self._flip:
            images = torch.where(flip.view(-1, 1, 1, 1), images.flip(-1), images)
        images = self._normalize(images)
        return images.view(*draws.order.shape, *images.shape[1:]), self._labels[draws.order]


def evaluation_batches(
    data: ImageData,
    split: str,
    batch_size: int,
    memory_format: torch.memory_format,
    seed: int | None = None,
) -> Iterator[Batch]:
    """Batches of a split in its own order, normalised and nothing else; in any with a seed."""
    normalize = _normalizer(data, memory_format)
    order = data.rows(split)
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        order = order[torch.randperm(len(order), generator=generator).to(order.device)]
    for rows in torch.split(order, batch_size):
        yield normalize(data.images[rows]), data.labels[rows]


def _normalizer(data: ImageData, memory_format: torch.memory_format) -> Normalizer:
    return Normalizer(data.mean, data.std, data.images.device, memory_format)
