"""Stable-Baselines3 on the native vector environments."""

from __future__ import annotations

from typing import ClassVar
from unittest import mock

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

from nats_gym.agents import PPO_SETTINGS
from nats_gym.envs import (
    ConstructionVectorEnv,
    OneShotEnv,
    OneShotVectorEnv,
    SB3VecEnv,
    make_sb3,
)
from nats_gym.errors import InvalidInput

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("env_id", "options"),
    [
        ("NATS-TSS-cifar10-v0", {"max_params": 0.5}),
        ("NATS-SSS-cifar10-Budgeted-v0", {"time_budget": 2500.0, "report_test": True}),
        ("NATS-SSS-Tasks-Budgeted-v0", {"time_budget": 2500.0, "report_test": True}),
        ("NATS-SSS-cifar10-OneShot-v0", {"report_test": True}),
        ("NATS-TSS-cifar10-Edit-v0", {"epochs": 12, "horizon": 9, "time_budget": 1500.0}),
    ],
)
def test_the_adapter_does_what_sb3s_own_environments_do(env_id: str, options: dict) -> None:
    mine = make_sb3(env_id, num_envs=3, seed=5, **options)
    theirs = make_vec_env(env_id, n_envs=3, seed=5, env_kwargs=options, vec_env_cls=DummyVecEnv)
    theirs.seed(5)
    assert np.array_equal(mine.reset(), theirs.reset())
    for infos in zip(mine.reset_infos, theirs.reset_infos, strict=True):
        assert data_equivalence(*infos)
    mine.action_space.seed(0)
    truncated = ended = 0
    for _ in range(120):
        actions = np.array([mine.action_space.sample() for _ in range(3)])
        one, two = mine.step(actions), theirs.step(actions)
        for a, b in zip(one[:3], two[:3], strict=True):
            assert np.array_equal(a, b)
        for info, expected in zip(one[3], two[3], strict=True):
            assert set(info) | {"TimeLimit.truncated"} == set(expected) | {"TimeLimit.truncated"}
            for name in set(info) - {"episode", "TimeLimit.truncated"}:
                assert np.array_equal(info[name], expected[name]), name
            if "episode" in info:
                ended += 1
                truncated += info["TimeLimit.truncated"]
                assert info["TimeLimit.truncated"] == expected["TimeLimit.truncated"]
                assert info["episode"]["r"] == pytest.approx(expected["episode"]["r"], abs=1e-5)
                assert info["episode"]["l"] == expected["episode"]["l"]
    assert ended > 2
    assert (truncated > 2) == ("Edit" in env_id)


@pytest.mark.parametrize(
    ("algorithm", "settings"),
    [
        (PPO, {"n_steps": 12, "batch_size": 48}),
        (A2C, {"n_steps": 6}),
        (DQN, {"learning_starts": 50, "train_freq": 1}),
    ],
)
def test_algorithms_train_and_are_evaluated(algorithm, settings) -> None:
    model = algorithm("MlpPolicy", make_sb3("NATS-TSS-cifar10-v0", num_envs=8), seed=0, **settings)
    model.learn(600)
    assert len(model.ep_info_buffer) > 0
    mean, _ = evaluate_policy(model, make_sb3("NATS-TSS-cifar10-v0", num_envs=4), 8, warn=True)
    assert 0.05 < mean < 1


def test_maskable_ppo_trains() -> None:
    contrib = pytest.importorskip("sb3_contrib")
    env = make_sb3("NATS-SSS-cifar10-v0", num_envs=4)
    model = contrib.MaskablePPO("MlpPolicy", env, n_steps=10, batch_size=20, seed=0)
    model.learn(80)
    masks = env.env_method("action_masks")
    assert [mask.shape for mask in masks] == [(8,)] * 4


@pytest.mark.parametrize("env_id", ["NATS-TSS-cifar10-v0", "NATS-TSS-cifar10-Edit-v0"])
def test_maskable_ppo_keeps_to_a_limit(env_id: str) -> None:
    contrib = pytest.importorskip("sb3_contrib")

    class Watch(BaseCallback):
        costs: ClassVar[list[float]] = []

        def _on_step(self) -> bool:
            self.costs.extend(info["cost"] for info in self.locals["infos"] if "cost" in info)
            return True

    watch = Watch()
    env = make_sb3(env_id, num_envs=8, max_flops=40.0, seed=0)
    model = contrib.MaskablePPO("MlpPolicy", env, n_steps=12, batch_size=48, seed=0)
    model.learn(480, callback=watch)
    assert len(watch.costs) > 40
    assert not any(watch.costs)


def test_policies_of_several_discrete_actions_train() -> None:
    env = make_sb3("NATS-SSS-cifar10-OneShot-v0", num_envs=8, seed=0)
    model = PPO("MlpPolicy", env, n_steps=4, batch_size=32, seed=0).learn(64)
    assert model.predict(env.reset())[0].shape == (8, 5)


def test_options_of_a_reset_are_passed_on() -> None:
    env = make_sb3("NATS-TSS-cifar10-Edit-v0", num_envs=2)
    env.set_options({"start": 11})
    env.reset()
    assert [info["index"] for info in env.reset_infos] == [11, 11]
    env.reset()  # they are of one reset
    assert [info["index"] for info in env.reset_infos] != [11, 11]
    env.set_options([{"start": 11}, {}])
    with pytest.raises(InvalidInput, match="share the options"):
        env.reset()


def test_what_cannot_be_adapted_is_refused() -> None:
    with pytest.raises(InvalidInput, match="scalar rewards alone"):
        make_sb3("mo-NATS-TSS-cifar10-v0", num_envs=2)
    with pytest.raises(InvalidInput, match="native vector"):
        SB3VecEnv(gym.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync"))
    with pytest.raises(InvalidInput, match="'CartPole-v1' has no native vector environment of"):
        make_sb3("CartPole-v1", num_envs=2)
    with mock.patch.dict(gym.registry):
        gym.register("Lacking-v0", vector_entry_point="no_module:Env")
        with pytest.raises(InvalidInput, match="no environment at 'no_module:Env': No module"):
            make_sb3("Lacking-v0")


def test_an_environment_of_ones_own_is_adapted_by_its_id() -> None:
    made = {"space": "tss", "dataset": "cifar10"}
    with mock.patch.dict(gym.registry):
        gym.register("Mine-v0", entry_point=OneShotEnv, kwargs=made)
        with pytest.raises(InvalidInput, match=r"'Mine-v0' has no native.*make_vec_env"):
            make_sb3("Mine-v0")
        gym.register("MineToo-v0", vector_entry_point=OneShotVectorEnv, kwargs=made)
        assert make_sb3("MineToo-v0", num_envs=2).reset().shape == (2, 30)


@pytest.mark.slow
def test_ppo_learns_with_the_shipped_settings() -> None:
    env = make_sb3("NATS-TSS-cifar10-v0", num_envs=256, seed=0)
    model = PPO("MlpPolicy", env, seed=0, **{**PPO_SETTINGS, "batch_size": 1024})
    model.learn(256 * 24 * 8)
    mean, _ = evaluate_policy(model, make_sb3("NATS-TSS-cifar10-v0", num_envs=16), 64)
    assert mean > 0.87  # a random cell has 0.78 on average


def test_attributes_and_methods_of_the_environments() -> None:
    env = make_sb3("NATS-TSS-cifar10-v0", num_envs=3, render_mode="rgb_array")
    assert env.get_attr("dataset") == ["cifar10"] * 3
    assert env.get_attr("num_envs", [0]) == [3]
    assert env.has_attr("action_masks")
    assert not env.has_attr("nothing")
    with pytest.raises(AttributeError, match="share their attributes"):
        env.set_attr("dataset", "cifar100")
    env.seed(0)
    first = env.reset()
    assert env.render().shape == (960, 1280, 3)
    env.seed(0)
    assert np.array_equal(env.reset(), first)


def test_another_autoreset_mode_is_refused() -> None:
    venv = ConstructionVectorEnv(2, space="tss", dataset="cifar10")
    assert venv.autoreset_mode is AutoresetMode.NEXT_STEP
    with pytest.raises(ValueError, match="SAME_STEP"):
        SB3VecEnv(venv)
