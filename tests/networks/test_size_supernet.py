"""The size supernet against plain narrow networks, by hand, and by finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from reference_network import ReferenceNetwork, Skip
from torch import nn

from nats_gym.errors import InvalidInput
from nats_gym.networks import build
from nats_gym.networks.size_supernet import SizeSupernet, _blend, width_masks

#: Cells 2 and 3 as wide as the blocks before them: no skip between different widths.
EQUAL = [(0, 0, 0, 0, 0), (7, 7, 7, 7, 7), (2, 0, 0, 5, 5), (6, 3, 3, 1, 1), (0, 7, 7, 0, 0)]
#: Skips to narrower and to wider cells.
DIFFERENT = [(3, 6, 2, 5, 1), (0, 1, 7, 0, 4), (7, 0, 3, 6, 6), (1, 4, 4, 7, 0)]


pytestmark = pytest.mark.usefixtures("one_thread")


def as_trained(supernet: SizeSupernet) -> SizeSupernet:
    """In float64, the parameters of its batch norms of all sorts."""
    for module in supernet.double().modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return supernet


@pytest.fixture
def supernet() -> SizeSupernet:
    return as_trained(SizeSupernet(7))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(4, 3, 8, 8, dtype=torch.float64)


class FirstChannels(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = x.new_zeros(len(x), self.width, *x.shape[2:])
        common = min(self.width, x.shape[1])
        kept[:, :common] = x[:, :common]
        return kept


def without_statistics(network: nn.Module) -> None:
    """Batch norms by their batch alone; with parameters in residual blocks, elsewhere without."""
    for path, module in list(network.named_modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                trained = "conv_a" in path or "conv_b" in path
                bare = nn.BatchNorm2d(child.num_features, affine=trained, track_running_stats=False)
                setattr(module, name, bare.double())


def sliced(supernet: nn.Module, names: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The first rows and columns of the supernet's weights, in the shapes of ``names``."""
    whole = supernet.state_dict()
    return {
        name: whole[name][tuple(slice(length) for length in like.shape)]
        for name, like in names.items()
    }


def plain_network(supernet: nn.Module, choices: tuple[int, ...]) -> ReferenceNetwork:
    """The plain narrow network with the supernet's weights; skips keep the first channels."""
    network = ReferenceNetwork("sss", choices, 7).double()
    without_statistics(network)
    for cell in network.cells:
        for edge, layer in enumerate(getattr(cell, "layers", [])):
            if isinstance(layer, Skip):
                cell.layers[edge] = FirstChannels(layer.conv.out_channels)
    network.load_state_dict(sliced(supernet, network.state_dict()), strict=True)
    return network


@pytest.mark.parametrize("choices", EQUAL)
def test_a_path_without_skips_between_widths_is_the_stand_alone_network(
    supernet: SizeSupernet, images: torch.Tensor, choices: tuple[int, ...]
) -> None:
    network = build("sss", choices, 7).double()
    without_statistics(network)
    network.load_state_dict(sliced(supernet, network.state_dict()), strict=True)
    torch.testing.assert_close(supernet.path(images, choices), network(images))


def test_with_projected_skips_every_path_is_the_stand_alone_network(images: torch.Tensor) -> None:
    torch.manual_seed(3)
    supernet = as_trained(SizeSupernet(7, projected_skips=True))
    drawn = torch.randint(8, (4, 5)).tolist()
    for choices in [*EQUAL, *DIFFERENT, *map(tuple, drawn)]:
        network = build("sss", choices, 7).double()
        without_statistics(network)
        network.load_state_dict(sliced(supernet, network.state_dict()), strict=True)
        logits = supernet.path(images, choices)
        torch.testing.assert_close(logits, network(images))
        supernet.zero_grad()
        logits.square().sum().backward()
        network(images).square().sum().backward()
        gradients = dict(supernet.named_parameters())
        for name, parameter in network.named_parameters():
            part = tuple(slice(length) for length in parameter.shape)
            torch.testing.assert_close(gradients[name].grad[part], parameter.grad)


@pytest.mark.parametrize("choices", DIFFERENT)
def test_elsewhere_it_differs_by_the_skips_alone(
    supernet: SizeSupernet, images: torch.Tensor, choices: tuple[int, ...]
) -> None:
    logits = supernet.path(images, choices)
    torch.testing.assert_close(logits, plain_network(supernet, choices)(images))
    # The stand-alone network holds a convolution there, for which there are no weights.
    missing = set(build("sss", choices, 7).state_dict()) - set(supernet.state_dict())
    skips = {f"cells.{cell}.layers.3.conv.weight" for cell in (2, 4)}
    widths = {2: choices[1] != choices[2], 4: choices[3] != choices[4]}
    assert skips & missing == {f"cells.{c}.layers.3.conv.weight" for c in widths if widths[c]}
    assert {name for name in missing if name.endswith("conv.weight")} == skips & missing


@pytest.mark.parametrize("choices", EQUAL[:3] + DIFFERENT)
def test_masks_of_zeros_and_ones_make_the_path(
    supernet: SizeSupernet, images: torch.Tensor, choices: tuple[int, ...]
) -> None:
    masks = width_masks().double()[list(choices)]
    torch.testing.assert_close(supernet.masked(images, masks), supernet.path(images, choices))


def test_the_gradients_of_a_path_are_the_stand_alone_networks_and_zero_elsewhere(
    supernet: SizeSupernet, images: torch.Tensor
) -> None:
    choices = DIFFERENT[0]
    network = plain_network(supernet, choices)
    network(images).square().sum().backward()
    supernet.path(images, choices).square().sum().backward()
    by_path = {name: p.grad for name, p in supernet.named_parameters()}
    for name, parameter in network.named_parameters():
        gradient = by_path[name]
        assert gradient is not None
        assert parameter.grad is not None
        part = tuple(slice(length) for length in parameter.shape)
        torch.testing.assert_close(gradient[part], parameter.grad)
        rest = gradient.clone()
        rest[part] = 0
        assert not rest.any()
    supernet.zero_grad()
    masks = width_masks().double()[list(choices)]
    supernet.masked(images, masks).square().sum().backward()
    for name, parameter in supernet.named_parameters():
        torch.testing.assert_close(parameter.grad, by_path[name])


def test_masked_channels_are_exactly_zero_at_every_convolution(
    supernet: SizeSupernet, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    convolve = nn.functional.conv2d

    def watched(x: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        seen.append(x)
        return convolve(x, *arguments, **options)

    monkeypatch.setattr(nn.functional, "conv2d", watched)
    masks = torch.zeros(5, 64, dtype=torch.float64)
    masks[:, :8] = 1
    supernet.masked(images, masks)
    assert len(seen) == 1 + 3 * 5 + 2 * 3  # stem, five convolutions a cell, three a block
    assert all((x[:, 8:] == 0).all() and x[:, :8].any() for x in seen[1:])


def test_a_channel_of_zeros_stays_zero_through_batch_norm() -> None:
    x = torch.zeros(4, 2, 3, 3)
    assert not nn.functional.batch_norm(x, None, None, training=True).any()


def test_gradients_of_soft_masks_are_finite_differences(
    supernet: SizeSupernet, images: torch.Tensor
) -> None:
    masks = torch.rand(5, 64, dtype=torch.float64).add(0.2).requires_grad_()
    labels = torch.tensor([0, 3, 5, 6])

    def loss(masks: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(supernet.masked(images, masks), labels)

    (gradient,) = torch.autograd.grad(loss(masks), masks)
    assert (gradient.abs().amax(1) > 1e-4).all()  # no batch norm undoes a place's masks
    step = 1e-7  # below the next kink of a ReLU
    for place, channel in [(0, 0), (0, 63), (1, 20), (2, 5), (3, 40), (4, 9), (4, 60)]:
        shift = torch.zeros_like(gradient)
        shift[place, channel] = step
        with torch.no_grad():
            slope = (loss(masks + shift) - loss(masks - shift)) / (2 * step)
        assert slope.item() == pytest.approx(gradient[place, channel].item(), rel=1e-4, abs=1e-8)


def test_interpolation_by_hand(supernet: SizeSupernet) -> None:
    # 8 channels to 16: each is doubled. 16 channels to 24: windows of one or two of them, as
    # adaptive pooling has them, ⌊2i/3⌋ to ⌈2(i+1)/3⌉.
    channels = torch.arange(24.0)
    doubled = _blend((8, 16), torch.tensor([0.25, 0.75]))[..., 0, 0] @ channels[:16]
    expected = [0.25 * (channel // 2) + 0.75 * channel for channel in range(16)]
    np.testing.assert_allclose(doubled, expected, rtol=1e-6)
    mixed = _blend((24, 16), torch.tensor([0.0, 1.0]))[..., 0, 0] @ channels
    np.testing.assert_allclose(mixed[:6], [0, 0.5, 1, 2, 2.5, 3], rtol=1e-6)
    by_torch = nn.functional.adaptive_avg_pool3d(channels[:16].view(1, 16, 1, 1), (24, 1, 1))
    torch.testing.assert_close(mixed, by_torch.flatten())


def test_interpolation_of_the_supernet_is_the_plain_one(
    supernet: SizeSupernet, images: torch.Tensor
) -> None:
    pairs = [(0, 1), (5, 2), (2, 4), (7, 6), (3, 0)]
    weights = torch.rand(5, 2, dtype=torch.float64)
    logits = supernet.interpolate(images, pairs, weights)
    torch.testing.assert_close(logits, plain_interpolation(supernet, images, pairs, weights))


def plain_interpolation(
    supernet: SizeSupernet, images: torch.Tensor, pairs: Any, weights: torch.Tensor
) -> torch.Tensor:
    """At 64 channels all the way; each node is interpolated and filled up with zeros."""

    def adjust(place: int, x: torch.Tensor) -> torch.Tensor:
        widths = [8 * (digit + 1) for digit in pairs[place]]
        greatest = max(widths)
        out = sum(
            weight * nn.functional.adaptive_avg_pool3d(x[:, :width], (greatest, *x.shape[2:]))
            for weight, width in zip(weights[place], widths, strict=True)
        )
        assert isinstance(out, torch.Tensor)
        return torch.cat([out, x.new_zeros(len(x), 64 - greatest, *x.shape[2:])], 1)

    whole = plain_network(supernet, (7, 7, 7, 7, 7))
    x = adjust(0, whole.stem(images))
    for place, cell in enumerate(whole.cells):
        if place % 2:
            inner = adjust(place, cell.conv_a(x))
            x = adjust(place, cell.downsample(x) + cell.conv_b(inner))
        else:
            layers = cell.layers
            one = adjust(place, layers[0](x))
            two = adjust(place, layers[1](x) + layers[2](one))
            x = adjust(place, x + layers[4](one) + layers[5](two))
    features = adjust(4, whole.lastact(x)).mean((2, 3))
    return whole.classifier(features)


def test_interpolation_with_all_weight_on_the_greater_width_is_its_path(
    supernet: SizeSupernet, images: torch.Tensor
) -> None:
    pairs = [(1, 0), (5, 2), (4, 3), (7, 0), (6, 5)]
    weights = torch.tensor([[1.0, 0.0]] * 5, dtype=torch.float64)
    logits = supernet.interpolate(images, pairs, weights)
    torch.testing.assert_close(logits, supernet.path(images, [pair[0] for pair in pairs]))


def test_gradients_of_interpolation_weights_are_finite_differences(
    supernet: SizeSupernet, images: torch.Tensor
) -> None:
    pairs = [(1, 0), (5, 2), (4, 3), (0, 7), (6, 5)]
    weights = torch.rand(5, 2, dtype=torch.float64).requires_grad_()

    def loss(weights: torch.Tensor) -> torch.Tensor:
        return supernet.interpolate(images, pairs, weights).square().mean()

    (gradient,) = torch.autograd.grad(loss(weights), weights)
    step = 1e-7  # below the next kink of a ReLU
    for place in range(5):
        shift = torch.zeros_like(gradient)
        shift[place, 0] = step
        with torch.no_grad():
            slope = (loss(weights + shift) - loss(weights - shift)) / (2 * step)
        assert slope.item() == pytest.approx(gradient[place, 0].item(), rel=1e-4, abs=1e-8)


def test_masks_of_every_width() -> None:
    masks = width_masks()
    assert masks.shape == (8, 64)
    assert masks.sum(1).tolist() == [8, 16, 24, 32, 40, 48, 56, 64]
    assert (masks[:, :-1] >= masks[:, 1:]).all()  # the first channels


@pytest.mark.parametrize("choices", [(0, 1, 2), (0, 1, 2, 3, 8), (-1, 0, 0, 0, 0)])
def test_what_are_no_choices_is_refused(
    supernet: SizeSupernet, images: torch.Tensor, choices: tuple[int, ...]
) -> None:
    with pytest.raises(InvalidInput, match="5 from 0 to 7"):
        supernet.path(images, choices)


def test_masks_and_weights_of_another_shape_are_refused(
    supernet: SizeSupernet, images: torch.Tensor
) -> None:
    with pytest.raises(InvalidInput, match=r"\(5, 64\), got \(5, 8\)"):
        supernet.masked(images, torch.ones(5, 8))
    with pytest.raises(InvalidInput, match=r"\(5, 2\), got \(5, 8\)"):
        supernet.interpolate(images, [(0, 1)] * 5, torch.ones(5, 8))
