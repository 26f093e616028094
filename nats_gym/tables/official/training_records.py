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
MOST_VERTICES = 7
OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
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
        digests: the two halves of the module hashes, ``(n, 2)``.
        epochs: training schedules, ``(n,)``.
        parameters: trainable ones, ``(n,)``.
        figures: :data:`FIGURES`, ``(n, 8)``: seconds, and accuracies from 0 to 1.
        edges: of the cells, bit ``x + y (y - 1) / 2`` for that from x to y, ``(n,)``.
        labels: of their vertices, ``(n, 7)``: a place in :data:`OPERATIONS`, or what is none.
    """

    digests: NDArray[np.uint64]
    epochs: NDArray[np.int64]
    parameters: NDArray[np.int64]
    figures: NDArray[np.float64]
    edges: NDArray[np.int32]
    labels: NDArray[np.int8]


def read_trainings(records: Sequence[bytes]) -> Trainings:
    """Rows of several records.

    Raises:
        MalformedRecord: for the first that cannot be read.
    """
    try:
        parts = [*map(_parts, records)]
    except ValueError as error:
        raise _first_malformed(records) from error
    hashes, epochs, matrices, operations, metrics = zip(*parts, strict=True)
    schedules = np.array(epochs, np.int64)
    _refuse(~np.isin(schedules, SCHEDULES), lambda one: f"a schedule of {epochs[one]:,} epochs")
    labels = _labels(operations)
    edges = _edges(matrices, operations, labels)
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
        return f"{FIGURES[which]} {float(figures[one, which])!r}"

    _refuse(wrong.any(axis=1), told)
    digests = np.frombuffer(bytes.fromhex(b"".join(hashes).decode()), ">u8").reshape(-1, 2)
    return Trainings(digests.astype(np.uint64), schedules, parameters, figures, edges, labels)


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


def _edges(
    matrices: Sequence[bytes], operations: Sequence[bytes], labels: NDArray[np.int8]
) -> NDArray[np.int32]:
    vertices = (labels != NO_VERTEX).sum(axis=1)
    lengths = np.array([len(matrix) for matrix in matrices])
    _refuse(
        lengths != vertices**2,
        lambda one: f"a matrix of {lengths[one]} bits for {vertices[one]} vertices",
    )
    edges = np.zeros(len(matrices), np.int32)
    for size in range(2, MOST_VERTICES + 1):
        some = np.flatnonzero(vertices == size)
        text = b"".join([matrices[int(each)] for each in some])
        bits = (np.frombuffer(text, np.uint8) - ord("0")).reshape(len(some), size, size)
        wrong = np.zeros(len(matrices), bool)
        wrong[some] = (bits > 1).any(axis=(1, 2)) | np.tril(bits).any(axis=(1, 2))
        _refuse(wrong, lambda one: f"{shown(matrices[one].decode())} is no matrix of a cell")
        x, y = np.triu_indices(size, 1)
        edges[some] = bits[:, x, y].astype(np.int32) @ (1 << (x + y * (y - 1) // 2)).astype(
            np.int32
        )
    return edges
