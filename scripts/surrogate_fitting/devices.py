"""Latency of topologies on devices: a ridge on what is in a cell, and a perceptron for the rest.

The ridge alone is exact where an operation costs the same wherever it stands; runtimes that leave
out what no output depends on, and depths that add up, are the perceptron's. All settings share its
layers, so that those of little noise tell those of much what a cell is like.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nats_gym.spaces import get_space
from nats_gym.tables import SURROGATE, Column, write_table
from nats_gym.tables.devices import (
    DEVICES,
    FILE,
    FOLDER_OF_COLUMNS,
    MODEL,
    SPACE,
    DeviceSurrogate,
)
from nats_gym.tables.folder import sha256_of
from nats_gym.tables.surrogates import FOLDER, Array, topology_structure

from .diagnostics import FOLDS, judge, out_of_fold
from .perceptron import fit_linear_and_perceptron
from .writing import write_arrays

WIDTH, EPOCHS, DECAY = 32, 40, 0.1


@dataclass(frozen=True)
class Latencies:
    """Measured latencies of a part of the cells.

    Attributes:
        choices: operations, ``(row, 6)``.
        milliseconds: on the settings of ``DEVICES``, in its order, ``(row, setting)``.
    """

    choices: Array
    milliseconds: Array

    @classmethod
    def read(cls, path: Path) -> Latencies:
        """Read the ``.npz``: ``index``, and a column for each device's key."""
        with np.load(path) as content:
            columns = [content[device.key].astype(np.float64) for device in DEVICES.values()]
            choices = get_space(SPACE).choices(content["index"].astype(np.int64))
        return cls(choices, np.stack(columns, axis=1))


def fit_and_judge_devices(measured: Latencies) -> tuple[DeviceSurrogate, dict[str, Any]]:
    """The model of all rows, and by name the errors of models of four fifths on the last."""
    choices, truth = measured.choices, measured.milliseconds

    def predict(fold: int, seen: Array) -> Array:
        model = fit_devices(choices[seen], truth[seen], seed=fold)
        return np.asarray(model.latencies(choices[~seen]).T)

    predicted = out_of_fold(truth, predict)
    held_out = {
        name: {"rows": len(truth), **_errors(truth[:, column], predicted[:, column])}
        for column, name in enumerate(DEVICES)
    }
    return fit_devices(choices, truth, seed=FOLDS), held_out


def fit_devices(choices: Array, milliseconds: Array, seed: int) -> DeviceSurrogate:
    """Fit to ``choices (row, 6)`` and their latencies ``(row, setting)``."""
    model = fit_linear_and_perceptron(
        topology_structure(choices).T,
        milliseconds,
        width=WIDTH,
        epochs=EPOCHS,
        decay=DECAY,
        seed=seed,
    )
    return DeviceSurrogate(model, milliseconds.min(0).astype(np.float32))


def write_devices(model: DeviceSurrogate, folder: Path) -> Path:
    """Write the coefficients that :meth:`DeviceSurrogate.load` reads."""
    write_arrays(folder / FILE, model.arrays())
    return folder / FILE


def write_device_columns(held_out: dict[str, Any], coefficients: Path) -> None:
    """Write the table whose named columns these latencies are, beside the coefficients' folder."""
    columns = [
        Column(
            name,
            SURROGATE,
            device.source,
            "MIT",
            file=f"../{FOLDER.name}/{coefficients.name}",
            sha256=sha256_of(coefficients),
            model=MODEL,
            version=1,
            held_out={error: held_out[name][error] for error in ("r2", "tau", "rmse")},
            note="of the networks for CIFAR-10",
            counts=device.quantity,
        )
        for name, device in DEVICES.items()
    ]
    folder = coefficients.parent.parent / FOLDER_OF_COLUMNS
    write_table(folder, SPACE, "cifar10", [], columns)


def _errors(truth: Array, predicted: Array) -> dict[str, float]:
    found = judge(truth, predicted)
    return {name: found[name] for name in ("r2", "tau", "rmse")}
