"""Where the checks of this folder run, and how they tell networks apart.

A check is a function ``test_…(place)``, or ``test_…(place, case)`` with :func:`each`. Pytest
collects them, and ``scripts/gpu_check.py`` calls them where there is no pytest: so they use nothing
of it, and what cannot be checked here raises ``unittest.SkipTest`` with the reason.
"""

from __future__ import annotations

import copy
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from unittest import SkipTest

import torch
from quarters import quarters
from torch import nn

from nats_gym.networks import build
from nats_gym.training.data import ImageData, load_data
from nats_gym.training.recipe import Recipe
from nats_gym.training.record import COMPLETED, TrainingRecord
from nats_gym.training.trainer import seeded

#: Trains networks in place, by data and a recipe.
Training = Callable[[list[nn.Module], ImageData, Recipe], list[TrainingRecord]]

Check = TypeVar("Check", bound=Callable[..., None])

#: Of the networks of the checks: small, for what is proved is the way and not the size.
SMALL = {"cells_per_stage": 1}
#: A dense cell, one of every operation, and one with an edge that cannot matter.
TOPOLOGIES = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|"
    "nor_conv_3x3~2|",
    "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|nor_conv_1x1~1|avg_pool_3x3~2|",
    "|nor_conv_1x1~0|+|none~0|nor_conv_3x3~1|+|avg_pool_3x3~0|nor_conv_3x3~1|none~2|",
)
SIZES = ("8:8:8:8:8", "64:8:32:16:24", "16:16:32:32:64")
RECIPE = Recipe(epochs=2, batch_size=16, learning_rate=0.01, horizontal_flip=False)

# What rounding may do. A loss before the first step is apart by a few roundings. Of a step on, a
# rectifier that is all but zero may be on here and off there, and each step multiplies what follows
# of that: a training is compared with itself from weights that are changed by so little of each,
# several times, and may part by a few times as much as those do, or by what is always allowed.
_FIRST, _EARLY = 3e-5, 5e-3
_SHAKEN_BY, _SHAKEN, _TIMES = 1e-5, 2, 5
_LOSS, _WAY = 1e-2, 0.1


@dataclass(frozen=True)
class Place:
    """Where checks run.

    Attributes:
        device: on which.
        folder: an empty one.
        miniature: whether this is the CPU, in place of a GPU.
    """

    device: torch.device
    folder: Path
    miniature: bool = False

    def need_gpu(self, what: str) -> None:
        """Leave a check out that nothing but a GPU can do."""
        if self.device.type != "cuda":
            raise SkipTest(f"no GPU here: {what}")

    def need_compiler(self) -> None:
        """Leave a check out that translates: it takes a compiler, and Triton on a GPU."""
        if lacking := compiler_lacks(self.device):
            raise SkipTest(lacking)


def compiler_lacks(device: torch.device) -> str:
    """What ``torch.compile`` lacks here; an empty string if nothing."""
    if not any(map(shutil.which, ("c++", "g++", "gcc", "cc"))):
        return "no C++ compiler here"
    packages = ("filelock", "triton") if device.type == "cuda" else ("filelock",)
    for package in packages:
        if find_spec(package) is None:
            return f"no {package} here, which torch.compile needs"
    if not Path(sysconfig.get_paths()["include"], "Python.h").is_file():
        return "no Python.h here, which torch.compile needs"
    return ""


def each(*cases: Any) -> Callable[[Check], Check]:
    """Run a check once for each of these, which it takes as ``case``."""

    def mark(check: Check) -> Check:
        check.cases = cases  # type: ignore[attr-defined]
        return check

    return mark


@contextmanager
def exact_float32() -> Iterator[None]:
    """No tensor cores for float32, which round to ten bits: the CPU does not."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def images(folder: Path) -> ImageData:
    """Few digits where scikit-learn is, else quarters: what can be learnt within seconds."""
    if find_spec("sklearn") is None:
        return quarters(400)
    data = load_data("digits", folder)  # where home is, another package says
    splits = {"train": data.splits["train"][:600], "x-valid": data.splits["x-valid"][:200]}
    return replace(data, splits=splits)


def network(space: str, architecture: str, seed: int = 0, classes: int = 4) -> nn.Module:
    """A small network with its initial weights, on the CPU."""
    return seeded(lambda: build(space, architecture, classes, **SMALL), seed)


def moved(one: nn.Module, other: nn.Module, start: nn.Module) -> float:
    """How far two trainings of a start have parted, as a fraction of the way that they went."""
    ends = [
        torch.cat([weight.detach().double().cpu().flatten() for weight in each.parameters()])
        for each in (one, other, start)
    ]
    return float((ends[0] - ends[1]).norm() / (ends[1] - ends[2]).norm())


def shaken(start: nn.Module, seed: int) -> nn.Module:
    """A copy with weights changed by little."""
    generator = torch.Generator().manual_seed(seed)
    changed = copy.deepcopy(start)
    with torch.no_grad():
        for weight in changed.parameters():
            weight.mul_(1 + _SHAKEN_BY * torch.randn(weight.shape, generator=generator))
    return changed


def train_alike(
    starts: list[nn.Module], one: Training, other: Training, recipe: Recipe = RECIPE
) -> None:
    """Raise unless two ways to train networks are the same but for rounding.

    The first steps, of one batch, must agree closely; a whole training as far as the other way
    agrees with itself from weights that are hardly changed.

    Args:
        starts: the networks, on the CPU.
        one, other: the ways; the other is the one that is known to be right.
        recipe: of the whole training.
    """
    data = quarters()
    batch = {**data.splits, "train": data.splits["train"][: recipe.batch_size]}
    few = replace(data, splits=batch), replace(recipe, epochs=3)
    early = [way(copy.deepcopy(starts), *few) for way in (one, other)]
    for found, wanted in zip(*early, strict=True):
        close(found.train.loss[:1], wanted.train.loss[:1], _FIRST, "the first loss")
        close(found.train.loss, wanted.train.loss, _EARLY, "the loss of the first steps")
    here, there = copy.deepcopy(starts), copy.deepcopy(starts)
    records = one(here, data, recipe), other(there, data, recipe)
    again = [[shaken(start, seed) for start in starts] for seed in range(_SHAKEN)]
    changed = [(networks, other(networks, data, recipe)) for networks in again]
    for number, (found, wanted) in enumerate(zip(*records, strict=True)):
        close_records(found, wanted, [some[number] for _, some in changed])
        way = [moved(some[number], there[number], starts[number]) for some, _ in changed]
        parted = moved(here[number], there[number], starts[number])
        allowed = max(_WAY, _TIMES * max(way))
        assert parted <= allowed, f"weights part by {parted:.2g} of their way, not {allowed:.2g}"


def close_records(
    found: TrainingRecord, wanted: TrainingRecord, changed: list[TrainingRecord]
) -> None:
    """Raise unless two trainings ended alike, for what a few that were hardly changed came to."""
    assert found.status == wanted.status == COMPLETED, (found.status, wanted.status)
    assert (found.seed, found.epochs) == (wanted.seed, wanted.epochs)
    apart = [spread(one.train.loss, wanted.train.loss) for one in changed]
    close(found.train.loss, wanted.train.loss, max(_LOSS, _TIMES * max(apart)), "training loss")
    # Of twenty images, three.
    assert abs(found.accuracy("x-valid") - wanted.accuracy("x-valid")) <= 15


def spread(found: Any, wanted: Any) -> float:
    """How far two lists of figures, or tensors, are apart, as a fraction of the largest."""
    one, other = (torch.as_tensor(figures).detach().double().cpu() for figures in (found, wanted))
    return float((one - other).abs().max() / other.abs().max().clamp_min(1e-30))


def close(found: Any, wanted: Any, within: float, what: str) -> None:
    """Raise unless two lists of figures, or tensors, agree to a fraction of the largest."""
    apart = spread(found, wanted)
    assert apart <= within, f"{what} is {apart:.2g} apart, allowed is {within:.2g}"
