"""Milliseconds a frame of the environments' pictures, over the frames of real episodes."""

from __future__ import annotations

import warnings
from statistics import median
from time import perf_counter

import gymnasium as gym

import nats_gym  # noqa: F401 - registers the environments
from nats_gym.machine import describe

FRAMES = 300
IDS = tuple(
    f"NATS-{space}-cifar10{family}-v0"
    for space in ("TSS", "SSS")
    for family in ("", "-Budgeted", "-Edit")
)


def milliseconds(env_id: str) -> list[float]:
    """How long each frame of random episodes took, ascending; the first fills the caches."""
    env = gym.make(env_id, render_mode="rgb_array")
    env.action_space.seed(0)
    env.reset(seed=0)
    taken = []
    for _ in range(FRAMES + 1):
        start = perf_counter()
        env.render()
        taken.append(1e3 * (perf_counter() - start))
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()
    return [taken[0], *sorted(taken[1:])]


def main() -> None:
    warnings.simplefilter("ignore")
    print(f"frames of 640×480, {FRAMES} each, {describe()}")
    for env_id in IDS:
        first, *others = milliseconds(env_id)
        late = others[int(0.95 * len(others))]
        print(
            f"  {env_id:<30} median {median(others):5.2f} ms  95 % within {late:5.2f} ms  "
            f"first {first:5.1f} ms"
        )


if __name__ == "__main__":
    main()
