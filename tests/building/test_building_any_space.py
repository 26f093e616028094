"""Builds, fits, analyses and environments of a space of one's own, end to end, on digits."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from command_line import call

import nats_gym
from nats_gym.analysis import analyse
from nats_gym.building import Plan, build, fit_table
from nats_gym.building.official_files import check_export
from nats_gym.errors import InvalidInput
from nats_gym.evaluators import TrainingEvaluator
from nats_gym.spaces import ArchitectureSpace, find_space, place_of
from nats_gym.tables import MEASURED, SURROGATE, Column, load_table, write_table
from nats_gym.testing import check_space
from nats_gym.training.batched import TrainingPool
from nats_gym.training.data import load_data

pytest.importorskip("sklearn")
pytestmark = pytest.mark.usefixtures("one_thread")

#: Written beside what runs, as a user does.
SOURCE = '''
from torch import nn
from nats_gym import ArchitectureSpace


class Mlps(ArchitectureSpace):
    name = "built-mlps"
    decisions = {
        "depth": ("1", "2", "3"),
        "width": ("4", "8", "16", "32", "64"),
        "activation": ("ReLU", "Tanh"),
    }

    def is_valid(self, choices):  # not deep and wide
        return choices[..., 0] + choices[..., 1] < 6

    def params(self, choices, dataset):
        rows = self.check_choices(choices)
        width = 4.0 * 2 ** rows[..., 1]
        return (192 * width + width + rows[..., 0] * (width**2 + width) + 10 * width + 10) / 1e6

    def network(self, choices, dataset):
        depth, width, activation = self.string(choices).item().split(":")
        layers, before = [nn.Flatten()], 192
        for _ in range(int(depth)):
            layers += [nn.Linear(before, int(width)), getattr(nn, activation)()]
            before = int(width)
        return nn.Sequential(*layers, nn.Linear(before, 10))


class Sized(ArchitectureSpace):
    """Made with an argument."""

    def __init__(self, name, sizes):
        self.name, self.decisions = name, {"size": tuple(map(str, range(sizes)))}


SIZED = Sized("built-sized", 3)
'''


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "mlps_beside.py").write_text(SOURCE)
    sys.path.append(str(folder))
    yield nats_gym.register_space("mlps_beside:Mlps")
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def built(space: ArchitectureSpace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 28 but five, trained for an epoch, in a process that has to find the space."""
    folder = tmp_path_factory.mktemp("builds") / "mine"
    plan = Plan.of(space.name, "digits", 1, {"learning_rate": 0.05})
    done = build(folder, plan, np.arange(space.size - 5), workers=2, devices=("cpu",))
    assert (done.architectures, done.trained) == (23, 23)
    return folder / "table"


@pytest.mark.slow
def test_a_built_table_holds_what_was_trained(space: ArchitectureSpace, built: Path) -> None:
    check_space(space, dataset="digits")
    table = load_table(space.name, "digits", built)
    accuracy = table.mean_accuracy("valid", 1)
    assert np.isnan(accuracy).tolist() == [False] * 23 + [True] * 5
    evaluator = TrainingEvaluator(space.name, "digits", recipe={"learning_rate": 0.05})
    again = evaluator.evaluate(np.array([3]), 1, np.array([0], np.uint64))
    assert again.accuracy[0] == pytest.approx(accuracy[3], abs=1e-4)
    assert table.figure("params").values[0] == space.params(space.choices(0), "digits")


@pytest.mark.slow
def test_it_is_fitted_by_its_features(space: ArchitectureSpace, built: Path) -> None:
    fitted = fit_table(built)
    estimate = fitted.mean_accuracy("valid", 1)
    assert estimate.shape == (space.size,)
    assert (estimate > 0).all()
    assert (estimate < 100).all()
    assert {column.provenance for column in fitted.columns} == {SURROGATE}
    held = load_table(space.name, "digits", built).mean_accuracy("valid", 1)[:23]
    assert np.corrcoef(estimate[:23], held)[0, 1] > 0.8  # wider is better, and the fit knows it
    env = gym.make("NAS-v0", space=space, dataset="digits", source=fitted.folder, epochs=1)
    _, info = env.reset(seed=0)
    for _ in range(3):
        _, reward, *_, info = env.step(env.action_space.sample(info["action_mask"]))
    assert info["valid"]
    assert reward == info["accuracy"] / 100


def test_a_fit_recovers_what_its_features_say(space: ArchitectureSpace, tmp_path: Path) -> None:
    rows = space.all_choices()
    logit = 0.3 * rows[:, 1] - 0.2 * rows[:, 0] + 0.5 * rows[:, 2]
    truth = 100 / (1 + np.exp(-logit))
    given = np.where(np.arange(space.size) % 6 == 5, np.nan, truth)
    column = Column("accuracy", MEASURED, "made up", "MIT", split="valid", epochs=4)
    write_table(tmp_path / "table", space, "digits", [(column, given)])
    estimate = fit_table(tmp_path / "table").mean_accuracy("valid", 4)
    assert np.abs(estimate - truth).max() < 1


@pytest.mark.slow
def test_it_is_analysed(space: ArchitectureSpace, built: Path, tmp_path: Path) -> None:
    partial = analyse(space, "digits", built, epochs=1)
    assert "5 of 28" in partial.left_out["neighbourhoods"]
    fitted = fit_table(built, tmp_path / "fitted")
    found = analyse(space.name, "digits", fitted.folder, tmp_path / "out", epochs=1)
    (neighborhood, *_) = found.neighborhoods
    assert sum(neighborhood.basins) == space.size
    assert np.isnan(neighborhood.additive)  # neighbours are missing, so nothing is closed
    assert found.fitness_distance[0].distances[0] == 0
    assert sum(found.fitness_distance[0].architectures) == space.size


@pytest.mark.slow
def test_the_command_line_takes_it_from_beside(
    space: ArchitectureSpace,
    built: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    monkeypatch.chdir(tmp_path)
    line = "build --space mlps_beside:Mlps --dataset digits --epochs 1 --device cpu --out mine"
    code, said, _ = call(monkeypatch, capsys, *f"{line} --archs random:2".split())
    assert (code, "table of 2 architectures" in said) == (0, True)
    code, said, _ = call(monkeypatch, capsys, "show", "mlps_beside:Mlps", "2:16:Tanh")
    index = space.resolve("2:16:Tanh")
    assert (code, said.splitlines()[0]) == (0, f"built-mlps {index}: 2:16:Tanh")
    code, _, error = call(monkeypatch, capsys, "show", "built-mlps", "3", "--png", "a.png")
    assert (code, "no table of built-mlps" in error) == (2, True)
    given = ("--dataset", "digits", "--source", str(built))
    code, said, _ = call(monkeypatch, capsys, "show", "mlps_beside:Mlps", "3", *given)
    assert code == 0
    assert "accuracy-valid-1" in said
    code, said, _ = call(
        monkeypatch, capsys, "--known-space", "mlps_beside:Mlps", "fit", str(built), "--out", "fit"
    )
    assert (code, "table of 28 estimated architectures" in said) == (0, True)
    arguments = ("analyse", "mlps_beside:Mlps", "digits", "--source", "fit", "--epochs", "1")
    code, said, error = call(monkeypatch, capsys, *arguments, "--out", "analysis")
    assert (code, error) == (0, "")
    assert any(Path("analysis").iterdir())


def test_official_files_are_of_two_spaces(space: ArchitectureSpace, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="NATS-Bench's own spaces, not of 'built-mlps'"):
        check_export(Plan.of(space.name, "digits", 1), tmp_path)


def test_what_another_process_finds_a_space_by(space: ArchitectureSpace) -> None:
    assert place_of(nats_gym.get_space("tss")) == "tss"
    assert place_of(space) == "mlps_beside:Mlps"
    assert find_space("mlps_beside:Mlps") is space
    module: Any = importlib.import_module("mlps_beside")
    with pytest.raises(InvalidInput, match="cannot import the space 'built-sized'"):
        place_of(nats_gym.register_space(module.SIZED))
    sized = nats_gym.register_space("mlps_beside:SIZED")
    assert place_of(sized) == "mlps_beside:SIZED"
    local = type("Local", (ArchitectureSpace,), {"name": "local", "decisions": {"a": ("b", "c")}})
    with pytest.raises(InvalidInput, match="put it into a module"):
        place_of(local())


@pytest.mark.slow
def test_two_cells_of_nasbench101_are_built(tmp_path: Path) -> None:
    plan = Plan.of("nb101", "digits", 1)
    done = build(tmp_path / "mine", plan, np.array([0, 423_623]), devices=("cpu",), curves=False)
    accuracy = done.table.mean_accuracy("valid", 1)
    assert np.flatnonzero(~np.isnan(accuracy)).tolist() == [0, 423_623]


@pytest.mark.slow
def test_an_evaluator_that_is_sent_brings_its_space(space: ArchitectureSpace) -> None:
    folder = str(Path(str(importlib.import_module("mlps_beside").__file__)).parent)
    evaluator = TrainingEvaluator(space.name, "digits", recipe={"learning_rate": 0.05})
    sent = pickle.dumps(evaluator).hex()
    code = (
        f"import pickle, sys; sys.path.append({folder!r})\n"
        f"print(pickle.loads(bytes.fromhex({sent!r})).space.size)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(space.size)]
    with TrainingPool(space.name, load_data("digits"), workers=2, devices=("cpu",)) as pool:
        records: dict[int, Any] = dict(
            pool.train([3, 4], [0, 0], recipe=replace(evaluator.recipe, epochs=1))
        )
    expected = evaluator.evaluate(np.array([3, 4]), 1, np.zeros(2, np.uint64)).accuracy
    found = [records[place].accuracy("x-valid") for place in (0, 1)]
    assert found == pytest.approx(expected.tolist(), abs=1e-4)
