"""What a search is called with: checked, defaults filled in, plain values that JSON holds."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nats_gym import checks
from nats_gym.clock import MAX_RUNS, check_budget, default_budget
from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, said, shown
from nats_gym.evaluators import check_trial
from nats_gym.files import check_source
from nats_gym.result import SearchArguments
from nats_gym.schedule import LONGEST, Epochs, check_epochs
from nats_gym.spaces import get_space
from nats_gym.streams import RunStreams, run_keys
from nats_gym.tables import load_table
from nats_gym.workers import check_workers

from .ladder import check_rungs

#: What going on with a training may cost.
CONTINUING = ("difference", "scratch")
#: Real seconds that a supernet may take for an epoch where no budget is given: no cap in practice.
SUPERNET_SECONDS = 3600.0
#: What a search itself tells an agent.
TOLD = ("among", "budget", "checkpoint", "epochs", "progress", "rungs", "seed", "space", "streams")


def search_arguments(
    space: str,
    dataset: str,
    agent: str | Callable[..., Any] = "reinforce",
    epochs: Epochs | None = None,
    budget: float | None = None,
    runs: int = 1,
    seed: int = 0,
    source: str | os.PathLike[str] = "auto",
    *,
    trial: str | int = "random",
    options: Mapping[str, Any] | None = None,
    rungs: Sequence[Epochs] | None = None,
    workers: int = 1,
    continuing: str | None = None,
    first_run: int = 0,
    supernet_epochs: int | None = None,
) -> SearchArguments:
    """What a search's result records of its arguments: checked, defaults filled in.

    Arguments and exceptions as :func:`search`.
    """
    from nats_gym.agents import continuing_of, find_agent, kind_of

    name, factory = find_agent(agent)
    options = _plain_options(options)
    for option in options:
        if option in TOLD:
            raise InvalidInput(f"{option} is what the search tells an agent, no option of {name}")
    kind = kind_of(factory, options, name)
    _try(factory, kind, space, options, name)
    space, dataset = get_space(space).name, get_dataset(dataset).name
    full_epochs = get_space(space).full_epochs_on(dataset)
    if kind == "weight-sharing":
        _check_supernet(agent, space, dataset, options)
        given = epochs if supernet_epochs is None else supernet_epochs
        epochs = None if supernet_epochs is None else epochs
        supernet_epochs = _check_supernet_epochs(given, dataset)
        trial = "mean"  # it is judged, not sampled
    elif supernet_epochs is not None:
        raise InvalidInput(f"supernet_epochs= is for weight-sharing searches, not for {name}")
    if epochs is None:
        full_epochs = load_table(space, dataset, check_source(source)).full_epochs
    epochs = check_epochs(epochs, full_epochs)
    if budget is None and supernet_epochs is not None:
        budget = SUPERNET_SECONDS * supernet_epochs
    budget = check_budget(default_budget(space, dataset, epochs) if budget is None else budget)
    if not math.isfinite(budget):
        raise InvalidInput(f"a search needs a finite budget of seconds, got {budget}")
    arguments = SearchArguments(
        space=space,
        dataset=dataset,
        agent=name,
        options=options,
        epochs=epochs,
        budget=budget,
        runs=checks.integer(runs, "runs", 1, MAX_RUNS),
        seed=checks.seed(seed),
        source=str(check_source(source)),
        trial=check_trial(trial),
        first_run=checks.integer(first_run, "the first run's number", 0),
        supernet_epochs=supernet_epochs,
        rungs=None,
        workers=check_workers(workers),
        continuing=None,
    )
    if kind == "multi-fidelity":
        if continuing is None:
            continuing = continuing_of(factory)
        continuing = checks.word(continuing, "cost of continuing", CONTINUING)
        return replace(arguments, rungs=check_rungs(rungs, full_epochs), continuing=continuing)
    for given, what in (
        (rungs is not None, "rungs"),
        (continuing is not None, "continuing"),
        (arguments.workers != 1, "workers"),
    ):
        if given:
            raise InvalidInput(f"{what}= is for multi-fidelity agents such as asha, not for {name}")
    return arguments


def _check_supernet(
    agent: str | Callable[..., Any], space: str, dataset: str, options: Mapping[str, Any]
) -> None:
    """Raise ``InvalidInput`` if a weight-sharing search is of another space, or refuses options."""
    from nats_gym.agents.weight_sharing import METHODS, get_method

    if isinstance(agent, str) and agent in METHODS:
        searched = get_method(agent).space
        if searched != space:
            raise InvalidInput(f"{agent} searches {searched}, not {space}")
        if options:
            from nats_gym.agents.weight_sharing.supernet_search import SupernetSearch

            SupernetSearch.check(agent, dataset, **options)


def _check_supernet_epochs(epochs: Any, dataset: str) -> int:
    """The epochs of a supernet, its default filled in; ``InvalidInput`` unless they are such."""
    from nats_gym.agents.weight_sharing.arguments import EPOCHS

    if epochs is None:
        return get_dataset(dataset).supernet.get("epochs", EPOCHS)
    return checks.integer(epochs, "epochs of a weight-sharing search's supernet", 1, LONGEST)


def _try(
    factory: Callable[..., Any], kind: str, space: str, options: Mapping[str, Any], name: str
) -> None:
    """Make an agent with the options that it is going to have, so that they are refused now."""
    if not options or kind == "weight-sharing":  # whose supernet takes a while
        return
    streams = RunStreams(run_keys([0]))
    made_with: tuple[Any, ...] = () if kind == "environment" else (get_space(space), streams)
    rungs = {"rungs": 2} if kind == "multi-fidelity" else {}
    try:
        factory(*made_with, **rungs, **options)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error}") from None
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        raise InvalidInput(f"{name} cannot be made with {shown(options)}: {said(error)}") from None


def _plain_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """An agent's keyword arguments; ``InvalidInput`` unless they can be recorded."""
    if options is None:
        return {}
    given = checks.mapping(options, "options are a dictionary of the agent's")
    checks.plain(given, "an agent's options, which a result records,")
    return given
