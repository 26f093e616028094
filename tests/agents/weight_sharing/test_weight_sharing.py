"""The loop of weight-sharing searches and the six on the topology space."""

from __future__ import annotations

import copy
import io
import itertools
import math
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import assert_same_search
from torch import nn

from nats_gym.agents.weight_sharing import METHODS, darts, get_method, rsps, supernet_search
from nats_gym.agents.weight_sharing.darts import DARTS2
from nats_gym.agents.weight_sharing.enas import ENAS, Controller, policy_loss
from nats_gym.agents.weight_sharing.gdas import GDAS, straight_through_gumbel
from nats_gym.agents.weight_sharing.method import AlphaMethod, best_of, likeliest
from nats_gym.agents.weight_sharing.rsps import RSPS, fed_digits
from nats_gym.agents.weight_sharing.supernet_result import SupernetResult
from nats_gym.agents.weight_sharing.supernet_search import SupernetSearch
from nats_gym.errors import InvalidInput, UnreadableResult
from nats_gym.networks.topology_supernet import MixedCell, TopologySupernet
from nats_gym.spaces import TopologySpace
from nats_gym.spaces.topology import EDGES
from nats_gym.training.batches import Batch
from nats_gym.training.checkpoint import UnreadableCheckpoint
from nats_gym.training.data import ImageData, load_data
from nats_gym.training.record import TrainingFailed

torch.set_num_threads(1)

TINY = {"channels": 4, "cells_per_stage": 1}
#: Settings that make each search short.
SETTINGS: dict[str, dict[str, Any]] = {
    "darts": {},
    "darts2": {},
    "gdas": {},
    "setn": {"candidates": 4},
    "rsps": {"candidates": 4},
    "enas": {"controller_steps": 2, "samples_per_step": 3, "candidates": 4},
}


@cache
def few_digits() -> ImageData:
    """48 choices to train on, 32 to validate on."""
    data = load_data("digits")
    splits = {"train": data.splits["train"][:48], "x-valid": data.splits["x-valid"][:32]}
    return replace(data, splits=splits)


def tiny_search(method: Any, **options: Any) -> SupernetSearch:
    settings = SETTINGS[method] if isinstance(method, str) else {}
    defaults: dict[str, Any] = {
        "epochs": 3,
        "batch_size": 16,
        "network": TINY,
        "settings": settings,
        "device": "cpu",
    }
    return SupernetSearch(method, few_digits(), **{**defaults, **options})


# ── every search ─────────────────────────────────────────────────────────────────────────────


@cache
def searched(name: str) -> tuple[SupernetSearch, SupernetResult]:
    """A search of two epochs, which is over."""
    torch.manual_seed(0)
    search = tiny_search(name, epochs=2)
    return search, search.run()


@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", SETTINGS)
def test_a_search_is_determined_by_its_seed(name: str) -> None:
    _, result = searched(name)
    assert result.index.shape == result.seconds.shape == result.loss.shape == (2,)
    assert result.alphas.shape == (2, 6, 5)
    assert ((result.index >= 0) & (result.index < 15625)).all()
    assert (np.diff(result.seconds, prepend=0) > 0).all()
    assert np.isfinite(result.alphas).all()
    assert result.derived == result.index[-1]
    if name != "rsps":
        assert not np.array_equal(result.alphas[0], result.alphas[-1])
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    assert_same_search(tiny_search(name, epochs=2).run(), result)
    assert torch.equal(torch.random.get_rng_state(), before)
    other = tiny_search(name, epochs=2, seed=1, budget=1e-6).run()
    assert other.loss[0] != result.loss[0]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", SETTINGS)
def test_a_killed_search_goes_on_to_the_bit(name: str, tmp_path: Path) -> None:
    whole, expected = searched(name)

    def kill(so_far: SupernetResult) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "folder" / "search.pt"
    with pytest.raises(KeyboardInterrupt):
        tiny_search(name, epochs=2, checkpoint=path, progress=kill).run()
    begun: list[int] = []
    resumed = tiny_search(
        name, epochs=2, checkpoint=path, progress=lambda so_far: begun.append(len(so_far.index))
    )
    result = resumed.run()
    assert begun == [2]
    assert_same_search(result, expected)
    one, other = whole.method.state_dict(), resumed.method.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    # It is over: nothing is trained again.
    again = tiny_search(name, epochs=2, checkpoint=path).run()
    np.testing.assert_array_equal(again.seconds, result.seconds)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", SETTINGS)
def test_a_search_chooses_among_those_it_is_given(name: str) -> None:
    some = TopologySpace().choices(np.array([11, 222, 3333]))
    result = tiny_search(name, epochs=1, among=some).run()
    assert set(result.index) <= {11, 222, 3333}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_the_small_default_finds_an_architecture(name: str) -> None:
    result = SupernetSearch(name, "digits").run()
    assert len(result.index) == 3
    assert result.loss[-1] < result.loss[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["darts", "gdas"])
def test_a_compiled_search_computes_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced, and not translated: a C++ compiler takes minutes."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    plain, compiled = tiny_search(name, epochs=1), tiny_search(name, epochs=1, compile=True)
    np.testing.assert_allclose(compiled.run().loss, plain.run().loss, rtol=1e-3)


@pytest.mark.parametrize("options", [{"amp": True}, {"channels_last": True}], ids=str)
def test_options_of_speed_change_little(options: dict[str, bool]) -> None:
    plain = tiny_search("darts", epochs=1).run()
    result = tiny_search("darts", epochs=1, **options).run()
    np.testing.assert_allclose(result.loss, plain.loss, rtol=0.02)


def test_names_lead_to_classes() -> None:
    for name in SETTINGS:
        assert name in METHODS
        assert get_method(name).space == "tss"
    with pytest.raises(InvalidInput, match="Did you mean 'darts2'"):
        get_method("dart2")


def test_names_are_known_without_torch() -> None:
    code = "import sys, nats_gym.agents.weight_sharing; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# ── the loop ─────────────────────────────────────────────────────────────────────────────────


class Spy(AlphaMethod):
    """Records what the loop does."""

    space = "tss"
    supernet_class = TopologySupernet
    supernet: TopologySupernet

    def __init__(self, supernet: TopologySupernet) -> None:
        super().__init__(supernet, 6, 5)
        self.calls: list[Any] = []

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        self.calls.append((epoch, epochs))

    def weight_loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        assert self.supernet.training
        self.calls.append(("weights", labels.tolist()))
        return nn.functional.cross_entropy(self.supernet.path(images, [3] * 6), labels)

    def architecture_step(self, valid: Batch, train: Batch, weights: torch.optim.Optimizer) -> None:
        assert self.supernet.training
        rate = weights.param_groups[0]["lr"]
        self.calls.append(("alpha", valid[1].tolist(), train[1].tolist(), rate))

    def end_epoch(self, batches: Iterator[Batch]) -> None:
        assert not self.supernet.training
        self.calls.append(("end", next(batches)[1].tolist()))

    def derive(self, batches: Iterator[Batch], among: torch.Tensor | None = None) -> list[int]:
        assert not self.supernet.training
        return super().derive(batches, among)


def test_steps_alternate_on_the_two_halves() -> None:
    search = tiny_search(Spy, epochs=2)
    search.run()
    spy = search.method
    assert isinstance(spy, Spy)
    data = few_digits()
    kinds = ["begin", *["weights", "alpha"] * 3, "end"] * 2
    assert [call[0] if isinstance(call[0], str) else "begin" for call in spy.calls] == kinds
    assert [call for call in spy.calls if isinstance(call[0], int)] == [(0, 2), (1, 2)]
    trained = [call[1] for call in spy.calls if call[0] == "weights"]
    whole = sorted(data.labels[data.splits["train"]].tolist())
    for epoch in (trained[:3], trained[3:]):
        assert sorted(itertools.chain(*epoch)) == whole
    assert trained[:3] != trained[3:]
    # 16 images of x-valid at a time, each whatever the others are: not its 32 dealt out.
    judged = [call[1] for call in spy.calls if call[0] == "alpha"]
    assert [len(labels) for labels in judged] == [16] * 6
    dealt = sorted(data.labels[data.splits["x-valid"]].tolist())
    assert any(sorted(one + other) != dealt for one, other in itertools.pairwise(judged))
    assert {*itertools.chain(*judged)} <= {*dealt}
    for weights, alpha in itertools.pairwise(spy.calls):
        if weights[0] == "weights":
            assert alpha[2] == weights[1]
    # Candidates are compared on what is drawn anew each time.
    ends = [call[1] for call in spy.calls if call[0] == "end"]
    assert [sorted(labels) for labels in ends] == [dealt, dealt]
    assert ends[0] != ends[1]


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("name", "passes"), [("rsps", 6), ("enas", 6), ("gdas", 6), ("darts2", 12)]
)
def test_running_statistics_see_both_halves(name: str, passes: int) -> None:
    """Three steps of the weights and of the architecture; the second order adds a difference."""
    search = tiny_search(name, epochs=1)
    norm = search.method.supernet.lastact[0]
    assert isinstance(norm, nn.BatchNorm2d)
    seen: list[int] = []
    norm.register_forward_hook(lambda *_: seen.append(int(norm.training)))
    search.run()
    assert norm.num_batches_tracked is not None
    # The reference looks ahead on a copy.
    assert norm.num_batches_tracked.item() == passes
    assert sum(seen) == passes + (3 if name == "darts2" else 0)
    assert seen.count(0) == {"rsps": 4, "enas": 10}.get(name, 0)  # candidates, the controller's


def test_an_operation_that_no_path_takes_decays_as_with_a_gradient_of_zeros() -> None:
    """As with torch before 2.0, whose ``zero_grad`` left zeros; Spy's path is 3x3 throughout."""
    search = tiny_search(Spy, epochs=1)
    weights = dict(search.method.supernet.named_parameters())
    name = "cells.0.layers.4.2.op.1.weight"
    ours, plain = weights[name], nn.Parameter(weights[name].detach().clone())
    optimizer = torch.optim.SGD([plain], 0.025, 0.9, weight_decay=5e-4, nesterov=True)
    search.run()
    for _ in range(3):
        plain.grad = torch.zeros_like(plain)
        optimizer.step()
    torch.testing.assert_close(ours, plain, rtol=1e-6, atol=0)


def test_the_learning_rate_is_torchs_cosine_and_stays_within_an_epoch() -> None:
    search = tiny_search(Spy, epochs=3)
    search.run()
    spy = search.method
    assert isinstance(spy, Spy)
    rates = [call[3] for call in spy.calls if call[0] == "alpha"]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.025)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3, 0.001)
    expected = []
    for _ in range(3):
        expected += 3 * [optimizer.param_groups[0]["lr"]]
        optimizer.step()
        schedule.step()
    np.testing.assert_allclose(rates, expected)
    assert np.mean(rates) == pytest.approx(0.017)


def test_a_budget_ends_after_the_epoch_in_which_it_is_spent(tmp_path: Path) -> None:
    whole = tiny_search("gdas").run()
    path = tmp_path / "search.pt"
    short = tiny_search("gdas", budget=1e-6, checkpoint=path).run()
    assert len(short.index) == 1
    # The schedule was that of the whole search, so it can go on.
    assert short.loss[0] == whole.loss[0]
    assert_same_search(tiny_search("gdas", checkpoint=path).run(), whole)


def test_results_survive_their_file(tmp_path: Path) -> None:
    result = tiny_search("gdas", epochs=1).run()
    path = result.save(tmp_path / "folder" / "gdas.npz")
    loaded = SupernetResult.load(path)
    assert_same_search(loaded, result)
    np.testing.assert_array_equal(loaded.seconds, result.seconds)
    assert dict(loaded.arguments) == dict(result.arguments)
    assert [file.name for file in path.parent.iterdir()] == ["gdas.npz"]
    path.write_bytes(path.read_bytes()[:100])
    for missing in (path, tmp_path / "none.npz"):
        with pytest.raises(UnreadableResult):
            SupernetResult.load(missing)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs is an integer from 1 to .*, got 0"),
        ({"batch_size": True}, "batch_size is an integer from 1"),
        ({"budget": 0}, "budget is a positive number of seconds"),
        ({"budget": float("nan")}, "budget is a positive number of seconds"),
        ({"seed": -1}, "a seed is an integer from 0"),
        ({"settings": {"tau_lats": 1}}, "tau_lats.*Did you mean 'tau_last'"),
        ({"settings": {"tau_last": 0}}, "a temperature is a positive finite number, got 0"),
        ({"settings": {"tau_last": np.float32(1)}}, "settings holds numbers, text"),
        ({"network": {"channel": 8}}, "Did you mean 'channels'"),
        ({"network": {"channels": 0}}, "channels is an integer from 1 to .*, got 0"),
        ({"among": []}, "among one architecture at least, got none"),
        ({"among": [[0, 1, 2, 3, 4, 5]]}, "5"),
        ({"device": "abacus"}, "no device 'abacus'"),
        ({"amp": "False"}, "amp is True or False, got 'False'"),
        ({"amp": 1}, "amp is True or False, got 1"),
        ({"channels_last": "no"}, "channels_last is True or False"),
        ({"compile": "maybe"}, "compile is True or False"),
        ({"settings": 5}, "settings is a dictionary of arguments, got 5"),
        ({"settings": [1]}, "settings is a dictionary"),
        ({"settings": {"tau_last": True}}, "a temperature is a positive finite number, got True"),
        ({"network": "tiny"}, "network is a dictionary"),
        ({"budget": "1"}, "budget is a positive number of seconds, got '1'"),
        ({"budget": True}, "budget is a positive number of seconds, got True"),
        ({"seed": "x"}, "a seed is an integer from 0 to .*, got 'x'"),
        ({"among": [[0, 1, 2, 3, 4, 0], [1]]}, "among is an array of choices"),
        ({"checkpoint": 5}, "checkpoint is a path, got 5"),
        ({"checkpoint": Path(__file__) / "one.pt"}, "cannot be a folder"),
        ({"checkpoint": Path(__file__).parent}, "is a folder"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        tiny_search("gdas", **options)
    with pytest.raises(InvalidInput, match=message):
        SupernetSearch.check("gdas", "digits", **options)


@pytest.mark.parametrize(
    ("method", "dataset", "message"),
    [
        (None, "digits", "method is one of darts, .* got None"),
        ({"gdas": 1}, "digits", "method is one of"),
        (dict, "digits", "a subclass of Method"),
        ("gda", "digits", "Did you mean 'gdas'"),
        ("gdas", "digit", "Did you mean 'digits'"),
        ("gdas", None, "data"),
        ("gdas", {}, "data"),
    ],
)
def test_no_search_and_no_data_are_refused(method: Any, dataset: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        SupernetSearch(method, dataset)
    with pytest.raises(InvalidInput, match=message):
        SupernetSearch.check(method, dataset)


def test_options_are_checked_without_data_memory_and_random_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A network of 10¹⁰ weights is checked, so nothing of it is made."""
    monkeypatch.delattr(supernet_search, "load_data")
    before = torch.random.get_rng_state()
    for name in METHODS:
        SupernetSearch.check(name, "cifar10", epochs=np.int64(2), device="cpu", data_dir="no")
    SupernetSearch.check("gdas", "cifar10", network={"channels": 1_024}, seed=1, budget=2.5)
    SupernetSearch.check(Spy, "digits", progress=print, amp=True)
    assert torch.equal(torch.random.get_rng_state(), before)
    with pytest.raises(InvalidInput, match=r"unknown option.*'chanels_last'.*Did you mean 'chan"):
        SupernetSearch.check("gdas", "digits", chanels_last=True)
    with pytest.raises(InvalidInput, match="candidates is an integer from 1 to"):
        SupernetSearch.check("enas", "digits", settings={"candidates": 0})
    with pytest.raises(InvalidInput, match="unknown setting argument of DARTS 'x'; it takes none"):
        SupernetSearch.check("darts", "digits", settings={"x": 0})
    with pytest.raises(InvalidInput, match="'space'"):
        SupernetSearch.check("darts", "digits", space="tss")


def test_a_method_of_ones_own_that_wants_numbers_passes_the_check() -> None:
    class Wanting(Spy):
        def __init__(self, supernet: TopologySupernet, share: float) -> None:
            super().__init__(supernet)
            self.first = self.alpha.sum().item()

    SupernetSearch.check(Wanting, "digits", settings={"share": 0.5})
    with pytest.raises(InvalidInput, match=r"setting arguments of Wanting: missing.*'share'"):
        SupernetSearch.check(Wanting, "digits")


def test_numpys_integers_are_plain_ones() -> None:
    plain = tiny_search("gdas", epochs=1, seed=1, batch_size=16)
    numpys = tiny_search("gdas", epochs=np.int64(1), seed=np.int64(1), batch_size=np.int32(16))
    assert numpys.arguments == plain.arguments
    assert_same_search(numpys.run(), plain.run())


def test_settings_on_small_data_sets_have_an_earlier_name() -> None:
    with pytest.warns(DeprecationWarning, match="small_settings"):

        class Own(ENAS):
            digits_settings = {"controller_steps": 2}  # noqa: RUF012

    assert SupernetSearch(Own, "digits").arguments["settings"] == {"controller_steps": 2}


def test_settings_add_to_those_of_digits() -> None:
    arguments = SupernetSearch("enas", "digits", settings={"candidates": 7}).arguments
    expected = {"controller_steps": 10, "samples_per_step": 10, "candidates": 7}
    assert arguments["settings"] == expected


@pytest.mark.parametrize(
    ("name", "setting"),
    [("setn", "candidates"), ("rsps", "candidates"), ("enas", "controller_steps")],
)
def test_counts_out_of_range_are_refused(name: str, setting: str) -> None:
    for count in (0, 10**7, 1.5, True):
        with pytest.raises(InvalidInput, match=f"{setting} is an integer from 1 to"):
            tiny_search(name, settings={setting: count})


def test_data_without_validation_images_is_refused() -> None:
    data = few_digits()
    with pytest.raises(InvalidInput, match="x-valid"):
        SupernetSearch("gdas", replace(data, splits={"train": data.splits["train"]}))


def test_checkpoints_of_other_searches_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "search.pt"
    tiny_search("gdas", epochs=1, checkpoint=path).run()
    with pytest.raises(InvalidInput, match="another search: epochs 1, not 2; delete it or take"):
        tiny_search("gdas", epochs=2, checkpoint=path).run()
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UnreadableCheckpoint, match="delete it"):
        tiny_search("gdas", epochs=1, checkpoint=path).run()


def test_bit_rot_in_a_checkpoint_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "search.pt"
    search = tiny_search("gdas", epochs=1, checkpoint=path)
    search.run()
    whole = path.read_bytes()
    for content in (search.method.alpha, *[*search.method.supernet.parameters()][::5]):
        written = content.detach().numpy().tobytes()
        place = whole.index(written) + len(written) // 2
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UnreadableCheckpoint, match="delete it"):
            tiny_search("gdas", epochs=1, checkpoint=path).run()


DAMAGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no method": lambda content: content.pop("method"),
    "no weights": lambda content: content.pop("weights"),
    "no history": lambda content: content.pop("history"),
    "no arguments": lambda content: content.update(arguments="[]"),
    "no alpha": lambda content: content["method"].pop("alpha"),
    "alpha": lambda content: content["method"].update(alpha=torch.zeros(5, 8)),
    "no architecture": lambda content: content.update(architecture=None),
    "no momentum": lambda content: content["weights"]["state"].clear(),
    "lengths": lambda content: content["history"].update(loss=torch.zeros(2).double()),
    "shape": lambda content: content["history"].update(alphas=torch.zeros(1, 5, 8).double()),
    "type": lambda content: content["history"].update(index=torch.zeros(1)),
    "index": lambda content: content["history"].update(index=torch.tensor([15625])),
    "epochs": lambda content: content.update(
        history={name: torch.cat([array] * 4) for name, array in content["history"].items()}
    ),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Of a search that was ended after an epoch."""
    path = tmp_path_factory.mktemp("checkpoint") / "search.pt"
    tiny_search("gdas", budget=1e-6, checkpoint=path).run()
    return path.read_bytes()


@pytest.mark.one_in(5)
@pytest.mark.parametrize("damage", DAMAGES)
def test_an_incomplete_checkpoint_is_refused(
    damage: str, checkpoint: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "search.pt"
    content = torch.load(io.BytesIO(checkpoint), weights_only=True)
    DAMAGES[damage](content)
    torch.save(content, path)
    with pytest.raises(UnreadableCheckpoint, match="delete it"):
        tiny_search("gdas", checkpoint=path).run()


def test_two_processes_may_write_the_same_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second writes all of its checkpoint while the first is writing its own."""
    path = tmp_path / "search.pt"
    first, second = (tiny_search("gdas", epochs=1, checkpoint=path) for _ in range(2))
    save = torch.save

    def interrupted(content: Any, file: Path) -> None:
        monkeypatch.setattr(torch, "save", save)
        second.run()
        torch.save(content, file)

    monkeypatch.setattr(torch, "save", interrupted)
    result = first.run()
    assert [file.name for file in tmp_path.iterdir()] == ["search.pt"]
    assert_same_search(tiny_search("gdas", epochs=1, checkpoint=path).run(), result)


def test_a_supernet_that_diverges_says_so() -> None:
    search = tiny_search("gdas")
    with torch.no_grad():
        search.method.supernet.classifier.bias.fill_(float("nan"))
    with pytest.raises(TrainingFailed, match="supernet diverged in epoch 1"):
        search.run()


@pytest.mark.one_in(7)
@pytest.mark.parametrize("name", ["darts", "gdas", "setn", "enas"])
def test_an_architecture_that_diverges_says_so(name: str) -> None:
    def spoil(result: SupernetResult) -> None:
        parameters = [p for key, p in search.method.named_parameters() if "supernet" not in key]
        with torch.no_grad():
            parameters[-1].fill_(float("nan"))

    search = tiny_search(name, progress=spoil)
    with pytest.raises(TrainingFailed, match="diverged in epoch 2"):
        search.run()


def test_the_log_of_no_probability_is_no_divergence() -> None:
    class Sure(Spy):
        def log_probabilities(self) -> torch.Tensor:
            return torch.eye(6, 5).log()

    assert np.isneginf(tiny_search(Sure, epochs=1).run().alphas).any()


# ── DARTS ────────────────────────────────────────────────────────────────────────────────────


class Mixture(nn.Module):
    """Makes the mixture the forward pass, so that torch can call it with other weights."""

    def __init__(self, supernet: TopologySupernet) -> None:
        super().__init__()
        self.supernet = supernet

    def forward(self, images: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        return self.supernet.mixture(images, alpha.softmax(1))


def test_the_second_order_is_autograd_through_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a difference that no ReLU's kink lies in; autograd does not see kinks."""
    monkeypatch.setattr(darts, "DIFFERENCE", 1e-7)
    torch.manual_seed(0)
    method = DARTS2(TopologySupernet(3, channels=2, cells_per_stage=1)).double()
    train, valid = ((torch.randn(5, 3, 8, 8).double(), torch.randint(3, (5,))) for _ in range(2))
    rate, momentum, decay = 0.2, 0.9, 0.01
    weights = dict(method.supernet.named_parameters())
    optimizer = torch.optim.SGD(weights.values(), rate, momentum, weight_decay=decay)
    for weight in weights.values():
        optimizer.state[weight]["momentum_buffer"] = 0.1 * torch.randn_like(weight)
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    gradient = method.unrolled_gradient(valid, train, optimizer)
    for name, weight in weights.items():
        assert torch.equal(weight, before[name])

    mixture = Mixture(method.supernet)
    loss = nn.functional.cross_entropy(mixture(train[0], method.alpha), train[1])
    slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
    stepped = {
        f"supernet.{name}": weight
        - rate * (momentum * optimizer.state[weight]["momentum_buffer"] + slope + decay * weight)
        for (name, weight), slope in zip(weights.items(), slopes, strict=True)
    }
    logits = torch.func.functional_call(mixture, stepped, (valid[0], method.alpha))
    (expected,) = torch.autograd.grad(nn.functional.cross_entropy(logits, valid[1]), method.alpha)
    assert (gradient - expected).norm() / expected.norm() < 1e-5
    # What the unrolled step adds is not small here.
    fixed = {name: weight.detach() for name, weight in stepped.items()}
    logits = torch.func.functional_call(mixture, fixed, (valid[0], method.alpha))
    (direct,) = torch.autograd.grad(nn.functional.cross_entropy(logits, valid[1]), method.alpha)
    assert (direct - expected).norm() / expected.norm() > 0.1


def plain_mixture(
    weights: dict[str, torch.Tensor], images: torch.Tensor, alpha: torch.Tensor
) -> torch.Tensor:
    """Logits of a mixture of one cell a stage, operation by operation, from torch's functions."""

    def convolved(name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        weight = weights[f"{name}.weight"]
        return nn.functional.conv2d(x, weight, None, stride, weight.shape[-1] // 2)

    def normed(x: torch.Tensor, name: str | None = None) -> torch.Tensor:
        scale, shift = (
            None if name is None else weights[f"{name}.{k}"] for k in ("weight", "bias")
        )
        return nn.functional.batch_norm(x, None, None, scale, shift, training=True)

    def cell(place: int, x: torch.Tensor) -> torch.Tensor:
        nodes: list[torch.Tensor] = [x]
        for target in (1, 2, 3):
            total = torch.zeros_like(x)
            for edge, (end, source) in enumerate(EDGES):
                if end != target:
                    continue
                node, share = nodes[source], alpha.softmax(1)[edge]
                one, three = (
                    normed(convolved(f"cells.{place}.layers.{edge}.{digit}.op.1", node.relu()))
                    for digit in (2, 3)
                )
                pool = nn.functional.avg_pool2d(node, 3, 1, 1, count_include_pad=False)
                total = total + share[1] * node + share[2] * one + share[3] * three
                total = total + share[4] * pool
            nodes.append(total)
        return nodes[3]

    x = cell(0, normed(convolved("stem.0", images), "stem.1"))
    for place in (1, 3):
        name = f"cells.{place}"
        inner = normed(convolved(f"{name}.conv_a.op.1", x.relu(), 2), f"{name}.conv_a.op.2")
        outer = normed(convolved(f"{name}.conv_b.op.1", inner.relu()), f"{name}.conv_b.op.2")
        short = convolved(f"{name}.downsample.1", nn.functional.avg_pool2d(x, 2))
        x = cell(place + 1, short + outer)
    features = normed(x, "lastact.0").relu().mean((2, 3))
    return features @ weights["classifier.weight"].T + weights["classifier.bias"]


def test_the_second_order_is_the_references_formula() -> None:
    """With its own difference of a hundredth, all plain and in float64.

    One vector holds all weights, parameters of batch norms among them: their number and norm
    decide the length of the difference.
    """
    torch.manual_seed(0)
    method = DARTS2(TopologySupernet(3, channels=2, cells_per_stage=1)).double()
    train, valid = ((torch.randn(5, 3, 8, 8).double(), torch.randint(3, (5,))) for _ in range(2))
    with torch.no_grad():
        method.alpha.normal_()
        for weight in method.supernet.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    named = dict(method.supernet.named_parameters())
    optimizer = supernet_search.make_sgd(method.supernet)
    for weight in named.values():
        optimizer.state[weight]["momentum_buffer"] = 0.1 * torch.randn_like(weight)
    alpha = method.alpha.detach().clone().requires_grad_()
    rate, decay = 0.025, 5e-4

    def slopes(theta: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradients of the loss at weights ``theta``, in them and in alpha."""
        theta = theta.detach().requires_grad_()
        parts = theta.split([weight.numel() for weight in named.values()])
        weights = {
            name: part.view_as(weight)
            for (name, weight), part in zip(named.items(), parts, strict=True)
        }
        loss = nn.functional.cross_entropy(plain_mixture(weights, batch[0], alpha), batch[1])
        return torch.autograd.grad(loss, (theta, alpha))  # type: ignore[return-value]

    def flat(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
        return torch.cat([tensor.detach().flatten() for tensor in tensors])

    theta = flat(named.values())
    velocity = 0.9 * flat(optimizer.state[weight]["momentum_buffer"] for weight in named.values())
    stepped = theta - rate * (velocity + slopes(theta, train)[0] + decay * theta)
    vector, direct = slopes(stepped, valid)
    length = 0.01 / vector.norm()
    above, below = (slopes(theta + sign * length * vector, train)[1] for sign in (1, -1))
    expected = direct - rate * (above - below) / (2 * length)
    gradient = method.unrolled_gradient(valid, train, optimizer)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-14)


def test_the_second_order_without_a_slope_is_the_first() -> None:
    """Of one class, every loss is 0 whatever the weights."""
    torch.manual_seed(0)
    method = DARTS2(TopologySupernet(1, channels=2, cells_per_stage=1))
    optimizer = supernet_search.make_sgd(method.supernet)
    batch = torch.randn(5, 3, 8, 8), torch.zeros(5, dtype=torch.int64)
    assert torch.equal(method.unrolled_gradient(batch, batch, optimizer), torch.zeros(6, 5))


# ── GDAS ─────────────────────────────────────────────────────────────────────────────────────


def test_gumbel_samples_are_of_the_softmax() -> None:
    torch.manual_seed(0)
    logits = torch.tensor([[0.5, -1.0, 0.0, 1.5, -0.3]]).double()
    count = 100_000
    samples = straight_through_gumbel(logits.expand(count, -1), 3.0)
    assert torch.equal(samples.sum(1), torch.ones(count).double())
    assert set(samples.unique().tolist()) == {0.0, 1.0}
    expected = logits.softmax(1)[0]
    deviation = (expected * (1 - expected) / count).sqrt()
    assert ((samples.mean(0) - expected).abs() < 4.5 * deviation).all()


@pytest.mark.parametrize("tau", [10.0, 1.0, 0.3])
def test_the_straight_through_gradient_has_its_analytic_mean(tau: float) -> None:
    """Of two choices: the difference of two Gumbels is logistic, which leaves one integral."""
    torch.manual_seed(0)
    count, gap = 200_000, 0.7
    logits = torch.tensor([[gap, 0.0]], dtype=torch.float64, requires_grad=True)
    rows = logits.expand(count, -1)
    first = straight_through_gumbel(rows, tau)[:, 0]
    (each,) = torch.autograd.grad(first.sum(), rows)  # (count, 2)

    noise = np.linspace(-40, 40, 400_001)
    density = 1 / (4 * np.cosh(noise / 2) ** 2)
    slope = 1 / (4 * tau * np.cosh((gap + noise) / (2 * tau)) ** 2)
    expected = float((density * slope).sum() * (noise[1] - noise[0]))
    for choice, sign in ((0, 1), (1, -1)):
        values = each[:, choice]
        deviation = values.std().item() / math.sqrt(count)
        assert abs(values.mean().item() - sign * expected) < 4.5 * deviation


def test_the_temperature_falls_linearly() -> None:
    method = GDAS(TopologySupernet(3, **TINY))
    taus = []
    for epoch in range(4):
        method.begin_epoch(epoch, 4)
        taus.append(method.tau)
    np.testing.assert_allclose(taus, [10, 6.7, 3.4, 0.1])
    method.begin_epoch(0, 1)
    assert method.tau == 10


# ── RSPS ─────────────────────────────────────────────────────────────────────────────────────


def test_every_cell_draws_its_own_path() -> None:
    torch.manual_seed(0)
    method = RSPS(TopologySupernet(10, channels=2, cells_per_stage=2))
    images, labels = torch.randn(4, 3, 8, 8), torch.arange(4)
    seen: set[tuple[int, ...]] = set()
    cells = [cell for cell in method.supernet.cells if isinstance(cell, MixedCell)]
    for cell in cells:

        def path(x: torch.Tensor, choices: Any, live: Any, run: Any = cell.path) -> torch.Tensor:
            seen.add(tuple(choices))
            return run(x, choices, live)

        cell.path = path  # type: ignore[method-assign]
    assert method.weight_loss(images, labels).isfinite()
    assert len(cells) == 6
    assert len(seen) == 6


def test_a_node_fed_by_none_alone_is_drawn_again() -> None:
    """Against a loop that draws a cell's operations until each node has one."""
    torch.manual_seed(0)
    count = 10_000
    drawn = fed_digits(count)
    assert drawn.shape == (count, 6)
    nodes = [slice(0, 1), slice(1, 3), slice(3, 6)]
    assert all(drawn[:, node].any(1).all() for node in nodes)

    rng = np.random.default_rng(0)
    rows = []
    for _ in range(count):
        cell = rng.integers(5, size=6)
        for node in nodes:
            while not cell[node].any():
                cell[node] = rng.integers(5, size=node.stop - node.start)
        rows.append(cell)
    ours = np.stack([np.bincount(column, minlength=5) for column in drawn.numpy().T])
    plain = np.stack([np.bincount(column, minlength=5) for column in np.array(rows).T])
    # The difference of two counts of p·n each has a deviation of √(2·p·(1 − p)·n), at most 64.
    assert np.abs(ours - plain).max() < 4.5 * 64
    # Of the exact law: none has 0, 4 and 24 of the choices of its node, edge by edge.
    expected = np.array([0, 4 / 24, 4 / 24, 24 / 124, 24 / 124, 24 / 124])
    np.testing.assert_allclose(ours[:, 0] / count, expected, atol=4.5 * 0.004)
    # And nodes are independent of each other: all 4 · 24 · 124 cells, each as likely.
    cells = 4 * 24 * 124
    counts = torch.bincount(drawn @ torch.tensor([5**edge for edge in range(6)]))
    spread = (counts.square().sum() - count**2 / cells) / (count / cells)  # χ², cells - 1 expected
    assert abs(spread - cells) < 4.5 * math.sqrt(2 * cells)


def test_what_rsps_compares_is_drawn_without_replacement(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    method = RSPS(TopologySupernet(10, **TINY), candidates=3000)
    compared: list[list[list[int]]] = []

    def best(candidates: list[list[int]], *_: Any) -> list[int]:
        compared.append(candidates)
        return candidates[0]

    monkeypatch.setattr(rsps, "best_of", best)
    for _ in range(2):
        method.derive(iter(()))
    first, second = ({tuple(choices) for choices in candidates} for candidates in compared)
    assert len(first) == len(second) == 3000
    assert first != second
    # 3,000 of 15,625 have 576 in common with 3,000 others, starved ones among them.
    assert 480 < len(first & second) < 670
    assert any(choices[0] == choices[1] == choices[3] == 0 for choices in first)
    some = TopologySpace().choices(np.array([11, 222, 3333]))
    method.derive(iter(()), torch.from_numpy(some))
    assert sorted(compared[-1]) == sorted(some.tolist())


# ── SETN ─────────────────────────────────────────────────────────────────────────────────────


def test_the_likeliest_are_those_of_the_largest_product() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, 3).double()
    rows = logits.softmax(1).tolist()
    every = itertools.product(range(3), repeat=4)
    ranked = sorted(
        every,
        key=lambda choices: -math.prod(row[d] for row, d in zip(rows, choices, strict=True)),
    )
    assert likeliest(logits, 7) == [list(choices) for choices in ranked[:7]]
    # Among some: the same order, and no more than there are.
    some = torch.tensor([ranked[60], ranked[3], ranked[20]])
    assert likeliest(logits, 2, some) == [list(ranked[3]), list(ranked[20])]
    assert len(likeliest(logits, 7, some)) == 3


def test_the_best_is_the_most_accurate_on_the_next_batch() -> None:
    class Oracle(TopologySupernet):
        """Is right on as many images as the first digit says."""

        def path(self, images: torch.Tensor, choices: Any) -> torch.Tensor:
            right = torch.arange(len(images)) < choices[0]
            return nn.functional.one_hot((~right).long(), 2).float()

    batches = iter([(torch.zeros(4, 3, 8, 8), torch.zeros(4, dtype=torch.int64))] * 5)
    candidates = [[digit] * 6 for digit in (1, 3, 0, 3)]
    candidates[3][1] = 2
    assert best_of(candidates, Oracle(2, **TINY), batches) == [3] * 6
    assert len(list(batches)) == 1


# ── ENAS ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def controller() -> Controller:
    torch.manual_seed(0)
    controller = Controller().double()
    with torch.no_grad():
        for parameter in controller.parameters():
            parameter.mul_(20)  # far from uniform
    return controller


@cache
def all_choices() -> torch.Tensor:
    return torch.tensor(list(itertools.product(range(5), repeat=6)))


@pytest.fixture(scope="module")
def probabilities(controller: Controller) -> torch.Tensor:
    """Of all architectures."""
    return controller.log_probability(all_choices()).exp().detach()


def test_the_controllers_probabilities_sum_to_one(
    controller: Controller, probabilities: torch.Tensor
) -> None:
    assert math.isclose(probabilities.sum().item(), 1, abs_tol=1e-9)
    assert probabilities.max() > 5 / 15625
    method = ENAS(TopologySupernet(3, **TINY))
    method.controller = controller
    marginals = method.log_probabilities().exp()
    torch.testing.assert_close(marginals.sum(1), torch.ones(6).double())
    third = probabilities[all_choices()[:, 2] == 3].sum()
    torch.testing.assert_close(marginals[2, 3], third)


def test_samples_are_of_the_controllers_distribution(
    controller: Controller, probabilities: torch.Tensor
) -> None:
    torch.manual_seed(1)
    choices, log_probabilities, entropies = controller.sample(8_000)
    torch.testing.assert_close(log_probabilities, controller.log_probability(choices))
    every = probabilities
    for edge, digit in ((0, 1), (3, 4), (5, 2)):
        expected = every[all_choices()[:, edge] == digit].sum().item()
        deviation = math.sqrt(expected * (1 - expected) / 8_000)
        found = (choices[:, edge] == digit).double().mean().item()
        assert abs(found - expected) < 4.5 * deviation
    # The mean entropy of the choices is the entropy of the whole.
    whole = -(every * every.log()).sum()
    error = entropies.std() / math.sqrt(8_000)
    assert (entropies.mean() - whole).abs() < 4.5 * error


def test_reinforce_is_the_slope_of_the_expected_reward(controller: Controller) -> None:
    """In expectation over all architectures, whatever the baseline, by central differences."""
    controller, choices = copy.deepcopy(controller), all_choices()
    rewards = torch.sin(choices.double() @ torch.arange(1.0, 7.0).double())

    def expected_reward() -> torch.Tensor:
        return (controller.log_probability(choices).exp() * rewards).sum()

    log_probabilities = controller.log_probability(choices)
    weights = log_probabilities.detach().exp() * len(choices)  # policy_loss takes a plain mean
    loss = policy_loss(log_probabilities, weights * (rewards - 0.3))
    slopes = torch.autograd.grad(loss, list(controller.parameters()))
    step = 1e-5
    generator = torch.Generator().manual_seed(0)
    directions = [
        torch.randn(slope.shape, generator=generator, dtype=torch.float64) for slope in slopes
    ]
    values = []
    with torch.no_grad():
        for move in (step, -2 * step):
            for parameter, direction in zip(controller.parameters(), directions, strict=True):
                parameter += move * direction
            values.append(expected_reward().item())
    difference = (values[0] - values[1]) / (2 * step)
    slope = sum((s * d).sum().item() for s, d in zip(slopes, directions, strict=True))
    assert math.isclose(-slope, difference, rel_tol=1e-5)


def test_the_controller_begins_as_the_references() -> None:
    """Where torch draws its own values, they reach 1/√32 in absolute value, not 0.1."""
    torch.manual_seed(0)
    fresh = Controller()
    assert sum(parameter.numel() for parameter in fresh.parameters()) == 17_253
    small = {
        "start": (1, 32),
        "embedding.weight": (5, 32),
        "head.weight": (5, 32),
        "lstm.weight_ih_l0": (128, 32),
        "lstm.weight_hh_l0": (128, 32),
    }
    for name, parameter in fresh.named_parameters():
        greatest = parameter.abs().max().item()
        assert greatest <= (0.1 if name in small else 32**-0.5)
        if name in small:
            assert parameter.shape == small[name]
        elif parameter.numel() > 100:
            assert greatest > 0.15


def test_the_controller_reads_the_last_operation_whatever_the_edge() -> None:
    """Against a plain loop over edges, of torch's cells and the formula of its logits."""
    torch.manual_seed(0)
    controller = Controller()
    cells = [nn.LSTMCell(32, 32), nn.LSTMCell(32, 32)]
    for layer, cell in enumerate(cells):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(cell, name).data.copy_(getattr(controller.lstm, f"{name}_l{layer}"))
    choices = [3, 1, 0, 4, 2, 2]
    states: list[Any] = [None, None]
    value, total = controller.start, torch.zeros(())
    for digit in choices:
        for layer, cell in enumerate(cells):
            states[layer] = cell(value, states[layer])
            value = states[layer][0]
        logits = 2.5 * torch.tanh(controller.head(value) / 5)
        total = total + logits.log_softmax(1)[0, digit]
        value = controller.embedding.weight[digit : digit + 1]
    torch.testing.assert_close(controller.log_probability(torch.tensor([choices]))[0], total)


def plain_controller_epoch(
    controller: Controller,
    optimizer: torch.optim.Optimizer,
    updates: list[tuple[torch.Tensor, list[float]]],
    last: float | None,
) -> float:
    """An epoch of the controller sample by sample, as the formula has it; its mean baseline."""
    seen = []
    for choices, accuracies in updates:
        optimizer.zero_grad()
        for row, accuracy in zip(choices, accuracies, strict=True):
            _, log_probability, entropy = controller._unroll(1, row[None])
            reward = accuracy + 0.0001 * entropy
            baseline = torch.tensor([accuracy]) if last is None else last - 0.01 * (last - reward)
            loss = -log_probability * (reward - baseline) / len(accuracies)
            torch.autograd.backward(loss.sum())
            seen.append(baseline.item())
        nn.utils.clip_grad_norm_(controller.parameters(), 5.0)
        optimizer.step()
    return float(np.mean(seen))


def test_epochs_of_the_controller_are_those_of_a_plain_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The baseline stays within an epoch, and entropy has its gradient."""
    torch.manual_seed(0)
    method = ENAS(TopologySupernet(3, **TINY), controller_steps=3, samples_per_step=4).double()
    plain = copy.deepcopy(method.controller)
    optimizer = torch.optim.Adam(plain.parameters(), 1e-3, (0.5, 0.999), 1e-3)
    updates: list[tuple[torch.Tensor, list[float]]] = []

    def judged(choices: torch.Tensor, _: Any) -> torch.Tensor:
        accuracies = torch.rand(len(choices)).double()
        updates.append((choices, accuracies.tolist()))
        return accuracies

    monkeypatch.setattr(method, "_accuracies", judged)
    last = None
    before = [parameter.detach().clone() for parameter in plain.parameters()]
    for _ in range(3):
        updates.clear()
        method.end_epoch(iter(()))
        last = plain_controller_epoch(plain, optimizer, updates, last)
        assert method.baseline.item() == pytest.approx(last, rel=1e-12)
        for ours, theirs in zip(method.controller.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    assert any(not torch.equal(*pair) for pair in zip(before, plain.parameters(), strict=True))


def test_derived_choices_are_the_official_index() -> None:
    search = tiny_search(Spy, epochs=1)
    with torch.no_grad():
        search.method.get_parameter("alpha")[torch.arange(6), torch.tensor([3, 1, 0, 4, 2, 3])] = 9
    index = search.run().derived
    space = TopologySpace()
    assert space.choices(index).tolist() == [3, 1, 0, 4, 2, 3]
