"""MaskablePPO under a limit of FLOPs: it never builds a network that is too large.

python examples/maskable_ppo.py [steps]
"""

import sys

from nats_gym.extras import require

require("sb3_contrib", "examples/maskable_ppo.py")

import numpy as np
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback

from nats_gym.agents import PPO_SETTINGS
from nats_gym.envs import make_sb3

torch.set_num_threads(1)
LIMIT = 60.0  # million multiply-accumulates


class Costs(BaseCallback):
    """Keeps by how much each architecture exceeded the limit."""

    def __init__(self) -> None:
        super().__init__()
        self.costs: list[float] = []

    def _on_step(self) -> bool:
        self.costs += [info["cost"] for info in self.locals["infos"] if "cost" in info]
        return True


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 400_000
    env = make_sb3("NATS-TSS-cifar10-v0", num_envs=512, seed=0, max_flops=LIMIT)
    model = MaskablePPO("MlpPolicy", env, seed=0, device="cpu", **PPO_SETTINGS)
    costs = Costs()
    model.learn(steps, callback=costs)
    print(f"{len(costs.costs):,} architectures, {np.count_nonzero(costs.costs)} above {LIMIT:g} M")

    observations, done = env.reset(), False
    while not done:
        masks = np.array(env.env_method("action_masks"))
        actions, _ = model.predict(observations, action_masks=masks, deterministic=True)
        observations, _, dones, infos = env.step(actions)
        done = dones[0]
    inner = env.venv.shared
    flops, accuracy = inner.figure("flops"), inner.figure("accuracy")
    best = np.where(flops <= LIMIT, accuracy, 0).max()
    index = infos[0]["index"]
    print(f"greedy: {infos[0]['arch']}, {flops[index]:.1f} MFLOPs, {accuracy[index]:.2f} %")
    print(f"the best within the limit has {best:.2f} %")
