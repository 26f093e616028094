"""Memory and file handles stay flat, however many environments come and go."""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import nats_gym  # noqa: F401 - registers the environments

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads /proc"),
]
#: What the allocator may keep besides.
MEGABYTES = 20
IDS = ("NATS-TSS-cifar10-v0", "NATS-SSS-cifar100-Budgeted-v0", "NATS-TSS-cifar10-Edit-v0")


def resident() -> float:
    """Megabytes that this process holds in memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def handles() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("vector", [False, True], ids=["scalar", "native"])
def test_twenty_thousand_environments_leave_nothing(vector: bool) -> None:
    def play(count: int) -> None:
        for number in range(count):
            env_id = IDS[number % len(IDS)]
            env: Any = gym.make_vec(env_id, num_envs=2) if vector else gym.make(env_id)
            env.reset(seed=number)
            env.step(env.action_space.sample())
            env.close()

    play(500)
    memory, files = resident(), handles()
    play(10_000)
    assert handles() == files
    assert resident() < memory + MEGABYTES


def test_a_minute_of_many_copies_leaves_nothing() -> None:
    envs = gym.make_vec("NATS-TSS-cifar10-Budgeted-v0", num_envs=8192, time_budget=2000)
    envs.reset(seed=0)
    actions = np.random.default_rng(0).integers(0, 5, (64, 8192))

    def play(seconds: float) -> int:
        end, steps = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            envs.step(actions[steps % 64])
            steps += 1
        return steps

    play(5)
    memory, files = resident(), handles()
    assert play(60) > 100
    assert handles() == files
    assert resident() < memory + MEGABYTES
    envs.close()
