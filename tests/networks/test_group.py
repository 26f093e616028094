"""A group of networks against its members, each alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import torch
from test_networks import SPECIAL
from torch import nn

from nats_gym.errors import InvalidInput
from nats_gym.networks import Network, build, fused, grouping
from nats_gym.networks.cell import Cell
from nats_gym.networks.fused import FusedNetworks
from nats_gym.networks.group import NetworkGroup, Parts, SideBySide, lend_stream
from nats_gym.networks.grouping import choose_group
from nats_gym.networks.stacked import StackedNetworks, find_obstacle

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES = 7


def topology(choices: Sequence[int] | int, width: int = 4, cells: int = 1) -> Network:
    """With biases that are not zero: zeros hide a lot."""
    network = build("tss", choices, CLASSES, cells_per_stage=cells, stem_width=width)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter)
    return network


def reads(network: Network) -> bool:
    last = network.cells[-1]
    assert isinstance(last, Cell)
    return last.reads_input


def random_topologies(count: int, seed: int) -> list[Network]:
    return [topology(int(one)) for one in np.random.default_rng(seed).integers(15_625, size=count)]


def random_sizes(count: int, seed: int) -> list[Network]:
    """Of at most 24 channels a layer."""
    widths = 8 * np.random.default_rng(seed).integers(1, 4, size=(count, 5))
    return [build("sss", ":".join(map(str, one)), CLASSES) for one in widths.tolist()]


def odd_sizes(seed: int) -> list[Network]:
    """Cells and widths that no architecture has: wider and narrower at random, stage by stage."""
    rng = np.random.default_rng(seed)
    choices = rng.integers(5, size=(4, 6)).tolist()
    return [Network(cell, rng.integers(1, 7, size=5).tolist(), 1, CLASSES) for cell in choices]


def sgd(parameters: object) -> torch.optim.SGD:
    return torch.optim.SGD(parameters, 0.1, 0.9, weight_decay=0.05, nesterov=True)  # type: ignore[arg-type]


def mean_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """``(G, B, classes)`` → the mean loss of each member."""
    return nn.functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none").mean(1)


def check_equal(
    group: NetworkGroup, alone: Sequence[nn.Module], tolerance: float, steps: int = 2
) -> None:
    """Train both on the same batches; logits, gradients, weights and statistics are the same."""

    def same(ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]) -> None:
        assert ours.keys() == theirs.keys()
        for name, tensor in theirs.items():
            if not torch.allclose(ours[name], tensor, tolerance, tolerance):
                torch.testing.assert_close(ours[name], tensor, msg=name)

    dtype = next(group.parameters()).dtype
    together, apart = sgd(group.parameters()), [sgd(one.parameters()) for one in alone]
    for _ in range(steps):
        images = torch.randn(len(alone), 3, 3, 8, 8, dtype=dtype)
        labels = torch.randint(0, CLASSES, (len(alone), 3))
        logits = group(images)
        own = torch.stack([one(batch) for one, batch in zip(alone, images, strict=True)])
        same({"logits": logits}, {"logits": own})
        assert torch.equal(logits.argsort(), own.argsort())
        for optimizer in (together, *apart):
            optimizer.zero_grad()
        mean_losses(logits, labels).sum().backward()
        mean_losses(own, labels).sum().backward()
        gradients = group.by_member(
            {one: one.grad for one in group.parameters() if one.grad is not None}
        )
        for ours, one in zip(gradients, alone, strict=True):
            same(ours, {n: p.grad for n, p in one.named_parameters() if p.grad is not None})
        for optimizer in (together, *apart):
            optimizer.step()
    momenta = group.by_member({p: s["momentum_buffer"] for p, s in together.state.items()})
    for member, ours, one, own in zip(group.members, momenta, alone, apart, strict=True):
        same(member.state_dict(), one.state_dict())
        states = {name: own.state[parameter] for name, parameter in one.named_parameters()}
        same(ours, {n: s["momentum_buffer"] for n, s in states.items() if s})
    group.eval()
    images = torch.randn(len(alone), 5, 3, 8, 8, dtype=dtype)
    with torch.no_grad():
        for member, one, batch, logits in zip(
            group.members, alone, images, group(images), strict=True
        ):
            assert not member.training
            same({"logits": logits}, {"logits": member(batch)})
            same({"logits": logits}, {"logits": one.eval()(batch)})


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


@pytest.mark.one_in(2)
@pytest.mark.parametrize("half", [0, 1])
def test_special_topologies_together(half: int) -> None:
    check_stack([topology(choices) for choices in SPECIAL.values()][half::2])


@pytest.mark.parametrize("count", [1, 3])
def test_none_that_reads_its_input(count: int) -> None:
    check_stack([one for one in map(topology, SPECIAL.values()) if not reads(one)][:count])


@pytest.mark.one_in(7)
@pytest.mark.parametrize("seed", range(4))
def test_random_topologies(seed: int) -> None:
    check_stack(random_topologies(5, seed))


@pytest.mark.one_in(2)
@pytest.mark.parametrize("seed", range(2))
def test_random_sizes(seed: int) -> None:
    check_stack(random_sizes(4, seed))


@pytest.mark.one_in(2)
@pytest.mark.parametrize("seed", range(4))
def test_random_cells_of_random_widths(seed: int) -> None:
    check_stack(odd_sizes(seed))


def test_trials_of_several_cells() -> None:
    check_stack([topology((3, 1, 4, 2, 1, 3), cells=2) for _ in range(3)])


def test_one_alone() -> None:
    check_stack([topology((3, 1, 4, 2, 1, 3))])


def test_groups_of_several_kinds_side_by_side() -> None:
    networks = [topology(choices, width) for width, choices in ((4, 11_711), (8, 5), (4, 9_000))]
    networks = [one.double() for one in [*networks, *odd_sizes(1)[:1]]]
    alone = copy.deepcopy(networks)
    parts = SideBySide([networks[2], networks[0]]), StackedNetworks([networks[3], networks[1]])
    group = Parts(parts, [[2, 0], [3, 1]])
    assert all(ours is one for ours, one in zip(group.members, networks, strict=True))
    check_equal(group, alone, 1e-10)  # in which the order of logits, gradients and momenta counts


def test_side_by_side() -> None:
    networks = [topology(choices).double() for choices in list(SPECIAL.values())[::4]]
    alone = copy.deepcopy(networks)
    check_equal(SideBySide(networks), alone, 1e-12)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("make", [random_topologies, random_sizes])
def test_single_precision(make: object) -> None:
    check_stack(make(3, 0), torch.float32)  # type: ignore[operator]


def test_a_member_that_diverges_leaves_the_others_alone() -> None:
    networks = [one.double() for one in odd_sizes(0)[:1] + random_topologies(3, 0)]
    assert all(map(reads, networks))
    alone = copy.deepcopy(networks)
    group = StackedNetworks(networks)
    together = sgd(group.parameters())
    images = torch.randn(len(networks), 3, 3, 8, 8, dtype=torch.float64)
    images[1] = torch.nan
    labels = torch.randint(0, CLASSES, images.shape[:2])
    for _ in range(2):
        together.zero_grad()
        mean_losses(group(images), labels).sum().backward()
        together.step()
    for member, one in enumerate(alone):
        optimizer = sgd(one.parameters())
        for _ in range(2):
            optimizer.zero_grad()
            nn.functional.cross_entropy(one(images[member]), labels[member]).backward()
            optimizer.step()
    finite = [all(p.isfinite().all() for p in member.parameters()) for member in networks]
    assert finite == [member != 1 for member in range(len(networks))]
    for member, one in enumerate(alone):
        if member != 1:
            assert_same_state(networks[member], one)


def assert_same_state(ours: nn.Module, theirs: nn.Module) -> None:
    state = theirs.state_dict()
    for name, tensor in ours.state_dict().items():
        torch.testing.assert_close(tensor, state[name], rtol=1e-10, atol=1e-10, msg=name)


@pytest.mark.parametrize("kind", [SideBySide, StackedNetworks])
def test_members_follow_a_group_that_is_converted(kind: type[NetworkGroup]) -> None:
    networks = random_topologies(2, 0)
    group = kind(networks).double().to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, 3, 8, 8, dtype=torch.float64)
    optimizer = sgd(group.parameters())
    mean_losses(group(images), torch.zeros(2, 3, dtype=torch.long)).sum().backward()
    optimizer.step()
    logits = group.eval()(images)
    own = torch.stack([one(batch) for one, batch in zip(networks, images, strict=True)])
    torch.testing.assert_close(logits, own)


def test_half_precision_where_torch_chooses_it() -> None:
    networks = random_topologies(4, 1)
    alone = copy.deepcopy(networks)
    group = StackedNetworks(networks)
    images = torch.randn(4, 3, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        logits = group(images).float()
        own = torch.stack([one(batch) for one, batch in zip(alone, images, strict=True)]).float()
    logits.square().sum().backward()
    assert (logits - own).abs().max() < 0.1 * own.abs().max()
    assert all(one.grad is not None for one in group.parameters())


def test_the_kind_of_group_that_is_chosen() -> None:
    def chosen(networks: Sequence[nn.Module], resolution: int = 8, batch: int = 24) -> type:
        return type(choose_group(networks, resolution, batch))

    trial = (3, 1, 4, 2, 1, 3)
    assert chosen([topology(trial, 16) for _ in range(3)]) is StackedNetworks
    assert chosen(random_sizes(3, 0)) is StackedNetworks
    assert chosen([topology(trial, 16)]) is SideBySide
    assert chosen([topology(trial, 16) for _ in range(3)], 32, 256) is SideBySide
    assert chosen([topology(trial, 16), nn.Flatten()]) is SideBySide
    assert chosen(random_topologies(4, 0)) is SideBySide  # they share too little
    wide = [build("sss", sizes, CLASSES) for sizes in ("8:8:8:8:8", "64:8:8:8:8")]
    assert chosen(wide) is SideBySide  # half of it were padding


def test_what_is_fused_where_kernels_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on CUDA, but that no kernel runs here."""
    monkeypatch.setattr(grouping, "find_fusing_obstacle", fused._find_shape_obstacle)
    trial = (3, 1, 4, 2, 1, 3)
    narrow, deaf, wide, odd = (
        topology(trial, 8),
        topology((3, 3, 3, 0, 0, 0), 8),
        build("sss", "64:64:64:64:64", CLASSES, cells_per_stage=1),
        nn.Flatten(),
    )
    assert type(choose_group([narrow, topology(1_000, 16)], 32, 256)) is FusedNetworks
    assert type(choose_group([wide, odd], 32, 256)) is SideBySide
    group = choose_group([odd, narrow, wide, topology(1_000, 8), deaf], 32, 256)
    assert isinstance(group, Parts)
    assert [type(part) for part in group.parts] == [FusedNetworks, SideBySide]
    assert [len(part.members) for part in group.parts] == [2, 3]  # type: ignore[arg-type]
    assert group.members[:3] == (odd, narrow, wide)
    # Of another skeleton than each other, no two are fused.
    both = [narrow, topology(1_000, 8, cells=2)]
    assert type(choose_group(both, 32, 256)) is SideBySide


def test_what_cannot_be_stacked_is_refused() -> None:
    one = topology((3, 1, 4, 2, 1, 3))
    for networks in (
        [],
        [one, nn.Identity()],
        [one, topology(1_000, cells=2)],
        [one, topology(1_000).double()],
        [one, build("tss", 1_000, 3, cells_per_stage=1, stem_width=4)],
    ):
        assert find_obstacle(networks)
        with pytest.raises(InvalidInput, match="cannot be stacked"):
            StackedNetworks(networks)  # type: ignore[arg-type]
    assert not find_obstacle([one, topology(1_000, width=9)])
    frozen, other, watched = topology(3), topology(3), topology(3)
    frozen.classifier.bias.requires_grad_(False)
    other.lastact[0].momentum = 0.9
    watched.stem.register_forward_hook(lambda *_: None)
    for network, why in ((frozen, "not to be trained"), (other, "batch norm"), (watched, "hooks")):
        assert why in find_obstacle([one, network])
    for kind in (SideBySide, StackedNetworks):
        with pytest.raises(InvalidInput, match="once"):
            kind([one, one])


def test_streams_are_lent_again_once_their_owner_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream:
        def __init__(self, device: torch.device) -> None:
            self.device = device

    class Owner:
        pass

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr("nats_gym.networks.group._FREE", {})
    card, other = torch.device("cuda", 0), torch.device("cuda", 1)
    one, two = Owner(), Owner()
    lent = [lend_stream(one, card), lend_stream(one, card), lend_stream(two, card)]
    assert len(set(map(id, lent))) == 3
    del one
    assert lend_stream(two, other) not in lent
    again = [lend_stream(two, card) for _ in range(3)]
    assert set(map(id, lent[:2])) < set(map(id, again))
    assert lent[2] not in again
