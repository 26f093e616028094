"""The shapes of an agent."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from nats_gym.evaluators import Outcome


class AskTellAgent(Protocol):
    """A search algorithm, batched over independent runs.

    It is made with the architecture space and the runs' random streams, and must draw from these
    alone, so that run 17 alone equals run 17 of 500. Runs whose budget is spent are still asked
    and told while others go on; what they do then is not recorded.
    """

    def ask(self) -> NDArray[np.int64]:
        """The next architecture of every run: choices ``(runs, n)``."""

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64]) -> None:
        """What evaluation number ``evaluation (runs,)`` scored; outcome arrays are ``(runs,)``.

        Evaluations are counted from 0 in each run. With one worker it is the last that was asked
        for, with more the first to be done; an agent that knows only ``tell(outcome)`` is told
        what it asked for last, and searches with one worker alone.
        """

    # An agent may have besides
    #
    #     def recommend(self) -> NDArray[np.int64]: ...
    #
    # which says after an answer what each run would answer now: the number of an evaluation that
    # was answered, (runs,). The answer of an agent without it is its best observed.


class EnvironmentAgent(Protocol):
    """An RL agent that learns in a Gymnasium environment, one run at a time."""

    def learn(self, env: gym.Env[Any, Any], budget: float, seed: int) -> object:
        """Learn until the simulated clock, ``info["clock"]``, has spent ``budget`` seconds.

        The search keeps account of the evaluations itself; what is returned is not used, and what
        is evaluated after the budget is spent does not count.

        Args:
            env: a ``NATS-…-v0`` environment, not yet reset; its first reset takes the run's seed,
                later ones none.
            budget: simulated seconds.
            seed: of this run: of the environment's trials and the agent's own draws.

        An agent whose ``learn`` takes ``evaluations=`` besides (an int; None for no bound) stops
        after so many, if its budget, which may then be infinite, lasts so long. One that does not
        can be searched with by seconds alone, or by evaluations beside a budget of seconds.

        An agent whose class says ``learns_in_copies = True`` is given, for several workers, a
        native vector environment of as many copies in place of ``env``: ``info["seconds"]`` of
        all copies, in order, add up to the clock.
        """


class Question(NamedTuple):
    """What a multi-fidelity agent asks for in every run.

    Attributes:
        choices: the architectures, ``(runs, n)``.
        rung: the rung of the ladder to train each to, ``(runs,)``, 0 the cheapest.
        continues: number of the evaluation (counted from 0 in each run) whose training goes on,
            ``(runs,)``; -1 where one begins. It must be answered, of the same architecture, and
            of a lower rung.
    """

    choices: NDArray[np.int64]
    rung: NDArray[np.int64]
    continues: NDArray[np.int64]

    @property
    def digits(self) -> NDArray[np.int64]:
        """What ``choices`` was called; this goes after a release."""
        warnings.warn("digits of a Question is choices now", DeprecationWarning, stacklevel=2)
        return self.choices


class MultiFidelityAgent(Protocol):
    """A search algorithm that chooses how long each architecture is trained, batched over runs.

    It is made with the architecture space, the runs' random streams, and the number of rungs of
    the ladder of schedules. Asks and answers come in the same pattern in all runs: workers are
    filled, then an answer and an ask in turn. Which evaluation is answered differs between runs.

    Attributes:
        continuing: what going on with a training costs unless the search says otherwise: the
            ``"difference"``, or all of it from ``"scratch"``, as a new random trial.
    """

    continuing: str

    def ask(self) -> Question | None:
        """The next evaluation of every run; None to wait in all runs for the next answer."""

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64]) -> None:
        """What evaluation number ``evaluation (runs,)`` scored; outcome arrays are ``(runs,)``.

        With one worker it is the last that was asked for, with more the first to be done.
        """
