"""GDAS: one path sampled by Gumbel-softmax, with a straight-through gradient for all operations.

Source: Dong & Yang, CVPR 2019 (arXiv 1910.04465); as run in NATS-Bench (Dong et al., arXiv
2009.00437). Weights are trained on one sampled path, alpha on another.
"""

from __future__ import annotations

import torch
from torch import nn

from nats_gym.checks import number
from nats_gym.networks.topology_supernet import TopologySupernet
from nats_gym.spaces.topology import EDGES, OPERATIONS

from .method import AlphaMethod

TAU_FIRST, TAU_LAST = 10.0, 0.1  # temperature, falls by the same amount every epoch


class GDAS(AlphaMethod):
    """GDAS on the topology space.

    Args:
        supernet: of the topology space.
        tau_first, tau_last: temperature of the first and the last epoch.

    Raises:
        InvalidInput: for a temperature that is not above 0.
    """

    space = "tss"
    supernet_class = TopologySupernet
    supernet: TopologySupernet

    def __init__(
        self, supernet: TopologySupernet, tau_first: float = TAU_FIRST, tau_last: float = TAU_LAST
    ) -> None:
        super().__init__(supernet, len(EDGES), len(OPERATIONS))
        self._tau_first = self.tau = number(tau_first, "a temperature", above=0)
        self._tau_last = number(tau_last, "a temperature", above=0)

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Lower the temperature."""
        passed = epoch / max(epochs - 1, 1)
        self.tau = self._tau_first + (self._tau_last - self._tau_first) * passed

    def weight_loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of a sampled path."""
        choices = straight_through_gumbel(self.alpha.detach(), self.tau).argmax(1).tolist()
        return nn.functional.cross_entropy(self.supernet.path(images, choices), labels)

    def architecture_loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of another, with a gradient for every operation."""
        weights = straight_through_gumbel(self.alpha, self.tau)
        return nn.functional.cross_entropy(self.supernet.straight_through(images, weights), labels)


def straight_through_gumbel(logits: torch.Tensor, tau: float) -> torch.Tensor:
    """Sample one choice per row of ``logits``, one-hot, with the gradient of a softmax.

    Gumbel noise is added to the logits, so that the largest is a sample of their softmax (the
    Gumbel-max trick); the gradient is that of the noisy softmax at temperature ``tau``.

    Args:
        logits: ``(n, k)``.
        tau: temperature, above 0.

    Returns:
        ``(n, k)``.
    """
    gumbel = -torch.empty_like(logits).exponential_().log()
    soft = ((logits.log_softmax(1) + gumbel) / tau).softmax(1)
    hard = torch.zeros_like(soft).scatter_(1, soft.argmax(1, keepdim=True), 1.0)
    return hard + (soft - soft.detach())
