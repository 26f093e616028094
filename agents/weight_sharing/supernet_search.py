"""The loop of all weight-sharing searches: weights and architecture trained in turn.

Every draw of an epoch follows from the seed and the epoch, so a search that was killed needs
nothing but its last checkpoint to go on as if it had not been; on the CPU to the bit.

Source: NATS-Bench (Dong et al., arXiv 2009.00437), section 5.2 and its reference code.
"""

from __future__ import annotations

import inspect
import itertools
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nats_gym.errors import InvalidInput, UnreadableResult, shown, unknown_name
from nats_gym.evaluators.training import DATA_KEYS
from nats_gym.files import replacing
from nats_gym.spaces import get_space
from nats_gym.streams import combine_int, seed_key
from nats_gym.training.architecture import preset
from nats_gym.training.batches import Batch, TrainingBatches, evaluation_batches
from nats_gym.training.checkpoint import UnreadableCheckpoint
from nats_gym.training.data import ImageData, load_data
from nats_gym.training.record import TrainingFailed
from nats_gym.training.trainer import choose_device, seeded

from . import get_method
from .method import Method

# SGD of the supernet's weights; the learning rate falls along a half cosine.
LEARNING_RATE, LAST_LEARNING_RATE = 0.025, 0.001
MOMENTUM, WEIGHT_DECAY = 0.9, 5e-4
#: Length of the schedule in NATS-Bench, and of the small default.
EPOCHS, DIGITS_EPOCHS = 100, 3
BATCH_SIZE = 64
# Images of a batch that candidates are compared on.
_COMPARED_ON = 512

# Tags that keep the draws of one seed apart.
_INIT, _TRAIN, _VALID, _STEPS = (
    int.from_bytes(tag, "little") for tag in (b"init", b"train", b"valid", b"steps")
)

_FORMAT = 1


@dataclass(frozen=True, eq=False)
class SupernetResult:
    """What a weight-sharing search found, epoch by epoch.

    Attributes:
        index: official index of the architecture derived after each epoch, ``(epochs,)``.
        seconds: real seconds that had gone by then, ``(epochs,)``.
        alphas: log-probability of each choice at each decision by then, up to a constant a row,
            ``(epochs, n, k)``.
        loss: mean loss of the weights' steps, ``(epochs,)``.
        arguments: what the search was made with, defaults filled in.
    """

    index: NDArray[np.int64]
    seconds: NDArray[np.float64]
    alphas: NDArray[np.float64]
    loss: NDArray[np.float64]
    arguments: Mapping[str, Any]

    @property
    def derived(self) -> int:
        """Official index of the architecture after the last epoch."""
        return int(self.index[-1])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one ``.npz`` file, whole or not at all; returns its path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, arguments=json.dumps(dict(self.arguments)), **arrays)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SupernetResult:
        """Read what :meth:`save` wrote.

        Raises:
            UnreadableResult: if it is missing or damaged.
        """
        try:
            # Opened here, since numpy leaves a damaged file open.
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as content:
                arrays = {name: content[name] for name in _ARRAYS}
                return cls(**arrays, arguments=json.loads(str(content["arguments"])))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise UnreadableResult(f"no search is read from {str(path)!r}: {error}") from error


_ARRAYS = ("index", "seconds", "alphas", "loss")


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
        settings: further arguments of the method, such as ``{"tau_last": 1}``; default the data
            set's own.
        network: arguments of the supernet; default the data set's own.
        amp: compute in bfloat16 where autocast thinks it safe.
        channels_last: lay images and weights out with the channels last; on the CPU images are
            in any case.
        compile: compile the supernet's modules with ``torch.compile`` (needs a C++ compiler).
        data_dir: see :func:`nats_gym.training.data.load_data`.
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
        checkpoint: str | os.PathLike[str] | None = None,
        progress: Callable[[SupernetResult], None] | None = None,
    ) -> None:
        cls = get_method(method) if isinstance(method, str) else method
        self._device = choose_device(device)
        if isinstance(dataset, str):
            data = load_data(DATA_KEYS.get(dataset, dataset), data_dir)
        else:
            data = dataset
        data.rows("x-valid")  # refused now if it has none
        name = dataset if isinstance(dataset, str) else data.name
        recipe, options = preset(cls.space, name)
        small = name == "digits"
        if epochs is None:
            epochs = DIGITS_EPOCHS if small else EPOCHS
        if batch_size is None:
            batch_size = recipe.batch_size if small else BATCH_SIZE
        for what, value in (("epochs", epochs), ("batch_size", batch_size)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidInput(f"{what} is an integer from 1, got {shown(value)}")
        if budget is not None and not budget > 0:
            raise InvalidInput(f"budget is a number of seconds above 0, got {shown(budget)}")
        if network is not None or cls.space == "sss":
            options = dict(network or {})
        if settings is None:
            settings = cls.digits_settings if small else {}
        classes = data.num_classes
        self._space = get_space(cls.space)
        self._epochs, self._key, self._budget = epochs, seed_key(seed), budget
        self._checkpoint = None if checkpoint is None else Path(checkpoint)
        self._progress = progress
        self.arguments = {
            "method": method if isinstance(method, str) else f"{cls.__module__}:{cls.__qualname__}",
            "space": cls.space,
            "dataset": name,
            "images": len(data.images),
            "epochs": epochs,
            "seed": seed,
            "batch_size": batch_size,
            "settings": dict(settings),
            "network": options,
            "amp": amp,
            "channels_last": channels_last,
            "compile": compile,
        }

        def build() -> Method:
            supernet = _made("argument of the supernet", cls.supernet_class, classes, options)
            method: Method = _made(f"setting of {cls.__name__}", cls, supernet, settings)
            return method

        built = seeded(build, self._drawn_from(_INIT))
        assert isinstance(built, cls)
        self.method: Method = built.to(self._device)
        memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.method.supernet.to(memory_format=memory_format)  # type: ignore[call-overload]
        self.method.supernet.amp = amp
        if compile:
            self.method.supernet.compile_parts()
        self._weights = make_sgd(self.method.supernet)
        self._data = data.to(self._device)
        self._train, self._valid = (
            TrainingBatches(
                self._data,
                split,
                batch_size,
                recipe.horizontal_flip,
                data.crop_padding,
                memory_format,
            )
            for split in ("train", "x-valid")
        )
        self._memory_format = memory_format

    def run(self) -> SupernetResult:
        """Search until the schedule or the budget ends.

        Raises:
            TrainingFailed: if the loss is no longer a number.
            UnreadableCheckpoint: for a damaged checkpoint.
            InvalidInput: for one of another search.
        """
        result = self._begun()
        while len(result.index) < self._epochs and not self._spent(result):
            start = perf_counter()
            loss, digits = self._epoch(len(result.index))
            alphas = self.method.log_probabilities().double().cpu().numpy()  # waits for the device
            seconds = sum(result.seconds[-1:]) + perf_counter() - start
            result = replace(
                result,
                index=np.append(result.index, self._space.index(digits)),
                seconds=np.append(result.seconds, seconds),
                alphas=np.concatenate([result.alphas, alphas[None]]),
                loss=np.append(result.loss, loss),
            )
            if self._checkpoint is not None:
                self._save(self._checkpoint, result)
            if self._progress is not None:
                self._progress(result)
        return result

    def _spent(self, result: SupernetResult) -> bool:
        return self._budget is not None and sum(result.seconds[-1:]) >= self._budget

    def _epoch(self, epoch: int) -> tuple[float, list[int]]:
        """Mean loss of an epoch's weight steps, and the digits derived after it."""
        method, steps = self.method, len(self._train)
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        cuda = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(self._drawn_from(_STEPS, epoch))
            method.begin_epoch(epoch, self._epochs)
            batches = self._train.epoch(self._drawn_from(_TRAIN, epoch))
            for step, (train, valid) in enumerate(
                zip(batches, self._validation(epoch), strict=False)
            ):
                for group in self._weights.param_groups:
                    group["lr"] = self._learning_rate(epoch + step / steps)
                loss = method.weight_loss(*train)
                self._weights.zero_grad()
                torch.autograd.backward(loss)
                self._weights.step()
                method.architecture_step(valid, train, self._weights)
                total += loss.detach()
            if not math.isfinite(total.item()):
                raise TrainingFailed(f"the supernet diverged in epoch {epoch + 1}")
            comparisons = self._comparisons()
            method.end_epoch(comparisons)
            with torch.no_grad():
                return total.item() / steps, method.derive(comparisons)

    def _learning_rate(self, epochs_passed: float) -> float:
        cosine = (1 + math.cos(math.pi * epochs_passed / self._epochs)) / 2
        return LAST_LEARNING_RATE + (LEARNING_RATE - LAST_LEARNING_RATE) * cosine

    def _drawn_from(self, tag: int, *numbers: int) -> int:
        key = combine_int(self._key, tag)
        for number in numbers:
            key = combine_int(key, number)
        return key

    def _validation(self, epoch: int) -> Iterator[Batch]:
        """Augmented batches of the validation half without end."""
        for turn in itertools.count():
            yield from self._valid.epoch(self._drawn_from(_VALID, epoch, turn))

    def _comparisons(self) -> Iterator[Batch]:
        """Large batches of the validation half as they are, without end."""
        while True:
            yield from evaluation_batches(self._data, "x-valid", _COMPARED_ON, self._memory_format)

    def _begun(self) -> SupernetResult:
        if self._checkpoint is not None and self._checkpoint.exists():
            return self._load(self._checkpoint)
        shape = (0, self._space.num_decisions, self._space.num_choices)
        none = np.empty(0)
        return SupernetResult(none.astype(np.int64), none, np.empty(shape), none, self.arguments)

    def _save(self, path: Path, result: SupernetResult) -> None:
        optimizer = self.method.optimizer
        content = {
            "format": _FORMAT,
            "arguments": json.dumps(self.arguments),
            "history": {name: torch.from_numpy(getattr(result, name)) for name in _ARRAYS},
            "method": self.method.state_dict(),
            "weights": self._weights.state_dict(),
            "architecture": None if optimizer is None else optimizer.state_dict(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            torch.save(content, temporary)

    def _load(self, path: Path) -> SupernetResult:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            written, saved = content["format"], json.loads(content["arguments"])
            history = {name: content["history"][name].numpy() for name in _ARRAYS}
        except Exception as error:  # a damaged file can raise nearly anything
            raise UnreadableCheckpoint(
                f"{path} is damaged or no checkpoint of a search ({type(error).__name__}); delete "
                "it to start anew"
            ) from error
        if written != _FORMAT:
            raise UnreadableCheckpoint(f"{path} has format {written}, this version {_FORMAT}")
        differing = [
            f"{name} {saved.get(name)!r}, not {value!r}"
            for name, value in self.arguments.items()
            if saved.get(name) != value
        ]
        if differing:
            raise InvalidInput(f"{path} is a checkpoint of another search: {'; '.join(differing)}")
        self.method.load_state_dict(content["method"])
        self._weights.load_state_dict(content["weights"])
        if self.method.optimizer is not None:
            self.method.optimizer.load_state_dict(content["architecture"])
        return SupernetResult(**history, arguments=self.arguments)


def _made(kind: str, make: Callable[..., Any], first: object, options: Mapping[str, Any]) -> Any:
    """Call ``make(first, **options)``; a name among the options that it lacks is refused."""
    allowed = list(inspect.signature(make).parameters)[1:]
    for name in options:
        if name not in allowed:
            raise unknown_name(kind, name, allowed)
    return make(first, **options)


def make_sgd(supernet: nn.Module) -> torch.optim.Optimizer:
    """SGD of a supernet's weights, ready for gradients of any part of them."""
    options: dict[str, Any] = {
        "lr": LEARNING_RATE,
        "momentum": MOMENTUM,
        "weight_decay": WEIGHT_DECAY,
        "nesterov": True,
    }
    try:
        # One call for all parameters, as in nats_gym.training.trainer.
        optimizer = torch.optim.SGD(supernet.parameters(), fused=True, **options)
    except (TypeError, RuntimeError):  # torch before 2.4 cannot on every device
        optimizer = torch.optim.SGD(supernet.parameters(), **options)
    for weight in supernet.parameters():
        # As if all had been trained before: paths reach them at different times, and the fused
        # step wants all or none.
        optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
    return optimizer
