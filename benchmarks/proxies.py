"""Processor seconds that each zero-cost score of a topology takes, beside one training step.

Classes of topologies are drawn by a seed; the images are 64 of 32×32. A score is timed on a
network that is built, and those that come of one pass also together. A training step's forward and
backward pass is the least that a score of gradients can take.

    python benchmarks/proxies.py [--samples 100]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import torch
from torch import nn

from nats_gym.machine import describe, versions
from nats_gym.measuring.classes import classes_of, in_random_order
from nats_gym.networks import build
from nats_gym.proxies import score_names
from nats_gym.proxies.registry import find_score
from nats_gym.spaces import get_space

BATCH, RESOLUTION = 64, 32
STEP = "forward and backward"


def passes() -> dict[str, Callable[..., object]]:
    """What is timed, by title: each score, and the passes that give several."""
    alone = {name: find_score(name) for name in score_names()}
    together: dict[Any, list[str]] = {}
    for name, score in alone.items():
        if score.together is not None:
            together.setdefault(score.together, []).append(name)
    found = {name: score.function for name, score in alone.items()}
    return found | {", ".join(names): function for function, names in together.items()}


def step(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Of a training."""
    loss = nn.functional.cross_entropy(network(images), labels)
    if loss.requires_grad:
        loss.backward()


def seconds(index: int, images: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """Of each score of a topology's network, and of a training step."""
    found = {}
    for title, function in {STEP: step, **passes()}.items():
        network = build("tss", index, 10).train()
        begun = process_time()
        function(network, images, labels)
        found[title] = process_time() - begun
    return found


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=20)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images = torch.randn(BATCH, 3, RESOLUTION, RESOLUTION)
    labels = torch.randint(10, (BATCH,))
    chosen = in_random_order(classes_of(get_space("tss")))[: given.samples].tolist()
    seconds(chosen[0], images, labels)  # to warm up
    found = [seconds(index, images, labels) for index in chosen]
    print(f"{len(chosen)} topologies, {describe()}, torch {versions()['torch']}\n")
    print("| score | median seconds | of nine in ten less than |\n|---|--:|--:|")
    for title in found[0]:
        taken = [one[title] for one in found]
        print(f"| {title} | {median(taken):.3f} | {np.quantile(taken, 0.9):.3f} |")


if __name__ == "__main__":
    main()
