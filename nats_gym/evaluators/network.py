"""What evaluators share that make the networks of a space themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.evaluators.protocol import StreamingEvaluator
from nats_gym.spaces import ArchitectureSpace, find_space, known_spaces, place_of
from nats_gym.streams import combine, uniform_below

#: Networks of an architecture to draw from: as many as a draw tells apart.
MOST_TRIALS = 2**32


class NetworkEvaluator(StreamingEvaluator):
    """Base of those: a copy is made again of the same arguments, a trial is a network's seed."""

    space: ArchitectureSpace

    def _keep(self, arguments: dict[str, Any]) -> None:
        """Keep what it is made with, as ``locals()`` of ``__init__`` has it."""
        unnamed = ("self", "__class__")
        self._arguments = {name: given for name, given in arguments.items() if name not in unnamed}
        trials = arguments["trials"]
        self._trials = None if trials is None else checks.integer(trials, "trials", 1, MOST_TRIALS)

    def __reduce__(self) -> tuple[Any, ...]:
        return _make, (type(self), self._arguments, place_of(self.space, ""))

    def trials_of(
        self, index: NDArray[np.int64], trial_keys: NDArray[np.uint64]
    ) -> NDArray[np.uint64]:
        """The trial that each key draws: a seed below ``trials``, or one of its own."""
        index = self.space.check_batch(index)
        trial_keys = checks.keys(trial_keys, "trial_keys", index.size)
        if self._trials is None:
            return np.asarray(trial_keys, np.uint64)
        return uniform_below(combine(trial_keys, index), self._trials).astype(np.uint64)


def _make(kind: type[NetworkEvaluator], arguments: dict[str, Any], place: str) -> NetworkEvaluator:
    if place and arguments["space"] not in known_spaces():
        find_space(place)  # in another process
    return kind(**arguments)
