"""A training that was begun on one device goes on on another."""

from __future__ import annotations

import torch
from gpu_place import TOPOLOGIES, Place, each, exact_float32, network, train_alike
from torch import nn

from nats_gym.training.data import ImageData
from nats_gym.training.recipe import Recipe
from nats_gym.training.record import TrainingRecord
from nats_gym.training.trainer import train


@each(("device", "cpu"), ("cpu", "device"), ("device", "device"))
def test_goes_on_across_devices(place: Place, case: tuple[str, str]) -> None:
    path = place.folder / "training.pt"
    first, second = (place.device if word == "device" else torch.device("cpu") for word in case)

    def interrupted(
        networks: list[nn.Module], data: ImageData, recipe: Recipe
    ) -> list[TrainingRecord]:
        (begun,) = networks
        path.unlink(missing_ok=True)
        train(begun, data, recipe, seed=2, device=first, epochs=1, checkpoint=path)
        resumed = network("tss", TOPOLOGIES[1], seed=99)  # its weights come from the checkpoint
        record = train(resumed, data, recipe, seed=2, device=second, checkpoint=path)
        assert next(resumed.parameters()).device.type == second.type
        begun.load_state_dict(resumed.state_dict())
        return [record]

    def whole(networks: list[nn.Module], data: ImageData, recipe: Recipe) -> list[TrainingRecord]:
        return [train(one, data, recipe, seed=2, device="cpu") for one in networks]

    with exact_float32():
        train_alike([network("tss", TOPOLOGIES[1])], interrupted, whole)
