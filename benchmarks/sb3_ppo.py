"""Steps a second of SB3's PPO over 1,024 native environments, learning included."""

from __future__ import annotations

import warnings
from statistics import median
from time import perf_counter

import torch
from machine import describe
from stable_baselines3 import PPO

from nats_gym.agents import PPO_SETTINGS
from nats_gym.envs import make_sb3

NUM_ENVS, ROLLOUTS, ROUNDS = 1024, 6, 3


def main() -> None:
    warnings.simplefilter("ignore")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        rates = []
        for seed in range(ROUNDS):
            env = make_sb3("NATS-TSS-cifar10-v0", num_envs=NUM_ENVS, seed=seed)
            model = PPO("MlpPolicy", env, device="cpu", seed=seed, **PPO_SETTINGS)
            steps = NUM_ENVS * PPO_SETTINGS["n_steps"]
            model.learn(steps)  # a first rollout to warm up
            start = perf_counter()
            model.learn(steps * ROLLOUTS)
            rates.append(steps * ROLLOUTS / (perf_counter() - start))
        print(
            f"SB3 PPO, {NUM_ENVS} environments, {threads} torch thread(s): "
            f"{median(rates) / 1e3:.0f} k steps/s, median of {ROUNDS}, {describe()}"
        )


if __name__ == "__main__":
    main()
