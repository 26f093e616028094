"""Scores of weights and the gradients of one batch.

``grad_norm``, ``plain`` and ``l2_norm`` as in Abdelfattah et al., "Zero-Cost Proxies for
Lightweight NAS", ICLR 2021 (arXiv 2101.08134); ``snip`` from Lee et al., "SNIP: Single-shot Network
Pruning based on Connection Sensitivity", ICLR 2019 (arXiv 1810.02340). Below, w is the weight of a
convolution or linear layer and g its gradient of the mean cross-entropy.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from nats_gym.proxies.score import loss_gradients, weights


def grad_norm(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Sum over layers of ``‖g‖``."""
    return sum(float(slope.norm()) for _, slope in _pairs(network, images, labels))


def snip(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Sum of ``|w · g|``."""
    return sum(float((weight * g).abs().sum()) for weight, g in _pairs(network, images, labels))


def plain(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Sum of ``w · g``."""
    return sum(float((weight * g).sum()) for weight, g in _pairs(network, images, labels))


def l2_norm(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Sum over layers of ``‖w‖``, those that cannot matter too."""
    return sum(float(weight.detach().norm()) for weight in weights(network))


def _pairs(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Weight and gradient of each layer that the loss depends on."""
    found = weights(network)
    for weight, slope in zip(found, loss_gradients(network, images, labels, found), strict=True):
        if slope is not None:
            yield weight.detach(), slope
