"""MaskablePPO under a limit of FLOPs, or of any figure: it never builds what exceeds it.

python examples/maskable_ppo.py [steps] [figure] [limit]
python examples/maskable_ppo.py 400000 latency/raspi4 25
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


class Costs(BaseCallback):
    """Keeps by how much each architecture exceeded the limit."""

    def __init__(self) -> None:
        super().__init__()
        self.costs: list[float] = []

    def _on_step(self) -> bool:
        self.costs += [info["cost"] for info in self.locals["infos"] if "cost" in info]
        return True


if __name__ == "__main__":
    figure = sys.argv[2] if len(sys.argv) > 2 else "flops"
    try:
        steps = int(sys.argv[1]) if len(sys.argv) > 1 else 400_000
        limit = float(sys.argv[3]) if len(sys.argv) > 3 else 60.0  # of FLOPs in millions
        env = make_sb3("NATS-TSS-cifar10-v0", num_envs=512, seed=0, limits={figure: limit})
    except ValueError as error:  # no number, no such figure, or nothing within the limit
        sys.exit(f"maskable_ppo.py: {error}")
    model = MaskablePPO("MlpPolicy", env, seed=0, device="cpu", **PPO_SETTINGS)
    costs = Costs()
    model.learn(steps, callback=costs)
    above = np.count_nonzero(costs.costs)
    print(f"{len(costs.costs):,} architectures, {above} above {limit:g} of {figure}")

    observations, done = env.reset(), False
    while not done:
        masks = np.array(env.env_method("action_masks"))
        actions, _ = model.predict(observations, action_masks=masks, deterministic=True)
        observations, _, (done, *_), infos = env.step(actions)
    inner, index = env.venv.shared, infos[0]["index"]
    values, accuracy = inner.figure(figure), inner.figure("accuracy")
    print(f"greedy: {infos[0]['arch']}, {values[index]:.1f}, {accuracy[index]:.2f} %")
    print(f"the best within the limit has {np.where(values <= limit, accuracy, 0).max():.2f} %")
