"""The headline table of a study, in the layout of the NATS-Bench paper (arXiv 2009.00437).

A row per agent; for each data set the full-schedule validation and test accuracy of each run's
answer, percent, mean ± standard deviation over runs. Test accuracy appears where the table has one
apart from validation, and is headed as an estimate where it is one. Where an evaluator answered
there is no table: the best accuracy or score that each run observed stands there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nats_gym.agents import AGENTS, GUIDE_OPTIONS, get_agent, results_for_model
from nats_gym.datasets import title_of
from nats_gym.evaluators.observed import Observed
from nats_gym.results.result import SearchResult, kind_of_time
from nats_gym.study.comparison import capitalised
from nats_gym.tables.column import MEASURED, NO_TEST

if TYPE_CHECKING:
    from nats_gym.study.results import Group, StudyResults

OBSERVED = "observed"
SPLIT_TITLES = {"valid": "validation", "test": "test", OBSERVED: "observed validation"}
#: An agent whose difference from the best has a larger p is not called worse.
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Entry:
    """One agent's figure in one column.

    Attributes:
        mean: percent, over the runs that the table can judge; NaN without any.
        std: standard deviation over the same runs, percent.
        judged: how many they are.
        runs: how many ran; more than judged where a partial table lacks an answer.
        best: whether no mean of the column is higher.
        close: whether it is not the best, but not significantly worse either.
    """

    mean: float
    std: float
    judged: int
    runs: int
    best: bool = False
    close: bool = False


@dataclass(frozen=True)
class Column:
    """One split of one group of cells.

    Attributes:
        group: space, data set, search schedule and budget.
        heading: the data set, and what tells the group from others on it.
        split: ``"valid"``, ``"test"``, or :data:`OBSERVED` where no table judges.
        provenance: what the accuracies rest on, ``"measured"``, ``"surrogate"``, or what an
            evaluator says.
        entries: by the agent's label.
        best_known: highest mean accuracy in the table, percent; that any run observed if none is.
        score: of what was observed and is no accuracy, its name.
    """

    group: Group
    heading: str
    split: str
    provenance: str
    entries: dict[str, Entry]
    best_known: float
    score: str = ""

    @property
    def form(self) -> str:
        """How its numbers are written."""
        return ".5g" if self.score else ".2f"

    @property
    def title(self) -> str:
        """The split, and a warning where it is estimated."""
        estimated = "" if self.provenance == MEASURED else f" ({self.provenance})"
        return (f"observed {self.score}" if self.score else SPLIT_TITLES[self.split]) + estimated


@dataclass(frozen=True)
class HeadlineTable:
    """The table of one space.

    Attributes:
        space: a space's name, such as ``"tss"``.
        title: of the space.
        labels: the agents, in the study's order.
        columns: in the study's order, test after validation.
        notes: what a reader must know, a sentence each.
    """

    space: str
    title: str
    labels: tuple[str, ...]
    columns: tuple[Column, ...]
    notes: tuple[str, ...]

    def headings(self) -> list[tuple[str, int]]:
        """Headings over the columns, and how many each spans."""
        spans: dict[str, int] = {}
        for column in self.columns:
            spans[column.heading] = spans.get(column.heading, 0) + 1
        return list(spans.items())


def headline_tables(study: StudyResults) -> list[HeadlineTable]:
    """Return the headline table of each space of a study.

    Within a column the best mean and those that are not significantly worse are marked: one-sided
    Mann–Whitney tests of the best being better, p > 0.05 after Holm's correction for their number.
    """
    groups = study.groups()
    by_space: dict[str, list[Group]] = {}
    for group in groups:
        by_space.setdefault(group.space, []).append(group)
    return [
        _headline_table(space, {group: groups[group] for group in members})
        for space, members in by_space.items()
    ]


def _headline_table(space: str, groups: dict[Group, dict[str, SearchResult]]) -> HeadlineTable:
    columns = [
        column
        for group, results in groups.items()
        for split in ("valid", "test", OBSERVED)
        if (column := _column(group, group_heading(group, groups), split, results)) is not None
    ]
    labels = tuple(dict.fromkeys(label for results in groups.values() for label in results))
    first = next(iter(next(iter(groups.values())).values()))
    return HeadlineTable(
        space=space,
        title=f"{first.table.space.title} space",
        labels=labels,
        columns=tuple(columns),
        notes=tuple(_notes(groups, columns)),
    )


def group_heading(group: Group, others: Collection[Group]) -> str:
    """The data set's title, and what tells the group from ``others`` on it.

    That is schedule and budget, and who answers.
    """
    title = dataset_heading(group, others)
    alike = {other[:-1] for other in others if other[:2] == group[:2]}
    return f"{title}, {group.epochs} epochs, {group.bound}" if len(alike) > 1 else title


def dataset_heading(group: Group, others: Collection[Group]) -> str:
    """The data set's title, and who answers if that is not the same in all ``others`` on it."""
    by = {other.answered_by for other in others if other[:2] == group[:2]}
    title = title_of(group.dataset)
    return f"{title} by {group.answered_by}" if len(by) > 1 else title


def _column(
    group: Group, heading: str, split: str, results: dict[str, SearchResult]
) -> Column | None:
    """One column; None if it is of test accuracies that the table does not have.

    Of what was observed where no table judges, and only there.
    """
    table = next(iter(results.values())).table
    basis = next(iter(results.values())).provenance
    if all_judged(results) == (split == OBSERVED):
        return None
    if split == OBSERVED:
        score = Observed.common(result.observed for result in results.values())
        observed = {label: score.figures(one.best_observed) for label, one in results.items()}
        best = max(float(np.max(values)) for values in observed.values())
        bases = sorted({result.provenance["search_accuracy"] for result in results.values()})
        told = entries(observed)
        return Column(group, heading, split, " / ".join(bases), told, best, score.name)
    if split == "test" and basis.get("full_schedule_test_accuracy", NO_TEST) == NO_TEST:
        return None
    scores = {label: result.full_schedule_accuracy(split) for label, result in results.items()}
    return Column(
        group=group,
        heading=heading,
        split=split,
        provenance=basis[f"full_schedule_{split}_accuracy"],
        entries=entries(scores),
        best_known=table.best(split)[1],
    )


def all_judged(results: Mapping[str, SearchResult]) -> bool:
    """Whether tables judge the answers of searches."""
    return all(result.is_judged for result in results.values())


def entries(scores: dict[str, NDArray[np.float64]]) -> dict[str, Entry]:
    """Return mean, deviation and marks of every agent's scores, ``(runs,)`` each, NaN unjudged."""
    judged = {label: values[~np.isnan(values)] for label, values in scores.items()}
    means = {label: float(np.mean(values)) for label, values in judged.items() if len(values)}
    if not means:
        return {label: Entry(np.nan, np.nan, 0, len(values)) for label, values in scores.items()}
    top = max(means.values())
    best = [label for label, mean in means.items() if mean == top]
    rivals = {label: values for label, values in judged.items() if label in means.keys() - best}
    close = _not_worse(judged[best[0]], rivals)
    return {
        label: Entry(
            mean=means.get(label, np.nan),
            std=float(np.std(values)) if len(values) else np.nan,
            judged=len(values),
            runs=len(scores[label]),
            best=label in best,
            close=label in close,
        )
        for label, values in judged.items()
    }


def _not_worse(best: NDArray[np.float64], rivals: dict[str, NDArray[np.float64]]) -> frozenset[str]:
    """The rivals not significantly worse than the best; none if a sample is one run."""
    from scipy.stats import mannwhitneyu

    # From a single run nothing can be told apart, and no mark is better than one on everything.
    compared = {
        label: values for label, values in rivals.items() if min(len(best), len(values)) > 1
    }
    p_values = {
        label: float(mannwhitneyu(best, values, alternative="greater").pvalue)
        for label, values in compared.items()
    }
    ascending = sorted(p_values, key=p_values.__getitem__)
    for rank, label in enumerate(ascending):
        if p_values[label] * (len(ascending) - rank) > SIGNIFICANCE:  # Holm: the rest passes too
            return frozenset(ascending[rank:])
    return frozenset()


def _notes(groups: dict[Group, dict[str, SearchResult]], columns: list[Column]) -> list[str]:
    runs = sorted({result.runs for results in groups.values() for result in results.values()})
    counted = f"{runs[0]:,}" if len(runs) == 1 else f"{runs[0]:,} to {runs[-1]:,}"
    over = "of one run" if runs == [1] else f"mean ± standard deviation over {counted} runs"
    searched_on = []
    told: dict[str, list[str]] = {}
    for group, results in groups.items():
        title = dataset_heading(group, groups)
        one_schedule = any(not result.arguments.rungs for result in results.values())
        schedule = f"{group.epochs} epochs, " if one_schedule else ""
        searched_on.append(f"{title} {schedule}{group.bound}")
        for sentence in (*unlike_the_rest(results), *_search_basis(results)):
            told.setdefault(sentence, []).append(group_heading(group, groups))
    kind = kind_of_time(result for results in groups.values() for result in results.values())
    timed = any(math.isfinite(group.budget) for group in groups)
    of_seconds = f" of {kind} seconds" if timed else ""
    splits = {column.split for column in columns if not column.score}
    what = {
        "full-schedule accuracy of the answer of each run": bool(splits - {OBSERVED}),
        "best validation accuracy that each run observed, which no table judges": OBSERVED
        in splits,
    }
    shown = "; ".join(text for text, is_shown in what.items() if is_shown)
    scores = dict.fromkeys(column.score for column in columns if column.score)
    observed = (f"best {score} that each run observed" for score in scores)
    shown = "; ".join((*([f"{shown}, percent"] if shown else []), *observed))
    notes = [
        f"{capitalised(shown)}; {over}.",
        f"Search schedule and budget{of_seconds}: {'; '.join(searched_on)}.",
        *(
            sentence if len(headings) == len(groups) else f"{list_words(headings)}: {sentence}"
            for sentence, headings in told.items()
        ),
    ]
    if any(entry.close for c in columns for entry in c.entries.values()):
        notes.append(
            "† not significantly worse than the best of its column "
            f"(one-sided Mann–Whitney, Holm's correction, p > {SIGNIFICANCE})."
        )
    if "valid" in splits and "test" not in splits:
        notes.append("These tables hold no test accuracy apart from validation's.")
    if any(entry.judged < entry.runs for c in columns for entry in c.entries.values()):
        notes.append("‡ over the runs alone whose answer the table holds a full training of.")
    return notes


def unlike_the_rest(results: Mapping[str, SearchResult]) -> Iterator[str]:
    """What must be known to compare agents of one group, a sentence each.

    Those that choose among schedules, those whose model hardly ever came about, and those that
    evaluate several architectures at a time.
    """
    climbing: dict[tuple[str, str | None], list[str]] = {}
    for label, result in results.items():
        rungs = result.arguments.rungs
        if rungs:
            only = result.is_judged and set(rungs) == set(result.table.epochs("valid"))
            on = f"{_schedules(rungs)} epochs" + (", the table's only schedules" if only else "")
            climbing.setdefault((on, result.arguments.continuing), []).append(label)
    for (on, continuing), labels in climbing.items():
        price = "the difference" if continuing == "difference" else "in full again"
        yield (
            f"{list_words(labels)} searched on rungs of {on}; trainings that went on were charged "
            f"{price}."
        )
    for label, result in results.items():
        with_model = _share_with_model(result)
        if with_model < 0.5:
            yield (
                f"{label}: {result.evaluations.mean():.0f} evaluations a run, in "
                f"{1 - with_model:.0%} of the runs too few for a model: these are successive "
                "halving on random draws."
            )
        if result.answers_last:
            epochs, passed = result.arguments.supernet_epochs, result.evaluations.mean()
            yield (
                f"{label}: a supernet of {epochs} epochs, of which the budget of real seconds let "
                f"{passed:.3g} pass; a run's answer is its last."
            )
        if "prior" in result.provenance:
            tables = result.provenance["prior"].split("; ")
            known = [title_of(table.partition(": ")[0]) for table in tables]
            yield (
                f"{label} has prior knowledge: what every architecture reaches on "
                f"{list_words(known)}."
            )
        if "learned_on" in result.provenance:
            tasks = result.provenance["learned_on"].split("; ")
            yield f"{label} has prior knowledge: it was trained to search {list_words(tasks)}."
        if "score" in result.provenance:
            options = result.arguments.options
            told = [f"{name}={options[name]}" for name in GUIDE_OPTIONS if name in options]
            yield f"{label} is guided by a figure that is known beforehand: {', '.join(told)}."
        workers = result.arguments.workers
        if workers > 1:
            yield (
                f"{label}: {workers} {kind_of_time([result])} workers beside each other, whose "
                f"clock is one, so that the same seconds hold up to {workers} times the training "
                "of the others."
            )


def _share_with_model(result: SearchResult) -> float:
    """Share of runs in which an agent that fits a model had the results to do so; 1 for others."""
    agent = result.arguments.agent
    if agent not in AGENTS:
        return 1.0
    least = results_for_model(get_agent(agent), result.table.space)
    rungs = range(int(result.rung.max()) + 1)
    most = np.max([(result.rung == rung).sum(axis=1) for rung in rungs], axis=0)
    return float((most >= least).mean())


def _search_basis(results: Mapping[str, SearchResult]) -> Iterator[str]:
    """Whether the accuracies that guided the searches of one group are estimates, a sentence."""
    if scores := dict.fromkeys(one.observed.name for one in results.values() if one.observed.name):
        yield f"What the searches saw are scores, {list_words([*scores])}, and no accuracies."
        return
    bases = {s: basis for result in results.values() for s, basis in search_bases(result).items()}
    measured = [schedule for schedule, basis in bases.items() if basis == MEASURED]
    estimated = [schedule for schedule in bases if schedule not in measured]
    if estimated and measured:
        yield (
            f"Of the accuracies seen during search those at {_schedules(estimated)} epochs are a "
            f"surrogate's estimates, those at {_schedules(measured)} measured."
        )
    elif estimated:
        yield "The accuracies seen during search are a surrogate's estimates."


def search_bases(result: SearchResult) -> dict[str, str]:
    """What the accuracies seen during a search rest on, by the schedule trained."""
    if not result.is_judged:
        return {str(e): result.provenance["search_accuracy"] for e in result.arguments.ladder}
    return {
        str(epochs): result.table.accuracy_column("valid", epochs).provenance
        for epochs in result.arguments.ladder
    }


def _schedules(epochs: Sequence[object]) -> str:
    return list_words([str(schedule).replace("/", " of ") for schedule in epochs])


def list_words(words: Sequence[str]) -> str:
    """Return ``"a, b and c"``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


# ── as text ──────────────────────────────────────────────────────────────────────────────────


def entry_text(entry: Entry | None, form: str = ".2f") -> str:
    """Return ``"93.86 ± 0.23"`` and its marks; a dash for what did not run or is not judged.

    Args:
        entry: what to say.
        form: of the numbers, see :attr:`Column.form`.
    """
    if entry is None or not entry.judged:
        return "–"
    spread = f" ± {entry.std:{form}}" if entry.judged > 1 else ""
    close = " †" if entry.close else ""
    partial = " ‡" if entry.judged < entry.runs else ""
    return f"{entry.mean:{form}}{spread}{close}{partial}"


def markdown(tables: Sequence[HeadlineTable]) -> str:
    """Return the tables as GitHub's Markdown, a section each."""
    return "\n".join(_markdown_section(table) for table in tables)


def _markdown_section(table: HeadlineTable) -> str:
    titles = (f"{column.heading}, {column.title}" for column in table.columns)
    lines = [
        _markdown_row("", *map(_markdown_escaped, titles)),
        _markdown_row(":--", *["--:"] * len(table.columns)),
    ]
    for label in table.labels:
        cells = []
        for column in table.columns:
            entry = column.entries.get(label)
            text = entry_text(entry, column.form)
            cells.append(f"**{text}**" if entry is not None and entry.best else text)
        lines.append(_markdown_row(_markdown_escaped(label), *cells))
    best = (f"{column.best_known:{column.form}}" for column in table.columns)
    lines.append(_markdown_row("*best known*", *best))
    notes = [_markdown_escaped(note) for note in table.notes]
    return "\n".join([f"## {capitalised(table.title)}", "", *lines, "", " ".join(notes), ""])


def _markdown_row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_escaped(text: str) -> str:
    return re.sub(r"([\\`*_<|\[\]])", r"\\\1", " ".join(text.split()))


def latex(tables: Sequence[HeadlineTable]) -> str:
    """Return the tables as LaTeX that needs no package, a ``table`` environment each."""
    return "\n".join(_latex_table(table) for table in tables)


def _latex_table(table: HeadlineTable) -> str:
    spans = [
        rf"\multicolumn{{{span}}}{{c}}{{{_latex_escaped(heading)}}}"
        for heading, span in table.headings()
    ]
    rows = [
        _latex_row("", *spans),
        _latex_row("Agent", *(_latex_escaped(column.title) for column in table.columns))
        + r" \hline",
    ]
    for label in table.labels:
        cells = []
        for column in table.columns:
            entry = column.entries.get(label)
            text = _latex_escaped(entry_text(entry, column.form))
            cells.append(rf"\textbf{{{text}}}" if entry is not None and entry.best else text)
        rows.append(_latex_row(_latex_escaped(label), *cells))
    rows[-1] += r" \hline"
    rows.append(
        _latex_row(
            "Best known", *(f"{column.best_known:{column.form}}" for column in table.columns)
        )
    )
    caption = _latex_escaped(f"{capitalised(table.title)}. {' '.join(table.notes)}")
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\label{{tab:nats-gym-{table.space}}}",
            r"\par\medskip\footnotesize\setlength{\tabcolsep}{4pt}",
            rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
            r"\hline",
            *rows,
            r"\hline",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _latex_row(*cells: str) -> str:
    return rf"{' & '.join(cells)} \\"


#: What is special to LaTeX, and our own signs, which an 8-bit font lacks.
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "±": r"$\pm$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "–": "--",
}


def _latex_escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
