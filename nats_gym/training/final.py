"""One architecture trained in full, tested once, and kept as a network to use."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import nn

from nats_gym import checks
from nats_gym.datasets import Dataset, get_dataset
from nats_gym.errors import InvalidInput, shown
from nats_gym.files.writing import alone, check_folder, make_folder
from nats_gym.machine import describe, versions
from nats_gym.networks import TrainedNetwork, build, load, save
from nats_gym.networks.card import CARD, Card
from nats_gym.networks.preprocessing import Preprocessing
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.training.architecture import check_network, preset
from nats_gym.training.data import ImageData, load_data, require_data
from nats_gym.training.devices import choose_device, using_threads
from nats_gym.training.recipe import Recipe
from nats_gym.training.record import COMPLETED, TrainingFailed, TrainingRecord
from nats_gym.training.trainer import seeded, train

#: The training as far as it is, beside where its network will lie.
CHECKPOINT = "checkpoint.pt"
_LOCK = "training.lock"
VALID_SPLIT = "x-valid"
# Images whose channels are compared at a time.
_BLOCK = 4_096


def train_final(
    space: str | ArchitectureSpace,
    architecture: int | str | ArrayLike,
    dataset: str,
    folder: str | os.PathLike[str],
    *,
    epochs: int | None = None,
    recipe: Recipe | Mapping[str, Any] | None = None,
    network: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
    valid_accuracy: float | None = None,
    progress: Callable[[TrainingRecord, int], object] | None = None,
) -> TrainedNetwork:
    """Train an architecture in full, on training and validation images together, and keep it.

    It is tested once, after the last epoch. A training that was interrupted goes on from its last
    whole epoch, and on the CPU ends with the weights that it would have had; one that has ended
    is loaded.

    Args:
        space: a space, or its name.
        architecture: official index, official string or choices.
        dataset: what to train on.
        folder: where the network goes, which :func:`nats_gym.networks.load` loads.
        epochs: length of the schedule; default the full one on that data set.
        recipe: default the data set's own; a mapping changes fields of that.
        network: options of :func:`nats_gym.networks.build`; default the data set's own.
        seed: from 0; of initial weights, order, flips and crops.
        device: ``"auto"`` takes a CUDA device if there is one.
        data_dir: see :func:`nats_gym.training.data.load_data`.
        download: fetch the data set if it is not there.
        valid_accuracy: of the architecture in a search, in percent, for the card: nothing is
            validated here.
        progress: called after every epoch, with the record so far and the epochs in all.

    Returns:
        The network, in evaluation mode on the CPU, with its card.

    Raises:
        InvalidInput: for arguments out of range, or a folder that holds another network, or what
            is left of another training.
        UnreadableCheckpoint: if what is left of the training is damaged.
        TrainingFailed: if it diverges, or finds no memory.
        MissingData, DownloadFailed, UnreadableFile, MissingPackage: see
            :func:`nats_gym.training.data.load_data`.
        CannotWrite: for what the operating system refuses.
    """
    found = get_space(space)
    index = found.resolve(architecture)
    facts = get_dataset(dataset)
    own_recipe, own_network = preset(found.name, facts.name)
    options = own_network if network is None else network
    options = check_network(found.name, options, facts.name)
    full = found.full_epochs_on(facts.name) if epochs is None else epochs
    how = replace(own_recipe.changed({} if recipe is None else recipe), epochs=full)
    seed, chosen = checks.seed(seed), choose_device(device)
    if valid_accuracy is not None:
        valid_accuracy = checks.number(valid_accuracy, "valid_accuracy", 0, 100)
    progress = checks.function(progress, "progress")
    path = checks.path(folder, "folder", expand=True)
    check_folder(path)
    download = checks.switch(download, "download")
    require_data(facts.data_key, data_dir, download)
    data = load_data(facts.data_key, data_dir, "cpu", download)
    joined, test = _joined(data, facts)
    card = Card(
        found.name,
        found.name_of(index),
        index,
        facts.classes or tuple(str(label) for label in range(data.num_classes)),
        Preprocessing(data.resolution, data.mean, data.std, _is_grey(data)),
        network=options,
        dataset=facts.name,
        data_digest=joined.digest,
        licence=facts.licence,
        recipe=asdict(how),
        seed=seed,
    )
    if (ended := _ended(path, card)) is not None:
        return ended
    make_folder(path)
    with alone(path / _LOCK, f"another training is at work in {shown(str(path))}"):
        if _ended(path, card) is None:
            made, record = _trained(card, how, joined, test, chosen, path / CHECKPOINT, progress)
            figures = {
                "train_accuracy": record.train.accuracy[-1],
                "valid_accuracy": valid_accuracy,
                "test_accuracy": None if test is None else record.accuracy(test),
                "epochs": record.epochs,
                "seconds": record.seconds,
                "train_images": len(joined.rows("train")),
                "test_images": 0 if test is None else len(joined.rows(test)),
                "params": sum(one.numel() for one in made.parameters()),
            }
            machine = describe()
            if chosen.type == "cuda":
                machine = f"{torch.cuda.get_device_name(chosen)}, {machine}"
            save(path, made, replace(card, figures=figures, versions=versions(), machine=machine))
    ended = _ended(path, card)
    assert ended is not None
    return ended


def _trained(
    card: Card,
    recipe: Recipe,
    data: ImageData,
    test: str | None,
    device: torch.device,
    checkpoint: Path,
    progress: Callable[[TrainingRecord, int], object] | None,
) -> tuple[nn.Module, TrainingRecord]:
    """Train what a card will be of, from its checkpoint if there is one."""
    facts = get_dataset(card.dataset)
    making = partial(
        build, card.space, card.index, data.num_classes, dataset=card.dataset, **card.network
    )
    network = seeded(making, card.seed)
    few = facts.small and device.type == "cpu"  # whose threads would wait for one another
    with using_threads(1) if few else nullcontext():
        record = train(
            network,
            data,
            recipe,
            seed=card.seed,
            device=device,
            evaluate_on=() if test is None else (test,),
            checkpoint=checkpoint,
            # The checkpoint is of these options and images, and of no other training.
            label=f"{card.space} {card.index} {card.network} on {card.data_digest}",
            progress=None if progress is None else lambda record: progress(record, recipe.epochs),
        )
    if record.status != COMPLETED:
        raise TrainingFailed(
            f"the training of {card.space} {card.index} on {card.dataset} ended after "
            f"{record.epochs} of {recipe.epochs} epochs: {record.status}"
        )
    return network, record


def _ended(path: Path, card: Card) -> TrainedNetwork | None:
    """The network in a folder, once what is left of its training is gone; None if there is none.

    Raises:
        InvalidInput: if it is of another training than the card says.
    """
    if not os.path.lexists(path / CARD):
        return None
    there = load(path)
    _check_same(path, there.card, card)
    with suppress(OSError):  # a folder that may only be read
        (path / CHECKPOINT).unlink(missing_ok=True)
        (path / _LOCK).unlink(missing_ok=True)
    return there


def _joined(data: ImageData, facts: Dataset) -> tuple[ImageData, str | None]:
    """Training and validation images as one split; and what is tested on, None for nothing."""
    parts = [data.rows(name) for name in ("train", VALID_SPLIT) if name in data.splits]
    splits = {"train": torch.cat(parts)}
    test = facts.test_split if facts.test_split in data.splits else None
    if test is not None:
        splits[test] = data.rows(test)
    return replace(data, splits=splits), test


def _is_grey(data: ImageData) -> bool:
    """Whether all images are alike in all channels."""
    return all(bool((block == block[:, :1]).all()) for block in torch.split(data.images, _BLOCK))


def _check_same(path: Path, there: Card, asked: Card) -> None:
    """Refuse a folder that holds a network of another training."""
    mine, its = ({**vars(card), **card.recipe} for card in (asked, there))
    names = ("space", "index", "network", "dataset", "data_digest", *asked.recipe, "seed")
    differing = [
        f"{name} {shown(its.get(name))}, not {shown(mine[name])}"
        for name in names
        if its.get(name) != mine[name]
    ]
    if differing:
        raise InvalidInput(
            f"{shown(str(path))} holds another trained network ({'; '.join(differing)}); move it "
            "away, or give another folder"
        )
