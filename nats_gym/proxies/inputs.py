"""The batch that scores read: noise, or images of a data set."""

from __future__ import annotations

import os

import torch

from nats_gym import checks
from nats_gym.datasets import Dataset
from nats_gym.errors import InvalidInput
from nats_gym.streams import combine_int, seed_key
from nats_gym.training.batches import Batch, evaluation_batches
from nats_gym.training.data import load_data
from nats_gym.training.randomness import own_randomness

#: Where images come from.
KINDS = ("noise", "pink", "data")
#: Images of a batch: correlations take two, and memory ends somewhere.
LEAST_IMAGES, MOST_IMAGES = 2, 4_096
# Correlation of two channels.
_CHANNELS = 0.9
# Tells the draws of inputs from others of the same seed.
_INPUTS = 0x1A9


def draw_inputs(
    dataset: Dataset,
    images: str = "noise",
    batch: int = 64,
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> Batch:
    """Draw a batch.

    Args:
        dataset: whose resolution, classes and images.
        images: ``"noise"``, standard normal; ``"pink"``, noise with the 1/f spectrum of natural
            images, see :func:`draw_pink`; both with labels drawn alike; or ``"data"``, training
            images, normalised.
        batch: how many.
        seed: of what is drawn.
        data_dir, download: see :func:`nats_gym.training.data.load_data`, whose exceptions are
            raised.

    Returns:
        Images float32 ``(batch, 3, H, W)`` and labels int64 ``(batch,)``, on the CPU.

    Raises:
        InvalidInput: for arguments out of range, and for more images than there are.
    """
    images = checks.word(images, "images of a score", KINDS)
    batch = checks.integer(batch, "batch", LEAST_IMAGES, MOST_IMAGES)
    key = combine_int(seed_key(checks.seed(seed)), _INPUTS)
    if images != "data":
        with own_randomness(torch.device("cpu"), key):
            draw = draw_pink if images == "pink" else torch.randn
            drawn = draw(batch, 3, dataset.resolution, dataset.resolution)
            return drawn, torch.randint(dataset.num_classes, (batch,))
    data = load_data(dataset.data_key, data_dir, "cpu", download)
    if len(data.rows("train")) < batch:
        raise InvalidInput(
            f"batch is an integer from {LEAST_IMAGES} to {len(data.rows('train')):,}, the training "
            f"images of {dataset.name}, got {batch}"
        )
    return next(evaluation_batches(data, "train", batch, torch.contiguous_format, key))


def draw_pink(*shape: int) -> torch.Tensor:
    """Noise whose amplitudes fall with the frequency, as natural images' do.

    Field, "Relations between the statistics of natural images and the response properties of
    cortical cells", J. Opt. Soc. Am. A 4, 1987.

    Args:
        shape: ``(B, C, H, W)``.

    Returns:
        float32 of mean 0 and variance 1; two channels correlate by 0.9, about as those of
        photographs do.
    """
    batch, channels, height, width = shape
    grey, own = torch.randn(batch, 1, height, width), torch.randn(batch, channels, height, width)
    white = _CHANNELS**0.5 * grey + (1 - _CHANNELS) ** 0.5 * own
    down, across = torch.fft.fftfreq(height), torch.fft.rfftfreq(width)
    frequency = (down[:, None].square() + across.square()).sqrt()
    frequency[0, 0] = torch.inf  # no mean
    drawn = torch.fft.irfft2(torch.fft.rfft2(white) / frequency, s=(height, width))
    return drawn / drawn.std()
