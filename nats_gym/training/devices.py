"""Where trainings run, with how many threads, and what lacks memory there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

import nats_gym
from nats_gym.errors import InvalidInput, said, shown
from nats_gym.machine import processor


def choose_device(device: torch.device | str = "auto") -> torch.device:
    """``"auto"`` is a CUDA device if there is one, else the CPU.

    Raises:
        InvalidInput: for a name that torch does not know, or a device that is not there.
    """
    if isinstance(device, str):
        device = str.__str__(device)  # a subclass may compare as it likes
    if type(device) is str and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    reason = "'auto', 'cpu', 'cuda' or 'cuda:0' is one"
    try:
        if isinstance(device, (str, torch.device)):
            try:
                chosen = torch.device(device)
            except RuntimeError:  # which lists what no machine has
                raise InvalidInput(f"no device {shown(device)} here ({reason})") from None
            torch.empty(0, device=chosen)
            if chosen.type == "cpu":  # of which torch has one, whatever its number
                return torch.device("cpu")
            if chosen.type != "meta":  # which computes nothing
                return chosen
    except InvalidInput:
        raise
    except Exception as error:  # of torch's many, an AssertionError without words too
        reason = said(error)
    raise InvalidInput(f"no device {shown(device)} here ({reason})")


def name_device(device: torch.device) -> str:
    """What is computed on here: an accelerator, or the processor with torch's threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{processor()}, {threads} thread{'s' if threads > 1 else ''}"


def describe_device(device: torch.device) -> str:
    """The same after the versions of nats-gym and torch."""
    return f"nats-gym {nats_gym.__version__}, torch {torch.__version__}, {name_device(device)}"


def working_on(device: torch.device) -> AbstractContextManager[Any]:
    """Make a GPU the current one in a block: Triton launches there, wherever its tensors are."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


# How torch and CUDA's libraries say that they found no memory, where they have no exception for it.
_NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "ALLOCATION_FAILED",  # of cuDNN's later words
)


def out_of_memory(error: Exception) -> bool:
    """Whether torch says that a device, or this machine, has no memory left."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Let torch compute with so many threads in a block, and with as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
