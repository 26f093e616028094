"""Trains what is not trained yet, keeps each training as it arrives, and writes the table."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from numpy.typing import NDArray

from nats_gym.building.columns import measured_columns
from nats_gym.building.plan import Plan
from nats_gym.building.trainings import TrainingStore
from nats_gym.building.worker import RecordingEvaluator
from nats_gym.errors import InvalidInput, NatsGymError, shown
from nats_gym.evaluators.cluster import RayEvaluator
from nats_gym.files import check_folder
from nats_gym.tables import Table, write_table
from nats_gym.training.data import load_data
from nats_gym.training.pool import Pool
from nats_gym.training.trainer import choose_device

TABLE = "table"
_CHECKPOINTS = "checkpoints"
_LOCK = "building.lock"

_Pairs = Sequence[tuple[int, int]]
_Answers = Iterator[tuple[tuple[int, int], Any]]


class TrainingsMissing(NatsGymError, RuntimeError):
    """Some trainings of a build did not succeed; the others are kept, and in its table."""


@dataclass(frozen=True)
class Built:
    """What a build did.

    Attributes:
        table: the table that it wrote.
        architectures: how many the table holds.
        trainings: how many its store holds.
        trained: how many of these it has just trained.
    """

    table: Table
    architectures: int
    trainings: int
    trained: int


def build(
    folder: str | os.PathLike[str],
    plan: Plan,
    architectures: NDArray[np.int64],
    trials: int = 1,
    *,
    workers: int = 1,
    devices: Sequence[str] = ("auto",),
    cluster: dict[str, Any] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    curves: bool = True,
    licence: str = "unstated",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Built:
    """Train architectures with the seeds 0 … trials − 1, and write a table of all there is.

    Each training is kept in ``folder/trainings.sqlite`` as it arrives. A build that was killed
    goes on when it is called again, with the epoch after the last finished one where it trains on
    this machine; further architectures or trials add to it. The table, ``folder/table``, is
    written at the end, in place of one that is there.

    Args:
        folder: of the build; made if it is not there.
        plan: what one training is.
        architectures: official indices, ``(architecture,)``.
        trials: trainings of each.
        workers: trainings at a time on this machine, each in a process and on one thread.
        devices: where these run, in turn; ``"auto"`` takes a CUDA device if there is one.
        cluster: options of a :class:`~nats_gym.evaluators.RayEvaluator`, to train on a Ray
            cluster instead, without checkpoints.
        data_dir: see :func:`nats_gym.training.data.load_data`.
        curves: whether the table has learning curves, 8 bytes a trial and epoch.
        licence: of the figures, as the table states it.
        progress: called with the number of finished trainings and of all asked for.

    Raises:
        InvalidInput: for numbers out of range, a folder of another plan, or one that another
            build is at work in.
        TrainingsMissing: at the end, if trainings failed.
        NatsGymError: if the data cannot be loaded.
    """
    folder = Path(folder)
    asked = plan.architectures.check_index(architectures).tolist()
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
        raise InvalidInput(f"trials is an integer from 1, got {shown(trials)}")
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise InvalidInput(f"another build is at work in {str(folder)!r}") from None
    with lock, TrainingStore(folder, plan) as store:
        # All architectures once before any twice: whoever stops early has the most of them.
        every = [(one, trial) for trial in range(trials) for one in asked]
        finished = store.finished()
        missing = [pair for pair in every if pair not in finished]
        progress(len(every) - len(missing), len(every))
        failures: list[tuple[tuple[int, int], Exception]] = []
        trained = 0
        if missing:
            if cluster is None:
                answers = _on_this_machine(folder, plan, missing, workers, devices, data_dir)
            else:
                answers = _on_cluster(plan, missing, cluster, devices, data_dir)
            for pair, answer in answers:
                if isinstance(answer, Exception):
                    failures.append((pair, answer))
                    continue
                store.add(*pair, answer)
                trained += 1
                progress(len(every) - len(missing) + trained, len(every))
        shutil.rmtree(folder / _CHECKPOINTS, ignore_errors=True)
        trainings = list(store)
        if trainings:
            columns = measured_columns(plan, trainings, curves, licence)
            write_table(folder / TABLE, plan.space, plan.dataset, columns)
    if failures:
        (index, trial), error = failures[0]
        raise TrainingsMissing(
            f"{len(failures)} of {len(every)} trainings failed, the first that of architecture "
            f"{index}, trial {trial}: {error}; the same command tries them again"
        )
    held = len({training.architecture for training in trainings})
    table = Table(folder / TABLE, source=str(folder / TABLE))
    return Built(table, held, len(trainings), trained)


def open_build(folder: str | os.PathLike[str]) -> TrainingStore:
    """The trainings of a build that is there; a context manager.

    Raises:
        MissingTable: if there is none.
        UnreadableBuild: if it is damaged.
    """
    return TrainingStore(Path(folder))


def _on_this_machine(
    folder: Path,
    plan: Plan,
    missing: _Pairs,
    workers: int,
    devices: Sequence[str],
    data_dir: str | os.PathLike[str] | None,
) -> _Answers:
    load_data(plan.data_key, data_dir)  # fetched once, and a missing one is one message
    checkpoints = folder / _CHECKPOINTS
    shared = {"plan": plan.to_json(), "data_dir": None if data_dir is None else str(data_dir)}
    each = [{**shared, "device": str(choose_device(device))} for device in devices]
    with Pool("nats_gym.building.worker:make_trainer", each, workers) as pool:
        pairs = {}
        for index, trial in missing:
            path = checkpoints / f"{index}-{trial}.pt"
            task = {"index": index, "trial": trial, "checkpoint": str(path)}
            pairs[pool.submit(task)] = (index, trial), path
        for future in as_completed(pairs):
            pair, path = pairs[future]
            yield pair, future.exception() or future.result()
            path.unlink(missing_ok=True)  # by now the caller has kept the training


def _on_cluster(
    plan: Plan,
    missing: _Pairs,
    options: dict[str, Any],
    devices: Sequence[str],
    data_dir: str | os.PathLike[str] | None,
) -> _Answers:
    evaluator = RayEvaluator(RecordingEvaluator(plan, data_dir, devices[0]), **options)
    index, trials = np.array(missing).T
    answers = evaluator.stream(index.astype(np.int64), plan.epochs, trials.astype(np.uint64))
    for position, answer in answers:
        yield missing[position], answer.metrics["training"]
