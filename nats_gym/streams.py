"""Counter-based random numbers: every draw is a hash of what it is for.

A draw depends on its key and its number alone, never on what was drawn beside it. So a scalar
environment, a vector environment and a study of 500 runs agree bit for bit, and run 17 alone
equals run 17 of 500.

The hash is SplitMix64's finaliser (Steele, Lea & Flood, OOPSLA 2014), chained over words. Each
function exists once for numpy arrays and, where the scalar environment needs it, once for plain
ints; the tests hold both to the same bits.
"""

from __future__ import annotations

from functools import cache
from statistics import NormalDist
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym.checks import as_integer
from nats_gym.errors import InvalidInput, NatsGymError, shown

Keys = NDArray[np.uint64]

_MASK = (1 << 64) - 1
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_U = np.uint64

#: A normal draw takes one of this many equiprobable quantiles: a plain gather, so exact anywhere.
NORMAL_STRATA = 4096


def combine(key: ArrayLike, word: ArrayLike) -> Keys:
    """Hash ``word`` into ``key``; both broadcast, both are taken modulo 2⁶⁴. Never shape ()."""
    key, word = np.atleast_1d(_as_uint64(key), _as_uint64(word))
    x = np.asarray(key ^ (word * _U(_GOLDEN)))  # from here on in place: memory is the bound
    x += _U(_GOLDEN)
    x ^= x >> _U(30)
    x *= _U(_FIRST)
    x ^= x >> _U(27)
    x *= _U(_SECOND)
    x ^= x >> _U(31)
    return x


def combine_int(key: int, word: int) -> int:
    """:func:`combine` of two plain ints, without numpy's cost per call."""
    x = ((key ^ (word * _GOLDEN)) + _GOLDEN) & _MASK
    x = ((x ^ (x >> 30)) * _FIRST) & _MASK
    x = ((x ^ (x >> 27)) * _SECOND) & _MASK
    return x ^ (x >> 31)


def seed_key(seed: int) -> int:
    """Key of a seed of any size, from 0: its 64-bit words, hashed in turn.

    Raises:
        InvalidInput: for what is no integer, or negative.
    """
    left = as_integer(seed)
    if left is None or left < 0:
        raise InvalidInput(f"a seed is an integer from 0, got {shown(seed)}")
    key = combine_int(0, left & _MASK)
    while left := left >> 64:
        key = combine_int(key, left & _MASK)
    return key


def run_seeds(seed: int, runs: int, first: int = 0) -> list[int]:
    """Environment seeds of ``runs`` of a study from ``first``: run r is hash(s, r), never s + r."""
    key = seed_key(seed)
    return [combine_int(key, run) for run in range(first, first + runs)]


def run_keys(seeds: list[int]) -> Keys:
    """Keys ``(runs,)`` of environment seeds; what :func:`trial_key` starts from."""
    return np.array([seed_key(seed) for seed in seeds], dtype=np.uint64)


@cache
def normal_quantiles() -> NDArray[np.float64]:
    """Mid-point quantiles of the standard normal, scaled to variance 1, ``(NORMAL_STRATA,)``."""
    half = NORMAL_STRATA // 2
    inverse = NormalDist().inv_cdf
    upper = np.array([inverse((half + i + 0.5) / NORMAL_STRATA) for i in range(half)])
    quantiles = np.concatenate([-upper[::-1], upper])
    return np.asarray(quantiles / np.sqrt(np.mean(quantiles**2)))


def normal(keys: Keys) -> NDArray[np.float64]:
    """One standard normal draw per key."""
    return np.asarray(normal_quantiles()[keys >> _U(64 - 12)])


def uniform_below(keys: Keys, count: ArrayLike) -> NDArray[np.int64]:
    """One integer in ``0 … count-1`` per key, from its high 32 bits; ``count`` broadcasts.

    Of more than 2**32 from all 64: the upper half of the product of key and count.
    """
    high, counts = keys >> _U(32), np.asarray(count, dtype=np.uint64)
    most = count if type(count) is int else counts.max(initial=0)
    if most <= 1 << 32:
        return np.asarray((high * counts) >> _U(32)).astype(np.int64)
    low, mask = keys & _U(0xFFFFFFFF), _U(0xFFFFFFFF)
    of_high, of_low = counts >> _U(32), counts & mask
    middle = high * of_low + (low * of_low >> _U(32))
    carried = low * of_high + (middle & mask)
    return np.asarray(high * of_high + (middle >> _U(32)) + (carried >> _U(32))).astype(np.int64)


class RandomSource(Protocol):
    """Anything that draws uniform floats: ``numpy.random.Generator`` or ``RunStreams``."""

    def random(self, size: Any, /) -> Any:
        """Return floats in [0, 1) of shape ``size``."""


def uniform_integers(
    rng: RandomSource, high: ArrayLike, shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Draw integers uniformly from ``0 … high-1``; ``high`` broadcasts against ``shape``."""
    try:
        drawn = np.asarray(rng.random(shape)) * np.asarray(high)
    except NatsGymError:
        raise
    except Exception as error:  # another's code, which raises what it likes
        raise InvalidInput(
            f"rng has random(size), as a numpy.random.Generator or RunStreams, got {shown(rng)}"
        ) from error
    return drawn.astype(np.int64)  # truncation is floor: nothing is negative


class RunStreams:
    """One independent stream of uniform and normal numbers per run.

    Has the ``random(size)`` of ``numpy.random.Generator``, where the first axis of ``size`` is
    the runs, so that a space's ``sample`` and ``mutate`` take either.

    Args:
        keys: one key per run, ``(runs,)``.
    """

    def __init__(self, keys: Keys) -> None:
        # A tag of their own: an agent's draws must not coincide with its evaluator's.
        self._keys = combine(keys, int.from_bytes(b"agent", "little"))
        self._drawn = 0

    @property
    def runs(self) -> int:
        """Number of runs."""
        return len(self._keys)

    def _next_keys(self, size: int | tuple[int, ...]) -> Keys:
        size = (size,) if isinstance(size, int) else tuple(size)
        if not size or size[0] != self.runs:
            raise InvalidInput(f"the first axis is the {self.runs} runs, got size {shown(size)}")
        per_run = int(np.prod(size[1:], dtype=np.int64))
        counter = np.arange(self._drawn, self._drawn + per_run, dtype=np.uint64)
        self._drawn += per_run
        return combine(self._keys[:, None], counter).reshape(size)

    def random(self, size: Any, /) -> NDArray[np.float64]:
        """Floats in [0, 1) of shape ``size = (runs, ...)``."""
        return np.asarray((self._next_keys(size) >> _U(11)) * 2.0**-53)

    def normal(self, size: tuple[int, ...], /) -> NDArray[np.float64]:
        """Standard normal draws of shape ``size = (runs, ...)``."""
        return normal(self._next_keys(size))


def _as_uint64(value: ArrayLike) -> Keys:
    if isinstance(value, int):
        return np.array(value & _MASK, dtype=np.uint64)
    array = np.asarray(value)
    return array.view(np.uint64) if array.dtype == np.int64 else array.astype(np.uint64, copy=False)
