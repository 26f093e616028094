"""What a search found, run by run and evaluation by evaluation."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput, NotInTable, UnreadableResult, said, shown
from nats_gym.evaluators.observed import Observed
from nats_gym.machine import versions
from nats_gym.results.arguments import SearchArguments
from nats_gym.results.files import RECOMMENDED, RECORDED, read_search, write_search
from nats_gym.results.pareto import find_objectives, hypervolume_shares, observed_fronts
from nats_gym.results.provenance import OBSERVED, provenance_now
from nats_gym.spaces import Figure, get_space
from nats_gym.tables import NO_TEST, Table, load_table
from nats_gym.tables.no_table import NoTable
from nats_gym.tables.objectives import Objectives, check_complete
from nats_gym.tables.recorded import OBJECTIVE, another_column, column_record, unrecorded


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The outcome of :func:`nats_gym.search`.

    All arrays are ``(runs, evaluation)``, in the order of the answers, padded behind a run's last
    evaluation with -1 or NaN.

    Attributes:
        index: official index of each architecture evaluated; -1 for what the agent asked for and
            is no architecture: it scores 0 and takes no time.
        accuracy: what was observed, validation accuracy in percent on the schedule trained; or a
            score brought to 0…100, see :attr:`observed`.
        seconds: what each evaluation cost.
        clock: the run's simulated seconds when each evaluation was done.
        rung: which of ``arguments.rungs`` each was trained to; 0 where there is one schedule.
        evaluation: number of each in the order of asking, from 0; its random trial is drawn for
            that. The order of the answers, too, but where workers evaluate beside each other.
        continues: number of the evaluation whose training went on; -1 where one began.
        arguments: what :func:`nats_gym.search` was called with, defaults filled in.
        provenance: what accuracies, seconds and the judgement rest on, with the checksum of the
            table.
        table: the table searched; of a search on an evaluator one that judges nothing.
        recommends: of agents that say themselves what they answer: the number of the evaluation
            whose architecture a run would answer after each. None for the others.
        alphas: of weight-sharing searches: log-probability of each choice at each decision after
            every epoch, up to a constant a row, ``(runs, evaluation, n, k)``.
    """

    index: NDArray[np.int64]
    accuracy: NDArray[np.float64]
    seconds: NDArray[np.float64]
    clock: NDArray[np.float64]
    rung: NDArray[np.int64]
    evaluation: NDArray[np.int64]
    continues: NDArray[np.int64]
    arguments: SearchArguments
    provenance: Mapping[str, str]
    table: Table
    recommends: NDArray[np.int64] | None = None
    alphas: NDArray[np.float64] | None = None

    def __repr__(self) -> str:
        a = self.arguments
        return f"<SearchResult: {a.agent} on {a.space} {a.dataset}, {self.runs} runs of {a.bound}>"

    @classmethod
    def joined(cls, parts: Sequence[SearchResult]) -> SearchResult:
        """One result of searches whose runs follow each other, with the same other arguments.

        Raises:
            InvalidInput: for what are no results, or none.
        """
        parts = checks.instances(parts, SearchResult, "the parts of a result")
        width = max(part.index.shape[1] for part in parts)
        columns: dict[str, Any] = {}
        recommended = {} if parts[0].recommends is None else RECOMMENDED
        for name, padding in {**RECORDED, **recommended}.items():
            column = np.full((sum(part.runs for part in parts), width), padding)
            first = 0
            for part in parts:
                column[first : first + part.runs, : part.index.shape[1]] = getattr(part, name)
                first += part.runs
            columns[name] = column
        first_part = parts[0]
        arguments = replace(first_part.arguments, runs=sum(part.runs for part in parts))
        alphas = None
        if first_part.alphas is not None:
            alphas = np.full((*columns["index"].shape, *first_part.alphas.shape[2:]), np.nan)
            for first, part in zip(np.cumsum([0, *(p.runs for p in parts)]), parts, strict=False):
                assert part.alphas is not None
                alphas[first : first + part.runs, : part.alphas.shape[1]] = part.alphas
        provenance = dict(first_part.provenance)
        for name in first_part.weighed:
            key = f"{OBJECTIVE}{name}"
            told = dict.fromkeys(part.provenance.get(key) for part in parts)
            if len({*told} - {None}) > 1:
                raise InvalidInput(
                    f"the parts of a result weighed several {name}: {shown([*told])}"
                )
            if None in told:  # an earlier version's
                provenance.pop(key, None)
        if "failures" in provenance:
            provenance["failures"] = str(sum(int(part.provenance["failures"]) for part in parts))
        return cls(
            **columns,
            arguments=arguments,
            provenance=provenance,
            table=first_part.table,
            alphas=alphas,
        )

    @property
    def runs(self) -> int:
        """Number of independent runs."""
        return len(self.index)

    @property
    def seconds_given(self) -> float:
        """Seconds of each run: the budget, or where there is none, those of the longest."""
        budget = self.arguments.budget
        return budget if math.isfinite(budget) else float(np.nanmax(self.clock))

    @property
    def observed(self) -> Observed:
        """What the accuracies are: percent, or scores brought to 0…100."""
        return Observed(self.provenance.get(OBSERVED, ""))

    @property
    def answers_last(self) -> bool:
        """Whether a run's answer is its last architecture, not its best observed."""
        return self.alphas is not None

    @property
    def is_judged(self) -> bool:
        """Whether there is a table that judges the answers."""
        return self.arguments.evaluator is None

    @cached_property
    def there(self) -> NDArray[np.bool_]:
        """Where an evaluation stands, ``(runs, evaluation)``; False behind a run's last."""
        return (self.index >= 0) | (self.evaluation >= 0)

    @cached_property
    def evaluations(self) -> NDArray[np.int64]:
        """Evaluations of each run, ``(runs,)``."""
        return self.there.sum(axis=1)

    @cached_property
    def recommended(self) -> NDArray[np.int64]:
        """Official index of each run's answer, ``(runs,)``: its best observed architecture.

        The earliest of equals, as in the paper's protocol; -1 of a run that asked for nothing that
        is one. Some agents say themselves which it is, see :attr:`recommends`. A weight-sharing
        search observes nothing; its answer is its last.
        """
        last = self.evaluations[:, None] - 1
        return np.take_along_axis(self.incumbent_index, last, axis=1)[:, 0]

    @cached_property
    def incumbent(self) -> NDArray[np.float64]:
        """Accuracy of what a run would answer, percent, ``(runs, evaluation)``; NaN behind."""
        if self.answers_last:
            return self.accuracy
        if self.recommends is not None:
            return self._at_recommended(self.accuracy, np.nan)
        best = np.fmax.accumulate(self.accuracy, axis=1)
        return np.where(self.there, best, np.nan)

    @property
    def best_observed(self) -> NDArray[np.float64]:
        """Accuracy that each run observed of :attr:`recommended`, percent, ``(runs,)``."""
        last = self.evaluations[:, None] - 1
        return np.take_along_axis(self.incumbent, last, axis=1)[:, 0]

    @cached_property
    def incumbent_index(self) -> NDArray[np.int64]:
        """What each run would answer after each evaluation, ``(runs, evaluation)``.

        -1 behind the last, and before the first that is an architecture.
        """
        if self.answers_last:
            return self.index
        if self.recommends is not None:
            return self._at_recommended(self.index, -1)
        # What is no architecture is worse than an accuracy of 0.
        observed = np.where(self.index < 0, -1.0, self.accuracy)
        before = np.fmax.accumulate(observed, axis=1)[:, :-1]
        place = np.zeros(self.index.shape, dtype=np.int64)  # of the best so far
        place[:, 1:] = np.where(observed[:, 1:] > before, np.arange(1, len(place[0])), 0)
        place = np.maximum.accumulate(place, axis=1)
        return np.where(self.there, np.take_along_axis(self.index, place, axis=1), -1)

    @cached_property
    def column_of(self) -> NDArray[np.int64]:
        """Where the evaluation of each number stands, ``(runs, numbers)``; -1 where it does not."""
        at = np.full((self.runs, int(self.evaluation.max()) + 1), -1)
        run, column = np.nonzero(self.there)
        at[run, self.evaluation[run, column]] = column
        return at

    def _at_recommended(self, values: NDArray[Any], padding: float) -> NDArray[Any]:
        """What stands where :attr:`recommends` points, ``(runs, evaluation)``."""
        assert self.recommends is not None
        place = np.take_along_axis(self.column_of, np.maximum(self.recommends, 0), axis=1)
        return np.where(self.there, np.take_along_axis(values, place, axis=1), padding)

    def judged(self, index: ArrayLike, split: str = "valid") -> NDArray[np.float64]:
        """Full-schedule accuracy, mean over trials, percent, of answers ``index (...)``.

        No answer, -1, counts as an accuracy of 0.

        Raises:
            InvalidInput: for what is no index.
            NotInTable: if the table does not hold that split.
        """
        return self._judge(self.table.space.check_answers(index), split)

    def _judge(self, answers: NDArray[np.int64], split: str) -> NDArray[np.float64]:
        return np.where(answers < 0, 0.0, self.table.mean_accuracy(split)[answers])

    def full_schedule_accuracy(self, split: str = "valid") -> NDArray[np.float64]:
        """Full-schedule accuracy of :attr:`recommended`, as :meth:`judged`, ``(runs,)``."""
        return self._judge(self.recommended, split)

    def regret(self) -> NDArray[np.float64]:
        """Points between the best full-schedule validation accuracy known and each run's."""
        return self.table.best("valid")[1] - self.full_schedule_accuracy("valid")

    def hypervolume(
        self, objectives: Sequence[str] | None = None, reference: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Share of the table's hypervolume that each run would answer with, ``(runs, evaluation)``.

        A run's answer to several objectives is what nothing else that it observed dominates. It
        is judged as one architecture is: by the table's full-schedule accuracies, means over
        trials; so a curve may fall. The table's own front is exact, and has 1.

        Args:
            objectives: names of two figures or more; None for those that the agent weighed, or
                accuracy and FLOPs. Vectors as of :class:`nats_gym.envs.MultiObjectiveEnv`:
                accuracy / 100, costs as minus their share of the largest in the space.
            reference: ``(m,)``, the worst of what counts; None for the worst on the table's front
                in each objective, and a tenth of its range beyond.

        Raises:
            InvalidInput: for other objectives, a reference that nothing is better than, and a
                weight-sharing search. NotInTable: without a table, or a column of it.
            UnreadableResult: where another column has the name of one that was weighed.
        """
        of = self._weighing(objectives)
        kept = self._hypervolumes if reference is None else {}
        if of.names not in kept:
            shares = hypervolume_shares(self.table, of, reference, self.index, self.accuracy)
            kept[of.names] = np.where(self.there, shares, np.nan)
        return kept[of.names].copy()

    @cached_property
    def _hypervolumes(self) -> dict[tuple[str, ...], NDArray[np.float64]]:
        return {}

    def front(self, objectives: Sequence[str] | None = None) -> list[NDArray[np.int64]]:
        """What each run would answer to several objectives: evaluations that none dominates.

        It needs no table: by what was observed.

        Args:
            objectives: as of :meth:`hypervolume`.

        Returns:
            For each run their places along the axis of evaluations, the best first by the first
            objective; of equal evaluations the first alone.

        Raises:
            InvalidInput, UnreadableResult: as :meth:`hypervolume`.
        """
        observed = self._weighing(objectives).vector(self.index, self.accuracy)
        fronts = []
        for vectors, index in zip(observed, self.index, strict=True):
            *_, last = observed_fronts(vectors, index)
            fronts.append(last[np.argsort(-vectors[last, 0], kind="stable")])
        return fronts

    @property
    def weighed(self) -> tuple[str, ...]:
        """Names of the objectives that the agent weighed; none of one objective."""
        return self.arguments.weighed

    @property
    def unrecorded(self) -> list[str]:
        """Columns that the agent weighed, and an earlier version of nats-gym did not record."""
        return unrecorded(self.arguments.space, self.weighed, self.provenance)

    def _weighing(self, objectives: Sequence[str] | None) -> Objectives:
        if self.answers_last:
            raise InvalidInput(
                f"{self.arguments.agent} observes no architecture, so it has no front"
            )
        if objectives is None and self.weighed:
            objectives = self.weighed
            self._check_columns()  # which says more of one that is gone
        of = find_objectives(self.table, objectives, self.figure)
        known = self.table.known_choices(self.arguments.ladder[-1]) if self.is_judged else None
        further = [name for name in of.names if name not in self.weighed]
        check_complete(further, self.figure, self.table.space, known)
        return of

    def figure(self, name: str) -> Figure:
        """What is known of every architecture, as :meth:`nats_gym.tables.Table.figure`.

        A column that the search weighed is the one that it recorded. Where an earlier version
        recorded none, it is the one of now, and its provenance says so.

        Raises:
            InvalidInput, NotInTable: for what is no figure, or not known.
            UnreadableResult: where another column has the name of the one that was weighed.
        """
        name = checks.text(name, "a figure's name")
        recorded = self.provenance.get(f"{OBJECTIVE}{name}")
        searched = self.arguments.space, self.arguments.dataset
        try:
            figure = self.table.figure(name)
        except (InvalidInput, NotInTable):
            if recorded is None:
                raise
            raise UnreadableResult(another_column(*searched, name, recorded, "")) from None
        if recorded is not None and recorded != column_record(figure):
            here = column_record(figure)
            raise UnreadableResult(another_column(*searched, name, recorded, here))
        if name in self.unrecorded:
            return replace(figure, provenance=f"{figure.provenance} here and now, not recorded")
        return figure

    def summary(self) -> dict[str, Any]:
        """Means and standard deviations over runs, of what the table can judge.

        No test accuracy where the table has none but validation's: see :data:`NO_TEST`. Where the
        evaluator observed a score, it is the score's own.
        """
        what = "observed_score" if self.observed.name else "observed_valid_accuracy"
        figures: dict[str, Any] = {
            "runs": self.runs,
            "evaluations": _mean_std(self.evaluations),
            what: _mean_std(self.observed.figures(self.best_observed)),
        }
        if not self.is_judged:
            return figures
        figures |= {
            "full_schedule_valid_accuracy": _mean_std(self.full_schedule_accuracy("valid")),
            "regret": _mean_std(self.regret()),
        }
        if self.weighed and not self.answers_last:
            last = np.arange(self.runs), self.evaluations - 1
            figures["hypervolume"] = _mean_std(100.0 * self.hypervolume()[last])
        if self.table.test_is_validation:
            return {**figures, "test": NO_TEST}
        try:
            test = self.full_schedule_accuracy("test")
        except NotInTable:
            return figures
        figures["full_schedule_test_accuracy"] = _mean_std(test)
        return figures

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``runs.npz`` (the arrays) and ``run.json`` (versions, arguments, provenance).

        Each file is written under a temporary name and renamed, and ``run.json`` has the digest
        of ``runs.npz``, so that the files of two searches are never taken for one. Returns the
        folder.
        """
        folder = checks.path(folder, "folder")
        arrays: dict[str, Any] = {name: getattr(self, name) for name in RECORDED}
        arrays["recommended"] = self.recommended
        if self.recommends is not None:
            arrays["recommends"] = self.recommends
        if self.alphas is not None:
            arrays["alphas"] = self.alphas
        record = {
            "arguments": dict(self.arguments),
            "provenance": dict(self.provenance),
            "summary": self.summary(),
            "versions": versions(),
        }
        write_search(folder, arrays, record)
        return folder

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> SearchResult:
        """Read what :meth:`save` wrote; the table is opened again from its source.

        Raises:
            UnreadableResult: if a file is missing or damaged, if the two are not of one search,
                if the table at the source is not the one that was searched, or if the result
                says that its figures rest on something else than that table does.
            NatsGymError: if there is no table any more.
        """
        folder = checks.path(folder, "folder")
        try:
            record, columns, alphas = read_search(folder)
            arguments = SearchArguments.recorded(dict(record["arguments"]))
            claimed = dict(record["provenance"])
            judged = arguments.evaluator is None
            for name in ("checksum",) if judged else ("evaluator", "search_accuracy", "seconds"):
                str(claimed[name])
            Observed(str(claimed.get(OBSERVED, "")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnreadableResult(
                f"no search is read from {shown(str(folder))}: {said(error)}"
            ) from error
        try:
            if not judged:
                table = cast(Table, NoTable(get_space(arguments.space), arguments.dataset))
                provenance = {name: str(value) for name, value in claimed.items()}
                alphas = None
            else:
                table = load_table(arguments.space, arguments.dataset, arguments.source)
                provenance = provenance_now(claimed, arguments, table)
            found = cls(
                **columns, arguments=arguments, provenance=provenance, table=table, alphas=alphas
            )
            found._check()
        except UnreadableResult as error:
            raise UnreadableResult(f"{shown(str(folder))}: {error}") from None
        return found

    def _check(self) -> None:
        """``UnreadableResult`` where it cannot be, or what it weighed is another column here."""
        space = self.table.space
        if self.index.max() >= space.size:
            raise UnreadableResult(f"it holds architectures that {space.name} has not")
        if space.every_row_valid and ((self.evaluation >= 0) & (self.index < 0)).any():
            raise UnreadableResult("a run has no evaluations, or some behind its last")
        self._check_columns()

    def _check_columns(self) -> None:
        for key in self.provenance:
            if key.startswith(OBJECTIVE):
                self.figure(key.removeprefix(OBJECTIVE))


def _mean_std(values: NDArray[Any]) -> dict[str, float]:
    with np.errstate(invalid="ignore"):  # a score may be minus infinity
        return {"mean": float(np.mean(values)), "std": float(np.std(values))}


def kind_of_time(results: Iterable[SearchResult]) -> str:
    """Whether the clocks of searches are simulated, real, or some this and some that."""
    real = {result.arguments.real_time for result in results}
    if real == {True}:
        return "real"
    return "simulated or, of weight sharing, real" if True in real else "simulated"


def say_objectives(results: Sequence[SearchResult], objectives: Sequence[str]) -> str:
    """Objectives and what each rests on: ``"accuracy (measured), flops (closed form)"``."""
    return ", ".join(f"{name} ({of})" for name, of in rests_on(results, objectives).items())


def rests_on(results: Sequence[SearchResult], objectives: Sequence[str]) -> dict[str, str]:
    """What each objective's figures rest on, by its name; as those say that weighed them."""
    results = checks.instances(results, SearchResult, "results")
    given = checks.as_list(objectives)
    names = [checks.text(name, "an objective") for name in given or [objectives]]
    asked = [one for one in results if {*one.weighed} & {*names}] or results[:1]
    return {
        name: " / ".join(dict.fromkeys(one.figure(name).provenance for one in asked))
        for name in names
    }
