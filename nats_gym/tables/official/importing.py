"""Imports an official archive: reads its records on every core, joins them, checks the result."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nats_gym import checks
from nats_gym.errors import NatsGymError
from nats_gym.files.writing import exchange, make_folder
from nats_gym.spaces import get_space
from nats_gym.tables.official import streaming
from nats_gym.tables.official.archive import OfficialArchive
from nats_gym.tables.official.assembly import assemble, verify
from nats_gym.tables.official.entries import SINGLE, TFRECORD, Entry, Listing, list_archive
from nats_gym.tables.official.extraction import Description, Record, extract
from nats_gym.tables.official.reading import WORTH_A_WORKER, DiskFull, Job, Reader, disk_full
from nats_gym.tables.official.shards import Shard
from nats_gym.tables.official.store import (
    ArchiveChanged,
    archive_folders,
    archives,
    archives_folder,
    content_digest,
    find_listed,
    sizes_digest,
    wrong_space,
)
from nats_gym.tables.official.training_columns import assemble_trainings, verify_trainings
from nats_gym.tables.official.training_files import SPACE, TrainingShard, find_blocks
from nats_gym.tables.official.unpickling import UnreadableFile, load_bytes

#: Called with records read so far and records in all (0 if not known).
Progress = Callable[[int, int], None]

SHARD_RECORDS = 64
SPOT_CHECKS = 8
#: How the folder of what has been read begins; the letter goes up with the form of a shard.
WORK = ".importing-w"


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
        path: a ``-simple`` or ``-full`` directory, a tar of one, the single ``.pickle.pbz2``, or
            NAS-Bench-101's ``.tfrecord``. Weights of a ``-full`` one stay where they are.
        space: ``"tss"``, ``"sss"`` or ``"nb101"``; None to tell by what is read.
        curves: import learning curves too (about 750 MB for topology); NAS-Bench-101's figures of
            half the epochs are always imported.
        strict: end at the first unreadable record; else leave it out and note it. A TFRecord file
            must be whole.
        progress: called now and then.

    Raises:
        MissingTable, InvalidInput: if there is no archive, or one of another space.
        UnreadableFile, ForbiddenPickle: see ``strict``; also if nothing can be read.
        MixedArchive: if some records were trained on one data set and some on another.
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
                raise wrong_space(listing.path, known.space.name, space)
            if strict and known.facts["unreadable"]:
                raise UnreadableFile(known.facts["unreadable"][0])
            return known
        return _import(listing, space, curves, strict, progress or (lambda done, total: None))


def remove_archive(archive: OfficialArchive | str) -> None:
    """Delete an import, which may be damaged, by its name; what it was made from stays."""
    if not issubclass(type(archive), str):
        archive = checks.instance(archive, OfficialArchive, "what is removed").folder.name
    imported = {folder.name: folder for folder in archive_folders()}
    name = checks.word(archive, "imported archive", imported)
    with import_lock():
        retired = archives_folder() / f".removed-{name}"
        os.replace(imported[name], retired)
        shutil.rmtree(retired)


@contextmanager
def import_lock() -> Iterator[None]:
    import filelock  # asking a table does without it

    folder = archives_folder()
    make_folder(folder)
    try:
        with filelock.FileLock(folder / ".lock", timeout=0):
            yield
    except filelock.Timeout:
        raise ImportRunning(
            f"another process is importing into {folder}; wait for it, then try again"
        ) from None


@dataclass(frozen=True)
class Read:
    """What has been read of an archive, in shards.

    Attributes:
        space: name of the space.
        content: digest of what was read, see ``content_digest``.
        unreadable: what was left out, in words.
        assemble: joins the shards in an empty folder, with the facts given, and checks the result.
    """

    space: str
    content: str
    unreadable: list[str]
    assemble: Callable[[Path, dict[str, Any]], OfficialArchive]


def _import(
    listing: Listing, space: str | None, curves: bool, strict: bool, progress: Progress
) -> OfficialArchive:
    """Read an archive into shards, join them, and give the result its name."""
    _clear_leftovers()
    name = f"{WORK}{listing.fingerprint[:16]}" + ("" if curves else "-no-curves")
    work = archives_folder() / name
    goes_on = work.is_dir()
    work.mkdir(exist_ok=True)
    try:
        if listing.kind == TFRECORD:
            read = _read_trainings(listing, work, space, progress)
        else:
            read = _read_pickles(listing, work, goes_on, space, curves, strict, progress)
        imported = _publish(listing, read, curves)
    except DiskFull:
        raise  # what was read so far is read no more
    except NatsGymError:
        shutil.rmtree(work)  # nothing to go on from
        raise
    shutil.rmtree(work)
    return imported


def _read_pickles(
    listing: Listing,
    work: Path,
    goes_on: bool,
    space: str | None,
    curves: bool,
    strict: bool,
    progress: Progress,
) -> Read:
    """Read NATS-Bench's records, one file each or all in one."""
    fresh: Sequence[Record]
    if listing.kind == SINGLE:
        path = listing.path
        found, fresh = streaming.read_single(path, work, space, curves, strict, progress)
    else:
        contained = goes_on or len(listing.entries) >= WORTH_A_WORKER
        count = -(-len(listing.entries) // SHARD_RECORDS)
        with Reader(contained * min(os.cpu_count() or 1, count)) as reader:
            archive = _describe(listing, reader)
            found = archive.space
            if space is not None and found != space:
                raise wrong_space(listing.path, found, space)
            _read_entries(listing.entries, work, archive, curves, strict, progress, reader)
    shards = [Shard.read(path) for path in sorted(work.glob("shard-*.npz"))]
    unreadable = [line for shard in shards for line in shard.unreadable]
    if not any(shard.shapes for shard in shards):
        raise UnreadableFile(
            f"{listing.path}: not one record could be read, the first: {unreadable[0]}"
        )
    if listing.kind != SINGLE:
        fresh = _read_some(listing.entries, archive, curves, shards)
    digests = {name: value for shard in shards for name, value in shard.digests.items()}

    def assembled(folder: Path, facts: dict[str, Any]) -> OfficialArchive:
        archive = assemble(folder, get_space(found), shards, facts)
        verify(archive, fresh, sum(shard.count for shard in shards))
        return archive

    return Read(found, content_digest(listing, digests), unreadable, assembled)


def _read_trainings(listing: Listing, work: Path, space: str | None, progress: Progress) -> Read:
    """Read NAS-Bench-101's records, block by block."""
    if space not in (None, SPACE):
        raise wrong_space(listing.path, SPACE, str(space))
    digest = hashlib.sha256()
    jobs = [*find_blocks(listing.path, work, digest)]
    missing = [job for job in jobs if not Path(job.shard).is_file()]
    count = sum(job.count for job in jobs)
    read = [count - sum(job.count for job in missing)]
    progress(read[0], count)

    def done(some: int) -> None:
        read[0] += some
        progress(read[0], count)

    workers = min(os.cpu_count() or 1, len(missing)) if len(jobs) > 1 else 0
    with Reader(workers, retries=1) as reader:
        reader.run(missing, done)

    def assembled(folder: Path, facts: dict[str, Any]) -> OfficialArchive:
        shards = [TrainingShard(Path(job.shard)) for job in jobs]
        archive = assemble_trainings(folder, shards, facts)
        verify_trainings(archive, [jobs[0], jobs[-1]])
        return archive

    return Read(SPACE, digest.hexdigest(), [], assembled)


def _clear_leftovers() -> None:
    """Remove what killed imports have half built; what they have read stays."""
    others = f"{WORK[:-1]}[!{WORK[-1]}]*"  # what another version has read is read again
    for pattern in (".building-*", ".removed-*", others):
        for folder in archives_folder().glob(pattern):
            shutil.rmtree(folder, ignore_errors=True)


def _publish(listing: Listing, read: Read, curves: bool) -> OfficialArchive:
    """Join shards under a temporary name, check the result and rename it."""
    facts = {
        "source": {"path": str(listing.path), "kind": listing.kind},
        "content": read.content,
        "sizes": sizes_digest(listing),
        "fingerprints": [listing.fingerprint],
        "curves": curves,
        "unreadable": read.unreadable,
    }
    folder = archives_folder() / f"{read.space}-{read.content[:12]}{'' if curves else '-no-curves'}"
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=archives_folder()))
    try:
        read.assemble(building, facts)
        building.chmod(0o755)
        superseded = [old.folder for old in archives() if old.source == str(listing.path)]
        if not exchange(building, folder):
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(building, folder)
        for old in superseded:
            if old != folder:
                shutil.rmtree(old, ignore_errors=True)
    except BaseException as error:
        if isinstance(error, OSError) and not isinstance(error, NatsGymError):
            raise disk_full(error) from error
        raise
    finally:  # or what was there before
        shutil.rmtree(building, ignore_errors=True)
    return OfficialArchive(folder)


def _describe(listing: Listing, reader: Reader) -> Description:
    """What the records of an archive share: the first that two of them agree on.

    One record does not decide for all others. If no two agree, the first that can be read does.
    """
    reasons, said = [], []
    for entry in listing.entries:
        try:
            found = reader.describe(entry)
        except NatsGymError as error:
            reasons.append(str(error))
            continue
        if found in said:
            return found
        said.append(found)
    if not said:
        raise UnreadableFile(f"{listing.path}: no record could be read, the first: {reasons[0]}")
    return said[0]


def _read_entries(
    entries: Sequence[Entry],
    work: Path,
    archive: Description,
    curves: bool,
    strict: bool,
    progress: Progress,
    reader: Reader,
) -> None:
    """Read records into shards, those apart that an earlier import has read."""
    jobs, read = [], 0
    for start in range(0, len(entries), SHARD_RECORDS):
        some = tuple(entries[start : start + SHARD_RECORDS])
        path = work / f"shard-{start:06d}.npz"
        if path.is_file() and not (strict and Shard.read(path).unreadable):
            read += len(some)
        else:
            jobs.append(Job(some, str(path), archive, curves, strict))
    counted = [read]

    def done(count: int) -> None:
        counted[0] += count
        progress(counted[0], len(entries))

    progress(read, len(entries))
    reader.run(jobs, done)


def _read_some(
    entries: Sequence[Entry], archive: Description, curves: bool, shards: Sequence[Shard]
) -> list[Record]:
    """Freshly read a few records, spread over the archive; all of them have been read before."""
    unreadable = tuple(line for shard in shards for line in shard.unreadable)
    records = []
    for entry in entries[:: max(len(entries) // SPOT_CHECKS, 1)]:
        if not any(line.startswith(f"{entry.name}:") for line in unreadable):
            content = load_bytes(entry.read(), entry.name)
            records.append(extract(content, entry.index, archive, entry.name, curves))
    return records
