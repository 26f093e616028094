"""Answers by training the networks, on this machine."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.datasets import get_dataset
from nats_gym.evaluators.network import NetworkEvaluator
from nats_gym.evaluators.protocol import Answer
from nats_gym.files.writing import check_folder
from nats_gym.processes.pool import MOST_RETRIES, TaskTimedOut
from nats_gym.simulation.schedule import Epochs, check_epochs, trained_epochs
from nats_gym.spaces import get_space
from nats_gym.tables import MEASURED
from nats_gym.training.architecture import check_network, preset, train_architectures
from nats_gym.training.batched import TrainingPool
from nats_gym.training.checkpoint import checkpoint_name
from nats_gym.training.data import ImageData, load_data, require_data, split_source
from nats_gym.training.devices import choose_device, using_threads
from nats_gym.training.recipe import Recipe
from nats_gym.training.record import COMPLETED, TIMED_OUT, TrainingFailed, TrainingRecord
from nats_gym.training.states import KeptStates

#: Trainings in one loop: what a card's memory holds, and what "auto" asks of it.
MOST_TOGETHER, _AUTO_TOGETHER = 1024, 16


class TrainingEvaluator(NetworkEvaluator):
    """Evaluates architectures by training them and validating them once.

    Real seconds of training and validation are what an evaluation costs. On the CPU the same
    architecture, schedule and trial give the same accuracy, whatever the number of workers: each
    training takes ``threads`` threads, which accuracies depend on as they do on the seed. Leave
    the one that small networks are quickest with, and give ``workers`` to use more cores.

    Args:
        space: a space's name, such as ``"tss"``.
        dataset: ``"cifar10"`` (trained on one half of its training images, validated on the
            other), ``"cifar100"``, ``"ImageNet16-120"`` or ``"digits"``.
        device: ``"auto"`` takes a CUDA device if there is one; several for several workers, such
            as ``"cuda:0,cuda:1"``, which take them in turn.
        recipe: default the data set's own; a mapping changes fields of that. Its length is each
            evaluation's, so a mapping has no ``epochs``.
        network: arguments of :func:`nats_gym.networks.build`; default the data set's own.
        trials: how many trainings of an architecture there are to draw from, each with a seed
            of its own, 0, 1, …; None for a new one at every evaluation.
        workers: trainings at a time; more than one run in processes that stay.
        threads: of each training on the CPU.
        together: architectures of a batch that are trained in one loop, by each of ``workers``.
            ``"auto"`` is up to 16 on a CUDA device, where one alone leaves most of it idle, and 1
            on the CPU: small images gain there, but sums may round otherwise than alone, so a
            number above 1 is part of the :attr:`identity`.
        split: what the accuracy is of.
        data_dir: see :func:`nats_gym.training.data.load_data`.
        download: fetch the data set if it is not there.
        time_limit: real seconds after which a training counts as failed; of several together,
            each one's share of them.
        timeout: real seconds after which a worker process that does not answer is killed; its
            training counts as failed. Several together have as many times that.
        retries: how often a training is begun again whose process died.
        checkpoints: folder where the state of a training is kept that ends before its schedule
            does (``"4/12"``). One of the same architecture, schedule and trial goes on from
            there, in whatever process, and ends as if never cut; its seconds are those of both.
            None trains each from its beginning. On a cluster, a folder that all nodes share.

    Raises:
        InvalidInput: for arguments out of range.
        MissingPackage: for a package that loading the data takes.
        NatsGymError: at the first evaluation, if the data cannot be loaded.
    """

    provenance = MEASURED, MEASURED

    def __init__(
        self,
        space: str,
        dataset: str,
        *,
        device: str = "auto",
        recipe: Recipe | Mapping[str, Any] | None = None,
        network: Mapping[str, Any] | None = None,
        trials: int | None = 1,
        workers: int = 1,
        threads: int = 1,
        together: int | str = "auto",
        split: str = "x-valid",
        data_dir: str | os.PathLike[str] | None = None,
        download: bool = True,
        time_limit: float | None = None,
        timeout: float | None = None,
        retries: int = 1,
        checkpoints: str | os.PathLike[str] | None = None,
    ) -> None:
        self._keep(locals())
        self.space = get_space(space)
        facts = get_dataset(dataset)
        self.dataset, images = facts.name, facts.searched
        # A subclass of str may answer as it likes.
        names = str.split(device, ",") if issubclass(type(device), str) else [device]
        self._devices = tuple(choose_device(name) for name in names)  # a wrong one is refused now
        own_recipe, own_network = preset(self.space.name, self.dataset)
        self.recipe = own_recipe.changed({} if recipe is None else recipe)
        if network is not None:
            own_network = check_network(self.space.name, network, self.dataset)
        self.network = own_network
        self._workers = checks.integer(workers, "workers", 1, checks.MOST_PROCESSES)
        self._threads = checks.integer(threads, "threads", 1, checks.MOST_THREADS)
        self._together = together
        if not (type(together) is str and together == "auto"):
            what = "together, if not 'auto',"
            self._together = checks.integer(together, what, 1, MOST_TOGETHER)
        self._retries = checks.integer(retries, "retries", 0, MOST_RETRIES)
        self._data_key = images.key
        self._split = checks.word(split, f"split of {self.dataset}", images.splits)
        self._data_dir = data_dir
        self._download = checks.switch(download, "download")
        require_data(self._data_key, data_dir, self._download)  # what is missing is said now
        self._time_limit = checks.limit(time_limit, "time_limit")
        self._timeout = checks.limit(timeout, "timeout")
        self._data: ImageData | None = None
        self._pool: TrainingPool | None = None
        self._checkpoints = None if checkpoints is None else checks.path(checkpoints, "checkpoints")
        if self._checkpoints is not None:
            check_folder(self._checkpoints)
        self._lock = threading.RLock()  # data and processes are made once, whoever asks first

    @property
    def identity(self) -> str:
        """What an accuracy depends on beside architecture, schedule and trial.

        Of x-valid and x-test of CIFAR-100 and ImageNet16-120 also whether they are the published
        ones: the lists count that are in the data folder of this machine.
        """
        # The length of the schedule is the evaluation's.
        recipe = replace(self.recipe, epochs=1).to_json()
        network = json.dumps(self.network, sort_keys=True)
        source = split_source(self._data_key, self._split, self._data_dir)
        split = f"{self._split} ({source})" if source else self._split
        threads = "" if self._threads == 1 else f" {self._threads} threads"
        together = ""
        if self._together not in ("auto", 1) and self._devices[0].type == "cpu":
            together = f" {self._together} together"  # whose sums depend on one another's sizes
        return f"{self.dataset} {split} {recipe} {network}{threads}{together}"

    @property
    def data_digest(self) -> str:
        """What tells the images from others of their name; they are loaded for it."""
        return self._loaded().digest

    @property
    def full_epochs(self) -> int:
        """Length of the schedule that the recipe was made for."""
        return self.recipe.epochs

    def stream(
        self, index: NDArray[np.int64], epochs: Epochs | None, trials: NDArray[np.uint64]
    ) -> Iterator[tuple[int, Answer]]:
        """Train a batch with the trials as seeds; yield each as it is done.

        Raises:
            InvalidInput: for an index out of range, or what is no schedule.
            NatsGymError: for a training that fails where the recipe says to raise, or whose
                process died as often as it was tried.
        """
        index = self.space.check_batch(index)
        trials = checks.keys(trials, "trials, one per index,", index.size)
        epochs = check_epochs(epochs, self.full_epochs)
        length = int(str(epochs).split("/")[-1])
        recipe = replace(self.recipe, epochs=length)
        until = trained_epochs(epochs)
        options: dict[str, Any] = {
            "recipe": recipe,
            "evaluate_on": (self._split,),
            "epochs": until,
            "time_limit": self._time_limit,
        }
        train = self._train_here if self._workers == 1 else self._train_in_processes
        if self._checkpoints is None:
            yield from train(index, trials, options)
            return
        states = KeptStates(self._checkpoints, self.identity, self.space.name)
        with states.lent(index.tolist(), trials.tolist(), length, until) as lent:
            for position, answer in train(index, trials, options, lent.folder):
                if answer.metrics["status"] == COMPLETED:
                    lent.keep(self.space.name, int(index[position]), int(trials[position]))
                yield position, answer

    def _train_in_processes(
        self,
        index: NDArray[np.int64],
        trials: NDArray[np.uint64],
        options: dict[str, Any],
        checkpoints: Path | None = None,
    ) -> Iterator[tuple[int, Answer]]:
        records = self._processes().train(
            index,
            trials,
            timeout=self._timeout,
            together=self._at_once(index.size),
            checkpoints=checkpoints,
            **options,
        )
        for position, found in records:
            if isinstance(found, TaskTimedOut) and options["recipe"].on_failure != "raise":
                yield position, self._timed_out()
            elif isinstance(found, Exception):
                raise found
            else:
                yield position, self._answer(found)

    def _train_here(
        self,
        index: NDArray[np.int64],
        trials: NDArray[np.uint64],
        options: dict[str, Any],
        checkpoints: Path | None = None,
    ) -> Iterator[tuple[int, Answer]]:
        paths: list[Path | None] = [None] * index.size
        if checkpoints is not None:
            named = zip(index.tolist(), trials.tolist(), strict=True)
            each = [checkpoints / checkpoint_name(self.space.name, *one) for one in named]
            # One file is one training's: of what is asked for twice, the first has it.
            paths = [None if path in each[:at] else path for at, path in enumerate(each)]
        together = self._at_once(index.size)
        for start in range(0, index.size, together):
            part = slice(start, start + together)
            data = self._loaded()
            on_cpu = data.images.device.type == "cpu"
            failed = None
            with using_threads(self._threads) if on_cpu else nullcontext():
                try:
                    records = train_architectures(
                        self.space.name,
                        index[part].tolist(),
                        data,
                        network=self.network,
                        seeds=trials[part].tolist(),
                        device=data.images.device,
                        checkpoints=paths[part],
                        **options,
                    )
                except TrainingFailed as error:
                    records, failed = list(error.records), error
            for place, record in enumerate(records):
                if failed is None or record.status == COMPLETED:
                    yield start + place, self._answer(record)
            if failed is not None:
                raise failed

    def _at_once(self, batch: int) -> int:
        """Architectures of a batch to train in one loop."""
        if self._together != "auto":
            return int(self._together)
        if self._devices[0].type == "cpu":
            return 1
        each = -(-batch // self._workers)  # or some of the workers would have none
        return max(1, min(_AUTO_TOGETHER, each))

    def close(self) -> None:
        """End the worker processes, if there are any; the next evaluation begins new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool:
            pool.close()

    def _answer(self, record: TrainingRecord) -> Answer:
        last = record.train.accuracy[-1] if record.status == COMPLETED else math.nan
        metrics = {"status": record.status, "train_accuracy": last}
        return Answer(record.accuracy(self._split), record.seconds, metrics)

    def _timed_out(self) -> Answer:
        chance = 100.0 / self._loaded().num_classes
        accuracy = chance if self.recipe.on_failure == "chance" else 0.0
        metrics = {"status": TIMED_OUT, "train_accuracy": math.nan}
        return Answer(accuracy, float(self._timeout or 0.0), metrics)

    def _loaded(self) -> ImageData:
        with self._lock:
            if self._data is None:
                data = load_data(self._data_key, self._data_dir, "cpu", self._download)
                self._data = data.to(self._devices[0]) if self._workers == 1 else data
            return self._data

    def _processes(self) -> TrainingPool:
        with self._lock:
            if not self._pool:
                self._pool = TrainingPool(
                    self.space.name,
                    self._loaded(),
                    network=self.network,
                    workers=self._workers,
                    devices=[str(device) for device in self._devices],
                    threads=self._threads,
                    retries=self._retries,
                )
            return self._pool
