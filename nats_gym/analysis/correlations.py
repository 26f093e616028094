"""Rank correlations, over all architectures and among the best of them.

They are SciPy's: Kendall's is tau-b (Kendall, Biometrika 1945), Spearman's gives ties their average
rank. Where one figure does not vary, is missing or stands alone, they are NaN, without a warning.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym.errors import InvalidInput

#: The best architectures, among which a search decides.
TOP_SHARE = 0.1
ALL, TOP = "all", "top 10 %"

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Correlation:
    """How far two figures rank architectures alike.

    Attributes:
        between: names of the two figures.
        among: :data:`ALL` architectures that have both, or :data:`TOP` of these.
        architectures: how many those are.
        kendall: Kendall's tau-b; NaN where one of the figures does not vary.
        spearman: Spearman's rho; likewise.
        provenance: ``"measured"`` only if both accuracies are.
        checksums: of the tables that the two figures come from.
    """

    between: tuple[str, str]
    among: str
    architectures: int
    kendall: float
    spearman: float
    provenance: str
    checksums: tuple[str, ...]


def correlate(
    between: tuple[str, str],
    first: Values,
    second: Values,
    provenance: str,
    checksums: Sequence[str],
) -> list[Correlation]:
    """Correlate two figures ``(arch,)`` over all architectures, and among the top 10 %.

    The top are the best by the first figure. By the sum of both, two noisy figures would come out
    at odds: what is low in one would be there because it is high in the other.

    Args:
        between: names of the two.
        first: figures; NaN where there is none.
        second: the others.
        provenance: what the two rest on together.
        checksums: of their tables; one that occurs twice is named once.

    Returns:
        The two correlations; none if fewer than two architectures have both figures.
    """
    both = np.flatnonzero(np.isfinite(first) & np.isfinite(second))
    best = both[top(first[both])]
    return [
        Correlation(
            between=between,
            among=among,
            architectures=len(chosen),
            kendall=kendall(first[chosen], second[chosen]),
            spearman=spearman(first[chosen], second[chosen]),
            provenance=provenance,
            checksums=tuple(dict.fromkeys(checksums)),
        )
        for among, chosen in ((ALL, both), (TOP, best))
        if len(chosen) > 1
    ]


def top(values: Values, share: float = TOP_SHARE) -> NDArray[np.int64]:
    """Positions of the best ``share`` of ``values (n,)``, rounded up, and of what equals its last.

    Accuracies are counts of images, so many are equal: cut among these, the top would depend on
    the order of the architectures.
    """
    if not len(values):
        return np.empty(0, np.int64)
    least = np.sort(values)[-math.ceil(share * len(values))]
    return np.flatnonzero(values >= least)


def pearson(first: ArrayLike, second: ArrayLike) -> float:
    """Pearson's correlation of two samples ``(n,)``."""
    return _correlation("pearsonr", first, second)


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Spearman's rho of two samples ``(n,)``."""
    return _correlation("spearmanr", first, second)


def kendall(first: ArrayLike, second: ArrayLike) -> float:
    """Kendall's tau-b of two samples ``(n,)``."""
    return _correlation("kendalltau", first, second)


def _correlation(name: str, first: ArrayLike, second: ArrayLike) -> float:
    from scipy import stats

    x, y = (np.asarray(values, dtype=np.float64) for values in (first, second))
    if x.shape != y.shape or x.ndim != 1:
        raise InvalidInput(f"two samples (n,) are correlated, got {x.shape} and {y.shape}")
    if len(x) < 2 or np.isnan(x).any() or np.isnan(y).any():  # older SciPys raise at NaN
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of samples that do not vary
        found: Any = getattr(stats, name)(x, y)
    return float(found.statistic)
