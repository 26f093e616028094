"""Columns that a surrogate makes on load, from coefficients and the columns beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nats_gym.datasets import get_dataset
from nats_gym.errors import CorruptTable, NatsGymError, said, shown
from nats_gym.spaces import ArchitectureSpace
from nats_gym.spaces.nasbench101 import NASBench101Space
from nats_gym.tables import devices, ridge
from nats_gym.tables.cell_figures import cell_figures
from nats_gym.tables.cell_surrogate import (
    ACCURACIES,
    CHANCE,
    CellSurrogate,
    skewed_quantiles,
    working_accuracy,
)
from nats_gym.tables.cell_surrogate import EPOCHS as CELL_EPOCHS
from nats_gym.tables.cell_surrogate import FILE as CELL_FILE
from nats_gym.tables.column import Column
from nats_gym.tables.folder import check_file
from nats_gym.tables.scatter import Scatter
from nats_gym.tables.surrogates import (
    DATASET_ORDER,
    REFERENCE_IMAGES,
    TOPOLOGY_FILES,
    CostSurrogate,
    SizeSurrogate,
    TopologySurrogate,
    size_model_name,
)


class Known(Protocol):
    """What a model may ask of the table whose column it makes: see ``Table``."""

    folder: Path
    space: ArchitectureSpace
    dataset: str

    def train_seconds(self, epochs: int) -> NDArray[np.float64]: ...

    def measured_elsewhere(self, dataset: str) -> NDArray[np.floating]: ...


def figures(table: Known, column: Column) -> NDArray[Any]:
    """Compute a modelled column, ``(arch,)``.

    Raises:
        CorruptTable: if its coefficients are missing or damaged, or its model is unknown.
    """
    model = _MODELS.get(column.model)
    if column.model != ridge.MODEL:
        name = model.file(table.dataset, column.split) if model else ""
        if (
            model is None
            or (model.space, name) != (table.space.name, Path(column.file).name)
            or column.name not in model.columns
        ):
            raise CorruptTable(
                f"{table.folder}: no model {shown(column.model)} makes {column.name} of "
                f"{table.space.name} from {column.file}"
            )
    path = check_file(table.folder, column)
    with _coefficients_of(path):
        if model is None:
            model_of_column, features = _fit_column(table, column)
            return model_of_column.figures(features, column.quantity)
        return model.figures(table, column, path.parent)


def tells_splits_apart(column: Column) -> bool:
    """Whether a column's model has an estimate of its own for each split, in one file."""
    model = _MODELS.get(column.model)
    return model is not None and model.tells_splits_apart


def scatter(table: Known, column: Column, mean: NDArray[np.floating]) -> Scatter:
    """How trials of a modelled column lie around its ``mean (arch,)``, percent.

    Raises:
        CorruptTable: if its coefficients are missing or damaged.
    """
    path = table.folder / column.file
    expected = mean.astype(np.float64)
    with _coefficients_of(path):
        if column.model == ridge.MODEL:
            noise = _fit_column(table, column)[0].noise
            if noise is None:
                raise ValueError(f"{column.name} without noise")
            return Scatter.normal(expected, noise(mean))
        found = _MODELS[column.model].scatter
        if found is None:
            raise ValueError(f"{column.name} without noise")
        return found(table, column, mean, path.parent)


@contextmanager
def _coefficients_of(path: Path) -> Iterator[None]:
    """Turn whatever wrong coefficients run into, into ``CorruptTable``."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is looked at
            yield
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        if isinstance(error, NatsGymError):
            raise
        raise CorruptTable(f"{path}: not a surrogate's coefficients ({said(error)})") from error


def _fit_column(table: Known, column: Column) -> tuple[ridge.FittedColumn, NDArray[Any]]:
    choices = table.space.all_choices()
    features = ridge.architecture_features(table.space, choices, table.dataset)
    path = table.folder / column.file
    return ridge.FittedColumn.load(path, features.shape[1]), features


def _topology_accuracy(table: Known, column: Column, folder: Path) -> NDArray[Any]:
    # The model reads the measured full-schedule figures of all three data sets.
    measured = [table.measured_elsewhere(dataset) for dataset in DATASET_ORDER]
    surrogate = TopologySurrogate.load(folder, column.split)
    return surrogate.accuracy(table.space.all_choices(), np.stack(measured, axis=1), table.dataset)


def _size_accuracy(table: Known, column: Column, folder: Path) -> NDArray[Any]:
    surrogate = SizeSurrogate.load(table.dataset, column.split, folder)
    return surrogate.accuracy(table.space.all_choices())


def _topology_valid_seconds(table: Known, column: Column, folder: Path) -> NDArray[Any]:
    costs = CostSurrogate.load(folder)
    share = REFERENCE_IMAGES / get_dataset(table.dataset).train_images
    on_reference = table.train_seconds(1) * share
    return costs.topology_valid_seconds(table.space.all_choices(), on_reference, table.dataset)


def _topology_scatter(
    table: Known, column: Column, mean: NDArray[np.floating], folder: Path
) -> Scatter:
    sd = TopologySurrogate.load(folder, column.split).sigma(mean, table.dataset)
    return Scatter.normal(mean.astype(np.float64), sd)


def _size_scatter(
    table: Known, column: Column, mean: NDArray[np.floating], folder: Path
) -> Scatter:
    sd = SizeSurrogate.load(table.dataset, column.split, folder).sigma(mean)
    return Scatter.normal(mean.astype(np.float64), sd)


def _cells(table: Known) -> NASBench101Space:
    assert isinstance(table.space, NASBench101Space)  # of which alone the model is
    return table.space


def _cell_estimate(table: Known, column: Column, folder: Path) -> NDArray[Any]:
    space = _cells(table)
    if column.quantity == "accuracy":
        return cell_figures(space, f"{column.split}-{column.epochs}", folder)
    if column.quantity == "train_seconds_per_epoch":
        return np.asarray(cell_figures(space, "seconds", folder) / CELL_EPOCHS)
    return np.zeros(table.space.size)  # the public API charges the training alone


def _cell_scatter(
    table: Known, column: Column, mean: NDArray[np.floating], folder: Path
) -> Scatter:
    model = CellSurrogate.load(folder)
    failures = cell_figures(_cells(table), "failures", folder).astype(np.int64)
    expected = working_accuracy(mean.astype(np.float64), failures)
    sd = model.noise[ACCURACIES.index((column.split, column.epochs))](expected)
    return Scatter(expected, sd, skewed_quantiles(model.skew), failures, CHANCE)


def _size_cost(table: Known, column: Column, folder: Path) -> NDArray[Any]:
    costs = CostSurrogate.load(folder)
    flops = table.space.figure("flops", table.dataset).values
    line = {
        "train_seconds_per_epoch": costs.size_train_seconds,
        "evaluation_seconds": costs.size_valid_seconds,
        "latency": costs.size_latency,
    }[column.quantity]
    return line(flops, table.dataset)


class _Model(NamedTuple):
    """What a model can make, what does, its coefficients' file, and how trials scatter."""

    space: str
    columns: tuple[str, ...]
    figures: Callable[[Known, Column, Path], NDArray[Any]]
    file: Callable[[str, str], str]
    scatter: Callable[[Known, Column, NDArray[np.floating], Path], Scatter] | None = None
    tells_splits_apart: bool = False


def _costs_file(dataset: str, split: str) -> str:
    return "costs.json"


_MODELS = {
    "topology-accuracy": _Model(
        "tss",
        ("accuracy-valid-12", "accuracy-test-200"),
        _topology_accuracy,
        lambda dataset, split: TOPOLOGY_FILES.get(split, ""),
        _topology_scatter,
    ),
    "topology-valid-seconds": _Model(
        "tss", ("evaluation_seconds-valid",), _topology_valid_seconds, _costs_file
    ),
    "size-accuracy": _Model(
        "sss",
        ("accuracy-valid-90", "accuracy-test-90"),
        _size_accuracy,
        lambda dataset, split: f"{size_model_name(dataset, split)}.npz",
        _size_scatter,
    ),
    "cell-estimates": _Model(
        "nb101",
        (
            *(f"accuracy-{split}-{epochs}" for split, epochs in ACCURACIES),
            "train_seconds_per_epoch",
            "evaluation_seconds-valid",
        ),
        _cell_estimate,
        lambda dataset, split: CELL_FILE,
        _cell_scatter,
        tells_splits_apart=True,
    ),
    devices.MODEL: _Model(
        devices.SPACE,
        tuple(devices.DEVICES),
        lambda table, column, folder: devices.estimated_latency(column.name, folder),
        lambda dataset, split: devices.FILE,
    ),
    "size-cost": _Model(
        "sss",
        ("train_seconds_per_epoch", "evaluation_seconds-valid", "latency"),
        _size_cost,
        _costs_file,
    ),
}
