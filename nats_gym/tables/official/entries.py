"""Where the records of an archive lie: a directory of files, a tar of one, or one big pickle."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from nats_gym import checks
from nats_gym.errors import InvalidInput, MissingTable
from nats_gym.tables.official.unpickling import UnreadableFile

if TYPE_CHECKING:
    import tarfile

DIRECTORY, TAR, SINGLE = "directory", "tar", "single pickle"
_RECORD = re.compile(r"(\d+)\.pickle\.pbz2")
META = "meta.pickle.pbz2"


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
        """The record's bytes; ``UnreadableFile`` if they are not all there."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                data = file.read(self.size)
        except OSError as error:
            raise UnreadableFile(f"{self.name}: {error}") from error
        if len(data) != self.size:
            raise UnreadableFile(f"{self.name}: {self.size:,} bytes expected, {len(data):,} there")
        return data


@dataclass(frozen=True)
class Listing:
    """What an archive consists of.

    Attributes:
        path: the archive, resolved.
        kind: :data:`DIRECTORY`, :data:`TAR` or :data:`SINGLE`.
        fingerprint: digest of names, sizes and times of change: quick to take, and different
            after any change.
    """

    path: Path
    kind: str
    fingerprint: str

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The archive's records by ascending index; none for one big pickle.

        Raises:
            InvalidInput: if there is none, one twice, or a tar's member that points elsewhere.
            UnreadableFile: if a tar is truncated.
        """
        if self.kind == SINGLE:
            return ()
        read = _tar_entries if self.kind == TAR else _directory_entries
        entries = sorted(read(self.path), key=lambda entry: entry.index)
        if not entries:
            raise InvalidInput(
                f"{str(self.path)!r} holds no architecture: expected files such as "
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
        InvalidInput: if it is a directory without a record.
    """
    path = checks.path(path, "an archive", expand=True).resolve()
    if path.is_dir():
        kind, stamps = DIRECTORY, _stamps(path)
        if not stamps:
            raise InvalidInput(
                f"{str(path)!r} holds no architecture: expected files such as 000000.pickle.pbz2"
            )
    elif path.is_file():
        kind = SINGLE if path.name.endswith(".pickle.pbz2") else TAR
        facts = path.stat()
        stamps = [f"{path.name} {facts.st_size} {facts.st_mtime_ns}"]
    else:
        raise MissingTable(f"no archive at {str(path)!r}")
    fingerprint = hashlib.sha256("\n".join([kind, *sorted(stamps)]).encode()).hexdigest()
    return Listing(path, kind, fingerprint)


def _stamps(folder: Path) -> list[str]:
    """Name, size and time of change of every record of a directory."""
    stamps = []
    with os.scandir(folder) as found:
        for item in found:
            if _RECORD.fullmatch(item.name) and item.is_file():
                facts = item.stat()
                stamps.append(f"{item.name} {facts.st_size} {facts.st_mtime_ns}")
    return stamps


def _directory_entries(folder: Path) -> list[Entry]:
    entries = []
    with os.scandir(folder) as found:
        for item in found:
            match = _RECORD.fullmatch(item.name)
            if match and item.is_file():
                size = item.stat().st_size
                entries.append(Entry(int(match[1]), item.path, 0, size, item.path))
    return entries


def _tar_entries(path: Path) -> list[Entry]:
    import tarfile

    entries = []
    size = path.stat().st_size
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                _refuse_unsafe(path, member)
                if member.offset_data + member.size > size:
                    raise UnreadableFile(f"{path}: a truncated tar, {member.name} is cut off")
                match = _RECORD.fullmatch(PurePosixPath(member.name).name)
                if match and member.isfile():
                    where = str(path), member.offset_data, member.size
                    entries.append(Entry(int(match[1]), *where, f"{path}:{member.name}"))
    except tarfile.ReadError as error:
        if not entries:
            raise InvalidInput(
                f"{str(path)!r} is neither a plain tar, a .pickle.pbz2 nor a directory ({error})"
            ) from error
        raise UnreadableFile(f"{path}: a truncated tar ({error})") from error
    return entries


def _refuse_unsafe(path: Path, member: tarfile.TarInfo) -> None:
    """Records are read in place, nothing is unpacked; still no official tar has such members."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise InvalidInput(f"{path}: the member {member.name!r} points outside the archive")
    if not (member.isfile() or member.isdir()):
        raise InvalidInput(f"{path}: the member {member.name!r} is a link or a special file")
