"""What an algorithm has to say to the loop of :mod:`nats_gym.agents.weight_sharing`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from nats_gym.errors import warn_caller
from nats_gym.networks.supernet import Supernet
from nats_gym.training.batches import Batch
from nats_gym.training.optimizers import Adam

LEARNING_RATE, BETAS, WEIGHT_DECAY = 3e-4, (0.5, 0.999), 1e-3  # Adam's, for alpha
INITIAL_STD = 1e-3  # alpha's


class Method(nn.Module):
    """A weight-sharing search: how weights and architecture are trained in turn.

    All randomness comes from torch's global generators, which the loop seeds. Whatever must
    survive a checkpoint is a parameter or a buffer.

    Args:
        supernet: whose weights the loop trains.

    Attributes:
        space: what it searches, ``"tss"`` or ``"sss"``.
        supernet_class: of the supernet that it takes.
        one_size: whether its supernet has one size on every data set.
        small_settings: its default settings on small data sets, whose epochs have few steps.
        optimizer: of the architecture's parameters, None where nothing is learnt of it.
    """

    space: ClassVar[str]
    supernet_class: ClassVar[type[Supernet]]
    one_size: ClassVar[bool] = False
    small_settings: ClassVar[Mapping[str, Any]] = {}
    optimizer: torch.optim.Optimizer | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "digits_settings" in vars(cls):
            warn_caller(
                f"{cls.__name__}.digits_settings is called small_settings from the next release on",
                DeprecationWarning,
            )
            cls.small_settings = vars(cls)["digits_settings"]

    def __init__(self, supernet: Supernet) -> None:
        super().__init__()
        self.supernet = supernet

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Called before epoch ``epoch`` of ``epochs``, counted from 0: schedules go here."""

    def weight_loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss on a training batch, by which the loop trains the supernet's weights."""
        raise NotImplementedError

    def architecture_step(self, valid: Batch, train: Batch, weights: torch.optim.Optimizer) -> None:
        """Train the architecture, after each step of the weights.

        Args:
            valid: images ``(B, 3, H, W)`` and labels ``(B,)`` of the validation half.
            train: the batch that the weights were just trained on.
            weights: their optimizer.
        """

    def end_epoch(self, batches: Iterator[Batch]) -> None:
        """Called after each epoch, with batches of the validation half without end.

        As in :meth:`derive`, the supernet is in evaluation mode.
        """

    def derive(self, batches: Iterator[Batch], among: torch.Tensor | None = None) -> list[int]:
        """The architecture that the search stands for now: its choices.

        Args:
            batches: large batches of the validation half as they are, without end.
            among: choices of the architectures to choose from, ``(m, n)``; None for all.
        """
        raise NotImplementedError

    def log_probabilities(self) -> torch.Tensor:
        """Log-probability of each choice at each decision, ``(n, k)``, up to a constant a row."""
        raise NotImplementedError


class AlphaMethod(Method):
    """A search whose architecture is one matrix of logits, trained by gradient descent.

    Args:
        supernet: see :class:`Method`.
        decisions, choices: shape of alpha.

    Attributes:
        alpha: a row of logits per decision, ``(n, k)``.
    """

    optimizer: torch.optim.Optimizer

    def __init__(self, supernet: Supernet, decisions: int, choices: int) -> None:
        super().__init__(supernet)
        self.alpha = nn.Parameter(INITIAL_STD * torch.randn(decisions, choices))
        self.optimizer = Adam([self.alpha], LEARNING_RATE, BETAS, weight_decay=WEIGHT_DECAY)

    def architecture_loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss on a validation batch, by which alpha is trained."""
        raise NotImplementedError

    def architecture_step(self, valid: Batch, train: Batch, weights: torch.optim.Optimizer) -> None:
        """One step of Adam on :meth:`architecture_loss`."""
        self.descend(torch.autograd.grad(self.architecture_loss(*valid), self.alpha)[0])

    def descend(self, gradient: torch.Tensor) -> None:
        """One step of Adam along a gradient of alpha."""
        self.alpha.grad = gradient
        self.optimizer.step()
        self.alpha.grad = None

    def derive(self, batches: Iterator[Batch], among: torch.Tensor | None = None) -> list[int]:
        """The largest logit of each decision."""
        if among is not None:
            return likeliest(self.alpha, 1, among)[0]
        return self.alpha.argmax(1).tolist()

    def log_probabilities(self) -> torch.Tensor:
        """Alpha itself."""
        return self.alpha.detach()


def uniform_choices(count: int, decisions: int, choices: int) -> list[list[int]]:
    """Uniform, independent architectures: choices, ``count`` rows of ``decisions``."""
    return torch.randint(choices, (count, decisions)).tolist()


def likeliest(
    logits: torch.Tensor, count: int, among: torch.Tensor | None = None
) -> list[list[int]]:
    """The most probable architectures, in descending order of the product of probabilities.

    Args:
        logits: a row per decision, ``(n, k)``.
        count: how many, at most.
        among: choices of those to choose from, ``(m, n)``; None for all.

    Returns:
        Their choices.
    """
    rows = logits.detach().log_softmax(1).cpu()
    if among is None:
        among = torch.cartesian_prod(*(torch.arange(len(row)) for row in rows))  # (k^n, n)
    among = among.cpu()
    scores = torch.stack([row[choices] for row, choices in zip(rows, among.T, strict=True)]).sum(0)
    return among[scores.topk(min(count, len(among))).indices].tolist()


@torch.no_grad()
def best_of(candidates: list[list[int]], supernet: Supernet, batches: Iterator[Batch]) -> list[int]:
    """The candidate of highest accuracy, each on the next batch; the first of equals.

    Args:
        candidates: choices of architectures.
        supernet: whose paths they are.
        batches: of validation images.
    """
    accuracies = [
        accuracy(supernet.path(images, choices), labels)
        for choices, (images, labels) in zip(candidates, batches, strict=False)
    ]
    return candidates[int(torch.stack(accuracies).argmax())]


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Share of right answers, a scalar tensor on the device."""
    return (logits.argmax(1) == labels).double().mean()
