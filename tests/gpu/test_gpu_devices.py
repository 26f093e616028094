"""What is said of networks on the device, and two devices where there are two."""

from __future__ import annotations

import math
from unittest import SkipTest

import torch
from gpu_place import (
    RECIPE,
    SIZES,
    SMALL,
    TOPOLOGIES,
    Place,
    close,
    each,
    exact_float32,
    network,
    shaken,
    spread,
)
from quarters import quarters

from nats_gym.datasets import get_dataset
from nats_gym.measuring.timing import latency
from nats_gym.proxies import score_architectures, score_names, score_network
from nats_gym.proxies.inputs import draw_inputs
from nats_gym.spaces import get_space
from nats_gym.training.batched import TrainingPool
from nats_gym.training.captured import CudaGraphs
from nats_gym.training.devices import working_on
from nats_gym.training.trainer import train


def test_a_latency_is_measured(place: Place) -> None:
    one = network("tss", TOPOLOGIES[1]).to(place.device)
    seconds = latency(one, 8, place.device, channels_last=True)
    assert math.isfinite(seconds)
    assert seconds > 0


def test_a_captured_pass_has_a_latency_and_computes_the_same(place: Place) -> None:
    place.need_gpu("no CUDA graphs")
    one = network("tss", TOPOLOGIES[1]).to(place.device)
    graphs = CudaGraphs(place.device)
    with working_on(place.device):
        for batch in (1, 4):
            captured = latency(one, 8, place.device, True, batch, seconds=0.01, graphs=graphs)
            assert 0 < captured < math.inf
        images = torch.rand(4, 3, 8, 8, device=place.device)
        with exact_float32(), torch.no_grad():
            wanted, found = one(images), torch.empty(4, 4, device=place.device)
            with graphs.beside():
                graphs.capture(lambda: found.copy_(one(images))).replay()
    close(found, wanted, 1e-5, "what a replay computes")


@each(("tss", TOPOLOGIES[0]), ("tss", TOPOLOGIES[1]), ("sss", SIZES[1]))
def test_zero_cost_scores_are_the_cpus(place: Place, case: tuple[str, str]) -> None:
    """As far apart, at most, as weights that rounding may have changed put them on the CPU."""
    space, architecture = case
    index, names = [get_space(space).resolve(architecture)], score_names()
    start = network(space, architecture, classes=10)
    batch = draw_inputs(get_dataset("digits"), batch=16)
    changed = [shaken(start, seed) for seed in range(2)]
    with exact_float32():
        found, wanted = (
            score_architectures(
                space, index, names, dataset="digits", batch=16, device=device, network=SMALL
            )
            for device in (place.device.type, "cpu")
        )
        for name in names:
            about = [score_network(one, name, *batch) for one in changed]
            assert all(map(math.isfinite, [*wanted[name], *about])), f"{name} is {wanted[name]}"
            apart = max(spread(one, wanted[name]) for one in about)
            close(found[name], wanted[name], max(1e-4, 5 * apart), f"the score {name}")
            assert apart < 0.1, f"the score {name} moves by {apart:.2g}, and proves nothing"


def test_two_devices_train_alike(place: Place) -> None:
    if place.device.type != "cuda" or torch.cuda.device_count() < 2:
        raise SkipTest("there are no two GPUs here")
    with exact_float32():
        records = [
            train(network("tss", TOPOLOGIES[1]), quarters(), RECIPE, device=f"cuda:{number}")
            for number in range(2)
        ]
    close(records[1].train.loss, records[0].train.loss, 2e-3, "the training loss")
    index = [get_space("tss").resolve(one) for one in TOPOLOGIES[:2]]
    devices = ("cuda:0", "cuda:1")
    with TrainingPool("tss", quarters(), RECIPE, network=SMALL, workers=2, devices=devices) as pool:
        for _, record in pool.train(index, [0, 0]):
            assert not isinstance(record, Exception), record
