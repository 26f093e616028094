"""A training that was begun on one device goes on on another."""

from __future__ import annotations

import copy

import torch
from gpu_place import RECIPE, TOPOLOGIES, Place, close, each, exact_float32, moved, network
from quarters import quarters

from nats_gym.training.trainer import train


@each(("device", "cpu"), ("cpu", "device"), ("device", "device"))
def test_goes_on_across_devices(place: Place, case: tuple[str, str]) -> None:
    start, data = network("tss", TOPOLOGIES[1]), quarters()
    whole, begun = copy.deepcopy(start), copy.deepcopy(start)
    path = place.folder / "training.pt"
    first, second = (place.device if word == "device" else torch.device("cpu") for word in case)
    with exact_float32():
        wanted = train(whole, data, RECIPE, seed=2, device="cpu", evaluate="every")
        train(begun, data, RECIPE, seed=2, device=first, epochs=1, checkpoint=path)
        resumed = network("tss", TOPOLOGIES[1], seed=99)  # its weights come from the checkpoint
        found = train(
            resumed, data, RECIPE, seed=2, device=second, evaluate="every", checkpoint=path
        )
    assert found.epochs == wanted.epochs == RECIPE.epochs
    close(found.train.loss, wanted.train.loss, 2e-3, "the training loss")
    apart = moved(resumed, whole, start)
    assert apart < 0.05, f"weights have parted by {apart:.3f} of their way"
    assert next(resumed.parameters()).device.type == second.type
