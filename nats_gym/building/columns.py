"""The trainings of a build as the columns of a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.building.plan import VALID_SPLIT, Plan
from nats_gym.building.trainings import Training
from nats_gym.tables import MEASURED, Column
from nats_gym.training.record import COMPLETED

StoredColumns = list[tuple[Column, NDArray[np.float32]]]


def measured_columns(
    plan: Plan, trainings: Sequence[Training], curves: bool, licence: str
) -> StoredColumns:
    """Accuracies by trial, seconds and latency as means over trials; NaN where nothing is.

    Args:
        plan: what was trained.
        trainings: at least one.
        curves: whether to add learning curves, ``(arch, trial, epoch, 2)``.
        licence: of the figures.
    """
    size, epochs = plan.architectures.size, plan.epochs
    trials = tuple(sorted({training.trial for training in trainings}))
    rows = np.array([training.architecture for training in trainings])
    position = np.array([trials.index(training.trial) for training in trainings])
    machines = dict.fromkeys(training.machine for training in trainings)
    shared: dict[str, Any] = {
        "provenance": MEASURED,
        "source": f"trained on {plan.dataset} by {'; '.join(machines)}",
        "licence": licence,
        "note": _note(plan, trainings),
    }
    columns: StoredColumns = []
    for split, key in (("valid", VALID_SPLIT), ("test", plan.test_split)):
        curve = np.array([training.curve(key, epochs) for training in trainings], np.float32)
        accuracy = np.full((size, len(trials)), np.nan, np.float32)
        accuracy[rows, position] = curve[:, -1, 0]
        of_trials = {**shared, "split": split, "epochs": epochs, "trials": trials}
        columns.append((Column("accuracy", **of_trials), accuracy))
        if curves:
            every = np.full((size, len(trials), epochs, 2), np.nan, np.float32)
            every[rows, position] = curve
            columns.append((Column("accuracy_curve", **of_trials), every))
    train = [training.train_seconds(epochs) for training in trainings]
    evaluation = [training.evaluation_seconds(VALID_SPLIT) for training in trainings]
    latency = [training.latency for training in trainings]
    for quantity, split, figures in (
        ("train_seconds_per_epoch", "", train),
        ("evaluation_seconds", "valid", evaluation),
        ("latency", "", latency),
    ):
        column = Column(quantity, split=split, **shared)
        columns.append((column, _means(rows, np.array(figures), size)))
    return columns


def _means(rows: NDArray[np.int64], figures: NDArray[np.float64], size: int) -> Any:
    """Mean over each architecture's trials, ``(arch,)``."""
    total, count = np.bincount(rows, figures, size), np.bincount(rows, minlength=size)
    means = np.divide(total, count, out=np.full(size, np.nan), where=count > 0)
    return means.astype(np.float32)


def _note(plan: Plan, trainings: Sequence[Training]) -> str:
    held = len({training.architecture for training in trainings})
    network = json.dumps(dict(plan.network), sort_keys=True)
    note = (
        f"{held:,} of {plan.architectures.size:,} architectures, NaN elsewhere; tested on "
        f"{plan.test_split}; recipe {plan.recipe.to_json()}; network {network}; "
        f"splits {plan.splits}"
    )
    failed = sum(training.record.status != COMPLETED for training in trainings)
    if failed:
        note += f"; {failed} trainings that failed count as the recipe says"
    return note
