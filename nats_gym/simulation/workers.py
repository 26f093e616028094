"""Simulated workers: evaluations that run beside each other, each until its seconds are over.

Time moves only when it must: while a worker is free the next evaluation starts at once, and when
none is, the clock goes on to the first that finishes. Of two that finish at the same time, the one
submitted first comes first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.checks import integer

Which = NDArray[np.int64]
MAX_WORKERS = 10_000
#: Workers of all runs together, about 100 bytes each.
MAX_SLOTS = 20_000_000


def check_workers(workers: object) -> int:
    """Return ``workers`` as an int; ``InvalidInput`` unless it is one from 1 to 10,000."""
    return integer(workers, "workers", 1, MAX_WORKERS)


class SimulatedWorkers:
    """The workers of many runs, each with evaluations in flight.

    Args:
        runs: independent runs.
        workers: in each of them.

    Raises:
        InvalidInput: for more workers in all than memory holds.
    """

    def __init__(self, runs: int, workers: int) -> None:
        self.workers = check_workers(workers)
        integer(runs * self.workers, "runs × workers", 0, MAX_SLOTS)
        self._finish = np.full((runs, self.workers), np.inf)  # inf: free
        self._number = np.zeros((runs, self.workers), np.int64)
        self._submitted = np.zeros(runs, np.int64)
        self._figures: dict[str, NDArray[Any]] = {}

    def clear(self, which: NDArray[Any]) -> None:
        """Drop what is in flight in runs ``which``."""
        self._finish[which] = np.inf

    def submit(self, which: Which, finish: NDArray[np.float64], **figures: NDArray[Any]) -> None:
        """Give a free worker of each run ``which`` an evaluation.

        Args:
            which: runs, ``(batch,)``, each with a free worker.
            finish: simulated time at which it is done, ``(batch,)``.
            figures: what it will have found, by name, each ``(batch,)``.
        """
        slot = np.isinf(self._finish[which]).argmax(axis=1)
        self._finish[which, slot] = finish
        self._number[which, slot] = self._submitted[which]
        self._submitted[which] += 1
        for name, values in figures.items():
            if name not in self._figures:
                self._figures[name] = np.zeros(self._finish.shape, values.dtype)
            self._figures[name][which, slot] = values

    def busy(self, which: Which) -> NDArray[np.int64]:
        """Evaluations in flight in runs ``which``, ``(batch,)``."""
        return np.asarray(np.isfinite(self._finish[which]).sum(axis=1))

    def collect(self, which: Which) -> tuple[NDArray[np.float64], dict[str, NDArray[Any]]]:
        """Take the first result to arrive in each run ``which``: its time, and its figures."""
        finish = self._finish[which]
        first = finish.min(axis=1)
        late = finish > first[:, None]
        slot = np.where(late, np.iinfo(np.int64).max, self._number[which]).argmin(axis=1)
        self._finish[which, slot] = np.inf
        return first, {name: values[which, slot] for name, values in self._figures.items()}
