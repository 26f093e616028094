"""Images on the device: what is drawn, flipped and cropped there are the CPU's bits."""

from __future__ import annotations

from dataclasses import replace

import torch
from gpu_place import Place, close, each
from quarters import quarters

from nats_gym.training.batches import Batch, TrainingBatches, evaluation_batches
from nats_gym.training.data import ImageData

LAYOUTS = (torch.contiguous_format, torch.channels_last)


def as_bytes(data: ImageData) -> ImageData:
    """Normalised to the bytes themselves: nothing of them is rounded, on no device."""
    return replace(data, mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255))


def epoch(data: ImageData, layout: torch.memory_format, padding: int) -> list[Batch]:
    return list(TrainingBatches(data, "train", 16, True, padding, layout).epoch(3))


def test_data_lie_on_the_device(place: Place) -> None:
    data = quarters().to(place.device)
    tensors = [data.images, data.labels, *data.splits.values()]
    assert all(one.device.type == place.device.type for one in tensors)
    assert data.images.dtype == torch.uint8
    for images, labels in epoch(data, torch.channels_last, 1):
        assert images.device == labels.device == data.images.device


@each(0, 1, 4)
def test_flips_and_crops_are_the_cpus_bits(place: Place, case: int) -> None:
    data = as_bytes(quarters())
    for layout in LAYOUTS:
        here, there = epoch(data.to(place.device), layout, case), epoch(data, layout, case)
        for (images, labels), (wanted, classes) in zip(here, there, strict=True):
            assert torch.equal(images.cpu(), wanted)
            assert torch.equal(labels.cpu(), classes)
            assert images.is_contiguous(memory_format=layout)
    # Draws differ among images, or nothing was proved.
    seen = torch.cat([images for images, _ in there])
    assert case == 0 or not torch.equal(seen.sort(0).values, data.images.float().sort(0).values)


def test_normalised_to_a_rounding(place: Place) -> None:
    data = quarters()
    here = epoch(data.to(place.device), torch.channels_last, 1)
    for (images, _), (wanted, _) in zip(here, epoch(data, torch.channels_last, 1), strict=True):
        close(images, wanted, 1e-6, "a normalised image")


def test_evaluated_images_are_the_cpus_bits(place: Place) -> None:
    data = as_bytes(quarters())
    for seed in (None, 5):
        here, there = (
            evaluation_batches(one, "x-valid", 8, torch.channels_last, seed)
            for one in (data.to(place.device), data)
        )
        for (images, labels), (wanted, classes) in zip(here, there, strict=True):
            assert torch.equal(images.cpu(), wanted)
            assert torch.equal(labels.cpu(), classes)
