"""Closed-form parameters and multiply-accumulates of NATS-Bench's building blocks.

Each function returns ``(params, macs)`` as floats or arrays that broadcast over widths. Counted
as in NATS-Bench: every parameter, and the multiply-accumulates of Conv2d and Linear only
(``in·out + out`` for Linear). Source: NATS-Bench (arXiv 2009.00437), appendix; checked against
the official files.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Width = NDArray[np.float64] | float
Cost = tuple[Width, Width]


def halved(resolution: int, stage: int) -> int:
    """Height and width of a stage's images, each half of those before, rounded up."""
    return -(-resolution >> stage)


def conv_bn(c_in: Width, c_out: Width, kernel: int, resolution: int) -> Cost:
    """Bias-free convolution and batch norm; ``resolution`` is that of its output."""
    weights = kernel**2 * c_in * c_out
    return weights + 2 * c_out, weights * resolution**2


def residual_block(c_in: Width, c_out: Width, resolution: int) -> Cost:
    """Two 3×3 convolutions with batch norm, and a pooled 1×1 shortcut without one."""
    first = conv_bn(c_in, c_out, 3, resolution)
    second = conv_bn(c_out, c_out, 3, resolution)
    shortcut = c_in * c_out
    return first[0] + second[0] + shortcut, first[1] + second[1] + shortcut * resolution**2


def head(c: Width, num_classes: int) -> Cost:
    """Last batch norm, and the linear classifier with its bias."""
    linear = c * num_classes + num_classes
    return 2 * c + linear, linear


def total(*costs: Cost) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum of costs, in millions."""
    params = sum((cost[0] for cost in costs), np.float64(0.0))
    macs = sum((cost[1] for cost in costs), np.float64(0.0))
    return np.asarray(params) / 1e6, np.asarray(macs) / 1e6
