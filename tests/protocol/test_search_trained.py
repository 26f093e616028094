"""Searches by real training: small networks on digits, two workers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_search_live import answers_of, kill

import nats_gym
from nats_gym.evaluators import TrainingEvaluator
from nats_gym.results.result import SearchResult
from nats_gym.streams import combine, run_keys, run_seeds

pytest.importorskip("sklearn")
pytest.importorskip("torch")
pytestmark = pytest.mark.slow  # a quick one is tests/cli/test_search_live_command.py

TRAIN: dict[str, Any] = {
    "name": "train",
    "device": "cpu",
    "cache": False,
    "recipe": {"batch_size": 256, "learning_rate": 0.05},
    "network": {"cells_per_stage": 1},
    "trials": None,
}


def trained(agent: str, folder: Path, **given: Any) -> SearchResult:
    given = {"evaluations": 4, "epochs": 1, "seed": 1, **given}
    return nats_gym.search("sss", "digits", agent, evaluator=TRAIN, checkpoints=folder, **given)


def check_figures(found: SearchResult, numbers: int) -> None:
    """Train what a search observed again, whole and alone: the same figures to the bit."""
    options = {name: value for name, value in TRAIN.items() if name not in ("name", "cache")}
    evaluator = TrainingEvaluator("sss", "digits", **options)
    key = run_keys(run_seeds(found.arguments.seed, 1))
    for place in range(numbers):
        number, first = int(found.evaluation[0, place]), int(found.evaluation[0, place])
        if found.arguments.continuing == "difference":
            while (before := int(found.continues[0][found.evaluation[0] == first][0])) >= 0:
                first = before
        epochs = found.arguments.ladder[found.rung[0, place]]
        alone = evaluator.evaluate(found.index[0, [place]], epochs, combine(key, np.array([first])))
        assert alone.accuracy[0] == found.accuracy[0, place], number


@pytest.mark.parametrize(
    ("agent", "given"),
    [
        ("rea", {"workers": 2}),
        ("tpe", {"workers": 2}),
        ("asha", {"workers": 2, "epochs": 3, "rungs": ["1/3", 3], "evaluations": 8}),
        ("bohb", {"workers": 2, "epochs": 3, "rungs": ["1/3", 3], "evaluations": 5}),
        ("ppo", {"workers": 2}),
    ],
)
def test_agents_search_by_real_training(agent: str, given: dict[str, Any], tmp_path: Path) -> None:
    found = trained(agent, tmp_path, **given)
    assert found.evaluations.tolist() == [given.get("evaluations", 4)]
    assert found.provenance["search_accuracy"] == "measured"
    assert found.provenance["failures"] == "0"
    assert len(found.provenance["data"]) == 64
    assert (np.diff(found.clock[0]) >= 0).all()
    if agent == "asha":
        assert (found.continues >= 0).any()
    if agent != "ppo":  # whose keys are its environment's
        check_figures(found, min(4, found.index.shape[1]))
    again = trained(agent, tmp_path, **given)
    assert (again.clock == found.clock).all()
    assert not (tmp_path / "trainings").exists()


@pytest.mark.parametrize(
    ("agent", "given"),
    [
        ("rea", {"workers": 2}),
        ("tpe", {}),
        ("asha", {"epochs": 3, "rungs": ["1/3", 3]}),
        ("bohb", {"epochs": 3, "rungs": ["1/3", 3]}),
        ("ppo", {}),
    ],
)
def test_trainings_killed_ten_times_end_as_never_killed(
    agent: str, given: dict[str, Any], tmp_path: Path
) -> None:
    given = {"evaluations": 12, **given}
    kept = kill(partial(trained, agent, tmp_path, **given), tmp_path, 10, 12, wait=0.2)
    found = trained(agent, tmp_path, **given)
    assert answers_of(tmp_path)[: len(kept)] == kept
    assert (np.diff(found.clock[0]) >= 0).all()
    if "workers" not in given:  # else answers come in an order of their own
        whole = trained(agent, tmp_path / "whole", **given)
        for name in ("index", "accuracy", "rung", "evaluation", "continues"):
            assert (getattr(found, name) == getattr(whole, name)).all(), name
    again = trained(agent, tmp_path, **given)
    assert (again.clock == found.clock).all()
