"""Stable-Baselines3 on the native vector environments."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

from nats_gym.agents import PPO_SETTINGS
from nats_gym.envs import ConstructionVectorEnv, SB3VecEnv, make_sb3


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("env_id", ["NATS-TSS-cifar10-v0", "NATS-SSS-cifar10-Budgeted-v0"])
def test_the_adapter_does_what_sb3s_own_environments_do(env_id: str) -> None:
    options = {"time_budget": 2500.0} if "Budgeted" in env_id else {}
    mine = make_sb3(env_id, num_envs=3, seed=5, **options)
    theirs = make_vec_env(env_id, n_envs=3, seed=5, env_kwargs=options, vec_env_cls=DummyVecEnv)
    theirs.seed(5)
    assert np.array_equal(mine.reset(), theirs.reset())
    rng = np.random.default_rng(0)
    ended = 0
    for _ in range(120):
        actions = rng.integers(mine.action_space.n, size=3)
        one, two = mine.step(actions), theirs.step(actions)
        for a, b in zip(one[:3], two[:3], strict=True):
            assert np.array_equal(a, b)
        for info, expected in zip(one[3], two[3], strict=True):
            assert set(info) | {"TimeLimit.truncated"} == set(expected) | {"TimeLimit.truncated"}
            for name in set(info) - {"episode", "TimeLimit.truncated"}:
                assert np.array_equal(info[name], expected[name]), name
            if "episode" in info:
                ended += 1
                assert info["TimeLimit.truncated"] is False
                assert info["episode"]["r"] == pytest.approx(expected["episode"]["r"], abs=1e-5)
                assert info["episode"]["l"] == expected["episode"]["l"]
    assert ended > 2


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
