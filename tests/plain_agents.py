"""What the plain references of agents, one run at a time, are written with."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from nats_gym.agents import AGENTS, get_agent, kind_of
from nats_gym.agents.regularized_evolution import POPULATION, SAMPLE
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams, run_keys, run_seeds, uniform_integers

#: Kinds of the agents by their names, and the names of those that ask and are told.
KINDS = {name: kind_of(get_agent(name), name=name) for name in AGENTS}
ASKING = [name for name, kind in KINDS.items() if kind in ("ask-tell", "multi-fidelity")]

#: A plain architecture.
Plain = tuple[int, ...]


def streams(runs: int, seed: int = 0) -> RunStreams:
    """Those of a study's runs."""
    return RunStreams(run_keys(run_seeds(seed, runs)))


class Draws:
    """The stream of one run, number by number."""

    def __init__(self, seed: int) -> None:
        self.streams = RunStreams(run_keys([seed]))

    def uniform(self) -> float:
        return float(self.streams.random((1,))[0])

    def below(self, count: int) -> int:
        return int(self.uniform() * count)

    def normal(self) -> float:
        return float(self.streams.normal((1,))[0])

    def shuffled(self, count: int) -> list[int]:
        draws = [self.uniform() for _ in range(count)]
        return sorted(range(count), key=lambda place: draws[place])

    def architecture(self, space: ArchitectureSpace) -> Plain:
        return tuple(self.below(space.num_choices) for _ in range(space.num_decisions))


def plain_rea(
    space: ArchitectureSpace,
    seed: int,
    duration: Callable[[int, int], float],
    accuracy: Callable[[int], float],
    workers: int,
    answers: int,
) -> Iterator[tuple[int, int, float]]:
    """Regularized evolution of one run as its paper has it, one event after the other.

    Yields number, architecture and time of each answer.
    """
    draws = RunStreams(run_keys([seed]))
    alive: deque[Any] = deque()  # (choices, accuracy), the oldest first
    running: list[Any] = []
    asked, clock, told = 0, 0.0, 0
    while told < answers:
        while len(running) < workers:
            if len(alive) < POPULATION:
                choices = space.sample(draws, (1,))
            else:
                ages = uniform_integers(draws, POPULATION, (1, SAMPLE))[0]
                sample = [alive[age] for age in ages]
                parent = max(sample, key=lambda one: one[1])
                choices = space.mutate(parent[0], draws)
            index = int(space.index(choices)[0])
            finish = clock + duration(index, asked)
            heapq.heappush(running, (finish, asked, index, choices))
            asked += 1
        clock, number, index, choices = heapq.heappop(running)
        alive.append((choices, accuracy(index)))
        if len(alive) > POPULATION:
            alive.popleft()
        told += 1
        yield number, index, clock
