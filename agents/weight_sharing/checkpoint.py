"""A weight-sharing search on disk: whole after every epoch, so that a killed one goes on exactly.

A checkpoint holds tensors and text only, and is checked before torch reads it with
``weights_only=True``: one from a stranger can be damaged, not dangerous.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nats_gym.errors import InvalidInput, shown
from nats_gym.spaces import get_space
from nats_gym.tables.official.weights import load_saved
from nats_gym.training.checkpoint import UnreadableCheckpoint, write_whole

from .method import Method
from .supernet_result import ARRAYS, SupernetResult

_FORMAT = 2


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
    write_whole(path, content)


def load_checkpoint(
    path: Path, arguments: Mapping[str, Any], method: Method, weights: torch.optim.Optimizer
) -> SupernetResult:
    """Put a saved search's state into ``method`` and ``weights``; return what it had found.

    Raises:
        UnreadableCheckpoint: if the file is damaged, incomplete or something else.
        InvalidInput: if it is of a search with other arguments; says in what they differ.
    """
    with _damage_named(path):
        content = load_saved(path)
        if content["format"] != _FORMAT:
            raise UnreadableCheckpoint(
                f"{path} has format {content['format']}, this version reads {_FORMAT}"
            )
        saved = json.loads(content["arguments"])
        differing = [
            f"{name} {shown(saved.get(name))}, not {shown(value)}"
            for name, value in arguments.items()
            if saved.get(name) != value
        ]
        if differing:
            raise InvalidInput(
                f"{path} is a checkpoint of another search: {'; '.join(differing)}; "
                "delete it or take another folder"
            )
        history = {name: content["history"][name].numpy() for name in ARRAYS}
        _check_history(history, arguments)
        method.load_state_dict(content["method"])
        weights.load_state_dict(content["weights"])
        for weight in method.supernet.parameters():
            # Torch takes an optimizer's state as it comes.
            if weights.state[weight]["momentum_buffer"].shape != weight.shape:
                raise ValueError("momentum of another shape")
        if method.optimizer is not None:
            method.optimizer.load_state_dict(content["architecture"])
    return SupernetResult(**history, arguments=arguments)


def _check_history(history: Mapping[str, NDArray[Any]], arguments: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` unless a search with these arguments can have had this history."""
    space, count = get_space(arguments["space"]), len(history["index"])
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(ARRAYS, (count,))
    shapes["alphas"] = (count, space.num_decisions, space.num_choices)
    for name, array in history.items():
        kind = np.int64 if name == "index" else np.float64
        if array.shape != shapes[name] or array.dtype != kind:
            raise ValueError(f"{name} of shape {array.shape} and type {array.dtype}")
    if count > arguments["epochs"]:
        raise ValueError(f"{count} epochs")
    if not ((history["index"] >= 0) & (history["index"] < space.size)).all():
        raise ValueError("an index outside its space")


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Turn what a damaged file raises, nearly anything, into ``UnreadableCheckpoint``."""
    try:
        yield
    except (UnreadableCheckpoint, InvalidInput):
        raise
    except Exception as error:
        raise UnreadableCheckpoint(
            f"{path} is damaged or no checkpoint of a search ({type(error).__name__}); "
            "delete it to start anew"
        ) from error
