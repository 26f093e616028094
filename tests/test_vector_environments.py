"""The native vector environments against Gymnasium's own, which loop over scalar ones."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from nats_gym.envs import BudgetedVectorEnv, ConstructionVectorEnv
from nats_gym.errors import InvalidInput
from nats_gym.registration import ENVIRONMENTS

MODES = list(AutoresetMode)
CASES: dict[str, dict[str, Any]] = {
    "NATS-TSS-cifar10-v0": {},
    "NATS-SSS-cifar100-v0": {"trial": "mean"},
    "NATS-TSS-ImageNet16-120-Budgeted-v0": {"epochs": 12, "time_budget": 4000.0},
    "NATS-SSS-cifar10-Budgeted-v0": {"time_budget": 2500.0, "reward": "accuracy"},
}


def assert_same(native: Any, looped: Any, path: str = "") -> None:
    """Equal to the bit, nested infos included; Gymnasium's final_obs is an array of objects."""
    if isinstance(native, dict):
        assert set(native) == set(looped), path
        for name, value in native.items():
            if name == "final_obs":
                mask = native["_final_obs"]
                assert np.array_equal(value[mask], np.stack(looped[name][mask])), path
            else:
                assert_same(value, looped[name], f"{path}/{name}")
    elif isinstance(native, tuple):
        for part, (one, two) in enumerate(zip(native, looped, strict=True)):
            assert_same(one, two, f"{path}, part {part}")
    else:
        assert np.array_equal(native, looped), path


def pair(env_id: str, num_envs: int, mode: AutoresetMode, **options: Any) -> tuple[Any, Any]:
    native = gym.make_vec(env_id, num_envs=num_envs, autoreset_mode=mode, **options)
    copies = [lambda: gym.make(env_id, disable_env_checker=True, **options)] * num_envs
    return native, SyncVectorEnv(copies, autoreset_mode=mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("env_id", CASES)
def test_bit_for_bit_what_scalar_environments_do(env_id: str, mode: AutoresetMode) -> None:
    native, looped = pair(env_id, 5, mode, **CASES[env_id])
    rng = np.random.default_rng(0)
    for seed in (3, [9, 8, 7, 6, 5]):
        assert_same(native.reset(seed=seed), looped.reset(seed=seed), "reset")
        for step in range(90):
            actions = rng.integers(native.single_action_space.n, size=5)
            results = native.step(actions), looped.step(actions)
            assert_same(*results, f"step {step}")
            if mode is AutoresetMode.DISABLED and results[0][2].any():
                masks = ({"reset_mask": results[0][2].copy()} for _ in range(2))
                starts = [
                    env.reset(options=o) for env, o in zip((native, looped), masks, strict=True)
                ]
                assert_same(*starts, f"masked reset after {step}")


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_make_vec_makes_native_ones(env_id: str) -> None:
    envs = gym.make_vec(env_id, num_envs=3)
    assert isinstance(envs.unwrapped, ConstructionVectorEnv)
    assert isinstance(envs.unwrapped, BudgetedVectorEnv) == ("Budgeted" in env_id)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    observations, infos = envs.reset(seed=0)
    assert observations in envs.observation_space
    assert infos == {}


def test_test_accuracy_of_each_ended_episode() -> None:
    options = {"report_test": True, "time_budget": 1500.0}
    native, looped = pair("NATS-SSS-cifar10-Budgeted-v0", 4, AutoresetMode.NEXT_STEP, **options)
    native.reset(seed=1), looped.reset(seed=1)
    rng = np.random.default_rng(1)
    judged = 0
    for _ in range(80):
        actions = rng.integers(8, size=4)
        mine, theirs = native.step(actions)[4], looped.step(actions)[4]
        for i in np.flatnonzero(theirs.get("_evaluation", np.zeros(4, bool))):
            judged += 1
            expected = theirs["evaluation"]["test_accuracy"][i]
            assert mine["evaluation"]["test_accuracy"][i] == expected
        assert_same(mine, theirs)
    assert judged > 3


def test_outputs_are_fresh_arrays() -> None:
    envs = gym.make_vec("NATS-TSS-cifar10-v0", num_envs=2)
    first, _ = envs.reset(seed=0)
    kept = first.copy()
    second = envs.step(np.array([1, 2]))[0]
    assert np.array_equal(first, kept)
    assert not np.shares_memory(first, second)


def test_gymnasiums_statistics_wrapper() -> None:
    envs = RecordEpisodeStatistics(gym.make_vec("NATS-TSS-cifar10-v0", num_envs=4))
    envs.reset(seed=0)
    for _ in range(6):
        _, rewards, ended, _, infos = envs.step(envs.action_space.sample())
    assert ended.all()
    assert infos["episode"]["r"] == pytest.approx(rewards)
    assert (infos["episode"]["l"] == 6).all()


@pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
def test_rendering_is_that_of_each_scalar_environment(mode: str) -> None:
    for env_id in ("NATS-TSS-cifar10-v0", "NATS-SSS-cifar10-Budgeted-v0"):
        native, looped = pair(env_id, 2, AutoresetMode.NEXT_STEP, render_mode=mode)
        native.reset(seed=0), looped.reset(seed=0)
        for _ in range(8):
            actions = native.action_space.sample()
            native.step(actions), looped.step(actions)
            for mine, theirs in zip(native.render(), looped.render(), strict=True):
                assert np.array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda envs: envs.step(np.array([0, 5])), ["0…4", "environment 1"]),
        (lambda envs: envs.step(np.array([-1, 0])), ["-1", "environment 0"]),
        (lambda envs: envs.step(np.array([0, 1, 2])), ["2 integers"]),
        (lambda envs: envs.step(np.array([0.0, 1.0])), ["2 integers", "float64"]),
        (lambda envs: envs.reset(seed=[1]), ["2 seeds"]),
        (lambda envs: envs.reset(options={"reset_mask": [True, False]}), ["reset_mask"]),
        (lambda envs: envs.reset(options={"reset_mask": np.zeros(2, bool)}), ["reset_mask"]),
        (lambda envs: gym.make_vec("NATS-TSS-cifar10-v0", num_envs=0), ["num_envs", "0"]),
        (
            lambda envs: gym.make_vec("NATS-TSS-cifar10-v0", autoreset_mode="same"),
            ["autoreset_mode", "SAME_STEP"],
        ),
        (lambda envs: gym.make_vec("NATS-TSS-cifar10-v0", epochs=-1), ["epochs"]),
    ],
)
def test_bad_input_is_refused(call: Any, words: list[str]) -> None:
    envs = gym.make_vec("NATS-TSS-cifar10-v0", num_envs=2)
    envs.reset(seed=0)
    with pytest.raises(InvalidInput) as caught:
        call(envs)
    for word in words:
        assert word in str(caught.value)


def test_stepping_needs_a_reset() -> None:
    with pytest.raises(ResetNeeded):
        gym.make_vec("NATS-TSS-cifar10-v0", num_envs=2).step(np.array([0, 0]))
    envs = gym.make_vec("NATS-TSS-cifar10-v0", num_envs=2, autoreset_mode="Disabled")
    envs.reset(seed=0)
    for _ in range(6):
        envs.step(np.array([0, 0]))
    with pytest.raises(ResetNeeded):
        envs.step(np.array([0, 0]))
