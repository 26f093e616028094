"""Steps replayed as CUDA graphs train as steps that are taken one by one."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any
from unittest import SkipTest, mock

import torch
from gpu_place import RECIPE, SIZES, TOPOLOGIES, Place, close, each, exact_float32, moved, network
from quarters import quarters
from torch import nn

from nats_gym.networks.group import SideBySide
from nats_gym.networks.stacked import StackedNetworks
from nats_gym.training import captured, trainer
from nats_gym.training.captured import CaptureWarning
from nats_gym.training.record import COMPLETED, DIVERGED, TrainingRecord
from nats_gym.training.trainer import seeded, train_together

#: Five epochs of three whole batches and a smaller one: long enough for both graphs.
LONG = replace(RECIPE, epochs=5, batch_size=12, learning_rate=0.01)
_DATA = 60


class Replays:
    """Graphs of a device, counted; on the CPU work that is done again."""

    def __init__(self, device: torch.device) -> None:
        self._graphs = captured.CudaGraphs(device) if device.type == "cuda" else None
        self.captured = self.replayed = 0

    def beside(self) -> Any:
        return nullcontext() if self._graphs is None else self._graphs.beside()

    def capture(self, work: Callable[[], None]) -> Replays.Graph:
        graph = Replays.Graph(self, work)
        self.captured += 1
        return graph

    class Graph:
        def __init__(self, replays: Replays, work: Callable[[], None]) -> None:
            self._replays = replays
            own = replays._graphs
            self._replay = work if own is None else own.capture(work).replay

        def replay(self) -> None:
            self._replays.replayed += 1
            self._replay()


@contextmanager
def capturing(on: bool) -> Iterator[list[Replays]]:
    """Count the graphs of the trainings in a block, or do without any."""
    made: list[Replays] = []

    def make(device: torch.device) -> Replays:
        made.append(Replays(device))
        return made[-1]

    with (
        mock.patch.object(trainer, "CudaGraphs", make),
        mock.patch.object(trainer, "_captures", return_value=on),
        mock.patch.object(captured, "_BEFORE_SMALLER", 3),
    ):
        yield made


def dropping(rate: float = 0.3) -> nn.Module:
    """A network that draws."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(rate),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 4),
    )


GROUPS: dict[str, Callable[[], list[nn.Module]]] = {
    "one": lambda: [network("tss", TOPOLOGIES[1])],
    "one that draws": lambda: [seeded(dropping, 0)],
    "side by side": lambda: [network("tss", one) for one in TOPOLOGIES],
    "stacked": lambda: [network("sss", one) for one in SIZES],
}


def both(
    place: Place, starts: list[nn.Module], **options: Any
) -> tuple[list[Replays], list[list[TrainingRecord]], list[list[nn.Module]]]:
    """Train copies with graphs and without."""
    records, networks, graphs = [], [], []
    for on in (True, False):
        networks.append(copy.deepcopy(starts))
        with capturing(on) as made, exact_float32():
            records.append(
                train_together(
                    networks[-1],
                    quarters(_DATA),
                    LONG,
                    seeds=[5 + number for number in range(len(starts))],
                    device=place.device,
                    **options,
                )
            )
        graphs += made
    return graphs, records, networks


@each(*GROUPS)
def test_replayed_steps_are_those_taken_one_by_one(place: Place, case: str) -> None:
    if case == "stacked" and place.device.type != "cpu":
        raise SkipTest("networks are stacked on the CPU alone")
    starts = GROUPS[case]()
    kind: Any = StackedNetworks if case == "stacked" else SideBySide
    with (
        mock.patch.object(trainer, "choose_group", lambda networks, *_: kind(networks)),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error", CaptureWarning)
        (graphs,), (found, wanted), (with_, without) = both(place, starts)
    # All but the first three of fifteen, and of five smaller ones.
    assert (graphs.captured, graphs.replayed) == (2, 12 + 2)
    for one, other in zip(found, wanted, strict=True):
        assert one.status == other.status == COMPLETED
        close(one.train.loss, other.train.loss, 2e-2, "the training loss")
    for one, other, start in zip(with_, without, starts, strict=True):
        apart = moved(one, other, start)
        assert apart < 0.1, f"weights have parted by {apart:.3f} of their way"


class Waiting(nn.Module):
    """Looks at a number of the device, which nothing can do while it is captured."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = dropping(0.0)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if float(images.abs().sum()) < 0:
            raise ValueError("no sum")
        return self.inner(images)


def test_what_cannot_be_captured_is_trained_one_by_one(place: Place) -> None:
    place.need_gpu("any step of the CPU can be taken again")
    starts = [seeded(Waiting, 0)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (graphs,), (found, wanted), (with_, without) = both(place, starts)
    assert [one.category for one in caught].count(CaptureWarning) == 1
    assert (graphs.captured, graphs.replayed) == (0, 0)
    close(found[0].train.loss, wanted[0].train.loss, 2e-2, "the training loss")
    assert moved(with_[0], without[0], starts[0]) < 0.1
    again = train_together(
        [network("tss", TOPOLOGIES[1])], quarters(), RECIPE, seeds=[0], device=place.device
    )
    assert again[0].status == COMPLETED  # the device is as it was
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved(place.device)
    torch.empty(256 << 20, dtype=torch.uint8, device=place.device)
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved(place.device) == before, "memory is not given back"


def test_one_that_diverges_leaves_the_graphs_of_the_others(place: Place) -> None:
    starts = [network("tss", one) for one in TOPOLOGIES]
    with torch.no_grad():
        starts[1].classifier.weight.fill_(float("nan"))
    graphs, (found, wanted), _ = both(place, starts)
    assert [one.status for one in found] == [COMPLETED, DIVERGED, COMPLETED]
    assert len(graphs) == 2  # of three networks, and of the two that are left
    close(found[2].train.loss, wanted[2].train.loss, 2e-2, "the training loss")
