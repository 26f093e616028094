"""Train Stable-Baselines3's PPO to design a cell, on real CIFAR-10 figures.

python examples/train_ppo.py
"""

import gymnasium as gym
import torch
from stable_baselines3 import PPO

import nats_gym  # registers the environments

torch.set_num_threads(1)  # the network is small: more threads slow each other down

env = gym.make("NATS-TSS-cifar10-v0")
model = PPO("MlpPolicy", env, n_steps=240, batch_size=240, gamma=1.0, learning_rate=3e-3, seed=0)
model.learn(12_000)

observation, info = env.reset(seed=1)
terminated = False
while not terminated:
    action, _ = model.predict(observation, deterministic=True)
    observation, reward, terminated, truncated, info = env.step(action)
table = nats_gym.load_table("tss", "cifar10")
mean, (_, best) = table.mean_accuracy()[info["index"]], table.best()
print(f"{info['arch']}, 200-epoch validation accuracy ({info['provenance']}):")
print(f"  the trial drawn {info['accuracy']:.2f} %, mean over its trials {mean:.2f} %")
print(f"  the highest mean of all architectures is {best:.2f} %")
