"""Plots of searches. Colours are Okabe & Ito's, which colour-blind readers tell apart."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput
from nats_gym.evaluators.observed import Observed
from nats_gym.files.writing import replacing
from nats_gym.results.result import SearchResult, kind_of_time

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GRID_POINTS = 200


def values_at(
    values: NDArray[np.float64], clock: NDArray[np.float64], times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What step curves stand at: of ``values (runs, evaluation)`` the one last answered.

    Args:
        values: one a step.
        clock: simulated seconds when each step begins, ascending, ``(runs, evaluation)``; NaN
            behind a run's last.
        times: simulated seconds to look at, ``(times,)``.

    Returns:
        ``(runs, times)``; NaN before a run's first evaluation has ended.
    """
    what = "values and clock are numbers (runs, evaluation), times (times,)"
    values, clock, times = (checks.numbers(given, what) for given in (values, clock, times))
    if values.ndim != 2 or clock.shape != values.shape or times.ndim != 1 or not values.size:
        raise InvalidInput(f"{what}, got {values.shape}, {clock.shape} and {times.shape}")
    order = np.argsort(times)
    runs, bins = len(clock), len(times) + 1
    # The first of the times by which each evaluation has ended; NaN goes behind the last.
    first = np.searchsorted(times[order], clock, side="left")
    counted = np.bincount((np.arange(runs)[:, None] * bins + first).ravel(), minlength=runs * bins)
    ended = counted.reshape(runs, bins)[:, :-1].cumsum(axis=1)
    held = np.take_along_axis(values, np.maximum(ended - 1, 0), axis=1)
    found = np.empty((runs, len(times)))
    found[:, order] = np.where(ended > 0, held, np.nan)
    return found


def incumbent_at(result: SearchResult, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Incumbent (percent) of every run at simulated ``times``: ``(runs, times)``.

    NaN before a run's first evaluation has ended.
    """
    result = checks.instance(result, SearchResult, "a result")
    return values_at(result.incumbent, result.clock, times)


def plot_incumbent(results: Sequence[SearchResult], path: str | os.PathLike[str]) -> Path:
    """Draw the incumbent's observed accuracy, or score, against simulated time and save it as PNG.

    Args:
        results: searches of one space and data set; a line (mean over runs) and a band (10th to
            90th percentile) each.
        path: the file to write.

    Raises:
        InvalidInput: without any result.
    """
    from matplotlib.figure import Figure

    results = checks.instances(results, SearchResult, "results, one at least,")
    path = checks.path(path, "a picture")
    first = results[0].arguments
    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = figure.add_subplot()
    observed = Observed.common(result.observed for result in results)
    for colour, result in zip(cycle(COLOURS), results, strict=False):
        start = np.nanmax(result.clock[:, 0])  # from here on every run has an incumbent
        # The evaluation that overshoots counts, be it the first, which leaves room for a line.
        end = max(result.seconds_given, np.nanmax(result.clock), 1.1 * start)
        times = np.geomspace(start, end, GRID_POINTS)
        incumbent = observed.figures(incumbent_at(result, times))
        known = ~np.isinf(incumbent).any(axis=0)  # a score may be minus infinity
        if not known.any():
            axes.set_xlim(start, end)
            continue
        times, incumbent = times[known], incumbent[:, known]
        low, high = np.nanpercentile(incumbent, (10, 90), axis=0)
        label = f"{result.arguments.agent} ({result.runs} runs)"
        axes.plot(times, np.nanmean(incumbent, axis=0), color=colour, label=label, linewidth=2)
        axes.fill_between(times, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.set_xscale("log")
    real = all(result.answers_last for result in results)
    axes.set_xlabel(f"{kind_of_time(results)} time [s]")
    basis = results[0].provenance["search_accuracy"]
    what = f"{observed.title} of the answer" if real else f"best observed {observed.title}"
    axes.set_ylabel(f"{what}{observed.unit}\n{first.epochs} epochs, {basis}")
    axes.set_title(
        f"{results[0].table.space.title} space, {first.dataset}: "
        "mean and 10th–90th percentile of runs"
    )
    axes.grid(alpha=0.3, which="both")
    if axes.lines:
        axes.legend(frameon=False, loc="lower right")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
    return path


def plot_alphas(result: SearchResult, path: str | os.PathLike[str], run: int = 0) -> Path:
    """Draw how a weight-sharing search came to prefer its choices, and save it as PNG.

    Args:
        result: of a weight-sharing search.
        path: the file to write.
        run: which of its runs.

    Raises:
        InvalidInput: for another search, or a run that it has not.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    result = checks.instance(result, SearchResult, "a result")
    if result.alphas is None:
        raise InvalidInput(f"{result.arguments.agent} has no alphas: it is no weight sharing")
    run = checks.integer(run, "a run of the result", 0, result.runs - 1)
    path, space = checks.path(path, "a picture"), result.table.space
    count = result.evaluations[run]
    scores = result.alphas[run, :count]  # (epoch, n, k)
    probabilities = np.exp(scores - scores.max(axis=-1, keepdims=True))
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    columns = 3
    rows = -(-space.num_decisions // columns)
    figure = Figure(figsize=(8.0, 0.6 + 2.3 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    epochs = np.arange(1, count + 1)
    for decision, axes in enumerate(panels):
        if decision >= space.num_decisions:
            axes.set_visible(False)
            continue
        names = space.names_of_choices[decision]
        for choice, colour in zip(range(len(names)), cycle((*COLOURS, "#999999"))):
            axes.plot(
                *(epochs, probabilities[:, decision, choice]),
                color=colour,
                marker="." if count < 30 else "",
                linewidth=1.6,
                label=names[choice],
            )
        axes.set_title(space.decision_names[decision], fontsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if decision + columns >= space.num_decisions:
            axes.tick_params(labelbottom=True)
        axes.grid(alpha=0.3)
    figure.supxlabel("epoch of the supernet", fontsize=10)
    figure.supylabel("probability of the choice", fontsize=10)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=5, frameon=False, fontsize=9)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
    return path
