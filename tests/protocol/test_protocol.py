"""The search protocol and its result, against a plain account of one run at a time."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from matplotlib.figure import Figure

import nats_gym
from nats_gym.agents.ppo import PPOAgent
from nats_gym.errors import InvalidInput, NatsGymError, NotInTable, UnreadableResult
from nats_gym.evaluators import Outcome
from nats_gym.results.plots import incumbent_at, plot_incumbent
from nats_gym.results.result import SearchResult
from nats_gym.simulation.clock import SimulatedClock
from nats_gym.streams import run_seeds
from nats_gym.tables import SURROGATE_VERSION


@pytest.fixture(scope="module")
def result() -> SearchResult:
    return nats_gym.search("tss", "cifar10", "random", epochs=12, budget=9000, runs=30, seed=5)


def test_every_run_ends_with_the_evaluation_that_overshoots(result: SearchResult) -> None:
    table = nats_gym.load_table("tss", "cifar10")
    for run in range(result.runs):
        count = result.evaluations[run]
        index = result.index[run, :count]
        assert result.seconds[run, :count] == pytest.approx(table.query_seconds(12)[index])
        assert result.clock[run, :count] == pytest.approx(np.cumsum(result.seconds[run, :count]))
        assert result.clock[run, count - 1] >= 9000
        assert (result.clock[run, : count - 1] < 9000).all()
        assert (result.index[run, count:] == -1).all()
        for column in (result.accuracy, result.seconds, result.clock):
            assert np.isnan(column[run, count:]).all()


def test_the_recommendation_is_the_earliest_best_observed(result: SearchResult) -> None:
    full = nats_gym.load_table("tss", "cifar10").mean_accuracy("valid", 200)
    for run in range(result.runs):
        accuracy = result.accuracy[run, : result.evaluations[run]].tolist()
        assert result.recommended[run] == result.index[run, accuracy.index(max(accuracy))]
        assert result.incumbent[run, len(accuracy) - 1] == max(accuracy)
    assert result.full_schedule_accuracy() == pytest.approx(full[result.recommended])
    assert result.regret() == pytest.approx(full.max() - full[result.recommended])
    assert result.regret().min() >= 0


def test_a_run_equals_the_environment_playing_the_same_architectures(result: SearchResult) -> None:
    env = gym.make("NATS-TSS-cifar10-Budgeted-v0", epochs=12, time_budget=9000)
    space = env.unwrapped.architecture_space
    for run in (0, 17):
        env.reset(seed=run_seeds(5, 30)[run])
        for number in range(result.evaluations[run]):
            for digit in space.choices(result.index[run, number]):
                _, _, terminated, _, info = env.step(digit)
            assert info["accuracy"] == result.accuracy[run, number]
            assert info["seconds"] == result.seconds[run, number]
            assert info["clock"] == result.clock[run, number]
        assert terminated
        assert info["incumbent_index"] == result.recommended[run]


def test_seeds_decide_everything() -> None:
    def found(seed: int) -> list[list[int]]:
        arguments = {"epochs": 12, "budget": 3000, "runs": 5, "seed": seed}
        return nats_gym.search("tss", "cifar100", "reinforce", **arguments).index.tolist()

    assert found(1) == found(1)
    assert found(1) != found(2)


def test_defaults_are_the_full_schedule_and_its_budget() -> None:
    result = nats_gym.search("sss", "cifar100", "random")
    assert result.arguments["epochs"] == 90
    assert result.arguments["budget"] == 40_000 * 90 / 12
    assert result.index.shape[0] == 1


def test_provenance_says_what_is_estimated(result: SearchResult) -> None:
    assert result.provenance["search_accuracy"] == "surrogate"
    assert result.provenance["full_schedule_valid_accuracy"] == "measured"
    assert result.provenance["full_schedule_test_accuracy"] == "surrogate"
    assert result.provenance["checksum"] == nats_gym.load_table("tss", "cifar10").checksum
    size = nats_gym.search("sss", "cifar10", "random", budget=2000)
    assert size.provenance["full_schedule_test_accuracy"] == "surrogate"
    assert "full_schedule_test_accuracy" in size.summary()


def test_a_saved_result_reads_back(result: SearchResult, tmp_path) -> None:
    folder = result.save(tmp_path / "new" / "folder")
    assert sorted(path.name for path in folder.iterdir()) == ["run.json", "runs.npz"]
    again = SearchResult.load(folder)
    for name in ("index", "accuracy", "seconds", "clock", "recommended"):
        assert np.array_equal(getattr(again, name), getattr(result, name), equal_nan=True)
    assert again.summary() == result.summary()
    assert again.arguments == result.arguments == dict(result.arguments)
    assert again.arguments.epochs == again.arguments["epochs"] == 12
    record = json.loads((folder / "run.json").read_text())
    assert record["arguments"]["seed"] == 5
    assert record["versions"]["numpy"] == np.__version__
    assert record["provenance"]["search_accuracy"] == "surrogate"


class Fixed:
    """An ask/tell agent that knows one architecture."""

    def __init__(self, space, streams, index: int = 6111) -> None:
        self.choices = space.choices(np.full(streams.runs, index))

    def ask(self):
        return self.choices

    def tell(self, outcome) -> None:
        assert outcome.accuracy.shape == (4,)


@pytest.mark.parametrize(
    ("agent", "name", "index"),
    [
        (Fixed, "test_protocol:Fixed", 6111),
        (partial(Fixed, index=5), "test_protocol:Fixed(index=5)", 5),
        (lambda space, streams: Fixed(space, streams, 7), "test_protocol:<lambda>", 7),
    ],
)
def test_an_agent_of_ones_own(agent, name, index) -> None:
    result = nats_gym.search("tss", "cifar10", agent, epochs=12, budget=2000, runs=4)
    assert result.recommended.tolist() == [index] * 4
    assert result.arguments["agent"].endswith(name)


def test_a_partial_of_an_environment_agent() -> None:
    settings = {"n_steps": 12, "batch_size": 12}
    agent = partial(PPOAgent, settings)
    result = nats_gym.search("tss", "cifar10", agent, epochs=12, budget=1000)
    assert result.evaluations[0] > 1
    name = "nats_gym.agents.ppo:PPOAgent({'n_steps': 12, 'batch_size': 12})"
    assert result.arguments["agent"] == name


def test_agents_that_answer_wrongly_are_refused() -> None:
    class OneRun(Fixed):
        def ask(self):
            return self.choices[:1]

    class Idle:
        """Evaluates so many architectures, and then returns what it likes."""

        def __init__(self, evaluations: int, answer: Any = None) -> None:
            self.evaluations, self.answer = evaluations, answer

        def learn(self, env, budget, seed):
            for _ in range(self.evaluations):
                env.reset(seed=77)  # which is not the run's: it gets that all the same
                for _ in range(6):
                    env.step(3)
            return self.answer

    arguments = {"epochs": 12, "budget": 2000, "runs": 4}
    with pytest.raises(InvalidInput, match=r"\(4, 6\), got \(1, 6\)"):
        nats_gym.search("tss", "cifar10", OneRun, **arguments)
    for evaluations in (0, 3):
        with pytest.raises(InvalidInput, match=f"Idle.* it stopped after {evaluations} eval"):
            nats_gym.search("tss", "cifar10", partial(Idle, evaluations), **arguments)
    lie = [{"index": 6111, "accuracy": 99.9, "seconds": 1.0, "clock": 1.0}]
    found = nats_gym.search("tss", "cifar10", partial(Idle, 60, lie), **arguments)
    expected = nats_gym.search("tss", "cifar10", partial(AllThree), **arguments)
    np.testing.assert_array_equal(found.accuracy, expected.accuracy)  # until the budget was spent
    np.testing.assert_array_equal(found.clock, expected.clock)


class AllThree:
    """An ask/tell agent that asks for what `Idle` builds."""

    def __init__(self, space, streams) -> None:
        self.choices = np.full((streams.runs, space.num_decisions), 3)

    def ask(self):
        return self.choices

    def tell(self, outcome) -> None:
        pass


def test_progress_goes_from_0_to_1() -> None:
    for agent, least in (("random", 10), ("ppo", 10)):
        shares: list[float] = []
        arguments = {"epochs": 12, "budget": 2_000, "runs": 2}
        nats_gym.search("tss", "cifar10", agent, **arguments, progress=shares.append)
        assert shares == sorted(shares)
        assert shares[-1] == 1
        assert len(shares) > least
        assert shares[0] < 0.2


def test_the_plot_draws_what_a_plain_loop_finds(result: SearchResult, tmp_path) -> None:
    times = np.array([10.0, 500.0, 4000.0, 9000.0])
    found = incumbent_at(result, times)
    for run in range(result.runs):
        for column, time in enumerate(times):
            ended = result.accuracy[run][result.clock[run] <= time]
            expected = ended.max() if len(ended) else np.nan
            assert found[run, column] == pytest.approx(expected, nan_ok=True)
    path = plot_incumbent([result, result], tmp_path / "plot.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [entry.name for entry in tmp_path.iterdir()] == ["plot.png"]


def test_a_budget_below_one_evaluation_is_drawn_too(tmp_path) -> None:
    for runs in (1, 3):
        tiny = nats_gym.search("tss", "cifar10", "random", epochs=12, budget=1, runs=runs)
        assert tiny.evaluations.tolist() == [1] * runs
        assert plot_incumbent([tiny], str(tmp_path / "plot.png")) == tmp_path / "plot.png"


def test_plots_of_more_searches_than_colours_and_of_none(result: SearchResult, tmp_path) -> None:
    drawn = []

    class Watched(Figure):
        def savefig(self, *args, **kwargs):
            drawn.append((len(self.axes[0].lines), self.axes[0].get_title()))
            return super().savefig(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure", Watched)
        plot_incumbent([result] * 9, tmp_path / "plot.png")
    assert drawn[0][0] == 9
    assert "mean and 10th–90th percentile of runs" in drawn[0][1]
    with pytest.raises(InvalidInput, match="one at least"):
        plot_incumbent([], tmp_path / "none.png")


def test_numpys_integers_are_recorded_as_plain_ones(tmp_path) -> None:
    trial = np.int64(0)
    found = nats_gym.search(
        *("tss", "cifar10", "random"), budget=np.float32(60_000), runs=np.int64(2), trial=trial
    )
    assert SearchResult.load(found.save(tmp_path)).arguments == found.arguments
    assert type(found.arguments["trial"]) is int


def test_results_and_outcomes_compare_by_identity(result: SearchResult) -> None:
    assert result == result
    assert len({result, result}) == 1
    outcome = Outcome(np.ones(2), np.ones(2))
    assert outcome != Outcome(np.ones(2), np.ones(2))


def test_the_surrogates_version_is_recorded(result: SearchResult) -> None:
    assert result.provenance["surrogate_version"] == str(SURROGATE_VERSION)


def test_saved_files_of_two_searches_are_never_taken_for_one(result, tmp_path) -> None:
    result.save(tmp_path)
    other = nats_gym.search("tss", "cifar10", "random", epochs=12, budget=500)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("json.dumps", lambda *_, **__: 1 / 0)  # interrupted between the two files
        with pytest.raises(ZeroDivisionError):
            other.save(tmp_path)
    with pytest.raises(UnreadableResult, match=r"runs\.npz is not the one"):
        SearchResult.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", None),
        ("runs.npz", None),
        ("run.json", b"{"),
        ("run.json", b"[]"),
        ("run.json", b"\xff"),
        ("run.json", b"{}"),
        ("runs.npz", b"PK"),
        ("runs.npz", b""),
    ],
)
def test_damaged_results_are_refused(result, tmp_path, name, content) -> None:
    result.save(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableResult, match="no search is read"):
        SearchResult.load(tmp_path)


def test_a_result_is_not_read_with_another_table(result, tmp_path) -> None:
    path = result.save(tmp_path) / "run.json"
    record = json.loads(path.read_text())
    record["provenance"]["checksum"] = "0123456789abcdef"
    path.write_text(json.dumps(record))
    with pytest.raises(UnreadableResult) as caught:
        SearchResult.load(tmp_path)
    assert "0123456789ab" in str(caught.value)
    assert result.table.checksum[:12] in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"options": None}, "options are a dictionary"),
        ({"agent": None}, "agent is text"),
        ({"agent": ""}, "a name in one line"),
        ({"agent": "a\x1b[31m\n"}, "a name in one line"),
        ({"agent": "x" * 100_000}, "agent is text"),
        ({"agent": [[]]}, "agent is text"),
        ({"more": 1}, "its arguments are"),
    ],
)
def test_forged_arguments_are_refused(result, tmp_path, change, words) -> None:
    path = result.save(tmp_path) / "run.json"
    record = json.loads(path.read_text())
    record["arguments"] |= change
    path.write_text(json.dumps(record))
    with pytest.raises(UnreadableResult, match=words) as caught:
        SearchResult.load(tmp_path)
    assert len(str(caught.value)) < 1_000


# ── the clock ────────────────────────────────────────────────────────────────────────────────


def test_the_clock_by_hand() -> None:
    clock = SimulatedClock(100)
    assert (clock.used, clock.spent, clock.fraction_left) == (0.0, False, 1.0)
    clock.charge(60)
    assert (clock.used, clock.spent, clock.fraction_left) == (60.0, False, 0.4)
    clock.charge(60)
    assert (clock.used, clock.spent, clock.fraction_left) == (120.0, True, 0.0)
    clock.reset()
    assert clock.used == 0
    many = SimulatedClock(100, runs=2)
    many.charge(np.array([100.0, 10.0]))
    assert np.asarray(many.spent).tolist() == [True, False]
    assert np.asarray(many.fraction_left).tolist() == [0.0, 0.9]
    assert not SimulatedClock().spent


def test_a_clock_that_counts_evaluations() -> None:
    clock = SimulatedClock(evaluations=4)
    for left in (0.75, 0.5, 0.25, 0.0):
        assert not clock.spent
        clock.charge(1e6)
        assert clock.fraction_left == left
    assert clock.spent
    clock.reset()
    assert (clock.spent, clock.fraction_left) == (False, 1.0)
    both = SimulatedClock(100, runs=2, evaluations=2)
    both.advance(np.array([90.0, 10.0]))
    assert np.asarray(both.fraction_left).tolist() == pytest.approx([0.1, 0.5])
    both.advance(np.array([100.0, 11.0]))
    assert np.asarray(both.spent).tolist() == [True, True]
    for wrong in (0, 1.5, "many", True):
        with pytest.raises(InvalidInput, match="evaluations"):
            SimulatedClock(evaluations=wrong)  # type: ignore[arg-type]


def test_one_clock_goes_on_and_never_back() -> None:
    clock = SimulatedClock(100)
    clock.advance(30.0)
    clock.advance(30.0)  # two that are done at once
    for time in (29.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidInput, match=r"a clock at .* goes on"):
            clock.advance(time)
    assert (clock.used, clock.fraction_left) == (30.0, 0.7)
    clock.advance(120.0)
    assert clock.spent


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_clock_charges_seconds_alone(seconds) -> None:
    clock = SimulatedClock()
    with pytest.raises(InvalidInput, match="seconds"):
        clock.charge(seconds)
    assert clock.used == 0
    with pytest.raises(InvalidInput, match="seconds"):
        SimulatedClock(runs=2).charge(np.array([1.0, seconds]))


@pytest.mark.parametrize("budget", [0, -1, float("nan"), "1", None, True, 10**400, 1j])
def test_budgets_are_positive_numbers(budget) -> None:
    with pytest.raises(InvalidInput, match="positive"):
        SimulatedClock(budget)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"space": "tsss"}, InvalidInput, ["Did you mean 'tss'"]),
        ({"dataset": "imagenet"}, InvalidInput, ["Did you mean 'ImageNet16-120'"]),
        ({"agent": "randon"}, InvalidInput, ["Did you mean 'random'"]),
        ({"epochs": 13}, NotInTable, ["accuracy-valid-13", "accuracy-valid-12 (surrogate)"]),
        ({"agent": None}, InvalidInput, ["random, reinforce, ppo", "None"]),
        ({"agent": 5}, InvalidInput, ["random, reinforce, ppo", "5"]),
        ({"agent": object()}, InvalidInput, ["random, reinforce, ppo", "object"]),
        ({"agent": object}, InvalidInput, ["learn"]),
        ({"agent": ["random"]}, InvalidInput, ["random, reinforce, ppo", "['random']"]),
        ({"agent": lambda space, streams: 5}, InvalidInput, ["no ask and no tell"]),
        ({"agent": lambda a, b, c, d: a}, InvalidInput, ["(space, streams)"]),
        ({"budget": float("inf")}, InvalidInput, ["finite", "inf"]),
        ({"budget": 1e15}, InvalidInput, ["evaluations"]),
        ({"budget": True}, InvalidInput, ["positive", "True"]),
        ({"budget": 10**400}, InvalidInput, ["positive"]),
        ({"runs": 1_000_001}, InvalidInput, ["runs", "1000001", "1,000,000"]),
        ({"runs": True}, InvalidInput, ["runs", "True"]),
        ({"seed": 1.5}, InvalidInput, ["seed", "1.5"]),
        ({"source": 5}, InvalidInput, ["source", "5"]),
        ({"source": b"auto"}, InvalidInput, ["source", "b'auto'"]),
        ({"epochs": -3}, InvalidInput, ["epochs", "-3"]),
        ({"budget": -1}, InvalidInput, ["positive", "-1"]),
        ({"runs": 0}, InvalidInput, ["runs", "0"]),
        ({"runs": 2.5}, InvalidInput, ["runs", "2.5"]),
        ({"seed": -1}, InvalidInput, ["seed", "-1"]),
        ({"trial": "best"}, InvalidInput, ["'random', 'mean'"]),
    ],
)
def test_bad_arguments_are_refused(arguments, error, words) -> None:
    with pytest.raises(error) as caught:
        nats_gym.search(**{"space": "tss", "dataset": "cifar10", "agent": "random", **arguments})
    assert isinstance(caught.value, NatsGymError)
    for word in words:
        assert word in str(caught.value)
