"""GraSP: how much of the gradient's flow is lost with the weights.

Wang, Zhang & Grosse, "Picking Winning Tickets Before Training by Preserving Gradient Flow", ICLR
2020 (arXiv 2002.07376), summed over weights as by Abdelfattah et al. (arXiv 2101.08134).
"""

from __future__ import annotations

import torch
from torch import nn

from nats_gym.proxies.score import loss_gradients, weights


def grasp(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """``−Σ w · (H g)``, g the gradient and H the Hessian of the mean cross-entropy."""
    found = weights(network)
    slopes = loss_gradients(network, images, labels, found, graph=True)
    live = [(w, g) for w, g in zip(found, slopes, strict=True) if g is not None]
    products = [(slope * slope.detach()).sum() for _, slope in live]
    if not any(product.requires_grad for product in products):
        return 0.0
    curved = torch.autograd.grad(
        torch.stack(products).sum(), [weight for weight, _ in live], allow_unused=True
    )
    return -sum(
        float((weight.detach() * of).sum())
        for (weight, _), of in zip(live, curved, strict=True)
        if of is not None
    )
