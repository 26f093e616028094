"""What a reader of a search wants to know, as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich import box
from rich.table import Table as Grid
from rich.text import Text

from nats_gym import checks
from nats_gym.errors import printable
from nats_gym.results.arguments import bound_in_words
from nats_gym.results.pareto import find_objectives
from nats_gym.results.result import SearchResult, kind_of_time, say_objectives
from nats_gym.tables.column import NO_TEST

#: Row title and key of ``SearchResult.summary()``, and the provenance that goes with it.
_ROWS = (
    ("evaluations a run", "evaluations", ""),
    ("best observed valid [%]", "observed_valid_accuracy", "search_accuracy"),
    ("best observed", "observed_score", "search_accuracy"),
    ("full-schedule valid [%]", "full_schedule_valid_accuracy", "full_schedule_valid_accuracy"),
    ("full-schedule test [%]", "full_schedule_test_accuracy", "full_schedule_test_accuracy"),
    ("regret to best known, points", "regret", "full_schedule_valid_accuracy"),
)
#: Rows of a front that are shown.
LONGEST_FRONT = 20


class _OfText(Grid):
    """What is in it is text, whatever it says: neither escape sequences nor Rich's markup."""

    def add_column(self, header: Any = "", *more: Any, **options: Any) -> None:
        """See ``rich.table.Table.add_column``."""
        super().add_column(_told(header), *more, **options)

    def add_row(self, *cells: Any, **options: Any) -> None:
        """See ``rich.table.Table.add_row``."""
        super().add_row(*map(_told, cells), **options)

    def __rich_console__(self, console: Any, options: Any) -> Any:
        """See Rich's console protocol."""
        return super().__rich_console__(console, options.update(markup=False))

    def __rich_measure__(self, console: Any, options: Any) -> Any:
        """See Rich's console protocol."""
        return super().__rich_measure__(console, options.update(markup=False))


def _told(text: Any) -> Any:
    return printable(text) if isinstance(text, str) else text


def grid(title: str, *columns: str) -> Grid:
    """An empty table in the one style of this package."""
    title = _told(checks.text(title, "a title", 10_000))
    table = _OfText(title=Text(title, "bold"), box=box.SIMPLE_HEAD, title_justify="left")
    table.min_width = min(len(title), 100)  # a title wraps at the table's width
    for position, column in enumerate(columns):
        first = position == 0
        table.add_column(
            column, overflow="fold", no_wrap=first, justify="left" if first else "right"
        )
    return table


def summary_grid(results: Mapping[str, SearchResult]) -> Grid:
    """Searches of one space, data set and schedule side by side: mean ± std over their runs.

    Test accuracy appears where the table has one apart from validation. Hypervolumes have a row
    for each set of objectives, for they do not compare otherwise.

    Args:
        results: by the agents' names.
    """
    results = checks.mapping(results, "results are searches by their agents' names")
    checks.instances(list(results.values()), SearchResult, "the results to show")
    first = next(iter(results.values()))
    ran = first.arguments
    title = f"{first.table.space.title} space, {ran.dataset}: "
    if all(result.answers_last for result in results.values()):
        title += f"supernet of {ran.supernet_epochs} epochs, judged at {ran.epochs}"
        title += f", within {bound_in_words(ran.budget, ran.evaluations, 'real seconds')}"
    else:
        seconds = f"{kind_of_time(results.values())} seconds"
        bound = bound_in_words(ran.budget, ran.evaluations, seconds)
        title += f"search on {ran.epochs} epochs within {bound}"
        title += f", by {ran.answered_by}" if ran.evaluator is not None else ""
    agents = [f"{label} × {result.runs}" for label, result in results.items()]
    table = grid(title, "mean ± std over runs", *agents, "rests on")
    summaries = [result.summary() for result in results.values()]
    for row, key, basis in _ROWS:
        if not any(key in summary for summary in summaries):
            continue
        told = dict.fromkeys(result.provenance.get(basis, "") for result in results.values())
        if key == "observed_score":
            names = dict.fromkeys(filter(None, (one.observed.name for one in results.values())))
            row = f"{row} {' / '.join(names)}"
        if key == "observed_valid_accuracy" and all(r.answers_last for r in results.values()):
            continue  # they observe nothing: it is the answer's, which the next row has
        if key == "full_schedule_test_accuracy" and list(told) == [NO_TEST]:
            table.add_row(row, *["—"] * len(summaries), NO_TEST)
        else:
            form = ".5g" if key == "observed_score" else ".2f"
            cells = [_mean_std(one[key], form) if key in one else "—" for one in summaries]
            table.add_row(row, *cells, " / ".join(filter(None, told)))
    shares = [one.get("hypervolume") for one in summaries]
    weighed = [
        one.weighed if share else () for one, share in zip(results.values(), shares, strict=True)
    ]
    for objectives in dict.fromkeys(filter(None, weighed)):
        alike = [one if of == objectives else None for one, of in zip(shares, weighed, strict=True)]
        cells = [_mean_std(one, ".2f") if one else "—" for one in alike]
        of = [one for one in results.values() if one.weighed == objectives]
        row = f"hypervolume, % of the table's\nby {', '.join(objectives)}"
        table.add_row(row, *cells, say_objectives(of, objectives))
    known = [_known_beforehand(result) for result in results.values()]
    if any(known):
        table.add_row("known beforehand", *(one or "—" for one in known), "")
    return table


def _known_beforehand(result: SearchResult) -> str:
    """What an agent's prior is of, and what it was trained to search."""
    told = (result.provenance.get(key, "") for key in ("prior", "learned_on"))
    each = "; ".join(filter(None, told)).split("; ")
    return ", ".join(dict.fromkeys(one.partition(": ")[0] for one in each))


def front_grid(result: SearchResult) -> Grid:
    """The front of the first run, by what was observed; see :meth:`SearchResult.front`.

    Raises:
        InvalidInput: of a search that has none.
    """
    front = checks.instance(result, SearchResult, "the result to show").front()[0]
    names = find_objectives(result.table, result.weighed or None).names
    title = f"front of the first run: {len(front):,} architectures"
    if len(front) > LONGEST_FRONT:
        title += f", {LONGEST_FRONT} of them evenly spaced"
        front = front[np.linspace(0, len(front) - 1, LONGEST_FRONT).round().astype(int)]
    index = result.index[0, front]
    figures = {name: result.figure(name) for name in names if name != "accuracy"}
    heads = [
        figures[name].quantity.label
        if name in figures
        else result.observed.name or "accuracy observed [%]"
        for name in names
    ]
    rows = grid(title, "index", *heads)
    for place, arch in zip(front, index.tolist(), strict=True):
        cells = [
            f"{figures[name].values[arch]:.6g}"
            if name in figures
            else result.observed.cell(result.accuracy[0, place])
            for name in names
        ]
        rows.add_row(str(arch), *cells)
    return rows


def _mean_std(figures: dict[str, Any], form: str) -> str:
    return f"{figures['mean']:{form}} ± {figures['std']:{form}}"
