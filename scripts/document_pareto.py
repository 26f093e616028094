"""Put a study of Pareto fronts into the page on hardware-aware search: its table and its picture.

nats-gym study studies/pareto.toml --out results/pareto
python scripts/document_pareto.py results/pareto
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from document_study import ROOT, put_between

from nats_gym.results import SearchResult
from nats_gym.results.figure_files import save_figure
from nats_gym.study import load_study
from nats_gym.study.figures import hypervolume_curves

PAGE = ROOT / "docs" / "hardware-aware.md"
PICTURE = ROOT / "docs" / "images" / "pareto"
BEGIN, END = "<!-- fronts: scripts/document_pareto.py -->", "<!-- end of fronts -->"
OBJECTIVES = ("accuracy", "latency/raspi4")
#: Evaluations after which the table shows what there is.
AFTER = (20, 50, 100, 200, 500)


def main(folder: Path) -> None:
    (searches,) = load_study(folder).groups().values()
    put_between(PAGE, BEGIN, END, "\n".join(rows_of(searches)))
    _, drawing = save_figure(hypervolume_curves(searches, OBJECTIVES), PICTURE, dpi=100)
    drawing.unlink()


def rows_of(searches: dict[str, SearchResult]) -> list[str]:
    """A Markdown table: a row for each agent, mean ± standard deviation over runs, percent."""
    rows = [
        f"| | runs | {' | '.join(f'{count}' for count in AFTER)} |",
        f"|---|--:|{'--:|' * len(AFTER)}",
    ]
    for label, result in searches.items():
        shares = 100.0 * result.hypervolume(OBJECTIVES)[:, np.array(AFTER) - 1]
        figures = zip(shares.mean(axis=0), shares.std(axis=0), strict=True)
        told = " | ".join(f"{mean:.2f} ± {std:.2f}" for mean, std in figures)
        rows.append(f"| {label} | {result.runs} | {told} |")
    return rows


if __name__ == "__main__":
    main(Path(sys.argv[1]))
