"""Gives a partial table a model of the architectures that it does not hold, and judges it."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput, NotInTable, shown
from nats_gym.extras import require
from nats_gym.files.writing import make_folder
from nats_gym.tables import SURROGATE, Column, Table, write_table
from nats_gym.tables.folder import check_table_folder
from nats_gym.tables.ridge import (
    MODEL,
    VERSION,
    FittedColumn,
    architecture_features,
    count_finer,
    link,
    unlink,
)
from nats_gym.tables.surrogates import NoiseCurve

Figures = NDArray[np.float64]

#: Fewer trained architectures than this tell too little of a space.
LEAST_ROWS = 20
_FOLDS = 5
_PENALTIES = np.geomspace(1e-3, 1e5, 33)
#: What finer features are multiplied by before they are penalised like the others.
_FINER_SCALES = (1.0, 0.5, 0.25, 0.0)
_FITTED = ("accuracy", "train_seconds_per_epoch", "evaluation_seconds", "latency")
_RESIDUALS_A_KNOT = 40
_MOST_KNOTS = 12


def fit_table(folder: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> Table:
    """Fit a table of estimates for *all* architectures to one that holds some.

    Every row of the new table is the model's, those that were trained too, so that each of its
    columns is a surrogate's through and through: the measured figures stay in the table they are
    in. Each column states its errors on architectures that a fit did not see (five folds).

    Args:
        folder: the partial table, e.g. a build's ``table``.
        out: the new one; default beside it, ``table-fitted``. A table that is there is replaced.

    Raises:
        MissingTable, CorruptTable: if there is no table, or a damaged one.
        InvalidInput: for a table of fewer than 20 architectures, or of estimates already; for
            an ``out`` that holds anything but a table.
        NotInTable: if it holds no accuracies.
    """
    require("scipy", "a fit")
    folder = checks.path(folder, "a table's folder")
    beside = folder.resolve()  # "." has no name
    out = beside.with_name(f"{beside.name}-fitted") if out is None else checks.path(out, "out")
    table = Table(folder, source=str(folder))
    measured_at, fitted_at = folder.resolve(), out.resolve()
    if measured_at.is_relative_to(fitted_at) or fitted_at.is_relative_to(measured_at):
        raise InvalidInput(
            f"the fitted table needs a folder of its own beside the measured one, "
            f"{shown(str(folder))}, which stays; got {shown(str(out))}"
        )
    check_table_folder(out)
    make_folder(out.parent)
    measured = [column for column in table.columns if column.quantity in _FITTED]
    if not any(column.quantity == "accuracy" for column in measured):
        raise NotInTable(f"{shown(str(folder))} holds no accuracies to fit to")
    if estimated := [c.name for c in measured if c.provenance == SURROGATE]:
        raise InvalidInput(f"{shown(str(folder))} holds estimates: {', '.join(estimated)}")
    features = architecture_features(table.space, table.space.all_choices(), table.dataset)
    stored = [_fitted(table, column, features) for column in measured]
    write_table(out, table.space.name, table.dataset, stored)
    return Table(out, source=str(out))


def _fitted(table: Table, column: Column, features: Figures) -> tuple[Column, Figures]:
    """A column's model, as its description and its file's content."""
    trials = _figures(table, column)
    rows = np.flatnonzero(~np.isnan(trials).all(axis=1))
    if len(rows) < LEAST_ROWS:
        raise InvalidInput(
            f"a fit needs at least {LEAST_ROWS} trained architectures, {shown(table.source)} holds "
            f"{len(rows)}"
        )
    design, trials = features[rows], trials[rows]
    truth = np.nanmean(trials, axis=1)
    accuracy = column.quantity == "accuracy"
    # A pass that never came takes no time, which has no logarithm.
    targets = link(truth if accuracy else np.maximum(truth, 1e-9), column.quantity)
    finer = count_finer(table.space)
    predicted = unlink(_out_of_fold(design, targets, finer), column.quantity)
    noise = _noise(predicted, trials) if accuracy else None
    model = FittedColumn(*_ridge(design, targets, finer), noise)
    note = (
        f"every row is the model's, fitted to {len(rows):,} architectures, means over trials; "
        f"held-out errors by {_FOLDS} folds"
    )
    described = Column(
        column.quantity,
        SURROGATE,
        f"fitted to figures {column.source}",
        column.licence,
        split=column.split,
        epochs=column.epochs,
        model=MODEL,
        version=VERSION,
        held_out=_judged(truth, predicted, accuracy),
        note=f"{note}; {column.note}" if column.note else note,
    )
    return described, model.to_vector()


def _figures(table: Table, column: Column) -> Figures:
    """A measured column, ``(arch, trial)``."""
    if column.quantity == "accuracy":
        return table.accuracy(column.split, column.epochs).astype(np.float64)
    costs = {
        "train_seconds_per_epoch": lambda: (
            table.train_seconds(column.epochs or 1) / (column.epochs or 1)
        ),
        "evaluation_seconds": lambda: table.evaluation_seconds(column.split, column.epochs or None),
        "latency": lambda: table.latency(column.epochs or None),
    }
    return np.asarray(costs[column.quantity](), np.float64)[:, None]


def _ridge(design: Figures, targets: Figures, finer: int) -> tuple[float, Figures]:
    """Intercept and weights ``(feature,)`` of the penalties that leave one out best.

    Args:
        design: ``(row, feature)``.
        targets: ``(row,)``.
        finer: how many features, the last, have a penalty of their own.
    """
    mean, deviation = design.mean(axis=0), design.std(axis=0)
    varies = deviation > 1e-12  # what never varies tells nothing
    standard = (design - mean)[:, varies] / deviation[varies]
    centred = targets - targets.mean()
    best, weights = np.inf, np.zeros(design.shape[1])
    for scale in _FINER_SCALES if finer else (1.0,):
        scales = np.ones(design.shape[1])
        scales[len(scales) - finer :] = scale
        left, values, right = np.linalg.svd(standard * scales[varies], full_matrices=False)
        along = left.T @ centred
        for penalty in _PENALTIES:
            shrink = values**2 / (values**2 + penalty)
            leverage = 1 / len(targets) + (left**2) @ shrink
            residual = (centred - left @ (shrink * along)) / np.maximum(1 - leverage, 1e-9)
            error = float(np.mean(residual**2))
            if error < best:
                best = error
                found = right.T @ (values / (values**2 + penalty) * along)
                weights[varies] = found * scales[varies] / deviation[varies]
    return float(targets.mean() - mean @ weights), weights


def _out_of_fold(design: Figures, targets: Figures, finer: int) -> Figures:
    """Predict every row by a model, its penalties included, that did not see it."""
    rows = len(targets)
    folds = np.random.default_rng(0).permutation(np.arange(rows) % _FOLDS)
    predicted = np.empty(rows)
    for fold in range(_FOLDS):
        intercept, weights = _ridge(design[folds != fold], targets[folds != fold], finer)
        predicted[folds == fold] = intercept + design[folds == fold] @ weights
    return predicted


def _noise(predicted: Figures, trials: Figures) -> NoiseCurve:
    """Spread of single trials around what a model that did not see them predicts."""
    expected = np.broadcast_to(predicted[:, None], trials.shape)[~np.isnan(trials)]
    residual = trials[~np.isnan(trials)] - expected
    count = min(max(len(residual) // _RESIDUALS_A_KNOT, 1), _MOST_KNOTS)
    bins = np.array_split(np.argsort(expected, kind="stable"), count)
    knots = np.array([expected[one].mean() for one in bins])
    return NoiseCurve(knots, np.array([np.sqrt(np.mean(residual[one] ** 2)) for one in bins]))


def _judged(truth: Figures, predicted: Figures, accuracy: bool) -> dict[str, float]:
    """Errors of out-of-fold predictions; of figures all alike no R², nor a rank correlation."""
    error = truth - predicted
    figures: dict[str, Any] = {"rows": len(truth)}
    varies = np.ptp(truth) > 0
    if varies:
        figures["r2"] = 1 - np.mean(error**2) / truth.var()
    if accuracy:
        if varies and np.ptp(predicted) > 0:
            from scipy.stats import kendalltau

            figures["tau"] = kendalltau(truth, predicted).statistic
        figures["rmse"] = np.sqrt(np.mean(error**2))
    else:
        figures["mean_relative_error"] = np.mean(np.abs(error) / np.maximum(truth, 1e-9))
    return {name: round(float(value), 4) for name, value in figures.items()}
