"""Zen-score: how far a network's features move when its input does.

Lin et al., "Zen-NAS: A Zero-Shot NAS for High-Performance Deep Image Recognition", ICCV 2021 (arXiv
2102.01063).
"""

from __future__ import annotations

import math

import torch
from torch import nn

# Share of the second noise in the disturbed input.
_MIX = 0.01


def zen(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """``log E ‖f(x + 0.01 · e) − f(x)‖₁ + Σ log σ``, x and e standard normal of the images' shape.

    f are the last features that have a height and a width, else what the last linear layer reads.
    Weights are standard normal. σ² is each batch norm's mean over channels of what it divided by;
    one that is given nothing but zeros is left out. Minus infinity where the features do not move.
    """
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0  # what runs is the last batch's
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.weight.copy_(_draw(module.weight))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        noise = _draw(images)
        disturbed = noise + _MIX * _draw(images)
        features, scale = _features(network, noise)
        moved, _ = _features(network, disturbed)
        distance = float((features - moved).abs().flatten(1).sum(1).mean())
    return math.log(distance) + scale if distance > 0 else -math.inf


def _draw(like: torch.Tensor) -> torch.Tensor:
    """Standard normal numbers of a tensor's shape, the same of a seed on any device."""
    return torch.randn(like.shape, dtype=like.dtype).to(like.device)


def _variance(norm: nn.BatchNorm2d, given: torch.Tensor) -> torch.Tensor:
    """Mean over channels of the variance that a norm has just divided a batch by."""
    if norm.running_var is None:
        return given.var((0, 2, 3), unbiased=False).mean()
    count = given.numel() / given.shape[1]  # what runs is unbiased
    return norm.running_var.mean() * (1 - 1 / count)


def _features(network: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Last features of a batch, and the sum of the logarithms of what normalisations divide by."""
    maps: list[torch.Tensor] = []
    read: list[torch.Tensor] = []
    logs: list[torch.Tensor] = []

    def look(module: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if isinstance(module, nn.BatchNorm2d):
            variance = _variance(module, given[0])
            if variance > 0:
                logs.append((variance + module.eps).log() / 2)
        if isinstance(module, nn.Linear):
            read[:] = [given[0]]
        elif isinstance(output, torch.Tensor) and output.ndim == 4 and len(output) == len(images):
            maps[:] = [output]

    hooks = [
        module.register_forward_hook(look) for module in network.modules() if module is not network
    ]
    try:
        output = network(images)
    finally:
        for hook in hooks:
            hook.remove()
    found = (maps or read or [output])[0]
    return found.clone(), float(torch.stack(logs).sum()) if logs else 0.0
