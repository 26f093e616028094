"""Supernets: one set of weights for every architecture of a space.

What both have in common is here; ``topology_supernet`` and ``size_supernet`` say what is shared.

Source: NATS-Bench (arXiv 2009.00437), section 5.2: batch norms have neither parameters nor running
statistics, so that every path normalises its own batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn

#: Added to the variance by every batch norm of a supernet: torch's default.
NORM_EPSILON = 1e-5


def batch_norm(channels: int) -> nn.Module:
    """Batch norm of a supernet: no parameters, always the statistics of the batch."""
    return nn.BatchNorm2d(channels, NORM_EPSILON, affine=False, track_running_stats=False)


class Supernet(nn.Module):
    """Stem, blocks and classifier, under the names of :class:`nats_gym.networks.Network`.

    Args:
        stem_width: channels of the stem.
        blocks: cells and residual blocks, in their order.
        last_width: channels of the last block.
        num_classes: width of the classifier.

    Attributes:
        amp: compute in bfloat16 where autocast thinks it safe.
    """

    amp: bool = False

    def __init__(
        self, stem_width: int, blocks: Iterable[nn.Module], last_width: int, num_classes: int
    ) -> None:
        super().__init__()
        conv = nn.Conv2d(3, stem_width, 3, padding=1, bias=False)
        self.stem = nn.Sequential(conv, batch_norm(stem_width))
        self.cells = nn.ModuleList(blocks)
        self.lastact = nn.Sequential(batch_norm(last_width), nn.ReLU(inplace=True))
        self.classifier = nn.Linear(last_width, num_classes)

    def path(self, images: torch.Tensor, digits: Sequence[int]) -> torch.Tensor:
        """Logits ``(B, num_classes)`` of one architecture; nothing else is computed."""
        raise NotImplementedError

    def compile_parts(self) -> None:
        """Compile what does not change from step to step."""
        raise NotImplementedError
