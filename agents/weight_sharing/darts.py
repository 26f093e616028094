"""DARTS: the mixture of all operations, trained by gradient descent in weights and alpha.

Source: Liu, Simonyan & Yang, ICLR 2019 (arXiv 1806.09055); as run in NATS-Bench (Dong et al., arXiv
2009.00437). The first order takes the weights as they are. The second order differentiates
through one step of theirs, equations 7 and 8 of the paper.
"""

from __future__ import annotations

import torch
from torch import nn

from nats_gym.networks.topology_supernet import TopologySupernet
from nats_gym.spaces.topology import EDGES, OPERATIONS
from nats_gym.training.batches import Batch

from .method import AlphaMethod

DIFFERENCE = 0.01  # length of the finite difference in weight space


class DARTS(AlphaMethod):
    """First-order DARTS on the topology space."""

    space = "tss"
    supernet_class = TopologySupernet
    supernet: TopologySupernet

    def __init__(self, supernet: TopologySupernet) -> None:
        super().__init__(supernet, len(EDGES), len(OPERATIONS))

    def weight_loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of the mixture, without a gradient of alpha."""
        logits = self.supernet.mixture(images, self.alpha.detach().softmax(1))
        return nn.functional.cross_entropy(logits, labels)

    def architecture_loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of the mixture."""
        logits = self.supernet.mixture(images, self.alpha.softmax(1))
        return nn.functional.cross_entropy(logits, labels)


class DARTS2(DARTS):
    """Second-order DARTS on the topology space."""

    def architecture_step(self, valid: Batch, train: Batch, weights: torch.optim.Optimizer) -> None:
        """One step of Adam along :meth:`unrolled_gradient`."""
        self.descend(self.unrolled_gradient(valid, train, weights))

    def unrolled_gradient(
        self, valid: Batch, train: Batch, optimizer: torch.optim.Optimizer
    ) -> torch.Tensor:
        """Gradient of the validation loss after one step of the weights, ``(6, 5)``.

        The step is that of SGD with momentum and weight decay, without Nesterov's correction, as
        in the reference. What alpha does through it, a mixed second derivative times a vector, is
        taken by a central difference along that vector, as in the paper. The ReLUs that change
        sides within the difference count too, unlike in automatic differentiation.

        Args:
            valid: what the loss is of.
            train: what the step is on.
            optimizer: of the weights, with their momentum.
        """
        weights = list(self.supernet.parameters())
        before = [weight.detach().clone() for weight in weights]
        (group,) = optimizer.param_groups
        slopes = torch.autograd.grad(self.weight_loss(*train), weights)
        with torch.no_grad():
            for weight, slope in zip(weights, slopes, strict=True):
                velocity = group["momentum"] * optimizer.state[weight]["momentum_buffer"]
                weight.sub_(group["lr"] * (velocity + slope + group["weight_decay"] * weight))
        statistics = [buffer.clone() for buffer in self.supernet.buffers()]
        direct, *vector = torch.autograd.grad(
            self.architecture_loss(*valid), [self.alpha, *weights]
        )
        # The reference looks ahead on a copy, which takes its running statistics along.
        for buffer, old in zip(self.supernet.buffers(), statistics, strict=True):
            buffer.copy_(old)
        norm = torch.stack([part.norm() for part in vector]).norm()
        # Along no vector there is no difference, at any length.
        length = DIFFERENCE / norm.clamp_min(torch.finfo(norm.dtype).tiny)
        # In bfloat16 nothing would be left of the difference.
        amp, self.supernet.amp = self.supernet.amp, False
        sides = []
        for sign in (1, -1):
            with torch.no_grad():
                for weight, old, part in zip(weights, before, vector, strict=True):
                    weight.copy_(old + sign * length * part)
            loss = self.architecture_loss(*train)
            sides.append(torch.autograd.grad(loss, self.alpha)[0])
        self.supernet.amp = amp
        with torch.no_grad():
            for weight, old in zip(weights, before, strict=True):
                weight.copy_(old)
        return direct - group["lr"] * (sides[0] - sides[1]) / (2 * length)
