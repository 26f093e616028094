"""Where the records of an archive lie: a directory of files, a tar of one, or one big pickle."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nats_gym.errors import InvalidInput, MissingTable
from nats_gym.tables.official.unpickling import UnreadableFile

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
        entries: its records by ascending index; empty for one big pickle.
        fingerprint: digest of names, sizes and times of change: quick to take, and different
            after any change.
    """

    path: Path
    kind: str
    entries: tuple[Entry, ...]
    fingerprint: str


def list_archive(path: str | os.PathLike[str]) -> Listing:
    """Find the records of an archive.

    Raises:
        MissingTable: if nothing is there.
        InvalidInput: if it is not an archive, or a tar with members that point elsewhere.
    """
    path = Path(path).expanduser().resolve()
    if path.is_dir():
        kind, entries = DIRECTORY, _directory_entries(path)
        stamped = [_stamp(Path(entry.path)) for entry in entries]
    elif path.is_file():
        single = path.name.endswith(".pickle.pbz2")
        kind, entries = (SINGLE, []) if single else (TAR, _tar_entries(path))
        stamped = [_stamp(path)]
    else:
        raise MissingTable(f"no archive at {str(path)!r}")
    if kind != SINGLE and not entries:
        raise InvalidInput(
            f"{str(path)!r} holds no architecture: expected files such as 000000.pickle.pbz2"
        )
    fingerprint = hashlib.sha256("\n".join([kind, *stamped]).encode()).hexdigest()
    entries.sort(key=lambda entry: entry.index)
    _refuse_twice(path, entries)
    return Listing(path, kind, tuple(entries), fingerprint)


def _stamp(path: Path) -> str:
    facts = path.stat()
    return f"{path.name} {facts.st_size} {facts.st_mtime_ns}"


def _directory_entries(folder: Path) -> list[Entry]:
    entries = []
    with os.scandir(folder) as found:
        for item in sorted(found, key=lambda item: item.name):
            match = _RECORD.fullmatch(item.name)
            if match and item.is_file():
                size = item.stat().st_size
                entries.append(Entry(int(match[1]), item.path, 0, size, item.path))
    return entries


def _tar_entries(path: Path) -> list[Entry]:
    entries = []
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                _refuse_unsafe(path, member)
                match = _RECORD.fullmatch(PurePosixPath(member.name).name)
                if match and member.isfile():
                    name = f"{path}:{member.name}"
                    where = str(path), member.offset_data, member.size
                    entries.append(Entry(int(match[1]), *where, name))
    except tarfile.ReadError as error:
        if not entries:
            raise InvalidInput(
                f"{str(path)!r} is neither a tar, a .pickle.pbz2 nor a directory ({error})"
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


def _refuse_twice(path: Path, entries: list[Entry]) -> None:
    for one, two in itertools.pairwise(entries):
        if one.index == two.index:
            raise InvalidInput(f"{path}: architecture {one.index} is there twice ({two.name})")
