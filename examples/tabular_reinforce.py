"""REINFORCE in twenty lines: a table of logits, 256 architectures an update."""

import sys

import gymnasium as gym
import numpy as np

import nats_gym  # noqa: F401 - registers the environments

envs = gym.make_vec("NATS-TSS-cifar10-OneShot-v0", num_envs=256)
n, k = envs.single_action_space.shape[0], envs.single_action_space.nvec[0]
logits, baseline, rng = np.zeros((n, k)), 0.0, np.random.default_rng(0)
envs.reset(seed=0)
for update in range(int(sys.argv[1]) if len(sys.argv) > 1 else 500):
    policy = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    actions = (rng.random((256, n, 1)) > policy.cumsum(axis=1)).sum(axis=2).clip(max=k - 1)
    rewards = envs.step(actions)[1]
    envs.step(actions)  # resets all: their episodes are one step long
    advantage = (rewards - baseline) / (rewards.std() + 1e-8)
    taken = np.eye(k)[actions]  # (256, n, k)
    logits += 0.1 * ((taken - policy) * advantage[:, None, None]).mean(axis=0)
    baseline += 0.1 * (rewards.mean() - baseline)
    if update % 100 == 0:
        print(f"update {update}: mean reward {rewards.mean():.4f}")
index = int(envs.unwrapped.shared.architecture_space.index(logits.argmax(axis=1)))
print(f"greedy: {index}, {envs.unwrapped.shared.regret(index):.2f} points from the best")
