"""A made-up file of NAS-Bench-101, and its import, for the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import synthetic_tfrecord as plain

from nats_gym.spaces import get_space
from nats_gym.tables import official

#: The first cell, whose public figures are known, and some others of every number of vertices.
CELLS = (0, 167, 4789, 9, 12_345, 77_777, 200_000, 232_370, 300_001, 423_623)
#: Two of the four schedules: columns take 80 MB each, however few cells a file has.
SCHEDULES = (4, 108)


def cells_of(indices: Sequence[int]) -> list[tuple[str, Any, list[str], int]]:
    """Hash, matrix, operations and parameters of cells, as ``synthetic_tfrecord.records`` asks."""
    space = get_space("nb101")
    found = []
    for index in indices:
        choices = space.choices(index)
        matrix, operations = space.cell(choices)
        parameters = round(float(space.params(choices, "cifar10")) * 1e6)
        found.append((space.hash_of(index), matrix, operations, parameters))
    return found


def shuffled(indices: Sequence[int] = CELLS, schedules: Sequence[int] = SCHEDULES) -> list[bytes]:
    """Records of cells in no order, as in the public files."""
    found = list(plain.records(cells_of(indices), schedules))
    return [found[n] for n in np.random.default_rng(7).permutation(len(found))]


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[official.OfficialArchive]:
    """The import of a made-up file, which tests only read, in a home of its own."""
    folder = tmp_path_factory.mktemp("nb101")
    path = plain.write_file(folder / "made_up.tfrecord", shuffled())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NATS_GYM_HOME", str(folder / "home"))
        yield official.import_archive(path)
