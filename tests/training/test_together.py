"""Many networks trained in one loop: each as if alone, whatever happens to the others."""

from __future__ import annotations

import gc
import math
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exploding import Exploding
from quarters import quarters
from torch import nn

from nats_gym.errors import InvalidInput
from nats_gym.networks import build, fused, fused_blocks
from nats_gym.networks.fused import FusedNetworks, FusingWarning, find_fusing_obstacle
from nats_gym.networks.group import NetworkGroup, Parts, SideBySide
from nats_gym.networks.stacked import StackedNetworks
from nats_gym.training import captured, trainer
from nats_gym.training.batches import TrainingBatches
from nats_gym.training.data import ImageData
from nats_gym.training.devices import out_of_memory
from nats_gym.training.recipe import Recipe
from nats_gym.training.record import (
    COMPLETED,
    DIVERGED,
    OUT_OF_MEMORY,
    TIMED_OUT,
    TrainingFailed,
    TrainingRecord,
)
from nats_gym.training.trainer import seeded, train, train_together

torch.set_num_threads(1)

CPU: dict[str, Any] = {"device": "cpu", "evaluate": "every"}
RECIPE = Recipe(epochs=2, batch_size=16, learning_rate=0.05)


@pytest.fixture(autouse=True)
def one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Computed so, networks together have the bits that each has alone."""
    monkeypatch.setattr(trainer, "choose_group", lambda networks, *_: SideBySide(networks))


def small_data() -> ImageData:
    """Fifty to train on: three batches of 16, and one of 2."""
    return quarters(70)


def drawing() -> nn.Module:
    """A network that draws."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 4),
    )


def sized(index: int) -> nn.Module:
    return build("sss", index, 4, cells_per_stage=1)


def curves(record: TrainingRecord) -> list[Any]:
    """All of a record that does not depend on the clock."""
    parts = (record.train, *record.evaluated.values())
    return [record.status, *([curve.epochs, curve.loss, curve.accuracy] for curve in parts)]


def weights(network: nn.Module) -> list[tuple[str, bytes]]:
    return [
        (name, value.contiguous().numpy().tobytes()) for name, value in network.state_dict().items()
    ]


def make(builds: list[Callable[[], nn.Module]]) -> list[nn.Module]:
    return [seeded(one, number) for number, one in enumerate(builds)]


BUILDS = {
    "networks that draw": [drawing] * 3,
    "sizes": [lambda: sized(0), lambda: sized(7)],
    "unlike ones": [drawing, lambda: sized(3)],
}


@pytest.mark.one_in(2)
@pytest.mark.parametrize("builds", BUILDS.values(), ids=BUILDS)
def test_each_is_trained_as_if_alone(builds: list[Any]) -> None:
    recipe, data = replace(RECIPE, amp=len(builds) == 3), small_data()
    together, alone = make(builds), make(builds)
    seeds = [5, 6, 5][: len(builds)]
    before = torch.get_rng_state()
    records = train_together(together, data, recipe, seeds=seeds, **CPU)
    assert torch.equal(torch.get_rng_state(), before)
    for network, own, seed, record in zip(together, alone, seeds, records, strict=True):
        wanted = train(own, data, recipe, seed=seed, **CPU)
        assert curves(record) == curves(wanted)
        assert weights(network) == weights(own)
        assert record.seed == seed
        assert all(seconds > 0 for seconds in record.train.seconds)
    assert curves(records[0]) != curves(records[1])


def test_stacked_they_learn_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made: list[StackedNetworks] = []

    def stack(networks: list[Any], resolution: int, batch_size: int) -> Any:
        assert (resolution, batch_size) == (8, 16)
        if len(networks) == 1:
            return SideBySide(networks)
        made.append(StackedNetworks(networks))
        return made[-1]

    monkeypatch.setattr(trainer, "choose_group", stack)
    builds = [lambda n=n: sized(n) for n in (0, 7, 8)]
    data, recipe = small_data(), replace(RECIPE, epochs=2, learning_rate=0.02)
    wanted = make(builds)
    alone = [train(one, data, recipe, seed=seed, **CPU) for seed, one in enumerate(wanted)]
    options: dict[str, Any] = {"seeds": [0, 1, 2], **CPU}
    paths = [tmp_path / f"{number}.pt" for number in range(3)]
    train_together(make(builds), data, recipe, epochs=1, checkpoints=paths, **options)
    networks = make(builds)
    found = train_together(networks, data, recipe, checkpoints=paths, **options)
    assert len(made) == 2
    for one, other, network, own in zip(found, alone, networks, wanted, strict=True):
        # The first epoch before roundings have grown, and all of what is learnt.
        assert np.allclose(one.train.loss[0], other.train.loss[0], rtol=1e-3)
        assert np.allclose(one.train.loss, other.train.loss, rtol=0.03)
        for name, value in own.state_dict().items():
            assert value.dtype == network.state_dict()[name].dtype
            assert network.state_dict()[name].shape == value.shape
    ranks = [np.argsort([one.train.loss[-1] for one in records]) for records in (found, alone)]
    assert ranks[0].tolist() == ranks[1].tolist()
    # No larger than one of a training alone: a part of all was not saved with all.
    train(make(builds)[0], data, recipe, seed=0, checkpoint=tmp_path / "alone.pt", **CPU)
    assert abs(paths[0].stat().st_size - (tmp_path / "alone.pt").stat().st_size) < 2_000
    again = seeded(builds[0], 9)  # it ends alone
    assert curves(train(again, data, recipe, seed=0, checkpoint=paths[0], **CPU)) == curves(
        found[0]
    )
    failing = make(builds)
    with torch.no_grad():
        failing[1].classifier.weight.fill_(math.nan)
    left = train_together(failing, data, recipe, **options)
    assert [one.status for one in left] == [COMPLETED, DIVERGED, COMPLETED]
    assert np.allclose(left[2].train.loss, alone[2].train.loss, rtol=0.03)
    assert len(made[-1].members) == 2


def test_stacked_they_begin_again_where_memory_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Scarce(StackedNetworks):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits = super().forward(images)
            if len(self.members) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return logits

    def choose(networks: list[Any], *_: int) -> Any:
        return Scarce(networks) if len(networks) > 1 else SideBySide(networks)

    monkeypatch.setattr(trainer, "choose_group", choose)
    builds = [lambda n=n: sized(n) for n in (0, 7, 1)]
    networks, wanted = make(builds), make(builds)
    found = train_together(networks, small_data(), RECIPE, seeds=[0, 1, 2], **CPU)
    pair = train_together(wanted[:2], small_data(), RECIPE, seeds=[0, 1], **CPU)
    last = train(wanted[2], small_data(), RECIPE, seed=2, **CPU)
    assert [curves(one) for one in found] == [curves(one) for one in (*pair, last)]
    assert [weights(one) for one in networks] == [weights(one) for one in wanted]


@pytest.mark.slow
def test_they_begin_anew_however_often_memory_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four at once fail after some steps, and so do two."""

    class Scarce(SideBySide):
        steps = 0

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.steps += self.training
            if self.steps > 2 and len(self.members) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().forward(images)

    monkeypatch.setattr(trainer, "choose_group", lambda networks, *_: Scarce(networks))
    builds = [lambda n=n: sized(n) for n in (0, 7, 1, 8)]
    networks, wanted = make(builds), make(builds)
    found = train_together(networks, small_data(), RECIPE, seeds=range(4), **CPU)
    alone = [train(one, small_data(), RECIPE, seed=n, **CPU) for n, one in enumerate(wanted)]
    assert [curves(one) for one in found] == [curves(one) for one in alone]
    assert [weights(one) for one in networks] == [weights(one) for one in wanted]


def test_what_is_not_to_be_trained_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = make([lambda n=n: sized(n) for n in (0, 1)])
    networks[1].stem.requires_grad_(False)
    before = weights(networks[1].stem)
    train_together(networks, small_data(), RECIPE, seeds=[0, 1], **CPU)
    assert weights(networks[1].stem)[0] == before[0]  # its statistics move


def test_afterwards_networks_hold_what_is_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "choose_group", lambda networks, *_: StackedNetworks(networks))
    networks = make([lambda n=n: sized(n) for n in (0, 7)])
    train_together(networks, small_data(), replace(RECIPE, epochs=1), seeds=[0, 1], **CPU)
    for tensor in networks[0].state_dict().values():
        assert tensor.untyped_storage().nbytes() == tensor.nbytes


def test_what_is_compiled_is_trained_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda network, mode: network)
    data, networks, alone = small_data(), make([drawing] * 2), make([drawing] * 2)
    recipe = replace(RECIPE, compile=True)
    found = train_together(networks, data, recipe, seeds=[3, 4], **CPU)
    assert curves(found[1]) == curves(train(alone[1], data, recipe, seed=4, **CPU))
    assert weights(networks[1]) == weights(alone[1])


def test_the_seconds_of_all_are_those_that_passed() -> None:
    networks = make([drawing] * 3)
    start = time.perf_counter()
    records = train_together(networks, small_data(), RECIPE, seeds=[0, 1, 2], **CPU)
    passed = time.perf_counter() - start
    assert 0 < sum(record.seconds for record in records) <= passed
    assert len({record.seconds for record in records}) == 1


def test_a_checkpoint_alone_is_one_together_and_the_other_way_round(tmp_path: Path) -> None:
    builds, data = [drawing, lambda: sized(7), drawing], small_data()
    options: dict[str, Any] = {"recipe": RECIPE, "data": data, **CPU}
    wanted = make(builds)
    records = [train(one, seed=seed, **options) for seed, one in enumerate(wanted)]
    paths = [tmp_path / f"{number}.pt" for number in range(3)]
    labels = ["a", "b", "c"]
    # The first begins alone, the last joins late, and all end alone or together.
    networks = make(builds)
    train(networks[0], seed=0, epochs=1, checkpoint=paths[0], label="a", **options)
    both: dict[str, Any] = {"seeds": [0, 1], "labels": ["a", "b"], "checkpoints": paths[:2]}
    train_together(make(builds)[:2], epochs=1, **both, **options)
    networks = [seeded(one, 90) for one in builds]  # their weights come from the files
    networks[2] = seeded(drawing, 2)
    found = train_together(networks, seeds=[0, 1, 2], labels=labels, checkpoints=paths, **options)
    assert [curves(one) for one in found] == [curves(one) for one in records]
    assert [weights(one) for one in networks] == [weights(one) for one in wanted]
    for label, path, network, build_, seed in zip(
        labels, paths, networks, builds, range(3), strict=True
    ):
        again = seeded(build_, 91)
        record = train(again, seed=seed, checkpoint=path, label=label, **options)
        assert curves(record) == curves(records[seed])
        assert weights(again) == weights(network)
    # The same file, key by key and number by number.
    train(make(builds)[2], seed=2, checkpoint=tmp_path / "alone.pt", label="c", **options)
    one, other = (torch.load(path, weights_only=True) for path in (tmp_path / "alone.pt", paths[2]))
    assert [*one] == [*other]
    assert one["identity"] == other["identity"]
    assert one["optimizer"]["param_groups"] == other["optimizer"]["param_groups"]
    states = [content["optimizer"]["state"] for content in (one, other)]
    assert [*states[0]] == [*states[1]]
    for number, state in states[0].items():
        assert torch.equal(state["momentum_buffer"], states[1][number]["momentum_buffer"])


def test_one_that_diverges_leaves_the_others_as_they_were() -> None:
    data = small_data()
    networks = make([lambda: Exploding(5), drawing, lambda: Exploding(0), drawing])
    records = train_together(networks, data, RECIPE, seeds=[0, 1, 2, 3], **CPU)
    assert [one.status for one in records] == [DIVERGED, COMPLETED, DIVERGED, COMPLETED]
    assert [one.epochs for one in records] == [1, 2, 0, 2]  # four batches are an epoch
    assert [one.accuracy("x-valid") for one in records][::2] == [25.0, 25.0]
    assert records[0].lost_seconds > 0
    for at in (1, 3):
        alone = seeded(drawing, at)
        assert curves(records[at]) == curves(train(alone, data, RECIPE, seed=at, **CPU))
        assert weights(networks[at]) == weights(alone)
    failing = make([drawing, lambda: Exploding(5)])
    with pytest.raises(TrainingFailed, match="the training diverged after 1 epochs") as caught:
        train_together(failing, data, replace(RECIPE, on_failure="raise"), seeds=[0, 1], **CPU)
    assert [one.status for one in caught.value.records] == [COMPLETED, DIVERGED]


class Slow(nn.Module):
    def __init__(self, seconds: float = 0.02) -> None:
        super().__init__()
        self.linear, self.seconds = nn.Linear(192, 4), seconds

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        time.sleep(self.seconds)
        return self.linear(images.flatten(1))


def test_a_time_limit_is_of_each_ones_share() -> None:
    recipe = replace(RECIPE, epochs=500)
    start = time.perf_counter()
    records = train_together(
        [Slow(), Slow()], small_data(), recipe, seeds=[0, 1], time_limit=0.3, **CPU
    )
    assert time.perf_counter() - start > 0.6
    assert [one.status for one in records] == [TIMED_OUT] * 2
    for one in records:
        assert 0 < one.epochs < 500
        assert one.seconds > 0.3


def test_who_has_no_time_left_leaves_it_to_the_others(tmp_path: Path) -> None:
    path, recipe = tmp_path / "slow.pt", replace(RECIPE, epochs=2)
    options: dict[str, Any] = {**CPU, "recipe": recipe, "data": small_data()}
    spent = train(Slow(0.1), seed=0, epochs=1, checkpoint=path, **options).seconds
    quick = tmp_path / "quick.pt"
    train(Slow(0.0), seed=1, epochs=1, checkpoint=quick, **options)
    records = train_together(
        [Slow(0.0), Slow(0.0)],
        seeds=[0, 1],
        checkpoints=[path, quick],
        time_limit=spent,
        **options,
    )
    assert [one.status for one in records] == [TIMED_OUT, COMPLETED]


class Greedy(nn.Module):
    """Takes memory of which there is only so much for all of its kind."""

    taken = 0

    def __init__(self, needs: int, room: int, steps: int = 0) -> None:
        super().__init__()
        self.linear, self.needs, self.room, self.steps = nn.Linear(192, 4), needs, room, steps

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        Greedy.taken += self.needs
        logits = self.linear(images.flatten(1))
        self.steps -= 1
        if Greedy.taken > self.room and self.steps < 0:
            Greedy.taken = 0
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return _Freed.apply(logits, self.needs)


class _Freed(torch.autograd.Function):
    """Gives the memory of a forward pass back in the backward pass."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, needs: int) -> torch.Tensor:
        ctx.needs = needs
        if not logits.requires_grad:
            Greedy.taken -= needs
        return logits.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        Greedy.taken -= ctx.needs
        return gradient, None


@pytest.mark.one_in(2)
@pytest.mark.parametrize("steps", [0, 6])
def test_what_does_not_fit_together_is_trained_in_halves(steps: int, tmp_path: Path) -> None:
    data, needs = small_data(), [1, 1, 9, 1, 1]
    paths = [tmp_path / f"{number}.pt" for number in range(5)]
    wanted = {number: seeded(lambda: Greedy(0, 2), number) for number in (0, 1, 3, 4)}
    alone = {n: train(one, data, RECIPE, seed=n, **CPU) for n, one in wanted.items()}
    for checkpoints in (None, paths):
        Greedy.taken = 0
        networks = make([lambda n=n: Greedy(n, 2, steps) for n in needs])
        records = train_together(
            networks, data, RECIPE, seeds=[*range(5)], checkpoints=checkpoints, **CPU
        )
        assert [one.status for one in records] == [
            OUT_OF_MEMORY if n > 2 else COMPLETED for n in needs
        ]
        assert records[2].accuracy("x-valid") == 25.0
        for number, record in alone.items():
            assert curves(records[number]) == curves(record)
            assert weights(networks[number]) == weights(wanted[number])


def test_out_of_memory_alone_is_an_outcome() -> None:
    Greedy.taken = 0
    record = train(Greedy(3, 2, 5), small_data(), RECIPE, **CPU)
    assert record.status == OUT_OF_MEMORY
    assert record.accuracy("x-valid") == 25.0
    assert record.seconds > 0
    assert TrainingRecord.from_content(record.to_content()) == record
    raising = replace(RECIPE, on_failure="raise")
    with pytest.raises(TrainingFailed, match="the training ran out of memory after 0 epochs"):
        train(Greedy(3, 2), small_data(), raising, **CPU)


def test_what_says_that_memory_lacks() -> None:
    for error in (
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        MemoryError(),
    ):
        assert out_of_memory(error)
    with pytest.raises(RuntimeError) as refused:
        torch.empty(1 << 60)
    assert out_of_memory(refused.value)
    for error in (RuntimeError("shapes differ"), ValueError("out of memory")):
        assert not out_of_memory(error)

    class Wrong(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(5, 4)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.linear(images.flatten(1))

    with pytest.raises(RuntimeError, match="shapes"):
        train_together([Wrong(), drawing()], small_data(), RECIPE, seeds=[0, 1], **CPU)


def test_wrong_lists_are_refused(tmp_path: Path) -> None:
    network, data = drawing(), small_data()
    assert train_together([], data, RECIPE, seeds=[]) == []
    path = tmp_path / "one.pt"
    for options, message in (
        ({"seeds": [0]}, "seeds are one a network: 2, got 1"),
        ({"seeds": 3}, "seeds are a list, got 3"),
        ({"seeds": [0, 1], "labels": ["a"]}, "labels are one a network: 2, got 1"),
        ({"seeds": [0, 1], "checkpoints": [path] * 2}, "a checkpoint of its own"),
        ({"seeds": [0, -1]}, "a seed is an integer from 0"),
    ):
        with pytest.raises(InvalidInput, match=message):
            train_together([network, drawing()], data, RECIPE, **options)
    with pytest.raises(InvalidInput, match="different ones"):
        train_together([network, network], data, RECIPE, seeds=[0, 1])


# ── batches of several, and steps that the device counts ─────────────────────────────────────


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_batches_beside_each_other_are_those_of_each(memory_format: torch.memory_format) -> None:
    batches = TrainingBatches(small_data(), "train", 16, True, 1, memory_format)
    beside = [*batches.epochs([3, 4, 3])]
    assert [labels.shape[1] for _, labels in beside] == [*batches.sizes()] == [16, 16, 16, 2]
    for member, seed in enumerate((3, 4, 3)):
        for (images, labels), (own, wanted) in zip(beside, batches.epoch(seed), strict=True):
            assert torch.equal(images[member], own)
            assert torch.equal(labels[member], wanted)
            assert images[member].is_contiguous(memory_format=memory_format)


class Replayed:
    """Stands for CUDA graphs: what is captured is done at each replay, and not before."""

    def __init__(self, *_: Any) -> None:
        self.captured = self.replayed = self.entered = 0

    def beside(self) -> Any:
        self.entered += 1
        return trainer.nullcontext()

    def capture(self, work: Callable[[], None]) -> Any:
        self.captured += 1
        graphs = self

        class Graph:
            def replay(self) -> None:
                graphs.replayed += 1
                work()

        return Graph()


class Refused(Replayed):
    def capture(self, work: Callable[[], None]) -> Any:
        self.captured += 1
        raise RuntimeError("operation not permitted when stream is capturing")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Replayed]], list[Replayed]]:
    """Trains on the CPU as on a GPU, with what stands for its graphs."""

    def use(kind: type[Replayed]) -> list[Replayed]:
        made: list[Replayed] = []

        def graphs(device: torch.device) -> Replayed:
            made.append(kind())
            return made[-1]

        monkeypatch.setattr(trainer, "CudaGraphs", graphs)
        monkeypatch.setattr(trainer, "_captures", lambda device, recipe: not recipe.compile)
        return made

    return use


@pytest.mark.one_in(3)
@pytest.mark.parametrize("kind", [Replayed, Refused])
@pytest.mark.parametrize("builds", [[drawing], [lambda: sized(0), lambda: sized(7)]])
def test_counted_steps_are_those_of_the_loop(
    kind: type[Replayed], builds: list[Any], counted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, data = replace(RECIPE, epochs=3), small_data()
    wanted, seeds = make(builds), [*range(len(builds))]
    records = [train(one, data, recipe, seed=seed, **CPU) for seed, one in enumerate(wanted)]
    made = counted(kind)
    monkeypatch.setattr(captured, "_BEFORE_SMALLER", 2)
    networks = make(builds)
    if kind is Refused:
        with pytest.warns(captured.CaptureWarning, match="trained without: operation not"):
            found = train_together(networks, data, recipe, seeds=seeds, **CPU)
    else:
        found = train_together(networks, data, recipe, seeds=seeds, **CPU)
    assert [curves(one) for one in found] == [curves(one) for one in records]
    assert [weights(one) for one in networks] == [weights(one) for one in wanted]
    (graphs,) = made
    if kind is Replayed:
        # Nine steps of 16 images, three of 2: all but the first three, and two, are replays.
        assert (graphs.captured, graphs.replayed, graphs.entered) == (2, 6 + 1, 3)
    else:
        assert (graphs.captured, graphs.replayed, graphs.entered) == (1, 0, 2)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("seed", range(6))
def test_counted_steps_of_random_shapes(
    seed: int, counted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(seed)
    count, batch_size, epochs, members = rng.integers([25, 2, 1, 1], [90, 40, 5, 4]).tolist()
    change = {"horizontal_flip": bool(seed % 2), "crop_padding": int(rng.integers(3))}
    recipe = replace(RECIPE, epochs=epochs, batch_size=batch_size, **change)
    data, sizes = quarters(count), rng.choice([0, 1, 8, 9, 64, 512], members).tolist()  # narrow
    builds = [lambda index=index: sized(index) for index in sizes]
    wanted = make(builds)
    records = [train(one, data, recipe, seed=number, **CPU) for number, one in enumerate(wanted)]
    counted(Replayed)
    before = rng.integers(5, size=2).tolist()
    monkeypatch.setattr(captured, "_BEFORE_CAPTURE", before[0])
    monkeypatch.setattr(captured, "_BEFORE_SMALLER", before[1])
    networks = make(builds)
    found = train_together(networks, data, recipe, seeds=[*range(members)], **CPU)
    assert [curves(one) for one in found] == [curves(one) for one in records]
    assert [weights(one) for one in networks] == [weights(one) for one in wanted]


def test_counted_steps_go_on_from_a_checkpoint_and_without_the_failed(
    counted: Any, tmp_path: Path
) -> None:
    data, paths = small_data(), [tmp_path / "0.pt", tmp_path / "1.pt"]
    builds = [lambda: sized(0), lambda: sized(7)]
    options: dict[str, Any] = {"data": data, "recipe": RECIPE, **CPU}
    wanted = make(builds)
    records = [train(one, seed=seed, **options) for seed, one in enumerate(wanted)]
    train_together(make(builds), seeds=[0, 1], epochs=1, checkpoints=paths, **options)
    made = counted(Replayed)
    networks = make(builds)
    found = train_together(networks, seeds=[0, 1], checkpoints=paths, **options)
    assert [curves(one) for one in found] == [curves(one) for one in records]
    assert [weights(one) for one in networks] == [weights(one) for one in wanted]
    assert np.isclose(
        torch.load(paths[0], weights_only=True)["optimizer"]["param_groups"][0]["lr"],
        RECIPE.learning_rate_at(1),
    )
    assert len(made) == 1
    diverging = [seeded(lambda: Exploding(5), 0), seeded(lambda: Exploding(math.inf), 1)]
    statuses = [one.status for one in train_together(diverging, seeds=[0, 1], **options)]
    assert statuses == [DIVERGED, COMPLETED]


class Failing(torch.autograd.Function):
    """Kernels whose backward pass cannot be translated."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        return values.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        raise RuntimeError("out of resource: shared memory")


def failing(group: FusedNetworks, images: torch.Tensor) -> torch.Tensor:
    """Takes half a step: running statistics are no more what they were."""
    with torch.no_grad():
        for buffer in group.buffers():
            if buffer.dtype is not torch.bool:
                buffer.add_(1)
    return Failing.apply(images.mean((2, 3, 4))[..., None] * group.head.bias[:, None])  # type: ignore[no-any-return, no-untyped-call]


@pytest.mark.one_in(5)
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("mixed", [False, True])
def test_kernels_that_fail_end_no_training(
    half: bool, mixed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_kernels() -> Any:
        raise RuntimeError("Failed to find C compiler")

    def choose(networks: Any, *_: Any) -> NetworkGroup:
        if not mixed:
            return FusedNetworks(networks)
        return Parts([FusedNetworks(networks[1:]), SideBySide(networks[:1])], [[1, 2], [0]])

    builds = [lambda: sized(0), lambda: sized(9), lambda: sized(7)]
    wanted, networks, seeds = make(builds), make(builds), [4, 5, 6]
    records = train_together(wanted, small_data(), RECIPE, seeds=seeds, **CPU)
    monkeypatch.setattr(trainer, "choose_group", choose)
    monkeypatch.setattr(fused_blocks, "_kernels", no_kernels)
    if half:
        monkeypatch.setattr(FusedNetworks, "forward", failing)
    said = "shared memory" if half else "C compiler"
    with pytest.warns(FusingWarning, match=f"PyTorch's are used: .*{said}") as caught:
        found = train_together(networks, small_data(), RECIPE, seeds=seeds, **CPU)
    assert len(caught) == 1
    assert [curves(one) for one in found] == [curves(one) for one in records]
    assert [weights(one) for one in networks] == [weights(one) for one in wanted]


def test_kernels_without_memory_are_no_failure_of_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory() -> Any:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trainer, "choose_group", lambda networks, *_: FusedNetworks(networks))
    monkeypatch.setattr(fused_blocks, "_kernels", no_memory)
    (record,) = train_together([sized(0)], small_data(), RECIPE, seeds=[0], **CPU)
    assert record.status == OUT_OF_MEMORY


def test_devices_that_kernels_are_not_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_fusing_obstacle([sized(0)]) == "the kernels are for CUDA"
    card = torch.device("cuda")
    monkeypatch.setattr(torch.version, "cuda", None)  # as where torch is for AMD's
    assert fused._find_device_obstacle(card) == "the kernels are for CUDA"
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    for capability, wanted in (((7, 0), "capability of 7.5"), ((6, 1), "capability of 7.5")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, c=capability: c)
        assert wanted in fused._find_device_obstacle(card)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(fused, "find_spec", lambda name: object())
    assert fused._find_device_obstacle(card) == ""


@pytest.mark.parametrize(
    "kind",
    [
        SideBySide,
        StackedNetworks,
        FusedNetworks,
        lambda networks: Parts([FusedNetworks(networks[:1]), SideBySide(networks[1:])], [[0], [1]]),
    ],
)
def test_a_group_goes_when_it_is_no_more_used(kind: Any) -> None:
    """And so do its gradients, which may keep the memory of a whole CUDA graph."""
    gc.disable()
    try:
        group = kind([sized(0), sized(0)])
        gone = weakref.ref(group)
        del group
        assert gone() is None
    finally:
        gc.enable()


def test_products_are_rounded_as_in_torchs_convolutions() -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32
    try:
        for allowed in (True, False):
            cudnn.allow_tf32 = allowed
            assert fused_blocks._precision() == ("tf32" if allowed else "ieee")
        cudnn.allow_tf32 = True
        if hasattr(cudnn, "conv"):  # after which the old name cannot be read
            cudnn.conv.fp32_precision = "ieee"
            assert fused_blocks._precision() == "ieee"
    finally:
        if hasattr(cudnn, "conv"):
            cudnn.conv.fp32_precision = "tf32"
        cudnn.allow_tf32 = before
