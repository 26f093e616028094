"""Architectures trained from scratch: build, draw the initial weights, train."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch

from nats_gym import checks
from nats_gym.datasets import find_dataset
from nats_gym.networks import build
from nats_gym.spaces import get_space
from nats_gym.training.data import ImageData
from nats_gym.training.recipe import Recipe
from nats_gym.training.record import TrainingRecord
from nats_gym.training.trainer import seeded, train_together


def preset(space: str, dataset: str) -> tuple[Recipe, dict[str, Any]]:
    """The recipe of a data set, and its arguments of :func:`nats_gym.networks.build`.

    NATS-Bench's on images that nobody has described.
    """
    described = find_dataset(dataset)
    if described is None:
        return Recipe(), {}
    network = {
        "cells_per_stage": described.cells_per_stage.get(space),
        "stem_width": described.stem_width.get(space),
        "norm_momentum": described.norm_momentum.get(space),
    }
    given = {name: value for name, value in network.items() if value is not None}
    return Recipe(**described.recipe), given


def check_network(space: str, given: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    """Options of :func:`nats_gym.networks.build`, once a network was built with them."""
    found = get_space(space)
    parameters = [*inspect.signature(found.builder or found.network).parameters.values()]
    names = [one.name for one in parameters if one.kind == one.KEYWORD_ONLY]
    given = checks.mapping(given, f"network is a dictionary of {' and '.join(names) or 'nothing'}")
    for name in given:
        checks.word(name, "argument of a network", names)
    with torch.device("meta"):  # takes no memory
        build(space, 0, 2, dataset=dataset, **given)
    whole = {name: checks.as_integer(value) for name, value in given.items()}
    return {name: value if whole[name] is None else whole[name] for name, value in given.items()}


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
        space: a space's name, such as ``"tss"``.
        index: official index.
        data: what to train on.
        recipe: how.
        network: arguments of :func:`nats_gym.networks.build`.
        seed: from 0.
        options: of :func:`nats_gym.training.trainer.train`; the label is made here.
    """

    (record,) = train_architectures(
        space, [index], data, recipe, network=network, seeds=[seed], **_each(options)
    )
    return record


def train_architectures(
    space: str,
    index: Sequence[int],
    data: ImageData,
    recipe: Recipe,
    *,
    network: Mapping[str, Any],
    seeds: Sequence[int],
    **options: Any,
) -> list[TrainingRecord]:
    """Train architectures together, each as :func:`train_architecture` would.

    Args:
        space, data, recipe, network: see :func:`train_architecture`.
        index: official indices.
        seeds: one each.
        options: of :func:`nats_gym.training.trainer.train_together`; the labels are made here.
    """
    described = find_dataset(data.name)
    dataset = data.name if described is None else described.name
    networks = [
        seeded(partial(build, space, one, data.num_classes, dataset=dataset, **network), seed)
        for one, seed in zip(index, seeds, strict=True)
    ]
    labels = [f"{space} {one}" for one in index]
    return train_together(networks, data, recipe, seeds=seeds, labels=labels, **options)


def _each(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a training as those of several."""
    given = dict(options)
    if "checkpoint" in given:
        given["checkpoints"] = [given.pop("checkpoint")]
    return given
