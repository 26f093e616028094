"""Put a study's curves over evaluations into the page that tells of it: a table and a picture.

nats-gym study studies/pareto.toml --out results/pareto
python scripts/document_curves.py pareto results/pareto
python scripts/document_curves.py transfer results/transfer
python scripts/document_curves.py transfer-digits results/transfer-digits
python scripts/document_curves.py transfer-fashion results/transfer-fashion
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from document_study import ROOT, put_between
from numpy.typing import NDArray

from nats_gym.results import SearchResult
from nats_gym.results.figure_files import save_figure
from nats_gym.study import load_study
from nats_gym.study.curves import regret_curve
from nats_gym.study.figures import hypervolume_curves, regret_over_evaluations
from nats_gym.study.tables import group_heading

OBJECTIVES = ("accuracy", "latency/raspi4")


@dataclass(frozen=True)
class Told:
    """What a page tells of a study: its name, figures after which evaluations, how it is drawn."""

    page: str
    after: tuple[int, ...]
    values: Callable[[SearchResult], NDArray[np.float64]]
    form: str
    draw: Callable[[Any], Any]


def shares(result: SearchResult) -> NDArray[np.float64]:
    """Of the table's hypervolume, percent, ``(runs, evaluation)``."""
    return 100.0 * result.hypervolume(OBJECTIVES)


def draw_fronts(groups: Any) -> Any:
    (searches,) = groups.values()
    return hypervolume_curves(searches, OBJECTIVES)


TRANSFER = Told("transfer", (1, 3, 10, 30, 100), regret_curve, "{:.3f}", regret_over_evaluations)
STUDIES = {
    "pareto": Told(
        "hardware-aware", (20, 50, 100, 200, 500), shares, "{:.2f} ± {:.2f}", draw_fronts
    ),
    "transfer": TRANSFER,
    "transfer-digits": TRANSFER,
    "transfer-fashion": TRANSFER,
}


def main(name: str, folder: Path) -> None:
    told, groups = STUDIES[name], load_study(folder).groups()
    begin, end = f"<!-- {name}: scripts/document_curves.py -->", f"<!-- end of {name} -->"
    written = []
    for group, searches in groups.items():
        title = f"{group.space}, {group_heading(group, groups)}" if len(groups) > 1 else ""
        written += [*rows_of(told, title, searches), ""]
    put_between(ROOT / "docs" / f"{told.page}.md", begin, end, "\n".join(written[:-1]))
    _, drawing = save_figure(told.draw(groups), ROOT / "docs" / "images" / name, dpi=100)
    drawing.unlink()


def rows_of(told: Told, title: str, searches: dict[str, SearchResult]) -> list[str]:
    """A Markdown table: a row for each agent, mean and deviation over runs."""
    most = max(result.index.shape[1] for result in searches.values())
    after = [count for count in told.after if count <= most]
    rows = [
        f"| {title} | runs | {' | '.join(map(str, after))} |",
        f"|---|--:|{'--:|' * len(after)}",
    ]
    for label, result in searches.items():
        values = told.values(result)[:, np.array(after) - 1]
        figures = zip(values.mean(axis=0), values.std(axis=0), strict=True)
        cells = " | ".join(told.form.format(*both) for both in figures)
        rows.append(f"| {label} | {result.runs} | {cells} |")
    return rows


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
