"""Steps a second of every environment, scalar and native, and of Stable-Baselines3's PPO on them.

python benchmarks/envs.py
"""

from __future__ import annotations

import warnings
from statistics import median
from time import perf_counter
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv

from nats_gym.agents import PPO_SETTINGS
from nats_gym.envs import make_sb3
from nats_gym.machine import describe
from nats_gym.registration import BENCHMARKS

STEPS, ROUNDS = 30_000, 5
NUM_ENVS, VECTOR_STEPS = 1024, 240
#: Steps a second that a family promises: scalar and unwrapped, and native.
BARS: dict[str, tuple[float | None, float | None]] = {
    "{}-v0": (400e3, 15e6),
    "{}-Budgeted-v0": (400e3, 8e6),
    "{}-Edit-v0": (None, 5e6),
    "{}-OneShot-v0": (None, None),
    "mo-{}-v0": (None, None),
}
#: Likewise where a benchmark promises another figure than its family.
OWN_BARS: dict[str, tuple[float | None, float | None]] = {
    "NASBench101-cifar10-v0": (None, 3e6),
    "NASBench101-cifar10-Budgeted-v0": (None, None),
    "NASBench101-cifar10-Edit-v0": (None, None),
}
MODES = (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)
PPO_BAR, ROLLOUTS, PAIRS = 2.5, 4, 3


def scalar_rate(env: gym.Env[Any, Any], actions: list[Any]) -> float:
    """Play ``actions``, resetting where an episode ends."""
    env.reset(seed=0)
    start = perf_counter()
    for action in actions:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    return len(actions) / (perf_counter() - start)


def vector_rate(env_id: str, mode: AutoresetMode, obedient: bool = False, **options: Any) -> float:
    """All copies together; ``obedient`` replays actions that masks admitted in a first run."""
    envs = gym.make_vec(env_id, num_envs=NUM_ENVS, autoreset_mode=mode, **options)
    envs.action_space.seed(0)
    rng = np.random.default_rng(0)
    actions = []
    _, infos = envs.reset(seed=0)
    for _ in range(VECTOR_STEPS):
        if obedient:
            masks = infos["action_mask"]
            actions.append((rng.random(masks.shape) * masks).argmax(axis=1))
            infos = envs.step(actions[-1])[4]
        else:
            actions.append(envs.action_space.sample())
    rates = []
    for _ in range(ROUNDS):
        envs.reset(seed=0)
        start = perf_counter()
        for action in actions:
            envs.step(action)
        rates.append(NUM_ENVS * VECTOR_STEPS / (perf_counter() - start))
    return median(rates)


def ppo_rate(env: Any, batch_size: int) -> float:
    """Steps a second of PPO, rollouts and updates, after a first rollout to warm up."""
    settings = {**PPO_SETTINGS, "n_steps": 24, "n_epochs": 4, "batch_size": batch_size}
    model = PPO("MlpPolicy", env, device="cpu", seed=0, **settings)
    steps = env.num_envs * 24
    model.learn(steps)
    start = perf_counter()
    model.learn(steps * ROLLOUTS)
    return steps * ROLLOUTS / (perf_counter() - start)


def said(rate: float, bar: float | None) -> str:
    """A rate, and whether it meets its bar."""
    shown = f"{rate / 1e6:6.1f} M/s" if rate >= 1e6 else f"{rate / 1e3:6.0f} k/s"
    if bar is None:
        return shown
    return f"{shown} ({'meets' if rate >= bar else 'MISSES'} {bar / 1e6:g} M/s)"


def show_scalar(env_id: str, bar: float | None) -> None:
    """Print the rates of one environment, unwrapped and as made."""
    env = gym.make(env_id)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(STEPS)]
    plain, made = (
        median(scalar_rate(one, actions) for _ in range(ROUNDS)) for one in (env.unwrapped, env)
    )
    print(f"  scalar unwrapped {said(plain, bar)}, as made {said(made, None)}", flush=True)


def show_native(what: str, env_id: str, bar: float | None, **options: Any) -> None:
    """Print the rates of native copies in both autoreset modes."""
    rates = (f"{m.name} {said(vector_rate(env_id, m, **options), bar)}" for m in MODES)
    print(f"  {NUM_ENVS} native, {what}: {', '.join(rates)}", flush=True)


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(f"medians of {ROUNDS}; {describe()}")
    benchmarks = [name for name, (_, dataset) in BENCHMARKS.items() if dataset == "cifar10"]
    for family, bars in BARS.items():
        for env_id in map(family.format, benchmarks):
            scalar_bar, vector_bar = OWN_BARS.get(env_id, bars)
            print(env_id)
            if not family.startswith("mo-"):
                show_scalar(env_id, scalar_bar)
            if family == "{}-Edit-v0":
                show_native("masks obeyed", env_id, vector_bar, obedient=True)
            else:
                show_native("random actions", env_id, vector_bar)
    for what, env_id, options in (
        ("random actions", "NATS-TSS-cifar10-Edit-v0", {}),
        ("random actions", "NATS-SSS-cifar10-Edit-v0", {}),
        ("max_flops=60", "NATS-TSS-cifar10-v0", {"max_flops": 60.0}),
        ("workers=4", "NATS-TSS-cifar10-Budgeted-v0", {"workers": 4}),
    ):
        print(env_id)
        show_native(what, env_id, None, **options)
    # A rollout of 64 copies is one batch of 1,536. At that batch the learner is most of the time
    # of both, so more than about 2× cannot be had there.
    native: dict[int, list[float]] = {4096: [], 1536: []}
    looped = []
    for _ in range(PAIRS):
        for batch_size, rates in native.items():
            rates.append(ppo_rate(make_sb3("NATS-TSS-cifar10-v0", NUM_ENVS), batch_size))
        theirs = make_vec_env("NATS-TSS-cifar10-v0", 64, vec_env_cls=DummyVecEnv)
        looped.append(ppo_rate(theirs, 1536))
    print(f"SB3 PPO, DummyVecEnv of 64, batch 1536: {said(median(looped), None)}")
    for batch_size, bar in ((4096, PPO_BAR), (1536, None)):
        rates = native[batch_size]
        ratio = median(a / b for a, b in zip(rates, looped, strict=True))
        verdict = "" if bar is None else f" ({'meets' if ratio >= bar else 'MISSES'} {bar}×)"
        print(
            f"SB3 PPO, {NUM_ENVS} native copies, batch {batch_size}: "
            f"{said(median(rates), None)}: {ratio:.2f}×{verdict}"
        )


if __name__ == "__main__":
    main()
