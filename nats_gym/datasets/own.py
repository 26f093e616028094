"""Data sets of one's own: read once, parted, and kept under a name that holds a digest of them.

What was read lies in ``own-datasets`` of nats-gym's home, as ``NAME.json`` (what is known of it)
and ``NAME.npz`` (its arrays), so that another process finds it by its name, and a folder that
changed is another data set. ``index`` there says what a path was when last read, by the names,
sizes and times of its files.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput, did_you_mean, said, shown
from nats_gym.files.home import home
from nats_gym.files.untrusted import checksum_of, open_arrays, read_json
from nats_gym.files.writing import make_folder, replacing, write_file

from .dataset import Dataset, Images
from .pixels import LARGEST_RESOLUTION
from .reading import Labelled, list_files, read_items, read_path

#: Where networks find the arrays of one.
LOADER = "nats_gym.training.loaders:load_kept"
#: Seed of a split that is drawn, and the share of each class that validates, and that tests.
SPLIT_SEED, SHARE = 1021, 0.2
_OPTIONS = ("resolution", "strict", "seed", "valid", "test")
_SWITCH = {"": True, "true": True, "1": True, "false": False, "0": False}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}-[0-9a-f]{12}")
_FACTS = 16 << 20
_SPLITS = {"train": "train", "valid": "x-valid", "test": "x-test"}


def read_dataset(
    given: Any,
    name: str | None = None,
    *,
    resolution: int | None = None,
    strict: bool = False,
    seed: int = SPLIT_SEED,
    valid: float = SHARE,
    test: float = SHARE,
) -> Dataset:
    """Read images of one's own.

    Args:
        given: the path of a folder of class folders, with or without ``train``, ``valid`` and
            ``test`` above them, of a folder of MNIST's idx files, or of an ``.npz`` of ``images``
            and ``labels`` (or ``x_train``, ``y_train``, …, and ``classes``); a sequence of
            ``(image, label)``; a Hugging Face data set.
        name: what it is called, before its digest; default the folder's or file's.
        resolution: height and width that pictures are brought to; None for their own, if one.
        strict: whether a picture that cannot be read, or has no class, is an error, not left out
            with a warning.
        seed: of the split, where there is none.
        valid, test: share of each class that is drawn to validate, and to test.

    Raises:
        InvalidInput: says what is wrong with the images or the arguments.

    Warns:
        SkippedPictures: for pictures that cannot be read.
    """
    if resolution is not None:
        resolution = checks.integer(resolution, "resolution", 1, LARGEST_RESOLUTION)
    strict = checks.switch(strict, "strict")
    seed = checks.seed(seed)
    valid, test = (
        checks.number(share, f"the share {told}", above=0, below=0.5)
        for share, told in ((valid, "valid"), (test, "test"))
    )
    if isinstance(given, Path):
        if not os.path.exists(given):
            raise InvalidInput(
                f"no images at {shown(str(given))}: it does not exist.{nearest_to(given)}"
            )
        stem = name or given.resolve().stem
        try:
            key = _key(given, [stem, resolution, seed, valid, test]) if not strict else ""
            entry = _folder() / "index" / key
            if key and (kept := _find_entry(entry)):
                return kept
            read = read_path(given, resolution, strict)
            row = _keep_labelled(stem, read, seed, valid, test)
        except InvalidInput as error:
            told = shown(str(given))
            if told in str(error) or f"{told[:-1]}/" in str(error):
                raise
            raise InvalidInput(f"{told}: {error}") from error
        if key and not read.skipped:  # what was left out is told each time
            make_folder(entry.parent)
            write_file(entry, f"{row.name} {_stamp(_folder() / row.name)}")
        return row
    return _keep_labelled(name or "images", read_items(given, resolution), seed, valid, test)


def read_text(given: Any, name: str | None = None, **options: Any) -> Dataset:
    """Read the images at ``PATH`` or ``PATH?resolution=32&seed=1``; see :func:`read_dataset`."""
    if not issubclass(type(given), str):
        whole = checks.path(given, "dataset", expand=True)
        if os.path.exists(whole):  # whatever its name holds
            return read_dataset(whole, name, **options)
        given = os.fspath(whole)
    place, _, told = str.__str__(given).partition("?")
    path = checks.path(place, "dataset", expand=True)
    if re.match("[A-Za-z][A-Za-z0-9+.-]*://", place) and not os.path.exists(path):
        raise InvalidInput(
            f"images are the path of a folder or .npz on this machine, got the address "
            f"{shown(place)}: fetch and unpack it, and give its path"
        )
    for option, value in parse_qsl(told, keep_blank_values=True):
        option = checks.word(option, "option of a data set's path", _OPTIONS)
        if option in options:
            raise InvalidInput(f"the option {option} of {shown(place)} is given twice")
        try:
            strict = option == "strict"
            options[option] = _SWITCH[value.lower()] if strict else json.loads(value)
        except (KeyError, RecursionError, ValueError) as error:
            allowed = "strict, strict=true or strict=false" if strict else f"{option}=NUMBER"
            raise InvalidInput(
                f"an option of a data set's path is {allowed}, got {shown(value)}"
            ) from error
    return read_dataset(path, name, **options)


def nearest_to(path: Path) -> str:
    """``" Did you mean 'x'?"`` for what lies beside a path that does not exist; else nothing."""
    try:
        return did_you_mean(path.name, (one.name for one in path.parent.iterdir()))
    except OSError:
        return ""


def split_classes(
    labels: NDArray[np.int64],
    rows: NDArray[np.int64],
    shares: tuple[float, ...],
    seed: int,
    classes: Sequence[str] = (),
) -> list[NDArray[np.int64]]:
    """Draw a share of each class, at least one image of it, for each of ``shares``.

    Returns:
        What was drawn for each, and last what is left; sorted, ``(n,)`` each.

    Raises:
        InvalidInput: for a class of too few images.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn: list[list[NDArray[np.int64]]] = [[] for _ in (*shares, 0)]
    for label in np.unique(labels[rows]):
        of_class = generator.permutation(rows[labels[rows] == label])
        if len(of_class) <= len(shares):
            raise InvalidInput(
                f"class {shown(classes[label]) if classes else int(label)} has {len(of_class)} "
                f"pictures: a split into {len(shares) + 1} parts needs as many of each class"
            )
        start = 0
        for part, share in zip(drawn, shares, strict=False):
            size = max(1, round(share * len(of_class)))
            part.append(of_class[start : start + size])
            start += size
        drawn[-1].append(of_class[start:])
    return [np.sort(np.concatenate(part)) for part in drawn]


def _keep_labelled(stem: str, read: Labelled, seed: int, valid: float, test: float) -> Dataset:
    """Part pictures where they are not parted, and keep them."""
    parts = dict(read.parts)
    if "all" in parts:
        parts["train"] = parts.pop("all")
    if "train" not in parts:
        raise InvalidInput(f"a data set has a part 'train', got {', '.join(parts)}")
    missing = {
        name: share for name, share in (("valid", valid), ("test", test)) if name not in parts
    }
    *drawn, parts["train"] = split_classes(
        read.labels, parts["train"], tuple(missing.values()), seed, read.classes
    )
    parts |= dict(zip(missing, drawn, strict=True))
    # One channel at a time, in whole numbers: no float copy of all images, and no rounding.
    counts = [
        np.bincount(read.images[parts["train"], ..., channel].reshape(-1), minlength=256)
        for channel in range(3)
    ]
    levels = np.arange(256.0)
    mean = [float(count @ levels / count.sum()) for count in counts]
    std = [
        float(np.sqrt(count @ (levels - middle) ** 2 / count.sum())) or 1.0
        for count, middle in zip(counts, mean, strict=True)
    ]
    return keep(
        stem,
        np.ascontiguousarray(read.images.transpose(0, 3, 1, 2)),
        read.labels,
        {_SPLITS[name]: parts[name] for name in _SPLITS},
        read.classes,
        mean,
        std,
        read.images.shape[1] // 8,
    )


def keep(
    stem: str,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    splits: Mapping[str, NDArray[np.int64]],
    classes: tuple[str, ...],
    mean: list[float],
    std: list[float],
    crop_padding: int,
) -> Dataset:
    """Keep images, ``(N, 3, H, H)``, and return what is known of them."""
    facts: dict[str, Any] = {
        "resolution": images.shape[-1],
        "classes": list(classes),
        "splits": {name: len(rows) for name, rows in splits.items()},
        "mean": mean,
        "std": std,
        "crop_padding": crop_padding,
        "digest": digest_of(images, labels, splits),
    }
    stem = re.sub("[^A-Za-z0-9_-]+", "-", stem).strip("-_")[:40] or "images"
    facts["name"] = f"{stem}-{_digest_in_name(facts)}"
    row = row_of(facts)
    folder = _folder()
    make_folder(folder)
    path = folder / f"{row.name}.npz"
    if not _is_whole(path, _stamp(folder / row.name)):
        with replacing(path) as temporary, temporary.open("wb") as file:
            rows: dict[str, Any] = {f"split {name}": one for name, one in splits.items()}
            np.savez(file, images=images, labels=labels, **rows)
    facts["checksum"] = checksum_of(facts)
    write_file(folder / f"{row.name}.json", json.dumps(facts, ensure_ascii=False))
    return row


def find_kept(name: str) -> Dataset | None:
    """What is known of the images that are kept under a name; None where none are."""
    facts = facts_of(name)
    return None if facts is None else row_of(facts)


def facts_of(name: str) -> dict[str, Any] | None:
    """What :func:`row_of` reads of the images that are kept under a name, to take elsewhere."""
    if not _NAME.fullmatch(name):
        return None
    try:
        facts = read_json(_folder() / f"{name}.json", _FACTS)
        if facts["checksum"] != checksum_of(facts) or facts["name"] != name:
            return None
        row_of(facts)
        return {key: value for key, value in facts.items() if key != "checksum"}
    except (OSError, ValueError, KeyError, TypeError):  # damaged: as if not there
        return None


def _digest_in_name(facts: Mapping[str, Any]) -> str:
    return checksum_of({name: value for name, value in facts.items() if name != "name"})[:12]


def title_of_kept(name: str) -> str | None:
    """What images that are kept under a name are called; None for a name of another kind."""
    return name.rpartition("-")[0] if _NAME.fullmatch(name) else None


def kept_arrays(name: str) -> dict[str, NDArray[Any]]:
    """The arrays that are kept under a name, ``images``, ``labels`` and ``split NAME`` each.

    Raises:
        InvalidInput: if they are gone, or damaged.
    """
    path = _folder() / f"{name}.npz"
    try:
        with open_arrays(path, ("|u1", "<i8")) as arrays:
            found = {key: np.array(arrays[key]) for key in arrays}
        splits = {key[6:]: rows for key, rows in found.items() if key.startswith("split ")}
        told = read_json(path.with_suffix(".json"), _FACTS)["digest"]
        if digest_of(found["images"], found["labels"], splits) != told:
            raise ValueError("its images are not those that were kept: delete it")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"the images of {shown(name)} cannot be read, {shown(str(path))}: {said(error)}. Give "
            "their folder again"
        ) from error
    return found


def digest_of(
    images: NDArray[np.uint8], labels: NDArray[np.int64], splits: Mapping[str, NDArray[np.int64]]
) -> str:
    """SHA-256 of images ``(N, 3, H, H)``, labels and splits, as of ``ImageData``."""
    digest = hashlib.sha256()
    arrays: list[tuple[str, NDArray[Any]]] = [("images", images), ("labels", labels)]
    for name, array in (*arrays, *splits.items()):
        digest.update(f"{name} {tuple(array.shape)} ".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view("u1").data)
    return digest.hexdigest()


def row_of(facts: Mapping[str, Any]) -> Dataset:
    """The row of images that somebody kept, by what a file says of them.

    Raises:
        ValueError, KeyError, TypeError: if it says something else, or its name is of others.
    """
    name = checks.text(facts["name"], "a data set's name")
    if not _NAME.fullmatch(name) or not name.endswith(f"-{_digest_in_name(facts)}"):
        raise ValueError(f"{shown(name)} is the name of other images")
    counts = {
        checks.text(part, "a split's name"): checks.integer(count, "images of a split", 1)
        for part, count in checks.mapping(facts["splits"], "splits are sizes by name").items()
    }
    means, deviations = (
        [checks.number(one, f"{what} of a channel", 0.0) for one in facts[what]]
        for what in ("mean", "std")
    )
    (red, green, blue), (spread_red, spread_green, spread_blue) = means, deviations
    classes = tuple(checks.text(one, "a class") for one in facts["classes"])
    return Dataset(
        name,
        num_classes=len(classes),
        resolution=checks.integer(facts["resolution"], "resolution", 1),
        train_images=counts["train"],
        valid_images=counts.get("x-valid", 0),
        test_images=counts.get("x-test") or counts.get("ori-test", 0),
        title=name.rpartition("-")[0],
        images=(Images(name, tuple(counts), LOADER),),
        mean=(red, green, blue),
        std=(spread_red, spread_green, spread_blue),
        crop_padding=checks.integer(facts["crop_padding"], "crop_padding", 0),
        evaluator="train",
        classes=classes,
    )


def _folder() -> Path:
    return home() / "own-datasets"


def _key(path: Path, options: list[Any]) -> str:
    """Names, sizes and times of all files at a path, and options, in one digest."""
    digest = hashlib.sha256(json.dumps([str(path.resolve()), *options]).encode())
    for one in list_files(path) if path.is_dir() else [path]:
        try:
            facts = one.stat()
        except OSError:  # a link to nothing
            facts = one.lstat()
        told = f"{one} {facts.st_size} {facts.st_mtime_ns} {facts.st_mode}\n"
        digest.update(told.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _find_entry(entry: Path) -> Dataset | None:
    """What a path was when last read, as the index says, if its arrays lie there as then."""
    try:
        name, _, stamp = entry.read_text("utf-8")[:200].partition(" ")
    except (OSError, ValueError):  # none, or damaged
        return None
    kept = find_kept(name)
    return kept if kept and stamp and stamp == _stamp(_folder() / name) else None


def _stamp(stem: Path) -> str:
    """Size and time of the file of arrays that are kept; nothing where there is none."""
    try:
        facts = stem.with_name(f"{stem.name}.npz").stat()
    except OSError:
        return ""
    return f"{facts.st_size} {facts.st_mtime_ns}"


@lru_cache(maxsize=256)
def _is_whole(path: Path, stamp: str) -> bool:
    """Whether the file of arrays that has a stamp can be read to its end."""
    try:
        with ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # damaged, a file can raise nearly anything
        return False
