"""The finished trainings of a build, in one SQLite file: each is there, whole, or it is not."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from nats_gym.building.plan import Plan
from nats_gym.errors import InvalidInput, MissingTable, NatsGymError
from nats_gym.training.record import COMPLETED, Curve, TrainingRecord

FILE = "trainings.sqlite"
_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS plan (format INTEGER NOT NULL, content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trainings (
    architecture INTEGER, trial INTEGER, record TEXT NOT NULL, latency REAL NOT NULL,
    params REAL NOT NULL, machine TEXT NOT NULL, finished TEXT NOT NULL,
    PRIMARY KEY (architecture, trial)
) WITHOUT ROWID;
"""


class UnreadableBuild(NatsGymError, OSError):
    """A file that should hold a build's trainings holds none, or is damaged."""


@dataclass(frozen=True)
class Training:
    """One finished training.

    Attributes:
        architecture: official index.
        trial: its seed.
        record: its curves: the training, and after every epoch both splits.
        latency: seconds of a forward pass over a batch of 256.
        params: of the network, in millions.
        machine: what it ran on, with versions.
    """

    architecture: int
    trial: int
    record: TrainingRecord
    latency: float
    params: float
    machine: str

    def curve(self, split: str, epochs: int) -> list[tuple[float, float]]:
        """Accuracy (percent) and loss after every epoch, ``(epoch, 2)``.

        From where a training failed on, its accuracy is what it counts as, its loss NaN.
        """
        curve = self.record.evaluated.get(split, Curve())
        reached = list(zip(curve.accuracy, curve.loss, strict=True))
        failed = (self.record.failed_accuracy, float("nan"))
        if self.record.status != COMPLETED and len(reached) == epochs:
            reached = reached[:-1]  # the other split was what failed: so did this one
        return reached + [failed] * (epochs - len(reached))

    def train_seconds(self, epochs: int) -> float:
        """Real seconds of one epoch of training, a mean."""
        spent = self.record.train.seconds
        if self.record.status == COMPLETED:
            return sum(spent) / len(spent)
        return (sum(spent) + self.record.lost_seconds) / epochs

    def evaluation_seconds(self, split: str) -> float:
        """Real seconds of one pass over a split, a mean; 0 if there was none."""
        spent = self.record.evaluated.get(split, Curve()).seconds
        return sum(spent) / len(spent) if spent else 0.0


class TrainingStore:
    """What a build has trained so far.

    Args:
        folder: the build's.
        plan: what it trains; None for whatever the folder's is.

    Raises:
        MissingTable: if ``plan`` is None and there is no build in the folder.
        InvalidInput: if the folder holds a build of another plan; says in what they differ.
        UnreadableBuild: if the file is damaged or something else.
    """

    def __init__(self, folder: Path, plan: Plan | None = None) -> None:
        self.path = Path(folder) / FILE
        if plan is None and not self.path.is_file():
            raise MissingTable(f"no build in {str(folder)!r}: {FILE} is not there")
        try:
            self._connection = sqlite3.connect(self.path, timeout=60.0)
            # A killed process loses no committed training, nor does a machine that loses power.
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(_SCHEMA)
            self.plan = self._agreed(plan)
        except sqlite3.DatabaseError as error:
            raise UnreadableBuild(f"{self.path} holds no trainings of a build: {error}") from error

    def _agreed(self, plan: Plan | None) -> Plan:
        rows = self._connection.execute("SELECT format, content FROM plan").fetchall()
        if not rows:
            if plan is None:
                raise MissingTable(f"no build in {str(self.path.parent)!r}: {FILE} is empty")
            with self._connection:
                content = json.dumps(plan.to_json())
                self._connection.execute("INSERT INTO plan VALUES (?, ?)", (_FORMAT, content))
            return plan
        if rows[0][0] != _FORMAT:
            raise UnreadableBuild(
                f"{self.path} has format {rows[0][0]}, this version reads {_FORMAT}"
            )
        kept = Plan.from_json(json.loads(rows[0][1]))
        if plan is not None and (differences := plan.differences(kept)):
            raise InvalidInput(
                f"{str(self.path.parent)!r} holds another build: {'; '.join(differences)}; take "
                "another folder"
            )
        return kept

    def __enter__(self) -> TrainingStore:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def __iter__(self) -> Iterator[Training]:
        """All finished trainings by architecture and trial."""
        rows = self._execute(
            "SELECT architecture, trial, record, latency, params, machine FROM trainings "
            "ORDER BY architecture, trial"
        )
        for architecture, trial, record, *figures in rows:
            content = TrainingRecord.from_content(json.loads(record))
            yield Training(architecture, trial, content, *figures)

    def finished(self) -> set[tuple[int, int]]:
        """Architecture and trial of every finished training."""
        return {(a, t) for a, t in self._execute("SELECT architecture, trial FROM trainings")}

    def add(self, architecture: int, trial: int, answer: dict[str, Any]) -> None:
        """Keep a training, as :func:`nats_gym.building.worker.train_once` returns it."""
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._execute(
            "INSERT OR IGNORE INTO trainings VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                architecture,
                trial,
                json.dumps(answer["record"]),
                answer["latency"],
                answer["params"],
                answer["machine"],
                now,
            ),
        )

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        try:
            with self._connection:  # one transaction: whole or not at all
                return self._connection.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise UnreadableBuild(f"{self.path}: {error}") from error
