"""An agent that learns to search: whole budgeted searches are its episodes.

It sees the time left and the best accuracy so far, and is rewarded with what it adds to it; so it
learns, over many searches with other trials drawn, what a good search looks like.

python examples/meta_rl.py [steps]
"""

import sys

import numpy as np
import torch
from stable_baselines3 import PPO

from nats_gym.envs import make_sb3

torch.set_num_threads(1)
OPTIONS = {"epochs": 12, "time_budget": 2000.0}  # about ten evaluations a search
ENV_ID = "NATS-TSS-cifar10-Budgeted-v0"
RNG = np.random.default_rng(0)  # of random search


def incumbents(choose, searches: int = 512) -> np.ndarray:
    """Best accuracy observed by each of many searches, percent."""
    env = make_sb3(ENV_ID, num_envs=searches, seed=10_000, **OPTIONS)
    observations, found = env.reset(), np.full(searches, np.nan)
    while np.isnan(found).any():
        observations, _, dones, infos = env.step(choose(env, observations))
        for i in np.flatnonzero(dones & np.isnan(found)):
            found[i] = infos[i]["incumbent_accuracy"]
    return found


def at_random(env, observations):
    return RNG.integers(env.action_space.n, size=env.num_envs)


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 1_500_000
    env = make_sb3(ENV_ID, num_envs=512, seed=0, **OPTIONS)
    model = PPO(
        "MlpPolicy", env, n_steps=60, batch_size=4096, n_epochs=4, learning_rate=1e-3,
        gamma=1.0, ent_coef=0.003, seed=0, device="cpu",
    )  # fmt: skip
    model.learn(steps)
    learned = incumbents(lambda env, observations: model.predict(observations)[0])
    random = incumbents(at_random)
    print(f"random search:  best of {OPTIONS['time_budget']:g} s {random.mean():.2f} % on average")
    print(f"learned search: best of {OPTIONS['time_budget']:g} s {learned.mean():.2f} % on average")
