"""Figures of a study, for a page of 700 pixels or, with ``phone``, for a telephone's 360.

Each takes the searches of one task by label (``{"rea": result, …}``), those of several tasks, or
a study's results, and returns a matplotlib ``Figure``. An agent's colour, dashes and marker come
from its place among the labels; give the same ``styles`` to all figures of a study to keep them.
Colours are Okabe & Ito's, which colour-blind readers tell apart.
"""

from __future__ import annotations

import io
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, shown, unknown_name
from nats_gym.files import replacing
from nats_gym.results.plots import COLOURS, GRID_POINTS
from nats_gym.results.result import kind_of_time
from nats_gym.study.comparison import (
    Results,
    Searches,
    all_labels,
    common_labels,
    final_regrets,
    tasks_of,
)
from nats_gym.study.curves import common_start, regret_at, regret_curve
from nats_gym.study.statistics import (
    Interval,
    improvement_interval,
    iqm_interval,
    mean_interval,
    probability_of_improvement,
    profile_interval,
    sample_efficiency,
)

WIDTH = 7.0  # inches: 700 pixels at 100 dots per inch
#: Inches of a figure for a telephone's screen, with letters of the same size.
PHONE = 3.6
TEXT, SMALL = 10.0, 9.0  # points
#: About what is left for an upright axis, inches: of one panel, of one among others.
HIGH, LOW = 2.8, 2.0
#: At ``PHONE``: letters in a line beside an axis, in one over all, rows of a matrix of numbers.
PHONE_LETTERS, PHONE_LINE, PHONE_ROWS = 34, 42, 11
#: A log axis has no 0: what took no time is drawn at this share of its end.
NO_TIME = 1e-6
PNG_DPI = 200
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
#: Of a legend's line, in letters.
LEGEND_WIDTH = 92
#: Of a label in rows, in letters, and at ``PHONE``.
LONGEST_LABEL, PHONE_LABEL = 30, 17


class Style(NamedTuple):
    """How an agent is drawn."""

    colour: str
    dash: Any
    marker: str


Styles = Mapping[str, Style]


def agent_styles(labels: Iterable[str]) -> dict[str, Style]:
    """A style of each label, by its place: the first 28 differ in colour or dashes."""
    return {
        label: Style(
            COLOURS[place % len(COLOURS)],
            DASHES[place // len(COLOURS) % len(DASHES)],
            MARKERS[place % len(MARKERS)],
        )
        for place, label in enumerate(labels)
    }


def shortened(label: str, longest: int = LONGEST_LABEL) -> str:
    """The label, its middle left out where a figure has no room for all of it."""
    if len(label) <= longest:
        return label
    end = longest // 3
    return f"{label[: longest - end - 1]}…{label[-end:]}"


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write ``path`` + ``.png`` and ``path`` + ``.svg``; the same figure gives the same bytes.

    Returns:
        The two files.
    """
    png, svg = (Path(f"{os.fspath(path)}.{suffix}") for suffix in ("png", "svg"))
    with replacing(svg) as temporary:
        temporary.write_text(svg_of(figure), encoding="utf-8")
    layout = figure.get_layout_engine()
    if layout is not None:  # done by now: once for both files
        figure.set_layout_engine("none")
    with replacing(png) as temporary:
        figure.savefig(temporary, format="png", dpi=PNG_DPI)
    if layout is not None:
        figure.set_layout_engine(layout)
    return png, svg


def svg_of(figure: Figure) -> str:
    """The figure as SVG, its letters as shapes; the same figure gives the same text."""
    file = io.StringIO()
    canvas, dpi = figure.canvas, figure.dpi
    with matplotlib.rc_context({"svg.hashsalt": "nats-gym", "svg.fonttype": "path"}):
        # Lays out and draws in one pass; savefig would draw once more to lay out.
        svg: Any = FigureCanvasSVG(figure)  # which has no types
        svg.print_svg(file, metadata={"Date": None})
    figure.set_canvas(canvas)
    figure.set_dpi(dpi)
    return file.getvalue()


def traced(figure: Figure, labels: Iterable[str]) -> dict[str, Any]:
    """The lines of a drawn figure's first panel as plain values, for a script to point at.

    Args:
        figure: of :func:`regret_curves`, drawn or saved before.
        labels: of its lines.

    Returns:
        ``box``: left, top, width and height of the panel, in shares of the figure; ``x`` and
        ``y``: ends of each axis, and whether it is logarithmic; ``times``: of the line that
        begins first; ``lines``: label and values of each, which all end with ``times``.
    """
    axes = figure.axes[0]
    box = axes.get_position()
    lines = {
        label: [np.asarray(values, dtype=np.float64) for values in line.get_data()]
        for label, line in zip(labels, axes.lines, strict=False)
    }
    times = max((times for times, _ in lines.values()), key=len)
    return {
        "box": _rounded([box.x0, 1 - box.y1, box.width, box.height]),
        "x": [*axes.get_xlim(), axes.get_xscale() == "log"],
        "y": [*axes.get_ylim(), axes.get_yscale() == "log"],
        "times": _rounded(times),
        "lines": [[label, _rounded(values)] for label, (_, values) in lines.items()],
    }


def _rounded(values: Iterable[float]) -> list[float | None]:
    """Numbers of five digits; None, which JSON has, for NaN, which it has not."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]


# ── over simulated time ──────────────────────────────────────────────────────────────────────


def regret_curves(
    results: Results, styles: Styles | None = None, *, seed: int = 0, phone: bool = False
) -> Figure:
    """Simple regret against simulated time: mean over runs, with its 95 % bootstrap interval.

    A panel per task. A line begins where all runs of the agent have an answer, ends with the last
    evaluation of all searches, which may overshoot the budget (dotted), and leaves the panel at
    the bottom where all have the best architecture.
    """
    tasks = tasks_of(results)
    styles = styles_for(styles, tasks)
    figure, panels, inches = _panels(len(tasks), phone)
    for axes, searches in zip(panels, tasks, strict=True):
        starts = {label: common_start([result]) for label, result in searches.items()}
        budget = max(result.arguments.budget for result in searches.values())
        last = max(float(np.nanmax(result.clock)) for result in searches.values())
        end = max(budget, last, 1.1 * max(starts.values()))
        begin = max(min(starts.values()), NO_TIME * end)
        times = np.geomspace(begin, end, GRID_POINTS)
        drawn = []
        for label, result in searches.items():
            own = times[times >= starts[label]]
            curve = mean_interval(regret_at(result, own), seed=seed)
            _draw_line(axes, own, curve, label, styles, len(searches))
            drawn.append(np.stack(curve))
        axes.axvline(budget, color="0.4", linewidth=1, linestyle=":", zorder=1)
        _log_axis(axes, "x", begin, end, inches)
        values = np.concatenate(drawn, axis=1)
        positive = values[values > 0]
        if len(positive):
            low, high = 0.85 * positive.min(), 1.15 * positive.max()
            alone = len(tasks) == 1 and not phone
            _log_axis(axes, "y", max(low, 1e-3 * high), high, HIGH if alone else LOW)
        axes.set_title("\n".join(_task_lines(searches)), fontsize=TEXT)
        axes.set_xlabel(_time_label(searches))
        axes.set_ylabel(_regret_label(searches))
    _legend(figure, styles, _with_workers(tasks))
    return _lines_broken(figure)


def evaluations_to_target(
    results: Results,
    target: float | None = None,
    styles: Styles | None = None,
    *,
    phone: bool = False,
) -> Figure:
    """Share of the runs whose regret has once been ``target``, against what they spent.

    Two panels per task: evaluations, and simulated time.

    Args:
        results: searches.
        target: percentage points; None for what half of all runs of a task come to.
        styles: of the agents.
        phone: whether it is ``PHONE`` inches wide, its panels below each other.
    """
    tasks = tasks_of(results)
    styles = styles_for(styles, tasks)
    figure, panels, inches = _panels(2 * len(tasks), phone)
    for left, right, searches in zip(panels[::2], panels[1::2], tasks, strict=True):
        curves = {label: regret_curve(result) for label, result in searches.items()}
        goal = target if target is not None else _median_least(curves.values())
        spent = {
            label: sample_efficiency(curves[label], result.clock, goal)
            for label, result in searches.items()
        }
        totals = {
            "evaluations": {label: float(r.evaluations.max()) for label, r in searches.items()},
            "seconds": {label: float(np.nanmax(r.clock)) for label, r in searches.items()},
        }
        for axes, (unit, ends) in zip((left, right), totals.items(), strict=True):
            end = max(ends.values())
            first = min(float(getattr(cost, unit).min()) for cost in spent.values())
            begin = max(0.8 * min(first, end), NO_TIME * end)
            for label, cost in spent.items():
                _draw_share(axes, begin, getattr(cost, unit), ends[label], label, styles)
            _log_axis(axes, "x", begin, 1.1 * end, inches)
            axes.set_ylim(-0.02, 1.02)
        left.set_xlabel("evaluations")
        right.set_xlabel(_time_label(searches))
        left.set_ylabel(f"share of runs with regret ≤ {goal:.3g}\n{_judged_on(searches)}")
        # Goes on over the right panel.
        left.set_title("\n".join(_task_lines(searches)), fontsize=TEXT, loc="left")
    _legend(figure, styles, _with_workers(tasks))
    return _lines_broken(figure)


# ── at the end of the budget ─────────────────────────────────────────────────────────────────


def performance_profiles(
    results: Results, styles: Styles | None = None, *, seed: int = 0, phone: bool = False
) -> Figure:
    """Share of runs whose answer has less regret than each value, with 95 % intervals.

    Of several tasks, all runs together, on regret relative to the median architecture's.
    """
    tasks = tasks_of(results)
    styles = styles_for(styles, tasks)
    regrets = final_regrets(tasks)
    positive = np.concatenate([r[r > 0] for r in regrets.values()])
    low, high = (positive.min(), positive.max()) if len(positive) else (0.1, 1.0)
    thresholds = np.geomspace(0.9 * low, 1.1 * high, GRID_POINTS)
    figure, (axes,), inches = _panels(1, phone)
    for label, regret in regrets.items():
        profile = profile_interval(-regret, -thresholds, seed=seed)
        _draw_line(axes, thresholds, profile, label, styles, len(regrets))
    _log_axis(axes, "x", thresholds[0], thresholds[-1], inches)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(_aggregate_label(tasks))
    axes.set_ylabel("share of runs with less regret")
    axes.set_title(aggregate_title("Performance profile", tasks), fontsize=TEXT)
    _legend(figure, styles, {label: label for label in regrets})
    return _lines_broken(figure)


def iqm_intervals(
    results: Results, styles: Styles | None = None, *, seed: int = 0, phone: bool = False
) -> Figure:
    """Interquartile mean of the regret of the answers, with 95 % intervals, best first."""
    tasks = tasks_of(results)
    styles = styles_for(styles, tasks)
    intervals = {
        label: iqm_interval(regret, seed=seed) for label, regret in final_regrets(tasks).items()
    }
    figure, axes = _rows(len(intervals), phone)
    ascending = sorted(intervals, key=lambda label: float(intervals[label].estimate))
    _draw_intervals(axes, {label: intervals[label] for label in ascending}, styles, phone)
    text = f"interquartile mean of {_aggregate_label(tasks)}"
    axes.set_xlabel(text, loc="right" if phone else "center")
    figure.suptitle(aggregate_title("Interquartile mean of the regret", tasks), fontsize=TEXT)
    return _lines_broken(figure)


def improvement_intervals(
    results: Results,
    baseline: str,
    styles: Styles | None = None,
    *,
    seed: int = 0,
    phone: bool = False,
) -> Figure:
    """Probability that a run of each agent has less regret than one of ``baseline``, 95 %.

    Raises:
        InvalidInput: if ``baseline`` did not run on all tasks, or alone did.
    """
    tasks = tasks_of(results)
    styles = styles_for(styles, tasks)
    regrets = final_regrets(tasks)
    if baseline not in regrets:
        raise unknown_name("baseline", baseline, regrets)
    others = {
        label: improvement_interval(-regret, -regrets[baseline], seed=seed)
        for label, regret in regrets.items()
        if label != baseline
    }
    if not others:
        raise InvalidInput(f"an improvement over {shown(baseline)} needs another agent")
    figure, axes = _rows(len(others), phone)
    descending = sorted(others, key=lambda label: -float(others[label].estimate))
    _draw_intervals(axes, {label: others[label] for label in descending}, styles, phone)
    axes.axvline(0.5, color="0.4", linewidth=1, zorder=1)
    text = f"probability of less regret than {baseline}\n{_judged_on(*tasks)}"
    axes.set_xlabel(text, loc="right" if phone else "center")
    title = aggregate_title(f"Probability of improvement over {baseline}", tasks)
    figure.suptitle(title, fontsize=TEXT)
    return _lines_broken(figure)


def improvement_matrix(results: Results, *, phone: bool = False) -> Figure:
    """Probability that a run of the row's agent has less regret than one of the column's."""
    tasks = tasks_of(results)
    regrets = final_regrets(tasks)
    labels = list(regrets)
    names = [row_name(label, phone) for label in labels]
    count = len(labels)
    shares = np.array(
        [[probability_of_improvement(-regrets[a], -regrets[b]) for b in labels] for a in labels]
    )
    np.fill_diagonal(shares, np.nan)
    figure = Figure(
        figsize=(figure_width(phone), max(3.0, 1.3 + 0.36 * count) + 0.06 * max(map(len, names))),
        layout="constrained",
    )
    axes = figure.add_subplot()
    # Orange to purple through white: told apart by all readers, and a tie is white.
    image = axes.imshow(100 * shares, cmap="PuOr", vmin=0, vmax=100, aspect="auto")
    numbered = not phone or count <= PHONE_ROWS
    for row, column in zip(*np.nonzero(~np.isnan(shares) & numbered), strict=True):
        share = shares[row, column]
        axes.text(
            *(column, row, f"{100 * share:.0f}"),
            color="white" if abs(share - 0.5) > 0.3 else "black",
            fontsize=SMALL,
            horizontalalignment="center",
            verticalalignment="center",
        )
    axes.set_xticks(range(count), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(count), names)
    axes.tick_params(labelsize=SMALL, length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, pad=0.02, location="bottom" if phone else "right")
    bar.set_label("row has less regret than column [%]", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    title = aggregate_title("Probability of improvement", tasks)
    figure.suptitle(f"{title}\n{_judged_on(*tasks)}", fontsize=TEXT)
    return _lines_broken(figure)


# ── what they share ──────────────────────────────────────────────────────────────────────────


def styles_for(styles: Styles | None, tasks: Sequence[Searches]) -> Styles:
    labels = all_labels(tasks)
    if styles is None:
        return agent_styles(labels)
    for label in labels:
        if label not in styles:
            raise InvalidInput(f"no style of {shown(label)}; there are {', '.join(styles)}")
    return styles


def _panels(count: int, phone: bool) -> tuple[Figure, list[Axes], float]:
    """One wide panel, or rows of two; and about how long a level axis is, inches.

    A legend adds its own height.
    """
    columns = 1 if phone else min(count, 2)
    rows = -(-count // columns)
    height = 4.0 if count == 1 else 0.3 + 2.9 * rows
    width = figure_width(phone)
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = [figure.add_subplot(rows, columns, place + 1) for place in range(count)]
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=SMALL)
        axes.xaxis.label.set_fontsize(SMALL if count > 1 or phone else TEXT)
        axes.yaxis.label.set_fontsize(SMALL if count > 1 or phone else TEXT)
    return figure, panels, width / columns - (1.1 if columns == 1 else 0.9)


def _lines_broken(figure: Figure) -> Figure:
    """The figure, its titles in as many lines as a narrow one needs."""
    if figure.get_figwidth() < WIDTH:
        for axes in figure.axes:
            for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
                text.set_text(broken(text.get_text(), PHONE_LETTERS))
        for text in figure.texts:
            text.set_text(broken(text.get_text(), PHONE_LINE))
    return figure


def broken(text: str, letters: int) -> str:
    """The text in lines of so many letters."""
    return "\n".join(textwrap.fill(line, letters) for line in text.splitlines())


def row_name(label: str, phone: bool) -> str:
    return shortened(label, PHONE_LABEL if phone else LONGEST_LABEL)


def figure_width(phone: bool) -> float:
    """Inches of a figure."""
    return PHONE if checks.switch(phone, "phone") else WIDTH


def _rows(count: int, phone: bool) -> tuple[Figure, Axes]:
    height = 2.2 + 0.4 * count if phone else 1.6 + 0.27 * count
    figure = Figure(figsize=(figure_width(phone), height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(axis="x", alpha=0.3)
    axes.tick_params(labelsize=SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(3 if phone else 7, steps=[1, 2, 2.5, 5, 10]))
    axes.set_ylim(count - 0.5, -0.5)
    return figure, axes


def _draw_line(
    axes: Axes, x: NDArray[np.float64], curve: Interval, label: str, styles: Styles, lines: int
) -> None:
    style = styles[label]
    place = list(styles).index(label)
    axes.plot(
        *(x, curve.estimate),
        color=style.colour,
        linestyle=style.dash,
        linewidth=1.8,
        marker=style.marker,
        markersize=5,
        # Apart from line to line, or those of lines that meet would hide each other.
        markevery=(place % lines / lines * 0.12 + 0.02, 0.14),
    )
    axes.fill_between(
        x,
        curve.low,
        curve.high,
        color=style.colour,
        alpha=0.18 if lines <= 7 else 0.08,
        linewidth=0,
    )


def _draw_share(
    axes: Axes,
    begin: float,
    spent: NDArray[np.float64],
    end: float,
    label: str,
    styles: Styles,
) -> None:
    """A step up at each run that came to the target."""
    reached = np.sort(spent[np.isfinite(spent)])
    shares = np.arange(len(reached) + 1) / len(spent)
    style = styles[label]
    place = list(styles).index(label)
    axes.step(
        *(np.concatenate([[begin], reached, [end]]), np.append(shares, shares[-1])),
        where="post",
        color=style.colour,
        linestyle=style.dash,
        linewidth=1.8,
        marker=style.marker,
        markersize=5,
        markevery=(place % len(styles) / len(styles) * 0.18 + 0.02, 0.22),
    )


def _draw_intervals(
    axes: Axes, intervals: Mapping[str, Interval], styles: Styles, phone: bool
) -> None:
    """A row each: the interval, and its numbers at the right, or on a phone below the name."""
    names = [row_name(label, phone) for label in intervals]
    texts = [f"{i.estimate:.3f}  [{i.low:.3f}, {i.high:.3f}]" for i in intervals.values()]
    if phone:
        names = [f"{name}\n{text}" for name, text in zip(names, texts, strict=True)]
    for row, (label, (estimate, low, high)) in enumerate(intervals.items()):
        style = styles[label]
        axes.plot([low, high], [row, row], color=style.colour, linewidth=5, alpha=0.4)
        axes.plot([estimate], [row], color=style.colour, marker=style.marker, markersize=7)
    axes.set_yticks(range(len(intervals)), names)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    if not phone:
        right = axes.twinx()
        right.set_ylim(axes.get_ylim())
        right.set_yticks(range(len(intervals)), texts)
        right.tick_params(labelsize=SMALL, length=0)
        right.spines[["top", "right", "left"]].set_visible(False)


def _log_axis(axes: Axes, which: str, low: float, high: float, inches: float) -> None:
    """A log axis of about that length, with as many plain numbers as leave each other room."""
    getattr(axes, f"set_{which}scale")("log")
    getattr(axes, f"set_{which}lim")(low, high)
    axis = axes.xaxis if which == "x" else axes.yaxis
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    chosen = np.array([])
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = np.outer(decades, steps).ravel()
        ticks = ticks[(ticks >= low) & (ticks <= high)]
        room = inches * np.diff(np.log(ticks)) / np.log(high / low)
        letters = np.array([len(_plain(tick)) for tick in ticks])
        need = 0.045 * (letters[1:] + letters[:-1]) + 0.12 if which == "x" else 0.22
        if len(chosen) >= 2 and (room < need).any():
            break
        chosen = ticks
        if len(chosen) >= 7:
            break
    if len(chosen) < 2:  # of less than a step
        ticks = np.asarray(MaxNLocator(3).tick_values(low, high), dtype=np.float64)
        chosen = ticks[(ticks >= low) & (ticks <= high)]
    axis.set_major_locator(FixedLocator(chosen.tolist()))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _plain(value)))
    axis.set_minor_locator(NullLocator())


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.3g}"


def _with_workers(tasks: Sequence[Searches]) -> dict[str, str]:
    """What a legend beside an axis of time calls each agent: by its label, and workers if several.

    On their one clock, several workers train more.
    """
    named = {label: label for label in all_labels(tasks)}
    for searches in tasks:
        for label, result in searches.items():
            workers = result.arguments.workers
            if workers > 1:
                named[label] = f"{label} ({workers} workers)"
    return named


def _legend(figure: Figure, styles: Styles, named: Mapping[str, str]) -> None:
    handles = [
        Line2D(
            *([], []),
            color=styles[label].colour,
            linestyle=styles[label].dash,
            marker=styles[label].marker,
            markersize=5,
            linewidth=1.8,
        )
        for label in named
    ]
    phone = figure.get_figwidth() < WIDTH
    texts = [shortened(text) if phone else text for text in named.values()]
    letters = PHONE_LETTERS if phone else LEGEND_WIDTH
    columns = max(1, letters // (max(map(len, texts)) + 8))
    rows = -(-len(texts) // columns)
    figure.set_figheight(figure.get_figheight() + 0.1 + 0.19 * rows)
    figure.legend(
        *(handles, texts),
        loc="outside lower center",
        ncols=-(-len(texts) // rows),  # rows of about the same length
        fontsize=SMALL,
        frameon=False,
        handlelength=3.2,
        columnspacing=1.4,
    )


def _median_least(curves: Iterable[NDArray[np.float64]]) -> float:
    """What half of all runs come to, to three digits, rounded up so that half still do."""
    least = float(np.median(np.concatenate([np.nanmin(curve, axis=1) for curve in curves])))
    if least == 0:
        return 0.0
    step = 10.0 ** (np.floor(np.log10(least)) - 2)
    return float(np.ceil(least / step - 1e-9) * step)


def _task_lines(searches: Searches) -> tuple[str, str]:
    result = next(iter(searches.values()))
    dataset = result.arguments.dataset
    return (
        f"{result.table.space.title.capitalize()} space, {get_dataset(dataset).title}",
        f"searched on {result.arguments.epochs} epochs "
        f"({_provenance(searches, 'search_accuracy')})",
    )


def aggregate_title(title: str, tasks: Sequence[Searches]) -> str:
    runs = {task[label].runs for task in tasks for label in common_labels(tasks)}
    count = f"{min(runs):,}" if len(runs) == 1 else f"{min(runs):,} to {max(runs):,}"
    if len(tasks) == 1:
        budgets = {result.arguments.budget for result in tasks[0].values()}
        spent = " or ".join(f"{budget:,.0f}" for budget in sorted(budgets))
        return f"{title}, {count} runs\n{'; '.join(_task_lines(tasks[0]))}, for {spent} s"
    text = f"{title}, {len(tasks)} tasks, {count} runs each"
    missing = [label for label in all_labels(tasks) if label not in common_labels(tasks)]
    if missing:
        text += f"\nnot on all tasks, so left out: {', '.join(missing)}"
    return text


def _time_label(searches: Searches) -> str:
    return f"{kind_of_time(searches.values())} time [s], {_provenance(searches, 'seconds')}"


def _regret_label(searches: Searches) -> str:
    return f"simple regret [percentage points]\n{_judged_on(searches)}"


def _aggregate_label(tasks: Sequence[Searches]) -> str:
    if len(tasks) == 1:
        return f"regret [percentage points]\n{_judged_on(tasks[0])}"
    return f"regret, relative to the median architecture's\n{_judged_on(*tasks)}"


def _judged_on(*tasks: Searches) -> str:
    """On what answers are judged: ``"validation, 200 epochs, measured"``."""
    epochs = {result.table.full_epochs for task in tasks for result in task.values()}
    numbers = " or ".join(str(number) for number in sorted(epochs))
    found = {_provenance(task, "full_schedule_valid_accuracy") for task in tasks}
    return f"validation, {numbers} epochs, {' or '.join(sorted(found))}"


def _provenance(searches: Searches, quantity: str) -> str:
    return " or ".join(sorted({result.provenance[quantity] for result in searches.values()}))
