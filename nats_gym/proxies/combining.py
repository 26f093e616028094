"""One ranking of several scores.

Majority votes as in Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021 (arXiv
2101.08134), whose three voters are synflow, jacob_cov and snip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput, shown

# Comparisons at a time.
_BLOCK = 1 << 22


def vote(scores: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    """Share of the other architectures that most scores rank below one.

    Args:
        scores: of the same architectures, by name, each ``(n,)``; higher is better, minus infinity
            is worst.

    Returns:
        ``(n,)``, from 0 to 1; another that as many scores rank above as below counts half.

    Raises:
        InvalidInput: for anything else, and for NaN.
    """
    columns = _columns(scores)
    count = columns.shape[1]
    # Ranks compare as scores do, and take less room.
    places = [np.unique(column, return_inverse=True)[1] for column in columns]
    ranks = np.stack(places).astype(np.int32).reshape(columns.shape)
    shares = np.empty(count)
    block = max(1, _BLOCK // max(1, count))
    for start in range(0, count, block):
        part = ranks[:, start : start + block]
        balance = np.zeros((part.shape[1], count), np.int32)
        for own, others in zip(part, ranks, strict=True):
            balance += own[:, None] > others
            balance -= own[:, None] < others
        points = (balance > 0).sum(1) + 0.5 * ((balance == 0).sum(1) - 1)
        shares[start : start + block] = points
    return shares / max(1, count - 1)


def rank_mean(scores: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    """Mean over scores of the share of the others that each ranks below an architecture.

    Arguments, exceptions and the meaning of ties as of :func:`vote`.
    """
    columns = _columns(scores)
    count = columns.shape[1]
    below = np.zeros(count)
    for column in columns:
        ordered = np.sort(column)
        less = np.searchsorted(ordered, column)
        tied = np.searchsorted(ordered, column, side="right") - less - 1
        below += less + 0.5 * tied
    return below / (len(columns) * max(1, count - 1))


#: By name.
COMBINATIONS: dict[str, Callable[[Mapping[str, ArrayLike]], NDArray[np.float64]]] = {
    "vote": vote,
    "rank_mean": rank_mean,
}


def _columns(scores: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    what = "scores are a dictionary of numbers (n,), by name"
    given = checks.mapping(scores, what)
    columns = [checks.numbers(values, what) for values in given.values()]
    shapes = {column.shape for column in columns}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise InvalidInput(f"{what}, of the same architectures; got {shown(scores)}")
    stacked = np.stack(columns)
    if np.isnan(stacked).any():
        raise InvalidInput(f"{what}, none of them NaN; got {shown(scores)}")
    return stacked
