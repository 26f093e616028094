"""TuNAS: sampled channel masks, the policy trained by REINFORCE on their accuracy.

Source: Bender et al., CVPR 2020 (arXiv 2008.06120); as run in NATS-Bench (Dong et al., arXiv
2009.00437): the reward is validation accuracy in percent, without a term for cost. The network
under a mask of zeros and ones is a path of the supernet, so that is what is computed.
"""

from __future__ import annotations

import torch

from nats_gym.networks.size_supernet import SizeSupernet
from nats_gym.training.optimizers import Adam

from .method import BETAS, LEARNING_RATE, accuracy
from .size_method import SizeMethod

BASELINE_MOMENTUM = 0.95


class TuNAS(SizeMethod):
    """TuNAS on the size space; arguments as :class:`SizeMethod`'s.

    Attributes:
        baseline: bias-corrected moving average of the rewards, percent; the warm-up's, too.
        rewards_seen: how many it has taken in.
    """

    baseline: torch.Tensor
    rewards_seen: torch.Tensor

    def __init__(self, supernet: SizeSupernet, warmup: float = 0.0) -> None:
        super().__init__(supernet, warmup)
        self.register_buffer("baseline", torch.tensor(0.0, dtype=torch.float64))
        self.register_buffer("rewards_seen", torch.tensor(0.0, dtype=torch.float64))
        # Without weight decay, which would pull the policy back to uniform.
        self.optimizer = Adam([self.alpha], LEARNING_RATE, BETAS)

    def sample_logits(self, images: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        """Logits of a sampled path."""
        return self.supernet.path(images, self._sample().tolist())

    def architecture_loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """``-log p · advantage`` of another; its gradient is REINFORCE's."""
        choices = self._sample()
        with torch.no_grad():
            logits = self.supernet.path(images, choices.tolist())
        advantage = self._advantage(100 * accuracy(logits, labels))
        log_probability = self.alpha.log_softmax(1).gather(1, choices[:, None]).sum()
        return -log_probability * advantage

    @torch.no_grad()
    def warm_step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """The baseline learns while warming up, of the warm-up's paths."""
        self._advantage(100 * accuracy(self._warm_path(images), labels))

    def _sample(self) -> torch.Tensor:
        """One architecture's choices, ``(5,)``."""
        return self.alpha.detach().softmax(1).multinomial(1)[:, 0]

    def _advantage(self, reward: torch.Tensor) -> torch.Tensor:
        """The reward above the baseline, which takes it in first, as in the reference."""
        self.rewards_seen += 1
        # In this form the bias-corrected average is exact at the first reward.
        weight = (1 - BASELINE_MOMENTUM) / (1 - BASELINE_MOMENTUM**self.rewards_seen)
        self.baseline += weight * (reward - self.baseline)
        return reward - self.baseline
