"""The topology supernet against stand-alone networks and a plain loop over its operations."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from torch import nn

from nats_gym.errors import InvalidInput
from nats_gym.networks import Network, build
from nats_gym.networks.cell import Cell
from nats_gym.networks.supernet import batch_norm
from nats_gym.networks.topology_supernet import MixedCell, TopologySupernet
from nats_gym.spaces import TopologySpace
from nats_gym.spaces.topology import EDGES, live_edges

torch.set_num_threads(1)
CLASSES, CHANNELS, CELLS = 7, 4, 2
SPACE = TopologySpace()


@pytest.fixture
def supernet() -> TopologySupernet:
    """As after some training: batch norms have parameters and statistics of all sorts."""
    torch.manual_seed(0)
    supernet = TopologySupernet(CLASSES, CHANNELS, CELLS).double()
    for module in supernet.modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.exponential_()
    return supernet


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1)).double()


def stand_alone(supernet: TopologySupernet, choices: Sequence[int]) -> Network:
    """The network of an architecture with the supernet's weights, its cells' batch norms bare."""
    network = build("tss", list(choices), CLASSES, cells_per_stage=CELLS, stem_width=CHANNELS)
    for cell in network.cells:
        for module in list(cell.modules()) if isinstance(cell, Cell) else []:
            for name, child in module.named_children():
                if isinstance(child, nn.BatchNorm2d):
                    setattr(module, name, batch_norm(child.num_features))
    held = supernet.state_dict()
    weights = {}
    for name in network.state_dict():
        parts = name.split(".")
        if parts[2:3] == ["layers"]:  # cells.<cell>.layers.<edge>.<operation>.…
            parts.insert(4, str(choices[int(parts[3])]))
        weights[name] = held[".".join(parts)].clone()
    network.double().load_state_dict(weights, strict=True)
    return network.train(supernet.training)


def gradients(module: nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    module.zero_grad()
    torch.autograd.backward(loss)
    found = {name: weight.grad for name, weight in module.named_parameters()}
    return {name: gradient for name, gradient in found.items() if gradient is not None}


# All none, no path, zero nodes, one path, everything of a kind, and some at random.
ARCHITECTURES = [
    (0, 0, 0, 0, 0, 0),
    (3, 3, 0, 0, 0, 0),
    (0, 0, 3, 1, 2, 3),
    (0, 0, 3, 0, 1, 4),
    (0, 0, 0, 2, 0, 0),
    (1, 1, 1, 1, 1, 1),
    (3, 3, 3, 3, 3, 3),
    (4, 4, 4, 4, 4, 4),
    *(tuple(map(int, row)) for row in SPACE.sample(np.random.default_rng(0), (4,))),
]


@pytest.mark.one_in(5)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("choices", ARCHITECTURES, ids=lambda choices: "".join(map(str, choices)))
def test_a_path_is_the_stand_alone_network(
    supernet: TopologySupernet, images: torch.Tensor, choices: tuple[int, ...], training: bool
) -> None:
    network = stand_alone(supernet.train(training), choices)
    logits, expected = supernet.path(images, choices), network(images)
    assert torch.equal(logits, expected)
    ours, theirs = gradients(supernet, logits.sum()), gradients(network, expected.sum())
    assert len(ours) == len(theirs)
    for mine, other in zip(ours.values(), theirs.values(), strict=True):
        assert torch.equal(mine, other)
    # Of what a cell passes nothing on to, the stand-alone network computes nothing at all.
    if any(EDGES[edge][1] == 0 for edge in live_edges(choices)):
        for (name, mine), other in zip(supernet.named_buffers(), network.buffers(), strict=True):
            assert torch.equal(mine, other), name


def test_the_batch_norms_outside_of_cells_have_parameters_and_statistics(
    supernet: TopologySupernet,
) -> None:
    whole = {name.rpartition(".")[0] for name, _ in supernet.named_buffers() if "mean" in name}
    blocks = {f"cells.{place}.conv_{part}.op.2" for place in (2, 5) for part in "ab"}
    assert whole == {"stem.1", "lastact.0", *blocks}
    norms = {n: m for n, m in supernet.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert {name for name, norm in norms.items() if norm.affine} == whole
    assert len(norms) == len(whole) + 2 * 6 * 3 * CELLS


@pytest.mark.parametrize("choices", [(3, 2, 1, 4, 0, 3), (0, 0, 0, 0, 0, 0), (0, 0, 3, 1, 2, 3)])
def test_statistics_move_as_in_the_plain_network(
    supernet: TopologySupernet, images: torch.Tensor, choices: tuple[int, ...]
) -> None:
    """Where a cell passes nothing on, too: those of the stem, and of blocks fed with zeros."""
    other = copy.deepcopy(supernet)
    supernet.path(images, choices)
    plain(other, images, nn.functional.one_hot(torch.tensor(choices), 5).double())
    for (name, mine), theirs in zip(supernet.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs, msg=name)
    before = [buffer.clone() for buffer in supernet.buffers()]
    supernet.eval().path(images, choices)
    assert all(map(torch.equal, before, supernet.buffers()))


def test_cells_of_one_path_each_are_that_of_all(
    supernet: TopologySupernet, images: torch.Tensor
) -> None:
    for choices in ((3, 2, 1, 4, 0, 3), (0, 0, 3, 1, 2, 3)):
        logits = supernet.path_of_each_cell(images, [choices] * 6)
        torch.testing.assert_close(logits, supernet.path(images, choices))


def test_each_cell_goes_its_own_path(supernet: TopologySupernet, images: torch.Tensor) -> None:
    """Against the plain loop over operations, of which each cell's weights keep one an edge."""
    paths = SPACE.sample(np.random.default_rng(3), (6,)).tolist()
    hard = iter([nn.functional.one_hot(torch.tensor(choices), 5).double() for choices in paths])
    logits = supernet.path_of_each_cell(images, paths)
    torch.testing.assert_close(logits, plain(supernet, images, hard))
    with pytest.raises(InvalidInput, match="paths are of 6 cells, got"):
        supernet.path_of_each_cell(images, paths[:5])
    with pytest.raises(InvalidInput, match="six numbers from 0 to 4"):
        supernet.path_of_each_cell(images, [*paths[:5], [0, 1, 2]])


def plain(
    supernet: TopologySupernet, images: torch.Tensor, given: torch.Tensor | Iterator[torch.Tensor]
) -> torch.Tensor:
    """Every operation of every edge in turn, times its weight: all cells' or each one's own."""
    x = supernet.stem(images)
    for block in supernet.cells:
        if not isinstance(block, MixedCell):
            x = block(x)
            continue
        weights = given if isinstance(given, torch.Tensor) else next(given)
        nodes = [x]
        for node in (1, 2, 3):
            total = torch.zeros_like(x)
            for edge, (target, source) in enumerate(EDGES):
                if target == node:
                    for digit, layer in enumerate(block.layers[edge]):
                        value = nodes[source]
                        if digit == 0:
                            value = value.mul(0)
                        elif digit in (2, 3):
                            value = layer(value.relu())
                        else:
                            value = layer(value)
                        total = total + weights[edge, digit] * value
            nodes.append(total)
        x = nodes[3]
    return supernet.classify(x)


def test_a_mixture_is_a_plain_loop_over_operations(
    supernet: TopologySupernet, images: torch.Tensor
) -> None:
    scores = torch.randn(6, 5, generator=torch.Generator().manual_seed(2)).double()
    weights = scores.softmax(1).requires_grad_()
    logits, expected = supernet.mixture(images, weights), plain(supernet, images, weights)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    probe = torch.linspace(-1, 1, logits.numel()).view_as(logits)
    ours = gradients(supernet, (logits * probe).sum())
    mine, weights.grad = weights.grad, None
    theirs = gradients(supernet, (expected * probe).sum())
    torch.testing.assert_close(mine, weights.grad, rtol=1e-6, atol=1e-8)
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-6, atol=1e-8)


@pytest.mark.one_in(5)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("choices", ARCHITECTURES, ids=lambda choices: "".join(map(str, choices)))
def test_a_one_hot_mixture_and_a_straight_path_are_the_path(
    supernet: TopologySupernet, images: torch.Tensor, choices: tuple[int, ...], training: bool
) -> None:
    supernet.train(training)
    hard = nn.functional.one_hot(torch.tensor(choices), 5).double().requires_grad_()
    path = supernet.path(images, choices)
    torch.testing.assert_close(supernet.mixture(images, hard), path)
    straight = supernet.straight_through(images, hard)
    torch.testing.assert_close(straight, path)


@pytest.mark.one_in(5)
@pytest.mark.parametrize("choices", ARCHITECTURES, ids=lambda choices: "".join(map(str, choices)))
def test_the_gradient_of_unchosen_weights_is_gdass(
    supernet: TopologySupernet, images: torch.Tensor, choices: tuple[int, ...]
) -> None:
    """An edge is ``w[chosen] * op(x) + sum of the other w``, computed as it stands here."""
    hard = nn.functional.one_hot(torch.tensor(choices), 5).double().requires_grad_()
    torch.autograd.backward(supernet.straight_through(images, hard).square().sum())
    ours, hard.grad = hard.grad, None
    assert ours is not None

    x = supernet.stem(images)
    for block in supernet.cells:
        if not isinstance(block, MixedCell):
            x = block(x)
            continue
        nodes = [x]
        for node in (1, 2, 3):
            total = torch.zeros_like(x)
            for edge, (target, source) in enumerate(EDGES):
                if target == node:
                    chosen, value = choices[edge], nodes[source]
                    if chosen in (2, 3):
                        value = value.relu()
                    value = value.mul(0) if chosen == 0 else block.layers[edge][chosen](value)
                    total = total + hard[edge, chosen] * value
                    for other in range(5):
                        if other != chosen:
                            total = total + hard[edge, other]
            nodes.append(total)
        x = nodes[3]
    torch.autograd.backward(supernet.classify(x).square().sum())
    torch.testing.assert_close(ours, hard.grad, rtol=1e-5, atol=1e-8)


def test_only_the_path_has_gradients(supernet: TopologySupernet, images: torch.Tensor) -> None:
    choices = (3, 0, 0, 0, 2, 0)
    found = gradients(supernet, supernet.path(images, choices).sum())
    inside = {tuple(name.split(".")[3:5]) for name in found if ".layers." in name}
    assert inside == {("0", "3"), ("4", "2")}


def test_sums_of_images_are_taken_in_float32_whatever_amp(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    supernet = TopologySupernet(CLASSES, CHANNELS, CELLS)
    weights = torch.full((6, 5), 0.2)
    exact = supernet.mixture(images.float(), weights)
    supernet.amp = True
    for logits in (
        supernet.mixture(images.float(), weights),
        supernet.path(images.float(), (3, 2, 1, 4, 0, 3)),
        supernet.straight_through(images.float(), torch.eye(5)[[3, 2, 1, 4, 0, 3]]),
    ):
        assert logits.dtype == torch.float32
    torch.testing.assert_close(supernet.mixture(images.float(), weights), exact, rtol=0.1, atol=0.1)


def test_what_fits_no_supernet_is_refused(supernet: TopologySupernet, images: torch.Tensor) -> None:
    for choices in ((0, 1, 2, 3, 4), (0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 4, -1)):
        with pytest.raises(InvalidInput, match="six numbers from 0 to 4"):
            supernet.path(images, choices)
    for call in (supernet.mixture, supernet.straight_through):
        with pytest.raises(InvalidInput, match=r"weights are \(6, 5\), got \(5, 6\)"):
            call(images, torch.zeros(5, 6))
    with pytest.raises(InvalidInput, match="cells_per_stage is an integer from 1"):
        TopologySupernet(10, cells_per_stage=0)
