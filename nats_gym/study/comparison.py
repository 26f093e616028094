"""Several searches beside each other: by task, and the regrets that statistics are made of.

A task is what agents are compared on: a space, a data set, a search schedule and a budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import InvalidInput, shown
from nats_gym.results.result import SearchResult
from nats_gym.study.curves import relative_regret

Searches: TypeAlias = Mapping[str, SearchResult]


class Grouped(Protocol):
    """Results of a study."""

    def groups(self) -> Mapping[Any, Searches]:
        """Searches by label, by task."""


#: The searches of one task by label, those of several tasks, or a study's results.
Results: TypeAlias = Searches | Mapping[Any, Searches] | Grouped


def tasks_of(results: Results) -> list[dict[str, SearchResult]]:
    """The searches of each task by label.

    Raises:
        InvalidInput: if there are none.
    """
    given: Any = results if isinstance(results, Mapping) else results.groups()
    of_one = any(isinstance(value, SearchResult) for value in given.values())
    tasks = [dict(searches) for searches in ([given] if of_one else given.values())]
    tasks = [searches for searches in tasks if searches]
    if not tasks:
        raise InvalidInput("a comparison needs one search at least, got none")
    for searches in tasks:
        for label, result in searches.items():
            if not isinstance(result, SearchResult):
                raise InvalidInput(f"{shown(label)} is no SearchResult: {shown(result)}")
    return tasks


def capitalised(text: str) -> str:
    """Text that begins a line; what is written large within it stays."""
    return text[:1].upper() + text[1:]


def all_labels(tasks: Sequence[Searches]) -> list[str]:
    """Labels of all tasks, in the order of their first appearance."""
    return list(dict.fromkeys(label for searches in tasks for label in searches))


def common_labels(tasks: Sequence[Searches]) -> list[str]:
    """Labels that every task has, in order; only these can be compared over all tasks.

    Raises:
        InvalidInput: if there are none.
    """
    labels = [label for label in all_labels(tasks) if all(label in searches for searches in tasks)]
    if not labels:
        raise InvalidInput(f"no agent ran on all of {len(tasks)} tasks: {all_labels(tasks)}")
    return labels


def final_regrets(tasks: Sequence[Searches]) -> dict[str, NDArray[np.float64]]:
    """Regret of each run's answer, ``(runs, tasks)``, by label, of agents that ran on all tasks.

    Percentage points of one task; relative to the median architecture's of several. A run that a
    partial table cannot judge is left out.

    Raises:
        InvalidInput: if an agent's numbers of runs differ between tasks, or none is judged.
    """
    regrets = {}
    for label in common_labels(tasks):
        searches = [task[label] for task in tasks]
        counts = [result.runs for result in searches]
        if len(set(counts)) > 1:
            raise InvalidInput(
                f"{shown(label)} has {counts} runs; an aggregate over tasks needs as many in each"
            )
        several = len(searches) > 1
        columns = [relative_regret(r) if several else r.regret() for r in searches]
        table = np.stack(columns, axis=1)
        judged = ~np.isnan(table).any(axis=1)
        if not judged.any():
            raise InvalidInput(
                f"the table holds no full-schedule accuracy of {shown(label)}'s answers"
            )
        regrets[label] = table[judged]
    return regrets


def regret_blocks(tasks: Sequence[Searches]) -> dict[str, NDArray[np.float64]]:
    """Regret of each run's answer on each task, ``(blocks,)``, of agents that ran on all tasks.

    A block is a run number of a task; runs of one number share a seed. Blocks in which a partial
    table cannot judge some agent are left out.

    Raises:
        InvalidInput: if numbers of runs differ between the agents of a task, or no block is left.
    """
    labels = common_labels(tasks)
    for task in tasks:
        counts = {label: task[label].runs for label in labels}
        if len(set(counts.values())) > 1:
            raise InvalidInput(f"ranks need as many runs of every agent, got {counts}")
    columns = [np.concatenate([task[label].regret() for task in tasks]) for label in labels]
    table = np.stack(columns, axis=1)
    judged = table[~np.isnan(table).any(axis=1)]
    if not len(judged):
        raise InvalidInput(f"the table judges no block of all agents {labels}")
    return dict(zip(labels, judged.T, strict=True))
