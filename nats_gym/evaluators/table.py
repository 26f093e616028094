"""Answers from a table: one gather for a whole batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import InvalidInput, NotInTable, did_you_mean
from nats_gym.evaluators.protocol import Outcome
from nats_gym.streams import combine, combine_int, normal, normal_quantiles, uniform_below
from nats_gym.tables import SURROGATE, Table

TRIALS = ("random", "mean")


@dataclass(frozen=True)
class _Schedule:
    """The columns of one schedule, ready to gather from."""

    accuracy: NDArray[np.float64]  # (arch, trial): existing trials first
    trials: NDArray[np.int64]  # (arch,): how many exist
    noise_std: NDArray[np.float64]  # (arch,): zeros where trials are measured
    seconds: NDArray[np.float64]  # (arch,)
    provenance: str


class TableEvaluator:
    """Evaluates architectures by looking them up.

    A measured column has real trials; a surrogate's trial is its mean plus Gaussian noise, whose
    deviation comes with the table, clipped to [0, 100].

    Args:
        table: where the figures come from.
        trial: ``"random"`` draws a trial per evaluation from its key; ``"mean"`` averages them
            (a surrogate's mean); a position 0, 1, … takes that trial (on a surrogate the draw
            that belongs to architecture and position, always the same).

    Raises:
        InvalidInput: for another ``trial``.
        NotInTable: at the first evaluation of a schedule (or at :meth:`prepare`), if the table
            lacks the schedule, or any architecture lacks the trial asked for.
    """

    def __init__(self, table: Table, trial: str | int = "random") -> None:
        self.table = table
        if isinstance(trial, (int, np.integer)) and not isinstance(trial, bool) and trial >= 0:
            trial = int(trial)
        elif not isinstance(trial, str) or trial not in TRIALS:
            raise InvalidInput(
                f"unknown trial {trial!r}; allowed: 'random', 'mean' or a seed's position from 0."
                + did_you_mean(trial, TRIALS)
            )
        self.trial = trial
        self._schedules: dict[int, _Schedule] = {}

    def prepare(self, epochs: int) -> str:
        """Load the columns of a schedule; returns the provenance of its accuracies."""
        return self._schedule(epochs).provenance

    def evaluate(
        self, index: NDArray[np.int64], epochs: int, trial_keys: NDArray[np.uint64]
    ) -> Outcome:
        """Look a batch up; see :class:`~nats_gym.evaluators.Evaluator`."""
        schedule = self._schedule(epochs)
        index = np.asarray(index)
        return Outcome(
            accuracy=self._accuracy(schedule, index, trial_keys),
            seconds=schedule.seconds[index],
            provenance=schedule.provenance,
            seconds_provenance=self.table.seconds_provenance,
        )

    def evaluate_one(self, index: int, epochs: int, trial_key: int) -> tuple[float, float]:
        """Accuracy and seconds of one architecture: :meth:`evaluate` without arrays.

        The scalar environment's fast path; the same bits as a batch of one.
        """
        schedule = self._schedules.get(epochs) or self._schedule(epochs)
        seconds = schedule.seconds.item(index)
        if self.trial != "random":
            return schedule.accuracy.item(index, 0), seconds
        draw = combine_int(trial_key, index)
        if schedule.provenance == SURROGATE:
            noise = normal_quantiles().item(draw >> 52)
            noisy = schedule.accuracy.item(index, 0) + schedule.noise_std.item(index) * noise
            return min(max(noisy, 0.0), 100.0), seconds
        position = (draw >> 32) * schedule.trials.item(index) >> 32
        return schedule.accuracy.item(index, position), seconds

    def _accuracy(
        self, schedule: _Schedule, index: NDArray[np.int64], trial_keys: NDArray[np.uint64]
    ) -> NDArray[np.float64]:
        if self.trial != "random":
            return schedule.accuracy[index, 0]
        draws = combine(trial_keys, index)
        if schedule.provenance == SURROGATE:
            noisy = schedule.accuracy[index, 0] + schedule.noise_std[index] * normal(draws)
            return np.clip(noisy, 0.0, 100.0)
        return schedule.accuracy[index, uniform_below(draws, schedule.trials[index])]

    def _schedule(self, epochs: int) -> _Schedule:
        if epochs not in self._schedules:
            self._schedules[epochs] = self._load(epochs)
        return self._schedules[epochs]

    def _load(self, epochs: int) -> _Schedule:
        table = self.table
        accuracy = table.accuracy("valid", epochs).astype(np.float64)
        exists = ~np.isnan(accuracy)
        # Existing trials first, their order kept, so that a draw below their number finds one.
        order = np.argsort(~exists, axis=1, kind="stable")
        packed = np.take_along_axis(accuracy, order, axis=1)
        noise_std = table.noise_std("valid", epochs)
        provenance = table.provenance("accuracy", "valid", epochs)
        if self.trial == "mean":
            packed = table.mean_accuracy("valid", epochs)[:, None]
        elif isinstance(self.trial, int):
            packed = self._one_trial(accuracy, noise_std, provenance, self.trial)
        return _Schedule(
            accuracy=np.ascontiguousarray(packed),
            trials=exists.sum(axis=1),
            noise_std=noise_std,
            seconds=table.query_seconds(epochs),
            provenance=provenance,
        )

    def _one_trial(
        self,
        accuracy: NDArray[np.float64],
        noise_std: NDArray[np.float64],
        provenance: str,
        trial: int,
    ) -> NDArray[np.float64]:
        arch = np.arange(len(accuracy), dtype=np.uint64)
        if provenance == SURROGATE:
            noisy = accuracy[:, 0] + noise_std * normal(combine(arch, trial))
            return np.clip(noisy, 0.0, 100.0)[:, None]
        held = accuracy.shape[1]
        missing = np.isnan(accuracy[:, trial]).sum() if trial < held else len(accuracy)
        if missing:
            raise NotInTable(
                f"trial {trial} does not exist for {missing:,} of {len(accuracy):,} architectures "
                f"of {self.table!r}; take 'random', 'mean' or an earlier position"
            )
        return accuracy[:, [trial]]
