"""The archives imported on this machine, and how one is known again.

They lie in ``archives/`` under nats-gym's home, each in a folder named after its content. An
archive that was imported is known again by names, sizes and times of its files, or, if it was
moved or packed, by its content.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from nats_gym import checks
from nats_gym.errors import CorruptTable, InvalidInput, shown
from nats_gym.files.home import home
from nats_gym.spaces import get_space
from nats_gym.tables.folder import sha256_of
from nats_gym.tables.official.archive import ARCHIVE_FILE, OfficialArchive, write_facts
from nats_gym.tables.official.entries import Listing, list_archive
from nats_gym.tables.official.unpickling import UnreadableFile


def wrong_space(path: Path, found: str, wanted: str) -> InvalidInput:
    """The exception for an archive of another space."""
    return InvalidInput(f"{shown(str(path))} is an archive of {found}, asked for was {wanted}")


class ArchiveChanged(InvalidInput):
    """An archive is no longer what was imported from its path."""


def archives_folder() -> Path:
    """Where imported archives lie."""
    return home() / "archives"


def archives() -> list[OfficialArchive]:
    """Every imported archive, the newest first.

    Raises:
        CorruptTable: for a damaged one, which may be of any space; says how it is removed.
    """
    return [open_archive(folder) for folder in archive_folders()]


def archive_folders() -> list[Path]:
    """Where each lies, damaged ones too, the newest first."""
    found = archives_folder().glob(f"[!.]*/{ARCHIVE_FILE}")
    newest = sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return [path.parent for path in newest]


def open_archive(folder: Path) -> OfficialArchive:
    """The archive of one of :func:`archive_folders`; errors as :func:`archives`."""
    folder = checks.path(folder, "an archive's folder")
    path = folder / ARCHIVE_FILE
    try:
        return _opened(folder, path.stat().st_mtime_ns if path.is_file() else 0)
    except CorruptTable as error:
        remedy = f"nats-gym data remove {folder.name} removes what was imported"
        raise CorruptTable(f"{error}; {remedy}") from error


@lru_cache(maxsize=32)
def _opened(folder: Path, changed: int) -> OfficialArchive:
    """One object per import, however often it is asked for: each maps its columns once."""
    return OfficialArchive(folder)


def newest_archive(space: str) -> OfficialArchive | None:
    """The newest complete import of NATS-Bench's archive of a space, None if there is none.

    A partial one would answer for some architectures only, and what is not NATS-Bench's for
    something else: these are used where they are named.
    """
    space = get_space(space).name
    complete = (a for a in archives() if a.space.name == space and a.complete)
    return next((a for a in complete if a.official), None)


def find_archive(path: str | os.PathLike[str]) -> OfficialArchive | None:
    """The import of the archive at ``path``, or None if it was not imported.

    Raises:
        MissingTable, InvalidInput: if no archive is there.
        ArchiveChanged: if it was imported from there and has changed since.
    """
    return find_listed(list_archive(path))


def find_listed(listing: Listing) -> OfficialArchive | None:
    """:func:`find_archive` of an archive that has been listed."""
    # What the first version took for NATS-Bench's and is not, is imported again.
    imported = [archive for archive in archives() if not archive.mistaken]
    for archive in imported:
        if listing.fingerprint in archive.facts["fingerprints"]:
            if not Path(archive.source).exists():
                _remember(archive, listing)
            return archive
    # Equal content has equal sizes, which are known without reading hundreds of gigabytes.
    sizes = sizes_digest(listing) if imported else ""
    alike = [archive for archive in imported if archive.facts.get("sizes", sizes) == sizes]
    if alike:
        content = content_digest(listing)
        for archive in alike:
            if archive.facts["content"] == content:
                _remember(archive, listing)
                return archive
    for archive in imported:
        if archive.source == str(listing.path):
            raise ArchiveChanged(
                f"the archive at {shown(str(listing.path))} has changed since it was imported; "
                f"import it again: nats-gym data import {listing.path}"
            )
    return None


def content_digest(listing: Listing, digests: dict[str, str] | None = None) -> str:
    """Digest of what an archive holds, the same for a directory and a tar of it."""
    if listing.is_one_file:
        return sha256_of(listing.path)
    if digests is None:
        digests = {}
        for entry in listing.entries:
            with suppress(UnreadableFile):  # an import leaves it out too
                digests[str(entry.index)] = hashlib.sha256(entry.read()).hexdigest()
    lines = [f"{index} {digests[str(index)]}" for index in sorted(map(int, digests))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def sizes_digest(listing: Listing) -> str:
    """Digest of the sizes of an archive's records, the same for a directory and a tar of it."""
    if listing.is_one_file:
        lines = [f"{listing.kind} {listing.path.stat().st_size}"]
    else:
        lines = [f"{entry.index} {entry.size}" for entry in listing.entries]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _remember(archive: OfficialArchive, listing: Listing) -> None:
    """Note that the content lies elsewhere now, so that it is known at once next time."""
    facts = archive.facts
    facts["fingerprints"] = sorted({*facts["fingerprints"], listing.fingerprint})
    if not Path(archive.source).exists():
        facts["source"]["path"] = str(listing.path)
        facts["weights"] = facts["weights"] and str(listing.path)
    with suppress(OSError):
        write_facts(archive.folder / ARCHIVE_FILE, facts)
