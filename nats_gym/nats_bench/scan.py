"""Questions about all architectures at once, answered as the original's loop would."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import shown
from nats_gym.nats_bench.columns import Column, RunReader
from nats_gym.nats_bench.errors import UnknownRuns
from nats_gym.nats_bench.results import mean, settled_mean

#: Means closer than this are compared again as Python's own sum makes them.
_CLOSE = 1e-9


def trial_mean(column: Column, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean over existing trials of some architectures, ``(row,)``; NaN without one."""
    figures = column[rows]  # (row, trial)
    exists = ~np.isnan(figures)
    with np.errstate(invalid="ignore"):
        means = np.where(exists, figures, 0.0).sum(axis=1) / exists.sum(axis=1)
    return np.asarray(means)


def best(
    reader: RunReader,
    setname: str,
    rows: NDArray[np.int64],
    flop_max: float | None,
    param_max: float | None,
) -> tuple[int, float | None]:
    """First architecture of ``rows`` with strictly the highest mean accuracy, within limits.

    Returns:
        Official index and accuracy; ``(-1, None)`` if none is within the limits.

    Raises:
        InvalidInput: if there is no such set.
        UnknownRuns: if an architecture has no trial.
    """
    for name, limit in (("flops", flop_max), ("params", param_max)):
        if limit is not None:
            rows = rows[_within(reader, name, rows, limit)]
    if not len(rows):
        return -1, None
    setname = reader.set(setname)
    column = reader.column(f"{setname}-accuracy")
    if column is None:
        raise UnknownRuns(
            f"{reader.key} with hp {shown(reader.hp)} has no accuracy on {setname}"
            f"{reader.runs.lacking}"
        )
    means = trial_mean(column, rows)
    if np.isnan(means).any():
        lacking = int(rows[np.isnan(means)][0])
        raise UnknownRuns(f"architecture {lacking} has no run of {reader.key} on {setname}")
    best_index, highest = -1, None
    for index in rows[means >= means.max() - _CLOSE].tolist():
        accuracy = mean([value for value in column[index].tolist() if value == value])
        if highest is None or highest < accuracy:
            best_index, highest = index, accuracy
    return best_index, highest


def _within(
    reader: RunReader, name: str, rows: NDArray[np.int64], limit: float
) -> NDArray[np.bool_]:
    """Which rows cost no more than a limit, where trials may disagree on the cost."""
    column = reader.column(name)
    assert column is not None
    figures = column[rows]
    with np.errstate(invalid="ignore"):
        lowest, highest = np.nanmin(figures, axis=1), np.nanmax(figures, axis=1)
    within = np.asarray(highest <= limit)
    # Equal trials far from the limit need no second look.
    unclear = (lowest != highest) | (np.abs(highest - limit) < _CLOSE * max(abs(limit), 1.0))
    for row in np.flatnonzero(unclear).tolist():
        known = [t for t, value in enumerate(figures[row].tolist()) if value == value]
        values = [figures.item(row, t) for t in known]
        within[row] = settled_mean(values, [reader.seeds[t] for t in known]) <= limit
    return within


def count_trials(reader: RunReader | None, rows: Iterable[int]) -> dict[int, int]:
    """How many architectures of ``rows`` have how many trials."""
    index = np.fromiter(rows, np.int64)
    if not len(index):
        return {}
    if reader is None:
        return {0: len(index)}
    params = reader.column("params")
    assert params is not None
    trials, architectures = np.unique((~np.isnan(params[index])).sum(axis=1), return_counts=True)
    return dict(zip(trials.tolist(), architectures.tolist(), strict=True))
