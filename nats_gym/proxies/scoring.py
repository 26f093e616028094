"""Architectures scored: networks built with the weights of a seed, one batch for all."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from nats_gym import checks
from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, NatsGymError, said, shown
from nats_gym.networks import build
from nats_gym.proxies.inputs import KINDS, LEAST_IMAGES, MOST_IMAGES, draw_inputs
from nats_gym.proxies.registry import find_score
from nats_gym.proxies.score import Function, Score, ScoreFailed, as_value
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.streams import combine_int, seed_key
from nats_gym.training.architecture import check_network, preset
from nats_gym.training.batches import Batch
from nats_gym.training.data import data_folder, require_data
from nats_gym.training.devices import choose_device, using_threads
from nats_gym.training.randomness import own_randomness
from nats_gym.training.trainer import seeded

# Tells a score's own draws from others of the same seed.
_DRAWS = 0x5C0


class Scored(NamedTuple):
    """An architecture's scores.

    Attributes:
        values: by name.
        seconds: real ones that building it and scoring it took.
    """

    values: dict[str, float]
    seconds: float


class Scorer:
    """Scores architectures of a space, each with the same images and weights of the same seed.

    Args:
        space: a space that builds networks.
        dataset: whose resolution and classes the networks have.
        scores: what is asked of each.
        images: ``"noise"``, standard normal, or ``"pink"``, with the spectrum of natural images,
            both with random labels; or ``"data"``, training images.
        batch: how many images.
        device: ``"auto"`` takes a CUDA device if there is one.
        network: arguments of :func:`nats_gym.networks.build`; default the data set's own.
        threads: on the CPU, which rounding depends on.
        data_dir, download: see :func:`nats_gym.training.data.load_data`.

    Raises:
        InvalidInput: for arguments out of range, an unknown name, a space without networks.
        MissingPackage: for a package that loading the data takes.
    """

    def __init__(
        self,
        space: str | ArchitectureSpace,
        dataset: str,
        scores: Sequence[str | Function | Score],
        *,
        images: str = "noise",
        batch: int = 64,
        device: str = "cpu",
        network: Mapping[str, Any] | None = None,
        threads: int = 1,
        data_dir: str | os.PathLike[str] | None = None,
        download: bool = True,
    ) -> None:
        self.space = get_space(space)
        self.dataset = get_dataset(dataset)
        given = checks.as_list(scores)
        if not given:
            raise InvalidInput(f"scores are a list of names or functions, got {shown(scores)}")
        self.scores = [find_score(one) for one in given]
        if len({score.name for score in self.scores}) < len(self.scores):
            names = ", ".join(score.name for score in self.scores)
            raise InvalidInput(f"a score is asked for once, got {shown(names)}")
        if not self.space.builds_networks:
            raise InvalidInput(f"the space {shown(self.space.name)} builds no networks to score")
        self.images = checks.word(images, "images of a score", KINDS)
        self.batch = checks.integer(batch, "batch", LEAST_IMAGES, MOST_IMAGES)
        self.device = choose_device(device)
        self.network = preset(self.space.name, self.dataset.name)[1]
        if network is not None:
            self.network = check_network(self.space.name, network, self.dataset.name)
        self._threads = checks.integer(threads, "threads", 1, checks.MOST_THREADS)
        self._data_dir, self._download = data_dir, checks.switch(download, "download")
        data_folder(data_dir)
        if self.images == "data":
            require_data(self.dataset.data_key, data_dir, self._download)
        passes: dict[object, list[Score]] = {}
        for score in self.scores:
            passes.setdefault(score.together or score.name, []).append(score)
        self._passes = list(passes.values())
        self._inputs: tuple[int, Batch] | None = None

    @property
    def identity(self) -> str:
        """What scores depend on beside architecture and seed."""
        network = json.dumps(self.network, sort_keys=True)
        threads = "" if self._threads == 1 else f" {self._threads} threads"
        return f"{self.dataset.name} {self.batch} {self.images} {network}{threads}"

    def score(self, index: int, seed: int = 0) -> Scored:
        """Score an architecture, given by official index, with the weights and images of a seed.

        The weights are those that a training of that seed begins with.

        Raises:
            InvalidInput: for an index or seed out of range.
            ScoreFailed: where a score's function raises.
        """
        index, seed = self.space.check_one_index(index), checks.seed(seed)
        batch = self._drawn(seed)
        on_cpu = self.device.type == "cpu"
        with using_threads(self._threads) if on_cpu else nullcontext():
            begun = time.perf_counter()
            dataset, classes = self.dataset.name, self.dataset.num_classes
            make = partial(build, self.space, index, classes, dataset=dataset, **self.network)
            network = seeded(make, seed).to(self.device)
            what, values = f" of {self.space.name} {index}", {}
            for number, passed in enumerate(self._passes, 1):
                own = copy.deepcopy(network) if number < len(self._passes) else network
                values.update(_values(own, passed, batch, seed, what))
            found = {score.name: values[score.name] for score in self.scores}
            return Scored(found, time.perf_counter() - begun)

    def _drawn(self, seed: int) -> Batch:
        """The batch of a seed; the last one is kept."""
        if self._inputs is None or self._inputs[0] != seed:
            images, labels = draw_inputs(
                self.dataset, self.images, self.batch, seed, self._data_dir, self._download
            )
            self._inputs = seed, (images.to(self.device), labels.to(self.device))
        return self._inputs[1]


def score_architectures(
    space: str | ArchitectureSpace,
    architectures: ArrayLike,
    scores: Sequence[str | Function | Score],
    *,
    dataset: str = "cifar10",
    images: str = "noise",
    batch: int = 64,
    seed: int = 0,
    device: str = "cpu",
    network: Mapping[str, Any] | None = None,
    threads: int = 1,
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> dict[str, NDArray[np.float64]]:
    """Score architectures before training.

    Args:
        space: a space that builds networks, or its name.
        architectures: official indices, ``(n,)``.
        scores: names, see :func:`score_names`, or functions of your own from a network in training
            mode, images ``(B, 3, H, W)`` and labels ``(B,)`` to a number, the higher the better.
        dataset: whose resolution and classes the networks have.
        images: ``"noise"``, standard normal, or ``"pink"``, with the spectrum of natural images,
            both with random labels; or ``"data"``, training images.
        batch: images of the batch that all architectures see.
        seed: of initial weights, images and what a score draws. On the CPU the same seed gives the
            same scores.
        device, network, threads, data_dir, download: see :class:`Scorer`.

    Returns:
        By name, ``(n,)``. Minus infinity is worst: of a network whose answers do not depend on
        its images, or where nothing flows.

    Raises:
        InvalidInput: for arguments out of range, an unknown name, a space without networks.
        ScoreFailed: where a score's function raises.
        EvaluatorError: where it returns no number.
    """
    scorer = Scorer(
        space,
        dataset,
        scores,
        images=images,
        batch=batch,
        device=device,
        network=network,
        threads=threads,
        data_dir=data_dir,
        download=download,
    )
    asked = scorer.space.check_batch(checks.array(architectures, "architectures are indices (n,)"))
    seed = checks.seed(seed)
    found = [scorer.score(index, seed).values for index in asked.tolist()]
    return {
        score.name: np.array([values[score.name] for values in found], np.float64)
        for score in scorer.scores
    }


def score_network(
    network: nn.Module,
    score: str | Function | Score,
    images: torch.Tensor,
    labels: torch.Tensor,
    seed: int = 0,
) -> float:
    """Score a network of any kind, which stays as it is.

    Args:
        network: from images to logits.
        score: a name, or a function of your own.
        images: float32 ``(B, 3, H, W)``, on the network's device.
        labels: int64 ``(B,)``.
        seed: of what the score draws.

    Returns:
        The higher the better; minus infinity is worst.

    Raises:
        InvalidInput: for an unknown name, what is no network, and what is no batch.
        ScoreFailed: where the score's function raises.
        EvaluatorError: where it returns no number.
    """
    checks.instance(network, nn.Module, "a network")
    checks.instance(images, torch.Tensor, "images")
    checks.instance(labels, torch.Tensor, "labels")
    if not images.is_floating_point() or images.ndim < 2 or len(images) < LEAST_IMAGES:
        raise InvalidInput(
            f"images are floats (B, 3, H, W), B from {LEAST_IMAGES}, got {images.dtype} "
            f"{tuple(images.shape)}"
        )
    if not images.isfinite().all():  # of which some scores take no notice
        raise InvalidInput("images are finite numbers, got NaN or infinite ones among them")
    if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
        raise InvalidInput(
            f"labels are int64 ({len(images)},), got {labels.dtype} {tuple(labels.shape)}"
        )
    found = find_score(score)
    own = copy.deepcopy(network)
    return _values(own, [found], (images, labels), checks.seed(seed))[found.name]


def _values(
    network: nn.Module, scores: Sequence[Score], batch: Batch, seed: int, what: str = ""
) -> dict[str, float]:
    """What one pass finds of the scores that come together in it."""
    first, *others = scores
    network.train()
    key = combine_int(seed_key(seed), _DRAWS)
    try:
        with own_randomness(batch[0].device, key), torch.enable_grad():
            if others and first.together is not None:
                together = first.together(network, *batch)
                found = {score.name: together[score.name] for score in scores}
            else:
                found = {first.name: first.function(network, *batch)}
    except NatsGymError:
        raise
    except Exception as error:
        raise ScoreFailed(f"the score {first.name}{what}: {said(error)}") from error
    return {name: as_value(name, value) for name, value in found.items()}
