"""Accuracies in the topology space: validation after 12 epochs, test after 200.

The latter: a linear model and a perceptron, to logits, from the measured validation accuracies.

12 epochs: teachers, and the student that is shipped. Teachers share their trunk with the other 12-
and 200-epoch figures of a cell, which are further noisy views of it; the student sees the teachers'
mean on every cell. Half of the teachers weigh all rows alike. The other half weigh a row by its
inverse variance, which the first half tell: the best cells train with a third of the noise of poor
ones, and searches live there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nats_gym.spaces import TopologySpace
from nats_gym.tables.surrogates import (
    DATASET_ORDER,
    TOPOLOGY_FILES,
    Array,
    TopologySurrogate,
    logits_of,
    topology_features,
)

from .diagnostics import FOLDS, judge, out_of_fold
from .figures import Columns, Measured
from .noise import fit_noise
from .perceptron import Layers, as_perceptron, fit_linear_and_perceptron, train_perceptron
from .writing import write_arrays

TEACHERS_OF_A_KIND = 4
WEIGHT_RANGE = (0.25, 4.0)
TEACHER_WIDTH, STUDENT_WIDTH = 128, 128
TEACHER_EPOCHS, STUDENT_EPOCHS = 120, 200
TEACHER_DECAY, STUDENT_DECAY = 0.1, 0.0
AUXILIARY_WEIGHT = 0.3
TEST_WIDTH, TEST_EPOCHS, TEST_DECAY, TEST_BEND = 32, 40, 1.0, 1.0

#: What the model estimates; the further targets are those that teachers learn besides.
ESTIMATED = [f"{name}_valid_12" for name in DATASET_ORDER]
FURTHER = [f"{name}_test_{epochs}" for epochs in (12, 200) for name in DATASET_ORDER]


@dataclass(frozen=True)
class TopologyFit:
    """A topology model and how it did on rows that it did not see.

    Attributes:
        split: what it estimates; see ``TopologySurrogate.load``.
        model: fitted to all rows, with its noise.
        out_of_fold: predictions of the csv's rows, percent, ``(row, 3)``.
        held_out: a record for each data set, by the name of its model.
    """

    split: str
    model: TopologySurrogate
    out_of_fold: Array
    held_out: dict[str, Any]

    def write(self, folder: Path) -> None:
        """Write the coefficients that :meth:`TopologySurrogate.load` reads."""
        write_arrays(folder / TOPOLOGY_FILES[self.split], self.model.arrays())


def fit_and_judge_topology(columns: Columns, measured: Measured) -> TopologyFit:
    """Fit the topology model to the rows of ``tss.csv.gz``, and to each four fifths of them."""
    space = TopologySpace()
    choices, index = space.all_choices(), columns["index"]
    targets = np.stack([columns[name] for name in ESTIMATED + FURTHER], axis=1)
    truth = targets[:, : len(ESTIMATED)]  # (row, dataset)

    def predict(fold: int, seen: Array) -> Array:
        model = fit_topology(choices, measured.accuracy, index[seen], targets[seen], seed=fold)
        unseen = index[~seen]
        predicted = model.accuracies(choices[unseen], measured.accuracy[unseen])
        rmse = np.sqrt(((predicted - truth[~seen]) ** 2).mean(0))
        print(f"fold {fold}:", rmse.round(3))
        return predicted

    predicted = out_of_fold(truth, predict)
    bare = fit_topology(choices, measured.accuracy, index, targets, seed=FOLDS)
    noise = tuple(
        fit_noise(expected, actual - expected)
        for expected, actual in zip(predicted.T, truth.T, strict=True)
    )
    held_out = {
        f"tss-{name}-valid-12": {
            "rows": len(index),
            "rows_of_space": space.size,
            "fitted_to": f"{name} validation accuracy after 12 epochs, "
            + ("mean of two trials" if name == "cifar10" else "one trial"),
            **judge(truth[:, c], predicted[:, c]),
        }
        for c, name in enumerate(DATASET_ORDER)
    }
    return TopologyFit("valid", TopologySurrogate(bare.network, noise), predicted, held_out)


def fit_and_judge_test(columns: Columns, measured: Measured) -> TopologyFit:
    """Fit test accuracy after 200 epochs to ``tss.csv.gz``, and to each four fifths of its rows."""
    space = TopologySpace()
    choices, index = space.all_choices(), columns["index"]
    truth = np.stack([columns[f"{name}_test_200"] for name in DATASET_ORDER], axis=1)
    features = topology_features(choices, measured.accuracy).T

    def fit(rows: Array, targets: Array, seed: int) -> TopologySurrogate:
        network = fit_linear_and_perceptron(
            features[rows],
            logits_of(targets),
            width=TEST_WIDTH,
            epochs=TEST_EPOCHS,
            decay=TEST_DECAY,
            seed=seed,
            bend=TEST_BEND,
        )
        return TopologySurrogate(network, (), logits=True)

    def predict(fold: int, seen: Array) -> Array:
        unseen = index[~seen]
        model = fit(index[seen], truth[seen], fold)
        return model.accuracies(choices[unseen], measured.accuracy[unseen])

    predicted = out_of_fold(truth, predict)
    noise = tuple(
        fit_noise(expected, actual - expected)
        for expected, actual in zip(predicted.T, truth.T, strict=True)
    )
    held_out = {
        f"tss-{name}-test-200": {
            "rows": len(index),
            "rows_of_space": space.size,
            "fitted_to": f"{name} test accuracy after 200 epochs, mean of the trials",
            **judge(truth[:, c], predicted[:, c]),
        }
        for c, name in enumerate(DATASET_ORDER)
    }
    bare = fit(index, truth, FOLDS)
    return TopologyFit("test", replace(bare, noise=noise), predicted, held_out)


def fit_topology(
    choices: Array, accuracy_200: Array, rows: Array, targets: Array, seed: int
) -> TopologySurrogate:
    """Fit teachers to ``rows`` of the space, then one student to their mean everywhere.

    Args:
        choices: operations of every cell, ``(arch, 6)``.
        accuracy_200: measured accuracy of every cell, percent, ``(arch, 3)``.
        rows: official indices, ``(row,)``.
        targets: :data:`ESTIMATED`, then :data:`FURTHER`, percent, ``(row, target)``.
        seed: all of the fit's networks derive theirs from it.

    Returns:
        The student, without noise.
    """
    features = topology_features(choices, accuracy_200).T  # (arch, feature)
    outputs = len(ESTIMATED)

    def teach(weights: Array, first: int) -> Array:
        """Mean of teachers on every cell, ``(arch, output)``."""
        answers = []
        for k in range(first, first + TEACHERS_OF_A_KIND):
            layers = train_perceptron(
                features[rows],
                targets,
                weights,
                width=TEACHER_WIDTH,
                epochs=TEACHER_EPOCHS,
                decay=TEACHER_DECAY,
                seed=seed * 100 + k,
            )
            answers.append(as_model(layers, outputs).accuracies(choices, accuracy_200))
        return np.asarray(np.mean(answers, axis=0))

    weights = np.ones_like(targets)
    weights[:, outputs:] = AUXILIARY_WEIGHT
    alike = teach(weights, first=0)
    for c in range(outputs):
        expected = alike[rows, c]
        precision = fit_noise(expected, targets[:, c] - expected)(expected) ** -2
        weights[:, c] = np.clip(precision / np.median(precision), *WEIGHT_RANGE)
    weights[:, :outputs] /= weights[:, :outputs].mean(0)
    by_precision = teach(weights, first=TEACHERS_OF_A_KIND)

    student = train_perceptron(
        features,
        (alike + by_precision) / 2,
        np.ones((len(features), outputs)),
        width=STUDENT_WIDTH,
        epochs=STUDENT_EPOCHS,
        decay=STUDENT_DECAY,
        seed=seed * 100 + 99,
    )
    return as_model(student, outputs)


def as_model(layers: Layers, outputs: int) -> TopologySurrogate:
    """Wrap layers for inference, with their first ``outputs`` outputs and no noise."""
    *hidden, (weight, bias) = layers
    cut = [*hidden, (weight[:outputs], bias[:outputs])]
    return TopologySurrogate(as_perceptron(cut), ())
