"""A result is judged by the columns that its search weighed, or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import call

import nats_gym
from nats_gym.errors import InvalidInput, UnreadableResult
from nats_gym.evaluators import Outcome
from nats_gym.results.result import SearchResult, say_objectives
from nats_gym.results.summary import front_grid
from nats_gym.study import load_study
from nats_gym.study.report import write_report
from nats_gym.study.running import run_study
from nats_gym.study.spec import Study
from nats_gym.study.validation import validate
from nats_gym.tables import add_column, remove_column
from nats_gym.tables.column import is_estimate

NAME, KEY = "latency/raspi4", "objective latency/raspi4"
WEIGHED = {"objectives": ["accuracy", NAME]}
REFUSED = (
    "latency/raspi4 of tss cifar10 is not the column .* surrogate, milliseconds, lower is better, "
    "[0-9a-f]{16}; here is measured, milliseconds, lower is better, .* nats-gym data "
    "remove-column tss cifar10 latency/raspi4 .* NATS_GYM_HOME"
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))


def measured(seed: int = 0, **told: Any) -> None:
    """Bring a measured column of the name that an estimate has, as an import does."""
    values = np.random.default_rng(seed).uniform(1.0, 2.0, 15_625)
    add_column("tss", "cifar10", NAME, values, unit="ms", **told)


def search(**told: Any) -> SearchResult:
    return nats_gym.search(
        "tss", "cifar10", "nsga2", **{"evaluations": 30, "runs": 2, "options": WEIGHED} | told
    )


def reasons(folder: Path) -> str:
    (verdict,) = validate(folder)
    return " ".join(verdict.reasons.values())


def test_an_import_does_not_turn_estimates_into_measurements(tmp_path: Path) -> None:
    found = search()
    kept = found.save(tmp_path / "kept")
    assert found.provenance[KEY].startswith("surrogate, milliseconds, lower is better, ")
    assert not found.unrecorded
    before, front = found.hypervolume(), found.front()
    fresh = SearchResult.load(kept)
    assert fresh.provenance == found.provenance
    measured()
    asked: tuple[Callable[[], object], ...] = (
        found.hypervolume,  # though it was computed before
        found.front,
        found.summary,
        lambda: found.figure(NAME),
        lambda: front_grid(fresh),
        lambda: fresh.hypervolume(("accuracy", NAME)),
        lambda: SearchResult.load(kept),
    )
    for ask in asked:
        with pytest.raises(UnreadableResult, match=REFUSED):
            ask()
    assert "latency/raspi4 of tss cifar10 is not the column" in reasons(kept)
    # What it did not weigh is asked of it as of any result.
    assert found.hypervolume(("accuracy", "flops")).shape == before.shape
    remove_column("tss", "cifar10", NAME)
    back = SearchResult.load(kept)
    assert np.array_equal(back.hypervolume(), before)
    assert all(map(np.array_equal, back.front(), front))
    assert reasons(kept) == ""


def test_a_column_that_is_gone_or_replaced_is_refused(tmp_path: Path) -> None:
    measured()
    found = search()
    kept = found.save(tmp_path)
    assert say_objectives([found], WEIGHED["objectives"]) == (
        "accuracy (measured), latency/raspi4 (measured)"
    )
    measured(0, replace=True)  # the same figures once more
    assert np.array_equal(SearchResult.load(kept).hypervolume(), found.hypervolume())
    for told in ({"seed": 1}, {"provenance": "surrogate"}):
        measured(**told, replace=True)
        with pytest.raises(UnreadableResult, match="is not the column that the search went by"):
            SearchResult.load(kept)
    remove_column("tss", "cifar10", NAME)
    with pytest.raises(UnreadableResult, match=r"here is surrogate, .* add the other: nats-gym"):
        SearchResult.load(kept)
    values = np.arange(15_625.0)
    add_column("tss", "cifar10", "energy/own", values, unit="mJ")
    found = search(options={"objectives": ["accuracy", "energy/own"]})
    kept = found.save(tmp_path / "own")
    for told in ({"lower_is_better": False}, {"unit": "J"}):
        other = {"unit": "mJ", "replace": True} | told
        add_column("tss", "cifar10", "energy/own", values, **other)
        with pytest.raises(UnreadableResult, match="is not the column that the search went by"):
            SearchResult.load(kept)
    remove_column("tss", "cifar10", "energy/own")
    for ask in (found.front, lambda: SearchResult.load(kept)):
        with pytest.raises(UnreadableResult, match=r"energy/own .*; here is none"):
            ask()


def without_record(folder: Path, **provenance: str) -> None:
    record = json.loads((folder / "run.json").read_text())
    record["provenance"] = {**record["provenance"], **provenance}
    if not provenance:
        del record["provenance"][KEY]
    (folder / "run.json").write_text(json.dumps(record))


def test_what_an_earlier_version_saved_loads_and_says_what_is_not_known(tmp_path: Path) -> None:
    found = search()
    kept = found.save(tmp_path)
    without_record(kept)
    assert np.array_equal(SearchResult.load(kept).hypervolume(), found.hypervolume())
    assert reasons(kept) == ""
    unknown = SearchResult.load(kept).figure(NAME).provenance
    assert unknown == "surrogate here and now, not recorded"
    assert is_estimate(unknown)
    measured()
    old = SearchResult.load(kept)
    assert old.unrecorded == [NAME]
    assert say_objectives([old], old.weighed).endswith("(measured here and now, not recorded)")
    told = reasons(kept)
    assert "the summary in run.json is not that of the runs" in told
    assert "recorded which column latency/raspi4 is: another may have the name now" in told
    remove_column("tss", "cifar10", NAME)
    joined = SearchResult.joined([found, old])
    assert joined.unrecorded == [NAME]
    measured()
    other = search()
    with pytest.raises(InvalidInput, match="weighed several latency/raspi4"):
        SearchResult.joined([found, other])


def test_records_that_no_search_writes_are_refused(tmp_path: Path) -> None:
    kept = search().save(tmp_path)
    for told in ({KEY: "measured, ms"}, {"objective flops": "x"}, {"objective energy/x": "x"}):
        shutil.copytree(kept, tmp_path / "forged")
        without_record(tmp_path / "forged", **told)
        with pytest.raises(UnreadableResult, match=next(iter(told))[10:]):
            SearchResult.load(tmp_path / "forged")
        shutil.rmtree(tmp_path / "forged")


@pytest.mark.slow
def test_a_study_does_not_go_on_under_another_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    spec = {
        "runs": 2,
        "searches": [{"space": "tss", "datasets": ["cifar10"], "epochs": 12, "evaluations": 9}],
        "agents": {"random": {}, "nsga2": {"options": WEIGHED}},
    }
    folder = run_study(Study.of(spec), tmp_path / "study", jobs=1)
    assert "latency/raspi4 (surrogate)" in write_report(folder).read_text()
    measured()
    for ask in (load_study, write_report, lambda out: run_study(Study.of(spec), out, jobs=1)):
        with pytest.raises(UnreadableResult, match=REFUSED):
            ask(folder)
    code, _, told = call(monkeypatch, capsys, "report", str(folder))
    assert code == 2
    assert "latency/raspi4 of tss cifar10 is not the column" in " ".join(told.split())
    remove_column("tss", "cifar10", NAME)
    assert run_study(Study.of(spec), folder, jobs=1) == folder


class Guess:
    """An evaluator; a column of the name comes once it was asked ``comes`` times."""

    def __init__(self, comes: int = 0) -> None:
        self.comes = comes

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Outcome:
        self.comes -= 1
        if self.comes == 0:
            measured()
        return Outcome(np.full(len(index), 50.0), np.ones(len(index)))


def test_a_journal_and_a_search_by_evaluators_know_their_columns(tmp_path: Path) -> None:
    told = {"runs": 1, "evaluations": 5}
    found = search(evaluator=Guess(), checkpoints=tmp_path / "c", **told)
    kept = found.save(tmp_path / "kept")
    assert np.array_equal(SearchResult.load(kept).front()[0], found.front()[0])
    measured()
    with pytest.raises(InvalidInput, match=r"another search: its figures known .* have objective"):
        search(evaluator=Guess(), checkpoints=tmp_path / "c", **told)
    for ask in (found.front, lambda: SearchResult.load(kept)):
        with pytest.raises(UnreadableResult, match=REFUSED):
            ask()
    remove_column("tss", "cifar10", NAME)
    with pytest.raises(InvalidInput, match="a column that nsga2 weighs became another while"):
        search(evaluator=Guess(3), **told)
