"""Our training step against the reference way: a DataLoader and every edge in turn.

The same architecture, recipe and images on both sides, in interleaved pairs: an epoch of ours
(`nats_gym.training.train`), one of theirs, and so on. Images are random bytes of CIFAR's shape:
the time of a step does not depend on what they show.

    python benchmarks/training.py              # on the CPU, one thread; some ten minutes

For a GPU there is ``make gpu``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import geometric_mean, median
from time import perf_counter

import numpy as np
import torch
from plain_training import loader_of, plain_epoch, random_images

from nats_gym.machine import describe
from nats_gym.networks import build
from nats_gym.spaces import get_space
from nats_gym.training.data import ImageData
from nats_gym.training.recipe import Recipe
from nats_gym.training.trainer import seeded, train

# The plain network that the tests compare ours with.
sys.path.append(str(Path(__file__).parent.parent / "tests"))
from reference_network import reference

BAR, WORST = 1.3, 0.95


def our_epoch(space: str, index: int, data: ImageData, recipe: Recipe) -> Callable[[], float]:
    """Seconds of an epoch of ours, each time it is called."""
    network = seeded(lambda: build(space, index, 10), 0)

    def epoch() -> float:
        return timed(lambda: train(network, data, recipe, device="cpu", evaluate_on=()))

    return epoch


def their_epoch(
    space: str, index: int, data: ImageData, recipe: Recipe, workers: int
) -> Callable[[], float]:
    """Seconds of an epoch of the reference, each time it is called."""
    loader = loader_of(data, recipe, workers, pinned=False)
    network = seeded(lambda: reference(space, index, 10), 0)

    def epoch() -> float:
        return timed(lambda: plain_epoch(network, loader, recipe, torch.device("cpu")))

    return epoch


def timed(work: Callable[[], object]) -> float:
    """Seconds of some work."""
    start = perf_counter()
    work()
    return perf_counter() - start


def paired(
    ours: Callable[[], float], theirs: Callable[[], float], pairs: int
) -> tuple[float, float]:
    """Median seconds of each, taken in turn after one for warming up."""
    ours(), theirs()
    times = [(ours(), theirs()) for _ in range(pairs)]
    return median(mine for mine, _ in times), median(other for _, other in times)


def faster_workers(data: ImageData, recipe: Recipe) -> int:
    """0 or 2 DataLoader workers, whichever trains a small network faster."""
    times = {}
    for workers in (0, 2):
        epoch = their_epoch("sss", 0, data, recipe, workers)
        epoch()
        times[workers] = median(epoch() for _ in range(3))
    return min(times, key=times.__getitem__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="of torch, on the CPU")
    parser.add_argument("--images", type=int, default=256, help="in an epoch")
    parser.add_argument("--architectures", type=int, default=10, help="random ones of each space")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--amp", action="store_true", help="both sides in bfloat16")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = random_images(arguments.images)
    recipe = Recipe(epochs=1, amp=arguments.amp)
    workers = faster_workers(data, recipe)
    print(
        f"training, batch {recipe.batch_size} of 3×32×32, torch {torch.__version__}, {describe()}; "
        f"reference with {workers} loader workers"
    )
    ratios = []
    for space in ("tss", "sss"):
        rng = np.random.default_rng(0)
        for index in rng.choice(get_space(space).size, arguments.architectures, replace=False):
            one = int(index)
            ours = our_epoch(space, one, data, recipe)
            theirs = their_epoch(space, one, data, recipe, workers)
            mine, other = paired(ours, theirs, arguments.pairs)
            ratios.append(other / mine)
            images = arguments.images
            print(
                f"  {space} {one:<6} ours {images / mine:8.0f} images/s   "
                f"reference {images / other:8.0f} images/s   {ratios[-1]:5.2f}×",
                flush=True,
            )
    average, worst = geometric_mean(ratios), min(ratios)
    met = average >= BAR and worst >= WORST
    print(
        f"geometric mean {average:.2f}× (bar {BAR}×), worst {worst:.2f}× (bar {WORST}×): "
        f"{'met' if met else 'MISSED'}"
    )


if __name__ == "__main__":
    main()
