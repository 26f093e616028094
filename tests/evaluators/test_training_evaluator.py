"""Evaluators that train: figures, seeds, failures, names, and environments on top of them."""

from __future__ import annotations

import pickle
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from nats_gym.datasets import get_dataset, get_images
from nats_gym.envs import ConstructionEnv
from nats_gym.errors import InvalidInput
from nats_gym.evaluators import (
    CachedEvaluator,
    Outcome,
    TrainingEvaluator,
    evaluator_names,
    make_evaluator,
    registry,
    training,
)
from nats_gym.networks import build
from nats_gym.testing import check_evaluator
from nats_gym.training.data import load_data
from nats_gym.training.devices import using_threads
from nats_gym.training.recipe import Recipe
from nats_gym.training.record import TrainingFailed
from nats_gym.training.trainer import seeded, train

pytest.importorskip("sklearn")
#: One cell a stage and two epochs of large batches: a training takes a fraction of a second.
QUICK: dict[str, Any] = {
    "device": "cpu",
    "recipe": {"batch_size": 128, "learning_rate": 0.05},
    "network": {"cells_per_stage": 1},
}
SMALL = np.array([0, 1, 9])  # narrow networks of the size space


def keys(*values: int) -> Any:
    return np.array(values, np.uint64)


def test_an_accuracy_is_that_of_the_trainer() -> None:
    evaluator = TrainingEvaluator("sss", "digits", trials=None, **QUICK)
    outcome = evaluator.evaluate(SMALL[:1], 2, keys(7))
    data = load_data("digits")
    recipe = Recipe(epochs=2, batch_size=128, learning_rate=0.05, horizontal_flip=False)
    network = seeded(lambda: build("sss", 0, 10, cells_per_stage=1), 7)
    with using_threads(1):
        record = train(network, data, recipe, seed=7, device="cpu")
    assert outcome.accuracy[0] == record.accuracy("x-valid")
    assert outcome.metrics["train_accuracy"][0] == record.train.accuracy[-1]
    assert outcome.metrics["status"][0] == "completed"
    assert (outcome.provenance, outcome.seconds_provenance) == ("measured", "measured")
    assert 0 < outcome.seconds[0] < 60


@pytest.mark.slow
def test_a_part_of_a_schedule_is_cheaper_than_all_of_it() -> None:
    evaluator = TrainingEvaluator("sss", "digits", **QUICK)
    part = evaluator.evaluate(SMALL[:1], "1/6", keys(0))
    whole = evaluator.evaluate(SMALL[:1], 6, keys(0))
    assert part.seconds[0] < whole.seconds[0]
    assert part.accuracy[0] != whole.accuracy[0]


def test_trials_are_seeds_that_keys_draw() -> None:
    two = TrainingEvaluator("sss", "digits", trials=2, **QUICK)
    drawn = two.trials_of(np.zeros(200, int), np.arange(200, dtype=np.uint64))
    assert set(drawn.tolist()) == {0, 1}
    assert 70 < drawn.sum() < 130
    endless = TrainingEvaluator("sss", "digits", trials=None, **QUICK)
    assert endless.trials_of(SMALL, keys(5, 6, 7)).tolist() == [5, 6, 7]


@pytest.mark.slow
def test_it_is_an_evaluator_by_the_checker() -> None:
    evaluator = TrainingEvaluator("sss", "digits", **QUICK)
    check_evaluator(evaluator, "sss", "digits", epochs=1, index=[0], deterministic=False)


def test_a_copy_answers_alike_and_brings_no_data() -> None:
    evaluator = TrainingEvaluator("sss", "digits", **QUICK)
    first = evaluator.evaluate(SMALL[:1], 1, keys(0))
    content = pickle.dumps(evaluator)
    assert len(content) < 2000
    again = pickle.loads(content).evaluate(SMALL[:1], 1, keys(0))
    assert first.accuracy.tolist() == again.accuracy.tolist()


def test_an_identity_tells_what_an_answer_depends_on() -> None:
    plain = TrainingEvaluator("sss", "digits", **QUICK)
    assert plain.identity == TrainingEvaluator("sss", "digits", workers=2, **QUICK).identity
    for change in (
        {"recipe": {"batch_size": 64}},
        {"network": {"cells_per_stage": 2}},
        {"split": "x-test"},
        {"threads": 2},
    ):
        assert TrainingEvaluator("sss", "digits", **{**QUICK, **change}).identity != plain.identity


@pytest.mark.parametrize("dataset", ["cifar100", "ImageNet16-120"])
def test_an_identity_tells_whose_split_it_is(dataset: str, tmp_path: Path) -> None:
    def identity(**options: Any) -> str:
        return TrainingEvaluator("sss", dataset, data_dir=tmp_path, **options).identity

    ours, every = identity(), identity(split="ori-test")
    assert "x-valid (seeded)" in ours
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / get_dataset(dataset).split_files[-1]).write_text("{}")
    assert "x-valid (official)" in identity()
    assert identity(split="ori-test") == every  # has no halves


def test_a_training_takes_one_thread_wherever_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = training.train_architectures

    def spied(*arguments: Any, **options: Any) -> Any:
        seen.append(torch.get_num_threads())
        return real(*arguments, **options)

    monkeypatch.setattr(training, "train_architectures", spied)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        TrainingEvaluator("sss", "digits", **QUICK).evaluate(SMALL[:1], 1, keys(0))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [1]


def test_a_training_that_diverges_is_a_low_reward_or_an_exception() -> None:
    wild = {**QUICK, "recipe": {"learning_rate": 1e20, "batch_size": 128}}
    outcome = TrainingEvaluator("sss", "digits", **wild).evaluate(SMALL[:1], 2, keys(0))
    assert outcome.accuracy[0] == 10.0  # chance
    assert outcome.metrics["status"][0] == "diverged"
    wild["recipe"]["on_failure"] = "raise"
    with pytest.raises(TrainingFailed):
        TrainingEvaluator("sss", "digits", **wild).evaluate(SMALL[:1], 2, keys(0))


def test_a_batch_is_trained_together(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    real = training.train_architectures

    def spied(space: str, index: list[int], *arguments: Any, **options: Any) -> Any:
        sizes.append(len(index))
        return real(space, index, *arguments, **options)

    monkeypatch.setattr(training, "train_architectures", spied)
    alone = TrainingEvaluator("sss", "digits", **QUICK)
    wanted = alone.evaluate(SMALL, 1, keys(0, 0, 0))
    assert sizes == [1, 1, 1]  # "auto" on the CPU, where one alone is exact
    pair = TrainingEvaluator("sss", "digits", together=2, **QUICK)
    found = pair.evaluate(SMALL, 1, keys(0, 0, 0))
    assert sizes[3:] == [2, 1]
    assert np.allclose(found.accuracy, wanted.accuracy, atol=2)
    assert "2 together" in pair.identity
    assert TrainingEvaluator("sss", "digits", together=1, **QUICK).identity == alone.identity


def test_auto_fills_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = TrainingEvaluator("sss", "digits", **QUICK)
    three = TrainingEvaluator("sss", "digits", workers=3, **QUICK)
    four = TrainingEvaluator("sss", "digits", together=4, **QUICK)
    assert [evaluator._at_once(batch) for batch in (0, 1, 40)] == [1, 1, 1]
    for one in (evaluator, three, four):
        monkeypatch.setattr(one, "_devices", (torch.device("cuda"),))
    assert [evaluator._at_once(batch) for batch in (0, 1, 10, 40)] == [1, 1, 10, 16]
    assert [three._at_once(batch) for batch in (1, 10, 90)] == [1, 4, 16]
    assert [four._at_once(batch) for batch in (1, 40)] == [4, 4]
    assert "together" not in four.identity  # no two trainings on a GPU are the same bits


def test_a_vector_environment_hands_on_whole_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    real = training.train_architectures

    def spied(space: str, index: list[int], *arguments: Any, **options: Any) -> Any:
        batches.append(len(index))
        return real(space, index, *arguments, **options)

    monkeypatch.setattr(training, "train_architectures", spied)
    options = {"evaluator": "train", "cache": False, "together": 4, "epochs": 1, **QUICK}
    envs = gym.make_vec("NATS-SSS-digits-v0", num_envs=6, **options)
    envs.reset(seed=0)
    for choice in (0, 0, 0, 0, 1):
        actions = np.full(6, choice)
        actions[3:] = 0
        _, rewards, terminated, _, infos = envs.step(actions)
    assert terminated.all()
    assert batches == [4, 2]
    assert (rewards > 0).all()
    assert set(infos["status"]) == {"completed"}
    envs.close()


def test_one_that_fails_keeps_no_answer_of_the_others_back() -> None:
    wild = {**QUICK, "recipe": {**QUICK["recipe"], "on_failure": "raise"}, "together": 3}
    evaluator = TrainingEvaluator("sss", "digits", **wild)
    real, found = seeded, []
    with pytest.MonkeyPatch.context() as patch:
        from nats_gym.training import architecture

        def broken(build_: Any, seed: int) -> Any:
            network = real(build_, seed)
            if seed == 1:
                with torch.no_grad():
                    network.classifier.weight.fill_(float("nan"))
            return network

        patch.setattr(architecture, "seeded", broken)
        answers = evaluator.stream(SMALL, 1, keys(0, 1, 2))
        with pytest.raises(TrainingFailed, match="diverged after 0 epochs"):
            found.extend((position, answer.metrics["status"]) for position, answer in answers)
    assert found == [(0, "completed"), (2, "completed")]


@pytest.mark.slow
def test_processes_answer_as_one_does_and_a_stuck_one_is_ended() -> None:
    alone = TrainingEvaluator("sss", "digits", **QUICK).evaluate(SMALL, 1, keys(0, 0, 0))
    several = TrainingEvaluator("sss", "digits", workers=2, **QUICK)
    assert several.evaluate(SMALL, 1, keys(0, 0, 0)).accuracy.tolist() == alone.accuracy.tolist()
    assert several._pool is not None
    processes = several._pool.pids
    alone = TrainingEvaluator("sss", "digits", **QUICK).evaluate(SMALL[:1], "1/3", keys(0))
    other = several.evaluate(SMALL[:1], "1/3", keys(0))  # another schedule, the same processes
    assert other.accuracy.tolist() == alone.accuracy.tolist()
    assert several._pool.pids == processes
    several.close()
    hurried = TrainingEvaluator("sss", "digits", workers=2, timeout=0.01, **QUICK)
    outcome = hurried.evaluate(SMALL[:2], 1, keys(0, 0))
    assert outcome.metrics["status"].tolist() == ["timed out"] * 2
    assert outcome.accuracy.tolist() == [10.0] * 2
    assert outcome.seconds.tolist() == [0.01] * 2
    hurried.close()


# ── environments ─────────────────────────────────────────────────────────────────────────────


def test_an_environment_that_trains(tmp_path: Path) -> None:
    options: dict[str, Any] = {**QUICK, "epochs": 1, "cache": str(tmp_path / "cache.sqlite")}
    env = gym.make("NATS-SSS-digits-v0", **options)
    env.reset(seed=0)
    _, reward, terminated, _, info = [env.step(0) for _ in range(5)][-1]
    assert terminated
    assert reward == info["accuracy"] / 100
    assert (info["provenance"], info["status"]) == ("measured", "completed")
    assert info["clock"] == info["seconds"] > 0
    again = gym.make("NATS-SSS-digits-v0", **options)
    again.reset(seed=1)
    assert [again.step(0) for _ in range(5)][-1][4] == info  # seconds too: it was kept


def test_a_time_limit_does_not_outlive_its_environment(tmp_path: Path) -> None:
    options: dict[str, Any] = {**QUICK, "epochs": 1, "cache": str(tmp_path / "cache.sqlite")}

    def evaluated(**limit: float) -> dict[str, Any]:
        env = gym.make("NATS-SSS-digits-OneShot-v0", **options, **limit)
        env.reset(seed=0)
        return env.step(np.zeros(5, int))[4]

    hurried, patient = evaluated(time_limit=1e-6), evaluated()
    assert (hurried["status"], hurried["accuracy"]) == ("timed out", 10.0)
    assert patient["status"] == "completed"
    assert evaluated(time_limit=1e-6) == patient  # a kept answer needs no time


def test_real_seconds_spend_a_budget(tmp_path: Path) -> None:
    env = gym.make(
        "NATS-SSS-digits-Budgeted-v0",
        time_budget=0.05,
        epochs=1,
        cache=str(tmp_path / "cache.sqlite"),
        **QUICK,
    )
    env.reset(seed=0)
    _, _, terminated, _, info = [env.step(0) for _ in range(5)][-1]
    assert terminated == (info["clock"] >= 0.05)


def test_a_native_vector_hands_over_whole_batches(tmp_path: Path) -> None:
    class Batches:
        sizes: list[int] = []  # noqa: RUF012

        def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Outcome:
            self.sizes.append(len(index))
            return Outcome(np.full(len(index), 50.0), np.ones(len(index)))

    evaluator = Batches()
    envs = gym.make_vec("NATS-SSS-digits-OneShot-v0", num_envs=7, evaluator=evaluator)
    envs.reset(seed=0)
    envs.step(envs.action_space.sample())
    assert evaluator.sizes == [7]
    envs = gym.make_vec(
        "NATS-SSS-digits-OneShot-v0",
        num_envs=2,
        epochs=1,
        cache=str(tmp_path / "cache.sqlite"),
        **QUICK,
    )
    envs.reset(seed=0)
    infos = envs.step(np.zeros((2, 5), int))[4]
    assert infos["status"].tolist() == ["completed"] * 2


def test_an_evaluator_of_another_space_or_data_set_is_refused(tmp_path: Path) -> None:
    choices = TrainingEvaluator("sss", "digits", **QUICK)
    cached = CachedEvaluator(choices, "sss", tmp_path / "cache.sqlite")
    for evaluator in (choices, cached):
        with pytest.raises(InvalidInput, match="the data set 'digits', not 'cifar10'"):
            gym.make("NATS-SSS-cifar10-v0", evaluator=evaluator)
        with pytest.raises(InvalidInput, match="the space 'sss', not 'tss'"):
            gym.make_vec("NATS-TSS-digits-v0", num_envs=2, evaluator=evaluator)
        gym.make("NATS-SSS-digits-v0", evaluator=evaluator)
    with pytest.raises(InvalidInput, match="the space 'sss', not 'tss'"):
        CachedEvaluator(choices, "tss", tmp_path / "cache.sqlite")


def test_a_trial_of_digits_needs_a_table() -> None:
    with pytest.raises(InvalidInput, match=r"trial=1 .*source='digits-300'"):
        gym.make("NATS-SSS-digits-v0", trial=1)
    with pytest.raises(InvalidInput, match=r"trial=1 .*source='digits-300'"):
        gym.make_vec("NATS-SSS-digits-v0", num_envs=2, trial=1)


# ── names ────────────────────────────────────────────────────────────────────────────────────


def test_evaluators_by_name_and_dictionary(tmp_path: Path) -> None:
    made = make_evaluator("train", "sss", "digits", cache=False, **QUICK)
    assert isinstance(made, TrainingEvaluator)
    path = tmp_path / "cache.sqlite"
    made = make_evaluator({"name": "train", "cache": str(path)}, "tss", "digits")
    assert isinstance(made, CachedEvaluator)
    assert made.path == path
    env = ConstructionEnv("sss", "cifar10", evaluator={"name": "train", "cache": False}, epochs=12)
    assert isinstance(env.evaluator, TrainingEvaluator)
    assert env.evaluator.recipe == Recipe()


def make_constant(space: str, dataset: str, *, accuracy: float = 50.0) -> Any:
    class Constant:
        def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Outcome:
            return Outcome(np.full(len(index), accuracy), np.ones(len(index)))

    return Constant()


class Fixed:
    """Answers for any space and data set."""

    def __init__(self, depth: float = 30.0, *, height: float = 5.0) -> None:
        self.answer = depth + height

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Outcome:
        return Outcome(np.full(len(index), self.answer), np.ones(len(index)))


class OfSpace(Fixed):
    def __init__(self, space: str) -> None:
        super().__init__()


class OfPath(Fixed):
    def __init__(self, path: str, depth: float = 30.0) -> None:
        super().__init__(depth)


def test_evaluators_of_ones_own_are_named_by_where_they_are() -> None:
    for name, told, reward in (
        ("make_constant", {"accuracy": 40.0}, 0.4),
        ("Fixed", {"height": 10.0}, 0.4),
        ("Fixed", {}, 0.35),
    ):
        place = f"{__name__}:{name}"
        for given in ({"evaluator": place, **told}, {"evaluator": {"name": place, **told}}):
            env = gym.make("NATS-TSS-cifar10-v0", **given)
            env.reset(seed=0)
            assert [env.step(0) for _ in range(6)][-1][1] == reward


def test_evaluators_of_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("constant", f"{__name__}:make_constant", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group, name="constant": [entry])
    assert evaluator_names()[-1] == "constant"
    env = ConstructionEnv("tss", "cifar10", evaluator="constant", accuracy=40.0)
    env.reset(seed=0)
    assert [env.step(0) for _ in range(6)][-1][1] == 0.4
    with pytest.raises(InvalidInput, match="Did you mean 'accuracy'"):
        ConstructionEnv("tss", "cifar10", evaluator="constant", acuracy=40.0)
    entry = EntryPoint("constant", "no_module:make", registry.GROUP)
    with pytest.raises(InvalidInput, match="no evaluator at 'no_module:make'"):
        ConstructionEnv("tss", "cifar10", evaluator="constant")
    with pytest.raises(InvalidInput, match="evaluator='proxy' takes it"):  # whoever cannot say
        ConstructionEnv("tss", "cifar10", score="snip")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"evaluator": "trian"},
            ["unknown evaluator 'trian'", "Did you mean 'train'", "'module:name'", registry.GROUP],
        ),
        ({"evaluator": "no_module:Mine"}, ["no evaluator at 'no_module:Mine'"]),
        ({"evaluator": "math:pi"}, ["what makes an evaluator is called", "3.14"]),
        ({"evaluator": "builtins:int"}, ["evaluator builtins:int", "does not say what it takes"]),
        (
            {"evaluator": f"{__name__}:Fixed", "heights": 1.0},
            ["unknown option", "Did you mean 'height'"],
        ),
        ({"evaluator": {"name": f"{__name__}:OfSpace"}}, ["made with (space, dataset, **options)"]),
        ({"evaluator": f"{__name__}:OfPath"}, ["missing a required argument: 'path'"]),
        ({"score": "synflow"}, ["unknown option 'score': evaluator='proxy' takes it; allowed"]),
        ({"trials": 2}, ["unknown option 'trials': evaluator='train' or 'proxy' or 'ray' takes"]),
        (
            {"evaluator": {"name": "train", "threads": 2}, "threads": 1},
            ["the option threads of evaluator train is given twice"],
        ),
        ({"evaluator": "train", "score": "snip"}, ["option 'score': evaluator='proxy' takes it"]),
        (
            {"evaluator": {"name": "train", "score": "snip"}},
            ["option of evaluator train 'score': evaluator='proxy' takes it"],
        ),
        (
            {"evaluator": {"device": "cpu"}},
            ["under 'name'", "train, proxy, ray", "{'device': 'cpu'}"],
        ),
        ({"evaluator": {"nme": "train"}}, ["under 'name'", "Did you mean 'name' by 'nme'"]),
        ({"evaluator": "train", "devise": "cpu"}, ["Did you mean 'device'"]),
        ({"evaluator": "train", "device": "gpu7"}, ["gpu7"]),
        ({"evaluator": "train", "recipe": {"lr": 0.1}}, ["field of a recipe 'lr'"]),
        ({"evaluator": "train", "recipe": {"batch_size": 0}}, ["batch_size"]),
        ({"evaluator": "train", "trials": 0}, ["trials"]),
        ({"evaluator": {"name": "train", "workers": 0}}, ["workers"]),
        ({"evaluator": "train", "trial": 777}, ["trial and source"]),
        ({"evaluator": "train", "cache": 5}, ["cache"]),
        ({"evaluator": "ray", "max_retries": -1}, ["max_retries"]),
    ],
)
def test_bad_options_of_evaluators_are_refused(options: Any, words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        ConstructionEnv("sss", "cifar10", **options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"recipe": {"epochs": 1}}, ["epochs=", "got 1"]),
        ({"recipe": 5}, ["recipe", "dictionary", "5"]),
        ({"recipe": {"btch_size": 64}}, ["Did you mean 'batch_size'"]),
        ({"network": 3}, ["network", "cells_per_stage", "3"]),
        ({"network": {"cells": 1}}, ["Did you mean 'cells_per_stage'"]),
        ({"network": {"cells_per_stage": 0}}, ["cells_per_stage", "0"]),
        ({"network": {"stem_width": 8}}, ["stem_width=8"]),
        ({"time_limit": "x"}, ["time_limit", "'x'"]),
        ({"time_limit": 0}, ["time_limit", "positive"]),
        ({"timeout": -1}, ["timeout", "-1"]),
        ({"timeout": float("nan")}, ["timeout", "nan"]),
        ({"retries": -1}, ["retries", "from 0", "-1"]),
        ({"retries": True}, ["retries", "True"]),
        ({"threads": 1.5}, ["threads", "1.5"]),
        ({"together": 0}, ["together, if not 'auto',", "from 1", "0"]),
        ({"together": "all"}, ["together, if not 'auto',", "'all'"]),
        ({"workers": "two"}, ["workers", "'two'"]),
        ({"download": "no"}, ["download", "'no'"]),
        ({"split": "x"}, ["split of digits 'x'", "x-valid"]),
        ({"split": "x-vaild"}, ["Did you mean 'x-valid'"]),
        ({"data_dir": 5}, ["data_dir", "5"]),
        ({"data_dir": __file__}, ["data_dir is a folder", "is a file"]),
        ({"data_dir": f"{__file__}/deeper"}, ["data_dir is a folder", "is a file"]),
    ],
)
def test_bad_arguments_are_refused_at_once(options: Any, words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        TrainingEvaluator("sss", "digits", **options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("epochs", ["abc", 1.5, 0, "5/4", True])
def test_what_is_no_schedule_is_refused(epochs: Any) -> None:
    evaluator = TrainingEvaluator("sss", "digits", **QUICK)
    with pytest.raises(InvalidInput, match="epochs is an integer from 1 to 10,000"):
        evaluator.evaluate(SMALL[:1], epochs, keys(0))


def test_a_whole_number_of_numpy_will_do() -> None:
    one = np.int64(1)
    options: dict[str, Any] = {"trials": one, "workers": one, "network": {"cells_per_stage": one}}
    assert (
        TrainingEvaluator("sss", "digits", **options).identity
        == TrainingEvaluator("sss", "digits", network={"cells_per_stage": 1}).identity
    )


def test_splits_known_beforehand_are_those_of_the_data() -> None:
    assert tuple(load_data("digits").splits) == get_images("digits").splits
