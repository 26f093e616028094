"""Rewards against hand-computed figures, alone and in environments."""

from __future__ import annotations

import json
import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import nats_gym
import nats_gym.testing
from nats_gym.envs import ConstructionEnv
from nats_gym.errors import InvalidInput
from nats_gym.evaluators import Outcome
from nats_gym.rewards import (
    REWARDS,
    Evaluation,
    Lagrangian,
    NegativeRegret,
    RankNormalised,
    ThresholdBonus,
    bind_reward,
    find_reward,
)


def table_of_four() -> Any:
    return np.array([10.0, 90.0, 50.0, np.nan])


CASES = [
    ("accuracy", Evaluation(80.0, 90.0), 0.8),
    ("improvement", Evaluation(80.0, 75.0), 0.05),
    ("improvement", Evaluation(70.0, 75.0), 0.0),
    ("improvement", Evaluation(80.0, 75.0, cost=0.1), 0.0),
    ("change", Evaluation(70.0, 90.0, previous=75.0), -0.05),
    ("final", Evaluation(80.0, 75.0, last=True), 0.8),
    ("final", Evaluation(70.0, 75.0, last=True), 0.75),
    ("final", Evaluation(80.0, 75.0, cost=0.1, last=True), 0.75),
    ("final", Evaluation(80.0, 75.0, last=False), 0.0),
    ("negative-regret", Evaluation(80.0), -0.1),
    ("negative-regret", Evaluation(91.0), 0.01),
    ("rank", Evaluation(50.0), 2 / 3),
    ("rank", Evaluation(5.0), 0.0),
    ("rank", Evaluation(99.0), 1.0),
    (ThresholdBonus(80.0), Evaluation(80.0), 1.8),
    (ThresholdBonus(80.0, bonus=0.5), Evaluation(79.9), 0.799),
    (ThresholdBonus(80.0, base="rank"), Evaluation(90.0), 2.0),
    (Lagrangian(2.0), Evaluation(80.0, cost=0.25), 0.3),
    (Lagrangian(2.0, base="negative-regret"), Evaluation(80.0, cost=0.25), -0.6),
    ({"name": "lagrangian", "multiplier": 2.0, "base": "change"}, Evaluation(8.0, cost=1), -1.92),
    (NegativeRegret(best=95.0), Evaluation(80.0), -0.15),
]


@pytest.mark.parametrize(("reward", "evaluation", "expected"), CASES)
def test_rewards_by_hand(reward: Any, evaluation: Evaluation, expected: float) -> None:
    bound = bind_reward(find_reward(reward), table_of_four)
    given = bound(evaluation)
    assert isinstance(given, float)
    assert given == pytest.approx(expected)
    batch = Evaluation(*(np.array([value] * 3) for value in evaluation))
    assert np.array_equal(bound(batch), [given] * 3)


def test_no_improvement_is_a_plain_zero() -> None:
    improvement = find_reward("improvement")
    for observed in (40.0, 50.0, np.array([40.0, 50.0])):
        assert not np.signbit(improvement(Evaluation(observed, 50.0))).any()


def test_a_reward_function_of_ones_own_sees_one_evaluation() -> None:
    env = gym.make("NATS-TSS-cifar10-v0", reward=lambda seen: seen.accuracy - 50)
    env.reset(seed=0)
    reward, info = [env.step(3) for _ in range(6)][-1][1::3]
    assert reward == info["accuracy"] - 50


def last_step(**options: Any) -> tuple[float, dict[str, Any]]:
    env = gym.make("NATS-TSS-cifar10-v0", trial="mean", **options)
    env.reset(seed=0)
    _, reward, _, _, info = [env.step(3) for _ in range(6)][-1]
    return reward, info


def test_rewards_that_need_the_table() -> None:
    mean = nats_gym.load_table("tss", "cifar10").mean_accuracy()
    reward, info = last_step(reward="negative-regret")
    assert reward == pytest.approx((info["accuracy"] - mean.max()) / 100)
    reward, info = last_step(reward="rank")
    assert reward == pytest.approx((mean <= info["accuracy"]).mean())
    twelve = nats_gym.load_table("tss", "cifar10").mean_accuracy("valid", 12)
    reward, info = last_step(reward="negative-regret", epochs=12)
    assert reward == pytest.approx((info["accuracy"] - twelve.max()) / 100)


def test_a_penalty_is_taken_off_and_the_multiplier_can_change() -> None:
    plain, info = last_step(max_flops=100.0)
    assert info["cost"] == pytest.approx(220.11969 / 100 - 1, abs=1e-6)
    assert last_step(max_flops=100.0, penalty=0.5)[0] == pytest.approx(plain - 0.5 * info["cost"])
    env = gym.make("NATS-TSS-cifar10-v0", max_flops=100.0, reward=Lagrangian(0.0), trial="mean")
    env.unwrapped.reward_function.multiplier = 2.0
    env.reset(seed=0)
    assert [env.step(3) for _ in range(6)][-1][1] == pytest.approx(plain - 2 * info["cost"])
    envs = gym.make_vec("NATS-TSS-cifar10-v0", max_flops=100.0, penalty=2.0, trial="mean")
    envs.reset(seed=0)
    assert [envs.step(np.array([3])) for _ in range(6)][-1][1][0] == pytest.approx(
        plain - 2 * info["cost"]
    )


def test_a_reward_asks_for_figures_by_name() -> None:
    table = nats_gym.load_table("sss", "digits", "digits-300")  # of most there is no latency
    known = np.flatnonzero(~np.isnan(table.latency()))[:4]
    choices = table.space.choices(known)
    flops = table.space.flops(choices, "digits")
    options = {
        "source": "digits-300",
        "reward": lambda seen: seen.figure("latency") + seen.figure("flops"),
    }
    env = gym.make("NATS-SSS-digits-v0", **options)
    for index, row in zip(known, choices, strict=True):
        env.reset(seed=0)
        earned = [env.step(choice)[1] for choice in row][-1]
        assert earned == table.latency()[index] + table.space.flops(row, "digits")
    envs = gym.make_vec("NATS-SSS-digits-v0", num_envs=4, **options)
    envs.reset(seed=0)
    earned = [envs.step(column)[1] for column in choices.T][-1]
    assert earned.tolist() == (table.latency()[known] + flops).tolist()


def test_a_reward_asks_for_figures_where_nothing_changes() -> None:
    options = {"horizon": 1, "reward": lambda seen: 1.0 * seen.index - seen.figure("params")}
    env = gym.make("NATS-TSS-cifar10-Edit-v0", **options)
    space = env.unwrapped.architecture_space
    expected = 7 - float(space.params(space.choices(7), "cifar10"))
    env.reset(seed=0, options={"start": 7})
    assert env.step(space.choices(7)[0])[1] == expected  # the choice that is there
    envs = gym.make_vec("NATS-TSS-cifar10-Edit-v0", num_envs=2, **options)
    envs.reset(seed=0, options={"start": 7})
    assert envs.step(np.repeat(space.choices(7)[0], 2))[1].tolist() == [expected, expected]


def test_a_reward_cannot_change_what_everyone_looks_up() -> None:
    env = gym.make("NATS-TSS-cifar10-v0").unwrapped
    before = env.figure("latency")
    for name in ("latency", "flops", "accuracy"):
        with pytest.raises(ValueError, match="read-only"):
            env._figures.values(name)[0] = 0.0
    env.figure("latency")[0] = 0.0  # a copy
    np.testing.assert_array_equal(env.figure("latency"), before)
    env.evaluator.table.latency()[0] = 0.0  # of the caller's own
    np.testing.assert_array_equal(env.evaluator.table.latency(), before)


def test_figures_that_nobody_knows_are_refused() -> None:
    for make in (gym.make, gym.make_vec):
        with pytest.raises(InvalidInput, match=r"unknown figure 'flop'.*Did you mean 'flops'"):
            make("NATS-TSS-cifar10-v0", reward=lambda seen: seen.figure("flop"))
    with pytest.raises(InvalidInput, match="no figures"):
        Evaluation(50.0).figure("flops")


def test_figures_of_a_part_of_the_space_are_no_rewards() -> None:
    told = r"the reward needs the proxy/naswot of every architecture, .* has that of 4,000 of"
    for make in (gym.make, gym.make_vec):
        with pytest.raises(InvalidInput, match=told):
            make("NATS-SSS-cifar10-v0", reward=lambda seen: seen.figure("proxy/naswot"))
    asked: list[str] = []  # at the check that an environment makes of a reward there is none
    late = {"reward": lambda seen: seen.figure(asked[0]) if asked else 0.0, "horizon": 1}
    env, envs = (make("NATS-SSS-cifar10-Edit-v0", **late) for make in (gym.make, gym.make_vec))
    for one in (env, envs):
        one.reset(seed=0)
    asked.append("proxy/naswot")
    for one, action in ((env, 0), (envs, np.array([0]))):
        with pytest.raises(InvalidInput, match=told):
            one.step(action)


class Live:
    """An evaluator that knows no optimum."""

    def evaluate(self, index, epochs, trial_keys):
        return Outcome(np.full(len(index), 30.0), np.full(len(index), 7.0))


def test_live_training_knows_no_optimum() -> None:
    for reward in ("negative-regret", "rank", ThresholdBonus(50, base="rank")):
        with pytest.raises(InvalidInput, match="live training"):
            ConstructionEnv("tss", "cifar10", evaluator=Live(), reward=reward)
    env = ConstructionEnv("tss", "cifar10", evaluator=Live(), reward=NegativeRegret(best=40.0))
    env.reset(seed=0)
    assert [env.step(0) for _ in range(6)][-1][1] == pytest.approx(-0.1)


def test_a_dictionary_is_written_into_a_spec() -> None:
    reward = {"name": "threshold-bonus", "threshold": 90.0, "base": "rank"}
    env = gym.make("NATS-TSS-cifar10-v0", reward=reward)
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert json.loads(env.spec.to_json())["kwargs"]["reward"] == reward
    assert again.unwrapped.reward_function.threshold == 90.0


@pytest.mark.parametrize(
    ("reward", "words"),
    [
        ("acuracy", ["Did you mean 'accuracy'"]),
        ({"name": "lagrange"}, ["Did you mean 'lagrangian'"]),
        ({"multiplier": 2}, ["says its name"]),
        ({}, ["says its name", "{}"]),
        ({"name": None}, ["None"]),
        ({"name": "lagrangian", "multipler": 1}, ["Did you mean 'multiplier'"]),
        ({"name": "threshold-bonus"}, ["threshold"]),
        ({"name": "lagrangian", "multiplier": -1}, ["-1"]),
        ({"name": "lagrangian", "multiplier": "2"}, ["'2'"]),
        ({"name": "threshold-bonus", "threshold": float("nan")}, ["nan"]),
        ({"name": "lagrangian", "base": "acuracy"}, ["Did you mean 'accuracy'"]),
        (lambda: 0, ["one nats_gym.rewards.Evaluation"]),
        (lambda accuracy, incumbent: accuracy, ["one nats_gym.rewards.Evaluation"]),
        (Lagrangian, ["Lagrangian() and not its class"]),
        (RankNormalised, ["RankNormalised"]),
        (3.0, ["3.0", *REWARDS]),
    ],
)
def test_bad_rewards_are_refused(reward: Any, words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        ConstructionEnv("tss", "cifar10", reward=reward)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("penalty", [-1, float("inf"), "much", None, True, float("nan")])
def test_bad_penalties_are_refused(penalty: Any) -> None:
    with pytest.raises(InvalidInput, match="penalty is a finite number from 0"):
        ConstructionEnv("tss", "cifar10", penalty=penalty)


class Touchy:
    """Works, and will be neither compared nor counted, nor be true or false."""

    def _no(self, *_: object) -> Any:
        raise RuntimeError("not me")

    __eq__ = __ne__ = __hash__ = __bool__ = __len__ = _no  # type: ignore[assignment]


class TouchyReward(Touchy):
    def __call__(self, evaluation: Evaluation) -> Any:
        return evaluation.accuracy / 100


class TouchyEvaluator(Touchy):
    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Outcome:
        return Outcome(np.full(len(index), 50.0), np.full(len(index), 900.0))


def test_what_will_not_be_compared_works_all_the_same() -> None:
    env = nats_gym.envs.OneShotEnv(
        "tss", "cifar10", evaluator=TouchyEvaluator(), reward=TouchyReward()
    )
    env.reset(seed=0)
    assert env.step(env.action_space.sample())[1] == 0.5


@pytest.mark.parametrize("option", ["evaluator", "reward"])
def test_what_raises_when_it_is_looked_at_is_refused(option: str) -> None:
    class Raising:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("not me")

        def __call__(self) -> None: ...

    with pytest.raises(InvalidInput, match="not me" if option == "reward" else "evaluator"):
        nats_gym.envs.ConstructionEnv("tss", "cifar10", **{option: Raising()})


def test_what_a_reward_needs_is_said() -> None:
    with pytest.raises(InvalidInput, match="reward 'threshold-bonus' needs threshold="):
        gym.make("NATS-TSS-cifar10-v0", reward={"name": "threshold-bonus"})


def test_a_reward_is_checked_on_a_batch_and_told_what_helps() -> None:
    assert nats_gym.testing.check_reward(lambda e: np.log1p(e.accuracy)) is None
    hint = "numpy functions take both"
    with pytest.raises(InvalidInput, match=hint):
        nats_gym.testing.check_reward(lambda e: math.log1p(e.accuracy))
    with pytest.raises(InvalidInput, match=r"division by zero$"):
        nats_gym.testing.check_reward(lambda e: 1.0 / 0.0)
