"""The kernels of fused networks by Triton's interpreter on the CPU, against the members alone.

Run with ``TRITON_INTERPRET=1``, by ``test_fused.py``: Triton reads that when it is imported, and
compiles nothing in that process any more. Prints the name of each case that holds.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from test_group import CLASSES, check_equal, mean_losses, sgd
from torch import nn
from triton.runtime import interpreter

from nats_gym.networks import Network, build, fused_blocks
from nats_gym.networks.fused import FusedNetworks, _find_shape_obstacle
from nats_gym.networks.group import Parts, SideBySide


def mend_interpreter() -> None:
    """Triton 3.6's interpreter makes integers of arrays of one element, NumPy 2.4 no longer."""
    patch = interpreter._patch_lang_tensor

    def patch_and_mend(tensor: Any, scope: Any) -> None:
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    interpreter._patch_lang_tensor = patch_and_mend
    # Looking at every sum of integers for an overflow doubles the time.
    builder = interpreter.interpreter_builder
    builder.options = replace(builder.options, sanitize_overflow=False)


def topology(*choices: int) -> Network:
    return with_biases(build("tss", choices, CLASSES, cells_per_stage=1, stem_width=8))


def sizes(*widths: int) -> Network:
    return with_biases(build("sss", ":".join(map(str, widths)), CLASSES))


def with_biases(network: Network) -> Network:
    """Biases that are not zero: zeros hide a lot."""
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter)
    return network


def check(*networks: Network) -> None:
    """Batches of 3 images of 8×8 pixels: 192, 48 and 12 pixels, no multiple of a tile of 128."""
    alone = copy.deepcopy(networks)
    assert not _find_shape_obstacle(networks)
    check_equal(FusedNetworks(networks), alone, 2e-3)


def check_several_tiles_a_program() -> None:
    """As where there are thousands of tiles: statistics are merged within programs too."""
    busy, fused_blocks._BUSY = fused_blocks._BUSY, 0
    try:
        check(topology(3, 2, 0, 1, 0, 3))
    finally:
        fused_blocks._BUSY = busy


def check_half_precision() -> None:
    """Of float16: what the interpreter makes of bfloat16's bits, which NumPy lacks, is nonsense."""
    networks = [topology(3, 2, 1, 4, 3, 2), topology(1, 3, 0, 2, 4, 3)]
    alone = copy.deepcopy(networks)
    group = FusedNetworks(networks)
    optimizers = [sgd(one.parameters()) for one in (group, *alone)]
    images = torch.randn(2, 3, 3, 8, 8)
    labels = torch.randint(0, CLASSES, (2, 3))
    with torch.autocast("cpu", torch.float16):
        logits = group(images).float()
        own = torch.stack([one(batch) for one, batch in zip(alone, images, strict=True)]).float()
    assert (logits - own).abs().max() < 0.1 * own.abs().max()
    mean_losses(logits, labels).sum().backward()
    mean_losses(own, labels).sum().backward()
    gradients = group.by_member({one: one.grad for one in group.parameters()})
    for ours, one in zip(gradients, alone, strict=True):
        theirs = {name: p.grad for name, p in one.named_parameters() if p.grad is not None}
        assert ours.keys() == theirs.keys()
        ours_flat = torch.cat([ours[name].flatten() for name in theirs])
        flat = torch.cat([gradient.flatten() for gradient in theirs.values()])
        assert torch.cosine_similarity(ours_flat, flat, 0) > 0.98
        assert abs(ours_flat.norm() / flat.norm() - 1) < 0.1
    for optimizer in optimizers:
        optimizer.step()
    assert all(one.isfinite().all() for one in group.parameters())


def check_parts() -> None:
    networks = [topology(3, 1, 4, 2, 1, 3), topology(2, 2, 1, 0, 3, 1), topology(4, 3, 3, 1, 2, 0)]
    alone = copy.deepcopy(networks)
    group = Parts([FusedNetworks(networks[::2]), SideBySide(networks[1:2])], [[0, 2], [1]])
    check_equal(group, alone, 2e-3)


CASES: dict[str, Callable[[], None]] = {
    "topologies, two trials of one, some with zero nodes": lambda: check(
        topology(3, 1, 4, 2, 1, 3),
        topology(3, 1, 4, 2, 1, 3),
        topology(0, 3, 3, 0, 0, 1),
        topology(4, 2, 0, 4, 4, 1),
    ),
    "no convolution in a cell": lambda: check(topology(1, 1, 1, 1, 1, 1)),
    "sizes": lambda: check(sizes(8, 24, 16, 24, 8), sizes(24, 64, 8, 8, 40)),
    "cells that project": lambda: check(
        with_biases(Network([3, 1, 3, 1, 0, 2], [8, 24, 16, 8, 24], 1, CLASSES))
    ),
    "several tiles a program": check_several_tiles_a_program,
    "half precision": check_half_precision,
    "beside others": check_parts,
}


def main() -> None:
    mend_interpreter()
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False
    for name, case in CASES.items():
        torch.manual_seed(0)
        begun = time.perf_counter()
        case()
        print(f"{name}: {time.perf_counter() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
