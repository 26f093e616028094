"""What a training left behind: its learning curves, its seconds, how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nats_gym.checks import word
from nats_gym.errors import NatsGymError

#: How a training can end: as planned, with a loss that is not finite, out of time or memory.
COMPLETED, DIVERGED, TIMED_OUT = "completed", "diverged", "timed out"
OUT_OF_MEMORY = "out of memory"
#: What tells of the machine and the limit, not of the architecture.
OF_THE_MACHINE = (TIMED_OUT, OUT_OF_MEMORY)


class TrainingFailed(NatsGymError, RuntimeError):
    """A training diverged or ran out of time or memory, and its recipe says to raise.

    Attributes:
        records: of the trainings together with which it ran, its own too.
        failures: how each of these failed; empty for those that did not.
    """

    records: Sequence[TrainingRecord] = ()
    failures: Sequence[str] = ()


@dataclass
class Curve:
    """Figures by epoch.

    Attributes:
        epochs: which epochs the figures are of, counted from 1.
        loss: mean cross-entropy.
        accuracy: percent.
        seconds: real seconds that it took.
    """

    epochs: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, epoch: int, loss: float, accuracy: float, seconds: float) -> None:
        """Append an epoch."""
        self.epochs.append(epoch)
        self.loss.append(loss)
        self.accuracy.append(accuracy)
        self.seconds.append(seconds)


@dataclass
class TrainingRecord:
    """One training.

    Attributes:
        seed: what its order, flips and crops were drawn from.
        recipe: digest of the recipe.
        failed_accuracy: what it counts as, in percent, if it did not complete.
        status: :data:`COMPLETED`, :data:`DIVERGED`, :data:`TIMED_OUT` or :data:`OUT_OF_MEMORY`.
        train: figures of the training batches as they were trained on.
        evaluated: figures of each split that the network was to be evaluated on.
        lost_seconds: real seconds spent in the epoch or evaluation that did not end.

    Seconds of trainings together are each one's share: what passes is parted equally among those
    that still train.
    """

    seed: int
    recipe: str
    failed_accuracy: float
    status: str = COMPLETED
    train: Curve = field(default_factory=Curve)
    evaluated: dict[str, Curve] = field(default_factory=dict)
    lost_seconds: float = 0.0

    @property
    def epochs(self) -> int:
        """Epochs trained."""
        return len(self.train.epochs)

    @property
    def seconds(self) -> float:
        """Real seconds of training and evaluation together."""
        curves = (self.train, *self.evaluated.values())
        return sum(sum(curve.seconds) for curve in curves) + self.lost_seconds

    def accuracy(self, split: str) -> float:
        """Accuracy on a split after the last epoch, in percent; ``failed_accuracy`` if failed.

        Raises:
            InvalidInput: for a split that the network was not to be evaluated on.
        """
        split = word(split, "evaluated split", self.evaluated)
        if self.status != COMPLETED:
            return self.failed_accuracy
        return self.evaluated[split].accuracy[-1]

    def to_content(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            **vars(self),
            "train": vars(self.train),
            "evaluated": {split: vars(curve) for split, curve in self.evaluated.items()},
        }

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> TrainingRecord:
        """Inverse of :meth:`to_content`."""
        train = Curve(**content["train"])
        evaluated = {split: Curve(**curve) for split, curve in content["evaluated"].items()}
        return cls(**{**content, "train": train, "evaluated": evaluated})
