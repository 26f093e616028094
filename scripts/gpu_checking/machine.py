"""What a report was measured on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import nats_gym
from nats_gym.machine import processor

#: Dense teraFLOP a second that makers give, by the beginning of a card's name: TF32, bfloat16.
CARDS: dict[str, tuple[float, float]] = {
    "NVIDIA H200": (494.7, 989.4),
    "NVIDIA H100 PCIe": (378.0, 756.0),
    "NVIDIA H100": (494.7, 989.4),
    "NVIDIA A100": (156.0, 312.0),
}


def card_teraflops(name: str, precision: str) -> float | None:
    """What the maker says of a card, for ``"tf32"`` or ``"bf16"``; None if nobody wrote it here."""
    for card, figures in CARDS.items():
        if name.startswith(card):
            return figures[precision == "bf16"]
    return None


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Device, driver, versions, date and commit."""
    cuda = device.type == "cuda"
    memory = torch.cuda.get_device_properties(device).total_memory / 2**30 if cuda else None
    return {
        "device": torch.cuda.get_device_name(device) if cuda else processor(),
        "kind": device.type,
        "devices": torch.cuda.device_count() if cuda else 1,
        "memory_gib": memory and round(memory, 1),
        "processor": processor(),
        "cores": os.cpu_count() or 1,
        "driver": _said_by("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "triton": _version("triton"),
        "numpy": _version("numpy"),
        "gymnasium": _version("gymnasium"),
        "nats_gym": nats_gym.__version__,
        "commit": _said_by("git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _said_by(*command: str) -> str | None:
    """First line that a command prints, if it is there and ends well."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.split("\n")
    return lines[0].strip() or None if done.returncode == 0 else None
