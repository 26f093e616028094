"""What each of the shipped settings learns: returns per episode of a random and a trained policy.

python benchmarks/settings.py [name …]
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any

import numpy as np
import torch

import nats_gym
from nats_gym import machine
from nats_gym.agents import settings
from nats_gym.envs import make_sb3

#: Of each: environment, its options, copies, the settings, steps of training.
RUNS: dict[str, tuple[str, dict[str, Any], int, dict[str, Any], int]] = {
    "one-shot": ("NATS-TSS-cifar10-OneShot-v0", {}, 256, settings.PPO_ONE_SHOT_SETTINGS, 60_000),
    "edit": ("NATS-TSS-cifar10-Edit-v0", {}, 256, settings.PPO_EDIT_SETTINGS, 400_000),
    "budgeted": (
        *("NATS-TSS-cifar10-Budgeted-v0", {"reward": "accuracy", "epochs": 12}, 64),
        *(settings.PPO_BUDGETED_SETTINGS, 400_000),
    ),
    "recurrent": (
        *("NATS-TSS-cifar10-Budgeted-v0", {"reward": "accuracy", "epochs": 12}, 32),
        *(settings.RECURRENT_PPO_SETTINGS, 100_000),
    ),
}


def evaluate(envs: Any, model: Any, episodes: int) -> tuple[float, float, float]:
    """Mean return, mean best accuracy and mean length of episodes; a random policy for None."""
    state, returns, best, lengths = None, [], [], []
    observations = envs.reset()
    starts = np.ones(envs.num_envs, bool)
    highest = np.zeros(envs.num_envs)
    while len(returns) < episodes:
        if model is None:
            actions = np.array([envs.action_space.sample() for _ in range(envs.num_envs)])
        else:
            actions, state = model.predict(observations, state=state, episode_start=starts)
        observations, _, starts, infos = envs.step(actions)
        for i, info in enumerate(infos):
            if "accuracy" in info:
                highest[i] = max(highest[i], info["accuracy"])
            if starts[i]:
                returns.append(info["episode"]["r"])
                lengths.append(info["episode"]["l"])
                best.append(highest[i])
                highest[i] = 0.0
    return float(np.mean(returns)), float(np.mean(best)), float(np.mean(lengths))


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", nats_gym.errors.SurrogateWarning)
    print(machine.describe())
    for name in sys.argv[1:] or RUNS:
        env_id, options, copies, chosen, steps = RUNS[name]
        if name == "recurrent":
            from sb3_contrib import RecurrentPPO

            algorithm, policy = RecurrentPPO, "MlpLstmPolicy"
        else:
            from stable_baselines3 import PPO

            algorithm, policy = PPO, "MlpPolicy"
        envs = make_sb3(env_id, num_envs=copies, seed=0, **options)
        envs.action_space.seed(0)
        begun = time.perf_counter()
        model: Any = algorithm(policy, envs, seed=0, device="cpu", **chosen).learn(steps)
        seconds = time.perf_counter() - begun
        before, after = evaluate(envs, None, 200), evaluate(envs, model, 200)
        told = [
            f"{what} {one:.2f} → {two:.2f}"
            for what, one, two in zip(
                ("return", "best accuracy", "steps"), before, after, strict=True
            )
        ]
        print(f"{name}: {', '.join(told)} ({seconds:.0f} s of training)", flush=True)


if __name__ == "__main__":
    main()
