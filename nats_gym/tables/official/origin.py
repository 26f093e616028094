"""What an imported archive is: NATS-Bench's, a build's own trainings, or neither.

Files say little of where they come from, and anybody can write more. What NATS-Bench's must agree
with is known: their networks, the seeds that they were trained with, the closed form of their
costs, and of the topology space the measured accuracies that this package ships.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nats_gym.datasets import DATASETS, get_dataset
from nats_gym.spaces.size import CELL
from nats_gym.tables.column import MEASURED

if TYPE_CHECKING:
    from nats_gym.tables.official.archive import OfficialArchive, Runs

NATS_BENCH = "official NATS-Bench archive (arXiv 2009.00437)"
SEEDS = (111, 777, 888, 999)
_NETWORKS: dict[str, dict[str, Any]] = {
    "tss": {"channel": 16, "num_cells": 5, "arch_str": None},
    "sss": {"name": "infer.shape.tiny", "channels": None, "arch_str": None, "genotype": CELL},
}
# Costs of a few official trainings are not those of their network, accuracies of none are others.
COSTS_AGREE, ACCURACIES_AGREE = 0.9, 0.99


def dataset_of(key: str) -> str:
    """Data set whose images a data set key is of."""
    return "cifar10" if key == "cifar10-valid" else key


def differences(archive: OfficialArchive) -> list[str]:
    """In what an archive contradicts what is known of NATS-Bench's; nothing if in nothing."""
    every = [archive.runs(key, hp) for hp in archive.hps for key in archive.keys(hp)]
    found = [*map(_network_differs, every), *map(_seeds_differ, every)]
    found += [_costs_differ(archive, runs) for runs in every]
    if archive.space.name == "tss":
        found += [_accuracies_differ(archive, dataset) for dataset in DATASETS]
    return [line for line in found if line]


def _network_differs(runs: Runs) -> str:
    classes = get_dataset(dataset_of(runs.key)).num_classes
    if any(runs.arch_config == {**each, "class_num": classes} for each in _NETWORKS.values()):
        return ""
    return f"arch_config of {runs.key} at hp {runs.hp} describes another network"


def _seeds_differ(runs: Runs) -> str:
    others = sorted(set(runs.seeds).difference(SEEDS))
    return f"{runs.key} at hp {runs.hp} was trained with seed {others[0]}" if others else ""


def _costs_differ(archive: OfficialArchive, runs: Runs) -> str:
    space, (index,) = archive.space, np.nonzero(archive.held)
    digits, dataset = space.digits(index), dataset_of(runs.key)
    for name, closed in (
        ("params", space.params(digits, dataset)),
        ("flops", space.flops(digits, dataset)),
    ):
        figures = runs.column(name)[index]
        exists = ~np.isnan(figures).all(axis=1)
        agree = np.asarray(np.isclose(figures, closed[:, None], rtol=1e-4, atol=0)).any(axis=1)
        if exists.any() and np.mean(np.asarray(agree)[exists]) < COSTS_AGREE:
            return f"{name} of {runs.key} at hp {runs.hp} are those of other networks"
    return ""


def _accuracies_differ(archive: OfficialArchive, dataset: str) -> str:
    from nats_gym.tables.load import load_table  # which opens archives itself

    table = load_table(archive.space.name, dataset, "embedded")
    key = "cifar10-valid" if dataset == "cifar10" else dataset
    for epochs in table.epochs("valid"):
        column, hp = table.column("accuracy", "valid", epochs), str(epochs)
        if column.provenance != MEASURED or key not in archive.keys(hp):
            continue
        runs = archive.runs(key, hp)
        shared = [seed for seed in runs.seeds if seed in column.trials]
        if "x-valid" not in runs.sets or not shared:
            continue
        known = table.accuracy("valid", epochs)[:, [column.trials.index(s) for s in shared]]
        mine = runs.column("x-valid-accuracy")[:, [runs.seeds.index(s) for s in shared]]
        both = ~(np.isnan(known) | np.isnan(mine))
        if both.any() and (abs(known - mine)[both] < 0.01).mean() < ACCURACIES_AGREE:
            return f"validation accuracies of {key} at hp {hp} are not those known as measured"
    return ""
