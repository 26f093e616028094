"""Searches of spaces of one's own: unequal choices, rows that are no architecture; replayed."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from command_line import call
from numpy.typing import NDArray
from plain_agents import KINDS

import nats_gym
from nats_gym.agents.local_search import LocalSearch
from nats_gym.errors import InvalidInput
from nats_gym.evaluators import Outcome, TableEvaluator
from nats_gym.results import SearchResult
from nats_gym.simulation.clock import MOST_IDLE
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams, combine, run_keys, run_seeds
from nats_gym.study import read_study, run_study, write_report
from nats_gym.study.curves import regret_curve
from nats_gym.study.validation import validate
from nats_gym.tables import MEASURED, Column, Table
from nats_gym.tables.folder import write_table

Rows = NDArray[np.int64]


class Gapped(ArchitectureSpace):
    """Not every width goes with every depth."""

    name = "gapped-search"
    full_epochs = 9
    schedules = (1, 3, 9)
    decisions: ClassVar[Any] = {
        "depth": ("1", "2", "3"),
        "width": tuple("abcdefg"),
        "activation": ("relu", "tanh"),
    }

    def is_valid(self, choices: Rows) -> NDArray[np.bool_]:
        depth, width, _ = np.moveaxis(choices, -1, 0)
        return np.asarray((depth + width) % 2 == 0)

    def params(self, choices: Rows, dataset: str) -> NDArray[np.float64]:
        return 1.0 + np.asarray(choices, np.float64).sum(-1)


SPACE = Gapped()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_table(tmp_path_factory.mktemp("tables") / "gapped", SPACE)


def make_table(place: Path, space: ArchitectureSpace) -> Path:
    """Three trials at three schedules."""
    rng = np.random.default_rng(0)
    quality = rng.uniform(20, 90, SPACE.size)
    shared: dict[str, Any] = {"provenance": MEASURED, "source": "made up", "licence": "MIT"}
    columns: list[tuple[Column, Any]] = [
        (Column("train_seconds_per_epoch", **shared), rng.uniform(5, 10, SPACE.size)),
        (Column("evaluation_seconds", split="valid", **shared), np.full(SPACE.size, 0.5)),
    ]
    for epochs in (1, 3, 9):
        column = Column("accuracy", split="valid", epochs=epochs, trials=(0, 1, 2), **shared)
        trials = quality[:, None] - 20 / epochs + rng.normal(0, 1, (SPACE.size, 3))
        columns.append((column, np.maximum(trials, 0)))
    write_table(place, space, "cifar10", columns)
    return place


class EveryRow:
    """Asks for rows in turn, valid or not."""

    def __init__(self, space: ArchitectureSpace, streams: RunStreams) -> None:
        self._space, self._runs, self._at = space, streams.runs, 0
        self.told: list[Outcome] = []

    def ask(self) -> Rows:
        ranks = (self._at + 5 * np.arange(self._runs)) % self._space.num_rows
        self._at += 1
        return np.asarray(ranks[:, None] // self._space.place_values % self._space.choice_counts)

    def tell(self, outcome: Outcome) -> None:
        self.told.append(outcome)


class NoneValid(EveryRow):
    """Asks for the same row, which is no architecture."""

    def ask(self) -> Rows:
        return np.tile([0, 1, 0], (self._runs, 1))


def search(folder: Path, agent: Any, **arguments: Any) -> SearchResult:
    given = {"epochs": 9, "budget": 900.0, "runs": 3, "seed": 5, **arguments}
    return nats_gym.search(SPACE, "cifar10", agent, source=folder, **given)


def test_the_loop_is_that_of_a_plain_one(folder: Path) -> None:
    result = search(folder, EveryRow)
    evaluator = TableEvaluator(Table(folder, source="x"), "random")
    evaluator.prepare(9)
    keys = run_keys(run_seeds(5, 3, 0))
    for run, key in enumerate(keys):
        clock, best, answer, found = 0.0, -1.0, -1, []
        while clock < 900.0:
            rank = (len(found) + 5 * run) % SPACE.num_rows
            row = [rank // 14, rank // 2 % 7, rank % 2]
            index = int(SPACE.index(row))
            accuracy = seconds = 0.0
            if (row[0] + row[1]) % 2 == 0:
                trial = combine(np.array([key]), len(found))
                outcome = evaluator.evaluate(np.array([index]), 9, trial)
                accuracy, seconds = float(outcome.accuracy[0]), float(outcome.seconds[0])
                if accuracy > best:
                    best, answer = accuracy, index
            else:
                assert index == -1
            clock += seconds
            found.append((index, accuracy, seconds, clock))
        count = result.evaluations[run]
        columns = (result.index, result.accuracy, result.seconds, result.clock)
        assert [*zip(*(column[run, :count].tolist() for column in columns), strict=True)] == found
        assert result.recommended[run] == answer
        assert result.incumbent[run, count - 1] == best
        assert np.isnan(result.incumbent[run, count:]).all()


def test_it_is_saved_replayed_and_judged(folder: Path, tmp_path: Path) -> None:
    result = search(folder, EveryRow)
    result.save(tmp_path / "run")
    again = SearchResult.load(tmp_path / "run")
    assert np.array_equal(again.index, result.index)
    (verdict,) = validate(tmp_path)
    assert verdict.holds, verdict.reasons
    assert verdict.origin == "own"
    best = result.table.best("valid")[1]
    assert np.allclose(result.regret(), best - result.full_schedule_accuracy())


@pytest.mark.parametrize("change", ["index", "accuracy", "seconds"])
def test_forged_rows_that_are_none_do_not_hold(folder: Path, tmp_path: Path, change: str) -> None:
    result = search(folder, EveryRow)
    where = np.argwhere((result.index < 0) & result.there)[0]
    getattr(result, change)[tuple(where)] = {"index": 3, "accuracy": 50.0, "seconds": 1.0}[change]
    result.save(tmp_path)
    (verdict,) = validate(tmp_path)
    assert not verdict.valid[where[0]]


@pytest.mark.one_in(2)
@pytest.mark.parametrize("bound", [{"evaluations": 7}, {}], ids=["evaluations", "seconds"])
def test_a_run_of_nothing_that_is_an_architecture_ends(
    folder: Path, tmp_path: Path, bound: dict[str, int]
) -> None:
    result = search(folder, NoneValid, **bound)
    table = result.table
    expected = bound.get("evaluations", MOST_IDLE)
    assert result.evaluations.tolist() == [expected] * 3
    assert result.recommended.tolist() == [-1] * 3
    assert result.full_schedule_accuracy().tolist() == [0.0] * 3
    assert result.regret().tolist() == [table.best("valid")[1]] * 3
    assert (regret_curve(result)[:, 0] == table.best("valid")[1]).all()
    assert result.summary()["observed_valid_accuracy"] == {"mean": 0.0, "std": 0.0}
    result.save(tmp_path)
    (verdict,) = validate(tmp_path)
    assert verdict.holds, verdict.reasons


#: Weight sharing, other data sets' tables and trained policies are of spaces that have them.
ANYWHERE = [
    name
    for name, kind in KINDS.items()
    if kind != "weight-sharing" and name not in ("transfer", "controller")
]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("agent", ANYWHERE)
def test_agents_of_every_kind_search_it(folder: Path, tmp_path: Path, agent: str) -> None:
    result = search(folder, agent, evaluations=20, budget=None, runs=2)
    assert result.evaluations.tolist() == [20, 20]
    assert (result.recommended >= 0).any()  # without masks DQN may find none in twenty
    assert (result.index[result.there] < SPACE.size).all()
    result.save(tmp_path)
    (verdict,) = validate(tmp_path)
    assert verdict.holds, verdict.reasons


def test_weight_sharing_says_what_it_searches(folder: Path) -> None:
    with pytest.raises(InvalidInput, match="darts searches tss, not gapped-search"):
        search(folder, "darts", epochs=None)


def test_what_a_rung_of_no_architecture_costs(folder: Path) -> None:
    """One that goes on stays none, at no cost."""

    class Climbing:
        continuing = "difference"

        def __init__(self, space: ArchitectureSpace, streams: RunStreams, rungs: int) -> None:
            self._asked = 0

        def ask(self) -> Any:
            rung = self._asked % 3
            self._asked += 1
            row = [[0, 1, 0]] if self._asked <= 3 else [[0, 0, 0]]
            return nats_gym.agents.Question(
                np.array(row), np.array([rung]), np.array([self._asked - 2 if rung else -1])
            )

        def tell(self, outcome: Outcome, evaluation: NDArray[np.int64]) -> None:
            pass

    result = search(folder, Climbing, rungs=(1, 3, 9), evaluations=6, budget=None, runs=1)
    assert result.seconds[0, :3].tolist() == [0.0] * 3
    table = result.table
    train = [table.train_seconds(epochs)[0] for epochs in (1, 3, 9)]
    whole = [table.query_seconds(epochs)[0] for epochs in (1, 3, 9)]
    assert result.seconds[0, 3:].tolist() == [whole[0], whole[1] - train[0], whole[2] - train[1]]


@pytest.mark.slow
def test_a_study_of_it_is_reported(folder: Path, tmp_path: Path) -> None:
    nats_gym.get_space(SPACE)
    (tmp_path / "study.toml").write_text(
        'runs = 3\n[[searches]]\nspace = "gapped-search"\ndataset = "cifar10"\nepochs = 9\n'
        f"evaluations = 15\nsource = {json.dumps(str(folder))}\n"
        "[agents.random]\n[agents.rea]\n"
    )
    study = read_study(tmp_path / "study.toml")
    run_study(study, tmp_path / "out", jobs=2)
    page = write_report(tmp_path / "out")
    assert "gapped-search" in page.read_text(encoding="utf-8")
    assert all(verdict.holds for verdict in validate(tmp_path / "out"))


def test_local_search_stays_among_valid_neighbours(folder: Path) -> None:
    result = search(folder, LocalSearch, evaluations=20, budget=None)
    assert (result.index[result.there] >= 0).all()


def test_the_command_line_takes_a_space_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "space_beside.py").write_text(
        "from test_search_any_space import Gapped\n\nclass Beside(Gapped):\n    name = 'beside'\n"
    )
    sys.path.append(str(tmp_path))
    make_table(tmp_path / "table", importlib.import_module("space_beside").Beside())
    common = ["--dataset", "cifar10", "--source", "table", "--budget", "900", "--out", "run"]
    code, _, said = call(
        monkeypatch, capsys, "search", "--space", "space_beside:Beside", "--agent", "rea", *common
    )
    assert (code, said) == (0, "")
    code, told, _ = call(
        monkeypatch, capsys, "--known-space", "space_beside:Beside", "validate", "run"
    )
    assert (code, told.splitlines()[-1]) == (0, "1 of 1 searches hold")
    code, _, said = call(monkeypatch, capsys, "search", "--space", "space_beside:Besides", *common)
    assert code == 2
    assert "no space at 'space_beside:Besides'" in said
    assert said.count("\n") == 1
