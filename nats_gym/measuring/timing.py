"""Seconds of a network's forward pass."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from time import perf_counter

import torch
from torch import nn

from nats_gym.training.captured import Graphs

#: Fewest repetitions that a median is of, and most that are of use.
LEAST, MOST = 3, 10_000
# On a GPU libraries choose and load what they compute with before a pass can be captured.
_BEFORE_CAPTURE = 3


def latency(
    network: nn.Module,
    resolution: int,
    device: torch.device,
    channels_last: bool,
    batch: int = 256,
    *,
    seconds: float = 0.0,
    graphs: Graphs | None = None,
) -> float:
    """Seconds of a forward pass over a batch, in float32: a median, after one that warms up.

    Args:
        network: on the device; it is in evaluation mode afterwards.
        resolution: side of its images.
        device: which.
        channels_last: how its images lie in memory.
        batch: how many images.
        seconds: the pass is repeated until all took so long together, and three times at least.
        graphs: capture the pass, whose replays are timed; None to have the processor launch it.
    """
    network.eval()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    images = torch.rand(batch, 3, resolution, resolution, device=device)
    images = images.to(memory_format=layout)
    with torch.no_grad(), nullcontext() if graphs is None else graphs.beside():
        compute: Callable[[], object] = partial(network, images)
        if graphs is not None:
            for _ in range(_BEFORE_CAPTURE):
                network(images)
            compute = graphs.capture(lambda: network(images)).replay

        def work() -> None:
            compute()
            if device.type == "cuda":
                torch.cuda.synchronize(device)

        return statistics.median(time_work(work, seconds))


def time_work(
    work: Callable[[], object], seconds: float = 0.0, clock: Callable[[], float] = perf_counter
) -> list[float]:
    """Seconds of each repetition of a piece of work, but the first, which warms up.

    Args:
        work: done when it returns.
        seconds: it is repeated until all took so long together; but :data:`LEAST` times at least,
            and :data:`MOST` at most.
        clock: seconds that only grow.
    """
    work()
    taken: list[float] = []
    total = 0.0
    while len(taken) < LEAST or (total < seconds and len(taken) < MOST):
        begun = clock()
        work()
        taken.append(clock() - begun)
        total += taken[-1]
    return taken
