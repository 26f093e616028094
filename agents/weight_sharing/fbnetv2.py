"""FBNet-V2's channel search: masks of all widths, weighted by a Gumbel-softmax.

Source: Wan et al., CVPR 2020 (arXiv 2004.05565), section 3.1; as run in NATS-Bench (Dong et al.,
arXiv 2009.00437).
"""

from __future__ import annotations

import torch
from torch import nn

from nats_gym.networks.size_supernet import SizeSupernet, width_masks

from .size_method import SizeMethod


class FBNetV2(SizeMethod):
    """FBNet-V2 on the size space; arguments as :class:`SizeMethod`'s."""

    width_masks: torch.Tensor

    def __init__(self, supernet: SizeSupernet, warmup: float = 0.0) -> None:
        super().__init__(supernet, warmup)
        self.register_buffer("width_masks", width_masks(), persistent=False)

    def sample_logits(self, images: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        """Logits under sampled masks, with a gradient for every width."""
        masks = nn.functional.gumbel_softmax(alpha, self.tau) @ self.width_masks
        return self.supernet.masked(images, masks)
