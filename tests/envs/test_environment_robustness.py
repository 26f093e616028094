"""What goes wrong outside must not go on inside: copies, failing evaluators, odd outcomes."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode

from nats_gym.envs import ConstructionEnv, make_sb3
from nats_gym.errors import EvaluatorError, InvalidInput
from nats_gym.evaluators import Outcome
from nats_gym.rewards import Lagrangian, ThresholdBonus

VECTORS = [
    *("NATS-TSS-cifar10-v0", "NATS-TSS-cifar10-Budgeted-v0", "NATS-SSS-cifar10-OneShot-v0"),
    *("NATS-SSS-cifar10-Edit-v0", "mo-NATS-TSS-cifar10-v0"),
]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
@pytest.mark.parametrize("env_id", VECTORS)
def test_a_copied_vector_goes_on_alike(env_id: str, duplicate: Any) -> None:
    envs = gym.make_vec(env_id, num_envs=3, max_params=0.5).unwrapped
    envs.reset(seed=0)
    envs.action_space.seed(0)
    actions = [envs.action_space.sample() for _ in range(20)]
    for action in actions[:4]:
        envs.step(action)
    again = duplicate(envs)
    assert data_equivalence([envs.step(a) for a in actions], [again.step(a) for a in actions])


class Returning:
    """Returns what it was told to."""

    def __init__(self, accuracy: Any = 50.0, seconds: Any = 10.0, **metrics: Any) -> None:
        self.figures, self.metrics = (accuracy, seconds), metrics

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Any:
        figures = (np.full(len(index), value) for value in self.figures)
        metrics = {name: np.full(len(index), value) for name, value in self.metrics.items()}
        return Outcome(*figures, metrics=metrics)


def one_episode(evaluator: Any) -> Any:
    env = ConstructionEnv("tss", "cifar10", evaluator=evaluator)
    env.reset(seed=0)
    return [env.step(0) for _ in range(6)][-1]


def one_vector_episode(evaluator: Any) -> Any:
    envs = gym.make_vec("NATS-TSS-cifar10-v0", num_envs=2, evaluator=evaluator)
    envs.reset(seed=0)
    return [envs.step(np.zeros(2, int)) for _ in range(6)][-1]


class Shapeless:
    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Any:
        return Outcome(np.ones(len(index) + 1), np.ones(len(index) + 1))


class Tuple:
    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Any:
        return np.ones(len(index)), np.ones(len(index))


@pytest.mark.parametrize("episode", [one_episode, one_vector_episode])
@pytest.mark.parametrize(
    ("evaluator", "words"),
    [
        (Returning(accuracy=np.nan), ["accuracy", "0…100", "nan"]),
        (Returning(accuracy=900.0), ["accuracy", "900"]),
        (Returning(seconds=-1.0), ["seconds", "-1"]),
        (Returning(seconds=np.inf), ["seconds", "inf"]),
        (Returning(accuracy="high"), ["accuracy", "numbers"]),
        (Returning(clock=5.0), ["clock", "another use"]),
        (Returning(action_mask=5.0), ["action_mask"]),
        (Returning(_loss=5.0), ["_loss"]),
        (Shapeless(), ["shape"]),
        (Tuple(), ["Outcome", "array"]),
    ],
)
def test_outcomes_that_cannot_be_are_refused(episode: Any, evaluator: Any, words: Any) -> None:
    with pytest.raises(EvaluatorError) as caught:
        episode(evaluator)
    for word in words:
        assert word in str(caught.value)


def test_metrics_of_every_kind_reach_the_info() -> None:
    evaluator = Returning(loss=np.float32(0.5), note="fine", count=3)
    info = one_episode(evaluator)[4]
    assert (info["loss"], info["note"], info["count"]) == (0.5, "fine", 3)
    infos = one_vector_episode(evaluator)[4]
    assert infos["loss"].tolist() == [0.5, 0.5]
    assert infos["note"].tolist() == ["fine", "fine"]
    assert infos["count"].dtype.kind == "i"


class Sometimes:
    """Has a metric of the dear schedule only, whole at first and broken later."""

    asked = 0

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Any:
        self.asked += epochs == 200
        ones = np.ones(len(index))
        loss = np.full(len(index), 1 if self.asked == 1 else 0.5)
        return Outcome(ones, ones, metrics={"loss": loss} if epochs == 200 else {})


def test_metrics_that_differ_between_evaluations_stay_what_they_are() -> None:
    envs = gym.make_vec(
        "NATS-TSS-cifar10-Budgeted-v0",
        num_envs=2,
        evaluator=Sometimes(),
        fidelity_action=True,
        epochs=[12, 200],
        workers=2,
    )
    envs.reset(seed=0)
    seen = []
    for _ in range(4):
        for _ in range(6):
            envs.step(np.zeros(2, int))
        infos = envs.step(np.array([0, 4]))[4]  # 12 epochs, 200 epochs
        if "_accuracy" in infos:
            assert infos["_loss"].tolist() == [False, True]
            seen.append(float(infos["loss"][1]))
    assert seen == [1.0, 0.5, 0.5]


class Failing:
    def __init__(self) -> None:
        self.fails = False

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Any:
        if self.fails:
            raise RuntimeError("GPU lost")
        return Outcome(np.full(len(index), 50.0), np.ones(len(index)))


@pytest.mark.parametrize("family", ["", "-Budgeted", "-OneShot", "-Edit"])
def test_after_a_failed_evaluation_an_episode_needs_a_reset(family: str) -> None:
    evaluator = Failing()
    env_id = f"NATS-TSS-cifar10{family}-v0"
    env = gym.make(env_id, evaluator=evaluator).unwrapped
    envs = gym.make_vec(
        env_id, num_envs=2, evaluator=evaluator, autoreset_mode=AutoresetMode.DISABLED
    )
    for one, action in ((env, env.action_space.sample()), (envs, envs.action_space.sample())):
        evaluator.fails = False
        first, _ = one.reset(seed=0)
        evaluator.fails = True
        failed = None
        for shift in range(8):
            try:
                one.step((action + shift) % 5)
            except RuntimeError as error:
                failed = error
                break
        assert "GPU lost" in str(failed)
        with pytest.raises(ResetNeeded):
            one.step(action)
        evaluator.fails = False
        assert np.array_equal(one.reset(seed=0)[0], first)
        one.step(action)


def test_environments_do_not_share_a_bound_reward() -> None:
    given = Lagrangian(1.0, "rank")
    first = gym.make("NATS-TSS-cifar10-v0", reward=given, trial="mean", max_params=1.6).unwrapped

    def last_reward() -> float:
        first.reset(seed=0)
        return float([first.step(2) for _ in range(6)][-1][1])

    before = last_reward()
    second = gym.make("NATS-TSS-cifar100-v0", reward=given, max_params=1.6).unwrapped
    assert last_reward() == before
    second.reward_function.multiplier = 9.0
    assert (given.multiplier, first.reward_function.multiplier) == (1.0, 1.0)


def test_reward_objects_are_written_into_a_spec() -> None:
    env = gym.make("NATS-TSS-cifar10-v0", reward=ThresholdBonus(90.0, base="rank"))
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.reward_function.threshold == 90.0
    assert json.loads(env.spec.to_json())["kwargs"]["reward"]["base"]["name"] == "rank"


def test_a_reward_is_tried_when_the_environment_is_made() -> None:
    def scalar_only(evaluation: Any) -> float:
        return 1.0 if evaluation.accuracy > 90 else 0.0

    gym.make("NATS-TSS-cifar10-v0", reward=scalar_only)
    with pytest.raises(InvalidInput, match="native vector"):
        gym.make_vec("NATS-TSS-cifar10-v0", num_envs=2, reward=scalar_only)
    for bad in (lambda _: None, lambda _: "x", lambda _: np.array([1, 2]), lambda _: np.nan):
        with pytest.raises(InvalidInput, match="finite number"):
            gym.make("NATS-TSS-cifar10-v0", reward=bad)


def test_an_edit_episode_that_ends_without_a_change_pays_its_final_reward() -> None:
    env = gym.make("NATS-TSS-cifar10-Edit-v0", reward="final", horizon=3, time_budget=1e9)
    envs = gym.make_vec(
        "NATS-TSS-cifar10-Edit-v0", num_envs=1, reward="final", horizon=3, time_budget=1e9
    )
    _, info = env.reset(seed=0)
    envs.reset(seed=0)
    rewards = []
    for change in (True, True, False):
        action = int(np.flatnonzero(info["action_mask"] == change)[0])
        _, reward, _, _, info = env.step(action)
        rewards.append(reward)
        assert envs.step(np.array([action]))[1][0] == reward
    assert rewards[:2] == [0, 0]
    assert rewards[2] > 0.1


def test_trials_of_episodes_do_not_pile_up() -> None:
    env = gym.make("NATS-SSS-cifar10-v0").unwrapped
    envs = gym.make_vec("NATS-SSS-cifar10-v0", num_envs=2).unwrapped
    for trial in range(30):
        env.reset(seed=0, options={"trial": trial})
        envs.reset(seed=0, options={"trial": trial})
    assert len(env._table_evaluators) <= 8
    assert len(envs._evaluators) <= 3


def test_a_refused_seed_changes_nothing() -> None:
    envs = gym.make_vec("NATS-SSS-cifar10-OneShot-v0", num_envs=2)
    fresh = gym.make_vec("NATS-SSS-cifar10-OneShot-v0", num_envs=2)
    actions = np.full((2, 5), 3)
    for one in (envs, fresh):
        one.reset(seed=5)
    for seed in ([7, -1], [1, 2.5], "ab", 1.5, [1]):
        with pytest.raises(InvalidInput):
            envs.reset(seed=seed)
    assert np.array_equal(envs.step(actions)[1], fresh.step(actions)[1])
    assert isinstance(envs.unwrapped.np_random_seed, int)


def test_what_the_copies_share_is_the_vectors_too() -> None:
    envs = gym.make_vec("NATS-TSS-cifar10-v0", num_envs=2).unwrapped
    assert envs.regret(envs.optimum()) == 0
    assert envs.rank(envs.optimum()) == 1
    assert (
        envs.decode(envs.encode(11)).tolist() == envs.shared.architecture_space.choices(11).tolist()
    )
    mo = gym.make_vec("mo-NATS-TSS-cifar10-v0", num_envs=2).unwrapped
    assert mo.hypervolume() == mo.shared.hypervolume() > mo.hypervolume([])  # no points: 0
    assert len(mo.pareto_front()) == len(mo.pareto_indices())
    adapter = make_sb3("NATS-TSS-cifar10-v0", num_envs=2)
    assert adapter.get_attr("observation_space")[0].shape == (36,)
    with pytest.raises(AttributeError, match="all together"):
        adapter.env_method("reset")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gym.make("NATS-TSS-cifar10-v0", penalty=1.0), ["penalty", "max_params"]),
        (lambda: make_sb3("CartPole-v1", 4), ["'CartPole-v1'", "make_vec_env"]),
        (lambda: make_sb3("NATS-TSS-cifar10-v0", 4, autoreset_mode="Disabled"), ["SAME_STEP"]),
        (
            lambda: gym.make("NATS-TSS-cifar10-v0", evaluator="train", max_flop=60),
            ["'max_flop'", "Did you mean 'max_flops'"],
        ),
        (lambda: gym.make("NATS-TSS-digits-v0", horizon=5), ["NATS-TSS-digits-Edit-v0"]),
        (lambda: gym.make("NATS-TSS-cifar10-v0", max_flops=10**400), ["limit on flops"]),
        (
            lambda: gym.make("NATS-TSS-cifar10-Budgeted-v0", fidelity_action=True, epochs=[]),
            ["list of schedules"],
        ),
        (lambda: gym.make("NATS-TSS-cifar10-v0").unwrapped.figure("latnecy"), ["'latency'"]),
        (lambda: gym.make("NATS-TSS-cifar10-v0").unwrapped.optimum("tst"), ["'test'"]),
        (
            lambda: gym.make("NATS-TSS-cifar10-v0").unwrapped.reset(options=["trial"]),
            ["dictionary"],
        ),
        (
            lambda: gym.make("NATS-TSS-cifar10-v0").unwrapped.reset(options={"trial": [1]}),
            ["unknown trial [1]"],
        ),
        (
            lambda: gym.make("NATS-TSS-cifar10-v0").unwrapped.reset(options={"start": {3: 1}}),
            ["a start is a list"],
        ),
        (
            lambda: gym.make("mo-NATS-TSS-cifar10-v0").unwrapped.pareto_front("a"),
            ["gamma"],
        ),
    ],
)
def test_bad_input_gets_one_clear_exception(call: Any, words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        call()
    for word in words:
        assert word in str(caught.value)
