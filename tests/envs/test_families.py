"""One-shot and edit episodes by hand, the choice of a schedule, and the options of a reset."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import nats_gym
from nats_gym.envs import BudgetedEnv, EditEnv, OneShotEnv
from nats_gym.errors import InvalidInput, NotInTable
from nats_gym.evaluators import TableEvaluator
from nats_gym.spaces import get_space

TSS = ("tss", "cifar10")


# ── one shot ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("env_id", ["NATS-TSS-cifar10-OneShot-v0", "NATS-SSS-cifar100-OneShot-v0"])
def test_one_shot_does_what_building_does(env_id: str) -> None:
    shot, build = gym.make(env_id), gym.make(env_id.replace("-OneShot", ""))
    observation, info = shot.reset(seed=4)
    build.reset(seed=4)
    assert (observation.any(), info) == (False, {})
    rng = np.random.default_rng(0)
    for _ in range(10):
        choices = rng.integers(shot.action_space.nvec)
        observation, reward, terminated, truncated, info = shot.step(choices)
        built = [build.step(digit) for digit in choices][-1]
        assert (reward, terminated, truncated, info) == (built[1], True, False, built[4])
        assert np.array_equal(shot.unwrapped.decode(observation), choices)
        shot.reset()
        build.reset()


@pytest.mark.parametrize("action", [3, [1, 2], [0] * 7, [0, 0, 0, 0, 0, 5], [0.5] * 6, "000000"])
def test_bad_one_shot_actions_are_refused(action: Any) -> None:
    env = OneShotEnv(*TSS)
    env.reset(seed=0)
    with pytest.raises(InvalidInput, match="0…4"):
        env.step(action)


# ── edit ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("env_id", ["NATS-TSS-cifar10-Edit-v0", "NATS-SSS-cifar10-Edit-v0"])
def test_an_edit_episode_against_a_plain_account(env_id: str) -> None:
    env = gym.make(env_id, horizon=12, trial="mean", time_budget=1e9)
    inner = env.unwrapped
    space, table = (
        inner.architecture_space,
        nats_gym.load_table(inner.architecture_space.name, "cifar10"),
    )
    accuracy, seconds = table.mean_accuracy(), table.query_seconds(space.full_epochs)
    observation, info = env.reset(seed=1)
    index = info["index"]
    choices = space.choices(index)
    used, best = seconds[index], accuracy[index]
    start, total = accuracy[index], 0.0
    assert info["clock"] == used
    rng = np.random.default_rng(0)
    for step in range(1, 13):
        assert observation[-4:] == pytest.approx(
            [1 - used / 1e9, 1 - (step - 1) / 12, accuracy[index] / 100, best / 100]
        )
        assert np.array_equal(inner.decode(observation), choices)
        mask = info["action_mask"].reshape(choices.size, -1)
        assert (mask.sum(axis=1) == space.num_choices - 1).all()  # all but the no-op
        assert not mask[np.arange(choices.size), choices].any()
        decision, choice = (int(rng.integers(high)) for high in mask.shape)
        observation, reward, terminated, truncated, info = env.step(
            decision * space.num_choices + choice
        )
        if choice == choices[decision]:
            assert (reward, set(info)) == (0.0, {"action_mask"})
        else:
            old = accuracy[index]
            choices[decision] = choice
            index = int(space.index(choices))
            used, best = used + seconds[index], max(best, accuracy[index])
            assert reward == pytest.approx((accuracy[index] - old) / 100)
            assert (info["index"], info["accuracy"]) == (index, accuracy[index])
            assert info["clock"] == pytest.approx(used)
            assert info["incumbent_accuracy"] == best
        total += reward
        assert (terminated, truncated) == (False, step == 12)
    assert total == pytest.approx((accuracy[index] - start) / 100)


def test_an_edit_episode_ends_with_its_budget() -> None:
    env = gym.make("NATS-TSS-cifar10-Edit-v0", epochs=12, time_budget=1000.0)
    _, info = env.reset(seed=0)
    ends = []
    while not ends or not any(ends[-1]):
        before = info["clock"]
        _, _, terminated, truncated, info = env.step(env.action_space.sample(info["action_mask"]))
        ends.append((terminated, truncated))
    assert ends[-1] == (True, False)
    assert before < 1000.0 <= info["clock"]


def test_a_start_that_spends_the_budget_leaves_one_step() -> None:
    env = gym.make("NATS-TSS-cifar10-Edit-v0", time_budget=1.0)
    _, info = env.reset(seed=0)
    stay = int(np.flatnonzero(info["action_mask"] == 0)[0])
    assert env.step(stay)[1:4] == (0.0, True, False)


def test_starts_are_uniform_and_come_from_the_seed() -> None:
    env = gym.make("NATS-SSS-cifar10-Edit-v0", trial="mean").unwrapped
    starts = [env.reset(seed=seed)[1]["index"] for seed in range(400)]
    assert starts == [env.reset(seed=seed)[1]["index"] for seed in range(400)]
    choices = get_space("sss").choices(np.array(starts))
    counts = (choices[..., None] == np.arange(8)).sum(axis=0)  # (decision, choice)
    assert ((counts > 20) & (counts < 90)).all()  # 50 expected
    env.reset(seed=0)
    assert len({env.reset()[1]["index"] for _ in range(20)}) > 15


def test_starts_keep_to_the_limits() -> None:
    env = gym.make("NATS-SSS-cifar10-Edit-v0", max_params=0.02).unwrapped
    found = {env.reset(seed=seed)[1]["index"] for seed in range(50)}
    params = get_space("sss").params(get_space("sss").choices(np.array(list(found))), "cifar10")
    assert (params <= 0.02).all()


# ── the choice of a schedule ─────────────────────────────────────────────────────────────────


def test_the_last_decision_picks_the_epochs_and_the_clock_charges_them() -> None:
    env = gym.make("NATS-TSS-cifar10-Budgeted-v0", fidelity_action=True, trial="mean")
    inner = env.unwrapped
    table = nats_gym.load_table(*TSS)
    assert inner.schedules == (12, 200)
    assert inner.clock.budget == 20_000 * 200 / 12
    env.reset(seed=0)
    used = 0.0
    for action, epochs in ((0, 12), (1, 12), (2, 12), (3, 200), (4, 200)):
        for digit in (3, 1, 3, 1, 0, 3):
            observation, reward, _, _, info = env.step(digit)
            assert (reward, info) == (0.0, {})
        assert observation[30:37].tolist() == [0, 0, 0, 0, 0, 0, 1]
        info = env.step(action)[4]
        index = info["index"]
        used += table.query_seconds(epochs)[index]
        assert info["epochs"] == epochs
        assert info["accuracy"] == table.mean_accuracy("valid", epochs)[index]
        assert info["clock"] == pytest.approx(used)
        assert info["provenance"] == ("measured" if epochs == 200 else "surrogate")
    assert table.query_seconds(200)[index] > 15 * table.query_seconds(12)[index]


def test_schedules_can_be_named_and_are_sorted() -> None:
    env = BudgetedEnv(*TSS, fidelity_action=True, epochs=[200, 12, 12])
    assert env.schedules == (12, 200)
    assert env.observation_space.shape == (30 + 7 + 2,)
    with pytest.raises(InvalidInput, match="2 to 8 schedules, got 90"):
        BudgetedEnv("sss", "cifar10", fidelity_action=True)
    with pytest.raises(InvalidInput, match="2 to 5 schedules, got 12"):
        BudgetedEnv(*TSS, fidelity_action=True, epochs=12)
    with pytest.raises(NotInTable, match="accuracy-valid-50"):
        BudgetedEnv(*TSS, fidelity_action=True, epochs=[50, 200])
    with pytest.raises(InvalidInput, match="fidelity_action is True or False"):
        BudgetedEnv(*TSS, fidelity_action="yes")
    with pytest.raises(InvalidInput, match="list of schedules"):
        BudgetedEnv(*TSS, fidelity_action=True, epochs=1.5)


# ── options of a reset ───────────────────────────────────────────────────────────────────────


def test_a_trial_is_of_one_episode() -> None:
    env = gym.make("NATS-TSS-cifar10-v0", trial="mean")
    table = nats_gym.load_table(*TSS)

    def observed() -> tuple[float, int]:
        info = [env.step(digit) for digit in (3, 1, 3, 1, 0, 3)][-1][4]
        return info["accuracy"], info["index"]

    for trial, column in ((777, 0), (0, 0), (888, 1)):
        env.reset(seed=0, options={"trial": trial})
        accuracy, index = observed()
        assert accuracy == table.accuracy()[index, column]
    env.reset()
    accuracy, index = observed()
    assert accuracy == table.mean_accuracy()[index]


def test_a_start_of_decisions_counts_as_taken() -> None:
    env = gym.make("NATS-TSS-cifar10-v0")
    observation, _ = env.reset(seed=0, options={"start": [3, 1]})
    assert env.unwrapped.decode(observation).tolist() == [3, 1, -1, -1, -1, -1]
    assert observation[30:].tolist() == [0, 0, 1, 0, 0, 0]
    steps = [env.step(digit) for digit in (3, 1, 0, 3)]
    assert [step[2] for step in steps] == [False, False, False, True]
    assert steps[-1][4]["index"] == get_space("tss").index([3, 1, 3, 1, 0, 3])


@pytest.mark.parametrize(
    "start", [7, "64:48:32:16:8", [7, 5, 3, 1, 0]], ids=["index", "string", "choices"]
)
def test_a_start_of_an_edit_is_an_architecture(start: Any) -> None:
    env = gym.make("NATS-SSS-cifar10-Edit-v0")
    _, info = env.reset(seed=0, options={"start": start})
    assert info["index"] == get_space("sss").resolve(start)


def test_options_of_a_native_reset_are_of_the_copies_that_it_resets() -> None:
    envs = gym.make_vec("NATS-TSS-cifar10-v0", num_envs=2, trial="mean", autoreset_mode="Disabled")
    table = nats_gym.load_table(*TSS)
    envs.reset(seed=0)
    mask = np.array([False, True])
    envs.reset(options={"reset_mask": mask, "trial": 1, "start": [3]})
    rows = [[3, 1], [1, 3], [3, 1], [1, 0], [0, 3]]
    ends = [envs.step(np.array(row)) for row in rows]
    assert [end[2].tolist() for end in ends[3:5]] == [[False, False], [False, True]]
    index = ends[4][4]["index"][1]
    assert ends[4][4]["accuracy"][1] == table.accuracy()[index, 1]


class Live:
    def evaluate(self, index, epochs, trial_keys):
        raise AssertionError("never asked")


@pytest.mark.parametrize(
    ("env", "options", "words"),
    [
        (EditEnv(*TSS), {"star": 1}, ["Did you mean 'start'"]),
        (EditEnv(*TSS), {"start": 15_625}, ["15625"]),
        (EditEnv(*TSS), {"start": "|none~0|"}, ["malformed"]),
        (EditEnv(*TSS, max_flops=8.0), {"start": 11}, ["violates", "max_flops"]),
        (EditEnv(*TSS), {"trial": "avg"}, ["unknown trial 'avg'"]),
        (BudgetedEnv(*TSS), {"start": [0] * 6}, ["fewer than 6"]),
        (BudgetedEnv(*TSS), {"start": [9]}, ["0…4", "9"]),
        (BudgetedEnv(*TSS), {"start": 3}, ["fewer than 6", "3"]),
        (BudgetedEnv(*TSS), {"start": "31"}, ["0…4"]),
        (OneShotEnv(*TSS), {"start": [3]}, ["unknown reset option 'start'"]),
        (EditEnv(*TSS, evaluator=Live()), {"trial": 0}, ["trial", "evaluator="]),
    ],
)
def test_bad_options_of_a_reset_are_refused(env: Any, options: Any, words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        env.reset(seed=0, options=options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("horizon", [0, -3, 2.5, "ten", True, None])
def test_bad_horizons_are_refused(horizon: Any) -> None:
    with pytest.raises(InvalidInput, match="horizon is an integer from 1 to"):
        EditEnv(*TSS, horizon=horizon)


def test_options_of_other_families_name_their_ids() -> None:
    for option, ids in {
        "time_budget": "NATS-TSS-cifar10-Budgeted-v0 and NATS-TSS-cifar10-Edit-v0",
        "horizon": "NATS-TSS-cifar10-Edit-v0",
        "workers": "NATS-TSS-cifar10-Budgeted-v0",
        "objectives": "mo-NATS-TSS-cifar10-v0",
    }.items():
        with pytest.raises(InvalidInput, match=f"{option} is an option of {ids}"):
            gym.make("NATS-TSS-cifar10-OneShot-v0", **{option: 1})


def test_expected_accuracy_of_a_table() -> None:
    table = nats_gym.load_table(*TSS)
    assert np.array_equal(TableEvaluator(table).expected_accuracy(200), table.mean_accuracy())
    first = TableEvaluator(table, 777).expected_accuracy(200)
    assert np.array_equal(first, table.accuracy()[:, 0])
