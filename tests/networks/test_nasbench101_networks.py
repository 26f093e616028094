"""NAS-Bench-101's networks, against a plain reading of the paper, closed forms, public figures."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reference_nasbench101 import Matrix, ReferenceNetwork, random_cell
from torch import nn

from nats_gym.errors import InvalidInput
from nats_gym.networks import build
from nats_gym.spaces.cell_graphs import edges
from nats_gym.spaces.nasbench101 import NASBench101Space
from nats_gym.spaces.nasbench101_cost import OPERATIONS
from nats_gym.training.architecture import preset, train_architecture
from nats_gym.training.data import load_data
from nats_gym.training.recipe import Recipe

SPACE = NASBench101Space()


def choices_of(matrix: Matrix, operations: list[str]) -> np.ndarray:
    """A cell drawn on seven vertices."""
    place = [*range(len(matrix) - 1), 6]
    row = np.zeros(26, np.int64)
    for source, targets in enumerate(matrix):
        for target, present in enumerate(targets):
            if present:
                row[edges().index((place[source], place[target]))] = 1
    row[21 : 21 + len(operations)] = [OPERATIONS.index(name) for name in operations]
    return row


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.one_in(3)
@pytest.mark.parametrize("seed", range(3))
def test_outputs_and_gradients_are_those_of_the_plain_network(seed: int) -> None:
    rng = random.Random(seed)
    size = {"num_classes": 5, "stem_width": 7}
    for _ in range(12):
        matrix, operations = random_cell(rng)
        row = choices_of(matrix, operations)
        ours = build(SPACE, row, 5, cells_per_stage=2, stem_width=7).double()
        # The canonical drawing may have the vertices in another order.
        canonical, names = SPACE.cell(SPACE.choices(SPACE.index(row)))
        plain = ReferenceNetwork(canonical.tolist(), names[1:-1], cells=2, **size).double()
        plain.load_state_dict(ours.state_dict())
        images = torch.randn(3, 3, 8, 8, dtype=torch.float64, generator=torch.manual_seed(seed))
        for mode in (True, False):
            ours.train(mode), plain.train(mode)
            mine, theirs = ours(images), plain(images)
            assert torch.allclose(mine, theirs, rtol=1e-9, atol=1e-9)
        ours.train(), plain.train()
        for network in (ours, plain):
            network.zero_grad()
            network(images).square().sum().backward()
        for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
            assert one.grad is not None
            assert torch.allclose(one.grad, other.grad, rtol=1e-6, atol=1e-8)
        states = zip(ours.state_dict().values(), plain.state_dict().values(), strict=True)
        assert all(torch.allclose(one.double(), other.double()) for one, other in states)


@pytest.mark.parametrize("cells", [25, pytest.param(500, marks=pytest.mark.slow)])
def test_parameters_are_the_closed_form(cells: int) -> None:
    index = np.random.default_rng(0).choice(SPACE.size, cells, replace=False)
    wanted = (SPACE.params(SPACE.choices(index), "cifar10") * 1e6).round().astype(int)
    with torch.device("meta"):
        found = [count(build(SPACE, one, 10)) for one in index.tolist()]
    assert found == wanted.tolist()


@pytest.mark.slow
def test_parameters_are_the_published_ones(shared_figures: Path) -> None:
    samples = json.loads((shared_figures / "nb101_samples.json").read_text())["samples"]
    with torch.device("meta"):
        found = [count(build(SPACE, one["index"], 10)) for one in samples]
    assert found == [one["params"] for one in samples]


def test_initial_weights_are_the_public_benchmarks() -> None:
    torch.manual_seed(0)
    network = build(SPACE, 0, 10)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 20_000:
            scale = module.weight[0].numel() ** -0.5
            assert float(module.weight.detach().std()) == pytest.approx(scale, rel=0.05)
            assert float(module.weight.detach().abs().max()) <= 2.3 * scale
        if isinstance(module, nn.BatchNorm2d):
            assert (module.eps, module.momentum) == (1e-5, pytest.approx(0.003))
    assert not network.classifier.bias.any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stem_width": 4}, "stem_width is an integer from 5"),
        ({"stem_width": 1 << 20}, "stem_width"),
        ({"cells_per_stage": 0}, "cells_per_stage"),
        ({"num_classes": 0}, "num_classes"),
        ({"norm_momentum": 0}, "norm_momentum"),
    ],
)
def test_sizes_out_of_range_are_refused(options: dict[str, Any], words: str) -> None:
    given = {"num_classes": 10, **options}
    with pytest.raises(InvalidInput, match=words):
        build(SPACE, 0, **given)


def test_a_row_that_is_no_cell_has_no_network() -> None:
    with pytest.raises(InvalidInput, match="no valid architecture of nb101"):
        build(SPACE, np.zeros(26, np.int64), 10)


def test_a_narrow_one_trains_on_digits() -> None:
    pytest.importorskip("sklearn")
    recipe, network = preset("nb101", "digits")
    assert network == {"cells_per_stage": 1, "stem_width": 16, "norm_momentum": 0.1}
    data = load_data("digits")
    recipe = Recipe(epochs=3, batch_size=24, learning_rate=0.01, horizontal_flip=False)
    cell = SPACE.index(choices_of([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["conv3x3-bn-relu"]))
    record = train_architecture(SPACE.name, int(cell), data, recipe, network=network, seed=0)
    assert record.evaluated["x-valid"].accuracy[-1] > 50
