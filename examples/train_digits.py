"""Stable-Baselines3's PPO on real trainings: each episode trains a network on digits.

python examples/train_digits.py [episodes]

Trainings are kept under NATS_GYM_HOME, so a second run takes seconds.
"""

import sys
import time

import gymnasium as gym
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

import nats_gym  # noqa: F401 - registers the environments

torch.set_num_threads(1)  # the networks are small: more threads slow each other down


class Report(BaseCallback):
    """Prints every architecture that was trained."""

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "arch" in info:
                print(f"{info['arch']:<16} {info['accuracy']:5.1f} %  {info['seconds']:4.1f} s")
        return True


if __name__ == "__main__":
    episodes = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    env = gym.make("NATS-SSS-digits-v0", device="cpu")
    settings = {"n_steps": 25, "batch_size": 25, "learning_rate": 3e-3, "gamma": 1.0}
    model = PPO("MlpPolicy", env, seed=0, device="cpu", **settings)
    started = time.perf_counter()
    model.learn(5 * episodes, callback=Report())
    print(f"{episodes} episodes in {time.perf_counter() - started:.1f} s")
