"""Seconds of 500 runs of the batched agents at the paper's budgets."""

from __future__ import annotations

from statistics import median
from time import perf_counter

import nats_gym
from nats_gym.machine import describe

RUNS, ROUNDS = 500, 5
AGENTS = ("random", "reinforce", "rea", "local-search", "bandit", "largest")


def main() -> None:
    print(f"search, {RUNS} runs at the paper's budget, median of {ROUNDS}, {describe()}")
    for space, epochs in (("tss", 12), ("sss", 90)):
        for dataset in ("cifar10", "cifar100", "ImageNet16-120"):
            for agent in AGENTS:
                times = []
                for _ in range(ROUNDS):
                    start = perf_counter()
                    result = nats_gym.search(space, dataset, agent, epochs=epochs, runs=RUNS)
                    times.append(perf_counter() - start)
                valid = result.full_schedule_accuracy()
                print(
                    f"  {space} {dataset:<15} {agent:<12} {median(times):6.2f} s   "
                    f"{result.evaluations.mean():5.0f} evaluations a run   "
                    f"full-schedule valid {valid.mean():.2f} ± {valid.std():.2f} "
                    f"({result.provenance['full_schedule_valid_accuracy']})"
                )


if __name__ == "__main__":
    main()
