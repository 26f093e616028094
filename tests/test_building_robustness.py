"""Builds, fits and exports that must not destroy, mix or lose what is there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nats_gym.building import Built, Plan, build, fit_table
from nats_gym.errors import InvalidInput
from nats_gym.spaces import get_space
from nats_gym.tables import MEASURED, Column, load_table, write_table
from nats_gym.training.recipe import Recipe

pytest.importorskip("sklearn")
#: A training of a tenth of a second.
RECIPE = Recipe(batch_size=128, learning_rate=0.05, horizontal_flip=False)
PLAN = Plan.of("sss", "digits", 1, RECIPE)
CPU: dict[str, Any] = {"devices": ("cpu",)}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of two architectures; tests work on copies of it."""
    folder = tmp_path_factory.mktemp("builds") / "mine"
    build(folder, PLAN, np.array([0, 9]), **CPU)
    return folder


@pytest.fixture
def mine(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "mine")


def again(folder: Path, *architectures: int, **options: Any) -> Built:
    return build(folder, PLAN, np.array(architectures or (0, 9)), **{**CPU, **options})


def partial_table(folder: Path, rows: int = 40, constant: bool = False) -> Path:
    space = get_space("sss")
    held = np.random.default_rng(0).choice(space.size, rows, replace=False)
    accuracy = np.full((space.size, 1), np.nan)
    accuracy[held, 0] = 50.0 if constant else space.digits(held).mean(axis=1) * 10
    seconds = np.full(space.size, np.nan)
    seconds[held] = 1.0 if constant else space.digits(held).sum(axis=1) + 1
    shared = {"provenance": MEASURED, "source": "made up", "licence": "none"}
    accuracies = Column("accuracy", split="valid", epochs=4, trials=(0,), **shared)
    costs = Column("train_seconds_per_epoch", **shared)
    folder.parent.mkdir(exist_ok=True)
    write_table(folder, "sss", "digits", [(accuracies, accuracy), (costs, seconds)])
    return folder


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


# ── what is in the way of a table ────────────────────────────────────────────────────────────


def test_a_fit_deletes_nothing_but_a_table(tmp_path: Path) -> None:
    table = partial_table(tmp_path / "build" / "table")
    (tmp_path / "build" / "trainings.sqlite").write_bytes(b"hours")
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "thesis.tex").write_text("years")
    before = content(tmp_path)
    for out, words in (
        (thesis, "holds thesis.tex"),
        (table.parent, "a folder of its own"),
        (table, "a folder of its own"),
        (table / "inside", "a folder of its own"),
        (tmp_path, "a folder of its own"),
        (thesis / "thesis.tex", "cannot be a folder"),
    ):
        with pytest.raises(InvalidInput, match=words):
            fit_table(table, out)
    assert content(tmp_path) == before
    empty = tmp_path / "empty"
    empty.mkdir()
    link = tmp_path / "link"
    link.symlink_to(empty)
    for out in (empty, empty, link):  # an empty folder, a table, a table by another name
        assert fit_table(table, out).folder == out
        load_table("sss", "digits", empty).accuracy("valid", 4)
    assert link.is_symlink()


def test_only_a_whole_table_is_replaced(tmp_path: Path) -> None:
    table = partial_table(tmp_path / "table")
    latency = Column("latency", MEASURED, "made up", "none"), np.ones(32768)
    (table / "notes.txt").write_text("mine")
    (table / "nested").mkdir()
    with pytest.raises(InvalidInput, match=r"holds nested, notes\.txt"):
        write_table(table, "sss", "digits", [latency])
    (table / "nested").rmdir()
    (table / "notes.txt").unlink()
    (table / "manifest.json").write_text('{"name": "a browser extension"}')
    with pytest.raises(InvalidInput, match="no table that may be replaced"):
        write_table(table, "sss", "digits", [latency])
    assert sorted(path.name for path in table.iterdir()) == [
        "accuracy-valid-4.npy",
        "manifest.json",
        "train_seconds_per_epoch.npy",
    ]


def test_a_table_that_cannot_be_described_replaces_nothing(tmp_path: Path) -> None:
    table = partial_table(tmp_path / "table")
    before = content(tmp_path)
    nobodys: Any = Column("latency", MEASURED, "made up", 5)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="licence of a column is 5"):
        write_table(table, "sss", "digits", [(nobodys, np.ones(32768))])
    assert content(tmp_path) == before
