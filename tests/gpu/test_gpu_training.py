"""A training on the device against the same on the CPU, in every way that a recipe knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from gpu_place import (
    RECIPE,
    SIZES,
    TOPOLOGIES,
    Place,
    Training,
    close,
    each,
    exact_float32,
    images,
    network,
    train_alike,
)
from quarters import quarters
from torch import nn

from nats_gym.training.data import ImageData
from nats_gym.training.recipe import CUDA_GRAPHS, Recipe
from nats_gym.training.record import TrainingRecord
from nats_gym.training.trainer import seeded, train

ARCHITECTURES = [("tss", one) for one in TOPOLOGIES] + [("sss", one) for one in SIZES]


def trained(place: Place, recipe: Recipe = RECIPE, **options: Any) -> TrainingRecord:
    """A short training on the device."""
    one = network("tss", TOPOLOGIES[1])
    return train(one, quarters(), recipe, seed=1, device=place.device, **options)


def on(device: torch.device | str) -> Training:
    """Training on a device, one after the other."""

    def way(networks: list[nn.Module], data: ImageData, recipe: Recipe) -> list[TrainingRecord]:
        return [train(one, data, recipe, seed=1, device=device) for one in networks]

    return way


@each(*ARCHITECTURES)
def test_first_steps_are_the_cpus(place: Place, case: tuple[str, str]) -> None:
    with exact_float32():
        train_alike([network(*case)], on(place.device), on("cpu"))


@each(("tss", TOPOLOGIES[1]), ("sss", SIZES[2]))
def test_the_same_is_learnt(place: Place, case: tuple[str, str]) -> None:
    data, recipe = (
        images(place.folder),
        replace(RECIPE, epochs=3, batch_size=24, learning_rate=0.02),
    )
    accuracies = []
    for device in (place.device, torch.device("cpu")):
        one = network(*case, classes=data.num_classes)
        record = train(one, data, recipe, seed=1, device=device)
        accuracies.append(record.accuracy("x-valid"))
    chance = 100 / data.num_classes
    assert min(accuracies) > 2.5 * chance, f"accuracies are {accuracies}, chance is {chance}"
    assert abs(accuracies[0] - accuracies[1]) < 15, f"accuracies are {accuracies}"


@each(7, 16, 60, 64)
def test_any_batch_size(place: Place, case: int) -> None:
    """The last batch of an epoch may hold fewer images; or there is but one batch."""
    recipe = replace(RECIPE, batch_size=case, learning_rate=0.005)
    losses = []
    for device in (place.device, torch.device("cpu")):
        one = network("sss", SIZES[0])
        with exact_float32():
            losses.append(train(one, quarters(), recipe, seed=1, device=device).train.loss)
    close(*losses, 1e-2, "the training loss")


def test_auto_takes_the_device(place: Place) -> None:
    place.need_gpu("the CPU is what it takes else")
    one = network("tss", TOPOLOGIES[1])
    found = train(one, quarters(), RECIPE, seed=1, device="auto")
    assert next(one.parameters()).device.type == "cuda"
    close(found.train.loss, trained(place).train.loss, 1e-2, "the training loss")


def test_bfloat16_is_nearly_the_same(place: Place) -> None:
    plain, rounded = trained(place), trained(place, replace(RECIPE, amp=True))
    assert plain.train.loss != rounded.train.loss
    close(rounded.train.loss, plain.train.loss, 0.1, "the training loss")


def test_channels_last_is_nearly_the_same(place: Place) -> None:
    first = replace(RECIPE, channels_last=False)

    def last(networks: list[nn.Module], data: ImageData, recipe: Recipe) -> list[TrainingRecord]:
        return on(place.device)(networks, data, replace(recipe, channels_last=True))

    with exact_float32():
        train_alike([network("tss", TOPOLOGIES[1])], last, on(place.device), first)


@each(True, CUDA_GRAPHS)
def test_compiled_is_nearly_the_same(place: Place, case: bool | str) -> None:
    place.need_compiler()
    if case is not True:
        place.need_gpu("torch.compile has no CUDA graphs on the CPU")
    # 64 images in batches of 16, none evaluated: what is compiled is compiled for one shape.
    data, losses = quarters(84), []
    for how in (False, case):
        with exact_float32():
            one, recipe = seeded(smallest_network, 0), replace(RECIPE, compile=how)
            record = train(one, data, recipe, device=place.device, evaluate_on=())
        losses.append(record.train.loss)
    close(*losses, 5e-3, "the training loss")


def smallest_network() -> nn.Module:
    """Compiled within seconds, where one of a space takes minutes."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 4),
    )


def test_a_seed_repeats_a_training(place: Place) -> None:
    with exact_float32():
        close(trained(place).train.loss, trained(place).train.loss, 1e-2, "the training loss")


def test_a_loss_that_is_no_number_ends_it(place: Place) -> None:
    record = trained(place, replace(RECIPE, learning_rate=1e30))
    assert record.status == "diverged", record.status
    assert record.accuracy("x-valid") == 25.0


def test_a_time_limit_ends_it(place: Place) -> None:
    recipe = replace(RECIPE, epochs=10_000)
    assert trained(place, recipe, time_limit=0.3).status == "timed out"
