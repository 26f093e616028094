"""The figures inside the package, in the shape of an imported archive.

They hold less than the official files do: accuracies at the end of a schedule, costs and times,
and some of them are estimates. An estimate answers as fixed trials with the official seeds.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.datasets import DATASETS
from nats_gym.evaluators import TableEvaluator
from nats_gym.spaces import get_space
from nats_gym.spaces.size import CELL
from nats_gym.streams import combine
from nats_gym.tables import SURROGATE, Table, load_table

#: Data set key → table that answers for it, and the set and split that the table knows of it.
_ANSWERS = {
    "cifar10-valid": ("cifar10", {"x-valid": "valid"}),
    "cifar10": ("cifar10", {"ori-test": "test"}),
    "cifar100": ("cifar100", {"x-valid": "valid", "x-test": "test"}),
    "ImageNet16-120": ("ImageNet16-120", {"x-valid": "valid", "x-test": "test"}),
}
_SCHEDULES = {"tss": {"12": 12, "200": 200}, "sss": {"90": 90}}
_TEST_DRAWS = 1  # apart from those of validation accuracies


def what_is_lacking(space: str) -> str:
    """A sentence for whoever asks the embedded figures for more than they hold."""
    only = "hp=200 and hp=12" if space == "tss" else "hp=90 alone: ask with hp='90'"
    sets = "; test accuracies at hp=200 alone, estimated" if space == "tss" else ""
    return (
        f"; the embedded figures hold {only}, after the last epoch, without learning curves{sets}; "
        f"official files have the rest: nats-gym data download {space}"
    )


class EmbeddedRuns:
    """Trials of one data set key on one schedule; like ``Runs``, without curves and losses."""

    def __init__(self, space: str, key: str, hp: str) -> None:
        self.key, self.hp = key, hp
        self.epochs = _SCHEDULES[space][hp]
        dataset, answers = _ANSWERS[key]
        self._table = load_table(space, dataset, "embedded")
        self._splits = {
            name: split
            for name, split in answers.items()
            if self.epochs in self._table.epochs(split)
        }
        self.sets = tuple(self._splits)
        self.curve_sets: tuple[str, ...] = ()
        self.seeds: tuple[int, ...] = (777,)
        if space == "tss":
            short = (111, 777) if key == "cifar10-valid" else (111,)
            self.seeds = (777, 888, 999) if hp == "200" else short
        network: dict[str, Any] = {"channel": 16, "num_cells": 5, "arch_str": None}
        if space == "sss":
            network = {
                "name": "infer.shape.tiny",
                "channels": None,
                "arch_str": None,
                "genotype": CELL,
            }
        self.arch_config = {**network, "class_num": DATASETS[dataset].num_classes}
        self.folder: Path | None = None
        self.lacking = what_is_lacking(space)
        self._columns: dict[str, NDArray[np.float64]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        accuracies = tuple(f"{name}-accuracy" for name in self.sets)
        # Seconds are those of a search: training on half of CIFAR-10, one validation pass.
        seconds = () if self.key == "cifar10" else ("train-seconds", "x-valid-seconds")
        return (*accuracies, *seconds, "latency", "params", "flops")

    def column(self, name: str) -> NDArray[np.float64]:
        """A column, ``(arch, trial)``; NaN where a trial does not exist, KeyError for others."""
        if name not in self.names:
            raise KeyError(name)
        if name not in self._columns:
            self._columns[name] = self._load(name)
        return self._columns[name]

    def curve(self, name: str) -> None:
        """There are no learning curves."""

    @cached_property
    def _exists(self) -> NDArray[np.bool_]:
        trials = len(self.seeds)
        if self.sets and not self._estimated(self.sets[0]):
            return ~np.isnan(self._table.accuracy("valid", self.epochs)[:, :trials])
        if self.hp == "200":  # CIFAR-10's full training: as many trials as the half's
            return EmbeddedRuns("tss", "cifar10-valid", "200")._exists
        return np.ones((self._table.space.size, trials), bool)

    def _estimated(self, name: str) -> bool:
        split = self._splits[name]
        return self._table.provenance("accuracy", split, self.epochs) == SURROGATE

    def _load(self, name: str) -> NDArray[np.float64]:
        table = self._table
        if name.endswith("-accuracy"):
            return self._accuracy(name.removesuffix("-accuracy"))
        if name == "train-seconds":
            per_arch = table.train_seconds(1)
        elif name == "x-valid-seconds":
            per_arch = table.evaluation_seconds("valid")
        else:
            per_arch = table.figure(name).values
        return np.where(self._exists, per_arch[:, None], np.nan)

    def _accuracy(self, name: str) -> NDArray[np.float64]:
        split, table = self._splits[name], self._table
        if not self._estimated(name):
            trials = table.accuracy(split, self.epochs)[:, : len(self.seeds)]
            return np.ascontiguousarray(trials, dtype=np.float64)
        arch = np.arange(table.space.size, dtype=np.int64)
        keys = np.zeros(table.space.size, np.uint64)
        if split == "valid":
            draws = [
                TableEvaluator(table, trial=trial).evaluate(arch, self.epochs, keys).accuracy
                for trial in range(len(self.seeds))
            ]
        else:
            scatter = table.scatter(split, self.epochs)
            assert scatter is not None
            keys = combine(arch.astype(np.uint64), _TEST_DRAWS)
            draws = [scatter.draw(arch, combine(keys, trial)) for trial in range(len(self.seeds))]
        return np.where(self._exists, np.stack(draws, axis=1), np.nan)


class EmbeddedArchive:
    """The embedded tables of a space, to be asked like an imported archive."""

    weights: Path | None = None
    source = "embedded"

    def __init__(self, space: str) -> None:
        self.space = get_space(space)
        self.hps = tuple(_SCHEDULES[space])
        self.lacking = what_is_lacking(space)
        self._runs: dict[tuple[str, str], EmbeddedRuns] = {}

    @cached_property
    def held(self) -> NDArray[np.bool_]:
        """All architectures are known."""
        return np.ones(self.space.size, bool)

    def keys(self, hp: str) -> tuple[str, ...]:
        """Data set keys on a schedule."""
        return tuple(_ANSWERS) if hp in self.hps else ()

    def runs(self, key: str, hp: str) -> EmbeddedRuns:
        """Trials of a data set key on a schedule; KeyError if there are none."""
        if key not in self.keys(hp):
            raise KeyError((key, hp))
        if (key, hp) not in self._runs:
            self._runs[key, hp] = EmbeddedRuns(self.space.name, key, hp)
        return self._runs[key, hp]

    def provenance(self) -> str:
        """What is measured and what estimated, in words."""
        by_provenance: dict[str, list[str]] = {}
        for column in _any_table(self.space.name).columns:
            by_provenance.setdefault(column.provenance, []).append(column.name)
        measured = ", ".join(by_provenance.get("measured", [])) or "nothing"
        estimated = ", ".join(by_provenance.get(SURROGATE, [])) or "nothing"
        return f"measured: {measured}; estimated: {estimated}; no losses, no learning curves"


def _any_table(space: str) -> Table:
    return load_table(space, "cifar100", "embedded")
