"""The data sets that networks train on: all images of one in one uint8 tensor, and its splits.

Keys and splits are NATS-Bench's: ``cifar10-valid`` trains on one half of CIFAR-10's training
images and validates on the other, ``cifar10`` trains on all of them, ``cifar100`` and
``ImageNet16-120`` part their test images in x-valid and x-test. ``digits`` is scikit-learn's: 8×8
images that need no download.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike

from nats_gym import checks
from nats_gym.errors import InvalidInput, NatsGymError, shown
from nats_gym.extras import require
from nats_gym.tables.home import home
from nats_gym.tables.official.unpickling import UnreadableFile
from nats_gym.training.archives import (
    CIFAR,
    IMAGENET_MD5,
    CifarArchive,
    Images,
    check_md5,
    read_cifar,
    read_imagenet,
)
from nats_gym.training.devices import choose_device
from nats_gym.training.downloads import check_fetch, fetch
from nats_gym.training.recipe import MAX_PADDING
from nats_gym.training.splits import (
    SPLIT_FILES,
    Positions,
    cifar10_halves,
    published_list,
    seeded_parts,
    test_halves,
)


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


_Channels = tuple[float, float, float]
_Normal = tuple[_Channels, _Channels]


def _normal(mean: _Channels, std: _Channels) -> _Normal:
    """Mean and standard deviation of bytes as fractions of white."""
    (r, g, b), (rs, gs, bs) = mean, std
    return (r / 255, g / 255, b / 255), (rs / 255, gs / 255, bs / 255)


# Source: AutoDL-Projects, which NATS-Bench was trained with.
_CIFAR10_NORMAL = _normal((125.3, 123.0, 113.9), (63.0, 62.1, 66.7))
_CIFAR100_NORMAL = _normal((129.3, 124.1, 112.4), (68.2, 65.4, 70.4))
_IMAGENET_NORMAL = _normal((122.68, 116.66, 104.01), (63.22, 61.26, 65.09))
# Of all 1,797 images.
_DIGITS_NORMAL = _normal((77.64, 77.64, 77.64), (95.87, 95.87, 95.87))

#: Training and test images in each public archive.
COUNTS = {
    "cifar10": (50_000, 10_000),
    "cifar100": (50_000, 10_000),
    "ImageNet16-120": (151_700, 6_000),
}
#: Images of digits that train and validate; the other 400 test.
DIGITS_PARTS = (897, 500, 400)


def load_data(
    key: str,
    data_dir: str | os.PathLike[str] | None = None,
    device: torch.device | str = "cpu",
    download: bool = True,
) -> ImageData:
    """Load a data set.

    Args:
        key: ``"cifar10-valid"``, ``"cifar10"``, ``"cifar100"``, ``"ImageNet16-120"`` or
            ``"digits"``.
        data_dir: folder with the public archives, packed or unpacked, and with the published
            split files; default ``datasets`` under nats-gym's home.
        device: where the images go.
        download: fetch CIFAR's archives if they are not there. ImageNet's are given out to
            registered users only, so they have to be there.

    Raises:
        InvalidInput: for an unknown key or device, or a ``data_dir`` that is no folder.
        MissingData: if files are not there and may not, or cannot, be fetched from here.
        DownloadFailed: if fetching fails.
        UnreadableFile, ForbiddenPickle: for files that are damaged or not what they should be.
        MissingPackage: for digits without scikit-learn, and for a download without pooch.

    Warns:
        SplitWarning: if the published list of validation and test images is not there.
    """
    key, chosen = checks.word(key, "data set", LOADERS), choose_device(device)
    download = checks.switch(download, "download")
    require_data(key, data_dir, download)
    return LOADERS[key](data_folder(data_dir), download).to(chosen)


def require_data(key: str, data_dir: str | os.PathLike[str] | None, download: bool = True) -> None:
    """Raise now what :func:`load_data` would for want of a package.

    Raises:
        InvalidInput: for an unknown key, or a ``data_dir`` that is no folder.
        MissingPackage: for digits without scikit-learn, and for a download without pooch.
    """
    key = checks.word(key, "data set", LOADERS)
    download = checks.switch(download, "download")
    folder = data_folder(data_dir)
    archive = CIFAR.get(key.removesuffix("-valid"))
    if key == "digits":
        require("sklearn", "the data set digits")
    elif archive and download and not _cifar_at(archive, folder):
        check_fetch(archive.url, folder)


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


def _split_folders(folder: Path) -> tuple[Path, ...]:
    """Where published split files are looked for."""
    return folder, folder / "splits"


def split_source(key: str, split: str, data_dir: str | os.PathLike[str] | None) -> str:
    """Which images a split of a data set holds, where that depends on what is at hand.

    Returns:
        ``"official"`` or ``"seeded"`` for the halves of the test images of CIFAR-100 and
        ImageNet16-120, see :func:`nats_gym.training.splits.test_halves`; else ``""``.
    """
    key = checks.word(key, "data set", SPLITS)
    split = checks.word(split, f"split of {key}", SPLITS[key])
    folder = data_folder(data_dir)
    if key not in SPLIT_FILES or split not in ("x-valid", "x-test"):
        return ""
    return "official" if published_list(key, _split_folders(folder)) else "seeded"


def _cifar(archive_key: str, folder: Path, download: bool) -> tuple[Images, Images]:
    archive = CIFAR[archive_key]
    path = _cifar_at(archive, folder)
    if path is None:
        if not download:
            raise MissingData(f"no {archive.file} in {folder}; fetch it from {archive.url}")
        path = fetch(archive.url, archive.md5, folder)
    elif path.is_file():
        check_md5(path, archive.md5, "delete it to have it fetched again")
    return _counted(archive_key, path, read_cifar(archive, path))


def _cifar_at(archive: CifarArchive, folder: Path) -> Path | None:
    """Where an archive lies, unpacked or packed."""
    unpacked = (folder / archive.folder, folder)
    places = [place for place in unpacked if (place / next(iter(archive.test))).is_file()]
    packed = folder / archive.file
    return next(iter([*places, *([packed] if packed.is_file() else [])]), None)


def _counted(key: str, path: Path, parts: tuple[Images, Images]) -> tuple[Images, Images]:
    train, test = (len(part.labels) for part in parts)
    if (train, test) != COUNTS[key]:
        trained, tested = COUNTS[key]
        raise UnreadableFile(
            f"{path} holds {train} training and {test} test images, {key} has {trained} + {tested}"
        )
    return parts


def _cifar10_valid(folder: Path, download: bool) -> ImageData:
    train, valid = cifar10_halves()
    parts = _cifar("cifar10", folder, download)
    return _cifar10("cifar10-valid", parts, {"train": train, "x-valid": valid})


def _cifar10_full(folder: Path, download: bool) -> ImageData:
    parts = _cifar("cifar10", folder, download)
    return _cifar10("cifar10", parts, {"train": np.arange(len(parts[0].labels))})


def _cifar10(key: str, parts: tuple[Images, Images], splits: dict[str, Positions]) -> ImageData:
    train, test = (len(part.labels) for part in parts)
    splits = {**splits, "ori-test": train + np.arange(test)}
    return _assembled(key, 10, parts, splits, _CIFAR10_NORMAL, crop_padding=4, official=True)


def _cifar100(folder: Path, download: bool) -> ImageData:
    parts = _cifar("cifar100", folder, download)
    return _with_test_halves("cifar100", 100, parts, folder, _CIFAR100_NORMAL, crop_padding=4)


def _imagenet(folder: Path, download: bool) -> ImageData:
    places = (folder / "ImageNet16", folder)
    place = next((place for place in places if (place / "val_data").is_file()), None)
    if place is None:
        raise MissingData(
            f"ImageNet 16×16 is not in {places[0]}: its publisher gives it out to registered "
            "users only. Fetch the 16×16 training and validation files from "
            "https://image-net.org/download-images and unpack them there: "
            f"{', '.join(IMAGENET_MD5)}"
        )
    key = "ImageNet16-120"
    parts = _counted(key, place, read_imagenet(place))
    return _with_test_halves(key, 120, parts, folder, _IMAGENET_NORMAL, crop_padding=2)


def _with_test_halves(
    key: str,
    num_classes: int,
    parts: tuple[Images, Images],
    folder: Path,
    normal: _Normal,
    crop_padding: int,
) -> ImageData:
    train, test = (len(part.labels) for part in parts)
    halves = test_halves(key, test, _split_folders(folder))
    splits = {
        "train": np.arange(train),
        "x-valid": train + halves.valid,
        "x-test": train + halves.test,
        "ori-test": train + np.arange(test),
    }
    return _assembled(key, num_classes, parts, splits, normal, crop_padding, halves.official)


def _digits(folder: Path, download: bool) -> ImageData:
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    found = load_digits()
    # Grey levels 0…16 to bytes, the same on three channels.
    grey = (found.images.astype(np.int64) * 255 // 16).astype(np.uint8)
    images = np.ascontiguousarray(np.broadcast_to(grey[:, None], (len(grey), 3, 8, 8)))
    train, valid, test = seeded_parts(len(grey), DIGITS_PARTS)
    return _assembled(
        "digits",
        10,
        (Images(images, found.target.astype(np.int64)),),
        {"train": train, "x-valid": valid, "x-test": test},
        _DIGITS_NORMAL,
        crop_padding=1,
        official=False,
    )


def _assembled(
    key: str,
    num_classes: int,
    parts: tuple[Images, ...],
    splits: Mapping[str, ArrayLike],
    normal: _Normal,
    crop_padding: int,
    official: bool,
) -> ImageData:
    images = np.concatenate([part.images for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    return ImageData(
        key,
        num_classes,
        torch.from_numpy(images),
        torch.from_numpy(labels),
        {name: torch.from_numpy(np.asarray(rows, np.int64)) for name, rows in splits.items()},
        *normal,
        crop_padding,
        official,
    )


LOADERS = {
    "cifar10-valid": _cifar10_valid,
    "cifar10": _cifar10_full,
    "cifar100": _cifar100,
    "ImageNet16-120": _imagenet,
    "digits": _digits,
}

#: Names of the splits that each of them has.
SPLITS = {
    "cifar10-valid": ("train", "x-valid", "ori-test"),
    "cifar10": ("train", "ori-test"),
    "cifar100": ("train", "x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("train", "x-valid", "x-test", "ori-test"),
    "digits": ("train", "x-valid", "x-test"),
}
