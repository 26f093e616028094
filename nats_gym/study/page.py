"""The HTML page of a study: one file that needs nothing else, on a desk, a phone or paper."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import nats_gym
from nats_gym.errors import shown
from nats_gym.result import SearchResult, kind_of_time
from nats_gym.study import published
from nats_gym.study.markup import Markup, element, heading_row, joined, row, table
from nats_gym.study.running import SPEC_FILE
from nats_gym.study.tables import (
    DATASET_TITLES,
    SPLIT_TITLES,
    HeadlineTable,
    entry_text,
    listed,
    search_bases,
    unlike_the_rest,
)
from nats_gym.tables.column import MEASURED

if TYPE_CHECKING:
    from nats_gym.study.results import Group, StudyResults

PAPER = "https://arxiv.org/abs/2009.00437"
#: What the page may load: nothing but what it holds.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Picture:
    """A plot on the page.

    Attributes:
        name: stem of its files.
        svg: the drawing.
        alt: what it shows, for those who cannot see it.
        caption: how it is read.
    """

    name: str
    svg: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Section:
    """What is shown of one group of cells, or of all.

    Attributes:
        pictures: the plots.
        left_out: what could not be shown and why, a sentence each.
        head: column headings of the table of numbers; empty without one.
        rows: its rows, the agent's label first.
        caption: of the table.
    """

    pictures: tuple[Picture, ...]
    left_out: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    caption: str = ""


def page(
    study: StudyResults,
    headlines: Sequence[HeadlineTable],
    overall: Section,
    sections: Mapping[Group, tuple[str, Section]],
) -> str:
    """Return the page.

    Args:
        study: what ran.
        headlines: its headline tables.
        overall: what is shown of all groups together.
        sections: the title and content of each group's section.
    """
    body = [
        element("header", element("h1", study.name), *_introduction(study)),
        _contents([title for title, _ in sections.values()], study),
        element(
            "main",
            _section("headline", "Headline", *map(_headline, headlines)),
            _published(study, headlines),
            _section("overall", "Over all searches", *_shown(overall)),
            *(
                _section(f"group-{number}", title, _ran(group, study), *_shown(content))
                for number, (group, (title, content)) in enumerate(sections.items(), start=1)
            ),
            _basis(study),
            _skipped(study),
            _replay(study),
        ),
        element(
            "footer",
            f"Made by nats-gym {nats_gym.__version__} from the files of the study alone; the "
            "page loads nothing.",
        ),
    ]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{study.name} – nats-gym study"),
        element("style", Markup(files("nats_gym.study").joinpath("page.css").read_text("utf-8"))),
    )
    document = element("html", head, element("body", *body), lang="en")
    return f"<!DOCTYPE html>\n{document}\n"


def _section(anchor: str, title: str, *content: object) -> Markup:
    return element("section", element("h2", title), *content, id=anchor)


def _paragraphs(sentences: Iterable[object], class_: str | None = None) -> Markup:
    return joined(*(element("p", sentence, class_=class_) for sentence in sentences))


# ── what ran ─────────────────────────────────────────────────────────────────────────────────


def _introduction(study: StudyResults) -> list[Markup]:
    results = [cell.result for cell in study.cells]
    labels = list(dict.fromkeys(cell.label for cell in study.cells))
    datasets: dict[str, dict[str, None]] = {}
    for result in results:
        title = dataset_title(result.table.dataset)
        datasets.setdefault(result.table.space.title, {})[title] = None
    places = [f"the {space} space on {listed(list(on))}" for space, on in datasets.items()]
    runs = sorted({result.runs for result in results})
    counted = f"{runs[0]:,}" if len(runs) == 1 else f"{runs[0]:,} to {runs[-1]:,}"
    evaluations = sum(int(result.evaluations.sum()) for result in results)
    agents = f"{_count(len(labels), 'agent')} ({', '.join(labels)})"
    return [
        element(
            "p",
            f"{agents} searched {', and '.join(places)}: "
            f"{_count(len(study.cells), 'search', 'searches')} of {counted} independent "
            f"{'run' if runs == [1] else 'runs'} each, {evaluations:,} evaluations in all.",
            class_="lead",
        ),
        element(
            "p",
            "The protocol is that of the ",
            element("a", "NATS-Bench paper", href=PAPER),
            ": a run evaluates architectures, each at the price of its training in simulated "
            "seconds, until the budget is spent; the evaluation that overshoots counts. Its "
            "answer is the best architecture that it has observed, and is judged by that "
            "architecture’s accuracy after the full training schedule, mean over trials.",
        ),
        *_estimate_warning(results),
    ]


def _estimate_warning(results: Sequence[SearchResult]) -> list[Markup]:
    estimated = {
        name
        for result in results
        for name, basis in result.provenance.items()
        if basis == "surrogate"
    }
    words = {  # of what the page shows: estimated test accuracies it does not
        "search_accuracy": "accuracies seen during search",
        "seconds": "seconds charged",
        "full_schedule_valid_accuracy": "full-schedule validation accuracies",
    }
    named = [title for name, title in words.items() if name in estimated]
    if not named:
        return []
    return [
        element(
            "p",
            element("strong", "Some figures are estimates. "),
            f"In whole or in part the {listed(named)} come from a surrogate model, not from "
            "trainings. ",
            element("a", "What rests on what", href="#basis"),
            ".",
            class_="warn",
        )
    ]


def _contents(titles: Sequence[str], study: StudyResults) -> Markup:
    entries = [
        ("headline", "Headline"),
        ("published", "Published figures"),
        ("overall", "Over all searches"),
        *((f"group-{number}", title) for number, title in enumerate(titles, start=1)),
        ("basis", "What the figures rest on"),
        *([("skipped", "What did not run")] if study.skipped else []),
        ("replay", "Replay"),
    ]
    links = (element("li", element("a", title, href=f"#{anchor}")) for anchor, title in entries)
    return element("nav", element("ul", *links), aria_label="contents")


def _ran(group: Group, study: StudyResults) -> Markup:
    results = study.groups()[group]
    first = next(iter(results.values()))
    space = first.table.space
    schedule = ""
    for result in results.values():
        if not result.arguments["rungs"]:
            basis = search_bases(result)[str(group.epochs)]
            schedule = f" on the schedule of {epochs_title(group.epochs)} ({basis} accuracies)"
    seconds = listed(sorted({result.provenance["seconds"] for result in results.values()}))
    text = (
        f"Searched{schedule} within {group.budget:,.0f} {kind_of_time(results.values())} "
        f"seconds ({seconds}); judged after {first.table.full_epochs} epochs "
        f"({first.provenance['full_schedule_valid_accuracy']}). The best validation accuracy that "
        f"the table knows is {first.table.best('valid')[1]:.2f} %."
    )
    trained = group.epochs if isinstance(group.epochs, int) else None
    if space.name == "sss" and trained == space.full_epochs:
        text += (
            f" The paper searches on 12 epochs; this table holds the {trained}-epoch figures, so "
            f"that an evaluation costs {trained}/12 of the paper’s, and the budget that admits as "
            f"many of them is the paper’s × {trained}/12."
        )
    return joined(element("p", text), _paragraphs(unlike_the_rest(results)))


def _rungs(result: SearchResult) -> str:
    """Schedules that a search trains on."""
    schedules = result.arguments["rungs"] or [result.arguments["epochs"]]
    return f"{' / '.join(str(epochs).replace('/', ' of ') for epochs in schedules)} epochs"


# ── tables ───────────────────────────────────────────────────────────────────────────────────


def _headline(headline: HeadlineTable) -> Markup:
    head = _two_heads("agent", headline.headings(), [column.title for column in headline.columns])
    agents = []
    for label in headline.labels:
        cells = []
        for column in headline.columns:
            entry = column.entries.get(label)
            best = entry is not None and entry.best
            cells.append(element("td", entry_text(entry), class_="best" if best else None))
        agents.append(row(label, *cells))
    known = [f"{column.best_known:.2f}" for column in headline.columns]
    reference = element(
        "tr",
        element("th", "best known", scope="row"),
        *(element("td", figure) for figure in known),
        class_="reference",
    )
    best_note = "Best mean of a column in bold; the last row is the best that the table holds."
    return joined(
        table(f"{headline.title.capitalize()}: accuracy, %", head, [agents, [reference]]),
        element("p", f"{best_note} {' '.join(headline.notes)}", class_="notes"),
    )


def _published(study: StudyResults, headlines: Sequence[HeadlineTable]) -> Markup:
    tables = [_published_table(study, headline) for headline in headlines]
    content = [
        element(
            "p",
            element("strong", "Not measured here: "),
            "rows marked published are copied from the paper (",
            element("a", published.CITATION, href=PAPER),
            "). Below them stands, where the tables searched hold such a figure, that of this "
            "study’s agent of the same method. The two compare only where schedule, budget and "
            "what figures rest on are the paper’s: a search on 12 measured epochs within the "
            "paper’s budget, 500 runs.",
        ),
        *tables,
    ]
    if not any(tables):
        content = [element("p", "The paper has no figures for these spaces and data sets.")]
    return _section("published", "Published figures", *content)


def _published_table(study: StudyResults, headline: HeadlineTable) -> Markup:
    """The paper's figures of one space, ours below; empty if the paper has none."""
    agents = {
        cell.label: cell.result.arguments["agent"]
        for cell in study.cells
        if cell.result.arguments["space"] == headline.space
    }
    # Of several searches on one data set the first.
    ours = {(c.group.dataset, c.split): c for c in reversed(headline.columns)}
    methods = published.METHODS.get(headline.space, ())
    reported = {dataset for method in methods for dataset, _ in method.figures}
    datasets = [
        name
        for name in dict.fromkeys(c.group.dataset for c in headline.columns)
        if name in reported
    ]
    keys = [
        (dataset, split)
        for dataset in datasets
        for split in ("valid", "test")
        if any((dataset, split) in method.figures for method in methods)
    ]
    if not keys:
        return Markup("")
    bodies = []
    for method in methods:
        rows = [
            element(
                "tr",
                element("th", f"{method.title} (published)", scope="row"),
                *(element("td", method.figures.get(key, "–")) for key in keys),
                class_="reference",
            )
        ]
        columns = [ours.get(key) for key in keys]
        estimated = any(column and column.provenance != MEASURED for column in columns)
        whose = "this study, surrogate" if estimated else "this study"
        for label in (label for label, agent in agents.items() if agent == method.agent):
            entries = [column.entries.get(label) if column else None for column in columns]
            if any(entries):
                rows.append(row(f"{label} ({whose})", *map(entry_text, entries)))
        bodies.append(rows)
    splits = [len([key for key in keys if key[0] == dataset]) for dataset in datasets]
    return table(
        f"{headline.title.capitalize()}: published accuracy, %",
        _two_heads(
            "method",
            [(dataset_title(name), span) for name, span in zip(datasets, splits, strict=True)],
            [SPLIT_TITLES[split] for _, split in keys],
        ),
        bodies,
    )


def _two_heads(corner: str, over: Sequence[tuple[str, int]], titles: Sequence[str]) -> list[Markup]:
    """Heads of a table: titles of several columns, and below them those of each."""
    spans = (element("th", title, scope="colgroup", colspan=span) for title, span in over)
    return [element("tr", element("td", ""), *spans), heading_row(corner, *titles)]


def _shown(section: Section) -> list[Markup]:
    shown = [element("div", *map(_figure, section.pictures), class_="pair")]
    if section.rows:
        rows = [row(*cells) for cells in section.rows]
        shown.append(table(section.caption, [heading_row(*section.head)], [rows]))
    return [*shown, _paragraphs(section.left_out, class_="notes")]


def _figure(picture: Picture) -> Markup:
    data = quote(_compact(picture.svg), safe=" =/:;,()-._~!*@+?")  # shorter than base64
    image = element("img", src=f"data:image/svg+xml,{data}", alt=picture.alt)
    return element(
        "figure",
        element("div", image, class_="scroll", tabindex=0, role="region", aria_label="plot"),
        element("figcaption", picture.caption),
    )


def _compact(svg: str) -> str:
    """The same drawing to a hundredth of a point, in two thirds of the bytes."""
    svg = re.sub(r"<!--.*?-->|<!DOCTYPE.*?>|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r">\s+<", "><", svg)
    return re.sub(r'(?<= d=")[^"]+', _shorter_path, svg)


def _shorter_path(path: re.Match[str]) -> str:
    numbers_rounded = re.sub(r"-?\d+\.\d+", lambda n: f"{float(n[0]):.2f}", path[0])
    return " ".join(numbers_rounded.split())


# ── what it rests on ─────────────────────────────────────────────────────────────────────────


def _basis(study: StudyResults) -> Markup:
    searches, tables = [], {}
    for group, results in study.groups().items():
        name = f"{group.space} {dataset_title(group.dataset)}"
        for labels in _alike(results):
            result = results[labels[0]]
            basis = result.provenance
            searches.append(
                row(
                    name,
                    ", ".join(labels),
                    _rungs(result),
                    f"{group.budget:,.0f} s",
                    basis.get("search_accuracy_by_rung", basis["search_accuracy"]),
                    basis["seconds"],
                    basis["full_schedule_valid_accuracy"],
                    _test_basis(basis),
                )
            )
            tables[basis["checksum"]] = row(
                name,
                basis["table"],
                element("code", basis["checksum"]),
                basis.get("surrogate_version", "none used"),
            )
    return _section(
        "basis",
        "What the figures rest on",
        element(
            "p",
            element("strong", "Measured"),
            " is a real training’s figure, ",
            element("strong", "surrogate"),
            " the estimate of a model fitted to real ones; a sum is measured only if all its "
            "parts are. Test accuracies are shown where they are measured, and never guide a "
            "search.",
        ),
        table(
            "Searches",
            [
                heading_row(
                    *("table", "agents", "searched on", "budget", "accuracy in search", "seconds"),
                    *("judged by, validation", "judged by, test"),
                )
            ],
            [searches],
            class_="words",
        ),
        table(
            "Tables",
            [heading_row("table", "source", "checksum (SHA-256)", "surrogates’ version")],
            [list(tables.values())],
            class_="words",
        ),
    )


def _test_basis(provenance: Mapping[str, str]) -> str:
    basis = provenance.get("full_schedule_test_accuracy")
    if basis is None:
        return "not held"
    return basis if basis == MEASURED else f"{basis}, so not shown"


def _alike(results: Mapping[str, SearchResult]) -> list[list[str]]:
    """Labels, together where their searches rest on the same."""
    alike: dict[tuple[object, ...], list[str]] = {}
    for label, result in results.items():
        alike.setdefault((_rungs(result), *result.provenance.items()), []).append(label)
    return list(alike.values())


def _skipped(study: StudyResults) -> Markup:
    if not study.skipped:
        return Markup("")
    rows = [
        row(
            skipped.label,
            skipped.space,
            dataset_title(skipped.dataset),
            skipped.reason,
        )
        for skipped in study.skipped
    ]
    return _section(
        "skipped",
        "What did not run",
        table(
            "Left out",
            [heading_row("agent", "space", "data set", "why")],
            [rows],
            class_="words",
        ),
    )


def _replay(study: StudyResults) -> Markup:
    where = study.folder
    again = where.with_name(f"{where.name}-again")
    record = study.record
    rows = [
        row(name, value)
        for name, value in {**record["versions"], "machine": record["machine"]}.items()
    ]
    seeds = sorted({cell.result.arguments["seed"] for cell in study.cells})
    rows.insert(0, row("seed", ", ".join(map(str, seeds))))
    seconds = sum(told.get("real_seconds") or 0.0 for told in record["cells"].values())
    rows.append(row("real time of all searches", f"{seconds:,.1f} s"))
    calls = "\n".join(f"{_call(cell.result.arguments)}  # {cell.name}" for cell in study.cells)
    return _section(
        "replay",
        "Replay",
        element("p", "Every figure above can be made again, to the last bit:"),
        _code(
            f"nats-gym validate {_quoted(where)}   # replays every run against its table\n"
            f"nats-gym study {_quoted(where / SPEC_FILE)} --out {_quoted(again)}   # runs it all\n"
            f"nats-gym report {_quoted(where)}   # writes this page"
        ),
        *_specification(where / SPEC_FILE),
        element(
            "details",
            element("summary", f"The {_count(len(study.cells), 'search', 'searches')} in Python"),
            _code(calls),
        ),
        table("Made with", [heading_row("what", "which")], [rows], class_="words"),
    )


def _specification(file: Path) -> list[Markup]:
    """The study's own file, if it lies where the study does."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    return [element("details", element("summary", f"The study’s {file.name}"), _code(text))]


def _code(text: str) -> Markup:
    return element("pre", element("code", text), tabindex=0)


def _quoted(path: Path) -> str:
    return shlex.quote(os.fspath(path))


def _call(arguments: Mapping[str, Any]) -> str:
    given = (
        f"{name}={shown(value, 1_000)}"
        for name, value in arguments.items()
        if value not in (None, {})
    )
    return f"nats_gym.search({', '.join(given)})"


# ── words ────────────────────────────────────────────────────────────────────────────────────


def dataset_title(dataset: str) -> str:
    """Return ``"CIFAR-10"`` for ``"cifar10"``."""
    return DATASET_TITLES.get(dataset, dataset)


def epochs_title(epochs: object) -> str:
    """Return ``"12 epochs"``, or ``"4 of 12 epochs"`` for ``"4/12"``."""
    return f"{str(epochs).replace('/', ' of ')} epochs"


def _count(number: int, singular: str, plural: str = "") -> str:
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
