"""Which evaluator answers for an environment, and the warning that it estimates."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from nats_gym import checks
from nats_gym.datasets import DATASETS, get_dataset
from nats_gym.errors import InvalidInput, SurrogateWarning, listed, shown, warn_caller
from nats_gym.evaluators import UNSTATED, Evaluator, TableEvaluator, make_evaluator
from nats_gym.evaluators.protocol import check_subject
from nats_gym.files.writing import check_source
from nats_gym.simulation.schedule import Epochs, check_epochs
from nats_gym.spaces import ArchitectureSpace, Figure, get_space
from nats_gym.tables import SURROGATE, Table, load_table
from nats_gym.tables.column import is_estimate
from nats_gym.tables.figure_names import LISTED_BY
from nats_gym.tables.load import SOURCES, datasets_of

from .judge import Judge

_warned: set[tuple[str, str, str]] = set()
#: By space and data set, what is estimated of those that are made together.
Estimated = dict[tuple[str, str], set[str]]
_together: ContextVar[Estimated | None] = ContextVar("_together", default=None)


def choose_dataset(
    space: ArchitectureSpace, dataset: str | None, source: object, evaluator: object
) -> str:
    """Name of the data set of an environment, where none was given too.

    Then it is that of the evaluator or of the table's folder, if they say so; else the first that
    the space has a budget for; else CIFAR-10.

    Raises:
        InvalidInput: for an unknown one.
    """
    if dataset is None:
        table = evaluator.table if isinstance(evaluator, TableEvaluator) else evaluator
        dataset = getattr(table, "dataset", None)
    if dataset is None and evaluator is None and source not in SOURCES:
        dataset = datasets_of(check_source(source))[0]
    if dataset is None:
        dataset = next(iter(space.budgets or DATASETS))
    return get_dataset(dataset).name


def choose_evaluator(
    space: str,
    dataset: str,
    epochs: Epochs | None,
    trial: str | int,
    source: str | os.PathLike[str],
    evaluator: Evaluator | str | Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> tuple[Evaluator, Epochs, tuple[str, str]]:
    """The evaluator of an environment, its schedule, and the provenance of accuracies and seconds.

    Without an ``evaluator`` the table of ``source`` answers. A warning says once per table and
    schedule if a table estimates. Another evaluator says what its figures rest on with every
    outcome.

    Args:
        space, dataset, trial, source: the environment's.
        epochs: likewise; None for the longest that the table has, or the data set's full one.
        evaluator: an object, or what :func:`nats_gym.evaluators.make_evaluator` makes one of.
        options: of an evaluator that is made here.

    Raises:
        InvalidInput: for what is no evaluator, for one of another space or data set, and for a
            ``trial`` or ``source`` beside an evaluator, which would not be asked.
    """
    get_dataset(dataset)
    own = get_space(space).full_epochs_on(dataset)
    if epochs is not None:
        epochs = check_epochs(epochs, own)
    if isinstance(evaluator, (str, Mapping)):
        evaluator = make_evaluator(evaluator, space, dataset, **options)
    if evaluator is None:
        evaluator = TableEvaluator(load_table(space, dataset, check_source(source)), trial)
    elif (trial, source) != ("random", "auto"):
        raise InvalidInput("trial and source choose a table to answer; evaluator= answers itself")
    if not checks.follows(evaluator, Evaluator):
        raise InvalidInput(
            "an evaluator is an object with evaluate(index, epochs, trial_keys), "
            f"got {shown(evaluator)}"
        )
    if not isinstance(evaluator, TableEvaluator):
        check_subject(evaluator, space, dataset)
        return evaluator, epochs or own, (UNSTATED, UNSTATED)
    table = evaluator.table
    if (table.space.name, table.dataset) != (space, dataset):
        raise InvalidInput(
            f"the evaluator's table is of {table.space.name} {table.dataset}, "
            f"the environment of {space} {dataset}"
        )
    epochs = epochs or table.full_epochs
    return evaluator, epochs, (prepare(evaluator, epochs), table.seconds_provenance)


def prepare(evaluator: TableEvaluator, epochs: Epochs) -> str:
    """Make a schedule of a table ready, and warn if it estimates; its provenance."""
    provenance = evaluator.prepare(epochs)
    if provenance == SURROGATE and evaluator.announce:
        _warn_once(
            evaluator.table.space.name,
            evaluator.table.dataset,
            f"at {epochs} epochs is answered by a surrogate: accuracies",
        )
    return provenance


def warn_of_columns(
    space: str,
    dataset: str,
    evaluator: Evaluator,
    figures: Iterable[Figure],
    judge: Judge | None = None,
) -> None:
    """Warn once of what else an environment takes from a surrogate: columns, and test accuracies.

    Args:
        space, dataset, evaluator, judge: the environment's.
        figures: of its limits, its objectives, its reward and what `info` says.
    """
    if isinstance(evaluator, TableEvaluator) and not evaluator.announce:
        return
    names = {figure.name for figure in figures if is_estimate(figure.provenance)}
    if judge and judge.estimates:
        names.add("test accuracy")
    with warned_together() as estimated:
        estimated[space, dataset] |= names


@contextmanager
def warned_together() -> Iterator[Estimated]:
    """Warn once a data set, at the end, of what all environments made in the block estimate."""
    outer = _together.get()
    estimated: Estimated = defaultdict(set) if outer is None else outer
    token = _together.set(estimated)
    try:
        yield estimated
    finally:
        _together.reset(token)
    for (space, dataset), names in estimated.items() if outer is None else ():
        if names:
            told = listed(sorted(names), LISTED_BY)
            _warn_once(space, dataset, f"rests on a surrogate: figures of {told}")


def table_evaluator(table: Table, trial: str | int, schedules: Sequence[Epochs]) -> TableEvaluator:
    """An evaluator of another trial of a table, its schedules ready.

    Raises:
        InvalidInput: for another trial than `TableEvaluator` knows.
        NotInTable: if the table lacks it.
    """
    evaluator = TableEvaluator(table, trial)
    for epochs in schedules:
        evaluator.prepare(epochs)
    return evaluator


def choose_judge(space: str, dataset: str, evaluator: Evaluator) -> Judge:
    """The judge of an environment: on its evaluator's table, or on the best at hand."""
    return Judge(judging_table(space, dataset, evaluator))


def judging_table(space: str, dataset: str, evaluator: Evaluator) -> Table:
    """The table that knows how good an answer is: the evaluator's, or the best at hand."""
    if isinstance(evaluator, TableEvaluator):
        return evaluator.table
    return load_table(space, dataset)


def _warn_once(space: str, dataset: str, what: str) -> None:
    if (space, dataset, what) not in _warned:
        _warned.add((space, dataset, what))
        warn_caller(
            f"{space} {dataset} {what} are a model's estimates, not measured", SurrogateWarning
        )
