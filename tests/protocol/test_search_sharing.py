"""Weight-sharing searches in `nats_gym.search`, on the command line and in studies."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nats_gym
from nats_gym import cli
from nats_gym.agents import AGENTS, chooses_among, find_agent, kind_of, plays_one_by_one
from nats_gym.agents.weight_sharing import METHODS
from nats_gym.errors import InvalidInput, NotInTable
from nats_gym.protocol import search_arguments
from nats_gym.results.plots import plot_alphas
from nats_gym.results.result import SearchResult
from nats_gym.study import Study, load_study, read_study, run_study, validate, write_report
from nats_gym.study.tables import headline_tables

pytest.importorskip("sklearn")

TINY = {"network": {"channels": 2, "cells_per_stage": 1}, "batch_size": 128}


@pytest.fixture(scope="module")
def found() -> SearchResult:
    return nats_gym.search("tss", "digits", "gdas", 3, runs=2, seed=5, options=TINY)


def test_the_nine_are_agents_by_name() -> None:
    assert set(METHODS) <= set(AGENTS)
    assert len(METHODS) == 9
    for name in METHODS:
        factory = find_agent(name)[1]
        assert kind_of(factory) == "weight-sharing"
        assert plays_one_by_one(factory)
        assert chooses_among(factory)


def test_answers_are_looked_up_after_every_epoch_and_seconds_are_real(found: SearchResult) -> None:
    table = nats_gym.load_table("tss", "digits", "digits-300")
    accuracy = table.mean_accuracy()
    assert found.index.shape == (2, 3)
    np.testing.assert_array_equal(found.accuracy, accuracy[found.index])  # so all are in the table
    assert not np.isnan(found.accuracy).any()
    np.testing.assert_allclose(found.clock, found.seconds.cumsum(axis=1))
    assert (found.seconds > 0).all()
    assert found.recommended.tolist() == found.index[:, -1].tolist()
    np.testing.assert_array_equal(found.incumbent_index, found.index)
    np.testing.assert_array_equal(found.incumbent, found.accuracy)
    best = np.nanmax(accuracy)
    np.testing.assert_allclose(found.regret(), best - found.accuracy[:, -1])
    assert found.summary()["observed_valid_accuracy"]["mean"] == found.accuracy[:, -1].mean()
    assert found.alphas is not None
    assert found.alphas.shape == (2, 3, 6, 5)
    assert (found.alphas[0] != found.alphas[1]).all(axis=(1, 2)).all()
    assert (found.arguments["epochs"], found.arguments["supernet_epochs"]) == (4, 3)
    assert found.provenance["seconds"] == "real"
    assert found.provenance["search_accuracy"] == "measured"


def test_it_repeats_itself_and_a_run_is_itself_alone(found: SearchResult) -> None:
    again = nats_gym.search(**{**found.arguments, "first_run": 1, "runs": 1})
    np.testing.assert_array_equal(again.index[0], found.index[1])
    np.testing.assert_array_equal(again.alphas[0], found.alphas[1])


def test_a_result_is_saved_with_its_alphas(found: SearchResult, tmp_path: Path) -> None:
    again = SearchResult.load(found.save(tmp_path / "found"))
    np.testing.assert_array_equal(again.alphas, found.alphas)
    assert again.answers_last
    joined = SearchResult.joined([again, found])
    assert joined.alphas.shape == (4, 3, 6, 5)
    assert joined.runs == 4
    (verdict,) = validate(tmp_path)
    assert verdict.holds, verdict.reasons


def test_a_budget_ends_it_and_a_checkpoint_goes_on(tmp_path: Path, found: SearchResult) -> None:
    arguments = {**found.arguments, "runs": 1}
    short = nats_gym.search(**{**arguments, "budget": 1e-6}, checkpoints=tmp_path)
    assert short.evaluations.tolist() == [1]
    assert short.index[0, 0] == found.index[0, 0]
    longer = nats_gym.search(**arguments, checkpoints=tmp_path)
    np.testing.assert_array_equal(longer.index[0], found.index[0])
    np.testing.assert_array_equal(longer.alphas[0], found.alphas[0])
    assert longer.clock[0, 0] == short.clock[0, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"space": "sss"}, "gdas searches tss, not sss"),
        ({"agent": "tas"}, "tas searches sss, not tss"),
        ({"epochs": "4/12"}, "supernet is an integer from 1"),
        ({"epochs": 0}, "supernet is an integer from 1"),
        ({"options": {"seed": 3}}, "what the search tells an agent"),
        ({"options": {"among": [[0] * 6]}}, "what the search tells an agent"),
        ({"options": {"sizes": 3}}, "unknown option"),
        ({"workers": 2}, "agents that ask and are told"),
        ({"agent": "rea", "supernet_epochs": 3}, "weight-sharing searches, not for rea"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        search_arguments(**{"space": "tss", "dataset": "digits", "agent": "gdas", **arguments})


def test_a_search_of_another_space_is_refused_before_it_trains() -> None:
    from nats_gym.agents.weight_sharing.supernet_search import SupernetSearch

    # On a partial table what it is to choose among is of the wrong space already.
    with pytest.raises(InvalidInput, match=r"search is of sss|choices of sss need"):
        nats_gym.search("tss", "digits", functools.partial(SupernetSearch, "tas"), 1)


def test_no_budget_caps_nothing_but_in_a_study_it_is_the_others() -> None:
    assert search_arguments("tss", "digits", "gdas", 400)["budget"] == 400 * 3600
    spec = {
        "searches": [{"space": "tss", "dataset": "digits"}],
        "agents": {"random": {}, "gdas": {}},
    }
    budgets = {cell.arguments["budget"] for cell in Study.of(spec).cells}
    assert budgets == {120.0}


def test_random_search_draws_from_a_partial_table_and_others_may_miss() -> None:
    result = nats_gym.search("sss", "digits", "random", budget=60, runs=20)
    known = np.flatnonzero(~np.isnan(result.table.mean_accuracy()))
    drawn = result.index[result.index >= 0]
    assert set(drawn.tolist()) <= set(known.tolist())
    assert len(set(drawn.tolist())) > 150
    with pytest.raises(NotInTable, match="partial table"):
        nats_gym.search("sss", "digits", "rea", budget=60)


def test_alphas_are_drawn(found: SearchResult, tmp_path: Path) -> None:
    path = plot_alphas(found, tmp_path / "alphas.png", run=1)
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InvalidInput, match=r"from 0 to 1, got 2"):
        plot_alphas(found, path, run=2)
    random = nats_gym.search("tss", "cifar10", "random", budget=2000)
    with pytest.raises(InvalidInput, match="no alphas"):
        plot_alphas(random, path)


@pytest.mark.slow
def test_the_command_draws_the_alphas_and_what_was_derived(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    given = [
        "search",
        "--agent",
        "tunas",
        "--dataset",
        "digits",
        "--epochs",
        "1",
        "--device",
        "cpu",
    ]
    given += ["--option", "batch_size=256", "--out", "out"]
    monkeypatch.setattr(sys, "argv", ["nats-gym", *given])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    printed = capsys.readouterr()
    assert caught.value.code in (0, None), printed.err
    assert "size space, digits: supernet of 1 epochs" in printed.out
    assert "stopped by the budget" not in printed.out
    assert "best observed" not in printed.out
    assert {path.name for path in Path("out").iterdir()} == {
        *("runs.npz", "run.json", "incumbent.png", "alphas.png", "derived.png")
    }


@pytest.mark.slow
def test_a_study_holds_them_beside_the_others(tmp_path: Path) -> None:
    spec = {
        "runs": 2,
        "source": "digits-300",
        "searches": [{"space": "tss", "dataset": "digits", "budget": 20}],
        "agents": {
            "random": {"runs": 5},
            "gdas": {"epochs": 2, "options": TINY, "spaces": ["tss"]},
            "tas": {"spaces": ["sss"]},
        },
    }
    run_study(Study.of(spec), tmp_path / "study", jobs=1)
    study = load_study(tmp_path / "study")
    (searches,) = study.groups().values()
    assert {label: result.runs for label, result in searches.items()} == {"random": 5, "gdas": 2}
    assert searches["gdas"].arguments["supernet_epochs"] == 2
    assert not list((tmp_path / "study").glob("blocks/*"))
    assert all(verdict.holds for verdict in validate(tmp_path))
    (table,) = headline_tables(study)
    assert any("gdas: a supernet of 2 epochs" in note for note in table.notes)
    assert any("simulated or, of weight sharing, real" in note for note in table.notes)
    assert write_report(tmp_path / "study").is_file()


def test_the_shipped_study_has_all_nine() -> None:
    study = read_study(Path(__file__).parents[2] / "studies" / "weight-sharing-digits.toml")
    labels = {cell.label for cell in study.cells}
    assert labels == {"random", *METHODS}
    assert len(study.cells) == 11
    assert {cell.arguments["runs"] for cell in study.cells if cell.label != "random"} == {3}
    assert {cell.arguments["epochs"] for cell in study.cells} == {4}
