"""RSPS, random search with parameter sharing: random paths, the best of some at random taken.

Source: Li & Talwalkar, UAI 2019 (arXiv 1902.07638); as run in NATS-Bench (Dong et al., arXiv
2009.00437), where every cell of the network draws a path of its own. Nothing is learnt of the
architecture.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from nats_gym.checks import integer
from nats_gym.networks.cell import OUTPUT
from nats_gym.networks.topology_supernet import TopologySupernet
from nats_gym.spaces.topology import EDGES, OPERATIONS
from nats_gym.training.batches import Batch

from .method import Method, best_of

CANDIDATES = 100


class RSPS(Method):
    """RSPS on the topology space.

    Args:
        supernet: of the topology space.
        candidates: how many architectures are drawn at the end of an epoch, without replacement,
            and compared on one validation batch each.

    Raises:
        InvalidInput: for a number of candidates out of range.
    """

    space = "tss"
    supernet_class = TopologySupernet
    supernet: TopologySupernet

    def __init__(self, supernet: TopologySupernet, candidates: int = CANDIDATES) -> None:
        super().__init__(supernet)
        self._candidates = integer(candidates, "candidates", 1, len(OPERATIONS) ** len(EDGES))

    def weight_loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of random paths, one for each cell."""
        choices = fed_digits(self.supernet.cell_count)
        logits = self.supernet.path_of_each_cell(images, choices.tolist())
        return nn.functional.cross_entropy(logits, labels)

    @torch.no_grad()
    def architecture_step(self, valid: Batch, train: Batch, weights: torch.optim.Optimizer) -> None:
        """Running statistics see the validation half, too; nothing else is learnt of it."""
        self.weight_loss(*valid)

    def derive(self, batches: Iterator[Batch], among: torch.Tensor | None = None) -> list[int]:
        """The most accurate of some different architectures, each as likely."""
        if among is None:
            choices = torch.arange(len(OPERATIONS))
            among = torch.cartesian_prod(*[choices] * len(EDGES))  # (15625, 6)
        candidates = among[torch.randperm(len(among))[: self._candidates]].tolist()
        return best_of(candidates, self.supernet, batches)

    def log_probabilities(self) -> torch.Tensor:
        """All the same."""
        return torch.zeros(len(EDGES), len(OPERATIONS))


def fed_digits(count: int) -> torch.Tensor:
    """Cells none of whose nodes is starved: choices, int64 ``(count, 6)``.

    Uniform but for nodes that ``none`` alone would feed, which are drawn again: of the choices of
    a node's edges together, written as one number in base 5, that is number 0.
    """
    columns = []
    for node in range(1, OUTPUT + 1):
        edges = sum(target == node for target, _ in EDGES)
        together = torch.randint(1, len(OPERATIONS) ** edges, (count,))
        columns += [together // len(OPERATIONS) ** edge % len(OPERATIONS) for edge in range(edges)]
    return torch.stack(columns, 1)
