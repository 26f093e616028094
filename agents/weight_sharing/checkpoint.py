"""A weight-sharing search on disk: whole after every epoch, so that a killed one goes on exactly.

A checkpoint holds tensors and text only and is read with ``weights_only=True``: one from a
stranger can be damaged, not dangerous.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nats_gym.errors import InvalidInput
from nats_gym.training.checkpoint import UnreadableCheckpoint

from .method import Method
from .supernet_result import ARRAYS, SupernetResult

_FORMAT = 1


def save_checkpoint(
    path: Path, result: SupernetResult, method: Method, weights: torch.optim.Optimizer
) -> None:
    """Write a search's state, whole or not at all.

    Args:
        path: the file, replaced if there.
        result: what was found so far.
        method: the supernet, and what is learnt of the architecture.
        weights: the supernet's optimizer.
    """
    content = {
        "format": _FORMAT,
        "arguments": json.dumps(dict(result.arguments)),
        "history": {name: torch.from_numpy(getattr(result, name)) for name in ARRAYS},
        "method": method.state_dict(),
        "weights": weights.state_dict(),
        "architecture": None if method.optimizer is None else method.optimizer.state_dict(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name for what is not whole yet, so that killed searches leave one such file, not many.
    temporary = path.with_name(f"{path.name}.part")
    torch.save(content, temporary)
    os.replace(temporary, path)


def load_checkpoint(
    path: Path, arguments: Mapping[str, Any], method: Method, weights: torch.optim.Optimizer
) -> SupernetResult:
    """Put a saved search's state into ``method`` and ``weights``; return what it had found.

    Raises:
        UnreadableCheckpoint: if the file is damaged or something else.
        InvalidInput: if it is of a search with other arguments; says in what they differ.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        written, saved = content["format"], json.loads(content["arguments"])
        history = {name: content["history"][name].numpy() for name in ARRAYS}
    except Exception as error:  # a damaged file can raise nearly anything
        raise UnreadableCheckpoint(
            f"{path} is damaged or no checkpoint of a search ({type(error).__name__}); "
            "delete it to start anew"
        ) from error
    if written != _FORMAT:
        raise UnreadableCheckpoint(f"{path} has format {written}, this version reads {_FORMAT}")
    differing = [
        f"{name} {saved.get(name)!r}, not {value!r}"
        for name, value in arguments.items()
        if saved.get(name) != value
    ]
    if differing:
        raise InvalidInput(f"{path} is a checkpoint of another search: {'; '.join(differing)}")
    method.load_state_dict(content["method"])
    weights.load_state_dict(content["weights"])
    if method.optimizer is not None:
        method.optimizer.load_state_dict(content["architecture"])
    return SupernetResult(**history, arguments=arguments)
