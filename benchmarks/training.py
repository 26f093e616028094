"""Our training step against the reference way: a DataLoader and every edge in turn.

The same architecture, recipe and images on both sides, in interleaved pairs: an epoch of ours
(`nats_gym.training.train`), one of theirs, and so on. Images are random bytes of CIFAR's shape:
the time of a step does not depend on what they show.

    python benchmarks/training.py              # on the CPU, one thread; some ten minutes
    python benchmarks/training.py --device cuda --images 25000
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from statistics import geometric_mean, mean, median
from time import perf_counter, process_time, sleep

import numpy as np
import torch
from plain_training import AugmentedImages, plain_epoch
from torch.utils.data import DataLoader

from nats_gym.machine import describe
from nats_gym.networks import build
from nats_gym.spaces import get_space
from nats_gym.training.data import ImageData
from nats_gym.training.recipe import Recipe
from nats_gym.training.trainer import choose_device, seeded, train

# The plain network that the tests compare ours with.
sys.path.append(str(Path(__file__).parent.parent / "tests"))
from reference_network import reference

BAR, WORST = 1.3, 0.95


def random_images(count: int) -> ImageData:
    """Random bytes of CIFAR-10's shape, mean and padding."""
    generator = torch.Generator().manual_seed(0)
    return ImageData(
        "random",
        10,
        torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator),
        torch.randint(0, 10, (count,), generator=generator),
        {"train": torch.arange(count)},
        (0.49, 0.48, 0.45),
        (0.25, 0.24, 0.26),
        4,
    )


def our_epoch(space: str, index: int, data: ImageData, recipe: Recipe) -> Callable[[], float]:
    """Seconds of an epoch of ours, each time it is called."""
    network = seeded(lambda: build(space, index, 10), 0)
    device = data.images.device

    def epoch() -> float:
        return timed(lambda: train(network, data, recipe, device=device, evaluate_on=()), device)

    return epoch


def their_epoch(
    space: str, index: int, data: ImageData, recipe: Recipe, workers: int
) -> Callable[[], float]:
    """Seconds of an epoch of the reference, each time it is called."""
    device = data.images.device
    images = AugmentedImages(
        data.images.cpu().numpy(), data.labels.cpu().numpy(), data.mean, data.std, 4
    )
    loader = DataLoader(
        images,
        recipe.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
    )
    network = seeded(lambda: reference(space, index, 10), 0).to(device)

    def epoch() -> float:
        return timed(lambda: plain_epoch(network, loader, recipe, device), device)

    return epoch


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of some work, once the device has done it."""
    start = perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
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


def utilisation(work: Callable[[], object], device: torch.device) -> str:
    """How busy a GPU was, by ``nvidia-smi``; or a CPU's threads, by the process's clock."""
    if device.type != "cuda":
        start, before = perf_counter(), process_time()
        work()
        used = (process_time() - before) / (perf_counter() - start)
        return (
            f"{100 * used / torch.get_num_threads():.0f} % of {torch.get_num_threads()} thread(s)"
        )
    seen: list[float] = []
    done = threading.Event()

    def watch() -> None:
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not done.is_set():
            text = subprocess.run(query, capture_output=True, text=True).stdout
            seen.extend(float(line) for line in text.splitlines()[:1])
            sleep(0.2)

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    done.set()
    watcher.join()
    return f"{mean(seen):.0f} % of the GPU" if seen else "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of torch, on the CPU")
    parser.add_argument("--images", type=int, default=256, help="in an epoch")
    parser.add_argument("--architectures", type=int, default=10, help="random ones of each space")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--amp", action="store_true", help="both sides in bfloat16")
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    torch.set_num_threads(arguments.threads)
    data = random_images(arguments.images).to(device)
    recipe = Recipe(epochs=1, amp=arguments.amp)
    workers = faster_workers(data, recipe)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else describe()
    print(
        f"training, batch {recipe.batch_size} of 3×32×32, torch {torch.__version__}, {name}; "
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
    busy = utilisation(lambda: [ours() for _ in range(3)], device)
    average, worst = geometric_mean(ratios), min(ratios)
    met = average >= BAR and worst >= WORST
    print(f"utilisation while ours trains the last one: {busy}")
    print(
        f"geometric mean {average:.2f}× (bar {BAR}×), worst {worst:.2f}× (bar {WORST}×): "
        f"{'met' if met else 'MISSED'}"
    )


if __name__ == "__main__":
    main()
