"""Which architectures are measured for all of a space, and what they say of the others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nats_gym.spaces import ArchitectureSpace
from nats_gym.spaces.architecture_space import check_listable


def classes_of(space: ArchitectureSpace, same_work: bool = False) -> NDArray[np.int64]:
    """Of each architecture, the lowest index of those that compute the same function, ``(arch,)``.

    Args:
        space: whose.
        same_work: only of those that compute the same operations for it, too.

    Raises:
        InvalidInput: for a space that cannot list its architectures.
    """
    check_listable("a figure of every architecture is measured", space.name, space.size)
    class_of = space.workload_class if same_work else space.isomorphism_class
    return class_of(space.all_choices())


def in_random_order(classes: NDArray[np.int64], seed: int = 0) -> NDArray[np.int64]:
    """Each class once; a part of the order is a random sample of them."""
    return np.random.default_rng(seed).permutation(np.unique(classes))


def of_every_architecture(
    classes: NDArray[np.int64], measured: Mapping[int, float]
) -> NDArray[np.float64]:
    """What was measured of classes, by architecture ``(arch,)``; NaN where it was not."""
    figures = np.full(len(classes), np.nan)
    figures[[*measured]] = [*measured.values()]
    return figures[classes]
