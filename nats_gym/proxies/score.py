"""What a zero-cost score is, and what scores share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from nats_gym.checks import as_number, function, line
from nats_gym.errors import EvaluatorError, InvalidInput, NatsGymError, shown

#: From a network in training mode, images float32 ``(B, 3, H, W)`` and labels int64 ``(B,)`` to a
#: number, the higher the better; it may do to the network what it likes.
Function = Callable[[nn.Module, torch.Tensor, torch.Tensor], object]
#: The same to several of them, by name.
Together = Callable[[nn.Module, torch.Tensor, torch.Tensor], Mapping[str, object]]


class ScoreFailed(NatsGymError, RuntimeError):
    """A score's function raised, for want of memory or of what it reads in a network."""


@dataclass(frozen=True)
class Score:
    """A score.

    Attributes:
        name: what it is asked for by; without brackets, which tell several scores from one.
        function: see :data:`Function`.
        label: what an axis says.
        paper: where it comes from.
        together: computes several scores by name in one pass, this one among them.
    """

    name: str
    function: Function
    label: str = ""
    paper: str = ""
    together: Together | None = None

    def __post_init__(self) -> None:
        if "(" in line(self.name, "a score's name", empty=False):
            raise InvalidInput(f"a score's name has no brackets, got {shown(self.name)}")
        function(self.function, "a score", optional=False)


def as_value(name: str, value: object) -> float:
    """What a score's function returned, as a float: minus infinity for NaN, which ranks last.

    Raises:
        EvaluatorError: for what is no number.
    """
    if issubclass(type(value), torch.Tensor) and value.numel() == 1:  # type: ignore[attr-defined]
        value = value.item()  # type: ignore[attr-defined]
    plain = as_number(value)
    if plain is None and not (isinstance(value, float) and math.isnan(value)):
        raise EvaluatorError(f"the score {name} is a number, got {shown(value)}")
    return -math.inf if plain is None else plain


def layers(network: nn.Module) -> Iterator[nn.Conv2d | nn.Linear]:
    """Convolutions and linear layers, whose weights most scores are about."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            yield module


def weights(network: nn.Module) -> list[torch.Tensor]:
    """Their weights, each once."""
    return list(dict.fromkeys(layer.weight for layer in layers(network)))


def loss_gradients(
    network: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    of: list[torch.Tensor],
    graph: bool = False,
) -> list[torch.Tensor | None]:
    """Gradients of the mean cross-entropy; None of what it does not depend on."""
    loss = nn.functional.cross_entropy(network(images), labels)
    if not loss.requires_grad:
        return [None] * len(of)
    return list(torch.autograd.grad(loss, of, create_graph=graph, allow_unused=True))
