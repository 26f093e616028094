"""Rank correlations, over all architectures and among the best of them.

Kendall's is tau-b (Kendall, Biometrika 1945), counted by merging (Knight, JASA 1966); Spearman's
gives ties their average rank. Both are plain numpy, so that an analysis needs no scipy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    """Positions of the best ``share`` of ``values (n,)``, rounded up; earlier ones of equals."""
    return np.argsort(-values, kind="stable")[: math.ceil(share * len(values))]


def pearson(first: ArrayLike, second: ArrayLike) -> float:
    """Pearson's correlation of two samples ``(n,)``; NaN where one of them does not vary."""
    x, y = (np.asarray(values, dtype=np.float64) for values in (first, second))
    if not (np.ptp(x) and np.ptp(y)):
        return math.nan
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / math.sqrt((x @ x) * (y @ y)))


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Spearman's rho of two samples ``(n,)``; NaN where one of them does not vary."""
    return pearson(_average_ranks(first), _average_ranks(second))


def kendall(first: ArrayLike, second: ArrayLike) -> float:
    """Kendall's tau-b of two samples ``(n,)``; NaN where one of them does not vary."""
    x, y = (np.unique(values, return_inverse=True)[1] for values in (first, second))
    order = np.lexsort((y, x))
    discordant = _inversions(y[order])  # pairs tied in x stand in order of y
    pairs = len(x) * (len(x) - 1) // 2
    tied_x, tied_y = _tied_pairs(x), _tied_pairs(y)
    tied_both = _tied_pairs(x * len(y) + y)
    concordant = pairs - tied_x - tied_y + tied_both - discordant
    scale = math.sqrt((pairs - tied_x) * (pairs - tied_y))
    return (concordant - discordant) / scale if scale else math.nan


def _average_ranks(values: ArrayLike) -> Values:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def _tied_pairs(values: NDArray[np.int64]) -> int:
    counts = np.unique(values, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())


def _inversions(ranks: NDArray[np.int64]) -> int:
    """Pairs of ``ranks (n,)``, all below n, that stand in the wrong order."""
    length = 1 << max(len(ranks) - 1, 0).bit_length()
    # What fills up is greater than all and stands behind them: it adds no inversion.
    runs = np.concatenate([ranks, np.full(length - len(ranks), len(ranks))])[:, None]
    inversions = 0
    while len(runs) > 1:
        # Runs of a level one behind the other, each lifted above the one before: one search.
        lift = np.arange(len(runs) // 2)[:, None] * (len(ranks) + 1)
        left, right = (runs[0::2] + lift).ravel(), (runs[1::2] + lift).ravel()
        not_greater = np.searchsorted(left, right, side="right")
        before = np.arange(len(runs) // 2).repeat(runs.shape[1]) * runs.shape[1]
        inversions += int((before + runs.shape[1] - not_greater).sum())
        runs = np.sort(runs.reshape(len(runs) // 2, -1), axis=1)
    return inversions
