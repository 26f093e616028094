"""A cache on disk in front of an evaluator, safe for several processes."""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.errors import EvaluatorError, InvalidInput, NatsGymError, shown
from nats_gym.evaluators.protocol import (
    UNSTATED,
    Answer,
    ForwardingEvaluator,
    Outcome,
    StreamingEvaluator,
    check_answers,
    check_subject,
    joined,
    plain_answer,
)
from nats_gym.files.database import LONGEST, Database
from nats_gym.files.home import home
from nats_gym.files.writing import check_folder
from nats_gym.simulation.schedule import Epochs, check_epochs
from nats_gym.spaces import get_space
from nats_gym.training.record import OF_THE_MACHINE

_KEY = "space, architecture, identity, epochs, trial, provenance, seconds_provenance"
_FIGURES = "accuracy, seconds, metrics, finished"
_TABLES = {
    "evaluations": """
CREATE TABLE evaluations (
    space TEXT, architecture INTEGER, identity TEXT, epochs TEXT, trial TEXT,
    provenance TEXT, seconds_provenance TEXT,
    accuracy REAL NOT NULL, seconds REAL NOT NULL, metrics TEXT NOT NULL, finished TEXT NOT NULL,
    PRIMARY KEY (space, architecture, identity, epochs, trial, provenance, seconds_provenance)
) WITHOUT ROWID"""
}
_EARLIER_TABLES = {
    "evaluations": """
CREATE TABLE evaluations (
    space TEXT, architecture INTEGER, identity TEXT, epochs TEXT, trial TEXT,
    accuracy REAL NOT NULL, seconds REAL NOT NULL, metrics TEXT NOT NULL, finished TEXT NOT NULL,
    PRIMARY KEY (space, architecture, identity, epochs, trial)
) WITHOUT ROWID"""
}
# Answers kept without what they rest on stay, and say so.
_FROM_EARLIER = (
    "ALTER TABLE evaluations RENAME TO earlier",
    _TABLES["evaluations"],
    f"INSERT INTO evaluations ({_KEY}, {_FIGURES}) SELECT space, architecture, identity, epochs, "
    f"trial, '{UNSTATED}', '{UNSTATED}', {_FIGURES} FROM earlier",
    "DROP TABLE earlier",
)
_INSERT = f"INSERT OR IGNORE INTO evaluations ({_KEY}, {_FIGURES}) VALUES (?{', ?' * 10})"
_SELECT = (
    f"SELECT provenance, seconds_provenance, {_FIGURES} FROM evaluations WHERE space = ? AND "
    "architecture = ? AND identity = ? AND epochs = ? AND trial = ?"
)


class UnreadableCache(NatsGymError, OSError):
    """A file that should be a cache is none, or is damaged, or cannot be written."""


class CachedEvaluator(ForwardingEvaluator):
    """Keeps the answers of another evaluator in an SQLite file, and gives them again.

    An answer is kept under space, architecture, what the evaluator calls its identity (data set,
    recipe, network), schedule, trial and what it rests on, as soon as it arrives: a process that
    is killed loses none that had. Several processes may share the file; where two evaluate the
    same, the first answer stays and both return it. Seconds are those that the evaluation took when
    it was done. An answer whose metric ``status`` is ``"timed out"`` or ``"out of memory"`` is
    passed on and not kept: it tells of a limit, or of a busy machine, and not of the architecture.

    A file that is deleted or replaced while it is in use is noticed, and said: what this process
    has kept there, or found, is kept in the file that is there then. It holds that in memory,
    about a kilobyte an answer. A file of an earlier version, which kept no provenance, is taken
    over: its answers are as good as before, and returned as ``"unstated"``.

    Args:
        evaluator: who answers what is not there yet.
        space: a space's name, such as ``"tss"``.
        path: the file; default ``evaluations.sqlite`` under nats-gym's home.
        share_isomorphic: let architectures that compute the same function share answers; the one of
            lowest index is evaluated for all.

    Raises:
        InvalidInput: for an evaluator that does not stream or is of another space, or a path that
            cannot be one.
        UnreadableCache: for a file that is no cache of ours; at an evaluation, for a damaged answer
            in it, or one that cannot be written.
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
        if not checks.follows(evaluator, StreamingEvaluator):
            raise InvalidInput(
                "a cache stands before an evaluator with identity, trials_of() and stream(), see "
                f"nats_gym.evaluators.StreamingEvaluator; got {shown(evaluator)}"
            )
        self.evaluator = evaluator
        self.space = get_space(space)
        check_subject(evaluator, self.space.name)
        self.path = home() / "evaluations.sqlite" if path is None else checks.path(path, "a cache")
        # Another space of the name would find answers of other architectures.
        digest = self.space.digest
        self._space_key = f"{self.space.name} {digest}" if digest else self.space.name
        share_isomorphic = checks.switch(share_isomorphic, "share_isomorphic")
        self._share_isomorphic = share_isomorphic and self.space.has_isomorphisms
        check_folder(self.path.parent)
        earlier = [(_EARLIER_TABLES, _FROM_EARLIER)]
        self._file = Database(self.path, _TABLES, UnreadableCache, "a cache", earlier)

    def __reduce__(self) -> tuple[Any, ...]:
        return _make, (self.evaluator, self.space.name, self.path, self._share_isomorphic)

    def __len__(self) -> int:
        """Answers kept in the file."""
        return int(self._file.read("SELECT COUNT(*) FROM evaluations")[0][0])

    def evaluate(
        self, index: NDArray[np.int64], epochs: Epochs, trial_keys: NDArray[np.uint64]
    ) -> Outcome:
        """Answer a batch; see :class:`~nats_gym.evaluators.Evaluator`.

        What rests on this and what on that is, as a batch, ``"unstated"``.
        """
        trials = self.trials_of(index, trial_keys)
        bases: set[tuple[str, str]] = set()
        answers = dict(self._answers(index, epochs, trials, bases))
        if len(bases) == 1:
            return joined(answers, bases.pop())
        accuracy, seconds = map(set, zip(*bases or [self._provenance()], strict=True))
        return joined(answers, (_of_all(accuracy), _of_all(seconds)))

    def trials_of(
        self, index: NDArray[np.int64], trial_keys: NDArray[np.uint64]
    ) -> NDArray[np.uint64]:
        """Those of the evaluator behind."""
        return self.evaluator.trials_of(self._evaluated(index), trial_keys)

    def stream(
        self, index: NDArray[np.int64], epochs: Epochs, trials: NDArray[np.uint64]
    ) -> Iterator[tuple[int, Answer]]:
        """Yield what is kept, then what is evaluated, each once and as it arrives."""
        return self._answers(index, epochs, trials, set())

    def _answers(
        self,
        index: NDArray[np.int64],
        epochs: Epochs,
        trials: NDArray[np.uint64],
        bases: set[tuple[str, str]],
    ) -> Iterator[tuple[int, Answer]]:
        """:meth:`stream`; what the answers rest on is added to ``bases``."""
        asked = self._evaluated(index)
        # Nobody but the evaluator behind knows the full schedule.
        epochs = check_epochs(0 if epochs is None else epochs, 0)
        trials = checks.keys(trials, "trials, one per index,", asked.size)
        return self._answers_to(asked, epochs, trials, bases)

    def _answers_to(
        self,
        asked: NDArray[np.int64],
        epochs: Epochs,
        trials: NDArray[np.uint64],
        bases: set[tuple[str, str]],
    ) -> Iterator[tuple[int, Answer]]:
        identity = hashlib.sha256(self.identity.encode()).hexdigest()
        own, schedule = self._provenance(), str(epochs)
        waiting: dict[_Key, list[int]] = defaultdict(list)
        for position, (one, trial) in enumerate(zip(asked.tolist(), trials.tolist(), strict=True)):
            key = (self._space_key, one, identity, schedule, str(trial), *own)
            waiting[key].append(position)
        missing: list[_Key] = []
        for key in [*waiting]:
            try:
                rows = self._file.read(_SELECT, key[:5])
            except UnreadableCache as error:
                raise self._damaged(key, error) from error
            answer = self._found(key, rows, bases)
            if answer is None:
                missing.append(key)
                continue
            for position in waiting[key]:
                yield position, answer
        if not missing:
            return
        answers = self.evaluator.stream(
            np.array([key[1] for key in missing], np.int64),
            epochs,
            np.array([int(key[4]) for key in missing], np.uint64),
        )
        for place, answer in check_answers(len(missing), answers):
            kept = self._kept(missing[place], answer, bases)
            for position in waiting[missing[place]]:
                yield position, kept

    def close(self) -> None:
        """Close the file, and the evaluator behind if it can be."""
        self._file.close()
        getattr(self.evaluator, "close", lambda: None)()

    def _evaluated(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        index = self.space.check_batch(index)
        if self._share_isomorphic:
            return self.space.isomorphism_class(self.space.choices(index))
        return index

    def _provenance(self) -> tuple[str, str]:
        """That of the evaluator behind, checked."""
        given = self.provenance
        if isinstance(given, tuple) and len(given) == 2 and all(type(one) is str for one in given):
            return given
        raise EvaluatorError(
            "provenance of an evaluator is a tuple of two texts, of its accuracies and of its "
            f"seconds, got {shown(given)}"
        )

    # ── the file ─────────────────────────────────────────────────────────────────────────────

    def _kept(self, key: _Key, answer: Answer, bases: set[tuple[str, str]]) -> Answer:
        """Keep an answer, unless another process was first; what is kept.

        One that ran out of time or memory is not: a longer limit may answer otherwise.
        """
        if answer.metrics.get("status") in OF_THE_MACHINE:
            bases.add(key[5:])
            return answer
        metrics = json.dumps(answer.metrics)
        if len(metrics) > LONGEST:
            raise EvaluatorError(
                f"metrics of an answer take {len(metrics):,} bytes, a cache keeps {LONGEST:,}"
            )
        now = datetime.now(UTC).isoformat(timespec="seconds")
        row = *key, answer.accuracy, answer.seconds, metrics, now
        rows = self._file.write((_INSERT, row), (_SELECT, key[:5]))
        kept = self._found(key, rows, bases)
        assert kept is not None
        return kept

    def _found(
        self, key: _Key, rows: list[tuple[Any, ...]], bases: set[tuple[str, str]]
    ) -> Answer | None:
        """The answer in the row that rests on the same, else on what nobody stated.

        It is checked, and held in memory from now on.
        """
        for basis in (key[5:], (UNSTATED, UNSTATED)):
            for row in rows:
                if row[:2] == basis:
                    return self._checked(key, row, bases)
        return None

    def _checked(self, key: _Key, row: tuple[Any, ...], bases: set[tuple[str, str]]) -> Answer:
        accuracy, seconds, metrics = row[2:5]
        try:
            if not (type(accuracy) is type(seconds) is float and type(metrics) is str):
                raise ValueError("no numbers and a text")
            answer = plain_answer(Answer(accuracy, seconds, json.loads(metrics)))
        except (ValueError, RecursionError) as error:  # an EvaluatorError is a ValueError
            raise self._damaged(key, error) from error
        self._file.hold(key, (_INSERT, (*key[:5], *row)))
        bases.add(row[:2])
        return answer

    def _damaged(self, key: _Key, error: Exception) -> UnreadableCache:
        space, architecture, _, epochs, trial = key[:5]
        return UnreadableCache(
            f"{self.path}: the answer for architecture {architecture} of {space}, epochs {epochs}, "
            f"trial {trial}, cannot be read ({shown(str(error))}); delete its row, or the file, to "
            "have it evaluated again"
        )


#: Space, architecture, digest of the identity, schedule, trial, and what the answer rests on.
_Key = tuple[str, int, str, str, str, str, str]


def _of_all(bases: set[str]) -> str:
    return bases.pop() if len(bases) == 1 else UNSTATED


def _make(
    evaluator: StreamingEvaluator, space: str, path: Path, share_isomorphic: bool
) -> CachedEvaluator:
    return CachedEvaluator(evaluator, space, path, share_isomorphic=share_isomorphic)
