"""The journal of a search on an evaluator: every answer as it came, on disk before it is told.

An agent draws from its run's stream alone, so one that is asked again and told the same answers in
the same order asks the same. A search that was killed therefore goes on from its journal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nats_gym.errors import InvalidInput, NatsGymError, said, shown
from nats_gym.files.database import Database

JOURNAL = "journal.sqlite"
#: What an agent knows beforehand, of which an earlier version noted nothing.
KNOWN = "figures known beforehand"
_TABLES = {
    "search": "CREATE TABLE search (what TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "answers": """
CREATE TABLE answers (
    run INTEGER, place INTEGER, answer TEXT NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (run, place)
) WITHOUT ROWID""",
}


class UnreadableJournal(NatsGymError, OSError):
    """A journal is damaged, or is none, or is not of what the agent asks for."""


@dataclass(frozen=True)
class Entry:
    """An answer.

    Attributes:
        evaluation: its number, in the order of asking.
        index, rung, key, continues: what was asked for; the key is what its trial is drawn from.
        accuracy: percent.
        seconds: what it is charged.
        whole: what the evaluator says that the whole training took.
        clock: the run's real seconds when it came.
        status: how the training ended; empty if the evaluator does not say.
        provenance, seconds_provenance: what the figures rest on.
    """

    evaluation: int
    index: int
    rung: int
    key: int
    continues: int
    accuracy: float
    seconds: float
    whole: float
    clock: float
    status: str
    provenance: str
    seconds_provenance: str

    @classmethod
    def of(cls, text: str) -> Entry:
        """The entry that was written as ``text``; ``ValueError`` if it is none."""
        content = json.loads(text)
        names = {field.name: field.type for field in fields(cls)}
        if type(content) is not dict or content.keys() != names.keys():
            raise ValueError("it is no answer")
        for name, kind in names.items():
            if type(content[name]).__name__ != kind:
                raise ValueError(f"{name} is {shown(content[name])}")
        return cls(**content)


class Journal:
    """The answers of a search, run by run, each a transaction of its own.

    Args:
        path: the file, made if it is not there.
        told: what the search is of, as plain values by name. One that goes on has the same. None
            to read the journal of whatever search.

    Raises:
        InvalidInput: for the journal of another search; names what differs.
        UnreadableJournal: for a file that is damaged, or something else.
    """

    def __init__(self, path: Path, told: Mapping[str, Any] | None = None) -> None:
        self._path = path
        self._file = Database(path, _TABLES, UnreadableJournal, "a journal", synchronous="FULL")
        self._last: dict[int, tuple[int, str]] = {}
        if told is not None:
            self._check(told)

    def _check(self, told: Mapping[str, Any]) -> None:
        """Note what the search is of, or refuse the journal of another."""
        path = self._path
        wanted = {name: json.dumps(value, sort_keys=True) for name, value in told.items()}
        there = dict(self._file.read("SELECT what, value FROM search"))
        if not there:
            insert = "INSERT INTO search (what, value) VALUES (?, ?)"
            self._file.write(*((insert, pair) for pair in wanted.items()))
            there = wanted
        for name in {**there, **wanted}:
            if there.get(name) != wanted.get(name) and (name != KNOWN or name in there):
                raise InvalidInput(
                    f"{path} is the journal of another search: its {name} "
                    f"{differing(_value(there.get(name)), _value(wanted.get(name)))}; take another "
                    "folder"
                )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def entries(self, run: int) -> list[Entry]:
        """The answers of a run in the order in which they came.

        Raises:
            UnreadableJournal: for one that is damaged, or if one before the last is gone.
        """
        found: list[Entry] = []
        digest = ""
        rows = self._file.read(
            "SELECT place, answer, digest FROM answers WHERE run = ? ORDER BY place", (run,)
        )
        for number, (place, text, written) in enumerate(rows):
            digest = _digest(digest, run, number, text)
            try:
                if (place, written) != (number, digest):
                    raise ValueError("it is not what was written, or one before it is gone")
                found.append(Entry.of(text))
            except (TypeError, ValueError) as error:
                raise UnreadableJournal(
                    f"{self._path}: answer {number} of run {run} cannot be read: {said(error)}"
                ) from error
        self._last[run] = len(found), digest
        return found

    def append(self, run: int, entry: Entry) -> None:
        """Keep the next answer of a run, of which :meth:`entries` was read."""
        place, digest = self._last[run]
        text = json.dumps(asdict(entry))
        digest = _digest(digest, run, place, text)
        insert = "INSERT INTO answers (run, place, answer, digest) VALUES (?, ?, ?, ?)"
        self._file.write((insert, (run, place, text, digest)))
        self._last[run] = place + 1, digest


def _digest(before: str, run: int, place: int, text: Any) -> str:
    """Of an answer and all before it."""
    return hashlib.sha256(f"{before} {run} {place} {text}".encode()).hexdigest()


def _value(text: str | None) -> Any:
    """What was noted of a search; as text where somebody else wrote it."""
    try:
        return None if text is None else json.loads(text)
    except (RecursionError, ValueError):
        return text


def differing(was: Any, now: Any) -> str:
    """What differs between two values, in words: of dictionaries the first key that does."""
    if isinstance(was, dict) and isinstance(now, dict):
        key = next(key for key in {**was, **now} if was.get(key) != now.get(key))
        return f"have {key} {shown(was.get(key))}, not {shown(now.get(key))}"
    return f"is {shown(was)}, not {shown(now)}"
