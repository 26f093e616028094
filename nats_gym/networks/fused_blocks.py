"""Blocks of fused networks: their parameters, and what is launched forward and backward."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import nn

from nats_gym.errors import InvalidInput
from nats_gym.networks.fused_tables import Kernels, Place, Structure, Tables, Unit
from nats_gym.networks.group import NetworkGroup, View

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


class StatisticsGroup(NetworkGroup):
    """A group whose members' batch norms have their statistics in modules of the group's."""

    batches_seen: torch.Tensor

    def hold_statistics(self, member: int, name: str, module: nn.Module, view: View) -> None:
        """Move a batch norm's running statistics into those of a module of the group's."""
        for key in ("running_mean", "running_var"):
            self.hold_buffer(member, f"{name}.{key}", module, key, view)
        self.hold_buffer(member, f"{name}.num_batches_tracked", self, "batches_seen", _itself)


def _itself(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


class Block(nn.Module):
    """Stem, cell or residual block of all members.

    Args:
        group: whose parameters become views.
        structure: what is computed.
    """

    normed: torch.Tensor
    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, group: StatisticsGroup, structure: Structure) -> None:
        super().__init__()
        device = next(group.members[0].parameters()).device
        self.tables = Tables(structure, device)
        self.widths, self.nodes = structure.widths, structure.nodes
        self.halves = any(unit.shared for unit in structure.units)
        self.aligned = 1 if structure.input_widths[0] % 8 else 8
        count = self.tables.convolved
        self.weights = nn.Parameter(torch.empty(self.tables.weights, device=device))
        self.gamma = nn.Parameter(torch.ones(count, device=device))
        self.beta = nn.Parameter(torch.zeros(count, device=device))
        self.register_buffer("running_mean", torch.zeros(count, device=device))
        self.register_buffer("running_var", torch.ones(count, device=device))
        normed = torch.zeros(count, dtype=torch.bool)
        for unit, place in self.tables.held:
            self._hold(group, unit, place)
            normed[place.channels] = unit.norm is not None
        self.register_buffer("normed", normed.to(device))

    def _hold(self, group: StatisticsGroup, unit: Unit, place: Place) -> None:
        """Move a convolution's parameters into those of its bundle."""
        _, ci, *side = unit.conv.weight.shape

        def kernel(flat: torch.Tensor) -> torch.Tensor:
            bundle = flat[place.weights].view(*side, ci, place.width)
            return bundle[..., place.within].permute(3, 2, 0, 1)

        def part(flat: torch.Tensor) -> torch.Tensor:
            return flat[place.channels]

        group.hold(unit.member, f"{unit.name}.weight", self.weights, kernel)
        if unit.norm is not None:
            group.hold(unit.member, f"{unit.norm_name}.weight", self.gamma, part)
            group.hold(unit.member, f"{unit.norm_name}.bias", self.beta, part)
            group.hold_statistics(unit.member, unit.norm_name, self, part)

    def forward(self, x: torch.Tensor, batch: int, size: int) -> tuple[torch.Tensor, int]:
        """The last node of a flat input, and its height and width."""
        shape = _Shape(batch, size, size // 2 if self.halves else size)
        parameters = self.weights, self.gamma, self.beta
        output = _Computed.apply(x, *parameters, self, shape)  # type: ignore[no-untyped-call]
        return cast(torch.Tensor, output), shape.size_out

    def block_of(self, node: int) -> int:
        """The power of two that holds a node."""
        return self.tables.block if node else self.tables.input_block


class _Shape(NamedTuple):
    """Images of a batch, and height and width of a block's input and of its other nodes."""

    batch: int
    size_in: int
    size_out: int

    @property
    def pixels(self) -> int:
        return self.batch * self.size_out**2

    def size(self, node: int) -> int:
        return self.size_out if node else self.size_in

    def pixels_of(self, node: int) -> int:
        return self.batch * self.size(node) ** 2


class _Norm(NamedTuple):
    """Of each channel of the convolutions; ``scale`` and ``shift`` normalise it."""

    means: torch.Tensor
    deviations: torch.Tensor
    scale: torch.Tensor
    shift: torch.Tensor


class _Computed(torch.autograd.Function):
    """A block of all members; backward needs what forward left, and uses it up."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weights: torch.Tensor,
        gamma: torch.Tensor,
        beta: torch.Tensor,
        block: Block,
        shape: _Shape,
    ) -> torch.Tensor:
        tables = block.tables
        z = x.new_empty(tables.convolved * shape.pixels)
        norm = _begin_norm(block, gamma, beta)
        sources = [x]
        for node in range(1, block.nodes + 1):
            source = node - 1
            needed = not source or tables.fed[source] or tables.read[source]
            if needed and tables.leaving[source].count:
                _convolve(block, shape, source, sources[source], z, weights, gamma, beta, norm)
            if tables.read[node]:
                sources.append(_assemble(block, shape, node, sources, z, norm))
            else:
                sources.append(x)  # never read
        ctx.block, ctx.shape = block, shape
        ctx.spent = "" if block.training else "fused networks have no gradient in evaluation"
        kept = norm.means, norm.deviations, norm.scale, z, *sources[:-1]
        ctx.save_for_backward(weights, gamma, *kept)
        return sources[-1]

    @staticmethod
    def backward(ctx: Any, *gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        if ctx.spent:
            raise RuntimeError(ctx.spent)
        ctx.spent = "the gradient of fused networks is computed once for a forward pass"
        block, shape = ctx.block, ctx.shape
        weights, gamma, means, deviations, scale, z, *sources = ctx.saved_tensors
        tables = block.tables
        norm = _Norm(means, deviations, scale, scale)
        affine = gamma.new_zeros(2, tables.convolved)
        gradients = [gradient[0].contiguous()] * (block.nodes + 1)
        for node in range(block.nodes, 0, -1):
            source = node - 1
            if tables.entering[node].count and tables.read[node]:
                _differentiate_norm(block, shape, node, gradients[node], z, norm, affine)
            fed = tables.fed[source] and tables.read[source]
            if fed if source else ctx.needs_input_grad[0]:
                gradients[source] = _differentiate_input(
                    block, shape, source, sources[source], z, weights, gradients
                )
        weight_gradient = torch.empty_like(weights)
        for kernels in tables.kernels:
            _differentiate_weights(block, shape, kernels, sources, z, weight_gradient)
        first = gradients[0] if ctx.needs_input_grad[0] else None
        return first, weight_gradient, *affine, None, None


def _begin_norm(block: Block, gamma: torch.Tensor, beta: torch.Tensor) -> _Norm:
    """From running statistics in evaluation; in training the kernels fill it."""
    norm = _Norm(*gamma.new_empty(4, block.tables.convolved))
    if block.training:
        return norm
    deviation = torch.rsqrt(block.running_var + EPSILON)
    scale = torch.where(block.normed, gamma * deviation, 1.0)
    shift = torch.where(block.normed, beta - block.running_mean * scale, 0.0)
    return norm._replace(scale=scale, shift=shift)


def _convolve(
    block: Block,
    shape: _Shape,
    source: int,
    x: torch.Tensor,
    z: torch.Tensor,
    weights: torch.Tensor,
    gamma: torch.Tensor,
    beta: torch.Tensor,
    norm: _Norm,
) -> None:
    """Compute all convolutions that leave a node, and their statistics in training."""
    tables, pixels, size = block.tables, shape.pixels, shape.size(source)
    launch, input_block = tables.leaving[source], block.block_of(source)
    tile, options = _CONVOLVING[max(input_block, launch.block)]
    tiles = -(-pixels // tile)
    together = _tiles_of_program(tiles, launch.count)
    programs = -(-tiles // together)
    partial = gamma.new_empty(2, launch.count, programs, launch.block)
    _kernels().convolve[programs, launch.count](
        x,
        weights,
        z,
        *partial,
        tables.bundles,
        launch.table,
        shape.pixels_of(source),
        pixels,
        size,
        shape.size_out,
        together,
        STRIDE=size // shape.size_out,
        ALIGNED=8 if source else block.aligned,
        TILE=tile,
        CI=input_block,
        CO=launch.block,
        PRECISION=_precision(),
        **options,
    )
    if not block.training:
        return
    _kernels().finish_statistics[(launch.count,)](
        *partial,
        gamma,
        beta,
        block.running_mean,
        block.running_var,
        *norm,
        tables.bundles,
        launch.table,
        pixels,
        programs,
        tile * together,
        EPSILON,
        MOMENTUM,
        CO=launch.block,
        ROWS=_NUMBERS // launch.block,
    )


def _assemble(
    block: Block,
    shape: _Shape,
    node: int,
    sources: list[torch.Tensor],
    z: torch.Tensor,
    norm: _Norm,
) -> torch.Tensor:
    """A node: the sum of what goes into it."""
    tables, pixels = block.tables, shape.pixels
    made = z.new_empty(tables.channels * pixels)
    rows, entering = tables.sums[node]
    tile = _NUMBERS // tables.block
    _kernels().assemble[-(-pixels // tile), len(block.widths)](
        made,
        z,
        norm.scale,
        norm.shift,
        *(sources[min(number, node - 1)] for number in range(3)),
        tables.units,
        entering,
        rows,
        pixels,
        shape.size_out,
        TILE=tile,
        C=tables.block,
    )
    return made


def _differentiate_norm(
    block: Block,
    shape: _Shape,
    node: int,
    gradient: torch.Tensor,
    z: torch.Tensor,
    norm: _Norm,
    affine: torch.Tensor,
) -> None:
    """Gradients of a node's batch norms, into ``affine``, and of its convolutions, in ``z``."""
    tables, pixels = block.tables, shape.pixels
    launch, wide, kernels = tables.entering[node], tables.block, _kernels()
    tile = _NUMBERS // wide
    tiles = -(-pixels // tile)
    together = _tiles_of_program(tiles, launch.count)
    programs = -(-tiles // together)
    partial = affine.new_empty(2, launch.count, programs, wide)
    which = tables.units, launch.table
    kernels.reduce_gradients[programs, launch.count](
        *(gradient, z, norm.means, norm.deviations, *partial, *which),
        pixels,
        together,
        TILE=tile,
        CO=wide,
    )
    kernels.finish_gradients[(launch.count,)](
        *partial, *affine, *which, programs, CO=wide, ROWS=_NUMBERS // wide
    )
    kernels.undo_norm[tiles, launch.count](
        *(gradient, z, norm.means, norm.deviations, norm.scale, *affine, *which),
        pixels,
        TILE=tile,
        CO=wide,
    )


def _differentiate_input(
    block: Block,
    shape: _Shape,
    source: int,
    x: torch.Tensor,
    z: torch.Tensor,
    weights: torch.Tensor,
    gradients: list[torch.Tensor],
) -> torch.Tensor:
    """The gradient of a node from all that read it."""
    tables, size, read = block.tables, shape.size(source), shape.pixels_of(source)
    rows, leaving = tables.inputs[source]
    input_block, leaving_block = block.block_of(source), tables.leaving[source].block
    tile, options = _INPUTS[max(input_block, leaving_block)]
    made = torch.empty_like(x)
    _kernels().differentiate_input[-(-read // tile), len(block.widths)](
        made,
        x,
        weights,
        z,
        *(gradients[min(max(number, source + 1), block.nodes)] for number in (1, 2, 3)),
        tables.bundles,
        leaving,
        rows,
        read,
        shape.pixels,
        size,
        shape.size_out,
        STRIDE=size // shape.size_out,
        TILE=tile,
        CI=input_block,
        CO=leaving_block,
        PRECISION=_precision(),
        **options,
    )
    return made


def _differentiate_weights(
    block: Block,
    shape: _Shape,
    kernels: Kernels,
    sources: list[torch.Tensor],
    z: torch.Tensor,
    gradient: torch.Tensor,
) -> None:
    """Gradients of all kernels of one side and stride, into their part of ``gradient``."""
    tables, pixels, launch = block.tables, shape.pixels, kernels.launch
    stride, size = kernels.stride, kernels.end - kernels.begin
    rows = 3 if kernels.side == 3 else 1
    widest = tables.input_block
    if block.aligned > 1:
        widest = max(widest, tables.block)
    tile, options = _WEIGHTS[max(widest, launch.block)]
    parts = _PROGRAMS // (launch.count * rows)
    parts = max(1, min(-(-pixels // (4 * tile)), parts))
    partial = gradient.new_empty(parts, size)
    _kernels().differentiate_weights[parts, launch.count, rows](
        partial,
        *(sources[min(number, block.nodes - 1)] for number in range(3)),
        z,
        tables.bundles,
        launch.table,
        kernels.begin,
        size,
        pixels * stride * stride,
        pixels,
        shape.size_out * stride,
        shape.size_out,
        STRIDE=stride,
        SIDE=kernels.side,
        ALIGNED=block.aligned,
        TILE=tile,
        CI=widest,
        CO=launch.block,
        PRECISION=_precision(),
        **options,
    )
    torch.sum(partial, 0, out=gradient[kernels.begin : kernels.end])


def _kernels() -> Any:
    """The kernels; importing them takes Triton."""
    try:
        from nats_gym.networks import fused_kernels
    except ModuleNotFoundError:
        raise InvalidInput("fused networks take Triton, which is not installed here") from None
    return fused_kernels


def _precision() -> str:
    """How the matrix units multiply float32, as in torch's convolutions."""
    cudnn = torch.backends.cudnn
    # Where a program uses the names that torch has since 2.9, the old one may refuse to be read.
    conv = getattr(cudnn, "conv", None)
    allowed = conv.fp32_precision == "tf32" if conv is not None else cudnn.allow_tf32
    return "tf32" if allowed else "ieee"


def _tiles_of_program(tiles: int, units: int) -> int:
    """Tiles that one program computes: several, where there are programs enough all the same."""
    return 4 if tiles * units >= 4 * _BUSY else 1
