"""A cache on disk in front of an evaluator, safe for several processes."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import InvalidInput, NatsGymError, shown
from nats_gym.evaluators.protocol import (
    Answer,
    Outcome,
    StreamingEvaluator,
    answered,
    check_subject,
    collect,
)
from nats_gym.files import check_folder
from nats_gym.schedule import Epochs
from nats_gym.spaces import TopologySpace, get_space
from nats_gym.tables.home import home
from nats_gym.training.record import TIMED_OUT

_SCHEMA = """
CREATE TABLE IF NOT EXISTS evaluations (
    space TEXT, architecture INTEGER, identity TEXT, epochs TEXT, trial TEXT,
    accuracy REAL NOT NULL, seconds REAL NOT NULL, metrics TEXT NOT NULL, finished TEXT NOT NULL,
    PRIMARY KEY (space, architecture, identity, epochs, trial)
) WITHOUT ROWID
"""
_BUSY_SECONDS = 60.0


class UnreadableCache(NatsGymError, OSError):
    """A file that should be a cache is none, or is damaged, or cannot be written."""


class CachedEvaluator:
    """Keeps the answers of another evaluator in an SQLite file, and gives them again.

    An answer is kept under space, architecture, what the evaluator calls its identity (data set,
    recipe, network), schedule and trial, as soon as it arrives: a process that is killed loses
    none that had. Several processes may share the file; where two evaluate the same, the first
    answer stays and both return it. Seconds are those that the evaluation took when it was done.
    An answer whose metric ``status`` is ``"timed out"`` is passed on and not kept: it tells of a
    limit, or of a busy machine, and not of the architecture.

    Args:
        evaluator: who answers what is not there yet.
        space: ``"tss"`` or ``"sss"``.
        path: the file; default ``evaluations.sqlite`` under nats-gym's home.
        share_isomorphic: let topologies that compute the same function share answers; the one of
            lowest index is evaluated for all.

    Raises:
        InvalidInput: for an evaluator that does not stream or is of another space, or a path that
            cannot be one.
        UnreadableCache: for a file that is no cache of ours.
        EvaluatorError: at an evaluation, for an answer that cannot be; it is not kept.
    """

    def __init__(
        self,
        evaluator: StreamingEvaluator,
        space: str,
        path: str | os.PathLike[str] | None = None,
        *,
        share_isomorphic: bool = False,
    ) -> None:
        if not isinstance(evaluator, StreamingEvaluator):
            raise InvalidInput(
                "a cache stands before an evaluator with identity, trials_of() and stream(), see "
                f"nats_gym.evaluators.StreamingEvaluator; got {shown(evaluator)}"
            )
        self.evaluator = evaluator
        self.space = get_space(space)
        check_subject(evaluator, self.space.name)
        self.path = home() / "evaluations.sqlite" if path is None else Path(path)
        self._share_isomorphic = share_isomorphic and isinstance(self.space, TopologySpace)
        self._lock = threading.Lock()
        self._connection: tuple[int, sqlite3.Connection] | None = None
        check_folder(self.path.parent)
        with self._lock:
            self._open()

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (self.evaluator, self.space.name, self.path, self._share_isomorphic)

    @property
    def identity(self) -> str:
        """That of the evaluator behind."""
        return self.evaluator.identity

    @property
    def provenance(self) -> tuple[str, str]:
        """That of the evaluator behind."""
        return self.evaluator.provenance

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "evaluator":
            raise AttributeError(name)
        return getattr(self.evaluator, name)

    def __len__(self) -> int:
        """Answers kept in the file."""
        return int(self._execute("SELECT COUNT(*) FROM evaluations")[0][0])

    def evaluate(
        self, index: NDArray[np.int64], epochs: Epochs, trial_keys: NDArray[np.uint64]
    ) -> Outcome:
        """Answer a batch; see :class:`~nats_gym.evaluators.Evaluator`."""
        trials = self.trials_of(index, trial_keys)
        return collect(len(index), self.stream(index, epochs, trials), self.provenance)

    def trials_of(
        self, index: NDArray[np.int64], trial_keys: NDArray[np.uint64]
    ) -> NDArray[np.uint64]:
        """Those of the evaluator behind."""
        return self.evaluator.trials_of(self._evaluated(index), trial_keys)

    def stream(
        self, index: NDArray[np.int64], epochs: Epochs, trials: NDArray[np.uint64]
    ) -> Iterator[tuple[int, Answer]]:
        """Yield what is kept, then what is evaluated, each once and as it arrives."""
        asked = self._evaluated(index)
        waiting: dict[tuple[int, int], list[int]] = defaultdict(list)
        for position, key in enumerate(zip(asked.tolist(), trials.tolist(), strict=True)):
            waiting[key].append(position)
        for key in [*waiting]:
            if (answer := self._kept(*key, epochs)) is not None:
                for position in waiting.pop(key):
                    yield position, answer
        missing = [*waiting]
        if not missing:
            return
        answers = self.evaluator.stream(
            np.array([one for one, _ in missing], np.int64),
            epochs,
            np.array([trial for _, trial in missing], np.uint64),
        )
        for place, found in answered(len(missing), answers):
            kept = self._keep(*missing[place], epochs, found)
            for position in waiting[missing[place]]:
                yield position, kept

    def close(self) -> None:
        """Close the file, and the evaluator behind if it can be."""
        with self._lock:
            if self._connection:
                self._connection[1].close()
                self._connection = None
        getattr(self.evaluator, "close", lambda: None)()

    def _evaluated(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        index = self.space.check_index(index)
        if self._share_isomorphic and isinstance(self.space, TopologySpace):
            return self.space.isomorphism_class(self.space.digits(index))
        return index

    # ── the file ─────────────────────────────────────────────────────────────────────────────

    def _key(self, architecture: int, trial: int, epochs: Epochs) -> tuple[Any, ...]:
        identity = hashlib.sha256(self.identity.encode()).hexdigest()
        return self.space.name, architecture, identity, str(epochs), str(trial)

    def _kept(self, architecture: int, trial: int, epochs: Epochs) -> Answer | None:
        rows = self._execute(
            "SELECT accuracy, seconds, metrics FROM evaluations WHERE space = ? AND "
            "architecture = ? AND identity = ? AND epochs = ? AND trial = ?",
            self._key(architecture, trial, epochs),
        )
        return Answer(rows[0][0], rows[0][1], json.loads(rows[0][2])) if rows else None

    def _keep(self, architecture: int, trial: int, epochs: Epochs, answer: Answer) -> Answer:
        """Keep an answer, unless another process was first; what is kept.

        One that ran out of time is not: a longer limit may answer otherwise.
        """
        if answer.metrics.get("status") == TIMED_OUT:
            return answer
        now = datetime.now(UTC).isoformat(timespec="seconds")
        figures = answer.accuracy, answer.seconds, json.dumps(answer.metrics), now
        self._execute(
            "INSERT OR IGNORE INTO evaluations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*self._key(architecture, trial, epochs), *figures),
        )
        kept = self._kept(architecture, trial, epochs)
        assert kept is not None
        return kept

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._lock:
            connection = self._open()
            try:
                with connection:  # one transaction: whole or not at all
                    return connection.execute(statement, values).fetchall()
            except sqlite3.DatabaseError as error:
                raise UnreadableCache(f"{self.path}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        # A connection must not cross a fork.
        if self._connection and self._connection[0] == os.getpid():
            return self._connection[1]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, check_same_thread=False)
            # Readers and a writer do not wait for each other; a kill loses no committed answer.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            with connection:
                connection.execute(_SCHEMA)
                columns = [row[1] for row in connection.execute("PRAGMA table_info(evaluations)")]
        except sqlite3.DatabaseError as error:
            raise UnreadableCache(f"{self.path} cannot be a cache: {error}") from error
        if "identity" not in columns or len(columns) != 9:
            raise UnreadableCache(f"{self.path} is no cache of this version: {columns}")
        self._connection = os.getpid(), connection
        return connection


def _made(
    evaluator: StreamingEvaluator, space: str, path: Path, share_isomorphic: bool
) -> CachedEvaluator:
    return CachedEvaluator(evaluator, space, path, share_isomorphic=share_isomorphic)
