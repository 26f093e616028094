"""Out of memory, or kernels that fail, end no search; and no training leaves memory behind."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import NoReturn
from unittest import mock

import torch
from gpu_place import RECIPE, TOPOLOGIES, Place, network
from quarters import quarters

import nats_gym
from nats_gym.networks import fused_blocks
from nats_gym.networks.fused import FusingWarning
from nats_gym.training.record import COMPLETED
from nats_gym.training.trainer import train_together

# Epochs that are captured.
_LONG = replace(RECIPE, epochs=3)

# What needs little, what needs more than there is, and again what needs little.
_FEW, _MANY = "|skip_connect~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|", TOPOLOGIES[0]
# In a process of its own, which may use half a gibibyte beside what it begins with.
_CODE = """
import resource, sys
import torch
from nats_gym.networks import build
from nats_gym.spaces import get_space
from nats_gym.training.architecture import train_architecture
from nats_gym.training.data import ImageData
from nats_gym.training.recipe import Recipe
from nats_gym.training.trainer import train

device, few, many = sys.argv[1:]
torch.set_num_threads(1)
count = 256 if device.startswith("cuda") else 64
data = ImageData(
    "random", 10, torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8),
    torch.arange(count) % 10, {"train": torch.arange(count), "x-valid": torch.arange(count)},
    (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), 4,
)
recipe = Recipe(epochs=1, batch_size=count)
allowed = 640 << 20
if device.startswith("cuda"):
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(allowed / total, device)
else:
    # What a first training loads is loaded before the limit is set.
    train(build("sss", 0, 10), data, Recipe(epochs=1, batch_size=8), device=device)
    pages = int(open("/proc/self/statm").read().split()[0])
    limit = pages * resource.getpagesize() + allowed // 4
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for architecture in (few, many, few):
    index = get_space("tss").resolve(architecture)
    record = train_architecture("tss", index, data, recipe, network={}, seed=0, device=device)
    print(record.status, record.accuracy("x-valid"), sep=",", flush=True)
"""


def test_out_of_memory_ends_one_training_alone(place: Place) -> None:
    # What this process found must be found: packages may lie where only its path leads.
    paths = [str(Path(nats_gym.__file__).parent.parent), *filter(None, sys.path)]
    done = subprocess.run(
        [sys.executable, "-c", _CODE, str(place.device), _FEW, _MANY],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert done.returncode == 0, done.stderr.strip()[-500:]
    first, second, third = (line.split(",") for line in done.stdout.splitlines())
    assert first[0] == third[0] == "completed", done.stdout
    assert second == ["out of memory", "10.0"], done.stdout


def test_memory_does_not_grow_from_training_to_training(place: Place) -> None:
    place.need_gpu("who counts the CPU's memory counts all of Python's")
    held = []
    for number in range(5):
        networks = [network("tss", one, number) for one in TOPOLOGIES]
        seeds = [number] * len(networks)
        train_together(networks, quarters(), _LONG, seeds=seeds, device=place.device)
        del networks
        held.append(torch.cuda.memory_allocated(place.device) / 2**20)
    # The first of all loads libraries, which keep some for themselves.
    assert held[-1] <= held[1] + 1, f"MiB that are left: {held}"


def test_kernels_that_fail_end_no_training(place: Place) -> None:
    place.need_gpu("the fused kernels are Triton's")
    place.need_compiler()

    def no_kernels() -> NoReturn:
        raise RuntimeError("Failed to find C compiler")

    networks = [network("tss", one) for one in TOPOLOGIES]
    with mock.patch.object(fused_blocks, "_kernels", no_kernels), warnings.catch_warnings():
        warnings.simplefilter("ignore", FusingWarning)
        records = train_together(networks, quarters(), RECIPE, seeds=[1, 2, 3], device=place.device)
    assert [one.status for one in records] == [COMPLETED] * 3
