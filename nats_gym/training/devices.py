"""Where trainings run, and with how many threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nats_gym.errors import InvalidInput, shown


def choose_device(device: torch.device | str = "auto") -> torch.device:
    """``"auto"`` is a CUDA device if there is one, else the CPU.

    Raises:
        InvalidInput: for a name that torch does not know, or a device that is not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(f"no device {shown(device)} here ({reason})") from error
    return chosen


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Let torch compute with so many threads in a block, and with as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
