"""Lists the members of a plain tar, without unpacking anything.

Records are read where they lie in the tar, so all that is wanted are their names, places and sizes.
This reader looks at headers alone. It follows no size that is negative or leads beyond the file,
reads no extended header longer than a name needs, and refuses what would give a member's bytes
another place or length than its header says: ``GNU.sparse``, or a size told twice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nats_gym.errors import InvalidInput, shown
from nats_gym.tables.official.unpickling import UnreadableFile

BLOCK = 512
#: Official tars have 32,770 headers and none is extended; other packers write up to four a file.
MAX_HEADERS = 150_000
MAX_EXTENDED = 64 << 10
_FILE, _OLD_FILE, _DIRECTORY = b"0", b"\0", b"5"
_LONG_NAME, _LONG_LINK, _EXTENDED, _GLOBAL = b"L", b"K", b"x", b"g"
_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0].*|[ \0]*([0-7]+)", re.DOTALL)
# What an extended header may not say of the bytes that follow it.
_MISLEADING = re.compile(rb"size|GNU\.sparse.*", re.DOTALL)


@dataclass(frozen=True)
class Member:
    """A file or directory in a tar.

    Attributes:
        name: its path in the tar.
        is_file: whether it is a file.
        offset: where its bytes begin.
        size: how many there are.
    """

    name: str
    is_file: bool
    offset: int
    size: int


def list_members(path: Path) -> Iterator[Member]:
    """Files and directories of a tar, in its order.

    Raises:
        InvalidInput: if it is no plain tar, or one with what no official tar has: links, special
            files, members that lie elsewhere, too many.
        UnreadableFile: if it is truncated or damaged.
    """
    with path.open("rb", buffering=0) as file:
        end, at, name = os.fstat(file.fileno()).st_size, 0, ""
        for _ in range(MAX_HEADERS):
            file.seek(at)
            header = file.read(BLOCK)
            if not header.strip(b"\0") and (header or at):
                return
            size = _size(header)
            if size is None:
                if at == 0:
                    raise InvalidInput(
                        f"{shown(str(path))} is neither a plain tar, a .pickle.pbz2 nor a directory"
                    )
                raise UnreadableFile(f"{path}: a truncated or damaged tar, no header at {at:,}")
            kind, begin = header[156:157], at + BLOCK
            told, name = name or _name(header), ""
            if kind == _DIRECTORY or (kind == _OLD_FILE and told.endswith("/")):
                size = 0  # whatever it says, nothing follows
            at = begin + -(-size // BLOCK) * BLOCK
            if kind in (_LONG_NAME, _LONG_LINK, _EXTENDED, _GLOBAL):
                if size > MAX_EXTENDED:
                    raise InvalidInput(f"{path}: a tar with an extended header of {size:,} bytes")
                content = file.read(size)
                if kind == _LONG_NAME:
                    name = _text(content)
                elif kind != _LONG_LINK:
                    name = _extended_name(path, content)
            elif kind not in (_FILE, _OLD_FILE, _DIRECTORY):
                raise InvalidInput(f"{path}: the member {shown(told)} is a link or a special file")
            elif begin + size > end:
                raise UnreadableFile(f"{path}: a truncated tar, {shown(told)} is cut off")
            else:
                is_file = kind != _DIRECTORY and not told.endswith("/")
                yield Member(told, is_file, begin, size)
        raise InvalidInput(f"{path}: a tar of more than {MAX_HEADERS:,} headers")


def _size(header: bytes) -> int | None:
    """The size that a header tells; None if it is no header, or the size negative."""
    if len(header) < BLOCK:
        return None
    checksum = _octal(header[148:156])
    if checksum != sum(header) - sum(header[148:156]) + 8 * ord(" "):
        return None
    if header[124] == 0x80:  # larger than eleven octal digits can tell
        return int.from_bytes(header[125:136], "big")
    return _octal(header[124:136])


def _octal(field: bytes) -> int | None:
    match = _OCTAL.fullmatch(field)
    return int(match[1] or match[2] or b"0", 8) if match else None


def _name(header: bytes) -> str:
    """The name in a header, which POSIX divides where it is long."""
    name, prefix = _text(header[:100]), _text(header[345:500])
    return f"{prefix}/{name}" if prefix and header[257:263] == b"ustar\0" else name


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _extended_name(path: Path, content: bytes) -> str:
    """The name that a POSIX extended header gives to the next member, empty if it gives none."""
    name, at = "", 0
    while at < len(content) and content[at]:
        length, _, _ = content[at : at + 20].partition(b" ")
        record = content[at : at + int(length)] if length.isdigit() else b""
        keyword, equals, value = record.partition(b" ")[2].partition(b"=")
        if not equals or len(record) < int(length) or not value.endswith(b"\n"):
            raise UnreadableFile(f"{path}: a damaged extended header in the tar")
        if _MISLEADING.fullmatch(keyword):
            raise InvalidInput(
                f"{path}: a member whose extended header says {shown(keyword.decode('latin-1'))}"
            )
        if keyword == b"path":
            name = _text(value[:-1])
        at += len(record)
    return name
