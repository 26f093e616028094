"""Controllers that ship: what they are, which one serves a search, that it knows nothing of it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from planted_tables import planted, write

import nats_gym
from nats_gym.agents import get_agent, learned_on
from nats_gym.agents.controller import (
    CARD,
    CONTROLLERS,
    WEIGHTS,
    ShippedController,
    load_controller,
)
from nats_gym.datasets import DATASETS
from nats_gym.errors import InvalidInput, UnknownOption
from nats_gym.evaluators import Outcome
from nats_gym.results.result import SearchResult
from nats_gym.study import Study, load_study, run_study, validate
from nats_gym.study.tables import headline_tables
from nats_gym.tables import MEASURED, load_table

sys.path.append(str(Path(__file__).parents[2] / "scripts"))
import train_controllers

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = {"tss-all": "", **{f"tss-without-{dataset}": dataset for dataset in DATASETS}}
GIVEN: dict[str, Any] = {"epochs": 12, "evaluations": 6}


def test_there_is_one_for_each_data_set_left_out_and_one_of_all() -> None:
    files = sorted(path for path in CONTROLLERS.rglob("*") if path.is_file())
    assert files == sorted(CONTROLLERS / name / file for name in NAMES for file in (CARD, WEIGHTS))
    assert sum(path.stat().st_size for path in files) < 1_000_000


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_folder_is_what_its_name_says(name: str) -> None:
    controller = load_controller(CONTROLLERS / name)
    card = controller.card
    assert card.tasks == tuple(one for one in DATASETS if one != NAMES[name])
    assert card.tasks == learned_on(ShippedController, {"trained": name})
    assert (card.space, card.policy) == ("tss", "ppo")
    assert (card.evaluations, card.seed) == (train_controllers.EVALUATIONS, 0)
    assert train_controllers.STEPS <= card.steps < train_controllers.STEPS + 10_000
    for dataset in card.tasks:  # a model of the 12-epoch ones would read the data set left out
        assert (
            load_table("tss", dataset, "embedded").accuracy_column("valid").provenance == MEASURED
        )


def test_training_follows_from_its_seed(tmp_path: Path) -> None:
    seeds = {"one": 3, "again": 3, "other": 4}
    for name, seed in seeds.items():
        train_controllers.train(tmp_path / name, ["cifar100"], seed, 1)
    weights = {name: (tmp_path / name / WEIGHTS).read_bytes() for name in seeds}
    assert weights["one"] == weights["again"] != weights["other"]
    card = load_controller(tmp_path / "other").card
    assert (card.tasks, card.seed) == (("cifar10", "ImageNet16-120"), 4)


# ── which one serves ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_search_has_the_one_that_never_learned_on_it(dataset: str, tmp_path: Path) -> None:
    found = nats_gym.search("tss", dataset, "controller", **GIVEN)
    assert found.arguments.options == {"trained": f"tss-without-{dataset}"}
    learned = found.provenance["learned_on"].split("; ")
    assert sorted([*learned, dataset]) == sorted(DATASETS)
    again = SearchResult.load(found.save(tmp_path / "kept"))
    assert again.provenance == found.provenance
    named = nats_gym.search("tss", dataset, "controller", options=found.arguments.options, **GIVEN)
    assert named.index.tolist() == found.index.tolist()
    folder = str(CONTROLLERS / f"tss-without-{dataset}")  # no other way than a folder's own
    own = nats_gym.search("tss", dataset, folder, **GIVEN)
    assert own.index.tolist() == found.index.tolist()


def test_a_data_set_of_ones_own_has_the_one_of_all() -> None:
    asked: list[int] = []

    def evaluate(index: Any, epochs: Any, trial_keys: Any) -> Outcome:
        asked.extend(index.tolist())
        return Outcome(40.0 + index % 50, 1.0 + 0.0 * index)

    answers = SimpleNamespace(evaluate=evaluate)
    found = nats_gym.search("tss", "digits", "controller", evaluator=answers, evaluations=4)
    assert found.arguments.options == {"trained": "tss-all"}
    assert found.provenance["learned_on"] == "; ".join(DATASETS)
    assert found.index[0].tolist() == asked


def test_a_copy_of_a_table_under_another_name_is_known_again(tmp_path: Path) -> None:
    assert ShippedController.trained_for("tss", "digits") == "tss-all"
    source = write(
        tmp_path / "copy", "digits", load_table("tss", "cifar100").mean_accuracy("valid")
    )
    own = load_table("tss", "digits", source)
    assert ShippedController.trained_for("tss", "digits", own) == "tss-without-cifar100"
    with pytest.raises(InvalidInput, match="all of them learned on this table's figures"):
        ShippedController.trained_for("tss", "cifar10", own)  # by its name and by its figures
    other = write(tmp_path / "other", "digits", planted(5))
    assert ShippedController.trained_for("tss", "digits", load_table("tss", "digits", other)) == (
        "tss-all"
    )


def test_what_is_best_on_the_searched_data_set_alone_is_not_known(tmp_path: Path) -> None:
    best = (15_000, 77)
    found = [
        nats_gym.search(
            *("tss", "cifar10", "controller"),
            source=write(tmp_path / str(index), "cifar10", planted(index)),
            evaluations=20,
        )
        for index in best
    ]
    for index, result in zip(best, found, strict=True):
        assert (result.index != index).all()
    assert np.array_equal(found[0].index, found[1].index)


def test_runs_follow_from_their_seeds() -> None:
    three = nats_gym.search("tss", "cifar10", "controller", runs=3, **GIVEN)
    alone = nats_gym.search("tss", "cifar10", "controller", first_run=1, **GIVEN)
    assert alone.index[0].tolist() == three.index[1].tolist()
    assert alone.accuracy[0].tolist() == three.accuracy[1].tolist()


# ── what is refused, and said ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("space", "options", "told"),
    [
        ("sss", {}, "controllers that ship search tss, none of them sss on cifar10"),
        ("nb101", {}, "controllers that ship search tss, none of them nb101 on cifar10"),
        ("tss", {"trained": "tss-all"}, "'tss-all' learned on cifar10, .* cifar10: tss-without-c"),
        ("tss", {"trained": "tss-without-cifar100"}, "'tss-without-cifar100' learned on cifar10"),
        ("tss", {"trained": "all"}, "unknown controller for cifar10 'all'; allowed: tss-without-c"),
        ("tss", {"trained": "../controllers/tss-all"}, "unknown controller for cifar10"),
        ("tss", {"trained": 3}, "unknown controller for cifar10 3"),
        ("tss", {"trane": 3}, "Did you mean 'trained'"),
    ],
)
def test_what_it_cannot_search_is_refused(space: str, options: Any, told: str) -> None:
    with pytest.raises((InvalidInput, UnknownOption), match=told) as caught:
        nats_gym.search(space, "cifar10", "controller", evaluations=2, options=options)
    assert "\n" not in str(caught.value)
    with pytest.raises(InvalidInput, match="unknown trained controller"):
        get_agent("controller")()


def test_studies_say_what_it_knew_and_hold_it_to_that(tmp_path: Path) -> None:
    searches = [{"space": "tss", "datasets": ["cifar10"], "epochs": 12, "evaluations": 3}]
    agents: dict[str, Any] = {"random": {}, "controller": {}}
    study = Study.of({"runs": 1, "source": "embedded", "searches": searches, "agents": agents})
    (table,) = headline_tables(load_study(run_study(study, tmp_path / "study", jobs=1)))
    told = " ".join(table.notes)
    assert "controller has prior knowledge: it was trained to search cifar100 and Im" in told
    assert "random has prior" not in told
    found = nats_gym.search("tss", "cifar10", "controller", source="embedded", **GIVEN)
    (verdict,) = validate(found.save(tmp_path / "kept"))
    assert verdict.holds, verdict.reasons
    for said in ({}, {"learned_on": "cifar100"}):
        kept = {name: one for name, one in found.provenance.items() if name != "learned_on"}
        object.__setattr__(found, "provenance", {**kept, **said})
        (verdict,) = validate(found.save(tmp_path / f"silent{len(said)}"))
        assert "does not say that it learned on" in verdict.reasons[-1]
