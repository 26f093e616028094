"""Counter-based randomness: one hash, in numpy and in plain ints, of good quality."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nats_gym.errors import InvalidInput
from nats_gym.spaces import get_space
from nats_gym.streams import (
    NORMAL_STRATA,
    RunStreams,
    combine,
    combine_int,
    normal_quantiles,
    run_keys,
    run_seeds,
    seed_key,
    uniform_below,
)

WORDS = st.integers(0, 2**64 - 1)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=8))
def test_arrays_and_plain_ints_hash_alike(pairs: list[tuple[int, int]]) -> None:
    keys, words = (np.array(column, dtype=np.uint64) for column in zip(*pairs, strict=True))
    assert combine(keys, words).tolist() == [combine_int(k, w) for k, w in pairs]


def test_the_finaliser_is_splitmix64() -> None:
    # The first outputs of SplitMix64 seeded with 0, as its reference implementation prints them:
    # state advances by the golden ratio, so output i is our hash of key i·golden with word 0.
    golden, mask = 0x9E3779B97F4A7C15, 2**64 - 1
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [combine_int(i * golden & mask, 0) for i in range(3)] == expected


def test_one_flipped_bit_flips_half_of_the_hash() -> None:
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 2**64, 4000, dtype=np.uint64)
    base = combine(keys, 7)
    for bit in (0, 1, 31, 63):
        flipped = combine(keys ^ np.uint64(1 << bit), 7) ^ base
        assert abs(_set_bits(flipped) - 32) < 0.5
        flipped = combine(keys, np.uint64(7 ^ (1 << bit))) ^ base
        assert abs(_set_bits(flipped) - 32) < 0.5


def _set_bits(words: np.ndarray) -> float:
    return float(np.unpackbits(words.view(np.uint8)).sum() / len(words))


def test_seeds_of_any_size_have_their_own_keys() -> None:
    seeds = [0, 1, 2, 2**64, 2**64 + 1, 2**127 + 12345, 2**64 - 1]
    assert len({seed_key(seed) for seed in seeds}) == len(seeds)


def test_studies_do_not_share_runs() -> None:
    # With seed + run, run 1 of study 0 would be run 0 of study 1.
    assert not set(run_seeds(0, 500)) & set(run_seeds(1, 500))
    assert run_seeds(3, 20)[17] == run_seeds(3, 500)[17]


def test_normal_quantiles_are_those_of_the_normal() -> None:
    stats = pytest.importorskip("scipy.stats")
    exact = stats.norm.ppf((np.arange(NORMAL_STRATA) + 0.5) / NORMAL_STRATA)
    assert normal_quantiles().var() == pytest.approx(1.0, abs=1e-12)
    assert normal_quantiles() == pytest.approx(exact / exact.std(), abs=1e-9)


def test_uniform_below_is_uniform_and_below() -> None:
    keys = combine(np.arange(60_000, dtype=np.uint64), 1)
    drawn = uniform_below(keys, 3)
    assert np.abs(np.bincount(drawn, minlength=3) / 60_000 - 1 / 3).max() < 0.01
    assert drawn.max() == 2


def test_a_run_alone_draws_what_it_draws_among_others() -> None:
    seeds = run_seeds(0, 500)
    together, alone = RunStreams(run_keys(seeds)), RunStreams(run_keys(seeds[17:18]))
    for shape in ((6,), (), (2, 3)):
        assert np.array_equal(together.random((500, *shape))[17], alone.random((1, *shape))[0])
        assert np.array_equal(together.normal((500, *shape))[17], alone.normal((1, *shape))[0])


def test_streams_are_uniform_and_independent() -> None:
    streams = RunStreams(run_keys(run_seeds(0, 400)))
    drawn = streams.random((400, 100))
    again = streams.random((400, 100))
    assert abs(drawn.mean() - 0.5) < 0.005
    assert abs(drawn.var() - 1 / 12) < 0.002
    assert abs(np.corrcoef(drawn.ravel(), again.ravel())[0, 1]) < 0.02
    assert np.abs(np.corrcoef(drawn)[np.triu_indices(400, 1)]).mean() < 0.1
    assert drawn.min() >= 0
    assert drawn.max() < 1


def test_the_first_axis_must_be_the_runs() -> None:
    with pytest.raises(ValueError, match="3 runs"):
        RunStreams(run_keys([1, 2, 3])).random((2, 6))


@pytest.mark.parametrize("seed", [-1, -(2**64), np.int64(-3)])
def test_negative_seeds_are_refused(seed) -> None:
    with pytest.raises(InvalidInput, match="-"):
        seed_key(seed)


def test_seeds_may_be_numpys() -> None:
    assert seed_key(np.int64(7)) == seed_key(7)


def test_sizes_are_read_as_numpy_reads_them_and_runs_come_first() -> None:
    one, other = RunStreams(run_keys([1, 2, 3])), RunStreams(run_keys([1, 2, 3]))
    assert np.array_equal(one.random(3), other.random((3,)))
    with pytest.raises(InvalidInput, match="the first axis is the 3 runs"):
        get_space("tss").sample(one, (2, 3))
