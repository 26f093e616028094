"""Torch's generators, lent to one network at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def own_randomness(device: torch.device, seed: int) -> Iterator[None]:
    """Seed the CPU's and a device's generators for a block and put them back afterwards."""
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        # torch.manual_seed would seed those of all GPUs, too, which nothing puts back.
        torch.default_generator.manual_seed(seed)
        if device.type not in ("cpu", "cuda"):
            torch.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


class OwnDraws:
    """A network that is trained beside others and draws (dropout, sampled paths) as if alone.

    Args:
        network: which.
        device: where.
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self._network, self._device = network, device
        self._states = self._read()

    def seed(self, seed: int) -> None:
        """Begin anew."""
        with own_randomness(self._device, seed):
            self._states = self._read()

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """What the network returns."""
        if not self._network.training:
            return self._compute(images)
        others = self._read()
        self._write(self._states)
        try:
            return self._compute(images)
        finally:
            self._states = self._read()
            self._write(others)

    def _compute(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._network(images)
        return logits

    def _read(self) -> list[torch.Tensor]:
        states = [torch.get_rng_state()]
        if self._device.type == "cuda":
            states.append(torch.cuda.get_rng_state(self._device))
        return states

    def _write(self, states: list[torch.Tensor]) -> None:
        torch.set_rng_state(states[0])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(states[1], self._device)
