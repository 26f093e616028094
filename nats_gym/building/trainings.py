"""The finished trainings of a build, in one SQLite file: each is there, whole, or it is not."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from nats_gym.building.plan import VALID_SPLIT, Plan
from nats_gym.errors import InvalidInput, MissingTable, NatsGymError, shown
from nats_gym.files.database import Database, Statement
from nats_gym.training.record import COMPLETED, Curve, TrainingRecord

FILE = "trainings.sqlite"
CHECKPOINTS = "checkpoints"
_FORMAT = 2
_TABLES = {
    "plan": "CREATE TABLE plan (format INTEGER NOT NULL, content TEXT NOT NULL)",
    "trainings": """
CREATE TABLE trainings (
    architecture INTEGER, trial INTEGER, record TEXT NOT NULL, latency REAL NOT NULL,
    params REAL NOT NULL, machine TEXT NOT NULL, finished TEXT NOT NULL,
    PRIMARY KEY (architecture, trial)
) WITHOUT ROWID""",
}


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

    A folder belongs to a plan once it holds a training, or the checkpoint of one.

    Args:
        folder: the build's.
        plan: what it trains; None for whatever the folder's is.

    Attributes:
        plan: that, with its splits as soon as they are known.

    Raises:
        MissingTable: if ``plan`` is None and there is no build in the folder.
        InvalidInput: if the folder holds a build of another plan; says in what they differ.
        UnreadableBuild: if the file is damaged or something else.
    """

    def __init__(self, folder: Path, plan: Plan | None = None) -> None:
        self.path = Path(folder) / FILE
        self.checkpoints = Path(folder) / CHECKPOINTS
        if plan is None and not self.path.is_file():
            raise MissingTable(f"no build in {shown(str(folder))}: {FILE} is not there")
        # No training is lost when the machine loses power, either.
        what = "the trainings of a build"
        self._file = Database(self.path, _TABLES, UnreadableBuild, what, synchronous="FULL")
        try:
            self.plan = self._agreed(plan)
        except BaseException:
            self._file.close()
            raise

    def _agreed(self, plan: Plan | None) -> Plan:
        rows = self._file.read("SELECT format, content FROM plan")
        held = bool(self.finished()) or any(self.checkpoints.glob("*.pt"))
        if plan is not None and not held:  # one that came to nothing claims nothing
            self._keep(plan)
            return plan
        if not rows and not held:
            raise MissingTable(f"no build in {shown(str(self.path.parent))}: {FILE} is empty")
        if not rows:
            raise UnreadableBuild(f"{self.path} holds trainings, and no plan of them")
        if rows[0][0] != _FORMAT:
            raise UnreadableBuild(
                f"{self.path} has format {rows[0][0]}, this version reads {_FORMAT}"
            )
        try:
            kept = Plan.from_json(json.loads(rows[0][1]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnreadableBuild(f"{self.path}: its plan is damaged ({shown(error)})") from error
        if plan is not None and (differences := plan.differences(kept)):
            raise InvalidInput(
                f"{shown(str(self.path.parent))} holds another build: {'; '.join(differences)}; "
                "take another folder"
            )
        if kept.definition != kept.architectures.digest:
            raise InvalidInput(
                f"{shown(str(self.path.parent))} is a build of another space called {kept.space}: "
                "its decisions, its choices or what is valid differ from those of the one here"
            )
        self._held(kept)
        return kept

    def __enter__(self) -> TrainingStore:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Training]:
        """All finished trainings by architecture and trial."""
        rows = self._file.read(
            "SELECT architecture, trial, record, latency, params, machine FROM trainings "
            "ORDER BY architecture, trial"
        )
        for row in rows:
            try:
                yield self._training(*row)
            except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
                raise UnreadableBuild(
                    f"{self.path}: the training of architecture {row[0]}, trial {row[1]}, is "
                    f"damaged ({shown(error)}); delete its row to have it trained again"
                ) from error

    def _training(self, architecture: int, trial: int, record: str, *figures: Any) -> Training:
        """A row, checked as far as a table needs it."""
        self.plan.architectures.check_one_index(architecture)
        latency, params, machine = figures
        if not (math.isfinite(latency) and math.isfinite(params) and isinstance(machine, str)):
            raise ValueError(f"figures {figures}")
        content = TrainingRecord.from_content(json.loads(record))
        training = Training(architecture, trial, content, latency, params, machine)
        for split in (VALID_SPLIT, self.plan.test_split):
            curve = np.array(training.curve(split, self.plan.epochs), np.float64)
            if curve.shape != (self.plan.epochs, 2):
                raise ValueError(f"a curve {curve.shape} on {split}")
        float(training.train_seconds(self.plan.epochs) + training.evaluation_seconds(VALID_SPLIT))
        return training

    def settle(self, splits: str) -> None:
        """Keep which images the build trains and tests on; all its trainings must agree.

        Raises:
            InvalidInput: if there are others already.
        """
        if self.plan.splits not in ("", splits):
            raise InvalidInput(
                f"a training on the {splits} splits of {self.plan.dataset} does not belong to a "
                f"build on the {self.plan.splits} ones"
            )
        if not self.plan.splits:
            self.plan = replace(self.plan, splits=splits)
            self._keep(self.plan)

    def _keep(self, plan: Plan) -> None:
        self._file.write(*self._held(plan))

    def _held(self, plan: Plan) -> tuple[Statement, Statement]:
        """What writes a plan, held for a file that takes the place of this one."""
        insertion = "INSERT INTO plan VALUES (?, ?)", (_FORMAT, json.dumps(plan.to_json()))
        statements = ("DELETE FROM plan", ()), insertion
        self._file.hold("plan", *statements)
        return statements

    def finished(self) -> set[tuple[int, int]]:
        """Architecture and trial of every finished training."""
        return {(a, t) for a, t in self._file.read("SELECT architecture, trial FROM trainings")}

    def add(self, architecture: int, trial: int, answer: dict[str, Any]) -> None:
        """Keep a training, as :func:`nats_gym.building.worker.train_once` returns it.

        Raises:
            InvalidInput: if its splits are not the build's.
        """
        self.settle(answer["splits"])
        now = datetime.now(UTC).isoformat(timespec="seconds")
        figures = answer["latency"], answer["params"], answer["machine"], now
        row = architecture, trial, json.dumps(answer["record"]), *figures
        insertion = "INSERT OR IGNORE INTO trainings VALUES (?, ?, ?, ?, ?, ?, ?)", row
        self._file.write(insertion)
        self._file.hold((architecture, trial), insertion)
