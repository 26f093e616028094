"""Latencies measured here: what is timed, in which order, how it goes on, and what comes of it."""

from __future__ import annotations

import itertools
import json
import math
import re
import statistics
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from command_line import call
from numpy.typing import NDArray
from reference_network import ReferenceNetwork
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import nats_gym  # noqa: F401  (registers the environments)
from nats_gym.errors import InvalidInput
from nats_gym.measuring import latency as measuring
from nats_gym.measuring import measure_latency
from nats_gym.measuring.lines import read_lines
from nats_gym.measuring.timing import latency, time_work
from nats_gym.networks import build
from nats_gym.spaces import ArchitectureSpace, get_space, register_space
from nats_gym.spaces.topology import live_edges
from nats_gym.tables import add_column, known_figures, load_table
from nats_gym.tables.named_columns import SHIPPED, named_columns
from nats_gym.tables.table import named_figure

TSS = get_space("tss")
CPU = torch.device("cpu")


class Numbered(nn.Module):
    """A network that says which it is."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.weight = nn.Parameter(torch.ones(10))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((1, 2, 3))[:, None] * self.weight


class Swaps(ArchitectureSpace):
    """Pairs of operations whose order does not matter: six classes of nine."""

    name = "swaps"
    decisions = dict.fromkeys(("left", "right"), ("a", "b", "c"))

    def isomorphism_class(self, choices: Any) -> NDArray[np.int64]:
        return self.index(np.sort(choices, axis=-1))

    def network(self, choices: Any, dataset: str) -> nn.Module:
        return Numbered(int(self.index(choices)))


class Script:
    """Stands for the clock: seconds of each network and batch, one after another of passes."""

    def __init__(self, ends: int | None = None) -> None:
        self.asked: list[tuple[int, int]] = []
        self._ends = ends

    def __call__(self, network: Numbered, *given: Any, **_: Any) -> float:
        if len(self.asked) == self._ends:
            raise KeyboardInterrupt
        self.asked.append((network.number, given[-1]))
        return self.seconds(network.number, given[-1], Counter(self.asked)[self.asked[-1]] - 1)

    @staticmethod
    def seconds(index: int, batch: int, turn: int) -> float:
        return (1 + index) * batch * (1 + 0.1 * turn * (index + 1)) / 1_000


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    register_space(Swaps(), replace=True)


def scripted(monkeypatch: pytest.MonkeyPatch, ends: int | None = None) -> Script:
    script = Script(ends)
    monkeypatch.setattr(measuring, "latency", script)
    return script


# ── one network ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.0, [3, 1, 2]), (8.5, [3, 1, 2, 2, 5]), (7.5, [3, 1, 2, 2])]
)
def test_repetitions_by_a_clock_that_is_told(seconds: float, expected: list[float]) -> None:
    lasts = iter([100.0, 3.0, 1.0, 2.0, 2.0, 5.0, 7.0])  # the first warms up
    now = 0.0

    def work() -> None:
        nonlocal now
        now += next(lasts)

    taken = time_work(work, seconds, lambda: now)
    assert taken == expected
    assert statistics.median(taken) == 2


def test_what_is_timed_is_an_evaluation_of_the_batch() -> None:
    class Seen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[tuple[bool, bool, tuple[int, ...]]] = []

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.seen.append((self.training, torch.is_grad_enabled(), tuple(images.shape)))
            return images

    network = Seen()
    assert latency(network, 8, CPU, False, 5) >= 0
    assert network.seen == [(False, False, (5, 3, 8, 8))] * 4


def test_what_is_captured_is_replayed() -> None:
    class Graphs:
        """Work that is done again, counted."""

        captured = replayed = 0

        def beside(self) -> Any:
            return nullcontext()

        def capture(self, work: Any) -> Any:
            self.captured += 1
            self._work = work
            return self

        def replay(self) -> None:
            self.replayed += 1
            self._work()

    graphs = Graphs()
    latency(nn.Flatten(), 8, CPU, False, 1, graphs=graphs)
    assert (graphs.captured, graphs.replayed) == (1, 4)


DEAD = (
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|",
    "|none~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|none~0|none~1|none~2|",
    "|nor_conv_1x1~0|+|nor_conv_3x3~0|none~1|+|none~0|avg_pool_3x3~1|none~2|",
)


@pytest.mark.parametrize("string", DEAD)
def test_dead_branches_are_computed_if_asked_for(string: str) -> None:
    torch.manual_seed(0)
    network = build("tss", string, 10, cells_per_stage=1, stem_width=4).eval()
    plain = ReferenceNetwork("tss", TSS.parse(string).tolist(), 10, 1, 4).eval()
    plain.load_state_dict(network.state_dict())
    images = torch.rand(2, 3, 8, 8)
    computed: Counter[str] = Counter()
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and ".layers." in name:
            module.register_forward_hook(lambda *_, name=name: computed.update([name]))
    pruned = network(images)
    few = len(computed)
    for cell in network.modules():
        if hasattr(cell, "compute_every_edge"):
            cell.compute_every_edge()
    computed.clear()
    assert torch.allclose(network(images), plain(images), atol=1e-6)
    assert torch.allclose(network(images), pruned, atol=1e-6)
    assert few < len(computed) == 3 * string.count("conv")


# ── a space ──────────────────────────────────────────────────────────────────────────────────


def test_classes_are_measured_once_a_pass_in_changing_orders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = scripted(monkeypatch)
    counts: list[tuple[int, int]] = []
    found = measure_latency(
        *("swaps", "digits", "kept"), batch=[1, 4], progress=lambda *at: counts.append(at)
    )
    lowest = [0, 1, 2, 4, 5, 8]  # of aa, ab, ac, bb, bc, cc
    assert counts == [(done, 12) for done in range(1, 13)]
    orders = [[index for index, batch in script.asked if batch == 1][at : at + 6] for at in (0, 6)]
    assert [sorted(order) for order in orders] == [lowest, lowest]
    assert orders[0] != orders[1]
    assert orders[0] != lowest
    assert [one.name for one in found] == [f"latency/cpu-1-thread-batch{size}" for size in (1, 4)]
    # (1 + i) · b ms and (1 + i) · b · (1.1 + 0.1 i) ms: the middle, and by how much they part.
    by_hand = {i: (1 + i) * (1 + 0.05 * (i + 1)) for i in lowest}
    every = [by_hand[i] for i in (0, 1, 2, 1, 4, 5, 2, 5, 8)]
    apart = sorted(0.1 * (i + 1) / (1 + 0.05 * (i + 1)) for i in lowest)
    for one, size in zip(found, (1, 4), strict=True):
        assert np.allclose(one.milliseconds, np.multiply(every, size), rtol=1e-12)
        assert one.spread == pytest.approx((apart[2] + apart[3]) / 2)
        assert one.correlation == pytest.approx(1)
        assert one.folder is not None
        manifest = json.loads((one.folder / "manifest.json").read_text())["columns"][0]
        assert manifest["provenance"] == "measured"
        assert manifest["counts"]["lower_is_better"]
        assert manifest["unit"] == "milliseconds"
        assert f"torch {torch.__version__}" in manifest["source"]
        assert "1 thread" in manifest["source"]
        assert f"{one.spread:.2%}" in manifest["note"]
        assert "6 architectures, of isomorphic ones" in manifest["note"]
        assert f"batch of {size}" in manifest["counts"]["label"]


def test_an_odd_number_of_passes_has_a_median(monkeypatch: pytest.MonkeyPatch) -> None:
    script = scripted(monkeypatch)
    monkeypatch.setattr(script, "seconds", lambda index, batch, turn: [7.0, 1.0, 2.0][turn])
    (found,) = measure_latency("swaps", "digits", "kept", passes=3)
    assert (found.milliseconds == 2_000).all()
    assert found.spread == pytest.approx(5 / 4.5)  # of the first and the last
    assert math.isnan(found.correlation)  # all are equal


def test_with_dead_branches_each_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    script = scripted(monkeypatch)
    (found,) = measure_latency("swaps", "digits", "kept", passes=1, dead_branches=True)
    told = json.loads((found.folder / "manifest.json").read_text())["columns"][0]["note"]
    assert "in one pass over all in a random order" in told
    assert "nan" not in told
    assert sorted(script.asked) == [(index, 1) for index in range(9)]
    assert np.allclose(found.milliseconds, np.arange(1.0, 10))
    assert math.isnan(found.spread)


@pytest.mark.parametrize("ends", range(1, 24, 3))
def test_a_killed_measurement_goes_on(
    ends: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scripted(monkeypatch)
    wanted = measure_latency("swaps", "digits", "whole", batch=[1, 4], name="latency/whole")
    lines = (tmp_path / "whole" / "measurements.jsonl").read_text().splitlines()
    # A timing of a pass by its place in the script, for the script that goes on begins anew.
    script = scripted(monkeypatch, ends)
    with pytest.raises(KeyboardInterrupt):
        measure_latency("swaps", "digits", "kept", batch=[1, 4])
    path = tmp_path / "kept" / "measurements.jsonl"
    kept = len(path.read_text().splitlines()) - 1
    assert kept == ends // 2  # a network is kept with all its batches
    with path.open("a") as file:
        file.write('{"pass": 0, "ind')  # and the kill came while it wrote
    script._ends = None
    script.asked = script.asked[: 2 * kept]
    found = measure_latency("swaps", "digits", "kept", batch=[1, 4])
    assert len(script.asked) == 24
    assert path.read_text().splitlines()[1:] == lines[1:]
    for one, other in zip(found, wanted, strict=True):
        assert np.array_equal(one.milliseconds, other.milliseconds)
        assert (one.spread, one.correlation) == (other.spread, other.correlation)
    measure_latency("swaps", "digits", "kept", batch=[1, 4])  # which is done
    assert len(script.asked) == 24


def test_a_header_that_was_cut_is_written_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scripted(monkeypatch)
    path = tmp_path / "kept" / "measurements.jsonl"
    path.parent.mkdir()
    path.write_text('{"space": "sw')
    measure_latency("swaps", "digits", "kept", passes=1)
    assert [entry.get("space") for entry in read_lines(path)] == ["swaps"] + 6 * [None]


def test_a_part_adds_no_column_and_the_rest_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    script = scripted(monkeypatch)
    (part,) = measure_latency("swaps", "digits", "kept", samples=2)
    assert part.folder is None
    assert len(script.asked) == 4
    known = ~np.isnan(part.milliseconds)
    assert 2 <= known.sum() <= 4
    assert part.name not in load_names()
    (whole,) = measure_latency("swaps", "digits", "kept")
    assert len(script.asked) == 12  # none of them twice
    assert np.allclose(part.milliseconds[known], whole.milliseconds[known])
    assert whole.folder is not None
    assert part.name in load_names()


def load_names() -> set[str]:
    return set(known_figures("swaps", "digits"))


def column_of(name: str) -> NDArray[np.float64]:
    return named_figure(get_space("swaps"), "digits", name).values


def test_a_measured_column_is_a_limit_with_exact_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    def time(self: Any, index: int, sizes: list[int]) -> list[float]:
        return [0.001 * (index % 1_000 + 1)]

    monkeypatch.setattr(measuring._Timer, "time", time)
    (found,) = measure_latency("tss", "cifar10", "kept", passes=1)
    rows = TSS.all_choices()
    classes = TSS.workload_class(rows)
    assert np.allclose(found.milliseconds, classes % 1_000 + 1)
    assert np.array_equal(
        load_table("tss", "cifar10").figure(found.name).values, found.milliseconds
    )
    limit = float(np.quantile(found.milliseconds, 0.1))
    env = gym.make("NATS-TSS-cifar10-v0", limits={found.name: limit}).unwrapped
    rng = np.random.default_rng(1)
    for _ in range(40):
        _, info = env.reset(seed=int(rng.integers(2**31)))
        taken: list[int] = []
        done = False
        while not done:
            fits = (rows[:, : len(taken)] == taken).all(axis=1) & (found.milliseconds <= limit)
            expected = np.bincount(rows[fits, len(taken)], minlength=5) > 0
            assert np.array_equal(info["action_mask"], expected)
            taken.append(int(rng.choice(np.flatnonzero(expected))))
            *_, done, _, info = env.step(taken[-1])
        assert found.milliseconds[info["index"]] <= limit


def test_real_networks_have_a_latency() -> None:
    (found,) = measure_latency("sss", "digits", "kept", seconds=0.0, samples=3)
    known = found.milliseconds[~np.isnan(found.milliseconds)]
    assert len(known) == 3
    assert (known > 0).all()
    assert np.isfinite(found.spread)
    (whole,) = measure_latency("swaps", "digits", "own", seconds=0.0)
    assert (whole.milliseconds > 0).all()
    assert torch.get_num_threads() > 0


def test_what_ships_says_how_it_was_measured() -> None:
    named = named_columns(TSS, "cifar10")["latency/cpu-1-thread-batch1"]
    assert named.folder == SHIPPED / "tss-columns-measured"
    assert sum(path.stat().st_size for path in named.folder.iterdir()) < 100_000
    column = named.column
    assert (column.provenance, column.unit, column.licence) == ("measured", "milliseconds", "MIT")
    assert re.search(r"first and the last pass [0-9.]+% .* correlation 0\.[0-9]+", column.note)
    values = load_table("tss", "cifar10").figure(column.quantity).values
    rows = TSS.all_choices()
    assert "7,797 architectures" in column.note
    assert np.array_equal(values, values[TSS.workload_class(rows)])
    assert (values > 0).all()
    # A node that is not computed costs nothing: of few convolutions that matter, less.
    live = [sum(row[edge] in (2, 3) for edge in live_edges(row)) for row in rows]
    by_count = [np.median(values[np.equal(live, count)]) for count in range(7)]
    assert by_count == sorted(by_count)


@pytest.mark.slow
def test_one_workload_is_one_function_and_as_many_operations() -> None:
    rows = TSS.all_choices()
    same, classes = TSS.workload_class(rows), TSS.isomorphism_class(rows)
    assert len({*same}) == 7_797
    assert np.array_equal(classes[same], classes)
    assert np.array_equal(same[same], same)
    assert {*classes} <= {*same}
    images = torch.rand(2, 3, 8, 8)

    def operations(index: int) -> int:
        network = build("tss", index, 10, cells_per_stage=1, stem_width=4).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(images)
        return counter.get_total_flops()

    rng = np.random.default_rng(0)
    moved = rng.choice(np.flatnonzero(same != np.arange(TSS.size)), 40, replace=False)
    for index in moved.tolist():
        assert operations(index) == operations(int(same[index])), index
    # Which the lowest index of a class alone would not say.
    split = rng.choice(np.flatnonzero(same != classes), 40, replace=False).tolist()
    assert sum(operations(index) != operations(int(classes[index])) for index in split) > 10


# ── what is refused ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 0}, "batch is an integer from 1"),
        ({"batch": []}, "batch is an integer from 1"),
        ({"batch": [1, 1]}, "asked for once"),
        ({"batch": "256"}, "batch is an integer from 1"),
        ({"threads": 0}, "threads is an integer from 1"),
        ({"passes": 0}, "passes is an integer from 1"),
        ({"seconds": -1.0}, "seconds is a"),
        ({"seconds": math.nan}, "seconds is a"),
        ({"samples": 0}, "samples is an integer from 1"),
        ({"samples": 10**6}, "samples is an integer from 1 to"),
        ({"device": "abacus"}, "no device 'abacus' here"),
        ({"name": "latency"}, "a column's name is"),
        ({"name": "seconds"}, "another use for the name 'seconds'"),
        ({"name": "flops"}, "flops of other spaces is in MFLOPs, .*; got 'milliseconds'"),
        ({"name": "paths"}, "paths of other spaces is in paths from input to output, higher is"),
        ({"name": "a/b/c"}, "a column's name is"),
        ({"name": 5}, "name is text"),
        ({"dead_branches": "yes"}, "dead_branches is True or False"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_the_work(
    options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=words):
        measure_latency("swaps", "digits", "kept", **options)
    assert not (tmp_path / "kept").exists()


def test_a_space_without_networks_is_refused() -> None:
    class Bare(ArchitectureSpace):
        name = "bare"
        decisions = {"one": ("a", "b")}  # noqa: RUF012

    with pytest.raises(InvalidInput, match=r"bare.* builds no networks"):
        measure_latency(Bare(), "digits", "kept")  # type: ignore[arg-type]


def test_a_network_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: Any) -> None:
        raise RuntimeError("no kernel")

    monkeypatch.setattr(Numbered, "forward", stumble)
    with pytest.raises(InvalidInput, match=r"network of swaps \d cannot be timed: .*no kernel"):
        measure_latency("swaps", "digits", "kept")


def test_a_name_that_is_taken_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = scripted(monkeypatch)
    name = "latency/cpu-1-thread-batch1"
    add_column("swaps", "digits", name, np.ones(9), unit="ms")
    with pytest.raises(InvalidInput, match=r"has a column .* already"):
        measure_latency("swaps", "digits", "kept")
    assert not script.asked
    (found,) = measure_latency("swaps", "digits", "kept", replace=True)
    assert found.folder is not None
    assert not np.array_equal(found.milliseconds, np.ones(9))


def test_what_another_added_since_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the measurement has begun, or made its column once: its own alone is replaced."""
    script = scripted(monkeypatch)
    name = "latency/cpu-1-thread-batch1"
    measure_latency("swaps", "digits", "kept", samples=2)
    add_column("swaps", "digits", name, np.ones(9), unit="ms", source="a stopwatch")
    begun = len(script.asked)
    for options in ({}, {"passes": 3}, {"samples": 3}):
        with pytest.raises(InvalidInput, match=r"has a column .* already"):
            measure_latency("swaps", "digits", "kept", **options)  # type: ignore[arg-type]
    assert len(script.asked) == begun
    assert (column_of(name) == 1).all()
    (found,) = measure_latency("swaps", "digits", "kept", replace=True)
    (more,) = measure_latency("swaps", "digits", "kept", passes=3)  # which is its own
    assert not np.array_equal(found.milliseconds, more.milliseconds)
    assert np.array_equal(column_of(name), more.milliseconds)
    with pytest.raises(InvalidInput, match=r"has a column .* already"):  # another's, of this name
        measure_latency("swaps", "digits", "other", seconds=0.2)


def test_a_column_that_comes_while_it_measures_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch)
    name = "latency/cpu-1-thread-batch1"

    def add(done: int, total: int) -> None:
        if done == total:
            add_column("swaps", "digits", name, np.ones(9), unit="ms")

    with pytest.raises(InvalidInput, match=r"has a column .* already"):
        measure_latency("swaps", "digits", "kept", progress=add)
    assert (column_of(name) == 1).all()
    (found,) = measure_latency("swaps", "digits", "kept", replace=True)  # all was kept
    assert np.array_equal(column_of(name), found.milliseconds)


def test_a_folder_of_another_measurement_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scripted(monkeypatch)
    measure_latency("swaps", "digits", "kept", passes=1)
    for options, words in (
        ({"threads": 2}, "machine .*1 thread.*, not .*2 threads"),
        ({"seconds": 0.2}, "seconds 0.1, not 0.2"),
        ({"batch": 2}, "names {"),
        ({"dead_branches": True}, "dead_branches False, not True"),
    ):
        with pytest.raises(InvalidInput, match=f"of another measurement, with {words}"):
            measure_latency("swaps", "digits", "kept", **options)  # type: ignore[arg-type]
    path = tmp_path / "kept" / "measurements.jsonl"
    lines = path.read_text().splitlines()
    wrong: tuple[str, ...] = ("nothing", "[1]", "[" * 100_000)
    wrong += ('{"pass": 0}', '{"pass": 0, "index": 0, "seconds": [-1]}')
    wrong += ('{"pass": 0, "index": 0, "seconds": [NaN]}', '{"pass": 0, "index": 0, "seconds": 1}')
    for line in wrong:
        path.write_text("\n".join([*lines[:3], line, *lines[3:], ""]))
        with pytest.raises(InvalidInput, match=r"line 4 of .*measurements\.jsonl"):
            measure_latency("swaps", "digits", "kept", passes=1)


# ── the command ──────────────────────────────────────────────────────────────────────────────


def test_the_command_measures_and_says(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    scripted(monkeypatch)
    given = ("measure", "--space", "swaps", "--dataset", "digits", "--batch", "1,4")
    code, out, err = call(monkeypatch, capsys, *given, "--samples", "2")
    assert (code, err) == (0, "")
    assert "a part of swaps" in out
    assert "nan" not in call(monkeypatch, capsys, *given, "--samples", "2", "--passes", "1")[1]
    code, out, err = call(monkeypatch, capsys, *given)
    assert (code, err) == (0, "")
    assert "latency/cpu-1-thread-batch4" in out
    assert "latency/cpu-1-thread-batch1" in load_names()
    for wrong, words in (
        (("--batch", "1,x"), "a batch is an integer"),
        (("--device", "abacus"), "no device"),
        (("--passes", "0"), "passes is an integer"),
    ):
        code, out, err = call(monkeypatch, capsys, *given, *wrong)
        assert code == 2
        assert err.startswith("nats-gym: ")
        assert err.count("\n") == 1
        assert words in err


def test_orders_are_the_same_everywhere() -> None:
    """A part is a prefix of the first pass, so that what was a sample is no waste."""
    from nats_gym.measuring.classes import classes_of, in_random_order

    classes = classes_of(TSS)
    whole = in_random_order(classes)
    assert len(whole) == 6_466
    assert np.array_equal(in_random_order(whole), whole)
    for one, other in itertools.combinations(range(3), 2):
        apart = in_random_order(whole, one) != in_random_order(whole, other)
        assert apart.mean() > 0.99
