"""Which figures answer: an imported file's, or the estimates inside the package."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from functools import cache, cached_property
from itertools import product
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import CorruptTable, NotInTable, said
from nats_gym.files.untrusted import map_array
from nats_gym.spaces import get_space
from nats_gym.spaces.cell_graphs import INPUT, OPERATIONS, OUTPUT, edges
from nats_gym.spaces.cell_list import EDGE_VALUES, INTERIOR, LABEL_VALUES, NUM_LABELS, embedded_list
from nats_gym.spaces.nasbench101 import NASBench101Space
from nats_gym.streams import combine
from nats_gym.tables import Table
from nats_gym.tables.official import OfficialArchive, Runs
from nats_gym.tables.official.training_files import DATASET, SPACE, TRIALS

#: What the public API calls the figures of a training.
NAMES = ("training_time", "train_accuracy", "validation_accuracy", "test_accuracy")
_COLUMNS = ("train-seconds", "train-accuracy", "x-valid-accuracy", "x-test-accuracy")


class Training(NamedTuple):
    """Figures of a training, half-way or at its end: seconds, and accuracies from 0 to 1."""

    training_time: float
    train_accuracy: float
    validation_accuracy: float
    test_accuracy: float


class Figures(Protocol):
    """What is known of cells, by official index."""

    #: Lengths of the schedules.
    schedules: tuple[int, ...]
    #: Whether the figures of half a schedule are known; if not, why.
    without_halfway: str

    def indices(self) -> range | NDArray[np.int64]:
        """Official indices of the cells, ascending: in the order of their hashes."""

    def has(self, index: int) -> bool:
        """Whether a cell is among them."""

    def hash_of(self, index: int) -> str:
        """Module hash of a cell."""

    def find(self, module_hash: str) -> int:
        """Official index of a module hash, -1 if no cell has it."""

    def cell(self, index: int) -> tuple[NDArray[np.int8], list[str], int]:
        """Matrix, operations and parameters of a cell, new ones each time."""

    def training(self, index: int, epochs: int, trial: int, halfway: bool) -> Training:
        """Figures of one training of a cell."""


class ImportedFigures:
    """Those of an imported file, each read where it lies.

    Args:
        archive: the import.
    """

    without_halfway = ""

    def __init__(self, archive: OfficialArchive) -> None:
        self.archive = archive
        self.schedules = tuple(int(hp) for hp in archive.hps)
        self._columns = {
            (int(hp), half): _columns(archive.runs(DATASET, hp), half)
            for hp in archive.hps
            for half in (False, True)
        }
        self._trained = {
            (epochs, half): epochs // 2 if half else epochs
            for epochs in self.schedules
            for half in (False, True)
        }
        self._matrices, self._labels, self._parameters, self._hashes = self._cells()
        self._held = archive.held

    def _cells(self) -> tuple[NDArray[Any], ...]:
        size = get_space(SPACE).size
        found = []
        for name, row, kind in (
            ("matrices", (49,), "|i1"),
            ("labels", (7,), "|i1"),
            ("parameters", (), "<i8"),
            ("hashes", (16,), "|u1"),
        ):
            path = self.archive.folder / "cells" / f"{name}.npy"
            try:
                column = map_array(path, (kind,))
                if column.shape != (size, *row):
                    raise ValueError(f"{column.shape} for {(size, *row)}")
            except (OSError, ValueError) as error:
                raise CorruptTable(f"{path}: cannot be read ({said(error)})") from error
            found.append(np.asarray(column))
        return tuple(found)

    @cached_property
    def _indices(self) -> NDArray[np.int64]:
        return np.flatnonzero(self._held)

    def indices(self) -> NDArray[np.int64]:
        """Official indices of the cells that the file has, ascending."""
        return self._indices

    def has(self, index: int) -> bool:
        """Whether the file has a cell."""
        return bool(self._held.item(index))

    def hash_of(self, index: int) -> str:
        """Module hash of a cell, as the file has it."""
        return self._hashes[index].tobytes().hex()

    def find(self, module_hash: str) -> int:
        """Official index of a module hash, -1 if the file has none such."""
        order = self._indices
        at = bisect_left(order, module_hash, key=self.hash_of)
        found = at < len(order) and self.hash_of(order[at]) == module_hash
        return int(order[at]) if found else -1

    def cell(self, index: int) -> tuple[NDArray[np.int8], list[str], int]:
        """Matrix, operations and parameters of a cell, as the file's first record draws it."""
        labels = self._labels[index].tobytes()
        names, vertices = _names_of(labels)
        matrix = self._matrices[index, : vertices**2].reshape(vertices, vertices).copy()
        return matrix, names, self._parameters.item(index)

    def training(self, index: int, epochs: int, trial: int, halfway: bool) -> Training:
        """Figures of one training of a cell, as the file has them."""
        per_epoch, train, valid, test = self._columns[epochs, halfway]
        seconds = per_epoch.item(index, trial) * self._trained[epochs, halfway]
        # Files hold single precision, which the quotient did not lose.
        single = float(np.float32(seconds))
        return Training(
            single if abs(single - seconds) <= 1e-15 * seconds else seconds,
            train.item(index, trial) / 100,
            valid.item(index, trial) / 100,
            test.item(index, trial) / 100,
        )


def _columns(runs: Runs, half: bool) -> tuple[NDArray[Any], ...]:
    return tuple(runs.column(f"{'halfway-' if half else ''}{name}") for name in _COLUMNS)


_KNOWN: dict[bytes, tuple[str, ...]] = {}


def _names_of(labels: bytes) -> tuple[list[str], int]:
    """Operations by labels, and how many vertices there are."""
    known = _KNOWN.get(labels)
    if known is None:
        inner = [label for label in labels if label < len(OPERATIONS)]
        known = _KNOWN[labels] = (INPUT, *(OPERATIONS[label] for label in inner), OUTPUT)
    return [*known], len(known)


class EstimatedFigures:
    """Those of a table, whose trainings are estimates.

    Three trainings are drawn around each cell's expected accuracy, always the same ones.

    Args:
        table: of the space, e.g. the package's.
    """

    without_halfway = (
        "half-way figures are not among the estimates; a public file has them: "
        "nats-gym data download nb101"
    )

    def __init__(self, table: Table) -> None:
        self.table = table
        self.schedules = table.epochs("valid")
        self._space = NASBench101Space()
        self._parameters = np.rint(self._space.figure("params", table.dataset).values * 1e6).astype(
            np.int64
        )
        self._ranks = self._space.cells.canonical
        self._drawings: dict[int, NDArray[np.int8]] = {}  # those asked for: there are few
        # By schedule: seconds, and accuracies of either split, where there are any.
        self._of_epochs: dict[
            int, tuple[NDArray[np.float64], NDArray[np.float64] | None, NDArray[np.float64] | None]
        ] = {}

    def indices(self) -> range:
        """All official indices."""
        return range(self._space.size)

    def has(self, index: int) -> bool:
        """Every cell."""
        return 0 <= index < self._space.size

    def hash_of(self, index: int) -> str:
        """Module hash of a cell, computed."""
        return self._space.hash_of(index)

    def find(self, module_hash: str) -> int:
        """Official index of a module hash, -1 if no cell has it."""
        at = bisect_left(self.indices(), module_hash, key=self.hash_of)
        return at if at < self._space.size and self.hash_of(at) == module_hash else -1

    def cell(self, index: int) -> tuple[NDArray[np.int8], list[str], int]:
        """Matrix, operations and parameters of a cell, in its canonical drawing."""
        drawing, labels = divmod(self._ranks.item(index), NUM_LABELS)
        if drawing not in self._drawings:
            self._drawings[drawing] = _drawn(drawing)
        matrix = self._drawings[drawing]
        return matrix.copy(), list(_names_in(labels, len(matrix))), self._parameters.item(index)

    def training(self, index: int, epochs: int, trial: int, halfway: bool) -> Training:
        """Estimates of one training; NaN of what is not estimated."""
        if halfway:
            raise NotInTable(self.without_halfway)
        if epochs not in self._of_epochs:
            valid, test = (self._drawn(split, epochs) for split in ("valid", "test"))
            self._of_epochs[epochs] = self.table.train_seconds(epochs), valid, test
        seconds, valid, test = self._of_epochs[epochs]
        return Training(
            seconds.item(index),
            math.nan,
            math.nan if valid is None else valid.item(trial, index) / 100,
            math.nan if test is None else test.item(trial, index) / 100,
        )

    def _drawn(self, split: str, epochs: int) -> NDArray[np.float64] | None:
        """Accuracies ``(trial, arch)``, percent; a training that fails does so on both splits."""
        if epochs not in self.table.epochs(split):
            return None
        scatter = self.table.scatter(split, epochs)
        if scatter is None:  # measured: the trials are there
            return np.ascontiguousarray(self.table.accuracy(split, epochs).T, dtype=np.float64)
        every = np.arange(self._space.size)
        return np.array(
            [scatter.draw(every, combine(every.astype(np.uint64), t)) for t in range(TRIALS)]
        )


def _drawn(drawing: int) -> NDArray[np.int8]:
    """Matrix ``(vertices, vertices)`` of a canonical drawing, which uses the first vertices."""
    present = [
        ends for ends, value in zip(edges(), EDGE_VALUES.tolist(), strict=True) if drawing & value
    ]
    last = max((source for source, _ in present), default=0) + 1
    matrix = np.zeros((last + 1, last + 1), np.int8)
    for source, target in present:
        matrix[source, min(target, last)] = 1
    return matrix


@cache
def _names_in(labels: int, vertices: int) -> tuple[str, ...]:
    """Operations of a canonical drawing's vertices."""
    inner = [labels // value % len(OPERATIONS) for value in LABEL_VALUES.tolist()]
    return (INPUT, *(OPERATIONS[label] for label in inner[: vertices - 2]), OUTPUT)


# ── from a cell to its index ─────────────────────────────────────────────────────────────────


def _values(vertices: int) -> NDArray[np.int64]:
    square = np.zeros((vertices, vertices), np.int64)
    for x, y in zip(*np.triu_indices(vertices, 1), strict=True):
        target = y if y < vertices - 1 else INTERIOR + 1
        square[x, y] = EDGE_VALUES[x + target * (target - 1) // 2]
    return square.ravel() * len(OPERATIONS) ** INTERIOR


#: By number of vertices, what each entry of a matrix adds to the rank of its drawing on seven.
_VALUES = {vertices: _values(vertices) for vertices in range(2, INTERIOR + 3)}
#: By operations, their part of the rank.
_RANKS = {
    (INPUT, *(OPERATIONS[label] for label in labels), OUTPUT): sum(
        label * int(value) for label, value in zip(labels, LABEL_VALUES, strict=False)
    )
    for inner in range(INTERIOR + 1)
    for labels in product(range(len(OPERATIONS)), repeat=inner)
}


def index_of(matrix: NDArray[np.int64], operations: list[str]) -> int:
    """Official index of a pruned cell, -1 for none of the space's.

    Args:
        matrix: ``(vertices, vertices)``.
        operations: of its vertices.
    """
    rank = _RANKS.get(tuple(operations))
    if rank is None:
        return -1
    drawing = matrix.ravel().dot(_VALUES[len(operations)])
    return embedded_list().index_of(rank + int(drawing))


def hashes(figures: Figures) -> Iterator[str]:
    """Module hashes of all cells, ascending."""
    return (figures.hash_of(int(index)) for index in figures.indices())
