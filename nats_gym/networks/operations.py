"""The building blocks of NATS-Bench's networks, named as in the official weights.

Source: NATS-Bench (Dong et al., arXiv 2009.00437) and NAS-Bench-201 (arXiv 2001.00326). All take
and return ``(batch, channels, height, width)``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from nats_gym.spaces.topology import OPERATIONS

#: Makes the normalisation of so many channels. ``nn.BatchNorm2d`` in stand-alone networks.
Norm = Callable[[int], nn.Module]


class ReLUConvBN(nn.Module):
    """ReLU, a convolution without bias, batch norm."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int = 1, norm: Norm = nn.BatchNorm2d
    ) -> None:
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False),
            norm(c_out),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The whole block."""
        return self.after_relu(functional.relu(x))

    def after_relu(self, rectified: torch.Tensor) -> torch.Tensor:
        """The block but for its ReLU, which edges from one node can share."""
        return self.op[2](self.op[1](rectified))


class Projection(nn.Module):
    """A skip between different widths: a 1×1 convolution without bias, and batch norm."""

    def __init__(self, c_in: int, c_out: int, norm: Norm = nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 1, bias=False)
        self.bn = norm(c_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Project."""
        return self.bn(self.conv(x))


class Pooling(nn.Module):
    """Average of 3×3, padding not counted; between different widths a 1×1 block goes before."""

    def __init__(self, c_in: int, c_out: int, norm: Norm = nn.BatchNorm2d) -> None:
        super().__init__()
        self.preprocess = None if c_in == c_out else ReLUConvBN(c_in, c_out, 1, norm=norm)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pool."""
        if self.preprocess is not None:
            x = self.preprocess(x)
        return functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class Zero(nn.Module):
    """The operation ``none``. Cells leave it out, so this only holds its place."""

    def __init__(self, c_out: int) -> None:
        super().__init__()
        self.c_out = c_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Zeros."""
        return x.new_zeros(len(x), self.c_out, *x.shape[2:])


class ResidualBlock(nn.Module):
    """Two 3×3 blocks, the first of stride 2, and a pooled 1×1 shortcut."""

    def __init__(self, c_in: int, c_out: int, norm: Norm = nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv_a = ReLUConvBN(c_in, c_out, 3, stride=2, norm=norm)
        self.conv_b = ReLUConvBN(c_out, c_out, 3, norm=norm)
        self.downsample = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Halve height and width."""
        return self.conv_b(self.conv_a(x)).add_(self.downsample(x))


def operation(name: str, c_in: int, c_out: int, norm: Norm = nn.BatchNorm2d) -> nn.Module:
    """The module of an edge: ``name`` is one of :data:`nats_gym.spaces.topology.OPERATIONS`."""
    assert name in OPERATIONS
    if name == "none":
        return Zero(c_out)
    if name == "skip_connect":
        return nn.Identity() if c_in == c_out else Projection(c_in, c_out, norm)
    if name == "avg_pool_3x3":
        return Pooling(c_in, c_out, norm)
    return ReLUConvBN(c_in, c_out, 1 if name == "nor_conv_1x1" else 3, norm=norm)
