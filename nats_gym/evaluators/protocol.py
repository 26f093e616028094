"""The one protocol of everything that evaluates architectures, and what it returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

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


class Answer(NamedTuple):
    """What one evaluation returned.

    Attributes:
        accuracy: validation accuracy in percent.
        seconds: simulated or real seconds to charge.
        metrics: further figures by name.
    """

    accuracy: float
    seconds: float
    metrics: dict[str, Any] = {}  # noqa: RUF012 - never changed


@runtime_checkable
class StreamingEvaluator(Evaluator, Protocol):
    """An evaluator whose answers to a batch arrive one by one, so that none is lost with another.

    Attributes:
        identity: says what an answer depends on beside architecture, schedule and trial: data
            set, recipe, network. Caches keep answers of different identities apart.
        provenance: of the accuracies and of the seconds.
    """

    @property
    def identity(self) -> str:
        """See above."""

    @property
    def provenance(self) -> tuple[str, str]:
        """See above."""

    def stream(
        self, index: NDArray[np.int64], epochs: Epochs, trials: NDArray[np.uint64]
    ) -> Iterator[tuple[int, Answer]]:
        """Evaluate a batch; yield position and answer as they come. Arguments ``(batch,)``."""

    def trials_of(
        self, index: NDArray[np.int64], trial_keys: NDArray[np.uint64]
    ) -> NDArray[np.uint64]:
        """Which trial of each architecture its key draws, ``(batch,)``."""


def collect(
    batch: int, answers: Iterable[tuple[int, Answer]], provenance: tuple[str, str]
) -> Outcome:
    """One outcome of a batch whose answers arrive one by one."""
    found: list[Answer | None] = [None] * batch
    for position, answer in answers:
        found[position] = answer
    complete = [answer for answer in found if answer is not None]
    assert len(complete) == batch
    names = dict.fromkeys(name for answer in complete for name in answer.metrics)
    return Outcome(
        np.array([answer.accuracy for answer in complete], np.float64),
        np.array([answer.seconds for answer in complete], np.float64),
        *provenance,
        metrics={
            name: np.array([answer.metrics.get(name) for answer in complete]) for name in names
        },
    )
