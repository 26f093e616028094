"""Train the controllers that ship with the package: one for each data set left out, and one of all.

    python scripts/train_controllers.py nats_gym/data/controllers
    python scripts/train_controllers.py results/seed-1 --seed 1 --leave-out ImageNet16-120

Topology space, whole searches as episodes, by the measured accuracies of the full schedule: the
12-epoch ones that ship are estimates of a model that reads all three data sets' figures. Each
becomes a folder of the given one; what is there already stays, so that the same command goes on.
The same seed on the same machine gives the same files.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from time import process_time

import torch
from stable_baselines3 import PPO

from nats_gym.agents import META_PPO_SETTINGS
from nats_gym.agents.controller import CARD, save_controller
from nats_gym.datasets import DATASETS
from nats_gym.envs import make_sb3

SPACE, EVALUATIONS, COPIES, STEPS = "tss", 30, 256, 500_000
#: More entropy than elsewhere: in ten evaluations of one's own few should be the same again.
SETTINGS = {**META_PPO_SETTINGS, "ent_coef": 0.01}


def train(folder: Path, left_out: list[str], seed: int, steps: int) -> None:
    """Train on all data sets but some, and keep what came of it."""
    if (folder / CARD).exists():
        return
    env = make_sb3(
        *(f"NATS-{SPACE.upper()}-Tasks-Budgeted-v0", COPIES),
        seed=seed,
        tasks={"leave_out": left_out},
        max_evaluations=EVALUATIONS,
        reward="accuracy",
        observe_history=True,
    )
    model = PPO("MlpPolicy", env, seed=seed, device="cpu", **SETTINGS).learn(steps)
    card = save_controller(folder, model)
    print(f"{folder}: {', '.join(card.tasks)}; {process_time():.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--leave-out", choices=DATASETS, help="train that one alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for dataset in [given.leave_out] if given.leave_out else [None, *DATASETS]:
        name = f"{SPACE}-without-{dataset}" if dataset else f"{SPACE}-all"
        train(given.folder / name, [dataset] if dataset else [], given.seed, given.steps)


if __name__ == "__main__":
    main()
