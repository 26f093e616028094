"""Supernets: one set of weights for every architecture of a space.

What both have in common is here; ``topology_supernet`` and ``size_supernet`` say what is shared.

Source: NATS-Bench (arXiv 2009.00437), section 5.2: batch norms have neither parameters nor running
statistics, so that every path normalises its own batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn

from nats_gym.networks.blocks import ConvBN, ResidualBlock


def batch_norm(channels: int) -> nn.Module:
    """Batch norm of a supernet: no parameters, always the statistics of the batch."""
    return nn.BatchNorm2d(channels, affine=False, track_running_stats=False)


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
        """Compile what all paths are made of; a path itself is another at every step."""
        for module in self.modules():
            if isinstance(module, ConvBN | ResidualBlock):
                module.compile()

    def logits(
        self, images: torch.Tensor, through: Callable[[nn.Module, torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """Logits of images, given how a block is gone through.

        Args:
            images: normalised, ``(B, 3, H, W)``, sides divisible by 4.
            through: output of a block for an input.

        Returns:
            ``(B, num_classes)``, never of less than float32.
        """
        if images.device.type == "cpu":
            # oneDNN's own format: half again as fast there.
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.amp):
            x = self.stem(images)
            for block in self.cells:
                x = through(block, x)
            return self.classify(x)

    def classify(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of the last block's output ``(B, C, H, W)``."""
        logits: torch.Tensor = self.classifier(self.lastact(x).mean((2, 3)))
        return logits.float() if self.amp else logits
