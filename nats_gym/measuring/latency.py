"""Latency of every architecture of a space on this machine, as named columns."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nats_gym import checks
from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, NatsGymError, said, shown
from nats_gym.files.writing import alone, check_folder, make_folder
from nats_gym.measuring.classes import classes_of, in_random_order, of_every_architecture
from nats_gym.measuring.lines import appending, read_lines
from nats_gym.measuring.timing import latency
from nats_gym.networks import build
from nats_gym.networks.cell import Cell
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.tables.named_columns import NamedColumn, add_column, folder_of_column, named_columns
from nats_gym.training.architecture import preset
from nats_gym.training.captured import CudaGraphs
from nats_gym.training.devices import (
    choose_device,
    describe_device,
    name_device,
    using_threads,
    working_on,
)
from nats_gym.training.trainer import seeded

LINES = "measurements.jsonl"
UNIT = "milliseconds"
#: Images of a batch, and passes over the space, that a machine has memory and time for.
MOST_IMAGES, MOST_PASSES = 65_536, 1_000
# An hour, for one network in one pass.
_LONGEST = 3_600.0


class Latency(NamedTuple):
    """What was measured with batches of one size.

    Attributes:
        name: of its column.
        batch: images.
        milliseconds: of a forward pass over a batch, by architecture ``(arch,)``; NaN where it was
            not measured.
        spread: between the first and the last pass, the median over what was measured of their
            difference as a share of their mean; NaN of one pass.
        correlation: Spearman's rank correlation of these passes; NaN of one, or of equal figures.
        folder: of the column that was added; None where architectures lack.
    """

    name: str
    batch: int
    milliseconds: NDArray[np.float64]
    spread: float
    correlation: float
    folder: Path | None


def measure_latency(
    space: str,
    dataset: str,
    folder: str | os.PathLike[str],
    *,
    device: str = "cpu",
    batch: int | Sequence[int] = 1,
    threads: int = 1,
    dead_branches: bool = False,
    passes: int = 2,
    seconds: float = 0.1,
    samples: int | None = None,
    name: str | None = None,
    licence: str = "",
    replace: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Latency]:
    """Time the networks of a space on this machine, and add what comes of it as named columns.

    Each pass over the space takes the networks in a random order of its own, so that what drifts
    falls on all alike. In a pass a network's forward pass is computed once to warm up, then again
    and again; the median counts. The column has the median over passes. Weights and images are
    random, and all is float32.

    What was measured is kept as it comes: killed anywhere, the same call goes on where it stopped.
    More passes, or samples, may be asked for later.

    Args:
        space: the name of a space that builds networks.
        dataset: whose resolution and classes the networks have.
        folder: where what was measured is kept.
        device: ``"cpu"``, or ``"cuda"``, where each network's pass is captured as a CUDA graph.
        batch: images, or several such numbers, a column for each.
        threads: on the CPU.
        dead_branches: whether to compute the edges of a topology that cannot reach the output. Then
            each architecture is measured for itself; else isomorphic ones that compute the same
            operations (:meth:`~nats_gym.spaces.ArchitectureSpace.workload_class`) once, by lowest
            index.
        passes: over the space.
        seconds: that the repetitions for one network take in a pass; there are three at least.
        samples: of how many networks, drawn at random, to measure a part. No column is added then.
        name: of the column, ``-batch…`` after it for each of several; default
            ``latency/cpu-1-thread-batch1`` and its like.
        licence: what the column says of that.
        replace: whether a column of that name that was added here may be replaced. One that came
            of this measurement is.
        progress: told how many timings there are, and how many there will be.

    Returns:
        A :class:`Latency` for each batch.

    Raises:
        InvalidInput: for arguments out of range, a space without networks, a network that cannot be
            computed, a name that is taken, and a folder that holds another measurement.
    """
    of, facts = get_space(space), get_dataset(dataset)
    if not of.builds_networks:
        raise InvalidInput(f"the space {shown(of.name)} builds no networks to measure")
    where = choose_device(device)
    threads = checks.integer(threads, "threads", 1, checks.MOST_THREADS)
    given = [batch] if checks.as_integer(batch) is not None else checks.as_list(batch) or [batch]
    sizes = [checks.integer(one, "a batch", 1, MOST_IMAGES) for one in given]
    if len({*sizes}) < len(sizes):
        raise InvalidInput(f"a batch is asked for once, got {shown(batch)}")
    passes = checks.integer(passes, "passes", 1, MOST_PASSES)
    seconds = checks.number(seconds, "seconds", 0.0, _LONGEST, unit="seconds")
    whole = checks.switch(dead_branches, "dead_branches")
    if samples is not None:
        samples = checks.integer(samples, "samples", 1, of.size)
    checks.line(licence, "a licence")
    checks.function(progress, "progress")
    names = _names(where, threads, sizes, name)
    path = checks.path(folder, "folder")
    check_folder(path)
    replace = checks.switch(replace, "replace")

    def may_replace(one: str) -> bool:
        return replace or _is_of(named_columns(of, facts.name).get(one), path / LINES)

    for one in names.values():
        folder_of_column(of.name, facts.name, one, may_replace(one), unit=UNIT)

    classes = classes_of(of, same_work=True)
    if whole:
        classes = np.arange(of.size)
    chosen = in_random_order(classes)[:samples]
    timer = _Timer(of, facts.name, where, threads, seconds, whole)
    told = {
        "space": of.name,
        **({"definition": of.digest} if of.digest else {}),
        "dataset": facts.name,
        "machine": timer.machine,
        "dead_branches": whole,
        "seconds": seconds,
        "names": {str(size): one for size, one in names.items()},
    }
    make_folder(path)
    with alone(path / ".lock", f"another process measures in {shown(str(path))}"):
        found = _measure(path / LINES, told, timer, chosen, sizes, passes, progress)
    measured = []
    for number, size in enumerate(sizes):
        taken = found[:, :, number] * 1_000  # (passes, chosen)
        medians = dict(zip(chosen.tolist(), np.median(taken, axis=0).tolist(), strict=True))
        milliseconds = of_every_architecture(classes, medians)
        spread, correlation = _agreement(taken)
        result = Latency(names[size], size, milliseconds, spread, correlation, None)
        if not np.isnan(milliseconds).any():
            added = add_column(
                *(of.name, facts.name, result.name, milliseconds),
                unit=UNIT,
                label=f"latency on {timer.named}, batch of {size} [ms]"[:100],
                source=f"nats-gym measure: {timer.machine}",
                licence=licence,
                note=f"{_note(result, len(chosen), passes, seconds, whole, where)}; "
                f"{_identity(path / LINES)}",
                replace=may_replace(result.name),
            )
            result = result._replace(folder=added)
        measured.append(result)
    return measured


class _Timer:
    """Times the network of an architecture."""

    def __init__(
        self,
        space: ArchitectureSpace,
        dataset: str,
        device: torch.device,
        threads: int,
        seconds: float,
        dead_branches: bool,
    ) -> None:
        self._space, self._dataset, self._device = space, get_dataset(dataset), device
        self._seconds, self._dead_branches = seconds, dead_branches
        recipe, self._network = preset(space.name, dataset)
        self._channels_last = recipe.channels_last
        self._threads = partial(using_threads, threads) if device.type == "cpu" else nullcontext
        self._graphs = CudaGraphs(device) if device.type == "cuda" else None
        with self._threads():
            self.machine, self.named = describe_device(device), name_device(device)

    def time(self, index: int, sizes: Iterable[int]) -> list[float]:
        """Seconds of a forward pass with batches of these sizes."""
        what = f"the network of {self._space.name} {index}"
        data = self._dataset
        make = partial(
            build, self._space, index, data.num_classes, dataset=data.name, **self._network
        )
        try:
            with self._threads(), working_on(self._device):
                network = checks.instance(seeded(make, 0), nn.Module, what).to(self._device)
                for cell in network.modules() if self._dead_branches else ():
                    if isinstance(cell, Cell):
                        cell.compute_every_edge()
                return [
                    latency(
                        *(network, data.resolution, self._device, self._channels_last, size),
                        seconds=self._seconds,
                        graphs=self._graphs,
                    )
                    for size in sizes
                ]
        except NatsGymError:
            raise
        except Exception as error:  # another's code, or no memory
            raise InvalidInput(f"{what} cannot be timed: {said(error)}") from error


def _measure(
    path: Path,
    told: dict[str, Any],
    timer: _Timer,
    chosen: NDArray[np.int64],
    sizes: list[int],
    passes: int,
    progress: Callable[[int, int], None] | None,
) -> NDArray[np.float64]:
    """Seconds ``(passes, chosen, sizes)``: what a file has, and what is measured now."""
    done = _read(path, told)
    wanted = [(turn, index) for turn in range(passes) for index in chosen.tolist()]
    count = sum(key in done for key in wanted)
    with appending(path) as append:
        if not done and not path.stat().st_size:
            append(told)
        for turn in range(passes):
            for index in in_random_order(chosen, turn).tolist():
                if (turn, index) not in done:
                    done[turn, index] = timer.time(index, sizes)
                    append({"pass": turn, "index": index, "seconds": done[turn, index]})
                    count += 1
                    if progress is not None:
                        progress(count, len(wanted))
    return np.array([done[key] for key in wanted]).reshape(passes, len(chosen), len(sizes))


def _read(path: Path, told: dict[str, Any]) -> dict[tuple[int, int], list[float]]:
    """Seconds of each batch by pass and index, that were measured of what is told."""
    lines = read_lines(path)
    there = lines[0] if lines else told
    for what, value in told.items():
        if there.get(what) != value:
            raise InvalidInput(
                f"{shown(str(path))} is of another measurement, with {what} "
                f"{shown(there.get(what))}, not {shown(value)}; take another folder"
            )
    done = {}
    for number, entry in enumerate(lines[1:], 2):
        turn, index, taken = (entry.get(key) for key in ("pass", "index", "seconds"))
        times = [checks.as_number(one) for one in checks.as_list(taken) or ()]
        if (
            type(turn) is not int
            or type(index) is not int
            or len(times) != len(told["names"])
            or not all(one is not None and 0 <= one < math.inf for one in times)
        ):
            raise InvalidInput(f"line {number} of {shown(str(path))} is no timing: {shown(entry)}")
        done[turn, index] = times
    return done  # type: ignore[return-value]


def _identity(path: Path) -> str:
    """What tells a measurement from every other: its first timing, digested; empty without."""
    lines = read_lines(path)[:2]
    digest = hashlib.sha256(json.dumps(lines).encode()).hexdigest()
    return f"measurement {digest[:16]}" if len(lines) == 2 else ""


def _is_of(there: NamedColumn | None, path: Path) -> bool:
    """Whether a column comes of the measurement in a file."""
    identity = _identity(path)
    return bool(identity) and there is not None and there.column.note.endswith(identity)


def _agreement(taken: NDArray[np.float64]) -> tuple[float, float]:
    """Spread and rank correlation of the first and the last of passes ``(passes, n)``."""
    from scipy.stats import spearmanr

    first, last = taken[0], taken[-1]
    if len(taken) < 2:
        return math.nan, math.nan
    with np.errstate(invalid="ignore"):
        spread = float(np.median(np.abs(first - last) / ((first + last) / 2)))
    varied = len({*first.tolist()}) > 1 and len({*last.tolist()}) > 1
    return spread, float(spearmanr(first, last)[0]) if varied else math.nan


def _names(
    device: torch.device, threads: int, sizes: list[int], name: str | None
) -> dict[int, str]:
    """The name of the column of each batch."""
    if name is not None:
        name = checks.text(name, "name")
        if len(sizes) == 1:
            return {sizes[0]: name}
    else:
        where = str(device).replace(":", "-")
        of = f"-{threads}-thread{'s' if threads > 1 else ''}" if device.type == "cpu" else ""
        name = f"latency/{where}{of}"
    return {size: f"{name}-batch{size}" for size in sizes}


def _note(
    result: Latency,
    count: int,
    passes: int,
    seconds: float,
    dead_branches: bool,
    device: torch.device,
) -> str:
    """What a reader of the column must know."""
    measured = (
        "every architecture, dead branches too"
        if dead_branches
        else f"{count:,} architectures, of isomorphic ones that compute the same operations the "
        "lowest index, dead branches left out"
    )
    turn = f"the median of {seconds:g} s of repetitions after one"
    turns = f"in one pass over all in a random order {turn}"
    if passes > 1:
        turns = (
            f"{passes} passes over all in random orders, in each {turn}; the median of the passes; "
            f"between the first and the last pass {result.spread:.2%} (median of difference by "
            f"mean), Spearman's rank correlation {result.correlation:.4f}"
        )
    captured = ", replayed as a CUDA graph" if device.type == "cuda" else ""
    return (
        f"forward pass over a batch of {result.batch} in float32{captured}, random weights and "
        f"images; {measured}; {turns}"
    )
