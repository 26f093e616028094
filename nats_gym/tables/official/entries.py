"""Where the records of an archive lie: a directory of files, a tar of one, or a file of all."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from nats_gym import checks
from nats_gym.errors import InvalidInput, MissingTable, said, shown
from nats_gym.tables.official.tars import Member, list_members
from nats_gym.tables.official.tfrecord import begins_with_a_frame
from nats_gym.tables.official.unpickling import MAX_ENTRY_BYTES, UnreadableFile

DIRECTORY, TAR, SINGLE, TFRECORD = "directory", "tar", "single pickle", "TFRecord file"
_RECORD = re.compile(r"([0-9]{1,6})\.pickle\.pbz2")
#: Single files of a space, pickles or TFRecords, have one or two gigabytes.
MAX_SINGLE_BYTES = 8 << 30
MAX_ENTRIES = 100_000
MAX_NAME = 1_000


@dataclass(frozen=True)
class Entry:
    """One architecture's record: a range of bytes of a file.

    Attributes:
        index: official index.
        path: the file.
        offset: first byte.
        size: number of bytes.
        name: what to call it in messages.
    """

    index: int
    path: str
    offset: int
    size: int
    name: str

    def read(self) -> bytes:
        """The record's bytes; ``UnreadableFile`` if they are not all there, or far too many."""
        if self.size > MAX_ENTRY_BYTES:
            raise UnreadableFile(
                f"{self.name}: {self.size:,} bytes; a record has {MAX_ENTRY_BYTES >> 20} MB at most"
            )
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                data = file.read(self.size)
        except OSError as error:
            raise UnreadableFile(f"{self.name}: {said(error)}") from error
        if len(data) != self.size:
            raise UnreadableFile(f"{self.name}: {self.size:,} bytes expected, {len(data):,} there")
        return data


@dataclass(frozen=True)
class Listing:
    """What an archive consists of.

    Attributes:
        path: the archive, resolved.
        kind: :data:`DIRECTORY`, :data:`TAR`, :data:`SINGLE` or :data:`TFRECORD`.
        fingerprint: digest of names, sizes and times of change: quick to take, and different
            after any change.
    """

    path: Path
    kind: str
    fingerprint: str

    @property
    def is_one_file(self) -> bool:
        """Whether records have no places of their own: one file of all is read from its start."""
        return self.kind in (SINGLE, TFRECORD)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The archive's records by ascending index; none for one file of all.

        Raises:
            InvalidInput: if there is none, one twice, too many, or a tar's member that points
                elsewhere.
            UnreadableFile: if a tar is truncated.
        """
        if self.is_one_file:
            return ()
        read = _tar_entries if self.kind == TAR else _directory_entries
        found = itertools.islice(read(self.path), MAX_ENTRIES + 1)
        entries = sorted(found, key=lambda entry: entry.index)
        if len(entries) > MAX_ENTRIES:
            raise _too_many(self.path)
        if not entries:
            raise InvalidInput(
                f"{shown(str(self.path))} holds no architecture: expected files such as "
                "000000.pickle.pbz2"
            )
        for one, two in itertools.pairwise(entries):
            if one.index == two.index:
                raise InvalidInput(
                    f"{self.path}: architecture {one.index} is there twice ({two.name})"
                )
        return tuple(entries)


def list_archive(path: str | os.PathLike[str]) -> Listing:
    """Find an archive, and tell which it is.

    Raises:
        MissingTable: if nothing is there.
        InvalidInput: if it is a directory without a record, a single file that is too large, or
            a link in a circle.
    """
    given = checks.path(path, "an archive", expand=True)
    try:
        path = given.resolve()
    except (OSError, RuntimeError) as error:  # links that lead in a circle
        raise InvalidInput(f"no archive at {shown(str(given))}: {said(error)}") from error
    if path.is_dir():
        kind, stamps = DIRECTORY, _stamps(path)
        if not stamps:
            raise InvalidInput(
                f"{shown(str(path))} holds no architecture: expected files such as "
                "000000.pickle.pbz2"
            )
    elif path.is_file():
        kind, facts = _kind(path), path.stat()
        if kind != TAR and facts.st_size > MAX_SINGLE_BYTES:
            raise InvalidInput(
                f"{path}: {facts.st_size:,} bytes; the single file of a space has "
                f"{MAX_SINGLE_BYTES >> 30} GB at most"
            )
        stamps = [f"{path.name} {facts.st_size} {facts.st_mtime_ns}"]
    else:
        raise MissingTable(f"no archive at {shown(str(path))}")
    told = "\n".join([kind, *sorted(stamps)]).encode("utf-8", "surrogateescape")
    return Listing(path, kind, hashlib.sha256(told).hexdigest())


def _kind(path: Path) -> str:
    """What a file is, by its name, else by what it begins with."""
    if path.name.endswith(".pickle.pbz2"):
        return SINGLE
    return TFRECORD if path.suffix == ".tfrecord" or begins_with_a_frame(path) else TAR


def _too_many(path: Path) -> InvalidInput:
    return InvalidInput(f"{path}: more than {MAX_ENTRIES:,} records; a space has 32,768 at most")


def _stamps(folder: Path) -> list[str]:
    """Name, size and time of change of every record of a directory."""
    stamps: list[str] = []
    with os.scandir(folder) as found:
        for item in found:
            if _RECORD.fullmatch(item.name) and item.is_file():
                if len(stamps) == MAX_ENTRIES:
                    raise _too_many(folder)
                facts = item.stat()
                stamps.append(f"{item.name} {facts.st_size} {facts.st_mtime_ns}")
    return stamps


def _directory_entries(folder: Path) -> Iterator[Entry]:
    with os.scandir(folder) as found:
        for item in found:
            match = _RECORD.fullmatch(item.name)
            if match and item.is_file():
                size = item.stat().st_size
                yield Entry(int(match[1]), item.path, 0, size, _name(item.path))


def _tar_entries(path: Path) -> Iterator[Entry]:
    for member in list_members(path):
        _refuse_unsafe(path, member)
        match = _RECORD.fullmatch(PurePosixPath(member.name).name)
        if match and member.is_file:
            where = str(path), member.offset, member.size
            yield Entry(int(match[1]), *where, _name(f"{path}:{member.name}"))


def _name(path: str) -> str:
    """A path as a message has it: what cannot be printed is escaped."""
    return path if path.isprintable() and len(path) <= MAX_NAME else shown(path, MAX_NAME)


def _refuse_unsafe(path: Path, member: Member) -> None:
    """Records are read in place, nothing is unpacked; still no official tar has such members."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise InvalidInput(f"{path}: the member {shown(member.name)} points outside the archive")
