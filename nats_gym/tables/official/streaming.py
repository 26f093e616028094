"""Reads the single ``.pickle.pbz2`` of a whole space, one architecture at a time.

Unpickled at once it needs tens of gigabytes. This reader interprets the pickle's opcodes itself:
when an architecture's record is complete it is handed over and forgotten. It knows the opcodes of
plain values alone, so there is nothing in it that could run what a pickle says.
"""

from __future__ import annotations

import bz2
import pickle
import queue
import struct
import sys
import threading
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nats_gym.errors import NatsGymError
from nats_gym.spaces import get_space
from nats_gym.tables.official.extraction import (
    Record,
    extract,
    schedules_of,
    space_of,
    write_shard,
)
from nats_gym.tables.official.store import wrong_space
from nats_gym.tables.official.unpickling import ForbiddenPickle, UnreadableFile, find_allowed

SHARD_RECORDS = 128
# One record in so many is kept for the check of what was written.
KEPT_EVERY = 4096
BLOCK_BYTES = 1 << 20
RECORDS_KEY = "arch2infos"

#: More than a short string takes, length and opcode included.
MARGIN = 300
_DOUBLE = struct.Struct(">d")
OnRecord = Callable[[int, Any], None]


def read_single(
    path: Path,
    work: Path,
    space: str | None,
    curves: bool,
    strict: bool,
    progress: Callable[[int, int], None],
) -> tuple[str, list[Record]]:
    """Read the archive's records into shards in ``work``.

    Returns:
        The name of its space, and a few records to check against.

    Raises:
        UnreadableFile, ForbiddenPickle: as for the files of a directory; a truncated archive
            raises whatever ``strict`` is, because what follows the cut is unknown.
        InvalidInput: if it is an archive of another space than ``space``.
    """
    found: list[str] = []
    schedules: dict[str, int] = {}
    records: list[Record] = []
    unreadable: list[str] = []
    kept: list[Record] = []
    count = 0

    def flush() -> None:
        if records or unreadable:
            write_shard(work / f"shard-{count:06d}.npz", records, unreadable, {})
            records.clear()
            unreadable.clear()

    def take(index: int, content: Any) -> None:
        nonlocal count
        name = f"{path}: architecture {index}"
        try:
            if not found:
                schedules.update(schedules_of(content, name))
                found.append(space_of(content, index, name))
                if space is not None and found[0] != space:
                    raise wrong_space(path, found[0], space)
            record = extract(content, index, get_space(found[0]), name, curves, schedules)
        except UnreadableFile as error:
            if strict or not found:
                raise
            unreadable.append(str(error))
        else:
            records.append(record)
            if count % KEPT_EVERY == 0:
                kept.append(record)
        count += 1
        progress(count, 0)
        if len(records) + len(unreadable) >= SHARD_RECORDS:
            flush()

    for stale in work.glob("shard-*.npz"):
        stale.unlink()  # a bz2 stream cannot be entered in the middle
    with _Blocks(path) as blocks:
        StreamUnpickler(blocks, str(path), take).run()
    flush()
    if not found:
        raise UnreadableFile(f"{path}: holds no architecture's record")
    return found[0], kept


class _Blocks:
    """Decompresses in a thread of its own, a few blocks ahead of whoever reads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ahead: queue.Queue[bytes | Exception] = queue.Queue(maxsize=8)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._decompress, daemon=True)

    def __enter__(self) -> Iterator[bytes]:
        self._thread.start()
        return iter(self._next, b"")

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._ahead.get(timeout=0.05)
            except queue.Empty:
                continue
        self._thread.join()

    def _next(self) -> bytes:
        block = self._ahead.get()
        if isinstance(block, Exception):
            raise UnreadableFile(f"{self._path}: truncated or not bz2 ({block})") from block
        return block

    def _decompress(self) -> None:
        try:
            with bz2.open(self._path) as file:
                while not self._stop.is_set():
                    block = file.read(BLOCK_BYTES)
                    self._ahead.put(block)
                    if not block:
                        return
        except (OSError, EOFError) as error:
            self._ahead.put(error)


class _Memo:
    """What a pickle may refer back to, in little memory.

    A pickle notes nearly every string and container, thousands a record. Of a finished record
    the containers are forgotten; which strings it noted is kept as one row of numbers, and
    records of equal structure share a row. What only this record has stands beside it.
    """

    def __init__(self) -> None:
        self._open: list[Any] = []  # notes of the record in progress
        self._begin = 0  # number of the first of them
        self._begins: list[int] = []  # the same, of every finished record
        self._finished: list[tuple[bytes, dict[int, Any]]] = []
        self._rows: dict[bytes, bytes] = {}
        self._strings: dict[str, int] = {}
        self._by_number: list[str] = [""]  # 0 stands for what is forgotten or kept beside
        self._found: dict[int, Any] = {}
        self.add = self._open.append

    def __getitem__(self, number: int) -> Any:
        if number >= self._begin:
            return self._open[number - self._begin]
        if number not in self._found:
            self._found[number] = self._look_up(number)
        return self._found[number]

    def __len__(self) -> int:
        return self._begin + len(self._open)

    def settle(self) -> None:
        """A record is finished: keep what later ones may refer to."""
        row, own, new = array("I"), {}, set()
        for position, value in enumerate(self._open):
            number = 0
            if type(value) is str:
                number = self._strings.get(value, 0)
                if not number:
                    number = self._strings[value] = len(self._by_number)
                    self._by_number.append(value)
                    new.add(number)
                if number in new:
                    own[position], number = value, 0
            elif callable(value) or isinstance(value, np.dtype):
                own[position] = value
            row.append(number)
        packed = row.tobytes()
        self._begins.append(self._begin)
        self._finished.append((self._rows.setdefault(packed, packed), own))
        self._begin += len(self._open)
        self._open.clear()

    def _look_up(self, number: int) -> Any:
        record = bisect_right(self._begins, number) - 1
        row, own = self._finished[record]
        position = number - self._begins[record]
        if position in own:
            return own[position]
        size = array("I").itemsize
        string = int.from_bytes(row[position * size : (position + 1) * size], sys.byteorder)
        if not string:
            raise UnreadableFile("a record refers into an earlier one")
        return self._by_number[string]


class StreamUnpickler:
    """Interprets a pickle of ``{'arch2infos': {index: record, …}, …}`` as it arrives.

    Args:
        blocks: the pickle, in pieces.
        name: what to call it in messages.
        on_record: called with each index and record as soon as it is complete.
    """

    def __init__(self, blocks: Iterator[bytes], name: str, on_record: OnRecord) -> None:
        self._blocks = blocks
        self._name = name
        self._on_record = on_record
        self._buffer = b""
        self._at = 0
        self._ended = False
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo = _Memo()
        self._records: dict[Any, Any] | None = None
        self._records_mark = -1

    def run(self) -> None:
        """Read to the end.

        Raises:
            UnreadableFile: if the pickle is truncated or damaged.
            ForbiddenPickle: if it holds anything but plain values.
        """
        try:
            while self._step(self._plain_values()):
                pass
            if self._records is None:  # a single record comes without a mark
                for key, value in self._stack[-1].get(RECORDS_KEY, {}).items():
                    self._hand_over(key, value)
        except NatsGymError as error:
            if isinstance(error, ForbiddenPickle):
                error.args = (f"{self._name}: {error}",)
            raise
        except (AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
            raise UnreadableFile(f"{self._name}: a damaged pickle ({error!r})") from error

    def _plain_values(self) -> int:
        """Carry out the most frequent opcodes up to another one; that one.

        Nine in ten opcodes are numbers and short strings. They fit into MARGIN bytes, so there
        is nothing to check between two of them but that much is left.
        """
        append, memo = self._stack.append, self._memo.add
        unpack, stack = _DOUBLE.unpack_from, self._stack
        while True:
            self._fill(MARGIN)
            buffer, at, limit = self._buffer, self._at, len(self._buffer) - MARGIN
            while at <= limit:
                opcode = buffer[at]
                if opcode == 0x47:  # BINFLOAT
                    append(unpack(buffer, at + 1)[0])
                    at += 9
                elif opcode == 0x94:  # MEMOIZE
                    memo(stack[-1])
                    at += 1
                elif opcode == 0x8C:  # SHORT_BINUNICODE
                    end = at + 2 + buffer[at + 1]
                    append(buffer[at + 2 : end].decode("utf-8", "surrogatepass"))
                    at = end
                elif opcode == 0x4B:  # BININT1
                    append(buffer[at + 1])
                    at += 2
                elif opcode == 0x68:  # BINGET
                    append(self._memo[buffer[at + 1]])
                    at += 2
                elif opcode == 0x6A:  # LONG_BINGET
                    append(self._memo[int.from_bytes(buffer[at + 1 : at + 5], "little")])
                    at += 5
                else:
                    self._at = at + 1
                    return opcode
            self._at = at

    def _fill(self, count: int) -> None:
        """Have ``count`` bytes ahead; behind the end of the pickle they are zeros."""
        if len(self._buffer) - self._at >= count:
            return
        parts, ahead = [self._buffer[self._at :]], len(self._buffer) - self._at
        while ahead < count:
            block = next(self._blocks, b"")
            if not block:
                if self._ended:
                    raise UnreadableFile(f"{self._name}: a truncated pickle")
                self._ended = True
                block = bytes(max(count, MARGIN))
            parts.append(block)
            ahead += len(block)
        self._buffer, self._at = b"".join(parts), 0

    def _take(self, count: int) -> bytes:
        self._fill(count)
        taken = self._buffer[self._at : self._at + count]
        self._at += count
        return taken

    def _step(self, opcode: int) -> bool:
        """Carry out one of the other opcodes; False at the end of the pickle."""
        stack = self._stack
        if opcode == 0x75:  # SETITEMS
            self._set_items(self._pop_mark())
        elif opcode == 0x28:  # MARK
            self._mark()
        elif opcode == 0x7D:  # EMPTY_DICT
            stack.append({})
            self._hand_over_finished()
        elif opcode in _PLAIN:
            stack.append(_PLAIN[opcode]())
        elif opcode in _INTEGERS:
            size, signed = _INTEGERS[opcode]
            stack.append(int.from_bytes(self._take(size), "little", signed=signed))
        elif opcode in _SIZED:
            size, text = _SIZED[opcode]
            data = self._take(int.from_bytes(self._take(size), "little"))
            stack.append(data.decode("utf-8", "surrogatepass") if text else data)
        elif opcode in _TUPLES:
            count = _TUPLES[opcode]
            items = tuple(stack[len(stack) - count :])
            del stack[len(stack) - count :]
            stack.append(items)
        elif opcode == 0x2E:  # STOP
            return False
        else:
            self._rare(opcode)
        return True

    def _rare(self, opcode: int) -> None:
        stack = self._stack
        if opcode == 0x73:  # SETITEM
            value, key = stack.pop(), stack.pop()
            self._set_items([key, value])
        elif opcode == 0x65:  # APPENDS
            items = self._pop_mark()
            stack[-1].extend(items)
        elif opcode == 0x61:  # APPEND
            item = stack.pop()
            stack[-1].append(item)
        elif opcode == 0x90:  # ADDITEMS
            items = self._pop_mark()
            stack[-1].update(items)
        elif opcode == 0x74:  # TUPLE
            stack.append(tuple(self._pop_mark()))
        elif opcode in (0x71, 0x72):  # BINPUT, LONG_BINPUT: older protocols number their notes
            number = int.from_bytes(self._take(1 if opcode == 0x71 else 4), "little")
            if number != len(self._memo):
                raise UnreadableFile(f"{self._name}: notes of a pickle out of order")
            self._memo.add(stack[-1])
        elif opcode == 0x93:  # STACK_GLOBAL
            attribute, module = stack.pop(), stack.pop()
            stack.append(find_allowed(module, attribute))
        elif opcode == 0x52:  # REDUCE
            arguments, function = stack.pop(), stack.pop()
            # All that may stand here are the few functions of find_allowed.
            stack.append(function(*arguments))
            self._hand_over_finished()  # a record may be an OrderedDict
        elif opcode == 0x62:  # BUILD: a dtype's byte order, the only state in official files
            state = stack.pop()
            if not isinstance(stack[-1], np.dtype):
                raise ForbiddenPickle(type(stack[-1]).__module__, type(stack[-1]).__qualname__)
            stack[-1].__setstate__(state)  # type: ignore[attr-defined]
        elif opcode == 0x80:  # PROTO
            if self._take(1)[0] > pickle.HIGHEST_PROTOCOL:
                raise UnreadableFile(f"{self._name}: an unknown pickle protocol")
        elif opcode == 0x95:  # FRAME
            self._take(8)
        elif opcode == 0x63:  # GLOBAL, of protocols before 4
            module, attribute = self._line(), self._line()
            stack.append(find_allowed(module, attribute))
        else:
            raise ForbiddenPickle("pickle opcode", f"{opcode:#04x}")

    def _line(self) -> str:
        taken = bytearray()
        while (byte := self._take(1)) != b"\n":
            taken += byte
        return taken.decode("ascii")

    def _mark(self) -> None:
        stack = self._stack
        self._marks.append(len(stack))
        # ``{'arch2infos': {`` opens the records: what follows is handed over one by one.
        if (
            self._records is None
            and len(stack) >= 2
            and isinstance(stack[-1], dict)
            and type(stack[-2]) is str
            and stack[-2] == RECORDS_KEY
        ):
            self._records = stack[-1]
            self._records_mark = len(self._marks)

    def _pop_mark(self) -> list[Any]:
        mark = self._marks.pop()
        items = self._stack[mark:]
        del self._stack[mark:]
        return items

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if target is self._records:
            for key, value in zip(items[::2], items[1::2], strict=True):
                self._hand_over(key, value)
            return
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[key] = value

    def _hand_over_finished(self) -> None:
        """Hand over the record before the one that has just begun.

        The stack above the records' mark then reads: index, record, index, empty record.
        """
        stack, marks = self._stack, self._marks
        if len(marks) == self._records_mark and len(stack) - marks[-1] == 4:
            key, value, begun, fresh = stack[marks[-1] :]
            if type(begun) is int and isinstance(fresh, dict):
                del stack[marks[-1] : marks[-1] + 2]
                self._hand_over(key, value)

    def _hand_over(self, key: Any, value: Any) -> None:
        if not isinstance(key, int):
            raise UnreadableFile(f"{self._name}: {key!r} is not the number of an architecture")
        self._on_record(key, value)
        self._memo.settle()


_PLAIN: dict[int, Callable[[], Any]] = {
    0x5D: list,
    0x29: tuple,
    0x8F: set,
    0x4E: lambda: None,
    0x88: lambda: True,
    0x89: lambda: False,
}
_INTEGERS = {0x4A: (4, True), 0x4D: (2, False)}
_SIZED = {0x58: (4, True), 0x8D: (8, True), 0x43: (1, False), 0x42: (4, False), 0x8E: (8, False)}
_TUPLES = {0x85: 1, 0x86: 2, 0x87: 3}
