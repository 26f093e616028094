"""Limits: masks against a brute force over completions, costs, and what episodes make of them."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nats_gym
from nats_gym.envs.multi_objective import MultiObjectiveEnv
from nats_gym.errors import InvalidInput
from nats_gym.spaces import ArchitectureSpace, get_space

TABLES = {space: nats_gym.load_table(space, "cifar10") for space in ("tss", "sss")}


def figures(space: str) -> dict[str, np.ndarray]:
    """Limited figures of every architecture, in lexicographic order of choices."""
    one = get_space(space)
    every = one.rank_to_index
    return {
        "max_params": one.params(one.choices(every), "cifar10"),
        "max_flops": one.flops(one.choices(every), "cifar10"),
        "max_latency": TABLES[space].latency()[every],
    }


FIGURES = {space: figures(space) for space in ("tss", "sss")}
limits = st.fixed_dictionaries(
    {},
    optional={
        name: st.floats(0.0, 1.0).map(lambda share: 0.02 + 0.98 * share)
        for name in ("max_params", "max_flops", "max_latency")
    },
).filter(bool)


def in_units(space: str, shares: dict[str, float]) -> dict[str, float]:
    """Limits at quantiles of their figures."""
    return {name: float(np.quantile(FIGURES[space][name], q)) for name, q in shares.items()}


def meets(space: str, maxima: dict[str, float]) -> np.ndarray:
    every = [FIGURES[space][name] <= limit for name, limit in maxima.items()]
    return np.logical_and.reduce(every)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(["tss", "sss"]), limits, st.integers(0, 2**32))
def test_masks_admit_what_has_a_completion_and_nothing_else(
    space: str, shares: dict[str, float], seed: int
) -> None:
    maxima = in_units(space, shares)
    allowed = meets(space, maxima)
    if not allowed.any():
        with pytest.raises(InvalidInput, match="no architecture"):
            gym.make(f"NATS-{space.upper()}-cifar10-v0", **maxima)
        return
    env = gym.make(f"NATS-{space.upper()}-cifar10-v0", trial="mean", **maxima).unwrapped
    one = get_space(space)
    every = np.array(list(itertools.product(range(one.num_choices), repeat=one.num_decisions)))
    admitted = every[allowed]
    rng = np.random.default_rng(seed)
    taken: list[int] = []
    _, info = env.reset(seed=0)
    for position in range(one.num_decisions):
        mask = info["action_mask"]
        following = admitted[(admitted[:, :position] == taken).all(axis=1), position]
        assert mask.dtype == np.int8
        assert np.flatnonzero(mask).tolist() == np.unique(following).tolist()
        assert np.array_equal(env.action_masks(), mask.astype(bool))
        taken.append(int(rng.choice(np.flatnonzero(mask))))
        info = env.step(taken[-1])[4]
    assert info["cost"] == 0
    assert info["action_mask"].any()


@pytest.mark.parametrize("space", ["tss", "sss"])
def test_the_cost_is_the_excess_over_every_limit(space: str) -> None:
    maxima = in_units(space, {"max_params": 0.3, "max_flops": 0.5, "max_latency": 0.4})
    env = gym.make(f"NATS-{space.upper()}-cifar10-v0", **maxima).unwrapped
    rank_to_index = get_space(space).rank_to_index
    expected = sum(
        np.maximum(FIGURES[space][name] / limit - 1, 0) for name, limit in maxima.items()
    )
    assert env.limits.cost[rank_to_index] == pytest.approx(expected)
    assert (env.limits.cost > 0).sum() > 5000
    env.reset(seed=0)
    for _ in range(env.architecture_space.num_decisions):
        info = env.step(3 if space == "tss" else 7)[4]
    assert info["cost"] == env.limits.cost[info["index"]] > 0


def test_limits_by_name_are_those_by_option_to_the_bit() -> None:
    limits = {"latency": 0.02, "flops": 60, "params": 0.6}
    for family in ("", "-Edit"):
        env_id = f"NATS-TSS-cifar10{family}-v0"
        by_name = gym.make(env_id, limits=limits).unwrapped.limits
        options = {f"max_{name}": of for name, of in limits.items()}
        by_option = gym.make(env_id, **options)
        assert np.array_equal(by_name.cost, by_option.unwrapped.limits.cost)
        mixed = gym.make_vec(
            env_id, num_envs=2, limits={"latency": 0.02, "params": 0.6}, max_flops=60
        )
        assert np.array_equal(by_name.cost, mixed.unwrapped.shared.limits.cost)
        assert by_name.maxima == mixed.unwrapped.shared.limits.maxima == options


def test_masks_are_fresh_and_samplable() -> None:
    env = gym.make("NATS-TSS-cifar10-v0", max_flops=30.0)
    _, info = env.reset(seed=0)
    info["action_mask"][:] = 0
    assert env.unwrapped.action_masks().any()
    _, _, _, _, info = env.step(env.action_space.sample(np.ones(5, np.int8)))
    for _ in range(5):
        info = env.step(env.action_space.sample(info["action_mask"]))[4]
    shot = gym.make("NATS-TSS-cifar10-OneShot-v0", max_flops=30.0)
    _, info = shot.reset(seed=0)
    assert info["action_mask"].shape == (6, 5)
    shot.step(shot.action_space.sample(tuple(info["action_mask"])))
    assert shot.unwrapped.action_masks().shape == (30,)


def test_without_limits_an_info_has_no_mask_but_the_method_answers() -> None:
    env = gym.make("NATS-TSS-cifar10-v0")
    _, info = env.reset(seed=0)
    assert info == {}
    assert env.unwrapped.action_masks().tolist() == [True] * 5
    assert "cost" not in [env.step(0) for _ in range(6)][-1][4]


def test_decisions_that_exclude_every_completion_leave_all_open() -> None:
    env = gym.make("NATS-SSS-cifar10-v0", max_params=0.02).unwrapped
    env.reset(seed=0)
    info = env.step(7)[4]
    assert info["action_mask"].tolist() == [1] * 8
    info = [env.step(0) for _ in range(4)][-1][4]
    assert info["cost"] > 0


def test_each_choice_of_a_one_shot_mask_occurs_in_what_meets_the_limits() -> None:
    env = gym.make("NATS-SSS-cifar10-OneShot-v0", max_params=0.05).unwrapped
    space = get_space("sss")
    admitted = space.choices(np.flatnonzero(space.params(space.all_choices(), "cifar10") <= 0.05))
    mask = env.reset(seed=0)[1]["action_mask"]
    for decision in range(5):
        assert np.flatnonzero(mask[decision]).tolist() == np.unique(admitted[:, decision]).tolist()
    assert not mask.all()


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 1.0])
def test_edit_masks_against_all_neighbours(space: ArchitectureSpace, share: float) -> None:
    maxima = in_units(space.name, {"max_latency": share, "max_params": max(share, 0.05)})
    allowed = np.zeros(space.size, bool)
    allowed[space.rank_to_index] = meets(space.name, maxima)
    if not allowed.any():
        maxima = {"max_latency": float(FIGURES[space.name]["max_latency"].min())}
        allowed[space.rank_to_index] = meets(space.name, maxima)
    env = gym.make(f"NATS-{space.name.upper()}-cifar10-Edit-v0", **maxima).unwrapped
    cost = env.limits.cost
    masks = env.limits.edits(env.architecture_space.rank_at(np.arange(env.architecture_space.size)))
    assert masks.any(axis=1).all()
    rng = np.random.default_rng(0)
    for index in {*np.flatnonzero(allowed)[:20].tolist(), *rng.integers(space.size, size=60)}:
        choices = space.choices(index)
        by_action: dict[int, int] = {}
        for decision, choice in itertools.product(range(len(choices)), range(space.num_choices)):
            changed = choices.copy()
            changed[decision] = choice
            by_action[decision * space.num_choices + choice] = int(space.index(changed))
        moves = {action: target for action, target in by_action.items() if target != index}
        expected = [action for action, target in moves.items() if allowed[target]]
        expected = expected or [a for a, target in moves.items() if cost[target] < cost[index]]
        expected = expected or [a for a in by_action if a not in moves]
        assert np.flatnonzero(masks[index]).tolist() == sorted(expected)


def test_native_masks_are_those_of_the_scalar_environment() -> None:
    envs = gym.make_vec("NATS-TSS-cifar10-v0", num_envs=3, max_params=0.2)
    _, infos = envs.reset(seed=0)
    assert infos["action_mask"].shape == (3, 5)
    assert infos["_action_mask"].all()
    for _ in range(20):
        action = np.array([np.flatnonzero(row)[-1] for row in infos["action_mask"]])
        infos = envs.step(action)[4]
        if "cost" in infos:
            assert (infos["cost"] == 0).all()
    assert np.array_equal(envs.unwrapped.action_masks(), infos["action_mask"].astype(bool))


def test_what_violates_a_limit_is_never_the_incumbent() -> None:
    env = gym.make("NATS-TSS-cifar10-Budgeted-v0", max_flops=40.0, epochs=12, report_test=False)
    env.reset(seed=0)
    first = [env.step(3) for _ in range(6)][-1]
    assert first[1] == 0
    assert (first[4]["incumbent_index"], first[4]["incumbent_accuracy"]) == (-1, 0.0)
    assert first[0][-1] == 0
    second = [env.step(1) for _ in range(6)][-1][4]
    assert second["incumbent_index"] == second["index"]


def test_an_episode_without_an_answer_is_not_judged() -> None:
    options: dict[str, Any] = {"max_flops": 10.0, "report_test": True, "time_budget": 1.0}
    env = gym.make("NATS-SSS-cifar10-Budgeted-v0", **options)
    env.reset(seed=0)
    _, _, terminated, _, info = [env.step(7) for _ in range(5)][-1]
    assert terminated
    assert "evaluation" not in info
    envs = gym.make_vec("NATS-SSS-cifar10-Budgeted-v0", num_envs=2, **options)
    envs.reset(seed=0)
    infos = [envs.step(np.array([7, 0])) for _ in range(5)][-1][4]
    assert infos["_evaluation"].tolist() == [False, True]


def test_a_latency_limit_needs_every_latency_where_all_can_be_trained() -> None:
    for make in (gym.make, lambda *a, **o: gym.make_vec(*a, num_envs=2, **o)):
        with pytest.raises(InvalidInput, match=r"limit on latency .* 300 of 32,768: take flops"):
            make("NATS-SSS-digits-v0", max_latency=1.0)
    gym.make("NATS-SSS-digits-v0", max_flops=5.0)
    with pytest.raises(InvalidInput, match=r"objective latency .* 300 of 32,768"):
        MultiObjectiveEnv("sss", "digits", objectives=("accuracy", "latency"))


@pytest.mark.parametrize("family", ["", "-OneShot", "-Edit", "-Budgeted"])
def test_what_a_partial_table_lacks_violates_a_limit_by_a_finite_cost(family: str) -> None:
    options: dict[str, Any] = {"source": "digits-300", "max_latency": 0.05, "penalty": 1.0}
    env = gym.make(f"NATS-SSS-digits{family}-v0", **options).unwrapped
    cost, latency = env.limits.cost, env.figure("latency")
    known = ~np.isnan(latency)
    assert known.sum() == 300
    assert (cost[known] == np.maximum(latency[known] / 0.05 - 1, 0)).all()
    assert set(cost[~known]) == {max(cost[known].max(), 1.0)}
    assert set(env.limits.feasible) <= set(np.flatnonzero(known))
    env.reset(seed=0)
    if family == "-OneShot":
        index = env.limits.feasible[0]
        reward = env.step(env.architecture_space.choices(index))[1]
        assert np.isfinite(reward)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_flops": 1.0}, ["flops ≤ 1 ", "lowest is 7.78305"]),
        ({"max_params": 0.08, "max_latency": 0.005}, ["params ≤ 0.08", "latency ≤ 0.005"]),
        ({"max_params": 0}, ["limit on params", "0"]),
        ({"max_params": -1.5}, ["-1.5"]),
        ({"max_latency": "fast"}, ["'fast'", "seconds"]),
        ({"max_latency": float("nan")}, ["nan"]),
        ({"max_flops": True}, ["True"]),
        ({"max_flop": 5}, ["Did you mean 'max_flops'"]),
        ({"limits": {"flop": 5}}, ["unknown limit 'flop'", "Did you mean 'flops'"]),
        ({"limits": {"paths": 5}}, ["more paths is better", "allowed: params, flops, latency,"]),
        ({"limits": {"accuracy": 90}}, ["more accuracy is better"]),
        ({"limits": {"proxy/naswot": 1}}, ["more proxy/naswot is better"]),
        ({"limits": {"flops": None}}, ["the limit on flops", "None"]),
        ({"limits": {"latency/rapsi4": 5}}, ["(31 in all, which nats-gym show lists). Did you"]),
        ({"figures": ["latency/rapsi4"]}, ["(41 in all, which nats-gym show lists). Did you"]),
        ({"figures": ["accuracy"]}, ["beside the accuracy"]),
        ({"limits": 60}, ["limits are numbers", "60"]),
        ({"limits": {"flops": 60}, "max_flops": 50}, ["limits=", "max_flops="]),
    ],
)
def test_bad_limits_are_refused(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        gym.make("NATS-TSS-cifar10-v0", **options)
    for word in words:
        assert word in str(caught.value)
