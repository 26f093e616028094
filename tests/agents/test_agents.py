"""The agents: REINFORCE against torch, runs that do not depend on their neighbours, PPO."""

from __future__ import annotations

import re
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from plain_agents import streams

import nats_gym
from nats_gym import agents
from nats_gym.agents import AGENTS, get_agent, weight_sharing
from nats_gym.agents.ppo import BudgetCallback, PPOAgent
from nats_gym.agents.random_search import RandomSearch
from nats_gym.agents.reinforce import Reinforce
from nats_gym.agents.weight_sharing import METHODS
from nats_gym.errors import InvalidInput
from nats_gym.evaluators import Outcome
from nats_gym.simulation.clock import SimulatedClock
from nats_gym.spaces import get_space
from nats_gym.streams import RunStreams, run_keys, run_seeds


def outcome(accuracy: list[float]) -> Outcome:
    return Outcome(np.array(accuracy), np.ones(len(accuracy)))


def test_names_are_lower_case_and_unknown_ones_are_refused() -> None:
    assert {"random", "reinforce", "ppo", "rea", "local-search"} <= set(AGENTS)
    assert all(name == name.lower() for name in AGENTS)
    with pytest.raises(InvalidInput, match="Did you mean 'reinforce'"):
        get_agent("reinforced")


def test_every_agent_is_described() -> None:
    page = (Path(__file__).parents[2] / "docs" / "algorithms.md").read_text()
    rows = {*re.findall(r"^\|.*`nats-gym search[^`|]*--agent ([\w-]+)", page, re.M)}
    assert {*AGENTS} == rows, "a row each in docs/algorithms.md"
    for names, module in (({*AGENTS} - {*METHODS}, agents), (METHODS, weight_sharing)):
        table = re.search(r"^(=+  =+\n.*?)\n\n", str(module.__doc__), re.M | re.S)
        missing = {*names} - {*re.findall(r"``([\w-]+)``", table[1])}
        assert not missing, f"a row each in the table of {module.__file__}: {missing}"


def test_random_search_is_uniform_over_the_space() -> None:
    agent = RandomSearch(get_space("sss"), streams(2000))
    index = np.concatenate([get_space("sss").index(agent.ask()) for _ in range(20)])
    octants = np.bincount(index // 4096, minlength=8) / len(index)
    assert np.abs(octants - 1 / 8).max() < 0.01
    assert len(np.unique(index)) > 20_000  # no run repeats another


@pytest.mark.parametrize("name", ["tss", "sss"])
def test_reinforce_equals_torch_autograd_and_adam(name: str) -> None:
    space = get_space(name)
    agent = Reinforce(space, streams(3))
    logits = [torch.tensor(run, requires_grad=True) for run in agent.logits.copy()]
    optimizers = [torch.optim.Adam([run], lr=0.01) for run in logits]
    numerator, denominator = np.zeros(3), 0.0  # of the bias-corrected moving average
    rewards = [[61.2, 10.0, 84.4], [70.0, 55.5, 84.0], [12.5, 90.1, 83.9], [88.8, 90.0, 10.0]]
    for step, reward in enumerate(rewards):
        choices = agent.ask()
        agent.tell(outcome(reward))
        denominator = 0.9 * denominator + 0.1
        for run in range(3):
            numerator[run] = 0.9 * numerator[run] + 0.1 * reward[run]
            baseline = numerator[run] / denominator
            policy = torch.distributions.Categorical(logits=logits[run])
            log_probability = policy.log_prob(torch.tensor(choices[run])).sum()
            optimizers[run].zero_grad()
            (-log_probability * (reward[run] - baseline)).backward()
            optimizers[run].step()
            found = agent.logits[run]
            assert found == pytest.approx(logits[run].detach().numpy(), abs=1e-7), (step, run)
            assert agent.baseline[run] == pytest.approx(baseline)


def test_reinforce_samples_from_its_policy() -> None:
    agent = Reinforce(get_space("tss"), streams(40_000))
    agent.logits[:] = np.linspace(-1, 1, 30).reshape(6, 5)
    expected = np.exp(agent.logits[0]) / np.exp(agent.logits[0]).sum(axis=-1, keepdims=True)
    choices = agent.ask()
    for decision in range(6):
        found = np.bincount(choices[:, decision], minlength=5) / 40_000
        assert np.abs(found - expected[decision]).max() < 0.01


def test_reinforces_initial_logits_are_small_and_normal() -> None:
    logits = Reinforce(get_space("tss"), streams(2000)).logits
    assert logits.std() == pytest.approx(1e-3, rel=0.02)
    assert abs(logits.mean()) < 2e-5


@pytest.mark.parametrize("agent", ["random", "reinforce"])
def test_run_17_alone_equals_run_17_of_500(agent: str) -> None:
    together = nats_gym.search("tss", "cifar10", agent, epochs=12, runs=500, budget=8000)
    seed = run_seeds(0, 500)[17]
    chosen = get_agent(agent)
    table = nats_gym.load_table("tss", "cifar10")
    alone = _play(chosen, table, run_keys([seed]), together.evaluations[17])
    assert np.array_equal(alone, together.index[17, : together.evaluations[17]])
    fewer = nats_gym.search("tss", "cifar10", agent, epochs=12, runs=18, budget=8000)
    count = fewer.evaluations[17]
    for name in ("index", "accuracy", "seconds", "clock"):
        found, expected = getattr(fewer, name)[17, :count], getattr(together, name)[17, :count]
        assert np.array_equal(found, expected)


def _play(agent, table, keys, count):
    """The protocol as a plain loop over one run's evaluations."""
    from nats_gym.evaluators import TableEvaluator
    from nats_gym.streams import combine

    evaluator = TableEvaluator(table)
    player = agent(table.space, RunStreams(keys))
    asked = []
    for number in range(count):
        index = table.space.index(player.ask())
        player.tell(evaluator.evaluate(index, 12, combine(keys, number)))
        asked.append(index[0])
    return asked


@pytest.mark.slow
def test_reinforce_learns() -> None:
    # Thirty times the paper's budget: the policy has time to move.
    result = nats_gym.search("tss", "cifar10", "reinforce", epochs=12, runs=40, budget=600_000)
    count = result.evaluations.min()
    early, late = result.accuracy[:, :50].mean(), result.accuracy[:, count - 50 : count].mean()
    assert late > early + 10


# ── PPO ──────────────────────────────────────────────────────────────────────────────────────


def test_ppo_stops_when_the_clock_is_spent_and_repeats_itself() -> None:
    def run() -> list[dict]:
        env = gym.make("NATS-TSS-cifar10-v0", epochs=12)
        return PPOAgent().learn(env, budget=6000.0, seed=run_seeds(0, 1)[0])

    first, second = run(), run()
    assert [info["index"] for info in first] == [info["index"] for info in second]
    used = np.cumsum([info["seconds"] for info in first])
    assert used[-1] >= 6000
    assert used[-2] < 6000
    assert first[-1]["clock"] == pytest.approx(used[-1])


def test_the_callback_counts_evaluations_up_to_the_overshooting_one() -> None:
    callback = BudgetCallback(SimulatedClock(100.0))
    callback.locals = {"infos": [{"seconds": 60.0}, {}, {"seconds": 60.0}, {"seconds": 60.0}]}
    assert callback._on_step() is False
    assert len(callback.infos) == 2
    assert callback.clock.used == 120.0


@pytest.mark.slow
def test_ppo_improves_with_learning() -> None:
    result = nats_gym.search("tss", "cifar10", "ppo", epochs=12, runs=2)
    count = result.evaluations.min()
    early, late = result.accuracy[:, :40].mean(), result.accuracy[:, count - 40 : count].mean()
    assert late > early + 3
