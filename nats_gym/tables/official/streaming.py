"""Reads the single ``.pickle.pbz2`` of a whole space, one architecture at a time.

Unpickled at once it needs tens of gigabytes. This reader hands over an architecture's record as
soon as it is complete, and forgets it. What limits a record limits each of them.
"""

from __future__ import annotations

import queue
import sys
import threading
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nats_gym.errors import shown
from nats_gym.spaces import SPACES, DenseSpace, get_space
from nats_gym.tables.official.extraction import Description, Record, describe, extract
from nats_gym.tables.official.opcodes import Admitted, Interpreter, damage_named
from nats_gym.tables.official.plain_numpy import PlainType
from nats_gym.tables.official.shards import write_shard
from nats_gym.tables.official.store import wrong_space
from nats_gym.tables.official.unpickling import (
    MAX_RECORD_BYTES,
    RECORD_FUNCTIONS,
    UnreadableFile,
    unpacked,
)

SHARD_RECORDS = 128
# One record in so many is kept for the check of what was written.
KEPT_EVERY = 4096
BLOCK_BYTES = 1 << 20
RECORDS_KEY = "arch2infos"

MAX_RECORDS = max(
    get_space(space).size for space, kind in SPACES.items() if issubclass(kind, DenseSpace)
)
#: What finished records may leave for later ones to refer to; official ones leave 1 kB each.
MAX_KEPT = 160 << 20
MOST_FOUND = 1 << 16
_DICTS = (dict, OrderedDict)
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
    found: list[Description] = []
    records: list[Record] = []
    unreadable: list[str] = []
    kept: list[Record] = []
    count, refused = 0, ""

    def flush() -> None:
        if records or unreadable:
            write_shard(work / f"shard-{count:06d}.npz", records, unreadable, {})
            records.clear()
            unreadable.clear()

    def take(index: int, content: Any) -> None:
        nonlocal count, refused
        name = f"{path}: architecture {index}"
        try:
            if not found:
                found.append(describe(content, index, name))
                if space is not None and found[0].space != space:
                    raise wrong_space(path, found[0].space, space)
            record = extract(content, index, found[0], name, curves)
        except UnreadableFile as error:
            if strict:
                raise
            refused = refused or str(error)
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
        raise UnreadableFile(refused or f"{path}: holds no architecture's record")
    return found[0].space, kept


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
            raise block
        return block

    def _decompress(self) -> None:
        try:
            with self._path.open("rb") as file:
                pieces = iter(lambda: file.read(BLOCK_BYTES), b"")
                for block in unpacked(pieces, str(self._path)):
                    self._ahead.put(block)
                    if self._stop.is_set():
                        return
            self._ahead.put(b"")
        except Exception as error:  # whatever it is, who reads must hear of it
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
        self._kept = 0
        self.append = self._open.append

    def __getitem__(self, number: int) -> Any:
        if number >= self._begin:
            return self._open[number - self._begin]
        if number not in self._found:
            self._found[number] = self._look_up(number)
        return self._found[number]

    def __len__(self) -> int:
        return self._begin + len(self._open)

    def settle(self) -> int:
        """A record is finished: keep what later ones may refer to.

        Returns:
            About how many bytes all of it takes.
        """
        row, own, new = array("I"), {}, set()
        for position, value in enumerate(self._open):
            number = 0
            if type(value) is str:
                number = self._strings.get(value, 0)
                if not number:
                    number = self._strings[value] = len(self._by_number)
                    self._by_number.append(value)
                    self._kept += 200 + 4 * len(value)
                    new.add(number)
                if number in new:
                    own[position], number = value, 0
            elif type(value) in (Admitted, PlainType):
                own[position] = value
            row.append(number)
        packed = row.tobytes()
        self._kept += 500 + 100 * len(own) + (0 if packed in self._rows else len(packed))
        self._begins.append(self._begin)
        self._finished.append((self._rows.setdefault(packed, packed), own))
        self._begin += len(self._open)
        self._open.clear()
        if len(self._found) > MOST_FOUND:
            self._found.clear()
        return self._kept

    def _look_up(self, number: int) -> Any:
        record = bisect_right(self._begins, number) - 1
        row, own = self._finished[record]
        position = number - self._begins[record]
        if position in own:
            return own[position]
        size = array("I").itemsize
        string = int.from_bytes(row[position * size : (position + 1) * size], sys.byteorder)
        if not string:
            raise LookupError("a record refers into an earlier one")
        return self._by_number[string]


class StreamUnpickler(Interpreter):
    """Interprets a pickle of ``{'arch2infos': {index: record, …}, …}`` as it arrives.

    Args:
        blocks: the pickle, in pieces.
        name: what to call it in messages.
        on_record: called with each index and record as soon as it is complete.
    """

    def __init__(self, blocks: Iterator[bytes], name: str, on_record: OnRecord) -> None:
        super().__init__(
            blocks, name, RECORD_FUNCTIONS, most_bytes=MAX_RECORD_BYTES, keep_bytes=False
        )
        self._on_record = on_record
        self._memo = _Memo()
        self._records: dict[Any, Any] | None = None
        self._records_mark = -1
        self._seen: set[int] = set()

    def run(self) -> None:
        """Read to the end.

        Raises:
            UnreadableFile: if the pickle is truncated, damaged or too large.
            ForbiddenPickle: if it holds anything but plain values.
        """
        content = super().run()
        self.finish()
        if self._records is None:  # a single record comes without a mark
            found: Any = content.get(RECORDS_KEY) if type(content) in _DICTS else None
            with damage_named(self._name):
                for key, value in found.items() if type(found) in _DICTS else ():
                    self._hand_over(key, value)

    def _mark(self) -> None:
        super()._mark()
        stack = self._stack
        # ``{'arch2infos': {`` opens the records: what follows is handed over one by one.
        if (
            self._records is None
            and len(stack) >= 2
            and type(stack[-1]) in _DICTS
            and type(stack[-2]) is str
            and stack[-2] == RECORDS_KEY
        ):
            self._records = stack[-1]
            self._records_mark = len(self._marks)

    def _set_items(self, items: list[Any]) -> None:
        if self._stack[-1] is not self._records:
            super()._set_items(items)
            return
        for key, value in zip(items[::2], items[1::2], strict=True):
            self._hand_over(key, value)

    def _dict_begun(self) -> None:
        """Hand over the record before the one that has just begun.

        The stack above the records' mark then reads: index, record, index, empty record.
        """
        stack, marks = self._stack, self._marks
        if len(marks) == self._records_mark and len(stack) - marks[-1] == 4:
            key, value, begun, _ = stack[marks[-1] :]
            if type(begun) is int:
                del stack[marks[-1] : marks[-1] + 2]
                self._hand_over(key, value)

    def _hand_over(self, key: Any, value: Any) -> None:
        if type(key) is not int:
            raise self._unreadable(f"{shown(key)} is not the number of an architecture")
        if key in self._seen:
            raise self._unreadable(f"architecture {key} is there twice")
        if len(self._seen) == MAX_RECORDS:
            raise self._unreadable(f"more than {MAX_RECORDS:,} architectures")
        self._seen.add(key)
        self._on_record(key, value)
        kept = self._memo.settle()
        if kept > MAX_KEPT:
            raise self._unreadable(f"records refer to more than {MAX_KEPT >> 20} MB of others")
        self._growth = self._arrived = self._tuple_keys = 0
