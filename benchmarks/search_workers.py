"""Evaluations an hour of a search by real training, with one worker and with two.

Searches of the same architectures alternate, one worker and two; each trains on one thread, and no
answer comes from a cache. The rate is that between a search's first answers, by when its processes
run and have their images, and its last. Needs two idle cores: on a busy machine two workers
share what one has.

    python benchmarks/search_workers.py               # three minutes on two idle cores
    python benchmarks/search_workers.py --pairs 9 --evaluations 40
"""

from __future__ import annotations

import argparse
from statistics import median

import nats_gym
from nats_gym.machine import describe
from nats_gym.results.result import SearchResult

BAR = 1.7


def search(workers: int, evaluations: int, epochs: int, seed: int) -> SearchResult:
    """Random architectures of the size space on digits."""
    evaluator = {
        "name": "train",
        "device": "cpu",
        "cache": False,
        "trials": None,
        "network": {"cells_per_stage": 1},
    }
    return nats_gym.search(
        *("sss", "digits", "random", epochs),
        evaluator=evaluator,
        evaluations=evaluations,
        workers=workers,
        seed=seed,
    )


def rate(found: SearchResult) -> float:
    """Evaluations an hour after every worker has answered about once."""
    clock, workers = found.clock[0], found.arguments.workers
    return 3600 * (len(clock) - workers) / float(clock[-1] - clock[workers - 1])


def main() -> None:
    """Print a line a pair, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--evaluations", type=int, default=16, help="of a search")
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    print(describe())
    ones, twos = [], []
    for pair in range(arguments.pairs):
        both = {1: ones, 2: twos}
        # Which is first alternates, so that a machine that slows down favours neither.
        for workers in (1, 2) if pair % 2 == 0 else (2, 1):
            found = search(workers, arguments.evaluations, arguments.epochs, pair)
            both[workers].append(rate(found))
        print(
            f"pair {pair}: {ones[-1]:,.0f} and {twos[-1]:,.0f} evaluations an hour, "
            f"{twos[-1] / ones[-1]:.2f}×",
            flush=True,
        )
    ratio = median(two / one for one, two in zip(ones, twos, strict=True))
    print(
        f"median of {arguments.pairs} pairs: {median(ones):,.0f} with one worker, "
        f"{median(twos):,.0f} with two, {ratio:.2f}× (bar {BAR}×)"
    )


if __name__ == "__main__":
    main()
