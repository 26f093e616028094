"""Measures trainings, supernets and latencies on a device, the most important first.

Each part is a list of measurements, each of which may be dropped where the time is spent.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from nats_gym.agents.weight_sharing import METHODS, get_method
from nats_gym.agents.weight_sharing.supernet_search import SupernetSearch
from nats_gym.measuring.timing import latency
from nats_gym.networks import build
from nats_gym.networks.group import SideBySide
from nats_gym.spaces import get_space
from nats_gym.training import trainer
from nats_gym.training.data import ImageData
from nats_gym.training.recipe import Recipe
from nats_gym.training.record import COMPLETED, TrainingRecord

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
sys.path.append(str(Path(__file__).parents[2] / "tests"))
sys.path.append(str(Path(__file__).parents[2] / "tests" / "gpu"))
from gpu_place import compiler_lacks
from plain_training import ResidentImages, loader_of, plain_epoch, random_images
from reference_network import reference

from .machine import card_teraflops
from .report import WAYS, Report

SPACES = ("tss", "sss")
_WORKERS, _RESIDENT, _EAGER, _UNFUSED, _OURS, _BFLOAT16, _COMPILED = WAYS
#: Parts that others' ratios are to: the plain loop over random networks, and over the middle one.
NEEDS = dict.fromkeys(("together", "together-fewer"), ("plain-random", "plain"))
#: Settings of searches that compare candidates: a step is what is measured.
SETTINGS: dict[str, dict[str, Any]] = {
    "setn": {"candidates": 1},
    "rsps": {"candidates": 1},
    "enas": {"controller_steps": 1, "samples_per_step": 1, "candidates": 1},
}


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        architectures: of each space, from the smallest to the largest.
        batch, resolution: of the images.
        steps: of an epoch of one network; the epochs that count are the second and third.
        steps_together: likewise of several at once.
        counts: how many at once.
        images: trained on and validated on by a whole training.
        supernet_batch, supernet_steps: of a weight-sharing search.
        matrix: rows of the product that says what the device can do.
        network: further arguments of :func:`nats_gym.networks.build`.
        supernet: of the topology supernet.
    """

    architectures: int = 10
    batch: int = 256
    resolution: int = 32
    steps: int = 20
    steps_together: int = 10
    counts: tuple[int, ...] = (16, 8, 4, 2)
    images: int = 25_000
    supernet_batch: int = 64
    supernet_steps: int = 5
    matrix: int = 8192
    network: dict[str, Any] = field(default_factory=dict)
    supernet: dict[str, Any] | None = None


MINIATURE = Scale(
    architectures=2,
    batch=16,
    resolution=8,
    steps=2,
    steps_together=1,
    counts=(4, 2),
    images=48,
    supernet_batch=16,
    supernet_steps=1,
    matrix=256,
    network={"cells_per_stage": 1},
    supernet={"channels": 4, "cells_per_stage": 1},
)


@dataclass(frozen=True)
class Measurement:
    """One row: what it is called, what measures it, and how long that may take at least."""

    name: str
    measure: Callable[[], None]
    expected: float = 0.0


class Figures:
    """Measures what a report's figures are.

    Args:
        device: on which.
        report: to be filled in; saved after every part.
        scale: how much.
        deadline: of ``perf_counter``, after which no measurement begins that may not be over.
    """

    def __init__(self, device: torch.device, report: Report, scale: Scale, deadline: float) -> None:
        self._device, self._report, self._scale = device, report, scale
        self._deadline = deadline
        self._rows: dict[str, list[dict[str, Any]]] = report.content["figures"]
        self._flops: dict[tuple[str, int], float] = {}
        self._plain_speed: dict[tuple[str, int], float] = {}
        self._images: dict[int, ImageData] = {}
        self._drawn: dict[str, list[int]] = {}
        #: By name, the most important first: what the time does not reach are the last.
        self.parts: dict[str, Callable[[], Iterator[Measurement]]] = {
            "ceilings": self._ceilings,
            "ours": partial(self._alone, _OURS),
            "plain": partial(self._alone, _RESIDENT),
            "plain-random": self._plain_random,
            "together": partial(self._together, scale.counts[:1]),
            "training": partial(self._schedules, 1),
            "supernets": self._supernets,
            "latencies": self._latencies,
            "plain-workers": partial(self._alone, _WORKERS),
            "together-fewer": partial(self._together, scale.counts[1:]),
            "bfloat16": partial(self._alone, _BFLOAT16),
            "not-fused": partial(self._alone, _UNFUSED),
            "eager": partial(self._alone, _EAGER),
            "trainings-together": partial(self._schedules, scale.counts[0]),
            "compiled": partial(self._alone, _COMPILED),
        }

    def measure(self, part: str) -> None:
        """Measure a part, as far as the time goes, and save it."""
        start, longest = perf_counter(), 0.0
        for measurement in self.parts[part]():
            begun = perf_counter()
            left = self._deadline - begun
            if max(longest, measurement.expected) > left:
                self._leave_out(f"{part}: {measurement.name}", "the time is spent")
                continue
            try:
                measurement.measure()
            except _Unmeasured as reason:
                self._leave_out(f"{part}: {measurement.name}", str(reason))
            except Exception as error:
                reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
                what = f"{part}: {measurement.name}"
                self._report.content["failed"].append({"what": what, "reason": reason[:500]})
                print(f"  FAILED {what}\n{traceback.format_exc()[-3000:]}", flush=True)
            self._report.save()
            self._free()
            longest = max(longest, perf_counter() - begun)
        seconds = perf_counter() - start
        self._report.content["seconds"][part] = round(seconds, 2)
        self._report.save()

    def _leave_out(self, what: str, reason: str) -> None:
        self._report.content["left_out"].append({"what": what, "reason": reason})

    def _free(self) -> None:
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)

    def _peak(self) -> float | None:
        """MiB that the device had to give, what the allocator kept for later included."""
        if self._device.type != "cuda":
            return None
        return round(torch.cuda.max_memory_reserved(self._device) / 2**20, 1)

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    # ── what the device can do ───────────────────────────────────────────────────────────────

    def _ceilings(self) -> Iterator[Measurement]:
        for precision in ("tf32", "bf16"):
            yield Measurement(precision, partial(self._matrix_product, precision))
        yield Measurement("copy", self._copy)

    def _matrix_product(self, precision: str) -> None:
        size, device = self._scale.matrix, self._device
        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        one, other = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        try:
            seconds = self._repeat(partial(torch.matmul, one, other), 10)
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
        self._rows["ceilings"].append(
            {
                "what": f"matrix product, {self._precision(precision)}",
                "value": 2 * size**3 / seconds / 1e12,
                "unit": "TFLOP/s",
                "card": card_teraflops(name, precision),
            }
        )

    def _copy(self) -> None:
        one = torch.zeros(self._scale.matrix**2 * 4, device=self._device)
        other = torch.empty_like(one)
        seconds = self._repeat(partial(other.copy_, one), 10)
        gigabytes = 2 * one.nbytes / 1e9
        self._rows["ceilings"].append(
            {"what": "copy", "value": gigabytes / seconds, "unit": "GB/s", "card": None}
        )

    def _repeat(self, work: Callable[[], object], times: int) -> float:
        """Median seconds of some work, after two for warming up."""
        seconds = []
        for _ in range(2 + times):
            start = perf_counter()
            work()
            self._wait()
            seconds.append(perf_counter() - start)
        return median(seconds[2:])

    def _precision(self, precision: str) -> str:
        """The CPU has float32 in place of TF32."""
        return "float32" if precision == "tf32" and self._device.type == "cpu" else precision

    def _ceiling(self, precision: str) -> float | None:
        """TFLOP/s of the measured matrix product."""
        wanted = f"matrix product, {precision}"
        found = [row["value"] for row in self._rows["ceilings"] if row["what"] == wanted]
        return found[0] if found else None

    # ── one network at a time ────────────────────────────────────────────────────────────────

    def _alone(self, way: str) -> Iterator[Measurement]:
        if way in (_OURS, _UNFUSED) and self._device.type != "cuda":
            reason = "no CUDA graphs and fused kernels without a GPU: ours is eager here"
            yield Measurement(way, partial(_refuse, reason))
            return
        for space in SPACES:
            indices = self._sized(space)
            if way == _COMPILED:
                indices = [self._middle(space)]
            for index in indices:
                # A compiler takes two minutes for a network, where it is a real one.
                expected = 150.0 if way == _COMPILED and self._device.type == "cuda" else 0.0
                measure = partial(self._one_alone, way, space, index)
                yield Measurement(f"{space} {index}", measure, expected)

    def _one_alone(self, way: str, space: str, index: int) -> None:
        images = self._scale.batch * self._scale.steps
        if way == _COMPILED and (lacking := compiler_lacks(self._device)):
            raise _Unmeasured(lacking)
        recipe = self._recipe(epochs=3, amp=way == _BFLOAT16)
        if way in (_WORKERS, _RESIDENT):
            seconds = self._plain_seconds(way, space, index, recipe, self._scale.steps)
        else:
            with self._way(way):
                recipe = replace(recipe, compile=way == _COMPILED)
                record = trainer.train(
                    self._network(space, index, 0),
                    self._data(self._scale.steps),
                    recipe,
                    device=self._device,
                    evaluate_on=(),
                )
            seconds = _seconds_of_epoch([record])
        precision = self._precision("bf16" if way == _BFLOAT16 else "tf32")
        self._rows["alone"].append(
            {
                "space": space,
                "index": index,
                "way": way,
                "batch": self._scale.batch,
                "precision": precision,
                "gflop_per_image": self._flop(space, index) / 1e9,
                "images_per_second": images / seconds,
                **self._use(self._flop(space, index) * images / seconds / 1e12, precision),
                "peak_mib": self._peak(),
            }
        )

    def _use(self, teraflops: float, precision: str) -> dict[str, float | None]:
        """Utilisation of the measured ceiling, and of what the maker says."""
        ceiling = self._ceiling(precision)
        card = None
        if self._device.type == "cuda":
            card = card_teraflops(torch.cuda.get_device_name(self._device), precision)
        return {
            "utilisation": ceiling and teraflops / ceiling,
            "of_card": card and teraflops / card,
        }

    def _way(self, way: str) -> AbstractContextManager[Any]:
        """Make the trainer train so."""
        if way == _EAGER and self._device.type == "cuda":
            return patch.object(trainer, "_captures", lambda *_: False)
        if way == _UNFUSED:
            return patch.object(trainer, "choose_group", lambda networks, *_: SideBySide(networks))
        if way == _COMPILED and self._device.type == "cpu":
            # Traced, and not translated: a compiler takes minutes, and here it proves nothing.
            return patch.object(torch, "compile", partial(torch.compile, backend="eager"))
        return nullcontext()

    def _plain_seconds(self, way: str, space: str, index: int, recipe: Recipe, steps: int) -> float:
        """Seconds of an epoch of the plain loop, after some steps for warming up."""
        if way == _WORKERS:
            batches = self._loader  # of as many steps as one network's epochs have
        else:
            batches = ResidentImages(self._data(steps), recipe.batch_size)
        network = trainer.seeded(lambda: reference(space, index, 10, **self._scale.network), 0).to(
            self._device
        )
        if way == _RESIDENT:
            warm = ResidentImages(self._data(3), recipe.batch_size)
            plain_epoch(network, warm, recipe, self._device)
        else:
            plain_epoch(network, batches, recipe, self._device)
        self._wait()
        start = perf_counter()
        plain_epoch(network, batches, recipe, self._device)
        self._wait()
        return perf_counter() - start

    def _plain_random(self) -> Iterator[Measurement]:
        """The plain loop on the networks that are trained together, for comparison."""
        for space in SPACES:
            for index in self._random(space):
                yield Measurement(f"{space} {index}", partial(self._one_plain_random, space, index))

    def _one_plain_random(self, space: str, index: int) -> None:
        steps = self._scale.steps_together
        seconds = self._plain_seconds(_RESIDENT, space, index, self._recipe(), steps)
        self._plain_speed[space, index] = self._scale.batch * steps / seconds

    # ── several at once ──────────────────────────────────────────────────────────────────────

    def _together(self, counts: Sequence[int]) -> Iterator[Measurement]:
        for count in counts:
            for what in ("random", "trials"):
                for space in SPACES:
                    measure = partial(self._some_together, space, what, count)
                    yield Measurement(f"{count} {space}, {what}", measure)

    def _some_together(self, space: str, what: str, count: int) -> None:
        drawn, trials = self._random(space)[:count], [self._middle(space)] * count
        indices = drawn if what == "random" else trials
        images = self._scale.batch * self._scale.steps_together
        recipe = self._recipe(epochs=3)
        groups: list[str] = []
        with patch.object(trainer, "choose_group", partial(_noting, groups, trainer.choose_group)):
            records = trainer.train_together(
                [self._network(space, index, seed) for seed, index in enumerate(indices)],
                self._data(self._scale.steps_together),
                recipe,
                seeds=list(range(count)),
                device=self._device,
                evaluate_on=(),
            )
        seconds = _seconds_of_epoch(records)
        plain = self._plain_one_by_one(space, indices)
        flop = sum(self._flop(space, index) for index in indices)
        precision = self._precision("tf32")
        self._rows["together"].append(
            {
                "space": space,
                "what": what,
                "group": ", ".join(dict.fromkeys(groups)),
                "count": count,
                "index": indices,
                "batch": self._scale.batch,
                "images_per_second": count * images / seconds,
                "plain_images_per_second": plain,
                "times_plain": plain and count * images / seconds / plain,
                "utilisation": self._use(flop * images / seconds / 1e12, precision)["utilisation"],
                "peak_mib": self._peak(),
            }
        )

    def _plain_one_by_one(self, space: str, indices: list[int]) -> float | None:
        """Images a second of the plain loop, its images on the device, over these networks."""
        speeds = dict(self._plain_speed)
        for row in self._rows["alone"]:
            if row["way"] == _RESIDENT:
                speeds[row["space"], row["index"]] = row["images_per_second"]
        found = [speeds.get((space, index)) for index in indices]
        if None in found:
            return None
        return len(found) / sum(1 / speed for speed in found)

    def _schedules(self, count: int) -> Iterator[Measurement]:
        for space in SPACES:
            yield Measurement(f"{count} {space}", partial(self._schedule, space, count))

    def _schedule(self, space: str, count: int) -> None:
        """Set-up, two epochs and validation; the other ten take what the second took."""
        indices = [self._middle(space)] if count == 1 else self._random(space)[:count]
        recipe, scale = self._recipe(), self._scale
        data = random_images(scale.images, scale.images, scale.resolution).to(self._device)
        self._wait()
        start = perf_counter()
        records = trainer.train_together(
            [self._network(space, index, seed) for seed, index in enumerate(indices)],
            data,
            recipe,
            seeds=list(range(count)),
            device=self._device,
            epochs=2,
        )
        self._wait()
        passed = perf_counter() - start
        _check_completed(records)
        seconds = passed + (recipe.epochs - 2) * sum(one.train.seconds[-1] for one in records)
        self._rows["schedules"].append(
            {
                "space": space,
                "index": indices,
                "count": count,
                "images": scale.images,
                "epochs": recipe.epochs,
                "measured_epochs": 2,
                "seconds": seconds,
                "evaluations_per_hour": 3600 * count / seconds,
            }
        )

    # ── supernets, latencies ─────────────────────────────────────────────────────────────────

    def _supernets(self) -> Iterator[Measurement]:
        for method in METHODS:
            yield Measurement(method, partial(self._supernet, method))

    def _supernet(self, method: str) -> None:
        space, scale = get_method(method).space, self._scale
        images = scale.supernet_batch * scale.supernet_steps
        data = random_images(images, images, scale.resolution)
        result = SupernetSearch(
            method,
            data,
            epochs=2,
            batch_size=scale.supernet_batch,
            network=scale.supernet if space == "tss" else None,
            settings=SETTINGS.get(method),
            device=self._device,
        ).run()
        self._rows["supernets"].append(
            {
                "method": method,
                "space": space,
                "batch": scale.supernet_batch,
                "seconds_per_step": float(np.diff(result.seconds)[0]) / scale.supernet_steps,
            }
        )

    def _latencies(self) -> Iterator[Measurement]:
        for space in SPACES:
            for index in self._sized(space):
                for batch in (1, self._scale.batch):
                    measure = partial(self._latency, space, index, batch)
                    yield Measurement(f"{space} {index}, batch {batch}", measure)

    def _latency(self, space: str, index: int, batch: int) -> None:
        network = self._network(space, index, 0).to(self._device)
        seconds = latency(network, self._scale.resolution, self._device, True, batch)
        self._rows["latencies"].append(
            {"space": space, "index": index, "batch": batch, "milliseconds": 1000 * seconds}
        )

    # ── networks and images ──────────────────────────────────────────────────────────────────

    def _recipe(self, **changes: Any) -> Recipe:
        """NATS-Bench's, but for a rate at which no network diverges on random labels."""
        return Recipe(batch_size=self._scale.batch, learning_rate=1e-3, **changes)

    def _network(self, space: str, index: int, seed: int) -> nn.Module:
        return trainer.seeded(lambda: build(space, index, 10, **self._scale.network), seed)

    def _sized(self, space: str) -> list[int]:
        """Architectures from the smallest to the largest by their closed form, thirds in turn."""
        count = self._scale.architectures
        order = _by_flop(space)
        ranks = np.linspace(0, len(order) - 1, count).round().astype(int)
        # If the time ends in mid-part, what was measured is spread.
        turn = sorted(range(count), key=lambda position: (position % 3, position))
        return [order[ranks[position]] for position in turn]

    def _middle(self, space: str) -> int:
        """The median architecture of those measured alone."""
        sized = sorted(self._sized(space), key=_by_flop(space).index)
        return sized[len(sized) // 2]

    def _random(self, space: str) -> list[int]:
        """Architectures drawn among those that read their images: nobody trains the others."""
        if space not in self._drawn:
            rng, size = np.random.default_rng(0), get_space(space).size
            some = rng.choice(size, 4 * max(self._scale.counts), replace=False).tolist()
            with torch.device("meta"):
                reading = [one for one in some if build(space, one, 10).cells[-1].reads_input]
            self._drawn[space] = reading[: max(self._scale.counts)]
        return self._drawn[space]

    def _flop(self, space: str, index: int) -> float:
        """Floating-point operations of forward and backward for an image, in our network."""
        if (space, index) not in self._flops:
            with torch.device("meta"):  # shapes alone
                network = build(space, index, 10, **self._scale.network)
                images = torch.empty(2, 3, self._scale.resolution, self._scale.resolution)
            with FlopCounterMode(display=False) as counter:
                network(images).sum().backward()
            self._flops[space, index] = counter.get_total_flops() / 2
        return self._flops[space, index]

    def _data(self, steps: int) -> ImageData:
        """So many batches on the device."""
        if steps not in self._images:
            count = steps * self._scale.batch
            self._images[steps] = random_images(count, 0, self._scale.resolution).to(self._device)
        return self._images[steps]

    @cached_property
    def _loader(self) -> DataLoader[Any]:
        """The plain loop's, whose workers begin once."""
        cuda = self._device.type == "cuda"
        workers = min(8, os.cpu_count() or 1) if cuda else 0
        data = random_images(self._scale.steps * self._scale.batch, 0, self._scale.resolution)
        return loader_of(data, self._recipe(), workers, pinned=cuda)


class _Unmeasured(Exception):
    """Says why something cannot be measured here."""


def _refuse(reason: str) -> None:
    raise _Unmeasured(reason)


def _noting(groups: list[str], choose: Callable[..., nn.Module], *arguments: Any) -> nn.Module:
    """Note the class of a group that is chosen."""
    group = choose(*arguments)
    groups.append(type(group).__name__)
    return group


@cache
def _by_flop(space: str) -> list[int]:
    """Official indices from the smallest to the largest network, on CIFAR-10."""
    of_all = get_space(space)
    index = np.arange(of_all.size)
    return np.argsort(of_all.flops(of_all.choices(index), "cifar10"), kind="stable").tolist()


def _seconds_of_epoch(records: Sequence[TrainingRecord]) -> float:
    """Seconds of an epoch of all of them together, set-up left out: the median after the first."""
    _check_completed(records)
    # Each has its share of what has passed.
    return sum(median(record.train.seconds[1:]) for record in records)


def _check_completed(records: Sequence[TrainingRecord]) -> None:
    for record in records:
        if record.status != COMPLETED:
            raise RuntimeError(f"a training ended with the status {record.status!r}")
