"""How a network is trained: NATS-Bench's recipe, any part of which can be changed."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from nats_gym.errors import InvalidInput, did_you_mean, shown, unknown_name

#: What a training that did not work out counts as: the accuracy of guessing, 0, or an exception.
FAILURE_RULES = ("chance", "zero", "raise")

#: The mode of ``torch.compile`` that uses CUDA graphs.
CUDA_GRAPHS = "reduce-overhead"

_LARGEST = 1_000_000


@dataclass(frozen=True)
class Recipe:
    """A training recipe; the defaults are NATS-Bench's, with its 12-epoch schedule.

    SGD with Nesterov momentum and weight decay on all parameters, cross-entropy, and a learning
    rate that falls along a half cosine, set once per epoch. ``dataclasses.replace`` changes it.

    Source: NATS-Bench (arXiv 2009.00437), section 3.3 and its configuration files.

    Attributes:
        epochs: length of the schedule.
        batch_size: images in a batch; the last batch of an epoch may hold fewer.
        learning_rate: of the first epoch.
        momentum: of SGD; Nesterov's if above 0.
        weight_decay: on every parameter, those of batch norms and biases too.
        horizontal_flip: mirror half of the training images.
        crop_padding: black pixels at each border before a random crop of the old size; None for
            the data set's own (4 for CIFAR, 2 for ImageNet16-120, 1 for digits), 0 for none.
        amp: compute in bfloat16 where autocast thinks it safe.
        channels_last: lay images and weights out with the channels last.
        compile: compile the network with ``torch.compile`` (takes a minute, needs a C++ compiler).
            ``"reduce-overhead"`` also replays its work as CUDA graphs on a GPU, which spares the
            launch of each kernel; on the CPU it is as True.
        on_failure: what a training counts as whose loss is no longer finite, or that outlives its
            time limit: ``"chance"`` (100 / number of classes), ``"zero"``, or ``"raise"``.

    Raises:
        InvalidInput: for a value out of range; says which.
    """

    epochs: int = 12
    batch_size: int = 256
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    horizontal_flip: bool = True
    crop_padding: int | None = None
    amp: bool = False
    channels_last: bool = True
    compile: bool | str = False
    on_failure: str = "chance"

    def __post_init__(self) -> None:
        """Check every field."""
        _check_integer("epochs", self.epochs, 1)
        _check_integer("batch_size", self.batch_size, 1)
        if self.crop_padding is not None:
            _check_integer("crop_padding", self.crop_padding, 0)
        _check_number("learning_rate", self.learning_rate, math.inf)
        _check_number("momentum", self.momentum, 1)
        _check_number("weight_decay", self.weight_decay, math.inf)
        for name in ("horizontal_flip", "amp", "channels_last"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidInput(
                    f"a recipe's {name} is True or False, got {shown(getattr(self, name))}"
                )
        if not isinstance(self.compile, bool) and self.compile != CUDA_GRAPHS:
            raise InvalidInput(
                f"a recipe's compile is True, False or {CUDA_GRAPHS!r}, got {shown(self.compile)}."
                f"{did_you_mean(self.compile, [CUDA_GRAPHS])}"
            )
        if self.on_failure not in FAILURE_RULES:
            raise unknown_name("on_failure", self.on_failure, FAILURE_RULES)

    def learning_rate_at(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0: lr·(1 + cos(πe/E))/2."""
        return self.learning_rate * (1 + math.cos(math.pi * epoch / self.epochs)) / 2

    def to_json(self) -> str:
        """Canonical JSON: the same text for equal recipes."""
        floats = ("learning_rate", "momentum", "weight_decay")
        content = {**asdict(self), **{name: float(getattr(self, name)) for name in floats}}
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Inverse of :meth:`to_json`."""
        return cls(**json.loads(text))

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of :meth:`to_json`: names a recipe in caches and results."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def _check_integer(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _LARGEST:
        raise InvalidInput(
            f"a recipe's {name} is an integer from {least} to {_LARGEST:,}, got {shown(value)}"
        )


def _check_number(name: str, value: Any, below: float) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= value < below:
        bound = "" if math.isinf(below) else f" and below {below:g}"
        raise InvalidInput(f"a recipe's {name} is a number from 0{bound}, got {shown(value)}")


#: For digits: in four epochs of NATS-Bench's recipe every network stays near chance. This one takes
#: one to two seconds on an idle core, and spreads random architectures out.
DIGITS_RECIPE = Recipe(epochs=4, batch_size=24, learning_rate=0.005, horizontal_flip=False)

#: Cells a stage for digits, by space; NATS-Bench has 5 and 1. With one alone, topologies hardly
#: differ by more than their trials do.
DIGITS_CELLS = {"tss": 3, "sss": 1}
