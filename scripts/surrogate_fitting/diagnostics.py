"""How a model is judged: folds of the rows, out-of-fold predictions, and their errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from nats_gym.tables.surrogates import Array

FOLDS = 5
FOLD_SEED = 0

SPLIT = (
    f"{FOLDS} folds of the rows, seed {FOLD_SEED}: every error is out of fold, of "
    "models fitted to four fifths; the shipped ones are fitted to all rows"
)


def assign_folds(rows: int) -> Array:
    """Fold of each row, ``(rows,)``: fixed, of equal sizes."""
    return np.random.default_rng(FOLD_SEED).permutation(np.arange(rows) % FOLDS)


def out_of_fold(truth: Array, predict: Callable[[int, Array], Array]) -> Array:
    """Predict every row by a model that did not see it; of the shape of ``truth (row, ...)``.

    Args:
        truth: what is predicted.
        predict: ``(fold, seen (row,))`` → predictions of the rows not seen, in order.
    """
    folds = assign_folds(len(truth))
    predicted = np.zeros_like(truth)
    for fold in range(FOLDS):
        seen = folds != fold
        predicted[~seen] = predict(fold, seen)
    return predicted


def judge(truth: Array, predicted: Array) -> dict[str, Any]:
    """Errors of out-of-fold predictions; each figure's mean over folds where it is a rank."""
    folds = assign_folds(len(truth))
    each = [(truth[folds == k], predicted[folds == k]) for k in range(FOLDS)]
    top = predicted >= np.quantile(predicted, 0.95)
    truly_top = truth >= np.quantile(truth, 0.95)
    error = truth - predicted
    best = [int((y > y[np.argmax(p)]).sum()) for y, p in each]
    return {
        "r2": rounded(np.mean([1 - np.mean((y - p) ** 2) / y.var() for y, p in each])),
        "tau": rounded(np.mean([kendalltau(y, p)[0] for y, p in each])),
        "rmse": rounded(np.sqrt(np.mean(error**2))),
        "top_5_percent_by_prediction": {
            "bias": rounded(error[top].mean()),
            "sd": rounded(error[top].std()),
            "tau": rounded(kendalltau(truth[top], predicted[top])[0]),
            "calibration_slope": rounded(np.polyfit(predicted[top], truth[top], 1)[0]),
            "truly_in_top_5_percent": rounded(truly_top[top].mean()),
        },
        "truths_above_the_argmax_in_each_fold": best,
    }


def relative_error(truth: Array, predicted: Array) -> dict[str, float]:
    """Mean and largest error as a share of the truth."""
    share = np.abs(predicted - truth) / truth
    return {"mean_relative_error": rounded(share.mean()), "largest": rounded(share.max())}


def rounded(value: Any) -> float:
    """``value`` to four decimals, as ``held_out.json`` states figures."""
    return float(np.round(float(value), 4))
