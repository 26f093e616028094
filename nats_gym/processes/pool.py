"""Processes that stay: each makes a task function once, then answers task after task.

A worker that dies is replaced and its task tried again; one that outlives its time is killed. When
the process that holds the pool dies, the workers go too (``nats_gym.processes.children``).
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import IO, Any

from nats_gym import checks
from nats_gym.errors import InvalidInput, NatsGymError, said, shown
from nats_gym.processes import children
from nats_gym.processes.messages import read_message, write_message

Task = Callable[..., Any]
#: How often a task is tried again whose process died.
MOST_RETRIES = 1_000
#: Seconds that a worker whose pipe broke has to end by itself, with an exit code of its own.
_ENDS_WITHIN = 1.0
_SHUT_DOWN = "the pool was closed before the task was done"


class WorkerDied(NatsGymError, RuntimeError):
    """The process that ran a task ended without an answer, as often as the task was tried.

    Attributes:
        how: how it ended the last time, in words; empty if the pool was closed.
        noted: what the task had given :func:`note` last; None if nothing.
    """

    how: str = ""
    noted: Any = None


class TaskTimedOut(NatsGymError, TimeoutError):
    """A task took longer than allowed; its process was killed."""


class TaskFailed(NatsGymError, RuntimeError):
    """A task raised; the message holds the traceback of its process."""

    __str__ = Exception.__str__  # in several lines


@dataclass(frozen=True, eq=False)
class _Job:
    arguments: Mapping[str, Any]
    timeout: float | None
    future: Future[Any]


class Pool:
    """Runs tasks in processes of their own, and keeps these for the next.

    Example::

        with Pool("nats_gym.training.batched:make_trainer", {"data": …}, workers=2) as pool:
            for position, answer in pool.map([{"index": 7, "seed": 0}, {"index": 8, "seed": 0}]):
                …

    Args:
        factory: ``"module:function"``. Each worker calls it once, with ``arguments``; what it
            returns is called with every task's arguments and returns the answer.
        arguments: of the factory: plain values and numpy arrays. A list of them gives each worker
            its own, in turn (a device, say).
        workers: number of processes.
        threads: threads that numerical libraries may use in each.
        retries: how often a task is tried again whose process died. A task that raises or runs
            out of time is not.
        quiet: what the processes write to standard error is not shown; its last line is in
            ``WorkerDied.how``.

    Raises:
        InvalidInput: for a factory that cannot be named, or numbers out of range.
    """

    def __init__(
        self,
        factory: str,
        arguments: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        workers: int = 1,
        *,
        threads: int = 1,
        retries: int = 1,
        quiet: bool = False,
    ) -> None:
        module, colon, name = checks.text(factory, "a factory").partition(":")
        if not (module and colon and name) or module == "__main__":
            raise InvalidInput(
                f"a factory is 'module:function' in a module that can be imported, "
                f"got {shown(factory)}"
            )
        workers = checks.integer(workers, "workers", 1, checks.MOST_PROCESSES)
        threads = checks.integer(threads, "threads", 1, checks.MOST_THREADS)
        retries = checks.integer(retries, "retries", 0, MOST_RETRIES)
        if arguments is None:
            arguments = {}
        each = [arguments] if isinstance(arguments, Mapping) else list(arguments)
        if not each:
            raise InvalidInput("a list of arguments has at least one entry")
        self._factory, self._threads, self._retries = factory, threads, retries
        self._quiet = quiet
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        self._processes: dict[int, _Process] = {}
        self._drivers = [
            threading.Thread(target=self._drive, args=(slot, each[slot % len(each)]), daemon=True)
            for slot in range(workers)
        ]
        for driver in self._drivers:
            driver.start()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """Process numbers of the workers there are now."""
        with self._lock:
            return [process.pid for process in self._processes.values()]

    def submit(self, arguments: Mapping[str, Any], timeout: float | None = None) -> Future[Any]:
        """Queue a task.

        Args:
            arguments: of the task: plain values and numpy arrays.
            timeout: seconds that it may run; the wait in the queue does not count.

        Returns:
            A future whose ``result()`` is the answer. It raises :class:`WorkerDied`,
            :class:`TaskTimedOut`, :class:`TaskFailed`, or the exception of nats-gym that the task
            raised. A future that is not running can be cancelled.
        """
        job = _Job(arguments, checks.limit(timeout, "timeout"), Future())
        with self._lock:  # or it could be queued behind the end
            if self._closed:
                raise InvalidInput("the pool is closed")
            self._jobs.put(job)
        return job.future

    def map(
        self, tasks: Iterable[Mapping[str, Any]], timeout: float | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Run tasks; yield each one's position and answer as it is done, the quickest first.

        The first failure is raised; tasks that have not begun by then, or when the iterator is
        closed, are dropped.
        """
        positions = {self.submit(task, timeout): position for position, task in enumerate(tasks)}
        try:
            for future in as_completed(positions):
                yield positions[future], future.result()
        finally:
            for future in positions:
                future.cancel()

    def close(self) -> None:
        """End the workers, whatever they are doing, and drop what waits."""
        with self._lock:
            self._closed = True
            processes = list(self._processes.values())
        for process in processes:
            process.kill()
        for _ in self._drivers:
            self._jobs.put(None)
        for driver in self._drivers:
            driver.join()
        while not self._jobs.empty():
            job = self._jobs.get()
            if job is not None:
                job.future.cancel()

    def _drive(self, slot: int, arguments: Mapping[str, Any]) -> None:
        """Feed one worker, and its successors, until the pool is closed."""
        with suppress(_Died, NatsGymError):  # told to the first task, which tries again
            self._ready_process(slot, arguments)
        while (job := self._jobs.get()) is not None:
            if job.future.set_running_or_notify_cancel():
                try:
                    job.future.set_result(self._run(slot, arguments, job))
                except Exception as error:
                    job.future.set_exception(error)
        with self._lock:
            process = self._processes.pop(slot, None)
        if process is not None:
            process.end()

    def _run(self, slot: int, arguments: Mapping[str, Any], job: _Job) -> Any:
        """A job's answer; it is tried again in another process if this one dies."""
        tries = 1 + self._retries
        for attempt in range(tries):
            if self._closed:
                break
            try:
                return self._ready_process(slot, arguments).ask(job.arguments, job.timeout)
            except _Died as death:
                if attempt + 1 == tries and not self._closed:
                    error = WorkerDied(
                        f"the worker died {'each of ' * (tries > 1)}{tries} "
                        f"time{'s' * (tries > 1)} that the task was tried (exit code {death.code})"
                    )
                    error.how, error.noted = death.how, death.noted
                    raise error from None
        raise WorkerDied(_SHUT_DOWN)

    def _ready_process(self, slot: int, arguments: Mapping[str, Any]) -> _Process:
        """The slot's process; a new one if it has none, or a dead one."""
        process = self._processes.get(slot)
        if process is None or not process.alive:
            if process is not None:
                process.end()
            process = _Process(self._threads, self._quiet)
            with self._lock:
                self._processes[slot] = process
            if self._closed:
                process.kill()
            process.start(self._factory, arguments)
        return process


@dataclass(eq=False)
class _Died(Exception):
    """A worker ended: its exit code, how in words, and what its task noted last."""

    code: int
    how: str
    noted: Any


class _Process:
    """One process and the pipes to it."""

    def __init__(self, threads: int, quiet: bool) -> None:
        counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        try:
            self._errors = tempfile.TemporaryFile("w+", errors="replace") if quiet else None  # noqa: SIM115 - see end
            self._process = children.start(__name__, counts, stderr=self._errors)
        except OSError as error:
            raise NatsGymError(f"no process could be started: {said(error)}") from error
        self.pid = self._process.pid
        self._ready = False

    @property
    def alive(self) -> bool:
        """Whether it can be given a task."""
        return self._ready and self._process.poll() is None

    def start(self, factory: str, arguments: Mapping[str, Any]) -> None:
        """Have it make its task function; raises what that raises, ``_Died`` if it dies."""
        self._exchange({"path": sys.path, "factory": factory, "arguments": dict(arguments)})
        self._ready = True

    def ask(self, arguments: Mapping[str, Any], timeout: float | None) -> Any:
        """Run a task and return its answer; raises what it raises, ``_Died`` if it dies."""
        if timeout is None:
            return self._exchange(dict(arguments))
        late = threading.Event()

        def end() -> None:
            late.set()
            self.kill()

        timer = threading.Timer(timeout, end)
        timer.daemon = True
        timer.start()
        try:
            return self._exchange(dict(arguments))
        except _Died:
            if late.is_set():
                raise TaskTimedOut(f"the task took longer than {timeout:g} s") from None
            raise
        finally:
            timer.cancel()

    def kill(self) -> None:
        """End it now; whoever waits for its answer notices."""
        self._process.kill()

    def end(self) -> str:
        """End it and let go of it; the last line that it wrote to its own standard error."""
        self._ready = False
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what could not be written any more
                pipe.close()  # type: ignore[union-attr]
        if self._errors is None or self._errors.closed:
            return ""
        with self._errors as errors:
            errors.seek(0)
            return ([""] + [line.strip() for line in errors if line.strip()])[-1]

    def _exchange(self, message: Any) -> Any:
        """Send a message and wait for its answer, past what is noted on the way.

        Raises what the other side raised, or ``_Died`` with how it ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        noted = None
        try:
            write_message(self._process.stdin, message)
            while "noted" in (answer := read_message(self._process.stdout)):
                noted = answer["noted"]
        except (OSError, EOFError, ValueError):  # a pipe is broken, or was closed in mid-word
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_ENDS_WITHIN)
            line = self.end()
            code = self._process.returncode
            how = f"status {code}" if code >= 0 else f"{signal.strsignal(-code)} (signal {-code})"
            raise _Died(code, how + (f", {shown(line)}" if line else ""), noted) from None
        if "error" in answer:
            raise _rebuild_error(answer)
        return answer["answer"]


def _rebuild_error(answer: dict[str, str]) -> NatsGymError:
    """The exception of nats-gym that a task raised, else a ``TaskFailed`` with its traceback."""
    with suppress(Exception):
        kind = getattr(import_module(answer["module"]), answer["kind"])
        if issubclass(kind, NatsGymError):
            error = kind.__new__(kind)  # whatever it is made of
            error.args = (answer["error"],)
            return error
    return TaskFailed(f"{answer['kind']}: {answer['error']}\n{answer['traceback']}")


#: In a worker: where its answers go.
_answers: IO[bytes] | None = None


def note(value: Any) -> None:
    """Tell the pool what a task does next, for :class:`WorkerDied`; nothing outside of a pool.

    Args:
        value: plain values and arrays.
    """
    if _answers is not None:
        write_message(_answers, {"noted": value})


def main() -> None:
    """Answer tasks until the pool is gone."""
    global _answers
    requests = os.fdopen(os.dup(0), "rb")
    answers = _answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what a task prints must not get among the answers
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def listen() -> None:
        try:
            while True:
                waiting.put(read_message(requests))
        except (EOFError, OSError, ValueError):
            os._exit(0)  # nobody is left to hear the answer of a task that may run for hours

    threading.Thread(target=listen, daemon=True).start()
    hello = waiting.get()
    sys.path[:] = hello["path"]
    module, name = hello["factory"].split(":")
    try:
        task = getattr(import_module(module), name)(**hello["arguments"])
        write_message(answers, {"answer": None})
    except Exception as error:
        write_message(answers, _describe_error(error))
        return
    while True:
        try:
            write_message(answers, {"answer": task(**waiting.get())})
        except Exception as error:  # the task's own, or an answer that cannot be sent
            write_message(answers, _describe_error(error))


def _describe_error(error: Exception) -> dict[str, str]:
    """An exception as plain values, of which :func:`_rebuild_error` makes one again."""
    return {
        "error": str(error),
        "kind": type(error).__name__,
        "module": type(error).__module__,
        "traceback": traceback.format_exc(),
    }
