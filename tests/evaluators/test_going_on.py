"""Trainings that go on from the state that a shorter one has left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nats_gym.errors import InvalidInput
from nats_gym.evaluators import TrainingEvaluator, make_evaluator
from nats_gym.training import trainer

pytest.importorskip("sklearn")
QUICK: dict[str, Any] = {
    "device": "cpu",
    "recipe": {"batch_size": 128, "learning_rate": 0.05},
    "network": {"cells_per_stage": 1},
    "trials": None,
}
SMALL = np.array([0, 1], np.int64)
TRIALS = np.array([7, 8], np.uint64)


@pytest.fixture
def epochs_trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epochs that were trained in this process, in order."""
    trained: list[int] = []
    original = trainer._Training._train_epoch

    def counting(self: Any) -> None:
        trained.append(self._epoch + 1)
        original(self)

    monkeypatch.setattr(trainer._Training, "_train_epoch", counting)
    return trained


def states(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.pt"))


def test_a_rung_that_goes_on_is_a_training_never_cut(
    tmp_path: Path, epochs_trained: list[int]
) -> None:
    whole = TrainingEvaluator("sss", "digits", **QUICK).evaluate(SMALL, 3, TRIALS)
    assert epochs_trained == [1, 2, 3, 1, 2, 3]
    epochs_trained.clear()
    evaluator = TrainingEvaluator("sss", "digits", checkpoints=tmp_path, **QUICK)
    first = evaluator.evaluate(SMALL, "1/3", TRIALS)
    assert states(tmp_path) == ["sss-0-7-1of3.pt", "sss-1-8-1of3.pt"]
    second = TrainingEvaluator("sss", "digits", checkpoints=tmp_path, **QUICK).evaluate(
        SMALL[:1], "2/3", TRIALS[:1]
    )
    assert states(tmp_path) == ["sss-0-7-2of3.pt", "sss-1-8-1of3.pt"]
    last = evaluator.evaluate(SMALL, 3, TRIALS)
    assert epochs_trained == [1, 1, 2, 3, 2, 3]
    assert (last.accuracy == whole.accuracy).all()
    assert (last.metrics["train_accuracy"] == whole.metrics["train_accuracy"]).all()
    assert (first.accuracy != last.accuracy).any()
    assert last.seconds[0] > second.seconds[0] > first.seconds[0]  # of all of its epochs
    assert states(tmp_path) == []  # nothing goes on with a whole training


@pytest.mark.slow
def test_another_process_goes_on(tmp_path: Path) -> None:
    whole = TrainingEvaluator("sss", "digits", **QUICK).evaluate(SMALL, 3, TRIALS)
    TrainingEvaluator("sss", "digits", checkpoints=tmp_path, **QUICK).evaluate(SMALL, "2/3", TRIALS)
    before = states(tmp_path)
    evaluator = TrainingEvaluator("sss", "digits", checkpoints=tmp_path, workers=2, **QUICK)
    try:
        last = evaluator.evaluate(SMALL, 3, TRIALS)
    finally:
        evaluator.close()
    assert len(before) == 2
    assert (last.accuracy == whole.accuracy).all()
    assert states(tmp_path) == []


@pytest.mark.slow
def test_what_is_asked_for_again_or_less_long_begins_anew(
    tmp_path: Path, epochs_trained: list[int]
) -> None:
    evaluator = TrainingEvaluator("sss", "digits", checkpoints=tmp_path, **QUICK)
    further = evaluator.evaluate(SMALL[:1], "2/3", TRIALS[:1])
    epochs_trained.clear()
    shorter = evaluator.evaluate(SMALL[:1], "1/3", TRIALS[:1])
    assert epochs_trained == [1]
    again = evaluator.evaluate(SMALL[:1], "2/3", TRIALS[:1])
    assert again.accuracy == further.accuracy
    assert shorter.seconds < further.seconds
    twice = evaluator.evaluate(SMALL[[0, 0]], 3, TRIALS[[0, 0]])
    assert twice.accuracy[0] == twice.accuracy[1]


@pytest.mark.slow
def test_other_recipes_and_schedules_do_not_meet(tmp_path: Path, epochs_trained: list[int]) -> None:
    TrainingEvaluator("sss", "digits", checkpoints=tmp_path, **QUICK).evaluate(
        SMALL[:1], "1/2", TRIALS[:1]
    )
    epochs_trained.clear()
    other = {**QUICK, "recipe": {"batch_size": 64, "learning_rate": 0.05}}
    TrainingEvaluator("sss", "digits", checkpoints=tmp_path, **other).evaluate(
        SMALL[:1], 2, TRIALS[:1]
    )
    TrainingEvaluator("sss", "digits", checkpoints=tmp_path, **QUICK).evaluate(
        SMALL[:1], 3, TRIALS[:1]
    )
    assert epochs_trained == [1, 2, 1, 2, 3]


def test_it_is_made_by_name_and_checked(tmp_path: Path) -> None:
    made = make_evaluator(
        {"name": "train", "cache": False, "checkpoints": str(tmp_path)}, "sss", "digits", **QUICK
    )
    assert made._checkpoints == tmp_path
    with pytest.raises(InvalidInput, match="checkpoints"):
        TrainingEvaluator("sss", "digits", checkpoints=3, **QUICK)


def test_several_devices_are_taken_in_turn() -> None:
    evaluator = TrainingEvaluator("sss", "digits", **{**QUICK, "device": "cpu,cpu"})
    assert [device.type for device in evaluator._devices] == ["cpu", "cpu"]
    with pytest.raises(InvalidInput, match="no device 'tpu9'"):
        TrainingEvaluator("sss", "digits", **{**QUICK, "device": "cpu,tpu9"})
