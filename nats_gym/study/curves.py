"""Searches as curves: how far each run's answer is from the best, at any simulated time.

The regret of a run is judged on the full schedule: the validation accuracy, mean over trials, of
the architecture that the run would answer, against the best that the table knows. A run chooses
by what it observed, so its regret may rise again.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym.results.plots import values_at
from nats_gym.results.result import SearchResult
from nats_gym.study.statistics import area_under_curve


def regret_curve(result: SearchResult) -> NDArray[np.float64]:
    """Regret after each evaluation, percentage points, ``(runs, evaluation)``; NaN behind."""
    best = result.table.best("valid")[1]
    return np.where(result.there, best - result.judged(result.incumbent_index), np.nan)


def regret_at(result: SearchResult, times: ArrayLike) -> NDArray[np.float64]:
    """Regret at simulated seconds ``times``, percentage points, ``(runs, times)``.

    NaN before a run's first evaluation has ended.
    """
    seconds = np.asarray(times, dtype=np.float64)
    return values_at(regret_curve(result), result.clock, seconds)


def relative_regret(result: SearchResult) -> NDArray[np.float64]:
    """Regret of each run's answer over that of the space's median architecture, ``(runs,)``.

    0 is the best architecture known, 1 one that half of the space beats: comparable between data
    sets, where points are not.
    """
    mean = result.table.mean_accuracy("valid")
    return result.regret() / (np.nanmax(mean) - np.nanmedian(mean))


def common_start(results: Iterable[SearchResult]) -> float:
    """First simulated second at which every run of every search has an answer."""
    return max(float(np.nanmax(result.clock[:, 0])) for result in results)


def anytime_regret(
    result: SearchResult, start: float, end: float | None = None, scale: str = "log"
) -> NDArray[np.float64]:
    """Mean regret between two simulated times, percentage points, ``(runs,)``.

    Args:
        result: a search.
        start: simulated seconds; :func:`common_start` of the searches compared.
        end: simulated seconds; None for the budget, or the longest run's where there is none.
        scale: of time, ``"log"`` or ``"linear"``.

    Returns:
        NaN for a run that had no answer at ``start``.
    """
    end = result.seconds_given if end is None else end
    return area_under_curve(regret_curve(result), result.clock, start, end, scale)
