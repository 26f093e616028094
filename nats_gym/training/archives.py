"""Reads the public image archives into arrays, running nothing that they name.

CIFAR-10 and CIFAR-100 (Krizhevsky 2009) are tar files of Python 2 pickles; ImageNet at 16×16
(Chrabaszcz, Loshchilov & Hutter, arXiv 1707.08819) is eleven pickles. Each holds numpy arrays and
lists; an interpreter that knows no more reads them. Fashion-MNIST is four idx files. Every file
must be the published one.
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

from nats_gym.datasets import Archive, Dataset
from nats_gym.datasets.reading import idx_header, read_idx
from nats_gym.errors import InvalidInput, said, shown
from nats_gym.tables.official.opcodes import Functions, Interpreter, damage_named
from nats_gym.tables.official.plain_numpy import PlainArray, PlainType
from nats_gym.tables.official.unpickling import ForbiddenPickle, UnreadableFile

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


def _join(parts: list[Images], num_classes: int, name: str) -> Images:
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


def _check_published(path: Path, found: str, expected: str, remedy: str, kind: str = "md5") -> None:
    if found != expected:
        raise UnreadableFile(
            f"{path} is not the published file ({kind} {found}, published {expected}); {remedy}"
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


def find_archive(archive: Archive, folder: Path) -> Path | None:
    """Where an archive lies, unpacked or packed; None if it is not there."""
    unpacked = (folder / archive.folder, folder, *map(Path, archive.installed))
    places = [
        place
        for place in unpacked
        if (place / next(iter(archive.test))).is_file()
        or (archive.files and all((place / name).is_file() for name in archive.files))
    ]
    packed = folder / archive.file
    return next(iter([*places, *([packed] if packed.is_file() else [])]), None)


def read_archive(dataset: Dataset, archive: Archive, path: Path) -> tuple[Images, Images]:
    """Training and test images of a data set.

    Args:
        dataset: which; of further classes in the files no images are kept.
        archive: its own.
        path: the tar file, or the folder that it unpacks to.

    Raises:
        UnreadableFile, ForbiddenPickle: as :func:`read_batch`, and for a part that is missing or
            is not the published one, or other numbers of images.
    """
    published = {**archive.train, **archive.test}

    def read_unpacked(name: str) -> bytes:
        return _read_published(path / name, published[name])

    read = read_unpacked if path.is_dir() else _tar_reader(path, archive.folder, published)

    def read_part(names: Iterable[str]) -> Images:
        parts = []
        for name in names:
            found = read_batch(read(name), archive.labels, dataset.resolution, f"{path}: {name}")
            labels = found.labels - archive.first_label
            kept: slice | NDArray[np.bool_] = slice(None)
            if archive.further_classes:
                kept = (labels >= 0) & (labels < dataset.num_classes)
            parts.append(Images(found.images[kept], labels[kept]))
        return _join(parts, dataset.num_classes, str(path))

    return _checked(dataset, archive, path, read_part(archive.train), read_part(archive.test))


def read_idx_files(dataset: Dataset, archive: Archive, path: Path) -> tuple[Images, Images]:
    """As :func:`read_archive`, of grey images in MNIST's idx files, packed by gzip or not."""

    def read_part(files: Mapping[str, str]) -> Images:
        arrays = []
        for (name, expected), axes in zip(files.items(), (3, 1), strict=True):
            places = (path / name, path / f"{name}.gz")
            place = next((place for place in places if place.is_file()), places[-1])
            try:
                array = read_idx(place, axes)
            except InvalidInput as error:
                raise UnreadableFile(str(error)) from error
            # Of what is unpacked: the same file is packed in many ways.
            digest = hashlib.sha256(idx_header(array.shape))
            digest.update(array.data)
            found = digest.hexdigest()
            _check_published(place, found, expected, "fetch it again", "unpacked, sha256")
            arrays.append(array)
        grey, labels = arrays
        images = np.ascontiguousarray(
            np.broadcast_to(grey[:, None], (len(grey), 3, *grey.shape[1:]))
        )
        return _join([Images(images, labels.astype(np.int64))], dataset.num_classes, str(path))

    return _checked(dataset, archive, path, read_part(archive.train), read_part(archive.test))


def _checked(
    dataset: Dataset, archive: Archive, path: Path, train: Images, test: Images
) -> tuple[Images, Images]:
    counts = len(train.labels), len(test.labels)
    if counts != archive.counts:
        raise UnreadableFile(
            f"{path} holds {counts[0]} training and {counts[1]} test images, {dataset.name} has "
            f"{archive.counts[0]} + {archive.counts[1]}"
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
                raise UnreadableFile(f"{shown(tar.name)}: {member.name} has {member.size:,} bytes")
            file = tar.extractfile(member)
            assert file is not None
            yield names[member.name], file.read()
