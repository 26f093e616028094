"""Closed forms of NAS-Bench-101's networks, against public parameters and counted networks."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from reference_nasbench101 import Matrix, ReferenceNetwork, channels_of, random_cell
from torch import nn

from nats_gym.spaces.nasbench101_cost import (
    OPERATIONS,
    network_cost,
    on_seven_vertices,
    vertex_channels,
)

Cells = Sequence[tuple[Matrix, Sequence[str]]]


def encoded(cells: Cells) -> tuple[np.ndarray, np.ndarray]:
    """Edges on seven vertices and operations of cells."""
    edges, operations = [], np.zeros((len(cells), 5), dtype=np.int64)
    for row, (matrix, names) in enumerate(cells):
        count = len(matrix)
        edges.append(
            sum(matrix[x][y] << x + y * (y - 1) // 2 for y in range(count) for x in range(y))
        )
        operations[row, : len(names)] = [OPERATIONS.index(name) for name in names]
    return on_seven_vertices(edges, [len(matrix) for matrix, _ in cells]), operations


def cost_of(network: nn.Module, resolution: int) -> tuple[int, int]:
    """Parameters, and multiply-accumulates with twice the outputs of batch norms, as they run."""
    flops = 0

    def count(module: nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal flops
        if isinstance(module, nn.BatchNorm2d):
            flops += 2 * out.numel()
        else:
            flops += out.numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, resolution, resolution))
    return sum(one.numel() for one in network.parameters()), flops


def test_parameters_are_the_published_ones(shared_figures: Path) -> None:
    samples = json.loads((shared_figures / "nb101_samples.json").read_text())["samples"]
    cells = [(one["matrix"], one["operations"][1:-1]) for one in samples]
    params, _ = network_cost(*encoded(cells), num_classes=10, resolution=32)
    assert params.tolist() == [one["params"] for one in samples]


def test_costs_are_those_of_networks_counted_as_they_run() -> None:
    rng = random.Random(0)
    cells = [random_cell(rng) for _ in range(40)]
    size = {"num_classes": 7, "cells": 2, "stem_width": 10}
    params, flops = network_cost(*encoded(cells), resolution=8, **size)
    counted = [cost_of(ReferenceNetwork(*cell, **size), 8) for cell in cells]
    assert list(zip(params.tolist(), flops.tolist(), strict=True)) == counted


@pytest.mark.parametrize("width", [3, 16, 128, 512])
def test_channels_are_those_of_a_plain_count(width: int) -> None:
    rng = random.Random(width)
    cells = [random_cell(rng) for _ in range(200)]
    channels = vertex_channels(encoded(cells)[0], width)
    for (matrix, names), row in zip(cells, channels.tolist(), strict=True):
        assert row == channels_of(matrix, width) + [0] * (5 - len(names))
