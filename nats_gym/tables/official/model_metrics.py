"""Figures of trainings from protobuf's ``ModelMetrics``, as NAS-Bench-101's records hold them.

::

    ModelMetrics:   1 evaluation_data (repeated)   2 trainable_parameters (int32)   3 total_time
    EvaluationData: 1 current_epoch   2 training_time   3 train_accuracy   4 validation_accuracy
                    5 test_accuracy   6 checkpoint_path

Nearly all messages of a file have one layout: what differs are the numbers, at the same places. The
first of a length is read byte by byte, which tells the places, and all others like it at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import said

#: Evaluations of a training: before it, half-way and at its end.
EVALUATIONS = 3
#: The numbers of each: what fields 1…5 of ``EvaluationData`` hold.
NUMBERS = (
    "current_epoch",
    "training_time",
    "train_accuracy",
    "validation_accuracy",
    "test_accuracy",
)

_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5
_LONGEST_VARINT = 10
#: Layouts of one length that are looked for; what has still another is read byte by byte.
_LAYOUTS = 16


@dataclass
class MalformedRecord(Exception):
    """One of several records cannot be read: its position among them, and why."""

    position: int
    reason: str

    def __str__(self) -> str:
        return self.reason


def read_metrics(messages: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Figures of several trainings.

    Args:
        messages: a ``ModelMetrics`` each.

    Returns:
        Trainable parameters ``(n,)``; :data:`NUMBERS` of each evaluation, ``(n, 3, 5)``. What a
        message does not say is 0, as protobuf has it.

    Raises:
        MalformedRecord: for what is no ``ModelMetrics`` of three evaluations.
    """
    parameters = np.zeros(len(messages), np.int64)
    figures = np.zeros((len(messages), EVALUATIONS, len(NUMBERS)))
    lengths = np.array([len(message) for message in messages], np.int64)
    for length in np.unique(lengths):
        some = np.flatnonzero(lengths == length)
        rows = np.frombuffer(b"".join([messages[int(each)] for each in some]), np.uint8)
        rows = rows.reshape(len(some), length)
        for turn in range(len(some)):
            layout = _layout(messages, int(some[0]))
            alike = layout.fits(rows)
            parameters[some[alike]], figures[some[alike]] = layout.read(rows[alike])
            some, rows = some[~alike], rows[~alike]
            if not len(some) or turn == _LAYOUTS:
                break
        for one, row in zip(some, rows, strict=True):
            (parameters[one],), (figures[one],) = _layout(messages, int(one)).read(row[None])
    return parameters, figures


def _layout(messages: Sequence[bytes], position: int) -> _Layout:
    try:
        return _Layout.of(messages[position])
    except ValueError as error:
        raise MalformedRecord(position, said(error)) from error


@dataclass(frozen=True)
class _Layout:
    """Where the numbers of a message lie.

    Attributes:
        message: the first that has it.
        doubles: first byte of each number by evaluation, ``(3, 5)``; -1 where it is not said.
        varint: places of the bytes of ``trainable_parameters``; none where it is not said.
        other: places of bytes that may differ and are not asked for: a time, and paths.
        paths: where paths begin and end.
    """

    message: NDArray[np.uint8]
    doubles: NDArray[np.int64]
    varint: range
    other: NDArray[np.int64]
    paths: list[tuple[int, int]]

    @classmethod
    def of(cls, message: bytes) -> _Layout:
        """That of a message; ``ValueError`` if it is none."""
        evaluations, varint, time = [], range(0), range(0)
        paths: list[tuple[int, int]] = []
        kinds = {1: _BYTES, 2: _VARINT, 3: _DOUBLE}
        for field, start, stop in _fields(message, 0, len(message), kinds):
            if field == 1:
                evaluations.append(_evaluation(message, start, stop, paths))
                if len(evaluations) > EVALUATIONS:
                    break
            elif field == 2:
                varint = range(start, stop)
            elif field == 3:
                time = range(start, stop)
        if len(evaluations) != EVALUATIONS:
            more = "more than " if len(evaluations) > EVALUATIONS else ""
            raise ValueError(
                f"{more}{min(len(evaluations), EVALUATIONS)} evaluations, a training has "
                f"{EVALUATIONS}"
            )
        other = np.r_[tuple(np.arange(*each) for each in (*paths, (time.start, time.stop)))]
        doubles = np.array(evaluations, np.int64)
        return cls(np.frombuffer(message, np.uint8), doubles, varint, other, paths)

    def fits(self, rows: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Which of several messages of its length have it."""
        free = np.zeros(len(self.message), bool)
        said_at = self.doubles[self.doubles >= 0]
        free[(said_at[:, None] + np.arange(8)).ravel()] = True
        free[self.varint.start : self.varint.stop] = True
        free[self.other] = True
        same = (rows[:, ~free] == self.message[~free]).all(axis=1)
        ends = slice(self.varint.start, self.varint.stop)
        same &= ((rows[:, ends] ^ self.message[ends]) < 0x80).all(axis=1)
        for start, stop in self.paths:
            for one in np.flatnonzero(same):
                same[one] = _is_text(rows[one, start:stop].tobytes())
        return np.asarray(same)

    def read(self, rows: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Parameters ``(n,)`` and numbers ``(n, 3, 5)`` of messages that have it."""
        parameters = np.zeros(len(rows), np.int64)
        for place, at in enumerate(self.varint[:9]):  # of ten bytes it is negative
            parameters |= (rows[:, at] & 0x7F).astype(np.int64) << (7 * place)
        if len(self.varint) == _LONGEST_VARINT:
            parameters[:] = -1
        figures = np.zeros((len(rows), *self.doubles.shape))
        for where in np.argwhere(self.doubles >= 0):
            at = int(self.doubles[tuple(where)])
            number = np.ascontiguousarray(rows[:, at : at + 8]).view("<f8")[:, 0]
            figures[:, where[0], where[1]] = number
        return parameters, figures


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _evaluation(message: bytes, start: int, stop: int, paths: list[tuple[int, int]]) -> list[int]:
    """Where the numbers of an ``EvaluationData`` begin, -1 for those that it does not say.

    Where its path lies is added to ``paths``.
    """
    numbers = [-1] * len(NUMBERS)
    kinds = {**dict.fromkeys(range(1, len(NUMBERS) + 1), _DOUBLE), 6: _BYTES}
    for field, begin, end in _fields(message, start, stop, kinds):
        if field == 6:
            if not _is_text(message[begin:end]):
                raise ValueError("protobuf with a path that is no UTF-8")
            paths.append((begin, end))
        elif field <= len(NUMBERS):
            numbers[field - 1] = begin
    return numbers


def _fields(
    message: bytes, position: int, end: int, kinds: dict[int, int]
) -> Iterator[tuple[int, int, int]]:
    """Number of each field from ``position`` to ``end``, and where its content begins and ends.

    Args:
        message: bytes that hold the message.
        position, end: where it begins and ends in them.
        kinds: the wire type that known fields must have.

    Raises:
        ValueError: for what no message of these fields is.
    """
    while position < end:
        tag, position = _varint(message, position, end)
        field, kind = tag >> 3, tag & 7
        if not 0 < field < 1 << 29:
            raise ValueError(f"protobuf of a field {field}")
        if kinds.get(field, kind) != kind:
            raise ValueError(f"protobuf with a field {field} of wire type {kind}")
        start = position
        if kind == _VARINT:
            position = _varint(message, position, end)[1]
        elif kind == _BYTES:
            length, start = _varint(message, position, end)
            position = start + length
        elif kind in (_DOUBLE, _FLOAT):
            position += 8 if kind == _DOUBLE else 4
        else:
            raise ValueError(f"protobuf with a field {field} of wire type {kind}")
        if position > end:
            raise ValueError(f"protobuf that ends within its field {field}")
        yield field, start, position


def _varint(message: bytes, position: int, end: int) -> tuple[int, int]:
    """A number of up to ten bytes, and where it ends; ``ValueError`` if it does not."""
    value = 0
    for place, byte in enumerate(message[position : min(position + _LONGEST_VARINT, end)]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, position + place + 1
    raise ValueError("protobuf that ends within a number")
