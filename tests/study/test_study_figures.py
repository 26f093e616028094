"""Figures of a study: what they draw, that no texts meet, and that files are the same each time."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

import nats_gym
from nats_gym.errors import InvalidInput
from nats_gym.results.figure_files import save_figure
from nats_gym.results.files import RECORDED
from nats_gym.results.result import SearchResult
from nats_gym.study.curves import regret_at
from nats_gym.study.drawing import agent_styles
from nats_gym.study.figures import (
    evaluations_to_target,
    fronts,
    hypervolume_curves,
    improvement_intervals,
    improvement_matrix,
    iqm_intervals,
    performance_profiles,
    regret_curves,
)
from nats_gym.study.rank_diagram import critical_difference
from nats_gym.study.statistics import iqm, probability_of_improvement

Searches = dict[str, SearchResult]

LABELS = (
    "random rea reinforce local-search bohb hyperband successive-halving asha tpe bananas "
    "bandit largest ppo maskable-ppo local-search-first-improvement"
).split()


@pytest.fixture(scope="module")
def searches() -> Searches:
    """Parts of one search, under the names of 15 agents; the later the name, the better."""
    return _parts("cifar10", 15, 12)


def _parts(dataset: str, count: int, runs: int) -> Searches:
    whole = nats_gym.search("tss", dataset, "random", epochs=12, budget=9000, runs=count * runs)
    order = np.argsort(-whole.regret(), kind="stable")
    parts = np.random.default_rng(0).permuted(order.reshape(count // 5, 5 * runs), axis=1)
    return {
        label: dataclasses.replace(whole, **{name: getattr(whole, name)[rows] for name in RECORDED})
        for label, rows in zip(LABELS, parts.reshape(count, runs), strict=False)
    }


def first(searches: Searches, count: int) -> Searches:
    return dict(list(searches.items())[:count])


def over_random(results: Any, **options: Any) -> Figure:
    return improvement_intervals(results, "random", **options)


DRAWN: dict[str, Callable[..., Figure]] = {
    "regret": regret_curves,
    "hypervolume": partial(hypervolume_curves, objectives=("accuracy", "latency/raspi4")),
    "fronts": partial(fronts, objectives=("accuracy", "latency/raspi4")),
    "target": evaluations_to_target,
    "profiles": performance_profiles,
    "iqm": iqm_intervals,
    "improvement": over_random,
    "matrix": improvement_matrix,
    "ranks": critical_difference,
}


def ticks_in_sight(figure: Figure) -> set[str]:
    """Labels of ticks within the limits of their axis; matplotlib keeps others, undrawn."""
    seen = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-9 * (high - low)
            for tick in axis.get_major_ticks():
                if low - slack <= tick.get_loc() <= high + slack:
                    seen |= {id(tick.label1), id(tick.label2)}
    return seen


def texts_in_sight(figure: Figure) -> list[tuple[str, Any]]:
    canvas = FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    renderer = canvas.get_renderer()
    ticks = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        for label in (tick.label1, tick.label2)
    }
    drawn = ticks_in_sight(figure)
    return [
        (text.get_text(), text.get_window_extent(renderer))
        for text in figure.findobj(Text)
        if text.get_visible()
        and text.get_text().strip()
        and text.get_rotation() in (0, 90)  # slanted ones lie side by side, their boxes do not
        and (id(text) not in ticks or id(text) in drawn)
        and _shown(text, figure)
    ]


def _shown(text: Text, figure: Figure) -> bool:
    """Whether no axes that are switched off hold it as a tick's label."""
    axes = text.axes
    return axes is None or axes.axison or text in axes.texts


def check_texts(figure: Figure, width: int = 700) -> None:
    """All texts are within the figure at so many pixels, and none meets another."""
    assert figure.get_figwidth() == width / 100
    figure.set_dpi(100)
    shown = texts_in_sight(figure)
    assert len(shown) > 4
    height = figure.get_figheight() * 100
    for place, (text, box) in enumerate(shown):
        assert -0.5 <= box.x0 <= box.x1 <= width + 0.5, text
        assert -0.5 <= box.y0 <= box.y1 <= height + 0.5, text
        for other, its in shown[:place]:
            across = min(box.x1, its.x1) - max(box.x0, its.x0)
            along = min(box.y1, its.y1) - max(box.y0, its.y0)
            assert across <= 0.5 or along <= 0.5, f"{text!r} meets {other!r}"


@pytest.mark.one_in(7)
@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("count", [2, 15])
def test_no_texts_meet_and_all_are_within_700_pixels(
    searches: Searches, name: str, count: int
) -> None:
    check_texts(DRAWN[name](first(searches, count)))


@pytest.mark.one_in(7)
@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("count", [2, 15])
def test_narrow_ones_have_letters_of_11_pixels_and_none_meet(
    searches: Searches, name: str, count: int
) -> None:
    figure = DRAWN[name](first(searches, count), phone=True)
    check_texts(figure, 360)
    sizes = {text.get_fontsize() for text in figure.findobj(Text) if text.get_text().strip()}
    assert min(sizes) * 100 / 72 >= 11  # 360 pixels wide


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", DRAWN)
def test_long_names_are_cut_in_the_middle(searches: Searches, name: str) -> None:
    named = [f"rea, population {count}, sample 5, {'x' * count}" for count in (10, 20, 40)]
    results = {"random": searches["random"], **dict(zip(named, searches.values(), strict=False))}
    figure = DRAWN[name](results)
    check_texts(figure)
    check_texts(DRAWN[name](results, phone=True), 360)
    if name == "iqm":
        rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        assert f"rea, population 10,…{'x' * 10}" in rows
        assert len(set(rows)) == 4


@pytest.mark.slow
def test_several_tasks_have_a_panel_each_and_aggregates_say_so(searches: Searches) -> None:
    tasks = {"a": first(searches, 3), "b": _parts("cifar100", 5, 12)}
    curves = regret_curves(tasks)
    titles = [axes.get_title() for axes in curves.axes]
    assert [title.splitlines()[0] for title in titles] == [
        "Topology space, CIFAR-10",
        "Topology space, CIFAR-100",
    ]
    assert len(evaluations_to_target(tasks).axes) == 4
    title = performance_profiles(tasks).axes[0].get_title()
    assert title == (
        "Performance profile, 2 tasks, 12 runs each\n"
        "not on all tasks, so left out: local-search, bohb"
    )
    assert [label.get_text() for label in curves.legends[0].texts] == LABELS[:5]
    assert len(iqm_intervals(tasks).axes[0].get_yticks()) == 3
    for draw in DRAWN.values():
        check_texts(draw(tasks))
        check_texts(draw(tasks, phone=True), 360)


def test_axes_name_units_and_what_they_rest_on(searches: Searches) -> None:
    axes = regret_curves(searches).axes[0]
    assert axes.get_xlabel() == "simulated time [s], surrogate"
    assert axes.get_ylabel() == (
        "simple regret [percentage points]\nvalidation, 200 epochs, measured"
    )
    assert axes.get_title() == "Topology space, CIFAR-10\nsearched on 12 epochs (surrogate)"
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    heading = improvement_matrix(searches).texts[0].get_text()
    assert "validation, 200 epochs, measured" in heading


def test_lines_are_the_means_over_runs(searches: Searches) -> None:
    axes = regret_curves(first(searches, 3)).axes[0]
    for line, result in zip(axes.lines[:3], searches.values(), strict=False):
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert y == pytest.approx(regret_at(result, x).mean(axis=0))
        assert x[0] >= result.clock[:, 0].max()
        assert y[-1] == pytest.approx(result.regret().mean())
    last = max(np.nanmax(result.clock) for result in first(searches, 3).values())
    assert axes.get_xlim()[1] == pytest.approx(last)
    assert last > 9000  # the budget, which the last evaluation overshoots
    assert list(axes.lines[3].get_xdata()) == [9000, 9000]


def test_shares_that_reach_a_target_are_counted(searches: Searches) -> None:
    result = searches["rea"]
    figure = evaluations_to_target({"rea": result}, target=1.5)
    line = figure.axes[0].lines[0]
    x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    mean = result.table.mean_accuracy("valid")
    for number in (5, 20, int(result.evaluations.max())):
        reached = sum(
            any(
                mean.max() - mean[result.incumbent_index[run, e]] <= 1.5
                for e in range(min(number, result.evaluations[run]))
            )
            for run in range(result.runs)
        )
        drawn = y[np.searchsorted(x, number, side="right") - 1] if x[0] <= number else 0.0
        assert drawn == pytest.approx(reached / result.runs)
    never = evaluations_to_target({"rea": result}, target=-1.0).axes[0].lines[0]
    assert np.asarray(never.get_ydata()).tolist() == [0, 0]


def test_half_of_all_runs_come_to_the_target_by_default(searches: Searches) -> None:
    figure = evaluations_to_target(first(searches, 5))
    ends = [np.asarray(line.get_ydata())[-1] for line in figure.axes[0].lines]
    assert np.mean(ends) == pytest.approx(0.5, abs=0.02)


def test_numbers_in_rows_and_cells_are_the_statistics(searches: Searches) -> None:
    four = first(searches, 4)
    regrets = {label: result.regret() for label, result in four.items()}
    figure = iqm_intervals(four)
    texts = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    expected = sorted(iqm(regret) for regret in regrets.values())
    assert [float(text.split()[0]) for text in texts] == pytest.approx(expected, abs=5e-4)
    assert names == sorted(regrets, key=lambda label: iqm(regrets[label]))
    cells = {
        text.get_position(): text.get_text() for text in improvement_matrix(four).axes[0].texts
    }
    labels = list(four)
    assert len(cells) == 12
    for (column, row), text in cells.items():
        own, others = regrets[labels[int(row)]], regrets[labels[int(column)]]
        assert text == f"{100 * probability_of_improvement(-own, -others):.0f}"


def test_the_rank_diagram_lists_all_by_rank(searches: Searches) -> None:
    figure = critical_difference(first(searches, 6))
    ranked = [text.get_text().split() for text in figure.axes[0].texts]
    pairs = {}
    for words in ranked:
        if len(words) == 2 and set(words) & set(LABELS):
            name, rank = words if words[0] in LABELS else words[::-1]
            pairs[name] = float(rank)
    table = np.stack([result.regret() for result in first(searches, 6).values()], axis=1)
    plain = [
        np.mean([(row < row[a]).sum() + ((row == row[a]).sum() + 1) / 2 for row in table])
        for a in range(6)
    ]
    assert pairs == pytest.approx(dict(zip(LABELS, plain, strict=False)), abs=5e-3)


def test_styles_differ_and_stay(searches: Searches) -> None:
    styles = agent_styles(LABELS)
    assert len({(style.colour, str(style.dash)) for style in styles.values()}) == len(LABELS)
    assert len({style.colour for style in list(styles.values())[:7]}) == 7
    two = {label: searches[label] for label in ("bohb", "rea")}
    for figure in (regret_curves(two, styles), performance_profiles(two, styles)):
        colours = [line.get_color() for line in figure.axes[0].lines[:2]]
        assert colours == [styles["bohb"].colour, styles["rea"].colour]
    with pytest.raises(InvalidInput, match="no style of 'rea'"):
        regret_curves(two, agent_styles(["bohb"]))


@pytest.mark.one_in(7)
@pytest.mark.parametrize("name", DRAWN)
def test_files_are_the_same_each_time(searches: Searches, name: str, tmp_path: Path) -> None:
    contents = []
    for place in ("one", "two"):
        png, svg = save_figure(DRAWN[name](first(searches, 3)), tmp_path / f"{place}.v1")
        assert (png.name, svg.name) == (f"{place}.v1.png", f"{place}.v1.svg")
        contents.append((png.read_bytes(), svg.read_bytes()))
    assert contents[0] == contents[1]
    assert contents[0][0].startswith(b"\x89PNG")
    assert b"<svg" in contents[0][1]
    assert b"<dc:date>" not in contents[0][1]
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.slow
def test_searches_at_the_edge_are_drawn(searches: Searches, tmp_path: Path) -> None:
    """One run, one evaluation, none of time, and runs that all find the best at once."""
    tiny = nats_gym.search("tss", "cifar10", "random", epochs=12, budget=1, runs=1)
    best = tiny.table.best("valid")[0]
    instant = dataclasses.replace(tiny, clock=np.zeros_like(tiny.clock))
    perfect = dataclasses.replace(tiny, index=np.full_like(tiny.index, best))
    for pair in (
        {"random": tiny, "other": tiny},
        {"random": perfect, "other": perfect},
        {"random": tiny, "other": perfect},
        {"random": tiny, "other": instant},
    ):
        for name, draw in DRAWN.items():
            figure = draw(pair)
            check_texts(figure)
            save_figure(figure, tmp_path / name)


def test_what_cannot_be_drawn_is_said(searches: Searches) -> None:
    with pytest.raises(InvalidInput, match="one search at least"):
        regret_curves({})
    with pytest.raises(InvalidInput, match=r"unknown baseline 'randm'.*'random'"):
        improvement_intervals(first(searches, 2), "randm")
    with pytest.raises(InvalidInput, match="needs another agent"):
        improvement_intervals(first(searches, 1), "random")
    with pytest.raises(InvalidInput, match="two agents"):
        critical_difference(first(searches, 1))
    for draw in DRAWN.values():
        with pytest.raises(InvalidInput, match="phone"):
            draw(first(searches, 2), phone="narrow")


def test_pyplot_is_never_imported() -> None:
    code = (
        "import sys, nats_gym.study.figures, nats_gym.study.rank_diagram;"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
