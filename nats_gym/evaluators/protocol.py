"""The one protocol of everything that evaluates architectures, and what it returns."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nats_gym.checks import as_number, integer
from nats_gym.datasets import full_name, is_known
from nats_gym.errors import EvaluatorError, InvalidInput, said, shown
from nats_gym.simulation.schedule import Epochs
from nats_gym.spaces import known_spaces, used_spaces
from nats_gym.tables.column import RESERVED, core_figures

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
        objectives: what a search tells agents that weigh several, ``(batch, m)``, each to be
            maximised: see :class:`nats_gym.tables.objectives.Objectives`. No evaluator sets it.
    """

    accuracy: NDArray[np.float64]
    seconds: NDArray[np.float64]
    provenance: str = UNSTATED
    seconds_provenance: str = UNSTATED
    metrics: dict[str, NDArray[Any]] = field(default_factory=dict)
    objectives: NDArray[np.float64] | None = None

    def weighed(self) -> NDArray[np.float64]:
        """:attr:`objectives`; ``InvalidInput`` if nobody has told them."""
        if self.objectives is None:
            raise InvalidInput(
                "this agent weighs several objectives: the outcomes that it is told have "
                "objectives=, (runs, m), each to be maximised"
            )
        return self.objectives


#: Evaluations of a batch that memory still holds.
MOST_ANSWERS = 2**32


def checked(outcome: Any, batch: int) -> Outcome:
    """An outcome in plain form: fresh float64 arrays ``(batch,)``, checked.

    Raises:
        EvaluatorError: says what is wrong: no outcome, another shape, an accuracy outside
            0…100, seconds that are no number from 0, a metric that `info` has no place for. A
            training that failed has an accuracy too, such as that of guessing; never NaN.
    """
    batch = integer(batch, "batch", 0, MOST_ANSWERS)
    if not issubclass(type(outcome), Outcome):
        raise EvaluatorError(
            f"evaluate() returns a nats_gym.evaluators.Outcome, got {shown(outcome)}"
        )
    columns = {}
    for name, low, high in (("accuracy", 0.0, 100.0), ("seconds", 0.0, math.inf)):
        try:
            values = np.array(getattr(outcome, name), np.float64)
        except Exception:
            raise EvaluatorError(
                f"{name} is an array of numbers, got {shown(getattr(outcome, name))}"
            ) from None
        if values.shape != (batch,):
            raise EvaluatorError(
                f"{name} has shape ({batch},), one an architecture, got {values.shape}"
            )
        wrong = ~((values >= low) & (values <= high) & (values < math.inf))
        if wrong.any():
            allowed = "0…100 percent" if name == "accuracy" else "a finite number from 0"
            raise EvaluatorError(f"{name} is {allowed}, got {values[wrong][0]}")
        columns[name] = values
    if not isinstance(outcome.metrics, dict):
        raise EvaluatorError(f"metrics are a dictionary of arrays, got {shown(outcome.metrics)}")
    metrics = {}
    for name, given in outcome.metrics.items():
        _check_metric_name(name)
        try:
            metrics[name] = np.array(given)
        except Exception:
            raise EvaluatorError(f"metric {name} is an array, got {shown(given)}") from None
        if metrics[name].shape != (batch,):
            raise EvaluatorError(f"metric {name} has shape ({batch},), got {metrics[name].shape}")
    return Outcome(
        **columns,
        provenance=outcome.provenance,
        seconds_provenance=outcome.seconds_provenance,
        metrics=metrics,
    )


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

        Returns:
            Accuracies in percent and seconds, ``(batch,)`` each, finite; environments refuse
            what :func:`checked` does.
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

    A class that derives from this one has :meth:`evaluate`, which collects what it streams.

    Attributes:
        identity: says what an answer depends on beside architecture, schedule and trial: data
            set, recipe, network. Caches keep answers of different identities apart.
        provenance: of the accuracies and of the seconds.
    """

    @property
    def identity(self) -> str:
        """What tells its answers from another's."""

    @property
    def provenance(self) -> tuple[str, str]:
        """What accuracies and seconds rest on."""

    def evaluate(
        self, index: NDArray[np.int64], epochs: Epochs, trial_keys: NDArray[np.uint64]
    ) -> Outcome:
        """Answer a batch; see :class:`Evaluator`."""
        trials = self.trials_of(index, trial_keys)
        return collect(len(trials), self.stream(index, epochs, trials), self.provenance)

    def stream(
        self, index: NDArray[np.int64], epochs: Epochs, trials: NDArray[np.uint64]
    ) -> Iterator[tuple[int, Answer]]:
        """Evaluate a batch; yield position and answer as they come. Arguments ``(batch,)``."""

    def trials_of(
        self, index: NDArray[np.int64], trial_keys: NDArray[np.uint64]
    ) -> NDArray[np.uint64]:
        """Which trial of each architecture its key draws, ``(batch,)``."""


class ForwardingEvaluator(StreamingEvaluator):
    """Hands what it is asked on to another, for which it answers in all that it lacks itself.

    Attributes:
        evaluator: that one.
    """

    evaluator: StreamingEvaluator

    @property
    def identity(self) -> str:
        """That of the evaluator behind."""
        return self.evaluator.identity

    @property
    def provenance(self) -> tuple[str, str]:
        """That of the evaluator behind."""
        return self.evaluator.provenance

    def trials_of(
        self, index: NDArray[np.int64], trial_keys: NDArray[np.uint64]
    ) -> NDArray[np.uint64]:
        """Those of the evaluator behind."""
        return self.evaluator.trials_of(index, trial_keys)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "evaluator":
            raise AttributeError(name)
        return getattr(self.evaluator, name)


def check_answers(
    batch: int, answers: Iterable[tuple[int, Answer]]
) -> Iterator[tuple[int, Answer]]:
    """Pass on what a stream yields for a batch, each answer checked and in plain form.

    Accuracies and seconds become floats, numpy's numbers among the metrics Python's.

    Raises:
        EvaluatorError: for what is no position and answer, a position outside the batch or
            answered twice, an accuracy outside 0…100, seconds that are no finite number from 0,
            a metric that is no plain value; at the end, for a position without an answer.
    """
    open_ = set(range(batch))
    try:
        pairs = iter(answers)
    except Exception:
        raise EvaluatorError(
            f"stream() yields positions and Answers, got {shown(answers)}"
        ) from None
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise EvaluatorError(f"stream() yields a position and an Answer, got {shown(pair)}")
        position, answer = pair
        if not isinstance(position, (int, np.integer)) or position not in open_:
            raise EvaluatorError(
                f"stream() answers each position of 0…{batch - 1} once, got {shown(position)}"
                + (" again" if position in range(batch) else "")
            )
        open_.remove(position)
        yield int(position), plain_answer(answer)
    if open_:
        raise EvaluatorError(
            f"stream() ended without an answer for position {min(open_)} of a batch of {batch}"
        )


def plain_answer(answer: Any) -> Answer:
    """An answer in plain form; raises as :func:`check_answers`."""
    if not isinstance(answer, Answer):
        raise EvaluatorError(
            f"stream() yields a nats_gym.evaluators.Answer with each position, got {shown(answer)}"
        )
    figures = []
    for name, high, allowed in (
        ("accuracy", 100.0, "0…100 percent"),
        ("seconds", math.inf, "a finite number from 0"),
    ):
        value = as_number(getattr(answer, name))
        if value is None or not 0 <= value <= high or value == math.inf:
            given = shown(getattr(answer, name))
            raise EvaluatorError(f"{name} of an answer is {allowed}, got {given}")
        figures.append(value)
    if not isinstance(answer.metrics, dict):
        raise EvaluatorError(f"metrics of an answer are a dictionary, got {shown(answer.metrics)}")
    metrics = {}
    for name, value in answer.metrics.items():
        _check_metric_name(name)
        metrics[name] = _plain_metric(name, value)
    return Answer(figures[0], figures[1], metrics)


def _plain_metric(name: str, value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):  # of plain values all the way down
        try:
            return json.loads(json.dumps(value))
        except (TypeError, ValueError):
            pass
    raise EvaluatorError(
        f"metric {name} of an answer is a number, text, None or a dictionary of such, "
        f"got {shown(value)}"
    )


def _check_metric_name(name: Any) -> None:
    if not isinstance(name, str) or name.startswith("_") or name in RESERVED or _is_figure(name):
        raise EvaluatorError(
            f"a metric cannot be called {shown(name)}: `info` has another use for that name"
        )


def _is_figure(name: str) -> bool:
    """Whether a space that is in use here, or a table, has a figure of that name."""
    name = name.removesuffix("_provenance")
    return any(name in core_figures(space) for space in used_spaces())


def collect(
    batch: int, answers: Iterable[tuple[int, Answer]], provenance: tuple[str, str]
) -> Outcome:
    """One outcome of a batch whose answers arrive one by one; raises as :func:`check_answers`."""
    batch = integer(batch, "batch", 0, MOST_ANSWERS)
    if not (
        type(provenance) is tuple
        and len(provenance) == 2
        and all(type(one) is str for one in provenance)
    ):
        raise InvalidInput(f"provenance is a tuple of two texts, got {shown(provenance)}")
    return joined(dict(check_answers(batch, answers)), provenance)


def joined(by_position: Mapping[int, Answer], provenance: tuple[str, str]) -> Outcome:
    """One outcome of a batch's answers by position, all there and in plain form."""
    complete = [by_position[position] for position in range(len(by_position))]
    names = dict.fromkeys(name for answer in complete for name in answer.metrics)
    return Outcome(
        np.array([answer.accuracy for answer in complete], np.float64),
        np.array([answer.seconds for answer in complete], np.float64),
        *provenance,
        metrics={
            name: np.array([answer.metrics.get(name) for answer in complete]) for name in names
        },
    )


def check_subject(evaluator: object, space: str, dataset: str | None = None) -> None:
    """Refuse an evaluator that says it is of another space or data set.

    Args:
        evaluator: one whose attribute ``space`` (a space or its name) or ``dataset`` says so is
            held to it; others may answer for anything.
        space: what it is to answer for.
        dataset: likewise; None for any.

    Raises:
        InvalidInput: names both.
    """
    try:
        own = getattr(evaluator, "space", None)
        told = getattr(own, "name", own), getattr(evaluator, "dataset", None)
    except Exception as error:  # an object of others
        raise InvalidInput(f"an evaluator's space and data set: {said(error)}") from error
    told_space, told_dataset = (one if isinstance(one, str) else "" for one in told)
    wrong = None
    if told_space in known_spaces() and told_space != space:
        wrong = "space", told_space, space
    elif (
        dataset is not None
        and is_known(told_dataset)
        and full_name(told_dataset) != full_name(dataset)
    ):
        wrong = "data set", told_dataset, dataset
    if wrong:
        what, given, asked = wrong
        raise InvalidInput(
            f"the evaluator answers for the {what} {shown(given)}, not {shown(asked)}"
        )
