"""A training on disk: whole after every epoch, so that what was killed goes on exactly.

A checkpoint holds tensors and text only, and is checked before torch reads it with
``weights_only=True``: one from a stranger can be damaged, not dangerous.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nats_gym.errors import InvalidInput, NatsGymError, shown
from nats_gym.files.writing import make_folder, replacing
from nats_gym.tables.official.weights import load_saved
from nats_gym.training.record import TrainingRecord

_FORMAT = 1


class UnreadableCheckpoint(NatsGymError, OSError):
    """A checkpoint is damaged, or is none."""


def checkpoint_name(space: str, index: int, seed: int) -> str:
    """What the checkpoint of an architecture's training is called in a folder of many."""
    return f"{space}-{index}-{seed}.pt"


def save_checkpoint(
    path: Path,
    identity: dict[str, Any],
    record: TrainingRecord,
    network: nn.Module,
    optimizer: dict[str, Any],
) -> None:
    """Write a training's state, whole or not at all.

    Args:
        path: the file, replaced if there.
        identity: what the training is, plain values; one that goes on must have the same.
        record: its record so far.
        network: its weights and running statistics.
        optimizer: its momentum, as the ``state_dict`` of an optimizer of this network alone.
    """
    weights = network.state_dict()
    for name, value in weights.items():
        weights[name] = own_storage(value)
    content = {
        "format": _FORMAT,
        "identity": json.dumps(identity),
        "record": json.dumps(record.to_content()),
        "network": weights,
        "optimizer": optimizer,
    }
    write_whole(path, content)


def own_storage(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor whose storage holds it alone: of a part of another, all of that would be saved."""
    return tensor.clone() if tensor.untyped_storage().nbytes() > tensor.nbytes else tensor


def write_whole(path: Path, content: Any) -> None:
    """Write what ``torch.save`` writes, whole or not at all, making the folders that lack.

    Raises:
        CannotWrite: for what the operating system refuses.
    """
    make_folder(path.parent)
    # By way of memory: where the disk is full torch tells of a wrong position.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_checkpoint(
    path: Path, identity: dict[str, Any], network: nn.Module, optimizer: torch.optim.Optimizer
) -> TrainingRecord:
    """Put a saved training's state into ``network`` and ``optimizer``; return its record.

    Raises:
        UnreadableCheckpoint: if the file is damaged or something else.
        InvalidInput: if it is of another training; says in what they differ.
    """
    try:
        content = load_saved(path)
        written, saved = content["format"], dict(json.loads(content["identity"]))
        record = TrainingRecord.from_content(json.loads(content["record"]))
    except Exception as error:  # a damaged file can raise nearly anything
        raise _unreadable(path, error) from error
    if written != _FORMAT:
        raise UnreadableCheckpoint(
            f"{path} has format {shown(written)}, this version reads {_FORMAT}"
        )
    differing = [
        f"{name} {shown(saved.get(name))}, not {shown(value)}"
        for name, value in identity.items()
        if saved.get(name) != value
    ]
    if differing:
        raise InvalidInput(f"{path} is a checkpoint of another training: {'; '.join(differing)}")
    try:
        network.load_state_dict(content["network"])
        optimizer.load_state_dict(content["optimizer"])
        for weight in network.parameters():  # torch takes an optimizer's state as it comes
            momentum = optimizer.state[weight].get("momentum_buffer")
            if momentum is not None and momentum.shape != weight.shape:
                raise ValueError("momentum of another shape")
    except (RuntimeError, ValueError) as error:
        raise InvalidInput(f"{path} is a checkpoint of another network: {shown(error)}") from error
    except Exception as error:
        raise _unreadable(path, error) from error
    return record


def _unreadable(path: Path, error: Exception) -> UnreadableCheckpoint:
    return UnreadableCheckpoint(
        f"{path} is damaged or no checkpoint ({type(error).__name__}); delete it to start anew"
    )
