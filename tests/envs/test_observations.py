"""Encoding and decoding, and the other forms of the observation."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import GraphInstance
from stable_baselines3 import PPO

from nats_gym.envs import (
    DictObservation,
    DictVectorObservation,
    GraphObservation,
    MultiDiscreteObservation,
    MultiDiscreteVectorObservation,
)
from nats_gym.errors import InvalidInput
from nats_gym.registration import ENVIRONMENTS, TASK_ENVIRONMENTS
from nats_gym.spaces import get_space
from nats_gym.spaces.topology import EDGES

CIFAR10 = [*(one for one in ENVIRONMENTS if "cifar10-" in one), *TASK_ENVIRONMENTS]
WRAPPERS = (DictObservation, MultiDiscreteObservation, GraphObservation)


@pytest.mark.parametrize("env_id", CIFAR10)
def test_an_observation_is_decoded_to_what_was_decided(env_id: str) -> None:
    env = gym.make(env_id).unwrapped
    env.action_space.seed(0)
    observation, _ = env.reset(seed=0)
    assert env.decode(observation).shape == (env.architecture_space.num_decisions,)
    for _ in range(20):
        choices = env.decode(observation)
        encoded = env.encode(choices)
        shown = slice(0, env.view.positions.stop)
        assert encoded in env.observation_space
        assert np.array_equal(encoded[shown], observation[shown])
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            observation, _ = env.reset()


def test_architectures_in_every_notation_encode_alike() -> None:
    env = gym.make("NATS-TSS-cifar10-v0").unwrapped
    space = get_space("tss")
    for index in (0, 11, 15_624):
        choices = space.choices(index)
        observations = [env.encode(one) for one in (index, str(space.string(choices)), choices)]
        assert np.array_equal(*observations[:2])
        assert np.array_equal(*observations[1:])
    every = env.encode(space.all_choices())
    assert every.shape == (15_625, 36)
    assert np.array_equal(space.index(env.decode(every)), np.arange(15_625))
    start = gym.make("NATS-TSS-cifar10-Budgeted-v0").unwrapped
    assert np.array_equal(start.encode([-1] * 6), start.reset(seed=0)[0])


@pytest.mark.parametrize(
    "choices", [[0] * 5, [5, 0, 0, 0, 0, 0], [-2] * 6, [0.5] * 6, 15_625, "no"]
)
def test_what_is_no_architecture_is_not_encoded(choices: Any) -> None:
    with pytest.raises(InvalidInput):
        gym.make("NATS-TSS-cifar10-v0").unwrapped.encode(choices)
    with pytest.raises(InvalidInput, match="last axis of 36"):
        gym.make("NATS-TSS-cifar10-v0").unwrapped.decode(np.zeros(35))


def test_the_parts_of_a_dictionary() -> None:
    env = DictObservation(gym.make("NATS-TSS-cifar10-Budgeted-v0", epochs=12))
    env.reset(seed=0)
    for digit in (3, 1, 3, 1, 0, 3, 2):
        observation = env.step(digit)[0]
    assert observation["decided"].shape == (30,)
    assert np.flatnonzero(observation["decided"]).tolist() == [2]
    assert observation["position"].tolist() == [0, 1, 0, 0, 0, 0]
    clock = env.unwrapped.clock
    assert observation["budget_left"] == pytest.approx(1 - clock.used / clock.budget)
    assert 0.1 < observation["incumbent"][0] < 1
    edit = DictObservation(gym.make("NATS-TSS-cifar10-Edit-v0"))
    assert set(edit.observation_space) == {
        *("decided", "budget_left", "horizon_left", "accuracy", "incumbent")
    }


def test_one_integer_a_decision() -> None:
    env = MultiDiscreteObservation(gym.make("NATS-SSS-cifar10-v0"))
    observation, _ = env.reset(seed=0)
    assert observation.tolist() == [8] * 5
    assert env.step(7)[0].tolist() == [7, 8, 8, 8, 8]


def test_the_graph_of_a_cell_and_of_widths() -> None:
    env = GraphObservation(gym.make("NATS-TSS-cifar10-Edit-v0", epochs=12))
    observation, _ = env.reset(seed=0, options={"start": 11})
    assert isinstance(observation, GraphInstance)
    assert observation.nodes.shape == (4, 4 + 4)
    links = [(target, source) for source, target in observation.edge_links.tolist()]
    assert links == list(EDGES)
    assert observation.edges[:, :5].argmax(axis=1).tolist() == get_space("tss").choices(11).tolist()
    env = GraphObservation(gym.make("NATS-SSS-cifar10-v0"))
    env.reset(seed=0)
    observation = env.step(2)[0]
    assert observation.nodes[:, :8].sum(axis=1).tolist() == [1, 0, 0, 0, 0]
    assert observation.nodes[:, 8].tolist() == [0, 1, 0, 0, 0]
    assert observation.edge_links.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]


@pytest.mark.parametrize(
    ("vector", "scalar"),
    [
        (DictVectorObservation, DictObservation),
        (MultiDiscreteVectorObservation, MultiDiscreteObservation),
    ],
)
def test_native_vectors_of_other_observations(vector: Any, scalar: Any) -> None:
    env_id = "NATS-TSS-cifar10-Budgeted-v0"
    envs = vector(gym.make_vec(env_id, num_envs=2))
    copies = [scalar(gym.make(env_id)) for _ in range(2)]
    observations, _ = envs.reset(seed=3)
    starts = [env.reset(seed=3 + i)[0] for i, env in enumerate(copies)]
    rng = np.random.default_rng(0)
    for _ in range(10):
        assert observations in envs.observation_space
        for i, start in enumerate(starts):
            if isinstance(start, dict):
                assert all(np.array_equal(observations[name][i], start[name]) for name in start)
            else:
                assert np.array_equal(observations[i], start)
        actions = rng.integers(5, size=2)
        observations = envs.step(actions)[0]
        starts = [env.step(action)[0] for env, action in zip(copies, actions, strict=True)]


def test_policies_of_several_inputs_train() -> None:
    env = DictObservation(gym.make("NATS-TSS-cifar10-Budgeted-v0", epochs=12))
    PPO("MultiInputPolicy", env, n_steps=12, batch_size=12, device="cpu").learn(24)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrappers_refuse_what_they_do_not_know(wrapper: Any) -> None:
    with pytest.raises(InvalidInput, match="environments of nats-gym"):
        wrapper(gym.make("CartPole-v1"))
    with pytest.raises(InvalidInput, match="flat observation"):
        wrapper(DictObservation(gym.make("NATS-TSS-cifar10-v0")))
    with pytest.raises(InvalidInput, match="native vector"):
        DictVectorObservation(
            gym.make_vec("NATS-TSS-cifar10-v0", num_envs=2, vectorization_mode="sync")
        )


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrapped_environments_are_made_again_from_their_spec(wrapper: Any) -> None:
    env = wrapper(gym.make("NATS-TSS-cifar10-v0", trial="mean"))
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.observation_space == env.observation_space
