"""A cell as the public API takes it: matrix and operations, pruned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput, shown
from nats_gym.spaces.cell_graphs import hash_of, prune

#: Vertices that a drawing may have before it is pruned.
MOST_DRAWN = 1_000
DATA_FORMATS = ("channels_last", "channels_first")
_WHAT = "a cell's matrix holds 0 and 1, a row for each vertex"


class ModelSpec:
    """A cell: what no path from input to output passes is dropped.

    Args:
        matrix: 1 where an edge leads from the row's vertex to the column's, upper triangular,
            ``(vertices, vertices)``.
        ops: what each vertex does, ``(vertices,)``: ``"input"``, operations, ``"output"``.
        data_format: kept; figures do not depend on it.

    Attributes:
        original_matrix, original_ops: as given.
        matrix, ops: pruned; None if no path leads to the output.
        valid_spec: whether one does.
        data_format: as given.

    Raises:
        InvalidInput: for a matrix that is not square, of other numbers or not upper triangular,
            or not as many operations as vertices.
    """

    def __init__(
        self, matrix: ArrayLike, ops: Sequence[str], data_format: str = "channels_last"
    ) -> None:
        square = _check_matrix(matrix)
        names = _check_names(ops, "operations are names, one of each vertex")
        if len(names) != len(square):
            raise InvalidInput(
                f"a matrix of {len(square)} vertices takes as many operations, got {len(names)}"
            )
        self.original_matrix, self.original_ops = square, names
        self.data_format = checks.word(data_format, "data_format", DATA_FORMATS)
        pruned = prune(square, names)
        self.valid_spec = pruned is not None
        self.matrix: NDArray[Any] | None
        self.ops: list[str] | None
        self.matrix, self.ops = (None, None) if pruned is None else pruned

    def __repr__(self) -> str:
        if self.matrix is None:
            return "ModelSpec(no path from input to output)"
        return f"ModelSpec({self.matrix.tolist()}, {self.ops})"

    def hash_spec(self, canonical_ops: Sequence[str]) -> str:
        """The cell's module hash: equal for cells that are the same graph.

        Args:
            canonical_ops: interior operations, whose order the hash takes in; the public files'
                is ``config["available_ops"]``.

        Raises:
            InvalidInput: for a cell without a path, or an operation that is none of these.
        """
        order = _check_names(canonical_ops, "canonical_ops are names of operations")
        if self.matrix is None or self.ops is None:
            raise InvalidInput("a cell without a path from input to output has no hash")
        for name in self.ops[1:-1]:
            if name not in order:
                raise InvalidInput(f"{shown(name)} is none of the operations {shown(order)}")
        sources = [np.flatnonzero(column).tolist() for column in self.matrix.T]
        targets = [np.flatnonzero(row).tolist() for row in self.matrix]
        return hash_of(sources, targets, [-1, *map(order.index, self.ops[1:-1]), -2])


def _check_names(names: Sequence[str], what: str) -> list[str]:
    found = checks.as_list(names)
    if found is None or any(not issubclass(type(name), str) for name in found):
        raise InvalidInput(f"{what}, got {shown(names)}")
    return found


def _check_matrix(matrix: ArrayLike) -> NDArray[np.int64]:
    square = checks.array(matrix, _WHAT)
    if square.ndim != 2 or square.shape[0] != square.shape[1]:
        raise InvalidInput(f"a cell's matrix is square, got the shape {square.shape}")
    if not 2 <= len(square) <= MOST_DRAWN:
        raise InvalidInput(f"a cell has from 2 to {MOST_DRAWN:,} vertices, got {len(square):,}")
    if square.dtype.kind not in "biuf" or not ((square == 0) | (square == 1)).all():
        raise InvalidInput(f"{_WHAT}, got {shown(matrix)}")
    given = square.astype(np.int64)
    if any(any(row[: vertex + 1]) for vertex, row in enumerate(given.tolist())):
        raise InvalidInput(f"a cell's matrix is upper triangular, got {shown(matrix)}")
    return given
