"""Train Stable-Baselines3's PPO to design networks, and see how near the best it gets.

python examples/train_ppo.py [tss|sss] [seeds] [steps]
"""

import sys
import time

import torch
from stable_baselines3 import PPO

from nats_gym.agents import PPO_SETTINGS
from nats_gym.envs import make_sb3

torch.set_num_threads(1)  # the network is small: more threads slow each other down


def train(env_id: str, seed: int, steps: int) -> tuple[float, dict]:
    """Seconds of training, and the info of the greedy architecture, judged by the table."""
    env = make_sb3(env_id, num_envs=1024, seed=seed)  # trials drawn at random
    started = time.perf_counter()
    model = PPO("MlpPolicy", env, seed=seed, device="cpu", **PPO_SETTINGS).learn(steps)
    seconds = time.perf_counter() - started
    observations, done = env.reset(), False
    while not done:
        actions, _ = model.predict(observations, deterministic=True)
        observations, _, dones, infos = env.step(actions)
        done = dones[0]
    inner, info = env.venv.shared, infos[0]
    info["mean"], info["best"] = inner.figure("accuracy")[[info["index"], inner.optimum()]]
    return seconds, info


if __name__ == "__main__":
    space, seeds, steps = [*sys.argv[1:], *["tss", "5", "1000000"][len(sys.argv) - 1 :]]
    env_id = f"NATS-{space.upper()}-cifar10-v0"
    gaps = []
    for seed in range(int(seeds)):
        seconds, info = train(env_id, seed, int(steps))
        gaps.append(info["best"] - info["mean"])
        print(f"seed {seed}: {seconds:4.1f} s, {info['arch']}: ", end="")
        print(f"{info['mean']:.2f} %, the best {info['best']:.2f} %")
    print(f"{env_id}: {sum(gaps) / len(gaps):.3f} points from the best on average", end=" ")
    print(f"({info['provenance']} figures)")
