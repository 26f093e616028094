"""One architecture trained from scratch: build, draw its initial weights, train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from nats_gym.networks import build
from nats_gym.training.data import ImageData
from nats_gym.training.recipe import DIGITS_CELLS, DIGITS_RECIPE, Recipe
from nats_gym.training.record import TrainingRecord
from nats_gym.training.trainer import seeded, train


def preset(space: str, dataset: str) -> tuple[Recipe, dict[str, Any]]:
    """The recipe of a data set, and its arguments of :func:`nats_gym.networks.build`."""
    if dataset == "digits":
        return DIGITS_RECIPE, {"cells_per_stage": DIGITS_CELLS[space]}
    return Recipe(), {}


def train_architecture(
    space: str,
    index: int,
    data: ImageData,
    recipe: Recipe,
    *,
    network: Mapping[str, Any],
    seed: int,
    **options: Any,
) -> TrainingRecord:
    """Train an architecture; the seed is of its weights, order and augmentation.

    Args:
        space: ``"tss"`` or ``"sss"``.
        index: official index.
        data: what to train on.
        recipe: how.
        network: arguments of :func:`nats_gym.networks.build`.
        seed: from 0.
        options: of :func:`nats_gym.training.trainer.train`; the label is made here.
    """

    def built() -> nn.Module:
        return build(space, index, data.num_classes, **network)

    return train(seeded(built, seed), data, recipe, seed=seed, label=f"{space} {index}", **options)
