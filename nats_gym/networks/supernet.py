"""Supernets: one set of weights for every architecture of a space.

What both have in common is here; ``topology_supernet`` and ``size_supernet`` say what is shared.

Source: NATS-Bench (arXiv 2009.00437), section 5.2, and its reference code: the batch norms of a
cell's operations have neither parameters nor running statistics, so that every path normalises its
own batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from nats_gym.networks.blocks import Norm

#: Added to the variance by every batch norm: torch's default.
NORM_EPSILON = 1e-5


def batch_norm(channels: int) -> nn.Module:
    """Batch norm of an operation: no parameters, always the statistics of the batch."""
    return nn.BatchNorm2d(channels, NORM_EPSILON, affine=False, track_running_stats=False)


class Supernet(nn.Module):
    """Stem, blocks and classifier, under the names of :class:`nats_gym.networks.Network`.

    Args:
        stem_width: channels of the stem.
        blocks: cells and residual blocks, in their order.
        last_width: channels of the last block.
        num_classes: width of the classifier.
        norm: makes the batch norms of stem and last activation.

    Attributes:
        amp: compute in bfloat16 where autocast thinks it safe.
    """

    amp: bool = False

    def __init__(
        self,
        stem_width: int,
        blocks: Iterable[nn.Module],
        last_width: int,
        num_classes: int,
        norm: Norm,
    ) -> None:
        super().__init__()
        conv = nn.Conv2d(3, stem_width, 3, padding=1, bias=False)
        self.stem = nn.Sequential(conv, norm(stem_width))
        self.cells = nn.ModuleList(blocks)
        self.lastact = nn.Sequential(norm(last_width), nn.ReLU(inplace=True))
        self.classifier = nn.Linear(last_width, num_classes)

    def path(self, images: torch.Tensor, choices: Sequence[int]) -> torch.Tensor:
        """Logits ``(B, num_classes)`` of one architecture; nothing else is computed."""
        raise NotImplementedError

    def compile_parts(self) -> None:
        """Compile what does not change from step to step."""
        raise NotImplementedError
