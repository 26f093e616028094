"""TorchRL's wrapper around one environment, and around many native copies.

python examples/torchrl_gym.py [steps]
"""

import sys

from nats_gym.extras import require  # nats_gym registers the environments

require("torchrl", "examples/torchrl_gym.py")

import gymnasium as gym
import torch
from torchrl.envs import GymWrapper

torch.set_num_threads(1)
torch.manual_seed(0)

if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    one = GymWrapper(gym.make("NATS-TSS-cifar10-v0"))
    reward = one.rollout(6)["next", "reward"]  # (step, 1), of random actions
    print(f"one environment, one random architecture: reward {reward.sum():.4f}")
    # TorchRL resets by itself; NEXT_STEP, the default, it refuses.
    envs = gym.make_vec("NATS-TSS-cifar10-v0", num_envs=64, autoreset_mode="Disabled")
    many = GymWrapper(envs)
    rollout = many.rollout(steps, break_when_any_done=False)["next"]  # (copy, step)
    reward = rollout["reward"][rollout["terminated"]]
    print(f"{many.num_envs} copies: {len(reward):,} random architectures", end=", ")
    print(f"mean reward {reward.mean():.4f}, best {reward.max():.4f}")
