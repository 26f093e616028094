"""torch's optimizers, told that nobody compiles them.

Their methods keep out of torch's compiler, which they import for that: two seconds of every process
that trains, for what none of ours needs.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, TypeVar

import torch

_Kind = TypeVar("_Kind", bound=type[torch.optim.Optimizer])

#: What torch wraps.
_WRAPPED = (
    "add_param_group",
    "load_state_dict",
    "state_dict",
    "zero_grad",
    "_cuda_graph_capture_health_check",
)


def _uncompiled(kind: _Kind) -> _Kind:
    for name in _WRAPPED:
        if hasattr(kind, name):  # torch's own, which another release may not have
            setattr(kind, name, inspect.unwrap(getattr(kind, name)))
    step: Any = inspect.unwrap(kind.step)
    kind.step = torch.no_grad()(step)  # type: ignore[method-assign]
    return kind


@_uncompiled
class SGD(torch.optim.SGD):
    """``torch.optim.SGD``, to the bit."""


@_uncompiled
class Adam(torch.optim.Adam):
    """``torch.optim.Adam``, to the bit."""


def make_sgd(
    parameters: Iterable[torch.nn.Parameter], rate: float, momentum: float, weight_decay: float
) -> SGD:
    """SGD, with Nesterov's momentum where there is any."""
    options: dict[str, Any] = {
        "lr": rate,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "nesterov": momentum > 0,
    }
    parameters = list(parameters)
    try:
        # One call for all parameters: small networks spend a third of a step here otherwise.
        return SGD(parameters, fused=True, **options)
    except (TypeError, RuntimeError):  # torch before 2.4 cannot on every device
        return SGD(parameters, **options)
