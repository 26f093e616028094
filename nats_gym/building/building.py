"""Trains what is not trained yet, keeps each training as it arrives, and writes the table."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.building.columns import measured_columns
from nats_gym.building.plan import Plan
from nats_gym.building.trainings import CHECKPOINTS, TrainingStore
from nats_gym.building.worker import RecordingEvaluator
from nats_gym.errors import CorruptTable, InvalidInput, MissingTable, NatsGymError, shown
from nats_gym.evaluators.cluster import ClusterFailed, RayEvaluator
from nats_gym.files.writing import alone, check_folder, make_folder, sweep
from nats_gym.processes.pool import Pool
from nats_gym.spaces import place_of
from nats_gym.tables import Table, write_table
from nats_gym.tables.folder import check_table_folder, read_manifest
from nats_gym.training.data import load_data, require_data
from nats_gym.training.record import TrainingFailed
from nats_gym.training.trainer import choose_device

TABLE = "table"
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


#: Trainings of an architecture.
MOST_TRIALS = 10_000


def build(
    folder: str | os.PathLike[str],
    plan: Plan,
    architectures: NDArray[np.int64],
    trials: int = 1,
    *,
    workers: int = 1,
    devices: Sequence[str] = ("auto",),
    cluster: Mapping[str, Any] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    curves: bool = True,
    licence: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Built:
    """Train architectures with the seeds 0 … trials − 1, and write a table of all there is.

    Each training is kept in ``folder/trainings.sqlite`` as it arrives. A build that was killed
    goes on when it is called again, with the epoch after the last finished one where it trains on
    this machine; further architectures or trials add to it. The table, ``folder/table``, is
    written at the end, in place of one that is there. One that failed before anything was trained
    leaves the folder to any plan.

    Args:
        folder: of the build; made if it is not there.
        plan: what one training is.
        architectures: official indices, ``(architecture,)``, at least one.
        trials: trainings of each.
        workers: trainings at a time on this machine, each in a process and on one thread.
        devices: where these run, in turn; ``"auto"`` takes a CUDA device if there is one.
        cluster: options of a :class:`~nats_gym.evaluators.RayEvaluator`, to train on a Ray
            cluster instead, without checkpoints; ``workers`` and all but one of ``devices`` are
            for this machine alone.
        data_dir: see :func:`nats_gym.training.data.load_data`.
        curves: whether the table has learning curves, 8 bytes a trial and epoch.
        licence: of the figures, as the table states it; default that of the table that is there,
            else ``"unstated"``.
        progress: called with the number of finished trainings and of all asked for.

    Raises:
        InvalidInput: for arguments out of range, a folder of another plan, one that another
            build is at work in, or a ``folder/table`` that holds anything but a table.
        TrainingsMissing: at the end, if trainings failed.
        MissingPackage: for one that loading the data, or a cluster, takes.
        ClusterFailed: if nothing came back from a cluster.
        NatsGymError: if the data cannot be loaded.
    """
    folder = checks.path(folder, "a build's folder")
    if not isinstance(plan, Plan):
        raise InvalidInput(f"plan is a nats_gym.building.Plan, got {shown(plan)}")
    asked = list(dict.fromkeys(np.ravel(plan.architectures.check_index(architectures)).tolist()))
    if not asked:
        raise InvalidInput("a build is of at least one architecture, got none")
    trials = checks.integer(trials, "trials", 1, MOST_TRIALS)
    workers = checks.integer(workers, "workers", 1, checks.MOST_PROCESSES)
    curves = checks.switch(curves, "curves")
    if not (devices := checks.as_list(devices) or ()):
        raise InvalidInput(f"devices is a list such as ('cuda:0', 'cuda:1'), got {shown(devices)}")
    licence = None if licence is None else checks.line(licence, "licence")
    if cluster is None:
        place_of(plan.architectures)
        require_data(plan.data_key, data_dir)  # what is missing is said now
        for device in devices:
            choose_device(device)
    else:
        if workers != 1 or len(devices) != 1:
            raise InvalidInput(
                f"workers and several devices are for this machine, a cluster has as many "
                f"trainings at a time as its num_cpus and num_gpus allow; got workers={workers} "
                f"and devices={shown(devices)}"
            )
        _cluster_evaluator(plan, cluster, devices[0], data_dir)  # refuses wrong options
    check_folder(folder)
    check_folder(folder / CHECKPOINTS)
    check_table_folder(folder / TABLE)
    make_folder(folder)
    busy = f"another build is at work in {shown(str(folder))}"
    with alone(folder / _LOCK, busy), TrainingStore(folder, plan) as store:
        sweep(folder, store.checkpoints)
        # All architectures once before any twice: whoever stops early has the most of them.
        every = [(one, trial) for trial in range(trials) for one in asked]
        finished = store.finished()
        missing = [pair for pair in every if pair not in finished]
        progress(len(every) - len(missing), len(every))
        failures: list[tuple[tuple[int, int], Exception]] = []
        trained = 0
        if missing:
            if cluster is None:
                answers = _on_this_machine(store, missing, workers, devices, data_dir)
            else:
                evaluator = _cluster_evaluator(store.plan, cluster, devices[0], data_dir)
                answers = _on_cluster(evaluator, plan.epochs, missing)
            for pair, answer in answers:
                if isinstance(answer, Exception):
                    failures.append((pair, answer))
                    continue
                try:
                    store.add(*pair, answer)
                except InvalidInput as other:  # of other splits, on a cluster that has both
                    failures.append((pair, other))
                    continue
                trained += 1
                progress(len(every) - len(missing) + trained, len(every))
        with suppress(OSError):  # not there, or not empty: of trainings that go on another time
            store.checkpoints.rmdir()
        trainings = list(store)
        if trainings:
            licence = licence or _licence_of(folder / TABLE)
            columns = measured_columns(store.plan, trainings, curves, licence)
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


def _licence_of(table: Path) -> str:
    """What a build's table states so far: whoever adds trainings need not say it again."""
    try:
        return str(read_manifest(table)["columns"][0].licence)
    except (MissingTable, CorruptTable, IndexError):
        return "unstated"


def open_build(folder: str | os.PathLike[str]) -> TrainingStore:
    """The trainings of a build that is there; a context manager.

    Raises:
        MissingTable: if there is none.
        UnreadableBuild: if it is damaged.
    """
    return TrainingStore(checks.path(folder, "a build's folder"))


def _on_this_machine(
    store: TrainingStore,
    missing: _Pairs,
    workers: int,
    devices: Sequence[str],
    data_dir: str | os.PathLike[str] | None,
) -> _Answers:
    # Fetched once, and a missing one is one message.
    data = load_data(store.plan.data_key, data_dir)
    store.settle(store.plan.splits_of(data))
    shared = {
        "space": place_of(store.plan.architectures),
        "plan": store.plan.to_json(),
        "data_dir": None if data_dir is None else str(data_dir),
    }
    each = [{**shared, "device": str(choose_device(device))} for device in devices]
    with Pool("nats_gym.building.worker:make_trainer", each, workers) as pool:
        pairs = {}
        for index, trial in missing:
            path = store.checkpoints / f"{index}-{trial}.pt"
            task = {"index": index, "trial": trial, "checkpoint": str(path)}
            pairs[pool.submit(task)] = (index, trial), path
        for future in as_completed(pairs):
            pair, path = pairs[future]
            failure = future.exception()
            yield pair, failure or future.result()
            if failure is None:  # else it goes on from there another time
                path.unlink(missing_ok=True)  # by now the caller has kept the training


def _cluster_evaluator(
    plan: Plan, options: Mapping[str, Any], device: str, data_dir: str | os.PathLike[str] | None
) -> RayEvaluator:
    allowed = [name for name in inspect.signature(RayEvaluator).parameters if name != "evaluator"]
    options = checks.mapping(options, f"cluster is a dict with any of {', '.join(allowed)}")
    for name in options:
        checks.word(name, "option of a cluster", allowed)
    return RayEvaluator(RecordingEvaluator(plan, data_dir, device), **options)


def _on_cluster(evaluator: RayEvaluator, epochs: int, missing: _Pairs) -> _Answers:
    index, trials = np.array(missing).T
    answers = evaluator.stream(index.astype(np.int64), epochs, trials.astype(np.uint64))
    waiting = dict(enumerate(missing))
    try:
        for position, answer in answers:
            pair = waiting.pop(position)
            failure = answer.metrics.get("failure")
            yield pair, TrainingFailed(failure) if failure else answer.metrics["training"]
    except ClusterFailed as error:
        # A process or node was lost too often, and the rest is cancelled. What came back is kept.
        if len(waiting) == len(missing):
            raise
        for pair in waiting.values():
            yield pair, error
