"""Each weight-sharing search takes steps on the device; what draws nothing takes the CPU's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from gpu_place import Place, close, each, exact_float32
from quarters import quarters

from nats_gym.agents.weight_sharing import METHODS, get_method
from nats_gym.agents.weight_sharing.supernet_result import SupernetResult
from nats_gym.agents.weight_sharing.supernet_search import SupernetSearch
from nats_gym.spaces import get_space

#: What makes the searches short that compare candidates.
SETTINGS: dict[str, dict[str, Any]] = {
    "setn": {"candidates": 4},
    "rsps": {"candidates": 4},
    "enas": {"controller_steps": 2, "samples_per_step": 3, "candidates": 4},
}


def searched(method: str, device: torch.device | str, **options: Any) -> SupernetResult:
    """An epoch of four steps."""
    topology = get_method(method).space == "tss"
    return SupernetSearch(
        method,
        quarters(),
        epochs=1,
        batch_size=16,
        network={"channels": 4, "cells_per_stage": 1} if topology else None,
        settings=SETTINGS.get(method),
        device=device,
        **options,
    ).run()


@each(*METHODS)
def test_a_search_takes_steps(place: Place, case: str) -> None:
    space = get_space(get_method(case).space)
    result = searched(case, place.device)
    assert result.index.shape == (1,)
    assert 0 <= result.index[0] < space.size
    assert math.isfinite(result.loss[0])
    assert np.isfinite(result.alphas).all()


@each("darts", "darts2")
def test_a_mixture_takes_the_cpus_steps(place: Place, case: str) -> None:
    with exact_float32():
        here = searched(case, place.device)
    there = searched(case, "cpu")
    close(here.loss, there.loss, 2e-3, "the loss")
    close(here.alphas, there.alphas, 1e-2, "what is learnt of the architecture")


@each("darts", "fbnetv2")
def test_a_search_in_bfloat16(place: Place, case: str) -> None:
    result = searched(case, place.device, amp=True, channels_last=True)
    close(result.loss, searched(case, place.device).loss, 0.1, "the loss")
