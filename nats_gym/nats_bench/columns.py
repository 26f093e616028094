"""Answers about single architectures from an archive's columns and curves."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.checks import as_integer
from nats_gym.errors import InvalidInput, shown
from nats_gym.nats_bench.errors import UnknownRuns
from nats_gym.nats_bench.results import Metrics, mean, settled_mean
from nats_gym.tables.official import Runs

if TYPE_CHECKING:
    from nats_gym.nats_bench.embedded import EmbeddedRuns

ACCURACY, LOSS = 0, 1
Column = NDArray[np.float64]
_FLOAT = struct.Struct("<f")


class CurveFile:
    """Rows of a curve, read one at a time.

    A memory map would count every neighbouring page that the kernel maps along with a row; with
    curves of a gigabyte that is most of a process's memory. A read of some kilobytes is as fast.
    """

    def __init__(self, path: Path, curve: NDArray[np.float32]) -> None:
        self._opened = path, curve
        self.shape = curve.shape[1:]  # (trial, epoch, 2)
        self._curve = curve
        self._file: int | None = None
        self._start = 0
        if hasattr(os, "pread"):
            self._file = os.open(path, os.O_RDONLY)
            self._start = os.fstat(self._file).st_size - curve.nbytes

    def __reduce__(self) -> Any:
        return CurveFile, self._opened  # a copy opens the file itself

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:
            os.close(self._file)  # type: ignore[arg-type]

    def row(self, index: int) -> NDArray[np.float32]:
        """Curves of an architecture, ``(trial, epoch, 2)``."""
        if self._file is None:
            return np.asarray(self._curve[index])
        count = int(np.prod(self.shape))
        data = os.pread(self._file, 4 * count, self._start + 4 * index * count)
        return np.frombuffer(data, np.float32).reshape(self.shape)

    def value(self, index: int, trial: int, epoch: int, figure: int) -> float:
        """One figure of one epoch."""
        if self._file is None:
            return self._curve.item(index, trial, epoch, figure)
        place = ((index * self.shape[0] + trial) * self.shape[1] + epoch) * 2 + figure
        found: float = _FLOAT.unpack(os.pread(self._file, 4, self._start + 4 * place))[0]
        return found


class RunReader:
    """Reads the trials of one data set key on one schedule.

    Args:
        runs: an archive's, or the embedded ones.
    """

    def __init__(self, runs: Runs | EmbeddedRuns) -> None:
        self.runs = runs
        self.key, self.hp, self.epochs, self.seeds = runs.key, runs.hp, runs.epochs, runs.seeds
        self.sets = ("train", *runs.sets)
        self._trials = range(len(runs.seeds))
        self._params = runs.column("params")
        self._columns: dict[str, Column | None] = {}
        self._curves: dict[str, CurveFile | None] = {}

    def positions(self, index: int) -> list[int]:
        """Positions of the trials that an architecture has; UnknownRuns if none."""
        item = self._params.item
        found = [t for t in self._trials if (value := item(index, t)) == value]  # no NaN
        if not found:
            raise UnknownRuns(
                f"architecture {index} has no run of {self.key} with hp {shown(self.hp)}"
            )
        return found

    def set(self, name: str) -> str:
        """An evaluation set's own name; InvalidInput if there is no such set."""
        own = "x-valid" if name == "valid" else name
        if own not in self.sets:
            raise InvalidInput(
                f"{self.key} with hp {shown(self.hp)} has no set {shown(name)}, only "
                f"{', '.join(self.sets)}{self.runs.lacking}"
            )
        return own

    def column(self, name: str) -> Column | None:
        """A column, or None if the figures lack it."""
        if name not in self._columns:
            held = name in self.runs.names
            self._columns[name] = self.runs.column(name) if held else None
        return self._columns[name]

    def curve(self, name: str) -> CurveFile | None:
        """A set's curve, or None if only its last epoch is known."""
        if name not in self._curves:
            curve, folder = self.runs.curve(name), self.runs.folder
            path = Path(folder or "", "curves", f"{self.key}@{self.hp}", f"{name}.npy")
            self._curves[name] = None if curve is None else CurveFile(path, curve)
        return self._curves[name]

    def epoch(self, iepoch: Any) -> int:
        """An epoch from 0; the last for None; ValueError if there is no such epoch."""
        if iepoch is None:
            return self.epochs - 1
        epoch = as_integer(iepoch)
        if epoch is None or not 0 <= epoch < self.epochs:
            last = self.epochs - 1
            raise InvalidInput(
                f"no epoch {shown(iepoch)}: they count from 0 to {last}{self.runs.lacking}"
            )
        return epoch

    def seconds(self, setname: str, index: int, position: int) -> float | None:
        """Seconds of an epoch, None if unknown."""
        column = self.column(f"{setname}-seconds")
        value = np.nan if column is None else column.item(index, position)
        return value if value == value else None

    def figure(
        self, setname: str, index: int, position: int, iepoch: int, figure: int
    ) -> float | None:
        """Accuracy or loss after an epoch; None if the figures never have it.

        Raises:
            InvalidInput: if there is no such set.
            UnknownRuns: if it is known at the last epoch only.
        """
        setname = self.set(setname)
        if iepoch == self.epochs - 1:
            column = self.column(f"{setname}-{'loss' if figure else 'accuracy'}")
            if column is None:
                return None
            value = column.item(index, position)
            if value != value:
                raise UnknownRuns(f"architecture {index} has no figures of {self.key} on {setname}")
            return value
        curve = self.curve(setname)
        if curve is None:
            raise UnknownRuns(
                f"{self.key} with hp {shown(self.hp)} has {setname} after its last epoch only, "
                f"{self.epochs - 1}, not after {iepoch}{self.runs.lacking}"
            )
        return curve.value(index, position, iepoch, figure)

    def metrics(
        self, setname: str, index: int, positions: Sequence[int], iepoch: int | None, averaged: bool
    ) -> Metrics:
        """What ``ArchResults.get_metrics`` returns: of one position, or the mean of several."""
        epoch = self.epoch(iepoch)
        each = []
        for position in positions:
            seconds = self.seconds(setname, index, position)
            each.append(
                {
                    "iepoch": epoch,
                    "loss": self.figure(setname, index, position, epoch, LOSS),
                    "accuracy": self.figure(setname, index, position, epoch, ACCURACY),
                    "cur_time": seconds,
                    # The sum that the original takes, so that the last bit agrees too.
                    "all_time": None if seconds is None else sum(repeat(seconds, epoch + 1)),
                }
            )
        if not averaged:
            return each[0]
        averages: Metrics = {}
        for name, value in each[0].items():
            averages[name] = None if value is None else mean([one[name] for one in each])
        return averages

    def latency(self, index: int) -> float | None:
        """Mean latency over the trials that have one, in seconds."""
        column = self.column("latency")
        assert column is not None
        known = [x for x in (column.item(index, t) for t in self._trials) if x > 0]
        return sum(known) / len(known) if known else None

    def costs(self, index: int) -> dict[str, Any]:
        """What ``ArchResults.get_compute_costs`` returns."""
        positions = self.positions(index)
        seeds = [self.seeds[position] for position in positions]
        costs: dict[str, Any] = {}
        for name in ("flops", "params"):
            column = self.runs.column(name)
            costs[name] = settled_mean([column.item(index, t) for t in positions], seeds)
        costs["latency"] = self.latency(index)
        for setname in self.sets:
            seconds = [self.seconds(setname, index, position) for position in positions]
            known = [value for value in seconds if value is not None]
            totals = [sum(repeat(value, self.epochs)) for value in known]
            whole = len(known) == len(positions)
            costs[f"T-{setname}@epoch"] = (
                mean([total / self.epochs for total in totals]) if whole else None
            )
            costs[f"T-{setname}@total"] = mean(totals) if whole else None
        return costs


class SearchPlan:
    """What ``simulate_train_eval`` answers with, ready to look up.

    Args:
        trained: runs of the data set key that answers.
        named: runs of the key that the caller named, whose latency is reported.
    """

    def __init__(self, trained: RunReader, named: RunReader) -> None:
        columns = [trained.column(f"x-valid-{name}") for name in ("accuracy", "seconds")]
        train = trained.column("train-seconds")
        latency = named.column("latency")
        if train is None or latency is None or columns[0] is None or columns[1] is None:
            raise UnknownRuns(
                f"{trained.key} with hp {shown(trained.hp)} has no validation accuracy"
            )
        self._reader = trained
        self._accuracy, self._valid = columns[0].item, columns[1].item
        self._train, self._latency = train.item, latency.item
        self._trials = tuple(range(len(trained.seeds)))
        self._named = named.latency if len(named.seeds) > 1 else None
        self._epochs = trained.epochs

    def draw(self, index: int, iepoch: int | None = None) -> tuple[float, float | None, float]:
        """Accuracy of a random trial, latency, seconds. IndexError if there is no trial.

        Consumes Python's global ``random`` as ``random.choice`` of the seeds does.

        Args:
            index: official index.
            iepoch: epoch from 0; None for the last.
        """
        accuracy = self._accuracy
        positions = [t for t in self._trials if (value := accuracy(index, t)) == value]
        position = random.choice(positions)
        epoch = self._epochs - 1 if iepoch is None else self._reader.epoch(iepoch)
        if epoch == self._epochs - 1:
            return self.at(index, position)
        return self._within(index, positions, position, epoch)

    def at(self, index: int, position: int) -> tuple[float, float | None, float]:
        """Likewise of one trial at the end of the schedule, NaN if there is none."""
        seconds = sum(repeat(self._train(index, position), self._epochs))
        passes = self._pass(index, position, self._epochs)
        return self._accuracy(index, position), self._latency_of(index), seconds + passes

    def _within(
        self, index: int, positions: list[int], position: int, epoch: int
    ) -> tuple[float, float | None, float]:
        """Likewise after an epoch within the schedule.

        Where validation is known after the last epoch only, accuracy is that of validation and
        test images together, and the time of a validation pass another random trial's.
        """
        reader, epochs = self._reader, epoch + 1
        curve = reader.curve("x-valid")
        if curve is not None:
            accuracy = curve.value(index, position, epoch, ACCURACY)
            passes = self._pass(index, position, epochs)
        else:
            # CIFAR-10's test images would be no stand-in: the search must not see them.
            stand_in = "x-valid" if reader.key == "cifar10-valid" else "ori-test"
            known = reader.figure(stand_in, index, position, epoch, ACCURACY)
            assert known is not None
            accuracy = known
            passes = self._pass(index, random.choice(positions), self._epochs)
        seconds = sum(repeat(self._train(index, position), epochs))
        return accuracy, self._latency_of(index), seconds + passes

    def _pass(self, index: int, position: int, epochs: int) -> float:
        """Seconds of a validation pass: the mean of equal times, as the original takes it."""
        return sum(repeat(self._valid(index, position), epochs)) / epochs

    def _latency_of(self, index: int) -> float | None:
        if self._named is not None:
            return self._named(index)
        latency = self._latency(index, 0)
        return latency if latency > 0 else None
