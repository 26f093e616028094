"""What a vector says of its copies: figures of those that were evaluated, spread over all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.spaces.decisions import Indices

Bools = NDArray[np.bool_]
#: Figures by name, an array of a number or an object for each.
Columns = dict[str, NDArray[Any]]
#: Under which an evaluator's own metrics travel until they are spread over all copies.
METRICS = "_metrics"
#: Which copies were evaluated, ascending, and by name what `info` says of each of them.
Metrics = tuple[Indices, Columns]


def spread(which: Indices, metrics: Columns, copies: int) -> dict[str, Any]:
    """Figures of some copies as arrays of all, and under ``_name`` which copies have them."""
    infos: dict[str, Any] = {}
    if METRICS in metrics:
        metrics = dict(metrics)
        for name, rows, values in _gather_columns(metrics.pop(METRICS)):
            infos.update(spread(which[rows], {name: values}, copies))
    if len(which) == copies:
        for name, values in metrics.items():
            infos[name], infos[f"_{name}"] = values, np.ones(copies, bool)
        return infos
    mask = np.zeros(copies, bool)
    mask[which] = True
    for name, values in metrics.items():
        # Empty arrays of objects hold None.
        make = np.empty if values.dtype == object else np.zeros
        everywhere = make(copies, values.dtype)
        everywhere[which] = values
        infos[name], infos[f"_{name}"] = everywhere, mask.copy()
    return infos


def make_dictionaries(metrics: Columns, count: int) -> NDArray[Any]:
    """Figures by name as an array of objects: a dictionary for each evaluation."""
    columns = {name: values.tolist() for name, values in metrics.items()}
    found = np.empty(count, object)
    for i in range(count):
        found[i] = {name: values[i] for name, values in columns.items()}
    return found


def _gather_columns(dictionaries: NDArray[Any]) -> Iterator[tuple[str, Indices, NDArray[Any]]]:
    """Of every name in them: which have it, and its values; a table's evaluations have none."""
    dictionaries = np.array([one or {} for one in dictionaries], object)
    for name in dict.fromkeys(name for one in dictionaries for name in one):
        rows = np.flatnonzero([name in one for one in dictionaries])
        values = np.array([dictionaries[row][name] for row in rows])
        yield name, rows, values.astype(object) if values.dtype.kind == "U" else values


def select(evaluated: Metrics | None, of: Bools) -> Metrics | None:
    """What was evaluated of some copies; None for nothing."""
    if evaluated is None:
        return None
    which, metrics = evaluated
    kept = of[which]
    if kept.all():
        return evaluated
    if not kept.any():
        return None
    return which[kept], {name: values[kept] for name, values in metrics.items()}


def merge_metrics(one: Metrics | None, other: Metrics | None) -> Metrics | None:
    """What was evaluated in two parts of a step."""
    if one is None or other is None:
        return one or other
    which = np.concatenate([one[0], other[0]])
    order = np.argsort(which)
    columns = ((name, np.concatenate([values, other[1][name]])) for name, values in one[1].items())
    return which[order], {name: values[order] for name, values in columns}
