"""Trains one network: NATS-Bench's loop, on data that never leaves the device.

Order, flips and crops of an epoch are drawn from a hash of the training's seed and the epoch, so
a training that was killed needs nothing but its last checkpoint to go on as if it had not been.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import nn

from nats_gym import checks
from nats_gym.errors import InvalidInput, shown
from nats_gym.files import check_folder
from nats_gym.streams import combine_int, seed_key
from nats_gym.training.batches import TrainingBatches, evaluation_batches
from nats_gym.training.checkpoint import load_checkpoint, save_checkpoint
from nats_gym.training.data import ImageData
from nats_gym.training.devices import choose_device as choose_device
from nats_gym.training.devices import out_of_memory
from nats_gym.training.recipe import Recipe
from nats_gym.training.record import (
    DIVERGED,
    OUT_OF_MEMORY,
    TIMED_OUT,
    Curve,
    TrainingFailed,
    TrainingRecord,
)

#: When a network is evaluated: after every epoch, or after the last.
EVALUATE = ("every", "last")

# Images of an evaluation batch, at least.
_EVALUATED_TOGETHER = 256
# Batches between two looks at loss and clock: on an accelerator each look waits for it.
_BATCHES_UNSEEN = 20

# Tags that keep the draws of one seed apart.
_INIT, _ORDER, _FORWARD = (int.from_bytes(tag, "little") for tag in (b"init", b"order", b"forward"))


def seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Build a network whose initial weights follow from ``seed``; torch's own state stays.

    Raises:
        InvalidInput: for a seed that is no integer from 0, or what is no function.
    """
    seed = checks.seed(seed)
    if not callable(build):
        raise InvalidInput(f"build is a function that returns a network, got {shown(build)}")
    with _own_randomness(torch.device("cpu"), combine_int(seed_key(seed), _INIT)):
        return build()


def train(
    network: nn.Module,
    data: ImageData,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    device: torch.device | str = "auto",
    evaluate_on: Sequence[str] = ("x-valid",),
    evaluate: str = "last",
    epochs: int | None = None,
    time_limit: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    label: str = "",
) -> TrainingRecord:
    """Train a network in place.

    On the CPU, the same network, data, recipe, seed and number of threads give the same bits.

    Args:
        network: takes float images ``(B, 3, H, W)``, returns logits ``(B, num_classes)``.
        data: trained on its split ``"train"``.
        recipe: default NATS-Bench's.
        seed: from 0; order, flips and crops derive from it. For initial weights see
            :func:`seeded`.
        device: where to train; ``"auto"`` takes a CUDA device if there is one.
        evaluate_on: splits to evaluate on.
        evaluate: ``"every"`` epoch or after the ``"last"``.
        epochs: stop after so many of the recipe's epochs; default all.
        time_limit: real seconds of training and evaluation after which to give up.
        checkpoint: file to write after every epoch; if it is there, the training goes on from it.
        label: which network this is, such as ``"tss 5"``, kept in the checkpoint: weights of
            another network may have the same shapes, and only a label tells them apart.

    Returns:
        Curves, seconds and status. A loss that is not finite, or a training that outlives its
        limit or finds no memory, ends it with that status.

    Raises:
        InvalidInput: for an argument out of range, or a checkpoint of another training.
        UnreadableCheckpoint: for a damaged one.
        TrainingFailed: if the training fails and the recipe says to raise.
    """
    recipe = Recipe() if recipe is None else recipe
    for name, value, kind in (
        ("network", network, nn.Module),
        ("data", data, ImageData),
        ("recipe", recipe, Recipe),
    ):
        if not isinstance(value, kind):
            raise InvalidInput(f"{name} is of type {kind.__name__}, got {shown(value)}")
    chosen = choose_device(device)
    seed, label = checks.seed(seed), checks.text(label, "label")
    evaluate = checks.word(evaluate, "evaluate", EVALUATE)
    splits = checks.as_list(evaluate_on)
    if splits is None:
        raise InvalidInput(f"evaluate_on is a list of splits, got {shown(evaluate_on)}")
    splits = [checks.word(name, f"split of {data.name}", data.splits) for name in splits]
    limit = checks.limit(time_limit, "time_limit") or math.inf
    last = recipe.epochs
    if epochs is not None:
        last = checks.integer(epochs, "epochs, up to the recipe's,", 1, recipe.epochs)
    path = None if checkpoint is None else checks.path(checkpoint, "checkpoint")
    if path is not None:
        check_folder(path.parent)
    training = _Training(network.to(chosen), data.to(chosen), recipe, seed, tuple(splits), label)
    try:
        training.run(last, evaluate == "every", limit, path)
    except _Failure as failure:
        training.record.status = failure.status
        training.record.lost_seconds = failure.seconds
        if recipe.on_failure == "raise":
            raise TrainingFailed(f"the training {failure}") from None
    return training.record


class _Failure(Exception):
    """Ends a training early."""

    def __init__(self, status: str, seconds: float, what: str) -> None:
        super().__init__(what)
        self.status, self.seconds = status, seconds


class _Training:
    """One network with its data, optimizer and record, all on one device."""

    def __init__(
        self,
        network: nn.Module,
        data: ImageData,
        recipe: Recipe,
        seed: int,
        evaluate_on: tuple[str, ...],
        label: str,
    ) -> None:
        self._network, self._data, self._recipe = network, data, recipe
        self._device = data.images.device
        self._key = seed_key(seed)
        self._memory_format = (
            torch.channels_last if recipe.channels_last else torch.contiguous_format
        )
        network.to(memory_format=self._memory_format)  # type: ignore[call-overload]
        self._forward = _compile(network, recipe.compile) if recipe.compile else network
        self._optimizer = _sgd(network, recipe)
        padding = data.crop_padding if recipe.crop_padding is None else recipe.crop_padding
        self._batches = TrainingBatches(
            data,
            "train",
            recipe.batch_size,
            recipe.horizontal_flip,
            padding,
            self._memory_format,
        )
        self._evaluate_on = evaluate_on
        for split in evaluate_on:
            data.rows(split)  # an unknown one is refused now
        self._identity = {
            "network": label,
            "data": f"{data.name}, {len(data.images)} images",
            "recipe": recipe.digest,
            "seed": str(seed),
        }
        chance = 100 / data.num_classes
        self.record = TrainingRecord(
            seed, recipe.digest, chance if recipe.on_failure == "chance" else 0.0
        )
        # Whoever trains on the CPU waits for every batch anyway.
        self._unseen = 1 if self._device.type == "cpu" else _BATCHES_UNSEEN

    def run(self, last: int, every: bool, time_limit: float, checkpoint: Path | None) -> None:
        """Train up to epoch ``last``, from the checkpoint if it is there."""
        if checkpoint is not None and os.path.exists(checkpoint):
            state = self._network, self._optimizer
            self.record = load_checkpoint(checkpoint, self._identity, *state)
            if self.record.epochs > last:
                raise InvalidInput(
                    f"{checkpoint} is {self.record.epochs} epochs on, asked for were {last}"
                )
        self._deadline = time_limit
        for split in self._evaluate_on:
            self.record.evaluated.setdefault(split, Curve())
        start, before = perf_counter(), self.record.seconds
        try:
            while self.record.epochs < last:
                self._train_epoch()
                if every or self.record.epochs == last:
                    self._evaluate()
                if checkpoint is not None:
                    state = self._network, self._optimizer
                    save_checkpoint(checkpoint, self._identity, self.record, *state)
            self._evaluate()  # what was saved may not have been evaluated, or not on these splits
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            lost = perf_counter() - start - (self.record.seconds - before)
            what = f"ran out of memory after {self.record.epochs} epochs"
            raise _Failure(OUT_OF_MEMORY, max(lost, 0.0), what) from None

    def _train_epoch(self) -> None:
        epoch = self.record.epochs
        seconds = self._stopwatch()
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.learning_rate_at(epoch)
        self._network.train()
        totals = _Totals(self._device)
        order = combine_int(combine_int(self._key, _ORDER), epoch)
        # A network that draws (dropout, sampled paths) must not depend on what ran before.
        forward = combine_int(combine_int(self._key, _FORWARD), epoch)
        with _own_randomness(self._device, forward):
            for number, (images, labels) in enumerate(self._batches.epoch(order)):
                with self._autocast():
                    logits = self._forward(images)
                logits = logits.float()
                loss = nn.functional.cross_entropy(logits, labels)
                self._optimizer.zero_grad()
                torch.autograd.backward(loss)
                self._optimizer.step()
                totals.add(loss, logits, labels)
                if number % self._unseen == 0:
                    self._check(totals, seconds())
        self._check(totals, seconds())
        self.record.train.add(epoch + 1, *totals.means(), seconds())

    @torch.no_grad()
    def _evaluate(self) -> None:
        self._network.eval()
        together = max(self._recipe.batch_size, _EVALUATED_TOGETHER)
        for split in self._evaluate_on:
            curve = self.record.evaluated[split]
            if curve.epochs and curve.epochs[-1] == self.record.epochs:
                continue
            seconds = self._stopwatch()
            totals = _Totals(self._device)
            batches = evaluation_batches(self._data, split, together, self._memory_format)
            for number, (images, labels) in enumerate(batches):
                with self._autocast():
                    logits = self._forward(images)
                logits = logits.float()
                totals.add(nn.functional.cross_entropy(logits, labels), logits, labels)
                if number % self._unseen == 0:
                    self._check(totals, seconds())
            self._check(totals, seconds())
            curve.add(self.record.epochs, *totals.means(), seconds())

    def _check(self, totals: _Totals, seconds: float) -> None:
        if not totals.finite():
            raise _Failure(DIVERGED, seconds, f"diverged after {self.record.epochs} epochs")
        if self.record.seconds + seconds > self._deadline:
            done = f"{self.record.epochs} epochs in {self._deadline:g} s"
            raise _Failure(TIMED_OUT, seconds, f"ran out of time after {done}")

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._recipe.amp)

    def _stopwatch(self) -> Callable[[], float]:
        """Seconds since now, once the device has done what it was told."""
        start = perf_counter()

        def seconds() -> float:
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
            return perf_counter() - start

        return seconds


class _Totals:
    """Loss and right answers summed on the device, so that no batch waits for another's figures."""

    def __init__(self, device: torch.device) -> None:
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._correct = torch.zeros((), dtype=torch.int64, device=device)
        self._count = 0

    def add(self, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Add a batch and its mean loss."""
        self._loss += loss.detach().double() * len(labels)
        self._correct += (logits.detach().argmax(1) == labels).sum()
        self._count += len(labels)

    def finite(self) -> bool:
        """Whether the loss is a number; once it is not, it stays so."""
        return math.isfinite(self._loss.item())

    def means(self) -> tuple[float, float]:
        """Mean loss, and accuracy in percent."""
        return self._loss.item() / self._count, 100 * self._correct.item() / self._count


def _compile(network: nn.Module, how: bool | str) -> Callable[..., torch.Tensor]:
    """A network compiled, with a mode of ``torch.compile`` if ``how`` names one."""
    return torch.compile(network, mode=None if how is True else str(how))


def _sgd(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    options: dict[str, Any] = {
        "lr": recipe.learning_rate,
        "momentum": recipe.momentum,
        "weight_decay": recipe.weight_decay,
        "nesterov": recipe.momentum > 0,
    }
    try:
        # One call for all parameters: small networks spend a third of a step here otherwise.
        return torch.optim.SGD(network.parameters(), fused=True, **options)
    except (TypeError, RuntimeError):  # torch before 2.4 cannot on every device
        return torch.optim.SGD(network.parameters(), **options)


@contextmanager
def _own_randomness(device: torch.device, seed: int) -> Iterator[None]:
    """Seed torch's global generators for a block and put them back afterwards."""
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        yield
