"""Tables of the topology space that are made here, for what an agent must not know beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nats_gym.tables import MEASURED, Column, write_table

SHARED: dict[str, Any] = {"provenance": MEASURED, "source": "a test", "licence": "none"}


def write(folder: Path, dataset: str, accuracy: np.ndarray) -> str:
    """A table of full-schedule accuracies ``(arch,)`` of the topology space, by its folder."""
    seconds = np.ones(len(accuracy))
    of_trials = {**SHARED, "epochs": 200, "trials": (0,)}
    columns = [
        (Column("accuracy", split="valid", **of_trials), accuracy[:, None]),
        (Column("train_seconds_per_epoch", **SHARED), seconds),
        (Column("evaluation_seconds", split="valid", **SHARED), seconds),
        (Column("latency", **SHARED), seconds),
    ]
    write_table(folder, "tss", dataset, columns)
    return str(folder)


def planted(index: int) -> np.ndarray:
    """Accuracies of which one architecture's alone is high, all as counted on 5,000 images."""
    accuracy = np.random.default_rng(7).integers(500, 2_500, 15_625) / 50
    accuracy[index] = 99.0
    return accuracy
