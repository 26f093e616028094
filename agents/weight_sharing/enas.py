"""ENAS: an LSTM samples architectures, trained by REINFORCE on the accuracy of their paths.

Source: Pham et al., ICML 2018 (arXiv 1802.03268); as run in NATS-Bench (Dong et al., arXiv
2009.00437). Weights are trained on sampled paths; after each epoch of theirs the controller is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import nn

from nats_gym.checks import integer
from nats_gym.networks.topology_supernet import TopologySupernet
from nats_gym.spaces.topology import EDGES, OPERATIONS
from nats_gym.training.batches import Batch
from nats_gym.training.optimizers import Adam

from .method import BETAS, Method, accuracy, best_of

LSTM_SIZE, LSTM_LAYERS = 32, 2
TEMPERATURE, TANH_CONSTANT = 5.0, 2.5
INITIAL_RANGE = 0.1
LEARNING_RATE, EPSILON = 1e-3, 1e-3  # Adam's
ENTROPY_WEIGHT = 1e-4
BASELINE_DECAY = 0.99
GRADIENT_CLIP = 5.0
CONTROLLER_STEPS, SAMPLES_PER_STEP = 50, 20
CANDIDATES = 100
MOST = 1_000_000


class Controller(nn.Module):
    """Chooses the operation of one edge after another, each knowing those before it.

    17,253 parameters: an operation is embedded alike on all edges. What is not drawn from ±0.1
    here begins as torch has it, as in NATS-Bench's code.
    """

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.empty(1, LSTM_SIZE))
        self.lstm = nn.LSTM(LSTM_SIZE, LSTM_SIZE, LSTM_LAYERS)
        self.embedding = nn.Embedding(len(OPERATIONS), LSTM_SIZE)
        self.head = nn.Linear(LSTM_SIZE, len(OPERATIONS))
        for parameter in (
            self.start,
            self.lstm.get_parameter("weight_ih_l0"),
            self.lstm.get_parameter("weight_hh_l0"),
            self.embedding.weight,
            self.head.weight,
        ):
            nn.init.uniform_(parameter, -INITIAL_RANGE, INITIAL_RANGE)

    def sample(self, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Architectures, their log-probabilities and entropies: ``(count, 6)``, ``(count,)`` twice.

        The entropy is the sum of those of the choices, each given the ones before it.
        """
        return self._unroll(count, None)

    def log_probability(self, choices: torch.Tensor) -> torch.Tensor:
        """Of each architecture in ``choices``, ``(count, 6)``; returns ``(count,)``."""
        return self._unroll(len(choices), choices)[1]

    def _unroll(
        self, count: int, given: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        inputs, state = self.start.expand(count, -1), None
        choices, log_probabilities, entropies = [], [], []
        for edge in range(len(EDGES)):
            outputs, state = self.lstm(inputs[None], state)
            logits = TANH_CONSTANT * torch.tanh(self.head(outputs[0]) / TEMPERATURE)
            rows = logits.log_softmax(1)
            drawn = rows.detach().exp().multinomial(1)[:, 0] if given is None else given[:, edge]
            choices.append(drawn)
            log_probabilities.append(rows.gather(1, drawn[:, None])[:, 0])
            entropies.append(-(rows.exp() * rows).sum(1))
            inputs = self.embedding(drawn)
        return (
            torch.stack(choices, 1),
            torch.stack(log_probabilities).sum(0),
            torch.stack(entropies).sum(0),
        )


class ENAS(Method):
    """ENAS on the topology space.

    Args:
        supernet: of the topology space.
        controller_steps: updates of the controller after each epoch.
        samples_per_step: architectures of an update, each on one validation batch.
        candidates: how many samples are compared at the end of an epoch.

    Attributes:
        controller: the policy.
        baseline: mean of the last epoch's baselines, a share of right answers; NaN before the
            first. Within an epoch it stays.

    Raises:
        InvalidInput: for a count out of range.
    """

    space = "tss"
    supernet_class = TopologySupernet
    small_settings: ClassVar = {"controller_steps": 10, "samples_per_step": 10}
    supernet: TopologySupernet
    optimizer: torch.optim.Optimizer
    baseline: torch.Tensor

    def __init__(
        self,
        supernet: TopologySupernet,
        controller_steps: int = CONTROLLER_STEPS,
        samples_per_step: int = SAMPLES_PER_STEP,
        candidates: int = CANDIDATES,
    ) -> None:
        super().__init__(supernet)
        self.controller = Controller()
        self.register_buffer("baseline", torch.tensor(float("nan"), dtype=torch.float64))
        self.optimizer = Adam(self.controller.parameters(), LEARNING_RATE, BETAS, EPSILON)
        self._steps = integer(controller_steps, "controller_steps", 1, MOST)
        self._samples = integer(samples_per_step, "samples_per_step", 1, MOST)
        self._candidates = integer(candidates, "candidates", 1, MOST)

    @torch.no_grad()
    def _sample(self, count: int) -> list[list[int]]:
        return self.controller.sample(count)[0].tolist()

    def weight_loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of a sampled path."""
        self._path = self._sample(1)[0]
        return nn.functional.cross_entropy(self.supernet.path(images, self._path), labels)

    @torch.no_grad()
    def architecture_step(self, valid: Batch, train: Batch, weights: torch.optim.Optimizer) -> None:
        """Running statistics see the validation half on the same path; nothing else is learnt."""
        self.supernet.path(valid[0], self._path)

    def end_epoch(self, batches: Iterator[Batch]) -> None:
        """Train the controller."""
        seen = []
        for _ in range(self._steps):
            choices, log_probabilities, entropies = self.controller.sample(self._samples)
            accuracies = self._accuracies(choices, batches)
            rewards = accuracies + ENTROPY_WEIGHT * entropies
            baselines = self._baselines(accuracies, rewards)
            loss = policy_loss(log_probabilities, rewards - baselines)
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(self.controller.parameters(), GRADIENT_CLIP)
            self.optimizer.step()
            seen.append(baselines.detach())
        self.baseline.copy_(torch.cat(seen).mean())

    @torch.no_grad()
    def _accuracies(self, choices: torch.Tensor, batches: Iterator[Batch]) -> torch.Tensor:
        """Shares of right answers, each architecture on the next batch, ``(count,)``."""
        return torch.stack(
            [
                accuracy(self.supernet.path(images, one), labels)
                for one, (images, labels) in zip(choices.tolist(), batches, strict=False)
            ]
        )

    def _baselines(self, accuracies: torch.Tensor, rewards: torch.Tensor) -> torch.Tensor:
        """What each reward is compared with: the last epoch's baseline, moved a little to it.

        In the first epoch it is the accuracy alone, so that only entropy is learnt.
        """
        if self.baseline.isnan():
            return accuracies
        return self.baseline + (1 - BASELINE_DECAY) * (rewards - self.baseline)

    def derive(self, batches: Iterator[Batch], among: torch.Tensor | None = None) -> list[int]:
        """The most accurate of some samples, each on one validation batch."""
        if among is None:
            candidates = self._sample(self._candidates)
        else:
            probabilities = self.controller.log_probability(among).double().exp()
            drawn = probabilities.multinomial(self._candidates, replacement=True)
            candidates = among[drawn].tolist()
        return best_of(candidates, self.supernet, batches)

    @torch.no_grad()
    def log_probabilities(self) -> torch.Tensor:
        """Log of each operation's probability on each edge, whatever the other edges have."""
        device = self.controller.start.device
        choices = torch.arange(len(OPERATIONS), device=device)
        every = torch.cartesian_prod(*[choices] * len(EDGES))  # (15625, 6)
        probabilities = self.controller.log_probability(every).double().exp()
        marginals = [torch.bincount(column, probabilities) for column in every.T]
        return torch.stack(marginals).log()


def policy_loss(log_probabilities: torch.Tensor, advantages: torch.Tensor) -> torch.Tensor:
    """Mean of ``-log p · advantage``: its gradient is REINFORCE's, of what to descend.

    To that the advantages add their own gradient, that of the entropy in them.
    """
    return -(log_probabilities * advantages).mean()
