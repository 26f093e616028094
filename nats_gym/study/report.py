"""``nats-gym report DIR``: a study as a page, two tables to quote, and the plots as files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput, shown
from nats_gym.extras import require
from nats_gym.files.writing import check_folder, make_folder, write_file
from nats_gym.results.figure_files import save_figure, svg_of
from nats_gym.results.result import SearchResult, kind_of_time, say_objectives
from nats_gym.spaces import Quantity
from nats_gym.study import drawing, figures
from nats_gym.study.comparison import Results, Searches, all_labels, capitalised, tasks_of
from nats_gym.study.curves import anytime_regret, common_start, regret_curve
from nats_gym.study.page import Picture, Row, Section, Table, page
from nats_gym.study.rank_diagram import critical_difference
from nats_gym.study.results import Group, load_study
from nats_gym.study.statistics import sample_efficiency
from nats_gym.study.tables import (
    all_judged,
    group_heading,
    headline_tables,
    latex,
    list_words,
    markdown,
)
from nats_gym.tables.column import MADE_FOR, is_estimate
from nats_gym.tables.figure_names import check_figure

#: Evaluations after which a regret or a hypervolume is told.
COUNTS = (1, 3, 10, 30, 100, 300)
PAGE_FILE, MARKDOWN_FILE, LATEX_FILE, PLOTS = "index.html", "headline.md", "headline.tex", "plots"

#: Of the regret to be reached, which the study's own runs set.
OF_THIS_STUDY = (
    "Half of all runs here reach it: it depends on the agents that ran, and what it takes to reach "
    "it compares within this study only."
)

#: Of hypervolumes.
FRONTS = (
    "A run’s answers are what nothing that it observed dominates. The reference point is the worst "
    "on the table’s front in each objective, and a tenth of the front’s range beyond."
)

#: A plot: its caption, its alternative text, and what draws it, for a phone or not.
Plot = tuple[str, str, Callable[[bool], Figure]]


def write_report(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    names: Sequence[str] = (),
) -> Path:
    """Write the report of a study.

    ``index.html`` needs nothing beside it and no network. ``headline.md`` and ``headline.tex``
    hold the headline table, ``plots/`` each plot as PNG and SVG. Files of an earlier report are
    replaced, the page last.

    Args:
        folder: of the study.
        out: folder for the report; None for ``report`` in the study's.
        names: figures of the answers that are shown besides, such as ``"latency/raspi4"``, where
            they are known; see ``docs/columns.md``.

    Returns:
        The page.

    Raises:
        MissingStudy: if there is none. UnreadableResult: if it is damaged or not finished.
        InvalidInput: if it has no search, ``out`` cannot be written, or none of its searches
            knows a figure.
        MissingPackage: without SciPy or Jinja2.
    """
    require("scipy", "a report")
    study = load_study(folder)
    tasks = tasks_of(study)
    folder = checks.path(folder, "a study")
    out = folder / "report" if out is None else checks.path(out, "out")
    check_folder(out)
    plots = out / PLOTS
    answers = _answers(study.groups(), names)
    make_folder(plots)

    headlines = headline_tables(study)
    styles = drawing.agent_styles(dict.fromkeys(cell.label for cell in study.cells))
    groups = study.groups()
    sections = {}
    taken: set[str] = set()
    for group, searches in groups.items():
        heading = group_heading(group, groups)
        space = next(iter(searches.values())).table.space.title
        name = _file_name(f"{group.space}-{heading}")
        if name in taken:  # by a heading with other signs
            name = next(one for n in count(2) if (one := f"{name}-{n}") not in taken)
        taken.add(name)
        show = _group_section if all_judged(searches) else _observed_section
        section = show(name, searches, styles, plots)
        more = (*_by_evaluations(group, searches), *answers.get(group, ()))
        section = replace(section, more=more)
        sections[group] = (f"{capitalised(space)} space, {heading}", section)
    overall = _overall_section(tasks, styles, plots)
    write_file(out / MARKDOWN_FILE, markdown(headlines))
    write_file(out / LATEX_FILE, latex(headlines))
    estimated = _estimated_columns(groups, names)
    write_file(out / PAGE_FILE, page(study, headlines, overall, sections, estimated))
    return out / PAGE_FILE


def _file_name(title: str) -> str:
    """A name that every file system takes."""
    return re.sub("[^A-Za-z0-9]+", "-", title)[:100].strip("-")


# ── sections ─────────────────────────────────────────────────────────────────────────────────


def _group_section(name: str, searches: Searches, styles: drawing.Styles, plots: Path) -> Section:
    goal = _common_goal(searches)
    regrets = "; ".join(f"{label} {_mean_regret(result)}" for label, result in searches.items())
    time = f"{kind_of_time(searches.values())} time"
    drawn: dict[str, Plot] = {
        "regret": (
            f"Simple regret against {time}, mean over runs with its 95 % bootstrap "
            "interval: how many points the architecture that a run would answer falls short of "
            "the best that the table knows, full-schedule validation accuracy. The dotted line is "
            "the budget; the evaluation that overshoots it counts.",
            f"Curves of mean regret against {time}. At the end, in points: {regrets}.",
            lambda phone: figures.regret_curves(searches, styles, phone=phone),
        ),
        "target": (
            f"Sample efficiency: share of runs that have reached a regret of {goal:.3g} points, "
            f"against what they spent. {OF_THIS_STUDY}",
            f"Share of runs that reached a regret of {goal:.3g} points against evaluations and "
            f"against {time}; the table has the medians.",
            lambda phone: figures.evaluations_to_target(searches, goal, styles, phone=phone),
        ),
    }
    for objectives in _weighed(searches):
        drawn |= _fronts(objectives, searches, styles)
    left_out = _lacking(searches)
    if not left_out:
        drawn |= _comparisons(searches, styles)
    pictures, refused = _drawn(name, drawn, plots, {"regret": searches})
    return Section(pictures, (*left_out, *refused), _numbers(searches, goal))


def _observed_section(
    name: str, searches: Searches, styles: drawing.Styles, plots: Path
) -> Section:
    """What was observed, where no table judges it."""
    best = "; ".join(f"{label} {_mean_std(one)}" for label, one in searches.items())
    what, unit = _observed_in_words(searches)
    time = f"{kind_of_time(searches.values())} time"
    drawn: dict[str, Plot] = {
        "incumbent": (
            f"Best observed {what} against {time}, mean over runs with its 95 % "
            "bootstrap interval. No table judges these searches: what a training of "
            "the same architecture would find another time is not known. The dotted line is the "
            "budget, or where there is none the longest run.",
            f"Curves of the best observed {what} against {time}. At the end{unit}: {best}.",
            lambda phone: figures.incumbent_curves(searches, styles, phone=phone),
        )
    }
    pictures, refused = _drawn(name, drawn, plots, {"incumbent": searches})
    return Section(pictures, refused, _observed_numbers(searches))


def _weighed(searches: Searches) -> list[tuple[str, ...]]:
    """What some agent weighed, each once."""
    observing = _observing(searches).values()
    return list(dict.fromkeys(one.weighed for one in observing if one.weighed))


def _observing(searches: Searches) -> Searches:
    """Those that observe architectures, and so have fronts."""
    return {label: one for label, one in searches.items() if not one.answers_last}


def _fronts(
    objectives: tuple[str, ...], searches: Searches, styles: drawing.Styles
) -> dict[str, Plot]:
    """Plots of several objectives."""
    named, searches = list_words(objectives), _observing(searches)
    told = say_objectives([*searches.values()], objectives)
    of = "-".join(_file_name(name) for name in objectives)
    return {
        f"hypervolume-{of}": (
            f"Hypervolume by {told} that a run’s answers still miss, against evaluations: percent "
            "of what the table’s whole front has; mean over runs with its 95 % bootstrap interval. "
            f"{FRONTS}",
            f"Curves of the missing hypervolume by {named}; a table has the figures.",
            lambda phone: figures.hypervolume_curves(searches, objectives, styles, phone=phone),
        ),
        f"front-{of}": (
            f"Fronts by {told}: of each agent that of the run with the median hypervolume, at its "
            "end, judged by the table; dotted, the front of the whole table. What is worse than "
            "the reference point lies out of sight.",
            f"Steps of the front of each agent by {named}, and of the whole table’s.",
            lambda phone: figures.fronts(searches, objectives, styles, phone=phone),
        ),
    }


def _comparisons(results: Results, styles: drawing.Styles) -> dict[str, Plot]:
    """Plots that need several runs of several agents."""
    return {
        "iqm": (
            "Interquartile mean of the regret of the answers, best first, with 95 % stratified "
            "bootstrap intervals.",
            "Interquartile mean of the final regret of each agent, with intervals.",
            lambda phone: figures.iqm_intervals(results, styles, phone=phone),
        ),
        "improvement": (
            "Probability of improvement: how often a run of the row’s agent ends with less "
            "regret than one of the column’s, ties counted half; 50 is a tie.",
            "Matrix of the probability that one agent’s answer is better than another’s.",
            lambda phone: figures.improvement_matrix(results, phone=phone),
        ),
    }


def _overall_section(tasks: Sequence[Searches], styles: drawing.Styles, plots: Path) -> Section:
    every, tasks = len(tasks), [searches for searches in tasks if all_judged(searches)]
    unjudged = (
        ("Searches on an evaluator are left out here: no table judges their answers.",)
        if len(tasks) < every
        else ()
    )
    if not tasks:
        return Section((), unjudged)
    results = dict(enumerate(tasks))
    left_out = (*unjudged, *(lacking := _lacking(*tasks)))
    drawn: dict[str, Plot] = {}
    if not lacking:
        measure = (
            "Regrets are relative to that of the space’s median architecture, so that data sets "
            "can be put together. "
            if len(tasks) > 1
            else ""
        )
        drawn = {
            "profile": (
                "Performance profile: share of runs whose answer has less regret than each "
                f"value, with pointwise 95 % intervals; higher is better. {measure}",
                "Performance profiles: share of runs below each regret, a curve per agent.",
                lambda phone: figures.performance_profiles(results, styles, phone=phone),
            ),
            "ranks": (
                "Critical difference: average rank of each agent over all runs of all searches, "
                "1 the best. A bar joins agents that do not differ by Nemenyi’s test at 5 %; "
                "run r of every agent meets the same random trials and makes a block. Blocks are "
                "runs here, not data sets as in Demšar (2006): with thousands of them a small "
                "difference is significant, and says little about another data set.",
                "Critical-difference diagram of the agents’ average ranks.",
                lambda phone: critical_difference(results, styles, phone=phone),
            ),
        }
        if len(tasks) > 1:
            drawn |= _comparisons(results, styles)
    pictures, refused = _drawn("overall", drawn, plots)
    return Section(pictures, (*left_out, *refused))


def _lacking(*tasks: Searches) -> tuple[str, ...]:
    """Why agents cannot be compared, a sentence; nothing if they can."""
    if len(all_labels(tasks)) < 2:
        return ("A single agent ran: there is nothing to compare it with.",)
    if any(result.runs < 2 for searches in tasks for result in searches.values()):
        return (
            "Some agent ran once only: intervals, probabilities of improvement and ranks need "
            "several runs, and are left out.",
        )
    return ()


def _drawn(
    name: str, plots: dict[str, Plot], folder: Path, traced: Mapping[str, Searches] | None = None
) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
    """Draw and save; what the statistics refuse becomes a sentence.

    The lines of the plots ``traced``, those of searches, answer the pointer.
    """
    pictures, refused = [], []
    for kind, (caption, alt, draw) in plots.items():
        try:
            wide, narrow = draw(False), draw(True)
        except InvalidInput as error:
            refused.append(f"Left out: {caption.split(':')[0].lower()}: {error}.")
            continue
        _, svg = save_figure(wide, folder / f"{name}-{kind}")
        drawings = svg.read_text(encoding="utf-8"), svg_of(narrow)
        trace = None
        if traced and kind in traced:
            trace = _trace((wide, narrow), traced[kind])
        pictures.append(Picture(f"{name}-{kind}", *drawings, alt, caption, trace))
    return tuple(pictures), tuple(refused)


def _trace(drawn: tuple[Figure, ...], searches: Searches) -> dict[str, Any]:
    """What ``page.js`` needs to point at the lines of a figure, drawn in several widths."""
    told = [drawing.read_lines(figure, searches) for figure in drawn]
    unit = f"{kind_of_time(searches.values())} seconds"
    return {**told[0], "boxes": [each["box"] for each in told], "unit": unit}


def _estimated_columns(groups: Mapping[Group, Searches], names: Sequence[str]) -> list[str]:
    """Of the columns that agents weighed, and of those ``names`` that are known, the estimates."""
    found = dict[str, None]()
    for searches in groups.values():
        for result in searches.values():
            shown_too = [name for name in names if name in result.table.known_figures]
            columns = {name for name in (*result.weighed, *shown_too) if name != "accuracy"}
            bases = {name: result.figure(name).provenance for name in columns}
            found |= dict.fromkeys(name for name, basis in bases.items() if is_estimate(basis))
    return sorted(found)


def _answers(
    groups: Mapping[Group, Searches], names: Sequence[str]
) -> dict[Group, tuple[Table, ...]]:
    """Figures of the answers, a table for each group that knows one of them."""
    listed = checks.as_list(names)
    if listed is None:
        raise InvalidInput(f"figures of a report are a list of names, got {shown(names)}")
    found: dict[Group, tuple[Table, ...]] = {}
    known: dict[str, Quantity] = {}
    for group, searches in groups.items():
        table = next(iter(searches.values())).table
        here = dict(table.known_figures)
        if not all_judged(searches):  # observed, and known of nothing else
            here.pop("accuracy", None)
        known |= here
        if asked := [name for name in dict.fromkeys(listed) if name in here]:
            found[group] = (_figures_table(searches, asked, here),)
    for name in listed:
        check_figure(name, "figure", known)
    return found


def _figures_table(
    searches: Searches, names: Sequence[str], known: Mapping[str, Quantity]
) -> Table:
    rows, bases, partly = [], dict[str, str](), False
    for label, result in searches.items():
        cells = []
        for name in names:
            figure = result.figure(name)
            answers = result.recommended[result.recommended >= 0]
            values = figure.values[answers] if len(answers) else np.full(1, np.nan)
            known_of = values[~np.isnan(values)]
            spread = f" ± {known_of.std():,.2g}" if len(known_of) > 1 else ""
            few = 0 < len(known_of) < len(values)
            of = f" ({len(known_of)} of {len(values)})" if few else ""
            partly |= few
            cells.append(f"{known_of.mean():,.4g}{spread}{of}" if len(known_of) else "–")
            bases[name] = figure.provenance
        rows.append(Row(label, tuple(cells)))
    caption = "Figures of the answers, mean ± standard deviation over runs."
    if partly:
        caption += " In brackets: of how many answers a figure is known."
    if estimated := sorted(name for name, basis in bases.items() if is_estimate(basis)):
        caption += f" Estimates: {list_words(estimated)}."
    if elsewhere := sorted(f"{name} ({of})" for name, of in bases.items() if MADE_FOR in of):
        caption += f" Made for other networks: {list_words(elsewhere)}."
    head = (known[name].label for name in names)
    return Table(caption, ("agent", *head), (tuple(rows),))


def _by_evaluations(group: Group, searches: Searches) -> Iterator[Table]:
    """How good searches are after a few evaluations, where the table judges them.

    Regrets of those that so many evaluations end; hypervolumes of what some agent weighed.
    """
    if not all_judged(searches):
        return
    if group.evaluations is not None:
        caption = "Mean regret over runs, percentage points, after so many evaluations."
        curves = {label: regret_curve(result) for label, result in searches.items()}
        yield _counted_table(caption, "{:.3f}", curves, group.evaluations)
    for objectives in _weighed(searches):
        observing = _observing(searches)
        named = say_objectives([*observing.values()], objectives)
        caption = (
            f"Hypervolume by {named}, mean over runs, percent of the whole table’s, after so many "
            f"evaluations. {FRONTS}"
        )
        shares = {label: 100 * one.hypervolume(objectives) for label, one in observing.items()}
        least = min(int(one.evaluations.min()) for one in observing.values())
        yield _counted_table(caption, "{:.2f}", shares, group.evaluations or least)


def _counted_table(
    caption: str, form: str, curves: Mapping[str, NDArray[np.float64]], most: int
) -> Table:
    """Means of ``curves (runs, evaluation)`` after one evaluation, and more up to ``most``."""
    counts = sorted({*(count for count in COUNTS if count < most), most})
    rows = []
    for label, curve in curves.items():
        after = [curve[:, min(count, curve.shape[1]) - 1] for count in counts]
        rows.append(Row(label, tuple(_or_dash(form, float(np.mean(one))) for one in after)))
    head = ("agent", *(f"after {count:,}" for count in counts))
    return Table(caption, head, (tuple(rows),))


# ── numbers ──────────────────────────────────────────────────────────────────────────────────


def _common_goal(searches: Searches) -> float:
    """The regret that half of all runs come to at some time, percentage points."""
    least = [np.fmin.reduce(regret_curve(result), axis=1) for result in searches.values()]
    return float(np.nanmedian(np.concatenate(least)))


def _numbers(searches: Searches, goal: float) -> Table:
    start = common_start(searches.values())
    head = (
        "agent",
        "evaluations a run",
        "regret",
        f"any-time regret, {start:,.0f} s to the budget",
        f"runs that reach a regret of {goal:.3g} points",
        "median evaluations to reach it",
        "median seconds to reach it",
    )
    caption = (
        "Regret in percentage points, mean ± standard deviation over runs; any-time regret is its "
        f"mean over logarithmic time. Regret to be reached: {goal:.3g} points. "
        f"{OF_THIS_STUDY}"
    )
    rows = (
        Row(label, tuple(_agent_numbers(result, goal, start))) for label, result in searches.items()
    )
    return Table(caption, head, (tuple(rows),))


def _observed_numbers(searches: Searches) -> Table:
    """Of searches that no table judges."""
    head = (
        *("agent", "evaluations a run", "best observed", "evaluations an hour"),
        *("median seconds a run", "failures"),
    )
    what, unit = _observed_in_words(searches)
    caption = (
        f"Best observed {what} of a run{unit}, mean ± standard deviation over runs. Failures: "
        "evaluations, of all runs, that diverged, ran out of time or memory, or whose workers were "
        "lost. Answers from a cache cost a run’s clock nothing; an hour counts what they took when "
        "they were evaluated."
    )
    rows = []
    for label, result in searches.items():
        seconds = np.nanmax(result.clock, axis=1)
        # A cache shortens the clock, idle workers lengthen it.
        worked = np.nansum(result.seconds, axis=1) / result.arguments.workers
        hours = float(np.maximum(seconds, worked).sum()) / 3600
        cells = (
            f"{result.evaluations.mean():,.1f}",
            _mean_std(result),
            _or_dash("{:,.0f}", result.evaluations.sum() / hours if hours else np.nan),
            f"{np.median(seconds):,.0f}",
            result.provenance.get("failures", "–"),
        )
        rows.append(Row(label, cells))
    return Table(caption, head, (tuple(rows),))


def _mean_std(result: SearchResult) -> str:
    """Of the best that runs observed."""
    best = result.observed.figures(result.best_observed)
    form = ".6g" if result.observed.name else ".2f"
    return f"{best.mean():{form}}" + (f" ± {best.std():{form}}" if len(best) > 1 else "")


def _observed_in_words(searches: Searches) -> tuple[str, str]:
    """What was observed, and its unit, as a caption says them."""
    titles = dict.fromkeys(one.observed.title for one in searches.values())
    scores = any(one.observed.name for one in searches.values())
    return " or ".join(titles), "" if scores else ", in percent"


def _agent_numbers(result: SearchResult, goal: float, start: float) -> Iterator[str]:
    regret = result.regret()
    yield f"{result.evaluations.mean():,.1f}"
    yield _mean_regret(result) + (
        f" ± {np.nanstd(regret):.3f}" if np.isfinite(regret).any() else ""
    )
    if start < result.seconds_given:
        yield _or_dash("{:.3f}", float(np.mean(anytime_regret(result, start))))
    else:
        yield "–"
    spent = sample_efficiency(regret_curve(result), result.clock, goal)
    yield f"{spent.share:.0%}"
    yield _or_dash("{:,.0f}", float(np.median(spent.evaluations)))
    yield _or_dash("{:,.0f}", float(np.median(spent.seconds)))


def _mean_regret(result: SearchResult) -> str:
    """Over the runs whose answer the table can judge."""
    regret = result.regret()
    judged = regret[~np.isnan(regret)]
    return f"{judged.mean():.3f}" if len(judged) else "–"


def _or_dash(form: str, value: float) -> str:
    """A figure, or a dash for none."""
    return form.format(value) if np.isfinite(value) else "–"
