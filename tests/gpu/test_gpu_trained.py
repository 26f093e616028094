"""What was trained on a device is saved, loaded on the CPU, and predicts the same on both."""

from __future__ import annotations

from importlib.util import find_spec
from unittest import SkipTest

import numpy as np
import torch
from gpu_place import RECIPE, SMALL, TOPOLOGIES, Place, each, exact_float32, network
from quarters import quarters

from nats_gym.networks import TrainedNetwork, load, save
from nats_gym.networks.card import Card
from nats_gym.networks.preprocessing import Preprocessing
from nats_gym.spaces import get_space
from nats_gym.training.trainer import train


@each(*TOPOLOGIES)
def test_is_saved_and_loaded(place: Place, case: str) -> None:
    for package in ("PIL", "safetensors"):
        if find_spec(package) is None:
            raise SkipTest(f"no {package} here")
    data = quarters(400)
    trained = network("tss", case)
    train(trained, data, RECIPE, device=place.device)
    index = get_space("tss").resolve(case)
    seen = Preprocessing(8, data.mean, data.std)
    card = Card("tss", case, index, tuple("abcd"), seen, network=SMALL)
    save(place.folder / "net", trained, card)
    found = load(place.folder / "net")
    for name, tensor in trained.state_dict().items():
        assert torch.equal(tensor.cpu(), found.network.state_dict()[name]), name
    pictures = [image.permute(1, 2, 0).numpy() for image in data.images[-50:]]
    with exact_float32():
        here = TrainedNetwork(trained.eval(), found.card).predict(pictures)
        there = found.predict(pictures)
    assert next(trained.parameters()).device.type == place.device.type
    apart = np.abs(here.probabilities - there.probabilities).max()
    assert apart < 1e-3, f"probabilities are {apart:.2g} apart"
