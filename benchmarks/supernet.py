"""A supernet's steps against the plain way: stand-alone networks, a loop over operations.

A step is forward, backward and SGD on one batch. A sampled path is compared with the stand-alone
network of the same architecture, the mixture with a loop that takes one operation of one edge after
another; in interleaved pairs. Images are random: the time of a step does not depend on what they
show.

    python benchmarks/supernet.py              # on the CPU, one thread; some three minutes
    python benchmarks/supernet.py --device cuda
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import geometric_mean, median
from time import perf_counter

import numpy as np
import torch
from torch import nn

from nats_gym.agents.weight_sharing.supernet_search import make_sgd
from nats_gym.machine import describe
from nats_gym.networks import build
from nats_gym.networks.topology_supernet import MixedCell, TopologySupernet
from nats_gym.spaces import get_space
from nats_gym.spaces.topology import EDGES
from nats_gym.training.trainer import choose_device

BAR_PATH, BAR_MIXTURE = 1.3, 1.0
CLASSES = 10


def plain_mixture(
    supernet: TopologySupernet, images: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """The mixture by a loop: every operation with a ReLU and a batch norm of its own."""
    if images.device.type == "cpu":
        images = images.contiguous(memory_format=torch.channels_last)  # as ours
    x = supernet.stem(images)
    for block in supernet.cells:
        x = plain_cell(block, x, weights) if isinstance(block, MixedCell) else block(x)
    return supernet.classify(x)


def plain_cell(cell: MixedCell, x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """A cell as a loop over edges and operations, none's zeros left out."""
    nodes = [x]
    for node in (1, 2, 3):
        terms = []
        for edge, (target, source) in enumerate(EDGES):
            if target != node:
                continue
            for digit, operation in enumerate(cell.layers[edge]):
                if digit:
                    value = nodes[source].relu() if digit in (2, 3) else nodes[source]
                    terms.append(weights[edge, digit] * operation(value))
        nodes.append(sum(terms[1:], terms[0]))
    return nodes[3]


def step(
    module: nn.Module, logits: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor
) -> Callable[[], float]:
    """Seconds of a training step, each time it is called."""
    labels = torch.arange(len(images), device=images.device) % CLASSES
    optimizer = make_sgd(module)
    shared = isinstance(module, TopologySupernet)  # whose step is of all weights, as in a search

    def run() -> float:
        start = perf_counter()
        loss = nn.functional.cross_entropy(logits(images), labels)
        optimizer.zero_grad(set_to_none=not shared)
        loss.backward()
        optimizer.step()
        if images.device.type == "cuda":
            torch.cuda.synchronize(images.device)
        return perf_counter() - start

    return run


def paired(
    ours: Callable[[], float], theirs: Callable[[], float], pairs: int
) -> tuple[float, float]:
    """Median seconds of each, taken in turn after two for warming up."""
    for _ in range(2):
        ours(), theirs()
    times = [(ours(), theirs()) for _ in range(pairs)]
    return median(mine for mine, _ in times), median(other for _, other in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of torch, on the CPU")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--cells", type=int, default=5, help="of each stage")
    parser.add_argument("--architectures", type=int, default=8, help="random ones")
    parser.add_argument("--pairs", type=int, default=9)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    shape = (arguments.batch, 3, arguments.resolution, arguments.resolution)
    images = torch.randn(shape).to(device)
    supernet = TopologySupernet(CLASSES, cells_per_stage=arguments.cells).to(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else describe()
    print(f"steps on {shape}, {arguments.cells} cells a stage, torch {torch.__version__}, {name}")

    space, ratios = get_space("tss"), []
    rng = np.random.default_rng(0)
    for index in rng.choice(space.size, arguments.architectures, replace=False).tolist():
        choices = space.choices(index).tolist()
        network = build("tss", index, CLASSES, cells_per_stage=arguments.cells).to(device)
        path = step(supernet, lambda batch, choices=choices: supernet.path(batch, choices), images)
        mine, other = paired(path, step(network, network, images), arguments.pairs)
        ratios.append(mine / other)
        print(
            f"  tss {index:<6} path {mine * 1e3:7.1f} ms   stand-alone {other * 1e3:7.1f} ms   "
            f"{ratios[-1]:.2f}×",
            flush=True,
        )
    worst = max(ratios)
    print(
        f"a path costs {geometric_mean(ratios):.2f}× the stand-alone network, at most {worst:.2f}× "
        f"(bar {BAR_PATH}×): {'met' if worst <= BAR_PATH else 'MISSED'}"
    )

    weights = torch.full((6, 5), 0.2, device=device)
    for what, learnt in (("weights", False), ("weights and alpha", True)):
        alpha = weights.clone().requires_grad_(learnt)
        mine, other = paired(
            step(supernet, lambda batch, alpha=alpha: supernet.mixture(batch, alpha), images),
            step(
                supernet, lambda batch, alpha=alpha: plain_mixture(supernet, batch, alpha), images
            ),
            arguments.pairs,
        )
        print(
            f"mixture, gradients of {what}: {mine * 1e3:.1f} ms, plain loop {other * 1e3:.1f} ms, "
            f"{other / mine:.2f}× as fast (bar {BAR_MIXTURE}×): "
            f"{'met' if other / mine >= BAR_MIXTURE else 'MISSED'}",
            flush=True,
        )


if __name__ == "__main__":
    main()
