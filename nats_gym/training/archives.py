"""Reads the public image archives into arrays, running nothing that they name.

CIFAR-10 and CIFAR-100 (Krizhevsky 2009) are tar files of Python 2 pickles; ImageNet at 16×16
(Chrabaszcz, Loshchilov & Hutter, arXiv 1707.08819) is eleven pickles. Each holds numpy arrays and
lists; an interpreter that knows no more reads them. Every pickle must be the published one.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import said, shown
from nats_gym.tables.official.opcodes import Functions, Interpreter, damage_named
from nats_gym.tables.official.plain_numpy import PlainArray, PlainType
from nats_gym.tables.official.unpickling import ForbiddenPickle, UnreadableFile

#: Classes of ImageNet that NATS-Bench keeps.
IMAGENET_CLASSES = 120
#: The largest pickle, CIFAR-100's training images, has 155 MB.
MAX_BATCH_BYTES = 256 << 20


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
        train, test: names of the pickles, and their published checksums.
        labels: key of the labels in a pickle.
        num_classes: how many they are.
    """

    file: str
    url: str
    md5: str
    folder: str
    train: Mapping[str, str]
    test: Mapping[str, str]
    labels: str
    num_classes: int


_CIFAR_HOME = "https://www.cs.toronto.edu/~kriz/"

CIFAR: dict[str, CifarArchive] = {
    "cifar10": CifarArchive(
        file="cifar-10-python.tar.gz",
        url=_CIFAR_HOME + "cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
        folder="cifar-10-batches-py",
        train={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        test={"test_batch": "40351d587109b95175f43aff81a1287e"},
        labels="labels",
        num_classes=10,
    ),
    "cifar100": CifarArchive(
        file="cifar-100-python.tar.gz",
        url=_CIFAR_HOME + "cifar-100-python.tar.gz",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        folder="cifar-100-python",
        train={"train": "16019d7e3df5f24257cddd939b257f8d"},
        test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
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
        raise ForbiddenPickle("_codecs", f"encode to {shown(encoding)}")
    return text.encode("latin1")


_FUNCTIONS: Functions = {
    ("numpy", "ndarray"): PlainArray,  # named only: _reconstruct is told to make one
    ("numpy", "dtype"): PlainType,
    # numpy's module has one name or the other by version.
    ("numpy.core.multiarray", "_reconstruct"): PlainArray,
    ("numpy._core.multiarray", "_reconstruct"): PlainArray,
    ("_codecs", "encode"): _encode_latin1,
}


_WHOLE = {int, np.int64, np.int32, np.uint8}


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
    content = Interpreter(
        iter([data]),
        name,
        _FUNCTIONS,
        most_bytes=MAX_BATCH_BYTES,
        most_text=MAX_BATCH_BYTES,  # Python 3 writes bytes as text for Python 2
    ).run()
    pixels = content.get("data") if isinstance(content, dict) else None
    if not isinstance(pixels, PlainArray) or labels not in content:
        raise UnreadableFile(f"{name}: no batch of images; it has no 'data' or no {shown(labels)}")
    with damage_named(name):
        pixels = pixels.array
    width = 3 * resolution**2
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != width:
        raise UnreadableFile(
            f"{name}: images are uint8 (N, {width}), got {pixels.dtype} {pixels.shape}"
        )
    found = content[labels]
    with damage_named(name):
        if isinstance(found, PlainArray):
            found = found.array
        elif isinstance(found, list) and {*map(type, found)} <= _WHOLE:
            found = np.array(found, np.int64)
    if (
        not isinstance(found, np.ndarray)
        or found.dtype.kind not in "iu"
        or found.shape != (len(pixels),)
    ):
        raise UnreadableFile(f"{name}: {shown(labels)} is not one whole number per image")
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
    _check_published(path, md5_of(path), expected, remedy)


def _check_published(path: Path, found: str, expected: str, remedy: str) -> None:
    if found != expected:
        raise UnreadableFile(
            f"{path} is not the published file (md5 {found}, published {expected}); {remedy}"
        )


def _read_published(path: Path, expected: str) -> bytes:
    """A pickle's bytes; ``UnreadableFile`` unless they are the published ones."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(MAX_BATCH_BYTES) if size <= MAX_BATCH_BYTES else b""
    except OSError as error:
        raise UnreadableFile(f"{path.parent} lacks {path.name} ({error.strerror})") from error
    if size > MAX_BATCH_BYTES:
        raise UnreadableFile(
            f"{path} is not the published file: {size:,} bytes, {MAX_BATCH_BYTES:,} are allowed"
        )
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    _check_published(path, found, expected, "fetch it again")
    return data


def read_cifar(archive: CifarArchive, path: Path) -> tuple[Images, Images]:
    """Training and test images of a CIFAR archive.

    Args:
        archive: which.
        path: the tar file, or the folder that it unpacks to.

    Raises:
        UnreadableFile, ForbiddenPickle: as :func:`read_batch`, and for a missing part.
    """
    published = {**archive.train, **archive.test}

    def read_unpacked(name: str) -> bytes:
        return _read_published(path / name, published[name])

    read = read_unpacked if path.is_dir() else _tar_reader(path, archive.folder, published)
    train, test = (
        _joined(
            [read_batch(read(name), archive.labels, 32, f"{path}: {name}") for name in names],
            archive.num_classes,
            str(path),
        )
        for names in (archive.train, archive.test)
    )
    return train, test


def _tar_reader(path: Path, folder: str, names: Iterable[str]) -> Callable[[str], bytes]:
    """Read the pickles ``names`` of a tar, whose checksum whoever calls has compared."""
    try:
        with tarfile.open(path) as tar:
            # One pass: to seek back in a compressed file is to unpack it again.
            parts = dict(_members(tar, {f"{folder}/{name}": name for name in names}))
    except (OSError, EOFError, tarfile.TarError) as error:
        raise UnreadableFile(f"{path}: truncated or no tar file ({said(error)})") from error

    def read(name: str) -> bytes:
        if name not in parts:
            raise UnreadableFile(f"{path} lacks {folder}/{name}")
        return parts[name]

    return read


def _members(tar: tarfile.TarFile, names: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    for member in tar:
        if member.name in names and member.isreg() and not member.issparse():
            if member.size > MAX_BATCH_BYTES:
                raise UnreadableFile(f"{member.name} has {member.size:,} bytes")
            file = tar.extractfile(member)
            assert file is not None
            yield names[member.name], file.read()


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
        batch = read_batch(_read_published(path, published), "labels", 16, str(path))
        kept = (batch.labels >= 1) & (batch.labels <= IMAGENET_CLASSES)
        train.append(Images(batch.images[kept], batch.labels[kept] - 1))
    valid = train.pop()
    return (
        _joined(train, IMAGENET_CLASSES, str(folder)),
        _joined([valid], IMAGENET_CLASSES, str(folder)),
    )
