"""The one protocol of everything that evaluates architectures, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nats_gym.schedule import Epochs

#: Provenance of figures whose evaluator does not say what they rest on.
UNSTATED = "unstated"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a batch of evaluations returned.

    Attributes:
        accuracy: validation accuracy in percent, ``(batch,)``.
        seconds: simulated or real seconds to charge, ``(batch,)``.
        provenance: what the accuracies rest on: ``"measured"``, ``"surrogate"`` or an
            evaluator's own word; :data:`UNSTATED` if it has none.
        seconds_provenance: likewise for the seconds.
        metrics: further figures by name, each ``(batch,)``.
    """

    accuracy: NDArray[np.float64]
    seconds: NDArray[np.float64]
    provenance: str = UNSTATED
    seconds_provenance: str = UNSTATED
    metrics: dict[str, NDArray[Any]] = field(default_factory=dict)


@runtime_checkable
class Evaluator(Protocol):
    """Evaluates architectures: from a table, by training them, on a cluster, or from a cache."""

    def evaluate(
        self, index: NDArray[np.int64], epochs: Epochs, trial_keys: NDArray[np.uint64]
    ) -> Outcome:
        """Evaluate a batch.

        Args:
            index: official indices, ``(batch,)``.
            epochs: training schedule, or ``"4/12"`` for the state after 4 epochs of one.
            trial_keys: what random trials derive from, ``(batch,)``: a hash of the
                environment's seed and the number of the evaluation.
        """
