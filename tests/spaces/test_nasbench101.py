"""The space NAS-Bench-101: choices, strings, hashes, moves, masks, costs, by plain references."""

from __future__ import annotations

import json
import pickle
import time
from itertools import product

import numpy as np
import pytest

from nats_gym.errors import InvalidInput
from nats_gym.spaces.cell_graphs import OPERATIONS, edges, module_hash, prune
from nats_gym.spaces.nasbench101 import NASBench101Space
from nats_gym.streams import RunStreams, run_keys

SPACE = NASBench101Space()
EDGES, CHOICES = 21, 26


def plain_matrix(row) -> np.ndarray:
    """Matrix of one row of choices, as drawn."""
    matrix = np.zeros((7, 7), dtype=int)
    for ends, present in zip(edges(), row[:EDGES], strict=True):
        matrix[ends] = present
    return matrix


def plain_cell(row):
    """Matrix and operations of one row of choices, pruned."""
    operations = [OPERATIONS[label] for label in row[EDGES:]]
    return prune(plain_matrix(row), ["input", *operations, "output"])


def plain_is_valid(row) -> bool:
    cell = plain_cell(row)
    return cell is not None and int(cell[0].sum()) <= 9


def random_rows(seed: int, count: int, density: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    drawn = rng.random((count, EDGES)) < density
    return np.concatenate([drawn.astype(int), rng.integers(3, size=(count, 5))], axis=1)


def ranks(rows: np.ndarray, position: int) -> np.ndarray:
    """Rank of the first choices of rows."""
    return np.array([SPACE.rank_of(row[:position]) for row in rows.tolist()], dtype=np.int64)


def test_decisions_are_edges_then_operations() -> None:
    assert SPACE.num_decisions == CHOICES
    assert SPACE.choice_counts.tolist() == [2] * EDGES + [3] * 5
    assert SPACE.decision_names[:4] == ("1←0", "2←0", "2←1", "3←0")
    assert SPACE.decision_names[EDGES - 1] == "6←5"
    assert SPACE.size == len(SPACE) == SPACE.cells.size == 423_624
    assert SPACE.num_rows == 2**EDGES * 3**5
    assert not SPACE.every_row_valid


def test_every_index_survives_a_round_trip() -> None:
    choices = SPACE.all_choices()
    assert choices.shape == (SPACE.size, CHOICES)
    assert (choices < SPACE.choice_counts).all()
    assert np.array_equal(SPACE.index(choices), np.arange(SPACE.size))
    assert np.array_equal(choices @ SPACE.place_values, SPACE.rank_at(np.arange(SPACE.size)))


def test_samples_by_matrix_string_hash_and_parameters(shared_figures) -> None:
    path = shared_figures / "nb101_samples.json"
    if not path.exists():
        pytest.skip("no samples of NAS-Bench-101 here")
    for sample in json.loads(path.read_text())["samples"]:
        vertices = len(sample["matrix"])
        row = [0] * CHOICES
        for source, target in edges(vertices):
            place = 6 if target == vertices - 1 else target
            row[edges().index((source, place))] = sample["matrix"][source][target]
        for vertex, operation in enumerate(sample["operations"][1:-1]):
            row[EDGES + vertex] = OPERATIONS.index(operation)
        index = sample["index"]
        assert SPACE.choices(index).tolist() == row
        assert SPACE.index(row) == SPACE.index_of(row) == index
        assert SPACE.resolve(SPACE.name_of(index)) == index
        matrix, operations = SPACE.cell(row)
        assert matrix.tolist() == sample["matrix"]
        assert operations == sample["operations"]
        assert SPACE.module_hash(row) == sample["module_hash"]
        assert SPACE.params(row, "cifar10") * 1e6 == pytest.approx(sample["params"], abs=0.5)


def test_rows_are_valid_as_plain_pruning_says() -> None:
    by_density = {0.5: 500, 0.25: 300, 0.9: 200}
    rows = np.concatenate([random_rows(1, count, share) for share, count in by_density.items()])
    valid = SPACE.is_valid(rows)
    assert valid.tolist() == [plain_is_valid(row) for row in rows.tolist()]
    assert 0 < valid.sum() < len(rows)
    index = SPACE.index(rows)
    assert np.array_equal(index >= 0, valid)
    assert [SPACE.index_of(row) for row in rows.tolist()] == index.tolist()
    assert np.array_equal(SPACE.isomorphism_class(rows), index)
    assert np.array_equal(SPACE.index(SPACE.canonical(rows[valid])), index[valid])
    # What is left of any drawing has the hash of the canonical one.
    some = rows[valid][:200]
    assert [module_hash(*plain_cell(row)) for row in some.tolist()] == SPACE.module_hash(
        some
    ).tolist()
    assert set(SPACE.module_hash(rows[~valid]).tolist()) == {""}


def test_a_choice_that_an_edge_does_not_have_is_refused() -> None:
    row = SPACE.choices(5)
    row[0] = 2
    with pytest.raises(InvalidInput, match="out of range 0…1 of '1←0'"):
        SPACE.index(row)
    assert SPACE.index_of(row.tolist()) == -1
    with pytest.raises(InvalidInput, match="last axis of 26"):
        SPACE.index(np.zeros(6, int))


@pytest.mark.parametrize("seed", range(3))
def test_strings_are_read_again(seed: int) -> None:
    rows = np.concatenate([random_rows(seed, 100), random_rows(seed, 100, 0.1)])
    assert np.array_equal(SPACE.parse(SPACE.string(rows)), rows)
    index = np.random.default_rng(seed).integers(SPACE.size, size=100)
    names = SPACE.names_of(index)
    assert names.tolist() == [SPACE.name_of(one) for one in index.tolist()]
    assert names.tolist() == SPACE.string(SPACE.choices(index)).tolist()
    assert SPACE.names_of(np.array([-1, 0])).tolist() == ["", SPACE.name_of(0)]


def test_a_string_by_hand() -> None:
    row = SPACE.parse("|conv1x1-bn-relu~0|+|maxpool3x3~0~1|+|output~0~2|")
    present = {SPACE.decision_names[i] for i in np.flatnonzero(row[:EDGES])}
    assert present == {"1←0", "2←0", "2←1", "6←0", "6←2"}
    assert row[EDGES:].tolist() == [1, 2, 0, 0, 0]
    assert SPACE.string(row) == "|conv1x1-bn-relu~0|+|maxpool3x3~0~1|+|output~0~2|"
    assert SPACE.string(SPACE.parse("|output~0|")) == "|output~0|"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "|output|x",
        "output~0",
        "|conv3x3-bn-relu~0|",
        "|conv3x3-bn-relu~1|+|output~1|",
        "|conv3x3-bn-relu~0~0|+|output~1|",
        "|maxpool3x3~0|+|maxpool3x3~1~0|+|output~2|",
        "|output~0|+|output~1|",
        "+".join(["|maxpool3x3~0|"] * 6 + ["|output~0|"]),
        "|maxpool3x3~٠|+|output~1|",
        "0" * 32,
        "00005C142E6F48AC74FDCF73E3439874",
    ],
)
def test_malformed_strings_are_refused_in_a_line(wrong: str) -> None:
    with pytest.raises(InvalidInput, match="nb101") as raised:
        SPACE.parse(wrong)
    assert "\n" not in str(raised.value)


def test_a_mistyped_operation_is_recognised() -> None:
    with pytest.raises(InvalidInput, match="maxpool3x3"):
        SPACE.parse("|maxpol3x3~0|+|output~1|")


def test_hashes_are_found() -> None:
    assert SPACE.hash_of(0) == "00005c142e6f48ac74fdcf73e3439874"
    assert SPACE.find("02e5a0247bbdcf2860b7e96f74961594") == 4789
    assert SPACE.resolve("02e5a0247bbdcf2860b7e96f74961594") == 4789
    for index in (0, 1, 200_000, SPACE.size - 1):
        assert SPACE.resolve(str(SPACE.module_hash(SPACE.choices(index)))) == index


def test_published_parameters_of_the_first_and_the_best() -> None:
    params = SPACE.params(SPACE.choices([0, 4789]), "cifar10")
    assert params.tolist() == [8.55553, 32.426634]
    assert np.isnan(SPACE.params(np.zeros(CHOICES, int), "cifar10"))
    assert SPACE.params(np.zeros((0, CHOICES), int), "cifar10").shape == (0,)
    assert (SPACE.flops(SPACE.choices([0, 4789]), "cifar10") > params).all()


def test_paths_by_powers_of_the_matrix() -> None:
    rows = random_rows(4, 100, 0.4)
    for row, paths in zip(rows.tolist(), SPACE.paths(rows, "cifar10").tolist(), strict=True):
        matrix = plain_matrix(row)
        assert paths == sum(np.linalg.matrix_power(matrix, length)[0, 6] for length in range(1, 7))


# ── moving about ─────────────────────────────────────────────────────────────────────────────


def test_samples_are_uniform_among_valid_rows() -> None:
    rows = SPACE.sample(np.random.default_rng(5), (20_000,))
    assert SPACE.is_valid(rows).all()
    drawn = random_rows(6, 40_000)
    expected = drawn[SPACE.is_valid(drawn)]
    for value in range(3):
        assert np.abs((rows == value).mean(0) - (expected == value).mean(0)).max() < 0.03
    assert SPACE.sample(np.random.default_rng(5)).shape == (CHOICES,)


def test_mutation_is_the_public_rule() -> None:
    """Against drawing as the public code does, a cell at a time, until it is valid."""
    parent = SPACE.choices(4789)
    children = SPACE.mutate(np.tile(parent, (20_000, 1)), np.random.default_rng(7))
    assert SPACE.is_valid(children).all()
    rng = np.random.default_rng(8)
    drawn = []
    for _ in range(6_000):
        child = parent.copy()
        for edge in range(EDGES):
            child[edge] ^= rng.random() < 1 / 7
        for vertex in range(EDGES, CHOICES):
            if rng.random() < 1 / 5:
                child[vertex] = (child[vertex] + rng.integers(1, 3)) % 3
        drawn.append(child)
    expected = np.array(drawn)[SPACE.is_valid(np.array(drawn))]
    for value in range(3):
        assert np.abs((children == value).mean(0) - (expected == value).mean(0)).max() < 0.04
    changes = [(found != parent).sum(1).mean() for found in (children, expected)]
    assert changes[0] == pytest.approx(changes[1], abs=0.15)


def test_a_run_mutates_alike_alone_and_beside_others() -> None:
    parents = SPACE.choices(np.arange(0, 400_000, 4_000))
    together = SPACE.mutate(parents, RunStreams(run_keys(list(range(len(parents))))))
    for run in (0, 17, 99):
        alone = SPACE.mutate(parents[[run]], RunStreams(run_keys([run])))
        assert np.array_equal(alone[0], together[run])


def test_neighbours_are_one_decision_away() -> None:
    row = SPACE.choices(4789)
    rows = SPACE.neighbors(row)
    assert rows.shape == (EDGES + 2 * 5, CHOICES)
    assert ((rows != row).sum(1) == 1).all()
    assert len(np.unique(rows, axis=0)) == len(rows)
    assert (SPACE.index(rows) >= 0).tolist() == [plain_is_valid(one) for one in rows.tolist()]


# ── masks ────────────────────────────────────────────────────────────────────────────────────


def completions(row, position: int, end: int = CHOICES) -> np.ndarray:
    """All rows that begin as ``row`` does, its decisions from ``end`` on left alone."""
    left = [range(count) for count in SPACE.choice_counts[position:end].tolist()]
    return np.array([[*row[:position], *rest, *row[end:]] for rest in product(*left)])


@pytest.mark.parametrize("density", [0.3, 0.5, 0.8])
def test_masks_by_pruning_every_completion(density: float) -> None:
    prefixes = SPACE.prefixes()
    rows = random_rows(9, 12, density)
    for position in (13, 15, 17, 19, 20):
        at = ranks(rows, position)
        masks = prefixes.masks(np.full(len(rows), position), at)
        for row, rank, mask in zip(rows.tolist(), at.tolist(), masks, strict=True):
            assert np.array_equal(prefixes.mask(position, rank), mask)
            # Operations do not matter.
            valid = [plain_is_valid(one) for one in completions(row, position, EDGES).tolist()]
            possible = np.array(valid).reshape(2, -1).any(1)
            assert mask.tolist() == [*(possible if possible.any() else [1, 1]), 0]


def test_masks_of_short_prefixes_by_all_drawings() -> None:
    is_cell = SPACE.index_at(np.arange(2**EDGES) * 243) >= 0
    prefixes = SPACE.prefixes()
    for position in range(EDGES):
        possible = is_cell.reshape(1 << position, 2, -1).any(2)
        possible[~possible.any(1)] = True
        at = np.arange(1 << position)
        masks = prefixes.masks(np.full(len(at), position), at)
        assert np.array_equal(masks[:, :2], possible)
        assert not masks[:, 2].any()


def test_the_tenth_edge_is_forbidden_where_all_of_them_count() -> None:
    """A chain of seven vertices, and three edges more: nothing that follows can be dropped."""
    chain = {(v, v + 1) for v in range(6)} | {(0, 2), (0, 3), (0, 4)}
    row = [int(ends in chain) for ends in edges()]
    prefixes = SPACE.prefixes()
    last = edges().index((5, 6))
    for position in range(edges().index((4, 5)) + 1, last):
        # Without the last edge of the chain, those before it may lead nowhere.
        assert prefixes.mask(position, SPACE.rank_of(row[:position])).tolist() == [1, 1, 0]
    assert prefixes.mask(last, SPACE.rank_of(row[:last])).tolist() == [0, 1, 0]
    full = [*row[:last]]
    full[edges().index((0, 6))] = 1
    assert prefixes.mask(last, SPACE.rank_of(full)).tolist() == [1, 0, 0]


def test_masked_choices_never_end_in_an_invalid_cell() -> None:
    rng = np.random.default_rng(10)
    prefixes = SPACE.prefixes()
    rank = np.zeros(2_000, dtype=np.int64)
    for position, count in enumerate(SPACE.choice_counts.tolist()):
        masks = prefixes.masks(np.full(len(rank), position), rank)
        rank = rank * count + np.argmax(rng.random(masks.shape) * masks, axis=1)
    assert (SPACE.index_at(rank) >= 0).all()


def test_masks_under_limits_by_trying_every_completion() -> None:
    admitted = SPACE.figure("params", "cifar10").values < 1.5
    prefixes = SPACE.prefixes(admitted)
    meeting = np.random.default_rng(11).choice(np.flatnonzero(admitted), 15)
    rows = np.concatenate([SPACE.choices(meeting), random_rows(12, 15)])
    for position in (17, 19, 20, 21, 22, 23, 24, 25):
        at = ranks(rows, position)
        masks = prefixes.masks(np.full(len(rows), position), at)
        count = int(SPACE.choice_counts[position])
        for row, rank, mask in zip(rows.tolist(), at.tolist(), masks, strict=True):
            index = SPACE.index(completions(row, position)).reshape(count, -1)
            possible = (admitted[index] & (index >= 0)).any(1)
            expected = possible if possible.any() else np.ones(count, bool)
            assert mask.tolist() == [*expected.astype(int).tolist(), *[0] * (3 - count)]
            assert np.array_equal(prefixes.mask(position, rank), mask)
    # Copies at different places of their episodes are answered one by one.
    position = np.arange(len(rows)) % CHOICES
    at = np.array([SPACE.rank_of(row[:p]) for row, p in zip(rows.tolist(), position, strict=True)])
    alone = [prefixes.mask(*place) for place in zip(position.tolist(), at.tolist(), strict=True)]
    assert np.array_equal(prefixes.masks(position, at), alone)


def test_what_begins_no_row_leaves_everything_open() -> None:
    for prefixes in (SPACE.prefixes(), SPACE.prefixes(np.arange(SPACE.size) == 7)):
        masks = prefixes.masks(np.array([0, 5, 20, 21, 25]), np.full(5, -1))
        assert masks.tolist() == [[1, 1, 0]] * 3 + [[1, 1, 1]] * 2
        assert prefixes.mask(5, -1).tolist() == [1, 1, 0]
        assert prefixes.mask(22, -1).tolist() == [1, 1, 1]


def test_marginal_masks_by_every_row_of_the_admitted() -> None:
    every = [[1, 1, 0]] * EDGES + [[1, 1, 1]] * 5
    assert SPACE.prefixes().marginal.tolist() == every
    params = SPACE.figure("params", "cifar10").values
    for admitted in (params >= np.sort(params)[-3], np.arange(SPACE.size) == 4789):
        drawings = np.flatnonzero(SPACE.cells.holds(admitted))
        rows = (drawings[:, None] * 243 + np.arange(243)).ravel()
        found = SPACE.index_at(rows)
        rows = SPACE._row_at(rows[(found >= 0) & admitted[found]])
        expected = (rows[:, :, None] == np.arange(3)).any(0)
        assert np.array_equal(SPACE.prefixes(admitted).marginal, expected)
    # The smallest cell leaves the operations open, and most of the edges.
    alone = SPACE.prefixes(np.arange(SPACE.size) == SPACE.resolve("|output~0|")).marginal
    assert alone[edges().index((0, 6))].tolist() == [0, 1, 0]
    assert (alone[EDGES:] == 1).all()


def test_the_space_travels_to_other_processes() -> None:
    copy = pickle.loads(pickle.dumps(SPACE))
    assert copy.index_of(SPACE.choices(123).tolist()) == 123
    assert len(pickle.dumps(SPACE)) < 1_000


@pytest.mark.slow
def test_a_thousand_rows_are_recognised_in_time() -> None:
    """1,024 of them in under 5 ms; it takes less than a tenth of that."""
    rows = SPACE.sample(np.random.default_rng(14), (1_024,))
    taken = []
    for _ in range(20):
        started = time.perf_counter()
        SPACE.index(rows)
        taken.append(time.perf_counter() - started)
    assert np.median(taken) < 0.005
