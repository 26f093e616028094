"""The loop of all weight-sharing searches: weights and architecture trained in turn.

Every draw of an epoch follows from the seed and the epoch, so a search that was killed needs
nothing but its last checkpoint to go on as if it had not been; on the CPU to the bit.

Source: NATS-Bench (Dong et al., arXiv 2009.00437), section 5.2 and its reference code.
"""

from __future__ import annotations

import inspect
import itertools
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from time import perf_counter
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nats_gym.agents.threads import one_thread
from nats_gym.checks import function, text
from nats_gym.datasets import find_dataset, searched_key
from nats_gym.errors import unknown_option
from nats_gym.spaces import get_space
from nats_gym.streams import combine_int, seed_key
from nats_gym.training import optimizers
from nats_gym.training.architecture import preset
from nats_gym.training.batches import Batch, TrainingBatches, evaluation_batches
from nats_gym.training.data import ImageData, data_folder, load_data
from nats_gym.training.devices import choose_device
from nats_gym.training.record import TrainingFailed
from nats_gym.training.trainer import seeded

from .arguments import (
    build_method,
    check_budget,
    check_checkpoint,
    identifying_arguments,
    method_class,
)
from .checkpoint import load_checkpoint, save_checkpoint
from .method import Method
from .supernet_result import SupernetResult

# SGD of the supernet's weights; from epoch to epoch the learning rate falls along a half cosine.
LEARNING_RATE, LAST_LEARNING_RATE = 0.025, 0.001
MOMENTUM, WEIGHT_DECAY = 0.9, 5e-4
# Images of a batch that candidates are compared on.
_COMPARED_ON = 512

# Tags that keep the draws of one seed apart.
_INIT, _TRAIN, _VALID, _STEPS, _END, _DERIVE = (
    int.from_bytes(tag, "little")
    for tag in (b"init", b"train", b"valid", b"steps", b"end", b"derive")
)


class SupernetSearch:
    """A weight-sharing search on a data set.

    Args:
        method: a name of :data:`nats_gym.agents.weight_sharing.METHODS`, or a class of one's own.
        dataset: ``"cifar10"`` (weights on one half of its training images, architecture on the
            other), ``"cifar100"``, ``"ImageNet16-120"``, ``"digits"``, or images of one's own
            with the splits ``"train"`` and ``"x-valid"``.
        epochs: length of the schedule; default 100, and 3 for digits.
        seed: from 0; initial weights, order, augmentation and samples derive from it.
        device: ``"auto"`` takes a CUDA device if there is one.
        batch_size: images of a step; default 64, and 24 for digits.
        budget: real seconds; the epoch in which they are spent is the last. The schedule stays.
        settings: further arguments of the method, such as ``{"tau_last": 1}``; what is not
            among them is the data set's own.
        network: arguments of the supernet; default the data set's own.
        amp: compute in bfloat16 where autocast thinks it safe.
        channels_last: lay images and weights out with the channels last; on the CPU images are
            in any case.
        compile: compile with ``torch.compile`` what is the same at every step: mixtures and masked
            networks whole, of sampled paths the blocks between stages (needs a C++ compiler).
        data_dir: see :func:`nats_gym.training.data.load_data`.
        among: choices of the architectures to choose from, ``(m, n)``; None for all of the space.
            A partial table can judge no others.
        checkpoint: file to write after every epoch; if it is there, the search goes on from it.
        progress: is called after every epoch with the result so far.

    Raises:
        InvalidInput: for an argument out of range.
        NatsGymError: if the data cannot be loaded.
    """

    def __init__(
        self,
        method: str | type[Method],
        dataset: str | ImageData,
        *,
        epochs: int | None = None,
        seed: int = 0,
        device: torch.device | str = "auto",
        batch_size: int | None = None,
        budget: float | None = None,
        settings: Mapping[str, Any] | None = None,
        network: Mapping[str, Any] | None = None,
        amp: bool = False,
        channels_last: bool = False,
        compile: bool = False,
        data_dir: str | os.PathLike[str] | None = None,
        among: NDArray[np.int64] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        progress: Callable[[SupernetResult], None] | None = None,
    ) -> None:
        cls = method_class(method)
        if not isinstance(dataset, ImageData):
            dataset = text(dataset, "dataset, unless it is an ImageData,")
        name = dataset if isinstance(dataset, str) else dataset.name
        self._device = choose_device(device)
        if data_dir is not None:
            data_folder(data_dir)
        check_budget(budget)
        self._checkpoint = check_checkpoint(checkpoint)
        identifying = identifying_arguments(
            cls,
            name,
            epochs=epochs,
            seed=seed,
            batch_size=batch_size,
            settings=settings,
            network=network,
            amp=amp,
            channels_last=channels_last,
            compile=compile,
            among=among,
        )
        if isinstance(dataset, ImageData):
            data = dataset
        else:
            data = load_data(searched_key(dataset), data_dir)
        self.arguments = {
            "method": method if isinstance(method, str) else f"{cls.__module__}:{cls.__qualname__}",
            "images": [len(data.rows(split)) for split in ("train", "x-valid")],
            **identifying,
        }
        self._space = get_space(cls.space)
        chosen = self.arguments["among"]
        self._among = None if chosen is None else torch.tensor(chosen, device=self._device)
        self._epochs, self._budget = self.arguments["epochs"], budget
        self._key = seed_key(self.arguments["seed"])
        self._progress = function(progress, "progress")
        self._memory_format = (
            torch.channels_last if identifying["channels_last"] else torch.contiguous_format
        )

        def build() -> nn.Module:
            return build_method(cls, data.num_classes, self.arguments)

        self.method = cast(Method, seeded(build, self._draw_from(_INIT)).to(self._device))
        supernet = self.method.supernet
        supernet.to(memory_format=self._memory_format)  # type: ignore[call-overload]
        supernet.amp = self.arguments["amp"]
        if self.arguments["compile"]:
            supernet.compile_parts()
        self._weights = make_sgd(supernet)
        self._data = data.to(self._device)
        self._train, self._valid = (
            TrainingBatches(
                self._data,
                split,
                self.arguments["batch_size"],
                preset(cls.space, name)[0].horizontal_flip,
                data.crop_padding,
                self._memory_format,
            )
            for split in ("train", "x-valid")
        )

    @classmethod
    def check(cls, method: str | type[Method], dataset: str, /, **options: Any) -> None:
        """Raise what the constructor would for these arguments; no data are loaded.

        Args:
            method, dataset: as the constructor's; the data set by its name.
            options: keyword arguments of the constructor.

        Raises:
            InvalidInput: for an unknown name, or a value of the wrong type or out of range.
        """
        names = list(inspect.signature(cls.__init__).parameters)[3:]
        for name in options:
            if name not in names:
                raise unknown_option(name, names, "a weight-sharing search")
        searched = method_class(method)
        searched_key(dataset)
        choose_device(options.pop("device", "auto"))
        data_folder(options.pop("data_dir", None))
        check_budget(options.pop("budget", None))
        check_checkpoint(options.pop("checkpoint", None))
        function(options.pop("progress", None), "progress")
        arguments = identifying_arguments(searched, dataset, **options)
        # On shapes alone: neither memory nor random numbers. A class of one's own may want numbers.
        with suppress(RuntimeError), torch.device("meta"):
            build_method(searched, 10, arguments)

    def run(self) -> SupernetResult:
        """Search until the schedule or the budget ends.

        Raises:
            TrainingFailed: if the loss, or what is learnt of the architecture, is no number.
            UnreadableCheckpoint: for a damaged checkpoint.
            InvalidInput: for one of another search.
        """
        facts = find_dataset(self.arguments["dataset"])
        # Two threads slow each other down in small supernets.
        with one_thread() if facts and facts.small else nullcontext():
            return self._run()

    def _run(self) -> SupernetResult:
        result = self._begun()
        while len(result.index) < self._epochs and not self._spent(result):
            start = perf_counter()
            loss, alphas, choices = self._epoch(len(result.index))
            seconds = result.total_seconds + perf_counter() - start
            result = replace(
                result,
                index=np.append(result.index, self._space.index(choices)),
                seconds=np.append(result.seconds, seconds),
                alphas=np.concatenate([result.alphas, alphas[None]]),
                loss=np.append(result.loss, loss),
            )
            if self._checkpoint is not None:
                save_checkpoint(self._checkpoint, result, self.method, self._weights)
            if self._progress is not None:
                self._progress(result)
        return result

    def _spent(self, result: SupernetResult) -> bool:
        return self._budget is not None and result.total_seconds >= self._budget

    def _epoch(self, epoch: int) -> tuple[float, NDArray[np.float64], list[int]]:
        """Mean loss of an epoch's weight steps; log-probabilities and derived choices after it."""
        method, steps = self.method, len(self._train)
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        cuda = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(self._draw_from(_STEPS, epoch))
            method.begin_epoch(epoch, self._epochs)
            method.supernet.train()
            batches = self._train.epoch(self._draw_from(_TRAIN, epoch))
            # As many images of the validation half, each drawn whatever the others are.
            drawn = len(self._data.rows("train"))
            others = self._valid.epoch(self._draw_from(_VALID, epoch), drawn)
            for group in self._weights.param_groups:
                group["lr"] = self._learning_rate(epoch)
            try:
                for train, valid in zip(batches, others, strict=True):
                    loss = method.weight_loss(*train)
                    self._weights.zero_grad(set_to_none=False)
                    torch.autograd.backward(loss)
                    self._weights.step()
                    method.architecture_step(valid, train, self._weights)
                    total += loss.detach()
                method.supernet.eval()  # judged by the running statistics, where it has such
                method.end_epoch(self._comparisons(_END, epoch))
            except RuntimeError:  # such as torch's, asked to sample from what is no number
                self._after(epoch, total)
                raise
            alphas = self._after(epoch, total)
            with torch.no_grad():
                choices = method.derive(self._comparisons(_DERIVE, epoch), self._among)
            return total.item() / steps, alphas, choices

    def _after(self, epoch: int, loss: torch.Tensor) -> NDArray[np.float64]:
        """The log-probabilities after an epoch; ``TrainingFailed`` if they or the loss diverged."""
        if not math.isfinite(loss.item()):
            raise TrainingFailed(f"the supernet diverged in epoch {epoch + 1}")
        alphas: NDArray[np.float64] = self.method.log_probabilities().double().cpu().numpy()
        if np.isnan(alphas).any():
            raise TrainingFailed(f"the architecture's parameters diverged in epoch {epoch + 1}")
        return alphas

    def _learning_rate(self, epoch: int) -> float:
        cosine = (1 + math.cos(math.pi * epoch / self._epochs)) / 2
        return LAST_LEARNING_RATE + (LEARNING_RATE - LAST_LEARNING_RATE) * cosine

    def _draw_from(self, tag: int, *numbers: int) -> int:
        key = combine_int(self._key, tag)
        for number in numbers:
            key = combine_int(key, number)
        return key

    def _comparisons(self, tag: int, epoch: int) -> Iterator[Batch]:
        """Large batches of the validation half, not augmented, in random order without end."""
        for turn in itertools.count():
            yield from evaluation_batches(
                self._data,
                "x-valid",
                _COMPARED_ON,
                self._memory_format,
                self._draw_from(tag, epoch, turn),
            )

    def _begun(self) -> SupernetResult:
        if self._checkpoint is not None and self._checkpoint.exists():
            return load_checkpoint(self._checkpoint, self.arguments, self.method, self._weights)
        shape = (0, self._space.num_decisions, self._space.num_choices)
        none = np.empty(0)
        return SupernetResult(none.astype(np.int64), none, np.empty(shape), none, self.arguments)


def make_sgd(supernet: nn.Module) -> torch.optim.Optimizer:
    """SGD of a supernet's weights, ready for gradients of any part of them.

    Gradients begin as zeros and are to stay tensors (``zero_grad(set_to_none=False)``): what a
    step did not reach decays and moves on with its momentum. So it was with torch before 2.0, on
    which NATS-Bench's searches ran; since then, gradients of what was not reached are None, and
    SGD leaves it as it is.
    """
    optimizer = optimizers.make_sgd(supernet.parameters(), LEARNING_RATE, MOMENTUM, WEIGHT_DECAY)
    for weight in supernet.parameters():
        weight.grad = torch.zeros_like(weight)
        # As the first step would: a velocity of nothing yet.
        optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
    return optimizer
