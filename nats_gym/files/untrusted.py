"""Opens data files that anyone may have written: regular, of a bounded size, as we write them.

An array file is ``.npy`` 1.0 of plain little-endian numbers, as ``numpy.save`` writes it, and as
long as its header says; several in one file are an ``.npz``. Nothing is evaluated, unpickled or
allocated before that is known. Whatever is wrong raises ``ValueError`` (or ``OSError``), to which
the caller adds the file's name.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import said, shown

FLOATS = ("<f4", "<f8")
NUMBERS = (*FLOATS, "<i4", "<i8", "|i1", "|u1", "|b1")

_MAGIC = b"\x93NUMPY\x01\x00"
_LONGEST_HEADER = 1_024
_HEADER = re.compile(
    rb"\{'descr': *'([<>|=]?[a-zA-Z][0-9]{0,6})', *'fortran_order': *(True|False), *"
    rb"'shape': *\(((?:[0-9]{1,12}, ?)*(?:[0-9]{1,12})?)\),? *\} *\n"
)
#: Bytes of a zip archive that belong to no member's content: its names, places and sizes.
_OVERHEAD_OF_A_MEMBER, _OVERHEAD = 1_024, 65_536
_MOST_MEMBERS = 100_000
_BLOCK = 1 << 18


@contextmanager
def open_file(path: str | os.PathLike[str], largest: int | None = None) -> Iterator[IO[bytes]]:
    """A regular file, open for reading: a pipe or device would be waited for, or never end.

    Args:
        path: of the file, or a link to one.
        largest: bytes that it may have; None for any number.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags | getattr(os, "O_CLOEXEC", 0)), "rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("it is no regular file")
        if largest is not None and facts.st_size > largest:
            raise ValueError(f"it has {facts.st_size:,} bytes, at most {largest:,} are read")
        yield file


def read_json(path: str | os.PathLike[str], largest: int, nan: bool = False) -> Any:
    """The content of a JSON file of at most ``largest`` bytes; NaN and infinity only if ``nan``."""
    with open_file(path, largest) as file:
        text = file.read(largest + 1)
    try:
        return json.loads(text, parse_constant=None if nan else _no_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def checksum_of(content: Mapping[str, Any]) -> str:
    """One digest, SHA-256, of all that a JSON file says but for its own ``"checksum"``."""
    told = {name: value for name, value in content.items() if name != "checksum"}
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def map_array(path: str | os.PathLike[str], dtypes: tuple[str, ...] = NUMBERS) -> NDArray[Any]:
    """Map an ``.npy`` file read-only into memory: nothing of its content is read yet."""
    with open_file(path) as file:
        header = _read_header(file, dtypes)
        size = os.fstat(file.fileno()).st_size
        if size != header.length + header.nbytes:
            raise ValueError(
                f"it has {size:,} bytes, its header says {header.length + header.nbytes:,}"
            )
        if not header.nbytes:
            return np.empty(header.shape, header.dtype, header.order)
        return np.memmap(file, header.dtype, "r", header.length, header.shape, header.order)


class Arrays(Mapping[str, NDArray[Any]]):
    """Arrays of an open ``.npz``, each read when it is asked for; see :func:`open_arrays`."""

    def __init__(self, archive: ZipFile, members: Mapping[str, ZipInfo], dtypes: tuple[str, ...]):
        self._archive, self._members, self._dtypes = archive, members, dtypes

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Read an array; KeyError for one that is not there."""
        with self._read(name) as (file, header):
            content = np.empty(header.nbytes, np.uint8)
            filled = 0
            while block := file.read(_BLOCK):  # to its end, where its checksum is looked at
                content[filled : filled + len(block)] = np.frombuffer(block, np.uint8)
                filled += len(block)
            if filled != header.nbytes:
                raise ValueError(f"{shown(name)} in it is not whole")
            return content.view(header.dtype).reshape(header.shape, order=header.order)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an array, which is not read."""
        with self._read(name) as (_, header):
            return header.shape

    @contextmanager
    def _read(self, name: str) -> Iterator[tuple[Any, _Header]]:
        member = self._members[name]
        with self._archive.open(member) as file:
            header = _read_header(file, self._dtypes)
            if header.length + header.nbytes != member.file_size:
                raise ValueError(f"{shown(name)} in it is not as long as its header says")
            yield file, header


@contextmanager
def open_arrays(
    path: str | os.PathLike[str],
    dtypes: tuple[str, ...] = NUMBERS,
    largest: int | None = None,
    unpacked: int | None = None,
) -> Iterator[Arrays]:
    """Open an ``.npz`` of arrays as ``numpy.savez`` and ``savez_compressed`` write it.

    Args:
        path: of the file.
        dtypes: what the arrays may hold.
        largest: bytes that the file may have.
        unpacked: bytes that all arrays may have together.
    """
    with open_file(path, largest) as file:
        try:
            with ZipFile(file) as archive:
                size = os.fstat(file.fileno()).st_size
                members = _members(archive.infolist(), size, unpacked)
                yield Arrays(archive, members, dtypes)
        except (BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise ValueError(f"no whole .npz: {said(error)}") from error


def _members(found: list[ZipInfo], size: int, unpacked: int | None) -> dict[str, ZipInfo]:
    """Members of an archive by their arrays' names."""
    members = {}
    for member in found:
        name = member.filename
        if not name.endswith(".npy") or name in members or member.flag_bits & 1:
            raise ValueError(f"{shown(name)} in it is no array of a name of its own")
        if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise ValueError(f"{shown(name)} in it is packed in a way that is not read")
        members[name] = member
    if len(found) > _MOST_MEMBERS:
        raise ValueError(f"it has {len(found):,} arrays")
    told = sum(member.compress_size + _OVERHEAD_OF_A_MEMBER for member in found) + _OVERHEAD
    if size > told:
        raise ValueError(f"it has {size:,} bytes, its arrays at most {told:,}")
    total = sum(member.file_size for member in found)
    if unpacked is not None and total > unpacked:
        raise ValueError(f"its arrays have {total:,} bytes, at most {unpacked:,} are read")
    return {name.removesuffix(".npy"): member for name, member in members.items()}


class _Header(NamedTuple):
    """What an ``.npy`` says of itself, and where its figures begin."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Any
    length: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def _read_header(file: Any, dtypes: tuple[str, ...]) -> _Header:
    start = file.read(len(_MAGIC) + 2)
    if len(start) != len(_MAGIC) + 2 or not start.startswith(_MAGIC):
        raise ValueError("no .npy file of format 1.0")
    length = int.from_bytes(start[-2:], "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"a header of {length:,} bytes, at most {_LONGEST_HEADER:,} are read")
    text = file.read(length)
    match = _HEADER.fullmatch(text)
    if len(text) != length or match is None:
        raise ValueError(f"not a plain .npy header: {shown(text)}")
    descr, fortran, shape = (part.decode() for part in match.groups())
    if descr not in dtypes and re.sub("[0-9]+$", "", descr) not in dtypes:
        raise ValueError(f"it holds {descr}, allowed: {', '.join(dtypes)}")
    sizes = tuple(int(size) for size in shape.replace(",", " ").split())
    return _Header(np.dtype(descr), sizes, "F" if fortran == "True" else "C", len(start) + length)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")
