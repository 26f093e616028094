"""Epochs as replays of one CUDA graph: no step waits for the processor.

A graph does the same work at the same addresses each time. So the draws of an epoch lie in tensors
that stay, and the device itself counts the steps: a step takes the rows of its number, prepares
them, trains, and adds one.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, Protocol

import torch

from nats_gym.errors import said, warn_caller
from nats_gym.networks.group import lend_stream
from nats_gym.training.batches import EpochDraws, TrainingBatches

# Steps that are taken before one is captured: libraries choose and load what they compute with.
# A smaller batch comes once an epoch: a graph of its own pays after some.
_BEFORE_CAPTURE, _BEFORE_SMALLER = 3, 8

# What could not be captured: torch's allocator may look at it as long as there is a process.
_REFUSED: list[torch.cuda.CUDAGraph] = []

#: Takes a step by images ``(G, B, 3, H, W)`` and labels ``(G, B)``.
TakeStep = Callable[[torch.Tensor, torch.Tensor], None]


class CaptureWarning(UserWarning):
    """A step cannot be captured as a CUDA graph; it is trained without."""


class Graph(Protocol):
    """Work that can be done again."""

    def replay(self) -> None:
        """Do it."""


class Graphs(Protocol):
    """What captures work."""

    def beside(self) -> AbstractContextManager[Any]:
        """Where work is done that is to be captured."""

    def capture(self, work: Callable[[], None]) -> Graph:
        """Note down what work does, without doing it."""


class CudaGraphs:
    """Captures work on a GPU.

    Args:
        device: which.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = lend_stream(self, device)
        # Graphs that never run at once, and hand nothing on, may share their memory.
        self._pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Work in a stream that is not the device's default, which no graph can hold."""
        here = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(here)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            here.wait_stream(self._stream)

    def capture(self, work: Callable[[], None]) -> Graph:
        """See :class:`Graphs`."""
        graph = torch.cuda.CUDAGraph()
        # What a stream that is captured may not do, freeing what is left of other graphs may.
        collects = gc.isenabled()
        gc.disable()
        try:
            with torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                work()
        except Exception:
            self._undo(graph)
            raise
        finally:
            if collects:
                gc.enable()
        return graph

    def _undo(self, graph: torch.cuda.CUDAGraph) -> None:
        """Put torch's generators and allocator back to where they were before a capture."""
        graph.reset()
        _REFUSED.append(graph)
        # Where the capture could not be ended the allocator goes on with it, and would not give
        # back what it keeps, for the rest of the process.
        end = getattr(torch._C, "_cuda_endAllocateToPool", None)
        if end is not None:
            with suppress(RuntimeError):  # it was ended
                end(self._stream.device_index, self._pool)


class CountedSteps:
    """Epochs of a group whose steps the device counts.

    The first steps are taken one by one, and count as any other; from then on a step is the replay
    of a graph. What cannot be captured is taken one by one for good.

    Args:
        batches: of the training images.
        members: how many networks.
        take_step: trains them by a batch; all its work is on the device.
        graphs: what captures a step; None for steps that are taken one by one.
    """

    def __init__(
        self, batches: TrainingBatches, members: int, take_step: TakeStep, graphs: Graphs | None
    ) -> None:
        self._batches, self._members, self._take_step = batches, members, take_step
        self._graphs = graphs
        self._captured: dict[int, Graph] = {}
        self._taken: dict[int, int] = {}
        self._draws: EpochDraws | None = None

    @contextmanager
    def epoch(self, seeds: Sequence[int]) -> Iterator[Iterator[int]]:
        """An epoch, each member's by its seed: takes a step whenever its images are asked for."""
        fresh = self._batches.draw(seeds)
        if self._draws is None:
            self._draws = fresh
            device = fresh.order.device
            self._number = torch.zeros((), dtype=torch.int64, device=device)
            self._within = torch.arange(self._batches.batch_size, device=device)
        else:
            for kept, values in zip(self._draws.tensors, fresh.tensors, strict=True):
                kept.copy_(values)
        self._number.zero_()
        with nullcontext() if self._graphs is None else self._graphs.beside():
            yield self._steps()

    def _steps(self) -> Iterator[int]:
        for size in self._batches.sizes():
            taken = self._taken.get(size, 0)
            whole = size == self._batches.batch_size
            if taken == (_BEFORE_CAPTURE if whole else _BEFORE_SMALLER):
                self._capture(size)
            self._taken[size] = taken + 1
            if size in self._captured:
                self._captured[size].replay()
            else:
                self._step(size)
            yield size

    def _step(self, size: int) -> None:
        assert self._draws is not None
        rows = self._number * self._batches.batch_size + self._within[:size]
        draws = EpochDraws(*(values.index_select(1, rows) for values in self._draws.tensors))
        self._take_step(*self._batches.prepare(draws))
        self._number += 1

    def _capture(self, size: int) -> None:
        if self._graphs is None:
            return
        try:
            self._captured[size] = self._graphs.capture(lambda: self._step(size))
        except Exception as error:  # a network may do what it likes
            # Nothing of it was done: the step is still to be taken.
            self._graphs = None
            warn_caller(
                f"a step cannot be captured as a CUDA graph and is trained without: {said(error)}",
                CaptureWarning,
            )
