"""A network that is trained, alone or beside others: what tells it apart, what it has reached."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nats_gym.errors import InvalidInput
from nats_gym.networks import Network
from nats_gym.training.checkpoint import load_checkpoint, own_storage, save_checkpoint
from nats_gym.training.recipe import Recipe
from nats_gym.training.record import COMPLETED, Curve, TrainingRecord
from nats_gym.training.step import Momentum, Step, sgd


class Member:
    """One training.

    Args:
        network: what is trained, in place, on its device.
        seed: from 0.
        checkpoint: where it is kept.
        identity: what the training is, see :func:`nats_gym.training.checkpoint.save_checkpoint`.
        recipe: how it is trained.
        failed_accuracy: what it counts as if it fails.

    Attributes:
        network, seed: likewise.
        record: so far.
        momentum: to go on from, by the name of a parameter.
        failure: how it failed, in words.
    """

    def __init__(
        self,
        network: nn.Module,
        seed: int,
        checkpoint: Path | None,
        identity: dict[str, str],
        recipe: Recipe,
        failed_accuracy: float,
    ) -> None:
        self.network, self.seed = network, seed
        self._checkpoint, self._identity, self._recipe = checkpoint, identity, recipe
        self._failed_accuracy = failed_accuracy
        self._initial: dict[str, torch.Tensor] = {}
        self.record, self.momentum, self.failure = self._fresh(), Momentum(), ""

    @property
    def failed(self) -> bool:
        """Whether its training has ended early."""
        return self.record.status != COMPLETED

    def keep_initial(self) -> None:
        """Remember its weights, so that it can begin again."""
        self._initial = {
            name: own_storage(value.detach()).cpu().clone() for name, value in self._tensors()
        }

    def begin(self, last: int, splits: Sequence[str]) -> None:
        """Go on from its checkpoint, if there is one, up to epoch ``last``.

        Args:
            last: see there.
            splits: what it is to be evaluated on.

        Raises:
            InvalidInput: if it is a checkpoint of another training, or of a later epoch.
            UnreadableCheckpoint: if it is damaged.
        """
        path = self._checkpoint
        if path is not None and os.path.exists(path):
            alone = sgd(self.network, self._recipe)
            self.record = load_checkpoint(path, self._identity, self.network, alone)
            if self.record.epochs > last:
                raise InvalidInput(
                    f"{path} is {self.record.epochs} epochs on, asked for were {last}"
                )
            self.momentum = {
                name: alone.state[parameter]["momentum_buffer"]
                for name, parameter in self.network.named_parameters()
                if alone.state[parameter].get("momentum_buffer") is not None
            }
        for split in splits:
            self.record.evaluated.setdefault(split, Curve())

    def begin_again(self) -> None:
        """Go back to the initial weights, and out of the group whose views they were."""
        for name, tensor in self._tensors():
            # A copy, for training writes into it, and it may have to begin once more.
            tensor.data = self._initial[name].to(tensor.device, copy=True)
            tensor.grad = None
        self.record, self.momentum = self._fresh(), Momentum()

    def leave_group(self) -> None:
        """Have its network hold tensors of its own: its group's were those of all members."""
        if type(self.network) is Network:
            for _, tensor in self._tensors():
                tensor.data = own_storage(tensor.data)

    def fail(self, status: str, seconds: float, failure: str) -> None:
        """End it early.

        Args:
            status: how.
            seconds: spent in what did not end.
            failure: how in words.
        """
        self.record.status, self.record.lost_seconds = status, seconds
        self.failure = failure

    def save(self, step: Step, momentum: Momentum) -> None:
        """Write its checkpoint, if it is to have one."""
        if self._checkpoint is not None:
            own = {name: own_storage(value) for name, value in momentum.items()}
            optimizer = step.state_of(self.network, own)
            save_checkpoint(self._checkpoint, self._identity, self.record, self.network, optimizer)

    def _fresh(self) -> TrainingRecord:
        return TrainingRecord(self.seed, self._recipe.digest, self._failed_accuracy)

    def _tensors(self) -> list[tuple[str, Any]]:
        return [*self.network.named_parameters(), *self.network.named_buffers()]
