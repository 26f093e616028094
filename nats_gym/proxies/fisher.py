"""Fisher: what the loss would lose with each channel.

Theis et al., "Faster gaze prediction with dense networks and Fisher pruning" (arXiv 1801.05787);
Turner et al., "BlockSwap", ICLR 2020 (arXiv 1906.04113); summed over layers as by Abdelfattah et
al. (arXiv 2101.08134).
"""

from __future__ import annotations

import torch
from torch import nn

from nats_gym.proxies.score import layers


def fisher(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Sum over layers and channels of ``½ · mean over images of (Σ over pixels of a · ∂L/∂a)²``.

    a are the outputs of convolutions and linear layers, L is the mean cross-entropy.
    """
    outputs: list[torch.Tensor] = []

    def keep(
        layer: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor
    ) -> torch.Tensor:
        outputs.append(output)
        return output.clone()  # what follows may work in place

    hooks = [layer.register_forward_hook(keep) for layer in layers(network)]
    try:
        loss = nn.functional.cross_entropy(network(images), labels)
    finally:
        for hook in hooks:
            hook.remove()
    if not loss.requires_grad:
        return 0.0
    total = 0.0
    slopes = torch.autograd.grad(loss, outputs, allow_unused=True)
    for output, slope in zip(outputs, slopes, strict=True):
        if slope is not None:
            by_channel = (output.detach() * slope).flatten(2 if output.ndim > 2 else 1)
            each = by_channel.sum(-1) if output.ndim > 2 else by_channel
            total += 0.5 * float(each.square().mean(0).sum())
    return total
