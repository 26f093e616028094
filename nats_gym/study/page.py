"""The HTML page of a study: one file that needs nothing else, on a desk, a phone or paper.

What stands where is ``page.html``'s, a Jinja2 template that escapes whatever it is given; here
are the values.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined

import nats_gym
from nats_gym.datasets import title_of
from nats_gym.errors import shown
from nats_gym.results.arguments import bound_in_words
from nats_gym.results.result import SearchResult, kind_of_time
from nats_gym.study import published
from nats_gym.study.comparison import capitalised
from nats_gym.study.running import SPEC_FILE
from nats_gym.study.tables import (
    OBSERVED,
    SPLIT_TITLES,
    HeadlineTable,
    dataset_heading,
    entry_text,
    list_words,
    search_bases,
    unlike_the_rest,
)
from nats_gym.tables.column import MEASURED

if TYPE_CHECKING:
    from nats_gym.study.results import Group, StudyResults

PAPER = "https://arxiv.org/abs/2009.00437"
TEMPLATE, STYLE, SCRIPT = (
    files("nats_gym.study").joinpath(f"page.{kind}").read_text("utf-8")
    for kind in ("html", "css", "js")
)
#: What the page may load and run: nothing but what it holds, and no script but its own.
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-"
    f"{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}'"
)
#: Letters of a note that is shown whole; of a longer one the first sentence is.
WHOLE_NOTE = 160


@dataclass(frozen=True)
class Row:
    """A row of a table: its title, its cells, the places of the best, whether it is a reference."""

    title: str
    cells: tuple[str, ...]
    best: frozenset[int] = frozenset()
    reference: bool = False


@dataclass(frozen=True)
class Table:
    """A table on the page.

    Attributes:
        caption: what it shows.
        head: a heading per column.
        bodies: groups of rows.
        over: headings over several columns, and how many each spans.
        kind: its style: ``"words"`` for text, else figures.
    """

    caption: str
    head: tuple[str, ...]
    bodies: tuple[tuple[Row, ...], ...]
    over: tuple[tuple[str, int], ...] = ()
    kind: str = ""


@dataclass(frozen=True)
class Picture:
    """A plot on the page.

    Attributes:
        name: stem of its files.
        wide: the drawing, SVG as matplotlib writes it.
        narrow: the same for a phone.
        alt: what it shows, for those who cannot see it.
        caption: how it is read.
        trace: what its lines answer a pointer, plain values for ``page.js``; None if nothing.
    """

    name: str
    wide: str
    narrow: str
    alt: str
    caption: str
    trace: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Section:
    """What is shown of one group of cells, or of all.

    Attributes:
        pictures: the plots.
        left_out: what could not be shown and why, a sentence each.
        table: the numbers, beside the first plot.
        more: further tables.
    """

    pictures: tuple[Picture, ...]
    left_out: tuple[str, ...] = ()
    table: Table | None = None
    more: tuple[Table, ...] = ()


def page(
    study: StudyResults,
    headlines: Sequence[HeadlineTable],
    overall: Section,
    sections: Mapping[Group, tuple[str, Section]],
    estimated: Sequence[str] = (),
) -> str:
    """Return the page.

    Args:
        study: what ran.
        headlines: its headline tables.
        overall: what is shown of all groups together.
        sections: the title and content of each group's section.
        estimated: names of the columns in them that are estimates.
    """
    groups = study.groups()
    published_tables = (_published(study, headline) for headline in headlines)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE).render(
        policy=POLICY,
        style=STYLE,
        script=SCRIPT,
        opening=opening,
        inlined=_inline,
        address=_address,
        version=nats_gym.__version__,
        paper=PAPER,
        citation=published.CITATION,
        name=study.name,
        lead=_lead(study),
        estimated=list_words(_estimated([cell.result for cell in study.cells], estimated)),
        contents=_contents([title for title, _ in sections.values()], study),
        headlines=[_headline(headline) for headline in headlines],
        published=[table for table in published_tables if table is not None],
        overall=overall,
        groups=[
            (title, _ran(group, groups[group]), list(unlike_the_rest(groups[group])), section)
            for group, (title, section) in sections.items()
        ],
        basis=_basis(groups),
        skipped=_skipped(study),
        judged=all(cell.result.is_judged for cell in study.cells),
        clock=kind_of_time(cell.result for cell in study.cells),
        commands=_commands(study.folder),
        replayed=list(_replay(study)),
        made_with=_made_with(study),
    )


def opening(text: str) -> tuple[str, str]:
    """Return the first sentence of a long note, and the rest of it; all of a short one."""
    text = text.strip()
    parts = re.fullmatch(r"(.+?\.) +(.+)", text, re.DOTALL)
    return (parts[1], parts[2]) if parts and len(text) > WHOLE_NOTE else (text, "")


# ── what ran ─────────────────────────────────────────────────────────────────────────────────


def _lead(study: StudyResults) -> str:
    results = [cell.result for cell in study.cells]
    labels = list(dict.fromkeys(cell.label for cell in study.cells))
    datasets: dict[str, dict[str, None]] = {}
    for result in results:
        title = title_of(result.table.dataset)
        datasets.setdefault(result.table.space.title, {})[title] = None
    places = [f"the {space} space on {list_words(list(on))}" for space, on in datasets.items()]
    runs = sorted({result.runs for result in results})
    counted = f"{runs[0]:,}" if len(runs) == 1 else f"{runs[0]:,} to {runs[-1]:,}"
    evaluations = sum(int(result.evaluations.sum()) for result in results)
    return (
        f"{_count(len(labels), 'agent')} ({', '.join(labels)}) searched {', and '.join(places)}: "
        f"{_count(len(study.cells), 'search', 'searches')} of {counted} independent "
        f"{'run' if runs == [1] else 'runs'} each, {evaluations:,} evaluations in all."
    )


def _estimated(results: Sequence[SearchResult], columns: Sequence[str]) -> list[str]:
    """What the page shows a surrogate's estimates of, ``columns`` among it."""
    estimated = {
        name
        for result in results
        for name, basis in result.provenance.items()
        if basis == "surrogate"
    }
    words = {
        "search_accuracy": "accuracies seen during search",
        "seconds": "seconds charged",
        "full_schedule_valid_accuracy": "full-schedule validation accuracies",
        "full_schedule_test_accuracy": "full-schedule test accuracies",
    }
    return [*(title for name, title in words.items() if name in estimated), *columns]


def _contents(titles: Sequence[str], study: StudyResults) -> list[tuple[str, str]]:
    return [
        ("headline", "Headline"),
        ("published", "Published figures"),
        ("overall", "Over all searches"),
        *((f"group-{number}", title) for number, title in enumerate(titles, start=1)),
        ("basis", "What the figures rest on"),
        *([("skipped", "What did not run")] if study.skipped else []),
        ("replay", "Replay"),
    ]


def _ran(group: Group, results: Mapping[str, SearchResult]) -> str:
    first = next(iter(results.values()))
    space = first.table.space
    schedule = ""
    for result in results.values():
        if not result.arguments.rungs:
            basis = search_bases(result)[str(group.epochs)]
            seen = result.observed.name or f"{basis} accuracies"
            schedule = f" on the schedule of {epochs_title(group.epochs)} ({seen})"
    seconds = list_words(sorted({result.provenance["seconds"] for result in results.values()}))
    bound = bound_in_words(
        group.budget, group.evaluations, f"{kind_of_time(results.values())} seconds"
    )
    if not first.is_judged:
        by = list_words(sorted({result.provenance["evaluator"] for result in results.values()}))
        return (
            f"Searched{schedule} within {bound} ({seconds}), the evaluator {by} answering. No "
            "table judges the answers: shown is what was observed."
        )
    text = (
        f"Searched{schedule} within {bound} ({seconds}); judged after "
        f"{first.table.full_epochs} epochs "
        f"({first.provenance['full_schedule_valid_accuracy']}). The best validation accuracy that "
        f"the table knows is {first.table.best('valid')[1]:.2f} %."
    )
    trained = group.epochs if isinstance(group.epochs, int) else None
    _, published = space.budget_on(first.table.dataset) or (0.0, trained)
    lacking = published not in first.table.epochs("valid")
    if lacking and trained == space.full_epochs:
        text += (
            f" The paper searches on {published} epochs; this table holds the {trained}-epoch "
            f"figures, so that an evaluation costs {trained}/{published} of the paper’s, and the "
            f"budget that admits as many of them is the paper’s × {trained}/{published}."
        )
    return text


# ── tables ───────────────────────────────────────────────────────────────────────────────────


def _headline(headline: HeadlineTable) -> tuple[Table, str, str]:
    """The table, how it is read, and its other notes."""
    agents = []
    for label in headline.labels:
        entries = [column.entries.get(label) for column in headline.columns]
        texts = (entry_text(e, c.form) for e, c in zip(entries, headline.columns, strict=True))
        best = (place for place, entry in enumerate(entries) if entry is not None and entry.best)
        agents.append(Row(label, tuple(texts), frozenset(best)))
    known = tuple(f"{column.best_known:{column.form}}" for column in headline.columns)
    marks = [note for note in headline.notes if note.startswith(("†", "‡"))]
    rest = [note for note in headline.notes if note not in marks]
    of_observed = any(column.split == OBSERVED for column in headline.columns)
    how = "Best mean of a column in bold; the last row is the best that the table holds" + (
        ", or where there is none, that any run observed." if of_observed else "."
    )
    shown = dict.fromkeys(column.score or "accuracy, %" for column in headline.columns)
    table = Table(
        f"{capitalised(headline.title)}: {'; '.join(shown) or 'accuracy, %'}",
        ("agent", *(column.title for column in headline.columns)),
        (tuple(agents), (Row("best known", known, reference=True),)),
        tuple(headline.headings()),
    )
    return table, " ".join((how, *marks)), " ".join(rest)


def _published(study: StudyResults, headline: HeadlineTable) -> Table | None:
    """The paper's figures of one space, ours below; None if the paper has none."""
    agents = {
        cell.label: cell.result.arguments.agent
        for cell in study.cells
        if cell.result.arguments.space == headline.space
    }
    # Of several searches on one data set the first.
    ours = {(c.group.dataset, c.split): c for c in reversed(headline.columns)}
    methods = published.METHODS.get(headline.space, ())
    reported = published.published_keys(headline.space)
    datasets = dict.fromkeys(c.group.dataset for c in headline.columns if c.split != OBSERVED)
    keys = [
        (name, split) for name in datasets for split in SPLIT_TITLES if (name, split) in reported
    ]
    if not keys:
        return None
    columns = [ours.get(key) for key in keys]
    estimated = any(column and column.provenance != MEASURED for column in columns)
    whose = "this study, surrogate" if estimated else "this study"
    bodies = []
    for method in methods:
        figures = tuple(method.figures.get(key, "–") for key in keys)
        rows = [Row(f"{method.title} (published)", figures, reference=True)]
        for label in (label for label, agent in agents.items() if agent == method.agent):
            entries = [column.entries.get(label) if column else None for column in columns]
            if any(entries):
                rows.append(Row(f"{label} ({whose})", tuple(map(entry_text, entries))))
        bodies.append(tuple(rows))
    names = [name for name, _ in keys]
    return Table(
        f"{headline.title}: published accuracy, %{_from(headline.space)}",
        ("method", *(SPLIT_TITLES[split] for _, split in keys)),
        tuple(bodies),
        tuple((title_of(name), names.count(name)) for name in dict.fromkeys(names)),
    )


def _from(space: str) -> str:
    """Which paper, where it is not the one that the section names."""
    source = published.SOURCES.get(space)
    return f" ({source})" if source else ""


def _basis(groups: Mapping[Group, Mapping[str, SearchResult]]) -> list[Table]:
    """What searches rest on, a row for those alike, and the tables that they read."""
    searches: dict[tuple[str, ...], list[str]] = {}
    tables = {}
    for group, results in groups.items():
        where = f"{group.space} {dataset_heading(group, groups)}"
        for label, result in results.items():
            basis = result.provenance
            told = (
                where,
                _rungs(result),
                group.bound,
                basis.get("search_accuracy_by_rung", basis["search_accuracy"]),
                basis["seconds"],
                basis["full_schedule_valid_accuracy"] if result.is_judged else "nothing",
                _test_basis(basis) if result.is_judged else "nothing",
            )
            searches.setdefault(told, []).append(label)
            if not result.is_judged:
                data = basis.get("data", "not told")
                tables[f"{where} {basis['evaluator']}"] = Row(
                    where, (f"evaluator {basis['evaluator']}", f"data: {data}", "none used")
                )
                continue
            version = basis.get("surrogate_version", "none used")
            tables[basis["checksum"]] = Row(where, (basis["table"], basis["checksum"], version))
    return [
        Table(
            "Searches",
            (
                *("table", "agents", "searched on", "budget", "accuracy in search", "seconds"),
                *("judged by, validation", "judged by, test"),
            ),
            (tuple(Row(told[0], (", ".join(ran), *told[1:])) for told, ran in searches.items()),),
            kind="words",
        ),
        Table(
            "Tables",
            ("table", "source", "checksum (SHA-256)", "surrogates’ version"),
            (tuple(tables.values()),),
            kind="words",
        ),
    ]


def _rungs(result: SearchResult) -> str:
    """Schedules that a search trains on."""
    schedules = result.arguments.ladder
    return f"{' / '.join(str(epochs).replace('/', ' of ') for epochs in schedules)} epochs"


def _test_basis(provenance: Mapping[str, str]) -> str:
    return provenance.get("full_schedule_test_accuracy", "not held")


def _skipped(study: StudyResults) -> Table | None:
    rows = tuple(
        Row(one.label, (one.space, title_of(one.dataset), one.reason)) for one in study.skipped
    )
    heads = ("agent", "space", "data set", "why")
    return Table("Left out", heads, (rows,), kind="words") if rows else None


# ── how it is made again ─────────────────────────────────────────────────────────────────────


def _commands(folder: Path) -> str:
    where, spec, again = (
        shlex.quote(os.fspath(path))
        for path in (folder, folder / SPEC_FILE, folder.with_name(f"{folder.name}-again"))
    )
    return (
        f"nats-gym validate {where}   # replays every run against its table\n"
        f"nats-gym study {spec} --out {again}   # runs it all\n"
        f"nats-gym report {where}   # writes this page"
    )


def _replay(study: StudyResults) -> Iterator[tuple[str, str]]:
    """The study's own file, if it lies where the study does, and its searches in Python."""
    try:
        text = (study.folder / SPEC_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        pass
    else:
        yield f"The study’s {SPEC_FILE}", text
    calls = (f"{_call(cell.result.arguments)}  # {cell.name}" for cell in study.cells)
    yield f"The {_count(len(study.cells), 'search', 'searches')} in Python", "\n".join(calls)


def _call(arguments: Mapping[str, Any]) -> str:
    given = (
        f"{name}={shown(value, 1_000)}"
        for name, value in arguments.items()
        if value not in (None, {})
    )
    return f"nats_gym.search({', '.join(given)})"


def _made_with(study: StudyResults) -> Table:
    record = study.record
    seeds = sorted({cell.result.arguments.seed for cell in study.cells})
    seconds = sum(told.get("real_seconds") or 0.0 for told in record["cells"].values())
    facts = {
        "seed": ", ".join(map(str, seeds)),
        **record["versions"],
        "machine": record["machine"],
        "real time of all searches": f"{seconds:,.1f} s",
    }
    rows = tuple(Row(name, (value,)) for name, value in facts.items())
    return Table("Made with", ("what", "which"), (rows,), kind="words")


# ── drawings ─────────────────────────────────────────────────────────────────────────────────


def _address(svg: str) -> str:
    """The drawing as an address, in fewer bytes than base64's."""
    svg = _compact(svg).replace('"', "'")
    quoted = re.sub(
        r"[^\w<>='/:;,()\-.~!*@+? ]+", lambda other: quote(other[0]), svg, flags=re.ASCII
    )
    return f"data:image/svg+xml,{quoted}"  # an attribute's within the quotes "


def _inline(svg: str, name: str) -> str:
    """The drawing as a part of the page: its ids are its own, its one rule is in ``page.css``."""
    svg = re.sub(r"<style.*?</style>", "", _compact(svg), flags=re.DOTALL)
    return re.sub(r'( id="|href="#|url\(#)', rf"\1{name}-", svg)


def _compact(svg: str) -> str:
    """The same drawing to a tenth of a point, in half the bytes."""
    no_drawing = r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>"
    svg = re.sub(no_drawing, "", svg, flags=re.DOTALL).strip()
    svg = re.sub(r'(?<=<g) id="[^"]*"', "", re.sub(r">\s+<", "><", svg))  # to which nothing refers
    svg = svg.replace("xlink:href", "href").replace("DejaVuSans-", "D")
    # A letter's place in its line: the most of a drawing is letters.
    svg = re.sub(r'transform="translate\((\d+)(?:\.\d+)? 0\)"/>', r'x="\1"/>', svg)
    return re.sub(r'(?<= d=")[^"]+', _shorter_path, svg)


def _shorter_path(path: re.Match[str]) -> str:
    rounded = re.sub(r"-?\d+\.\d+", lambda number: f"{round(float(number[0]), 1):g}", path[0])
    short = re.sub(r" ?([A-Za-z]) ?", r"\1", " ".join(rounded.split())).replace(" ", ",")
    # Of points on a level line the first and the last.
    return re.sub(r"(?<=,)(-?[\d.]+)(?:L-?[\d.]+,\1(?=L-?[\d.]+,\1(?![\d.])))+", r"\1", short)


# ── words ────────────────────────────────────────────────────────────────────────────────────


def epochs_title(epochs: object) -> str:
    """Return ``"12 epochs"``, or ``"4 of 12 epochs"`` for ``"4/12"``."""
    return f"{str(epochs).replace('/', ' of ')} epochs"


def _count(number: int, singular: str, plural: str = "") -> str:
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
