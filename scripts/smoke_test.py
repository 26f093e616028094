"""Try an installed nats-gym as its first user does.

Run it by the interpreter that has it, in an empty folder:

    cd EMPTY && VENV/bin/python -I CHECKOUT/scripts/smoke_test.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

os.environ["NATS_GYM_HOME"] = str(Path.cwd() / "home")  # no archive of this machine's answers

import gymnasium as gym
from PIL import Image

import nats_gym
from nats_gym.registration import ENVIRONMENTS, TABULAR, TASK_ENVIRONMENTS, family_of

#: One of each family and space, and one that trains.
EVERY = {**ENVIRONMENTS, **TASK_ENVIRONMENTS}
IDS = (
    *{(family_of(env_id), EVERY[env_id]["space"]): env_id for env_id in reversed(EVERY)}.values(),
    next(env_id for env_id in ENVIRONMENTS if env_id not in TABULAR),
)
STUDY = """
runs = 20
[[searches]]
space = "tss"
datasets = ["cifar10"]
epochs = 12
[agents]
random = {}
rea = {}
"""
COMMANDS = (
    "--version",
    "envs",
    "show tss 6111",
    "search --space tss --dataset cifar10 --agent reinforce --epochs 12 --runs 100",
    "train sss 0 --dataset digits --epochs 1 --out net",
    "predict net picture.png",
    "study study.toml --out study",
    "report study",
)


def play(env_id: str) -> None:
    """Play an episode with random actions."""
    env = gym.make(env_id)
    env.reset(seed=0)
    env.action_space.seed(0)
    ended = False
    while not ended:
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        ended = terminated or truncated
    env.close()


def main() -> None:
    """Raise at the first thing that does not work."""
    where = Path(nats_gym.__file__)
    assert where.is_relative_to(sys.prefix), f"{where} is not what was installed"
    for env_id in IDS:
        play(env_id)
    result = nats_gym.search("sss", "cifar10", "rea", budget=150_000, runs=100)
    assert result.full_schedule_accuracy().mean() > 90.0
    Path("study.toml").write_text(STUDY)
    Image.new("L", (28, 28)).save("picture.png")
    for arguments in COMMANDS:
        command = [Path(sys.prefix, "bin", "nats-gym"), *arguments.split()]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    print(f"nats-gym {nats_gym.__version__}: {len(IDS)} environments, {len(COMMANDS)} commands")


if __name__ == "__main__":
    main()
