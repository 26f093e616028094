"""Reads records on every core: one interpreter per core, each given a shard's entries at a time.

Plain child interpreters rather than ``multiprocessing``: that would import the caller's script
again, or fork a process that may hold threads and locks.
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
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nats_gym.errors import NatsGymError
from nats_gym.spaces import get_space
from nats_gym.tables.official.entries import Entry
from nats_gym.tables.official.extraction import Record, extract, write_shard
from nats_gym.tables.official.unpickling import UnreadableFile, load_bytes

# Fewer records than this are read in this process: an interpreter takes longer to start.
WORTH_A_WORKER = 200


class DiskFull(NatsGymError, OSError):
    """The disk filled up; what was read so far is kept, and the import can go on."""


@dataclass(frozen=True)
class Job:
    """A shard to write.

    Attributes:
        entries: its records.
        path: the file to write.
        space: name of the space.
        curves: keep learning curves.
        strict: let an unreadable record end the import; else it is noted and left out.
        schedules: epochs of each hp in the archive.
    """

    entries: tuple[Entry, ...]
    path: str
    space: str
    curves: bool
    strict: bool
    schedules: dict[str, int]

    def to_json(self) -> str:
        """One line for a worker."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Job:
        """Inverse of :meth:`to_json`."""
        content = json.loads(line)
        entries = tuple(Entry(**entry) for entry in content.pop("entries"))
        return cls(entries=entries, **content)


def run_job(job: Job) -> None:
    """Read a shard's records and write it.

    Raises:
        UnreadableFile, ForbiddenPickle: for the first unreadable record, if ``strict``.
        DiskFull: if there is no room.
    """
    records: list[Record] = []
    unreadable, digests = [], {}
    for entry in job.entries:
        try:
            data = entry.read()
            digests[str(entry.index)] = hashlib.sha256(data).hexdigest()
            content = load_bytes(data, entry.name)
            space = get_space(job.space)
            records.append(
                extract(content, entry.index, space, entry.name, job.curves, job.schedules)
            )
        except NatsGymError as error:
            if job.strict:
                raise
            unreadable.append(str(error))
    try:
        write_shard(Path(job.path), records, unreadable, digests)
    except OSError as error:
        raise disk_full(error) from error


def disk_full(error: OSError) -> OSError:
    """The error to raise in place of ``error``: a ``DiskFull`` if that is what it says."""
    if error.errno != errno.ENOSPC:
        return error
    return DiskFull(f"no space left on the disk ({error.filename or 'while writing'})")


def run_jobs(jobs: Sequence[Job], done: Callable[[int], None], workers: int) -> None:
    """Run jobs, on ``workers`` interpreters if that is worth while.

    Args:
        jobs: what to read.
        done: called with the number of records of each job that has ended.
        workers: interpreters at a time.

    Raises:
        NatsGymError: the first that a job raised; jobs that have ended keep their shards.
    """
    if sum(len(job.entries) for job in jobs) < WORTH_A_WORKER or workers < 2:
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
        threading.Thread(target=_drive_worker, args=(waiting, ended, stop), daemon=True)
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


def _drive_worker(
    waiting: queue.SimpleQueue[Job],
    ended: queue.SimpleQueue[int | Exception],
    stop: threading.Event,
) -> None:
    """Feed one interpreter with jobs until none is left."""
    command = [sys.executable, "-c", f"from {__spec__.name} import main; main()"]
    # The interpreter must find the package that this one found.
    root = str(Path(__file__).parents[3])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        while not stop.is_set():
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                break
            try:
                worker.stdin.write(job.to_json() + "\n")
                worker.stdin.flush()
                answer = worker.stdout.readline()
            except OSError:
                answer = ""
            ended.put(_outcome(answer, job))
        worker.stdin.close()


def _outcome(answer: str, job: Job) -> int | Exception:
    if not answer:
        first = job.entries[0].name
        return UnreadableFile(f"a reading process died at the records from {first} on")
    reply = json.loads(answer)
    if "error" not in reply:
        return len(job.entries)
    kind = {"DiskFull": DiskFull, "UnreadableFile": UnreadableFile}.get(reply["kind"])
    return (kind or NatsGymError)(reply["error"])


def main() -> None:
    """Answer jobs, one a line, until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the importing process's to answer
    for line in sys.stdin:
        try:
            run_job(Job.from_json(line))
            reply = {}
        except Exception as error:  # whatever it is, the importing process must hear of it
            reply = {"error": str(error), "kind": type(error).__name__}
        try:
            print(json.dumps(reply), flush=True)
        except BrokenPipeError:  # the importing process is gone
            os._exit(1)
