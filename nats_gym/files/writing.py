"""Whole or absent: a file is written under a temporary name and renamed."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from os.path import lexists
from pathlib import Path

from nats_gym import checks
from nats_gym.errors import CannotWrite, InvalidInput, NatsGymError, said, shown

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: How the names begin that only we give, and that nothing finished has.
_UNFINISHED = ".nats-gym-part-"


def check_source(source: object) -> str | Path:
    """Return a table's ``source``; ``InvalidInput`` unless it is a word or a path."""
    path = checks.path(source, "a source other than 'auto', 'embedded' and 'digits-300'")
    return str.__str__(source) if isinstance(source, str) else path


def check_folder(path: Path) -> None:
    """Raise ``InvalidInput`` if ``path`` cannot become a folder that we may write to."""
    # A link that leads nowhere is there, and in the way.
    nearest = next(parent for parent in (path, *path.absolute().parents) if lexists(parent))
    if not nearest.is_dir():
        raise InvalidInput(f"{shown(str(path))} cannot be a folder: {shown(str(nearest))} is none")
    if not os.access(nearest, os.W_OK):
        raise InvalidInput(
            f"{shown(str(path))} cannot be written: {shown(str(nearest))} is read-only"
        )


def lacking(name: str, file: str) -> str | None:
    """What there is not of a folder that holds ``file``: empty if there is all of it.

    None for a plain word that no folder is called, which may be meant for something else.
    """
    try:
        folder = Path(name)
        if (folder / file).is_file():
            return ""
        there = bool(name) and folder.is_dir()
    except (OSError, ValueError):  # what no file system takes for a name
        there = False
    return f"no file {file} in it" if there else "no such folder" if "/" in name else None


@contextmanager
def alone(lock: Path, busy: str) -> Iterator[None]:
    """Hold a lock file; ``InvalidInput`` with the text ``busy`` if another process does."""
    import filelock  # trainings do without it

    held = filelock.FileLock(lock, timeout=0)
    try:
        held.acquire()
    except filelock.Timeout:
        raise InvalidInput(busy) from None
    try:
        yield
    finally:
        held.release()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` unless the block raises.

    What killed processes have left half-written in that folder goes; see :func:`sweep`.

    Raises:
        CannotWrite: for what the operating system refuses: no room, no permission; for a device,
            a pipe or a socket, which a file would take the place of.
    """
    check_replaceable(path)
    with unwritable_named(path), _unfinished(path.parent, _make_file) as temporary:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file of text, or of bytes; see :func:`replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content if isinstance(content, bytes) else content.encode())


def check_replaceable(path: Path) -> None:
    """Raise ``CannotWrite`` if there is something at ``path`` that no file may replace.

    Who may rename over a device, as root may over ``/dev/null``, takes it from the whole machine.
    A link to one, or to where this process prints, is as good: ``/dev/stdout`` is one.
    """
    try:
        there = path.stat()
    except OSError:  # nothing is there; or what is in the way says so when the file is written
        return
    regular = stat.S_ISREG(there.st_mode) or stat.S_ISDIR(there.st_mode)
    if not regular or (path.is_symlink() and _is_stream(there)):
        raise CannotWrite(
            f"{shown(str(path))} cannot be written: it is no file, but a device, a pipe, a socket "
            "or a stream of this process"
        )


def _is_stream(file: os.stat_result) -> bool:
    """Whether this process reads from a file, or prints to it."""
    for stream in range(3):
        with suppress(OSError):  # closed
            if os.path.samestat(file, os.fstat(stream)):
                return True
    return False


@contextmanager
def unfinished_folder(parent: Path) -> Iterator[Path]:
    """Yield a temporary folder in ``parent``; it goes at the end unless it was renamed.

    Otherwise as :func:`replacing`.
    """
    with unwritable_named(parent), _unfinished(parent, tempfile.mkdtemp) as temporary:
        yield temporary


def exchange(one: Path, other: Path) -> bool:
    """Swap what two names lead to, at once, where the system can; return whether it did.

    Linux can, on its own file systems. Python's renamings take two steps, and a folder that is
    replaced is nowhere between them.
    """
    try:
        import ctypes
    except ImportError:  # Pythons built without
        return False
    swap = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    here = -100  # AT_FDCWD
    return swap is not None and swap(here, bytes(one), here, bytes(other), 2) == 0


@contextmanager
def unwritable_named(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses in the block into a ``CannotWrite`` of ``path``."""
    try:
        yield
    except NatsGymError:
        raise
    except OSError as error:
        # numpy says how much of an array was written, and not why.
        reason = error.strerror or f"{said(error)}; is the disk full?"
        told = CannotWrite(f"{shown(str(path))} cannot be written: {reason}")
        told.errno = error.errno
        raise told from error


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that lack; ``CannotWrite`` where that is refused."""
    with unwritable_named(path):
        path.mkdir(parents=True, exist_ok=True)


def sweep(*folders: Path) -> None:
    """Remove from folders what writers that were killed have left half-written.

    A writer holds a lock on what it has not finished, which goes with its process, however that
    ends. What is locked stays, and what has another name than ours.
    """
    for folder in folders:
        for path in [*folder.glob(f"{_UNFINISHED}*")]:
            with suppress(OSError), locked(path, wait=False):
                _remove(path)


@lru_cache(maxsize=256)  # once a process: a folder may hold thousands of files
def _sweep_once(folder: Path) -> None:
    sweep(folder)


@contextmanager
def _unfinished(parent: Path, make: Callable[..., str]) -> Iterator[Path]:
    """Yield what ``make`` makes under a name of ours, locked; it goes if it is still there."""
    _sweep_once(parent.absolute())
    while True:
        path = Path(make(prefix=_UNFINISHED, dir=parent))
        with suppress(_Swept), locked(path):
            try:
                yield path
            finally:
                _remove(path)
            return


def _make_file(prefix: str, dir: Path) -> str:
    handle, name = tempfile.mkstemp(prefix=prefix, dir=dir)
    os.close(handle)
    return name


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class _Swept(OSError):
    """What was to be locked is gone."""


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock on a file or folder, which other processes respect that ask for it too.

    Where there is none, on Windows and some network file systems, who waits does without.

    Args:
        path: must be there.
        wait: until nobody else has it; else ``OSError`` if somebody has.
    """
    if fcntl is None:
        if not wait:
            raise OSError("no locks here")
        yield
        return
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise _Swept(f"{path} is gone") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            if not wait:
                raise
        if not path.exists():
            raise _Swept(f"{path} is gone")
        yield
    finally:
        os.close(handle)
