"""How a study's figures are drawn: styles, panels, axes, lines, legends.

Colours are Okabe & Ito's, which colour-blind readers tell apart.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.results.plots import COLOURS
from nats_gym.study.statistics import Interval

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


def shorten(label: str, longest: int = LONGEST_LABEL) -> str:
    """The label, its middle left out where a figure has no room for all of it."""
    if len(label) <= longest:
        return label
    end = longest // 3
    return f"{label[: longest - end - 1]}…{label[-end:]}"


def read_lines(figure: Figure, labels: Iterable[str]) -> dict[str, Any]:
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
        "box": _round([box.x0, 1 - box.y1, box.width, box.height]),
        "x": [*axes.get_xlim(), axes.get_xscale() == "log"],
        "y": [*axes.get_ylim(), axes.get_yscale() == "log"],
        "times": _round(times),
        "lines": [[label, _round(values)] for label, (_, values) in lines.items()],
    }


def _round(values: Iterable[float]) -> list[float | None]:
    """Numbers of five digits; None, which JSON has, for NaN, which it has not."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]


def make_panels(count: int, phone: bool) -> tuple[Figure, list[Axes], float]:
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


def break_lines(figure: Figure) -> Figure:
    """The figure, its titles in as many lines as a narrow one needs."""
    if figure.get_figwidth() < WIDTH:
        for axes in figure.axes:
            for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
                text.set_text(wrap(text.get_text(), PHONE_LETTERS))
        for text in figure.texts:
            text.set_text(wrap(text.get_text(), PHONE_LINE))
    return figure


def wrap(text: str, letters: int) -> str:
    """The text in lines of so many letters."""
    return "\n".join(textwrap.fill(line, letters) for line in text.splitlines())


def row_name(label: str, phone: bool) -> str:
    return shorten(label, PHONE_LABEL if phone else LONGEST_LABEL)


def figure_width(phone: bool) -> float:
    """Inches of a figure."""
    return PHONE if checks.switch(phone, "phone") else WIDTH


def make_rows(count: int, phone: bool) -> tuple[Figure, Axes]:
    height = 2.2 + 0.4 * count if phone else 1.6 + 0.27 * count
    figure = Figure(figsize=(figure_width(phone), height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(axis="x", alpha=0.3)
    axes.tick_params(labelsize=SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(3 if phone else 7, steps=[1, 2, 2.5, 5, 10]))
    axes.set_ylim(count - 0.5, -0.5)
    return figure, axes


def draw_line(
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


def draw_share(
    axes: Axes, begin: float, spent: NDArray[np.float64], end: float, label: str, styles: Styles
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


def draw_intervals(
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


def set_log_axis(axes: Axes, which: str, low: float, high: float, inches: float) -> None:
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


def add_legend(figure: Figure, styles: Styles, named: Mapping[str, str]) -> None:
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
    texts = [shorten(text) if phone else text for text in named.values()]
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
