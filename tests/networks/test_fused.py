"""Fused networks: what they hold, without a kernel; the kernels, by Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

from nats_gym.errors import InvalidInput
from nats_gym.networks import Network, build
from nats_gym.networks import fused as fused_module
from nats_gym.networks.fused import FusedNetworks, find_fusing_obstacle
from nats_gym.spaces.topology import EDGES

pytestmark = pytest.mark.usefixtures("one_thread")

CASES = Path(__file__).parent / "interpreted_kernels.py"


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("triton"), reason="Triton is not installed")
def test_kernels_by_the_interpreter_compute_what_members_compute_alone() -> None:
    folders = [str(CASES.parent), *filter(None, sys.path)]
    environment = {
        **os.environ,
        "TRITON_INTERPRET": "1",
        "PYTHONPATH": os.pathsep.join(folders),
    }
    command = [sys.executable, "-W", "error", str(CASES)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert not done.returncode, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 7, done.stdout


def topology(*choices: int, width: int = 8, cells: int = 1, classes: int = 10) -> Network:
    return build("tss", choices, classes, cells_per_stage=cells, stem_width=width)


TRIAL = (3, 1, 4, 2, 1, 3)


@pytest.mark.parametrize(
    ("networks", "words"),
    [
        ([], "no network"),
        ([nn.Identity()], "not as nats_gym.networks.build"),
        ([topology(*TRIAL), topology(*TRIAL, cells=2)], "cells per stage"),
        ([topology(*TRIAL), topology(*TRIAL, classes=3)], "number of classes"),
        ([topology(*TRIAL), topology(*TRIAL, width=4)], "a width is not among"),
        ([topology(*TRIAL, width=24)], "a width is not among"),
        ([Network([4, 4, 4, 4, 4, 4], [8, 16, 16, 8, 24], 1, 10)], "a pool changes the width"),
        ([topology(*TRIAL), topology(3, 3, 3, 0, 0, 0)], "never reads its images"),
        ([topology(*TRIAL).double()], "for float32"),
    ],
)
def test_what_cannot_be_fused_is_refused(networks: Sequence[Network], words: str) -> None:
    assert words in find_fusing_obstacle(networks)
    with pytest.raises(InvalidInput, match=words):
        FusedNetworks(networks)


def test_networks_on_the_cpu_are_not_fused() -> None:
    networks = [topology(*TRIAL), topology(1, 1, 1, 1, 1, 1)]
    assert find_fusing_obstacle(networks) == "the kernels are for CUDA"
    assert not fused_module._find_shape_obstacle(networks)


def test_parameters_of_members_are_views_that_keep_their_values() -> None:
    networks = [topology(*TRIAL), topology(1, 2, 0, 3, 4, 1), build("sss", "8:24:16:24:8", 10)]
    for network in networks:
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                nn.init.normal_(tensor)
    before = [
        {name: tensor.clone() for name, tensor in one.state_dict().items()} for one in networks
    ]
    group = FusedNetworks(networks)
    for network, state in zip(networks, before, strict=True):
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, state[name]), name
    with torch.no_grad():
        for parameter in group.parameters():
            parameter.copy_(torch.arange(parameter.numel()).view_as(parameter))
    held = group.by_member({one: one.data for one in group.parameters()})
    trained = [
        {name for name, _ in one.named_parameters() if name in own}
        for one, own in zip(networks, held, strict=True)
    ]
    for network, own, names in zip(networks, held, trained, strict=True):
        assert names == own.keys()
        for name, parameter in network.named_parameters():
            live = name in own
            assert live is computed(network, name), name
            if live:
                assert torch.equal(parameter, own[name])
    # No number of the group's belongs to two of the members' parameters.
    places = [
        tensor.untyped_storage().data_ptr() + 4 * number
        for own in held
        for tensor in own.values()
        for number in numbers(tensor)
    ]
    assert len(places) == len(set(places))


def computed(network: Network, name: str) -> bool:
    """Whether a parameter is of an edge that matters."""
    parts = name.split(".")
    return parts[2:3] != ["layers"] or int(parts[3]) in network.cells[int(parts[1])].live  # type: ignore[operator]


def numbers(tensor: torch.Tensor) -> list[int]:
    """Places of a view in its storage."""
    places = torch.arange(tensor.untyped_storage().nbytes() // 4)
    return (
        places.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset()).flatten().tolist()
    )


def test_members_follow_a_group_that_is_moved() -> None:
    network = topology(*TRIAL)
    group = FusedNetworks([network]).to(torch.float64)
    assert {one.dtype for one in network.parameters()} >= {torch.float64}
    group.blocks[1].weights.data.fill_(7)
    assert network.get_parameter("cells.0.layers.0.op.1.weight").eq(7).all()


def test_a_tables_rows_as_counted_by_hand() -> None:
    """Edges 0→1: 3×3, 0→3: 1×1, 0→2: pool, 1→2: 1×1, 1→3: skip, 2→3: 3×3, of two trials."""
    choices = [0] * 6
    for edge, (target, source) in enumerate(EDGES):
        choices[edge] = {(1, 0): 3, (3, 0): 2, (2, 0): 4, (2, 1): 2, (3, 1): 1, (3, 2): 3}[
            target, source
        ]
    group = FusedNetworks([topology(*choices), topology(*choices)])
    cell = group.blocks[1].tables
    # ci, co, before in source and target, own channels before, weights before, side, padding,
    # rectified, normed, shared, source, bundle's channels before and width. 1×1 come before 3×3.
    one, three = (1, 0, 1, 1, 0), (3, 1, 1, 1, 0)
    units = [
        (8, 8, 0, 0, 0, 0, *one, 0, 0, 8),
        (8, 8, 0, 0, 8, 64, *one, 1, 8, 8),
        (8, 8, 8, 8, 16, 128, *one, 0, 16, 8),
        (8, 8, 8, 8, 24, 192, *one, 1, 24, 8),
        (8, 8, 0, 0, 32, 256, *three, 0, 32, 8),
        (8, 8, 0, 0, 40, 832, *three, 2, 40, 8),
        (8, 8, 8, 8, 48, 1408, *three, 0, 48, 8),
        (8, 8, 8, 8, 56, 1984, *three, 2, 56, 8),
    ]
    assert cell.units.tolist() == cell.bundles.tolist() == [list(row) for row in units]
    assert cell.weights == 2560
    assert [launch.table.tolist() for launch in cell.leaving] == [
        [[0, 2, 4, 6]],
        [[1, 3]],
        [[5, 7]],
    ]
    assert [launch.table.flatten().tolist() for launch in cell.entering] == [
        [],
        [4, 6],
        [1, 3],
        [0, 2, 5, 7],
    ]
    # Width, channels before, units' range in the list, sources added and pooled, as bits.
    rows, entering = cell.sums[2]
    assert rows.tolist() == [[8, 0, 0, 0, 1, 0, 1], [8, 8, 8, 1, 2, 0, 1]]
    assert entering.flatten().tolist() == [1, 3]
    rows, entering = cell.sums[3]
    assert rows.tolist() == [[8, 0, 0, 0, 2, 0b10, 0], [8, 8, 8, 2, 4, 0b10, 0]]
    assert entering.flatten().tolist() == [0, 5, 2, 7]
    # The same the other way: all that leave rectify; node 0 is pooled into 2, node 1 added to 3.
    rows, leaving = cell.inputs[0]
    assert rows.tolist() == [[8, 0, 0, 0, 2, 2, 0, 0b100], [8, 8, 8, 2, 4, 4, 0, 0b100]]
    assert leaving.flatten().tolist() == [0, 4, 2, 6]
    assert cell.inputs[1][0].tolist() == [
        [8, 0, 0, 0, 1, 1, 0b1000, 0],
        [8, 8, 8, 1, 2, 2, 0b1000, 0],
    ]
    kernels = [(one.side, one.stride, one.begin, one.end) for one in cell.kernels]
    assert kernels == [(1, 1, 0, 256), (3, 1, 256, 2560)]


def test_convolutions_of_one_input_and_kernel_are_one_bundle() -> None:
    cell = FusedNetworks([topology(3, 3, 3, 3, 3, 3)]).blocks[1].tables
    # Node 0 is read by three, of which 16 channels fit together; node 1 by two; node 2 by one.
    assert [row[13] for row in cell.bundles.tolist()] == [16, 8, 16, 8]
    assert [row[4] for row in cell.bundles.tolist()] == [0, 16, 24, 40]
    assert [row[4] for row in cell.units.tolist()] == [0, 8, 16, 24, 32, 40]
    assert [row[12] for row in cell.units.tolist()] == [0, 0, 16, 24, 24, 40]
