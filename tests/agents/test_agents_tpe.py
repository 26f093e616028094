"""TPE against a plain loop of Optuna's own, and its place among the agents."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import optuna
import pytest
from plain_agents import streams

import nats_gym
from nats_gym.agents.random_search import RandomSearch
from nats_gym.agents.tpe import Tpe
from nats_gym.errors import InvalidInput
from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace, get_space

BUDGET = 2_000.0


def score(choices: np.ndarray) -> np.ndarray:
    """Best at choice 2 for every decision; each step away from it costs 10."""
    return 100.0 - 10.0 * np.abs(choices - 2).sum(axis=-1)


def play(agent, evaluations: int) -> np.ndarray:
    """What an agent asks for, ``(runs, evaluations, n)``, scored by :func:`score`."""
    asked = []
    for _ in range(evaluations):
        asked.append(choices := agent.ask())
        agent.tell(Outcome(score(choices), np.ones(len(choices))))
    return np.stack(asked, axis=1)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("multivariate", [True, False])
@pytest.mark.parametrize("name", ["tss", "sss"])
def test_it_chooses_what_a_plain_loop_of_optuna_chooses(name: str, multivariate: bool) -> None:
    space = get_space(name)
    found = play(Tpe(space, streams(2), multivariate=multivariate), 50)
    for run in range(2):
        seed = int(streams(2).random((2,))[run] * 2**32)
        assert found[run].tolist() == plain_optuna(space, seed, multivariate)


def plain_optuna(space: ArchitectureSpace, seed: int, multivariate: bool) -> list[list[int]]:
    asked = []

    def objective(trial: optuna.Trial) -> float:
        names = [f"decision {place}" for place in range(space.num_decisions)]
        choices = list(range(space.num_choices))
        asked.append([trial.suggest_categorical(name, choices) for name in names])
        return float(score(np.array(asked[-1])))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=multivariate)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    optuna.create_study(direction="maximize", sampler=sampler).optimize(objective, n_trials=50)
    optuna.logging.set_verbosity(verbosity)
    return asked


@pytest.mark.slow
def test_it_beats_random_search_where_decisions_add_up() -> None:
    space = get_space("tss")
    tpe = score(play(Tpe(space, streams(8)), 80))
    uniform = score(play(RandomSearch(space, streams(8)), 80))
    assert tpe[:, :10].mean() == pytest.approx(28, abs=8)  # uniform: 100 - 10 · 6 · 1.2
    assert tpe[:, -20:].mean() > uniform[:, -20:].mean() + 15
    assert tpe.max(axis=1).mean() > uniform.max(axis=1).mean() + 5


def test_a_run_is_the_same_alone_and_among_others() -> None:
    arguments = {"epochs": 12, "budget": BUDGET, "seed": 3}
    several = nats_gym.search("tss", "cifar10", Tpe, runs=3, **arguments)
    alone = nats_gym.search("tss", "cifar10", Tpe, runs=1, **arguments)
    again = nats_gym.search("tss", "cifar10", Tpe, runs=3, **arguments)
    count = alone.evaluations[0]
    assert count > 10  # past the uniform start
    assert np.array_equal(several.index, again.index)
    assert np.array_equal(several.index[0, :count], alone.index[0])
    assert np.array_equal(several.accuracy[0, :count], alone.accuracy[0])
    assert len({tuple(run[:10]) for run in several.index.tolist()}) == 3


def test_a_search_stops_at_the_first_evaluation_past_the_budget() -> None:
    result = nats_gym.search("sss", "cifar10", Tpe, epochs=90, budget=50_000, runs=2)
    for run, count in enumerate(result.evaluations):
        assert result.clock[run, count - 1] >= 50_000
        assert (result.clock[run, : count - 1] < 50_000).all()


def test_the_start_is_as_long_as_asked_for() -> None:
    space = get_space("tss")
    short, long = (play(Tpe(space, streams(3), n_startup_trials=n), 30) for n in (5, 20))
    same = (short == long).all(axis=-1)
    assert same[:, :5].all()
    assert not same[:, 5:20].all()


def test_options_reach_the_agent_through_a_search() -> None:
    agent = partial(Tpe, n_startup_trials=5, multivariate=False)
    result = nats_gym.search("tss", "cifar10", agent, epochs=12, budget=1_000, runs=2)
    assert result.runs == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_startup_trials": 0}, "an integer from 1 to .*, got 0"),
        ({"n_startup_trials": 2.5}, "an integer from 1 to .*, got 2.5"),
        ({"n_startup_trials": True}, "an integer from 1 to .*, got True"),
        ({"multivariate": "no"}, "True or False, got 'no'"),
    ],
)
def test_bad_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Tpe(get_space("tss"), streams(1), **options)


def test_it_is_silent_and_leaves_optunas_verbosity(capfd: pytest.CaptureFixture[str]) -> None:
    before = optuna.logging.get_verbosity()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        play(Tpe(get_space("tss"), streams(2)), 15)
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == before
