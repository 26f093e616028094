"""What fused kernels are told of a block: convolutions, skips and pools, as tables of numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import nn

from nats_gym.networks.blocks import ConvBN, Pool, Projection, ResidualBlock
from nats_gym.networks.cell import OUTPUT, Cell
from nats_gym.networks.network import Network
from nats_gym.spaces.topology import EDGES

#: Channels of the images.
COLOURS = 3
# Channels of a bundle, at most: the narrowest block, which more would widen (no gain was measured).
_TOGETHER = 16


class Unit(NamedTuple):
    """A convolution of one member, see :data:`nats_gym.networks.fused_kernels.COLUMNS`."""

    member: int
    source: int
    target: int
    name: str
    conv: nn.Conv2d
    norm: nn.BatchNorm2d | None
    norm_name: str
    rectified: bool
    shared: bool = False

    @property
    def side(self) -> int:
        """Height and width of the kernel."""
        return 2 if self.shared else self.conv.kernel_size[0]

    @property
    def stride(self) -> int:
        """Pixels of the input between two of the output."""
        return 2 if self.shared else self.conv.stride[0]

    @property
    def padding(self) -> int:
        """Zeros around the input."""
        return 0 if self.shared else self.conv.kernel_size[0] // 2


class Link(NamedTuple):
    """A skip, or a pool, of one member."""

    member: int
    source: int
    target: int
    pooled: bool


@dataclass(frozen=True)
class Structure:
    """A block of all members: stem, cell or residual block.

    Attributes:
        input_widths, widths: of the input and of the other nodes, of each member.
        nodes: how many, beside the input.
        units, links: what is computed.
    """

    input_widths: list[int]
    widths: list[int]
    nodes: int
    units: list[Unit]
    links: list[Link]


def find_structures(members: Sequence[Network]) -> Iterator[Structure]:
    """Yield the blocks of networks of one skeleton, from the stem on."""
    stems = [_find_stem(number, member) for number, member in enumerate(members)]
    widths = [unit.conv.out_channels for unit in stems]
    yield Structure([COLOURS] * len(members), widths, 1, stems, [])
    for number, cell in enumerate(members[0].cells):
        units: list[Unit] = []
        links: list[Link] = []
        input_widths, widths = widths, []
        for position, member in enumerate(members):
            prefix, block = f"cells.{number}", member.cells[number]
            if isinstance(block, Cell):
                own_units, own_links = _find_edges(position, prefix, block)
                widths.append(block.c_out)
                links += own_links
            else:
                own_units = _find_residual(position, prefix, cast(ResidualBlock, block))
                widths.append(own_units[0].conv.out_channels)
            units += own_units
        yield Structure(input_widths, widths, OUTPUT if isinstance(cell, Cell) else 2, units, links)


def _find_stem(member: int, network: Network) -> Unit:
    conv, norm = network.stem.children()
    return Unit(
        *(member, 0, 1, "stem.0"),
        *(cast(nn.Conv2d, conv), cast(nn.BatchNorm2d, norm), "stem.1"),
        rectified=False,
    )


def _find_residual(member: int, prefix: str, block: ResidualBlock) -> list[Unit]:
    """Convolutions of a member's residual block."""
    units = [
        _unit(member, source, target, f"{prefix}.{name}", part)
        for source, target, name, part in (
            (0, 1, "conv_a", block.conv_a),
            (1, 2, "conv_b", block.conv_b),
        )
    ]
    # A mean of 2×2 pixels, then 1×1: a 2×2 kernel whose taps share their weight.
    shortcut = cast(nn.Conv2d, block.downsample[1])
    name = f"{prefix}.downsample.1"
    return [*units, Unit(member, 0, 2, name, shortcut, None, "", rectified=False, shared=True)]


def _find_edges(member: int, prefix: str, cell: Cell) -> tuple[list[Unit], list[Link]]:
    """Convolutions and other edges of a member's cell, as far as they matter."""
    units, links = [], []
    for edge in cell.live:
        target, source = EDGES[edge]
        layer, name = cell.layers[edge], f"{prefix}.layers.{edge}"
        if isinstance(layer, ConvBN):
            units.append(_unit(member, source, target, name, layer))
        elif isinstance(layer, Projection):
            norm = cast(nn.BatchNorm2d, layer.bn)
            names = f"{name}.conv", f"{name}.bn"
            units.append(
                Unit(member, source, target, names[0], layer.conv, norm, names[1], rectified=False)
            )
        else:
            links.append(Link(member, source, target, isinstance(layer, Pool)))
    return units, links


def _unit(member: int, source: int, target: int, name: str, part: ConvBN) -> Unit:
    conv, norm = cast(tuple[nn.Conv2d, nn.BatchNorm2d], tuple(part.op.children()))
    names = f"{name}.op.1", f"{name}.op.2"
    return Unit(member, source, target, names[0], conv, norm, names[1], rectified=True)


def _bundle(units: Sequence[Unit]) -> list[list[Unit]]:
    """Units of one member, input and kernel, to be computed as one: its input is read once.

    Kernels of one side and stride come together.
    """
    found: dict[tuple[int, ...], list[list[Unit]]] = {}
    for unit in units:
        kind = unit.side, unit.stride, unit.member, unit.source, unit.rectified
        same = found.setdefault(kind, [[]])
        if sum(one.conv.out_channels for one in (*same[-1], unit)) > _TOGETHER:
            same.append([])
        same[-1].append(unit)
    return [bundle for kind in sorted(found) for bundle in found[kind] if bundle]


class Place(NamedTuple):
    """Where a unit's parameters lie in its block's.

    Attributes:
        weights: its bundle's part of the weights.
        width: of its bundle, channels.
        first: of its bundle's channels.
        channels: of its own, among all of the block's convolutions.
    """

    weights: slice
    width: int
    first: int
    channels: slice

    @property
    def within(self) -> slice:
        """Its channels among its bundle's."""
        return slice(self.channels.start - self.first, self.channels.stop - self.first)


@dataclass(frozen=True)
class Launch:
    """What one launch is for: how many, their numbers, and the block that holds the widest."""

    count: int
    table: torch.Tensor
    block: int


class Kernels(NamedTuple):
    """Bundles whose kernels are of one side and stride, and their part of the weights."""

    side: int
    stride: int
    launch: Launch
    begin: int
    end: int


class Tables:
    """A block's tables, see :mod:`nats_gym.networks.fused_kernels`.

    Args:
        structure: the block.
        device: where kernels read them.

    Attributes:
        channels: of a node, of all members.
        convolved, weights: numbers of channels and weights of all convolutions.
        input_block, block: powers of two that hold the widest input, and the widest other node.
        held: each unit, in the order of their channels, and where its parameters lie.
        units, bundles: rows of :data:`nats_gym.networks.fused_kernels.COLUMNS`.
        leaving: bundles by source; entering: units by target.
        kernels: bundles by kernel.
        sums: for each node what makes it; inputs: for each what its gradient is made of.
        read, fed: whether anything reads a node, and whether anything goes into it.
    """

    def __init__(self, structure: Structure, device: torch.device) -> None:
        self._structure, self._device = structure, device
        widths, input_widths = structure.widths, structure.input_widths
        self._before = _sums_before(input_widths), _sums_before(widths)
        self._bundles = _bundle(structure.units)
        self._firsts = [bundle[0] for bundle in self._bundles]
        self._taps = [sum(one.conv.weight.numel() for one in some) for some in self._bundles]
        self._outputs = [sum(one.conv.out_channels for one in some) for some in self._bundles]
        self._offsets = _sums_before(self._taps)
        self.channels, self.convolved = sum(widths), sum(self._outputs)
        self.weights = sum(self._taps)
        self.input_block, self.block = find_power(max(input_widths)), find_power(max(widths))
        self.held = list(self._place())
        self._units = [unit for unit, _ in self.held]
        self.units = self._table([self._row(*held) for held in self.held])
        self.bundles = self._table(
            [self._row(*held, whole=True) for held in self.held if not held[1].within.start]
        )
        nodes = range(structure.nodes + 1)
        self.leaving = [self._launch_leaving(node) for node in nodes[:-1]]
        self.entering = [self._launch_entering(node) for node in nodes]
        self.kernels = self._sort_kernels()
        self.sums = [self._list_entering(node) for node in nodes]
        self.inputs = [self._list_leaving(node) for node in nodes[:-1]]
        edges = [(one.source, one.target) for one in self._units]
        edges += [(one.source, one.target) for one in structure.links]
        self.read = [any(source == node for source, _ in edges) for node in nodes[:-1]] + [True]
        self.fed = [any(target == node for _, target in edges) for node in nodes]

    def _place(self) -> Iterator[tuple[Unit, Place]]:
        channels = _sums_before(self._outputs)
        for number, bundle in enumerate(self._bundles):
            offset, first, width = self._offsets[number], channels[number], self._outputs[number]
            channel = first
            for unit in bundle:
                end = channel + unit.conv.out_channels
                weights = slice(offset, offset + self._taps[number])
                yield unit, Place(weights, width, first, slice(channel, end))
                channel = end

    def _row(self, unit: Unit, place: Place, whole: bool = False) -> list[int]:
        """Of a unit, or of the whole bundle that it is the first of."""
        return [
            unit.conv.in_channels,
            place.width if whole else unit.conv.out_channels,
            self._before[unit.source > 0][unit.member],
            self._before[1][unit.member],
            place.channels.start,
            place.weights.start,
            unit.side,
            unit.padding,
            unit.rectified,
            unit.norm is not None,
            unit.shared,
            unit.source,
            place.first,
            place.width,
        ]

    def _launch(self, chosen: list[int], widest: int) -> Launch:
        return Launch(len(chosen), self._table([chosen]), find_power(widest))

    def _launch_bundles(self, chosen: list[int]) -> Launch:
        return self._launch(chosen, max((self._outputs[one] for one in chosen), default=1))

    def _launch_leaving(self, source: int) -> Launch:
        return self._launch_bundles(
            [number for number, one in enumerate(self._firsts) if one.source == source]
        )

    def _launch_entering(self, target: int) -> Launch:
        chosen = [number for number, one in enumerate(self._units) if one.target == target]
        return self._launch(chosen, max(self._structure.widths))

    def _sort_kernels(self) -> list[Kernels]:
        found: dict[tuple[int, int], list[int]] = {}
        for number, one in enumerate(self._firsts):
            found.setdefault((one.side, one.stride), []).append(number)
        return [
            Kernels(
                *(side, stride, self._launch_bundles(same)),
                begin=self._offsets[same[0]],
                end=self._offsets[same[-1]] + self._taps[same[-1]],
            )
            for (side, stride), same in found.items()
        ]

    def _list_entering(self, node: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of ``assemble``, and the units that they tell of."""
        entries: list[int] = []
        rows = []
        for member, width in enumerate(self._structure.widths):
            own = [
                number
                for number, one in enumerate(self._units)
                if (one.member, one.target) == (member, node)
            ]
            links = [
                one for one in self._structure.links if (one.member, one.target) == (member, node)
            ]
            bits = _set_bits([(one.source, one.pooled) for one in links])
            before = self._before[1][member], self._before[0][member]
            rows.append([width, *before, len(entries), len(entries) + len(own), *bits])
            entries += own
        return self._table(rows), self._table([entries])

    def _list_leaving(self, node: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of ``differentiate_input``, and the bundles that they tell of."""
        entries: list[int] = []
        rows = []
        widths = self._structure.widths if node else self._structure.input_widths
        for member, width in enumerate(widths):
            own = [
                number
                for number, one in enumerate(self._firsts)
                if (one.member, one.source) == (member, node)
            ]
            own.sort(key=lambda one: not self._firsts[one].rectified)
            rectified = sum(self._firsts[one].rectified for one in own)
            links = [
                one for one in self._structure.links if (one.member, one.source) == (member, node)
            ]
            bits = _set_bits([(one.target, one.pooled) for one in links])
            before = self._before[node > 0][member], self._before[1][member]
            first = len(entries)
            rows.append([width, *before, first, first + rectified, first + len(own), *bits])
            entries += own
        return self._table(rows), self._table([entries])

    def _table(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        return torch.tensor(rows, dtype=torch.int32, device=self._device)


def _set_bits(links: Sequence[tuple[int, bool]]) -> tuple[int, int]:
    """Nodes, as bits, that are added as they are, and those that are pooled."""
    added = sum(1 << node for node, pooled in links if not pooled)
    return added, sum(1 << node for node, pooled in links if pooled)


def _sums_before(numbers: Sequence[int]) -> list[int]:
    """The sum of all numbers before each."""
    return list(itertools.accumulate(numbers, initial=0))[:-1]


def find_power(width: int) -> int:
    """The power of two, from 16, that holds a width."""
    return max(16, 1 << (width - 1).bit_length())
