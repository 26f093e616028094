"""``benchmarks/limits.py`` against PyTorch's count of operations, and against a count by hand."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nats_gym.networks import Network, build

pytestmark = pytest.mark.usefixtures("one_thread")

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "limits.py"


@pytest.fixture(scope="module")
def count() -> Callable[[Network], tuple[int, int]]:
    return runpy.run_path(str(SCRIPT))["count"]


@pytest.mark.parametrize(
    ("space", "architecture"), [("tss", 3), ("tss", 14_452), ("sss", 0), ("sss", "8:24:16:24:8")]
)
def test_operations_are_those_that_pytorch_counts(
    space: str, architecture: int | str, count: Callable[[Network], tuple[int, int]]
) -> None:
    network = build(space, architecture, 10)
    with FlopCounterMode(display=False) as counter:
        network(torch.randn(2, 3, 32, 32)).sum().backward()
    classifier = 6 * network.classifier.weight.numel()
    assert 2 * (count(network)[1] + classifier) == counter.get_total_flops()


def test_moves_as_counted_by_hand(count: Callable[[Network], tuple[int, int]]) -> None:
    """Cells: 0→1: 3×3, 0→2: skip, 1→2: 1×1, 1→3: pool, 2→3: skip."""
    choices = [3, 1, 2, 0, 4, 1]  # edges 0→1, 0→2, 1→2, 0→3, 1→3, 2→3
    moved, _ = count(build("tss", choices, 10, cells_per_stage=1))
    images, stem = 2 * 3, 8 * 16
    # Two convolutions, three nodes; a residual block's two with batch norm, and two nodes.
    cell, residual = 2 * 3 + 3 * 5, 2 * 3 + 2 * 5
    stages = 1024 * 16 * cell + 256 * 32 * (residual + cell) + 64 * 64 * (residual + cell)
    assert moved == 1024 * (images + stem) + stages
    straight = build("tss", [0, 0, 0, 1, 0, 0], 10)  # cells are their input
    assert count(straight)[0] == 1024 * (images + stem) + residual * (256 * 32 + 64 * 64)
