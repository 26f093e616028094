"""One network that holds all of the size space: each architecture is its first channels.

All five places have the greatest width, 64. An architecture keeps the first channels of each place:
the first rows and columns of every weight. Batch norm takes the statistics of the batch, so a
channel's figures do not depend on its neighbours. In residual blocks it has parameters, elsewhere
none, as in NATS-Bench's code; what they make of a channel of zeros, the width of its place removes.

A width applies to every node of its place: stem and cell 1 share the first, a cell's inner nodes
and its output share its own, so do both convolutions of a residual block. The last applies again
after the last batch norm, which would undo a mask between 0 and 1. (The code that NATS-Bench's
searches ran on narrows nothing but the outputs of stem, cells and blocks, and computes 64 channels
inside; no architecture's own network is ever run there.)

Between equal widths the skip edge of a cell is the identity, and at 64 all are equal. So it is the
identity here for every architecture, as in that code: missing channels are zero, and surplus ones
are left out. In a stand-alone network the skip between *different* widths is a convolution. With
``projected_skips`` the supernet holds its weights too, and every path equals the stand-alone
network. Without, as in NATS-Bench's code, a path does so where cells 2 and 3 are as wide as the
residual blocks before them, and elsewhere differs from it by those skips alone.

Sources: NATS-Bench (Dong et al., arXiv 2009.00437), section 5; TAS (Dong & Yang, NeurIPS 2019) for
the interpolation; FBNet-V2 (Wan et al., CVPR 2020) for the masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import torch
from torch import nn

from nats_gym.checks import as_integers
from nats_gym.errors import InvalidInput, shown
from nats_gym.networks.blocks import ConvBN, ResidualBlock
from nats_gym.networks.cell import OUTPUT, make_edge
from nats_gym.networks.supernet import Supernet, batch_norm
from nats_gym.spaces import get_space
from nats_gym.spaces.size import CELL, WIDTHS
from nats_gym.spaces.topology import EDGES

#: Number of places, and the width of each.
PLACES, WIDTH = 5, WIDTHS[-1]

_CELL: tuple[int, ...] = tuple(get_space("tss").parse(CELL).tolist())
# The one edge of the cell that is a skip from its input.
_SKIP_EDGE = EDGES.index((OUTPUT, 0))

# Applies a width, or a mixture of widths, to a node.
_Adjust = Callable[[torch.Tensor], torch.Tensor]


class SizeSupernet(Supernet):
    """The size space's network at its greatest width, and all narrower ones in it.

    Parameters carry the names of the stand-alone networks', which are their first rows and columns.

    Args:
        num_classes: width of the classifier.
        projected_skips: whether the skips between different widths are convolutions, as in the
            stand-alone networks. Masks compute at one width, where they are the identity.
    """

    def __init__(self, num_classes: int, projected_skips: bool = False) -> None:
        blocks = (
            ResidualBlock(WIDTH, WIDTH, _trained_norm)
            if place % 2
            else _Cell(projected_skips and place > 0)
            for place in range(PLACES)
        )
        super().__init__(WIDTH, blocks, WIDTH, num_classes, batch_norm)
        self._run_masked: Callable[..., torch.Tensor] = self._masked

    def path(self, images: torch.Tensor, choices: Sequence[int]) -> torch.Tensor:
        """One architecture's logits, computed at its own widths.

        Args:
            images: normalised, ``(B, 3, H, W)``.
            choices: of the architecture, ``(5,)``.

        Returns:
            ``(B, num_classes)``.

        Raises:
            InvalidInput: for what are no choices of the size space.
        """
        return self._forward(images, _widths(choices), [nn.Identity()] * PLACES)

    def masked(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Logits with each channel of a place multiplied by its mask.

        With rows of :func:`width_masks` they are those of :meth:`path` without projected skips.

        Args:
            images: as for :meth:`path`.
            masks: factors from 0, ``(5, 64)``.

        Returns:
            ``(B, num_classes)``.

        Raises:
            InvalidInput: for masks of another shape.
        """
        if masks.shape != (PLACES, WIDTH):
            raise InvalidInput(f"masks are ({PLACES}, {WIDTH}), got {tuple(masks.shape)}")
        return self._run_masked(images, masks)

    def _masked(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        adjust = [partial(torch.mul, mask) for mask in masks.view(PLACES, 1, WIDTH, 1, 1)]
        return self._forward(images, [WIDTH] * PLACES, adjust)

    def interpolate(
        self, images: torch.Tensor, choices: Sequence[Sequence[int]], weights: torch.Tensor
    ) -> torch.Tensor:
        """Logits with each node a weighted sum of two widths, both brought to the greater one.

        The lesser is brought there by adaptive averages over its channels. Only the channels of
        the greater are computed.

        Args:
            images: as for :meth:`path`.
            choices: two widths of each place, ``(5, 2)``.
            weights: their weights, ``(5, 2)``.

        Returns:
            ``(B, num_classes)``.

        Raises:
            InvalidInput: for what are no choices, or weights of another shape.
        """
        if weights.shape != (PLACES, 2):
            raise InvalidInput(f"weights are ({PLACES}, 2), got {tuple(weights.shape)}")
        first, second = (_widths([pair[which] for pair in choices]) for which in (0, 1))
        pairs = list(zip(first, second, strict=True))
        blends = [_blend(pair, row) for pair, row in zip(pairs, weights, strict=True)]
        adjust = [partial(nn.functional.conv2d, weight=blend) for blend in blends]
        return self._forward(images, [max(pair) for pair in pairs], adjust)

    def compile_parts(self) -> None:
        """Compile what :meth:`masked` runs; the other two have other widths at every step."""
        self._run_masked = torch.compile(self._masked)

    def _forward(
        self, images: torch.Tensor, widths: Sequence[int], adjust: Sequence[_Adjust]
    ) -> torch.Tensor:
        """Compute the first channels of each place, and adjust all its nodes."""
        if images.device.type == "cpu":  # oneDNN's own format, as in the other networks
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.amp):
            x = adjust[0](_convolve_and_norm(self.stem[0], images, widths[0]))
            for block, width, adjusted in zip(self.cells, widths, adjust, strict=True):
                if isinstance(block, _Cell):
                    x = _run_cell(block.layers, x, width, adjusted)
                elif isinstance(block, ResidualBlock):
                    x = _run_block(block, x, width, adjusted)
            features = adjust[-1](_normalise(x).relu()).mean((2, 3))
            weight = self.classifier.weight[:, : widths[-1]]
            logits = nn.functional.linear(features, weight, self.classifier.bias)
        return logits.float() if self.amp else logits


def width_masks() -> torch.Tensor:
    """The first channels of each width, 0 or 1: float ``(8, 64)``."""
    return (torch.arange(WIDTH) < torch.tensor(WIDTHS)[:, None]).float()


class _Cell(nn.Module):
    """Holds the weights of the fixed cell."""

    def __init__(self, projected_skip: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(make_edge(choice, WIDTH, WIDTH, batch_norm) for choice in _CELL)
        if projected_skip:
            self.layers[_SKIP_EDGE] = _ProjectedSkip()


class _ProjectedSkip(nn.Module):
    """Holds the weights of the skip edge between different widths."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(WIDTH, WIDTH, 1, bias=False)


def _trained_norm(channels: int) -> nn.Module:
    """Batch norm of a residual block: parameters, and always the statistics of the batch."""
    return nn.BatchNorm2d(channels, track_running_stats=False)


def _run_cell(
    layers: Iterable[nn.Module], x: torch.Tensor, width: int, adjust: _Adjust
) -> torch.Tensor:
    nodes = [x]
    rectified = [x.relu()]
    for target in range(1, OUTPUT + 1):
        total: torch.Tensor | None = None
        for (end, source), layer in zip(EDGES, layers, strict=True):
            if end != target:
                continue
            if isinstance(layer, ConvBN):
                value = _convolve_and_norm(layer.op[0], rectified[source], width)
            elif isinstance(layer, _ProjectedSkip) and nodes[source].shape[1] != width:
                value = _convolve_and_norm(layer.conv, nodes[source], width)
            else:
                value = _resize(nodes[source], width)
            total = value if total is None else total + value
        assert total is not None  # every node of this cell is reached
        nodes.append(adjust(total))
        rectified.append(nodes[-1].relu())
    return nodes[OUTPUT]


def _run_block(block: ResidualBlock, x: torch.Tensor, width: int, adjust: _Adjust) -> torch.Tensor:
    inner = adjust(_rescale(block.conv_a, x.relu(), width))
    outer = _rescale(block.conv_b, inner.relu(), width)
    pool, shortcut = block.downsample
    return adjust(outer + _convolve(shortcut, pool(x), width))


def _convolve(conv: nn.Module, x: torch.Tensor, width: int) -> torch.Tensor:
    """The convolution of ``x``, of its own width, to the first channels."""
    assert isinstance(conv, nn.Conv2d)
    weight = conv.weight[:width, : x.shape[1]]
    return nn.functional.conv2d(x, weight, None, conv.stride, conv.padding)


def _convolve_and_norm(conv: nn.Module, x: torch.Tensor, width: int) -> torch.Tensor:
    return _normalise(_convolve(conv, x, width))


def _rescale(layer: ConvBN, rectified: torch.Tensor, width: int) -> torch.Tensor:
    """A residual block's convolution and batch norm, to the first channels."""
    conv, norm = layer.op
    values = _convolve(conv, rectified, width)
    assert isinstance(norm, nn.BatchNorm2d)
    return _normalise(values, norm.weight[:width], norm.bias[:width])


def _normalise(
    x: torch.Tensor, weight: torch.Tensor | None = None, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """Batch norm by the batch's own statistics, in training and evaluation."""
    return nn.functional.batch_norm(x, None, None, weight, bias, training=True)


def _resize(x: torch.Tensor, width: int) -> torch.Tensor:
    """The first channels, or all of them and channels of zeros: ``(B, width, H, W)``."""
    missing = width - x.shape[1]
    return nn.functional.pad(x, (0, 0, 0, 0, 0, missing)) if missing > 0 else x[:, :width]


def _blend(widths: tuple[int, int], weights: torch.Tensor) -> torch.Tensor:
    """The interpolation of two widths as a 1×1 convolution of the greater's channels.

    Source: TAS, equations 3 and 4.
    """
    greatest = max(widths)
    blend = weights.new_zeros(greatest, greatest)
    for width, weight in zip(widths, weights, strict=True):
        own = torch.eye(width, dtype=weights.dtype, device=weights.device)
        spread = nn.functional.adaptive_avg_pool1d(own, greatest).T  # (greatest, width)
        blend = blend + weight * nn.functional.pad(spread, (0, greatest - width))
    return blend[..., None, None]


def _widths(choices: Sequence[int]) -> list[int]:
    given = as_integers(choices)
    if (
        given is None
        or len(given) != PLACES
        or not all(0 <= choice < len(WIDTHS) for choice in given)
    ):
        raise InvalidInput(
            f"choices of a size architecture are {PLACES} from 0 to {len(WIDTHS) - 1}, "
            f"got {shown(choices)}"
        )
    return [WIDTHS[choice] for choice in given]
