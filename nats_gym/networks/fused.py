"""Networks of one skeleton computed by kernels of their own, all edges and members at once.

A step of one network is over a thousand small kernels elsewhere, each of which reads and writes
whole activations. Here a cell is twenty, whatever the number of members: the convolutions of all
edges that leave a node are one launch, whatever their kernels and widths; rectifying is part of
reading, the statistics of batch norm part of writing, and normalising, skips and pools part of
the sum that makes a node. Members keep their own widths: nothing is padded.

On CUDA alone, by Triton, which torch brings along there. ``docs/training.md`` counts what a
network must move and compute at least.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import nn

from nats_gym.errors import InvalidInput
from nats_gym.networks.blocks import ConvBN, Pool, ProjectedPool, Projection, ResidualBlock
from nats_gym.networks.cell import OUTPUT, Cell
from nats_gym.networks.group import NetworkGroup, View
from nats_gym.networks.network import Network
from nats_gym.networks.stacked import find_obstacle
from nats_gym.spaces.topology import EDGES

#: Compute capability of the oldest card that the kernels are for.
OLDEST = 7, 5
#: Channels that a program of a kernel holds.
WIDEST = 64

# Channels of the images.
_COLOURS = 3
# Channels of a bundle, at most: the narrowest block, which more would widen (no gain was measured).
_TOGETHER = 16
# Pixels of a tile, and how a kernel is compiled, by the widest that it holds: of convolutions, of
# the gradients of their inputs, and of those of their weights.
_Tiling = dict[int, tuple[int, dict[str, int]]]
_CONVOLVING: _Tiling = {
    16: (128, {"num_warps": 4, "num_stages": 3}),
    32: (128, {"num_warps": 4, "num_stages": 3}),
    64: (128, {"num_warps": 4, "num_stages": 2}),
}
_INPUTS: _Tiling = {
    16: (128, {"num_warps": 4, "num_stages": 3}),
    32: (128, {"num_warps": 4, "num_stages": 3}),
    64: (128, {"num_warps": 8, "num_stages": 2}),
}
_WEIGHTS: _Tiling = {
    16: (64, {"num_warps": 1, "num_stages": 3}),
    32: (64, {"num_warps": 4, "num_stages": 3}),
    64: (32, {"num_warps": 4, "num_stages": 2}),
}
# Numbers of a tile of what computes no products.
_NUMBERS = 4096
# Programs that fill a large accelerator, and that keep it busy to the end.
_BUSY, _PROGRAMS = 528, 2048

#: torch's default batch norm.
EPSILON, MOMENTUM = 1e-5, 0.1


class _Unit(NamedTuple):
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
        return 2 if self.shared else self.conv.kernel_size[0]

    @property
    def stride(self) -> int:
        return 2 if self.shared else self.conv.stride[0]


def _bundle(units: Sequence[_Unit]) -> list[list[_Unit]]:
    """Units of one member, input and kernel, to be computed as one: its input is read once.

    Kernels of one side and stride come together.
    """
    found: dict[tuple[Any, ...], list[list[_Unit]]] = {}
    for unit in units:
        kind = unit.side, unit.stride, unit.member, unit.source, unit.rectified
        same = found.setdefault(kind, [[]])
        if sum(one.conv.out_channels for one in (*same[-1], unit)) > _TOGETHER:
            same.append([])
        same[-1].append(unit)
    return [bundle for kind in sorted(found) for bundle in found[kind] if bundle]


class _Link(NamedTuple):
    """A skip, or a pool, of one member."""

    member: int
    source: int
    target: int
    pooled: bool


def find_fusing_obstacle(networks: Sequence[nn.Module]) -> str:
    """Say why networks cannot be fused; an empty string if they can."""
    if obstacle := _find_shape_obstacle(networks):
        return obstacle
    return _find_device_obstacle(next(networks[0].parameters()).device)


def _find_device_obstacle(device: torch.device) -> str:
    # AMD's cards are "cuda" to torch too, which is then built without CUDA.
    if device.type != "cuda" or torch.version.cuda is None:
        return "the kernels are for CUDA"
    if torch.cuda.get_device_capability(device) < OLDEST:
        return f"the kernels are for a compute capability of {OLDEST[0]}.{OLDEST[1]} and later"
    return "" if find_spec("triton") else "Triton is not installed"


def _find_shape_obstacle(networks: Sequence[nn.Module]) -> str:
    if obstacle := find_obstacle(networks):
        return obstacle
    for network in networks:
        if not _last_cell(network).reads_input:
            return "a network never reads its images"  # alone it trains its last cell only
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                widths = {module.out_channels, module.in_channels} - {_COLOURS}
                if any(width % 8 or width > WIDEST for width in widths):
                    return f"a width is not among 8, 16 … {WIDEST}"
            if isinstance(module, ProjectedPool):
                return "a pool changes the width"
        if any(parameter.dtype != torch.float32 for parameter in network.parameters()):
            return "the kernels are for float32"
    return ""


class FusingWarning(UserWarning):
    """Kernels of ours fail here; networks are computed by PyTorch's."""


def _last_cell(network: nn.Module) -> Cell:
    assert isinstance(network, Network)
    cell = network.cells[-1]
    assert isinstance(cell, Cell)
    return cell


class FusedNetworks(NetworkGroup):
    """Networks of one skeleton, computed together by Triton kernels.

    Args:
        members: the networks, on their device.

    Activations are float32, or what autocast says; sums, statistics and all that belongs to
    parameters are float32. Products are TF32 where ``torch.backends.cudnn.allow_tf32`` says so.

    Raises:
        InvalidInput: for networks of another kind, several skeletons, or other widths than
            multiples of 8 up to :data:`WIDEST`.
    """

    def __init__(self, members: Sequence[Network]) -> None:
        if obstacle := _find_shape_obstacle(members):
            raise InvalidInput(f"these networks cannot be fused: {obstacle}")
        super().__init__(members)
        device = next(members[0].parameters()).device
        self.batches_seen: torch.Tensor
        self.register_buffer("batches_seen", torch.zeros((), dtype=torch.int64, device=device))
        count = range(len(members))
        stems = [
            _Unit(m, 0, 1, "stem.0", *members[m].stem, "stem.1", rectified=False)  # type: ignore[misc]
            for m in count
        ]
        widths = [unit.conv.out_channels for unit in stems]
        blocks = [_Block(self, [_COLOURS for _ in count], stems, [], 1, widths)]
        for number in range(len(members[0].cells)):
            found = [_parts(m, number, members[m].cells[number]) for m in count]
            units = [unit for some, _ in found for unit in some]
            links = [link for _, some in found for link in some]
            nodes = 2 if isinstance(members[0].cells[number], ResidualBlock) else OUTPUT
            blocks.append(
                _Block(self, blocks[-1].widths, units, links, nodes, _out(members, number))
            )
        self.blocks = nn.ModuleList(blocks)
        self.head = _Head(self, blocks[-1].widths)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """See :class:`NetworkGroup`."""
        if self.training:
            self.batches_seen += 1
        batch, size = images.shape[1], images.shape[-1]
        kind, storage = images.device.type, torch.float32
        if torch.is_autocast_enabled(kind):
            storage = torch.get_autocast_dtype(kind)
        x = images.permute(0, 1, 3, 4, 2).to(storage).reshape(-1)
        for block in self.blocks:
            x, size = block(x, batch, size)
        logits: torch.Tensor = self.head(x, batch)
        return logits

    def hold_statistics(self, member: int, name: str, module: nn.Module, view: View) -> None:
        """Move a batch norm's running statistics into those of a module of the group's."""
        for key in ("running_mean", "running_var"):
            self.hold_buffer(member, f"{name}.{key}", module, key, view)
        self.hold_buffer(member, f"{name}.num_batches_tracked", self, "batches_seen", _itself)


def _itself(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def _out(members: Sequence[Network], number: int) -> list[int]:
    """Width of each member after a block."""
    widths = []
    for member in members:
        block = member.cells[number]
        if isinstance(block, Cell):
            widths.append(block.c_out)
        else:
            widths.append(block.conv_b.op[0].out_channels)
    return widths


def _parts(member: int, number: int, block: nn.Module) -> tuple[list[_Unit], list[_Link]]:
    """Convolutions and other edges of a member's block."""
    units, links = [], []
    prefix = f"cells.{number}"
    if isinstance(block, ResidualBlock):
        for source, target, part in ((0, 1, "conv_a"), (1, 2, "conv_b")):
            op = f"{prefix}.{part}.op"
            conv, norm = block.get_submodule(f"{part}.op")
            units.append(_Unit(member, source, target, f"{op}.1", conv, norm, f"{op}.2", True))
        shortcut = block.downsample[1]
        units.append(
            _Unit(member, 0, 2, f"{prefix}.downsample.1", shortcut, None, "", False, shared=True)
        )
        return units, links
    assert isinstance(block, Cell)
    for edge in block.live:
        target, source = EDGES[edge]
        layer, name = block.layers[edge], f"{prefix}.layers.{edge}"
        if isinstance(layer, ConvBN):
            conv, norm = layer.op
            names = f"{name}.op.1", f"{name}.op.2"
            units.append(_Unit(member, source, target, names[0], conv, norm, names[1], True))
        elif isinstance(layer, Projection):
            names = f"{name}.conv", f"{name}.bn"
            units.append(
                _Unit(member, source, target, names[0], layer.conv, layer.bn, names[1], False)
            )
        else:
            links.append(_Link(member, source, target, isinstance(layer, Pool)))
    return units, links


class _Block(nn.Module):
    """Stem, cell or residual block of all members.

    Args:
        group: whose parameters become views.
        input_widths: of each member.
        units, links: what is computed.
        nodes: how many, beside the input.
        widths: of the nodes, of each member.
    """

    def __init__(
        self,
        group: FusedNetworks,
        input_widths: list[int],
        units: list[_Unit],
        links: list[_Link],
        nodes: int,
        widths: list[int],
    ) -> None:
        super().__init__()
        self.widths, self.nodes = widths, nodes
        self.halves = any(unit.shared for unit in units)
        self.aligned = 1 if input_widths[0] % 8 else 8
        self.input_block, self.block = _power(max(input_widths)), _power(max(widths))
        device = next(group.members[0].parameters()).device
        before = [_sums_before(some) for some in (input_widths, widths)]
        self.channels = sum(widths)
        bundles = _bundle(units)
        units = [unit for bundle in bundles for unit in bundle]  # in the order of their channels
        taps = [sum(unit.conv.weight.numel() for unit in bundle) for bundle in bundles]
        outputs = [sum(unit.conv.out_channels for unit in bundle) for bundle in bundles]
        offsets, channels = _sums_before(taps), _sums_before(outputs)
        self.convolved = sum(outputs)
        self.weights = nn.Parameter(torch.empty(sum(taps), device=device))
        self.gamma = nn.Parameter(torch.ones(self.convolved, device=device))
        self.beta = nn.Parameter(torch.zeros(self.convolved, device=device))
        self.register_buffer("running_mean", torch.zeros(self.convolved, device=device))
        self.register_buffer("running_var", torch.ones(self.convolved, device=device))
        normed = torch.zeros(self.convolved, dtype=torch.bool)
        bundle_rows, unit_rows = [], []
        for number, bundle in enumerate(bundles):
            offset, first, wide = offsets[number], channels[number], outputs[number]
            weights = slice(offset, offset + taps[number])
            channel = first
            for unit in bundle:
                co = unit.conv.out_channels
                part = slice(channel, channel + co)
                within = slice(channel - first, channel - first + co)
                self._hold(group, unit, weights, wide, within, part)
                normed[part] = unit.norm is not None
                own = before[unit.source > 0][unit.member], before[1][unit.member]
                kernel = unit.side, unit.conv.padding[0]
                flags = unit.rectified, unit.norm is not None, unit.shared
                rest = *own, channel, offset, *kernel, *flags, unit.source, first, wide
                unit_rows.append((unit.conv.in_channels, co, *rest))
                if unit is bundle[0]:
                    bundle_rows.append((unit.conv.in_channels, wide, *rest))
                channel += co
        self.register_buffer("normed", normed.to(device))
        self.units, self.bundles = _table(unit_rows, device), _table(bundle_rows, device)

        def launch(chosen: list[int], wide: bool = True) -> _Launch:
            width = max((outputs[n] for n in chosen), default=1) if wide else max(widths)
            return _Launch(len(chosen), _table([chosen], device), _power(width))

        firsts = [bundle[0] for bundle in bundles]
        self.leaving = [
            launch([n for n, one in enumerate(firsts) if one.source == source])
            for source in range(nodes)
        ]
        self.entering = [
            launch([n for n, unit in enumerate(units) if unit.target == target], wide=False)
            for target in range(nodes + 1)
        ]
        self.kernels: list[_Kernels] = []
        for side, stride in dict.fromkeys((one.side, one.stride) for one in firsts):
            same = [n for n, one in enumerate(firsts) if (one.side, one.stride) == (side, stride)]
            begin, end = offsets[same[0]], offsets[same[-1]] + taps[same[-1]]
            self.kernels.append(_Kernels(side, stride, launch(same), begin, end))
        #: Whether anything reads a node, and whether anything goes into it.
        edges = [(one.source, one.target) for one in (*units, *links)]
        self.read = [any(source == node for source, _ in edges) for node in range(nodes)] + [True]
        self.fed = [any(target == node for _, target in edges) for node in range(nodes + 1)]
        members = range(len(widths))

        def bits(links: list[_Link], end: str) -> tuple[int, int]:
            """Those that are added as they are, and those that are pooled."""
            one, other = 0, 0
            for link in links:
                bit = 1 << getattr(link, end)
                one, other = (one, other | bit) if link.pooled else (one | bit, other)
            return one, other

        self.sums, self.inputs = [], []
        for node in range(nodes + 1):
            entries, made = [], []
            for member in members:
                own = [
                    n
                    for n, unit in enumerate(units)
                    if (unit.member, unit.target) == (member, node)
                ]
                mine = [link for link in links if (link.member, link.target) == (member, node)]
                place = widths[member], before[1][member], before[0][member]
                made.append((*place, len(entries), len(entries) + len(own), *bits(mine, "source")))
                entries += own
            self.sums.append((_table(made, device), _table([entries], device)))
        for node in range(nodes):
            entries, made = [], []
            for member in members:
                own = [
                    n for n, one in enumerate(firsts) if (one.member, one.source) == (member, node)
                ]
                own.sort(key=lambda n: not firsts[n].rectified)
                rectified = sum(firsts[n].rectified for n in own)
                mine = [link for link in links if (link.member, link.source) == (member, node)]
                width = widths[member] if node else input_widths[member]
                place = width, before[node > 0][member], before[1][member]
                first = len(entries)
                bounds = first, first + rectified, first + len(own)
                made.append((*place, *bounds, *bits(mine, "target")))
                entries += own
            self.inputs.append((_table(made, device), _table([entries], device)))

    def _hold(
        self,
        group: FusedNetworks,
        unit: _Unit,
        weights: slice,
        wide: int,
        within: slice,
        channels: slice,
    ) -> None:
        """Move a convolution's parameters into those of its bundle, ``wide`` channels in all."""
        _, ci, *side = unit.conv.weight.shape

        def kernel(flat: torch.Tensor) -> torch.Tensor:
            return flat[weights].view(*side, ci, wide)[..., within].permute(3, 2, 0, 1)

        def part(flat: torch.Tensor) -> torch.Tensor:
            return flat[channels]

        group.hold(unit.member, f"{unit.name}.weight", self.weights, kernel)
        if unit.norm is not None:
            group.hold(unit.member, f"{unit.norm_name}.weight", self.gamma, part)
            group.hold(unit.member, f"{unit.norm_name}.bias", self.beta, part)
            group.hold_statistics(unit.member, unit.norm_name, self, part)

    def forward(self, x: torch.Tensor, batch: int, size: int) -> tuple[torch.Tensor, int]:
        """The last node of a flat input, and its height and width."""
        parameters = self.weights, self.gamma, self.beta
        output: torch.Tensor = _Computed.apply(x, *parameters, self, batch, size)
        return output, size // 2 if self.halves else size


class _Launch(NamedTuple):
    """What one launch is for: how many, their numbers, and the block that holds the widest."""

    count: int
    table: torch.Tensor
    block: int


class _Kernels(NamedTuple):
    """Bundles whose kernels are of one side and stride, and their part of the weights."""

    side: int
    stride: int
    launch: _Launch
    begin: int
    end: int


class _Computed(torch.autograd.Function):
    """A block of all members; backward needs what forward left, and uses it up."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weights: torch.Tensor,
        gamma: torch.Tensor,
        beta: torch.Tensor,
        block: _Block,
        batch: int,
        size: int,
    ) -> torch.Tensor:
        out = size // 2 if block.halves else size
        pixels = batch * out**2
        z = x.new_empty(block.convolved * pixels)
        means, deviations, scale, shift = gamma.new_empty(4, block.convolved)
        training = block.training
        if not training:
            deviation = torch.rsqrt(block.running_var + EPSILON)
            scale = torch.where(block.normed, gamma * deviation, 1.0)
            shift = torch.where(block.normed, beta - block.running_mean * scale, 0.0)
        sources = [x]
        for node in range(1, block.nodes + 1):
            source = node - 1
            launch = block.leaving[source]
            if launch.count and (block.fed[source] or not source or block.read[source]):
                resolution = size if source == 0 else out
                read = batch * resolution**2
                input_block = block.input_block if source == 0 else block.block
                tile, options = _CONVOLVING[max(input_block, launch.block)]
                tiles = -(-pixels // tile)
                together = _tiles_of_program(tiles, launch.count)
                programs = -(-tiles // together)
                partial = gamma.new_empty(2, launch.count, programs, launch.block)
                _kernels().convolve[programs, launch.count](
                    sources[source],
                    weights,
                    z,
                    *partial,
                    block.bundles,
                    launch.table,
                    read,
                    pixels,
                    resolution,
                    out,
                    together,
                    STRIDE=resolution // out,
                    ALIGNED=block.aligned if source == 0 else 8,
                    TILE=tile,
                    CI=input_block,
                    CO=launch.block,
                    PRECISION=_precision(),
                    **options,
                )
                if training:
                    _kernels().finish_statistics[(launch.count,)](
                        *partial,
                        gamma,
                        beta,
                        block.running_mean,
                        block.running_var,
                        means,
                        deviations,
                        scale,
                        shift,
                        block.bundles,
                        launch.table,
                        pixels,
                        programs,
                        tile * together,
                        EPSILON,
                        MOMENTUM,
                        CO=launch.block,
                        ROWS=_NUMBERS // launch.block,
                    )
            if not block.read[node]:
                sources.append(x)  # never read
                continue
            made = x.new_empty(block.channels * pixels)
            rows, entering = block.sums[node]
            tile = _NUMBERS // block.block
            _kernels().assemble[-(-pixels // tile), len(block.widths)](
                made,
                z,
                scale,
                shift,
                *(sources[min(number, source)] for number in range(3)),
                block.units,
                entering,
                rows,
                pixels,
                out,
                TILE=tile,
                C=block.block,
            )
            sources.append(made)
        ctx.block, ctx.shape = block, (batch, size, out)
        ctx.save_for_backward(weights, gamma, means, deviations, scale, z, *sources[:-1])
        return sources[-1]

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        block, (batch, size, out) = ctx.block, ctx.shape
        weights, gamma, means, deviations, scale, z, *sources = ctx.saved_tensors
        kernels, pixels = _kernels(), batch * out**2
        gamma_gradient, beta_gradient = gamma.new_zeros(2, block.convolved)
        last = gradient.contiguous()
        gradients = [last] * (block.nodes + 1)
        members, tile = len(block.widths), _NUMBERS // block.block
        tiles = -(-pixels // tile)
        for node in range(block.nodes, 0, -1):
            launch = block.entering[node]
            if launch.count and block.read[node]:
                together = _tiles_of_program(tiles, launch.count)
                programs = -(-tiles // together)
                partial = gamma.new_empty(2, launch.count, programs, block.block)
                kernels.reduce_gradients[programs, launch.count](
                    gradients[node],
                    z,
                    means,
                    deviations,
                    *partial,
                    block.units,
                    launch.table,
                    pixels,
                    together,
                    TILE=tile,
                    CO=block.block,
                )
                kernels.finish_gradients[(launch.count,)](
                    *partial,
                    gamma_gradient,
                    beta_gradient,
                    block.units,
                    launch.table,
                    programs,
                    CO=block.block,
                    ROWS=_NUMBERS // block.block,
                )
                kernels.undo_norm[tiles, launch.count](
                    gradients[node],
                    z,
                    means,
                    deviations,
                    scale,
                    gamma_gradient,
                    beta_gradient,
                    block.units,
                    launch.table,
                    pixels,
                    TILE=tile,
                    CO=block.block,
                )
            source = node - 1
            needed = block.fed[source] and block.read[source] if source else ctx.needs_input_grad[0]
            if not needed:
                continue
            resolution = out if source else size
            read = batch * resolution**2
            rows, leaving = block.inputs[source]
            gradients[source] = torch.empty_like(sources[source])
            input_block = block.block if source else block.input_block
            leaving_block = block.leaving[source].block
            part, options = _INPUTS[max(input_block, leaving_block)]
            kernels.differentiate_input[-(-read // part), members](
                gradients[source],
                sources[source],
                weights,
                z,
                *(gradients[min(max(number, node), block.nodes)] for number in (1, 2, 3)),
                block.bundles,
                leaving,
                rows,
                read,
                pixels,
                resolution,
                out,
                STRIDE=resolution // out,
                TILE=part,
                CI=input_block,
                CO=leaving_block,
                PRECISION=_precision(),
                **options,
            )
        weight_gradient = torch.empty_like(weights)
        for side, stride, launch, begin, end in block.kernels:
            rows_of_kernel = 3 if side == 3 else 1
            widest = (
                block.input_block if block.aligned == 1 else max(block.block, block.input_block)
            )
            tile, options = _WEIGHTS[max(widest, launch.block)]
            parts = _PROGRAMS // (launch.count * rows_of_kernel)
            parts = max(1, min(-(-pixels // (4 * tile)), parts))
            partial = weights.new_empty(parts, end - begin)
            kernels.differentiate_weights[parts, launch.count, rows_of_kernel](
                partial,
                *(sources[min(number, block.nodes - 1)] for number in range(3)),
                z,
                block.bundles,
                launch.table,
                begin,
                end - begin,
                pixels * stride * stride,
                pixels,
                out * stride,
                out,
                STRIDE=stride,
                SIDE=side,
                ALIGNED=block.aligned,
                TILE=tile,
                CI=widest,
                CO=launch.block,
                PRECISION=_precision(),
                **options,
            )
            torch.sum(partial, 0, out=weight_gradient[begin:end])
        first = gradients[0] if ctx.needs_input_grad[0] else None
        return first, weight_gradient, gamma_gradient, beta_gradient, None, None, None


class _Head(nn.Module):
    """Last batch norm, mean over pixels and classifier of all members, padded to the widest."""

    def __init__(self, group: FusedNetworks, widths: list[int]) -> None:
        super().__init__()
        members = [member for member in group.members if isinstance(member, Network)]
        device = members[0].classifier.weight.device
        count, widest, classes = len(widths), max(widths), members[0].classifier.out_features
        self.widths = widths
        self.gamma = nn.Parameter(torch.zeros(count, widest, device=device))
        self.beta = nn.Parameter(torch.zeros(count, widest, device=device))
        self.weight = nn.Parameter(torch.zeros(count, classes, widest, device=device))
        self.bias = nn.Parameter(torch.zeros(count, classes, device=device))
        self.register_buffer("running_mean", torch.zeros(count, widest, device=device))
        self.register_buffer("running_var", torch.ones(count, widest, device=device))
        for number, width in enumerate(widths):

            def row(tensor: torch.Tensor, number: int = number, width: int = width) -> torch.Tensor:
                return tensor[number, ..., :width]

            for name, holder in (("weight", self.gamma), ("bias", self.beta)):
                group.hold(number, f"lastact.0.{name}", holder, row)
            group.hold(number, "classifier.weight", self.weight, row)
            group.hold(number, "classifier.bias", self.bias, lambda t, n=number: t[n])
            group.hold_statistics(number, "lastact.0", self, row)

    def forward(self, x: torch.Tensor, batch: int) -> torch.Tensor:
        """Logits ``(G, B, classes)`` of the last node, flat."""
        count, widest = self.gamma.shape
        if sum(self.widths) == count * widest:
            values = x.view(count, batch, -1, widest)
        else:
            pixels = len(x) // sum(self.widths)
            parts = torch.split(x, [width * pixels for width in self.widths])
            values = torch.stack(
                [
                    nn.functional.pad(part.view(batch, -1, width), (0, widest - width))
                    for part, width in zip(parts, self.widths, strict=True)
                ]
            )
        values = values.float()
        if self.training:
            var, mean = torch.var_mean(values, (1, 2), correction=0)
            with torch.no_grad():
                pixels = values.shape[1] * values.shape[2]
                self.running_mean.lerp_(mean, MOMENTUM)
                self.running_var.lerp_(var * (pixels / max(pixels - 1, 1)), MOMENTUM)
        else:
            mean, var = self.running_mean, self.running_var
        scale = self.gamma * torch.rsqrt(var + EPSILON)
        shift = self.beta - mean * scale
        rectified = torch.addcmul(shift[:, None, None], values, scale[:, None, None]).relu()
        features = rectified.mean(2)
        return torch.baddbmm(self.bias[:, None], features, self.weight.transpose(1, 2))


def _kernels() -> Any:
    """The kernels; importing them takes Triton."""
    from nats_gym.networks import fused_kernels

    return fused_kernels


def _precision() -> str:
    """How the matrix units multiply float32, as in torch's convolutions."""
    return "tf32" if torch.backends.cudnn.allow_tf32 else "ieee"


def _table(rows: Sequence[Sequence[int]], device: torch.device) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.int32, device=device)


def _sums_before(numbers: Sequence[int]) -> list[int]:
    """The sum of all numbers before each."""
    return list(itertools.accumulate(numbers, initial=0))[:-1]


def _power(width: int) -> int:
    """The power of two, from 16, that holds a width."""
    return max(16, 1 << (width - 1).bit_length())


def _tiles_of_program(tiles: int, units: int) -> int:
    """Tiles that one program computes: several, where there are programs enough all the same."""
    return 4 if tiles * units >= 4 * _BUSY else 1
