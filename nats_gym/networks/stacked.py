"""Several networks of one skeleton as one: a convolution of theirs is a group of a grouped one.

Activations are ``(B, members · width, H, W)``, channels last. Where members differ in width, each
has as many channels as the widest: what it lacks is zero, and stays so, for the weights that would
read or write it are zero and so are their gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, cast

import torch
from torch import nn

from nats_gym.errors import InvalidInput
from nats_gym.networks.blocks import ConvBN, ProjectedPool, Projection, ResidualBlock
from nats_gym.networks.cell import OUTPUT, Cell
from nats_gym.networks.group import NetworkGroup, View
from nats_gym.networks.network import Network
from nats_gym.spaces.topology import EDGES

# Where an edge has its convolution and its batch norm.
_PLACES: dict[type[nn.Module], tuple[str, str]] = {
    ConvBN: ("op.1", "op.2"),
    ProjectedPool: ("preprocess.op.1", "preprocess.op.2"),
    Projection: ("conv", "bn"),
}


# Epsilon and momentum of torch's batch norms.
_NORM = 1e-5, 0.1


def find_obstacle(networks: Sequence[nn.Module]) -> str:
    """Say why networks cannot be computed as one; an empty string if they can."""
    if not networks:
        return "there is no network"
    if any(type(network) is not Network for network in networks):
        return "one is not as nats_gym.networks.build makes them"
    skeletons = {tuple(map(type, cast(Network, one).cells)) for one in networks}
    if len(skeletons) > 1:
        return "they differ in their cells per stage"
    if len({cast(Network, one).classifier.out_features for one in networks}) > 1:
        return "they differ in their number of classes"
    if len({(one.dtype, one.device) for network in networks for one in network.parameters()}) > 1:
        return "they differ in device or precision"
    for network in networks:
        if not all(parameter.requires_grad for parameter in network.parameters()):
            return "some parameters of one are not to be trained"
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d) and (module.eps, module.momentum) != _NORM:
                return "a batch norm of one is not as build makes it"
            if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
                return "a module of one has hooks, which see nothing in a group"
    return ""


def _find_device(networks: Sequence[nn.Module]) -> str:
    """Say that networks are not where they can be stacked; an empty string if they are."""
    device = next(networks[0].parameters()).device
    # On an H200 (torch 2.11) gradients of topologies were wrong whose pools read some channels of
    # a tensor; where there is a GPU other groups are quicker anyway.
    return "" if device.type in ("cpu", "meta") else f"they are on {device}, not on the CPU"


def find_readers(networks: Sequence[Network]) -> list[int]:
    """Positions of the networks whose last cell reads its input."""
    return [
        position
        for position, network in enumerate(networks)
        if cast(Cell, network.cells[-1]).reads_input
    ]


def find_operations(cells: Sequence[Cell]) -> list[tuple[int, list[int]]]:
    """Edges of cells, each with the positions of some that compute the same operation on it."""
    found: dict[tuple[Any, ...], list[int]] = {}
    for edge in range(len(EDGES)):
        for position, cell in enumerate(cells):
            if edge in cell.live:
                layer = cell.layers[edge]
                kernel = layer.op[0].kernel_size if isinstance(layer, ConvBN) else None
                found.setdefault((edge, type(layer), kernel), []).append(position)
    return [(edge, positions) for (edge, *_), positions in found.items()]


class StackedNetworks(NetworkGroup):
    """Networks of one skeleton, computed by grouped convolutions.

    On each edge the members with one operation are computed together. Parameters that no output
    depends on stay the member's own.

    Args:
        members: trials, topologies or sizes with equally many cells and classes.

    Raises:
        InvalidInput: for what :func:`find_obstacle` finds an obstacle in.
    """

    counts: torch.Tensor
    readers: torch.Tensor

    def __init__(self, members: Sequence[Network]) -> None:
        obstacle = find_obstacle(members) or _find_device(members)
        if obstacle:
            raise InvalidInput(f"these networks cannot be stacked: {obstacle}")
        super().__init__(members)
        everyone = range(len(members))
        self._counters: list[tuple[int, str]] = []
        # Before its last cell a network is computed only if that one reads its input.
        readers = find_readers(members)
        self._all_read = len(readers) == len(members)
        device = members[0].classifier.weight.device
        self.register_buffer(
            "readers", torch.tensor(readers, dtype=torch.long, device=device), persistent=False
        )
        *places, last = zip(*(one.cells for one in members), strict=True)
        cells: list[nn.Module] = []
        width = 1
        if readers:
            width = max(cast(nn.Conv2d, members[one].stem[0]).out_channels for one in readers)
            self.stem = _ConvNorm(self, readers, "stem.0", "stem.1", 3, width)
            for number, place in enumerate(places):
                wide = max(width_of(place[one]) for one in readers)
                kind = _Cell if isinstance(place[0], Cell) else _ResidualBlock
                cells.append(kind(self, readers, number, width, wide))
                width = wide
        self.cells = nn.ModuleList(cells)
        wide = max(map(width_of, last))
        self.last = _Cell(self, everyone, len(places), width, wide)
        width = wide
        self.lastact = _Norm(self, everyone, "lastact.0", width)
        sizes = [(one.classifier.out_features, one.classifier.in_features) for one in members]
        classes = sizes[0][0]
        self.weight = self._stack(
            [(one, "classifier.weight") for one in everyone],
            [_cut(one, slice(None), slice(size[1])) for one, size in enumerate(sizes)],
            (len(members), classes, width),
        )
        self.bias = self._stack(
            [(one, "classifier.bias") for one in everyone],
            [_cut(one, 0) for one in everyone],
            (len(members), 1, classes),
        )
        counts = torch.zeros(len(self._counters), dtype=torch.long, device=device)
        self.register_buffer("counts", counts)
        for position, (member, name) in enumerate(self._counters):
            self.hold_buffer(member, name, self, "counts", _cut(position))
        self.train(members[0].training)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """See :class:`NetworkGroup`."""
        if self.training:
            self.counts.add_(1)
        members, batch, channels, height, width = images.shape
        own = images if self._all_read else images[self.readers]
        x = own.permute(1, 3, 4, 0, 2).reshape(batch, height, width, len(own) * channels)
        x = x.permute(0, 3, 1, 2)
        if len(own):
            x = self.stem(x)
            for cell in self.cells:
                x = cell(x)
            if not self._all_read:
                x = _Put.apply(members, [self.readers], x)  # type: ignore[no-untyped-call]
        else:
            x = images.new_zeros(batch, members, height // 4, width // 4)
        x = self.last(x)
        means = self.lastact(x).relu_().mean((2, 3)).view(batch, members, -1).transpose(0, 1)
        return torch.baddbmm(self.bias, means, self.weight.transpose(1, 2))

    def _stack(
        self, held: Sequence[tuple[int, str]], views: Sequence[View], shape: Sequence[int]
    ) -> nn.Parameter:
        """Make a parameter of zeros that holds some of the members'."""
        member, name = held[0]
        own = self.members[member].get_parameter(name)
        zeros = own.new_zeros(shape)
        if own.ndim == 4:
            zeros = zeros.contiguous(memory_format=torch.channels_last)
        holder = nn.Parameter(zeros)
        for (member, name), view in zip(held, views, strict=True):
            self.hold(member, name, holder, view)
        return holder


class _Norm(nn.Module):
    """The batch norms of some members, side by side."""

    weight: nn.Parameter
    bias: nn.Parameter
    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(
        self, group: StackedNetworks, members: Sequence[int], name: str, width: int
    ) -> None:
        super().__init__()
        norms = [group.members[member].get_submodule(name) for member in members]
        norm = norms[0]
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.momentum is not None
        self._momentum, self._eps = norm.momentum, norm.eps
        views = [
            _cut(slice(start, start + cast(nn.BatchNorm2d, one).num_features))
            for start, one in zip(range(0, len(norms) * width, width), norms, strict=True)
        ]
        for what in ("weight", "bias"):
            held = [(member, f"{name}.{what}") for member in members]
            setattr(self, what, group._stack(held, views, (len(norms) * width,)))
        for what in ("running_mean", "running_var"):
            own = norm.get_buffer(what)
            self.register_buffer(what, own.new_full((len(norms) * width,), what == "running_var"))
            for member, view in zip(members, views, strict=True):
                group.hold_buffer(member, f"{name}.{what}", self, what, view)
        group._counters += [(member, f"{name}.num_batches_tracked") for member in members]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self._momentum,
            self._eps,
        )


class _Conv(nn.Module):
    """The convolutions of some members, each a group of one."""

    def __init__(
        self, group: StackedNetworks, members: Sequence[int], name: str, c_in: int, c_out: int
    ) -> None:
        super().__init__()
        convs = [cast(nn.Conv2d, group.members[member].get_submodule(name)) for member in members]
        kernel = convs[0].kernel_size[0]
        self._stride, self._padding = convs[0].stride[0], kernel // 2
        self._groups = len(members)
        self._pointwise = kernel == 1
        views = [
            _cut(slice(start, start + conv.out_channels), slice(conv.in_channels))
            for start, conv in zip(range(0, len(convs) * c_out, c_out), convs, strict=True)
        ]
        self.weight = group._stack(
            [(member, f"{name}.weight") for member in members],
            views,
            (len(convs) * c_out, c_in, kernel, kernel),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self._pointwise and x.device.type == "cpu" and x.dtype == self.weight.dtype:
            y: torch.Tensor = _Pointwise.apply(self._groups, x, self.weight)  # type: ignore[no-untyped-call]
            return y
        return nn.functional.conv2d(
            x, self.weight, None, self._stride, self._padding, 1, self._groups
        )


class _Pointwise(torch.autograd.Function):
    """A grouped 1×1 convolution as matrix products: on small images five times as fast there."""

    @staticmethod
    def forward(ctx: Any, groups: int, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        matrices = weight.view(groups, -1, weight.shape[1])
        ctx.save_for_backward(x, matrices)
        return _multiply(x, matrices.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, matrices = ctx.saved_tensors
        pixels, errors = (_by_member(one, len(matrices)) for one in (x, gradient))
        of_weight = torch.bmm(errors.permute(1, 2, 0), pixels.transpose(0, 1))
        of_x = _multiply(gradient, matrices) if ctx.needs_input_grad[1] else None
        return None, of_x, of_weight.flatten(0, 1)[..., None, None]


def _multiply(x: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Each member's pixels times its matrix."""
    members, _, c_out = matrices.shape
    product = _empty(x, members * c_out)
    pixels, products = (_by_member(one, members).transpose(0, 1) for one in (x, product))
    torch.bmm(pixels, matrices, out=products)
    return product


class _ConvNorm(nn.Module):
    """Convolutions and their batch norms."""

    def __init__(
        self,
        group: StackedNetworks,
        members: Sequence[int],
        conv: str,
        norm: str,
        c_in: int,
        c_out: int,
    ) -> None:
        super().__init__()
        self.conv = _Conv(group, members, conv, c_in, c_out)
        self.norm = _Norm(group, members, norm, c_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x))


class _ResidualBlock(nn.Module):
    """See :class:`nats_gym.networks.blocks.ResidualBlock`."""

    def __init__(
        self, group: StackedNetworks, members: Sequence[int], number: int, c_in: int, c_out: int
    ) -> None:
        super().__init__()
        name = f"cells.{number}"
        a, b = f"{name}.conv_a.op", f"{name}.conv_b.op"
        self.conv_a = _ConvNorm(group, members, f"{a}.1", f"{a}.2", c_in, c_out)
        self.conv_b = _ConvNorm(group, members, f"{b}.1", f"{b}.2", c_out, c_out)
        self.downsample = _Conv(group, members, f"{name}.downsample.1", c_in, c_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.conv_a(x.relu()).relu_()
        return self.downsample(nn.functional.avg_pool2d(x, 2, ceil_mode=True)).add_(
            self.conv_b(inner)
        )


class _Operation(nn.Module):
    """What some members have on an edge.

    Attributes:
        target: the node it leads to.
        rectified: whether it reads its node through a ReLU.
        fresh: whether nobody else holds what it returns.
        everyone: whether all members of the cell have it.
        index: which ones.
    """

    index: torch.Tensor

    def __init__(
        self,
        group: StackedNetworks,
        members: Sequence[int],
        positions: Sequence[int],
        cell: int,
        edge: int,
        c_in: int,
        c_out: int,
    ) -> None:
        super().__init__()
        self.everyone = len(positions) == len(members)
        members = [members[position] for position in positions]
        name = f"cells.{cell}.layers.{edge}"
        layer = group.members[members[0]].get_submodule(name)
        self.target = EDGES[edge][0]
        self.rectified = isinstance(layer, ConvBN | ProjectedPool)
        self.fresh = not isinstance(layer, nn.Identity)
        index = torch.tensor(positions, device=group.readers.device)
        self.register_buffer("index", index, persistent=False)
        self._pools = not isinstance(layer, ConvBN | Projection | nn.Identity)
        self._widths = (len(members), c_in, c_out)
        self.conv: _ConvNorm | None = None
        if type(layer) in _PLACES:
            conv, norm = (f"{name}.{place}" for place in _PLACES[type(layer)])
            self.conv = _ConvNorm(group, members, conv, norm, c_in, c_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        members, c_in, c_out = self._widths
        if self.conv is not None:
            x = self.conv(x)
        elif c_in != c_out:  # of members that have less than both
            resized = nn.functional.pad(_by_member(x, members), (0, c_out - c_in))
            batch, _, height, width = x.shape
            x = resized.view(batch, height, width, members * c_out).permute(0, 3, 1, 2)
        if self._pools:
            x = nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return x


class _Cell(nn.Module):
    """See :class:`nats_gym.networks.cell.Cell`."""

    def __init__(
        self, group: StackedNetworks, members: Sequence[int], number: int, c_in: int, c_out: int
    ) -> None:
        super().__init__()
        self._members, self._c_out = len(members), c_out
        cells = [cast(Cell, cast(Network, group.members[one]).cells[number]) for one in members]
        self.operations = nn.ModuleList()
        # By source, and by whether they read it through a ReLU.
        self._readers: list[dict[bool, list[_Operation]]] = [{} for _ in range(OUTPUT)]
        for edge, positions in find_operations(cells):
            source = EDGES[edge][1]
            wide = c_out if source else c_in
            operation = _Operation(group, members, positions, number, edge, wide, c_out)
            self.operations.append(operation)
            self._readers[source].setdefault(operation.rectified, []).append(operation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sums: list[list[tuple[_Operation, torch.Tensor]]] = [[] for _ in range(OUTPUT + 1)]
        for source, readers in enumerate(self._readers):
            for rectified, operations in readers.items():
                given = x.relu() if rectified else x
                some = [operation.index for operation in operations if not operation.everyone]
                parts = iter(())
                if some:
                    parts = iter(_Take.apply(self._members, some, given))  # type: ignore[no-untyped-call]
                for operation in operations:
                    value = operation(given if operation.everyone else next(parts))
                    sums[operation.target].append((operation, value))
            summands = sums[source + 1]
            if not summands:
                x = _empty(x, self._members * self._c_out).zero_()
            elif all(operation.everyone for operation, _ in summands):
                x = _add(summands)
            else:
                indices = [operation.index for operation, _ in summands]
                values = (value for _, value in summands)
                x = _Put.apply(self._members, indices, *values)  # type: ignore[no-untyped-call]
        return x


def _add(summands: Sequence[tuple[_Operation, torch.Tensor]]) -> torch.Tensor:
    """The sum of what all members have, in place of one of them that may be written to."""
    operation, total = summands[0]
    fresh = operation.fresh
    for operation, value in summands[1:]:
        if fresh:
            total = total.add_(value)
        else:
            total = value.add_(total) if operation.fresh else total + value
            fresh = True
    return total


class _Take(torch.autograd.Function):
    """Takes members out of a whole group, for several operations at once."""

    @staticmethod
    def forward(
        ctx: Any, members: int, indices: Sequence[torch.Tensor], x: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        ctx.members, ctx.indices = members, indices
        return tuple(_take(members, index, x) for index in indices)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return None, None, _put(ctx.members, ctx.indices, gradients)


class _Put(torch.autograd.Function):
    """Adds up what members have, each in its place of a whole group."""

    @staticmethod
    def forward(
        ctx: Any, members: int, indices: Sequence[torch.Tensor], *values: torch.Tensor
    ) -> torch.Tensor:
        ctx.members, ctx.indices = members, indices
        return _put(members, indices, values)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return None, None, *(_take(ctx.members, index, gradient) for index in ctx.indices)


def _take(members: int, index: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    if len(index) == members:
        return whole
    part = _empty(whole, len(index) * (whole.shape[1] // members))
    torch.index_select(_by_member(whole, members), 1, index, out=_by_member(part, len(index)))
    return part


def _put(
    members: int, indices: Sequence[torch.Tensor], values: Sequence[torch.Tensor]
) -> torch.Tensor:
    whole = _empty(values[0], members * (values[0].shape[1] // len(indices[0])))
    whole = whole.to(reduce(torch.promote_types, (value.dtype for value in values))).zero_()
    place = _by_member(whole, members)
    for index, value in zip(indices, values, strict=True):
        place.index_add_(1, index, _by_member(value, len(index)).to(whole.dtype))
    return whole


def _empty(like: torch.Tensor, channels: int) -> torch.Tensor:
    """A tensor for as many images of the same size, not yet written."""
    return torch.empty(
        (len(like), channels, *like.shape[2:]),
        dtype=like.dtype,
        device=like.device,
        memory_format=torch.channels_last,
    )


def _by_member(x: torch.Tensor, members: int) -> torch.Tensor:
    """``(B, members · C, H, W)`` as ``(B · H · W, members, C)``: a view if channels are last."""
    return x.permute(0, 2, 3, 1).reshape(-1, members, x.shape[1] // members)


def width_of(cell: nn.Module) -> int:
    """Channels of a cell's or residual block's output."""
    if isinstance(cell, ResidualBlock):
        return cast(nn.Conv2d, cell.downsample[1]).out_channels
    return cast(Cell, cell).c_out


def _cut(*where: int | slice) -> View:
    def view(tensor: torch.Tensor) -> torch.Tensor:
        return tensor[where]

    return view
