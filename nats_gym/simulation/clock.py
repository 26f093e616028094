"""Simulated wall-clock time, and how long a search lasts if nobody says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.checks import as_number, integer, number
from nats_gym.errors import InvalidInput, shown
from nats_gym.simulation.schedule import Epochs, trained_epochs
from nats_gym.spaces import ArchitectureSpace, get_space

Seconds = float | NDArray[np.float64]

#: Most runs beside each other, each with a clock of its own.
MAX_RUNS = 1_000_000
#: Evaluations in a row that take no time, as what is no architecture takes none, before a clock
#: that seconds alone would end is spent.
MOST_IDLE = 10_000


def default_budget(space: str | ArchitectureSpace, dataset: str, epochs: Epochs) -> float:
    """The budget of a data set's searches, scaled by ``epochs``: as many architectures fit.

    On NATS-Bench's data sets they are the paper's on 12-epoch trainings (arXiv 2009.00437, §5).

    Raises:
        InvalidInput: for an unknown data set, and for one on which nobody has chosen a budget for
            the space.
    """
    space = get_space(space)
    budget = space.budget_on(dataset)
    if budget is None:
        raise InvalidInput(
            f"searches of the space {shown(space.name)} on {dataset} have no budget of their own; "
            "give one, in seconds"
        )
    seconds, trained = budget
    return seconds * trained_epochs(epochs) / trained


def check_budget(budget: Any) -> float:
    """Return ``budget`` as a float; ``InvalidInput`` unless it is a positive number of seconds."""
    return number(budget, "a budget", above=0, unit="seconds", infinite=True)


def check_evaluations(evaluations: Any, what: str = "evaluations") -> int | None:
    """Return the most evaluations of a search as an int, None for as many as the budget buys.

    Raises:
        InvalidInput: unless it is an integer from 1, or None.
    """
    return None if evaluations is None else integer(evaluations, what, 1)


def count_idle(idle: Any, went_on: Any) -> Any:
    """How many evaluations in a row took no time, after one more: numbers or arrays alike."""
    return (idle + 1) * (1 - went_on)


class SimulatedClock:
    """Seconds used so far, against a budget; evaluations, against the most of them.

    The evaluation that overshoots counts: charge first, then ask whether the clock is spent.
    With ``runs`` the clock keeps one time per run and every figure is an array ``(runs,)``.

    Args:
        budget: seconds; ``inf`` for a clock that never ends.
        runs: independent runs to keep time for, up to :data:`MAX_RUNS`; None for one time, a
            plain float.
        evaluations: how often time may go on before the clock is spent whatever the time is;
            None for no such bound.
        idle: evaluations in a row that take no time before a clock with a budget, and no bound on
            evaluations, is spent; None for however many.

    Raises:
        InvalidInput: unless the budget is a positive number, the runs are so many, and the
            evaluations one at least.
    """

    def __init__(
        self,
        budget: float = math.inf,
        runs: int | None = None,
        evaluations: int | None = None,
        idle: int | None = MOST_IDLE,
    ) -> None:
        self.budget = check_budget(budget)
        self.evaluations = check_evaluations(evaluations)
        endless = self.evaluations is None and self.budget < math.inf
        self._most_idle = check_evaluations(idle, "idle") if endless else None
        self._runs = None if runs is None else integer(runs, "runs", 0, MAX_RUNS)
        self.used: Seconds = 0.0
        self.reset()

    def reset(self) -> None:
        """Set the time used to zero."""
        self._count = 0
        self.used = 0.0 if self._runs is None else np.zeros(self._runs)
        self._idle: Any = 0 if self._runs is None else np.zeros(self._runs, np.int64)

    def charge(self, seconds: Seconds) -> None:
        """Add ``seconds``: a float, or one per run.

        Raises:
            InvalidInput: unless they are finite and not negative.
        """
        if isinstance(seconds, np.ndarray):
            valid = bool(np.all((seconds >= 0) & (seconds < math.inf)))
        else:
            charged = seconds if type(seconds) is float else as_number(seconds)
            valid = charged is not None and 0 <= charged < math.inf
        if not valid:
            raise InvalidInput(
                f"an evaluation costs a number of seconds from 0, got {shown(seconds)}"
            )
        self._go_on(self.used + seconds)

    def advance(self, time: Seconds) -> None:
        """Go on to ``time``, seconds since the start: when an evaluation beside others is done.

        Raises:
            InvalidInput: unless it is finite and not before the time used.
        """
        if isinstance(time, np.ndarray):
            valid = bool(np.all((time >= self.used) & (time < math.inf)))
        else:
            reached = as_number(time)
            valid = reached is not None and bool(self.used <= reached < math.inf)
        if not valid:
            raise InvalidInput(f"a clock at {shown(self.used)} s goes on, got {shown(time)}")
        self._go_on(time)

    def _go_on(self, time: Seconds) -> None:
        if self._most_idle is not None:
            self._idle = count_idle(self._idle, time > self.used)
        self.used = time
        self._count += 1

    @property
    def spent(self) -> bool | NDArray[np.bool_]:
        """Whether the budget is used up, or all evaluations are."""
        if self.evaluations is not None and self._count >= self.evaluations:
            return True if self._runs is None else np.ones(self._runs, dtype=bool)
        spent = self.used >= self.budget
        return spent if self._most_idle is None else spent | (self._idle >= self._most_idle)

    @property
    def fraction_left(self) -> Seconds:
        """Share of the budget not yet used, or of the evaluations if that is less, in [0, 1]."""
        left: Seconds
        if isinstance(self.used, np.ndarray):
            left = 1.0 - np.minimum(self.used, self.budget) / self.budget
        else:
            left = 1.0 - min(self.used, self.budget) / self.budget
        if self.evaluations is None:
            return left
        fewer = max(1.0 - self._count / self.evaluations, 0.0)
        return np.minimum(left, fewer) if isinstance(left, np.ndarray) else min(left, fewer)
