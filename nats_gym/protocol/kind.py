"""What the kinds of agents share: how a search with one is called, prepared and run."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from nats_gym import checks
from nats_gym.agents import (
    GUIDE_OPTIONS,
    learned_on,
    objectives_of,
    prior_of,
    takes_guide,
    trained_for,
)
from nats_gym.errors import InvalidInput, said, shown
from nats_gym.evaluators import check_trial
from nats_gym.files.writing import check_source
from nats_gym.results.arguments import SearchArguments
from nats_gym.results.files import RECOMMENDED, RECORDED
from nats_gym.simulation.clock import MAX_RUNS, check_budget, check_evaluations, default_budget
from nats_gym.simulation.schedule import Epochs, check_epochs
from nats_gym.simulation.workers import check_workers
from nats_gym.spaces import ArchitectureSpace, Figure, Quantity, get_space
from nats_gym.tables import Table, load_table
from nats_gym.tables.objectives import name_objectives
from nats_gym.tables.prior import NONE, open_prior, prior_figures, prior_names, prior_record
from nats_gym.tables.recorded import OBJECTIVE, column_record, unrecorded
from nats_gym.tables.score import open_score, score_record
from nats_gym.tables.table import known_without_table

from .answers import Answers, Columns
from .ladder import check_rungs

#: Called with the share of the work done, in [0, 1].
Progress = Callable[[float], None]

#: Whose the arguments are that not every agent takes.
_WHOSE = {
    **dict.fromkeys(("rungs", "continuing"), "multi-fidelity agents such as asha"),
    "workers": "agents that ask and are told, or learn in several copies of an environment",
    "supernet_epochs": "weight-sharing searches",
    "evaluations": "agents that evaluate architectures one by one",
    "evaluator": "agents that evaluate architectures one by one",
}


@dataclass(frozen=True)
class Runs:
    """The independent runs of a search.

    Attributes:
        arguments: what :meth:`Kind.prepare` returned.
        answers: who answers, its schedules loaded.
        seeds: one a run.
        checkpoints: folder for the states of runs that take long; None keeps none.
        progress: called with the share done.
    """

    arguments: SearchArguments
    answers: Answers
    seeds: list[int]
    checkpoints: Path | None
    progress: Progress


class Kind(ABC):
    """An agent of one kind, and how it is searched with.

    Args:
        name: what results call it.
        factory: what makes it.
        options: keyword arguments that it is made with besides.

    Attributes:
        prior: tables of other data sets that it is told of; see :meth:`look_up`.
        objectives: names of what it weighs, likewise. None of one objective.
        score: the figure that guides it, likewise; None for none.
        own: arguments of a search that not every kind takes, and this one does.
        methods: what such an agent has.
        block: runs that a study plays and keeps together, where they are played one by one.
    """

    own: ClassVar[tuple[str, ...]] = ("evaluations", "evaluator")
    methods: ClassVar[tuple[str, ...]] = ()
    block: ClassVar[int] = 10

    def __init__(self, name: str, factory: Callable[..., Any], options: Mapping[str, Any]) -> None:
        self.name = name
        self.factory = factory
        self.options = options
        self.prior: list[Table] = []
        self.objectives: tuple[str, ...] = ()
        self.score: Figure | None = None

    def look_up(
        self, space: str, dataset: str, source: str | os.PathLike[str], has_table: bool
    ) -> None:
        """Look up what the agent is told beforehand: a prior's tables, objectives, and its score.

        Its options ``prior`` and ``objectives`` name them from then on, ``trained`` the policy of
        one that chooses it by what is searched.

        Raises:
            InvalidInput: see :func:`nats_gym.tables.prior.open_prior`,
                :func:`nats_gym.tables.objectives.name_objectives`,
                :func:`nats_gym.tables.score.open_score` and
                :class:`nats_gym.agents.controller.ShippedController`.
        """

        def own() -> Table | None:
            return load_table(space, dataset, check_source(source)) if has_table else None

        def known() -> Mapping[str, Quantity]:
            table = own()
            if table is None:
                return known_without_table(space, dataset)
            return table.known_figures

        options = dict(self.options)
        default = prior_of(self.factory)
        if default is not None:
            given = options.pop("prior", None)
            names = prior_names(space, dataset, default if given is None else given, source)
            if not names and given is not None and default != NONE:
                raise InvalidInput(
                    f"{self.name} needs a prior, and {shown(given)} names no table of {space}; "
                    "few-shot works without"
                )
            if names:
                options["prior"] = names
                self.prior = open_prior(space, dataset, names, source, own())
        weighs, objectives = objectives_of(self.factory)
        if weighs:
            objectives = options.get("objectives", objectives)
            self.objectives = tuple(name_objectives(objectives, known()))
            options["objectives"] = list(self.objectives)
        if takes_guide(self.factory) and options.get("score") is not None:
            self.score = open_score(space, dataset, options["score"], own())
        choose = trained_for(self.factory)
        if choose is not None:
            options["trained"] = choose(space, dataset, own(), options.get("trained"))
        self.options = options

    def record(self, answers: Answers) -> dict[str, str]:
        """What a result says of what the agent was told beforehand, and of what it weighed."""
        learned = learned_on(self.factory, self.options)
        told = {"learned_on": "; ".join(learned)} if learned else {}
        for name in unrecorded(answers.space.name, self.objectives, ()):
            told[f"{OBJECTIVE}{name}"] = column_record(answers.figure(name))
        return {**prior_record(self.prior), **score_record(self.score), **told}

    def complete(
        self,
        space: str,
        dataset: str,
        epochs: Epochs | None,
        budget: float | None,
        runs: int,
        seed: int,
        source: str | os.PathLike[str],
        *,
        trial: str | int,
        rungs: Sequence[Epochs] | None,
        workers: int,
        continuing: str | None,
        first_run: int,
        supernet_epochs: int | None,
        evaluations: int | None,
        evaluator: Mapping[str, Any] | None,
    ) -> SearchArguments:
        """The arguments of a search with this agent, as :func:`nats_gym.search` takes them.

        Returns:
            Them checked, defaults filled in.
        """
        evaluations = check_evaluations(evaluations)
        given = {
            "supernet_epochs": supernet_epochs,
            "evaluations": evaluations,
            "evaluator": evaluator,
            "rungs": rungs,
            "continuing": continuing,
            "workers": None if (workers := check_workers(workers)) == 1 else workers,
        }
        for name, value in given.items():
            if value is not None and name not in self.own:
                raise InvalidInput(f"{name}= is for {_WHOSE[name]}, not for {self.name}")
        full_epochs = get_space(space).full_epochs_on(dataset)
        if evaluator is not None:
            if (trial, check_source(source)) != ("random", "auto"):
                raise InvalidInput(
                    "trial and source choose a table to answer; evaluator= answers itself"
                )
            if budget is None and evaluations is None:
                raise InvalidInput(
                    "a search on an evaluator takes real time: give its budget, in seconds, or "
                    "evaluations="
                )
        elif epochs is None:
            full_epochs = load_table(space, dataset, check_source(source)).full_epochs
        epochs = check_epochs(epochs, full_epochs)
        if budget is None and evaluations is not None:
            budget = math.inf
        budget = check_budget(default_budget(space, dataset, epochs) if budget is None else budget)
        if evaluations is None and not math.isfinite(budget):
            raise InvalidInput(
                f"a search needs a finite budget of seconds, or evaluations=, got {budget}"
            )
        return SearchArguments(
            space=space,
            dataset=dataset,
            agent=self.name,
            options=dict(self.options),
            epochs=epochs,
            budget=budget,
            runs=checks.integer(runs, "runs", 1, MAX_RUNS),
            seed=checks.seed(seed),
            source=str(check_source(source)),
            trial=check_trial(trial),
            first_run=checks.integer(first_run, "the first run's number", 0),
            supernet_epochs=supernet_epochs,
            rungs=check_rungs(rungs, full_epochs),
            workers=workers,
            continuing=continuing,
            evaluations=evaluations,
            evaluator=evaluator,
        )

    def in_study(self, shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
        """What a search is called with of what a study says for all agents, and for this one."""
        return {**shared, **own}

    def check_options(self, space: str, dataset: str) -> None:
        """Raise ``InvalidInput`` now if the agent will refuse its options when it is made."""
        if not self.options:
            return
        try:
            self.try_out(get_space(space))
        except InvalidInput as error:
            raise InvalidInput(f"{self.name}: {error}") from None
        except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
            raise InvalidInput(
                f"{self.name} cannot be made with {shown(self.options)}: {said(error)}"
            ) from None

    def try_out(self, space: ArchitectureSpace) -> object:
        """Make an agent that searches nothing."""
        return self.make()

    def make(self, *given: Any, **told: Any) -> Any:
        """Make an agent with its options; ``InvalidInput`` if it lacks what its kind has."""
        if self.prior:
            told["prior"] = prior_figures(self.prior)
        options = dict(self.options)
        if takes_guide(self.factory):
            of_guide = {name: options.pop(name) for name in GUIDE_OPTIONS if name in options}
            if of_guide:
                from nats_gym.agents.guide import Guide

                told["guide"] = Guide(**{**of_guide, "score": self.score})
        agent = self.factory(*given, **{**options, **told})
        lacking = [name for name in self.methods if not callable(getattr(agent, name, None))]
        if lacking:
            raise InvalidInput(
                f"{shown(self.factory)} makes {shown(agent)}, which has no "
                f"{' and no '.join(lacking)}; see nats_gym.agents"
            )
        return agent

    def prepare(self, arguments: SearchArguments, answers: Answers) -> SearchArguments:
        """Load the schedules that are searched on; the arguments with those that were left open.

        Raises:
            NotInTable: for a schedule that the table lacks.
        """
        answers.prepare(arguments.ladder)
        return arguments

    @abstractmethod
    def play(self, runs: Runs) -> Columns:
        """Search in independent runs; the arrays of a result."""


def in_columns(played: Sequence[Mapping[str, ArrayLike]]) -> Columns:
    """The arrays of a result of runs whose evaluations followed each other on one schedule.

    Args:
        played: a run each: ``index``, ``accuracy``, ``seconds`` and ``clock`` of its evaluations.
    """
    shape = len(played), max(np.size(run["index"]) for run in played)
    columns: Columns = {name: np.full(shape, padding) for name, padding in RECORDED.items()}
    for number, run in enumerate(played):
        count = np.size(run["index"])
        for name, values in {"rung": 0, "evaluation": np.arange(count), **run}.items():
            columns[name][number, :count] = values
    return columns


def stacked(groups: Sequence[Columns]) -> Columns:
    """The arrays of a result of groups of runs that follow each other."""
    if len(groups) == 1:
        return groups[0]
    width = max(group["index"].shape[1] for group in groups)
    return {
        name: np.concatenate(
            [
                np.pad(
                    group[name],
                    ((0, 0), (0, width - group[name].shape[1])),
                    constant_values=padding,
                )
                for group in groups
            ]
        )
        for name, padding in {**RECORDED, **RECOMMENDED}.items()
        if name in groups[0]
    }
