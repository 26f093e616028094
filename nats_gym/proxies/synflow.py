"""SynFlow: how much flows through a network of absolute weights, without data.

Tanaka et al., "Pruning neural networks without any data by iteratively conserving synaptic flow",
NeurIPS 2020 (arXiv 2006.05467), summed over weights and without normalisation as by Abdelfattah et
al. (arXiv 2101.08134); its logarithm by Cavagnero et al., "FreeREA", WACV 2023 (arXiv 2207.05135).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import nn

from nats_gym.proxies.score import weights

_NORMS = (
    nn.modules.batchnorm._BatchNorm,  # instance norms too
    nn.GroupNorm,
    nn.LayerNorm,
)


def synflow(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Natural logarithm of ``Σ |w| · ∂R/∂|w|``, R the sum of the outputs for an image of ones.

    Deep networks' sums go beyond what single precision holds, and their logarithm ranks alike.
    Minus infinity where nothing flows.
    """
    return flow_scores(network, images, labels)["synflow"]


def logsynflow(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """``Σ |w| · log(1 + ∂R/∂|w|)``: FreeREA's, in which no layer outweighs all the others."""
    return flow_scores(network, images, labels)["logsynflow"]


def flow_scores(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """Both, by name."""
    total = logarithmic = 0.0
    for weight, slope in _flows(network, images):
        total += float((weight * slope).sum())
        logarithmic += float((weight * slope.log1p()).sum())
    return {"synflow": math.log(total) if total > 0 else -math.inf, "logsynflow": logarithmic}


def _flows(network: nn.Module, images: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Absolute weights, and the gradient of the flow, in double precision."""
    network.double()
    _leave_norms_out(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    found = weights(network)
    flow = network(images.new_ones(1, *images.shape[1:], dtype=torch.float64)).sum()
    if not flow.requires_grad:
        return
    slopes = torch.autograd.grad(flow, found, allow_unused=True)
    for weight, slope in zip(found, slopes, strict=True):
        if slope is not None:
            yield weight.detach(), slope


class _Through(nn.Module):
    """Stands for a normalisation; a copy, for what follows may work in place."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape → the same."""
        return x.clone()


def _leave_norms_out(network: nn.Module) -> None:
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, _NORMS):
                setattr(module, name, _Through())
