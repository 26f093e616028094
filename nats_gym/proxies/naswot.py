"""NASWOT: whether a network's ReLUs tell images apart.

Mellor et al., "Neural Architecture Search without Training", ICML 2021 (arXiv 2006.04647).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

_RELUS = {
    *(torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_),
    *(nn.functional.relu, nn.functional.relu_),
}
_READERS = {torch.conv2d, nn.functional.conv2d, nn.functional.linear}


def naswot(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """``log |det K|``: K counts the units, of all ReLUs, that two images switch alike.

    A ReLU that several convolutions or linear layers read counts for each. Minus infinity where K
    is singular, as where two images switch everything alike.
    """
    watching = _Switches(len(images))
    with torch.no_grad(), watching:
        network(images)
    if not watching.counted:
        return -math.inf
    each = [one.alike * max(1, one.readers) for one in watching.counted]
    alike = torch.stack(each).sum(0).cpu().double()
    # Counts are exact, so that what is singular shows: rows that equal each other.
    if len(torch.unique(alike, dim=0)) < len(alike):
        return -math.inf
    return float(torch.linalg.slogdet(alike)[1])


class _Counted:
    """What two images switch alike in a ReLU, and how many layers read it."""

    def __init__(self, given: torch.Tensor) -> None:
        # ±1: units alike less units unlike, which with all units gives those alike.
        signs = (given > 0).flatten(1).float().mul_(2).sub_(1)
        self.alike = (signs @ signs.T + signs.shape[1]) / 2
        self.readers = 0


class _Switches(TorchFunctionMode):
    """Looks at every ReLU of a block, and at who reads it."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch
        self.counted: list[_Counted] = []

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        given: Any = args[0] if args else None
        found = None
        if function in _RELUS and given.shape[0] == self.batch:
            found = _Counted(given)
            self.counted.append(found)
        elif function in _READERS and (read := getattr(given, "_switches", None)) is not None:
            read.readers += 1
        result = function(*args, **(kwargs or {}))
        if found is not None:
            result._switches = found
        return result
