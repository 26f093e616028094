"""Searches that are bounded by evaluations: every kind of agent, results, studies, replays."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nats_gym
from nats_gym.agents.ppo import PPOAgent
from nats_gym.errors import InvalidInput
from nats_gym.results.plots import plot_incumbent
from nats_gym.results.result import SearchResult
from nats_gym.results.summary import summary_grid
from nats_gym.study import Study, load_study, run_study, validate

SEARCH: dict[str, Any] = {"space": "tss", "dataset": "cifar10", "epochs": 12, "runs": 3, "seed": 4}
WIDTHS = ("index", "accuracy", "seconds", "clock", "rung", "evaluation", "continues")


@pytest.mark.parametrize(
    ("agent", "options"),
    [
        ("random", {}),
        ("rea", {}),
        ("nsga2", {}),
        ("bananas", {}),
        ("few-shot", {}),
        ("asha", {"workers": 3, "epochs": 200}),
        ("bohb", {"epochs": 200}),
    ],
)
def test_a_run_is_the_beginning_of_a_longer_one(agent: str, options: dict[str, Any]) -> None:
    ran = {**SEARCH, **options}
    bounded = nats_gym.search(**ran, agent=agent, evaluations=15)
    longer = nats_gym.search(**ran, agent=agent, evaluations=22)
    assert bounded.evaluations.tolist() == [15] * 3
    for name in WIDTHS:
        assert np.array_equal(getattr(bounded, name), getattr(longer, name)[:, :15])


def test_a_search_is_what_seconds_make_it_up_to_there() -> None:
    timed = nats_gym.search(**SEARCH, agent="rea", budget=4_000)
    least = int(timed.evaluations.min())
    bounded = nats_gym.search(**SEARCH, agent="rea", evaluations=least)
    for name in WIDTHS:
        assert np.array_equal(getattr(bounded, name), getattr(timed, name)[:, :least])
    both = nats_gym.search(**SEARCH, agent="rea", budget=4_000, evaluations=10_000)
    for name in WIDTHS:
        assert np.array_equal(getattr(both, name), getattr(timed, name), equal_nan=True)
    assert both.arguments.bound == "4,000 s or 10,000 evaluations"


def test_an_agent_of_stable_baselines_ends_and_anneals() -> None:
    left = []

    class Watched(PPOAgent):
        def learn(self, env, budget, seed, evaluations=None):
            assert (budget, evaluations) == (math.inf, 20)
            self.settings["learning_rate"] = lambda share: left.append(share) or 1e-3 * share
            return super().learn(env, budget, seed, evaluations)

    result = nats_gym.search("tss", "cifar10", Watched, evaluations=20)
    assert result.evaluations.tolist() == [20]
    assert max(left) <= 1
    assert min(left) < 0.3
    bounded = nats_gym.search("tss", "cifar10", "ppo", evaluations=12, budget=1e9)
    assert bounded.evaluations.tolist() == [12]


class Endless:
    """An environment agent that knows of seconds alone."""

    def learn(self, env, budget, seed):
        env.reset()
        clock = 0.0
        while clock < budget:
            _, _, terminated, _, info = env.step(3)
            if terminated:
                clock = info["clock"]
                env.reset()


def test_an_agent_that_knows_seconds_alone_needs_some() -> None:
    with pytest.raises(InvalidInput, match="takes no evaluations=, so that nothing ends it"):
        nats_gym.search("tss", "cifar10", Endless, evaluations=5)
    result = nats_gym.search(**SEARCH, agent=Endless, evaluations=5, budget=2_000)
    assert result.evaluations.tolist() == [5] * 3


@pytest.mark.parametrize("agent", ["gdas", "rsps"])
def test_what_evaluates_nothing_takes_no_evaluations(agent: str) -> None:
    with pytest.raises(InvalidInput, match="evaluations= is for agents that evaluate"):
        nats_gym.search("tss", "digits", agent, evaluations=5)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "many", True, 10**12])
def test_evaluations_are_a_number_that_memory_holds(wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="evaluations"):
        nats_gym.search("tss", "cifar10", "random", evaluations=wrong)


@pytest.mark.parametrize("agent", ["random", "asha"])
def test_a_result_is_kept_shown_and_replayed(agent: str, tmp_path: Path) -> None:
    ran = {**SEARCH, "epochs": 200}
    result = nats_gym.search(**ran, agent=agent, evaluations=9)
    result.save(tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())["arguments"]
    assert (record["budget"], record["evaluations"]) == (None, 9)
    loaded = SearchResult.load(tmp_path)
    assert dict(loaded.arguments) == dict(result.arguments)
    again = nats_gym.search(**loaded.arguments)
    assert np.array_equal(again.accuracy, result.accuracy, equal_nan=True)
    assert "within 9 evaluations" in str(summary_grid({agent: loaded}).title)
    plot_incumbent([loaded], tmp_path / "incumbent.png")
    (verdict,) = validate(tmp_path)
    assert verdict.holds, verdict.reasons

    record["evaluations"] = 8
    _claim(tmp_path, record)
    (verdict,) = validate(tmp_path)
    assert set(verdict.reasons.values()) == {"it goes on after its budget was spent"}
    record["evaluations"] = 10
    _claim(tmp_path, record)
    (verdict,) = validate(tmp_path)
    assert set(verdict.reasons.values()) == {"it stops before its budget is spent"}
    record["evaluations"] = "9"
    _claim(tmp_path, record)
    (verdict,) = validate(tmp_path)
    assert "evaluations" in verdict.reasons[-1]


def _claim(folder: Path, arguments: dict[str, Any]) -> None:
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "arguments": arguments}))


def test_what_is_not_bounded_is_recorded_as_ever(tmp_path: Path) -> None:
    result = nats_gym.search(**SEARCH, agent="random", budget=1_000)
    assert "evaluations" not in result.arguments
    assert len([*result.arguments]) == len(result.arguments) == 15
    with pytest.raises(InvalidInput, match="finite budget of seconds, or evaluations="):
        nats_gym.search(**SEARCH, agent="random", budget=math.inf)


def test_a_study_of_so_many_evaluations(tmp_path: Path) -> None:
    spec = {
        "runs": 4,
        "searches": [{"space": "tss", "dataset": "cifar10", "epochs": 12, "evaluations": 12}],
        "agents": {
            "random": {},
            "rea": {},
            "few": {"agent": "random", "evaluations": 5, "budget": 1e6},
        },
    }
    study = Study.of(spec)
    names = [cell.name for cell in study.cells]
    assert names[0] == "tss-cifar10-12-12evaluations-random"
    assert names[2] == "tss-cifar10-12-1000000s-5evaluations-few"
    run_study(study, tmp_path / "study", jobs=1)
    found = load_study(tmp_path / "study")
    assert [cell.result.evaluations.max() for cell in found.cells] == [12, 12, 5]
    assert [group.bound for group in found.groups()] == [
        "12 evaluations",
        "1,000,000 s or 5 evaluations",
    ]
    run_study(study, tmp_path / "study", jobs=1)  # all of it is there


def test_what_agents_know_beforehand_is_a_row_of_a_summary() -> None:
    found = {
        agent: nats_gym.search(**SEARCH, agent=agent, evaluations=2)
        for agent in ("random", "transfer")
    }

    def last_row(*agents: str) -> list[str]:
        grid = summary_grid({agent: found[agent] for agent in agents})
        return [[*column.cells][-1] for column in grid.columns]  # type: ignore[misc]

    row = last_row("random", "transfer")
    assert row == ["known beforehand", "—", "cifar100, ImageNet16-120", ""]
    assert "beforehand" not in last_row("random")[0]
