"""Reads records on every core: one interpreter per core, each given a shard's entries at a time.

The interpreters also keep from the importing process what a record does to its reader: one that
ends a reading process is found out and left out.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from nats_gym import children
from nats_gym.errors import NatsGymError, said, shown
from nats_gym.tables.official.entries import Entry
from nats_gym.tables.official.extraction import (
    Description,
    MixedArchive,
    Record,
    boundary,
    describe,
    extract,
    write_shard,
)
from nats_gym.tables.official.unpickling import ForbiddenPickle, UnreadableFile, load_bytes

# Fewer records than this are read in the importing process: an interpreter takes longer to start.
# What would end a process is refused by the reader of pickles; a record that ends it all the same
# does so once, for an import that goes on after an interruption reads in other processes.
WORTH_A_WORKER = 200
#: The module whose ``main()`` a reading process runs.
READER = __name__
#: Memory that a reading process may take beyond what it starts with: a record with all its weights
#: takes 400 MB.
MEMORY_BYTES = 1 << 30


class DiskFull(NatsGymError, OSError):
    """The disk filled up; what was read so far is kept, and the import can go on."""


class ReadingProcessDied(UnreadableFile):
    """A reading process ended before it answered.

    Attributes:
        index: the architecture whose record it was reading; None if it had not begun.
    """

    def __init__(self, message: str, index: int | None) -> None:
        super().__init__(message)
        self.index = index


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

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Job:
        """Inverse of ``asdict``."""
        entries = tuple(Entry(**entry) for entry in content.pop("entries"))
        return cls(entries, archive=Description(**content.pop("archive")), **content)


def describe_entry(entry: Entry) -> Description:
    """What a record says of its archive; raises ``NatsGymError`` if it cannot be read."""
    with boundary(entry.name):
        return describe(load_bytes(entry.read(), entry.name), entry.index, entry.name)


def run_job(job: Job, begin: Callable[[int], None] = lambda index: None) -> None:
    """Read a shard's records and write it.

    Args:
        job: what to read.
        begin: called with the index of each record that is about to be read.

    Raises:
        UnreadableFile, ForbiddenPickle: for the first unreadable record, if ``strict``.
        MixedArchive: for a record of another origin than the archive's.
        DiskFull: if there is no room.
    """
    records: list[Record] = []
    unreadable, digests = [], {}
    for entry in job.entries:
        try:
            begin(entry.index)
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


class ReadingProcess:
    """An interpreter that reads records; started when it is first asked, and again if it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[str] | None = None

    def __enter__(self) -> ReadingProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def describe(self, entry: Entry) -> Description:
        """:func:`describe_entry`, over there."""
        return Description(**self._ask({"describe": asdict(entry)}, entry.index))

    def run(self, job: Job) -> None:
        """:func:`run_job`, over there."""
        self._ask({"run": asdict(job)}, None)

    def _ask(self, question: dict[str, Any], index: int | None) -> Any:
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
            while "reading" in (reply := json.loads(process.stdout.readline())):
                index = reply["reading"]
        except (OSError, ValueError):  # nothing, or half a line
            raise ReadingProcessDied(self._end(), index) from None
        if "error" not in reply:
            return reply["answer"]
        kind = _KINDS.get(reply["kind"], NatsGymError)
        error = kind.__new__(kind)
        error.args = (reply["error"],)
        raise error

    def _start(self) -> subprocess.Popen[str]:
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - see _end
        try:
            self._process = children.start(READER, stderr=self._errors, text=True)
        except OSError as error:
            self._errors.close()
            raise NatsGymError(f"no process could be started to read in: {said(error)}") from error
        return self._process

    def _end(self) -> str:
        """End the process; how it ended, in words."""
        process, errors = self._process, self._errors
        if process is None or errors is None:
            return ""
        self._process = None
        with suppress(OSError), process:  # waits for its end
            assert process.stdin is not None
            process.stdin.close()
        with errors:
            errors.seek(0)
            lines = [line.strip() for line in errors if line.strip()]
        code = process.returncode
        ended = f"status {code}" if code >= 0 else f"{signal.strsignal(-code)} (signal {-code})"
        return f"a reading process died: {ended}" + (f", {shown(lines[-1])}" if lines else "")


_KINDS: dict[str, type[NatsGymError]] = {
    kind.__name__: kind for kind in (DiskFull, ForbiddenPickle, MixedArchive, UnreadableFile)
}


def run_jobs(jobs: Sequence[Job], done: Callable[[int], None], workers: int) -> None:
    """Run jobs, in this process or in others.

    Args:
        jobs: what to read.
        done: called with the number of records of each job that has ended.
        workers: interpreters to read in at a time; 0 to read in this one.

    Raises:
        NatsGymError: the first that a job raised; jobs that have ended keep their shards.
    """
    if not workers:
        for job in jobs:
            run_job(job)
            done(len(job.entries))
        return
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    ended: queue.SimpleQueue[int | Exception] = queue.SimpleQueue()
    stop = threading.Event()
    threads = [
        threading.Thread(target=_drive_process, args=(waiting, ended, stop), daemon=True)
        for _ in range(min(workers, len(jobs)))
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in jobs:
            outcome = ended.get()
            if isinstance(outcome, Exception):
                raise outcome
            done(outcome)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _drive_process(
    waiting: queue.SimpleQueue[Job],
    ended: queue.SimpleQueue[int | Exception],
    stop: threading.Event,
) -> None:
    """Feed one interpreter with jobs until none is left."""
    with ReadingProcess() as process:
        while not stop.is_set():
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                _run_contained(job, process)
                ended.put(len(job.entries))
            except Exception as error:  # whatever it is, the importing thread must hear of it
                ended.put(error)


def _run_contained(job: Job, process: ReadingProcess) -> None:
    """Run a job elsewhere; a record that ends the process there is left out, and it alone."""
    ends: Counter[int] = Counter()
    while True:
        try:
            return process.run(job)
        except ReadingProcessDied as death:
            if death.index is None:
                raise  # it is not a record's doing
            (entry,) = (entry for entry in job.entries if entry.index == death.index)
            ends[entry.index] += 1
            if ends[entry.index] == 1 and not _ends_a_process(entry, job, process):
                continue  # the process was ended from outside, or not by this record alone
            reason = f"{entry.name}: {death}"
            if job.strict:
                raise UnreadableFile(reason) from None
            job = replace(job, deadly={**job.deadly, str(entry.index): reason})


def _ends_a_process(entry: Entry, job: Job, process: ReadingProcess) -> bool:
    try:
        process.run(replace(job, entries=(entry,), path=""))
    except ReadingProcessDied:
        return True
    except NatsGymError:
        pass  # the job will say so
    return False


def main() -> None:
    """Answer questions, one a line, until standard input ends."""
    _limit_memory()
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if "describe" in question:
                _say(answer=asdict(describe_entry(Entry(**question["describe"]))))
            else:
                run_job(Job.from_json(question["run"]), lambda index: _say(reading=index))
                _say(answer=None)
        except Exception as error:  # whatever it is, the importing process must hear of it
            told = str(error) if isinstance(error, NatsGymError) else shown(error)
            kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _KINDS]
            _say(error=told, kind=kinds[0] if kinds else "")


def _say(**reply: Any) -> None:
    try:
        print(json.dumps(reply), flush=True)
    except BrokenPipeError:  # the importing process is gone
        os._exit(1)


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
