"""The native vector environments against Gymnasium's own, which loop over scalar ones."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nats_gym.errors import InvalidInput
from nats_gym.registration import FAMILIES, TABULAR, family_of
from nats_gym.testing import check_vector_env

MODES = list(AutoresetMode)
#: Gymnasium's own vectors know scalar rewards alone.
PLAIN = [family for family in FAMILIES if not family.startswith("mo-")]
CASES: dict[str, dict[str, Any]] = {
    "NATS-TSS-cifar10-v0": {},
    "NATS-SSS-cifar100-v0": {"trial": "mean"},
    "NATS-TSS-ImageNet16-120-Budgeted-v0": {"epochs": 12, "time_budget": 4000.0},
    "NATS-SSS-cifar10-Budgeted-v0": {"time_budget": 2500.0, "reward": "accuracy"},
    "NATS-SSS-cifar10-OneShot-v0": {"max_params": 0.1, "penalty": 1.0},
    "NATS-TSS-cifar10-Edit-v0": {"epochs": 12, "time_budget": 900.0},
}
for family in {*PLAIN} - {*map(family_of, CASES)}:  # one that is new, until it has a case
    CASES[family.format("NATS-TSS-cifar10")] = {}


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


@pytest.mark.one_in(5)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("env_id", CASES)
def test_bit_for_bit_what_scalar_environments_do(env_id: str, mode: AutoresetMode) -> None:
    native, looped = pair(env_id, 5, mode, **CASES[env_id])
    native.action_space.seed(0)
    for seed in (3, [9, 8, 7, 6, 5]):
        assert_same(native.reset(seed=seed), looped.reset(seed=seed), "reset")
        for step in range(90):
            actions = native.action_space.sample()
            results = native.step(actions), looped.step(actions)
            assert_same(*results, f"step {step}")
            ended = results[0][2] | results[0][3]
            if mode is AutoresetMode.DISABLED and ended.any():
                masks = ({"reset_mask": ended.copy()} for _ in range(2))
                starts = [
                    env.reset(options=o) for env, o in zip((native, looped), masks, strict=True)
                ]
                assert_same(*starts, f"masked reset after {step}")


@pytest.mark.parametrize("env_id", TABULAR)
def test_make_vec_makes_native_ones(env_id: str) -> None:
    envs = gym.make_vec(env_id, num_envs=3)
    assert type(envs.unwrapped).__name__ == FAMILIES[family_of(env_id)][1]
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    observations, infos = envs.reset(seed=0)
    assert observations in envs.observation_space
    if "NATS-" in env_id:
        assert "index" in infos if "Edit" in env_id else infos == {}
    else:
        assert infos["action_mask"].any(axis=-1).all()  # some rows are no cell


#: What a family has besides what all have.
FAMILY_OPTIONS = {
    "{}-Edit-v0": {
        "horizon": st.integers(1, 8),
        "time_budget": st.sampled_from([1.0, 3e3, 1e9]),
    },
    "{}-Budgeted-v0": {
        "time_budget": st.sampled_from([1.0, 3e3, 3e4]),
        "workers": st.sampled_from([1, 2, 5]),
        "max_evaluations": st.integers(1, 4),
    },
}
REWARDS = st.sampled_from(
    ["accuracy", "improvement", "change", "final", "negative-regret", "rank",
     {"name": "threshold-bonus", "threshold": 88.0, "base": "rank"},
     {"name": "lagrangian", "multiplier": 0.5}]
)  # fmt: skip


@st.composite
def cases(draw: Any) -> tuple[str, dict[str, Any]]:
    family = draw(st.sampled_from(PLAIN))
    own = FAMILY_OPTIONS.get(family, {})
    space = draw(st.sampled_from(["TSS", "SSS"]))
    common = {
        "reward": REWARDS,
        "penalty": st.sampled_from([0.0, 0.7]),
        "max_params": st.sampled_from([0.1, 0.4]),
        "max_latency": st.sampled_from([0.02, 0.05]),
        "trial": st.sampled_from(["mean", 0, "random"]),
    }
    optional = {**common, **own}
    if space == "TSS":
        optional["epochs"] = st.sampled_from([12, 200])
        if "Budgeted" in family and draw(st.booleans()):
            optional.pop("epochs")
            own = {**own, "fidelity_action": st.just(True)}
    options = draw(st.fixed_dictionaries({}, optional=optional))
    if "fidelity_action" in own:
        options["fidelity_action"] = True
    if not {"max_params", "max_latency"} & {*options}:
        options.pop("penalty", None)  # refused without limits
    return family.format(f"NATS-{space}-cifar10"), options


def check_bit_for_bit(case: tuple[str, dict[str, Any]], mode: AutoresetMode, seed: int) -> None:
    env_id, options = case
    native, looped = pair(env_id, 3, mode, **options)
    with warnings.catch_warnings():  # some budgets are never spent
        warnings.filterwarnings("ignore", "no episode ended")
        check_vector_env(native, looped, steps=40, seed=seed)


over_options = given(cases(), st.sampled_from(MODES), st.integers(0, 2**40))
some, many = (
    settings(deadline=None, max_examples=examples, suppress_health_check=[HealthCheck.too_slow])
    for examples in (10, 80)
)
test_bit_for_bit_over_options = some(over_options(check_bit_for_bit))
test_bit_for_bit_over_many_options = pytest.mark.slow(many(over_options(check_bit_for_bit)))


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("env_id", CASES)
def test_bit_for_bit_over_thousands_of_steps(env_id: str, mode: AutoresetMode) -> None:
    native, looped = pair(env_id, 8, mode, **CASES[env_id])
    check_vector_env(native, looped, steps=4000, seed=11)


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
