"""The surrogate of NAS-Bench-101, fitted to public figures of a part of its cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from nats_gym.spaces import get_space
from nats_gym.tables.cell_features import cell_features
from nats_gym.tables.cell_surrogate import ACCURACIES, CHANCE, FILE, CellSurrogate
from nats_gym.tables.cell_surrogate import EPOCHS as EPOCHS_OF_TABLE
from nats_gym.tables.perceptron import Array, Perceptron
from nats_gym.tables.surrogates import NoiseCurve

from .diagnostics import FOLDS, assign_folds, judge, rounded
from .noise import fit_noise
from .perceptron import Layers, as_perceptron, train_perceptron
from .writing import write_arrays

#: Images that an accuracy counts, of one training and of three.
IMAGES, TRAININGS = 9_984, 3
TEST = ACCURACIES.index(("test", 108))
#: Accuracies below these, in the order of ACCURACIES, are of trainings that failed.
WORKING = np.array([11.0, 20.0, 40.0, 60.0, 60.0])
#: Points between one training and the mean of the two others from which on one of them failed.
APART = 6.0
#: Of the perceptron of accuracies; a schedule's row counts more, for there are fewer.
WIDTH, EPOCHS, DECAY, BATCH, BEND, SCHEDULE_WEIGHT = 48, 30, 1e-2, 1_024, 0.2, 4.0
#: How far validation's last row leans on test's: that rests on fourteen times the cells, each
#: trained three times, so that what is best by it is found better than by single validations.
LEAN = 0.75
#: Of that of seconds.
SECONDS_WIDTH, SECONDS_EPOCHS, SECONDS_BEND = 16, 60, 0.05
#: Deviations, in sd, beyond which skewness is not looked at.
USUAL = 5.0
#: Of the logistic regression of failures.
PENALTY = 3.0


@dataclass(frozen=True)
class Figures:
    """The public figures, and the features of all cells.

    Attributes:
        features: ``(cell, feature)``.
        accuracy: percent, in the order of ACCURACIES, ``(cell, 5)``; NaN where nothing is known,
            or a training failed.
        raw: likewise, failures and all.
        mean: test accuracy, mean of three trainings, failed ones among them, ``(cell,)``.
        single: that of the first of them.
        failed: how many of the three failed, ``(cell,)``; NaN where nothing is known.
        seconds: of 108 epochs, ``(cell,)``.
    """

    features: Array
    accuracy: Array
    raw: Array
    mean: Array
    single: Array
    failed: Array
    seconds: Array

    @classmethod
    def read(cls, folder: Path) -> Figures:
        """Read ``nb101_test.npz`` and ``nb101_schedules.npz``."""
        space = get_space("nb101")
        choices = space.all_choices()
        costs = (space.compute(name, choices, "cifar10") for name in ("params", "flops"))
        features = cell_features(choices, *costs).T
        accuracy = np.full((space.size, len(ACCURACIES)), np.nan)
        mean, single, failed, seconds = np.full((4, space.size), np.nan)
        with np.load(folder / "nb101_test.npz") as test:
            index = test["index"]
            mean[index] = test["mean3"] * (100 / (TRAININGS * IMAGES))
            single[index] = test["trial0"] * (100 / IMAGES)
        others = (TRAININGS * mean - single) / (TRAININGS - 1)
        apart = np.abs(single - others) > APART
        accuracy[:, TEST] = np.where(apart, np.maximum(single, others), mean)
        with np.load(folder / "nb101_schedules.npz") as schedules:
            at = schedules["index"]
            seconds[at] = schedules["seconds"]
            for column, (split, epochs) in enumerate(ACCURACIES[:TEST]):
                accuracy[at, column] = schedules[f"{split}_{epochs}"] * (100 / IMAGES)
        raw = accuracy.copy()
        raw[:, TEST] = mean
        accuracy[accuracy < WORKING] = np.nan
        # How far the mean lies below one that works, in thirds of what a failure costs.
        with np.errstate(invalid="ignore"):
            short = TRAININGS * (accuracy[:, TEST] - mean) / (accuracy[:, TEST] - CHANCE)
            failed[index] = np.where(mean < WORKING[TEST], TRAININGS, 0)[index]
            failed = np.where(short > 0.5, np.minimum(np.round(short), TRAININGS), failed)
        return cls(features, accuracy, raw, mean, single, failed, seconds)

    @property
    def known(self) -> Array:
        """Cells with a test accuracy."""
        return np.flatnonzero(~np.isnan(self.mean))


def fit_cells(figures: Figures, rows: Array, seed: int) -> CellSurrogate:
    """Fit the model to ``rows``, without noise."""
    errors = np.log(100 - np.minimum(figures.accuracy[rows], 99.5))
    there = ~np.isnan(errors)
    weights = there * np.where(np.arange(len(ACCURACIES)) == TEST, 1.0, SCHEDULE_WEIGHT)
    usable = there.any(axis=1)
    layers = train_perceptron(
        figures.features[rows][usable],
        np.where(there, errors, np.nanmean(errors, axis=0))[usable],
        weights[usable],
        width=WIDTH,
        epochs=EPOCHS,
        decay=DECAY,
        seed=seed,
        batch=BATCH,
        bend=BEND,
    )
    timed = rows[~np.isnan(figures.seconds[rows])]
    seconds = train_perceptron(
        figures.features[timed],
        np.log(figures.seconds[timed])[:, None],
        np.ones((len(timed), 1)),
        width=SECONDS_WIDTH,
        epochs=SECONDS_EPOCHS,
        decay=DECAY / 10,
        seed=seed,
        bend=SECONDS_BEND,
    )
    failing = fit_failures(figures.features[rows], figures.failed[rows])
    accuracies = lean_on_test(as_perceptron(layers), figures.features[timed])
    return CellSurrogate(accuracies, as_perceptron(seconds), as_perceptron(failing), (), 0.0)


def lean_on_test(model: Perceptron, features: Array) -> Perceptron:
    """Mix into validation's last row the line through test's that comes closest to it.

    Args:
        model: of accuracies.
        features: of the cells that the line is drawn by, ``(cell, feature)``.
    """
    last = ACCURACIES.index(("valid", EPOCHS_OF_TABLE))
    outputs = model(features.T)
    slope, intercept = np.polyfit(outputs[:, TEST], outputs[:, last], 1)
    *hidden, (weight, bias) = model.layers
    weight, bias = weight.copy(), bias.copy()
    weight[last] = (1 - LEAN) * weight[last] + LEAN * slope * weight[TEST]
    bias[last] = (1 - LEAN) * bias[last] + LEAN * (slope * bias[TEST] + intercept)
    return Perceptron((*hidden, (weight, bias)))


def fit_failures(features: Array, failed: Array) -> Layers:
    """A logistic regression of failures among three trainings, as a layer of a perceptron."""
    known = ~np.isnan(failed)
    centre, scale = features.mean(0), features.std(0)
    scale = np.where(scale > 0, scale, 1)
    x, share = ((features - centre) / scale)[known], failed[known] / TRAININGS
    often = np.log(share.mean() / (1 - share.mean()))

    def loss(weights: Array) -> tuple[float, Array]:
        odds = x @ weights[:-1] + weights[-1]
        value = (np.logaddexp(0, odds) - share * odds).sum() + PENALTY * (weights[:-1] ** 2).sum()
        slope = 1 / (1 + np.exp(-odds)) - share
        return value, np.append(x.T @ slope + 2 * PENALTY * weights[:-1], slope.sum())

    start = np.append(np.zeros(x.shape[1]), often)
    weights = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    weight = (weights[:-1] / scale)[None]
    return [(weight, weights[-1:] - weight @ centre)]


def fit_trial_noise(figures: Figures, estimates: Array) -> tuple[tuple[NoiseCurve, ...], float]:
    """The scatter of one architecture's trainings, and its skewness.

    Of three independent trainings, the first less their mean has 2/3 of a training's variance and
    6/27 of its third moment. That is known of test accuracies after 108 epochs; validation's, of
    as many images, are taken to scatter alike. Of shorter schedules a single training is known:
    there the same share of the residual's variance is taken for scatter as after 108 epochs, for
    the rest is the model's own error.

    Args:
        figures: the public ones.
        estimates: out of fold, ``(cell, 5)``.
    """
    working = (figures.failed == 0) & ~np.isnan(figures.accuracy[:, TEST])
    apart = (figures.single - figures.mean)[working]
    expected = estimates[working, TEST]
    test = fit_noise(expected, apart * np.sqrt(3 / 2))
    standard = apart * np.sqrt(3 / 2) / test(expected)
    usual = standard[np.abs(standard) < USUAL]  # the third power of a few others would rule it
    third = np.mean((usual - usual.mean()) ** 3) / usual.std() ** 3
    skew = float(third * (27 / 6) / (3 / 2) ** 1.5)
    curves = []
    for column, _ in enumerate(ACCURACIES[:TEST]):
        there = ~np.isnan(figures.accuracy[:, column])
        residual = (figures.accuracy - estimates)[there, column]
        curves.append(fit_noise(estimates[there, column], residual))
    full = ACCURACIES.index(("valid", 108))
    share = np.mean(test(expected)) / np.mean(curves[full](expected))
    scaled = [NoiseCurve(one.accuracy, (one.sd * share).astype(np.float32)) for one in curves]
    scaled[full] = test
    return (*scaled, test), float(np.clip(skew, -1.9, -0.01))


def fit_and_judge_cells(figures: Figures) -> tuple[CellSurrogate, dict[str, Any]]:
    """Fit the model to all rows, and to each four fifths of them to judge it.

    Returns:
        The model, and the errors of each accuracy, of seconds and of failures.
    """
    rows = figures.known
    folds = assign_folds(len(rows))
    estimates = np.full((len(figures.features), len(ACCURACIES) + 2), np.nan)
    for fold in range(FOLDS):
        model = fit_cells(figures, rows[folds != fold], seed=fold)
        unseen = rows[folds == fold]
        estimates[unseen] = model.estimate(figures.features[unseen].T).T
        print("fold", fold, flush=True)
    noise, skew = fit_trial_noise(figures, estimates[:, : len(ACCURACIES)])
    model = replace(fit_cells(figures, rows, seed=FOLDS), noise=noise, skew=skew)
    return model, {"skew": rounded(skew), **errors(figures, estimates)}


def errors(figures: Figures, estimates: Array) -> dict[str, Any]:
    """Out-of-fold errors, by the name of what is estimated."""
    found: dict[str, Any] = {}
    truths = figures.raw
    rows = {"rows_of_space": len(estimates)}
    for column, (split, epochs) in enumerate(ACCURACIES):
        there = np.flatnonzero(~np.isnan(truths[:, column]))
        found[f"{split}-{epochs}"] = {
            "rows": len(there),
            **rows,
            "fitted_to": "mean of three trainings" if column == TEST else "one training",
            **judge(truths[there, column], estimates[there, column]),
        }
    test, mean = estimates[figures.known, TEST], figures.mean[figures.known]
    best = test >= np.quantile(test, 0.99)
    found["test-108"]["mean_of_top_1_percent_by_prediction"] = rounded(mean[best].mean())
    found["test-108"]["mean_of_top_5_percent"] = rounded(np.sort(mean)[-len(mean) // 20 :].mean())
    timed = np.flatnonzero(~np.isnan(figures.seconds))
    seconds, told = figures.seconds[timed], estimates[timed, len(ACCURACIES)]
    found["seconds"] = {
        "rows": len(timed),
        **rows,
        "r2": rounded(1 - np.mean((seconds - told) ** 2) / seconds.var()),
        "mean_relative_error": rounded(np.mean(np.abs(told / seconds - 1))),
        "largest": rounded(np.max(np.abs(told / seconds - 1))),
    }
    expected = estimates[figures.known, -1] / 4_096
    failed = figures.failed[figures.known] / TRAININGS
    often = expected >= np.quantile(expected, 0.99)
    found["failures"] = {
        "share": rounded(failed.mean()),
        "expected": rounded(expected.mean()),
        "share_among_the_1_percent_likeliest": rounded(failed[often].mean()),
        "expected_there": rounded(expected[often].mean()),
    }
    return found


def write_cells(model: CellSurrogate, folder: Path) -> Path:
    """Write the coefficients that :meth:`CellSurrogate.load` reads."""
    parts: dict[str, Perceptron] = {
        "error_": model.errors,
        "seconds_": model.seconds,
        "failing_": model.failing,
    }
    arrays: dict[str, Array] = {}
    for of, part in parts.items():
        arrays |= part.arrays(of)
    arrays["noise_accuracy"] = np.stack([curve.accuracy for curve in model.noise])
    arrays["noise_sd"] = np.stack([curve.sd for curve in model.noise])
    arrays["skew"] = np.float32(model.skew)
    write_arrays(folder / FILE, arrays)
    return folder / FILE
