"""All trials of one data set key on one schedule, as an imported archive holds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import CorruptTable, said
from nats_gym.files.untrusted import FLOATS, map_array

KEYS = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
TRAIN = "train"
#: Names of the columns that every trial has; each set adds -accuracy, -loss and -seconds.
COSTS = ("latency", "params", "flops")


@dataclass(frozen=True)
class Runs:
    """All trials of one data set key on one schedule.

    Attributes:
        key: data set key, e.g. ``"cifar10-valid"``.
        hp: schedule as the files spell it, e.g. ``"01"`` or ``"200"``.
        epochs: its length.
        seeds: seed of each position on the trial axis, ascending.
        sets: evaluation sets in the files' order, without ``train``.
        curve_sets: those of ``("train", *sets)`` that have a figure for every epoch.
        arch_config: the files' ``arch_config``, with None for what names the architecture.
        folder: the archive's.
        columns: names of the columns, where they are not those of NATS-Bench's.
    """

    key: str
    hp: str
    epochs: int
    seeds: tuple[int, ...]
    sets: tuple[str, ...]
    curve_sets: tuple[str, ...]
    arch_config: dict[str, Any]
    folder: Path
    columns: tuple[str, ...] = ()
    #: How to get what is not there, to end a message with.
    lacking: ClassVar[str] = ""
    _opened: dict[str, NDArray[Any]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        if self.columns:
            return self.columns
        of_sets = (
            f"{name}-{figure}"
            for name in (TRAIN, *self.sets)
            for figure in ("accuracy", "loss", "seconds")
        )
        return (*of_sets, *COSTS)

    def column(self, name: str) -> NDArray[np.float64]:
        """A column of final figures, ``(arch, trial)`` float64; NaN where a trial is missing.

        ``<set>-accuracy`` in percent, ``<set>-loss``, ``<set>-seconds`` per epoch (constant over
        a run's epochs in the official files), ``latency`` in seconds, ``params`` and ``flops`` in
        millions. KeyError for another name.
        """
        if name not in self.names:
            raise KeyError(name)
        path = Path("columns", f"{self.key}@{self.hp}", f"{name}.npy")
        return self._open(path, (len(self.seeds),))

    def curve(self, name: str) -> NDArray[np.float32] | None:
        """Learning curve on a set, ``(arch, trial, epoch, 2)``: accuracy in percent, and loss.

        None if the archive has no figure per epoch there, or curves were left out. Zeros where a
        trial does not exist: ask a column for that.
        """
        if name not in self.curve_sets:
            return None
        path = Path("curves", f"{self.key}@{self.hp}", f"{name}.npy")
        return self._open(path, (len(self.seeds), self.epochs, 2))

    def trials(self, index: int) -> list[int]:
        """Positions of the trials that an architecture has."""
        return np.flatnonzero(~np.isnan(self.column(self.names[-1])[index])).tolist()

    def _open(self, path: Path, row: tuple[int, ...]) -> NDArray[Any]:
        name = str(path)
        if name not in self._opened:
            try:
                figures = map_array(self.folder / path, FLOATS)
                if figures.shape[1:] != row:
                    raise ValueError(f"{figures.shape} figures, rows are {row}")
                self._opened[name] = np.asarray(figures)
            except (OSError, ValueError) as error:
                raise CorruptTable(
                    f"{self.folder / path}: cannot be read ({said(error)})"
                ) from error
        return self._opened[name]
