"""What a search is called with: checked, defaults filled in, plain values that JSON holds."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nats_gym.clock import check_budget, default_budget
from nats_gym.datasets import DIGITS, get_dataset
from nats_gym.errors import InvalidInput, shown, unknown_name
from nats_gym.evaluators import check_trial
from nats_gym.files import check_source
from nats_gym.schedule import Epochs, check_epochs
from nats_gym.spaces import get_space
from nats_gym.streams import RunStreams, run_keys
from nats_gym.workers import check_workers

from .ladder import check_rungs

MAX_RUNS = 1_000_000
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
) -> dict[str, Any]:
    """What a search's result records of its arguments: checked, defaults filled in, plain values.

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
    full_epochs = get_space(space).full_epochs_on(dataset)
    if kind == "weight-sharing":
        _check_supernet(agent, space, dataset, options)
        given = epochs if supernet_epochs is None else supernet_epochs
        epochs = None if supernet_epochs is None else epochs
        supernet_epochs = _check_supernet_epochs(given, dataset)
        trial = "mean"  # it is judged, not sampled
    epochs = check_epochs(epochs, full_epochs)
    if budget is None and supernet_epochs is not None:
        budget = SUPERNET_SECONDS * supernet_epochs
    budget = check_budget(default_budget(space, dataset, epochs) if budget is None else budget)
    if not math.isfinite(budget):
        raise InvalidInput(f"a search needs a finite budget of seconds, got {budget}")
    if not _is_integer(runs) or not 1 <= runs <= MAX_RUNS:
        raise InvalidInput(f"runs is a positive integer up to {MAX_RUNS:,}, got {shown(runs)}")
    for value, what in ((seed, "a seed"), (first_run, "the first run's number")):
        if not _is_integer(value) or value < 0:
            raise InvalidInput(f"{what} is an integer from 0, got {shown(value)}")
    arguments: dict[str, Any] = {
        "space": space,
        "dataset": dataset,
        "agent": name,
        "options": options,
        "epochs": epochs,
        "budget": budget,
        "runs": int(runs),
        "seed": int(seed),
        "source": str(check_source(source)),
        "trial": check_trial(trial),
        "first_run": int(first_run),
        "supernet_epochs": supernet_epochs,
        "rungs": None,
        "workers": check_workers(workers),
        "continuing": None,
    }
    if kind == "multi-fidelity":
        if continuing is None:
            continuing = continuing_of(factory)
        if continuing not in CONTINUING:
            raise unknown_name("cost of continuing", continuing, CONTINUING)
        arguments |= {"rungs": check_rungs(rungs, full_epochs), "continuing": continuing}
        return arguments
    if supernet_epochs is not None and kind != "weight-sharing":
        raise InvalidInput(f"supernet_epochs= is for weight-sharing searches, not for {name}")
    for given, what in (
        (rungs is not None, "rungs"),
        (continuing is not None, "continuing"),
        (workers != 1, "workers"),
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

            get_dataset(dataset)
            SupernetSearch.check(agent, dataset, **options)


def _check_supernet_epochs(epochs: Any, dataset: str) -> int:
    """The epochs of a supernet, its default filled in; ``InvalidInput`` unless they are such."""
    from nats_gym.agents.weight_sharing.arguments import DIGITS_EPOCHS, EPOCHS

    if epochs is None:
        return DIGITS_EPOCHS if dataset == DIGITS.name else EPOCHS
    if not _is_integer(epochs) or epochs < 1:
        raise InvalidInput(
            f"epochs of a weight-sharing search are its supernet's, from 1; got {shown(epochs)}"
        )
    return int(epochs)


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
        raise InvalidInput(f"{name} cannot be made with {shown(options)}: {error}") from None


def _plain_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """An agent's keyword arguments; ``InvalidInput`` unless they can be recorded."""
    if not isinstance(options, (Mapping, type(None))):
        raise InvalidInput(f"options are a dictionary of the agent's, got {shown(options)}")
    plain = dict(options or {})
    try:
        if not all(isinstance(name, str) for name in plain):
            raise TypeError
        json.dumps(plain)
    except (TypeError, ValueError):
        raise InvalidInput(
            f"an agent's options are numbers, text, lists and dictionaries by name, so that they "
            f"can be recorded; got {shown(plain)}"
        ) from None
    return plain


def _is_integer(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
