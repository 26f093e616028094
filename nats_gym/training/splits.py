"""Which images train, validate and test: NATS-Bench's splits, as lists of indices.

CIFAR-10's is drawn from its published seed. Those of the test images of CIFAR-100 and
ImageNet16-120 follow no seed that is known; their lists are read from the files that NATS-Bench's
authors publish (AutoDL-Projects, ``configs/nas-benchmark/``), where a user has put them.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nats_gym.datasets import Dataset
from nats_gym.errors import shown, warn_caller
from nats_gym.tables.official.unpickling import UnreadableFile

Positions = NDArray[np.int64]

#: The seed of NATS-Bench's CIFAR-10 split, and of the splits that are ours.
SPLIT_SEED = 1021


class SplitWarning(UserWarning):
    """A split in use is not NATS-Bench's, so accuracies on it do not compare with its figures."""


@dataclass(frozen=True, eq=False)
class TestHalves:
    """The two halves of a data set's test images.

    Attributes:
        valid: x-valid, ``(n,)``.
        test: x-test.
        official: whether they are NATS-Bench's.
    """

    valid: Positions
    test: Positions
    official: bool


def seeded_parts(count: int, sizes: tuple[int, ...], seed: int = SPLIT_SEED) -> list[Positions]:
    """Shuffle ``range(count)`` by Python's generator, cut it into ``sizes``, sort each part."""
    order = list(range(count))
    random.Random(seed).shuffle(order)
    ends = np.cumsum((0, *sizes))
    return [
        np.array(sorted(order[start:end]), dtype=np.int64) for start, end in pairwise(ends.tolist())
    ]


def read_test_split(path: Path, count: int) -> tuple[Positions, Positions]:
    """Read a published list: x-valid and x-test, which part ``count`` test images in two.

    Args:
        path: a JSON file ``{"xvalid": ["int", ["1", …]], "xtest": ["int", […]]}``.
        count: number of test images.

    Raises:
        UnreadableFile: for another content, or lists that are no partition.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        valid, test = (
            np.array([int(item) for item in content[key][1]], dtype=np.int64)
            for key in ("xvalid", "xtest")
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise UnreadableFile(
            f"{path}: a split file is JSON with lists 'xvalid' and 'xtest' ({shown(error)})"
        ) from error
    if not np.array_equal(np.sort(np.concatenate([valid, test])), np.arange(count)):
        raise UnreadableFile(f"{path}: its lists do not part the {count} test images in two")
    return valid, test


def read_published_list(dataset: Dataset, folder: Path) -> Path | None:
    """The file of the published list of a data set's test images; None where there is none."""
    places = (place / name for place in (folder, folder / "splits") for name in dataset.split_files)
    return next((place for place in places if place.is_file()), None)


def test_halves(dataset: Dataset, count: int, folder: Path) -> TestHalves:
    """x-valid and x-test of a data set's test images.

    Args:
        dataset: one with a published list.
        count: number of test images.
        folder: where the published list may lie, or in its ``splits``.

    Returns:
        The published lists, or, with a :class:`SplitWarning`, halves of our own.

    Raises:
        UnreadableFile: for a list that is there and damaged.
    """
    if published := read_published_list(dataset, folder):
        valid, test = read_test_split(published, count)
        return TestHalves(valid, test, official=True)
    name = dataset.split_files[-1]
    warn_caller(
        f"{dataset.name}: NATS-Bench's list of validation and test images, {name}, is not in "
        f"{folder}, so the test images are halved by a seed of our own: accuracies on x-valid "
        "and x-test are comparable with one another, not with NATS-Bench's. The list is published "
        "in AutoDL-Projects, configs/nas-benchmark/",
        SplitWarning,
    )
    half = count // 2
    valid, test = seeded_parts(count, (half, count - half))
    return TestHalves(valid, test, official=False)
