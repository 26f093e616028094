"""Searches with an agent again, alone and beside others, and compares what it asks for."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from nats_gym import checks
from nats_gym.errors import InvalidInput, MissingPackage, NatsGymError, NotInTable
from nats_gym.protocol import find_kind, search, search_arguments
from nats_gym.protocol.asking import AskTell
from nats_gym.results.result import SearchResult
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.streams import RunStreams, run_keys
from nats_gym.testing.differences import find_difference, told

#: Runs that are searched together; the last of them alone, too.
_RUNS = 3
#: What has to be the same, of every evaluation and of the run.
_ASKED = ("index", "rung", "continues", "evaluation", "recommended")


class AgentError(NatsGymError, AssertionError):
    """An agent does not keep what a search counts on."""


def check_agent(
    agent: str | Callable[..., Any],
    space: str | ArchitectureSpace | type[ArchitectureSpace] = "tss",
    dataset: str = "cifar10",
    *,
    options: Mapping[str, Any] | None = None,
    source: str | os.PathLike[str] = "auto",
    evaluations: int = 40,
) -> None:
    """Check that an agent of yours that asks and is told can search, in many runs at once.

    It searches a table in three runs, again with the same seed, and the last run alone; with
    ``tell(self, outcome, evaluation)`` on three simulated workers, too. What is asked for has to
    be choices ``(runs, n)`` that there are, or a :class:`~nats_gym.agents.Question`; ``tell`` takes
    ``(outcome, evaluation)``, or ``(outcome)`` alone; what ``recommend`` returns was evaluated;
    equal seeds ask for the same, and so does a run alone, for every draw comes from its stream.

    Args:
        agent: yours, as :func:`nats_gym.search` takes it: its class, a function, a name.
        space, dataset, source: the table that answers; see :func:`nats_gym.load_table`.
        options: keyword arguments that it is made with besides.
        evaluations: of each run, 2 … 10,000.

    Raises:
        AgentError: at the first thing that is wrong. An exception of the agent's own is its cause.
        InvalidInput: for other arguments, and for what makes no agent that asks and is told.
        NotInTable: if the table lacks what such an agent is answered from.

    >>> check_agent("rea")
    """
    evaluations = checks.integer(evaluations, "evaluations", 2, 10_000)
    given: dict[str, Any] = {"source": source, "options": options, "evaluations": evaluations}
    arguments = search_arguments(space, dataset, agent, **given)
    kind = find_kind(agent, arguments.options)
    if not isinstance(kind, AskTell):
        raise InvalidInput(f"check_agent is for agents that ask and are told, {kind.name} is none")
    with _held(kind.name):
        kind.look_up(arguments.space, arguments.dataset, arguments.source, True)
        one = kind.player(get_space(space), RunStreams(run_keys([0])), 2)

    def play(runs: int, workers: int) -> SearchResult:
        with _held(kind.name):
            first = _RUNS - runs
            return search(
                space, dataset, agent, runs=runs, first_run=first, workers=workers, **given
            )

    for workers in (1, 3) if getattr(one, "any_order", True) else (1,):
        together = play(_RUNS, workers)
        _compare(f"{kind.name} twice by one seed", play(_RUNS, workers), together)
        _compare(f"{kind.name} in a run alone and beside others", play(1, workers), together)


@contextmanager
def _held(name: str) -> Iterator[None]:
    """Raise ``AgentError`` for what an agent raises, or draws that are not its own."""
    before = _shared_state()
    try:
        yield
    except (MissingPackage, NotInTable):
        raise
    except Exception as error:
        said = str(error) if isinstance(error, NatsGymError) else told(error)
        raise AgentError(f"{name} cannot search: {said}") from error
    if find_difference(before, _shared_state()):
        raise AgentError(
            f"{name} draws from the random numbers that all of Python shares; every draw comes "
            "from the streams that it is made with"
        )


def _shared_state() -> tuple[Any, ...]:
    return np.random.get_state(), random.getstate()  # noqa: NPY002 - looked at, not drawn from


def _compare(what: str, one: SearchResult, other: SearchResult) -> None:
    """Raise where the last runs that both have are not the same."""
    for run in range(-one.runs, 0):
        for column in _ASKED:
            mine, theirs = (np.asarray(getattr(result, column))[run] for result in (one, other))
            if different := find_difference(mine, theirs):
                raise AgentError(
                    f"{what}: {column}{different.place} is {different.mine}, and "
                    f"{different.theirs}; every draw comes from the agent's streams, a row a run, "
                    "and nothing is shared between runs or agents"
                )
