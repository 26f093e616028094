"""Reads records on every core: one interpreter per core, each given a shard's records at a time.

The interpreters also keep from the importing process what a record does to its reader: one that
ends a reading process is found out and left out.
"""

from __future__ import annotations

import errno
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from nats_gym.errors import NatsGymError
from nats_gym.processes.pool import Pool, Task, TaskFailed, WorkerDied, note
from nats_gym.tables.official.entries import Entry
from nats_gym.tables.official.extraction import (
    Description,
    MixedArchive,
    Record,
    boundary,
    describe,
    extract,
)
from nats_gym.tables.official.shards import write_shard
from nats_gym.tables.official.training_files import BlockJob
from nats_gym.tables.official.unpickling import UnreadableFile, load_bytes

# Fewer records than this are read in the importing process: an interpreter takes longer to start.
# What would end a process is refused by the reader of pickles; a record that ends it all the same
# does so once, for an import that goes on after an interruption reads in other processes.
WORTH_A_WORKER = 200
#: What makes the task of a reading process.
READER = f"{__name__}:make_reader"
#: Memory that a reading process may take beyond what it starts with: a record with all its weights
#: takes 400 MB.
MEMORY_BYTES = 1 << 30


class DiskFull(NatsGymError, OSError):
    """The disk filled up; what was read so far is kept, and the import can go on."""


@dataclass(frozen=True)
class Job:
    """Records to read.

    Attributes:
        entries: where they lie.
        path: the shard to write; empty to read them and write nothing.
        archive: what the archive's records share.
        curves: keep learning curves.
        strict: let an unreadable record end the import; else it is noted and left out.
        deadly: why records are left out unread, by index: they have ended a reading process.
    """

    entries: tuple[Entry, ...]
    path: str
    archive: Description
    curves: bool
    strict: bool
    deadly: dict[str, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many records there are."""
        return len(self.entries)

    @property
    def question(self) -> dict[str, Any]:
        """What a reading process is asked."""
        return {"job": asdict(self)}

    def run(self) -> None:
        """Read the records and write the shard; see :func:`run_job`."""
        run_job(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Job:
        """Inverse of ``asdict``."""
        entries = tuple(Entry(**entry) for entry in content.pop("entries"))
        return cls(entries, archive=Description(**content.pop("archive")), **content)


def describe_entry(entry: Entry) -> Description:
    """What a record says of its archive; raises ``NatsGymError`` if it cannot be read."""
    with boundary(entry.name):
        return describe(load_bytes(entry.read(), entry.name), entry.index, entry.name)


def run_job(job: Job) -> None:
    """Read a shard's records and write it.

    Raises:
        UnreadableFile, ForbiddenPickle: for the first unreadable record, if ``strict``.
        MixedArchive: for a record of another origin than the archive's.
        DiskFull: if there is no room.
    """
    records: list[Record] = []
    unreadable, digests = [], {}
    for entry in job.entries:
        try:
            note(entry.index)
            with boundary(entry.name):
                data = entry.read()
                digests[str(entry.index)] = hashlib.sha256(data).hexdigest()
                if str(entry.index) in job.deadly:
                    raise UnreadableFile(job.deadly[str(entry.index)])
                content = load_bytes(data, entry.name)
                records.append(extract(content, entry.index, job.archive, entry.name, job.curves))
        except MixedArchive:
            raise
        except NatsGymError as error:
            if job.strict:
                raise
            unreadable.append(str(error))
    if not job.path:
        return
    try:
        write_shard(Path(job.path), records, unreadable, digests)
    except OSError as error:
        raise disk_full(error) from error


def disk_full(error: OSError) -> OSError:
    """The error to raise in place of ``error``: a ``DiskFull`` if that is what it says."""
    if error.errno != errno.ENOSPC:
        return error
    return DiskFull(f"no space left on the disk ({error.filename or 'while writing'})")


class Reader:
    """Reads records: in this process, or in interpreters that a record may end.

    Args:
        workers: interpreters to read in at a time; 0 to read in this process.
        retries: how often a job is tried again whose process died of no known record.
    """

    def __init__(self, workers: int, retries: int = 0) -> None:
        self._workers = workers
        self._pool = Pool(READER, workers=workers, retries=retries, quiet=True) if workers else None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.close()

    def describe(self, entry: Entry) -> Description:
        """What a record says of its archive; raises ``NatsGymError`` if it cannot be read."""
        if not self._pool:
            return describe_entry(entry)
        try:
            return Description(**_answer(self._pool, entry=asdict(entry)))
        except WorkerDied as death:
            raise UnreadableFile(_died(death)) from None

    def run(self, jobs: Sequence[Job | BlockJob], done: Callable[[int], None]) -> None:
        """Run jobs.

        Args:
            jobs: what to read.
            done: called with the number of records of each job that has ended.

        Raises:
            NatsGymError: the first that a job raised; jobs that have ended keep their shards.
        """
        if not self._pool:
            for job in jobs:
                job.run()
                done(job.count)
            return
        threads = ThreadPoolExecutor(self._workers)
        try:
            for read in as_completed([threads.submit(_run, job, self._pool) for job in jobs]):
                done(read.result())
        finally:
            threads.shutdown(cancel_futures=True)  # what is being read is read to its end


def _run(job: Job | BlockJob, pool: Pool) -> int:
    """Run a job elsewhere; a record that ends the process there is left out, and it alone."""
    ends: Counter[int] = Counter()
    while True:
        try:
            _answer(pool, **job.question)
            return job.count
        except WorkerDied as death:
            if death.noted is None or isinstance(job, BlockJob):  # it is not a record's doing
                raise UnreadableFile(_died(death)) from None
            (entry,) = (entry for entry in job.entries if entry.index == death.noted)
            ends[entry.index] += 1
            if ends[entry.index] == 1 and not _ends_a_process(entry, job, pool):
                continue  # the process was ended from outside, or not by this record alone
            reason = f"{entry.name}: {_died(death)}"
            if job.strict:
                raise UnreadableFile(reason) from None
            job = replace(job, deadly={**job.deadly, str(entry.index): reason})


def _ends_a_process(entry: Entry, job: Job, pool: Pool) -> bool:
    try:
        _answer(pool, job=asdict(replace(job, entries=(entry,), path="")))
    except WorkerDied:
        return True
    except NatsGymError:
        pass  # the job will say so
    return False


def _died(death: WorkerDied) -> str:
    return f"a reading process died: {death.how}"


def _answer(pool: Pool, **question: Any) -> Any:
    try:
        return pool.submit(question).result()
    except TaskFailed as failure:
        raise NatsGymError(str(failure).partition("\n")[0]) from failure


def make_reader() -> Task:
    """What a reading process runs: it describes an entry, or runs a job."""
    _limit_memory()

    def reader(
        entry: dict[str, Any] | None = None,
        job: dict[str, Any] | None = None,
        block: dict[str, Any] | None = None,
    ) -> Any:
        if entry is not None:
            return asdict(describe_entry(Entry(**entry)))
        if block is not None:
            return BlockJob(**block).run()
        return run_job(Job.from_json(job or {}))

    return reader


def _limit_memory() -> None:
    """Let a record that takes too much raise ``MemoryError`` here, before the system looks for
    a process to end."""
    with suppress(ImportError, OSError, ValueError):  # where there is no such limit
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY_BYTES
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard == resource.RLIM_INFINITY or limit < hard:
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
