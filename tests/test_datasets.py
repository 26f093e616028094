"""The rows of the data sets, and one more."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch

import nats_gym
from nats_gym.building.plan import Plan
from nats_gym.datasets import (
    DATASETS,
    DIGITS,
    EVERY_DATASET,
    Dataset,
    Images,
    dataset_of,
    find_dataset,
    get_dataset,
    get_images,
    searched_key,
)
from nats_gym.errors import InvalidInput, MissingTable
from nats_gym.evaluators.training import TrainingEvaluator
from nats_gym.simulation.clock import default_budget
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.training.data import ImageData, load_data

ROOT = Path(nats_gym.__file__).parent.parent


def stripes(key: str, folder: Path, download: bool) -> ImageData:
    """Two classes that any network tells apart: bright images and dark ones."""
    labels = torch.arange(48) % 2
    images = (labels * 200 + 20).to(torch.uint8)[:, None, None, None].expand(48, 3, 8, 8)
    rows = torch.arange(48)
    splits = {"train": rows[:24], "x-valid": rows[24:36], "ori-test": rows[36:]}
    grey = (0.5, 0.5, 0.5)
    return ImageData(key, 2, images.contiguous(), labels, splits, grey, grey, 0)


STRIPES = Dataset(
    "stripes",
    2,
    8,
    24,
    12,
    12,
    full_epochs=2,
    recipe={"epochs": 2, "batch_size": 4, "learning_rate": 0.02},
    cells_per_stage={"tss": 1},
    images=(Images("stripes-half", ("train", "x-valid", "ori-test"), stripes),),
    evaluator="train",
)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setitem(EVERY_DATASET, "stripes", STRIPES)
    return STRIPES


def test_names_and_keys_lead_to_rows() -> None:
    assert [*EVERY_DATASET] == [*DATASETS, "digits", "fashion-mnist"]
    assert get_dataset("digits") is DIGITS
    assert [dataset_of(key).name for key in ("cifar10-valid", "cifar10")] == ["cifar10"] * 2
    assert searched_key("cifar10") == searched_key("cifar10-valid") == "cifar10-valid"
    assert find_dataset("cifar10-valid") is EVERY_DATASET["cifar10"]
    assert find_dataset("mine") is None
    for look in (get_dataset, get_images, dataset_of, searched_key):
        with pytest.raises(InvalidInput, match="Did you mean 'cifar100'"):
            look("cifar1000")


def test_every_row_says_the_same_twice() -> None:
    for dataset in EVERY_DATASET.values():
        assert hash(dataset) == hash(dataset)
        assert dataset.test_split in get_images(dataset.data_key).splits
        for images in dataset.images:
            assert isinstance(images.loader, str)
            module, name = images.loader.split(":")
            assert callable(getattr(import_module(module), name))
        assert len(set(dataset.classes)) in (0, dataset.num_classes)
        if dataset.archive:
            train, test = dataset.archive.counts
            halved = dataset.train_images + dataset.valid_images == train
            assert halved or dataset.train_images == train
            assert test == dataset.test_images + (0 if halved else dataset.valid_images)
        for space in ("tss", "sss") if dataset.embedded else ():
            assert nats_gym.load_table(space, dataset.name, "embedded").dataset == dataset.name


def test_cells_a_stage_have_an_earlier_name() -> None:
    with pytest.warns(DeprecationWarning, match="cells_per_stage"):
        assert DIGITS.topology_cells == 3


class Mine(ArchitectureSpace):
    name = "mine"
    decisions = {"one": ("a", "b")}  # noqa: RUF012


def test_budgets_nobody_has_chosen(own: Dataset) -> None:
    assert default_budget(Mine(), "digits", 2) == 60
    for space, dataset in ((Mine(), "cifar10"), (get_space("tss"), "stripes")):
        with pytest.raises(InvalidInput, match=f"{space.name}.*{dataset} have no budget.*seconds"):
            default_budget(space, dataset, 12)
    for wrong in (None, ["tss"], 3):
        with pytest.raises(InvalidInput, match="space"):
            default_budget(wrong, "cifar10", 12)  # type: ignore[arg-type]


def test_a_row_is_all_that_a_data_set_takes(own: Dataset) -> None:
    data = load_data("stripes-half")
    assert (data.num_classes, data.resolution) == (2, 8)
    space = get_space("tss")
    # One stem, two residual blocks, a head for two classes: the same but for cells a stage.
    skips = space.parse("|skip_connect~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    choices = float(space.params(skips, "digits"))
    assert float(space.params(skips, "stripes")) == pytest.approx(choices - 8 * 65 / 1e6)
    plan = Plan.of("tss", "stripes")
    assert (plan.data_key, plan.test_split, plan.epochs) == ("stripes-half", "ori-test", 2)
    assert dict(plan.network) == {"cells_per_stage": 1}
    evaluator = TrainingEvaluator("tss", "stripes", device="cpu")
    assert (evaluator.recipe.batch_size, evaluator.full_epochs) == (4, 2)
    env = gym.make("NATS-TSS-digits-v0", dataset="stripes", device="cpu")
    env.reset(seed=0)
    for action in skips.tolist():
        *_, info = env.step(action)
    outcome = evaluator.evaluate(np.array([int(space.index(skips))]), None, np.zeros(1, np.uint64))
    assert info["accuracy"] == outcome.accuracy[0]
    with pytest.raises(MissingTable, match="stripes"):
        nats_gym.load_table("tss", "stripes")


def test_a_loader_gives_images(own: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Images("wrong", ("train",), lambda *_: "images")
    row = Dataset("wrong", 2, 8, 1, 1, 1, images=(wrong,))
    monkeypatch.setitem(EVERY_DATASET, "wrong", row)
    with pytest.raises(InvalidInput, match="wrong"):
        load_data("wrong")


def test_no_branch_asks_which_data_set_it_is() -> None:
    names = {*EVERY_DATASET, "cifar10-valid"}
    # Bound to the official files, whose keys are these.
    bound = ("nats_gym/nats_bench/", "nats_gym/tables/official/", "nats_gym/datasets/")
    bound = (*bound, "nats_gym/building/official_files.py")
    found = []
    for folder in ("nats_gym", "envs", "agents"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            where = path.relative_to(ROOT).as_posix()
            if where.startswith(bound):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Compare):
                    asked = {
                        leaf.value for leaf in ast.walk(node) if isinstance(leaf, ast.Constant)
                    }
                elif isinstance(node, ast.Dict):
                    asked = {key.value for key in node.keys if isinstance(key, ast.Constant)}
                else:
                    continue
                if names & asked:
                    found.append(f"{where}:{node.lineno}")
    assert found == []
