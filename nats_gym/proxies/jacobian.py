"""Jacobian covariance: whether images move a network's answer in different directions.

Mellor et al., "Neural Architecture Search without Training" (arXiv 2006.04647, version 1), as used
by Abdelfattah et al. (arXiv 2101.08134).
"""

from __future__ import annotations

import math

import torch
from torch import nn

# Added to eigenvalues, as the paper does.
_EPSILON = 1e-5


def jacob_cov(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """``−Σ (log(v + ε) + 1 / (v + ε))`` over the eigenvalues v of the images' correlations.

    Correlated are the gradients of the sum of all outputs by each image. Minus infinity where some
    image has none.
    """
    seen = images.detach().clone().requires_grad_()
    total = network(seen).sum()
    if not total.requires_grad:
        return -math.inf
    (slopes,) = torch.autograd.grad(total, seen, allow_unused=True)
    if slopes is None:
        return -math.inf
    rows = slopes.flatten(1).double()
    rows = rows - rows.mean(1, keepdim=True)
    lengths = rows.norm(dim=1, keepdim=True)
    if not bool((lengths > 0).all()):  # NaN is none either
        return -math.inf
    rows = rows / lengths
    eigenvalues = torch.linalg.eigvalsh(rows @ rows.T).clamp(min=0) + _EPSILON
    return -float((eigenvalues.log() + 1 / eigenvalues).sum())
