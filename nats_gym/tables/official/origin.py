"""What an imported archive is: a public benchmark's, a build's own trainings, or neither.

Files say little of where they come from, and anybody can write more. What NATS-Bench's must agree
with is known: their networks, the seeds that they were trained with, the closed form of their
costs, and of the topology space the measured accuracies that this package ships.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.datasets import dataset_of
from nats_gym.spaces import ArchitectureSpace
from nats_gym.spaces.size import CELL
from nats_gym.tables.column import MEASURED
from nats_gym.tables.official.runs import Runs
from nats_gym.tables.table import open_embedded


@dataclass(frozen=True)
class NASBench101:
    """What NAS-Bench-101's own files are known by.

    Attributes:
        origin: what their figures are, in words.
        licence: of these.
        files: how the SHA-256 of each public file begins, as far as it is published.
    """

    origin: str = "official NAS-Bench-101 file (arXiv 1902.09635)"
    licence: str = "Apache-2.0"
    files: Mapping[str, str] = field(
        default_factory=lambda: {
            "nasbench_full.tfrecord": "3d64db81",
            "nasbench_only108.tfrecord": "4c39c393",
        },
        hash=False,
    )

    def differences(self, sha256: str) -> list[str]:
        """In what a file that can be read contradicts what is known of the public ones."""
        if sha256.startswith(tuple(self.files.values())):
            return []
        known = " and ".join(f"{name}'s with {start}" for name, start in self.files.items())
        return [f"its SHA-256 begins with {sha256[:8]}, {known}"]


NASBENCH_101 = NASBench101()

NATS_BENCH = "official NATS-Bench archive (arXiv 2009.00437)"
SEEDS = (111, 777, 888, 999)
_NETWORKS: dict[str, dict[str, Any]] = {
    "tss": {"channel": 16, "num_cells": 5, "arch_str": None},
    "sss": {"name": "infer.shape.tiny", "channels": None, "arch_str": None, "genotype": CELL},
}
# Costs of a few official trainings are not those of their network, accuracies of none are others.
COSTS_AGREE, ACCURACIES_AGREE = 0.9, 0.99


def differences(
    space: ArchitectureSpace, held: NDArray[np.bool_], every: Sequence[Runs]
) -> list[str]:
    """In what an archive contradicts what is known of NATS-Bench's; nothing if in nothing.

    Args:
        space: the architecture space.
        held: whether the archive has the architecture, ``(arch,)``.
        every: all that it holds.
    """
    found = [*map(_network_differs, every), *map(_seeds_differ, every)]
    found += [_costs_differ(space, held, runs) for runs in every]
    found += [_accuracies_differ(space, runs) for runs in every]
    return [line for line in found if line]


def _network_differs(runs: Runs) -> str:
    classes = dataset_of(runs.key).num_classes
    if any(runs.arch_config == {**each, "class_num": classes} for each in _NETWORKS.values()):
        return ""
    return f"arch_config of {runs.key} at hp {runs.hp} describes another network"


def _seeds_differ(runs: Runs) -> str:
    others = sorted(set(runs.seeds).difference(SEEDS))
    return f"{runs.key} at hp {runs.hp} was trained with seed {others[0]}" if others else ""


def _costs_differ(space: ArchitectureSpace, held: NDArray[np.bool_], runs: Runs) -> str:
    index = np.flatnonzero(held)
    choices, dataset = space.choices(index), dataset_of(runs.key).name
    for name, closed in (
        ("params", space.compute("params", choices, dataset)),
        ("flops", space.compute("flops", choices, dataset)),
    ):
        figures = runs.column(name)[index]
        exists = ~np.isnan(figures).all(axis=1)
        agree = np.asarray(np.isclose(figures, closed[:, None], rtol=1e-4, atol=0)).any(axis=1)
        if exists.any() and np.mean(np.asarray(agree)[exists]) < COSTS_AGREE:
            return f"{name} of {runs.key} at hp {runs.hp} are those of other networks"
    return ""


def _accuracies_differ(space: ArchitectureSpace, runs: Runs) -> str:
    table = open_embedded(space.name, dataset_of(runs.key).name)
    schedule = next((each for each in table.epochs("valid") if str(each) == runs.hp), None)
    if schedule is None or runs.key == "cifar10" or "x-valid" not in runs.sets:
        return ""
    column = table.column("accuracy", "valid", schedule)
    shared = [seed for seed in runs.seeds if seed in column.trials]
    if column.provenance != MEASURED or not shared:
        return ""
    known = table.accuracy("valid", schedule)[:, [column.trials.index(s) for s in shared]]
    mine = runs.column("x-valid-accuracy")[:, [runs.seeds.index(s) for s in shared]]
    both = ~(np.isnan(known) | np.isnan(mine))
    if both.any() and (abs(known - mine)[both] < 0.01).mean() < ACCURACIES_AGREE:
        return (
            f"validation accuracies of {runs.key} at hp {runs.hp} are not those known as measured"
        )
    return ""
