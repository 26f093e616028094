"""Reads the public image archives into arrays, running nothing that they name.

CIFAR-10 and CIFAR-100 (Krizhevsky 2009) are tar files of Python 2 pickles; ImageNet at 16×16
(Chrabaszcz, Loshchilov & Hutter, arXiv 1707.08819) is eleven pickles. Each holds numpy arrays and
lists; an unpickler that admits no more reads them.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.tables.official.unpickling import ForbiddenPickle, UnreadableFile

# What numpy calls to rebuild an array; its module is numpy.core or numpy._core by version.
_RECONSTRUCT: Any = np.zeros(1).__reduce__()[0]  # type: ignore[unused-ignore]

#: Classes of ImageNet that NATS-Bench keeps.
IMAGENET_CLASSES = 120


@dataclass(frozen=True, eq=False)
class Images:
    """Images of one part of a data set.

    Attributes:
        images: uint8 ``(N, 3, H, W)``.
        labels: int64 ``(N,)``, from 0.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class CifarArchive:
    """Where the parts of a CIFAR archive lie.

    Attributes:
        file: the archive's name.
        url: where its author serves it.
        md5: its published checksum.
        folder: what it unpacks to.
        train, test: names of the pickles.
        labels: key of the labels in a pickle.
        num_classes: how many they are.
    """

    file: str
    url: str
    md5: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    labels: str
    num_classes: int


_CIFAR_HOME = "https://www.cs.toronto.edu/~kriz/"

CIFAR: dict[str, CifarArchive] = {
    "cifar10": CifarArchive(
        file="cifar-10-python.tar.gz",
        url=_CIFAR_HOME + "cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
        folder="cifar-10-batches-py",
        train=tuple(f"data_batch_{number}" for number in range(1, 6)),
        test=("test_batch",),
        labels="labels",
        num_classes=10,
    ),
    "cifar100": CifarArchive(
        file="cifar-100-python.tar.gz",
        url=_CIFAR_HOME + "cifar-100-python.tar.gz",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        folder="cifar-100-python",
        train=("train",),
        test=("test",),
        labels="fine_labels",
        num_classes=100,
    ),
}

#: Published checksums of ImageNet 16×16, as AutoDL-Projects' ``ImageNet16`` checks them.
IMAGENET_MD5 = {
    "train_data_batch_1": "27846dcaa50de8e21a7d1a35f30f0e91",
    "train_data_batch_2": "c7254a054e0e795c69120a5727050e3f",
    "train_data_batch_3": "4333d3df2e5ffb114b05d2ffc19b1e87",
    "train_data_batch_4": "1620cdf193304f4a92677b695d70d10f",
    "train_data_batch_5": "348b3c2fdbb3940c4e9e834affd3b18d",
    "train_data_batch_6": "6e765307c242a1b3d7d5ef9139b48945",
    "train_data_batch_7": "564926d8cbf8fc4818ba23d2faac7564",
    "train_data_batch_8": "f4755871f718ccb653440b9dd0ebac66",
    "train_data_batch_9": "bb6dd660c38c58552125b1a92f86b5d4",
    "train_data_batch_10": "8f03f34ac4b42271a294f91bf480f29b",
    "val_data": "3410e3017fdaefba8d5073aaa65e4bd6",
}


def _encode_latin1(text: str, encoding: str) -> bytes:
    """The one use of ``_codecs.encode`` in pickled arrays; other codecs unpack, or worse."""
    if encoding.lower().replace("-", "").replace("_", "") not in ("latin1", "iso88591"):
        raise ForbiddenPickle("_codecs", f"encode to {encoding!r}")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("_codecs", "encode"): _encode_latin1,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles plain values and numpy arrays."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise ForbiddenPickle(module, name) from None


def read_batch(data: bytes, labels: str, resolution: int, name: str) -> Images:
    """Read one pickle of images.

    Args:
        data: the pickle: a dict of ``"data"``, uint8 ``(N, 3·resolution²)`` in planes of red,
            green and blue, and a list of labels.
        labels: key of the labels.
        resolution: height and width of an image.
        name: what to call it in messages.

    Returns:
        Its images, with the labels as they are in the file.

    Raises:
        UnreadableFile: if it is damaged or holds something else.
        ForbiddenPickle: if it names what no such file contains. Nothing of it was run.
    """
    try:
        content = _ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()
    except ForbiddenPickle as error:
        error.args = (f"{name}: {error}",)
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise UnreadableFile(f"{name}: not a whole pickle ({error!r})") from error
    pixels = content.get("data") if isinstance(content, dict) else None
    if not isinstance(pixels, np.ndarray) or labels not in content:
        raise UnreadableFile(f"{name}: no batch of images; it has no 'data' or no {labels!r}")
    width = 3 * resolution**2
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != width:
        raise UnreadableFile(
            f"{name}: images are uint8 (N, {width}), got {pixels.dtype} {pixels.shape}"
        )
    try:
        found = np.asarray(content[labels])
    except ValueError:  # lists within, of unequal lengths
        found = np.empty(0, object)
    if found.dtype.kind not in "iu" or found.shape != (len(pixels),):
        raise UnreadableFile(f"{name}: {labels!r} is not one whole number per image")
    return Images(pixels.reshape(-1, 3, resolution, resolution), found.astype(np.int64))


def _joined(parts: list[Images], num_classes: int, name: str) -> Images:
    images = np.concatenate([part.images for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise UnreadableFile(f"{name}: a label is outside 0…{num_classes - 1}")
    return Images(images, labels)


def md5_of(path: Path) -> str:
    """Hexadecimal MD5 of a file."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def check_md5(path: Path, expected: str, remedy: str) -> None:
    """Raise ``UnreadableFile`` unless a file has the published checksum."""
    found = md5_of(path)
    if found != expected:
        raise UnreadableFile(
            f"{path} is not the published file (md5 {found}, published {expected}); {remedy}"
        )


def read_cifar(archive: CifarArchive, path: Path) -> tuple[Images, Images]:
    """Training and test images of a CIFAR archive.

    Args:
        archive: which.
        path: the tar file, or the folder that it unpacks to.

    Raises:
        UnreadableFile, ForbiddenPickle: as :func:`read_batch`, and for a missing part.
    """
    reader = _folder_reader(path) if path.is_dir() else _tar_reader(path, archive.folder)
    train, test = (
        _joined(
            [read_batch(reader(name), archive.labels, 32, f"{path}: {name}") for name in names],
            archive.num_classes,
            str(path),
        )
        for names in (archive.train, archive.test)
    )
    return train, test


def _folder_reader(folder: Path) -> Callable[[str], bytes]:
    def read(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except OSError as error:
            raise UnreadableFile(f"{folder} lacks {name} ({error.strerror})") from error

    return read


def _tar_reader(path: Path, folder: str) -> Callable[[str], bytes]:
    try:
        with tarfile.open(path) as tar:
            # One pass: to seek back in a compressed file is to unpack it again.
            parts = dict(_members(tar, folder))
    except (OSError, EOFError, tarfile.TarError) as error:
        raise UnreadableFile(f"{path}: truncated or no tar file ({error})") from error

    def read(name: str) -> bytes:
        if name not in parts:
            raise UnreadableFile(f"{path} lacks {folder}/{name}")
        return parts[name]

    return read


def _members(tar: tarfile.TarFile, folder: str) -> Iterator[tuple[str, bytes]]:
    for member in tar:
        if member.isfile() and member.name.startswith(f"{folder}/"):
            file = tar.extractfile(member)
            assert file is not None
            yield member.name.removeprefix(f"{folder}/"), file.read()


def read_imagenet(folder: Path) -> tuple[Images, Images]:
    """Training and validation images of the first 120 classes of ImageNet 16×16.

    Args:
        folder: where the eleven files lie.

    Raises:
        UnreadableFile, ForbiddenPickle: as :func:`read_batch`, and for a file that is missing or
            is not the published one.
    """
    train = []
    for name, published in IMAGENET_MD5.items():
        path = folder / name
        if not path.is_file():
            raise UnreadableFile(f"{folder} lacks {name}")
        check_md5(path, published, "fetch it again")
        batch = read_batch(path.read_bytes(), "labels", 16, str(path))
        kept = (batch.labels >= 1) & (batch.labels <= IMAGENET_CLASSES)
        train.append(Images(batch.images[kept], batch.labels[kept] - 1))
    valid = train.pop()
    return (
        _joined(train, IMAGENET_CLASSES, str(folder)),
        _joined([valid], IMAGENET_CLASSES, str(folder)),
    )
