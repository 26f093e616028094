"""Pareto fronts and hypervolume: what several objectives are judged by.

Every objective is maximised; negate one that is to be small.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput, shown

Points = NDArray[np.float64]  # (point, objective)

#: Up to so many comparisons of two points, all of them at once are quicker than halving.
_AT_ONCE = 1 << 14


# ── the front ────────────────────────────────────────────────────────────────────────────────


def non_dominated(points: ArrayLike) -> NDArray[np.bool_]:
    """Mask of the points that no other point dominates.

    A point dominates another if it is at least as good in every objective and better in one. So
    equal points do not dominate each other: all copies of a point of the front stay.

    The divide and conquer of Kung, Luccio & Preparata, "On Finding the Maxima of a Set of
    Vectors", Journal of the ACM 22(4), 1975: time O(n·log(n)^(m-1)), memory O(n·m).

    Args:
        points: ``(n, m)``, m ≥ 1 objectives, each maximised; infinities are allowed.

    Returns:
        ``(n,)``, True where nothing dominates the point.

    Raises:
        InvalidInput: for another shape, for NaN, and for what is no number.
    """
    given = _numbers("points", points, ndim=2)
    if np.isnan(given).any():
        row = int(np.flatnonzero(np.isnan(given).any(axis=1))[0])
        raise InvalidInput(f"points cannot be compared by NaN; point {row} is {shown(given[row])}")
    if not len(given):
        return np.zeros(0, bool)
    # Best first objective first, ties by the next: no point is dominated by one behind it.
    order = np.lexsort(-given.T[::-1])
    ordered = given[order]
    first = np.ones(len(given), bool)  # of several equal points
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    distinct = ordered[first]
    on_front = np.zeros(len(distinct), bool)
    on_front[_maxima(distinct, np.arange(len(distinct)))] = True
    mask = np.empty(len(given), bool)
    mask[order] = on_front[np.cumsum(first) - 1]
    return mask


def _maxima(points: Points, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of ``rows`` that no other row dominates; points are distinct and in order."""
    if len(rows) == 1:
        return rows
    if len(rows) ** 2 <= _AT_ONCE:
        here = points[rows]
        by_itself = np.eye(len(rows), dtype=bool)
        return rows[~(_covers(here, here) & ~by_itself).any(axis=0)]
    half = len(rows) // 2
    better, worse = _maxima(points, rows[:half]), _maxima(points, rows[half:])
    # All of the better half are at least as good in the first objective.
    return np.concatenate([better, worse[~_covered(points[worse, 1:], points[better, 1:])]])


def _covered(lower: Points, upper: Points) -> NDArray[np.bool_]:
    """Which points of ``lower`` have one of ``upper`` at least as good in every objective."""
    objectives = lower.shape[1]
    if not len(lower) or not len(upper):
        return np.zeros(len(lower), bool)
    if objectives == 0:
        return np.ones(len(lower), bool)
    if objectives == 1:
        return lower[:, 0] <= upper[:, 0].max()
    if objectives == 2:
        order = np.argsort(-upper[:, 0], kind="stable")
        at_least = np.searchsorted(-upper[order, 0], -lower[:, 0], side="right")
        best = np.concatenate([[-np.inf], np.maximum.accumulate(upper[order, 1])])
        return (at_least > 0) & (lower[:, 1] <= best[at_least])
    if len(lower) * len(upper) <= _AT_ONCE:
        return np.asarray(_covers(upper, lower).any(axis=0))

    # Halve by the last objective. What is high in it need not be compared by it with what is low.
    values = np.concatenate([lower[:, -1], upper[:, -1]])
    pivot = np.partition(values, len(values) // 2)[len(values) // 2]
    if pivot == values.min():  # nothing would be low
        above = values[values > pivot]
        if not len(above):
            return _covered(lower[:, :-1], upper[:, :-1])
        pivot = above.min()
    lower_high, upper_high = lower[:, -1] >= pivot, upper[:, -1] >= pivot
    covered = np.empty(len(lower), bool)
    covered[lower_high] = _covered(lower[lower_high], upper[upper_high])
    low = np.flatnonzero(~lower_high)
    by_high = _covered(lower[low, :-1], upper[upper_high, :-1])
    covered[low[by_high]] = True
    open_ = low[~by_high]
    covered[open_] = _covered(lower[open_], upper[~upper_high])
    return covered


def _covers(upper: Points, lower: Points) -> NDArray[np.bool_]:
    """``(upper, lower)``: whether the one is at least as good as the other everywhere."""
    covers = np.ones((len(upper), len(lower)), bool)
    for objective in range(upper.shape[1]):
        covers &= upper[:, None, objective] >= lower[None, :, objective]
    return covers


# ── hypervolume ──────────────────────────────────────────────────────────────────────────────


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """Volume of what the points dominate above the reference point, exact up to rounding.

    Two objectives strip by strip: time O(n·log(n)). Up to four by a sweep along the fourth
    (Fonseca, Paquete & López-Ibáñez, "An Improved Dimension-Sweep Algorithm for the Hypervolume
    Indicator", CEC 2006, has the idea) over a grid of the others: time O(n³) and memory O(n²) for n
    points of a front in four objectives, less by a factor n in three. Beyond four, each point adds
    its box less what the points before it cover of it (While, Bradstreet & Barone, "A Fast Way of
    Calculating Exact Hypervolumes", IEEE Transactions on Evolutionary Computation 16(1), 2012).

    Args:
        points: ``(n, m)``, m ≥ 1 objectives, each maximised, finite; dominated ones may be among
            them, and change nothing.
        reference: ``(m,)``, finite: the worst of what counts. A point that is not better than it
            in every objective adds nothing.

    Returns:
        The volume, in the product of the objectives' units; 0 for no points.

    Raises:
        InvalidInput: for other shapes, for NaN or infinity, and for what is no number.
    """
    given = _numbers("points", points, ndim=2)
    worst = _numbers("reference", reference, ndim=1)
    if len(worst) != given.shape[1]:
        raise InvalidInput(
            f"points have {given.shape[1]} objectives, the reference {len(worst)}: {shown(worst)}"
        )
    for name, values in (("points", given), ("reference", worst)):
        if not np.isfinite(values).all():
            raise InvalidInput(f"{name} of a hypervolume are finite numbers, got NaN or infinity")
    above = given[(given > worst).all(axis=1)] - worst
    return _area(above) if above.shape[1] == 2 else _volume(_front(above))


def _area(points: Points) -> float:
    """What positive points ``(n, 2)`` dominate above 0: strips, the widest first."""
    widths, heights = points[np.argsort(-points[:, 0])].T
    return float(widths @ np.diff(np.maximum.accumulate(heights), prepend=0.0))


def _front(points: Points) -> Points:
    """The non-dominated points, each once."""
    return np.unique(points[non_dominated(points)], axis=0)


def _volume(front: Points) -> float:
    """Volume between 0 and a front of distinct positive points."""
    n, objectives = front.shape
    if n <= 1 or objectives == 1:
        return float(front.prod(axis=1).sum())
    if objectives <= 4:
        return _swept_volume(front)
    front = front[np.argsort(-front[:, -1], kind="stable")]
    heights, bases = front[:, -1], front[:, :-1]
    volume = 0.0
    for i, base in enumerate(bases):  # those before it are at least as high
        shared = _volume(_front(np.minimum(bases[:i], base)))
        volume += float(heights[i]) * (float(base.prod()) - shared)
    return volume


def _swept_volume(front: Points) -> float:
    """:func:`_volume` of two to four objectives.

    A grid of the first two objectives holds how high the third reaches above each cell, of the
    points passed so far. Sides of 1 stand in for objectives that are not there.
    """
    missing = 4 - front.shape[1]
    front = np.hstack([np.ones((len(front), missing)), front])
    front = front[np.argsort(-front[:, 3], kind="stable")]
    (xs, x), (ys, y) = (np.unique(front[:, axis], return_inverse=True) for axis in (0, 1))
    widths, depths = np.diff(xs, prepend=0.0), np.diff(ys, prepend=0.0)
    slices = -np.diff(front[:, 3], append=0.0)
    heights = np.zeros((len(xs), len(ys)))
    volume = 0.0
    for i, thickness in enumerate(slices):
        below = heights[: x[i] + 1, : y[i] + 1]
        np.maximum(below, front[i, 2], out=below)
        if thickness > 0:
            volume += float(thickness) * float(widths @ heights @ depths)
    return volume


def _numbers(name: str, values: ArrayLike, ndim: int) -> Points:
    shape = "(n, m)" if ndim == 2 else "(m,)"
    array = checks.array(values, f"{name} are numbers of shape {shape}")
    if array.dtype.kind not in "iuf" or array.ndim != ndim or not array.shape[-1]:
        raise InvalidInput(
            f"{name} are numbers of shape {shape} with m ≥ 1 objectives, got {shown(values)}"
        )
    return array.astype(np.float64)
