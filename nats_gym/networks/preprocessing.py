"""From a picture to the numbers that a network sees, in training and after it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch

from nats_gym import checks
from nats_gym.datasets.pixels import LARGEST_RESOLUTION, Picture, read_pixels
from nats_gym.errors import InvalidInput, shown

Channels = tuple[float, float, float]


class Normalizer:
    """Turns bytes into the numbers that a network sees: ``(x/255 − mean) / std`` per channel.

    Args:
        mean, std: of each channel, as fractions of white.
        device: where the images are.
        memory_format: layout of the result.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        device: torch.device | str = "cpu",
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        stds = torch.tensor(std, dtype=torch.float64)
        means = torch.tensor(mean, dtype=torch.float64)
        self._scale = (1 / (255 * stds)).float().view(3, 1, 1).to(device)
        self._shift = (-means / stds).float().view(3, 1, 1).to(device)
        self._format = memory_format

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Float32 ``(B, 3, H, W)`` of uint8 ``(B, 3, H, W)``."""
        numbers = images.to(torch.float32, memory_format=self._format)
        return torch.addcmul(self._shift, numbers, self._scale)


@dataclass(frozen=True)
class Preprocessing:
    """What is done to a picture before a network sees it.

    Attributes:
        resolution: height and width that it is resized to, in pixels.
        mean: of each channel, as a fraction of white, ``(3,)``.
        std: likewise its standard deviation.
        grey: whether colours become their luminance, alike in all three channels.

    Raises:
        InvalidInput: for a value out of range; says which.
    """

    resolution: int
    mean: Channels
    std: Channels
    grey: bool = False

    def __post_init__(self) -> None:
        """Check every field."""
        plain: dict[str, Any] = {
            "resolution": checks.integer(self.resolution, "resolution", 1, LARGEST_RESOLUTION),
            "grey": checks.switch(self.grey, "grey"),
        }
        for what, low, above in (("mean", 0.0, -math.inf), ("std", -math.inf, 0.0)):
            values = checks.as_list(getattr(self, what)) or ()
            if len(values) != 3:
                raise InvalidInput(f"{what} is of three channels, got {shown(getattr(self, what))}")
            plain[what] = tuple(
                checks.number(value, f"{what} of a channel", low, above=above) for value in values
            )
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    def read(self, pictures: Sequence[Picture]) -> torch.Tensor:
        """Bytes of pictures, uint8 ``(n, 3, resolution, resolution)``.

        Args:
            pictures: a list of paths, of Pillow's images, or of bytes; see
                :func:`nats_gym.datasets.pixels.read_pixels`, whose exceptions are raised.
        """
        found = pictures if isinstance(pictures, (list, tuple)) else None
        if found is None:
            raise InvalidInput(f"pictures are a list of images or paths, got {shown(pictures)}")
        size = self.resolution
        bytes_of_each = np.empty((len(found), size, size, 3), np.uint8)
        for place, picture in enumerate(found):
            bytes_of_each[place] = read_pixels(picture, size, self.grey)
        return torch.from_numpy(np.ascontiguousarray(bytes_of_each.transpose(0, 3, 1, 2)))

    def __call__(self, pictures: Sequence[Picture]) -> torch.Tensor:
        """What a network sees of pictures, float32 ``(n, 3, resolution, resolution)``."""
        return Normalizer(self.mean, self.std)(self.read(pictures))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, content: Any) -> Preprocessing:
        """Inverse of :meth:`to_json`; ``InvalidInput`` for anything else."""
        names = [field.name for field in fields(cls)]
        given = checks.mapping(content, f"preprocessing is a dictionary of {', '.join(names)}")
        _check_keys(given, names, "preprocessing")
        return cls(**given)


def _check_keys(given: Mapping[str, Any], names: Sequence[str], what: str) -> None:
    if lacking := [name for name in names if name not in given]:
        raise InvalidInput(f"{what} lacks {', '.join(lacking)}")
    for name in given:
        checks.word(name, f"part of {what}", names)
