"""An animated picture of an episode of each environment family, as the environments draw it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nats_gym.registration import TASK_FAMILIES

#: Milliseconds that a step is seen, and the last one of an episode.
STEP, LAST = 600, 1800
#: Where it is not the topology space: what is played, and the environment's options. A budget
#: holds a few networks.
PLAYED: dict[str, tuple[str, dict[str, Any]]] = {
    "{}-Budgeted-v0": ("NATS-SSS-cifar10", {"time_budget": 3_000.0}),
    "{}-Edit-v0": ("NATS-TSS-cifar10", {"horizon": 12}),
    "mo-{}-v0": ("NATS-SSS-cifar10", {}),
    "{}-Tasks-Budgeted-v0": ("NATS-SSS", {"time_budget": 3_000.0}),
}
#: Steps that are seen of an episode at most.
MOST_STEPS = 60
EPISODES = {"{}-v0": 3, "{}-OneShot-v0": 8, "mo-{}-v0": 3, "{}-Tasks-v0": 3}


def frames(family: str) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Every state of episodes of a family, seeded at random, and how long each is seen."""
    usual = "NATS-TSS" if family in TASK_FAMILIES else "NATS-TSS-cifar10"
    name, options = PLAYED.get(family, (usual, {}))
    env: Any = gym.make(family.format(name), render_mode="rgb_array", **options)
    env.action_space.seed(5)
    for episode in range(EPISODES.get(family, 1)):
        env.reset(seed=episode)
        yield env.render(), STEP
        for _ in range(MOST_STEPS):
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            ended = terminated or truncated
            yield env.render(), LAST if ended else STEP
            if ended:
                break
    env.close()


def write_episode(family: str, path: Path) -> None:
    """Write the animated picture of a family, as WebP."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that figures are estimates is in the picture
        drawn, times = zip(*frames(family), strict=True)
    first, *others = (Image.fromarray(frame) for frame in drawn)
    options = {"duration": [*times], "loop": 0, "quality": 60, "method": 4}
    first.save(path, save_all=True, append_images=others, **options)
