"""Every argument of every public function is checked where it enters.

Each is given what nobody should give. It is refused by an exception of the project, in one line,
or taken because it makes sense: nothing else may come of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from hostile import attack

from nats_gym import envs
from nats_gym.errors import InvalidInput

IDS = [
    *("NATS-TSS-cifar10-v0", "NATS-SSS-cifar10-Budgeted-v0", "NATS-TSS-cifar10-OneShot-v0"),
    *("NATS-SSS-cifar10-Edit-v0", "mo-NATS-TSS-cifar10-v0"),
]
SHARED = [
    *("epochs", "trial", "source", "reward", "penalty", "max_params", "max_flops", "max_latency"),
    *("evaluator", "report_test"),
]
OWN = {
    "NATS-SSS-cifar10-Budgeted-v0": ["time_budget", "workers", "fidelity_action"],
    "NATS-SSS-cifar10-Edit-v0": ["time_budget", "horizon"],
    "mo-NATS-TSS-cifar10-v0": ["objectives"],
}


@pytest.mark.parametrize("env_id", IDS)
def test_options_of_environments(env_id: str) -> None:
    for option in [*(SHARED if env_id == IDS[0] else ()), *OWN.get(env_id, ())]:
        attack(lambda value, option=option: gym.make(env_id, **{option: value}))  # type: ignore[misc]


def test_spaces_and_datasets_of_environments() -> None:
    for made in (envs.ConstructionEnv, envs.BudgetedEnv, envs.EditVectorEnv):
        attack(lambda value, made=made: made(space=value, dataset="cifar10"))  # type: ignore[misc]
        attack(lambda value, made=made: made(space="tss", dataset=value))  # type: ignore[misc]
    attack(lambda value: envs.OneShotEnv("tss", "cifar10", render_mode=value))
    attack(lambda value: envs.BudgetedEnv("tss", "cifar10", fidelity_action=True, epochs=value))
    attack(lambda value: envs.ConstructionEnv("tss", "cifar10", unknown=value))


@pytest.mark.parametrize("env_id", IDS)
def test_resets_and_actions(env_id: str) -> None:
    env: Any = gym.make(env_id).unwrapped
    attack(lambda value: env.reset(seed=value))
    attack(lambda value: env.reset(options=value))
    for option in ("trial", "start", "unknown"):
        attack(lambda value, option=option: env.reset(options={option: value}))  # type: ignore[misc]

    def act(value: Any) -> None:
        env.reset(seed=0)
        env.step(value)

    attack(act)


@pytest.mark.parametrize("env_id", IDS)
def test_vectors(env_id: str) -> None:
    make: Callable[..., Any] = gym.make_vec(env_id, num_envs=2).unwrapped.__class__
    options = {"space": "tss", "dataset": "cifar10"}
    attack(lambda value: make(num_envs=value, **options))
    attack(lambda value: make(num_envs=2, autoreset_mode=value, **options))
    attack(lambda value: make(num_envs=2, render_mode=value, **options))
    env = make(num_envs=2, **options)
    attack(lambda value: env.reset(seed=value))
    attack(lambda value: env.reset(seed=[value, 1]))
    attack(lambda value: env.reset(options=value))
    for option in ("trial", "start", "reset_mask", "unknown"):
        attack(lambda value, option=option: env.reset(options={option: value}))  # type: ignore[misc]
    env.reset(seed=0)
    attack(lambda value: env.step(value), None, ResetNeeded)
    attack(lambda value: env.step([value, 0]), None, ResetNeeded)


def test_what_environments_are_asked() -> None:
    env: Any = gym.make("mo-NATS-TSS-cifar10-v0").unwrapped
    for ask in (env.encode, env.decode, env.regret, env.rank, env.optimum, env.figure):
        attack(ask)
    attack(lambda value: env.regret(0, value))
    attack(env.pareto_front)
    attack(env.hypervolume)
    attack(lambda value: env.hypervolume([[0.5, -0.5]], value))


def test_wrappers() -> None:
    for wrapper in (
        *(envs.DictObservation, envs.MultiDiscreteObservation, envs.GraphObservation),
        *(envs.DictVectorObservation, envs.MultiDiscreteVectorObservation),
    ):
        assert attack(wrapper) == 0


def test_sb3() -> None:
    sb3 = pytest.importorskip("nats_gym.envs.sb3")
    assert attack(sb3.SB3VecEnv) == 0
    assert attack(sb3.make_sb3) == 0
    attack(lambda value: sb3.make_sb3(IDS[0], num_envs=value))
    attack(lambda value: sb3.make_sb3(IDS[0], num_envs=2, seed=value))


def test_a_masked_start_is_none() -> None:
    env = gym.make("NATS-TSS-cifar10-v0")
    with pytest.raises(InvalidInput, match=r"^a start is a list of fewer than 6 choices"):
        env.reset(options={"start": np.ma.masked})
