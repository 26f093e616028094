"""What the three searches of the size space have in common.

Source: NATS-Bench (Dong et al., arXiv 2009.00437), section 5, and its reference code.
"""

from __future__ import annotations

import torch
from torch import nn

from nats_gym.checks import number
from nats_gym.networks.size_supernet import PLACES, SizeSupernet
from nats_gym.spaces.size import WIDTHS
from nats_gym.training.batches import Batch

from .method import AlphaMethod

TAU_FIRST, TAU_LAST = 10.0, 0.1  # temperature, falls by the same amount every epoch


class SizeMethod(AlphaMethod):
    """A search with a logit for each width of each place.

    Args:
        supernet: of the size space.
        warmup: share of the epochs, from 0 to below 1, in which only the weights are trained: each
            place at full width with a probability that falls from 1 to 0, else at any width. In
            the published runs it was 0.3.

    Attributes:
        tau: temperature of the epoch, where widths are sampled with Gumbel noise.

    Raises:
        InvalidInput: for a warmup out of range.
    """

    space = "sss"
    one_size = True
    supernet_class = SizeSupernet
    supernet: SizeSupernet

    def __init__(self, supernet: SizeSupernet, warmup: float = 0.0) -> None:
        super().__init__(supernet, PLACES, len(WIDTHS))
        self._warmup = number(warmup, "warmup, a share of the epochs,", 0, below=1)
        self.tau = TAU_FIRST
        self._full_width: float | None = None  # its probability, None once the weights are warm

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Lower the temperature; say how far the warm-up is."""
        self.tau = TAU_FIRST + (TAU_LAST - TAU_FIRST) * epoch / max(epochs - 1, 1)
        warming = epoch < self._warmup * epochs
        self._full_width = 1 - epoch / (self._warmup * epochs) if warming else None

    def weight_loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of a path while warming up, then the algorithm's own."""
        if self._full_width is None:
            logits = self.sample_logits(images, self.alpha.detach())
        else:
            logits = self._warm_path(images)
        return nn.functional.cross_entropy(logits, labels)

    def _warm_path(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of a path of the warm-up."""
        assert self._full_width is not None
        full = torch.rand(PLACES) < self._full_width
        choices = torch.where(full, len(WIDTHS) - 1, torch.randint(len(WIDTHS), (PLACES,)))
        return self.supernet.path(images, choices.tolist())

    def sample_logits(self, images: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        """Logits of what is sampled by alpha, which may be without its gradient."""
        raise NotImplementedError

    def architecture_loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of another sample, with a gradient of alpha."""
        return nn.functional.cross_entropy(self.sample_logits(images, self.alpha), labels)

    def architecture_step(self, valid: Batch, train: Batch, weights: torch.optim.Optimizer) -> None:
        """One step of Adam on the architecture's loss, once the weights are warm."""
        if self._full_width is None:
            super().architecture_step(valid, train, weights)
        else:
            self.warm_step(*valid)

    def warm_step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """What is learnt of a validation batch while warming up; nothing, unless overridden."""
