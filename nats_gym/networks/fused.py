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

from collections.abc import Sequence
from importlib.util import find_spec

import torch
from torch import nn

from nats_gym.errors import InvalidInput
from nats_gym.networks.blocks import ProjectedPool
from nats_gym.networks.cell import Cell
from nats_gym.networks.fused_blocks import EPSILON, MOMENTUM, Block, StatisticsGroup
from nats_gym.networks.fused_tables import COLOURS, find_structures
from nats_gym.networks.network import Network
from nats_gym.networks.stacked import find_obstacle

#: Compute capability of the oldest card that the kernels are for.
OLDEST = 7, 5
#: Channels that a program of a kernel holds.
WIDEST = 64


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
                widths = {module.out_channels, module.in_channels} - {COLOURS}
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


class FusedNetworks(StatisticsGroup):
    """Networks of one skeleton, computed together by Triton kernels.

    Args:
        members: the networks, on their device.

    Activations are float32, or what autocast says; sums, statistics and all that belongs to
    parameters are float32. Products are TF32 where torch's convolutions are.

    Raises:
        InvalidInput: for networks of another kind, several skeletons, or other widths than
            multiples of 8 up to :data:`WIDEST`.
    """

    def __init__(self, members: Sequence[Network]) -> None:
        if obstacle := _find_shape_obstacle(members):
            raise InvalidInput(f"these networks cannot be fused: {obstacle}")
        super().__init__(members)
        device = next(members[0].parameters()).device
        self.register_buffer("batches_seen", torch.zeros((), dtype=torch.int64, device=device))
        structures = list(find_structures(members))
        self.blocks = nn.ModuleList(Block(self, structure) for structure in structures)
        self.head = _Head(self, structures[-1].widths)
        self.train(members[0].training)

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


class _Head(nn.Module):
    """Last batch norm, mean over pixels and classifier of all members, padded to the widest."""

    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, group: StatisticsGroup, widths: list[int]) -> None:
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

            def bias(tensor: torch.Tensor, number: int = number) -> torch.Tensor:
                return tensor[number]

            for name, holder in (("weight", self.gamma), ("bias", self.beta)):
                group.hold(number, f"lastact.0.{name}", holder, row)
            group.hold(number, "classifier.weight", self.weight, row)
            group.hold(number, "classifier.bias", self.bias, bias)
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
