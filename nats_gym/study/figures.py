"""Figures of a study, for a page of 700 pixels or, with ``phone``, for a telephone's 360.

Each takes the searches of one task by label (``{"rea": result, …}``), those of several tasks, or
a study's results, and returns a matplotlib ``Figure``. An agent's colour, dashes and marker come
from its place among the labels; give the same ``styles`` to all figures of a study to keep them.
Colours are Okabe & Ito's, which colour-blind readers tell apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nats_gym.datasets import title_of
from nats_gym.errors import InvalidInput, shown, unknown_name
from nats_gym.evaluators.observed import Observed
from nats_gym.results.pareto import MARGIN, table_front
from nats_gym.results.plots import GRID_POINTS, incumbent_at
from nats_gym.results.result import SearchResult, kind_of_time, rests_on
from nats_gym.study.comparison import (
    Results,
    Searches,
    all_labels,
    capitalised,
    common_labels,
    final_regrets,
    tasks_of,
)
from nats_gym.study.curves import common_start, regret_at, regret_curve
from nats_gym.study.drawing import (
    HIGH,
    LOW,
    NO_TIME,
    PHONE_ROWS,
    SMALL,
    TEXT,
    Styles,
    add_legend,
    agent_styles,
    break_lines,
    draw_intervals,
    draw_line,
    draw_share,
    figure_width,
    make_panels,
    make_rows,
    row_name,
    set_log_axis,
)
from nats_gym.study.statistics import (
    improvement_interval,
    iqm_interval,
    mean_interval,
    probability_of_improvement,
    profile_interval,
    sample_efficiency,
)

# ── over simulated time ──────────────────────────────────────────────────────────────────────


def regret_curves(
    results: Results, styles: Styles | None = None, *, seed: int = 0, phone: bool = False
) -> Figure:
    """Simple regret against simulated time: mean over runs, with its 95 % bootstrap interval.

    A panel per task. A line begins where all runs of the agent have an answer, ends with the last
    evaluation of all searches, which may overshoot the budget (dotted), and leaves the panel at
    the bottom where all have the best architecture.
    """
    return _over_time(results, styles, regret_at, _regret_label, seed, phone, log=True)


def incumbent_curves(
    results: Results, styles: Styles | None = None, *, seed: int = 0, phone: bool = False
) -> Figure:
    """Best observed accuracy or score against time: mean over runs, its 95 % bootstrap interval.

    Panels and lines as of :func:`regret_curves`; it needs no table.
    """
    return _over_time(results, styles, _observed_at, _observed_label, seed, phone, log=False)


def _observed_at(result: SearchResult, times: NDArray[np.float64]) -> NDArray[np.float64]:
    figures = result.observed.figures(incumbent_at(result, times))
    return np.where(np.isinf(figures), np.nan, figures)  # a score that is minus infinity


def _over_time(
    results: Results,
    styles: Styles | None,
    look_up: Callable[[SearchResult, NDArray[np.float64]], NDArray[np.float64]],
    label_of: Callable[[Searches], str],
    seed: int,
    phone: bool,
    *,
    log: bool,
) -> Figure:
    """A panel per task of what ``look_up`` says of runs at times, ``(runs, times)``."""
    tasks = tasks_of(results)
    styles = styles_for(styles, tasks)
    figure, panels, inches = make_panels(len(tasks), phone)
    for axes, searches in zip(panels, tasks, strict=True):
        starts = {label: common_start([result]) for label, result in searches.items()}
        budget = max(result.seconds_given for result in searches.values())
        last = max(float(np.nanmax(result.clock)) for result in searches.values())
        end = max(budget, last, 1.1 * max(starts.values()))
        begin = max(min(starts.values()), NO_TIME * end)
        times = np.geomspace(begin, end, GRID_POINTS)
        drawn = []
        for label, result in searches.items():
            own = times[times >= starts[label]]
            curve = mean_interval(look_up(result, own), seed=seed)
            draw_line(axes, own, curve, label, styles, len(searches))
            drawn.append(np.stack(curve))
        axes.axvline(budget, color="0.4", linewidth=1, linestyle=":", zorder=1)
        set_log_axis(axes, "x", begin, end, inches)
        values = np.concatenate(drawn, axis=1)
        positive = values[values > 0]
        if log and len(positive):
            low, high = 0.85 * positive.min(), 1.15 * positive.max()
            alone = len(tasks) == 1 and not phone
            set_log_axis(axes, "y", max(low, 1e-3 * high), high, HIGH if alone else LOW)
        axes.set_title("\n".join(_task_lines(searches)), fontsize=TEXT)
        axes.set_xlabel(_time_label(searches))
        axes.set_ylabel(label_of(searches))
    add_legend(figure, styles, _with_workers(tasks))
    return break_lines(figure)


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
    figure, panels, inches = make_panels(2 * len(tasks), phone)
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
                draw_share(axes, begin, getattr(cost, unit), ends[label], label, styles)
            set_log_axis(axes, "x", begin, 1.1 * end, inches)
            axes.set_ylim(-0.02, 1.02)
        left.set_xlabel("evaluations")
        right.set_xlabel(_time_label(searches))
        left.set_ylabel(f"share of runs with regret ≤ {goal:.3g}\n{_describe_judgement(searches)}")
        # Goes on over the right panel.
        left.set_title("\n".join(_task_lines(searches)), fontsize=TEXT, loc="left")
    add_legend(figure, styles, _with_workers(tasks))
    return break_lines(figure)


# ── over evaluations ─────────────────────────────────────────────────────────────────────────


def hypervolume_curves(
    results: Results,
    objectives: Sequence[str],
    styles: Styles | None = None,
    *,
    seed: int = 0,
    phone: bool = False,
) -> Figure:
    """Share of the table's hypervolume that is missing, against evaluations: mean over runs, 95 %.

    See :meth:`nats_gym.results.SearchResult.hypervolume`. A panel per task; a line ends where a
    run has no more evaluations.
    """

    def missing(result: SearchResult) -> NDArray[np.float64]:
        return 100.0 * (1.0 - result.hypervolume(objectives))

    def told(searches: Searches) -> str:
        named = rests_on([*searches.values()], objectives)
        lines = ",\n".join(f"{name} ({basis})" for name, basis in named.items())
        return f"hypervolume that is missing [%]\n{lines}"

    return _over_evaluations(results, missing, told, styles, seed, phone)


def fronts(
    results: Results,
    objectives: Sequence[str],
    styles: Styles | None = None,
    *,
    phone: bool = False,
) -> Figure:
    """The first of two objectives over the second: what runs would answer, and the whole front.

    Of each agent the run of the median hypervolume, at its end. Its front is what it observed to
    be one, judged as :meth:`nats_gym.results.SearchResult.hypervolume` does; what that puts behind
    is left out, and what is beyond the reference point lies out of sight. A panel per task.

    Raises:
        InvalidInput: for more or less than two objectives, and what has no front.
    """
    tasks = tasks_of(results)
    styles = styles_for(styles, tasks)
    figure, panels, _ = make_panels(len(tasks), phone)
    for axes, searches in zip(panels, tasks, strict=True):
        table = next(iter(searches.values())).table
        whole = table_front(table, objectives)
        if len(objectives) != 2:
            raise InvalidInput(f"a plane shows two objectives, got {shown(list(objectives))}")
        y, x = (table.figure(name) for name in objectives)
        steps = "steps-post" if x.quantity.lower_is_better else "steps-pre"
        drawn = {label: _median_front(result, objectives) for label, result in searches.items()}
        for label, index in {**drawn, "": whole}.items():
            index = index[np.argsort(x.values[index], kind="stable")]
            style = styles[label] if label else None
            axes.plot(
                *(x.values[index], y.values[index]),
                color=style.colour if style else "0.4",
                linestyle=style.dash if style else ":",
                linewidth=1.4,
                marker=style.marker if style else None,
                markersize=4,
                drawstyle=steps,
                zorder=2 if style else 3,
            )
        for values, limit in ((x.values[whole], axes.set_xlim), (y.values[whole], axes.set_ylim)):
            beyond = MARGIN * (float(np.ptp(values)) or 1.0)
            limit(values.min() - beyond, values.max() + beyond)
        axes.set_title("\n".join(_task_lines(searches)), fontsize=TEXT)
        bases = rests_on([*searches.values()], objectives)
        axes.set_xlabel(f"{x.quantity.label}\n{bases[x.name]}")
        axes.set_ylabel(f"{y.quantity.label}\n{bases[y.name]}")
    add_legend(figure, styles, _with_workers(tasks))
    return break_lines(figure)


def _median_front(result: SearchResult, objectives: Sequence[str]) -> NDArray[np.int64]:
    """Official indices of the front of the run with the median hypervolume, by the table."""
    ends = result.hypervolume(objectives)[np.arange(result.runs), result.evaluations - 1]
    run = int(np.argsort(ends, kind="stable")[(result.runs - 1) // 2])
    index = np.unique(result.index[run, result.front(objectives)[run]])
    return table_front(result.table, objectives, index)


def regret_over_evaluations(
    results: Results, styles: Styles | None = None, *, seed: int = 0, phone: bool = False
) -> Figure:
    """Simple regret of what a run would answer, against evaluations: mean over runs, 95 %.

    A panel per task; a line ends where a run has no more evaluations.
    """
    return _over_evaluations(
        results, regret_curve, lambda _: "regret [percentage points]", styles, seed, phone
    )


def _over_evaluations(
    results: Results,
    values_of: Callable[[SearchResult], NDArray[np.float64]],
    told: Callable[[Searches], str],
    styles: Styles | None,
    seed: int,
    phone: bool,
) -> Figure:
    """Figures after each evaluation, ``(runs, evaluation)`` of a search, on logarithmic axes."""
    tasks = tasks_of(results)
    styles = styles_for(styles, tasks)
    figure, panels, inches = make_panels(len(tasks), phone)
    for axes, searches in zip(panels, tasks, strict=True):
        ends = {label: int(result.evaluations.min()) for label, result in searches.items()}
        drawn = []
        for label, result in searches.items():
            count = np.unique(np.geomspace(1, ends[label], GRID_POINTS).astype(int))
            curve = mean_interval(values_of(result)[:, count - 1], seed=seed)
            draw_line(axes, count.astype(float), curve, label, styles, len(searches))
            drawn.append(np.concatenate(curve))
        values = np.concatenate(drawn)
        positive = values[values > 0]
        low, high = (positive.min(), positive.max()) if len(positive) else (0.1, 100.0)
        set_log_axis(axes, "x", 1.0, 1.1 * max(*ends.values(), 2), inches)
        set_log_axis(axes, "y", max(0.85 * low, 1e-3 * high), 1.15 * high, HIGH)
        axes.set_title("\n".join(_task_lines(searches)), fontsize=TEXT)
        axes.set_xlabel("evaluations")
        axes.set_ylabel(told(searches))
    add_legend(figure, styles, _with_workers(tasks))
    return break_lines(figure)


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
    figure, (axes,), inches = make_panels(1, phone)
    for label, regret in regrets.items():
        profile = profile_interval(-regret, -thresholds, seed=seed)
        draw_line(axes, thresholds, profile, label, styles, len(regrets))
    set_log_axis(axes, "x", thresholds[0], thresholds[-1], inches)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(_aggregate_label(tasks))
    axes.set_ylabel("share of runs with less regret")
    axes.set_title(aggregate_title("Performance profile", tasks), fontsize=TEXT)
    add_legend(figure, styles, {label: label for label in regrets})
    return break_lines(figure)


def iqm_intervals(
    results: Results, styles: Styles | None = None, *, seed: int = 0, phone: bool = False
) -> Figure:
    """Interquartile mean of the regret of the answers, with 95 % intervals, best first."""
    tasks = tasks_of(results)
    styles = styles_for(styles, tasks)
    intervals = {
        label: iqm_interval(regret, seed=seed) for label, regret in final_regrets(tasks).items()
    }
    figure, axes = make_rows(len(intervals), phone)
    ascending = sorted(intervals, key=lambda label: float(intervals[label].estimate))
    draw_intervals(axes, {label: intervals[label] for label in ascending}, styles, phone)
    text = f"interquartile mean of {_aggregate_label(tasks)}"
    axes.set_xlabel(text, loc="right" if phone else "center")
    figure.suptitle(aggregate_title("Interquartile mean of the regret", tasks), fontsize=TEXT)
    return break_lines(figure)


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
    figure, axes = make_rows(len(others), phone)
    descending = sorted(others, key=lambda label: -float(others[label].estimate))
    draw_intervals(axes, {label: others[label] for label in descending}, styles, phone)
    axes.axvline(0.5, color="0.4", linewidth=1, zorder=1)
    text = f"probability of less regret than {baseline}\n{_describe_judgement(*tasks)}"
    axes.set_xlabel(text, loc="right" if phone else "center")
    title = aggregate_title(f"Probability of improvement over {baseline}", tasks)
    figure.suptitle(title, fontsize=TEXT)
    return break_lines(figure)


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
    figure.suptitle(f"{title}\n{_describe_judgement(*tasks)}", fontsize=TEXT)
    return break_lines(figure)


# ── what they share ──────────────────────────────────────────────────────────────────────────


def styles_for(styles: Styles | None, tasks: Sequence[Searches]) -> Styles:
    labels = all_labels(tasks)
    if styles is None:
        return agent_styles(labels)
    for label in labels:
        if label not in styles:
            raise InvalidInput(f"no style of {shown(label)}; there are {', '.join(styles)}")
    return styles


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
        f"{capitalised(result.table.space.title)} space, {title_of(dataset)}",
        f"searched on {result.arguments.epochs} epochs "
        f"({_provenance(searches, 'search_accuracy')})",
    )


def aggregate_title(title: str, tasks: Sequence[Searches]) -> str:
    runs = {task[label].runs for task in tasks for label in common_labels(tasks)}
    count = f"{min(runs):,}" if len(runs) == 1 else f"{min(runs):,} to {max(runs):,}"
    if len(tasks) == 1:
        bounds = {(one.arguments.budget, one.arguments.bound) for one in tasks[0].values()}
        told = [bound for _, bound in sorted(bounds)]
        if all(bound.endswith(" s") for bound in told):  # the unit once
            told[:-1] = [bound.removesuffix(" s") for bound in told[:-1]]
        spent = " or ".join(told)
        return f"{title}, {count} runs\n{'; '.join(_task_lines(tasks[0]))}, for {spent}"
    text = f"{title}, {len(tasks)} tasks, {count} runs each"
    missing = [label for label in all_labels(tasks) if label not in common_labels(tasks)]
    if missing:
        text += f"\nnot on all tasks, so left out: {', '.join(missing)}"
    return text


def _time_label(searches: Searches) -> str:
    return f"{kind_of_time(searches.values())} time [s], {_provenance(searches, 'seconds')}"


def _regret_label(searches: Searches) -> str:
    return f"simple regret [percentage points]\n{_describe_judgement(searches)}"


def _observed_label(searches: Searches) -> str:
    basis = _provenance(searches, "search_accuracy")
    observed = Observed.common(result.observed for result in searches.values())
    if observed.name:
        return f"best observed {observed.name}\n{basis}"
    return f"best observed accuracy [%]\nvalidation, {basis}"


def _aggregate_label(tasks: Sequence[Searches]) -> str:
    if len(tasks) == 1:
        return f"regret [percentage points]\n{_describe_judgement(tasks[0])}"
    return f"regret, relative to the median architecture's\n{_describe_judgement(*tasks)}"


def _describe_judgement(*tasks: Searches) -> str:
    """On what answers are judged: ``"validation, 200 epochs, measured"``."""
    epochs = {result.table.full_epochs for task in tasks for result in task.values()}
    numbers = " or ".join(str(number) for number in sorted(epochs))
    found = {_provenance(task, "full_schedule_valid_accuracy") for task in tasks}
    return f"validation, {numbers} epochs, {' or '.join(sorted(found))}"


def _provenance(searches: Searches, quantity: str) -> str:
    return " or ".join(sorted({result.provenance[quantity] for result in searches.values()}))
