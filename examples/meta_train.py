"""A controller that learns to search over tasks, and searches one that it never saw.

It is trained on two data sets, with no limit and under limits on most devices; the third data set
and three devices are left out. What it learned is kept in a folder, whose name searches.

python examples/meta_train.py [steps [folder]]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from stable_baselines3 import PPO

import nats_gym
from nats_gym.agents import META_PPO_SETTINGS
from nats_gym.agents.controller import save_controller
from nats_gym.envs import make_sb3

torch.set_num_threads(1)
ENV_ID, EVALUATIONS = "NATS-TSS-Tasks-Budgeted-v0", 10
LEFT_OUT = ["ImageNet16-120", "latency/raspi4", "latency/fpga", "latency/pixel3"]
TASKS = {"limits": [None, "devices"], "leave_out": LEFT_OUT}
OPTIONS = {
    "epochs": 12, "max_evaluations": EVALUATIONS, "penalty": 0.1,
    "observe_task": True, "observe_history": True,
}  # fmt: skip


def best_found(choose, side: str, searches: int = 128) -> float:
    """Mean of the best accuracy within the limits that searches of a side's tasks observe."""
    env = make_sb3(ENV_ID, searches, seed=10_000, tasks=TASKS, side=side, **OPTIONS)
    observations, found = env.reset(), np.full(searches, np.nan)
    while np.isnan(found).any():
        observations, _, dones, infos = env.step(choose(env, observations))
        for i in np.flatnonzero(dones & np.isnan(found)):
            found[i] = infos[i]["incumbent_accuracy"]
    return float(found.mean())


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 1_500_000
    env = make_sb3(ENV_ID, 256, seed=0, tasks=TASKS, **OPTIONS)
    model = PPO("MlpPolicy", env, seed=0, device="cpu", **META_PPO_SETTINGS).learn(steps)
    rng = np.random.default_rng(0)
    for side in ("train", "test"):
        random = best_found(lambda env, _: rng.integers(5, size=env.num_envs), side)
        learned = best_found(lambda _, observations: model.predict(observations)[0], side)
        print(f"{side} tasks: random search finds {random:.2f} %, the controller {learned:.2f} %")
    with tempfile.TemporaryDirectory() as scratch:
        folder = sys.argv[2] if len(sys.argv) > 2 else str(Path(scratch) / "controller")
        save_controller(folder, model)
        result = nats_gym.search("tss", "ImageNet16-120", folder, epochs=12, evaluations=10, runs=5)
    print(f"deployed on ImageNet16-120: regret {result.regret().mean():.2f} after 10 evaluations")
