"""A group of networks against its members, each alone."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from test_networks import SPECIAL
from torch import nn

from nats_gym.errors import InvalidInput
from nats_gym.networks import Network, build
from nats_gym.networks.cell import Cell
from nats_gym.networks.group import NetworkGroup, SideBySide
from nats_gym.networks.stacked import StackedNetworks, find_obstacle

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES = 7


def topology(digits: Sequence[int] | int, width: int = 4, cells: int = 1) -> Network:
    """With biases that are not zero: zeros hide a lot."""
    network = build("tss", digits, CLASSES, cells_per_stage=cells, stem_width=width)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter)
    return network


def reads(network: Network) -> bool:
    last = network.cells[-1]
    assert isinstance(last, Cell)
    return last.reads_input


def random_topologies(count: int, seed: int) -> list[Network]:
    indices = np.random.default_rng(seed).permutation(15_625)
    networks = (topology(int(index)) for index in indices)
    return [network for network, _ in zip(filter(reads, networks), range(count), strict=False)]


def random_sizes(count: int, seed: int) -> list[Network]:
    indices = np.random.default_rng(seed).integers(32_768, size=count)
    return [build("sss", int(index), CLASSES) for index in indices]


def odd_sizes(seed: int) -> list[Network]:
    """Widths that no architecture has: wider and narrower at random, stage by stage."""
    rng = np.random.default_rng(seed)
    digits = rng.integers(1, 5, size=(4, 6)).tolist()
    return [Network(cell, rng.integers(1, 7, size=5).tolist(), 1, CLASSES) for cell in digits]


def sgd(parameters: object) -> torch.optim.SGD:
    return torch.optim.SGD(parameters, 0.1, 0.9, weight_decay=0.05, nesterov=True)  # type: ignore[arg-type]


def mean_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """``(G, B, classes)`` → the mean loss of each member."""
    return nn.functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none").mean(1)


def check_equal(
    group: NetworkGroup, alone: Sequence[nn.Module], tolerance: float, steps: int = 4
) -> None:
    """Train both on the same batches; logits, gradients, weights and statistics are the same."""

    def same(a: torch.Tensor, b: torch.Tensor, what: str) -> None:
        torch.testing.assert_close(
            a, b, rtol=tolerance, atol=tolerance, msg=lambda text: f"{what}: {text}"
        )

    dtype = next(group.parameters()).dtype
    together, apart = sgd(group.parameters()), [sgd(one.parameters()) for one in alone]
    for step in range(steps):
        images = torch.randn(len(alone), 3, 3, 8, 8, dtype=dtype)
        labels = torch.randint(0, CLASSES, (len(alone), 3))
        logits = group(images)
        own = torch.stack([one(batch) for one, batch in zip(alone, images, strict=True)])
        same(logits, own, f"logits of step {step}")
        assert torch.equal(logits.argsort(), own.argsort())
        together.zero_grad()
        mean_losses(logits, labels).sum().backward()
        for optimizer in apart:
            optimizer.zero_grad()
        mean_losses(own, labels).sum().backward()
        gradients = group.by_member(
            {one: one.grad for one in group.parameters() if one.grad is not None}
        )
        for member, one in enumerate(alone if step == 0 else ()):
            theirs = {n: p.grad for n, p in one.named_parameters() if p.grad is not None}
            assert gradients[member].keys() == theirs.keys()
            for name, gradient in theirs.items():
                same(gradients[member][name], gradient, f"gradient of {name} in step {step}")
        together.step()
        for optimizer in apart:
            optimizer.step()
    momenta = group.by_member({p: s["momentum_buffer"] for p, s in together.state.items()})
    for number, (member, one) in enumerate(zip(group.members, alone, strict=True)):
        state = member.state_dict()
        for name, tensor in one.state_dict().items():
            same(state[name], tensor, name)
        for name, parameter in one.named_parameters():
            if parameter in apart[number].state:
                momentum = apart[number].state[parameter]["momentum_buffer"]
                same(momenta[number][name], momentum, f"momentum of {name}")
    group.eval()
    images = torch.randn(len(alone), 5, 3, 8, 8, dtype=dtype)
    with torch.no_grad():
        logits = group(images)
        for member, one, batch, ours in zip(group.members, alone, images, logits, strict=True):
            assert not member.training
            same(ours, member(batch), "logits of the member alone")
            same(ours, one.eval()(batch), "logits of its twin")


def check_stack(networks: Sequence[Network], dtype: torch.dtype = torch.float64) -> StackedNetworks:
    networks = [network.to(dtype) for network in networks]
    alone = copy.deepcopy(networks)
    group = StackedNetworks(networks)
    for ours, one in zip(networks, alone, strict=True):
        for name, tensor in one.state_dict().items():
            assert torch.equal(ours.state_dict()[name], tensor), name
    check_equal(group, alone, 1e-10 if dtype == torch.float64 else 1e-3)
    check_padding(group)
    return group


def check_padding(group: StackedNetworks) -> None:
    """What the group's parameters hold beside the members' is exactly zero."""
    places = {parameter: torch.ones_like(parameter.data) for parameter in group.parameters()}
    for found in group.by_member(places):
        for place in found.values():
            place.zero_()
    for parameter, beside in places.items():
        assert not parameter.data[beside == 1].any()


def test_all_special_topologies_together() -> None:
    check_stack([one for one in map(topology, SPECIAL.values()) if reads(one)])


@pytest.mark.parametrize("seed", range(4))
def test_random_topologies(seed: int) -> None:
    check_stack(random_topologies(5, seed))


@pytest.mark.parametrize("seed", range(2))
def test_random_sizes(seed: int) -> None:
    check_stack(random_sizes(4, seed))


@pytest.mark.parametrize("seed", range(4))
def test_random_cells_of_random_widths(seed: int) -> None:
    check_stack([one for one in odd_sizes(seed) if reads(one)])


def test_trials_of_several_cells() -> None:
    check_stack([topology((3, 1, 4, 2, 1, 3), cells=2) for _ in range(3)])


def test_one_alone() -> None:
    check_stack([topology((3, 1, 4, 2, 1, 3))])


def test_side_by_side() -> None:
    networks = [topology(digits).double() for digits in SPECIAL.values()]
    alone = copy.deepcopy(networks)
    check_equal(SideBySide(networks), alone, 1e-12)


@pytest.mark.parametrize("make", [random_topologies, random_sizes])
def test_single_precision(make: object) -> None:
    check_stack(make(3, 0), torch.float32)  # type: ignore[operator]


def test_what_cannot_be_stacked_is_refused() -> None:
    unread = next(one for one in map(topology, SPECIAL.values()) if not reads(one))
    one = topology((3, 1, 4, 2, 1, 3))
    for networks in (
        [],
        [one, unread],
        [one, nn.Identity()],
        [one, topology(1_000, cells=2)],
        [one, topology(1_000).double()],
        [one, build("tss", 1_000, 3, cells_per_stage=1, stem_width=4)],
    ):
        assert find_obstacle(networks)
        with pytest.raises(InvalidInput, match="cannot be stacked"):
            StackedNetworks(networks)  # type: ignore[arg-type]
    assert not find_obstacle([one, topology(1_000, width=9)])
