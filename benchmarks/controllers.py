"""What the controllers that ship bring on the data set that each was not trained on.

Topology space, searches of 12 epochs: mean regret of the answers, points of measured full-schedule
validation accuracy, after 1, 10 and 30 evaluations; how many architectures those are, and how often
the first of ``transfer`` is the answer, which knows the same data sets. Further folders of
``scripts/train_controllers.py``, of other seeds, are rows of their own:

    python benchmarks/controllers.py results/seed-1 results/seed-2
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import nats_gym
from nats_gym.datasets import DATASETS
from nats_gym.machine import describe
from nats_gym.study.curves import regret_curve

SPACE, AFTER = "tss", (1, 10, 30)
RUNS = {"controller": 20, "random": 500, "reinforce": 500, "transfer": 500}


def main() -> None:
    """Search, and print a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="*", help="of controllers trained besides")
    folders = parser.parse_args().folders
    warnings.simplefilter("ignore")
    print(describe())
    for dataset in DATASETS:
        after = " | ".join(f"{count}" for count in AFTER)
        print(f"\n| {dataset} | runs | {after} | architectures | answers of transfer |")
        print(f"|---|{'--:|' * (len(AFTER) + 3)}")
        given: dict[str, Any] = {"epochs": 12, "evaluations": AFTER[-1]}
        first = nats_gym.search(SPACE, dataset, "transfer", epochs=12, evaluations=1).index[0, 0]
        trained = [folder / f"{SPACE}-without-{dataset}" for folder in folders]
        for agent in (*RUNS, *(str(folder) for folder in trained if folder.exists())):
            runs = RUNS.get(agent, RUNS["controller"])
            found = nats_gym.search(SPACE, dataset, agent, runs=runs, **given)
            regret = regret_curve(found)[:, np.array(AFTER) - 1].mean(axis=0)
            told = " | ".join(f"{one:.2f}" for one in regret)
            asked = np.mean([len(set(run)) for run in found.index.tolist()])
            alike = (found.recommended == first).mean()
            print(f"| {agent} | {runs} | {told} | {asked:.1f} | {alike:.0%} |", flush=True)


if __name__ == "__main__":
    main()
