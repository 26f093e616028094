"""What a process of a build does: one training, evaluated after every epoch, and its latency."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nats_gym.building.plan import VALID_SPLIT, Plan
from nats_gym.errors import said
from nats_gym.evaluators.protocol import Answer, StreamingEvaluator
from nats_gym.measuring.timing import latency
from nats_gym.networks import build
from nats_gym.processes.pool import Task
from nats_gym.simulation.schedule import Epochs
from nats_gym.spaces import find_space, known_spaces, place_of
from nats_gym.tables import MEASURED
from nats_gym.training.checkpoint import UnreadableCheckpoint
from nats_gym.training.data import ImageData, load_data
from nats_gym.training.devices import choose_device, describe_device
from nats_gym.training.trainer import seeded, train


def train_once(
    plan: Plan,
    data: ImageData,
    index: int,
    trial: int,
    device: torch.device,
    checkpoint: str | None = None,
) -> dict[str, Any]:
    """Train an architecture once; its record, latency, parameters and machine as plain values.

    Raises:
        InvalidInput: for data of other splits than the plan's.
        NatsGymError: if the training fails and the recipe says to raise, or for an unreadable
            checkpoint.
    """
    splits = plan.splits_of(data)

    def built() -> nn.Module:
        return build(*(plan.space, index, data.num_classes), dataset=plan.dataset, **plan.network)

    network = seeded(built, trial)
    record = train(
        network,
        data,
        plan.recipe,
        seed=trial,
        device=device,
        evaluate_on=(VALID_SPLIT, plan.test_split),
        evaluate="every",
        checkpoint=checkpoint,
        label=f"{plan.space} {index}",
    )
    return {
        "record": record.to_content(),
        "latency": latency(network, data.resolution, device, plan.recipe.channels_last),
        "params": sum(p.numel() for p in network.parameters()) / 1e6,
        "machine": describe_device(device),
        "splits": splits,
    }


@lru_cache(maxsize=1)
def _images(key: str, data_dir: str | None, download: bool, device: str) -> ImageData:
    return load_data(key, data_dir, device, download)


def make_trainer(space: str, plan: dict[str, Any], data_dir: str | None, device: str) -> Task:
    """What a worker of a :class:`~nats_gym.processes.pool.Pool` runs; see :func:`train_once`."""
    find_space(space)  # known here by its name then, as where the plan was made
    read = Plan.from_json(plan)
    # The parent has loaded it once: nothing is left to fetch.
    data = _images(read.data_key, data_dir, False, device)

    def trainer(index: int, trial: int, checkpoint: str) -> dict[str, Any]:
        try:
            return train_once(read, data, index, trial, torch.device(device), checkpoint)
        except UnreadableCheckpoint:
            os.unlink(checkpoint)  # nothing to go on from: anew
            return train_once(read, data, index, trial, torch.device(device), checkpoint)

    return trainer


class RecordingEvaluator(StreamingEvaluator):
    """The same as an evaluator, for a cluster: the whole training is a metric of its answer.

    So is a failure, as text: an exception would end the whole batch.

    Args:
        plan: what to train.
        data_dir: see :func:`nats_gym.training.data.load_data`, on the cluster's machines.
        device: ``"auto"`` takes a CUDA device if there is one.
    """

    provenance = MEASURED, MEASURED

    def __init__(
        self, plan: Plan, data_dir: str | os.PathLike[str] | None, device: str = "auto"
    ) -> None:
        self._plan, self._device = plan, device
        self._place = place_of(plan.architectures, "")
        self._data_dir = None if data_dir is None else str(data_dir)

    @property
    def identity(self) -> str:
        """The plan."""
        return json.dumps(self._plan.to_json(), sort_keys=True)

    def trials_of(
        self, index: NDArray[np.int64], trial_keys: NDArray[np.uint64]
    ) -> NDArray[np.uint64]:
        """The keys themselves: seeds."""
        return trial_keys

    def stream(
        self, index: NDArray[np.int64], epochs: Epochs, trials: NDArray[np.uint64]
    ) -> Iterator[tuple[int, Answer]]:
        """Train a batch, by the plan's schedule; yield each as it is done."""
        if self._place and self._plan.space not in known_spaces():
            find_space(self._place)  # on another machine
        for position, (one, trial) in enumerate(zip(index.tolist(), trials.tolist(), strict=True)):
            try:
                device = choose_device(self._device)
                data = _images(self._plan.data_key, self._data_dir, True, str(device))
                answer = train_once(self._plan, data, one, trial, device)
            except Exception as error:
                failure = f"{type(error).__name__}: {said(error, 1_000)}"
                yield position, Answer(0.0, 0.0, {"failure": failure})  # no training, no figure
                continue
            figures: Mapping[str, Any] = answer["record"]["evaluated"][VALID_SPLIT]
            accuracy = (figures["accuracy"] or [0.0])[-1]
            yield position, Answer(accuracy, sum(figures["seconds"]), {"training": answer})
