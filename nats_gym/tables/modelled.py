"""Columns that a surrogate makes on load, from coefficients and the columns beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.datasets import get_dataset
from nats_gym.errors import CorruptTable
from nats_gym.tables.column import Column
from nats_gym.tables.folder import checked_file
from nats_gym.tables.surrogates import (
    DATASET_ORDER,
    REFERENCE_IMAGES,
    CostSurrogate,
    SizeSurrogate,
    TopologySurrogate,
)

if TYPE_CHECKING:
    from nats_gym.tables.table import Table


def figures(table: Table, column: Column) -> NDArray[Any]:
    """Compute a modelled column, ``(arch,)``.

    Raises:
        CorruptTable: if its coefficients are missing or damaged, or its model is unknown.
    """
    model = _MODELS.get(column.model)
    if model is None:
        raise CorruptTable(f"{table.folder}: column {column.name} has no model {column.model!r}")
    checked_file(table.folder, column)
    return model(table, column)


def noise_std(table: Table, column: Column, expected: NDArray[np.floating]) -> NDArray[np.float64]:
    """Standard deviation of one trial in points, ``(arch,)``, around ``expected`` (percent)."""
    folder = checked_file(table.folder, column).parent
    if table.space.name == "tss":
        return TopologySurrogate.load(folder).sigma(expected, table.dataset)
    return SizeSurrogate.load(table.dataset, column.split, folder).sigma(expected)


def _topology_accuracy(table: Table, column: Column) -> NDArray[Any]:
    from nats_gym.tables.load import load_table

    folder = checked_file(table.folder, column).parent
    # The model reads the measured full-schedule figures of all three data sets.
    measured = [load_table("tss", d, "embedded").mean_accuracy("valid") for d in DATASET_ORDER]
    surrogate = TopologySurrogate.load(folder)
    return surrogate.accuracy(table.space.all_digits(), np.stack(measured, axis=1), table.dataset)


def _size_accuracy(table: Table, column: Column) -> NDArray[Any]:
    folder = checked_file(table.folder, column).parent
    surrogate = SizeSurrogate.load(table.dataset, column.split, folder)
    return surrogate.accuracy(table.space.all_digits())


def _topology_valid_seconds(table: Table, column: Column) -> NDArray[Any]:
    costs = CostSurrogate.load(checked_file(table.folder, column).parent)
    share = REFERENCE_IMAGES / get_dataset(table.dataset).train_images
    on_reference = table.train_seconds(1) * share
    return costs.topology_valid_seconds(table.space.all_digits(), on_reference, table.dataset)


def _size_cost(table: Table, column: Column) -> NDArray[Any]:
    costs = CostSurrogate.load(checked_file(table.folder, column).parent)
    flops = table.space.flops(table.space.all_digits(), table.dataset)
    line = {
        "train_seconds_per_epoch": costs.size_train_seconds,
        "evaluation_seconds": costs.size_valid_seconds,
        "latency": costs.size_latency,
    }[column.quantity]
    return line(flops, table.dataset)


_MODELS = {
    "topology-accuracy": _topology_accuracy,
    "topology-valid-seconds": _topology_valid_seconds,
    "size-accuracy": _size_accuracy,
    "size-cost": _size_cost,
}
