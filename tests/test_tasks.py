"""Tasks, their sides and their draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput
from nats_gym.registration import ENVIRONMENTS
from nats_gym.rewards import Accuracy, RankNormalised
from nats_gym.spaces import get_space
from nats_gym.tables import device_latency, load_table
from nats_gym.tables.devices import DEVICES
from nats_gym.tables.named_columns import known_figures
from nats_gym.tasks import Task, TaskDistribution, TaskSampler, find_tasks, make_tasks

DATASETS = ["cifar10", "cifar100", "ImageNet16-120"]
PI, PHONE = "latency/raspi4", "latency/pixel3"


def pairs(tasks: Any) -> set[tuple[str, tuple[str, ...]]]:
    return {(task.dataset, tuple(task.limits)) for task in tasks}


def test_one_task_of_each_data_set_by_default() -> None:
    for space in ("tss", "sss"):
        made = make_tasks(space)
        assert [task.dataset for task in made.train] == DATASETS
        assert {task.space for task in made.train} == {space}
        assert made.test == ()
        assert all(f"NATS-{space.upper()}-{task.dataset}-v0" in ENVIRONMENTS for task in made.train)
    assert [task.dataset for task in make_tasks("nb101").train] == ["cifar10"]


@pytest.mark.parametrize(
    ("leave_out", "train", "test"),
    [
        (["cifar100"], {(d, (f,)) for d in DATASETS if d != "cifar100" for f in (PI, PHONE)},
         {("cifar100", (PI,)), ("cifar100", (PHONE,))}),
        ([PI], {(d, (PHONE,)) for d in DATASETS}, {(d, (PI,)) for d in DATASETS}),
        (["cifar100", PI], {(d, (PHONE,)) for d in DATASETS if d != "cifar100"},
         {("cifar100", (PI,))}),
        ([], {(d, (f,)) for d in DATASETS for f in (PI, PHONE)}, set()),
    ],
    ids=["a data set", "a device", "both", "nothing"],
)  # fmt: skip
def test_what_is_left_out_is_never_trained_on(
    leave_out: list[str], train: set[Any], test: set[Any]
) -> None:
    made = make_tasks("tss", limits=[PI, PHONE], leave_out=leave_out)
    assert (pairs(made.train), pairs(made.test)) == (train, test)
    assert not {*made.train} & {*made.test}


def test_every_device_and_a_limit_that_a_share_meets() -> None:
    made = make_tasks("tss", ["cifar10"], "devices", share=0.25)
    known = [name for name in known_figures("tss", "cifar10") if name.startswith("latency/")]
    assert [next(iter(task.limits)) for task in made.train] == known
    assert {*DEVICES} <= {*known}
    for task in made.train:
        ((name, most),) = task.limits.items()
        if name not in DEVICES:
            continue
        met = (device_latency("tss", name) <= most).mean()
        assert 0.25 <= met < 0.26 or name == "latency/titanx_256"
    flops = make_tasks("sss", ["cifar100"], ["flops", "latency", None, {"params": 0.3}])
    most = [task.limits for task in flops.train]
    assert most[2:] == [{}, {"params": 0.3}]
    space = get_space("sss")
    assert (space.figure("flops", "cifar100").values <= most[0]["flops"]).mean() >= 0.5
    table = load_table("sss", "cifar100").figure("latency").values
    assert (table <= most[1]["latency"]).mean() >= 0.5


def test_draws_are_seeded_and_every_task_comes_once_a_round() -> None:
    made = make_tasks("tss", limits=[PI, PHONE])
    drawn = made.sample(6 * 200, seed=4)
    assert drawn == made.sample(6 * 200, seed=4)
    assert drawn[:600] == made.sample(600, seed=4)
    assert drawn != made.sample(6 * 200, seed=5)
    rounds = [drawn[i : i + 6] for i in range(0, 1200, 6)]
    assert all({*one} == {*made.train} for one in rounds)
    # Every order is as likely as any: of 200 rounds each task begins about 33.
    begins = [sum(one[0] == task for one in rounds) for task in made.train]
    assert all(15 < count < 55 for count in begins), begins
    assert len({tuple(task.name for task in one) for one in rounds}) > 150


def test_copies_draw_apart_and_alone_alike() -> None:
    keys = np.array([7, 8, 9], np.uint64)
    together, alone = TaskSampler(5, 3), [TaskSampler(5) for _ in keys]
    together.restart(np.arange(3), keys)
    for key, one in zip(keys, alone, strict=True):
        one.restart(np.zeros(1, np.int64), np.array([key]))
    first = np.zeros(1, np.int64)
    for which in ([0, 1, 2], [1], [0, 2], [2, 1, 0], [1, 2], [1], [1], [0, 1, 2]):
        drawn = together.draw(np.array(which))
        assert drawn.tolist() == [alone[one].draw(first).item() for one in which]


def test_a_task_says_what_it_is() -> None:
    task = Task("tss", "cifar10", 12, {PI: 5, "flops": 60.0}, reward="rank")
    assert task.name == "cifar10, flops ≤ 60, latency/raspi4 ≤ 5, 12 epochs, reward 'rank'"
    assert task == Task("tss", "cifar10", np.int64(12), {"flops": 60, PI: 5.0}, "rank")
    assert task != Task("tss", "cifar10", 12, {PI: 5}, "rank")
    assert hash(task) == hash(Task("tss", "cifar10", 12, {PI: 6}))
    assert task.options == {"dataset": "cifar10", "epochs": 12, "reward": "rank"}
    given = [task, Task("tss", "cifar100", reward=Accuracy())]
    assert find_tasks("tss", given).train == tuple(given)
    assert find_tasks("tss", {"datasets": "cifar10"}) == make_tasks("tss", "cifar10")


def test_a_reward_is_the_same_however_it_is_written() -> None:
    for written in ({"name": "rank"}, RankNormalised()):
        task = Task("tss", "cifar10", reward=written)
        assert task == Task("tss", "cifar10", reward="rank") != Task("tss", "cifar10")
        assert task.options["reward"] is written
        with pytest.raises(InvalidInput, match="to train on and to test on"):
            TaskDistribution((Task("tss", "cifar10", reward="rank"),), (task,))


def test_images_of_ones_own_are_left_out_as_they_are_given(tmp_path: Path) -> None:
    for label in ("one", "two"):
        (tmp_path / label).mkdir()
        for number in range(12):
            pixels = np.full((8, 8, 3), number * 20 + len(label), np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{number}.png")
    own = f"{tmp_path}?resolution=8"
    made = make_tasks("tss", [own, "cifar10"], leave_out=[own])
    assert [task.dataset for task in made.train] == ["cifar10"]
    assert [task.dataset for task in made.test] == [get_dataset(own).name]


ONE = Task("tss", "cifar10")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Task("ts", "cifar10"), ["'ts'", "tss"]),
        (lambda: Task("tss", "cifar11"), ["cifar11", "Did you mean 'cifar10'"]),
        (lambda: Task("tss", "cifar10", 0), ["0"]),
        (lambda: Task("tss", "cifar10", limits={PI: 0}), ["latency/raspi4", "positive"]),
        (lambda: Task("tss", "cifar10", limits=[PI]), ["limits are numbers by figure"]),
        (lambda: Task("tss", "cifar10", reward="acuracy"), ["Did you mean 'accuracy'"]),
        (lambda: Task("tss", "cifar10", evaluator="trian"), ["Did you mean 'train'"]),
        (lambda: Task("tss", "cifar10", evaluator=3), ["an evaluator", "3"]),
        (lambda: TaskDistribution(()), ["tasks to train on"]),
        (lambda: TaskDistribution((ONE,), (ONE,)), ["to train on and to test on", "cifar10"]),
        (lambda: TaskDistribution((ONE, ONE)), ["twice"]),
        (lambda: TaskDistribution((ONE, Task("sss", "cifar10"))), ["one space"]),
        (lambda: TaskDistribution((ONE,)).side("tset"), ["Did you mean 'test'"]),
        (lambda: TaskDistribution((ONE,)).side("test"), ["left out to test on"]),
        (lambda: make_tasks("tss", []), ["datasets"]),
        (lambda: make_tasks("tss", limits=[]), ["limits"]),
        (lambda: make_tasks("tss", limits=["latency/raspi"]), ["Did you mean 'latency/raspi4'"]),
        (lambda: make_tasks("tss", limits=["accuracy"]), ["more accuracy is better"]),
        (lambda: make_tasks("sss", limits="devices"), ["no latencies of devices", "sss"]),
        (lambda: make_tasks("tss", share=0), ["share", "positive"]),
        (lambda: make_tasks("tss", leave_out=["digits"]), ["leave out", "'digits'", "cifar10"]),
        (lambda: make_tasks("tss", leave_out=DATASETS), ["nothing to train on"]),
        (lambda: make_tasks("tss", leave_out=3), ["leave_out"]),
        (lambda: find_tasks("tss", {"dataset": []}), ["Did you mean 'datasets'"]),
        (lambda: find_tasks("sss", [ONE]), ["of tss", "of sss"]),
        (lambda: find_tasks("tss", 7), ["tasks", "7"]),
    ],
)  # fmt: skip
def test_bad_tasks_are_one_clear_error(call: Any, words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


def test_what_one_task_leaves_open_may_be_another() -> None:
    one = Task("tss", "cifar10")
    for other in (Task("tss", "cifar10", epochs=200), Task("tss", "cifar10", source="embedded")):
        with pytest.raises(InvalidInput, match="to train on and to test on, as far as 'cifar10'"):
            TaskDistribution((one,), (other,))
    TaskDistribution((Task("tss", "cifar10", epochs=12),), (Task("tss", "cifar10", epochs=200),))
    TaskDistribution((one,), (Task("tss", "cifar10", reward="rank"),))
