"""Labelled pictures as they lie in folders and files, or as objects hold them, to one array.

Everything here is somebody else's file: sizes are limited before anything is unpacked.
"""

from __future__ import annotations

import difflib
import gzip
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.datasets.pixels import Pixels, UnreadablePicture, read_pixels
from nats_gym.errors import InvalidInput, said, shown, warn_caller
from nats_gym.files.untrusted import open_arrays, open_file

#: Names of the parts that a source may have, by what folders and arrays call them.
PARTS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
#: Ends of the names of files that are taken for pictures.
SUFFIXES = (
    *(".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".png", ".pgm", ".ppm", ".pnm"),
    *(".tif", ".tiff", ".webp"),
)
#: Where Linux says what memory a container may take.
_CONTAINER = Path("/sys/fs/cgroup/memory.max")
_IDX = {"train": "train", "t10k": "test"}
#: How a folder of class folders looks, for those who gave another.
_LAYOUT = (
    "pictures lie in a folder for each class, such as cats/1.png and dogs/2.png, alone or in "
    "train/, valid/ and test/"
)
#: Files and folders that are looked at before there have to be pictures among them.
_LOOKED_AT = 100_000
#: Most classes, as many as a network's classifier has outputs; most images of a set.
MOST_CLASSES, MOST_IMAGES = 100_000, 2**31


@dataclass(frozen=True, eq=False)
class Labelled:
    """Pictures of one size, and what they show.

    Attributes:
        images: uint8 ``(N, H, H, 3)``.
        labels: int64 ``(N,)``.
        parts: rows by name, of ``train``, ``valid`` and ``test``; one alone is not parted yet.
        classes: names, by label.
        skipped: pictures that could not be read, or have no class, and are not among these.
    """

    images: Pixels
    labels: NDArray[np.int64]
    parts: Mapping[str, NDArray[np.int64]]
    classes: tuple[str, ...]
    skipped: int = 0


class SkippedPictures(UserWarning):
    """Pictures that cannot be read, or have no class, were left out of a data set."""


def read_path(path: Path, resolution: int | None, strict: bool) -> Labelled:
    """Read a folder of class folders, or of MNIST's files, or an ``.npz``; see :mod:`.own`."""
    if path.is_dir():
        idx = {name: files for part, name in _IDX.items() if (files := _idx_files(path, part))}
        if idx:
            return _read_idx(idx, resolution)
        return _read_folder(path, resolution, strict)
    if path.suffix == ".npz":
        return _read_arrays(path, resolution)
    raise InvalidInput(
        "images are a folder of class folders or of MNIST's idx files, or an .npz, got "
        f"{shown(str(path))}"
    )


def read_items(given: Any, resolution: int | None) -> Labelled:
    """Read a sequence of ``(image, label)``, or a Hugging Face data set of two such columns."""
    names: tuple[str, ...] = ()
    keys: tuple[Any, Any] = 0, 1
    try:
        count = len(given)
        features = getattr(given, "features", None)
        if isinstance(features, Mapping):
            columns = [*features]
            image = next((name for name in ("image", "img") if name in columns), None)
            label = next((name for name in ("label", "fine_label") if name in columns), None)
            if image is None or label is None:
                raise InvalidInput(
                    f"a data set has columns 'image' and 'label', got {shown(columns)}"
                )
            keys, names = (image, label), tuple(getattr(features[label], "names", None) or ())
        else:
            names = tuple(map(str, getattr(given, "classes", None) or ()))
        if count > MOST_IMAGES:
            raise InvalidInput(f"at most {MOST_IMAGES:,} images are read, got {count:,}")
    except InvalidInput:
        raise
    except Exception as error:  # an object of others
        raise _no_sequence(given, error) from error
    labels: list[int] = []

    def pictures() -> Iterable[Any]:
        for row in range(count):
            try:
                item = given[row]
                picture, label = item[keys[0]], item[keys[1]]
            except Exception as error:
                raise _no_sequence(given, error) from error
            labels.append(checks.integer(label, "a label", 0, MOST_CLASSES - 1))
            yield picture

    if not count:
        raise InvalidInput(f"a data set has at least one (image, label), got {shown(given)}")
    try:
        images = _stacked((read_pixels(one, resolution) for one in pictures()), count)
    except UnreadablePicture as error:
        raise InvalidInput(
            f"{said(error)}; pictures are images of Pillow's, uint8 arrays or paths of files"
        ) from error
    return _labelled({"all": (images, np.array(labels, np.int64))}, names)


def _no_sequence(given: Any, error: Exception) -> InvalidInput:
    return InvalidInput(
        f"a data set is a sequence of (image, label), got {shown(given)}: {said(error)}"
    )


def _read_folder(folder: Path, resolution: int | None, strict: bool) -> Labelled:
    parted = _part_folders(folder)
    classes = tuple(one.name for one in _folders(parted.get("train", folder)))
    if not classes:
        raise InvalidInput(
            f"no class folders in {shown(str(parted.get('train', folder)))}: {_LAYOUT}"
        )
    files: dict[str, list[tuple[Path, int]]] = {}
    for part, place in parted.items():
        found = tuple(one.name for one in _folders(place))
        if found != classes:
            raise InvalidInput(
                f"{shown(str(place))} has other classes than {shown(str(parted['train']))}: "
                f"{shown(sorted({*found} ^ {*classes}))}"
            )
        files[part] = []
        for label, name in enumerate(classes):
            pictures = [
                path for path in list_files(place / name) if path.suffix.lower() in SUFFIXES
            ]
            if not pictures:
                raise InvalidInput(
                    f"no pictures in the class folder {shown(str(place / name))}; they end in "
                    f"{', '.join(SUFFIXES)}"
                )
            files[part] += [(path, label) for path in pictures]
    skipped = [
        f"{shown(str(path))} is in no class folder"
        for place in sorted({folder, *parted.values()})
        for path in sorted(place.iterdir())
        if path.suffix.lower() in SUFFIXES and not path.is_dir()
    ]
    if strict and skipped:
        raise InvalidInput(skipped[0])
    count = sum(map(len, files.values()))
    parts = {
        part: _read_files(listed, resolution, strict, skipped, count)
        for part, listed in files.items()
    }
    if skipped:
        warn_caller(
            f"{len(skipped):,} pictures are left out: "
            f"{'; '.join(skipped[:3])}{' …' * (len(skipped) > 3)}",
            SkippedPictures,
        )
    return replace(_labelled(parts, classes), skipped=len(skipped))


def _part_folders(folder: Path) -> dict[str, Path]:
    """The folders of the parts; ``all``, the folder itself, where it is not parted.

    Nothing is left out, or taken for a class, in silence: what is not clear is refused.
    """
    names = [one.name for one in _folders(folder)]
    parts: dict[str, list[str]] = {}
    others, meant = [], []
    for name in names:
        lower = name.lower()
        if lower in PARTS:
            parts.setdefault(PARTS[lower], []).append(name)
            continue
        near = [part for part in PARTS if part[0] == lower[0]]
        found = difflib.get_close_matches(lower, near, n=1, cutoff=0.7)
        others.append(name)
        meant += [(name, PARTS[found[0]]) for _ in found[:1]]
    told = ""
    if "train" in parts:
        doubled = next((ones for ones in parts.values() if len(ones) > 1), None)
        if doubled:
            told = f"has one part in several folders, {', '.join(map(shown, doubled))}"
        elif others:
            told = f"has other folders beside its parts, {shown(others)}"
    elif parts or ("train" in dict(meant).values() and len({*dict(meant).values()}) == len(names)):
        told = f"looks parted and has no part 'train', but {shown(names)}"
    if told:
        hint = "".join(f" Did you mean {shown(part)} by {shown(name)}?" for name, part in meant[:3])
        raise InvalidInput(
            f"{shown(str(folder))} {told}. Parts are the folders 'train', 'valid' (or 'val', "
            f"'validation') and 'test', with the class folders in them, and no others.{hint}"
        )
    return {part: folder / ones[0] for part, ones in parts.items()} or {"all": folder}


def list_files(folder: Path) -> list[Path]:
    """All files and folders anywhere in a folder, sorted.

    Raises:
        InvalidInput: for a great many with hardly a picture among them, such as a whole disk.
    """
    found: list[Path] = []
    pictures = 0
    for place, folders, files in os.walk(folder):  # what vanishes meanwhile is no error
        found += [Path(place, name) for name in (*folders, *files)]
        pictures += sum(name.lower().endswith(SUFFIXES) for name in files)
        if len(found) > _LOOKED_AT > pictures * 10:
            raise InvalidInput(
                f"{shown(str(folder))} holds more than {_LOOKED_AT:,} files and folders, and only "
                f"{pictures:,} pictures were among the first: give the folder of the pictures"
            )
    return sorted(found)


def _read_files(
    listed: list[tuple[Path, int]],
    resolution: int | None,
    strict: bool,
    skipped: list[str],
    count: int,
) -> tuple[Pixels, NDArray[np.int64]]:
    """Pictures and labels of a part; ``count`` are those of all parts."""
    labels: list[int] = []

    def pictures() -> Iterable[Pixels]:
        for path, label in listed:
            try:
                pixels = read_pixels(path, resolution)
            except UnreadablePicture as error:
                if strict:
                    raise InvalidInput(str(error)) from error
                skipped.append(str(error))
                continue
            labels.append(label)
            yield pixels

    images = _stacked(pictures(), len(listed), count)
    return images, np.array(labels, np.int64)


def _read_arrays(path: Path, resolution: int | None) -> Labelled:
    try:
        limit = _memory()
        with open_arrays(path, ("|u1", "<i", "<u", "|i", "<U"), limit, limit) as arrays:
            found = {name: np.array(arrays[name]) for name in arrays}
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{shown(str(path))} cannot be read as arrays of images and labels: {said(error)}"
        ) from error
    parts: dict[str, tuple[Pixels, NDArray[np.int64]]] = {}
    for part, images, labels in (
        ("all", "images", "labels"),
        *((PARTS[name], f"{name}_images", f"{name}_labels") for name in PARTS),
        *((PARTS[name], f"x_{name}", f"y_{name}") for name in PARTS),
    ):
        if images in found:
            if labels not in found:
                raise InvalidInput(f"{shown(str(path))} has {shown(images)} and no {shown(labels)}")
            if part in parts or "all" in parts:
                raise InvalidInput(
                    f"{shown(str(path))} has images of one part twice: {shown([*found])}"
                )
            parts[part] = _resized(found[images], found[labels], resolution, str(path))
    if not parts:
        raise InvalidInput(
            f"{shown(str(path))} has no arrays 'images' and 'labels', nor 'x_train' and 'y_train': "
            f"{shown([*found])}"
        )
    classes = found.get("classes", np.empty(0, str))
    if classes.ndim != 1:
        raise InvalidInput(
            f"classes are as many names, (K,), got {classes.dtype} {classes.shape} in "
            f"{shown(str(path))}"
        )
    return _labelled(parts, tuple(map(str, classes)))


def _idx_files(folder: Path, part: str) -> tuple[Path, Path] | None:
    """The files of the images and of the labels of a part, if both are there."""
    found = []
    kinds = ("images-idx3", "labels-idx1")
    for kind in kinds:
        names = (f"{part}-{kind}{dash}ubyte{end}" for dash in "-." for end in ("", ".gz"))
        found += [next((folder / name for name in names if (folder / name).is_file()), None)]
    images, labels = found
    if images and labels:
        return images, labels
    if there := images or labels:
        raise InvalidInput(
            f"{shown(str(folder))} has {there.name} and no file of its "
            f"{'labels' if images else 'images'}: {part}-{kinds[images is not None]}-ubyte, or .gz"
        )
    return None


def _read_idx(files: Mapping[str, tuple[Path, Path]], resolution: int | None) -> Labelled:
    parts = {}
    for name, paths in files.items():
        images, labels = (read_idx(path, axes) for path, axes in zip(paths, (3, 1), strict=True))
        parts[name] = _resized(images, labels, resolution, str(paths[0]))
    return _labelled(parts, ())


def read_idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """An array of bytes in MNIST's format, packed by gzip or not; ``InvalidInput`` otherwise."""
    try:
        with open_file(path, _memory()) as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            source: Any = gzip.GzipFile(fileobj=file) if packed else file
            if source.read(4) != idx_header((0,) * axes)[:4]:
                raise ValueError(f"no idx file of bytes in {axes} dimensions")
            header = source.read(4 * axes)
            if len(header) != 4 * axes:
                raise ValueError("it is cut short")
            shape = tuple(int(size) for size in np.frombuffer(header, ">u4"))
            size = int(np.prod(shape, dtype=object))
            if size > _memory():
                raise ValueError(f"{size:,} bytes are more than there is memory")
            content = source.read(size + 1)
            if len(content) != size:
                less = "fewer" if len(content) < size else "more"
                raise ValueError(f"it has {less} bytes than the {size:,} that its header says")
    except (OSError, EOFError, ValueError) as error:
        raise InvalidInput(f"{shown(str(path))} cannot be read: {said(error)}") from error
    return np.frombuffer(content, np.uint8).reshape(shape)


def idx_header(shape: tuple[int, ...]) -> bytes:
    """What an array of bytes of a shape begins with in MNIST's format."""
    return bytes((0, 0, 8, len(shape))) + np.array(shape, ">u4").tobytes()


def _resized(
    images: NDArray[Any], labels: NDArray[Any], resolution: int | None, told: str
) -> tuple[Pixels, NDArray[np.int64]]:
    """Arrays of a file as one of its parts."""
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or not images.size:
        raise InvalidInput(
            f"images are uint8 (N, H, W) or (N, H, W, channels), got {images.dtype} "
            f"{images.shape} in {shown(told)}"
        )
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise InvalidInput(
            f"labels are integers ({len(images)},), got {labels.dtype} {labels.shape} in "
            f"{shown(told)}"
        )
    if not 0 <= int(labels.min()) <= int(labels.max()) < MOST_CLASSES:
        raise InvalidInput(
            f"a label in {shown(told)} is outside 0…{MOST_CLASSES - 1}: "
            f"{int(labels.min())}…{int(labels.max())}"
        )
    pictures = (read_pixels(image, resolution) for image in images)
    return _stacked(pictures, len(images)), labels.astype(np.int64)


def _stacked(pictures: Iterable[Pixels], most: int, count: int | None = None) -> Pixels:
    """Pictures ``(H, H, 3)`` of one size in one, ``most`` at most, of ``count`` in all parts.

    The first says what all take: more than there is memory is refused then.
    """
    made: Pixels | None = None
    read = 0
    for pixels in pictures:
        if made is None and len(pixels) == pixels.shape[1]:
            check_memory(max(most, count or 0), len(pixels))
            made = np.empty((most, *pixels.shape), np.uint8)
        if made is None or pixels.shape != made.shape[1:]:
            size = f"{pixels.shape[1]}×{pixels.shape[0]}"
            first = made.shape[1:] if made is not None else ()
            found = f"of several sizes, {first[1]}×{first[0]} and {size}" if first else None
            raise InvalidInput(
                f"pictures are {found or f'not square, {size}'}: choose the resolution that they "
                "are brought to, resolution=32 or PATH?resolution=32"
            )
        made[read] = pixels
        read += 1
    if made is None:
        raise InvalidInput("a data set has at least one picture that can be read, got none")
    return made[:read]


def _labelled(
    parts: Mapping[str, tuple[Pixels, NDArray[np.int64]]], names: tuple[str, ...]
) -> Labelled:
    """Parts in one, whose labels and classes fit together."""
    labels = np.concatenate([one for _, one in parts.values()])
    if len({images.shape[1:] for images, _ in parts.values()}) > 1:
        raise InvalidInput("the parts' pictures are of several sizes: choose a resolution")
    count = len(names) or int(labels.max(initial=-1)) + 1
    if count < 2:
        got = f", {shown(names[0])}" if names else ""
        raise InvalidInput(f"a data set has at least two classes, got one{got}")
    if int(labels.max()) >= count:
        raise InvalidInput(
            f"a label is outside 0…{count - 1}, of {count} classes {shown(names)}: "
            f"{int(labels.max())}"
        )
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise InvalidInput(f"two classes are called {shown(twice)}: {shown(names)}")
    names = names or tuple(map(str, range(count)))
    rows, start = {}, 0
    for part, (_, one) in parts.items():
        missing = np.flatnonzero(np.bincount(one, minlength=count) == 0)
        if missing.size:
            where = "" if part == "all" else f" in the part {shown(part)}"
            raise InvalidInput(
                f"no picture{where} is of the class "
                f"{shown(', '.join(names[label] for label in islice(missing, 5)))}"
            )
        rows[part] = np.arange(start, start + len(one))
        start += len(one)
    return Labelled(np.concatenate([images for images, _ in parts.values()]), labels, rows, names)


def check_memory(count: int, resolution: int) -> None:
    """Refuse what would not fit in memory, twice over: joining and turning them takes a copy."""
    wanted = 2 * count * 3 * resolution**2
    if wanted > _memory():
        raise InvalidInput(
            f"{count:,} pictures of {resolution}×{resolution} take {wanted:,} bytes to read, more "
            "than this machine has: choose a smaller resolution, such as resolution=32 or "
            "PATH?resolution=32"
        )


def _memory() -> int:
    """Bytes of memory that this machine, or the container, has; a bound where it does not say."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # no POSIX system
        machine = 64 << 30
    try:
        return min(machine, int(_CONTAINER.read_text()))
    except (OSError, ValueError):  # no container, or "max"
        return machine


def _folders(folder: Path) -> list[Path]:
    """Visible folders in one, by name; without what macOS packs beside files."""
    try:
        return sorted(
            one
            for one in folder.iterdir()
            if one.is_dir() and not one.name.startswith((".", "__MACOSX"))
        )
    except OSError as error:
        raise InvalidInput(f"{shown(str(folder))} cannot be listed: {said(error)}") from error
