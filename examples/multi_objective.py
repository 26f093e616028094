"""A sweep of weights over two objectives, and how much of the Pareto front it finds.

python examples/multi_objective.py [steps a weight]
"""

import sys

from nats_gym.extras import require  # nats_gym registers the environments

require("mo_gymnasium", "examples/multi_objective.py")

import mo_gymnasium as mo_gym
import numpy as np
import torch
from mo_gymnasium.wrappers import LinearReward
from stable_baselines3 import PPO

torch.set_num_threads(1)
WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)  # of FLOPs beside accuracy


def greedy(weight: float, steps: int) -> tuple[np.ndarray, dict]:
    """Return and info of the architecture that PPO ends up with."""
    env = LinearReward(mo_gym.make("mo-NATS-TSS-cifar10-v0"), weight=np.array([1.0, weight]))
    model = PPO(
        "MlpPolicy", env, n_steps=480, batch_size=480, n_epochs=8, learning_rate=3e-3,
        gamma=1.0, seed=0, device="cpu",
    )  # fmt: skip
    model.learn(steps)
    observation, terminated = env.reset(seed=0)[0], False
    while not terminated:
        action, _ = model.predict(observation, deterministic=True)
        observation, _, terminated, _, info = env.step(action)
    return info["vector_reward"], info


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 15_000
    inner = mo_gym.make("mo-NATS-TSS-cifar10-v0").unwrapped
    front = np.array(inner.pareto_front())
    found = []
    for weight in WEIGHTS:
        point, info = greedy(weight, steps)
        found.append(point)
        print(f"weight {weight:<4}: {info['accuracy']:.2f} %, {info['flops']:6.1f} MFLOPs")
    share = inner.hypervolume(found) / inner.hypervolume(front)
    print(f"{len(front)} architectures on the front; the sweep has {share:.1%} of its hypervolume")
