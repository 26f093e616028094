"""Which of several architectures were there before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def repeats(index: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of each row of official indices ``(runs, t)`` were there before, ``(runs, t)``."""
    order = index.argsort(axis=1, kind="stable")
    ordered = np.take_along_axis(index, order, axis=1)
    repeated = np.zeros(index.shape, dtype=bool)
    np.put_along_axis(repeated, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    return repeated
