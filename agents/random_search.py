"""Random search: uniform, independent architectures, no de-duplication.

Source: NATS-Bench (Dong et al., arXiv 2009.00437), section 5. No hyper-parameters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams, uniform_integers


class RandomSearch:
    """Random search over all runs at once.

    Args:
        space: what to search.
        streams: one random stream per run.
        among: choices of the architectures to draw from, ``(m, n)``; None for all of the space.
    """

    def __init__(
        self, space: ArchitectureSpace, streams: RunStreams, among: NDArray[np.int64] | None = None
    ) -> None:
        self.space = space
        self.streams = streams
        self.among = among

    def ask(self) -> NDArray[np.int64]:
        """A uniform architecture per run: choices ``(runs, n)``."""
        if self.among is None:
            return self.space.sample(self.streams, (self.streams.runs,))
        return self.among[uniform_integers(self.streams, len(self.among), (self.streams.runs,))]

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64] | None = None) -> None:
        """Random search learns nothing."""
