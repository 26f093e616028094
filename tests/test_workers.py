"""The event-driven clock against a brute-force simulator that walks through time."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nats_gym.errors import InvalidInput
from nats_gym.simulation.workers import SimulatedWorkers


def walk_through_time(seconds: list[float], workers: int, budget: float) -> list[tuple[float, int]]:
    """(time, evaluation) of every arrival up to the one that reaches the budget.

    Each worker is a row of work; whoever is idle takes the next evaluation. Plain lists, no heap:
    at every moment look at all workers for the one that is done first, the earlier submitted one
    of equals.
    """
    busy: list[tuple[float, int] | None] = [None] * workers
    waiting = list(range(len(seconds)))
    now, arrivals = 0.0, []
    while waiting and now < budget:
        for slot in range(workers):
            if busy[slot] is None and waiting:
                number = waiting.pop(0)
                busy[slot] = (now + seconds[number], number)
        if any(one is None for one in busy):
            break  # nothing left to hand out
        first = min(one for one in busy if one is not None)
        busy[busy.index(first)] = None
        now = first[0]
        arrivals.append(first)
    return arrivals


@given(
    st.lists(st.sampled_from([1.0, 2.0, 3.5, 7.0, 0.25]), min_size=1, max_size=40),
    st.integers(1, 6),
)
def test_arrivals_are_those_of_the_plain_simulator(seconds: list[float], workers: int) -> None:
    simulated = SimulatedWorkers(1, workers)
    one = np.array([0])
    now, arrivals = 0.0, []
    for number, duration in enumerate(seconds):
        simulated.submit(one, np.array([now + duration]), number=np.array([number]))
        if simulated.busy(one)[0] == workers:
            finish, figures = simulated.collect(one)
            now = float(finish[0])
            arrivals.append((now, int(figures["number"][0])))
    assert arrivals == walk_through_time(seconds, workers, np.inf)


def play(env: Any, architectures: list[list[int]]) -> list[dict[str, Any]]:
    """Infos of the results, until the episode ends."""
    infos = []
    for choices in architectures:
        for digit in choices:
            _, reward, terminated, truncated, info = env.step(digit)
            if info:
                infos.append({**info, "reward": reward})
            else:
                assert reward == 0
            assert not truncated
            if terminated:
                return infos
    return infos


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5), st.integers(0, 10_000), st.sampled_from([800.0, 3000.0]))
def test_a_budgeted_episode_with_workers(workers: int, seed: int, budget: float) -> None:
    env = gym.make(
        "NATS-TSS-cifar10-Budgeted-v0", epochs=12, workers=workers, time_budget=budget
    ).unwrapped
    rng = np.random.default_rng(seed)
    architectures = rng.integers(5, size=(200, 6))
    env.reset(seed=seed)
    infos = play(env, architectures.tolist())

    # Another environment of one worker evaluates the same architectures in the same order, so
    # draws the same trials: its figures, put through the plain simulator, are what must arrive.
    alone = gym.make("NATS-TSS-cifar10-Budgeted-v0", epochs=12, time_budget=1e9).unwrapped
    alone.reset(seed=seed)
    found = play(alone, architectures.tolist())
    arrivals = walk_through_time([one["seconds"] for one in found], workers, budget)
    assert [info["clock"] for info in infos] == [time for time, _ in arrivals]
    assert [info["index"] for info in infos] == [found[n]["index"] for _, n in arrivals]
    assert [info["accuracy"] for info in infos] == [found[n]["accuracy"] for _, n in arrivals]
    assert infos[-1]["clock"] >= budget > max((info["clock"] for info in infos[:-1]), default=0)
    best = 0.0
    for info in infos:
        assert info["reward"] == pytest.approx(max(info["accuracy"] - best, 0) / 100)
        best = max(best, info["accuracy"])
        assert info["incumbent_accuracy"] == best


def test_more_workers_see_more_within_a_budget() -> None:
    counts = []
    for workers in (1, 4):
        env = gym.make("NATS-TSS-cifar10-Budgeted-v0", epochs=12, workers=workers).unwrapped
        env.reset(seed=0)
        rng = np.random.default_rng(0)
        counts.append(len(play(env, rng.integers(5, size=(900, 6)).tolist())))
    assert 3.5 < counts[1] / counts[0] < 4.5


@pytest.mark.parametrize("workers", [0, -1, 1.5, "two", True, None, 10**9])
def test_bad_numbers_of_workers_are_refused(workers: Any) -> None:
    with pytest.raises(InvalidInput, match="workers is an integer"):
        gym.make("NATS-TSS-cifar10-Budgeted-v0", workers=workers)
