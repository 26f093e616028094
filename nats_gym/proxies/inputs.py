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
KINDS = ("noise", "data")
#: Images of a batch: correlations take two, and memory ends somewhere.
LEAST_IMAGES, MOST_IMAGES = 2, 4_096
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
        images: ``"noise"``, standard normal, with labels drawn alike; or ``"data"``, training
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
    if images == "noise":
        with own_randomness(torch.device("cpu"), key):
            side = dataset.resolution
            drawn = torch.randn(batch, 3, side, side)
            return drawn, torch.randint(dataset.num_classes, (batch,))
    data = load_data(dataset.data_key, data_dir, "cpu", download)
    if len(data.rows("train")) < batch:
        raise InvalidInput(
            f"batch is an integer from {LEAST_IMAGES} to {len(data.rows('train')):,}, the training "
            f"images of {dataset.name}, got {batch}"
        )
    return next(evaluation_batches(data, "train", batch, torch.contiguous_format, key))
