"""What a score that is known beforehand brings agents: warm-up, move proposals, both.

Topology space, searches of 12-epoch estimates at the paper's budget; answers are judged by their
full-schedule validation accuracy. A score is any figure, by default the FLOPs. ``--scores`` is an
``.npz`` of published ones (``index``, then ``<data set>_<score>``), which stand in a home of this
script's own for as long as it runs; an architecture that the file lacks has its worst score.

    python benchmarks/warmup.py                     # a minute or two, of few runs
    python benchmarks/warmup.py --runs 500 --scores ../shared/figures/tss_proxies.npz
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import nats_gym
from nats_gym.analysis.correlations import correlate
from nats_gym.machine import describe
from nats_gym.spaces import get_space
from nats_gym.tables import add_column

DATASETS = ("cifar10", "cifar100", "ImageNet16-120")
AGENTS = ("rea", "reinforce", "local-search", "bananas")
#: As Abdelfattah et al. have them, but for fewer proposals than moves.
WARMUP, PROPOSALS = 3_000, 10
SETTINGS: dict[str, dict[str, int]] = {
    "warm-up": {"warmup": WARMUP},
    "proposals": {"proposals": PROPOSALS},
    "both": {"warmup": WARMUP, "proposals": PROPOSALS},
}


def add_published(path: Path) -> list[str]:
    """Add the scores of a file as columns; their names."""
    size, names = get_space("tss").size, []
    with np.load(path) as file:
        for dataset in DATASETS:
            for name in file.files:
                if name.startswith(f"{dataset}_"):
                    known = file[name].astype(np.float64)
                    worst = known[np.isfinite(known)].min()
                    values = np.full(size, worst)
                    values[file["index"]] = np.maximum(known, worst)
                    names.append("published/" + name.removeprefix(f"{dataset}_"))
                    add_column(
                        *("tss", dataset, names[-1], values), unit="score", lower_is_better=False
                    )
    return [*dict.fromkeys(names)]


def told(agent: str, runs: int, **given: Any) -> str:
    """Cells of a row: mean and its standard error on each data set."""
    cells = []
    for dataset in DATASETS:
        found = nats_gym.search("tss", dataset, agent, epochs=12, runs=runs, **given)
        accuracy = found.full_schedule_accuracy("valid")
        cells.append(f"{accuracy.mean():.2f} ± {accuracy.std() / np.sqrt(runs):.2f}")
    return " | ".join(cells)


def correlations(score: str) -> str:
    """Cells of a row: Spearman's with the accuracy, as ``nats-gym analyse`` has it."""
    cells = []
    for dataset in DATASETS:
        table = nats_gym.load_table("tss", dataset)
        values, accuracy = table.figure(score).values, table.mean_accuracy("valid")
        every, best = correlate(("accuracy", score), accuracy, values, "", [])
        cells.append(f"{every.spearman:.2f}, best tenth {best.spearman:.2f}")
    return " | ".join(cells)


def main() -> None:
    """Search, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--scores", type=Path, help=".npz of published scores")
    parser.add_argument("--agents", nargs="+", choices=AGENTS, default=AGENTS)
    parser.add_argument(
        "--by", nargs="+", help="names of scores; default those of the file, and flops"
    )
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as home, threadpool_limits(1, "blas"):
        scores = []
        if given.scores is not None:
            os.environ["NATS_GYM_HOME"] = home
            scores = add_published(given.scores)
        scores = given.by or [*scores, "flops"]
        print(f"{given.runs} runs, {describe()}\n")
        print(f"| | {' | '.join(DATASETS)} |\n|---|{'---|' * len(DATASETS)}")
        for score in scores:
            print(f"| rank correlation of `{score}` | {correlations(score)} |")
            first = {"score": score, "prefer": "high", "warmup": WARMUP}
            found = told("rea", given.runs, evaluations=10, options=first)
            print(f"| the best 10 of {WARMUP:,} by `{score}` | {found} |", flush=True)
        for agent in given.agents:
            print(f"| {agent} | {told(agent, given.runs)} |", flush=True)
            for score in scores:
                for title, guide in SETTINGS.items():
                    options = {"score": score, "prefer": "high", **guide}
                    found = told(agent, given.runs, options=options)
                    print(f"| {agent}, {title}, `{score}` | {found} |", flush=True)


if __name__ == "__main__":
    main()
