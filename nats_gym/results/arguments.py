"""What a search was called with: checked, and as a result records it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from nats_gym import checks
from nats_gym.datasets import is_known, known_datasets
from nats_gym.errors import InvalidInput, shown, unknown_name
from nats_gym.simulation.clock import check_budget, check_evaluations
from nats_gym.simulation.schedule import Epochs

#: Characters of an agent's name.
LONGEST_NAME = 200
#: And of who answers, in words.
_LONGEST_ANSWERED_BY = 80
#: Arguments that are recorded only where they are given.
_UNSAID = ("evaluations", "evaluator")


@dataclass(frozen=True, eq=False)
class SearchArguments(Mapping[str, Any]):
    """What a search was called with: checked, defaults filled in.

    As a mapping it is what a result records: plain values, by the names of the arguments of
    :func:`nats_gym.search`, which takes them again.

    Attributes:
        space, dataset: what was searched.
        agent: its name, or the module and the name of what makes it.
        options: the agent's own.
        epochs: schedule searched on; that a supernet's answers are looked up at.
        budget: seconds of each run.
        runs: how many, independent of each other.
        seed, source, trial, first_run: as of :func:`nats_gym.search`.
        supernet_epochs: of a weight-sharing search, else None.
        rungs: of a multi-fidelity agent: its schedules; None for the table's own. Else None.
        workers: evaluations beside each other.
        continuing: what a multi-fidelity agent's training that goes on costs, else None.
        evaluations: the most of each run; None for as many as the budget buys, and then it is not
            recorded. Beside it the budget may be infinite, which is recorded as None.
        evaluator: who answered instead of a table: its name, and its options if it was made by
            name; None for a table, and then it is not recorded.
    """

    space: str
    dataset: str
    agent: str
    options: Mapping[str, Any]
    epochs: Epochs
    budget: float
    runs: int
    seed: int
    source: str
    trial: str | int
    first_run: int
    supernet_epochs: int | None
    rungs: tuple[Epochs, ...] | None
    workers: int
    continuing: str | None
    evaluations: int | None = None
    evaluator: Mapping[str, Any] | None = None

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> SearchArguments:
        """Those that a result records; ``InvalidInput`` if they are no search's."""
        given = checks.mapping(record, "the arguments of a search are a dictionary")
        names = [field.name for field in fields(cls)]
        if given.get("evaluations") is None:
            names.remove("evaluations")
        else:
            check_evaluations(given["evaluations"])
            if given.get("budget") is None:
                given = {**given, "budget": math.inf}
        if given.get("evaluator") is None:
            names.remove("evaluator")
        else:
            told = checks.mapping(given["evaluator"], "an evaluator is a dictionary by name")
            checks.text(told.get("name"), "an evaluator's name", LONGEST_NAME)
        if given.keys() != {*names}:
            raise InvalidInput(f"its arguments are {shown([*given])}, not {', '.join(names)}")
        check_budget(given["budget"])
        agent = checks.text(given["agent"], "agent", LONGEST_NAME)
        if not agent.isprintable() or not agent.strip():
            raise InvalidInput(f"agent is a name in one line, got {shown(agent)}")
        checks.mapping(given["options"], "options are a dictionary of the agent's")
        dataset = checks.text(given["dataset"], "dataset")  # no path: anyone may have written it
        if not is_known(dataset):
            raise unknown_name("dataset", dataset, known_datasets())
        rungs = checks.as_list(given["rungs"])
        return cls(**{**given, "rungs": rungs and tuple(rungs)})

    @property
    def ladder(self) -> tuple[Epochs, ...]:
        """The schedules searched on: the rungs, or the only one."""
        return self.rungs or (self.epochs,)

    @property
    def shares_weights(self) -> bool:
        """Whether a supernet is trained, in real seconds."""
        return self.supernet_epochs is not None

    @property
    def real_time(self) -> bool:
        """Whether seconds are real ones: a supernet is trained, or an evaluator answers."""
        return self.shares_weights or self.evaluator is not None

    @property
    def answered_by(self) -> str:
        """Who answers: a table of some source, or an evaluator: ``"proxy, score=naswot"``.

        In 80 characters at most, that always tell two apart.
        """
        told = dict(self.evaluator or {"name": f"table {self.source}"})
        words = ", ".join(
            (told.pop("name"), *(f"{name}={value}" for name, value in sorted(told.items())))
        )
        if len(words) <= _LONGEST_ANSWERED_BY:
            return words
        digest = hashlib.sha256(words.encode(errors="backslashreplace")).hexdigest()[:8]
        return f"{words[: _LONGEST_ANSWERED_BY - 10]}… {digest}"

    @property
    def weighed(self) -> tuple[str, ...]:
        """Names of the objectives that the agent weighed; none of one objective."""
        given = checks.as_list(self.options.get("objectives")) or []
        return tuple(name for name in given if type(name) is str)

    @property
    def bound(self) -> str:
        """What ends a run, in words."""
        return bound_in_words(self.budget, self.evaluations)

    @property
    def bound_in_names(self) -> str:
        """What ends a run, as folders are called after it: ``"20000s"``, ``"150evaluations"``."""
        told = [f"{self.budget:.12g}s"] if math.isfinite(self.budget) else []
        if self.evaluations is not None:
            told.append(f"{self.evaluations}evaluations")
        return "-".join(told)

    def __getitem__(self, name: str) -> Any:
        value = vars(self)[name]
        if name in _UNSAID and value is None:
            raise KeyError(name)
        if name == "budget" and value == math.inf:
            return None
        return list(value) if name == "rungs" and value else value

    def __iter__(self) -> Iterator[str]:
        said = vars(self).items()
        return (name for name, value in said if value is not None or name not in _UNSAID)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def bound_in_words(budget: float, evaluations: int | None, seconds: str = "s") -> str:
    """What ends a run: ``"20,000 s"``, ``"150 evaluations"``, or one of both."""
    told = [f"{budget:,.0f} {seconds}"] if math.isfinite(budget) else []
    if evaluations is not None:
        told.append(f"{evaluations:,} evaluations")
    return " or ".join(told)
