"""Trains networks, one or many together: NATS-Bench's loop, on data that stays on the device.

Order, flips and crops of an epoch are drawn from a hash of the training's seed and the epoch, so
a training that was killed needs nothing but its last checkpoint to go on as if it had not been,
and one beside others sees what it would see alone.
"""

from __future__ import annotations

import gc
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import nn

from nats_gym import checks
from nats_gym.errors import InvalidInput, said, shown, warn_caller
from nats_gym.files.writing import check_folder
from nats_gym.networks import Network
from nats_gym.networks.fused import FusedNetworks, FusingWarning
from nats_gym.networks.group import NetworkGroup, SideBySide
from nats_gym.networks.grouping import choose_group
from nats_gym.streams import combine_int, seed_key
from nats_gym.training.batches import TrainingBatches, evaluation_batches
from nats_gym.training.captured import CountedSteps, CudaGraphs
from nats_gym.training.data import ImageData
from nats_gym.training.devices import choose_device as choose_device
from nats_gym.training.devices import out_of_memory, working_on
from nats_gym.training.member import Member
from nats_gym.training.randomness import OwnDraws, own_randomness
from nats_gym.training.recipe import Recipe
from nats_gym.training.record import (
    DIVERGED,
    OUT_OF_MEMORY,
    TIMED_OUT,
    TrainingFailed,
    TrainingRecord,
)
from nats_gym.training.step import Momentum, Step, Totals, autocast, member_losses

#: When a network is evaluated: after every epoch, or after the last.
EVALUATE = ("every", "last")

# Images of an evaluation batch, at least, on the CPU; of all networks together on an accelerator.
_EVALUATED_TOGETHER, _EVALUATED_ON_ACCELERATOR = 256, 4096
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
    with own_randomness(torch.device("cpu"), combine_int(seed_key(seed), _INIT)):
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
    progress: Callable[[TrainingRecord], object] | None = None,
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
        progress: called after every epoch, once its checkpoint is written, with the record so far.

    Returns:
        Curves, seconds and status. A loss that is not finite, a training that outlives its limit,
        or a device without memory for it, ends it with that status.

    Raises:
        InvalidInput: for an argument out of range, or a checkpoint of another training.
        UnreadableCheckpoint: for a damaged one.
        TrainingFailed: if the training fails and the recipe says to raise.
    """
    return _train_all(
        [network],
        data,
        recipe,
        [seed],
        [label],
        [checkpoint],
        device=device,
        evaluate_on=evaluate_on,
        evaluate=evaluate,
        epochs=epochs,
        time_limit=time_limit,
        progress=progress,
    )[0]


def train_together(
    networks: Sequence[nn.Module],
    data: ImageData,
    recipe: Recipe | None = None,
    *,
    seeds: Sequence[int],
    labels: Sequence[str] | None = None,
    checkpoints: Sequence[str | os.PathLike[str] | None] | None = None,
    device: torch.device | str = "auto",
    evaluate_on: Sequence[str] = ("x-valid",),
    evaluate: str = "last",
    epochs: int | None = None,
    time_limit: float | None = None,
) -> list[TrainingRecord]:
    """Train several networks in place, each as :func:`train` would, in one loop.

    Each has order, flips and crops of its own seed, and a record of its own. One that diverges or
    outlives its limit ends; the others go on. Those whose checkpoints are equally many epochs on
    train together. Where they lack memory each half of them is trained by itself, from its
    checkpoints or its beginning, and what lacks memory alone ends so; the time of such attempts is
    nobody's. A network of others (not :class:`nats_gym.networks.Network`) draws, where it does,
    from generators of its own. Where the recipe compiles, one is trained after the other.

    Args:
        networks: as :func:`train` takes them.
        data, recipe: of all of them.
        seeds: one each.
        labels: likewise; default none.
        checkpoints: likewise, or None; the files are those of :func:`train`, and what was begun
            alone can go on together, and the other way round.
        device, evaluate_on, evaluate, epochs: see :func:`train`.
        time_limit: of each; seconds that pass are parted among those that train.

    Returns:
        The record of each.

    Raises:
        InvalidInput: see :func:`train`; for a list of another length, a network twice, or a
            checkpoint twice.
        UnreadableCheckpoint: for a damaged one.
        TrainingFailed: if one fails and the recipe says to raise, once the others have ended; it
            has their records.
    """
    networks = _as_list(networks, "networks")
    each = []
    for what, values in (("seeds", seeds), ("labels", labels), ("checkpoints", checkpoints)):
        if values is None and what != "seeds":
            values = ["" if what == "labels" else None] * len(networks)
        found = _as_list(values, what)
        if len(found) != len(networks):
            raise InvalidInput(f"{what} are one a network: {len(networks)}, got {len(found)}")
        each.append(found)
    return _train_all(
        networks,
        data,
        recipe,
        *each,
        device=device,
        evaluate_on=evaluate_on,
        evaluate=evaluate,
        epochs=epochs,
        time_limit=time_limit,
    )


def _as_list(values: Any, what: str) -> list[Any]:
    found = list(values) if isinstance(values, range | nn.ModuleList) else checks.as_list(values)
    if found is None:
        raise InvalidInput(f"{what} are a list, got {shown(values)}")
    return found


@dataclass(frozen=True, eq=False)
class _Plan:
    """What a call of :func:`train_together` asks of each of its networks."""

    data: ImageData
    recipe: Recipe
    device: torch.device
    splits: tuple[str, ...]
    every: bool
    last: int
    time_limit: float
    progress: Callable[[TrainingRecord], object] | None


def _train_all(
    networks: list[nn.Module],
    data: ImageData,
    recipe: Recipe | None,
    seeds: list[int],
    labels: list[str],
    checkpoints: list[str | os.PathLike[str] | None],
    *,
    device: torch.device | str,
    evaluate_on: Sequence[str],
    evaluate: str,
    epochs: int | None,
    time_limit: float | None,
    progress: Callable[[TrainingRecord], object] | None = None,
) -> list[TrainingRecord]:
    recipe = Recipe() if recipe is None else recipe
    for name, value, kind in (
        *(("network", network, nn.Module) for network in networks),
        ("data", data, ImageData),
        ("recipe", recipe, Recipe),
    ):
        if not isinstance(value, kind):
            raise InvalidInput(f"{name} is of type {kind.__name__}, got {shown(value)}")
    if len({id(network) for network in networks}) < len(networks):
        raise InvalidInput("networks that are trained together are different ones")
    chosen = choose_device(device)
    seeds = [checks.seed(seed) for seed in seeds]
    labels = [checks.text(label, "label") for label in labels]
    evaluate = checks.word(evaluate, "evaluate", EVALUATE)
    splits = checks.as_list(evaluate_on)
    if splits is None:
        raise InvalidInput(f"evaluate_on is a list of splits, got {shown(evaluate_on)}")
    splits = [checks.word(name, f"split of {data.name}", data.splits) for name in splits]
    limit = checks.limit(time_limit, "time_limit") or math.inf
    last = recipe.epochs
    if epochs is not None:
        last = checks.integer(epochs, "epochs, up to the recipe's,", 1, recipe.epochs)
    paths = [None if one is None else checks.path(one, "checkpoint") for one in checkpoints]
    given = [path for path in paths if path is not None]
    for path in given:
        check_folder(path.parent)
    if len({os.path.realpath(path) for path in given}) < len(given):
        raise InvalidInput("each training has a checkpoint of its own")
    plan = _Plan(
        data.to(chosen),
        recipe,
        chosen,
        tuple(splits),
        evaluate == "every",
        last,
        limit,
        checks.function(progress, "progress"),
    )
    chance = 100 / data.num_classes if recipe.on_failure == "chance" else 0.0
    members = [
        Member(
            network,
            seed,
            path,
            {
                "network": label,
                "data": f"{data.name}, {len(data.images)} images",
                "recipe": recipe.digest,
                "seed": str(seed),
            },
            recipe,
            chance,
        )
        for network, seed, label, path in zip(networks, seeds, labels, paths, strict=True)
    ]
    if len(members) > 1:
        for member in members:
            member.keep_initial()
    with working_on(chosen):
        _train_members(members, plan)
    records = [member.record for member in members]
    failures = [f"the training {member.failure}" if member.failed else "" for member in members]
    if recipe.on_failure == "raise" and any(failures):
        failed = TrainingFailed(next(filter(None, failures)))
        failed.records, failed.failures = records, failures
        raise failed
    return records


def _train_members(members: list[Member], plan: _Plan) -> None:
    """Train each up to the last epoch, in groups of those that are equally far."""
    groups: dict[int, list[Member]] = {}
    for number, member in enumerate(members):
        member.begin(plan.last, plan.splits)
        # What is compiled is computed by itself.
        key = number if plan.recipe.compile else member.record.epochs
        groups.setdefault(key, []).append(member)
    for key in sorted(groups):
        _train_group(groups[key], plan)


def _train_group(members: list[Member], plan: _Plan) -> None:
    """Train those that are equally far; in halves where they lack memory."""
    start = perf_counter() - sum(member.record.seconds for member in members)
    lacking = False
    try:
        for member in members:
            member.network.to(plan.device)
        _Training(members, plan).run()
    except Exception as error:
        if not out_of_memory(error):
            raise
        lacking = True
    if lacking or plan.device.type != "cpu":
        for member in members:
            member.network.zero_grad()  # gradients may keep all of a graph's memory
    if not lacking:
        for member in members:
            member.leave_group()
        return
    # Only here, where no traceback holds what lay in memory.
    gc.collect()
    if plan.device.type == "cuda":
        torch.cuda.empty_cache()
    if len(members) == 1:
        (member,) = members
        seconds = max(0.0, perf_counter() - start - member.record.seconds)
        member.fail(
            OUT_OF_MEMORY, seconds, f"ran out of memory after {member.record.epochs} epochs"
        )
        return
    training = [member for member in members if not member.failed]
    half = -(-len(training) // 2)
    for part in (training[:half], training[half:]):
        for member in part:
            member.begin_again()
        _train_members(part, plan)


class _Training:
    """A group of networks with their data and optimizer, all equally far, on one device."""

    def __init__(self, members: list[Member], plan: _Plan) -> None:
        self._plan = plan
        recipe, data, device = plan.recipe, plan.data, plan.device
        self._memory_format = (
            torch.channels_last if recipe.channels_last else torch.contiguous_format
        )
        for member in members:
            member.network.to(memory_format=self._memory_format)  # type: ignore[call-overload]
        padding = data.crop_padding if recipe.crop_padding is None else recipe.crop_padding
        self._batches = TrainingBatches(
            data, "train", recipe.batch_size, recipe.horizontal_flip, padding, self._memory_format
        )
        for split in plan.splits:
            data.rows(split)  # an unknown one is refused now
        # Whoever trains on the CPU waits for every batch anyway.
        self._unseen = 1 if device.type == "cpu" else _BATCHES_UNSEEN
        self._assemble(members)

    def run(self) -> None:
        """Train up to the last epoch."""
        try:
            self._run()
        finally:
            if self._plan.device.type != "cpu":
                self._group.zero_grad()  # gradients may keep all of a graph's memory

    def _run(self) -> None:
        plan = self._plan
        while self._training and self._epoch < plan.last:
            self._train_epoch()
            if not self._training:
                return
            if plan.every or self._epoch == plan.last:
                self._evaluate()
            self._save()
            if plan.progress is not None:
                for member in self._training:
                    plan.progress(member.record)
            if 0 < len(self._training) < len(self._members):
                self._go_on_without_the_failed()
        self._evaluate()  # what was saved may not have been evaluated, or not on these splits

    @property
    def _training(self) -> list[Member]:
        """Those that have not failed."""
        return [member for member in self._members if not member.failed]

    @property
    def _epoch(self) -> int:
        return max(member.record.epochs for member in self._training)

    def _assemble(self, members: list[Member]) -> None:
        recipe, device = self._plan.recipe, self._plan.device
        self._members = members
        self._own_draws: list[OwnDraws] = []
        self._group = self._grouped([member.network for member in members])
        captured = _captures(device, recipe) and not self._own_draws
        momenta = [member.momentum for member in members]
        self._step = Step(self._group, recipe, device, momenta, rate_on_device=captured)
        for member in members:
            member.momentum = Momentum()  # from now on the step has it
        self._counted: CountedSteps | None = None
        if captured:
            graphs = CudaGraphs(device)
            self._counted = CountedSteps(self._batches, len(members), self._step, graphs)

    def _grouped(self, networks: list[nn.Module]) -> NetworkGroup:
        recipe, device = self._plan.recipe, self._plan.device
        if recipe.compile:
            return SideBySide(networks, [_compile(one, recipe.compile) for one in networks])
        if all(type(network) is Network for network in networks):
            group = choose_group(networks, self._plan.data.resolution, recipe.batch_size)
            return self._working(group)
        if len(networks) == 1:
            return SideBySide(networks)
        # What others wrote may draw, which beside another it must do as alone.
        self._own_draws = [OwnDraws(network, device) for network in networks]
        return SideBySide(networks, self._own_draws)

    def _working(self, group: NetworkGroup) -> NetworkGroup:
        """A group, or its members side by side where kernels are translated and that fails."""
        if not any(isinstance(part, FusedNetworks) for part in group.modules()):
            return group
        failure = self._try(group)
        if not failure:
            return group
        warn_caller(f"fused kernels fail here and PyTorch's are used: {failure}", FusingWarning)
        group.release()
        for network in group.members:
            network.to(memory_format=self._memory_format)  # type: ignore[call-overload]
        return SideBySide(group.members)

    def _try(self, group: NetworkGroup) -> str:
        """Why a group cannot take a step, which changes nothing of it; an empty string if it can.

        Triton needs a compiler, a card that holds what a kernel holds, and a folder to write to:
        only a step can tell.
        """
        plan, members = self._plan, len(group.members)
        batch = min(plan.recipe.batch_size, len(plan.data.rows("train")))
        images = torch.zeros(members, batch, *plan.data.images.shape[1:], device=plan.device)
        labels = torch.zeros(members, batch, dtype=torch.int64, device=plan.device)
        before = [buffer.clone() for buffer in group.buffers()]
        group.train()
        failure = ""
        try:
            with autocast(plan.recipe, plan.device):
                logits = group(images)
            torch.autograd.backward(member_losses(logits.float(), labels))
            if plan.device.type == "cuda":
                torch.cuda.synchronize(plan.device)
        except Exception as error:  # of a compiler's many
            if out_of_memory(error):
                raise
            failure = said(error) or type(error).__name__
        group.zero_grad()
        with torch.no_grad():
            for buffer, value in zip(group.buffers(), before, strict=True):
                buffer.copy_(value)
        return failure

    def _go_on_without_the_failed(self) -> None:
        for member, momentum in zip(self._members, self._step.momenta(), strict=True):
            member.momentum = momentum
        self._group.zero_grad()  # likewise
        self._assemble(self._training)

    def _save(self) -> None:
        for member, momentum in zip(self._members, self._step.momenta(), strict=True):
            if not member.failed:
                member.save(self._step, momentum)

    def _train_epoch(self) -> None:
        epoch = self._epoch
        clock = _Clock(self._plan.device)
        self._step.set_rate(self._plan.recipe.learning_rate_at(epoch))
        self._set_mode(training=True)
        totals = self._step.totals
        totals.clear()
        # A network that draws (dropout, sampled paths) must not depend on what ran before.
        orders, forwards = (
            [
                combine_int(combine_int(seed_key(member.seed), tag), epoch)
                for member in self._members
            ]
            for tag in (_ORDER, _FORWARD)
        )
        for network, seed in zip(self._own_draws, forwards, strict=False):
            network.seed(seed)
        count = 0
        with own_randomness(self._plan.device, forwards[0]), self._steps(orders) as steps:
            for number, size in enumerate(steps):
                count += size
                if number % self._unseen == 0 and not self._look(totals, clock):
                    return
        if not self._look(totals, clock):
            return
        for member, means in zip(self._members, totals.means(count), strict=True):
            if not member.failed:
                member.record.train.add(epoch + 1, *means, clock.seconds)

    def _steps(self, orders: list[int]) -> AbstractContextManager[Iterator[int]]:
        """An epoch, which takes a step whenever its images are asked for."""
        if self._counted is not None:
            return self._counted.epoch(orders)
        return nullcontext(self._taken(orders))

    def _taken(self, orders: list[int]) -> Iterator[int]:
        for images, labels in self._batches.epochs(orders):
            self._step(images, labels)
            yield labels.shape[1]

    def _evaluate(self) -> None:
        """Evaluate those that have not been since their last epoch, on each split."""
        self._set_mode(training=False)
        for split in self._plan.splits:
            asked = [
                member
                for member in self._training
                if member.record.evaluated[split].epochs[-1:] != [member.record.epochs]
            ]
            if asked:
                self._evaluate_on(split, asked)

    @torch.no_grad()
    def _evaluate_on(self, split: str, asked: list[Member]) -> None:
        plan, together = self._plan, len(self._members)
        batch = max(plan.recipe.batch_size, _EVALUATED_TOGETHER)
        if plan.device.type != "cpu":
            batch = max(plan.recipe.batch_size, _EVALUATED_ON_ACCELERATOR // together)
        clock, totals, count = _Clock(plan.device), Totals(together, plan.device), 0
        batches = evaluation_batches(plan.data, split, batch, self._memory_format)
        for number, batch_of_each in enumerate(batches):
            images, labels = (one.expand(together, *one.shape) for one in batch_of_each)
            with autocast(plan.recipe, plan.device):
                logits = self._group(images)
            logits = logits.float()
            totals.add(member_losses(logits, labels), logits, labels)
            count += labels.shape[1]
            if number % self._unseen == 0 and not self._look(totals, clock, asked):
                return
        if not self._look(totals, clock, asked):
            return
        for member, means in zip(self._members, totals.means(count), strict=True):
            if member in asked and not member.failed:
                curve = member.record.evaluated[split]
                curve.add(member.record.epochs, *means, clock.seconds)

    def _look(self, totals: Totals, clock: _Clock, asked: list[Member] | None = None) -> bool:
        """End what has diverged or is out of time; whether anything is left."""
        asked = self._members if asked is None else asked
        going_on = [member for member in asked if not member.failed]
        finite = totals.finite()
        seconds = clock.read(len(going_on))
        limit = self._plan.time_limit
        for member, is_finite in zip(self._members, finite, strict=True):
            if member not in going_on:
                continue
            epochs = member.record.epochs
            if not is_finite:
                member.fail(DIVERGED, seconds, f"diverged after {epochs} epochs")
            elif member.record.seconds + seconds > limit:
                done = f"{epochs} epochs in {limit:g} s"
                member.fail(TIMED_OUT, seconds, f"ran out of time after {done}")
        return any(not member.failed for member in asked)

    def _set_mode(self, training: bool) -> None:
        self._group.train(training)
        for member in self._members:
            member.network.train(training)


class _Clock:
    """Seconds that pass, parted equally among those that train.

    Attributes:
        seconds: the share of one that has been there all the time.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self.seconds, self._last = device, 0.0, perf_counter()

    def read(self, members: int) -> float:
        """Add what has passed since the last time, once the device has done what it was told.

        Args:
            members: how many it was for.
        """
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = perf_counter()
        self.seconds += (now - self._last) / members
        self._last = now
        return self.seconds


def _captures(device: torch.device, recipe: Recipe) -> bool:
    """Whether steps are captured as CUDA graphs; what is compiled has its own way."""
    return device.type == "cuda" and not recipe.compile


def _compile(network: nn.Module, how: bool | str) -> Callable[..., torch.Tensor]:
    """A network compiled, with a mode of ``torch.compile`` if ``how`` names one."""
    return torch.compile(network, mode=None if how is True else str(how))
