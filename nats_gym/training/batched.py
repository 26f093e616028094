"""Trains many architectures of one space beside each other, each in a process that stays.

Small networks leave most of a processor, or of a GPU, idle. On the CPU a worker takes one thread;
on GPUs several workers share each device.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput, shown
from nats_gym.files.writing import check_folder
from nats_gym.processes.pool import Pool, Task
from nats_gym.simulation.schedule import LONGEST
from nats_gym.spaces import find_space, get_space, place_of
from nats_gym.training.architecture import check_network, train_architectures
from nats_gym.training.checkpoint import checkpoint_name
from nats_gym.training.data import ImageData
from nats_gym.training.devices import choose_device
from nats_gym.training.recipe import Recipe
from nats_gym.training.record import TrainingFailed, TrainingRecord
from nats_gym.training.trainer import EVALUATE


class TrainingPool:
    """Workers that hold a data set and train networks on it.

    Args:
        space: a space's name, such as ``"tss"``.
        data: what to train on; each worker gets a copy, on its device.
        recipe: default NATS-Bench's.
        network: further arguments of :func:`nats_gym.networks.build`, such as
            ``{"cells_per_stage": 1}``.
        workers: trainings at a time.
        devices: where they run, in turn; ``"auto"`` takes a CUDA device if there is one.
        threads: threads of each worker on the CPU.
        retries: how often a training is begun again whose process died; with a checkpoint it
            goes on.

    Raises:
        InvalidInput: for an unknown space or device, a network that cannot be, or numbers out of
            range.
    """

    def __init__(
        self,
        space: str,
        data: ImageData,
        recipe: Recipe | None = None,
        *,
        network: Mapping[str, Any] | None = None,
        workers: int = 1,
        devices: Sequence[str] = ("auto",),
        threads: int = 1,
        retries: int = 1,
    ) -> None:
        self._space = get_space(space)
        self._recipe = _checked(Recipe() if recipe is None else recipe)
        if not isinstance(data, ImageData):
            raise InvalidInput(f"data is an ImageData, got {shown(data)}")
        each_device = checks.as_list(devices)
        if not each_device:
            raise InvalidInput(f"devices are a list of names such as 'cpu', got {shown(devices)}")
        shared = {
            "space": place_of(self._space),
            "data": _content(data),
            "network": check_network(
                self._space.name, {} if network is None else network, data.name
            ),
        }
        each = [{**shared, "device": str(choose_device(device))} for device in each_device]
        self._pool = Pool(
            f"{__name__}:make_trainer", each, workers, threads=threads, retries=retries
        )

    def __enter__(self) -> TrainingPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """Process numbers of the workers."""
        return self._pool.pids

    def close(self) -> None:
        """End the workers; trainings with checkpoints can go on another time."""
        self._pool.close()

    def train(
        self,
        index: Sequence[int] | NDArray[np.int64],
        seeds: Sequence[int] | NDArray[np.uint64],
        *,
        recipe: Recipe | None = None,
        evaluate_on: Sequence[str] = ("x-valid",),
        evaluate: str = "last",
        epochs: int | None = None,
        time_limit: float | None = None,
        timeout: float | None = None,
        together: int = 1,
        checkpoints: str | os.PathLike[str] | None = None,
    ) -> Iterator[tuple[int, TrainingRecord | Exception]]:
        """Train architectures, each with its seed; yield each as it is done.

        Args:
            index: official indices, ``(batch,)``.
            seeds: of initial weights, order, flips and crops, ``(batch,)``.
            recipe: default the pool's.
            evaluate_on, evaluate, epochs, time_limit: as in
                :func:`nats_gym.training.trainer.train`.
            timeout: real seconds after which a worker that has not answered is killed; for
                what a ``time_limit``, which is looked at between batches, cannot end. Several
                together have as many times that.
            together: how many each worker trains in one loop, see
                :func:`nats_gym.training.trainer.train_together`; their records come together.
            checkpoints: folder for checkpoints. Each goes when the next record is asked for: by
                then the caller has stored this one.

        Yields:
            Position in the batch, and the record; or what kept it from being one: ``WorkerDied``,
            ``TaskTimedOut``, ``TaskFailed``, or an exception of nats-gym. One that fails does not
            end the others; what is raised in a group, as for one's damaged checkpoint, is raised
            for all of that group.

        Raises:
            InvalidInput: for an index out of range, or another number of seeds.
        """
        checked = self._space.check_index(index)
        drawn = checks.as_integers(seeds)
        if drawn is None:
            raise InvalidInput(f"seeds are a list of integers, got {shown(seeds)}")
        if checked.ndim != 1 or len(drawn) != len(checked):
            raise InvalidInput(
                f"one seed per index: got index {checked.shape} and {len(drawn)} seeds"
            )
        text = (self._recipe if recipe is None else _checked(recipe)).to_json()
        splits = checks.as_list(evaluate_on)
        if splits is None:
            raise InvalidInput(f"evaluate_on is a list of splits, got {shown(evaluate_on)}")
        splits = [checks.text(name, "a split") for name in splits]
        evaluate = checks.word(evaluate, "evaluate", EVALUATE)
        if epochs is not None:
            epochs = checks.integer(epochs, "epochs, up to the recipe's,", 1, LONGEST)
        time_limit = checks.limit(time_limit, "time_limit")
        timeout = checks.limit(timeout, "timeout")
        together = checks.integer(together, "together")
        folder = None if checkpoints is None else checks.path(checkpoints, "checkpoints")
        if folder is not None:
            check_folder(folder)  # before the work, not after it
        index, seeds = checked.tolist(), [*drawn]
        paths = [
            folder and folder / checkpoint_name(self._space.name, one, seed)
            for one, seed in zip(index, seeds, strict=True)
        ]
        parts = [
            slice(start, min(start + together, len(index)))
            for start in range(0, len(index), together)
        ]
        tasks = [
            {
                "index": index[part],
                "seeds": seeds[part],
                "recipe": text,
                "evaluate_on": splits,
                "evaluate": evaluate,
                "epochs": epochs,
                "time_limit": time_limit,
                # One file is one training's: of what is asked for twice, the first has it.
                "checkpoints": [
                    str(path) if path and path not in paths[part.start : at] else None
                    for at, path in enumerate(paths[part], part.start)
                ],
            }
            for part in parts
        ]
        return self._records(tasks, parts, paths, timeout)

    def _records(
        self,
        tasks: list[dict[str, Any]],
        parts: list[slice],
        paths: list[Path | None],
        timeout: float | None,
    ) -> Iterator[tuple[int, TrainingRecord | Exception]]:
        positions = {
            self._pool.submit(task, timeout and timeout * len(task["index"])): range(
                part.start, part.stop
            )
            for task, part in zip(tasks, parts, strict=True)
        }
        try:
            for future in as_completed(positions):
                error = future.exception()
                if isinstance(error, Exception):
                    yield from ((position, error) for position in positions[future])
                    continue
                for position, answer in zip(positions[future], future.result(), strict=True):
                    if answer["failure"]:
                        yield position, TrainingFailed(answer["failure"])
                        continue
                    yield position, TrainingRecord.from_content(answer["record"])
                    path = paths[position]
                    if path is not None:
                        path.unlink(missing_ok=True)
        finally:
            for future in positions:
                future.cancel()


def _checked(recipe: Recipe) -> Recipe:
    return checks.instance(recipe, Recipe, "recipe")


def make_trainer(space: str, data: dict[str, Any], network: dict[str, Any], device: str) -> Task:
    """What a worker of a :class:`TrainingPool` runs; see there."""
    images = ImageData(**_from_content(data)).to(device)
    space = find_space(space).name

    def trainer(
        index: list[int], seeds: list[int], recipe: str, **options: Any
    ) -> list[dict[str, Any]]:
        read = Recipe.from_json(recipe)
        failures = [""] * len(index)
        try:
            records = train_architectures(
                space, index, images, read, network=network, seeds=seeds, device=device, **options
            )
        except TrainingFailed as error:  # one that fails does not end the others
            records, failures = [*error.records], [*error.failures]
        return [
            {"record": record.to_content(), "failure": failure}
            for record, failure in zip(records, failures, strict=True)
        ]

    return trainer


def _content(data: ImageData) -> dict[str, Any]:
    """A data set as plain values and arrays."""
    return {
        **vars(data),
        "images": data.images.cpu().numpy(),
        "labels": data.labels.cpu().numpy(),
        "splits": {name: rows.cpu().numpy() for name, rows in data.splits.items()},
    }


def _from_content(content: dict[str, Any]) -> dict[str, Any]:
    return {
        **content,
        "images": torch.from_numpy(content["images"]),
        "labels": torch.from_numpy(content["labels"]),
        "splits": {name: torch.from_numpy(rows) for name, rows in content["splits"].items()},
        "mean": tuple(content["mean"]),
        "std": tuple(content["std"]),
    }
