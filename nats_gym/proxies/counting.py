"""Parameters and multiply-accumulates, counted on the network itself.

Larger networks tend to be better; a score that ranks no better than these is not worth its time
(White et al., NeurIPS 2022 Datasets and Benchmarks, arXiv 2210.03230).
"""

from __future__ import annotations

import torch
from torch import nn

from nats_gym.proxies.score import layers

# Batch of a network that is counted: what is computed on fewer stands for all images.
_IMAGES = 3


def params(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Parameters, in millions."""
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def flops(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Multiply-accumulates of an image in convolutions and linear layers, in millions.

    As NATS-Bench counts, but for what a network leaves out because it cannot matter.
    """
    counted = 0

    def count(layer: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal counted
        assert isinstance(layer, (nn.Conv2d, nn.Linear))
        if len(output) == _IMAGES:
            wide = layer.weight.shape[0]
            each = layer.weight.numel() // wide + (layer.bias is not None)
            counted += output[0].numel() * each

    hooks = [layer.register_forward_hook(count) for layer in layers(network)]
    network.eval()
    try:
        with torch.no_grad():
            network(images.new_zeros(_IMAGES, *images.shape[1:]))
    finally:
        for hook in hooks:
            hook.remove()
    return counted / 1e6
