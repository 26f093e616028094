"""SETN: weights trained on uniform paths, alpha on the mixture, the best of the likeliest taken.

Source: Dong & Yang, ICCV 2019 (arXiv 1910.05733); as run in NATS-Bench (Dong et al., arXiv
2009.00437).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from nats_gym.checks import integer
from nats_gym.networks.topology_supernet import TopologySupernet
from nats_gym.spaces.topology import EDGES, OPERATIONS
from nats_gym.training.batches import Batch

from .method import AlphaMethod, best_of, likeliest, uniform_choices

CANDIDATES = 100


class SETN(AlphaMethod):
    """SETN on the topology space.

    Args:
        supernet: of the topology space.
        candidates: how many of the likeliest architectures are compared at the end of an epoch,
            on one validation batch each.

    Raises:
        InvalidInput: for a number of candidates out of range.
    """

    space = "tss"
    supernet_class = TopologySupernet
    supernet: TopologySupernet

    def __init__(self, supernet: TopologySupernet, candidates: int = CANDIDATES) -> None:
        super().__init__(supernet, len(EDGES), len(OPERATIONS))
        self._candidates = integer(candidates, "candidates", 1, len(OPERATIONS) ** len(EDGES))

    def weight_loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of a uniform path."""
        choices = uniform_choices(1, *self.alpha.shape)[0]
        return nn.functional.cross_entropy(self.supernet.path(images, choices), labels)

    def architecture_loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of the mixture."""
        logits = self.supernet.mixture(images, self.alpha.softmax(1))
        return nn.functional.cross_entropy(logits, labels)

    def derive(self, batches: Iterator[Batch], among: torch.Tensor | None = None) -> list[int]:
        """The most accurate of the architectures that alpha thinks likeliest."""
        return best_of(likeliest(self.alpha, self._candidates, among), self.supernet, batches)
