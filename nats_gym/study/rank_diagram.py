"""The critical-difference diagram (Demšar, JMLR 2006): average ranks, and who does not differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from nats_gym.study.comparison import Results, regret_blocks, tasks_of
from nats_gym.study.drawing import PHONE_LINE, SMALL, TEXT, Styles, figure_width, row_name, wrap
from nats_gym.study.figures import aggregate_title, styles_for
from nats_gym.study.statistics import RankComparison, friedman_nemenyi

# All in points, 72 of which are an inch.
POINTS = 72.0
MARGIN, GAP, ROW, LEVEL, RULER = 8.0, 5.0, 16.0, 7.0, 46.0
#: A line of small letters.
LINE = 1.3 * SMALL


def critical_difference(
    results: Results, styles: Styles | None = None, *, alpha: float = 0.05, phone: bool = False
) -> Figure:
    """Average rank of each agent's regret over runs and tasks; bars join those that do not differ.

    Friedman's test and Nemenyi's critical difference; a block is a run number of a task. Runs
    of one number share a seed and are else independent, so blocks are many and ranks sharp.

    Args:
        results: searches of two agents at least, with as many runs each.
        styles: of the agents.
        alpha: level of the critical difference.
        phone: whether it is ``PHONE`` inches wide, with names above their lines, not beside.
    """
    tasks = tasks_of(results)
    styles = styles_for(styles, tasks)
    blocks = regret_blocks(tasks)
    compared = friedman_nemenyi({label: -regret for label, regret in blocks.items()}, alpha)
    labels = sorted(compared.average_ranks, key=compared.average_ranks.__getitem__)
    half = (len(labels) + 1) // 2
    texts = [
        f"{row_name(label, phone)}  {compared.average_ranks[label]:.2f}"
        if place < half
        else f"{compared.average_ranks[label]:.2f}  {row_name(label, phone)}"
        for place, label in enumerate(labels)
    ]
    widths = [0.0 if phone else _width(text) for text in texts]
    levels = _levels(compared.groups, labels)
    depth = LEVEL * (max(levels, default=-1) + 1)
    width = figure_width(phone)
    title = aggregate_title("Average rank of the regret, 1 the best", tasks)
    note = _difference_note(compared, alpha)
    if phone:
        title, note = wrap(title, PHONE_LINE), wrap(note, PHONE_LINE)
    head = MARGIN + 1.3 * TEXT * (title.count("\n") + 1) + RULER + LINE * note.count("\n")
    row_height = ROW + GAP if phone else ROW
    height = head + 2 * GAP + depth + row_height * half + MARGIN
    figure = Figure(figsize=(width, height / POINTS))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0, width * POINTS)
    axes.set_ylim(0, height)
    ruler = _Ruler(
        left=MARGIN + max(widths[:half]) + 3 * GAP,
        right=width * POINTS - MARGIN - max(widths[half:], default=0) - 3 * GAP,
        low=float(np.floor(compared.average_ranks[labels[0]])),
        high=float(np.ceil(compared.average_ranks[labels[-1]])),
        y=height - head,
    )
    _draw_ruler(axes, ruler, compared.critical_difference, note, width * POINTS - MARGIN)
    for level, group in zip(levels, compared.groups, strict=True):
        y = ruler.y - GAP - LEVEL * (level + 0.5)
        ends = [ruler.at(compared.average_ranks[label]) for label in (group[0], group[-1])]
        axes.plot([ends[0] - 3, ends[1] + 3], [y, y], color="black", linewidth=3, zorder=3)
    for place, label in enumerate(labels):
        on_left = place < half
        row = place if on_left else len(labels) - 1 - place
        y = ruler.y - 2 * GAP - depth - row_height * (row + (1 if phone else 0.5))
        x = ruler.at(compared.average_ranks[label])
        end = ruler.left - 2 * GAP if on_left else ruler.right + 2 * GAP
        colour = styles[label].colour
        axes.plot([x, x, end], [ruler.y, y, y], color=colour, linewidth=1.2)
        axes.plot([x], [ruler.y], color=colour, marker=styles[label].marker, markersize=5)
        if phone:  # on white, that lines to other names do not cross it
            axes.text(
                *(end, y + 1.5, texts[place]),
                fontsize=SMALL,
                horizontalalignment="left" if on_left else "right",
                verticalalignment="bottom",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )
        else:
            axes.text(
                *(end - GAP if on_left else end + GAP, y, texts[place]),
                fontsize=SMALL,
                horizontalalignment="right" if on_left else "left",
                verticalalignment="center",
            )
    axes.text(
        *(width * POINTS / 2, height - MARGIN, title),
        fontsize=TEXT,
        horizontalalignment="center",
        verticalalignment="top",
    )
    return figure


class _Ruler:
    """Where average ranks lie, in points."""

    def __init__(self, left: float, right: float, low: float, high: float, y: float) -> None:
        self.left, self.right, self.y = left, right, y
        self.low, self.high = low, max(high, low + 1)

    def at(self, rank: float) -> float:
        share = (rank - self.low) / (self.high - self.low)
        return self.left + share * (self.right - self.left)


def _difference_note(compared: RankComparison, alpha: float) -> str:
    chance = f"= {compared.p_value:.2g}" if compared.p_value >= 1e-4 else "< 0.0001"
    difference = f"critical difference {compared.critical_difference:.2f}"
    return f"{difference} (Nemenyi, α = {alpha:g}); Friedman p {chance}"


def _draw_ruler(axes: Axes, ruler: _Ruler, difference: float, note: str, edge: float) -> None:
    axes.plot([ruler.left, ruler.right], [ruler.y, ruler.y], color="black", linewidth=1)
    for rank in np.arange(ruler.low, ruler.high + 1):
        x = ruler.at(rank)
        axes.plot([x, x], [ruler.y, ruler.y + 4], color="black", linewidth=1)
        axes.text(x, ruler.y + 6, f"{rank:.0f}", fontsize=SMALL, horizontalalignment="center")
    y = ruler.y + 24
    end = ruler.at(ruler.low + difference)
    if end <= ruler.right:
        axes.plot([ruler.left, end], [y, y], color="black", linewidth=1.5)
        for x in (ruler.left, end):
            axes.plot([x, x], [y - 3, y + 3], color="black", linewidth=1.5)
    # Beside the bar if there is room, else above the ruler's whole length.
    beside = "\n" not in note and end + GAP + _width(note) < edge
    axes.text(
        end + GAP if beside else ruler.left,
        y if beside else y + GAP,
        note,
        fontsize=SMALL,
        verticalalignment="center" if beside else "bottom",
    )


def _levels(groups: Sequence[tuple[str, ...]], labels: Sequence[str]) -> list[int]:
    """A level for each bar, so that none meets another; groups come best first."""
    levels: list[int] = []
    ends: list[int] = []  # of the last bar of each level
    for group in groups:
        first, last = labels.index(group[0]), labels.index(group[-1])
        free = [level for level, end in enumerate(ends) if end < first]
        level = free[0] if free else len(ends)
        ends[level : level + 1] = [last]
        levels.append(level)
    return levels


def _width(text: str) -> float:
    path = TextPath((0, 0), text, size=SMALL, prop=FontProperties())
    return 1.05 * float(path.get_extents().width)  # hinting widens letters on a coarse screen
