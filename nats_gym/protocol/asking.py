"""Agents that ask and are told: of a table all independent runs at once."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.agents import chooses_among, continuing_of
from nats_gym.errors import InvalidInput, shown
from nats_gym.evaluators import Outcome
from nats_gym.results.arguments import SearchArguments
from nats_gym.results.files import RECOMMENDED, RECORDED
from nats_gym.simulation.clock import SimulatedClock
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import Keys, RunStreams, combine, run_keys
from nats_gym.tables.objectives import Objectives, check_complete

from .answers import Answers, Columns, Crew
from .kind import Kind, Progress, Runs, stacked

if TYPE_CHECKING:
    from nats_gym.agents.interface import AskTellAgent, MultiFidelityAgent, Question

#: What going on with a training may cost.
CONTINUING = ("difference", "scratch")


class AskTell(Kind):
    """An agent that says which architecture to evaluate, on one schedule."""

    own = (*Kind.own, "workers")
    methods = ("ask", "tell")
    #: What ``tell`` may take: so many arguments.
    told: ClassVar[tuple[int, ...]] = (2, 1)

    def make(self, *given: Any, **told: Any) -> Any:
        """See :meth:`Kind.make`; ``InvalidInput``, too, for methods that take something else."""
        agent = super().make(*given, **told)
        if not takes(agent.ask, 0):
            raise InvalidInput(f"ask(self) of {self.name} is called without arguments")
        if not any(takes(agent.tell, count) for count in self.told):
            alone = ", or tell(self, outcome)" if 1 in self.told else ""
            raise InvalidInput(
                f"{self.name} is told by tell(self, outcome, evaluation){alone}; its own takes "
                "other arguments"
            )
        return agent

    def try_out(self, space: ArchitectureSpace) -> object:
        """One of a single run."""
        return self.player(space, RunStreams(run_keys([0])), 2)

    def player(
        self, space: ArchitectureSpace, streams: RunStreams, rungs: int, **told: Any
    ) -> MultiFidelityAgent:
        """What asks for trainings to one of several rungs."""
        return OneRung(self.make(space, streams, **told), streams.runs)

    def check_workers(self, agent: object, workers: int) -> None:
        """Refuse several workers for an agent whose ``tell`` knows no order but its own.

        Raises:
            InvalidInput: says what it takes.
        """
        if workers > 1 and isinstance(agent, OneRung) and not agent.any_order:
            raise InvalidInput(
                f"{self.name} is told of what it asked for last; with {workers} workers answers "
                "come in any order: give it tell(self, outcome, evaluation), see nats_gym.agents, "
                "or search with one worker"
            )

    def play(self, runs: Runs) -> Columns:
        """Ask, evaluate, tell; see :meth:`Kind.play`."""
        arguments, answers = runs.arguments, runs.answers
        known = answers.known(arguments.ladder[-1])
        told = {"among": known} if known is not None and chooses_among(self.factory) else {}
        objectives = None
        if self.objectives:
            check_complete(self.objectives, answers.figure, answers.space, known)
            objectives = Objectives(self.objectives, answers.figure)
        groups = answers.together(runs.seeds)
        played: list[Columns] = []
        for number, seeds in enumerate(groups):
            keys = run_keys(seeds)
            agent = self.player(answers.space, RunStreams(keys), len(arguments.ladder), **told)
            self.check_workers(agent, arguments.workers)
            questions = Questions(answers.space, arguments, keys)

            def tell(share: float, number: int = number) -> None:
                runs.progress((number + share) / len(groups))

            with answers.crew(arguments, seeds) as crew:
                played.append(play(agent, questions, crew, arguments, len(seeds), tell, objectives))
        return stacked(played)


class MultiFidelity(AskTell):
    """An agent that says, too, how long to train it."""

    own = (*AskTell.own, "rungs", "continuing")
    told = (2,)

    def complete(self, *given: Any, continuing: str | None, **named: Any) -> SearchArguments:
        """See :meth:`Kind.complete`; what going on costs is the agent's own to say."""
        if continuing is None:
            continuing = continuing_of(self.factory)
        continuing = checks.word(continuing, "cost of continuing", CONTINUING)
        return super().complete(*given, continuing=continuing, **named)

    def player(
        self, space: ArchitectureSpace, streams: RunStreams, rungs: int, **told: Any
    ) -> MultiFidelityAgent:
        """The agent itself."""
        agent: MultiFidelityAgent = self.make(space, streams, rungs=rungs, **told)
        return agent

    def prepare(self, arguments: SearchArguments, answers: Answers) -> SearchArguments:
        """See :meth:`Kind.prepare`; the rungs are theirs who answer where none were asked for."""
        return replace(arguments, rungs=answers.rungs(arguments.epochs, arguments.rungs))


class OneRung:
    """An ask/tell agent as a multi-fidelity agent that knows one rung.

    Attributes:
        any_order: whether answers may come in another order than questions.
    """

    continuing = "scratch"

    def __init__(self, agent: AskTellAgent, runs: int) -> None:
        self._agent = agent
        self._runs = runs
        self.any_order = takes(agent.tell, 2)
        if callable(recommend := getattr(agent, "recommend", None)):
            self.recommend = recommend

    def ask(self) -> Question:
        """What the agent asks for, trained anew to the only rung."""
        from nats_gym.agents.interface import Question

        new = np.full(self._runs, -1)
        return Question(self._agent.ask(), np.zeros(self._runs, np.int64), new)

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64]) -> None:
        """The answer to a question; to the last one of an agent that knows no other."""
        if self.any_order:
            self._agent.tell(outcome, evaluation)
        else:
            self._agent.tell(outcome)  # type: ignore[call-arg] # one of an earlier shape


def takes(method: Any, count: int) -> bool:
    """Whether a method can be called with so many arguments, as far as it says."""
    try:
        inspect.signature(method).bind(*[None] * count)
    except (TypeError, ValueError):
        return False
    return True


class Questions:
    """Checks what an agent asks for in every run, and knows what was asked for before.

    Args:
        space: of the architectures.
        arguments: of the search: the schedules that ``rung`` counts, whether going on with a
            training pays all of it, as a new trial, and the agent's name for messages.
        keys: one per run, that random trials are drawn from.
    """

    def __init__(self, space: ArchitectureSpace, arguments: SearchArguments, keys: Keys) -> None:
        self._space = space
        self._ladder = arguments.ladder
        self._keys = keys
        self._scratch = arguments.continuing != "difference"
        self._name = arguments.agent
        self._runs = np.arange(len(keys))
        #: By number: what every run asked for, ``(numbers, runs)``, with room for more.
        self._asked = {
            name: np.full((64, len(keys)), -1) for name in ("index", "rung", "trial", "continues")
        }
        self._answered = np.zeros((64, len(keys)), dtype=bool)
        self.count = 0

    def accept(self, question: Question) -> Columns:
        """A question in plain form, by name, each ``(runs,)``.

        Returns:
            ``index``, ``rung``, ``evaluation`` (its number), ``continues``; the ``key`` that its
            random trial is drawn from; and the rung that is ``paid`` for already, -1 for none.

        Raises:
            InvalidInput: for anything that cannot be evaluated; it names the agent.
        """
        index, rung, continues = self._checked(question)
        going_on = continues >= 0
        trial, paid = np.full(len(index), self.count), np.full(len(index), -1)
        if going_on.any() and not self._scratch:
            trial[going_on] = self._of("trial", continues)[going_on]
            paid[going_on] = self._of("rung", continues)[going_on]
        self._remember(index=index, rung=rung, trial=trial, continues=continues)
        return {
            "index": index,
            "rung": rung,
            "evaluation": np.full(len(index), self.count - 1),
            "continues": continues,
            "key": combine(self._keys, trial),
            "paid": paid,
        }

    def answer(self, evaluation: NDArray[np.int64]) -> None:
        """From now on the trainings of these numbers ``(runs,)`` can go on."""
        self._answered[evaluation, self._runs] = True

    def check_recommended(self, number: object) -> NDArray[np.int64]:
        """Return the numbers of evaluations that an agent would answer, as int64 ``(runs,)``.

        Raises:
            InvalidInput: for one that is not answered in its run.
        """
        given = np.asarray(number)
        if given.shape != self._runs.shape or given.dtype.kind not in "iu":
            raise InvalidInput(
                f"recommend() of {self._name} returns numbers of evaluations as integers of shape "
                f"{self._runs.shape}, got {given.dtype} {given.shape}"
            )
        known = (given >= 0) & (given < self.count)
        known &= self._answered[np.where(known, given, 0), self._runs]
        if not known.all():
            raise InvalidInput(
                f"recommend() of {self._name} returns numbers of evaluations that were answered, "
                f"got {given[~known][0]}"
            )
        return given.astype(np.int64)

    def _checked(self, question: Question) -> tuple[NDArray[np.int64], ...]:
        if not all(hasattr(question, field) for field in ("choices", "rung", "continues")):
            raise InvalidInput(
                f"ask() of {self._name} returns a nats_gym.agents.Question, got {shown(question)}"
            )
        runs, n = len(self._keys), self._space.num_decisions
        try:
            index = self._space.index(question.choices)
        except InvalidInput as error:
            raise InvalidInput(f"{self._name} asks for what is no architecture: {error}") from None
        rung, continues = np.asarray(question.rung), np.asarray(question.continues)
        if index.shape != (runs,):
            raise InvalidInput(
                f"ask() of {self._name} returns choices of shape {(runs, n)}, "
                f"got {(*index.shape, n)}"
            )
        for what, given, low, high in (
            ("rungs", rung, 0, len(self._ladder) - 1),
            ("evaluations that go on", continues, -1, self.count - 1),
        ):
            if given.shape != (runs,) or given.dtype.kind not in "iu":
                raise InvalidInput(
                    f"ask() of {self._name} returns {what} as integers of shape {(runs,)}, "
                    f"got {given.dtype} {given.shape}"
                )
            if np.any((given < low) | (given > high)):
                wrong = given[(given < low) | (given > high)][0]
                raise InvalidInput(
                    f"ask() of {self._name} returns {what} from {low} to {high}, got {wrong}"
                )
        going_on = continues >= 0
        if going_on.any():
            possible = (
                self._answered[continues, self._runs]
                & (self._of("index", continues) == index)
                & (self._of("rung", continues) < rung)
            )
            if not possible[going_on].all():
                raise InvalidInput(
                    f"{self._name} goes on with an evaluation that is not answered yet, of another "
                    "architecture, or trained for as long"
                )
        return index, rung.astype(np.int64), continues.astype(np.int64)

    def _of(self, name: str, number: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._asked[name][number, self._runs]

    def _remember(self, **figures: NDArray[np.int64]) -> None:
        if self.count == len(self._answered):
            more = len(self._answered)
            self._answered = np.pad(self._answered, ((0, more), (0, 0)))
            self._asked = {k: np.pad(v, ((0, more), (0, 0))) for k, v in self._asked.items()}
        for name, values in figures.items():
            self._asked[name][self.count] = values
        self.count += 1


def play(
    agent: MultiFidelityAgent,
    questions: Questions,
    crew: Crew,
    arguments: SearchArguments,
    runs: int,
    progress: Progress,
    objectives: Objectives | None = None,
) -> Columns:
    """Ask, evaluate, tell until every run has spent its budget; the columns of a result.

    Every run has as many evaluations in flight as there are workers, and time goes on to the first
    that is done. What is in flight when the budget is spent, or so many are answered, is dropped.
    """
    workers = arguments.workers
    recommend = getattr(agent, "recommend", None)
    clock = SimulatedClock(arguments.budget, runs, arguments.evaluations)
    busy = 0
    kept = (*RECORDED, *(() if recommend is None else RECOMMENDED))
    history: dict[str, list[NDArray[Any]]] = {column: [] for column in kept}
    while not np.all(spent := np.asarray(clock.spent)):
        while busy < workers and (question := agent.ask()) is not None:
            crew.submit(questions.accept(question), np.asarray(clock.used))
            busy += 1
        if not busy:
            raise InvalidInput(f"{arguments.agent} waits for an answer, and none is to come")
        time, found = crew.collect()
        busy -= 1
        clock.advance(np.where(spent, clock.used, time))
        found["clock"] = np.asarray(clock.used)
        for column, padding in RECORDED.items():
            history[column].append(np.where(spent, padding, found[column]))
        questions.answer(found["evaluation"])
        outcome = Outcome(found["accuracy"], found["seconds"], *crew.provenance)
        if objectives is not None:
            vectors = objectives.vector(found["index"], found["accuracy"])
            unknown = np.isnan(vectors).any(axis=-1, keepdims=True)
            outcome = replace(outcome, objectives=np.where(unknown, -1.0, vectors))  # the worst
        agent.tell(outcome, found["evaluation"])
        if recommend is not None:
            answers = questions.check_recommended(recommend())
            for column, padding in RECOMMENDED.items():
                history[column].append(np.where(spent, padding, answers))
        progress(1.0 - float(np.max(clock.fraction_left)))
    return {column: np.stack(steps, axis=1) for column, steps in history.items()}
