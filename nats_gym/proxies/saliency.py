"""Scores of one batch's gradients, of which a backward pass gives all.

``grad_norm``, ``plain`` and ``l2_norm`` as in Abdelfattah et al., "Zero-Cost Proxies for
Lightweight NAS", ICLR 2021 (arXiv 2101.08134); ``snip`` from Lee et al., "SNIP: Single-shot Network
Pruning based on Connection Sensitivity", ICLR 2019 (arXiv 1810.02340); ``fisher`` from Theis et
al., "Faster gaze prediction with dense networks and Fisher pruning" (arXiv 1801.05787) and Turner
et al., "BlockSwap", ICLR 2020 (arXiv 1906.04113), summed over layers as by Abdelfattah et al.
Below, w is the weight of a convolution or linear layer and g its gradient of the mean
cross-entropy.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from nats_gym.proxies.score import layers, loss_gradients, weights


def grad_norm(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Sum over layers of ``‖g‖``."""
    return _weight_scores(network, images, labels)["grad_norm"]


def snip(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Sum of ``|w · g|``."""
    return _weight_scores(network, images, labels)["snip"]


def plain(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Sum of ``w · g``."""
    return _weight_scores(network, images, labels)["plain"]


def fisher(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Sum over layers and channels of ``½ · mean over images of (Σ over pixels of a · ∂L/∂a)²``.

    a are the outputs of convolutions and linear layers, L is the mean cross-entropy.
    """
    return gradient_scores(network, images, labels)["fisher"]


def l2_norm(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Sum over layers of ``‖w‖``, those that cannot matter too."""
    return sum(float(weight.detach().norm()) for weight in weights(network))


def gradient_scores(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor
) -> dict[str, float]:
    """Those of gradients, by name, of the layers that the loss depends on."""
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
        return dict.fromkeys(("grad_norm", "snip", "plain", "fisher"), 0.0)
    of = weights(network)
    slopes = torch.autograd.grad(loss, [*of, *outputs], allow_unused=True)
    found = {**_sums(of, slopes[: len(of)]), "fisher": 0.0}
    for output, slope in zip(outputs, slopes[len(of) :], strict=True):
        if slope is not None:
            by_channel = (output.detach() * slope).flatten(2 if output.ndim > 2 else 1)
            each = by_channel.sum(-1) if output.ndim > 2 else by_channel
            found["fisher"] += 0.5 * float(each.square().mean(0).sum())
    return found


def _weight_scores(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor
) -> dict[str, float]:
    """Those that need no gradients of outputs, and less time."""
    of = weights(network)
    return _sums(of, loss_gradients(network, images, labels, of))


def _sums(of: Sequence[torch.Tensor], slopes: Sequence[torch.Tensor | None]) -> dict[str, float]:
    found = dict.fromkeys(("grad_norm", "snip", "plain"), 0.0)
    for weight, slope in zip(of, slopes, strict=True):
        if slope is not None:
            product = weight.detach() * slope
            found["grad_norm"] += float(slope.norm())
            found["snip"] += float(product.abs().sum())
            found["plain"] += float(product.sum())
    return found
