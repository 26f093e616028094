"""An evaluator answers a search: real workers, a real clock, and a journal to go on from."""

from __future__ import annotations

import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, NatsGymError
from nats_gym.evaluators import Evaluator, Outcome
from nats_gym.evaluators.cluster import ClusterFailed
from nats_gym.evaluators.observed import Observed
from nats_gym.evaluators.protocol import checked
from nats_gym.files.writing import alone, make_folder
from nats_gym.processes.pool import WorkerDied
from nats_gym.results.arguments import SearchArguments
from nats_gym.results.provenance import OBSERVED, REAL
from nats_gym.simulation.schedule import Epochs
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.streams import run_seeds

from .answers import Answers, Columns, Crew, OfRun
from .journal import JOURNAL, KNOWN, Entry, Journal, UnreadableJournal
from .ladder import Ladder, states_of

#: Where the states of trainings that may go on lie in a search's folder.
TRAININGS = "trainings"
#: Status of an evaluation whose worker died as often as it was tried.
LOST = "lost"
#: After so many of these in a row it is not the architectures.
MOST_LOST = 10
#: How a training ends that did not fail.
_WELL = ("", "completed")


class Standing(NamedTuple):
    """How far a search on an evaluator is, told after every answer.

    Attributes:
        run: number of the run, from 0.
        evaluations: answers so far.
        accuracy: the best observed, percent.
        architecture: official index of it; -1 for none.
        clock: the run's real seconds.
        failures: evaluations that diverged, ran out of time or memory, or were lost.
        replayed: whether the answer was in the journal.
        observed: what the accuracy is: of a score brought to 0…100 its own figure.
    """

    run: int
    evaluations: int
    accuracy: float
    architecture: int
    clock: float
    failures: int
    replayed: bool
    observed: Observed = Observed()


Watch = Callable[[Standing], object]


class Live(Answers):
    """An evaluator answers; nothing but what was observed judges.

    Args:
        evaluator: who is asked, by as many threads as there are workers.
        space, dataset: what is searched.
        name: of the evaluator, for messages.
        watch: called after every answer.
    """

    table = None

    def __init__(
        self,
        evaluator: Evaluator,
        space: ArchitectureSpace,
        dataset: str,
        name: str,
        watch: Watch | None = None,
    ) -> None:
        self.evaluator, self.space, self.dataset, self.name = evaluator, space, dataset, name
        self.journal: Journal | None = None
        self.failures = 0
        observes = getattr(evaluator, "observes", "")
        self.observed = Observed(observes if type(observes) is str else "")
        self._bases: set[tuple[str, str]] = set()
        self._watch = watch

    @contextmanager
    def kept(
        self, folder: Path | None, arguments: SearchArguments, known: Mapping[str, str]
    ) -> Iterator[None]:
        """Keep a journal in ``folder`` in the block; None keeps none.

        ``known`` is what the agent knows beforehand, see :meth:`Kind.record`.

        Raises:
            InvalidInput: if another process searches there, or another search did.
        """
        if folder is None:
            yield
            return
        make_folder(folder)
        with alone(folder / ".lock", f"another process searches in {folder}"):
            told = {
                "arguments": dict(arguments),
                "evaluator": getattr(self.evaluator, "identity", None),
                "data": getattr(self.evaluator, "data_digest", None),
            }
            if digest := get_space(arguments["space"]).digest:
                told["space"] = digest
            if known:
                told[KNOWN] = dict(known)
            self.journal = Journal(folder / JOURNAL, told)
            try:
                yield
            finally:
                self.journal.close()
                self.journal = None
            shutil.rmtree(folder / TRAININGS, ignore_errors=True)

    def rungs(self, epochs: Epochs, rungs: Ladder | None) -> Ladder:
        """See :meth:`Answers.rungs`: any schedule can be trained."""
        ladder = states_of(epochs) if rungs is None else rungs
        if len(ladder) < 2:
            raise InvalidInput(
                f"a multi-fidelity agent needs two rungs at least, and {epochs} epochs have no "
                "third: give more epochs=, or rungs="
            )
        return ladder

    def together(self, seeds: Sequence[int]) -> list[list[int]]:
        """One after the other, each with all workers."""
        return [[seed] for seed in seeds]

    @contextmanager
    def crew(self, arguments: SearchArguments, seeds: Sequence[int]) -> Iterator[Crew]:
        """Threads that ask the evaluator, in one run."""
        crew = LiveCrew(self, arguments, *seeds)
        try:
            yield crew
        finally:
            if crew.busy:  # dropped: the run is over
                getattr(self.evaluator, "close", lambda: None)()

    @contextmanager
    def evaluator_of(self, arguments: SearchArguments, seed: int) -> Iterator[Evaluator]:
        """An evaluator whose seconds are those that pass."""
        with self.crew(arguments, [seed]) as crew:
            yield OfRun(crew, self.evaluator)

    def provenance(self, arguments: SearchArguments) -> Mapping[str, str]:
        """That of the answers; seconds are real."""
        accuracy = {basis for basis, _ in self._bases}
        seconds = {basis for _, basis in self._bases}
        told = {
            "evaluator": self.name,
            "search_accuracy": " / ".join(sorted(accuracy)),
            "seconds": " / ".join(sorted(seconds)),
            "clock": REAL,
            "failures": str(self.failures),
        }
        if (data := getattr(self.evaluator, "data_digest", None)) is not None:
            told["data"] = str(data)
        if self.observed.name:
            told[OBSERVED] = self.observed.name
        return told

    def note(self, entry: Entry) -> None:
        """Remember what an answer rests on, and whether it failed."""
        self._bases.add((entry.provenance, entry.seconds_provenance))
        self.failures += entry.status not in _WELL

    def tell(self, standing: Standing) -> None:
        """Say how far the search is."""
        if self._watch is not None:
            self._watch(standing)


class LiveCrew:
    """Has an evaluator work for one run, and takes the answers in the order in which they come.

    What the journal holds is answered from there, in its order and with its times; what was asked
    for beyond begins when the journal ends.

    Args:
        live: who answers.
        arguments: of the search: its ladder and its workers.
        seed: of the run.
    """

    def __init__(self, live: Live, arguments: SearchArguments, seed: int) -> None:
        self._live, self._ladder, self._workers = live, arguments.ladder, arguments.workers
        self._name = arguments.agent
        self._run = _number(arguments, seed)
        self._recorded = live.journal.entries(self._run) if live.journal else []
        self._answered = 0
        self._open: dict[int, dict[str, int]] = {}  # by number: what is asked for
        self._begun: set[int] = set()
        self._done: queue.SimpleQueue[tuple[int, Outcome | BaseException]] = queue.SimpleQueue()
        self._whole: dict[int, float] = {}  # seconds of the trainings that may go on
        self._before, self._since = 0.0, 0.0
        self._lost = self._failures = 0
        self._best, self._best_index = -1.0, -1
        self.provenance = ("", "")

    @property
    def busy(self) -> bool:
        """Whether evaluations are under way."""
        return bool(self._begun)

    def submit(self, asked: Columns, now: NDArray[np.float64]) -> None:
        """See :meth:`Crew.submit`."""
        number = int(asked["evaluation"][0])
        self._open[number] = {name: int(values[0]) for name, values in asked.items()}
        if self._answered == len(self._recorded):
            self._begin()

    def collect(self) -> tuple[NDArray[np.float64], Columns]:
        """See :meth:`Crew.collect`."""
        replayed = self._answered < len(self._recorded)
        entry = self._replayed() if replayed else self._waited()
        if not replayed and self._live.journal is not None:
            self._live.journal.append(self._run, entry)
        self._answered += 1
        del self._open[entry.evaluation]
        self._whole[entry.evaluation] = entry.whole
        self._before = entry.clock if replayed else self._before
        self.provenance = entry.provenance, entry.seconds_provenance
        self._live.note(entry)
        self._failures += entry.status not in _WELL
        if entry.index >= 0 and entry.accuracy > self._best:
            self._best, self._best_index = entry.accuracy, entry.index
        self._live.tell(
            Standing(
                self._run,
                self._answered,
                max(self._best, 0.0),
                self._best_index,
                entry.clock,
                self._failures,
                replayed,
                self._live.observed,
            )
        )
        names = ("index", "accuracy", "seconds", "rung", "evaluation", "continues")
        found = {name: np.array([getattr(entry, name)]) for name in names}
        return np.array([entry.clock]), found

    def _replayed(self) -> Entry:
        entry = self._recorded[self._answered]
        asked = self._open.get(entry.evaluation)
        names = ("index", "rung", "key", "continues")
        if asked is None or any(asked[name] != getattr(entry, name) for name in names):
            raise UnreadableJournal(
                f"the journal's answer {self._answered} of run {self._run} is to evaluation "
                f"{entry.evaluation}, architecture {entry.index}; {self._name} asks otherwise now: "
                "it is another version of it, or does not draw from its run's stream alone"
            )
        return entry

    def _waited(self) -> Entry:
        self._begin()
        if self._workers == 1:  # in this thread, where Ctrl-C can end it
            (number,) = self._begun
            outcome: Outcome | BaseException = self._evaluate(number)
        else:
            number, outcome = self._done.get()
        self._begun.discard(number)
        asked = self._open[number]
        if isinstance(outcome, (WorkerDied, ClusterFailed)):
            self._lost += 1
            if self._lost == MOST_LOST:
                raise NatsGymError(
                    f"{MOST_LOST} evaluations in a row were lost, the last so: {outcome}"
                ) from outcome
            chance = 100.0 / get_dataset(self._live.dataset).num_classes
            outcome = _plainly(chance, LOST)
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            self._lost = 0
        whole = float(outcome.seconds[0])
        # A cache may have them of two trainings, on machines of unequal speed.
        saved = self._whole[asked["continues"]] if asked["paid"] >= 0 else 0.0
        status = outcome.metrics.get("status")
        return Entry(
            **{name: asked[name] for name in ("evaluation", "index", "rung", "key", "continues")},
            accuracy=float(outcome.accuracy[0]),
            seconds=max(0.0, whole - saved),
            whole=whole,
            clock=self._before + time.perf_counter() - self._since,
            status="" if status is None else str(status[0]),
            provenance=str(outcome.provenance),
            seconds_provenance=str(outcome.seconds_provenance),
        )

    def _begin(self) -> None:
        """Begin what is asked for and was not begun."""
        if not self._since:
            self._since = time.perf_counter()
        for number in self._open:
            if number in self._begun:
                continue
            self._begun.add(number)
            if self._workers > 1:
                threading.Thread(target=self._answer, args=(number,), daemon=True).start()

    def _answer(self, number: int) -> None:
        self._done.put((number, self._evaluate(number)))

    def _evaluate(self, number: int) -> Outcome | BaseException:
        asked = self._open[number]
        if asked["index"] < 0:  # what is no architecture scores 0 and takes no time
            return _plainly(0.0, "")
        index = np.array([asked["index"]], np.int64)
        keys = np.array([asked["key"]], np.uint64)
        epochs = self._ladder[asked["rung"]]
        try:
            return checked(self._live.evaluator.evaluate(index, epochs, keys), 1)
        except BaseException as error:  # told where the search waits, SystemExit too
            return error


def _plainly(accuracy: float, status: str) -> Outcome:
    """What was not evaluated counts as."""
    metrics = {"status": np.array([status])}
    return Outcome(np.array([accuracy]), np.zeros(1), "measured", "measured", metrics)


def _number(arguments: SearchArguments, seed: int) -> int:
    """Which of the runs has a seed."""
    seeds = run_seeds(arguments.seed, arguments.runs, arguments.first_run)
    return arguments.first_run + seeds.index(seed)
