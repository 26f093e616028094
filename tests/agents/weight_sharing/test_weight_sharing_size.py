"""TAS, FBNet-V2 and TuNAS: by hand, by finite differences, and as whole searches on digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import assert_same_search

from nats_gym.agents.weight_sharing.fbnetv2 import FBNetV2
from nats_gym.agents.weight_sharing.method import INITIAL_STD
from nats_gym.agents.weight_sharing.size_method import SizeMethod
from nats_gym.agents.weight_sharing.supernet_search import SupernetResult, SupernetSearch
from nats_gym.agents.weight_sharing.tas import TAS, sample_pairs
from nats_gym.agents.weight_sharing.tunas import TuNAS
from nats_gym.errors import InvalidInput
from nats_gym.networks.size_supernet import SizeSupernet
from nats_gym.spaces import get_space
from nats_gym.training.data import ImageData
from nats_gym.training.record import TrainingFailed

METHODS = ["tas", "fbnetv2", "tunas"]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def few_images() -> ImageData:
    """Two classes, of which one is brighter: 48 images to train, 32 to validate."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(80) % 2
    noise = torch.randint(128, (80, 3, 8, 8), generator=generator)
    return ImageData(
        "bright",
        2,
        (noise + 127 * labels[:, None, None, None]).byte(),
        labels,
        {"train": torch.arange(48), "x-valid": torch.arange(48, 80)},
        (0.5, 0.5, 0.5),
        (0.25, 0.25, 0.25),
        crop_padding=1,
    )


def batch(method: SizeMethod) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.randn(4, 3, 8, 8, dtype=method.alpha.dtype)
    return images, torch.tensor([0, 3, 5, 6])


def search(method: str, images: ImageData, **options: Any) -> SupernetSearch:
    return SupernetSearch(
        method, images, **{"epochs": 2, "batch_size": 16, "seed": 4, "device": "cpu", **options}
    )


@pytest.fixture(scope="module")
def searched(few_images: ImageData) -> Callable[[str], tuple[SupernetSearch, SupernetResult]]:
    """Searches that are over, each made once."""

    @cache
    def run(name: str) -> tuple[SupernetSearch, SupernetResult]:
        started = search(name, few_images)
        return started, started.run()

    return run


# The searches


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", METHODS)
def test_a_search_ends_with_an_architecture_and_its_history(name: str, searched: Any) -> None:
    _, result = searched(name)
    assert result.alphas.shape == (2, 5, 8)
    assert np.isfinite(result.alphas).all()
    assert (np.diff(result.alphas, axis=0) != 0).any()
    space = get_space("sss")
    np.testing.assert_array_equal(space.choices(result.index), result.alphas.argmax(2))
    assert (np.diff(result.seconds) > 0).all()
    assert np.isfinite(result.loss).all()


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", METHODS)
def test_equal_seeds_search_alike_and_others_do_not(
    name: str, few_images: ImageData, searched: Any
) -> None:
    _, first = searched(name)
    torch.randn(3)  # what was drawn outside does not matter
    assert_same_search(first, search(name, few_images).run())
    other = search(name, few_images, seed=5, budget=1e-6).run()
    assert (first.alphas[0] != other.alphas[0]).all()


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", METHODS)
def test_a_search_that_was_killed_goes_on_to_the_bit(
    name: str, few_images: ImageData, searched: Any, tmp_path: Path
) -> None:
    whole, expected = searched(name)

    class Killed(Exception):
        pass

    def kill(result: SupernetResult) -> None:
        raise Killed

    checkpoint = tmp_path / "search.pt"
    with pytest.raises(Killed):
        search(name, few_images, checkpoint=checkpoint, progress=kill).run()
    resumed = search(name, few_images, checkpoint=checkpoint)
    assert_same_search(resumed.run(), expected)
    for (key, one), other in zip(
        whole.method.state_dict().items(), resumed.method.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), key


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", METHODS)
def test_warm_up_trains_the_weights_alone(name: str, few_images: ImageData) -> None:
    options: dict[str, Any] = {"epochs": 4, "settings": {"warmup": 0.5}}
    # Labels by chance: with all right from the first step on, TuNAS would have nothing to learn.
    hard = replace(few_images, labels=few_images.labels[torch.randperm(80)])
    started = search(name, hard, **options)
    alpha = started.method.log_probabilities().numpy().copy()
    weights = {key: value.clone() for key, value in started.method.supernet.state_dict().items()}
    result = started.run()
    np.testing.assert_array_equal(result.alphas[:2], np.stack([alpha, alpha]))
    assert (result.alphas[2] != alpha).any()
    changed = started.method.supernet.state_dict()
    assert all((weights[key] != changed[key]).any() for key in weights)


def test_warm_up_begins_at_full_width_and_ends_at_any(monkeypatch: pytest.MonkeyPatch) -> None:
    method = FBNetV2(SizeSupernet(7), warmup=0.5)
    seen: list[list[int]] = []

    def path(images: torch.Tensor, choices: list[int]) -> torch.Tensor:
        seen.append(choices)
        return torch.zeros(4, 7)

    monkeypatch.setattr(method.supernet, "path", path)
    images, labels = batch(method)
    shares = []
    for epoch in range(4):
        method.begin_epoch(epoch, 8)
        seen.clear()
        for _ in range(500):
            method.weight_loss(images, labels)
        shares.append(np.mean(np.array(seen) == 7))
    # At full width with probability 1, ¾, ½, ¼, and by chance in one of eight other cases.
    assert shares[0] == 1
    assert shares[1:] == pytest.approx([25 / 32, 9 / 16, 11 / 32], abs=0.05)
    assert set(np.unique(seen)) == set(range(8))


@pytest.mark.parametrize("warmup", [-0.1, 1, "half", float("nan"), True, False])
def test_a_warm_up_out_of_range_is_refused(warmup: Any) -> None:
    with pytest.raises(InvalidInput, match="from 0 below 1"):
        TAS(SizeSupernet(7), warmup)


@pytest.mark.parametrize("name", METHODS)
def test_a_supernet_that_diverges_says_so(name: str, few_images: ImageData) -> None:
    """Also where alpha follows at once, and torch refuses to sample from it."""
    started = search(name, few_images)
    with torch.no_grad():
        started.method.supernet.classifier.bias.fill_(float("nan"))
    with pytest.raises(TrainingFailed, match="supernet diverged in epoch 1"):
        started.run()


@pytest.mark.parametrize("name", METHODS)
def test_an_alpha_that_diverges_says_so(name: str, few_images: ImageData) -> None:
    started = search(name, few_images)
    with torch.no_grad():
        started.method.get_parameter("alpha")[2, 3] = float("nan")
    with pytest.raises(TrainingFailed, match="diverged in epoch 1"):
        started.run()


@pytest.mark.parametrize("method", [TAS, FBNetV2, TuNAS])
def test_alpha_begins_near_zero_and_the_weights_step_leaves_it_alone(
    method: type[SizeMethod],
) -> None:
    made = method(SizeSupernet(7))
    assert 0 < made.alpha.abs().max() < 5 * INITIAL_STD
    made.begin_epoch(0, 3)
    made.weight_loss(*batch(made)).backward()
    assert made.alpha.grad is None
    assert made.supernet.stem[0].weight.grad.any()


def test_the_temperature_falls_from_10_to_a_tenth() -> None:
    method = FBNetV2(SizeSupernet(7))
    seen = []
    for epoch in range(4):
        method.begin_epoch(epoch, 4)
        seen.append(method.tau)
    assert seen == pytest.approx([10, 6.7, 3.4, 0.1])


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_digits(name: str) -> None:
    result = SupernetSearch(name, "digits", device="cpu").run()
    assert result.alphas.shape == (3, 5, 8)
    assert 0 <= result.derived < get_space("sss").size
    assert result.loss[-1] < result.loss[0]
    assert_same_search(result, SupernetSearch(name, "digits", device="cpu").run())


@pytest.mark.one_in(5)
@pytest.mark.parametrize("options", [{"amp": True}, {"channels_last": True}])
@pytest.mark.parametrize("name", METHODS)
def test_options_of_speed_change_little(
    name: str, options: dict[str, bool], few_images: ImageData, searched: Any
) -> None:
    quick = search(name, few_images, budget=1e-6, **options).run()
    np.testing.assert_allclose(quick.loss, searched(name)[1].loss[:1], atol=0.1)


@pytest.mark.slow
def test_compiled_masks_compute_the_same(few_images: ImageData) -> None:
    plain = search("fbnetv2", few_images, epochs=1).run()
    compiled = search("fbnetv2", few_images, epochs=1, compile=True).run()
    np.testing.assert_allclose(compiled.loss, plain.loss, rtol=1e-3)


# Gradients of alpha


@pytest.mark.parametrize("method", [TAS, FBNetV2])
def test_alphas_gradient_is_a_finite_difference_under_the_same_noise(
    method: type[SizeMethod],
) -> None:
    made = method(SizeSupernet(7)).double()
    made.begin_epoch(1, 3)
    images, labels = batch(made)

    def loss() -> torch.Tensor:
        torch.manual_seed(3)
        return made.architecture_loss(images, labels)

    (gradient,) = torch.autograd.grad(loss(), made.alpha)
    assert (gradient.abs().amax(1) > 0).all()  # every place learns
    step = 1e-7  # below the next kink of a ReLU
    for place, width in enumerate(gradient.abs().argmax(1).tolist()):
        slopes = []
        for sign in (1, -1):
            with torch.no_grad():
                made.alpha[place, width] += sign * step
                slopes.append(loss().item())
                made.alpha[place, width] -= sign * step
        slope = (slopes[0] - slopes[1]) / (2 * step)
        assert slope == pytest.approx(gradient[place, width].item(), rel=1e-3, abs=1e-8)


def test_pairs_are_two_different_widths_whose_weights_sum_to_one() -> None:
    logits = torch.randn(5, 8)
    for tau in (10.0, 1.0, 0.1, 1e-3):
        for _ in range(50):
            pairs, weights = sample_pairs(logits, tau)
            assert pairs.shape == weights.shape == (5, 2)
            assert (pairs[:, 0] != pairs[:, 1]).all()
            torch.testing.assert_close(weights.sum(1), torch.ones(5))


def test_a_pairs_weights_have_the_gradient_of_a_softmax_of_two() -> None:
    logits = torch.randn(5, 8, dtype=torch.float64, requires_grad=True)
    tau = 2.5
    pairs, weights = sample_pairs(logits, tau)
    (gradient,) = torch.autograd.grad(weights[:, 0].sum(), logits)
    expected = torch.zeros(5, 8, dtype=torch.float64)
    slope = (weights[:, 0] * weights[:, 1] / tau).detach()
    expected.scatter_(1, pairs, torch.stack([slope, -slope], 1))
    torch.testing.assert_close(gradient, expected)


def test_cold_pairs_begin_with_a_sample_of_the_softmax() -> None:
    logits = torch.tensor([0.0, 1.0, -1.0, 0.5])
    pairs, weights = sample_pairs(logits.expand(40_000, 4), 0.005)
    shares = torch.bincount(pairs[:, 0]) / 40_000
    torch.testing.assert_close(shares, logits.softmax(0), atol=0.01, rtol=0)
    assert weights[:, 0].mean() > 0.99  # and are nearly that one alone


def test_fbnetv2s_masks_are_the_tail_sums_of_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    method = FBNetV2(SizeSupernet(7))
    method.begin_epoch(0, 3)
    seen: list[torch.Tensor] = []

    def masked(images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        seen.append(masks)
        return torch.zeros(4, 7) + masks.sum()

    monkeypatch.setattr(method.supernet, "masked", masked)
    images, labels = batch(method)
    torch.manual_seed(3)
    method.architecture_loss(images, labels)
    torch.manual_seed(3)
    weights = torch.nn.functional.gumbel_softmax(method.alpha, 10.0)
    for channel in range(64):  # all widths above have it
        expected = weights[:, channel // 8 :].sum(1)
        torch.testing.assert_close(seen[0][:, channel], expected)


# TuNAS


def test_tunas_baseline_by_hand() -> None:
    method = TuNAS(SizeSupernet(7))
    rewards = [50.0, 70.0, 20.0]
    # Averages with weights 0.05, 0.05·0.95, …, divided by their sum.
    averages = [
        50.0,
        (0.05 * 70 + 0.0475 * 50) / 0.0975,  # 60.256…
        (0.05 * 20 + 0.0475 * 70 + 0.045125 * 50) / 0.142625,  # 46.143…
    ]
    for reward, average in zip(rewards, averages, strict=True):
        advantage = method._advantage(torch.tensor(reward, dtype=torch.float64))
        assert method.baseline.item() == pytest.approx(average)
        assert advantage.item() == pytest.approx(reward - average)


def test_tunas_baseline_learns_of_the_warm_ups_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    method = TuNAS(SizeSupernet(2), warmup=0.5)
    rewards = iter([50.0, 100.0, 0.0])

    def path(images: torch.Tensor, choices: list[int]) -> torch.Tensor:
        right = torch.arange(4) < 4 * next(rewards) / 100
        return torch.nn.functional.one_hot(right.long(), 2).float()

    monkeypatch.setattr(method.supernet, "path", path)
    batches = torch.zeros(4, 3, 8, 8), torch.ones(4, dtype=torch.int64)
    before = method.alpha.detach().clone()
    for epoch in (0, 1):
        method.begin_epoch(epoch, 4)
        method.architecture_step(batches, batches, method.optimizer)
    assert torch.equal(method.alpha, before)
    assert method.baseline.item() == pytest.approx((0.05 * 100 + 0.0475 * 50) / 0.0975)
    # The first step of the policy is judged by it.
    method.begin_epoch(2, 4)
    method.architecture_step(batches, batches, method.optimizer)
    assert method.baseline.item() == pytest.approx((0.0475 * 100 + 0.045125 * 50) / 0.142625)
    assert not torch.equal(method.alpha, before)


def test_tunas_gradient_is_reinforce(monkeypatch: pytest.MonkeyPatch) -> None:
    method = TuNAS(SizeSupernet(7)).double()
    with torch.no_grad():
        method.alpha.normal_()
    choices = torch.tensor([3, 0, 7, 2, 5])
    monkeypatch.setattr(method, "_sample", lambda: choices)
    images, _ = batch(method)
    right = method.supernet.path(images, choices.tolist()).argmax(1)
    wrong = (right + 1) % 7
    (first,) = torch.autograd.grad(method.architecture_loss(images, wrong), method.alpha)
    assert not first.any()  # the first reward is its own baseline
    (second,) = torch.autograd.grad(method.architecture_loss(images, right), method.alpha)
    advantage = 100 - 100 * 0.05 / 0.0975
    taken = torch.zeros(5, 8).scatter_(1, choices[:, None], 1)
    expected = (method.alpha.detach().softmax(1) - taken) * advantage
    torch.testing.assert_close(second, expected)


def test_tunas_samples_its_policy() -> None:
    method = TuNAS(SizeSupernet(7))
    with torch.no_grad():
        method.alpha.normal_()
    counts = torch.zeros(5, 8)
    for _ in range(4000):
        counts[torch.arange(5), method._sample()] += 1
    torch.testing.assert_close(counts / 4000, method.alpha.detach().softmax(1), atol=0.03, rtol=0)


def test_only_tunas_has_no_weight_decay_of_alpha() -> None:
    decays = {
        method.__name__: method(SizeSupernet(7)).optimizer.param_groups[0]["weight_decay"]
        for method in (TAS, FBNetV2, TuNAS)
    }
    assert decays == {"TAS": 1e-3, "FBNetV2": 1e-3, "TuNAS": 0}


def test_tunas_learns_a_width_that_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    method = TuNAS(SizeSupernet(2))
    method.begin_epoch(0, 1)
    images, labels = torch.zeros(4, 3, 8, 8), torch.ones(4, dtype=torch.int64)

    def path(images: torch.Tensor, choices: list[int]) -> torch.Tensor:
        logits = torch.zeros(4, 2)
        logits[:, int(choices[2] == 6)] = 1
        return logits

    monkeypatch.setattr(method.supernet, "path", path)
    monkeypatch.setitem(method.optimizer.param_groups[0], "lr", 0.05)
    before = method.alpha.detach().clone()
    for _ in range(300):
        method.architecture_step((images, labels), (images, labels), method.optimizer)
    assert method.derive(iter(()))[2] == 6
    assert before.argmax(1)[2] != 6
