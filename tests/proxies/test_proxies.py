"""Zero-cost scores against slow plain references, closed forms and what isomorphism says."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile import EVERYTHING, attack
from numpy.typing import NDArray
from reference_network import ReferenceNetwork
from scipy.stats import rankdata, spearmanr
from torch import nn

from nats_gym.datasets import get_dataset
from nats_gym.errors import EvaluatorError, InvalidInput
from nats_gym.networks import build
from nats_gym.proxies import (
    Score,
    ScoreFailed,
    find_score,
    rank_mean,
    register_score,
    score_architectures,
    score_names,
    score_network,
    shipped,
    vote,
)
from nats_gym.proxies.inputs import draw_inputs
from nats_gym.proxies.scoring import Scorer
from nats_gym.spaces import get_space

TSS = get_space("tss")
SMALL = {"cells_per_stage": 1, "stem_width": 4}
#: With every operation, with a node that is never computed, and with a convolution of zeros.
STRINGS = (
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|",
    "|none~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|",
    "|skip_connect~0|+|none~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|",
)
#: Through which nothing comes.
DEAD = "|none~0|+|none~0|none~1|+|none~0|nor_conv_3x3~1|none~2|"


def batch(count: int = 5, side: int = 8, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, side, side, generator=generator)
    return images, torch.randint(10, (count,), generator=generator)


def pair(string: str, double: bool = False) -> tuple[nn.Module, ReferenceNetwork]:
    """A small network, and the plain one with its weights."""
    torch.manual_seed(3)
    network = build("tss", string, 10, **SMALL)
    plain = ReferenceNetwork("tss", TSS.parse(string).tolist(), 10, 1, 4)
    plain.load_state_dict(network.state_dict())
    return (network.double(), plain.double()) if double else (network, plain)


def layers_of(network: nn.Module) -> list[nn.Module]:
    return [one for one in network.modules() if isinstance(one, (nn.Conv2d, nn.Linear))]


# ── plain references ─────────────────────────────────────────────────────────────────────────


def mean_loss(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy by hand, image by image."""
    losses = [
        -(row[label] - row.exp().sum().log())
        for row, label in zip(network(images), labels.tolist(), strict=True)
    ]
    return sum(losses) / len(losses)  # type: ignore[return-value]


def gradients(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> list[NDArray]:
    network.zero_grad()
    mean_loss(network, images, labels).backward()
    return [
        np.zeros(layer.weight.shape) if layer.weight.grad is None else layer.weight.grad.numpy()
        for layer in layers_of(network)
    ]


def weights_of(network: nn.Module) -> list[NDArray]:
    return [layer.weight.detach().numpy() for layer in layers_of(network)]


def plain_grad_norm(network: nn.Module, *inputs: torch.Tensor) -> float:
    return sum(math.sqrt(sum(x**2 for x in g.ravel())) for g in gradients(network, *inputs))


def plain_snip(network: nn.Module, *inputs: torch.Tensor) -> float:
    each = zip(weights_of(network), gradients(network, *inputs), strict=True)
    return sum(abs(x * y) for w, g in each for x, y in zip(w.ravel(), g.ravel(), strict=True))


def plain_plain(network: nn.Module, *inputs: torch.Tensor) -> float:
    each = zip(weights_of(network), gradients(network, *inputs), strict=True)
    return sum(x * y for w, g in each for x, y in zip(w.ravel(), g.ravel(), strict=True))


def plain_l2_norm(network: nn.Module, *inputs: torch.Tensor) -> float:
    return sum(math.sqrt(sum(x**2 for x in w.ravel())) for w in weights_of(network))


def plain_grasp(network: nn.Module, *inputs: torch.Tensor) -> float:
    """The Hessian times the gradient as a central difference of gradients."""
    before = [layer.weight.detach().clone() for layer in layers_of(network)]
    slopes = [torch.from_numpy(g.copy()) for g in gradients(network, *inputs)]
    step = 1e-8 / math.sqrt(sum(float(slope.square().sum()) for slope in slopes))  # before a kink
    sides = []
    for sign in (1, -1):
        with torch.no_grad():
            for layer, weight, slope in zip(layers_of(network), before, slopes, strict=True):
                layer.weight.copy_(weight + sign * step * slope)
        sides.append([g.copy() for g in gradients(network, *inputs)])
    return -sum(
        float((weight.numpy() * (up - down)).sum()) / (2 * step)
        for weight, up, down in zip(before, *sides, strict=True)
    )


def plain_fisher(network: nn.Module, *inputs: torch.Tensor) -> float:
    """Every channel of every image is scaled by a gate of one, and its gradient looked at."""
    gates: list[torch.Tensor] = []

    def gate(layer: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor):
        ones = torch.ones(output.shape[:2], dtype=output.dtype, requires_grad=True)
        gates.append(ones)
        return output * ones[(..., *[None] * (output.ndim - 2))]

    hooks = [layer.register_forward_hook(gate) for layer in layers_of(network)]
    mean_loss(network, *inputs).backward()
    for hook in hooks:
        hook.remove()
    total = 0.0
    for ones in gates:
        if ones.grad is not None:
            for channel in ones.grad.numpy().T:
                total += 0.5 * sum(x**2 for x in channel) / len(channel)
    return total


def plain_jacob_cov(network: nn.Module, *inputs: torch.Tensor) -> float:
    images = inputs[0].clone().requires_grad_()
    network(images).sum().backward()
    matrix = np.corrcoef(images.grad.reshape(len(images), -1).numpy())
    return -sum(math.log(v + 1e-5) + 1 / (v + 1e-5) for v in np.linalg.eigvals(matrix).real)


def plain_naswot(network: nn.Module, *inputs: torch.Tensor, live: set[str]) -> float:
    """Units that two images switch alike, one by one, in the ReLU of each edge that matters."""
    codes: list[NDArray] = []

    def look(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        code = given[0].detach().numpy() > 0
        if code.any():  # zeros all over switch nothing
            codes.append(code)

    for name, module in network.named_modules():
        words = name.split(".")
        in_cell = len(words) > 3 and words[2] == "layers"
        if isinstance(module, nn.ReLU) and (not in_cell or words[3] in live):
            module.register_forward_pre_hook(look)
    network(inputs[0])
    count = len(inputs[0])
    alike = np.zeros((count, count))
    for code in codes:
        for i, j in itertools.product(range(count), repeat=2):
            alike[i, j] += sum(code[i].ravel() == code[j].ravel())
    return float(np.log(abs(np.linalg.det(alike))))


REFERENCES: dict[str, Callable[..., float]] = {
    "grad_norm": plain_grad_norm,
    "snip": plain_snip,
    "plain": plain_plain,
    "l2_norm": plain_l2_norm,
    "grasp": plain_grasp,
    "fisher": plain_fisher,
    "jacob_cov": plain_jacob_cov,
}


@pytest.mark.one_in(4)
@pytest.mark.parametrize("string", STRINGS)
@pytest.mark.parametrize("name", REFERENCES)
def test_a_score_is_what_the_plain_network_says(name: str, string: str) -> None:
    network, plain = pair(string, double=True)
    images, labels = batch()
    images = images.double()
    expected = REFERENCES[name](plain, images, labels)
    assert score_network(network, name, images, labels) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("string", STRINGS[:2])
def test_naswot_counts_switches(string: str) -> None:
    network, plain = pair(string, double=True)
    images, labels = batch()
    found = score_network(network, "naswot", images.double(), labels)
    live = {str(edge) for edge in network.cells[0].live}
    assert found == pytest.approx(plain_naswot(plain, images.double(), live=live), rel=1e-9)


def test_naswot_by_hand() -> None:
    network = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU())
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    # Switched on: 1, 2 and 3; none; 1 and 3.
    images = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [2.0, -1.0]])
    expected = math.log(np.linalg.det([[3, 0, 2], [0, 3, 1], [2, 1, 3]]))
    labels = torch.zeros(3, dtype=torch.int64)
    assert score_network(network, "naswot", images, labels) == pytest.approx(expected)
    twice = images[[0, 0, 1]]
    assert score_network(network, "naswot", twice, labels) == -math.inf
    functional = nn.Sequential(network[0], nn.ReLU(inplace=True))
    assert score_network(functional, "naswot", images, labels) == pytest.approx(expected)


# ── closed forms ─────────────────────────────────────────────────────────────────────────────


def test_synflow_of_a_chain() -> None:
    """Each of L layers hands on all of R, the sum of the product of absolute matrices."""
    torch.manual_seed(0)
    chain = nn.Sequential(*(nn.Linear(4, 4, bias=False) for _ in range(3)), nn.Linear(4, 2))
    product = np.ones(4)
    for layer in chain:
        product = np.abs(layer.weight.detach().double().numpy()) @ product
    images, labels = torch.randn(2, 4), torch.zeros(2, dtype=torch.int64)
    expected = math.log(4 * product.sum())
    assert score_network(chain, "synflow", images, labels) == pytest.approx(expected, rel=1e-6)
    rectified = nn.Sequential(*itertools.chain(*((layer, nn.ReLU()) for layer in chain)))
    assert score_network(rectified, "synflow", images, labels) == pytest.approx(expected, rel=1e-6)


def test_logsynflow_by_hand() -> None:
    chain = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    with torch.no_grad():
        chain[0].weight.fill_(-2.0)
        chain[1].weight.fill_(3.0)
    images, labels = torch.randn(2, 1), torch.zeros(2, dtype=torch.int64)
    expected = 2 * math.log(1 + 3) + 3 * math.log(1 + 2)
    assert score_network(chain, "logsynflow", images, labels) == pytest.approx(expected)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("string", STRINGS)
@pytest.mark.parametrize("logarithm", [False, True])
def test_synflow_is_what_the_plain_network_says(string: str, logarithm: bool) -> None:
    network, plain = pair(string)
    plain.double().eval()
    for module in list(plain.modules()):
        if isinstance(module, nn.BatchNorm2d):  # one that changes nothing
            module.eps = 0.0
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    with torch.no_grad():
        for layer in layers_of(plain):
            layer.weight.abs_()
    plain(torch.ones(1, 3, 8, 8, dtype=torch.float64)).sum().backward()
    total = 0.0
    for layer in layers_of(plain):
        slope = 0.0 if layer.weight.grad is None else layer.weight.grad
        slope = torch.as_tensor(slope, dtype=torch.float64)
        total += float((layer.weight.detach() * (slope.log1p() if logarithm else slope)).sum())
    name = "logsynflow" if logarithm else "synflow"
    expected = total if logarithm else math.log(total)
    assert score_network(network, name, *batch()) == pytest.approx(expected, rel=1e-9)


def test_zen_of_a_normed_layer() -> None:
    """Scale does not matter to what is normalised, and is given back: of a linear f it all is."""
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 5, 1, bias=False), nn.BatchNorm2d(5, eps=1e-12))
    ).double()
    images, labels = batch(6)
    images = images.double()
    found = score_network(network, "zen", images, labels, seed=4)
    # The same draws, taken apart.
    seen: list[torch.Tensor] = []

    def note(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
        weight = torch.empty_like(network[0][0].weight).normal_()
        seen.extend([weight, torch.randn_like(images), torch.randn_like(images)])
        return 0.0

    score_network(network, note, images, labels, seed=4)
    weight, x, e = (tensor.numpy() for tensor in seen)
    outputs = []
    for given in (x, x + 0.01 * e):
        raw = np.einsum("oc,bchw->bohw", weight[:, :, 0, 0], given)
        mean, var = raw.mean((0, 2, 3), keepdims=True), raw.var((0, 2, 3), keepdims=True)
        outputs.append((raw - mean) / np.sqrt(var))
        if len(outputs) == 1:
            scale = math.log(math.sqrt(var.mean()))
    moved = np.abs(outputs[0] - outputs[1]).sum((1, 2, 3)).mean()
    assert found == pytest.approx(math.log(moved) + scale, rel=1e-9)


def test_counts_are_the_closed_forms() -> None:
    some = np.random.default_rng(0).choice(TSS.size, 5, replace=False)
    full = np.flatnonzero((TSS.all_choices() > 0).all(1))[::1200]  # nothing is left out
    found = score_architectures("tss", some, ["params"])["params"]
    assert found == pytest.approx(TSS.figure("params", "cifar10").values[some])
    found = score_architectures("tss", full, ["flops"], batch=2)["flops"]
    assert found == pytest.approx(TSS.figure("flops", "cifar10").values[full])


@pytest.mark.parametrize("space", ["sss", "nb101"])
def test_other_spaces_have_scores_too(space: str) -> None:
    index = [5, 999]
    names = [name for name in score_names() if name != "mine"]
    scores = score_architectures(space, index, names, dataset="digits", batch=4)
    assert set(scores) == set(names)
    for name, values in scores.items():
        assert np.isfinite(values).all(), name
    closed = get_space(space).compute("params", get_space(space).choices(index), "digits")
    assert scores["params"] == pytest.approx(closed)


# ── what theory says ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [name for name in score_names() if name != "zen"])
def test_isomorphic_networks_of_the_same_weights_agree(name: str) -> None:
    """Node 1 is the input once more, so that edges may leave either; zen draws its own weights."""
    first = (
        "|skip_connect~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|"
    )
    other = (
        "|skip_connect~0|+|avg_pool_3x3~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|skip_connect~2|"
    )
    assert len(np.unique(TSS.isomorphism_class(TSS.parse([first, other])))) == 1
    network, _ = pair(first, double=True)
    twin, _ = pair(other, double=True)
    taken = {"1": "2", "4": "3"}
    parts = {}
    for key, value in network.state_dict().items():
        words = key.split(".")
        if words[0] == "cells" and words[2] == "layers":
            words[3] = taken[words[3]]
        parts[".".join(words)] = value
    twin.load_state_dict(parts)
    images, labels = batch(6)
    images = images.double()
    found = [score_network(one, name, images, labels) for one in (network, twin)]
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_nothing_comes_through_a_dead_network() -> None:
    index = TSS.resolve(DEAD)
    names = [name for name in score_names() if name != "mine"]
    found = {
        name: values[0]
        for name, values in score_architectures("tss", [index], names, batch=4).items()
    }
    for name in ("synflow", "jacob_cov", "naswot", "zen"):
        assert found[name] == -math.inf, name
    assert not any(math.isnan(value) for value in found.values())


# ── repeatable, and without traces ───────────────────────────────────────────────────────────


def test_a_seed_decides_and_nothing_stays() -> None:
    names = [name for name in score_names() if name != "mine"]
    torch.manual_seed(11)
    state = torch.get_rng_state()
    first = score_architectures("sss", [3, 8], names, dataset="digits", batch=6, seed=2)
    assert torch.equal(state, torch.get_rng_state())
    again = score_architectures("sss", [8, 3], names[::-1], dataset="digits", batch=6, seed=2)
    for name in names:
        assert first[name].tolist() == again[name][::-1].tolist(), name
    other = score_architectures("sss", [3, 8], names, dataset="digits", batch=6, seed=3)
    drawn = {name for name in names if (first[name] != other[name]).all()}
    assert drawn == {*names} - {"params", "flops"}


def test_a_network_stays_as_it_was() -> None:
    network, _ = pair(STRINGS[0])
    network.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for name in score_names():
        score_network(network, name, *batch())
    assert not network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(parameter.grad is None for parameter in network.parameters())


def test_images_of_a_data_set_are_its_training_images() -> None:
    digits = get_dataset("digits")
    images, labels = draw_inputs(digits, "data", 7, seed=1)
    assert images.shape == (7, 3, 8, 8)
    assert images.dtype == torch.float32
    again, _ = draw_inputs(digits, "data", 7, seed=1)
    other, _ = draw_inputs(digits, "data", 7, seed=2)
    assert torch.equal(images, again)
    assert not torch.equal(images, other)
    whole, _ = draw_inputs(digits, "data", 897)
    assert abs(float(whole.mean())) < 0.05
    assert 0.9 < float(whole.std()) < 1.1
    with pytest.raises(InvalidInput, match="from 2 to 897"):
        draw_inputs(digits, "data", 898)
    found = score_architectures("sss", [3], ["snip"], dataset="digits", images="data", batch=7)
    assert found["snip"][0] > 0
    noise, labels = draw_inputs(get_dataset("cifar10"), batch=64)
    assert noise.shape == (64, 3, 32, 32)
    assert set(labels.tolist()) <= set(range(10))


# ── one's own, and nonsense ──────────────────────────────────────────────────────────────────


def count_layers(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> int:
    return len(layers_of(network))


def test_pink_noise_has_the_spectrum_of_natural_images() -> None:
    images = draw_inputs(get_dataset("cifar10"), "pink", 256, seed=4)[0].double()
    assert images.shape == (256, 3, 32, 32)
    assert abs(float(images.mean())) < 1e-6
    assert float(images.std()) == pytest.approx(1, abs=1e-3)
    channels = np.corrcoef(images.transpose(0, 1).flatten(1).numpy())
    assert channels[np.triu_indices(3, 1)] == pytest.approx(0.9, abs=0.02)
    power = np.square(np.abs(np.fft.fft2(images.numpy()))).mean((0, 1))
    down, across = np.meshgrid(np.fft.fftfreq(32), np.fft.fftfreq(32), indexing="ij")
    frequency = np.hypot(down, across).ravel()[1:]
    slope = np.polyfit(np.log(frequency), np.log(power.ravel()[1:]), 1)[0]
    assert slope == pytest.approx(-2, abs=0.05)  # of the power, so −1 of the amplitude
    again = draw_inputs(get_dataset("cifar10"), "pink", 256, seed=4)[0]
    assert torch.equal(images.float(), again)


def test_scores_of_one_pass_are_those_alone() -> None:
    names = ["synflow", "snip", "logsynflow", "zen", "fisher", "grad_norm", "plain"]
    given = {"batch": 4, "network": SMALL}
    together = Scorer("tss", "cifar10", names, **given).score(1462, 5).values
    assert list(together) == names
    for name in names:
        alone = Scorer("tss", "cifar10", [name], **given).score(1462, 5).values
        assert alone == {name: together[name]}, name


def only_one(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    return {"one": 1.0}


def test_a_score_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nats_gym.proxies.registry._registered", {})
    found = score_architectures("sss", [0], [count_layers], dataset="digits", batch=2)
    ((name, values),) = found.items()
    assert name == f"{__name__}:count_layers"
    register_score("mine", count_layers)
    assert "mine" in score_names()
    assert score_architectures("sss", [0], ["mine"], batch=2)["mine"].tolist() == values.tolist()
    with pytest.raises(InvalidInput, match="known already"):
        register_score("mine", count_layers)
    register_score("mine", count_layers, replace=True)
    with pytest.raises(InvalidInput, match="known already"):
        register_score("naswot", count_layers, replace=True)
    for name in ("", "a b", "1", None, "x" * 65, "\n"):
        with pytest.raises(InvalidInput):
            register_score(name, count_layers)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="a score is a function"):
        register_score("other", None)  # type: ignore[arg-type]
    tensors = score_architectures("sss", [0], [lambda *_: torch.tensor(3.5)], batch=2)
    assert next(iter(tensors.values())).tolist() == [3.5]
    nan = score_architectures("sss", [0], [lambda *_: math.nan], batch=2)
    assert next(iter(nan.values())).tolist() == [-math.inf]
    for wrong in (None, "3", True, [1.0], torch.zeros(2)):
        with pytest.raises(EvaluatorError, match="is a number"):
            score_architectures("sss", [0], [lambda *_, wrong=wrong: wrong], batch=2)
    with pytest.raises(ScoreFailed, match=r"sss 0: division by zero"):
        score_architectures("sss", [0], [lambda *_: 1 / 0], batch=2)
    one, other = (Score(name, count_layers, together=only_one) for name in ("one", "other"))
    with pytest.raises(ScoreFailed, match=r"the score one of sss 0: no 'other'"):
        score_architectures("sss", [0], [one, other], batch=2)


def test_the_likely_name_is_said() -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'naswot'"):
        find_score("naswott")
    with pytest.raises(InvalidInput, match="Did you mean 'jacob_cov'"):
        score_architectures("tss", [0], ["jacobcov"])
    assert find_score(find_score("zen")) is find_score("zen")
    assert type(find_score("zen")) is Score
    attack(lambda value: Score("mine", value))
    attack(lambda value: Score(value, count_layers))
    with pytest.raises(InvalidInput, match="has no brackets, got 'zen\\(8\\)'"):  # as a vote has
        Score("zen(8)", count_layers)


def test_nonsense_is_refused() -> None:
    images, labels = batch(2)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
    attack(find_score, [value for value in EVERYTHING if not callable(value)])
    assert not attack(lambda value: Scorer("sss", "digits", value))
    attack(lambda value: Scorer(value, "digits", ["snip"]))
    for name in ("images", "batch", "device", "network", "threads", "download"):
        attack(lambda value, name=name: Scorer("sss", "digits", ["snip"], **{name: value}))  # type: ignore[misc]
    assert not attack(lambda value: score_network(value, "snip", images, labels))
    assert not attack(lambda value: score_network(network, "snip", value, labels))
    assert not attack(lambda value: score_network(network, "snip", images, value))
    for name, wrong in itertools.product(score_names(), (math.nan, math.inf, -math.inf)):
        bad = images.clone()
        bad[1, 2, 3, 4] = wrong
        with pytest.raises(InvalidInput, match="images are finite"):
            score_network(network, name, bad, labels)
    assert not attack(vote)
    assert not attack(rank_mean)
    assert not attack(lambda value: shipped(value, "naswot"))
    assert not attack(lambda value: shipped("tss", value))


@pytest.mark.parametrize("batch", [1, 0, -1, 4_097, 2.0, None, True])
def test_a_batch_is_of_two_images_at_least(batch: object) -> None:
    with pytest.raises(InvalidInput, match="batch is an integer from 2 to 4"):
        Scorer("sss", "digits", ["snip"], batch=batch)  # type: ignore[arg-type]


# ── combinations ─────────────────────────────────────────────────────────────────────────────


def test_votes_and_mean_ranks_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    columns = {name: rng.integers(0, 6, 40).astype(float) for name in "abc"}
    columns["a"][3] = -np.inf
    points = np.zeros(40)
    for i, j in itertools.permutations(range(40), 2):
        above = sum(column[i] > column[j] for column in columns.values())
        below = sum(column[i] < column[j] for column in columns.values())
        points[i] += 1 if above > below else 0.5 if above == below else 0
    assert vote(columns) == pytest.approx(points / 39)
    ranks = sum((rankdata(column) - 1) / 39 for column in columns.values()) / 3
    assert rank_mean(columns) == pytest.approx(ranks)
    assert vote({"a": [1.0]}).tolist() == rank_mean({"a": [1.0]}).tolist() == [0.0]
    for wrong in ({}, {"a": [1.0, 2.0], "b": [1.0]}, {"a": [math.nan, 1.0]}, {"a": [[1.0]]}):
        with pytest.raises(InvalidInput):
            vote(wrong)
        with pytest.raises(InvalidInput):
            rank_mean(wrong)


# ── others' figures ──────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_scores_rank_as_others_do(shared_figures: Path) -> None:
    theirs = np.load(shared_figures / "tss_proxies.npz")
    rows = np.random.default_rng(0).choice(len(theirs["index"]), 60, replace=False)
    own = score_architectures("tss", theirs["index"][rows], ["naswot", "synflow"])
    assert spearmanr(own["naswot"], theirs["cifar10_naswot"][rows])[0] >= 0.9
    assert spearmanr(own["synflow"], theirs["cifar10_log10_synflow"][rows])[0] >= 0.95
