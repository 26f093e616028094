"""Codecs, moves and closed-form costs of both spaces, against official figures and definitions."""

from __future__ import annotations

import pickle
import time

import numpy as np
import pytest
from conftest import digest_of_order, official_strings
from hypothesis import given
from hypothesis import strategies as st

from nats_gym.datasets import DATASETS
from nats_gym.errors import InvalidInput
from nats_gym.spaces import ArchitectureSpace, SizeSpace, TopologySpace, get_space
from nats_gym.spaces.topology import EDGES, OPERATIONS

TSS, SSS = TopologySpace(), SizeSpace()
# Digests of the official meta files' architecture strings, joined by newlines.
OFFICIAL_ORDER = {
    "tss": "83abc799e45cf34e9d2163654668ab998b9a54d01c39e72ca1f71f2cdf356d84",
    "sss": "8b99b4c0aabe959924c6fb36c0ee4a3f79362343e36b7752b90deee9409b492f",
}


def test_official_order_by_digest(space: ArchitectureSpace) -> None:
    assert digest_of_order(space.string(space.all_choices())) == OFFICIAL_ORDER[space.name]


def test_official_order_by_meta_file(space: ArchitectureSpace, shared_figures) -> None:
    official = official_strings(shared_figures, space.name)
    assert space.string(space.all_choices()).tolist() == official
    assert np.array_equal(space.parse(np.array(official)), space.all_choices())


def test_every_index_survives_a_round_trip(space: ArchitectureSpace) -> None:
    index = np.arange(space.size)
    assert np.array_equal(space.index(space.choices(index)), index)
    assert len(np.unique(space.all_choices(), axis=0)) == space.size


@given(st.data())
def test_codecs_agree_on_any_batch_shape(data: st.DataObject) -> None:
    space = data.draw(st.sampled_from([TSS, SSS]))
    shape = tuple(data.draw(st.lists(st.integers(0, 3), max_size=3)))
    count = int(np.prod(shape))
    drawn = data.draw(st.lists(st.integers(0, space.size - 1), min_size=count, max_size=count))
    index = np.array(drawn, dtype=np.int64).reshape(shape)
    choices = space.choices(index)
    assert choices.shape == (*shape, space.num_decisions)
    assert np.array_equal(space.index(choices), index)
    strings = space.string(choices)
    assert strings.shape == shape
    if count:
        assert np.array_equal(space.parse(strings), choices)
    for one, row in zip(index.ravel()[:3], choices.reshape(-1, space.num_decisions), strict=False):
        assert space.index_of(row.tolist()) == one
        assert space.resolve(space.name_of(int(one))) == one


def test_index_0_as_published() -> None:
    assert str(TSS.string(TSS.choices(0))) == (
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|"
        "+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    )
    assert str(SSS.string(SSS.choices(0))) == "8:8:8:8:8"
    assert SSS.resolve("64:64:64:64:64") == 32767


# ── moves ────────────────────────────────────────────────────────────────────────────────────


def test_samples_are_uniform(space: ArchitectureSpace) -> None:
    choices = space.sample(np.random.default_rng(0), (40_000,))
    for choice in range(space.num_choices):
        share = (choices == choice).mean(axis=0)
        assert np.abs(share - 1 / space.num_choices).max() < 0.01


def test_neighbors_are_exactly_those_one_decision_away(space: ArchitectureSpace) -> None:
    choices = space.sample(np.random.default_rng(1), (3, 2))
    neighbors = space.neighbors(choices)
    n, k = space.num_decisions, space.num_choices
    assert neighbors.shape == (3, 2, n * (k - 1), n)
    everything = space.all_choices()
    for one, found in zip(choices.reshape(-1, n), neighbors.reshape(6, -1, n), strict=True):
        near = everything[(everything != one).sum(axis=1) == 1]
        assert {tuple(row) for row in found.tolist()} == {tuple(row) for row in near.tolist()}


def test_topology_mutation_follows_the_papers_rule() -> None:
    parent = TSS.choices(np.full(60_000, 42))
    child = TSS.mutate(parent, np.random.default_rng(2))
    changed = child != parent
    assert (changed.sum(axis=1) == 1).all()
    # Node uniform, then an edge into it: node 1 has one edge, node 2 two, node 3 three.
    expected = np.array([1 / (3 * target) for target, _ in EDGES])
    assert np.abs(changed.mean(axis=0) - expected).max() < 0.01
    edge = 0
    offset = (child[changed[:, edge], edge] - parent[0, edge]) % 5
    assert np.abs(np.bincount(offset, minlength=5)[1:] / len(offset) - 0.25).max() < 0.02


def test_size_mutation_follows_the_papers_rule() -> None:
    parent = SSS.choices(np.full(60_000, 4242))
    child = SSS.mutate(parent, np.random.default_rng(3))
    changed = (child != parent).sum(axis=1)
    assert set(np.unique(changed)) == {0, 1}
    assert abs((changed == 0).mean() - 1 / 8) < 0.01  # the new width may be the old one


# ── isomorphism and live paths ───────────────────────────────────────────────────────────────


def test_published_counts() -> None:
    everything = TSS.all_choices()
    assert len(np.unique(TSS.unique_string(everything))) == 6466
    assert len(np.unique(TSS.isomorphism_class(everything))) == 6466
    assert TSS.is_live(everything).sum() == 15284


def test_isomorphism_strings_by_hand() -> None:
    choices = TSS.parse(
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|avg_pool_3x3~1|skip_connect~2|"
    )
    # Node 1 = (0)@c; node 2 = # + node 1; node 3 = # + (node 1)@pool + node 2, sorted.
    one = "(0)@nor_conv_3x3"
    assert str(TSS.unique_string(choices)) == f"#+#+{one}+({one})@avg_pool_3x3"
    nothing = TSS.parse("|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|")
    assert str(TSS.unique_string(nothing)) == "#+#+#+#"  # the quirk: node 2 is no longer zero


def test_a_class_is_named_by_its_lowest_index_and_shares_its_string() -> None:
    everything = TSS.all_choices()
    classes = TSS.isomorphism_class(everything)
    assert np.array_equal(TSS.unique_string(everything), TSS.unique_string(everything[classes]))
    assert (classes <= np.arange(TSS.size)).all()
    assert (classes[classes] == classes).all()


def test_live_paths_by_walking_the_graph() -> None:
    rng = np.random.default_rng(4)
    for choices in TSS.sample(rng, (300,)):
        reached = {0}
        for (target, source), operation in zip(EDGES, choices, strict=True):
            if source in reached and OPERATIONS[operation] != "none":
                reached.add(target)
        assert bool(TSS.is_live(choices)) == (3 in reached)


# ── closed-form cost ─────────────────────────────────────────────────────────────────────────

OFFICIAL_COST = {  # (space, index): MFLOPs, Mparams by data set
    ("tss", 0): ((15.64737, 0.129306), (15.65322, 0.135156), (3.91948, 0.136456)),
    ("tss", 11): ((113.95137, 0.802426), (113.95722, 0.808276), (28.49548, 0.809576)),
    ("sss", 0): ((4.481114, 0.011714), (4.481924, 0.012524), (1.121336, 0.012704)),
    ("sss", 11): ((6.840650, 0.049202), (6.843620, 0.052172), (1.714040, 0.052832)),
}


@pytest.mark.parametrize("key", OFFICIAL_COST)
def test_costs_equal_the_official_ones(key: tuple[str, int]) -> None:
    space = get_space(key[0])
    choices = space.choices(key[1])
    for dataset, (flops, params) in zip(DATASETS, OFFICIAL_COST[key], strict=True):
        assert float(space.flops(choices, dataset)) == pytest.approx(flops, abs=1e-9)
        assert float(space.params(choices, dataset)) == pytest.approx(params, abs=1e-9)


def test_cost_ranges_as_published() -> None:
    ranges = {"tss": (0.073306, 1.531546, 7.78305, 220.11969)}
    ranges["sss"] = (0.011714, 0.713674, 4.481114, 274.399882)
    for name, expected in ranges.items():
        space = get_space(name)
        params = space.params(space.all_choices(), "cifar10")
        flops = space.flops(space.all_choices(), "cifar10")
        found = params.min(), params.max(), flops.min(), flops.max()
        assert found == pytest.approx(expected, abs=1e-9)


# ── bad input ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: get_space("tsss"), ["'tsss'", "tss, sss", "Did you mean 'tss'"]),
        (lambda: TSS.choices(15625), ["15625", "0…15624"]),
        (lambda: TSS.choices(-1), ["-1", "0…15624"]),
        (lambda: TSS.choices(np.uint64(2**63 + 5)), ["out of range"]),
        (lambda: TSS.choices([3, 99999]), ["99999"]),
        (lambda: TSS.choices(1.5), ["integer", "float64"]),
        (lambda: TSS.choices(True), ["integer", "bool"]),
        (lambda: TSS.choices("seven"), ["integer"]),
        (lambda: TSS.index([0, 1, 2]), ["last axis of 6", "(3,)"]),
        (lambda: TSS.index([0, 1, 2, 3, 4, 5]), ["5", "0…4"]),
        (lambda: TSS.index(3), ["last axis of 6"]),
        (lambda: TSS.parse("|nor_conv_3x3~0|"), ["malformed", "a right one"]),
        (
            lambda: TSS.parse(
                str(TSS.string(TSS.choices(7))).replace("skip_connect", "skip_conect")
            ),
            ["'skip_conect'", "Did you mean 'skip_connect'"],
        ),
        (lambda: TSS.parse(str(TSS.string(TSS.choices(7))) + " "), ["malformed"]),
        (lambda: TSS.parse(7), ["text"]),
        (lambda: SSS.parse("8:8:8:8"), ["malformed", "five widths"]),
        (lambda: SSS.parse("8:8:8:8:12"), ["8, 16, 24"]),
        (lambda: TSS.params(TSS.choices(0), "cifar11"), ["'cifar11'", "Did you mean 'cifar10"]),
        (lambda: TSS.resolve(np.zeros((2, 6), int)), ["one tss architecture"]),
    ],
)
def test_bad_input_is_named(call, words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("wrong", [2**63 + 5, 2**64 - 1, 2**70, -(2**70)])
def test_numbers_beyond_64_bits_are_reported_as_given(space, wrong: int) -> None:
    for index in (wrong, [wrong], [0, wrong]):
        if np.asarray(index).dtype.kind in "iuO":
            with pytest.raises(InvalidInput, match=f"{wrong} is out of range"):
                space.check_index(index)
    with pytest.raises(InvalidInput, match="out of range"):
        space.resolve(wrong)


def test_long_strings_are_refused_in_linear_time_and_a_short_message(space) -> None:
    for text in ("x" * 300_000, "|" + "nor_conv_3x3" * 30_000, "|~" * 100_000, "8:" * 100_000):
        started = time.process_time()
        with pytest.raises(InvalidInput) as caught:
            space.parse(text)
        assert time.process_time() - started < 1.0  # milliseconds; minutes if quadratic
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "text",
    [
        "|none~٠|+|none~0|none~1|+|none~0|none~1|none~2|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|\n",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~02|",
    ],
)
def test_near_misses_of_a_cell_are_malformed(text: str) -> None:
    with pytest.raises(InvalidInput, match="malformed"):
        TopologySpace().parse(text)


def test_spaces_pickle_small(space) -> None:
    space.index(space.all_choices())
    content = pickle.dumps(space)
    assert len(content) < 200
    assert pickle.loads(content).index(space.choices(5)) == 5
