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

from nats_gym.errors import InvalidInput, MissingTable
from nats_gym.tables.official.unpickling import UnreadableFile

if TYPE_CHECKING:
    import tarfile

DIRECTORY, TAR, SINGLE = "directory", "tar", "single pickle"
_RECORD = re.compile(r"(\d+)\.pickle\.pbz2")
META = "meta.pickle.pbz2"


#: The attributes of an Entry in a row: an archive has tens of thousands.
Place = tuple[int, str, int, int, str]


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
        places: of each record index, file, offset, size and name, by ascending index; empty
            for one big pickle.
    """

    path: Path
    kind: str
    fingerprint: str
    places: tuple[Place, ...]

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The archive's records by ascending index."""
        return tuple(Entry(*place) for place in self.places)


def list_archive(path: str | os.PathLike[str]) -> Listing:
    """Find the records of an archive.

    Raises:
        MissingTable: if nothing is there.
        InvalidInput: if it is not an archive, or a tar with members that point elsewhere.
    """
    path = Path(path).expanduser().resolve()
    if path.is_dir():
        kind = DIRECTORY
        places, stamps = _directory_places(path)
    elif path.is_file():
        single = path.name.endswith(".pickle.pbz2")
        kind, places = (SINGLE, []) if single else (TAR, _tar_places(path))
        facts = path.stat()
        stamps = [f"{path.name} {facts.st_size} {facts.st_mtime_ns}"]
    else:
        raise MissingTable(f"no archive at {str(path)!r}")
    if kind != SINGLE and not places:
        raise InvalidInput(
            f"{str(path)!r} holds no architecture: expected files such as 000000.pickle.pbz2"
        )
    places.sort()
    stamps.sort()
    _refuse_twice(path, places)
    fingerprint = hashlib.sha256("\n".join([kind, *stamps]).encode()).hexdigest()
    return Listing(path, kind, fingerprint, tuple(places))


def _directory_places(folder: Path) -> tuple[list[Place], list[str]]:
    places, stamps = [], []
    with os.scandir(folder) as found:
        for item in found:
            match = _RECORD.fullmatch(item.name)
            if match and item.is_file():
                facts = item.stat()
                places.append((int(match[1]), item.path, 0, facts.st_size, item.path))
                stamps.append(f"{item.name} {facts.st_size} {facts.st_mtime_ns}")
    return places, stamps


def _tar_places(path: Path) -> list[Place]:
    import tarfile

    places: list[Place] = []
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                _refuse_unsafe(path, member)
                match = _RECORD.fullmatch(PurePosixPath(member.name).name)
                if match and member.isfile():
                    name = f"{path}:{member.name}"
                    where = str(path), member.offset_data, member.size
                    places.append((int(match[1]), *where, name))
    except tarfile.ReadError as error:
        if not places:
            raise InvalidInput(
                f"{str(path)!r} is neither a tar, a .pickle.pbz2 nor a directory ({error})"
            ) from error
        raise UnreadableFile(f"{path}: a truncated tar ({error})") from error
    return places


def _refuse_unsafe(path: Path, member: tarfile.TarInfo) -> None:
    """Records are read in place, nothing is unpacked; still no official tar has such members."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise InvalidInput(f"{path}: the member {member.name!r} points outside the archive")
    if not (member.isfile() or member.isdir()):
        raise InvalidInput(f"{path}: the member {member.name!r} is a link or a special file")


def _refuse_twice(path: Path, places: list[Place]) -> None:
    for one, two in itertools.pairwise(places):
        if one[0] == two[0]:
            raise InvalidInput(f"{path}: architecture {one[0]} is there twice ({two[4]})")
