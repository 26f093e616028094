"""Regularized evolution of several objectives, which every tournament weighs anew.

Before a tournament each run draws weights, uniform on the simplex; the parent is the one of the
sample with the largest weighted sum, each objective as a share of its range among the living. So
one run looks for the whole front, as far as it is convex: a weighted sum prefers nothing in a dent.

Sources: Real et al., AAAI 2019 (arXiv 1802.01548), for all but the parent's choice; weights drawn
anew for every step, Ishibuchi & Murata, IEEE Transactions on Systems, Man, and Cybernetics C 28(3),
1998, and Knowles, IEEE Transactions on Evolutionary Computation 10(1), 2006.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams

from .regularized_evolution import POPULATION, SAMPLE, RegularizedEvolution


class ScalarisedEvolution(RegularizedEvolution):
    """Regularized evolution by weighted sums, over all runs at once.

    Args:
        space: what to search.
        streams: one random stream per run.
        objectives: names of what ``outcome.objectives`` holds; None for the space's default.
        population, sample: as of :class:`RegularizedEvolution`.

    Attributes:
        vectors: the objectives of those alive, ``(runs, P, m)``.
    """

    def __init__(
        self,
        space: ArchitectureSpace,
        streams: RunStreams,
        objectives: Sequence[str] | None = None,
        population: int = POPULATION,
        sample: int = SAMPLE,
    ) -> None:
        super().__init__(space, streams, population, sample)
        self.vectors: NDArray[np.float64] | None = None

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64] | None = None) -> None:
        """The child takes the place of the oldest; see :meth:`RegularizedEvolution.tell`."""
        place, vectors = self._evaluations % self._size, outcome.weighed()
        if self.vectors is None:
            self.vectors = np.zeros((len(vectors), self._size, vectors.shape[1]))
        self.vectors[:, place] = vectors
        super().tell(outcome, evaluation)

    def _fitness(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        assert self.vectors is not None  # a tournament is held among those answered
        runs, _, objectives = self.vectors.shape
        lowest = self.vectors.min(axis=1, keepdims=True)
        span = self.vectors.max(axis=1, keepdims=True) - lowest
        shares = (self.vectors - lowest) / np.where(span > 0, span, 1.0)
        # Where uniform cuts part the unit interval: uniform on the simplex.
        cuts = np.sort(self.streams.random((runs, objectives - 1)), axis=1)
        weights = np.diff(cuts, axis=1, prepend=0.0, append=1.0)
        fitness = (shares * weights[:, None]).sum(axis=-1)
        return np.take_along_axis(fitness, places, axis=1)
