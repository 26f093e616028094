"""Reads TFRecord files, block by block: frames of bytes, each with checksums of length and content.

A frame is the length of its data (8 bytes), a masked CRC-32C of these, the data, and a masked
CRC-32C of the data. Checksums are taken of thousands of records at once: that of a message is the
exclusive or of one tabled word for each of its bytes, by the byte and its place from the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from struct import Struct

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from nats_gym.files.untrusted import open_file
from nats_gym.tables.official.unpickling import UnreadableFile

#: The longest data of a frame that are read; a record of NAS-Bench-101 has about 400 bytes.
MAX_DATA_BYTES = 4096
#: What is read of a file at once.
BLOCK_BYTES = 16 << 20

_POLYNOMIAL, _MASK_DELTA = 0x82F63B78, 0xA282EAD8
_LENGTH = Struct("<Q")
_HEADER, _FOOTER = 12, 4
# Records whose checksums are taken together: their bytes stay in the cache.
_TOGETHER = 4096


@dataclass(frozen=True)
class Block:
    """Some whole frames of a file, one after another.

    Attributes:
        data: their bytes.
        offset: where these begin in the file.
        first: number of the first record.
        starts: where the data of each begin in ``data``, ``(n,)``.
        lengths: how long these are, ``(n,)``.
    """

    data: bytes
    offset: int
    first: int
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @property
    def end(self) -> int:
        """Where the bytes begin in ``data`` that are no whole frame."""
        return int(self.starts[-1] + self.lengths[-1]) + _FOOTER if len(self.starts) else 0


def read_blocks(path: Path, digest: hashlib._Hash | None = None) -> Iterator[Block]:
    """The frames of a file, a block of about 16 MB at a time; lengths are checked, data are not.

    Args:
        path: of the file.
        digest: told all bytes of it.

    Raises:
        UnreadableFile: with the number of the record, from 0, for a length that its checksum
            contradicts or that is no record's, and where the file ends within a frame.
    """
    with open_file(path) as file:
        left, offset, number = b"", 0, 0
        while more := file.read(BLOCK_BYTES):
            if digest is not None:
                digest.update(more)
            block, bad = split_frames(left + more, offset, number)
            if bad:
                raise UnreadableFile(f"{path}: {bad}")
            if len(block.starts):
                yield block
            left = block.data[block.end :]
            offset, number = offset + block.end, number + len(block.starts)
    if left:
        raise UnreadableFile(f"{path}: record {number:,}: the file ends within it")


def begins_with_a_frame(path: Path) -> bool:
    """Whether a file begins with the length of a frame, as its checksum has it."""
    with open_file(path) as file:
        head = file.read(_HEADER + _FOOTER)
    _, bad = split_frames(head, 0, 0)
    return len(head) == _HEADER + _FOOTER and not bad


def split_frames(data: bytes, offset: int, first: int) -> tuple[Block, str]:
    """The whole frames that bytes begin with, and what is wrong with the next; "" for nothing."""
    starts, position, last, bad = [], 0, len(data) - _HEADER - _FOOTER, ""
    unpack = _LENGTH.unpack_from
    while position <= last:
        (length,) = unpack(data, position)
        if length > MAX_DATA_BYTES:
            bad = f"{length:,} bytes; a record has {MAX_DATA_BYTES:,} at most"
            break
        if length > last - position:
            break
        starts.append(position + _HEADER)
        position += _HEADER + length + _FOOTER
    # The length of what is not whole is no less suspicious: it may say too much.
    heads = np.array([*starts, position + _HEADER] if position <= last else starts, np.int64)
    ends = np.array([*starts, position + _HEADER], np.int64)
    lengths = ends[1:] - ends[:-1] - _HEADER - _FOOTER
    if len(heads):
        differs = _differs(data, heads - _HEADER, np.full(len(heads), _LENGTH.size))
        if len(differs):
            count = int(differs[0])
            bad = "the checksum of its length differs: it is damaged, or no TFRecord file"
            starts, lengths = starts[:count], lengths[:count]
    block = Block(data, offset, first, np.array(starts, np.int64), lengths)
    return block, f"record {first + len(starts):,}: {bad}" if bad else ""


def check_data(block: Block, name: str) -> None:
    """Raise ``UnreadableFile`` with the number of the first record whose checksum differs."""
    differs = _differs(block.data, block.starts, block.lengths)
    if len(differs):
        raise UnreadableFile(
            f"{name}: record {block.first + int(differs[0]):,}: its checksum differs, it is damaged"
        )


def crc32c(
    data: bytes, starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """CRC-32C of several messages, ``(n,)``.

    Args:
        data: what they are parts of.
        starts, lengths: of each, ``(n,)``; of :data:`MAX_DATA_BYTES` at most.
    """
    found = np.zeros(len(starts), np.uint32)
    longest = int(lengths.max(initial=0))
    # Each message is read to its end from where the longest would begin, and what comes before
    # it is taken for zeros, which have no part in the exclusive or.
    padded = np.frombuffer(bytes(longest) + data, np.uint8)
    tables, initial = _tables(longest)
    order = np.argsort(lengths, kind="stable")
    for some in np.split(order, range(_TOGETHER, len(order), _TOGETHER)):
        width = int(lengths[some].max(initial=0))
        if not width:
            continue
        ends = starts[some] + lengths[some] + longest
        rows = sliding_window_view(padded, width)[ends - width]
        shortest = int(lengths[some].min())
        if shortest < width:
            place = np.arange(width - shortest)
            rows[:, : width - shortest] *= place >= width - lengths[some][:, None]
        columns = np.ascontiguousarray(rows.T)
        crc = np.zeros(len(some), np.uint32)
        word = np.empty_like(crc)
        for where, column in enumerate(columns):
            tables[width - 1 - where].take(column, out=word, mode="clip")
            crc ^= word
        found[some] = crc
    return found ^ initial[lengths]


def masked(crc: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """A checksum as TFRecord files hold it."""
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(_MASK_DELTA)


def _differs(
    data: bytes, starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Which of several messages have another checksum than the one that follows them."""
    held = sliding_window_view(np.frombuffer(data, np.uint8), _FOOTER)[starts + lengths]
    told = np.ascontiguousarray(held).view("<u4")[:, 0]
    return np.flatnonzero(masked(crc32c(data, starts, lengths)) != told)


def _tables(longest: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Words by place from the end and byte, ``(longest, 256)``; of zeros by length."""
    return _tables_up_to(256 if longest <= 256 else 1024 if longest <= 1024 else MAX_DATA_BYTES)


@cache
def _tables_up_to(longest: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    word = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        word = np.where(word & 1, (word >> 1) ^ np.uint32(_POLYNOMIAL), word >> 1)
    tables = np.empty((longest, 256), np.uint32)
    tables[0] = word
    for place in range(1, longest):
        before = tables[place - 1]
        tables[place] = word[before & 0xFF] ^ (before >> 8)
    # A checksum begins with all bits set, and ends with all of them turned.
    initial = np.empty(longest + 1, np.uint32)
    state = np.uint32(0xFFFFFFFF)
    for length in range(longest + 1):
        initial[length] = ~state
        state = word[state & np.uint32(0xFF)] ^ (state >> np.uint32(8))
    return tables, initial
