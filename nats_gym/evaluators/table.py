"""Answers from a table: one gather for a whole batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.checks import as_integer
from nats_gym.errors import CorruptTable, InvalidInput, NotInTable, did_you_mean, shown
from nats_gym.evaluators.protocol import Outcome
from nats_gym.simulation.schedule import Epochs, check_epochs
from nats_gym.streams import combine, combine_int, uniform_below
from nats_gym.tables import Table
from nats_gym.tables.scatter import Scatter

TRIALS = ("random", "mean")


def check_trial(trial: object) -> str | int:
    """Return ``trial`` in its plain form; ``InvalidInput`` unless it is one of those below."""
    if issubclass(type(trial), str) and str.__str__(trial) in TRIALS:
        return str.__str__(trial)
    number = as_integer(trial)
    if number is not None and 0 <= number < 2**63:
        return number
    raise InvalidInput(
        f"unknown trial {shown(trial)}; allowed: 'random', 'mean' or a seed's position from 0."
        + did_you_mean(trial, TRIALS)
    )


@dataclass(frozen=True)
class _Schedule:
    """The columns of one schedule, ready to gather from."""

    accuracy: NDArray[np.float64]  # (arch, trial): existing trials first
    trials: NDArray[np.uint64]  # (arch,): how many exist
    scatter: Scatter | None  # of a surrogate's; None where trials are measured
    seconds: NDArray[np.float64]  # (arch,)
    provenance: str
    missing: NDArray[np.bool_] | None  # (arch,): True where a partial table has nothing


class TableEvaluator:
    """Evaluates architectures by looking them up.

    A measured column has real trials; a surrogate's trial is drawn around its mean as the table
    says (:class:`nats_gym.tables.scatter.Scatter`): plus Gaussian noise in NATS-Bench's spaces;
    in NAS-Bench-101 noise is skewed, and some trainings fail.

    Args:
        table: where the figures come from.
        trial: ``"random"`` draws a trial per evaluation from its key; ``"mean"`` averages them
            (a surrogate's mean); a training seed that the table knows (777) or a position 0, 1, …
            takes that trial (on a surrogate the draw that belongs to architecture and position,
            always the same).

    Attributes:
        announce: whether an environment that it answers for warns when it estimates. A search
            switches that off: its result says what it rests on.

    Raises:
        InvalidInput: for another ``trial``; at an evaluation, for anything but official indices.
        NotInTable: at the first evaluation of a schedule (or at :meth:`prepare`), if the table
            lacks the schedule, or an architecture that it has lacks the trial asked for; at an
            evaluation, if a partial table lacks the architecture.
        CorruptTable: likewise at the first, if figures of the table cannot be.
    """

    def __init__(self, table: Table, trial: str | int = "random") -> None:
        self.table = checks.instance(table, Table, "table")
        self.trial = check_trial(trial)
        self.announce = True
        self._size = table.space.size
        self._schedules: dict[Epochs, _Schedule] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        # Its figures are the table's, gathered again on first use.
        return type(self), (self.table, self.trial), {"announce": self.announce}

    def prepare(self, epochs: Epochs | None) -> str:
        """Load the columns of a schedule; returns the provenance of its accuracies."""
        return self._schedule(epochs).provenance

    def evaluate(
        self, index: NDArray[np.int64], epochs: Epochs | None, trial_keys: NDArray[np.uint64]
    ) -> Outcome:
        """Look a batch up; see :class:`~nats_gym.evaluators.Evaluator`."""
        schedule = self._schedule(epochs)
        index = self.table.space.check_batch(index)
        trial_keys = checks.keys(trial_keys, "trial_keys", index.size)
        if schedule.missing is not None and schedule.missing[index].any():
            raise self._no_such(int(index[schedule.missing[index]][0]))
        return Outcome(
            accuracy=self._accuracy(schedule, index, trial_keys),
            seconds=schedule.seconds.take(index),
            provenance=schedule.provenance,
            seconds_provenance=self.table.seconds_provenance,
        )

    def evaluate_one(self, index: int, epochs: Epochs, trial_key: int) -> tuple[float, float]:
        """Accuracy and seconds of one architecture: :meth:`evaluate` without arrays.

        The scalar environment's fast path; the same bits as a batch of one.
        """
        schedule = self._schedules.get(epochs) or self._schedule(epochs)
        if type(index) is not int or not 0 <= index < self._size:
            index = self.table.space.check_one_index(index)
        if schedule.missing is not None and schedule.missing[index]:
            raise self._no_such(index)
        seconds = schedule.seconds.item(index)
        if self.trial != "random":
            return schedule.accuracy.item(index, 0), seconds
        draw = combine_int(trial_key, index)
        if schedule.scatter is not None:
            return schedule.scatter.draw_one(index, draw), seconds
        position = (draw >> 32) * schedule.trials.item(index) >> 32
        return schedule.accuracy.item(index, position), seconds

    def expected_accuracy(self, epochs: Epochs | None) -> NDArray[np.float64]:
        """What an evaluation of each architecture is expected to observe, percent, ``(arch,)``.

        The mean over its trials, or the one trial chosen; NaN where a partial table has nothing.
        """
        if self.trial == "random":
            return self.table.mean_accuracy("valid", epochs)
        return self._schedule(epochs).accuracy[:, 0].copy()

    def _accuracy(
        self, schedule: _Schedule, index: NDArray[np.int64], trial_keys: NDArray[np.uint64]
    ) -> NDArray[np.float64]:
        # take() gathers about twice as fast as indexing.
        width = schedule.accuracy.shape[1]
        if self.trial != "random":
            return schedule.accuracy.take(index * width)
        draws = combine(trial_keys, index)
        if schedule.scatter is not None:
            return schedule.scatter.draw(index, draws)
        position = uniform_below(draws, schedule.trials.take(index))
        return schedule.accuracy.take(index * width + position)

    def _schedule(self, epochs: Epochs | None) -> _Schedule:
        if epochs is None or type(epochs) not in (int, str) or epochs not in self._schedules:
            epochs = check_epochs(epochs, self.table.full_epochs)
            if epochs not in self._schedules:
                self._schedules[epochs] = self._load(epochs)
        return self._schedules[epochs]

    def _load(self, epochs: Epochs) -> _Schedule:
        table = self.table
        column, *_ = table.query_columns(epochs)
        accuracy = table.accuracy("valid", epochs).astype(np.float64)
        exists = ~np.isnan(accuracy)
        # Existing trials first, their order kept, so that a draw below their number finds one.
        order = np.argsort(~exists, axis=1, kind="stable")
        packed = np.take_along_axis(accuracy, order, axis=1)
        scatter = table.scatter("valid", epochs)
        provenance = column.provenance
        missing = np.asarray(~exists.any(axis=1))
        seconds = table.query_seconds(epochs)
        wrong = ~missing & ~((seconds > 0) & np.isfinite(seconds))
        if wrong.any():
            index = int(np.flatnonzero(wrong)[0])
            raise CorruptTable(
                f"{table.folder}: an evaluation of architecture {index} takes {seconds[index]} s"
            )
        if self.trial == "mean":
            packed = table.mean_accuracy("valid", epochs)[:, None]
        elif isinstance(self.trial, int):
            trial = self.trial
            if trial in column.trials:
                trial = column.trials.index(trial)
            packed = self._one_trial(accuracy, scatter, trial)
        return _Schedule(
            accuracy=np.ascontiguousarray(packed),
            trials=exists.sum(axis=1).astype(np.uint64),
            scatter=scatter,
            seconds=seconds,
            provenance=provenance,
            missing=missing if missing.any() else None,
        )

    def _no_such(self, index: int) -> NotInTable:
        return NotInTable(
            f"architecture {index} of {self.table.space.name} {self.table.dataset} is not in the "
            f"partial table {shown(self.table.source)}: agents that take `among`, such as random "
            "and few-shot, stay among what it has; nats-gym fit or build fill it"
        )

    def _one_trial(
        self, accuracy: NDArray[np.float64], scatter: Scatter | None, trial: int
    ) -> NDArray[np.float64]:
        arch = np.arange(len(accuracy), dtype=np.uint64)
        if scatter is not None:
            return scatter.draw(arch.astype(np.int64), combine(arch, trial))[:, None]
        held = ~np.isnan(accuracy).all(axis=1)
        exists = trial < accuracy.shape[1]
        missing = np.isnan(accuracy[held, trial]).sum() if exists else held.sum()
        if missing:
            raise NotInTable(
                f"trial {self.trial} does not exist for {missing:,} of {held.sum():,} "
                f"architectures of {shown(self.table)}; take 'random', 'mean' or an earlier one"
            )
        return accuracy[:, [trial]]
