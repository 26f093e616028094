"""Measured accuracies as they were counted: hits among so many images, not what rounding left.

A table keeps them as float32, and the official files hold averages over batches that were rounded
to float32 (90.71199999511718 for 22,678 hits among 25,000 images, which are 90.712 %). The figure
of a number of hits is ``100 · hits / images`` in float64, the nearest to the true one: equal
numbers are then equal figures, and a threshold of 90.712 is reached.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nats_gym.datasets import get_dataset

#: How far rounding moves a figure, in points: to float32, by a step and a half below 100; or of
#: the batches that official files average.
_MOVED = {np.dtype(np.float32): 1.2e-5, np.dtype(np.float64): 2.5e-7}
#: How far adding a few trials' figures does.
_MOVED_BY_SUMS = 1e-10


def images_of(dataset: str, split: str) -> int:
    """Images that an accuracy of a split is counted on."""
    facts = get_dataset(dataset)
    return facts.test_images if split == "test" else facts.valid_images


def restore(
    accuracy: NDArray[np.floating], images: int, single: bool = False
) -> NDArray[np.float64]:
    """Accuracies in percent as counted; what lies between two numbers of hits stays as it is.

    Args:
        accuracy: percent, ``(...)``; NaN stays NaN.
        images: how many were classified.
        single: the figures were rounded to float32, whatever they are kept in.
    """
    moved = _MOVED[np.dtype(np.float32) if single else accuracy.dtype]
    figures = accuracy.astype(np.float64)
    return _snap(figures, figures, images, moved)


def mean_over_trials(accuracy: NDArray[np.floating], images: int) -> NDArray[np.float64]:
    """Means ``(arch,)`` of restored accuracies ``(arch, trial)``: of their hits, NaN without any.

    Adding figures rounds, and in their order; adding hits does not. Equal means are equal.
    """
    exists = ~np.isnan(accuracy)
    count = exists.sum(axis=1)
    total = np.where(exists, accuracy, 0.0).sum(axis=1)
    mean = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return _snap(mean, total, images, _MOVED_BY_SUMS, count)


def _snap(
    figures: NDArray[np.float64],
    totals: NDArray[np.float64],
    images: int,
    moved: float,
    count: NDArray[np.int64] | int = 1,
) -> NDArray[np.float64]:
    """``figures`` as ``100 · hits / (images · count)``, where they are that but for rounding."""
    hits = np.rint(totals * (images / 100))
    counted = np.divide(100 * hits, images * np.maximum(count, 1))
    return np.where(np.abs(counted - figures) <= moved, counted, figures)
