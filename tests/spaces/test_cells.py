"""The list of NAS-Bench-101's cells: against the public digest and samples, and by brute force."""

from __future__ import annotations

import hashlib
import json
from itertools import permutations

import numpy as np
import pytest

from nats_gym.spaces.cell_graphs import (
    MOST_EDGES,
    OPERATIONS,
    edges,
    module_hash,
    placements,
    prune,
    redraw,
)
from nats_gym.spaces.cell_list import EDGE_VALUES, LABEL_VALUES, NUM_DRAWINGS, embedded_list

CELLS = embedded_list()
#: Published counts of cells by their vertices and by their edges.
BY_VERTICES = {2: 1, 3: 6, 4: 84, 5: 2_441, 6: 62_010, 7: 359_082}
BY_EDGES = [1, 3, 12, 60, 339, 2_134, 13_984, 78_822, 328_269]
DIGEST = "a7f10bf770c1b5b8a221e37824e42b3b1a237a5d21ccf545bbe8e23abd933403"


def plain_cell(rank: int) -> tuple[np.ndarray, list[str]]:
    """Matrix and operations of a drawing on seven vertices, read off its choices."""
    drawing, labels = divmod(rank, 243)
    matrix = np.zeros((7, 7), dtype=int)
    for value, ends in zip(EDGE_VALUES, edges(), strict=True):
        matrix[ends] = bool(drawing & value)
    inner = [OPERATIONS[labels // value % 3] for value in LABEL_VALUES]
    return matrix, ["input", *inner, "output"]


def plain_hash(matrix: np.ndarray, operations: list[str]) -> str:
    """The module hash as the paper's code words it, a matrix entry at a time."""
    vertices = len(matrix)

    def digest(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    labels = [-1, *map(OPERATIONS.index, operations[1:-1]), -2]
    hashes = [
        digest(str((int(matrix[v, :].sum()), int(matrix[:, v].sum()), labels[v])))
        for v in range(vertices)
    ]
    for _ in range(vertices):
        hashes = [
            digest(
                "".join(sorted(hashes[w] for w in range(vertices) if matrix[w, v]))
                + "|"
                + "".join(sorted(hashes[w] for w in range(vertices) if matrix[v, w]))
                + "|"
                + hashes[v]
            )
            for v in range(vertices)
        ]
    return digest(str(sorted(hashes)))


def is_same_graph(one: tuple[np.ndarray, list[str]], other: tuple[np.ndarray, list[str]]) -> bool:
    """Whether some exchange of interior vertices makes one of the other."""
    (matrix, operations), (wanted, labels) = one, other
    if len(matrix) != len(wanted) or sorted(operations) != sorted(labels):
        return False
    for inner in permutations(range(1, len(matrix) - 1)):
        order = [0, *inner, len(matrix) - 1]
        if [operations[v] for v in order] == labels and (
            matrix[np.ix_(order, order)] == wanted
        ).all():
            return True
    return False


@pytest.fixture(scope="module")
def samples(shared_figures):
    path = shared_figures / "nb101_samples.json"
    if not path.exists():
        pytest.skip("no samples of NAS-Bench-101 here")
    return json.loads(path.read_text())


def test_as_many_cells_as_published() -> None:
    assert CELLS.size == 423_624
    ranks = CELLS.canonical // 243
    present = (ranks[:, None] & EDGE_VALUES) != 0
    assert np.bincount(present.sum(1))[1:].tolist() == BY_EDGES
    used = sum(present[:, [v in ends for ends in edges()]].any(1).astype(int) for v in range(7))
    assert dict(enumerate(np.bincount(used).tolist()[2:], 2)) == BY_VERTICES


def test_every_cell_is_found_by_its_canonical_drawing() -> None:
    found = CELLS.index(*np.divmod(CELLS.canonical, 243))
    assert np.array_equal(found, np.arange(CELLS.size))


def test_samples_have_their_index_drawing_and_hash(samples) -> None:
    for sample in samples["samples"]:
        rank = int(CELLS.canonical[sample["index"]])
        matrix, operations = prune(*plain_cell(rank))
        assert matrix.tolist() == sample["matrix"]
        assert operations == sample["operations"]
        assert module_hash(matrix, operations) == sample["module_hash"]


def test_hash_is_the_plain_reading_of_it() -> None:
    rng = np.random.default_rng(1)
    for index in rng.integers(CELLS.size, size=50):
        cell = prune(*plain_cell(int(CELLS.canonical[index])))
        assert module_hash(*cell) == plain_hash(*cell)


def test_hashes_ascend_with_the_index() -> None:
    indices = np.sort(np.random.default_rng(2).integers(CELLS.size, size=200))
    cells = [prune(*plain_cell(int(rank))) for rank in CELLS.canonical[np.unique(indices)]]
    hashes = [module_hash(*cell) for cell in cells]
    assert hashes == sorted(set(hashes))


def test_any_drawing_is_what_is_left_of_it_after_pruning() -> None:
    """Against pruning one at a time and trying every exchange of vertices."""
    invalid = 0
    for rank in np.random.default_rng(3).integers(NUM_DRAWINGS * 243, size=1_000).tolist():
        index = int(CELLS.index(*np.divmod(rank, 243)))
        assert CELLS.index_of(rank) == index
        pruned = prune(*plain_cell(rank))
        if pruned is None or pruned[0].sum() > MOST_EDGES:
            invalid += 1
            assert index == -1
        else:
            assert is_same_graph(pruned, prune(*plain_cell(int(CELLS.canonical[index]))))
    assert 100 < invalid < 900


def test_every_drawing_is_a_cell_or_none_as_plain_pruning_says() -> None:
    drawings = np.random.default_rng(4).integers(NUM_DRAWINGS, size=2_000)
    for drawing, is_cell in zip(drawings.tolist(), CELLS.is_cell()[drawings].tolist(), strict=True):
        pruned = prune(*plain_cell(drawing * 243))
        assert is_cell == (pruned is not None and pruned[0].sum() <= MOST_EDGES)


def test_canonical_drawing_is_the_first_of_its_graph() -> None:
    """No exchange of interior vertices has a lower number, edge k counting 2ᵏ, then the labels."""
    values = 1 << np.arange(21)
    for rank in np.random.default_rng(5).choice(CELLS.canonical, 40).tolist():
        matrix, operations = prune(*plain_cell(rank))
        vertices = len(matrix)
        numbers = []
        for inner in permutations(range(1, vertices - 1)):
            order = [0, *inner, vertices - 1]
            drawn = matrix[np.ix_(order, order)]
            if not np.tril(drawn).any():
                bits = sum(int(drawn[ends]) << k for k, ends in enumerate(edges(vertices)))
                numbers.append((bits, [OPERATIONS.index(operations[v]) for v in inner]))
        assert numbers[0] == min(numbers)
        present = np.array([[matrix[ends] for ends in edges(vertices)]])
        redrawn = redraw(present, placements(vertices, vertices), values)
        assert sorted(redrawn[redrawn >= 0].tolist()) == sorted(bits for bits, _ in numbers)


def test_drawings_of_admitted_cells() -> None:
    admitted = np.zeros(CELLS.size, dtype=bool)
    admitted[np.random.default_rng(6).integers(CELLS.size, size=50)] = True
    drawings = np.concatenate(
        [
            np.random.default_rng(7).integers(NUM_DRAWINGS, size=300),
            CELLS.canonical[admitted] // 243,
        ]
    )
    indices = CELLS.index(drawings[:, None], np.arange(243))
    expected = (admitted[indices] & (indices >= 0)).any(1)
    assert np.array_equal(CELLS.holds(admitted)[drawings], expected)
    assert np.array_equal(CELLS.holds(np.ones(CELLS.size, bool)), CELLS.is_cell())
    assert not CELLS.holds(np.zeros(CELLS.size, bool)).any()


def test_a_cell_without_a_path_is_none() -> None:
    assert prune([[0, 1, 0], [0, 0, 0], [0, 0, 0]], ["input", OPERATIONS[0], "output"]) is None
    matrix, operations = prune([[0, 1, 1], [0, 0, 0], [0, 0, 0]], ["input", "x", "output"])
    assert matrix.tolist() == [[0, 1], [0, 0]]
    assert operations == ["input", "output"]


@pytest.mark.slow
def test_hashes_of_all_cells_have_the_public_digest() -> None:
    """Nearly two minutes: each hash by itself, in the order of the list."""
    hashes = "\n".join(module_hash(*prune(*plain_cell(rank))) for rank in CELLS.canonical.tolist())
    assert hashlib.sha256(hashes.encode()).hexdigest() == DIGEST
