"""Edges and blocks of NATS-Bench's networks, under the names of the official weights.

The official modules begin most edges with a ReLU of their own. Here whoever holds an edge applies
it, once for all edges that read the same tensor; the names count from 1 as if it were there.

Source: NAS-Bench-201 (arXiv 2001.00326), figure 1, and NATS-Bench (arXiv 2009.00437).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import nn

#: Makes the normalisation of so many channels.
Norm = Callable[[int], nn.Module]


class ConvBN(nn.Module):
    """Convolution and batch norm of a tensor that has been through a ReLU.

    Args:
        c_in, c_out: widths.
        kernel: 1 or 3; the size stays, but for the stride.
        stride: 1 or 2.
        norm: makes what normalises; supernets have batch norm without parameters and statistics.
    """

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int = 1, norm: Norm = nn.BatchNorm2d
    ) -> None:
        super().__init__()
        conv = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False)
        self.op = nn.Sequential(OrderedDict({"1": conv, "2": norm(c_out)}))

    def forward(self, rectified: torch.Tensor) -> torch.Tensor:
        """``(B, c_in, H, W)`` → ``(B, c_out, H / stride, W / stride)``."""
        return self.op(rectified)


class Projection(nn.Module):
    """``skip_connect`` between different widths: 1×1 convolution and batch norm, no ReLU."""

    def __init__(self, c_in: int, c_out: int, norm: Norm = nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 1, bias=False)
        self.bn = norm(c_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, c_in, H, W)`` → ``(B, c_out, H, W)``."""
        return self.bn(self.conv(x))


class Pool(nn.Module):
    """``avg_pool_3x3`` between equal widths; the border's means leave the padding out."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, C, H, W)`` → the same."""
        return nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class ProjectedPool(Pool):
    """``avg_pool_3x3`` between different widths, of a tensor that has been through a ReLU."""

    def __init__(self, c_in: int, c_out: int, norm: Norm = nn.BatchNorm2d) -> None:
        super().__init__()
        self.preprocess = ConvBN(c_in, c_out, 1, norm=norm)

    def forward(self, rectified: torch.Tensor) -> torch.Tensor:
        """``(B, c_in, H, W)`` → ``(B, c_out, H, W)``."""
        return super().forward(self.preprocess(rectified))


class ResidualBlock(nn.Module):
    """Halves height and width between two stages."""

    def __init__(self, c_in: int, c_out: int, norm: Norm = nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv_a = ConvBN(c_in, c_out, 3, stride=2, norm=norm)
        self.conv_b = ConvBN(c_out, c_out, 3, norm=norm)
        self.downsample = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True),  # odd sides are halved as convolutions do
            nn.Conv2d(c_in, c_out, 1, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, c_in, H, W)`` → ``(B, c_out, ⌈H / 2⌉, ⌈W / 2⌉)``."""
        # Neither batch norm nor a sum needs its result in the backward pass.
        inner = self.conv_a(x.relu()).relu_()
        return self.downsample(x).add_(self.conv_b(inner))
