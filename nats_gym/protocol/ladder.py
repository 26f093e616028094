"""The rungs that a multi-fidelity agent trains its architectures to."""

from __future__ import annotations

import numpy as np

from nats_gym.checks import as_list
from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, NotInTable, shown
from nats_gym.evaluators import TableEvaluator
from nats_gym.simulation.schedule import Epochs, check_epochs, trained_epochs

#: How many times longer each rung trains than the one below, where the ladder is ours to choose.
FACTOR = 3

Ladder = tuple[Epochs, ...]


def check_rungs(rungs: object, full_epochs: int) -> Ladder | None:
    """Return ``rungs`` in plain form.

    Raises:
        InvalidInput: unless they are None, or two schedules at least, each trained for longer
            than the one before.
    """
    if rungs is None:
        return None
    given = as_list(rungs)
    if given is not None and len(given) > 1:
        checked = tuple(check_epochs(epochs, full_epochs) for epochs in given)
        trained = [trained_epochs(epochs) for epochs in checked]
        if trained == sorted(set(trained)):
            return checked
    raise InvalidInput(
        "rungs are two schedules or more, each of more epochs than the one before, such as "
        f"['1/12', '4/12', 12]; got {shown(rungs)}"
    )


def find_rungs(evaluator: TableEvaluator, epochs: Epochs, rungs: Ladder | None) -> Ladder:
    """The ladder that a search climbs, with its columns loaded.

    Args:
        evaluator: of the table searched.
        epochs: schedule that the search is on.
        rungs: those asked for. None for the states of ``epochs`` after a third of it, a ninth and
            so on, if the table has learning curves of it, else for all schedules of the table.

    Raises:
        NotInTable: if the table lacks one of those asked for, or has but one schedule.
    """
    if rungs is not None:
        _load(evaluator, rungs)
        return rungs
    states = states_of(epochs)
    table = evaluator.table
    try:
        _load(evaluator, states)
    except NotInTable:
        states = ()
    if len(states) > 1:  # a schedule of two epochs has no third
        return states
    schedules = table.epochs("valid")
    if len(schedules) < 2:
        hint = "an official archive has them: nats-gym data import PATH"
        if not get_dataset(table.dataset).in_nats_bench:
            hint = table.remedy("accuracy_curve")
        raise NotInTable(
            f"a multi-fidelity agent needs two rungs at least; the {table.source} table of "
            f"{table.space.name} {table.dataset} has {schedules[0]} epochs only, and no learning "
            f"curves; {hint}"
        )
    _load(evaluator, schedules)
    return schedules


def states_of(epochs: Epochs) -> Ladder:
    """A schedule's states after a third, a ninth … of its epochs, and the whole of it."""
    length = trained_epochs(epochs)
    whole = str(epochs).split("/")[-1]
    trained = []
    while length:
        trained.append(length)
        length //= FACTOR
    return tuple(check_epochs(f"{count}/{whole}", int(whole)) for count in reversed(trained))


def _load(evaluator: TableEvaluator, rungs: Ladder) -> None:
    """Load every rung; ``NotInTable`` if one lacks architectures that the last one has."""
    table = evaluator.table
    held = ~np.isnan(table.mean_accuracy("valid", rungs[-1]))
    for epochs in rungs:
        evaluator.prepare(epochs)
        if np.isnan(table.mean_accuracy("valid", epochs)[held]).any():
            raise NotInTable(f"{shown(table)} has no validation accuracy of every one at {epochs}")
