"""One step of a group of networks: forward, loss of each, backward, SGD, totals.

All of it is told to the device without waiting for it, so that a CUDA graph can hold a step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from nats_gym.networks.group import NetworkGroup
from nats_gym.training.optimizers import SGD, make_sgd
from nats_gym.training.recipe import Recipe

#: Momentum of a network's parameters by their names.
Momentum = dict[str, torch.Tensor]


class Step:
    """What trains a group by a batch of each member.

    Args:
        group: the networks.
        recipe: how.
        device: where they are.
        momenta: of each member, to go on from; empty where it has none yet.
        rate_on_device: hold the learning rate in a tensor, so that a graph finds each epoch's.

    Attributes:
        totals: of the steps since they were cleared.
    """

    def __init__(
        self,
        group: NetworkGroup,
        recipe: Recipe,
        device: torch.device,
        momenta: Sequence[Momentum],
        rate_on_device: bool,
    ) -> None:
        self._group, self._recipe, self._device = group, recipe, device
        self._optimizer = sgd(group, recipe)
        if any(momenta):
            self._put(momenta)
        self._rate: torch.Tensor | None = None
        if rate_on_device:
            self._rate = torch.zeros((), dtype=torch.float32, device=device)
        self.totals = Totals(len(group.members), device)

    def __call__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Take a step by images ``(G, B, 3, H, W)`` and labels ``(G, B)``."""
        with autocast(self._recipe, self._device):
            logits = self._group(images)
        logits = logits.float()
        losses = member_losses(logits, labels)
        self._optimizer.zero_grad()
        torch.autograd.backward(losses)
        self._optimizer.step()
        self.totals.add(losses, logits, labels)

    def set_rate(self, rate: float) -> None:
        """Learn at a rate from the next step on."""
        if self._rate is not None:
            self._rate.fill_(rate)
        for options in self._optimizer.param_groups:
            options["lr"] = rate if self._rate is None else self._rate

    def momenta(self) -> list[Momentum]:
        """Each member's momentum, of what a step has trained."""
        state = self._optimizer.state
        found = {
            parameter: state[parameter]["momentum_buffer"]
            for parameter in self._group.parameters()
            if parameter.grad is not None and state[parameter].get("momentum_buffer") is not None
        }
        return self._group.by_member(found)

    def state_of(self, network: nn.Module, momentum: Momentum) -> dict[str, Any]:
        """What ``state_dict`` of an optimizer of a member alone would be."""
        names = [name for name, _ in network.named_parameters()]
        options = {**self._optimizer.param_groups[0]}
        options["lr"] = float(options["lr"])
        del options["params"]  # torch has them last
        options["params"] = list(range(len(names)))
        state = {
            number: {"momentum_buffer": momentum[name]}
            for number, name in enumerate(names)
            if name in momentum
        }
        return {"state": state, "param_groups": [options]}

    def _put(self, momenta: Sequence[Momentum]) -> None:
        # All of them, for who has none yet too: momentum from zero is as none.
        buffers = {one: torch.zeros_like(one) for one in self._group.parameters()}
        for places, momentum in zip(self._group.by_member(buffers), momenta, strict=True):
            for name, value in momentum.items():
                if name in places:
                    places[name].copy_(value)
        for parameter, buffer in buffers.items():
            self._optimizer.state[parameter] = {"momentum_buffer": buffer}


class Totals:
    """Loss and right answers of each member, summed on the device: no batch waits for another's.

    Args:
        members: how many.
        device: where.
    """

    def __init__(self, members: int, device: torch.device) -> None:
        self._loss = torch.zeros(members, dtype=torch.float64, device=device)
        self._correct = torch.zeros(members, dtype=torch.int64, device=device)

    def clear(self) -> None:
        """Begin anew."""
        self._loss.zero_()
        self._correct.zero_()

    def add(
        self, losses: Sequence[torch.Tensor], logits: torch.Tensor, labels: torch.Tensor
    ) -> None:
        """Add a batch ``(G, B)`` of each member and its mean losses, ``(G,)``."""
        self._loss += torch.stack([loss.detach() for loss in losses]).double() * labels.shape[1]
        self._correct += (logits.detach().argmax(2) == labels).sum(1)

    def finite(self) -> list[bool]:
        """Whether each member's loss is a number; once it is not, it stays so."""
        return [math.isfinite(loss) for loss in self._loss.tolist()]

    def means(self, count: int) -> list[tuple[float, float]]:
        """Mean loss, and accuracy in percent, of ``count`` images of each member."""
        return [
            (loss / count, 100 * correct / count)
            for loss, correct in zip(self._loss.tolist(), self._correct.tolist(), strict=True)
        ]


def member_losses(logits: torch.Tensor, labels: torch.Tensor) -> list[torch.Tensor]:
    """Mean cross-entropy of each member, from logits ``(G, B, classes)`` and labels ``(G, B)``."""
    return [
        nn.functional.cross_entropy(own, wanted)
        for own, wanted in zip(logits.unbind(), labels.unbind(), strict=True)
    ]


def autocast(recipe: Recipe, device: torch.device) -> AbstractContextManager[Any]:
    """The precision that a recipe computes in."""
    return torch.autocast(device.type, torch.bfloat16, enabled=recipe.amp)


def sgd(network: nn.Module, recipe: Recipe) -> SGD:
    """The recipe's optimizer of all parameters."""
    return make_sgd(
        network.parameters(), recipe.learning_rate, recipe.momentum, recipe.weight_decay
    )
