"""The agents of Stable-Baselines3: protocol, seeds, settings, schedules, masks."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import nats_gym
from nats_gym.agents.a2c import A2CAgent
from nats_gym.agents.dqn import DQNAgent
from nats_gym.agents.maskable_ppo import MaskablePPOAgent
from nats_gym.agents.ppo import PPOAgent
from nats_gym.errors import InvalidInput
from nats_gym.results.result import SearchResult
from nats_gym.spaces import get_space
from nats_gym.streams import run_seeds

AGENTS = [A2CAgent, DQNAgent, MaskablePPOAgent, PPOAgent]
ID = "NATS-TSS-cifar10-v0"
BUDGET = 2_500.0  # a dozen architectures


pytestmark = pytest.mark.usefixtures("one_thread")


def learn(agent: Any, seed: int = 1, budget: float = BUDGET, **options: Any) -> list[dict]:
    with gym.make(ID, epochs=12, **options) as env:
        return agent.learn(env, budget, seed)


@cache
def searched(agent: Any) -> SearchResult:
    """Two runs."""
    return nats_gym.search("tss", "cifar10", agent, epochs=12, budget=BUDGET, runs=2, seed=4)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("agent", AGENTS)
def test_a_search_ends_with_the_first_evaluation_past_the_budget(agent: type) -> None:
    result = searched(agent)
    table = nats_gym.load_table("tss", "cifar10")
    for run, count in enumerate(result.evaluations):
        seconds = table.query_seconds(12)[result.index[run, :count]]
        assert result.seconds[run, :count] == pytest.approx(seconds)
        assert result.clock[run, :count] == pytest.approx(np.cumsum(seconds))
        assert result.clock[run, count - 1] >= BUDGET
        assert (result.clock[run, : count - 1] < BUDGET).all()


@pytest.mark.one_in(3)
@pytest.mark.parametrize("agent", AGENTS)
def test_a_run_is_the_same_alone_among_others_and_again(agent: type) -> None:
    several = searched(agent)
    again = nats_gym.search("tss", "cifar10", agent, epochs=12, budget=BUDGET, runs=1, seed=4)
    assert again.index[0].tolist() == several.index[0, : again.index.shape[1]].tolist()
    assert again.evaluations[0] == several.evaluations[0]
    count = several.evaluations[1]
    infos = learn(agent(), run_seeds(4, 2)[1])
    for name in ("index", "accuracy", "seconds", "clock"):
        found = [info[name] for info in infos]
        assert found == getattr(several, name)[1, :count].tolist(), name
    assert several.index[0].tolist() != several.index[1].tolist()


@pytest.mark.one_in(3)
@pytest.mark.parametrize("agent", AGENTS)
def test_test_accuracy_reaches_no_agent(agent: type) -> None:
    """What an agent does is the same whether or not the environment reports test accuracies."""

    def play(**options: Any) -> list[dict]:
        with gym.make("NATS-SSS-cifar10-v0", **options) as env:
            return agent().learn(env, 10_000.0, 1)

    silent, reporting = play(), play(report_test=True)
    assert [info["index"] for info in silent] == [info["index"] for info in reporting]
    assert all("evaluation" in info for info in reporting)
    assert not any("evaluation" in info for info in silent)


@pytest.mark.parametrize("agent", AGENTS)
def test_torchs_threads_are_as_before(agent: type) -> None:
    torch.set_num_threads(2)
    learn(agent(), budget=1.0)
    assert torch.get_num_threads() == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("agent", "gain"), [(A2CAgent, 2.0), (DQNAgent, 6.0), (MaskablePPOAgent, 6.0), (PPOAgent, 6.0)]
)
def test_the_shipped_settings_learn_within_the_papers_budget(agent: type, gain: float) -> None:
    arguments: dict[str, Any] = {"epochs": 12, "budget": 20_000.0}
    learnt = nats_gym.search("tss", "cifar10", agent, runs=8, **arguments)
    uniform = nats_gym.search("tss", "cifar10", "random", runs=200, **arguments)
    assert late(learnt) > late(uniform) + gain
    assert learnt.full_schedule_accuracy("valid").mean() > 90.8  # random search: 91.05


def late(result: SearchResult) -> float:
    """Mean accuracy of the last 30 evaluations of every run."""
    ends = zip(result.accuracy, result.evaluations, strict=True)
    return float(np.mean([accuracy[count - 30 : count] for accuracy, count in ends]))


# ── settings ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("agent", AGENTS)
def test_unknown_settings_are_refused(agent: type) -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'learning_rate'"):
        agent({"learning_rat": 0.1})
    with pytest.raises(InvalidInput, match=r"unknown setting of .* 'device'"):
        agent({"device": "cuda"})
    with pytest.raises(InvalidInput, match=r"a dictionary, got \[0.1\]"):
        agent([0.1])


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("agent", "settings"),
    [
        (A2CAgent, {"n_steps": 6, "learning_rate": 0.1}),
        (DQNAgent, {"learning_starts": 12, "learning_rate": 0.1}),
        (MaskablePPOAgent, {"n_steps": 12, "batch_size": 12}),
        (PPOAgent, {"n_steps": 12, "batch_size": 12}),
    ],
)
def test_settings_reach_the_algorithm(agent: type, settings: dict) -> None:
    own = nats_gym.search(
        "tss", "cifar10", partial(agent, settings), epochs=12, budget=BUDGET, runs=1, seed=4
    )
    assert own.index[0].tolist() != searched(agent).index[0, : own.index.shape[1]].tolist()
    with pytest.raises((TypeError, ValueError, AssertionError)):
        learn(agent({"learning_rate": "fast"}))


@pytest.mark.parametrize("agent", AGENTS)
def test_shipped_settings_are_copies_that_no_agent_changes(agent: type) -> None:
    before = dict(agent.budget_settings)
    learn(agent(), budget=500.0)
    assert agent.budget_settings == before


def test_schedules_follow_the_simulated_budget() -> None:
    """The rate of an evaluation's steps is that of the share left when the evaluation began."""
    seen = []

    def rate(left: float) -> float:
        seen.append(left)
        return 1e-3

    infos = learn(A2CAgent({"n_steps": 6, "learning_rate": rate}))
    left = [1 - info["clock"] / BUDGET for info in infos[:-1]]  # the last one ends the search
    distinct = list(dict.fromkeys(seen))  # an update asks more than once
    assert distinct == pytest.approx([1.0, *left])


def test_dqn_explores_until_its_share_of_the_budget_is_spent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from stable_baselines3 import DQN

    rates = []
    on_step = DQN._on_step

    def watched(model: DQN) -> None:
        on_step(model)
        rates.append(model.exploration_rate)

    monkeypatch.setattr(DQN, "_on_step", watched)
    settings = {
        **DQNAgent.budget_settings,
        "exploration_initial_eps": 1.0,
        "exploration_final_eps": 0.1,
        "exploration_fraction": 0.5,
    }
    infos = learn(DQNAgent(settings))
    spent = np.array([info["clock"] / BUDGET for info in infos[:-1]])
    expected = np.maximum(1 - 0.9 * spent / 0.5, 0.1)
    assert rates[5::6][: len(spent)] == pytest.approx(expected)
    assert rates[-1] == pytest.approx(0.1)


# ── masks ────────────────────────────────────────────────────────────────────────────────────


def test_maskable_ppo_never_breaks_a_limit_and_ppo_does() -> None:
    masked = learn(MaskablePPOAgent(), max_flops=60.0, max_params=0.4)
    free = learn(PPOAgent(), max_flops=60.0, max_params=0.4)
    space = get_space("tss")
    choices = space.choices(np.array([info["index"] for info in masked]))
    assert len(np.unique(choices, axis=0)) > 5
    assert space.flops(choices, "cifar10").max() <= 60
    assert space.params(choices, "cifar10").max() <= 0.4
    assert all(info["cost"] == 0 for info in masked)
    assert any(info["cost"] > 0 for info in free)


def test_without_limits_masks_change_nothing() -> None:
    """A full mask leaves PPO's policy as it is, so that the first architectures are the same."""
    settings = PPOAgent.budget_settings
    masked, plain = learn(MaskablePPOAgent(settings)), learn(PPOAgent(settings))
    assert [info["index"] for info in masked[:8]] == [info["index"] for info in plain[:8]]
