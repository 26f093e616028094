"""REA, regularized evolution: a population that drops its oldest, not its worst.

Source: Real et al., AAAI 2019 (arXiv 1802.01548); settings and mutation as run in NATS-Bench (Dong
et al., arXiv 2009.00437). Evaluations beside each other are as in the original: whoever is free
mutates what is alive then, and a child enters when its answer comes, in place of the oldest to have
entered.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nats_gym.checks import integer
from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams, uniform_integers

from .guide import NO_GUIDE, Guide
from .pending import Pending

#: As run in NATS-Bench.
POPULATION, SAMPLE = 10, 3
#: Of either: a population is held for every run.
LARGEST = 10_000


class RegularizedEvolution:
    """Regularized evolution over all runs at once.

    Args:
        space: what to search.
        streams: one random stream per run.
        population: how many are alive, ``P``.
        sample: how many are drawn for the best of them to be the parent, with replacement.
        guide: what a score says to the population that it begins with, and to the children.

    Attributes:
        population: the architectures alive, ``(runs, P, n)``; answer ``t`` stands at place
            ``t % P``.
        accuracy: what they scored, percent, ``(runs, P)``.

    Raises:
        InvalidInput: for numbers that are none from 1.
    """

    def __init__(
        self,
        space: ArchitectureSpace,
        streams: RunStreams,
        population: int = POPULATION,
        sample: int = SAMPLE,
        guide: Guide = NO_GUIDE,
    ) -> None:
        self.space = space
        self.streams = streams
        self._size = integer(population, "population", 1, LARGEST)
        self._sample = integer(sample, "sample", 1, LARGEST)
        self.population = np.zeros((streams.runs, self._size, space.num_decisions), dtype=np.int64)
        self.accuracy = np.zeros((streams.runs, self._size))
        self._evaluations = 0  # answered
        self._pending = Pending(streams.runs)
        self._guide = guide
        self._first = guide.first(space, streams, self._size)

    def ask(self) -> NDArray[np.int64]:
        """A uniform architecture per run while the population fills, then a child: ``(runs, n)``.

        What a guide begins with comes before those that are uniform. The parent is the best of the
        sample, the first drawn of equals.
        """
        runs, asked = self.streams.runs, self._pending.asked
        if asked < self._first.shape[1]:
            return self._pending.add(self._first[:, asked])
        if self._evaluations < self._size:
            return self._pending.add(self.space.sample(self.streams, (runs,)))
        # Places are drawn by age, the oldest first; it stands where the child will.
        age = uniform_integers(self.streams, self._size, (runs, self._sample))
        places = (self._evaluations + age) % self._size
        best = self._fitness(places).argmax(axis=1)
        parents = self.population[np.arange(runs), places[np.arange(runs), best]]
        parents = np.repeat(parents[:, None], self._guide.proposals, axis=1)
        children = self.space.mutate(parents, self.streams)
        return self._pending.add(self._guide.best(self.space, children))

    def _fitness(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """What a tournament among ``places (runs, sample)`` is won by, of the same shape."""
        return np.take_along_axis(self.accuracy, places, axis=1)

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64] | None = None) -> None:
        """The child takes the place of the oldest.

        Args:
            outcome: arrays ``(runs,)``.
            evaluation: the number of each run's evaluation; None for the last.
        """
        place = self._evaluations % self._size
        (self.population[:, place],) = self._pending.take(evaluation)
        self.accuracy[:, place] = outcome.accuracy
        self._evaluations += 1
