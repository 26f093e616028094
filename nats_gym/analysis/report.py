"""An analysis as a reader wants it: terminal, Markdown, JSON, and the folder that holds them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nats_gym import checks
from nats_gym.analysis.correlations import ALL, TOP, Correlation
from nats_gym.analysis.findings import Findings
from nats_gym.files.writing import check_folder, make_folder, write_file

if TYPE_CHECKING:
    from rich.table import Table as Grid

JSON_FILE, PAGE = "analysis.json", "analysis.md"

#: What each figure shows, by its file's name.
CAPTIONS = {
    "cost": "Accuracy against parameters, FLOPs and latency; the worst 5 % lie below the picture.",
    "distributions": "How accuracies are distributed: histogram, and quantiles.",
    "datasets": "Rank correlation between data sets and splits.",
    "agreement": "A schedule against a longer one, and one trial against another.",
    "fitness-distance": "Accuracy by the number of decisions that differ from the best.",
    "neighbourhoods": "How alike the architectures of a random walk are, and where climbs end.",
}


class Sheet(NamedTuple):
    """A table before it is set: what terminal and Markdown have in common."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def sheets(analysis: Findings) -> list[Sheet]:
    """Every figure in tables; those without a row are left out."""
    made = [
        _distributions(analysis),
        _correlations(analysis),
        _named_columns(analysis),
        _fitness_distance(analysis),
        _neighborhoods(analysis),
    ]
    return [sheet for sheet in made if sheet.rows]


class Analysis(Findings):
    """What :func:`nats_gym.analysis.analyse` returns: findings that show and save themselves."""

    def to_json(self) -> dict[str, Any]:
        """Every figure as plain values; None for what is not defined."""
        from nats_gym.machine import versions

        record = {
            "arguments": self.arguments,
            "table": {
                "source": self.table.source,
                "checksum": self.table.checksum,
                "surrogate_version": self.table.surrogate_version,
            },
            "provenance": self.provenance,
            **{
                name: [asdict(found) for found in getattr(self, name)]
                for name in (
                    *("distributions", "costs", "columns", "datasets", "schedules", "trials"),
                    *("fitness_distance", "neighborhoods"),
                )
            },
            "notes": self.notes,
            "left_out": self.left_out,
            "versions": versions(),
        }
        return _without_nan(record)

    def grids(self) -> list[Grid]:
        """Tables for the terminal."""
        from rich.text import Text

        from nats_gym.results.summary import grid

        made = []
        for sheet in sheets(self):
            table = grid(f"{self.title}: {sheet.title}", *sheet.columns)
            for row in sheet.rows:
                table.add_row(*map(Text, row))
            made.append(table)
        return made

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``analysis.json``, ``analysis.md`` and the figures as PNG and SVG.

        Each file is written under a temporary name and renamed. Returns the folder.

        Raises:
            InvalidInput: if ``folder`` cannot be written.
        """
        from nats_gym.analysis.figures import draw_figures
        from nats_gym.results.figure_files import save_figure

        folder = checks.path(folder, "folder")
        check_folder(folder)
        make_folder(folder)
        figures = draw_figures(self)
        for name, figure in figures.items():
            save_figure(figure, folder / name, dpi=150)
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        for name, content in ((JSON_FILE, text), (PAGE, markdown(self, figures))):
            write_file(folder / name, content)
        return folder


def markdown(analysis: Findings, figures: Iterable[str] = ()) -> str:
    """The page; ``figures`` are the names of those that lie beside it."""
    table = analysis.table
    lines = [f"# {analysis.title[0].upper()}{analysis.title[1:]}", ""]
    lines += [
        f"Validation accuracies are {analysis.provenance}, from the {table.source} table with "
        f"checksum `{table.checksum}`. {analysis.distributions[0].architectures:,} of "
        f"{table.space.size:,} architectures.",
        "",
    ]
    lines += [f"- {note}" for note in analysis.notes] + [""] if analysis.notes else []
    for sheet in sheets(analysis):
        lines += [f"## {sheet.title[0].upper()}{sheet.title[1:]}", ""]
        lines += [_markdown_row(sheet.columns), "|" + " --- |" * len(sheet.columns)]
        lines += [*map(_markdown_row, sheet.rows), ""]
    for name in figures:
        lines += [f"![{CAPTIONS[name]}]({name}.png)", "", CAPTIONS[name], ""]
    if analysis.left_out:
        lines += ["## Left out", ""]
        lines += [f"- {what}: {why}" for what, why in analysis.left_out.items()] + [""]
    return "\n".join(lines)


def _distributions(analysis: Findings) -> Sheet:
    columns = ("accuracy [%]", "architectures", "mean ± std", "5 %", "median", "95 %", "best")
    rows = [
        (
            found.name,
            f"{found.architectures:,}",
            f"{found.mean:.2f} ± {found.std:.2f}",
            *(f"{found.quantiles[q]:.2f}" for q in (5, 50, 95)),
            f"{found.quantiles[100]:.2f} ({found.best})",
            found.provenance,
        )
        for found in analysis.distributions
    ]
    return Sheet("distribution of accuracies", (*columns, "rests on"), rows)


#: Columns of a table of rank correlations, after what they are between.
CORRELATED = (
    *("architectures", "Kendall τ", "Spearman ρ", "top 10 %: τ", "top 10 %: ρ"),
    "rests on",
)


def _correlations(analysis: Findings) -> Sheet:
    pairs = [
        (" and ".join(c.between), [c])
        for c in (*analysis.costs, *analysis.datasets, *analysis.schedules)
        if c.among == ALL
    ]
    trials = [c for c in analysis.trials if c.among == ALL]
    if trials:
        kind = "trials" if analysis.provenance == "measured" else "draws of the surrogate's noise"
        name = f"two {kind}" + (f", mean of {len(trials)} pairs" if len(trials) > 1 else "")
        pairs.append((name, trials))
    every = (*analysis.costs, *analysis.datasets, *analysis.schedules, *analysis.trials)
    rows = [_correlated(name, found, every) for name, found in pairs]
    return Sheet("rank correlations", ("between", *CORRELATED), rows)


def _named_columns(analysis: Findings) -> Sheet:
    rows = [
        _correlated(c.between[1], [c], analysis.columns) for c in analysis.columns if c.among == ALL
    ]
    return Sheet("named columns and accuracy", ("column", *CORRELATED), rows)


def _correlated(
    name: str, found: Sequence[Correlation], every: Iterable[Correlation]
) -> tuple[str, ...]:
    """A row of correlations over all architectures, their mean, and of those among the best."""
    best = {c.between: c for c in every if c.among == TOP}
    leaders = [best[c.between] for c in found if c.between in best]
    least = min(c.architectures for c in found)
    return (name, f"{least:,}", *_means(found), *_means(leaders), found[0].provenance)


def _means(found: Sequence[Correlation]) -> Iterator[str]:
    for name in ("kendall", "spearman"):
        values = [getattr(c, name) for c in found]
        yield _shown(sum(values) / len(values)) if values else "–"


def _fitness_distance(analysis: Findings) -> Sheet:
    columns = ("distance to", "targets", "Pearson", "Spearman", "top 10 %: Pearson", "rests on")
    rows = [
        (
            found.to,
            f"{found.targets:,}",
            *map(_shown, (found.pearson, found.spearman, found.pearson_top)),
            found.provenance,
        )
        for found in analysis.fitness_distance
    ]
    return Sheet("correlation of fitness and distance", columns, rows)


def _neighborhoods(analysis: Findings) -> Sheet:
    columns = (
        *("accuracy", "correlation of neighbours", "most possible", "correlation length"),
        *("local optima", "climb to the best", "mean climb", "rests on"),
    )
    rows = [
        (
            found.of,
            _shown(found.autocorrelation[1]),
            _shown(found.additive),
            _shown(found.correlation_length, 2),
            f"{found.local_optima:,}",
            f"{found.basin_of_best:.1%}",
            f"{found.mean_steps:.2f} steps",
            found.provenance,
        )
        for found in analysis.neighborhoods
    ]
    return Sheet("neighbourhoods", columns, rows)


def _shown(value: float, choices: int = 3) -> str:
    return "–" if math.isnan(value) else f"{value:.{choices}f}"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _without_nan(value: Any) -> Any:
    """Plain values that JSON has words for: lists for tuples, None for NaN."""
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
