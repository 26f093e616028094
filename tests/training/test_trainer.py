"""Recipe, training loop, checkpoints, the pool of processes, many trainings at a time."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from concurrent.futures import CancelledError
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exploding import Exploding
from quarters import quarters as small_data
from torch import nn

from nats_gym.errors import InvalidInput
from nats_gym.processes.messages import read_message, write_message
from nats_gym.processes.pool import Pool, TaskFailed, TaskTimedOut, WorkerDied
from nats_gym.spaces import get_space
from nats_gym.training.architecture import preset, train_architecture
from nats_gym.training.batches import draw_epoch
from nats_gym.training.data import ImageData, load_data
from nats_gym.training.recipe import CUDA_GRAPHS, Recipe
from nats_gym.training.record import (
    COMPLETED,
    DIVERGED,
    OUT_OF_MEMORY,
    TIMED_OUT,
    TrainingFailed,
    TrainingRecord,
)
from nats_gym.training.trainer import choose_device, seeded, train

torch.set_num_threads(1)


def small_network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 4),
    )


RECIPE = Recipe(epochs=3, batch_size=16, learning_rate=0.05, horizontal_flip=False)


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    one, other = first.state_dict(), second.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def curves(record: TrainingRecord) -> list[Any]:
    """All of a record that does not depend on the clock."""
    parts = (record.train, *record.evaluated.values())
    return [[curve.epochs, curve.loss, curve.accuracy] for curve in parts]


# ── recipe ───────────────────────────────────────────────────────────────────────────────────


def test_the_default_recipe_is_nats_benchs() -> None:
    recipe = Recipe()
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate) == (12, 256, 0.1)
    assert (recipe.momentum, recipe.weight_decay) == (0.9, 5e-4)
    # By hand: cos 0, π/2 and 11π/12.
    assert recipe.learning_rate_at(0) == 0.1
    assert math.isclose(recipe.learning_rate_at(6), 0.05)
    assert math.isclose(recipe.learning_rate_at(11), 0.1 * (1 - 0.9659258262890683) / 2)


def test_the_schedule_is_torchs_cosine() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 90)
    recipe = Recipe(epochs=90)
    for epoch in range(90):
        assert math.isclose(optimizer.param_groups[0]["lr"], recipe.learning_rate_at(epoch))
        optimizer.step()
        schedule.step()


def test_a_digest_names_a_recipe() -> None:
    assert Recipe().digest == Recipe(learning_rate=0.1, epochs=12).digest
    assert Recipe(learning_rate=1).digest == Recipe(learning_rate=1.0).digest
    assert Recipe.from_json(RECIPE.to_json()) == RECIPE
    others = [
        Recipe(epochs=13),
        Recipe(batch_size=255),
        Recipe(learning_rate=0.2),
        Recipe(momentum=0.8),
        Recipe(weight_decay=0),
        Recipe(horizontal_flip=False),
        Recipe(crop_padding=0),
        Recipe(amp=True),
        Recipe(channels_last=not Recipe().channels_last),
        Recipe(compile=True),
        Recipe(on_failure="zero"),
    ]
    assert len(others) == len(fields(Recipe))
    assert len({Recipe().digest, *(other.digest for other in others)}) == 1 + len(others)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, r"epochs is an integer from 1 to 10,000, got 0"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"batch_size": True}, "batch_size"),
        ({"crop_padding": -1}, "crop_padding is an integer from 0"),
        ({"learning_rate": -0.1}, "learning_rate is a finite number from 0, got"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"learning_rate": math.inf}, "learning_rate"),
        ({"momentum": 1}, "momentum is a number from 0 below 1"),
        ({"weight_decay": "5e-4"}, "weight_decay"),
        ({"amp": 1}, "amp is True or False"),
        ({"compile": 1}, "compile, if not 'reduce-overhead', is True or False, got 1"),
        ({"compile": "reduce_overhead"}, "Did you mean 'reduce-overhead'"),
        ({"on_failure": "chanse"}, "Did you mean 'chance'"),
    ],
)
def test_a_wrong_recipe_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        replace(Recipe(), **change)


# ── training loop ────────────────────────────────────────────────────────────────────────────


def trained_by_hand(network: nn.Module, data: ImageData, recipe: Recipe, seed: int) -> list[float]:
    """The recipe in plain torch, the optimizer written out; mean loss of each epoch."""
    from nats_gym.streams import combine_int, seed_key

    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (data.mean, data.std))
    rows = data.splits["train"]
    velocity = [torch.zeros_like(parameter) for parameter in network.parameters()]
    losses = []
    network.train()
    for epoch in range(recipe.epochs):
        rate = recipe.learning_rate * (1 + math.cos(math.pi * epoch / recipe.epochs)) / 2
        tag = int.from_bytes(b"order", "little")
        draws = draw_epoch(len(rows), 1, combine_int(combine_int(seed_key(seed), tag), epoch))
        total = 0.0
        for start in range(0, len(rows), recipe.batch_size):
            positions = range(start, min(start + recipe.batch_size, len(rows)))
            images, labels = [], []
            for position in positions:
                row = rows[draws.order[position]]
                padded = nn.functional.pad(data.images[row] / 255, [1] * 4)
                top, left = int(draws.top[position]), int(draws.left[position])
                images.append((padded[:, top : top + 8, left : left + 8] - mean) / std)
                labels.append(data.labels[row])
            loss = nn.functional.cross_entropy(network(torch.stack(images)), torch.stack(labels))
            gradients = torch.autograd.grad(loss, list(network.parameters()))
            with torch.no_grad():
                for parameter, gradient, v in zip(
                    network.parameters(), gradients, velocity, strict=True
                ):
                    decayed = gradient + recipe.weight_decay * parameter
                    v.mul_(recipe.momentum).add_(decayed)
                    parameter -= rate * (decayed + recipe.momentum * v)
            total += loss.item() * len(labels)
        losses.append(total / len(rows))
    return losses


def without_dropout() -> nn.Module:
    return nn.Sequential(*(layer for layer in small_network() if not isinstance(layer, nn.Dropout)))


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_loop_equals_plain_torch(channels_last: bool) -> None:
    data = small_data()
    ours, plain = seeded(without_dropout, 1), seeded(without_dropout, 1)
    recipe = replace(RECIPE, channels_last=channels_last)
    record = train(ours, data, recipe, seed=4, device="cpu", evaluate="every")
    assert np.allclose(record.train.loss, trained_by_hand(plain, data, RECIPE, 4), atol=1e-4)
    for name, value in plain.state_dict().items():
        assert torch.allclose(ours.state_dict()[name], value, atol=1e-4), name
    plain.eval()
    rows = data.splits["x-valid"]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (data.mean, data.std))
    right = plain((data.images[rows] / 255 - mean) / std).argmax(1) == data.labels[rows]
    assert record.accuracy("x-valid") == 100 * float(right.double().mean())
    assert record.status == COMPLETED
    assert record.epochs == 3
    assert record.evaluated["x-valid"].epochs == record.train.epochs == [1, 2, 3]
    assert all(seconds > 0 for seconds in record.train.seconds)
    assert record.seconds > sum(record.train.seconds)


def test_draws_of_the_cpu_leave_gpus_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    for name in ("manual_seed", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, seen.append)
    network = seeded(small_network, 3)
    train(network, small_data(), RECIPE, device="cpu")
    assert not seen


def test_it_learns() -> None:
    network = seeded(small_network, 0)
    recipe = replace(RECIPE, epochs=12)
    assert train(network, small_data(), recipe, device="cpu").accuracy("x-valid") > 80


def test_a_seed_repeats_every_bit_and_global_state_stays() -> None:
    before = torch.get_rng_state()
    runs = []
    for _ in range(2):
        network = seeded(small_network, 3)
        torch.rand(5)  # whatever else draws
        record = train(network, small_data(), RECIPE, seed=3, device="cpu", evaluate="every")
        runs.append((network, curves(record)))
    (first, first_curves), (second, second_curves) = runs
    assert same_weights(first, second)
    assert first_curves == second_curves
    torch.set_rng_state(before)
    train(seeded(small_network, 3), small_data(), RECIPE, seed=3, device="cpu")
    assert torch.equal(torch.get_rng_state(), before)
    other = train(seeded(small_network, 3), small_data(), RECIPE, seed=4, device="cpu")
    assert curves(other)[0] != first_curves[0]
    assert not same_weights(seeded(small_network, 3), seeded(small_network, 4))


def test_autocast_computes_nearly_the_same() -> None:
    losses = [
        train(
            seeded(small_network, 0), small_data(), replace(RECIPE, amp=amp), device="cpu"
        ).train.loss
        for amp in (False, True)
    ]
    assert losses[0] != losses[1]
    assert np.allclose(*losses, rtol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("how", [True, CUDA_GRAPHS])
def test_compiled_computes_nearly_the_same(how: bool | str) -> None:
    records = []
    for compiled in (False, how):
        recipe = replace(RECIPE, compile=compiled, epochs=2)
        network = seeded(without_dropout, 0)
        records.append(train(network, small_data(), recipe, device="cpu"))
        assert all(not name.startswith("_orig_mod") for name in network.state_dict())
    assert np.allclose(records[0].train.loss, records[1].train.loss, rtol=1e-3)


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    record = train(Exploding(6), small_data(), RECIPE, device="cpu", evaluate="every")
    assert record.status == DIVERGED
    assert record.epochs == 1  # four batches make an epoch
    assert all(math.isfinite(loss) for loss in record.train.loss)
    assert record.accuracy("x-valid") == 25.0
    zero = train(Exploding(6), small_data(), replace(RECIPE, on_failure="zero"), device="cpu")
    assert zero.status == DIVERGED
    assert zero.failed_accuracy == 0.0
    assert zero.accuracy("x-valid") == 0.0
    with pytest.raises(TrainingFailed, match="diverged after 1 epochs"):
        train(Exploding(6), small_data(), replace(RECIPE, on_failure="raise"), device="cpu")


class Hungry(nn.Module):
    """Finds no memory from the given batch on."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.linear, self.left = nn.Linear(192, 4), batches

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.left -= self.training
        if self.left < 0:
            images = images.new_empty(1 << 50)
        return self.linear(images.flatten(1))


def test_no_memory_ends_the_training() -> None:
    record = train(Hungry(6), small_data(), RECIPE, device="cpu", evaluate="every")
    assert (record.status, record.epochs) == (OUT_OF_MEMORY, 1)
    assert record.accuracy("x-valid") == 25.0
    assert 0 < record.lost_seconds < record.seconds
    with pytest.raises(TrainingFailed, match="ran out of memory after 1 epochs"):
        train(Hungry(6), small_data(), replace(RECIPE, on_failure="raise"), device="cpu")


class Slow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(192, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        time.sleep(0.05)
        return self.linear(images.flatten(1))


def test_a_time_limit_ends_the_training() -> None:
    start = time.perf_counter()
    record = train(Slow(), small_data(), replace(RECIPE, epochs=500), device="cpu", time_limit=0.5)
    assert time.perf_counter() - start > 0.5
    assert record.status == TIMED_OUT
    assert 0 < record.epochs < 500
    assert 0.5 < record.seconds < 50  # not the 100 s of all its epochs
    assert record.accuracy("x-valid") == 25.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"evaluate": "often"}, "allowed: every, last"),
        ({"evaluate_on": ("x-vaild",)}, "Did you mean 'x-valid'"),
        ({"epochs": 4}, "up to the recipe's, is an integer from 1 to 3, got 4"),
        ({"epochs": 0}, "up to the recipe's, is an integer from 1 to 3"),
        ({"time_limit": 0}, "a positive number of seconds"),
        ({"time_limit": "x"}, "a positive number of seconds to 1,000,000,000, got 'x'"),
        ({"seed": -1}, "from 0"),
        ({"seed": "a"}, "a seed is an integer from 0 to 2\\*\\*128 - 1, got 'a'"),
        ({"recipe": {"epochs": 1}}, "recipe is of type Recipe, got"),
        ({"device": "gpu"}, "no device 'gpu'"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        train(small_network(), small_data(), **{"recipe": RECIPE, "device": "cpu", **options})
    with pytest.raises(InvalidInput, match="data is of type ImageData, got 'digits'"):
        train(small_network(), "digits", RECIPE)  # type: ignore[arg-type]


def test_the_device() -> None:
    for name in ("cpu", "cpu:0", "cpu:1", torch.device("cpu", 3)):
        assert str(choose_device(name)) == "cpu"
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(InvalidInput, match="no device 'cuda:99' here"):
        choose_device("cuda:99")


# ── checkpoints ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_training_goes_on_exactly(tmp_path: Path, channels_last: bool) -> None:
    recipe, data = replace(RECIPE, channels_last=channels_last), small_data()
    options: dict[str, Any] = {"seed": 2, "device": "cpu", "evaluate": "every"}
    whole = seeded(small_network, 2)
    wanted = train(whole, data, recipe, **options)
    path = tmp_path / "new" / "one.pt"
    for epochs in (1, 2, 3, 3):
        network = seeded(small_network, 77 + epochs)  # its weights come from the checkpoint
        if epochs == 1:
            network = seeded(small_network, 2)
        record = train(network, data, recipe, epochs=epochs, checkpoint=path, **options)
        assert record.epochs == epochs
    assert same_weights(network, whole)
    assert curves(record) == curves(wanted)
    assert len(list(path.parent.iterdir())) == 1


def test_what_was_not_evaluated_before_is_evaluated_now(tmp_path: Path) -> None:
    path = tmp_path / "one.pt"
    network, data = seeded(small_network, 0), small_data()
    options: dict[str, Any] = {"device": "cpu", "checkpoint": path}
    train(network, data, RECIPE, evaluate_on=(), **options)
    record = train(network, data, RECIPE, **options)
    assert record.evaluated["x-valid"].epochs == [3]
    plain = train(seeded(small_network, 0), data, RECIPE, device="cpu")
    assert record.accuracy("x-valid") == plain.accuracy("x-valid")


KILLED = """
    import os, signal, sys
    sys.path[:0] = [{tests!r}, os.path.dirname({tests!r})]
    import test_trainer as t
    from nats_gym.training import trainer
    network, data = t.seeded(t.small_network, 2), t.small_data()
    class Killing(trainer.TrainingBatches):
        count = 0
        def epochs(self, seeds):
            Killing.count += 1
            for number, batch in enumerate(super().epochs(seeds)):
                if Killing.count == 2 and number == 2:
                    os.kill(os.getpid(), signal.SIGKILL)
                yield batch
    trainer.TrainingBatches = Killing
    t.train(network, data, t.RECIPE, seed=2, device="cpu", evaluate="every", checkpoint={path!r})
"""


@pytest.mark.parametrize(
    ("how", "mode"), [(True, None), (CUDA_GRAPHS, "reduce-overhead"), (False, "never called")]
)
def test_the_mode_of_torch_compile_is_the_recipes(
    how: bool | str, mode: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[str | None] = []

    def compiled(network: nn.Module, mode: str | None) -> nn.Module:
        modes.append(mode)
        return network

    monkeypatch.setattr(torch, "compile", compiled)
    train(small_network(), small_data(), replace(RECIPE, epochs=1, compile=how), device="cpu")
    assert modes == ([] if how is False else [mode])


@pytest.mark.slow
def test_a_training_killed_in_mid_epoch_goes_on_exactly(tmp_path: Path) -> None:
    path = tmp_path / "one.pt"
    code = textwrap.dedent(KILLED.format(tests=str(Path(__file__).parent), path=str(path)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    options: dict[str, Any] = {"seed": 2, "device": "cpu", "evaluate": "every"}
    resumed, whole = seeded(small_network, 99), seeded(small_network, 2)
    record = train(resumed, small_data(), RECIPE, checkpoint=path, **options)
    wanted = train(whole, small_data(), RECIPE, **options)
    assert same_weights(resumed, whole)
    assert curves(record) == curves(wanted)


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.pt"
    network, data = seeded(small_network, 0), small_data()
    train(network, data, RECIPE, device="cpu", checkpoint=path)
    options: dict[str, Any] = {"device": "cpu", "checkpoint": path}
    with pytest.raises(InvalidInput, match=r"another training: seed '0', not '1'"):
        train(network, data, RECIPE, seed=1, **options)
    with pytest.raises(InvalidInput, match="another training: recipe"):
        train(network, data, replace(RECIPE, epochs=5), **options)
    with pytest.raises(InvalidInput, match="another training: data"):
        train(network, replace(data, name="others"), RECIPE, **options)
    with pytest.raises(InvalidInput, match="another training: network '', not 'tss 5'"):
        train(network, data, RECIPE, label="tss 5", **options)
    with pytest.raises(InvalidInput, match="another network"):
        train(nn.Sequential(nn.Flatten(), nn.Linear(192, 4)), data, RECIPE, **options)
    with pytest.raises(InvalidInput, match="3 epochs on, asked for were 2"):
        train(network, data, RECIPE, epochs=2, **options)


def test_a_checkpoint_of_an_architecture_of_the_same_shapes_is_refused(tmp_path: Path) -> None:
    # Neither `none` nor `skip_connect` has weights.
    none, skip = (get_space("tss").index_of([1, choice, 1, 1, 1, 1]) for choice in (0, 1))
    options: dict[str, Any] = {"network": {"cells_per_stage": 1}, "seed": 0, "device": "cpu"}
    options["checkpoint"] = tmp_path / "one.pt"
    recipe, data = Recipe(epochs=1, batch_size=64), small_data()
    train_architecture("tss", none, data, recipe, **options)
    with pytest.raises(InvalidInput, match=f"network 'tss {none}', not 'tss {skip}'"):
        train_architecture("tss", skip, data, recipe, **options)


def test_a_damaged_or_hostile_checkpoint_is_refused(tmp_path: Path) -> None:
    path, target = tmp_path / "one.pt", tmp_path / "was-run"

    class Hostile:
        def __reduce__(self) -> Any:
            return (Path.touch, (target,))

    options: dict[str, Any] = {"device": "cpu", "checkpoint": path}
    torch.save({"format": 1, "network": Hostile()}, path)
    with pytest.raises(OSError, match="damaged or no checkpoint"):
        train(small_network(), small_data(), RECIPE, **options)
    assert not target.exists()
    path.write_bytes(b"no checkpoint")
    with pytest.raises(OSError, match="delete it to start anew"):
        train(small_network(), small_data(), RECIPE, **options)


def test_bit_rot_in_a_checkpoint_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "one.pt"
    options: dict[str, Any] = {"device": "cpu", "checkpoint": path}
    train(seeded(small_network, 0), small_data(), RECIPE, **options)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        contents = [archive.read(name) for name in archive.namelist() if "/data/" in name]
    for content in contents:  # of every tensor, its last byte
        if not content.strip(b"\0"):
            continue
        place = whole.index(content) + len(content) - 1
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(OSError, match="delete it to start anew"):
            train(small_network(), small_data(), RECIPE, **options)
    path.write_bytes(whole)
    train(small_network(), small_data(), RECIPE, **options)


def test_a_record_survives_json() -> None:
    record = train(seeded(small_network, 0), small_data(), RECIPE, device="cpu")
    assert TrainingRecord.from_content(json.loads(json.dumps(record.to_content()))) == record
    with pytest.raises(InvalidInput, match="Did you mean 'x-valid'"):
        record.accuracy("x-vali")


# ── the pool ─────────────────────────────────────────────────────────────────────────────────

TASKS = """
import os, signal, sys, time
import numpy as np
from nats_gym.errors import InvalidInput
from nats_gym.processes.pool import note

def make(offset=0, folder="", fail=False):
    if fail:
        raise InvalidInput("no such thing")
    made = os.getpid()
    def task(kind, value=0):
        print("tasks may print")
        if kind == "add":
            return {"sum": value + offset, "made": made, "pid": os.getpid()}
        if kind == "threads":
            return os.environ["OMP_NUM_THREADS"]
        if kind == "sleep":
            time.sleep(value)
            return value
        if kind == "raise":
            raise RuntimeError("broken")
        if kind == "refuse":
            raise InvalidInput("refused")
        if kind == "object":
            return object()
        if kind == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "exit":
            note(value)
            sys.stderr.write("Aborted: of no use\\n\\n")
            sys.stderr.flush()
            os._exit(3)
        if kind == "die once":
            path = os.path.join(folder, "died")
            if not os.path.exists(path):
                open(path, "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
            return "alive"
        if kind == "beat":
            while True:
                open(os.path.join(folder, "beat"), "w").write(str(time.time()))
                time.sleep(0.05)
    return task
"""


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A factory in a module that only this process's path finds."""
    (tmp_path / "pool_tasks.py").write_text(TASKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "pool_tasks:make"


def test_messages_carry_values_and_arrays() -> None:
    import io

    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    content = {"a": [1, 2.5, None, "ü", math.inf], "b": {"c": array, "d": np.float64(3)}}
    file = io.BytesIO()
    write_message(file, content)
    write_message(file, np.array(7))
    file.seek(0)
    read = read_message(file)
    assert read["a"] == content["a"]
    assert read["b"]["d"] == 3.0
    assert read["b"]["c"].dtype == np.uint8
    assert np.array_equal(read["b"]["c"], array)
    assert read_message(file) == 7
    with pytest.raises(EOFError):
        read_message(file)
    for value in (object(), np.array([object()])):
        with pytest.raises(TypeError, match="cannot be sent"):
            write_message(io.BytesIO(), {"x": value})


def test_tasks_run_in_processes_that_stay(tasks: str) -> None:
    with Pool(tasks, {"offset": 10}, workers=2) as pool:
        answers = dict(pool.map([{"kind": "add", "value": n} for n in range(20)]))
        again = dict(pool.map([{"kind": "add", "value": n} for n in range(20)]))
        assert pool.submit({"kind": "threads"}).result() == "1"
        assert {answer["pid"] for answer in again.values()} <= set(pool.pids)
    assert [answers[n]["sum"] for n in range(20)] == list(range(10, 30))
    assert os.getpid() not in {answer["pid"] for answer in answers.values()}
    assert all(answer["made"] == answer["pid"] for answer in (answers | again).values())
    assert len({answer["pid"] for answer in [*answers.values(), *again.values()]}) <= 2
    with pytest.raises(InvalidInput, match="closed"):
        pool.submit({"kind": "add"})


@pytest.mark.slow
def test_the_quickest_comes_first(tasks: str) -> None:
    with Pool(tasks, workers=2) as pool:
        list(pool.map([{"kind": "sleep", "value": 0.3}] * 2))  # both have started
        order = [at for at, _ in pool.map([{"kind": "sleep", "value": v} for v in (0.6, 0.01)])]
    assert order == [1, 0]


def test_each_worker_may_have_its_own_arguments(tasks: str) -> None:
    with Pool(tasks, [{"offset": 1}, {"offset": 2}], workers=2) as pool:
        sums = _sums_by_pid(pool)
    assert sorted(sums.values()) == [1, 2]


def _sums_by_pid(pool: Pool) -> dict[int, int]:
    seen: dict[int, int] = {}
    deadline = time.perf_counter() + 20
    while len(seen) < 2 and time.perf_counter() < deadline:
        jobs = [pool.submit({"kind": "add"}) for _ in range(4)]
        jobs.append(pool.submit({"kind": "sleep", "value": 0.1}))
        for job in jobs[:4]:
            seen[job.result()["pid"]] = job.result()["sum"]
    return seen


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_its_task_tried_again(tasks: str, tmp_path: Path) -> None:
    with Pool(tasks, {"folder": str(tmp_path)}, workers=1) as pool:
        assert pool.submit({"kind": "die once"}).result(timeout=60) == "alive"
        with pytest.raises(WorkerDied, match=r"each of 2 times .*exit code -9"):
            pool.submit({"kind": "die"}).result(timeout=60)
        # One that is killed while it waits costs no try.
        pid = pool.submit({"kind": "add"}).result(timeout=60)["pid"]
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
        assert pool.submit({"kind": "add"}).result(timeout=60)["pid"] != pid


def test_failures_reach_the_caller_and_end_nothing_else(tasks: str) -> None:
    with Pool(tasks, retries=0) as pool:
        with pytest.raises(TaskFailed, match=r"(?s)RuntimeError: broken.*pool_tasks\.py"):
            pool.submit({"kind": "raise"}).result()
        with pytest.raises(InvalidInput, match=r"^refused$"):
            pool.submit({"kind": "refuse"}).result()
        with pytest.raises(TaskFailed, match="object cannot be sent"):
            pool.submit({"kind": "object"}).result()
        with pytest.raises(TypeError, match="object cannot be sent"):
            pool.submit({"kind": object()}).result()
        assert pool.submit({"kind": "add"}).result()["sum"] == 0
        with pytest.raises(WorkerDied, match="died 1 time that"):
            pool.submit({"kind": "die"}).result()
        assert pool.submit({"kind": "add"}).result()["sum"] == 0


@pytest.mark.slow
def test_a_death_tells_how_and_what_the_task_had_noted(tasks: str, capfd) -> None:
    with Pool(tasks, retries=0, quiet=True) as pool:
        for noted in (7, {"record": 8}):
            with pytest.raises(WorkerDied, match="exit code 3") as caught:
                pool.submit({"kind": "exit", "value": noted}).result()
            assert (caught.value.how, caught.value.noted) == (
                "status 3, 'Aborted: of no use'",
                noted,
            )
        with pytest.raises(WorkerDied) as caught:
            pool.submit({"kind": "die"}).result()
        assert caught.value.how.startswith("Killed (signal 9)")
        assert caught.value.noted is None
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_a_task_that_takes_too_long_is_killed(tasks: str) -> None:
    with Pool(tasks) as pool:
        first = pool.submit({"kind": "add"}).result()["pid"]
        with pytest.raises(TaskTimedOut, match=r"longer than 0\.3 s"):
            pool.submit({"kind": "sleep", "value": 60}, timeout=0.3).result(timeout=30)
        assert pool.submit({"kind": "add"}).result()["pid"] != first


def test_closing_ends_what_runs_and_drops_what_waits(tasks: str) -> None:
    pool = Pool(tasks)
    running = pool.submit({"kind": "sleep", "value": 60})
    waiting = pool.submit({"kind": "add"})
    while not running.running() or not pool.pids:
        time.sleep(0.01)
    start = time.perf_counter()
    pool.close()
    assert time.perf_counter() - start < 30  # not the minute that it would sleep
    with pytest.raises(WorkerDied, match="closed before"):
        running.result()
    with pytest.raises((CancelledError, WorkerDied)):
        waiting.result()


def test_a_factory_that_fails_fails_the_task(tasks: str) -> None:
    with Pool(tasks, {"fail": True}) as pool, pytest.raises(InvalidInput, match="no such thing"):
        pool.submit({"kind": "add"}).result(timeout=30)
    with Pool("no_such_module:make") as pool, pytest.raises(TaskFailed, match="no_such_module"):
        pool.submit({"kind": "add"}).result(timeout=30)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factory": "make"}, "module:function"),
        ({"factory": "__main__:make"}, "module:function"),
        ({"workers": 0}, "workers is an integer from 1"),
        ({"retries": -1}, "retries"),
        ({"arguments": []}, "at least one"),
    ],
)
def test_a_wrong_pool_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Pool(**{"factory": "pool_tasks:make", **arguments})


ORPHAN = """
from nats_gym.processes.pool import Pool
import os, signal, time
pool = Pool("pool_tasks:make", {{"folder": {folder!r}}})
pool.submit({{"kind": "beat"}})
while not os.path.exists({beat!r}):
    time.sleep(0.02)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_workers_go_with_a_killed_parent_and_scripts_need_no_guard(
    tasks: str, tmp_path: Path
) -> None:
    script, beat = tmp_path / "script.py", tmp_path / "beat"
    script.write_text(ORPHAN.format(folder=str(tmp_path), beat=str(beat)))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    deadline = time.time() + 10
    while time.time() - beat.stat().st_mtime < 0.5:
        assert time.time() < deadline, "the worker still runs"
        time.sleep(0.1)


# ── many trainings at a time ─────────────────────────────────────────────────────────────────


def built(index: int, seed: int) -> nn.Module:
    from nats_gym.networks import build

    return seeded(lambda: build("sss", index, 4, cells_per_stage=1), seed)


@pytest.fixture(scope="module")
def trainings() -> Any:
    from nats_gym.training.batched import TrainingPool

    network = {"cells_per_stage": 1}
    with TrainingPool(
        "sss", small_data(), RECIPE, network=network, workers=2, devices=["cpu"]
    ) as pool:
        yield pool


@pytest.mark.slow
def test_trainings_beside_each_other_equal_one_alone(trainings: Any) -> None:
    index, seeds = [0, 7, 0, 64], [0, 1, 2, 3]
    records = dict(trainings.train(index, seeds, evaluate="every"))
    assert sorted(records) == [0, 1, 2, 3]
    for position in (1, 2):
        alone = train(
            built(index[position], seeds[position]),
            small_data(),
            RECIPE,
            seed=seeds[position],
            device="cpu",
            evaluate="every",
        )
        assert curves(records[position]) == curves(alone)
    assert curves(records[0]) != curves(records[2])


@pytest.mark.slow
def test_workers_take_several_together(trainings: Any, tmp_path: Path) -> None:
    index, seeds = [0, 0, 64], [0, 0, 2]
    wanted = dict(trainings.train(index, seeds))
    found = dict(trainings.train(index, seeds, together=2, checkpoints=tmp_path))
    assert sorted(found) == [0, 1, 2]
    for position, record in found.items():
        assert np.allclose(record.train.loss, wanted[position].train.loss, rtol=1e-3)
    assert not [*tmp_path.iterdir()]
    failing = dict(
        trainings.train(
            index, seeds, together=3, time_limit=1e-6, recipe=replace(RECIPE, on_failure="raise")
        )
    )
    for error in failing.values():
        assert isinstance(error, TrainingFailed)
        assert "ran out of time after 0 epochs" in str(error)


@pytest.mark.slow
def test_one_that_fails_does_not_end_the_others(trainings: Any) -> None:
    answers = dict(trainings.train([0, 1], [0, 0], time_limit=1e-6))
    assert [answers[at].status for at in (0, 1)] == [TIMED_OUT] * 2
    answers = dict(trainings.train([0, 1], [0, 0], timeout=1e-3))
    assert all(isinstance(answer, TaskTimedOut) for answer in answers.values())
    answers = dict(trainings.train([0], [0]))
    assert answers[0].status == COMPLETED


@pytest.mark.slow
def test_a_killed_worker_s_training_goes_on(trainings: Any, tmp_path: Path) -> None:
    wanted = dict(trainings.train([5], [1], evaluate="every"))[0]
    stop = dict(trainings.train([5], [1], evaluate="every", epochs=2, checkpoints=tmp_path))
    assert stop[0].epochs == 2
    assert list(tmp_path.iterdir()) == []  # the caller had its record
    several = trainings.train([5] * 6, [1, 2, 3, 4, 5, 6], evaluate="every", checkpoints=tmp_path)
    position, first = next(several)
    assert (tmp_path / f"sss-5-{position + 1}.pt").exists()
    for pid in trainings.pids:
        os.kill(pid, signal.SIGKILL)
    records = {position: first, **dict(several)}
    assert sorted(records) == list(range(6))
    assert curves(records[0]) == curves(wanted)
    assert list(tmp_path.iterdir()) == []


def test_wrong_batches_are_refused(trainings: Any) -> None:
    with pytest.raises(InvalidInput, match="out of range"):
        trainings.train([32768], [0])
    with pytest.raises(InvalidInput, match="one seed per index"):
        trainings.train([1, 2], [0])


@pytest.mark.slow
def test_what_a_worker_refuses_is_the_answer(trainings: Any) -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'x-valid'"):
        raise next(trainings.train([1], [0], evaluate_on=["x-vali"]))[1]


@pytest.mark.slow
def test_choices_tell_architectures_apart() -> None:
    pytest.importorskip("sklearn")
    from nats_gym.networks import build
    from nats_gym.spaces import get_space

    data = load_data("digits")
    space = get_space("tss")
    recipe, network = preset("tss", "digits")
    names = (
        "|none~0|+|none~0|none~1|+|none~0|none~1|avg_pool_3x3~2|",  # no path
        "|avg_pool_3x3~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|",
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|none~2|",
    )
    accuracies = []
    for name in names:
        index = space.resolve(name)

        def built(index: int = index) -> nn.Module:
            return build("tss", index, 10, **network)

        record = train(seeded(built, 0), data, recipe, device="cpu")
        accuracies.append(record.accuracy("x-valid"))
    dead, pooling, convolutions = accuracies
    assert dead < 15
    assert dead + 10 < pooling < convolutions - 5
    assert convolutions > 85
