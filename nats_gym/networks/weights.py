"""Whether tensors from a file are those of a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from nats_gym.errors import LISTED, shown


def check_fit(own: Mapping[str, torch.Tensor], weights: Any) -> None:
    """Raise ``ValueError`` unless weights are a network's own in name, shape and type.

    Args:
        own: tensors of the network by name, which may be on the device ``"meta"``.
        weights: what a file holds.
    """
    if not isinstance(weights, dict):
        raise ValueError("weights that do not fit: no tensors by name")
    for what, left, right in (("without", own, weights), ("with", weights, own)):
        if strange := [shown(name) for name in left if name not in right]:
            raise ValueError(
                f"weights that do not fit: those of another network, {what} "
                f"{', '.join(strange[:3])[:LISTED]}"
            )
    for key, tensor in own.items():
        given = weights[key]
        if not isinstance(given, torch.Tensor) or given.layout != torch.strided:
            raise ValueError(f"weights that do not fit: {shown(key)} is no tensor")
        if given.shape != tensor.shape or given.dtype != tensor.dtype:
            raise ValueError(
                f"weights that do not fit: {key} of shape {tuple(given.shape)} and type "
                f"{given.dtype}, not {tuple(tensor.shape)} and {tensor.dtype}"
            )
