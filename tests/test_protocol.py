"""The search protocol and its result, against a plain account of one run at a time."""

from __future__ import annotations

import json

import gymnasium as gym
import numpy as np
import pytest

import nats_gym
from nats_gym.clock import SimulatedClock
from nats_gym.errors import InvalidInput, NatsGymError, NotInTable
from nats_gym.plots import incumbent_at, plot_incumbent
from nats_gym.result import SearchResult
from nats_gym.streams import run_seeds


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
            for digit in space.digits(result.index[run, number]):
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
    assert "full_schedule_test_accuracy" not in result.provenance
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
    record = json.loads((folder / "run.json").read_text())
    assert record["arguments"]["seed"] == 5
    assert record["versions"]["numpy"] == np.__version__
    assert record["provenance"]["search_accuracy"] == "surrogate"


def test_an_agent_class_of_ones_own() -> None:
    class Fixed:
        def __init__(self, space, streams) -> None:
            self.digits = space.digits(np.full(streams.runs, 6111))

        def ask(self):
            return self.digits

        def tell(self, outcome) -> None:
            assert outcome.accuracy.shape == (4,)

    result = nats_gym.search("tss", "cifar10", Fixed, epochs=12, budget=2000, runs=4)
    assert result.recommended.tolist() == [6111] * 4
    assert "Fixed" in result.arguments["agent"]


def test_progress_goes_from_0_to_1() -> None:
    shares: list[float] = []
    nats_gym.search("tss", "cifar10", "random", budget=60_000, runs=2, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] >= 1


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


@pytest.mark.parametrize("budget", [0, -1, float("nan"), "1", None])
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
