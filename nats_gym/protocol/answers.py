"""Who answers a search: a table, on a simulated clock, or an evaluator on a real one.

An agent is played against a crew, which is given what it asks for and hands back the answers, each
with the time at which it came.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nats_gym.evaluators import Evaluator, Outcome, TableEvaluator
from nats_gym.results.arguments import SearchArguments
from nats_gym.results.provenance import provenance_of
from nats_gym.simulation.schedule import Epochs
from nats_gym.simulation.workers import SimulatedWorkers
from nats_gym.spaces import ArchitectureSpace, Figure
from nats_gym.tables import SURROGATE, Table
from nats_gym.tables.table import named_figure

from .ladder import Ladder, find_rungs

#: The arrays of a result by name, and of a question.
Columns = dict[str, NDArray[Any]]


class Crew(Protocol):
    """Evaluates in one run, or in several that go in step, a number of architectures at a time.

    Attributes:
        provenance: of the accuracies and of the seconds.
    """

    provenance: tuple[str, str]

    def submit(self, asked: Columns, now: NDArray[np.float64]) -> None:
        """Begin an evaluation in every run.

        Args:
            asked: see :meth:`nats_gym.protocol.asking.Questions.accept`, arrays ``(runs,)``.
            now: the runs' time.
        """

    def collect(self) -> tuple[NDArray[np.float64], Columns]:
        """Wait for the next answer of every run: its time, ``(runs,)``, and its columns."""


class Answers(ABC):
    """Who answers a search.

    Attributes:
        space, dataset: what is searched.
        table: by which an answer is judged; None if there is none.
    """

    space: ArchitectureSpace
    dataset: str
    table: Table | None

    def prepare(self, ladder: Ladder) -> None:  # noqa: B027 - most have nothing to load
        """Load the schedules that are searched on."""

    def known(self, epochs: Epochs) -> NDArray[np.int64] | None:
        """Choices of the architectures that it can answer for; None for all of the space."""
        return None

    def figure(self, name: str) -> Figure:
        """What is known of every architecture, by name, but for accuracies."""
        if self.table is not None:
            return self.table.figure(name)
        return named_figure(self.space, self.dataset, name)

    @abstractmethod
    def rungs(self, epochs: Epochs, rungs: Ladder | None) -> Ladder:
        """The ladder that a multi-fidelity agent climbs; see :func:`find_rungs`."""

    @abstractmethod
    def together(self, seeds: Sequence[int]) -> list[list[int]]:
        """The runs of a search in the groups that are played at once."""

    @abstractmethod
    def crew(
        self, arguments: SearchArguments, seeds: Sequence[int]
    ) -> AbstractContextManager[Crew]:
        """Who evaluates in a group of runs."""

    @abstractmethod
    def evaluator_of(
        self, arguments: SearchArguments, seed: int
    ) -> AbstractContextManager[Evaluator]:
        """Who evaluates in the environment of a run."""

    @abstractmethod
    def provenance(self, arguments: SearchArguments) -> Mapping[str, str]:
        """What the figures of a result rest on."""


class FromTable(Answers):
    """A table answers, and judges.

    Args:
        evaluator: who looks up.
    """

    table: Table

    def __init__(self, evaluator: TableEvaluator) -> None:
        self.evaluator, self.table = evaluator, evaluator.table
        self.space, self.dataset = self.table.space, self.table.dataset

    def prepare(self, ladder: Ladder) -> None:
        """See :meth:`Answers.prepare`; ``NotInTable`` for a schedule that the table lacks."""
        for epochs in ladder:
            self.evaluator.prepare(epochs)

    def known(self, epochs: Epochs) -> NDArray[np.int64] | None:
        """See :meth:`Answers.known`."""
        return self.table.known_choices(epochs)

    def rungs(self, epochs: Epochs, rungs: Ladder | None) -> Ladder:
        """See :meth:`Answers.rungs`."""
        return find_rungs(self.evaluator, epochs, rungs)

    def together(self, seeds: Sequence[int]) -> list[list[int]]:
        """All at once: looking up takes no time."""
        return [list(seeds)]

    def crew(
        self, arguments: SearchArguments, seeds: Sequence[int]
    ) -> AbstractContextManager[Crew]:
        """Simulated workers."""
        return nullcontext(SimulatedCrew(self.evaluator, arguments, seeds))

    def evaluator_of(
        self, arguments: SearchArguments, seed: int
    ) -> AbstractContextManager[Evaluator]:
        """The table's; with several workers, one whose seconds are those that they take."""
        if arguments.workers == 1:
            return nullcontext(self.evaluator)
        crew = SimulatedCrew(self.evaluator, arguments, [seed])
        return nullcontext(OfRun(crew, self.evaluator))

    def provenance(self, arguments: SearchArguments) -> Mapping[str, str]:
        """That of the table's columns."""
        return provenance_of(self.table, arguments.ladder, arguments.shares_weights)


class SimulatedCrew:
    """Looks up what an evaluation will have found, and has simulated workers busy until then.

    Args:
        evaluator: who looks up.
        arguments: of the search: its ladder and its workers.
        seeds: of the runs.
    """

    def __init__(
        self, evaluator: TableEvaluator, arguments: SearchArguments, seeds: Sequence[int]
    ) -> None:
        table = evaluator.table
        self._evaluator = evaluator
        self._ladder = ladder = arguments.ladder
        provenances = {evaluator.prepare(epochs) for epochs in ladder}
        # Measured only if all rungs are.
        self.provenance = (
            SURROGATE if SURROGATE in provenances else provenances.pop(),
            table.seconds_provenance,
        )
        self._train_seconds = np.stack([table.train_seconds(epochs) for epochs in ladder])
        self._every = np.arange(len(seeds))
        self._workers = SimulatedWorkers(len(self._every), arguments.workers)

    def submit(self, asked: Columns, now: NDArray[np.float64]) -> None:
        """See :meth:`Crew.submit`."""
        index, rung, paid = asked["index"], asked["rung"], asked["paid"]
        accuracy, seconds = self._look_up(index, rung, asked["key"])
        if (goes_on := paid >= 0).any():
            saved = np.where(goes_on, self._train_seconds[paid, index], 0.0)
            saved[index < 0] = (
                0.0  # what is no architecture takes no time, however often it goes on
            )
            seconds = seconds - saved
        kept = {name: asked[name] for name in ("index", "rung", "evaluation", "continues")}
        self._workers.submit(self._every, now + seconds, accuracy=accuracy, seconds=seconds, **kept)

    def collect(self) -> tuple[NDArray[np.float64], Columns]:
        """See :meth:`Crew.collect`."""
        return self._workers.collect(self._every)

    def _look_up(
        self, index: NDArray[np.int64], rung: NDArray[np.int64], keys: NDArray[np.uint64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Accuracies and seconds ``(runs,)`` of a batch on several rungs; 0 of index -1."""
        accuracy, seconds = np.zeros(len(index)), np.zeros(len(index))
        for place, epochs in enumerate(self._ladder):
            here = np.flatnonzero((rung == place) & (index >= 0))
            if len(here):
                outcome = self._evaluator.evaluate(index[here], epochs, keys[here])
                accuracy[here], seconds[here] = outcome.accuracy, outcome.seconds
        return accuracy, seconds


class OfRun:
    """The evaluator of a run's environment: its crew, which works at a batch until all is done.

    An architecture's seconds are those since the answer before it.

    Args:
        crew: who evaluates.
        evaluator: whose attributes it has.

    Attributes:
        answered: place in the last batch, index, accuracy, seconds and clock of its answers, as
            they came.
    """

    def __init__(self, crew: Crew, evaluator: Evaluator) -> None:
        self._crew, self._count, self._time = crew, 0, 0.0
        self.answered: list[tuple[int, int, float, float, float]] = []
        for name in ("space", "dataset", "full_epochs"):
            if hasattr(evaluator, name):
                setattr(self, name, getattr(evaluator, name))

    def evaluate(
        self, index: NDArray[np.int64], epochs: Epochs, trial_keys: NDArray[np.uint64]
    ) -> Outcome:
        """Answer up to as many as there are workers; see :class:`Evaluator`."""
        new, now = np.array([-1]), np.array([self._time])
        accuracy, seconds = np.zeros(len(index)), np.zeros(len(index))
        for place in range(len(index)):
            asked = {
                "index": index[place : place + 1],
                "rung": np.array([0]),
                "evaluation": np.array([self._count + place]),
                "key": trial_keys[place : place + 1],
            }
            self._crew.submit({**asked, "continues": new, "paid": new}, now)
        self.answered = []
        for _ in index:
            (clock,), found = self._crew.collect()
            place = int(found["evaluation"][0]) - self._count
            accuracy[place] = found["accuracy"][0]
            seconds[place], self._time = clock - self._time, float(clock)
            figures = float(accuracy[place]), float(seconds[place]), self._time
            self.answered.append((place, int(index[place]), *figures))
        self._count += len(index)
        return Outcome(accuracy, seconds, *self._crew.provenance)
