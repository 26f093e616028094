"""Both checkers over every id, observation and reward; wrappers, seeds, specs, other processes."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AsyncVectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_checker import check_env as sb3_check_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import SubprocVecEnv, VecMonitor, VecNormalize

from nats_gym.envs import (
    DictObservation,
    GraphObservation,
    MultiDiscreteObservation,
    make_sb3,
)
from nats_gym.errors import SurrogateWarning
from nats_gym.registration import TABULAR, TASK_ENVIRONMENTS
from nats_gym.rewards import REWARDS

SCALAR = [*(env_id for env_id in TABULAR if not env_id.startswith("mo-")), *TASK_ENVIRONMENTS]
CIFAR10 = [env_id for env_id in SCALAR if "cifar10-" in env_id or env_id in TASK_ENVIRONMENTS]
OBSERVATIONS = {
    "flat": lambda env: env,
    "dict": DictObservation,
    "multidiscrete": MultiDiscreteObservation,
    "graph": GraphObservation,
}
REWARD_OPTIONS = {
    name: {"name": name, "threshold": 90.0} if name == "threshold-bonus" else name
    for name in REWARDS
}


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", SurrogateWarning)
        # The checker warns of every wrapper.
        warnings.filterwarnings("ignore", ".*different from the unwrapped version.*")
        yield


@pytest.mark.one_in(3)
@pytest.mark.parametrize("env_id", SCALAR)  # vector rewards: test_multi_objective
def test_gymnasiums_checker_on_every_id(env_id: str) -> None:
    check_env(gym.make(env_id).unwrapped, skip_render_check=True)
    sb3_check_env(gym.make(env_id))


@pytest.mark.one_in(23)
@pytest.mark.parametrize("reward", REWARD_OPTIONS)
@pytest.mark.parametrize("observation", OBSERVATIONS)
@pytest.mark.parametrize("env_id", CIFAR10)
def test_the_checkers_on_every_observation_and_reward(
    env_id: str, observation: str, reward: str
) -> None:
    env = gym.make(env_id, reward=REWARD_OPTIONS[reward], max_params=0.5, penalty=0.5)
    wrapped = OBSERVATIONS[observation](env)
    check_env(env.unwrapped if observation == "flat" else wrapped, skip_render_check=True)
    if observation != "graph":
        sb3_check_env(wrapped)


def rollout(env: Any, seed: int, steps: int = 60) -> list[Any]:
    env.action_space.seed(seed)
    found = [env.reset(seed=seed)]
    for _ in range(steps):
        found.append(env.step(env.action_space.sample()))
        if found[-1][2] or found[-1][3]:
            found.append(env.reset())
    return found


@pytest.mark.one_in(7)
@pytest.mark.parametrize("observation", OBSERVATIONS)
@pytest.mark.parametrize("env_id", CIFAR10)
def test_two_rollouts_of_one_seed_are_equal(env_id: str, observation: str) -> None:
    one, two = (OBSERVATIONS[observation](gym.make(env_id)) for _ in range(2))
    assert data_equivalence(rollout(one, 5), rollout(two, 5), exact=True)
    assert data_equivalence(rollout(one, 5), rollout(two, 5), exact=True)
    assert not data_equivalence(rollout(one, 5), rollout(two, 6), exact=True)


WRAPPERS: list[Any] = [
    gym.wrappers.RecordEpisodeStatistics,
    gym.wrappers.NormalizeObservation,
    gym.wrappers.FlattenObservation,
    lambda env: gym.wrappers.FrameStackObservation(env, 2),
    lambda env: gym.wrappers.TransformReward(env, lambda reward: 2 * reward),
    lambda env: gym.wrappers.TimeLimit(env, 7),
    Monitor,
    DictObservation,
]


@pytest.mark.parametrize("wrapper", range(len(WRAPPERS)))
def test_seeds_go_through_every_wrapper(wrapper: int) -> None:
    env = WRAPPERS[wrapper](gym.make("NATS-TSS-cifar10-Edit-v0", epochs=12, horizon=6))
    plain = gym.make("NATS-TSS-cifar10-Edit-v0", epochs=12, horizon=6)
    seen = [
        [found[-1].get("accuracy") for found in rollout(one, 9, 6)] for one in (env, plain, env)
    ]
    assert seen[0] == seen[1] == seen[2]
    assert any(seen[0])


@pytest.mark.one_in(4)
@pytest.mark.parametrize("env_id", [*TABULAR, *TASK_ENVIRONMENTS])
def test_specs_are_json_and_make_the_same_environment(env_id: str) -> None:
    options: dict[str, Any] = {"max_params": 0.5, "trial": "mean"}
    env = gym.make(env_id, **options)
    text = env.spec.to_json()
    assert json.loads(text)["kwargs"]["max_params"] == 0.5
    again = gym.make(gym.envs.registration.EnvSpec.from_json(text))
    assert data_equivalence(rollout(env, 0, 15), rollout(again, 0, 15), exact=True)


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    "env_id", [*CIFAR10, "mo-NATS-TSS-cifar10-v0", "mo-NASBench101-cifar10-v0"]
)
def test_pickled_in_mid_episode_they_go_on_alike(env_id: str) -> None:
    has_latency = "NATS-" in env_id
    options: dict[str, Any] = {"max_flops": 80.0, "max_latency": 0.05}
    if not has_latency:
        options = {"max_flops": 2_000.0}
    if "mo-" not in env_id:
        options["reward"] = "rank"
    env = gym.make(env_id, **options).unwrapped
    rollout(env, 3, 20)
    content = pickle.dumps(env)
    assert len(content) < 20_000
    again = pickle.loads(content)
    again.action_space = env.action_space
    actions = [env.action_space.sample() for _ in range(12)]

    def go_on(one: Any) -> list[Any]:
        found = []
        for action in actions:
            found.append(one.step(action))
            if found[-1][2] or found[-1][3]:
                found.append(one.reset())
        return found

    assert data_equivalence(go_on(env), go_on(again), exact=True)


class Make:
    """A factory that spawned processes can unpickle."""

    def __init__(self, env_id: str) -> None:
        self.env_id = env_id

    def __call__(self) -> Any:
        import gymnasium

        import nats_gym  # noqa: F401 - registers the environments

        return gymnasium.make(self.env_id)


@pytest.mark.slow
def test_spawned_workers_of_both_libraries() -> None:
    assert "spawn" in multiprocessing.get_all_start_methods()
    for env_id in ("NATS-TSS-cifar10-v0", "NATS-SSS-cifar10-Edit-v0"):
        envs = AsyncVectorEnv([Make(env_id)] * 2, context="spawn")
        native = gym.make_vec(env_id, num_envs=2)
        mine, theirs = native.reset(seed=1), envs.reset(seed=1)
        assert np.array_equal(mine[0], theirs[0])
        for _ in range(12):
            actions = native.action_space.sample()
            mine, theirs = native.step(actions), envs.step(actions)
            assert all(np.array_equal(*pair) for pair in zip(mine[:4], theirs[:4], strict=True))
        envs.close()
        subproc = SubprocVecEnv([Make(env_id)] * 2, start_method="spawn")
        subproc.seed(1)
        assert np.array_equal(subproc.reset(), native.reset(seed=1)[0])
        subproc.close()


def test_stable_baselines3s_wrappers_and_callbacks(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="already wrapped"):  # the adapter keeps the episodes
        monitored = VecMonitor(make_sb3("NATS-TSS-cifar10-v0", num_envs=4, seed=0))
    assert monitored.reset().shape == (4, 36)
    env = VecNormalize(make_sb3("NATS-TSS-cifar10-v0", num_envs=4, seed=0))
    judge = VecNormalize(make_sb3("NATS-TSS-cifar10-v0", num_envs=2), training=False)
    callback = EvalCallback(
        judge, eval_freq=12, n_eval_episodes=4, best_model_save_path=str(tmp_path), verbose=0
    )
    model = PPO("MlpPolicy", env, n_steps=12, batch_size=24, seed=0, device="cpu")
    model.learn(96, callback=callback)
    assert 0.05 < callback.best_mean_reward < 1
    assert [*model.ep_info_buffer][-1]["l"] == 6
    assert (tmp_path / "best_model.zip").is_file()


def test_a_saved_model_holds_no_table(tmp_path: Path) -> None:
    env = make_sb3("NATS-TSS-cifar10-Edit-v0", num_envs=4, max_flops=80.0, reward="rank")
    model = PPO("MlpPolicy", env, n_steps=12, batch_size=24, seed=0, device="cpu")
    model.learn(48)
    model.save(tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    assert sizes["data"] < 60_000
    again = PPO.load(tmp_path / "model.zip", env=env, device="cpu")
    observation = env.reset()
    assert np.array_equal(
        model.predict(observation, deterministic=True)[0],
        again.predict(observation, deterministic=True)[0],
    )
    again.learn(48)
