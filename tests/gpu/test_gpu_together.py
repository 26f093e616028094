"""Several architectures on one device equal the same one after another."""

from __future__ import annotations

import copy
from importlib import import_module
from importlib.util import find_spec
from typing import Any
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
    each,
    exact_float32,
    moved,
    network,
)
from quarters import quarters
from torch import nn

from nats_gym.evaluators.training import TrainingEvaluator
from nats_gym.networks.group import NetworkGroup, SideBySide
from nats_gym.spaces import get_space
from nats_gym.training import trainer
from nats_gym.training.architecture import train_architecture
from nats_gym.training.batched import TrainingPool
from nats_gym.training.record import TrainingRecord

#: Different topologies, different sizes, trials of one architecture.
GROUPS = {
    "topologies": [("tss", one, 0) for one in TOPOLOGIES],
    "sizes": [("sss", one, 0) for one in SIZES],
    "trials": [("tss", TOPOLOGIES[1], seed) for seed in range(3)],
}


def group_class(name: str) -> type[NetworkGroup]:
    """A way to compute several networks together; left out where there is none such yet."""
    module = f"nats_gym.networks.{name}"
    if find_spec(module) is None:
        raise SkipTest(f"there is no {module}")
    return getattr(import_module(module), f"{name.title()}Networks")


def gradients(group: NetworkGroup) -> list[dict[str, torch.Tensor]]:
    """Of each member, by name."""
    return group.by_member({one: one.grad for one in group.parameters() if one.grad is not None})


def same_step(place: Place, members: list[nn.Module], make: Any) -> None:
    """Logits, gradients and running statistics of a group are those of its members alone."""
    members = [member.to(place.device).train() for member in members]
    alone = [copy.deepcopy(member) for member in members]
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(len(members), 16, 3, 8, 8, generator=generator).to(place.device)
    labels = torch.randint(0, 4, (len(members), 16), generator=generator).to(place.device)
    with exact_float32():
        group = make(members).train()
        logits = group(images)
        losses = [nn.functional.cross_entropy(*pair) for pair in zip(logits, labels, strict=True)]
        torch.stack(losses).sum().backward()
        for number, (one, found) in enumerate(zip(alone, gradients(group), strict=True)):
            wanted = one(images[number])
            close(logits[number], wanted, 1e-4, f"logits of member {number}")
            nn.functional.cross_entropy(wanted, labels[number]).backward()
            largest = max(
                float(weight.grad.abs().max())
                for weight in one.parameters()
                if weight.grad is not None
            )
            for name, weight in one.named_parameters():
                if weight.grad is not None:
                    apart = float((found[name] - weight.grad).abs().max()) / largest
                    assert apart < 1e-3, f"gradient of {name} is {apart:.2g} apart"
            buffers = dict(members[number].named_buffers())
            for name, value in one.named_buffers():
                close(buffers[name], value, 1e-4, name)


@each(*GROUPS)
def test_streams_compute_as_alone(place: Place, case: str) -> None:
    same_step(place, [network(*one) for one in GROUPS[case]], SideBySide)


@each(*GROUPS)
def test_stacked_compute_as_alone(place: Place, case: str) -> None:
    same_step(place, [network(*one) for one in GROUPS[case]], group_class("stacked"))


@each(*GROUPS)
def test_fused_compute_as_alone(place: Place, case: str) -> None:
    fused = group_class("fused")
    place.need_gpu("the fused kernels are Triton's")
    place.need_compiler()
    same_step(place, [network(*one) for one in GROUPS[case]], fused)


@each(*GROUPS)
def test_trained_together_as_one_after_another(place: Place, case: str) -> None:
    if not hasattr(trainer, "train_together"):
        raise SkipTest("the trainer trains one network at a time")
    starts, data = [network(*one) for one in GROUPS[case]], quarters()
    together, alone = copy.deepcopy(starts), copy.deepcopy(starts)
    seeds = [5, 6, 7]
    with exact_float32():
        found = trainer.train_together(together, data, RECIPE, seeds=seeds, device=place.device)
        wanted = [
            trainer.train(one, data, RECIPE, seed=seed, device=place.device)
            for one, seed in zip(alone, seeds, strict=True)
        ]
    for one, other in zip(found, wanted, strict=True):
        same_record(one, other)
    for one, other, start in zip(together, alone, starts, strict=True):
        assert moved(one, other, start) < 0.05


def same_record(found: TrainingRecord, wanted: TrainingRecord, within: float = 2e-3) -> None:
    """Two trainings ended alike."""
    assert found.status == wanted.status == "completed"
    assert found.seed == wanted.seed
    close(found.train.loss, wanted.train.loss, within, "the training loss")
    # Of twenty images, three.
    assert abs(found.accuracy("x-valid") - wanted.accuracy("x-valid")) <= 15


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
            outcome = evaluator.evaluate(index, 1, keys)
        assert outcome.metrics["status"].tolist() == ["completed"] * 3
        assert (outcome.seconds > 0).all()
        accuracies.append(outcome.accuracy)
    assert np.abs(accuracies[0] - accuracies[1]).max() < 10, f"accuracies are {accuracies}"


def test_processes_train_as_one_after_another(place: Place) -> None:
    data, space = quarters(), get_space("tss")
    index, seeds = [space.resolve(one) for one in TOPOLOGIES], [3, 4, 5]
    device = str(place.device)
    with TrainingPool(
        "tss", data, RECIPE, network=SMALL, workers=2, devices=(device,), retries=0
    ) as pool:
        found = dict(pool.train(index, seeds))
    for position, (one, seed) in enumerate(zip(index, seeds, strict=True)):
        record = found[position]
        if isinstance(record, Exception):
            raise record
        same_record(
            record,
            train_architecture("tss", one, data, RECIPE, network=SMALL, seed=seed, device=device),
            within=1e-2,  # both by tensor cores: the processes are as they come
        )
