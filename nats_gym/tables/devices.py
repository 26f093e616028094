"""Latency of topologies on devices, estimated by models fitted to public measurements.

One model answers for all settings: a linear one and, for what that leaves, a small perceptron, both
from what is in a cell (:func:`~nats_gym.tables.surrogates.topology_structure`). It is of CIFAR-10's
networks (images of 32×32, 10 classes); ``scripts/fit_devices.py`` fits it, and writes its errors on
cells that it did not see, ``held_out_devices.json``. Estimates are never measurements.

Measured by HELP (Lee et al., NeurIPS 2021, arXiv 2106.08630); those on Raspberry Pi 4, Pixel 3,
Eyeriss and the FPGA by HW-NAS-Bench (Li et al., ICLR 2021, arXiv 2103.10584). Both MIT.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from nats_gym import checks
from nats_gym.errors import InvalidInput
from nats_gym.spaces import ArchitectureSpace, Quantity, get_space
from nats_gym.tables.perceptron import Array, LinearAndPerceptron
from nats_gym.tables.surrogates import (
    FOLDER,
    TOPOLOGY_STRUCTURE,
    Figures,
    held_out,
    read_coefficients,
    topology_structure,
)

FILE, HELD_OUT = "tss-devices.npz", "held_out_devices"
#: The table whose named columns these latencies are.
FOLDER_OF_COLUMNS = "tss-columns-devices"
MODEL = "device-latency"
#: The space whose networks were measured.
SPACE = "tss"
#: What latencies are called by: this, then the device's key.
PREFIX = "latency/"
#: Decimals of an estimate, in milliseconds; see ``surrogates.DECIMALS``.
DECIMALS = 4

HELP = "HELP (arXiv 2106.08630)"
HW_NAS_BENCH = "HW-NAS-Bench (arXiv 2103.10584)"


@dataclass(frozen=True)
class Device:
    """A setting of a device: what latencies of one name are of.

    Attributes:
        key: the publishers' name, such as ``"raspi4"`` or ``"titan_rtx_32"``.
        title: the device in words, and the images of a batch where there are settings of several.
        source: who measured what the model was fitted to.
    """

    key: str
    title: str
    source: str = HELP

    @property
    def name(self) -> str:
        """What the latencies are looked up by, such as ``"latency/raspi4"``."""
        return f"{PREFIX}{self.key}"

    @property
    def quantity(self) -> Quantity:
        """What they count: milliseconds, of which less is better."""
        return Quantity("milliseconds", f"latency on {self.title} [ms]")

    @property
    def held_out(self) -> dict[str, Any]:
        """The model's errors on cells that it did not see: rows, R², Kendall's τ, RMSE in ms."""
        errors: dict[str, Any] = held_out(HELD_OUT)["estimates"][self.name]
        return errors


_GPUS = {
    "1080ti": "NVIDIA GTX 1080 Ti",
    "2080ti": "NVIDIA RTX 2080 Ti",
    "titan_rtx": "NVIDIA Titan RTX",
    "titanx": "NVIDIA Titan X",
    "titanxp": "NVIDIA Titan Xp",
}
_BATCHES = (1, 32, 256)
_SETTINGS = (
    *(
        Device(f"{key}_{batch}", f"{title}, batch of {batch}")
        for key, title in _GPUS.items()
        for batch in _BATCHES
    ),
    Device("silver_4114", "Intel Xeon Silver 4114"),
    Device("silver_4210r", "Intel Xeon Silver 4210R"),
    Device("gold_6226", "Intel Xeon Gold 6226"),
    Device("gold_6240", "Intel Xeon Gold 6240"),
    Device("pixel2", "Google Pixel 2"),
    Device("pixel3", "Google Pixel 3", HW_NAS_BENCH),
    Device("samsung_a50", "Samsung Galaxy A50"),
    Device("samsung_s7", "Samsung Galaxy S7"),
    Device("essential_ph_1", "Essential Phone PH-1"),
    Device("raspi4", "Raspberry Pi 4", HW_NAS_BENCH),
    Device("eyeriss", "Eyeriss (ASIC)", HW_NAS_BENCH),
    Device("fpga", "FPGA", HW_NAS_BENCH),
)
#: The settings that latencies are estimated of, by the names of these.
DEVICES: Mapping[str, Device] = MappingProxyType({device.name: device for device in _SETTINGS})


@dataclass(frozen=True)
class DeviceSurrogate:
    """Latency of topologies on every setting of :data:`DEVICES`, in its order.

    Attributes:
        model: from features to milliseconds.
        least: no estimate is below it: the least latency that the model was fitted to, ms,
            ``(setting,)``.
    """

    model: LinearAndPerceptron
    least: Array

    @classmethod
    def load(cls, folder: Path = FOLDER) -> DeviceSurrogate:
        """Read the coefficients that the package ships; ``ValueError`` for what can be none."""
        arrays = read_coefficients(folder / FILE)
        model = LinearAndPerceptron.read(arrays, TOPOLOGY_STRUCTURE, len(DEVICES))
        least = arrays["least"]
        if least.shape != (len(DEVICES),):
            raise ValueError(f"least latencies {least.shape} of {len(DEVICES)} settings")
        return cls(model, least)

    def arrays(self) -> dict[str, Array]:
        """What :meth:`load` reads."""
        return {"least": self.least, **self.model.arrays()}

    def latencies(self, choices: Array) -> Figures:
        """Expected latencies in ms, ``(setting, arch)``, of ``choices (arch, 6)``."""
        expected = self.model(topology_structure(choices)).T
        return np.maximum(expected, self.least[:, None].astype(np.float64)).round(DECIMALS)


def known_devices(space: str | ArchitectureSpace) -> tuple[Device, ...]:
    """The settings that there are latencies of in a space; none but in the topology space.

    Raises:
        InvalidInput: for an unknown space.
    """
    return _SETTINGS if get_space(space).name == SPACE else ()


def device_latency(space: str | ArchitectureSpace, name: str) -> Figures:
    """Estimated latency of every architecture on a device, in milliseconds.

    Of the networks for CIFAR-10, by a model; its errors are :attr:`Device.held_out`.

    Args:
        space: the topology space, ``"tss"``.
        name: a key of :data:`DEVICES`, such as ``"latency/raspi4"``.

    Returns:
        By official index, ``(arch,)``, read-only.

    Raises:
        InvalidInput: for another name, or a space that nobody has measured.
    """
    space = get_space(space)
    name = checks.word(name, "device", DEVICES)
    if not known_devices(space):
        raise InvalidInput(f"latencies of devices are of {SPACE}, asked for was {space.name}")
    return estimated_latency(name, FOLDER)


def estimated_latency(name: str, folder: Path) -> Figures:
    """:func:`device_latency` by the coefficients of a folder; ``ValueError`` for what are none."""
    return _latencies(folder.resolve())[tuple(DEVICES).index(name)]


@cache
def _latencies(folder: Path) -> Figures:
    """All of them, ``(setting, arch)``: the last layer's share of the work is small."""
    latencies = DeviceSurrogate.load(folder).latencies(get_space(SPACE).all_choices())
    latencies.flags.writeable = False
    return latencies
