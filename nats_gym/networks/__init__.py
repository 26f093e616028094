"""Torch networks of both spaces: built from an architecture, or loaded with official weights.

``blocks`` holds what an edge can be, ``cell`` computes the edges that matter, ``network`` puts
stem, cells and classifier together, ``official`` reads weights. ``group`` makes one module of
several networks, ``stacked`` does so by grouped convolutions, ``grouping`` chooses. ``trained``
keeps a trained network in a folder, with a ``card`` and its ``preprocessing``.

>>> import torch
>>> network = build("sss", "8:16:24:32:32", num_classes=10)
>>> network(torch.zeros(2, 3, 32, 32)).shape
torch.Size([2, 10])
>>> sum(parameter.numel() for parameter in network.parameters())
93794
"""

from __future__ import annotations

from nats_gym.networks.network import Network, build
from nats_gym.networks.official import load_official
from nats_gym.networks.onnx_export import export_onnx
from nats_gym.networks.trained import TrainedNetwork, load, save

__all__ = ["Network", "TrainedNetwork", "build", "export_onnx", "load", "load_official", "save"]
