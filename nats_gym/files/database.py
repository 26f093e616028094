"""SQLite files of our own: opened only as what they should be, missed if they go while in use."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import warnings
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nats_gym.errors import NatsGymError, shown
from nats_gym.files.writing import locked, make_folder

#: Bytes of the longest text that is read from a file, or written into it.
LONGEST = 4 << 20
_BUSY_SECONDS = 60.0
# What SQLite keeps beside a file whose journal is a write-ahead log.
_BESIDE = ("-wal", "-shm")

#: SQL, and the values for its question marks.
Statement = tuple[str, tuple[Any, ...]]


class Database:
    """An SQLite file that holds certain tables and nothing else.

    Several processes may share it, and threads the object. Each :meth:`write` is one
    transaction, whole or not at all; a kill loses none that was done. A file that is deleted or
    replaced while it is in use is noticed at the next write: a warning says so, and what this
    process holds in memory is written into the file that is there then.

    Args:
        path: the file; made if it is not there, with its folder.
        tables: by name, the statement that makes each.
        error: what is raised for a file that is none of ours, or cannot be read or written.
        what: the file should be, in messages: ``"a cache"``.
        earlier: of each earlier version its tables, and the statements that make these ours.
        synchronous: ``"FULL"`` if a transaction has to outlast the machine's loss of power.
    """

    def __init__(
        self,
        path: Path,
        tables: Mapping[str, str],
        error: type[NatsGymError],
        what: str,
        earlier: Sequence[tuple[Mapping[str, str], Sequence[str]]] = (),
        synchronous: str = "NORMAL",
    ) -> None:
        # The working folder may change, and ":memory:" is a file's name as any other.
        self.path = path.absolute()
        self._names: tuple[str, ...] = ()
        self._tables, self._error, self._what = tables, error, what
        self._earlier, self._synchronous = earlier, synchronous
        self._lock = threading.Lock()
        self._held: dict[Hashable, tuple[Statement, ...]] = {}
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        self._seen: tuple[Any, ...] = ()
        self._lost = False
        self._end: Callable[[], Any] = lambda: None
        self.write()

    def read(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """The rows of one statement, which changes nothing."""
        with self._lock:
            try:
                return self._connect(False).execute(statement, values).fetchall()
            except NatsGymError:
                raise
            except (sqlite3.Error, OSError, UnicodeError) as error:  # what SQLite quotes
                raise self._told(error) from error

    def write(self, *statements: Statement) -> list[tuple[Any, ...]]:
        """Run statements in one transaction; the rows of the last."""
        with self._lock:
            try:
                return _run(self._connect(), statements)
            except NatsGymError:
                raise
            except (sqlite3.Error, OSError, UnicodeError) as error:  # what SQLite quotes
                raise self._told(error) from error

    def hold(self, key: Hashable, *statements: Statement) -> None:
        """Run these too in a file that takes the place of this one; the last of a key counts."""
        with self._lock:
            self._held[key] = statements

    def _told(self, error: Exception) -> Exception:
        """What SQLite or the system raised, as the error of this file."""
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        return self._error(f"{self.path} cannot be {self._what}: {reason}")

    def close(self) -> None:
        """Close the file, and let go of what is held; the next call opens it again."""
        with self._lock:
            self._close()
            self._held.clear()
            self._lost = False

    def _close(self) -> None:
        if self._connection is not None:
            self._end()
        self._connection = None

    def _connect(self, checked: bool = True) -> sqlite3.Connection:
        """The connection of this process, if ``checked`` to the file that is there now."""
        if self._connection is not None:
            if self._process == os.getpid() and (not checked or self._seen == self._inodes()):
                return self._connection
            # While it is open, no other file has its number.
            self._lost |= self._seen[0] != self._inodes()[0]
            self._make_way(self._seen)
            self._close()
        for _ in range(10):  # it may be replaced while it is opened, too
            self._make_way()
            file = self._inodes()[0]
            connection = self._opened()
            if self._inodes()[0] == file:
                break
            connection.close()
        else:
            raise self._error(f"{self.path} cannot be {self._what}: others replace it all the time")
        lost = self._lost
        if lost:
            try:
                _run(connection, [one for statements in self._held.values() for one in statements])
            except BaseException:
                connection.close()
                raise
        self._connection, self._process, self._lost = connection, os.getpid(), False
        self._seen = self._inodes()
        self._end = weakref.finalize(self, _close_in, self._process, connection)
        if lost:
            warnings.warn(
                f"{self.path} was deleted or replaced while it was in use; what this process has "
                f"written and read, {len(self._held):,} entries, is written again",
                RuntimeWarning,
                stacklevel=4,
            )
        return connection

    def _inodes(self) -> tuple[tuple[int, int] | None, ...]:
        """Which files lie at the path, and beside it, now."""
        found: list[tuple[int, int] | None] = []
        for name in self._names:
            try:
                told = os.stat(name)
                found.append((told.st_dev, told.st_ino))
            except OSError:
                found.append(None)
        return tuple(found)

    def _make_way(self, seen: tuple[Any, ...] = ()) -> None:
        """Have a file at the path, and nothing beside it that belongs to one that is gone.

        SQLite would take what lies beside a file for the file's own, and processes that still
        have the deleted one open would go on in what lies there.

        Args:
            seen: what lay there when the file that may be gone was opened; it is still open.
        """
        make_folder(self.path.parent)
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat(self.path).st_mode):
                raise self._error(f"{self.path} cannot be {self._what}: it is no regular file")
        real = os.path.realpath(self.path)  # SQLite follows a link
        self._names = (str(self.path), *(f"{real}{suffix}" for suffix in _BESIDE))
        with locked(self.path.parent):
            now = self._inodes()
            empty = now[0] is None or os.stat(self.path).st_size == 0
            for place, name in enumerate(self._names[1:], start=1):
                of_the_old = seen and now[0] != seen[0] and now[place] == seen[place]
                if now[place] is not None and (empty or of_the_old):
                    os.unlink(name)
            if now[0] is None:
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o644))

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None
        )
        try:
            self._check_length(connection)
            # Nothing that a file brings along may run.
            connection.execute("PRAGMA trusted_schema = OFF")
            if hasattr(connection, "setconfig"):  # Python 3.12
                connection.setconfig(getattr(sqlite3, "SQLITE_DBCONFIG_DEFENSIVE"), True)  # noqa: B009
            found = _tables_of(connection)
            known = [{}, self._tables, *(tables for tables, _ in self._earlier)]
            if found not in [_normal(tables) for tables in known]:
                raise self._error(f"{self.path} is not {self._what}: it holds {_list_words(found)}")
            # Readers and a writer do not wait for each other; a kill loses no transaction.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            if found != _normal(self._tables):
                self._make_tables(connection)
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_length(self, connection: sqlite3.Connection) -> None:
        """Refuse a file that ends within a page, whose end SQLite would read as zeros."""
        log = Path(self._names[1])
        if log.exists() and log.stat().st_size:
            return  # the page may be in it
        size = os.stat(self.path).st_size
        if size % connection.execute("PRAGMA page_size").fetchone()[0]:
            raise self._error(f"{self.path} cannot be {self._what}: it is cut off in a page")

    def _make_tables(self, connection: sqlite3.Connection) -> None:
        """Make the tables, of those of an earlier version if there are such."""
        with _transaction(connection):
            found = _tables_of(connection)  # another process may have been first
            if not found:
                for statement in self._tables.values():
                    connection.execute(statement)
            for tables, statements in self._earlier:
                if found == _normal(tables):
                    for statement in statements:
                        connection.execute(statement)


def _run(connection: sqlite3.Connection, statements: Sequence[Statement]) -> list[tuple[Any, ...]]:
    """Run statements, several as one transaction; the rows of the last."""
    if len(statements) == 1:
        return connection.execute(*statements[0]).fetchall()
    rows: list[tuple[Any, ...]] = []
    if statements:
        with _transaction(connection):
            for statement in statements:
                rows = connection.execute(*statement).fetchall()
    return rows


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk ends it by itself
            connection.execute("ROLLBACK")
        raise


def _tables_of(connection: sqlite3.Connection) -> dict[str, str]:
    """What a file holds, by name: the statements that made its tables, and whatever else."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master LIMIT 10").fetchall()
    return {str(name): " ".join(str(sql).split()) for name, sql in rows}


def _normal(tables: Mapping[str, str]) -> dict[str, str]:
    return {name: " ".join(statement.split()) for name, statement in tables.items()}


def _list_words(found: Mapping[str, str]) -> str:
    """What a file holds, as a message says it."""
    return "; ".join(shown(sql) for sql in [*found.values()][:2]) + "; …" * (len(found) > 2)


def _close_in(process: int, connection: sqlite3.Connection) -> None:
    if process == os.getpid():
        connection.close()
    else:
        _INHERITED.append(connection)


# Connections of a parent process: SQLite's locks do not cross a fork, and closing is using them.
_INHERITED: list[sqlite3.Connection] = []
