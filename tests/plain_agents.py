"""What the plain references of agents, one run at a time, are written with."""

from __future__ import annotations

from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams, run_keys, run_seeds

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
