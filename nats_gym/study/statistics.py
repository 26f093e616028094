"""Statistics over the runs of a study: intervals, comparisons, ranks, any-time measures.

Interquartile mean, optimality gap, probability of improvement, performance profile and the
stratified bootstrap are those of "Deep RL at the Edge of the Statistical Precipice" (Agarwal et
al., NeurIPS 2021), and give the numbers that its library, rliable, gives. Ranks are compared as
in "Statistical Comparisons of Classifiers over Multiple Data Sets" (Demšar, JMLR 2006).

Scores are ``(runs,)`` of one task or ``(runs, tasks)``, and higher is better: give a regret with
a minus before it. A bootstrap draws runs with replacement, in each task by itself, and its
intervals are percentiles of what the draws give; the same ``seed`` gives the same interval.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput, shown
from nats_gym.extras import require

Floats = NDArray[np.float64]

RESAMPLES = 2000
CONFIDENCE = 0.95
#: Draws that an interval may take.
MAX_RESAMPLES = 1_000_000
#: Draws of runs held at once; an interval's memory is bound by it.
MAX_DRAWN = 1 << 20
SCALES = ("log", "linear")


class Interval(NamedTuple):
    """An estimate and the ends of its bootstrap interval, floats or arrays of one shape."""

    estimate: Any
    low: Any
    high: Any


class RankComparison(NamedTuple):
    """Friedman's test and Nemenyi's critical difference.

    Attributes:
        average_ranks: of each agent, 1 the best, by its label.
        statistic: Friedman's χ², corrected for ties.
        p_value: of all agents being alike.
        critical_difference: average ranks that are further apart than this differ.
        groups: labels of agents none of which differ, best first; the largest such groups alone.
    """

    average_ranks: dict[str, float]
    statistic: float
    p_value: float
    critical_difference: float
    groups: list[tuple[str, ...]]


class SampleEfficiency(NamedTuple):
    """What runs spent until they first came to a regret.

    Attributes:
        evaluations: number of them, ``(runs,)``; inf for a run that never did.
        seconds: simulated, ``(runs,)``; inf for a run that never did.
        share: of the runs that did.
    """

    evaluations: Floats
    seconds: Floats
    share: float


# ── aggregates ───────────────────────────────────────────────────────────────────────────────


def iqm(scores: ArrayLike) -> float:
    """Interquartile mean: of the middle half of all scores, all runs and tasks together."""
    ordered = np.sort(_scores(scores), axis=None)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def optimality_gap(scores: ArrayLike, target: float = 1.0) -> float:
    """How far scores fall short of ``target`` on average; what lies above it counts as it."""
    target = checks.number(target, "target")
    return float(target - np.minimum(_scores(scores), target).mean())


def performance_profile(scores: ArrayLike, thresholds: ArrayLike) -> Floats:
    """Share of all runs and tasks that score more than each threshold, ``(thresholds,)``."""
    ordered = np.sort(_scores(scores), axis=None)
    return 1 - np.searchsorted(ordered, _thresholds(thresholds), side="right") / len(ordered)


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> float:
    """Probability that a run of ``x`` scores more than one of ``y``, mean over the tasks.

    Mann and Whitney's U over the number of pairs: a tie counts half.

    Raises:
        InvalidInput: if the two have different tasks; the numbers of runs may differ.
    """
    first, second = _same_tasks(x, y)
    below, upto = _places(first, second)
    return float((below + upto).mean() / (2 * len(second)))


# ── bootstrap intervals ──────────────────────────────────────────────────────────────────────


def mean_interval(
    values: ArrayLike, *, resamples: int = RESAMPLES, confidence: float = CONFIDENCE, seed: int = 0
) -> Interval:
    """Mean over runs at every point of a curve.

    Args:
        values: ``(runs,)`` or ``(runs, points)``; all points of a run are drawn together. A point
            that is NaN in some run has no mean.
        resamples: draws of all runs.
        confidence: of the interval, in (0, 1).
        seed: of the draws.

    Returns:
        Floats, or arrays ``(points,)``.
    """
    array = checks.numbers(values, "values are numbers (runs,) or (runs, points)")
    if array.ndim not in (1, 2) or not len(array):
        raise InvalidInput(f"values are (runs,) or (runs, points), got {array.shape}")
    table = array.reshape(len(array), -1)
    known = ~np.isnan(table).any(axis=0)
    estimate, low, high = np.full((3, table.shape[1]), np.nan)
    if known.any():
        held = np.ascontiguousarray(table[:, known])
        # A mean over drawn runs is a product with how often each was drawn.
        drawn = np.concatenate(
            [counts @ held / len(held) for counts in _draws(_all_runs(len(held)), resamples, seed)]
        )
        estimate[known] = held.mean(axis=0)
        low[known], high[known] = _percentiles(drawn, confidence)
    if array.ndim == 1:
        return Interval(float(estimate[0]), float(low[0]), float(high[0]))
    return Interval(estimate, low, high)


def iqm_interval(
    scores: ArrayLike, *, resamples: int = RESAMPLES, confidence: float = CONFIDENCE, seed: int = 0
) -> Interval:
    """:func:`iqm` with its stratified bootstrap interval."""
    array = _scores(scores)
    ordered, places = _sorted_places(array)
    cut = len(ordered) // 4
    means = []
    for counts in _draws(places, resamples, seed):
        # Of the scores drawn, in order, those from the cut-th to the cut-th last count.
        kept = np.clip(counts.cumsum(axis=1), cut, len(ordered) - cut)
        kept[:, 1:] -= kept[:, :-1].copy()
        kept[:, 0] -= cut
        means.append(kept @ ordered / (len(ordered) - 2 * cut))
    low, high = _percentiles(np.concatenate(means), confidence)
    return Interval(iqm(array), float(low), float(high))


def profile_interval(
    scores: ArrayLike,
    thresholds: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Interval:
    """:func:`performance_profile` with pointwise stratified bootstrap intervals."""
    array = _scores(scores)
    ordered, places = _sorted_places(array)
    passed = np.searchsorted(ordered, _thresholds(thresholds), side="right")
    shares = np.concatenate(
        [1 - _upto(counts, passed) / len(ordered) for counts in _draws(places, resamples, seed)]
    )
    low, high = _percentiles(shares, confidence)
    return Interval(performance_profile(array, thresholds), low, high)


def improvement_interval(
    x: ArrayLike,
    y: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Interval:
    """:func:`probability_of_improvement` with its interval; both are drawn, independently."""
    first, second = _same_tasks(x, y)
    below, upto = _places(first, second)
    tasks = first.shape[1]
    drawn = np.zeros(_check_resamples(resamples))
    for task, seeds in enumerate(np.random.SeedSequence(checks.seed(seed)).spawn(tasks)):
        own, others = seeds.spawn(2)
        pairs = zip(
            _draws(_all_runs(len(first)), resamples, own, len(first) + len(second)),
            _draws(_all_runs(len(second)), resamples, others, len(first) + len(second)),
            strict=True,
        )
        done = 0
        for counts, of_others in pairs:  # of x in order of the runs, of y in order of the scores
            beaten = _upto(of_others, below[:, task]) + _upto(of_others, upto[:, task])
            drawn[done : done + len(counts)] += (counts * beaten).sum(axis=1)
            done += len(counts)
    low, high = _percentiles(drawn / (2 * tasks * len(first) * len(second)), confidence)
    return Interval(probability_of_improvement(first, second), float(low), float(high))


# ── ranks ────────────────────────────────────────────────────────────────────────────────────


def average_ranks(scores: Mapping[str, ArrayLike]) -> dict[str, float]:
    """Average rank of each agent over blocks, 1 the best; ties share the mean of their ranks.

    Args:
        scores: ``(blocks,)`` of each agent, by its label. A block is what agents are
            ranked within: a run number, a run number of a task, or a task's mean over runs.
    """
    return dict(zip(scores, _ranks(scores).mean(axis=0).tolist(), strict=True))


def friedman_nemenyi(scores: Mapping[str, ArrayLike], alpha: float = 0.05) -> RankComparison:
    """Friedman's test over blocks, and Nemenyi's critical difference of average ranks.

    Args:
        scores: as of :func:`average_ranks`, two agents at least.
        alpha: level of the critical difference, in (0, 1).

    Raises:
        InvalidInput: of fewer agents.
    """
    from scipy import stats

    alpha = checks.number(alpha, "alpha", above=0, below=1)
    ranks = _ranks(scores)
    blocks, agents = ranks.shape
    if agents < 2:
        raise InvalidInput(
            f"ranks are compared between two agents at least, got {shown(list(scores))}"
        )
    spread = ((ranks - (agents + 1) / 2) ** 2).sum()
    between = ((ranks.mean(axis=0) - (agents + 1) / 2) ** 2).sum() * blocks**2
    statistic = float((agents - 1) * between / spread) if spread > 0 else 0.0
    quantile = stats.studentized_range.ppf(1 - alpha, agents, np.inf) / np.sqrt(2)
    difference = float(quantile * np.sqrt(agents * (agents + 1) / (6 * blocks)))
    average = average_ranks(scores)
    return RankComparison(
        average_ranks=average,
        statistic=statistic,
        p_value=float(stats.chi2.sf(statistic, agents - 1)),
        critical_difference=difference,
        groups=_alike(average, difference),
    )


def nemenyi_p_values(scores: Mapping[str, ArrayLike]) -> Floats:
    """Nemenyi's p-value of each pair of agents, ``(agents, agents)``, 1 on the diagonal.

    Computed by scikit-posthocs.

    Raises:
        MissingPackage: where scikit-posthocs is missing.
    """
    require("scikit_posthocs", "Nemenyi's p-value")
    from scikit_posthocs import posthoc_nemenyi_friedman

    return np.asarray(posthoc_nemenyi_friedman(-_blocks(scores)), dtype=np.float64)


# ── any-time measures ────────────────────────────────────────────────────────────────────────


def area_under_curve(
    values: ArrayLike, clock: ArrayLike, start: float, end: float, scale: str = "log"
) -> Floats:
    """Mean height of step curves between two simulated times, in the unit of ``values``.

    The area over log (or linear) time, divided by the width: the regret to expect at a time drawn
    at random from that axis. Exact, as the curves are steps.

    Args:
        values: ``(runs, evaluation)``; each holds from its ``clock`` to the next.
        clock: simulated seconds, ascending, ``(runs, evaluation)``; NaN behind a run's last.
        start: simulated seconds, above 0.
        end: simulated seconds, after ``start``.
        scale: of time, ``"log"`` or ``"linear"``.

    Returns:
        ``(runs,)``; NaN for a run whose first value comes after ``start``.
    """
    scale = checks.word(scale, "scale", SCALES)
    start, end = checks.number(start, "start", above=0), checks.number(end, "end")
    if not start < end:
        raise InvalidInput(f"an area goes from a time above 0 to a later one, got {start} to {end}")
    heights, times = _curves(values, clock)
    steps = np.clip(np.where(np.isnan(times), end, times), start, end)
    axis = np.log if scale == "log" else np.asarray
    edges = axis(np.concatenate([steps, np.full((len(steps), 1), end)], axis=1))
    widths = np.diff(edges, axis=1)
    areas = np.where(widths > 0, heights * widths, 0).sum(axis=1)
    return np.where(times[:, 0] <= start, areas / (axis(end) - axis(start)), np.nan)


def sample_efficiency(regret: ArrayLike, clock: ArrayLike, target: float) -> SampleEfficiency:
    """What runs spent until their regret was first ``target`` or less.

    Args:
        regret: after each evaluation, percentage points, ``(runs, evaluation)``; NaN behind a
            run's last.
        clock: simulated seconds when each had ended, ``(runs, evaluation)``.
        target: percentage points.
    """
    heights, times = _curves(regret, clock)
    reached = heights <= checks.number(target, "target")
    ever, place = reached.any(axis=1), reached.argmax(axis=1)
    ended = np.take_along_axis(times, place[:, None], axis=1)[:, 0]
    return SampleEfficiency(
        evaluations=np.where(ever, place + 1, np.inf),
        seconds=np.where(ever, ended, np.inf),
        share=float(ever.mean()),
    )


# ── what they share ──────────────────────────────────────────────────────────────────────────


def _scores(scores: ArrayLike) -> Floats:
    """Scores as ``(runs, tasks)``."""
    what = "scores are finite numbers (runs,) or (runs, tasks)"
    array = checks.numbers(scores, what)
    if array.ndim not in (1, 2) or not array.size or not np.isfinite(array).all():
        raise InvalidInput(f"{what}, got {array.shape}: {shown(scores, 60)}")
    return array.reshape(len(array), -1)


def _thresholds(thresholds: ArrayLike) -> Floats:
    what = "thresholds are numbers (thresholds,)"
    array = checks.numbers(thresholds, what)
    if array.ndim > 1 or np.isnan(array).any():
        raise InvalidInput(f"{what}, got {shown(thresholds)}")
    return array


def _curves(values: ArrayLike, clock: ArrayLike) -> tuple[Floats, Floats]:
    """Step curves: what they stand at, and since when, both ``(runs, evaluation)``."""
    heights = checks.numbers(values, "the values of curves are numbers (runs, evaluation)")
    times = checks.numbers(clock, "a clock is seconds (runs, evaluation)")
    if heights.ndim != 2 or heights.shape != times.shape or not heights.size:
        raise InvalidInput(
            "curves and their clock are both (runs, evaluation), got "
            f"{heights.shape} and {times.shape}"
        )
    return heights, times


def _same_tasks(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    first, second = _scores(x), _scores(y)
    if first.shape[1] != second.shape[1]:
        raise InvalidInput(
            f"scores to compare are of the same tasks, got {first.shape[1]} and {second.shape[1]}"
        )
    return first, second


def _places(x: Floats, y: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each score in ``x``: how many of ``y`` in its task are below it, and how many up to it."""
    ordered = np.sort(y, axis=0)
    sides = [
        [np.searchsorted(ordered[:, t], x[:, t], side=side) for t in range(x.shape[1])]
        for side in ("left", "right")
    ]
    below, upto = np.stack(sides, axis=0)
    return below.T, upto.T


def _all_runs(runs: int) -> NDArray[np.int64]:
    return np.arange(runs)[:, None]


def _sorted_places(scores: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """All scores ascending, and the place ``(runs, tasks)`` of each among them."""
    order = np.argsort(scores, axis=None, kind="stable")
    places = np.empty(scores.size, dtype=np.int64)
    places[order] = np.arange(scores.size)
    return scores.ravel()[order], places.reshape(scores.shape)


def _draws(
    places: NDArray[np.int64],
    resamples: int,
    seed: int | np.random.SeedSequence,
    width: int | None = None,
) -> Iterator[Floats]:
    """How often each score is drawn, ``(resamples, scores)``, in portions.

    Args:
        places: column of each score, ``(runs, tasks)``; runs are drawn within a task.
        resamples: draws of all runs.
        seed: of the draws.
        width: scores held at once per resample; None for those of ``places``.
    """
    resamples = _check_resamples(resamples)
    runs, tasks = places.shape
    portion = max(1, MAX_DRAWN // (width or places.size))
    order = np.argsort(places, axis=None)
    if not isinstance(seed, np.random.SeedSequence):
        seed = checks.seed(seed)
        if resamples <= portion:
            yield _draw_at_once(runs, tasks, resamples, seed).take(order, axis=1)
            return
    random = np.random.default_rng(seed)
    for begin in range(0, resamples, portion):
        size = min(portion, resamples - begin)
        yield _counts(random, size, runs, tasks).take(order, axis=1).astype(np.float64)


@functools.lru_cache(maxsize=1)
def _draw_at_once(runs: int, tasks: int, resamples: int, seed: int) -> Floats:
    """Draws that differ neither from agent to agent nor from plot to plot."""
    return _counts(np.random.default_rng(seed), resamples, runs, tasks).astype(np.float64)


def _counts(random: np.random.Generator, size: int, runs: int, tasks: int) -> NDArray[np.int64]:
    """How often each run is drawn, ``(size, runs * tasks)``, in each task by itself."""
    drawn = random.integers(runs, size=(size, runs, tasks)) * tasks + np.arange(tasks)
    drawn += np.arange(size)[:, None, None] * (runs * tasks)
    counts = np.bincount(drawn.ravel(), minlength=size * runs * tasks)
    return counts.reshape(size, runs * tasks)


def _upto(counts: Floats, places: NDArray[np.int64]) -> Floats:
    """How many were drawn before each of ``places``: ``(resamples, places)``."""
    before = np.zeros((len(counts), counts.shape[1] + 1))
    np.cumsum(counts, axis=1, out=before[:, 1:])
    return before[:, places]


def _percentiles(drawn: Floats, confidence: float) -> Floats:
    tail = (1 - checks.number(confidence, "confidence", above=0, below=1)) / 2
    return np.quantile(drawn, (tail, 1 - tail), axis=0)


def _check_resamples(resamples: int) -> int:
    return checks.integer(resamples, "resamples", 1, MAX_RESAMPLES)


def _blocks(scores: Mapping[str, ArrayLike]) -> Floats:
    """Scores as ``(blocks, agents)``."""
    what = "scores of agents are numbers (blocks,) by label"
    scores = checks.mapping(scores, what)
    columns = [checks.numbers(of_agent, what) for of_agent in scores.values()]
    shapes = {column.shape for column in columns}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1 or not columns[0].size:
        given = {label: column.shape for label, column in zip(scores, columns, strict=True)}
        raise InvalidInput(
            f"ranks need the same blocks (blocks,) of every agent, got {shown(given)}"
        )
    table = np.stack(columns, axis=1)
    if not np.isfinite(table).all():
        raise InvalidInput("ranks need finite scores")
    return table


def _ranks(scores: Mapping[str, ArrayLike]) -> Floats:
    """Rank of each agent in each block, ``(blocks, agents)``, 1 the best, ties the mean."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(-_blocks(scores), axis=1))


def _alike(average: Mapping[str, float], difference: float) -> list[tuple[str, ...]]:
    """The largest groups of neighbours in rank that lie within ``difference``."""
    labels = sorted(average, key=average.__getitem__)
    groups: list[tuple[str, ...]] = []
    reach = 0
    for first, label in enumerate(labels):
        last = first
        while last + 1 < len(labels) and average[labels[last + 1]] - average[label] <= difference:
            last += 1
        if last > first and last > reach:
            groups.append(tuple(labels[first : last + 1]))
        reach = max(reach, last)
    return groups
