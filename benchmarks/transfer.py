"""How good the answers of few-shot agents are, judged by measured test accuracies.

Topology space, searches of 12-epoch estimates; answers are judged by the measured full-schedule
test accuracy of those that a file of public figures knows. ``--figures`` is a CSV of official
``index`` and ``<data set>_test_200``, packed by gzip or not; without one only speed is measured.

    python benchmarks/transfer.py --figures ../shared/figures/tss.csv.gz
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

import nats_gym
from nats_gym.machine import describe
from nats_gym.spaces import get_space

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
    figures = parser.parse_args().figures
    warnings.simplefilter("ignore")
    print(f"{describe()}\n")
    if figures is not None:
        judge(test_accuracies(figures))
    compare_with_digits()
    start = perf_counter()
    nats_gym.search("tss", "cifar10", agent="few-shot", epochs=12, evaluations=100, runs=500)
    print(f"500 runs of few-shot by 100 evaluations: {perf_counter() - start:.0f} s")


def compare_with_digits() -> None:
    """Print how the 300 trainings on digits rank beside what other data sets' tables say."""
    from scipy.stats import kendalltau

    for space in ("tss", "sss"):
        digits = nats_gym.load_table(space, "digits", "digits-300").mean_accuracy()
        known = ~np.isnan(digits)
        for dataset in DATASETS:
            other = nats_gym.load_table(space, dataset).mean_accuracy()
            tau = kendalltau(digits[known], other[known])[0]
            print(f"{space}, digits and {dataset}: Kendall's tau {tau:.2f}")


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
