"""How a network is trained: NATS-Bench's recipe, any part of which can be changed."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Any

from nats_gym import checks
from nats_gym.errors import InvalidInput, said, shown
from nats_gym.simulation.schedule import LONGEST

#: What a training that did not work out counts as: the accuracy of guessing, 0, or an exception.
FAILURE_RULES = ("chance", "zero", "raise")

#: The mode of ``torch.compile`` that uses CUDA graphs.
CUDA_GRAPHS = "reduce-overhead"

#: Images of a batch, and black pixels at a border, that memory still holds.
MAX_BATCH, MAX_PADDING = 1_000_000, 64


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
            time limit or finds no memory: ``"chance"`` (100 / number of classes), ``"zero"``, or
            ``"raise"``.

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
        plain: dict[str, Any] = {}
        for name, low, high in (
            ("epochs", 1, LONGEST),
            ("batch_size", 1, MAX_BATCH),
            ("crop_padding", 0, MAX_PADDING),
        ):
            given = getattr(self, name)
            if given is not None or name != "crop_padding":
                plain[name] = checks.integer(given, f"a recipe's {name}", low, high)
        for name, below in (("learning_rate", inf), ("momentum", 1), ("weight_decay", inf)):
            given = getattr(self, name)
            plain[name] = checks.number(given, f"a recipe's {name}", 0, below=below)
        for name in ("horizontal_flip", "amp", "channels_last"):
            plain[name] = checks.switch(getattr(self, name), f"a recipe's {name}")
        if isinstance(self.compile, str):
            plain["compile"] = checks.word(self.compile, "compile", (CUDA_GRAPHS,))
        else:
            what = f"a recipe's compile, if not {CUDA_GRAPHS!r},"
            plain["compile"] = checks.switch(self.compile, what)
        plain["on_failure"] = checks.word(self.on_failure, "on_failure", FAILURE_RULES)
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    def changed(self, given: object) -> Recipe:
        """This recipe with some fields changed, or another in its place.

        Args:
            given: a :class:`Recipe`, or a dictionary of fields. Of these ``epochs`` is none: how
                long to train is asked for by itself.

        Raises:
            InvalidInput: for anything else, and a value out of range.
        """
        if isinstance(given, Recipe):
            return given
        fields = checks.mapping(given, "recipe is a dictionary of fields to change, or a Recipe")
        known = [name for name in vars(self) if name != "epochs"]
        for name in fields:
            if name == "epochs":
                raise InvalidInput(
                    "epochs is an argument of its own (epochs=), no field of a recipe to change; "
                    f"got {shown(fields[name])}"
                )
            checks.word(name, "field of a recipe", known)
        return replace(self, **fields)

    def learning_rate_at(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0: lr·(1 + cos(πe/E))/2.

        Raises:
            InvalidInput: for what is no epoch of the recipe's.
        """
        epoch = checks.integer(epoch, "epoch, counted from 0,", 0, self.epochs)
        return self.learning_rate * (1 + math.cos(math.pi * epoch / self.epochs)) / 2

    def to_json(self) -> str:
        """Canonical JSON: the same text for equal recipes."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Inverse of :meth:`to_json`; ``InvalidInput`` for any other text."""
        try:
            return cls(**json.loads(text))
        except (RecursionError, TypeError, ValueError) as error:
            raise InvalidInput(f"no recipe as JSON, {shown(text)}: {said(error)}") from error

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of :meth:`to_json`: names a recipe in caches and results."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()
