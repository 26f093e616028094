"""How good the answers of few-shot agents are, judged by measured test accuracies.

Topology space, searches of 12-epoch estimates; answers are judged by the measured full-schedule
test accuracy of those that a file of public figures knows. ``--figures`` is a CSV of official
``index`` and ``<data set>_test_200``, packed by gzip or not; without one only speed is measured.

    python benchmarks/transfer.py --figures ../shared/figures/tss.csv.gz

How trainings on images of another kind rank beside the tables is printed too: those on digits that
ship, and with ``--trained results/fashion`` those of ``scripts/train_fashion.py``.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import warnings
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

import nats_gym
from nats_gym.agents.prior_scores import prior_scores
from nats_gym.building import parse_architectures
from nats_gym.machine import describe
from nats_gym.spaces import get_space
from nats_gym.tables import Table
from nats_gym.tables.prior import prior_figures

DATASETS = ("cifar10", "cifar100", "ImageNet16-120")
#: What ran: a title, the agent, and further arguments of the search.
SEARCHES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("`transfer`, 1 evaluation", "transfer", {"evaluations": 1, "runs": 200}),
    ("`transfer`, 10 evaluations", "transfer", {"evaluations": 10, "runs": 200}),
    (
        "`few-shot` with the other two, 10 evaluations",
        "few-shot",
        {"evaluations": 10, "runs": 200, "options": {"prior": "others"}},
    ),
    (
        "`few-shot` without, 150 evaluations (100 runs)",
        "few-shot",
        {"evaluations": 150, "runs": 100},
    ),
    ("REA, the paper's budget", "rea", {"runs": 200}),
)


def test_accuracies(path: Path) -> dict[str, NDArray[np.float64]]:
    """Measured test accuracy by data set and official index, percent; NaN where it is not known."""
    known = {name: np.full(get_space("tss").size, np.nan) for name in DATASETS}
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        for row in csv.DictReader(file):
            for name, values in known.items():
                values[int(row["index"])] = float(row[f"{name}_test_200"])
    return known


def main() -> None:
    """Search, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figures", type=Path, help="CSV of test accuracies")
    parser.add_argument("--trained", type=Path, help="folder of scripts/train_fashion.py")
    figures, trained = vars(parser.parse_args()).values()
    warnings.simplefilter("ignore")
    print(f"{describe()}\n")
    if figures is not None:
        judge(test_accuracies(figures))
    for space in ("tss", "sss"):
        digits = nats_gym.load_table(space, "digits", "digits-300")
        compare(digits)
        if trained is not None:
            folder = trained / space / "table"
            compare(Table(folder, str(folder)), digits)
    start = perf_counter()
    nats_gym.search("tss", "cifar10", agent="few-shot", epochs=12, evaluations=100, runs=500)
    print(f"500 runs of few-shot by 100 evaluations: {perf_counter() - start:.0f} s")


def compare(table: Table, *others: Table) -> None:
    """Print Kendall's tau of some architectures' trainings with what other tables say of them.

    Of those drawn uniformly alone, between their mean over trials and the others'; intervals of
    95 % as Fieller, Hartley & Pearson approximate them (Biometrika 44, 1957).
    """
    trials = table.accuracy("valid")  # (arch, trial)
    drawn = parse_architectures("random:300:seed0", table.space)  # smaller samples are part of it
    known = drawn[~np.isnan(trials[drawn]).any(axis=1)]
    figures = prior_figures([nats_gym.load_table(table.space.name, name) for name in DATASETS])
    told = dict(zip(DATASETS, figures, strict=True)) | {"the three": prior_scores(figures)[0]}
    told |= {other.dataset: other.mean_accuracy("valid") for other in others}
    pairs = {name: (trials.mean(axis=1), values) for name, values in told.items()}
    if trials.shape[1] > 1:
        pairs["a second training"] = trials[:, 0], trials[:, 1]
    print(f"{table.space.name}, {len(known)} trained on {table.dataset}, Kendall's tau with")
    for name, (mine, other) in pairs.items():
        tau = kendalltau(mine[known], other[known])[0]
        spread = 1.96 * np.sqrt(0.437 / (len(known) - 4)) * np.array([-1, 1])
        low, high = np.tanh(np.arctanh(tau) + spread)
        print(f"  {name}: {tau:.2f} ({low:.2f} to {high:.2f})")


def judge(truth: dict[str, NDArray[np.float64]]) -> None:
    """Print the table of the answers' test accuracies."""
    print(f"| | {' | '.join(DATASETS)} |\n|---|{'---|' * len(DATASETS)}")
    for title, agent, arguments in SEARCHES:
        means = []
        for dataset in DATASETS:
            found = nats_gym.search("tss", dataset, agent=agent, epochs=12, seed=0, **arguments)
            means.append(f"{np.nanmean(truth[dataset][found.recommended]):.2f}")
        print(f"| {title} | {' | '.join(means)} |", flush=True)
    print()


if __name__ == "__main__":
    main()
