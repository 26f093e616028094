"""Runs a weight-sharing search: real training on a real clock, its answers looked up in the table.

After every epoch the architecture that the supernet stands for is looked up at its full schedule,
so that a whole search is judged without training anything again. The clock is charged the real
seconds of the epoch. A run's answer is its last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import InvalidInput
from nats_gym.result import RECORDED
from nats_gym.schedule import Epochs
from nats_gym.tables import Table

from .asking import Columns

if TYPE_CHECKING:
    from nats_gym.agents.weight_sharing.supernet_result import SupernetResult


def known_digits(table: Table, epochs: Epochs) -> NDArray[np.int64] | None:
    """Digits of what a partial table has at a schedule, ``(m, n)``; None where it has all."""
    known = np.flatnonzero(~np.isnan(table.mean_accuracy("valid", epochs)))
    return None if len(known) == table.space.size else table.space.digits(known)


def run_sharing(
    make: Callable[..., Any],
    table: Table,
    epochs: int | None,
    budget: float,
    seeds: list[int],
    options: Mapping[str, Any],
    checkpoints: Path | None,
    progress: Callable[[float], None],
) -> tuple[Columns, NDArray[np.float64]]:
    """Let a weight-sharing search run for every seed.

    Args:
        make: called with the data set and the keyword arguments of
            :class:`~nats_gym.agents.weight_sharing.supernet_search.SupernetSearch`.
        table: looked up in. Where it is partial, searches choose among what it has.
        epochs: of the supernet; None for the search's own.
        budget: real seconds of each run.
        seeds: one a run.
        options: further keyword arguments.
        checkpoints: folder for a checkpoint of every run, to go on from; None keeps none.
        progress: called with the share done, in [0, 1].

    Returns:
        The columns of a result, and alpha after every epoch, ``(runs, epochs, n, k)``; NaN behind
        the end.
    """
    accuracy = table.mean_accuracy("valid")
    among = known_digits(table, table.full_epochs)
    found: list[SupernetResult] = []
    for run, seed in enumerate(seeds):

        def tell(result: SupernetResult, run: int = run) -> None:
            passed = len(result.index) / int(result.arguments["epochs"])
            spent = float(result.seconds[-1]) / budget
            progress((run + min(max(passed, spent), 1.0)) / len(seeds))

        search = make(
            table.dataset,
            epochs=epochs,
            seed=seed,
            budget=budget,
            among=among,
            checkpoint=None if checkpoints is None else checkpoints / f"{seed}.pt",
            progress=tell,
            **options,
        )
        searched = search.arguments["space"], search.arguments["dataset"]
        if searched != (table.space.name, table.dataset):
            raise InvalidInput(
                f"the weight-sharing search is of {' '.join(searched)}, the table of "
                f"{table.space.name} {table.dataset}"
            )
        found.append(search.run())
    shape = len(seeds), max(len(result.index) for result in found)
    columns: Columns = {name: np.full(shape, padding) for name, padding in RECORDED.items()}
    alphas = np.full((*shape, table.space.num_decisions, table.space.num_choices), np.nan)
    for run, result in enumerate(found):
        count = len(result.index)
        columns["index"][run, :count] = result.index
        columns["accuracy"][run, :count] = accuracy[result.index]
        columns["seconds"][run, :count] = np.diff(result.seconds, prepend=0.0)
        columns["clock"][run, :count] = result.seconds
        columns["rung"][run, :count] = 0
        columns["evaluation"][run, :count] = np.arange(count)
        alphas[run, :count] = result.alphas
    return columns, alphas
