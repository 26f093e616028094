"""Several architectures on one device equal the same one after another."""

from __future__ import annotations

import copy
from importlib.util import find_spec
from typing import Any, NamedTuple
from unittest import SkipTest

import numpy as np
import torch
from gpu_place import (
    RECIPE,
    SIZES,
    SMALL,
    TOPOLOGIES,
    Place,
    close,
    close_records,
    each,
    exact_float32,
    network,
    shaken,
    spread,
    train_alike,
)
from quarters import quarters
from torch import nn

from nats_gym.errors import InvalidInput
from nats_gym.evaluators.training import TrainingEvaluator
from nats_gym.networks.fused import FusedNetworks
from nats_gym.networks.group import NetworkGroup, Parts, SideBySide
from nats_gym.networks.stacked import StackedNetworks
from nats_gym.spaces import get_space
from nats_gym.training.batched import TrainingPool
from nats_gym.training.data import ImageData
from nats_gym.training.recipe import Recipe
from nats_gym.training.record import TrainingRecord
from nats_gym.training.step import member_losses
from nats_gym.training.trainer import train, train_together

#: Different topologies, different sizes, trials of one architecture.
GROUPS = {
    "topologies": [("tss", one, 0) for one in TOPOLOGIES],
    "sizes": [("sss", one, 0) for one in SIZES],
    "trials": [("tss", TOPOLOGIES[1], seed) for seed in range(3)],
}


class OneStep(NamedTuple):
    """What a step of networks comes to, each by name."""

    logits: torch.Tensor
    gradients: list[dict[str, torch.Tensor]]
    buffers: list[dict[str, torch.Tensor]]


def step_of(place: Place, starts: list[nn.Module], kind: Any, dtype: torch.dtype) -> OneStep:
    """A step of copies in a group of a kind."""
    members = [copy.deepcopy(one).to(place.device, dtype).train() for one in starts]
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(len(members), 16, 3, 8, 8, generator=generator).to(place.device, dtype)
    labels = torch.randint(0, 4, (len(members), 16), generator=generator).to(place.device)
    with exact_float32():
        group: NetworkGroup = kind(members).train()
        logits = group(images)
        torch.autograd.backward(member_losses(logits, labels))
    found = {one: one.grad for one in group.parameters() if one.grad is not None}
    buffers = [dict(member.named_buffers()) for member in members]
    return OneStep(logits, group.by_member(found), buffers)


def one_by_one(members: list[nn.Module]) -> NetworkGroup:
    """As alone: on the stream where all else is."""
    return Parts([SideBySide([one]) for one in members], [[n] for n in range(len(members))])


def close_statistics(found: OneStep, wanted: OneStep, within: float) -> None:
    """Means are compared in standard deviations: of what is normed already they are zero."""
    for one, other in zip(found.buffers, wanted.buffers, strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            deviation = torch.ones_like(value)
            if name.endswith("running_mean"):
                deviation = other[name.replace("running_mean", "running_var")].sqrt()
            elif name.endswith("running_var"):
                deviation = value
            apart = float(((one[name].to(value.dtype) - value) / deviation).abs().max())
            assert apart <= within, f"{name} is {apart:.2g} apart, allowed is {within:.2g}"


def all_of(gradients: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> torch.Tensor:
    """Gradients as one row, in the order of others."""
    return torch.cat([gradients[name].double().flatten() for name in wanted])


def same_step(place: Place, starts: list[nn.Module], kind: Any) -> None:
    """A step of a group is that of its members alone: in float64, where rounding hides nothing."""
    found = step_of(place, starts, kind, torch.float64)
    wanted = step_of(place, starts, one_by_one, torch.float64)
    close(found.logits, wanted.logits, 1e-8, "logits")
    for number, (one, other) in enumerate(zip(found.gradients, wanted.gradients, strict=True)):
        apart = spread(all_of(one, other), all_of(other, other))
        assert apart < 1e-8, f"the gradient of member {number} is {apart:.2g} apart"
    close_statistics(found, wanted, 1e-8)


def nearly_same_step(place: Place, starts: list[nn.Module], kind: Any) -> None:
    """Likewise where there is no float64: hardly less exact than the members alone in float32."""
    found = step_of(place, starts, kind, torch.float32)
    alone = step_of(place, starts, one_by_one, torch.float32)
    exact = step_of(place, starts, one_by_one, torch.float64)
    close(found.logits, exact.logits, 1e-4 + 5 * spread(alone.logits, exact.logits), "logits")
    rows = zip(found.gradients, alone.gradients, exact.gradients, strict=True)
    for number, (one, other, right) in enumerate(rows):
        wanted = all_of(right, right)
        apart, allowed = (
            float((all_of(each, right) - wanted).norm() / wanted.norm()) for each in (one, other)
        )
        allowed = 5 * allowed + 5e-3
        what = f"the gradient of member {number} is {apart:.2g} of it apart"
        assert apart <= allowed, f"{what}, allowed is {allowed:.2g}"
    close_statistics(found, exact, 1e-4)


@each(*GROUPS)
def test_streams_compute_as_alone(place: Place, case: str) -> None:
    same_step(place, [network(*one) for one in GROUPS[case]], SideBySide)


@each(*GROUPS)
def test_stacked_compute_as_alone(place: Place, case: str) -> None:
    if place.device.type != "cpu":
        members: Any = [network(*one).to(place.device) for one in GROUPS[case]]
        said = ""
        try:
            StackedNetworks(members)
        except InvalidInput as error:
            said = str(error)
        assert "not on the CPU" in said, "networks on a GPU were stacked"
        return
    same_step(place, [network(*one) for one in GROUPS[case]], StackedNetworks)


@each(*GROUPS)
def test_fused_compute_as_alone(place: Place, case: str) -> None:
    place.need_gpu("the fused kernels are Triton's")
    place.need_compiler()
    nearly_same_step(place, [network(*one) for one in GROUPS[case]], FusedNetworks)


@each(*GROUPS)
def test_trained_together_as_one_after_another(place: Place, case: str) -> None:
    seeds = [5, 6, 7]

    def together(
        networks: list[nn.Module], data: ImageData, recipe: Recipe
    ) -> list[TrainingRecord]:
        return train_together(networks, data, recipe, seeds=seeds, device=place.device)

    def alone(networks: list[nn.Module], data: ImageData, recipe: Recipe) -> list[TrainingRecord]:
        return [
            train(one, data, recipe, seed=seed, device=place.device)
            for one, seed in zip(networks, seeds, strict=True)
        ]

    with exact_float32():
        train_alike([network(*one) for one in GROUPS[case]], together, alone)


def test_an_evaluator_trains_a_batch_together(place: Place) -> None:
    if find_spec("sklearn") is None:
        raise SkipTest("no scikit-learn here, whose digits an evaluator trains on")
    index = np.array([get_space("tss").resolve(one) for one in TOPOLOGIES])
    keys = np.arange(3, dtype=np.uint64)
    accuracies = []
    for together in (3 if place.miniature else "auto", 1):
        evaluator = TrainingEvaluator(
            "tss", "digits", device=str(place.device), together=together, data_dir=place.folder
        )
        with exact_float32():
            outcome = evaluator.evaluate(index, 1 if place.miniature else 4, keys)
        assert outcome.metrics["status"].tolist() == ["completed"] * 3
        assert (outcome.seconds > 0).all()
        accuracies.append(outcome.accuracy)
    # A relative 1e-6 of the initial weights moves accuracies by 15 points after one epoch, and by 4
    # after four (measured on a CPU).
    allowed = 25 if place.miniature else 12
    assert np.abs(accuracies[0] - accuracies[1]).max() < allowed, f"accuracies are {accuracies}"


def test_processes_train_as_one_after_another(place: Place) -> None:
    data, space = quarters(), get_space("tss")
    index, seeds = [space.resolve(one) for one in TOPOLOGIES], [3, 4, 5]
    device = str(place.device)
    with TrainingPool(
        "tss", data, RECIPE, network=SMALL, workers=2, devices=(device,), retries=0
    ) as pool:
        found = dict(pool.train(index, seeds))
    for position, (architecture, seed) in enumerate(zip(TOPOLOGIES, seeds, strict=True)):
        record = found[position]
        if isinstance(record, Exception):
            raise record
        start = network("tss", architecture, seed)
        starts = [start, *(shaken(start, number) for number in range(2))]
        wanted, *changed = (train(one, data, RECIPE, seed=seed, device=device) for one in starts)
        # Both may use tensor cores: the processes are as they come.
        close_records(record, wanted, changed)
