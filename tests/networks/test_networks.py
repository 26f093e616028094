"""Networks against the plain one, closed forms and official figures; official weights."""

from __future__ import annotations

import copy
import doctest
import re
import tarfile
from collections import namedtuple
from functools import cache
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from reference_network import ENDS, ReferenceNetwork, reference
from synthetic_archive import BASE_NAMES, SHORT, record, write_archive, write_record
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nats_gym import networks
from nats_gym.datasets import DATASETS, EVERY_DATASET, Dataset
from nats_gym.errors import InvalidInput, MissingTable, NotInTable, SurrogateWarning
from nats_gym.nats_bench import create, get_cell_based_tiny_net
from nats_gym.nats_bench.genotype_utils import topology_str2structure
from nats_gym.networks import build, load_official
from nats_gym.networks.blocks import ResidualBlock
from nats_gym.networks.cell import make_edge, run_cell
from nats_gym.networks.stacked import StackedNetworks
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.spaces.topology import live_edges
from nats_gym.tables.official import import_archive
from nats_gym.tables.official.unpickling import UnreadableFile

TSS, SSS = get_space("tss"), get_space("sss")
STRING = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|nor_conv_1x1~1|avg_pool_3x3~2|"
#: Of few weights: official files of a network with 3x3 convolutions take long to pack.
LIGHT = "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|skip_connect~0|nor_conv_1x1~1|avg_pool_3x3~2|"

#: What leaves edges without effect, by choices of the edges 1←0, 2←0, 2←1, 3←0, 3←1, 3←2.
SPECIAL = {
    "nothing at all": (0, 0, 0, 0, 0, 0),
    "input never read, output zero": (3, 3, 3, 0, 0, 0),
    "skip of a zero node": (0, 0, 0, 3, 1, 0),
    "pool of a zero node": (0, 0, 0, 2, 4, 4),
    "zero handed on twice": (0, 0, 1, 0, 0, 4),
    "convolution of a zero node": (0, 3, 3, 0, 0, 1),
    "both kernels of zero nodes": (0, 0, 0, 3, 2, 3),
    "convolution of a zero node alone": (0, 0, 0, 0, 3, 0),
    "chain of convolutions from zero": (0, 0, 3, 0, 0, 3),
    "pooled constant": (0, 0, 2, 0, 0, 4),
    "skipped constant": (0, 0, 3, 1, 0, 1),
    "constant only, beside a dead convolution": (3, 0, 0, 0, 0, 2),
    "convolutions into a dead end": (3, 2, 3, 3, 0, 0),
    "dead end through a skip": (3, 0, 1, 4, 0, 0),
    "skips only": (1, 1, 1, 1, 1, 1),
    "skip straight through": (0, 0, 0, 1, 0, 0),
    "input added to itself": (1, 0, 0, 1, 1, 0),
    "pools only": (4, 4, 4, 4, 4, 4),
    "pool and skip share": (1, 4, 1, 0, 4, 1),
    "everything": (3, 3, 3, 3, 3, 3),
    "mixed": (3, 1, 4, 2, 1, 3),
}


pytestmark = pytest.mark.usefixtures("one_thread")


def random_indices(space: ArchitectureSpace, count: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).choice(space.size, count, replace=False).tolist()


def small_pair(
    space: str, choices: Any, by_product: bool = False
) -> tuple[nn.Module, ReferenceNetwork]:
    """Ours and the plain one with the same weights, one cell a stage, in double precision."""
    plain = ReferenceNetwork(space, choices, 7, 1, 4, by_product)
    for name, parameter in plain.named_parameters():  # else biases begin at 0 and hide a lot
        if name.endswith("bias"):
            nn.init.normal_(parameter)
    ours = build(space, choices, 7, cells_per_stage=1, stem_width=4 if space == "tss" else None)
    ours.load_state_dict(plain.state_dict(), strict=True)
    return ours.double(), plain.double()


def images(batch: int = 3, side: int = 8) -> torch.Tensor:
    return torch.randn(batch, 3, side, side, dtype=torch.float64)


def same(a: torch.Tensor, b: torch.Tensor, what: str = "") -> None:
    torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9, msg=lambda text: f"{what}: {text}")


def live_by_hand(choices: Any) -> set[int]:
    """Edges on which the output depends, by trying: none is left out but in name.

    A path of edges leads to the output, and what comes in is not zero or goes through a
    convolution.
    """
    paths = [(3,), (0, 4), (1, 5), (0, 2, 5), (4,), (5,), (2, 5)]
    reaching = {path[0] for path in paths if all(choices[edge] for edge in path)}
    nonzero = {0}
    live = set()
    for edge, (target, source) in enumerate(ENDS):
        if edge in reaching and (source in nonzero or choices[edge] in (2, 3)):
            live.add(edge)
            nonzero.add(target)
    return live


def check_equal(space: str, choices: Any) -> None:
    """Outputs, gradients and statistics of one step; outputs and parameters after four."""
    ours, plain = small_pair(space, choices)
    untrained = copy.deepcopy(ours.state_dict())
    sgd = [
        torch.optim.SGD(net.parameters(), 0.1, 0.9, weight_decay=0.05, nesterov=True)
        for net in (ours, plain)
    ]
    batches = [images() for _ in range(4)]
    for number, batch in enumerate(batches):
        given = [batch.clone().requires_grad_() for _ in range(2)]
        out = [net(x) for net, x in zip((ours, plain), given, strict=True)]
        same(out[0], out[1], "logits")
        for optimizer, logits in zip(sgd, out, strict=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(logits, torch.tensor([0, 3, 6])).backward()
        if given[1].grad is None:
            assert given[0].grad is None
        else:
            same(given[0].grad, given[1].grad, "images")
        if number == 0:
            theirs = dict(plain.named_parameters())
            for name, parameter in ours.named_parameters():
                if theirs[name].grad is None:
                    assert parameter.grad is None, name
                else:
                    assert parameter.grad is not None, name
                    same(parameter.grad, theirs[name].grad, name)
        for optimizer in sgd:
            optimizer.step()
    ours.eval(), plain.eval()
    same(ours(batches[0]), plain(batches[0]), "in evaluation")
    state = ours.state_dict()
    parameters = dict(ours.named_parameters())
    for name, value in plain.state_dict().items():
        norm = name.rpartition(".")[0]
        if name in parameters or parameters[f"{norm}.bias"].grad is not None:
            same(state[name], value, name)
        else:  # of a batch norm that is not computed
            same(state[name], untrained[name], name)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("choices", SPECIAL.values(), ids=SPECIAL.keys())
def test_special_cells_equal_the_plain_network(choices: tuple[int, ...]) -> None:
    check_equal("tss", choices)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("seed", range(4))
def test_random_cells_equal_the_plain_network(seed: int) -> None:
    for index in random_indices(TSS, 5, seed):
        check_equal("tss", TSS.choices(index).tolist())


def test_random_sizes_equal_the_plain_network() -> None:
    for index in random_indices(SSS, 3):
        check_equal("sss", SSS.choices(index).tolist())


@pytest.mark.slow
def test_every_pattern_of_nothing_skip_and_convolution_equals_the_plain_network() -> None:
    for choices in product((0, 1, 3), repeat=6):
        check_equal("tss", choices)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("choices", SPECIAL.values(), ids=SPECIAL.keys())
def test_outputs_equal_those_of_a_network_that_multiplies_by_zero(choices: Any) -> None:
    # Then gradients that never matter are zero, not None, and weight decay acts on weights that
    # never matter either.
    ours, plain = small_pair("tss", choices, by_product=True)
    sgd = [
        torch.optim.SGD(net.parameters(), 0.1, 0.9, weight_decay=0.05, nesterov=True)
        for net in (ours, plain)
    ]
    for _ in range(4):
        batch = images()
        for net, optimizer in zip((ours, plain), sgd, strict=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(batch), torch.tensor([0, 3, 6])).backward()
            optimizer.step()
    ours.eval(), plain.eval()
    same(ours(batch), plain(batch))


def test_the_same_plain_network_of_official_size() -> None:
    for space in (TSS, SSS):
        for index in random_indices(space, 1):
            plain = reference(space.name, index, 10)
            ours = build(space.name, index, 10)
            ours.load_state_dict(plain.state_dict(), strict=True)
            batch = torch.randn(2, 3, 32, 32)
            torch.testing.assert_close(ours(batch), plain(batch), rtol=1e-3, atol=1e-4)


def test_only_live_edges_are_computed() -> None:
    for index in [*random_indices(TSS, 15), *TSS.index([*SPECIAL.values()]).tolist()]:
        choices = TSS.choices(index).tolist()
        net = build("tss", index, 10, cells_per_stage=1, stem_width=4)
        seen: set[int] = set()
        for edge, layer in enumerate(net.cells[-1].layers):
            for module in layer.modules():
                module.register_forward_hook(lambda *_, e=edge, s=seen: s.add(e))
        net(torch.randn(2, 3, 8, 8))
        convolutions = {edge for edge in live_by_hand(choices) if choices[edge] in (2, 3)}
        assert convolutions <= seen <= live_by_hand(choices), choices


def test_a_cell_runs_whichever_operation_of_each_edge_is_chosen() -> None:
    # As a supernet would have it: all operations of all edges, batch norm without parameters and
    # statistics, another path each time.
    def norm(width: int) -> nn.Module:
        return nn.BatchNorm2d(width, affine=False, track_running_stats=False)

    layers = [[make_edge(digit, 4, 4, norm).double() for digit in range(5)] for _ in ENDS]
    assert not any(layer.state_dict() for edge in layers for layer in (*edge[:2], edge[4]))
    batch = torch.randn(3, 4, 8, 8, dtype=torch.float64)
    for choices in [*SPECIAL.values(), *TSS.choices(random_indices(TSS, 30)).tolist()]:
        path = [edge[digit] for edge, digit in zip(layers, choices, strict=True)]
        nodes = [batch]
        for node in range(1, 4):
            values = [torch.zeros_like(batch)]
            for layer, digit, (target, source) in zip(path, choices, ENDS, strict=True):
                if target == node and digit != 0:
                    x = nodes[source].relu() if digit in (2, 3) else nodes[source]
                    values.append(layer(x))
            nodes.append(torch.stack(values).sum(0))
        same(run_cell(live_edges(choices), path, batch, 4), nodes[3], str(choices))


# ── names ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("space", ["tss", "sss"])
def test_names_and_shapes_are_those_of_the_plain_network(space: str) -> None:
    with torch.device("meta"):
        for index in random_indices(get_space(space), 4):
            ours, plain = build(space, index, 10), reference(space, index, 10)
            shapes = [{k: v.shape for k, v in net.state_dict().items()} for net in (ours, plain)]
            assert shapes[0] == shapes[1]


def test_names_by_hand() -> None:
    bn = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    norm = lambda prefix: {f"{prefix}.{name}" for name in bn}  # noqa: E731
    names = {"stem.0.weight", "classifier.weight", "classifier.bias"}
    names |= norm("stem.1") | norm("lastact.0")
    for cell in (0, 2, 4):
        for edge in (0, 4):
            names |= {f"cells.{cell}.layers.{edge}.op.1.weight"}
            names |= norm(f"cells.{cell}.layers.{edge}.op.2")
    for cell in (1, 3):
        for conv in ("conv_a", "conv_b"):
            names |= {f"cells.{cell}.{conv}.op.1.weight"} | norm(f"cells.{cell}.{conv}.op.2")
        names.add(f"cells.{cell}.downsample.1.weight")
    assert set(build("tss", STRING, 10, cells_per_stage=1).state_dict()) == names


def test_a_size_networks_skip_between_widths_holds_conv_and_bn() -> None:
    names = set(build("sss", "8:16:24:32:32", 10).state_dict())
    assert "cells.2.layers.3.conv.weight" in names
    assert "cells.2.layers.3.bn.running_var" in names
    assert not any(name.startswith(("cells.0.layers.3", "cells.4.layers.3")) for name in names)


# ── counts ───────────────────────────────────────────────────────────────────────────────────

GOLDEN = [  # space, index, (MFLOPs, Mparams) on CIFAR-10, CIFAR-100 and ImageNet16-120
    ("tss", 0, (15.64737, 0.129306), (15.65322, 0.135156), (3.91948, 0.136456)),
    ("tss", 11, (113.95137, 0.802426), (113.95722, 0.808276), (28.49548, 0.809576)),
    ("sss", 0, (4.481114, 0.011714), (4.481924, 0.012524), (1.121336, 0.012704)),
    ("sss", 11, (6.840650, 0.049202), (6.843620, 0.052172), (1.714040, 0.052832)),
]


def params(net: nn.Module) -> float:
    return sum(parameter.numel() for parameter in net.parameters()) / 1e6


def flops(net: nn.Module, side: int, num_classes: int) -> float:
    """Multiply-accumulates of an image in millions, by torch's counter, plus the last bias.

    On the CPU, with whatever weights: of shapes alone torch takes each batch norm apart in Python.
    """
    net.to_empty(device="cpu")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(torch.zeros(1, 3, side, side))
    return (counter.get_total_flops() / 2 + num_classes) / 1e6


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("space", "index", "figures"), [(s, i, f) for s, i, *f in GOLDEN])
def test_golden_figures(space: str, index: int, figures: list[tuple[float, float]]) -> None:
    for data, (mflops, mparams) in zip(DATASETS.values(), figures, strict=True):
        with torch.device("meta"):
            net = build(space, index, data.num_classes)
        assert params(net) == pytest.approx(mparams, abs=1e-9)
        plain = reference(space, index, data.num_classes).to("meta")
        assert flops(plain, data.resolution, data.num_classes) == pytest.approx(mflops, abs=1e-9)
        if space == "sss":
            assert flops(net, data.resolution, data.num_classes) == pytest.approx(mflops, abs=1e-9)


def without_dead_edges(choices: list[int]) -> list[int]:
    """Choices with ``none`` for what is not computed."""
    return [digit if edge in live_by_hand(choices) else 0 for edge, digit in enumerate(choices)]


@pytest.mark.one_in(5)
@pytest.mark.parametrize("dataset", DATASETS)
def test_flops_are_those_of_the_closed_form(space: ArchitectureSpace, dataset: str) -> None:
    data = DATASETS[dataset]
    for index in random_indices(space, 2):
        choices = space.choices(index).tolist()
        with torch.device("meta"):
            net = build(space.name, index, data.num_classes)
            plain = reference(space.name, index, data.num_classes)
        closed = float(space.flops(choices, dataset))
        assert flops(plain, data.resolution, data.num_classes) == pytest.approx(closed, abs=1e-9)
        counted = flops(net, data.resolution, data.num_classes)
        if space.name == "tss":
            # Dead edges are in the closed form, as in the official files, and cost us nothing.
            choices = without_dead_edges(choices)
            if not space.is_live(choices) or zero_convolutions(choices):
                assert counted < closed
                continue
        assert counted == pytest.approx(float(space.flops(choices, dataset)), abs=1e-9)


@pytest.mark.one_in(5)
@pytest.mark.parametrize("side", [1, 2, 3, 5, 6, 7, 13, 28])
def test_images_of_any_side(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pixel behind a halving is the mean of those there are; costs are of the sides there are."""
    generator = torch.Generator().manual_seed(side)
    images = torch.randn(2, 3, side, side, generator=generator)
    block = ResidualBlock(3, 4)
    half = (side + 1) // 2
    means = torch.empty(2, 3, half, half)
    for row, column in product(range(half), repeat=2):
        tile = images[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        means[:, :, row, column] = tile.mean((2, 3))
    assert torch.allclose(block.downsample(images), block.downsample[1](means), atol=1e-6)
    row = Dataset("odd", 7, side, 1, 1, 1)
    monkeypatch.setitem(EVERY_DATASET, "odd", row)
    for space in (TSS, SSS):
        choices = [3] * space.num_decisions
        with torch.device("meta"):
            net = build(space.name, choices, 7)
        assert flops(net, side, 7) == pytest.approx(float(space.flops(choices, "odd")), abs=1e-9)
    networks = [build("sss", [2] * 5, 7).eval() for _ in range(2)]
    with torch.no_grad():
        alone = [network(images) for network in networks]
        together = StackedNetworks(networks).eval()(torch.stack([images] * 2))
    assert torch.allclose(torch.stack(alone), together, atol=1e-5)


def zero_convolutions(choices: list[int]) -> bool:
    """Whether a live convolution reads a node that is zero: it may cost less than in general."""
    nonzero = {0}
    for edge, (target, source) in enumerate(ENDS):
        if choices[edge] and source in nonzero:
            nonzero.add(target)
        elif choices[edge]:
            return True
    return False


def test_params_by_construction() -> None:
    for space in (TSS, SSS):
        closed = space.params(space.all_choices(), "cifar100")
        for index in random_indices(space, 8):
            with torch.device("meta"):
                net = build(space.name, index, 100)
            assert params(net) == pytest.approx(closed[index], abs=1e-9)


def check_classes(classes: Any) -> None:
    closed = TSS.params(TSS.all_choices(), "cifar10")
    with torch.device("meta"):
        for index in classes:
            net = build("tss", int(index), 10)
            assert params(net) == pytest.approx(closed[index], abs=1e-9)


def test_params_of_some_isomorphism_classes() -> None:
    classes = np.unique(TSS.isomorphism_class(TSS.all_choices()))
    assert len(classes) == 6466
    check_classes(classes[::400])


@pytest.mark.slow
def test_params_of_many_isomorphism_classes() -> None:
    check_classes(np.unique(TSS.isomorphism_class(TSS.all_choices()))[::7])


# ── arguments ────────────────────────────────────────────────────────────────────────────────


def test_an_architecture_is_an_index_choices_or_a_string() -> None:
    shapes = [
        {name: value.shape for name, value in build("tss", given, 10).state_dict().items()}
        for given in (
            int(TSS.resolve(STRING)),
            TSS.parse(STRING),
            STRING,
            np.int64(TSS.resolve(STRING)),
        )
    ]
    assert all(shape == shapes[0] for shape in shapes)


def test_depth_and_width_can_be_chosen() -> None:
    net = build("tss", 11, 10, cells_per_stage=2, stem_width=8)
    assert len(net.cells) == 8
    assert net.classifier.in_features == 32
    assert len(build("sss", 11, 10, cells_per_stage=3).cells) == 11
    assert build("sss", 0, 10)(torch.randn(2, 3, 16, 16)).shape == (2, 10)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("tsss", 0, 10), {}, "unknown space 'tsss'; allowed: tss, sss, nb101"),
        (("tss", 15_625, 10), {}, "tss index 15625 is out of range 0…15624"),
        (("tss", 0, 0), {}, "num_classes is an integer from 1 to "),
        (("tss", 0, True), {}, "num_classes is an integer from 1 to 1,000,000, got True"),
        (("tss", 0, 10), {"cells_per_stage": 0}, "cells_per_stage is an integer from 1 to "),
        (("tss", 0, 10), {"stem_width": 1.5}, "stem_width is an integer from 1 to 1,024, got 1.5"),
        (("sss", 0, 10), {"stem_width": 16}, "stem_width=16: a size architecture has its widths"),
    ],
)
def test_bad_arguments(arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        build(*arguments, **options)


def test_the_example_in_the_documentation() -> None:
    assert doctest.testmod(networks).failed == 0


# ── formats and modes ────────────────────────────────────────────────────────────────────────


@pytest.mark.one_in(3)
@pytest.mark.parametrize("choices", [SPECIAL["mixed"], SPECIAL["both kernels of zero nodes"]])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("bf16", [False, True])
def test_memory_formats_and_autocast(choices: Any, memory: torch.memory_format, bf16: bool) -> None:
    net = build("tss", choices, 10, cells_per_stage=1).to(memory_format=memory)
    batch = torch.randn(8, 3, 16, 16)
    expected = net(batch)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = net(batch.contiguous(memory_format=memory))
    logits.float().sum().backward()
    assert logits.dtype == (torch.bfloat16 if bf16 else torch.float32)
    tolerance = 0.15 if bf16 else 1e-4
    torch.testing.assert_close(logits.float(), expected, rtol=tolerance, atol=tolerance)
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_narrow_networks_do_the_same_on_two_threads() -> None:
    index = SSS.resolve("8:16:8:16:8")
    ours, plain = build("sss", index, 10), reference("sss", index, 10)
    ours.load_state_dict(plain.state_dict())
    batch = torch.randn(4, 3, 16, 16)
    for threads in (2, 1):
        torch.set_num_threads(threads)
        torch.testing.assert_close(ours(batch), plain(batch), rtol=1e-4, atol=1e-4)


def test_the_same_network_twice_and_without_gradients() -> None:
    net = build("tss", STRING, 10, cells_per_stage=1).eval()
    batch = torch.randn(4, 3, 16, 16)
    before = batch.clone()
    with torch.no_grad():
        assert torch.equal(net(batch), net(batch))
    assert torch.equal(batch, before)
    copied = copy.deepcopy(net)
    assert torch.equal(copied(batch), net(batch))


@pytest.mark.slow
def test_compiled() -> None:
    torch.set_num_threads(2)
    choices = SPECIAL["both kernels of zero nodes"]
    net = build("tss", choices, 10, cells_per_stage=1, stem_width=8)
    batch = torch.randn(4, 3, 16, 16)
    expected = net(batch)
    try:
        compiled = torch.compile(net, fullgraph=True)
        logits = compiled(batch)
    except Exception as error:
        if "compiler" in str(error).lower():
            pytest.skip("no C++ compiler here")
        raise
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)
    logits.sum().backward()


# ── official weights ─────────────────────────────────────────────────────────────────────────

CLASSES = {"cifar10-valid": 10, "cifar10": 10, "cifar100": 100, "ImageNet16-120": 120}


@cache
def trained_weights(space: str, index: int, key: str, seed: int) -> dict[str, torch.Tensor]:
    """Weights of a plain network that has seen some images, another for each seed."""
    torch.manual_seed(seed)
    plain = reference(space, index, CLASSES[key])
    with torch.no_grad():
        plain(torch.randn(4, 3, 16, 16))
    return plain.state_dict()


def write_full(folder: Path, space: str, index: int, runs: list[tuple[str, str, int]]) -> Path:
    """A ``-full`` archive of one architecture; weights for (hp, key, seed) of ``runs``."""
    path = folder / f"{BASE_NAMES[space]}-full"
    path.mkdir()
    content = record(space, index, schedules=SHORT[space])
    for hp, key, seed in runs:
        result = content[hp]["all_results"][key, seed]
        result["net_state_dict"] = trained_weights(space, index, key, seed)
    write_record(path / f"{index:06d}.pickle.pbz2", content)
    return path


def same_as_plain(net: nn.Module, space: str, index: int, key: str, seed: int) -> None:
    plain = reference(space, index, CLASSES[key])
    plain.load_state_dict(trained_weights(space, index, key, seed), strict=True)
    batch = torch.randn(4, 3, 16, 16)
    assert not net.training
    torch.testing.assert_close(net(batch), plain.eval()(batch), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_official_weights_of_the_topology_space(home: Path, tmp_path: Path) -> None:
    index = TSS.resolve(LIGHT)
    runs = [("200", "cifar10", 777), ("200", "cifar100", 888), ("12", "cifar10-valid", 111)]
    path = write_full(tmp_path, "tss", index, runs)
    net = load_official(index, "cifar10", 777, source=path)  # imports it
    same_as_plain(net, "tss", index, "cifar10", 777)
    same_as_plain(load_official(LIGHT, "cifar100", 888), "tss", index, "cifar100", 888)
    imported = import_archive(path).folder
    net = load_official(index, "cifar10-valid", 111, hp="12", source=imported)
    same_as_plain(net, "tss", index, "cifar10-valid", 111)


def test_official_weights_of_the_size_space_in_a_tar(home: Path, tmp_path: Path) -> None:
    index = SSS.resolve("8:16:24:8:16")
    folder = write_full(tmp_path, "sss", index, [("90", "ImageNet16-120", 777)])
    path = tmp_path / "full.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(folder, folder.name)
    net = load_official(index, "ImageNet16-120", 777, space="sss", source=path)
    same_as_plain(net, "sss", index, "ImageNet16-120", 777)


def test_the_public_snippet_ends_in_a_network(home: Path, tmp_path: Path) -> None:
    # As NATS-Bench's README has it: configuration, network, trained weights of a seed.
    index = TSS.resolve(LIGHT)
    path = write_full(tmp_path, "tss", index, [("200", "cifar100", 888)])
    api = create(str(path), "tss", fast_mode=True, verbose=False)
    network = get_cell_based_tiny_net(api.get_net_config(index, "cifar100"))
    params = api.get_net_param(index, "cifar100", None, hp="200")
    network.load_state_dict(params[888])
    same_as_plain(network.eval(), "tss", index, "cifar100", 888)


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("space", "index"), [("tss", 6111), ("tss", 0), ("sss", 4711)])
def test_a_configuration_s_network_has_the_official_parameters(space: str, index: int) -> None:
    with pytest.warns(SurrogateWarning):
        api = create(None, space, fast_mode=True, verbose=False)
    for dataset in ("cifar10", "cifar100", "ImageNet16-120"):
        config = api.get_net_config(index, dataset)
        cost = api.get_cost_info(index, dataset, hp="90" if space == "sss" else "200")
        same = [config, SimpleNamespace(**config), namedtuple("Config", config)(**config)]
        if space == "tss":
            structure = topology_str2structure(config["arch_str"])
            same.append({**config, "genotype": structure})
        else:
            channels = [int(width) for width in config["channels"].split(":")]
            same.append({**config, "channels": channels})
        for one in same:
            with torch.device("meta"):
                network = get_cell_based_tiny_net(one)
            million = sum(p.numel() for p in network.parameters()) / 1e6
            assert million == pytest.approx(cost["params"], abs=1e-9)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"name": "infer.tinny"}, "unknown network 'infer.tinny'.*Did you mean 'infer.tiny'"),
        ({"name": "infer.tiny", "C": 16}, "lacks N, num_classes"),
        ({"name": "infer.tiny", "C": 16, "N": 5, "num_classes": 10}, "lacks arch_str or genotype"),
        (
            {"name": "infer.tiny", "C": 16, "N": True, "num_classes": 10, "arch_str": STRING},
            "N is an integer",
        ),
        (
            {
                "name": "infer.shape.tiny",
                "channels": "8:8:8:8:8",
                "genotype": STRING,
                "num_classes": 10,
            },
            "the cell of infer.shape.tiny is",
        ),
        (3, "a configuration is what get_net_config returns, got 3"),
    ],
)
def test_what_is_no_configuration_is_refused(config: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        get_cell_based_tiny_net(config)


def test_weights_that_are_not_there(home: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingTable, match=r"no archive of tss with weights was imported"):
        load_official(0, "cifar10", 777)
    with pytest.raises(MissingTable, match="no archive at"):
        load_official(0, "cifar10", 777, source=tmp_path / "nowhere")
    simple = write_archive(tmp_path, "tss", (0,), schedules=SHORT["tss"])
    with pytest.raises(NotInTable, match=r"-simple' holds no weights; .* -full archives"):
        load_official(0, "cifar10", 777, source=simple)
    with pytest.raises(MissingTable, match=r"no archive of tss with weights was imported"):
        load_official(0, "cifar10", 777)
    path = write_full(tmp_path, "tss", 0, [("200", "cifar10", 777)])
    import_archive(path)
    with pytest.raises(InvalidInput, match=r"with seed 111; allowed: 777, 888"):
        load_official(0, "cifar10", 111)
    with pytest.raises(InvalidInput, match=r"unknown hp '90'; allowed: 12, 200"):
        load_official(0, "cifar10", 777, hp="90")
    with pytest.raises(InvalidInput, match=r"unknown dataset 'cifar-10'; .*Did you mean"):
        load_official(0, "cifar-10", 777)
    with pytest.raises(NotInTable, match="has no index 5"):
        load_official(5, "cifar10", 777)
    with pytest.raises(NotInTable, match="no weights of cifar10, hp 200, seed 888"):
        load_official(0, "cifar10", 888)
    with pytest.raises(InvalidInput, match="is an archive of tss, asked for was sss"):
        load_official(0, "cifar10", 777, space="sss", source=path)
    (path / "000000.pickle.pbz2").rename(path / "000001.pickle.pbz2")
    with pytest.raises(NotInTable, match="no record of architecture 0 now"):
        load_official(0, "cifar10", 777)


def test_weights_of_another_network_are_refused(home: Path, tmp_path: Path) -> None:
    path = write_archive(tmp_path, "tss", (0,), kind="full", schedules=SHORT["tss"])
    with pytest.raises(UnreadableFile, match=r"000000.pickle.pbz2: weights that do not fit"):
        load_official(0, "cifar10", 777, source=path)
