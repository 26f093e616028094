"""What a search of one's own costs: seconds of training of small and large architectures.

Of an epoch over 1,000 images, for the smallest and the largest network of NATS-Bench's spaces;
images are random, for the time of a step does not depend on them. A search costs its evaluations
times their epochs times the thousands of training images, divided by its workers.

    python benchmarks/search_costs.py              # on the CPU, one thread; some five minutes
    python benchmarks/search_costs.py --device cuda
"""

from __future__ import annotations

import argparse
from statistics import median
from time import perf_counter

import torch
from plain_training import random_images

from nats_gym.machine import describe
from nats_gym.networks import build
from nats_gym.spaces import get_space
from nats_gym.training.recipe import Recipe
from nats_gym.training.trainer import seeded, train

RESOLUTIONS = (16, 32)


def ends(space: str) -> tuple[int, int]:
    """Official indices of the architectures of fewest and of most FLOPs."""
    flops = get_space(space).figure("flops", "cifar10").values
    return int(flops.argmin()), int(flops.argmax())


def seconds_of_epoch(
    space: str, index: int, resolution: int, images: int, device: str, rounds: int
) -> float:
    """Median seconds of an epoch over 1,000 images, after one for warming up."""
    data = random_images(images, resolution=resolution)
    recipe, times = Recipe(epochs=1), []
    network = seeded(lambda: build(space, index, 10), 0)
    for _ in range(rounds + 1):
        start = perf_counter()
        train(network, data, recipe, device=device, evaluate_on=())
        times.append(perf_counter() - start)
    return median(times[1:]) * 1_000 / images


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=256, help="of the epochs that are timed")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{arguments.device}, one thread, torch {torch.__version__}; {describe()}\n")
    sizes = " | ".join(f"{side}×{side}" for side in RESOLUTIONS)
    print(f"| space | architecture | {sizes} |\n|---|---|{'---|' * len(RESOLUTIONS)}")
    for space in ("tss", "sss"):
        for which, index in zip(("smallest", "largest"), ends(space), strict=True):
            times = [
                seconds_of_epoch(
                    space, index, side, arguments.images, arguments.device, arguments.rounds
                )
                for side in RESOLUTIONS
            ]
            shown = " | ".join(f"{time:.2g} s" for time in times)
            print(f"| `{space}` | {which}: {index} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
