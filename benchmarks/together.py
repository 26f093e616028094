"""Training steps of several networks as one group against one network after another.

A step is forward pass, loss, backward pass and SGD, the same on both sides, in interleaved pairs
on one thread; seconds are those of the processor, which others on the machine disturb least.

    python benchmarks/together.py               # a minute on an idle core
    python benchmarks/together.py --pairs 15
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from copy import deepcopy
from statistics import median
from time import thread_time

import numpy as np
import torch
from torch import nn

from nats_gym.datasets.known import CIFAR10, DIGITS, Dataset
from nats_gym.machine import describe
from nats_gym.networks import Network, build
from nats_gym.networks.grouping import choose_group
from nats_gym.networks.stacked import StackedNetworks
from nats_gym.training.recipe import Recipe

MEMBERS = 8
BAR = 1.3  # for small sizes on small images


def small_sizes(dataset: Dataset) -> list[Network]:
    """Random ones of 8 or 16 channels a layer."""
    rng = np.random.default_rng(0)
    widths = 8 * rng.integers(1, 3, size=(MEMBERS, 5))
    cells = dataset.cells_per_stage.get("sss")
    return [
        build("sss", ":".join(map(str, one)), dataset.num_classes, cells_per_stage=cells)
        for one in widths.tolist()
    ]


def trials(dataset: Dataset) -> list[Network]:
    """Of the topology with every operation but none."""
    return [topology(dataset, (3, 2, 4, 1, 3, 2)) for _ in range(MEMBERS)]


def topologies(dataset: Dataset) -> list[Network]:
    """Random ones."""
    indices = np.random.default_rng(0).integers(15_625, size=MEMBERS)
    return [topology(dataset, int(index)) for index in indices]


def topology(dataset: Dataset, architecture: int | tuple[int, ...]) -> Network:
    """With a cell a stage where the recipe has the official five, which only take longer."""
    cells = dataset.cells_per_stage.get("tss", 1)
    return build("tss", architecture, dataset.num_classes, cells_per_stage=cells)


def sgd(module: nn.Module) -> torch.optim.Optimizer:
    recipe = Recipe()
    return torch.optim.SGD(
        module.parameters(),
        recipe.learning_rate,
        recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=True,
        fused=True,
    )


def grouped_step(
    group: nn.Module, images: torch.Tensor, labels: torch.Tensor
) -> Callable[[], object]:
    """A training step of all members at once."""
    optimizer = sgd(group)

    def step() -> None:
        logits = group(images)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
        optimizer.zero_grad()
        (loss / labels.shape[1]).backward()
        optimizer.step()

    return step


def separate_step(
    networks: Sequence[nn.Module], images: torch.Tensor, labels: torch.Tensor
) -> Callable[[], object]:
    """A training step of one after another."""
    optimizers = [sgd(network) for network in networks]

    def step() -> None:
        for network, optimizer, own, right in zip(
            networks, optimizers, images, labels, strict=True
        ):
            loss = nn.functional.cross_entropy(network(own), right)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return step


def paired(
    ours: Callable[[], object], theirs: Callable[[], object], pairs: int
) -> tuple[float, float]:
    """Median seconds of each, taken in turn after one for warming up."""
    times: list[tuple[float, float]] = []
    for _ in range(pairs + 1):
        start = thread_time()
        ours()
        middle = thread_time()
        theirs()
        times.append((middle - start, thread_time() - middle))
    return median(mine for mine, _ in times[1:]), median(other for _, other in times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--pairs", type=int, default=7, help="on 8×8 images; a third of it on 32×32"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    batch = int(DIGITS.recipe["batch_size"])
    print(f"{MEMBERS} networks, batch {batch}, one thread, torch {torch.__version__}, {describe()}")
    for dataset in (DIGITS, CIFAR10):
        side = dataset.resolution
        for make in (small_sizes, trials, topologies):
            networks = make(dataset)
            apart = deepcopy(networks)
            chosen = type(choose_group(deepcopy(networks), side, batch)).__name__
            images = torch.randn(MEMBERS, batch, 3, side, side)
            labels = torch.randint(0, dataset.num_classes, (MEMBERS, batch))
            together, separate = paired(
                grouped_step(StackedNetworks(networks), images, labels),
                separate_step(apart, images, labels),
                arguments.pairs if dataset.small else max(1, arguments.pairs // 3),
            )
            ratio = separate / together
            bar = ""
            if dataset.small and make is small_sizes:
                bar = f" (bar {BAR}: {'met' if ratio >= BAR else 'MISSED'})"
            print(
                f"{side:2}×{side:<2} {make.__name__.replace('_', ' '):12} one after another "
                f"{1000 * separate:6.1f} ms, stacked {1000 * together:6.1f} ms: "
                f"{ratio:.2f}×{bar}; chosen: {chosen}",
                flush=True,
            )


if __name__ == "__main__":
    main()
