"""Records of NAS-Bench-101, one for each training → rows of figures.

The data of a record are a JSON list: module hash, epochs, matrix row by row as ``0`` and ``1``,
operations joined by commas, and ``ModelMetrics`` in base64.
"""

from __future__ import annotations

import json
import re
from binascii import Error as NoBase64
from binascii import a2b_base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import said, shown
from nats_gym.spaces.cell_graphs import MOST_VERTICES, OPERATIONS
from nats_gym.spaces.cell_list import EDGE_VALUES, LABEL_VALUES, embedded_list
from nats_gym.tables.official.model_metrics import MalformedRecord, read_metrics

#: Lengths of the training schedules.
SCHEDULES = (4, 12, 36, 108)
#: Images that an accuracy is counted on: the last of 10,000 fill no batch of 256.
IMAGES = 9_984
#: Figures of a training: the state half-way, then at its end.
FIGURES = tuple(
    f"{when}_{what}"
    for when in ("halfway", "final")
    for what in ("training_time", "train_accuracy", "validation_accuracy", "test_accuracy")
)
#: Labels of vertices that are no operation.
INPUT, OUTPUT, NO_VERTEX = -1, -2, -3
#: No training takes a year, no network of the space has so many parameters.
_MOST_SECONDS, _MOST_PARAMETERS = 3.2e7, 10**9

# As the official files are written; the same content in other words is JSON like any other.
_USUAL = re.compile(
    rb'\["([0-9a-f]{32})", (\d{1,3}), "([01]{4,49})", "([a-z0-9,-]{1,100})", '
    rb'"([A-Za-z0-9+/]+={0,2})(?:\\n)?"\]'
)
_HASH = re.compile(r"[0-9a-f]{32}", re.ASCII)
_KINDS = (str, int, str, str, str)
#: A record's five parts, the metrics unpacked.
_Parts = tuple[bytes, int, bytes, bytes, bytes]


@dataclass(frozen=True)
class Trainings:
    """Rows of several records, one each.

    Attributes:
        index: official index of the cells, ``(n,)``.
        epochs: training schedules, ``(n,)``.
        parameters: trainable ones, ``(n,)``.
        figures: :data:`FIGURES`, ``(n, 8)``: seconds, and accuracies from 0 to 1.
        drawings: of the cells on seven vertices, the last their output, ``(n,)``.
        labels: of their vertices, ``(n, 7)``: a place in ``OPERATIONS``, or what is none.
        hashes: 16 bytes each, ``(n, 16)``.
    """

    index: NDArray[np.int64]
    epochs: NDArray[np.int64]
    parameters: NDArray[np.int64]
    figures: NDArray[np.float64]
    drawings: NDArray[np.int64]
    labels: NDArray[np.int8]
    hashes: NDArray[np.uint8]


def read_trainings(records: Sequence[bytes]) -> Trainings:
    """Rows of several records.

    Raises:
        MalformedRecord: for the first that cannot be read.
    """
    try:
        parts = [*map(_parts, records)]
    except ValueError as error:
        raise _first_malformed(records) from error
    digests, epochs, matrices, operations, metrics = zip(*parts, strict=True)
    schedules = np.array(epochs, np.int64)
    _refuse(~np.isin(schedules, SCHEDULES), lambda one: f"a schedule of {epochs[one]:,} epochs")
    labels = _labels(operations)
    drawings = _drawings(matrices, labels)
    index = embedded_list().index(drawings, _numbers(labels))
    _refuse(index < 0, lambda one: f"{shown(matrices[one].decode())} is no cell of the space")
    hashes = np.frombuffer(bytes.fromhex(b"".join(digests).decode()), np.uint8).reshape(-1, 16)
    parameters, every = read_metrics(metrics)
    _refuse(
        ~((parameters > 0) & (parameters <= _MOST_PARAMETERS)),
        lambda one: f"a network of {int(parameters[one]):,} parameters",
    )
    figures = every[:, 1:, 1:].reshape(len(records), len(FIGURES))
    limits = np.tile([_MOST_SECONDS, 1.0, 1.0, 1.0], 2)
    wrong = ~((figures >= 0) & (figures <= limits))

    def told(one: int) -> str:
        which = int(np.flatnonzero(wrong[one])[0])
        return f"{FIGURES[which]} {shown(float(figures[one, which]))}"

    _refuse(wrong.any(axis=1), told)
    return Trainings(index, schedules, parameters, figures, drawings, labels, hashes)


def cell_of(drawing: int, labels: NDArray[np.int8]) -> tuple[NDArray[np.int8], list[str]]:
    """Matrix and operations of a cell, as a record has them.

    Args:
        drawing: on seven vertices.
        labels: of its vertices, ``(7,)``.
    """
    vertices = int((labels != NO_VERTEX).sum())
    matrix = np.zeros((vertices, vertices), np.int8)
    x, y, values = _edge_values(vertices)
    matrix[x, y] = (drawing & values) != 0
    inner = [OPERATIONS[label] for label in labels[1 : vertices - 1].tolist()]
    return matrix, ["input", *inner, "output"]


def _refuse(wrong: Any, told: Callable[[int], str]) -> None:
    """Raise ``MalformedRecord`` for the first record that something is wrong with."""
    for one in np.flatnonzero(wrong)[:1]:
        raise MalformedRecord(int(one), told(int(one)))


def _first_malformed(records: Sequence[bytes]) -> MalformedRecord:
    """What is wrong with the first record that cannot be read."""
    for position, record in enumerate(records):
        try:
            _parts(record)
        except ValueError as error:
            return MalformedRecord(position, said(error))
    raise AssertionError("every record can be read")


def _parts(record: bytes) -> _Parts:
    """A record's parts; ``ValueError`` if it is none."""
    match = _USUAL.fullmatch(record)
    if match is None:
        return _unusual_parts(record)
    digest, epochs, matrix, operations, metrics = match.groups()
    return digest, int(epochs), matrix, operations, a2b_base64(metrics, strict_mode=True)


def _unusual_parts(record: bytes) -> _Parts:
    try:
        content = json.loads(record.decode(), parse_constant=_no_number)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"no JSON ({said(error)})") from error
    if type(content) is not list or tuple(map(type, content)) != _KINDS:
        raise ValueError(
            f"{shown(content)} is no list of hash, epochs, matrix, operations and metrics"
        )
    digest, epochs, matrix, operations, metrics = content
    if not _HASH.fullmatch(digest):
        raise ValueError(f"{shown(digest)} is no module hash")
    if epochs not in SCHEDULES:
        raise ValueError(f"a schedule of {shown(epochs)} epochs")
    try:
        packed = metrics.replace("\n", "").encode("ascii")
        metrics = a2b_base64(packed, strict_mode=True)
        matrix, operations = matrix.encode("ascii"), operations.encode("ascii")
    except (NoBase64, UnicodeEncodeError) as error:
        raise ValueError(f"metrics that are no base64 ({said(error)})") from error
    return digest.encode(), epochs, matrix, operations, metrics


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _labels(operations: Sequence[bytes]) -> NDArray[np.int8]:
    known = _known_operations()
    try:
        return np.array([known[each] for each in operations], np.int8)
    except KeyError:
        for position, each in enumerate(operations):
            if each not in known:
                text = shown(each.decode())
                raise MalformedRecord(position, f"{text} are no operations of a cell") from None
        raise


@cache
def _known_operations() -> dict[bytes, tuple[int, ...]]:
    """Labels of the vertices by the operations' text."""
    known = {}
    for inner in range(MOST_VERTICES - 1):
        for labels in product(range(len(OPERATIONS)), repeat=inner):
            names = ["input", *(OPERATIONS[label] for label in labels), "output"]
            padding = [NO_VERTEX] * (MOST_VERTICES - len(names))
            known[",".join(names).encode()] = (INPUT, *labels, OUTPUT, *padding)
    return known


def _numbers(labels: NDArray[np.int8]) -> NDArray[np.int64]:
    """Labels as the list of cells has them; those of vertices that are not there do not matter."""
    inner = labels[:, 1:-1].astype(np.int64)
    return np.asarray(np.maximum(inner, 0) @ LABEL_VALUES)


@cache
def _edge_values(vertices: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Ends of all edges of so many vertices, and what they add to a drawing on seven."""
    x, y = np.triu_indices(vertices, 1)
    target = np.where(y == vertices - 1, MOST_VERTICES - 1, y)
    return x, y, EDGE_VALUES[x + target * (target - 1) // 2]


def _drawings(matrices: Sequence[bytes], labels: NDArray[np.int8]) -> NDArray[np.int64]:
    vertices = (labels != NO_VERTEX).sum(axis=1)
    lengths = np.array([len(matrix) for matrix in matrices])
    _refuse(
        lengths != vertices**2,
        lambda one: f"a matrix of {lengths[one]} bits for {vertices[one]} vertices",
    )
    drawings = np.zeros(len(matrices), np.int64)
    for size in range(2, MOST_VERTICES + 1):
        some = np.flatnonzero(vertices == size)
        text = b"".join([matrices[int(each)] for each in some])
        bits = (np.frombuffer(text, np.uint8) - ord("0")).reshape(len(some), size, size)
        wrong = np.zeros(len(matrices), bool)
        wrong[some] = (bits > 1).any(axis=(1, 2)) | np.tril(bits).any(axis=(1, 2))
        _refuse(wrong, lambda one: f"{shown(matrices[one].decode())} is no matrix of a cell")
        x, y, values = _edge_values(size)
        drawings[some] = bits[:, x, y].astype(np.int64) @ values
    return drawings
