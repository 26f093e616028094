"""TAS: two widths a place, interpolated channel by channel with their probabilities.

Source: Dong & Yang, NeurIPS 2019 (arXiv 1905.09717), section 3.1; as run in NATS-Bench (Dong et
al., arXiv 2009.00437), without the distillation of the paper's second half.
"""

from __future__ import annotations

import torch

from .size_method import SizeMethod

# Keeps every width possible where the softmax has rounded it to 0.
_LEAST_PROBABILITY = 1e-7


class TAS(SizeMethod):
    """TAS on the size space."""

    def sample_logits(self, images: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        """Logits of a sampled interpolation."""
        choices, weights = sample_pairs(alpha, self.tau)
        return self.supernet.interpolate(images, choices.tolist(), weights)


def sample_pairs(logits: torch.Tensor, tau: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Sample two different choices per row of ``logits``, and weigh them.

    Gumbel noise is added to the logits. The softmax of the noisy ones at temperature ``tau`` is
    what the two are sampled from; their own softmax, which alpha has a gradient of, weighs them.

    Args:
        logits: ``(n, k)``.
        tau: temperature, above 0.

    Returns:
        Choices int64 ``(n, 2)`` and their weights ``(n, 2)``.
    """
    gumbel = -torch.empty_like(logits).exponential_().log()
    noisy = (logits.log_softmax(1) + gumbel) / tau
    pairs = (noisy.detach().softmax(1) + _LEAST_PROBABILITY).multinomial(2)
    return pairs, noisy.gather(1, pairs).softmax(1)
