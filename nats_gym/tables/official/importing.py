"""Imports an official archive: reads its records on every core, joins them, checks the result."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import filelock

from nats_gym.errors import InvalidInput, NatsGymError
from nats_gym.spaces import get_space
from nats_gym.tables.official import streaming
from nats_gym.tables.official.archive import OfficialArchive
from nats_gym.tables.official.assembly import assemble, verify
from nats_gym.tables.official.entries import SINGLE, Entry, Listing, list_archive
from nats_gym.tables.official.extraction import Record, Shard, extract, space_of
from nats_gym.tables.official.reading import Job, disk_full, run_jobs
from nats_gym.tables.official.store import (
    ArchiveChanged,
    archives_folder,
    content_digest,
    find_listed,
)
from nats_gym.tables.official.unpickling import UnreadableFile, load_bytes

#: Called with records read so far and records in all (0 if not known).
Progress = Callable[[int, int], None]

SHARD_RECORDS = 128
SPOT_CHECKS = 8


class ImportRunning(NatsGymError, RuntimeError):
    """Another process imports an archive right now."""


def import_archive(
    path: str | os.PathLike[str],
    space: str | None = None,
    curves: bool = True,
    strict: bool = False,
    progress: Progress | None = None,
) -> OfficialArchive:
    """Import an official archive, or return its import if it has one.

    Reads on every core in memory that does not grow with the archive. What was read before an
    interruption is not read again. The result appears whole or not at all.

    Args:
        path: a ``-simple`` or ``-full`` directory, a tar of one, or the single
            ``.pickle.pbz2``. Weights of a ``-full`` one stay where they are.
        space: ``"tss"`` or ``"sss"``; None to tell by the first record.
        curves: import learning curves too (about 750 MB for topology).
        strict: end at the first unreadable record; else leave it out and note it.
        progress: called now and then.

    Raises:
        MissingTable, InvalidInput: if there is no archive, or one of another space.
        UnreadableFile, ForbiddenPickle: see ``strict``; also if nothing can be read.
        ImportRunning: while another import runs.
        DiskFull: if there is no room; what was read so far is kept.
    """
    if space is not None:
        get_space(space)
    listing = list_archive(path)
    with import_lock():
        try:
            known = find_listed(listing)
        except ArchiveChanged:
            known = None  # that is what importing again is for
        if known is not None and (not curves or known.facts["curves"]):
            if space is not None and known.space.name != space:
                raise _wrong_space(listing.path, known.space.name, space)
            return known
        return _import(listing, space, curves, strict, progress or (lambda done, total: None))


def remove_archive(archive: OfficialArchive) -> None:
    """Delete an import; the archive that it was made from stays."""
    with import_lock():
        retired = archives_folder() / f".removed-{archive.folder.name}"
        os.replace(archive.folder, retired)
        shutil.rmtree(retired)


@contextmanager
def import_lock() -> Iterator[None]:
    folder = archives_folder()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(folder / ".lock", timeout=0):
            yield
    except filelock.Timeout:
        raise ImportRunning(
            f"another process is importing into {folder}; wait for it, then try again"
        ) from None


def _wrong_space(path: Path, found: str, wanted: str) -> InvalidInput:
    return InvalidInput(f"{str(path)!r} is an archive of {found}, asked for was {wanted}")


def _import(
    listing: Listing, space: str | None, curves: bool, strict: bool, progress: Progress
) -> OfficialArchive:
    name = f".importing-{listing.fingerprint[:16]}" + ("" if curves else "-no-curves")
    work = archives_folder() / name
    work.mkdir(exist_ok=True)
    if listing.kind == SINGLE:
        found, fresh = streaming.read_single(listing.path, work, space, curves, strict, progress)
    else:
        found = _detect_space(listing, space)
        _read_entries(listing.entries, work, found, curves, strict, progress)
        fresh = []
    shards = [Shard.read(path) for path in sorted(work.glob("shard-*.npz"))]
    digests = {name: value for shard in shards for name, value in shard.digests.items()}
    content = content_digest(listing, digests)
    unreadable = [line for shard in shards for line in shard.unreadable]
    facts = {
        "source": {"path": str(listing.path), "kind": listing.kind},
        "content": content,
        "fingerprints": [listing.fingerprint],
        "curves": curves,
        "weights": str(listing.path) if listing.path.name.endswith("-full") else None,
        "unreadable": unreadable,
    }
    if not any(shard.shapes for shard in shards):
        shutil.rmtree(work)
        raise UnreadableFile(
            f"{listing.path}: not one record could be read"
            + (f", the first: {unreadable[0]}" if unreadable else "")
        )
    folder = archives_folder() / f"{found}-{content[:12]}{'' if curves else '-no-curves'}"
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=archives_folder()))
    try:
        archive = assemble(building, get_space(found), shards, facts)
        fresh = fresh or _read_some(listing.entries, found, curves, unreadable)
        verify(archive, fresh, sum(shard.count for shard in shards))
        building.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(building, folder)
    except BaseException as error:
        shutil.rmtree(building, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, NatsGymError):
            raise disk_full(error) from error
        raise
    shutil.rmtree(work)
    return OfficialArchive(folder)


def _detect_space(listing: Listing, wanted: str | None) -> str:
    """Name of the space that an archive's first readable record belongs to."""
    for entry in listing.entries:
        try:
            found = space_of(load_bytes(entry.read(), entry.name), entry.index, entry.name)
        except UnreadableFile:
            continue
        if wanted is not None and found != wanted:
            raise _wrong_space(listing.path, found, wanted)
        return found
    raise UnreadableFile(f"{listing.path}: not one record could be read")


def _read_entries(
    entries: Sequence[Entry], work: Path, space: str, curves: bool, strict: bool, progress: Progress
) -> None:
    """Read records into shards, those apart that an earlier import has read."""
    jobs, read = [], 0
    for start in range(0, len(entries), SHARD_RECORDS):
        some = tuple(entries[start : start + SHARD_RECORDS])
        path = work / f"shard-{start:06d}.npz"
        if path.is_file():
            read += len(some)
        else:
            jobs.append(Job(some, str(path), space, curves, strict))
    counted = [read]

    def done(count: int) -> None:
        counted[0] += count
        progress(counted[0], len(entries))

    progress(read, len(entries))
    run_jobs(jobs, done, os.cpu_count() or 1)


def _read_some(
    entries: Sequence[Entry], space: str, curves: bool, unreadable: Sequence[str]
) -> list[Record]:
    """Freshly read a few records, spread over the archive."""
    records = []
    step = max(len(entries) // SPOT_CHECKS, 1)
    for entry in entries[::step]:
        if any(line.startswith(f"{entry.name}:") for line in unreadable):
            continue
        content = load_bytes(entry.read(), entry.name)
        records.append(extract(content, entry.index, get_space(space), entry.name, curves))
    return records
