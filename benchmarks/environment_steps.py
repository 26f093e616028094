"""Steps a second of the environments: scalar, unwrapped and as made, and 1,024 native ones."""

from __future__ import annotations

import warnings
from statistics import median
from time import perf_counter
from typing import Any

import gymnasium as gym
from machine import describe

import nats_gym  # noqa: F401 - registers the environments

STEPS, ROUNDS = 60_000, 7
NUM_ENVS, VECTOR_STEPS = 1024, 300
IDS = (
    "NATS-TSS-cifar10-v0",
    "NATS-TSS-cifar10-Budgeted-v0",
    "NATS-SSS-cifar10-v0",
    "NATS-SSS-cifar10-Budgeted-v0",
)


def steps_per_second(env: gym.Env[Any, Any], actions: list[int]) -> float:
    """Play ``actions``, resetting where an episode ends."""
    env.reset(seed=0)
    start = perf_counter()
    for action in actions:
        if env.step(action)[2]:
            env.reset()
    return len(actions) / (perf_counter() - start)


def vector_steps_per_second(env_id: str) -> float:
    """Steps a second of :data:`NUM_ENVS` native environments, all together."""
    envs = gym.make_vec(env_id, num_envs=NUM_ENVS)
    envs.reset(seed=0)
    envs.action_space.seed(0)
    actions = [envs.action_space.sample() for _ in range(VECTOR_STEPS)]
    start = perf_counter()
    for action in actions:
        envs.step(action)
    return NUM_ENVS * VECTOR_STEPS / (perf_counter() - start)


def main() -> None:
    warnings.simplefilter("ignore")
    print(f"environment steps, median of {ROUNDS}, {describe()}")
    for env_id in IDS:
        env = gym.make(env_id)
        env.action_space.seed(0)
        actions = [int(env.action_space.sample()) for _ in range(STEPS)]
        rates = {"unwrapped": env.unwrapped, "as made": env}
        shown = (
            f"{median(steps_per_second(e, actions) for _ in range(ROUNDS)) / 1e3:7.0f} k/s {name}"
            for name, e in rates.items()
        )
        vector = median(vector_steps_per_second(env_id) for _ in range(ROUNDS)) / 1e6
        print(f"  {env_id:<30} {'  '.join(shown)}  {vector:5.1f} M/s {NUM_ENVS} native")


if __name__ == "__main__":
    main()
