"""The data sets that networks train on: all images of one in one uint8 tensor, and its splits.

Keys and splits are NATS-Bench's: ``cifar10-valid`` trains on one half of CIFAR-10's training
images and validates on the other, ``cifar10`` trains on all of them, ``cifar100`` and
``ImageNet16-120`` part their test images in x-valid and x-test. ``digits`` is scikit-learn's: 8×8
images that need no download.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import cast

import torch

from nats_gym import checks
from nats_gym.datasets import Dataset, dataset_of, get_images
from nats_gym.datasets.dataset import Loader
from nats_gym.datasets.own import keep
from nats_gym.errors import InvalidInput, NatsGymError, shown
from nats_gym.extras import require
from nats_gym.files.home import home
from nats_gym.training.archives import find_archive
from nats_gym.training.devices import choose_device
from nats_gym.training.downloads import check_fetch
from nats_gym.training.recipe import MAX_PADDING
from nats_gym.training.splits import read_published_list


class MissingData(NatsGymError, FileNotFoundError):
    """A data set's files are not where they are looked for."""


@dataclass(frozen=True, eq=False)
class ImageData:
    """A labelled set of images, held as bytes on one device.

    Attributes:
        name: its key.
        num_classes: number of classes.
        images: uint8 ``(N, 3, H, W)``, H = W.
        labels: int64 ``(N,)``, from 0.
        splits: rows of ``images`` by the name of a split, each int64 ``(n,)``; there is
            ``"train"``, and whatever else a network is evaluated on.
        mean: of each channel, as a fraction of white, ``(3,)``.
        std: likewise its standard deviation.
        crop_padding: black pixels at each border before a random crop.
        official_splits: whether the splits are NATS-Bench's.
        classes: their names, by label; none where they have but numbers.
    """

    name: str
    num_classes: int
    images: torch.Tensor
    labels: torch.Tensor
    splits: Mapping[str, torch.Tensor]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop_padding: int
    official_splits: bool = False
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that the parts fit together.

        Raises:
            InvalidInput: says which does not.
        """
        for what in ("images", "labels"):
            checks.instance(getattr(self, what), torch.Tensor, what)
        for what, plain in (
            ("name", checks.text(self.name, "name")),
            ("num_classes", checks.integer(self.num_classes, "num_classes", 1)),
            ("crop_padding", checks.integer(self.crop_padding, "crop_padding", 0, MAX_PADDING)),
            ("official_splits", checks.switch(self.official_splits, "official_splits")),
        ):
            object.__setattr__(self, what, plain)
        classes = checks.as_list(self.classes)
        if classes is None or len(classes) not in (0, self.num_classes):
            raise InvalidInput(
                f"classes are {self.num_classes} names, or none, got {shown(self.classes)}"
            )
        classes = [checks.text(name, "a class's name") for name in classes]
        if len({*classes}) < len(classes):
            raise InvalidInput(f"two classes of one name: {shown(self.classes)}")
        object.__setattr__(self, "classes", tuple(classes))
        shape = tuple(self.images.shape)
        square = len(shape) == 4 and shape[1:] == (3, shape[2], shape[2])
        if self.images.dtype != torch.uint8 or not square:
            raise InvalidInput(f"images are uint8 (N, 3, H, H), got {self.images.dtype} {shape}")
        count = shape[0]
        if self.labels.dtype != torch.int64 or self.labels.shape != (count,):
            raise InvalidInput(
                f"labels are int64 ({count},), got {self.labels.dtype} {tuple(self.labels.shape)}"
            )
        if count and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < self.num_classes:
            raise InvalidInput(f"a label is outside 0…{self.num_classes - 1}")
        splits = checks.mapping(self.splits, "splits are a dictionary of rows")
        if "train" not in splits:
            raise InvalidInput(f"no split 'train' among {', '.join(splits)[:1_000] or 'none'}")
        for name, rows in splits.items():
            rows = checks.instance(rows, torch.Tensor, f"split {shown(name)}")
            if rows.dtype != torch.int64 or rows.ndim != 1 or not len(rows):
                raise InvalidInput(f"split {shown(name)} is a list of rows, int64 (n,), n from 1")
            if not 0 <= int(rows.min()) <= int(rows.max()) < count:
                raise InvalidInput(f"split {shown(name)} has a row outside 0…{count - 1}")
        for what, low, above in (("mean", 0.0, -math.inf), ("std", -math.inf, 0.0)):
            values = checks.as_list(getattr(self, what)) or ()
            if len(values) != 3:
                raise InvalidInput(f"{what} is of three channels, got {shown(getattr(self, what))}")
            for value in values:
                checks.number(value, f"{what} of a channel", low, above=above)

    @property
    def resolution(self) -> int:
        """Height and width of an image."""
        return self.images.shape[-1]

    @property
    def digest(self) -> str:
        """SHA-256 of images, labels and splits."""
        digest = hashlib.sha256()
        for name, tensor in (
            ("images", self.images),
            ("labels", self.labels),
            *self.splits.items(),
        ):
            digest.update(f"{name} {tuple(tensor.shape)} ".encode())
            digest.update(tensor.cpu().contiguous().numpy().reshape(-1).view("u1").data)
        return digest.hexdigest()

    def described(self) -> Dataset:
        """What is known of these images, which are kept under a name with a digest of them.

        Raises:
            InvalidInput: for splits with none that validates, or none that tests.
        """
        if "x-valid" not in self.splits or not {"x-test", "ori-test"} & {*self.splits}:
            raise InvalidInput(
                "images to search on have splits 'train', 'x-valid' and 'x-test' or 'ori-test', "
                f"got {', '.join(self.splits)}"
            )
        return keep(
            self.name,
            self.images.cpu().numpy(),
            self.labels.cpu().numpy(),
            {name: rows.cpu().numpy() for name, rows in self.splits.items()},
            self.classes or tuple(map(str, range(self.num_classes))),
            [255 * value for value in self.mean],
            [255 * value for value in self.std],
            self.crop_padding,
        )

    def rows(self, split: str) -> torch.Tensor:
        """Rows of a split, int64 ``(n,)``; ``InvalidInput`` names the splits there are."""
        return self.splits[checks.word(split, f"split of {self.name}", self.splits)]

    def to(self, device: torch.device | str) -> ImageData:
        """The same on another device; itself if it is there."""
        device = choose_device(device)
        if self.images.device == device:
            return self
        splits = {name: rows.to(device) for name, rows in self.splits.items()}
        return replace(
            self, images=self.images.to(device), labels=self.labels.to(device), splits=splits
        )


def load_data(
    key: str,
    data_dir: str | os.PathLike[str] | None = None,
    device: torch.device | str = "cpu",
    download: bool = True,
) -> ImageData:
    """Load a data set.

    Args:
        key: ``"cifar10-valid"``, ``"cifar10"``, ``"cifar100"``, ``"ImageNet16-120"``,
            ``"digits"``, ``"fashion-mnist"``, or what images of one's own are kept under.
        data_dir: folder with the public archives, packed or unpacked, and with the published
            split files; default ``datasets`` under nats-gym's home.
        device: where the images go.
        download: fetch CIFAR's archives and Fashion-MNIST's files if they are not there.
            ImageNet's are given out to registered users only, so they have to be there.

    Raises:
        InvalidInput: for an unknown key or device, or a ``data_dir`` that is no folder.
        MissingData: if files are not there and may not, or cannot, be fetched from here.
        DownloadFailed: if fetching fails.
        UnreadableFile, ForbiddenPickle: for files that are damaged or not what they should be.
        MissingPackage: for digits without scikit-learn, and for a download without pooch.

    Warns:
        SplitWarning: if the published list of validation and test images is not there.
    """
    key, chosen = get_images(key).key, choose_device(device)
    download = checks.switch(download, "download")
    require_data(key, data_dir, download)
    loader = get_images(key).loader
    if isinstance(loader, str):
        module, name = loader.split(":")
        loader = cast(Loader, getattr(import_module(module), name))
    data = loader(key, data_folder(data_dir), download)
    return checks.instance(data, ImageData, f"what loads {key} returns").to(chosen)


def require_data(key: str, data_dir: str | os.PathLike[str] | None, download: bool = True) -> None:
    """Raise now what :func:`load_data` would for want of a package.

    Raises:
        InvalidInput: for an unknown key, or a ``data_dir`` that is no folder.
        MissingPackage: for digits without scikit-learn, and for a download without pooch.
    """
    dataset = dataset_of(key)
    download = checks.switch(download, "download")
    folder = data_folder(data_dir)
    if dataset.package:
        require(dataset.package, f"the data set {dataset.name}")
    archive = dataset.archive
    if archive and archive.fetched and download and not find_archive(archive, folder):
        for url in archive.fetched:
            check_fetch(url, folder)


def data_folder(data_dir: str | os.PathLike[str] | None) -> Path:
    """The folder that ``data_dir`` means; it may not be there yet.

    Raises:
        InvalidInput: for what is no path, and for a file where a folder should be.
    """
    if data_dir is None:
        return home() / "datasets"
    folder = checks.path(data_dir, "data_dir", expand=True)
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise InvalidInput(
            f"data_dir is a folder with the archives in it, got {shown(str(folder))}: "
            f"{shown(str(nearest))} is a file"
        )
    return folder


def split_source(key: str, split: str, data_dir: str | os.PathLike[str] | None) -> str:
    """Which images a split of a data set holds, where that depends on what is at hand.

    Returns:
        ``"official"`` or ``"seeded"`` for the halves of the test images of CIFAR-100 and
        ImageNet16-120, see :func:`nats_gym.training.splits.test_halves`; else ``""``.
    """
    dataset, images = dataset_of(key), get_images(key)
    split = checks.word(split, f"split of {images.key}", images.splits)
    folder = data_folder(data_dir)
    if not dataset.split_files or split not in ("x-valid", "x-test"):
        return ""
    return "official" if read_published_list(dataset, folder) else "seeded"
