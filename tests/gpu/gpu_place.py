"""Where the checks of this folder run, and how they tell networks apart.

A check is a function ``test_…(place)``, or ``test_…(place, case)`` with :func:`each`. Pytest
collects them, and ``scripts/gpu_check.py`` calls them where there is no pytest: so they use nothing
of it, and what cannot be checked here raises ``unittest.SkipTest`` with the reason.
"""

from __future__ import annotations

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
from nats_gym.training.trainer import seeded

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
RECIPE = Recipe(epochs=2, batch_size=16, learning_rate=0.05, horizontal_flip=False)


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


def close(found: Any, wanted: Any, within: float, what: str) -> None:
    """Raise unless two lists of figures, or tensors, agree to a fraction of the largest."""
    one, other = (torch.as_tensor(figures).detach().double().cpu() for figures in (found, wanted))
    apart = float((one - other).abs().max() / other.abs().max().clamp_min(1e-30))
    assert apart <= within, f"{what} is {apart:.2g} apart, allowed is {within:g}"
