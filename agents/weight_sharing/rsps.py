"""RSPS, random search with parameter sharing: uniform paths, the best of some at random taken.

Source: Li & Talwalkar, UAI 2019 (arXiv 1902.07638); as run in NATS-Bench (Dong et al., arXiv
2009.00437). Nothing is learnt of the architecture.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from nats_gym.networks.topology_supernet import TopologySupernet
from nats_gym.spaces.topology import EDGES, OPERATIONS
from nats_gym.training.batches import Batch

from .method import Method, best_of, check_count, uniform_digits

CANDIDATES = 100
_SHAPE = len(EDGES), len(OPERATIONS)


class RSPS(Method):
    """RSPS on the topology space.

    Args:
        supernet: of the topology space.
        candidates: how many uniform architectures are compared at the end of an epoch, on one
            validation batch each.

    Raises:
        InvalidInput: for a number of candidates out of range.
    """

    space = "tss"
    supernet_class = TopologySupernet
    supernet: TopologySupernet

    def __init__(self, supernet: TopologySupernet, candidates: int = CANDIDATES) -> None:
        super().__init__(supernet)
        self._candidates = check_count("candidates", candidates, len(OPERATIONS) ** len(EDGES))

    def weight_loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of a uniform path."""
        digits = uniform_digits(1, *_SHAPE)[0]
        return nn.functional.cross_entropy(self.supernet.path(images, digits), labels)

    def derive(self, batches: Iterator[Batch], among: torch.Tensor | None = None) -> list[int]:
        """The most accurate of uniform architectures."""
        if among is None:
            candidates = uniform_digits(self._candidates, *_SHAPE)
        else:
            candidates = among[torch.randint(len(among), (self._candidates,))].tolist()
        return best_of(candidates, self.supernet, batches)

    def log_probabilities(self) -> torch.Tensor:
        """All the same."""
        return torch.zeros(_SHAPE)
