"""Where the images of our data sets come from; rows of :mod:`nats_gym.datasets` name the functions.

Each is called with the images' key, the folder of the archives, and whether to fetch them.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from nats_gym import checks
from nats_gym.datasets import Dataset, dataset_of
from nats_gym.datasets.own import kept_arrays
from nats_gym.training.archives import Images, check_md5, find_archive
from nats_gym.training.data import ImageData, MissingData
from nats_gym.training.downloads import fetch
from nats_gym.training.splits import seeded_parts, test_halves


def load_training_halves(key: str, folder: Path, download: bool) -> ImageData:
    """Load an archive whose training images train and validate, in halves of the known seed."""
    dataset = dataset_of(key)
    parts = _read_archive(dataset, folder, download)
    sizes = dataset.train_images, dataset.valid_images
    train, valid = seeded_parts(len(parts[0].labels), sizes)
    return _assemble(key, parts, {"train": train, "x-valid": valid}, official=True)


def load_whole(key: str, folder: Path, download: bool) -> ImageData:
    """Load an archive all of whose training images train."""
    parts = _read_archive(dataset_of(key), folder, download)
    return _assemble(key, parts, {"train": np.arange(len(parts[0].labels))}, official=True)


def load_test_halves(key: str, folder: Path, download: bool) -> ImageData:
    """Load an archive whose test images validate and test, in halves of the published list."""
    dataset = dataset_of(key)
    parts = _read_archive(dataset, folder, download)
    train, test = (len(part.labels) for part in parts)
    halves = test_halves(dataset, test, folder)
    splits = {
        "train": np.arange(train),
        "x-valid": train + halves.valid,
        "x-test": train + halves.test,
    }
    return _assemble(key, parts, splits, halves.official)


def load_digits(key: str, folder: Path, download: bool) -> ImageData:
    """Load scikit-learn's digits, which come with it."""
    dataset, (levels, labels) = dataset_of(key), _read_digits()
    # Grey levels 0…16 to bytes, the same on three channels.
    grey = (levels * 255 // 16).astype(np.uint8)
    images = np.ascontiguousarray(np.broadcast_to(grey[:, None], (len(grey), 3, 8, 8)))
    sizes = dataset.train_images, dataset.valid_images, dataset.test_images
    splits = zip(("train", "x-valid", "x-test"), seeded_parts(len(grey), sizes), strict=True)
    return _assemble(key, (Images(images, labels),), dict(splits), official=False)


def load_kept(key: str, folder: Path, download: bool) -> ImageData:
    """Load images of one's own, as they were kept when they were read."""
    dataset, arrays = dataset_of(key), kept_arrays(key)
    splits = {name: arrays[f"split {name}"] for name in dataset.searched.splits}
    return _assemble(key, (Images(arrays["images"], arrays["labels"]),), splits, official=False)


def _read_digits() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Grey levels ``(images, 8, 8)`` and labels ``(images,)``."""
    spec = find_spec("sklearn")
    for folder in (spec and spec.submodule_search_locations) or ():
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.is_file():  # importing all of scikit-learn takes longer than a training's epoch
            rows = np.loadtxt(file, np.int64, delimiter=",")
            return rows[:, :-1].reshape(-1, 8, 8), rows[:, -1].copy()
    from sklearn import datasets  # type: ignore[import-untyped]

    found = datasets.load_digits()
    return found.images.astype(np.int64), found.target.astype(np.int64)


def _read_archive(dataset: Dataset, folder: Path, download: bool) -> tuple[Images, Images]:
    archive = dataset.archive
    assert archive is not None
    path = find_archive(archive, folder)
    if path is None:
        if not archive.fetched:
            raise MissingData(
                f"{dataset.title} is not in {folder / archive.folder}: its publisher gives it out "
                f"to registered users only. Fetch the {dataset.resolution}×{dataset.resolution} "
                f"training and validation files from {archive.url} and unpack them there: "
                f"{', '.join((*archive.train, *archive.test))}"
            )
        if not download:
            files = archive.file or ", ".join(archive.files)
            raise MissingData(f"no {files} in {folder}; fetch it from {archive.url}")
        for url, md5 in archive.fetched.items():
            fetch(url, md5, folder / archive.folder if archive.files else folder)
        path = find_archive(archive, folder)
        assert path is not None
    elif path.is_file():
        check_md5(path, archive.md5, "delete it to have it fetched again")
    read = checks.imported(archive.reader, f"reader of {dataset.name}")
    parts: tuple[Images, Images] = read(dataset, archive, path)
    return parts


def _assemble(
    key: str, parts: tuple[Images, ...], splits: Mapping[str, ArrayLike], official: bool
) -> ImageData:
    dataset = dataset_of(key)
    if len(parts) == 2:
        train, test = (len(part.labels) for part in parts)
        splits = {**splits, "ori-test": train + np.arange(test)}
    images = np.concatenate([part.images for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    mean, std = (
        (red / 255, green / 255, blue / 255) for red, green, blue in (dataset.mean, dataset.std)
    )
    return ImageData(
        key,
        dataset.num_classes,
        torch.from_numpy(images),
        torch.from_numpy(labels),
        {name: torch.from_numpy(np.asarray(rows, np.int64)) for name, rows in splits.items()},
        mean,
        std,
        dataset.crop_padding,
        official,
        dataset.classes,
    )
