"""BOHB's two densities, and Random, at a budget that leaves BOHB a model.

At the paper's budget on the embedded rungs, 12 and 200 epochs, a run makes about 22 evaluations and
hardly ever has one: this gives ten times as much.

    python benchmarks/bohb.py [--runs 500]
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np

import nats_gym
from nats_gym import machine
from nats_gym.datasets import DATASETS
from nats_gym.simulation.clock import default_budget

TIMES = 10


def main() -> None:
    """Print the full-schedule accuracy of each answer, mean over runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    runs = parser.parse_args().runs
    warnings.simplefilter("ignore", nats_gym.errors.SurrogateWarning)
    print(machine.describe())
    agents: dict[str, dict[str, Any]] = {
        "hpbandster": {"agent": "bohb"},
        "normalised": {"agent": "bohb", "options": {"density": "normalised"}},
        "random": {"agent": "random"},
    }
    for dataset in DATASETS:
        for times in (1, TIMES):
            budget = times * default_budget("tss", dataset, 12)
            print(f"{dataset}, {budget:,.0f} s", end="")
            for name, arguments in agents.items():
                found = nats_gym.search(
                    "tss", dataset, epochs=12, budget=budget, runs=runs, **arguments
                )
                accuracy = found.full_schedule_accuracy()
                error = accuracy.std() / np.sqrt(runs)
                print(
                    f"  {name} {accuracy.mean():.2f} ± {error:.2f} "
                    f"({found.evaluations.mean():.0f} evaluations)",
                    end="",
                )
            print()


if __name__ == "__main__":
    main()
