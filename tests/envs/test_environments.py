"""Both environment families: API checks, episodes by hand, determinism, bad input."""

from __future__ import annotations

import math
import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as sb3_check_env
from stable_baselines3.common.env_util import make_vec_env

import nats_gym
from nats_gym.envs import BudgetedEnv, ConstructionEnv, sources
from nats_gym.errors import InvalidInput, MissingTable, NatsGymError, NotInTable, SurrogateWarning
from nats_gym.evaluators import UNSTATED, Outcome, TableEvaluator
from nats_gym.registration import ENVIRONMENTS, FAMILIES, TABULAR, TASK_ENVIRONMENTS, family_of
from nats_gym.simulation.clock import default_budget
from nats_gym.spaces import get_space
from nats_gym.streams import combine, combine_int, seed_key
from nats_gym.tables import SURROGATE_VERSION

#: Of the spaces where every row of choices is an architecture.
DENSE = [env_id for env_id in TABULAR if "NATS-" in env_id]
BUDGETED = [env_id for env_id in DENSE if "Budgeted" in env_id]
BUILDING = [env_id for env_id in DENSE if family_of(env_id) in ("{}-v0", "{}-Budgeted-v0")]
SCALAR = [*(env_id for env_id in TABULAR if not env_id.startswith("mo-")), *TASK_ENVIRONMENTS]
TSS = ("tss", "cifar10")
UNBUDGETED = [env_id for env_id in BUILDING if "Budgeted" not in env_id]
# Pictures take long, and know of a data set nothing but its name.
CHECKED = [
    *((env_id, "ansi") for env_id in SCALAR),
    *((env_id, "rgb_array") for env_id in SCALAR if "-cifar10-" in env_id or "Tasks" in env_id),
]


def play(env: gym.Env[Any, Any], seed: int | None, steps: int) -> list[tuple[Any, ...]]:
    """A random trajectory: everything that reset and step return."""
    rng = np.random.default_rng(seed)
    trajectory: list[tuple[Any, ...]] = [env.reset(seed=seed)]
    for _ in range(steps):
        trajectory.append(env.step(rng.integers(env.action_space.n)))
        if trajectory[-1][2]:
            trajectory.append(env.reset())
    return trajectory


def same(left: Any, right: Any) -> bool:
    if isinstance(left, np.ndarray):
        return bool(np.array_equal(left, right))
    if isinstance(left, (tuple, list)):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def test_the_ids_are_those_of_the_design() -> None:
    assert len(ENVIRONMENTS) == len(FAMILIES) * (2 * 4 + 1)
    assert "mo-NASBench101-cifar10-v0" in ENVIRONMENTS
    assert "NATS-TSS-cifar10-v0" in ENVIRONMENTS
    assert "NATS-SSS-ImageNet16-120-Budgeted-v0" in ENVIRONMENTS
    assert "NATS-TSS-cifar100-OneShot-v0" in ENVIRONMENTS
    assert "NATS-SSS-cifar10-Edit-v0" in ENVIRONMENTS
    assert "mo-NATS-TSS-ImageNet16-120-v0" in ENVIRONMENTS
    assert "NATS-SSS-digits-OneShot-v0" in ENVIRONMENTS
    assert all(env_id in gym.registry for env_id in (*ENVIRONMENTS, *TASK_ENVIRONMENTS))


@pytest.mark.one_in(13)
@pytest.mark.parametrize(("env_id", "render_mode"), CHECKED)
def test_gymnasiums_checker_finds_nothing(
    env_id: str, render_mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", SurrogateWarning)
        env = gym.make(env_id, render_mode=render_mode).unwrapped
        # It shows windows, too: not at the pace of one who looks on.
        monkeypatch.setitem(type(env).metadata, "render_fps", 1000)
        check_env(env)


@pytest.mark.one_in(5)
@pytest.mark.parametrize(("env_id", "render_mode"), CHECKED)
def test_stable_baselines3s_checker_finds_nothing(env_id: str, render_mode: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", SurrogateWarning)
        sb3_check_env(gym.make(env_id, render_mode=render_mode))


def test_stable_baselines3_takes_an_id() -> None:
    model = PPO("MlpPolicy", "NATS-TSS-cifar10-v0", n_steps=12, batch_size=12, device="cpu")
    model.learn(12)
    envs = make_vec_env("NATS-TSS-cifar10-v0", n_envs=2)
    assert envs.reset().shape == (2, 36)


@pytest.mark.parametrize("env_id", BUILDING)
def test_two_environments_with_one_seed_do_the_same(env_id: str) -> None:
    first, second = gym.make(env_id), gym.make(env_id)
    left, right = play(first, 7, 60), play(second, 7, 60)
    assert same(left, right)
    assert same(play(first, 7, 60), left)  # a seeded reset restarts everything
    assert not same(play(first, 8, 60), left)


def test_gymnasiums_own_vector_environments_take_them() -> None:
    envs = gym.make_vec("NATS-TSS-cifar10-v0", num_envs=3, vectorization_mode="sync")
    observations, _ = envs.reset(seed=0)
    assert observations.shape == (3, 36)
    for _ in range(6):
        _, rewards, terminated, _, _ = envs.step(envs.action_space.sample())
    assert terminated.all()
    assert (rewards > 0).all()


# ── an episode of the unbudgeted environment ─────────────────────────────────────────────────


@pytest.mark.parametrize("env_id", UNBUDGETED)
def test_an_episode_by_hand(env_id: str) -> None:
    env = gym.make(env_id, trial="mean")
    space = env.unwrapped.architecture_space
    n, k = space.num_decisions, space.num_choices
    choices = space.choices(4321)
    observation, info = env.reset(seed=3)
    assert info == {}
    for position, digit in enumerate(choices):
        expected = np.zeros(n * k + n, np.float32)
        for earlier in range(position):
            expected[earlier * k + choices[earlier]] = 1
        expected[n * k + position] = 1
        assert np.array_equal(observation, expected)
        observation, reward, terminated, truncated, info = env.step(digit)
        assert terminated == (position == n - 1)
        assert not truncated
        if not terminated:
            assert (reward, info) == (0.0, {})
    table = env.unwrapped.evaluator.table
    expected[n * k :] = 0
    expected[(n - 1) * k + choices[-1]] = 1
    assert np.array_equal(observation, expected)
    assert info == {
        "index": 4321,
        "arch": str(space.string(choices)),
        "accuracy": table.mean_accuracy()[4321],
        "seconds": table.query_seconds(space.full_epochs)[4321],
        "clock": table.query_seconds(space.full_epochs)[4321],
        "provenance": "measured" if space.name == "tss" else "surrogate",
        "seconds_provenance": "surrogate",
    }
    assert reward == info["accuracy"] / 100


def test_observations_are_fresh_arrays() -> None:
    env = gym.make("NATS-TSS-cifar10-v0").unwrapped
    first, _ = env.reset(seed=0)
    kept = first.copy()
    second = env.step(1)[0]
    assert np.array_equal(first, kept)
    assert not np.shares_memory(first, second)


def test_trials_are_counted_on_over_resets_and_restart_with_a_seed() -> None:
    env = gym.make("NATS-TSS-cifar10-v0", epochs=12).unwrapped
    choices = env.architecture_space.choices(6111)

    def episode(**reset: Any) -> float:
        env.reset(**reset)
        for digit in choices:
            info = env.step(digit)[4]
        return float(info["accuracy"])

    first = [episode(seed=5), episode(), episode()]
    again = [episode(seed=5), episode(), episode()]
    assert len(set(first)) == 3
    assert first == again
    keys = combine(np.full(3, seed_key(5), np.uint64), np.arange(3))
    outcome = env.evaluator.evaluate(np.full(3, 6111), 12, keys)
    assert outcome.accuracy.tolist() == first
    assert keys.tolist() == [combine_int(seed_key(5), t) for t in range(3)]


def test_the_clock_counts_from_the_seeded_reset() -> None:
    env = gym.make("NATS-TSS-cifar10-v0")
    infos = [step[4] for step in play(env, 0, 60) if len(step) == 5 and step[4]]
    assert infos[-1]["clock"] == pytest.approx(sum(info["seconds"] for info in infos))
    env.reset(seed=1)
    for _ in range(6):
        info = env.step(3)[4]
    assert info["clock"] == info["seconds"]


@contextmanager
def warned_anew() -> Iterator[list[str]]:
    """Lists what of surrogates is warned of, as in a process that has not been warned yet."""
    texts: list[str] = []
    with (
        mock.patch.object(sources, "_warned", set()),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always", SurrogateWarning)
        yield texts
        texts += [str(one.message) for one in caught if one.category is SurrogateWarning]


def test_a_surrogate_is_warned_of_once() -> None:
    with warned_anew() as texts:
        for _ in range(3):
            gym.make("NATS-SSS-cifar10-v0")
        gym.make("NATS-TSS-cifar10-v0")
    (only,) = texts
    assert "sss cifar10 at 90 epochs" in only


@pytest.mark.parametrize(
    ("env_id", "options", "named"),
    [
        ("NATS-TSS-cifar10-v0", {"limits": {"latency/samsung_s7": 20}}, "latency/samsung_s7"),
        ("NATS-TSS-cifar10-v0", {"figures": ["latency/pixel3"]}, "latency/pixel3"),
        ("NATS-TSS-cifar10-v0", {"report_test": True}, "test accuracy"),
        (
            "NATS-TSS-cifar10-v0",
            {"reward": lambda seen: -seen.figure("latency/raspi4"), "report_test": True},
            "latency/raspi4, test accuracy",
        ),
        (
            "mo-NATS-TSS-cifar10-v0",
            {"objectives": ["accuracy", "latency/pixel2"]},
            "latency/pixel2",
        ),
        ("NATS-TSS-cifar10-v0", {"limits": {"flops": 90}}, ""),
    ],
)
@pytest.mark.parametrize("make", [gym.make, partial(gym.make_vec, num_envs=2)])
def test_estimates_beside_the_accuracy_are_warned_of(
    env_id: str, options: dict[str, Any], named: str, make: Any
) -> None:
    with warned_anew() as texts:
        make(env_id, **options)
    told = f"figures of {named} are a model's estimates, not measured"
    expected = [f"tss cifar10 rests on a surrogate: {told}"]
    assert texts == (expected if named else [])


@pytest.mark.parametrize("make", [gym.make, partial(gym.make_vec, num_envs=2)])
def test_what_tasks_estimate_is_warned_of_once_a_data_set(make: Any) -> None:
    devices = ["latency/pixel2", "latency/raspi4"]
    with warned_anew() as texts:
        make("NATS-TSS-Tasks-v0", tasks={"datasets": ["cifar10", "cifar100"], "limits": devices})
    told = f"rests on a surrogate: figures of {', '.join(devices)} are a model's estimates"
    assert texts == [f"tss {name} {told}, not measured" for name in ("cifar10", "cifar100")]


def test_rendering_shows_what_is_decided() -> None:
    env = gym.make("NATS-TSS-cifar10-v0", render_mode="ansi")
    env.reset(seed=0)
    env.step(3)
    text = env.render()
    assert "1←0  nor_conv_3x3" in text
    assert "2←0  ?" in text
    assert "3←2  ·" in text
    env = gym.make("NATS-SSS-cifar10-Budgeted-v0", render_mode="ansi")
    env.reset(seed=0)
    for _ in range(6):
        env.step(7)
    text = env.render()
    assert "cell 1       64" in text
    assert "1 evaluated" in text
    assert "incumbent" in text


@pytest.mark.parametrize("env_id", ["NATS-TSS-cifar10-v0", "NATS-SSS-cifar10-Budgeted-v0"])
def test_a_picture_changes_with_every_decision(env_id: str) -> None:
    env = gym.make(env_id, render_mode="rgb_array")
    env.reset(seed=0)
    pictures = [env.render()]
    for _ in range(3):
        env.step(3)
        pictures.append(env.render())
    for picture in pictures:
        assert (picture.shape, picture.dtype) == ((480, 640, 3), np.uint8)
        assert 0.01 < (picture != 255).mean() < 0.2  # text on white
    assert len({picture.tobytes() for picture in pictures}) == 4


# ── a budgeted episode ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("env_id", BUDGETED)
def test_a_budgeted_episode_against_a_plain_account(env_id: str) -> None:
    env = gym.make(env_id, time_budget=30_000.0)
    space, table = env.unwrapped.architecture_space, env.unwrapped.evaluator.table
    seconds = table.query_seconds(space.full_epochs)
    n, k = space.num_decisions, space.num_choices
    rng = np.random.default_rng(0)
    observation, _ = env.reset(seed=11)
    assert observation[-2:].tolist() == [1.0, 0.0]
    used, best, best_index, total, number = 0.0, 0.0, -1, 0.0, 0
    terminated = False
    while not terminated:
        choices = rng.integers(k, size=n)
        for digit in choices:
            assert not terminated
            observation, reward, terminated, truncated, info = env.step(digit)
            total += reward
            assert not truncated
        index = int(space.index(choices))
        key = combine_int(seed_key(11), number)
        accuracy, _ = env.unwrapped.evaluator.evaluate_one(index, space.full_epochs, key)
        number += 1
        used += seconds[index]
        assert info["index"] == index
        assert info["accuracy"] == accuracy
        assert reward == pytest.approx(max(accuracy - best, 0) / 100)
        if accuracy > best:
            best, best_index = accuracy, index
        assert info["clock"] == pytest.approx(used)
        assert (info["incumbent_index"], info["incumbent_accuracy"]) == (best_index, best)
        left = max(1 - used / 30_000, 0)
        assert observation[-2:] == pytest.approx([left, best / 100], abs=1e-6)
        assert terminated == (used >= 30_000)
        if not terminated:
            assert observation[n * k : n * k + n].tolist() == [1.0] + [0.0] * (n - 1)
            assert not observation[: n * k].any()
    assert total == pytest.approx(best / 100)


def test_the_accuracy_reward_of_a_budgeted_episode() -> None:
    env = gym.make("NATS-TSS-cifar10-Budgeted-v0", reward="accuracy", time_budget=20_000)
    for step in play(env, 0, 100)[1:]:
        if len(step) == 5 and step[4]:
            assert step[1] == step[4]["accuracy"] / 100


@pytest.mark.parametrize("workers", [1, 3])
def test_a_budgeted_episode_ends_after_so_many_evaluations(workers: int) -> None:
    env = gym.make("NATS-TSS-cifar10-Budgeted-v0", max_evaluations=4, workers=workers)
    assert env.unwrapped.clock.budget == math.inf
    for seed in (None, 3):  # the count begins anew with every episode
        env.reset(seed=seed)
        left, terminated, steps = [], False, 0
        while not terminated:
            observation, _, terminated, truncated, info = env.step(steps % 5)
            steps += 1
            assert not truncated
            if info:
                left.append(float(observation[-2]))
        assert left == [0.75, 0.5, 0.25, 0.0]
        assert steps == 6 * (4 + workers - 1)


def test_the_bound_that_is_met_first_ends_a_budgeted_episode() -> None:
    bound = {"max_evaluations": 3, "epochs": 12}
    env = gym.make("NATS-TSS-cifar10-Budgeted-v0", time_budget=1.0, **bound)
    env.reset(seed=0)
    steps = [env.step(3) for _ in range(6)]
    assert [terminated for _, _, terminated, _, _ in steps] == [False] * 5 + [True]
    env = gym.make("NATS-TSS-cifar10-Budgeted-v0", time_budget=1e9, **bound)
    env.reset(seed=0)
    ends = [env.step(3)[2] for _ in range(18)]
    assert ends == [False] * 17 + [True]


def test_default_budgets_are_the_papers_scaled_by_epochs() -> None:
    assert gym.make("NATS-TSS-cifar10-Budgeted-v0", epochs=12).unwrapped.clock.budget == 20_000
    assert gym.make("NATS-TSS-cifar100-Budgeted-v0", epochs=12).unwrapped.clock.budget == 40_000
    env = gym.make("NATS-TSS-ImageNet16-120-Budgeted-v0")
    assert env.unwrapped.clock.budget == 120_000 * 200 / 12
    assert gym.make("NATS-SSS-ImageNet16-120-Budgeted-v0").unwrapped.clock.budget == 60_000 * 7.5
    assert default_budget("sss", "cifar10", 12) == 20_000


# ── judging, evaluators, sources ─────────────────────────────────────────────────────────────


def test_test_accuracy_appears_only_when_asked_for_and_at_the_end() -> None:
    plain = gym.make("NATS-SSS-cifar10-v0")
    judged = gym.make("NATS-SSS-cifar10-v0", report_test=True)
    assert all("evaluation" not in s[4] for s in play(plain, 0, 20) if len(s) == 5)
    ends = [s for s in play(judged, 0, 20) if len(s) == 5 and s[2]]
    assert len(ends) == 4
    table = nats_gym.load_table("sss", "cifar10")
    for _, reward, _, _, info in ends:
        assert info["evaluation"]["test_accuracy"] == table.mean_accuracy("test")[info["index"]]
        assert info["evaluation"]["provenance"] == "surrogate"
        assert reward == info["accuracy"] / 100


def test_a_budgeted_episode_judges_its_incumbent() -> None:
    env = gym.make("NATS-SSS-cifar10-Budgeted-v0", report_test=True, time_budget=3000)
    steps = [s for s in play(env, 0, 200) if len(s) == 5 and s[4]]
    table = nats_gym.load_table("sss", "cifar10")
    for _, _, terminated, _, info in steps:
        assert ("evaluation" in info) == terminated
        if terminated:
            expected = table.mean_accuracy("test")[info["incumbent_index"]]
            assert info["evaluation"]["test_accuracy"] == expected


class CountingEvaluator:
    """An evaluator of one's own: accuracy is the number of 3×3 convolutions."""

    def evaluate(self, index, epochs, trial_keys):
        assert (index.shape, trial_keys.dtype) == ((1,), np.uint64)
        threes = (get_space("tss").choices(index) == 3).sum(axis=-1)
        seconds = np.full(len(index), float(epochs))
        return Outcome(threes * 10.0, seconds, "counted", "invented")


@pytest.mark.parametrize("family", ["", "-Budgeted"])
def test_an_evaluator_of_ones_own(family: str) -> None:
    env = gym.make(f"NATS-TSS-cifar10{family}-v0", evaluator=CountingEvaluator(), epochs=7)
    env.reset(seed=0)
    for action in (3, 3, 0, 0, 0, 3):
        _, reward, _, _, info = env.step(action)
    assert (reward, info["accuracy"], info["seconds"]) == (0.3, 30.0, 7.0)
    assert (info["provenance"], info["seconds_provenance"]) == ("counted", "invented")


class Terse:
    """An evaluator with a short cut of its own and nothing to say of what it rests on."""

    def evaluate(self, index, epochs, trial_keys):
        return Outcome(np.full(len(index), 50.0), np.ones(len(index)))

    def evaluate_one(self, index, epochs, trial_key):
        return 50.0, 1.0


def test_the_provenance_of_others_is_what_they_say_or_unstated() -> None:
    env = gym.make("NATS-TSS-cifar10-v0", evaluator=Terse())
    env.reset(seed=0)
    for _ in range(6):
        info = env.step(0)[4]
    assert (info["provenance"], info["seconds_provenance"]) == (UNSTATED, UNSTATED)
    assert Terse().evaluate(np.zeros(1), 1, np.zeros(1)).provenance == "unstated"


def test_a_surrogate_given_as_evaluator_is_warned_of_but_not_in_a_search() -> None:
    with warned_anew() as texts:
        nats_gym.search("sss", "cifar10", "ppo", budget=50)
    assert texts == []
    with warned_anew() as texts:
        table = nats_gym.load_table("sss", "cifar10")
        gym.make("NATS-SSS-cifar10-v0", evaluator=TableEvaluator(table))
    assert len(texts) == 1


def test_a_table_that_evaluates_also_judges() -> None:
    table = nats_gym.load_table("sss", "cifar10")
    env = gym.make("NATS-SSS-cifar10-v0", evaluator=TableEvaluator(table), report_test=True)
    assert env.unwrapped.judge._table is table
    topology = TableEvaluator(nats_gym.load_table("tss", "cifar10", "embedded"))
    env = gym.make("NATS-TSS-cifar10-v0", evaluator=topology, report_test=True)
    assert env.unwrapped.judge._table is topology.table


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "ImageNet16-120"])
def test_test_accuracy_of_a_topology_is_an_estimate_and_says_so(dataset: str) -> None:
    env = gym.make(f"NATS-TSS-{dataset}-v0", source="embedded", report_test=True)
    env.reset(seed=0)
    for _ in range(6):
        *_, info = env.step(3)
    table = nats_gym.load_table("tss", dataset, "embedded")
    assert info["evaluation"] == {
        "test_accuracy": table.mean_accuracy("test", 200)[info["index"]],
        "epochs": 200,
        "provenance": "surrogate",
    }


def test_a_seed_that_gymnasium_does_not_know_is_drawn() -> None:
    def first_accuracy(seed: int) -> float:
        env = gym.make("NATS-SSS-cifar10-v0").unwrapped
        env.np_random = np.random.default_rng(seed)
        assert env.np_random_seed == -1
        env.reset()
        return [env.step(3)[4] for _ in range(5)][-1]["accuracy"]

    assert first_accuracy(1) == first_accuracy(1)
    assert first_accuracy(1) != first_accuracy(2)


def test_pickled_environments_are_small_and_go_on_alike() -> None:
    for options in ({}, {"epochs": 12}, {"source": str(nats_gym.tables.embedded_folder(*TSS))}):
        env = gym.make("NATS-TSS-cifar10-Budgeted-v0", **options)
        play(env, 3, 50)
        content = pickle.dumps(env.unwrapped)
        assert len(content) < 20_000
        again = pickle.loads(content)
        assert same([env.step(2) for _ in range(12)], [again.step(2) for _ in range(12)])
    env = gym.make("NATS-SSS-cifar10-v0", report_test=True)
    assert len(pickle.dumps(env.unwrapped)) < 20_000


def test_the_surrogates_version_is_in_the_metadata() -> None:
    assert gym.make("NATS-TSS-cifar10-v0").metadata["surrogate_version"] == SURROGATE_VERSION


def test_a_source_of_ones_own(tmp_path) -> None:
    source = nats_gym.tables.embedded_folder("tss", "cifar10")
    env = gym.make("NATS-TSS-cifar10-v0", source=str(source))
    assert isinstance(env.unwrapped.evaluator, TableEvaluator)
    assert env.unwrapped.evaluator.table.source == str(source)


def size_evaluator() -> TableEvaluator:
    return TableEvaluator(nats_gym.load_table("sss", "cifar10"))


def test_ground_truth_against_a_plain_ranking() -> None:
    env = gym.make("NATS-TSS-cifar100-v0", epochs=12).unwrapped
    accuracy = nats_gym.load_table("tss", "cifar100").mean_accuracy("valid", 200).tolist()
    ranking = sorted(range(15625), key=lambda index: -accuracy[index])
    assert env.optimum() == ranking[0]
    assert env.regret(env.optimum()) == 0
    index = np.array([[0, 11], [6111, 15624]])
    best = accuracy[ranking[0]]
    assert env.regret(index) == pytest.approx(
        np.array([best - accuracy[i] for i in index.flat]).reshape(2, 2)
    )
    better = [sum(other > accuracy[i] for other in accuracy) for i in index.flat]
    assert env.rank(index).ravel().tolist() == [count + 1 for count in better]
    test = nats_gym.load_table("tss", "cifar100").mean_accuracy("test", 200)
    assert env.optimum("test") == np.argmax(test)
    size = gym.make("NATS-SSS-cifar10-Budgeted-v0").unwrapped
    assert size.rank(size.optimum("test"), "test") == 1
    with pytest.raises(InvalidInput, match="99999"):
        env.rank(99999)


def test_what_a_partial_table_lacks_has_no_rank() -> None:
    env = gym.make("NATS-SSS-digits-v0").unwrapped
    accuracy = nats_gym.load_table("sss", "digits").mean_accuracy("valid")
    known, unknown = np.flatnonzero(~np.isnan(accuracy))[:2], np.flatnonzero(np.isnan(accuracy))[0]
    assert env.rank(known).dtype == np.int64
    ranks = env.rank([*known, unknown])
    assert ranks[:2].tolist() == [1 + (accuracy > accuracy[one]).sum() for one in known]
    assert np.isnan(ranks[2])
    assert np.isnan(env.regret(unknown))
    assert np.isnan(gym.make_vec("NATS-SSS-digits-v0", num_envs=2).unwrapped.rank(unknown))


# ── bad input ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"epochs": 90}, NotInTable, ["accuracy-valid-90", "accuracy-valid-200 (measured)"]),
        ({"epochs": 0}, InvalidInput, ["epochs"]),
        ({"epochs": "12"}, InvalidInput, ["epochs", "'12'"]),
        ({"trial": "randm"}, InvalidInput, ["Did you mean 'random'"]),
        ({"trial": 2}, NotInTable, ["7,456 of 15,625"]),
        ({"source": "autp"}, MissingTable, ["Did you mean 'auto'"]),
        ({"reward": "acuracy"}, InvalidInput, ["Did you mean 'accuracy'"]),
        ({"reward": ""}, InvalidInput, ["''"]),
        ({"reward": 0}, InvalidInput, ["0", "improvement"]),
        ({"source": 5}, InvalidInput, ["source", "5"]),
        ({"evaluator": 7}, InvalidInput, ["evaluate(index, epochs, trial_keys)"]),
        ({"evaluator": Terse}, InvalidInput, ["object", "Terse"]),
        ({"evaluator": Terse(), "trial": 1}, InvalidInput, ["trial and source"]),
        ({"evaluator": Terse(), "source": "embedded"}, InvalidInput, ["trial and source"]),
        ({"evaluator": size_evaluator()}, InvalidInput, ["sss cifar10", "tss cifar10"]),
        ({"evaluator": size_evaluator(), "space": "sss", "dataset": "cifar100"}, InvalidInput, []),
        ({"dataset": "cifar1000"}, InvalidInput, ["Did you mean 'cifar100'"]),
        ({"space": "ts"}, InvalidInput, ["Did you mean 'tss'"]),
        ({"time_budget": -5}, InvalidInput, ["positive", "-5"]),
        ({"time_budget": float("nan")}, InvalidInput, ["positive", "nan"]),
        ({"time_budget": "long"}, InvalidInput, ["positive", "'long'"]),
        ({"time_budget": True}, InvalidInput, ["positive", "True"]),
        ({"time_budget": 10**400}, InvalidInput, ["positive"]),
        ({"time_budget": 10**5000}, InvalidInput, ["positive"]),
        ({"epochs": f"4/{'9' * 5000}"}, InvalidInput, ["epochs"]),
        ({"max_evaluations": 0}, InvalidInput, ["max_evaluations", "1", "0"]),
        ({"max_evaluations": 1.5}, InvalidInput, ["max_evaluations", "1.5"]),
        ({"time_bugdet": 5}, InvalidInput, ["time_bugdet", "Did you mean 'time_budget'"]),
        ({"render_mode": "rgb"}, InvalidInput, ["'rgb'", "ansi"]),
    ],
)
def test_bad_options_are_refused_when_the_environment_is_made(options, error, words) -> None:
    with pytest.raises(error) as caught:
        BudgetedEnv(**{"space": "tss", "dataset": "cifar10", **options})
    assert isinstance(caught.value, NatsGymError)
    for word in words:
        assert word in str(caught.value)


def test_a_budget_needs_the_budgeted_environment() -> None:
    with pytest.raises(InvalidInput, match="NATS-TSS-cifar10-Budgeted-v0"):
        gym.make("NATS-TSS-cifar10-v0", time_budget=100.0)


def test_unknown_ids_name_the_nearest() -> None:
    with pytest.raises(gym.error.Error, match="NATS-TSS-cifar10"):
        gym.make("NATS-TSS-cifar11-v0")


@pytest.mark.parametrize(
    "action", [5, -1, 1.5, "none", None, True, np.bool_(True), np.array([1, 2]), np.float64(2)]
)
def test_bad_actions_are_refused_and_change_nothing(action) -> None:
    env = ConstructionEnv("tss", "cifar10")
    before, _ = env.reset(seed=0)
    with pytest.raises(InvalidInput, match="0…4"):
        env.step(action)
    assert np.array_equal(env.step(0)[0][36 - 6 :], [0, 1, 0, 0, 0, 0])
    assert before[30] == 1


def test_stepping_needs_a_reset() -> None:
    env = ConstructionEnv("tss", "cifar10")
    with pytest.raises(ResetNeeded):
        env.step(0)
    env.reset(seed=0)
    for _ in range(6):
        env.step(np.array(0))
    with pytest.raises(ResetNeeded):
        env.step(0)
