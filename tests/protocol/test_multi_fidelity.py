"""Searches on several schedules: what they cost, which trials they see, what is refused."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from synthetic_archive import write_archive

import nats_gym
from nats_gym.agents import Question
from nats_gym.errors import InvalidInput, NotInTable
from nats_gym.evaluators import TableEvaluator
from nats_gym.protocol.ladder import check_rungs, find_rungs
from nats_gym.results.result import SearchResult
from nats_gym.simulation.clock import SimulatedClock
from nats_gym.streams import combine, run_keys, run_seeds
from nats_gym.tables import load_table


class Climb:
    """Trains a new architecture to every rung in turn, then the next."""

    continuing = "difference"

    def __init__(self, space, streams, rungs: int) -> None:
        self.space, self.streams, self.rungs = space, streams, rungs
        self.asked, self.told = 0, []

    def ask(self) -> Question:
        runs, rung = self.streams.runs, self.asked % self.rungs
        if rung == 0:
            self.choices = self.space.sample(self.streams, (runs,))
        last = -1 if rung == 0 else self.asked - 1
        self.asked += 1
        return Question(self.choices, np.full(runs, rung), np.full(runs, last))

    def tell(self, outcome, evaluation) -> None:
        self.told.append((outcome.accuracy.copy(), evaluation.copy()))
        assert (evaluation == self.asked - 1).all()


ARGUMENTS = {"epochs": 12, "budget": 9_000, "runs": 3, "seed": 4}


@cache
def climbed(continuing: str) -> SearchResult:
    return nats_gym.search("tss", "cifar10", Climb, continuing=continuing, **ARGUMENTS)


def plain_climb(run: int, scratch: bool) -> list[tuple[int, float, float, float]]:
    """Index, accuracy, seconds and clock of the evaluations of one run, one at a time."""
    table = load_table("tss", "cifar10", "embedded")
    evaluator = TableEvaluator(table)
    key = run_keys(run_seeds(4, run + 1))[run:]
    agent = climbed("difference")
    rows, clock, number = [], 0.0, 0
    while clock < ARGUMENTS["budget"]:
        rung, schedule = number % 2, (12, 200)[number % 2]
        index = int(agent.index[run, number])
        trial = number if scratch else number - rung
        outcome = evaluator.evaluate(np.array([index]), schedule, combine(key, trial))
        seconds = float(table.query_seconds(schedule)[index])
        if rung and not scratch:
            seconds -= float(table.train_seconds(12)[index])
        clock += seconds
        rows.append((index, float(outcome.accuracy[0]), seconds, clock))
        number += 1
    return rows


@pytest.mark.parametrize("continuing", ["difference", "scratch"])
def test_going_on_costs_the_difference_or_all_of_it(continuing: str) -> None:
    result = climbed(continuing)
    assert result.arguments["rungs"] == [12, 200]
    assert result.arguments["continuing"] == continuing
    assert result.provenance["search_accuracy_by_rung"] == "12: surrogate, 200: measured"
    for run in range(3):
        rows = plain_climb(run, continuing == "scratch")
        count = result.evaluations[run]
        # From scratch a pair costs more, so the plain account may end earlier.
        assert len(rows) == count
        found = np.stack(
            [
                getattr(result, name)[run, :count]
                for name in ("index", "accuracy", "seconds", "clock")
            ]
        )
        np.testing.assert_allclose(found, np.array(rows).T, rtol=1e-12)
    if continuing == "difference":
        table = result.table
        pair = result.seconds[0, :2].sum()
        index = result.index[0, 0]
        whole = table.train_seconds(200) + 2 * table.evaluation_seconds("valid", 200)
        assert pair == pytest.approx(float(whole[index]))


def test_a_run_alone_equals_itself_among_others() -> None:
    every = nats_gym.search("tss", "cifar10", "asha", workers=3, **{**ARGUMENTS, "runs": 5})
    alone = nats_gym.search(
        "tss", "cifar10", "asha", workers=3, first_run=3, **{**ARGUMENTS, "runs": 1}
    )
    count = alone.evaluations[0]
    for name in ("index", "accuracy", "seconds", "clock", "rung", "evaluation", "continues"):
        np.testing.assert_array_equal(
            getattr(every, name)[3, :count], getattr(alone, name)[0, :count]
        )


class Uniform:
    """New architectures at the lowest rung; keeps the order of the answers."""

    def __init__(self, space, streams, rungs: int, kept: list | None = None) -> None:
        self.space, self.streams = space, streams
        self.kept = kept

    def ask(self) -> Question:
        runs = self.streams.runs
        zero = np.zeros(runs, dtype=np.int64)
        return Question(self.space.sample(self.streams, (runs,)), zero, zero - 1)

    def tell(self, outcome, evaluation) -> None:
        if self.kept is not None:
            self.kept.append(evaluation.tolist())


def test_workers_run_beside_each_other() -> None:
    kept: list[list[int]] = []
    agent = partial(Uniform, kept=kept)
    one = nats_gym.search("tss", "cifar10", agent, epochs=12, budget=3_000, runs=2)
    kept.clear()
    four = nats_gym.search("tss", "cifar10", agent, epochs=12, budget=3_000, runs=2, workers=4)
    assert (four.evaluations > 3 * one.evaluations).all()
    for run in range(2):
        count = four.evaluations[run]
        assert [answered[run] for answered in kept[:count]] == four.evaluation[run, :count].tolist()
        # By hand: each worker takes the next of the same sequence when it is free.
        seconds = load_table("tss", "cifar10").query_seconds(12)
        order = np.argsort(four.evaluation[run, :count], kind="stable")
        index = four.index[run, :count][order]
        numbers = four.evaluation[run, :count][order]
        free = [0.0] * 4
        if not np.array_equal(numbers, np.arange(count)):
            continue  # one in flight at the end was dropped in between
        ends = []
        for architecture in index:
            worker = int(np.argmin(free))
            free[worker] += float(seconds[architecture])
            ends.append(free[worker])
        np.testing.assert_allclose(np.sort(ends)[:-1], four.clock[run, :count][:-1])
    assert (np.diff(four.clock[0, : four.evaluations[0]]) >= 0).all()


# ── the ladder ───────────────────────────────────────────────────────────────────────────────


HELD = 6


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(
        tmp_path_factory.mktemp("archive") / "NATS-tss-v1_0-3ffb9-simple", "tss", range(HELD)
    )


def test_the_ladder_is_the_states_of_a_schedule_where_there_are_curves(archive: Path) -> None:
    table = load_table("tss", "cifar10", archive)
    assert find_rungs(TableEvaluator(table), 12, None) == ("1/12", "4/12", 12)
    evaluator = TableEvaluator(table)
    assert find_rungs(evaluator, 12, ("2/12", 12, 200)) == ("2/12", 12, 200)
    with pytest.raises(NotInTable):
        find_rungs(evaluator, 12, (12, 300))


def test_bohb_runs_on_the_papers_rungs(archive: Path) -> None:
    class Known:
        """Halving among architectures that the small archive has."""

        continuing = "scratch"

        def __init__(self, space, streams, rungs) -> None:
            assert rungs == 3
            self.space, self.runs, self.count = space, streams.runs, 0

        def ask(self) -> Question:
            choices = self.space.choices(np.full(self.runs, self.count % HELD))
            self.count += 1
            return Question(choices, np.full(self.runs, self.count % 3), np.full(self.runs, -1))

        def tell(self, outcome, evaluation) -> None:
            pass

    result = nats_gym.search("tss", "cifar10", Known, epochs=12, budget=2_000, source=archive)
    assert result.arguments["rungs"] == ["1/12", "4/12", 12]
    table = result.table
    for column in range(result.evaluations[0]):
        schedule = ("1/12", "4/12", 12)[result.rung[0, column]]
        index = result.index[0, column]
        assert result.accuracy[0, column] in table.accuracy("valid", schedule)[index]
        assert result.seconds[0, column] == table.query_seconds(schedule)[index]


@pytest.mark.parametrize(
    "rungs",
    [5, "12", [12], [], [200, 12], [12, 12], ["1/12", True], [0, 12], ["x", 12]],
)
def test_rungs_that_are_no_ladder_are_refused(rungs: object) -> None:
    with pytest.raises(InvalidInput, match=r"rungs are two|epochs is an integer from 1"):
        check_rungs(rungs, 200)


def test_a_table_of_one_schedule_is_no_ladder() -> None:
    with pytest.raises(NotInTable, match="has 90 epochs only"):
        nats_gym.search("sss", "cifar10", "hyperband", source="embedded")


# ── agents that ask for what cannot be ───────────────────────────────────────────────────────


class Wrong(Uniform):
    """Asks as it is told to."""

    def __init__(self, space, streams, rungs, change) -> None:
        super().__init__(space, streams, rungs)
        self.change, self.asked = change, 0

    def ask(self) -> Question | None:
        question = self.change(self.asked, super().ask())
        self.asked += 1
        return question


def same(question: Question) -> Question:
    """The architecture that every run asks for."""
    return question._replace(choices=np.ones_like(question.choices))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n, q: q._replace(choices=q.choices + 9), "asks for what is no architecture"),
        (lambda n, q: q._replace(choices=q.choices[:1]), r"shape \(2, 6\), got \(1, 6\)"),
        (lambda n, q: q._replace(rung=q.rung + 2), "rungs from 0 to 1, got 2"),
        (lambda n, q: q._replace(rung=q.rung.astype(float)), "integers of shape"),
        (lambda n, q: q._replace(rung=q.rung[:1]), "integers of shape"),
        (lambda n, q: q._replace(continues=q.continues - 1), "from -1 to -1, got -2"),
        (lambda n, q: q._replace(continues=q.continues + 1), "from -1 to -1, got 0"),
        (lambda n, q: same(q)._replace(continues=np.full(2, n - 1)), "trained for as long"),
        (
            lambda n, q: q._replace(continues=np.full(2, n - 1), rung=np.full(2, min(n, 1))),
            "another architecture",
        ),
        (lambda n, q: tuple(q), r"returns a nats_gym\.agents\.Question"),
        (lambda n, q: None, "waits for an answer, and none is to come"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_by_the_agents_name(change, message) -> None:
    agent = partial(Wrong, change=change)
    with pytest.raises(InvalidInput, match=message) as caught:
        nats_gym.search("tss", "cifar10", agent, epochs=12, budget=2_000, runs=2)
    assert "Wrong" in str(caught.value)


@pytest.mark.parametrize("wrongful", [0, 1])
@pytest.mark.parametrize(
    "wrong",
    [{"choices": 2}, {"rung": 0}],
    ids=["another architecture", "trained for as long"],
)
def test_one_rightful_run_does_not_excuse_the_other(wrong: dict[str, int], wrongful: int) -> None:
    # Both go on with their first training, one as it may and one as it may not.
    def change(number: int, question: Question) -> Question | None:
        question = same(question)
        if number != 1:
            return question if number == 0 else None
        going_on = question._replace(continues=np.zeros(2, np.int64), rung=np.ones(2, np.int64))
        for field, value in wrong.items():
            getattr(going_on, field)[wrongful] = value
        return going_on

    with pytest.raises(InvalidInput, match="goes on with an evaluation"):
        nats_gym.search("tss", "cifar10", partial(Wrong, change=change), 12, 2_000, 2)


def test_nobody_goes_on_with_what_is_not_answered() -> None:
    def change(number: int, question: Question) -> Question:
        question = same(question)
        if number < 2:
            return question
        return question._replace(continues=np.full(2, number - 1), rung=np.ones(2, np.int64))

    with pytest.raises(InvalidInput, match="not answered yet"):
        nats_gym.search(*("tss", "cifar10", partial(Wrong, change=change), 12, 2_000, 2), workers=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"agent": "darts", "workers": 2}, "workers= is for agents that ask and are told"),
        ({"agent": "rea", "rungs": [12, 200]}, "rungs= is for"),
        ({"agent": "rea", "continuing": "scratch"}, "continuing= is for"),
        ({"agent": "asha", "continuing": "differnce"}, "Did you mean 'difference'"),
        ({"agent": "asha", "workers": 0}, "workers is an integer"),
        ({"agent": "asha", "options": {"eta": 1}}, "eta"),
        ({"agent": "asha", "options": {"etta": 3}}, "Did you mean 'eta'"),
        ({"agent": "asha", "options": {"eta": object()}}, "which a result records"),
        ({"agent": "asha", "options": 3}, "options are a dictionary"),
        ({"agent": "asha", "first_run": -1}, "the first run's number"),
        ({"agent": "no_such:Agent"}, "no agent at 'no_such:Agent'"),
        ({"agent": "nats_gym.agents:AGENTS"}, "what makes an agent is called"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        nats_gym.search("tss", "cifar10", **{"epochs": 12, "budget": 2_000, **arguments})


def test_clocks_of_many_runs_go_on_together() -> None:
    clock = SimulatedClock(10, runs=2)
    clock.advance(np.array([1.0, 2.0]))
    for time in ([0.5, 3.0], [np.inf, 3.0], [np.nan, 3.0]):
        with pytest.raises(InvalidInput, match="goes on"):
            clock.advance(np.array(time))
    assert np.asarray(clock.used).tolist() == [1.0, 2.0]
