"""What other data sets' tables make one expect of an architecture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput
from nats_gym.spaces import ArchitectureSpace

#: Deviations below the median beyond which an architecture is as bad as any.
WORST = -3.0
#: Points by which good architectures differ at least, so that a table of equals says nothing.
LEAST_UNIT = 0.1
#: Variance of an answer around what a line says of it, on the scale of the scores.
NOISE = 0.1
#: Standard deviation beforehand of the level of answers: all that is known is that it differs.
INTERCEPT = 10.0
#: Scores below a run's best beyond which an answer is as bad as any.
FAILED = 6.0


def check_prior(prior: object, space: ArchitectureSpace) -> NDArray[np.float64]:
    """Return ``prior`` as float64 ``(tables, arch)``.

    Raises:
        InvalidInput: unless it is a row of accuracies in percent for each table, one at least, of
            all architectures of the space.
    """
    figures = checks.array(prior, "a prior is other tables' accuracies in percent")
    known = figures.dtype.kind in "fiu" and figures.ndim == 2 and len(figures) > 0
    if not known or figures.shape[1] != space.size:
        raise InvalidInput(
            f"a prior is accuracies of shape (tables, {space.size:,}), got {figures.dtype} "
            f"{figures.shape}"
        )
    if not np.all((figures >= 0) & (figures <= 100)):
        raise InvalidInput("a prior is accuracies in percent, from 0 to 100, of all architectures")
    return figures.astype(np.float64)


def prior_scores(prior: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Score of every architecture, and what one of it is in percentage points.

    Each table's accuracies are counted from its median in standard deviations of its better half
    (the worse one has all that failed in it), and the mean over tables is taken.

    Args:
        prior: accuracies, percent, ``(tables, arch)``.

    Returns:
        Scores ``(arch,)``; and the mean of those deviations.
    """
    median = np.median(prior, axis=1, keepdims=True)
    units = np.array([row[row >= middle].std() for row, middle in zip(prior, median, strict=True)])
    units = np.maximum(units, LEAST_UNIT)
    scores = np.maximum((prior - median) / units[:, None], WORST)
    return scores.mean(axis=0), float(units.mean())


def on_scale(accuracy: NDArray[np.float64], unit: float) -> NDArray[np.float64]:
    """Answers ``(runs, t)`` on the scale of the scores, each run's around 0.

    Args:
        accuracy: percent.
        unit: what a score of one is in points.
    """
    scaled = np.maximum(accuracy / unit, accuracy.max(axis=1, keepdims=True) / unit - FAILED)
    return np.asarray(scaled - scaled.mean(axis=1, keepdims=True))
