"""Architectures trained in full: what comes out, that it goes on, and that it can be used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from command_line import call
from PIL import Image
from torch import nn

import nats_gym
from nats_gym.datasets import EVERY_DATASET, Dataset, Images
from nats_gym.errors import InvalidInput
from nats_gym.networks import TrainedNetwork, build, load
from nats_gym.networks.card import CARD
from nats_gym.networks.trained import WEIGHTS
from nats_gym.spaces import ArchitectureSpace
from nats_gym.training import final
from nats_gym.training.architecture import preset
from nats_gym.training.checkpoint import UnreadableCheckpoint
from nats_gym.training.data import ImageData, load_data
from nats_gym.training.devices import using_threads
from nats_gym.training.final import CHECKPOINT, train_final
from nats_gym.training.record import TrainingFailed, TrainingRecord
from nats_gym.training.trainer import seeded, train

SPACE, INDEX = "sss", 0


def trained(folder: Path, **options: Any) -> TrainedNetwork:
    return train_final(SPACE, INDEX, "digits", folder, **{"epochs": 2, "device": "cpu", **options})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("final") / "net"
    trained(folder, valid_accuracy=61.5)
    return folder


def test_it_trains_on_both_splits_and_is_tested_once(folder: Path) -> None:
    """By the trainer itself, on splits that are put together here."""
    data = load_data("digits")
    rows = data.splits
    both = replace(
        data,
        splits={"train": torch.cat([rows["train"], rows["x-valid"]]), "x-test": rows["x-test"]},
    )
    recipe, options = preset(SPACE, "digits")
    network = seeded(lambda: build(SPACE, INDEX, 10, dataset="digits", **options), 0)
    with using_threads(1):
        recipe = replace(recipe, epochs=2)
        record = train(network, both, recipe, device="cpu", evaluate_on=["x-test"])
    found = load(folder)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, found.network.state_dict()[name]), name
    figures = found.card.figures
    assert figures["train_accuracy"] == record.train.accuracy[-1]
    assert figures["test_accuracy"] == record.accuracy("x-test")
    assert figures["valid_accuracy"] == 61.5
    assert figures["train_images"] == 1_397
    assert figures["test_images"] == 400
    assert figures["epochs"] == 2
    assert figures["params"] == sum(one.numel() for one in network.parameters())


def test_the_card_says_what_it_is(folder: Path) -> None:
    content = json.loads((folder / CARD).read_text())
    assert (content["space"], content["index"]) == (SPACE, INDEX)
    assert content["architecture"] == nats_gym.get_space(SPACE).name_of(INDEX)
    assert content["dataset"] == "digits"
    assert content["classes"] == [*"0123456789"]
    assert content["licence"].startswith("CC BY 4.0")
    assert content["preprocessing"]["resolution"] == 8
    assert content["preprocessing"]["grey"] is True
    assert content["recipe"]["epochs"] == 2
    assert content["network"] == {"cells_per_stage": 1}
    assert len(content["data_digest"]) == 64
    assert content["versions"]["torch"]
    assert content["machine"]
    assert content["seed"] == 0
    assert {path.name for path in folder.iterdir()} == {CARD, WEIGHTS}


def test_one_that_has_ended_is_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (folder / WEIGHTS).stat().st_mtime_ns
    monkeypatch.setattr(final, "train", None)
    assert trained(folder).card == load(folder).card
    assert (folder / WEIGHTS).stat().st_mtime_ns == before
    for options, said in (
        ({"epochs": 3}, "epochs 2, not 3"),
        ({"seed": 1}, "seed 0, not 1"),
        ({"recipe": {"batch_size": 32}}, "batch_size 24, not 32"),
        ({"network": {"cells_per_stage": 2}}, "network {'cells_per_stage': 1}, not"),
    ):
        with pytest.raises(InvalidInput, match="holds another trained network") as caught:
            trained(folder, **options)
        assert said in str(caught.value)


def test_an_interrupted_one_goes_on(folder: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def interrupt(record: TrainingRecord, epochs: int) -> None:
        seen.append((record.epochs, epochs))
        if len(seen) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "net", progress=interrupt)
    assert CHECKPOINT in {path.name for path in (tmp_path / "net").iterdir()}
    with pytest.raises(InvalidInput, match="checkpoint of another training"):
        trained(tmp_path / "net", seed=1)
    with pytest.raises(InvalidInput, match="checkpoint of another training"):
        train_final(SPACE, 1, "digits", tmp_path / "net", epochs=2, device="cpu")
    trained(tmp_path / "net", progress=interrupt)
    assert seen == [(1, 2), (2, 2)]
    assert (tmp_path / "net" / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()
    assert {path.name for path in (tmp_path / "net").iterdir()} == {CARD, WEIGHTS}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / CHECKPOINT).write_text("damaged")
    with pytest.raises(UnreadableCheckpoint, match="delete it to start anew"):
        trained(tmp_path / "other")


def test_two_do_not_train_into_one_folder(tmp_path: Path) -> None:
    def begin_another(record: TrainingRecord, epochs: int) -> None:
        with pytest.raises(InvalidInput, match="another training is at work in"):
            trained(tmp_path / "net")

    trained(tmp_path / "net", epochs=1, progress=begin_another)
    assert {path.name for path in (tmp_path / "net").iterdir()} == {CARD, WEIGHTS}


def test_what_diverges_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match=r"of sss 0 on digits ended after 0 of 2 epochs: div"):
        trained(tmp_path / "net", recipe={"learning_rate": 1e30})
    assert not (tmp_path / "net" / CARD).exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": "4/12"}, "epochs"),
        ({"recipe": {"epochs": 3}}, "epochs is an argument of its own"),
        ({"recipe": {"batchsize": 3}}, "Did you mean 'batch_size'"),
        ({"recipe": 5}, "recipe"),
        ({"network": {"cells": 1}}, "cells"),
        ({"network": {"cells_per_stage": 0}}, "cells_per_stage"),
        ({"seed": -1}, "seed"),
        ({"device": "gpu"}, "no device 'gpu'"),
        ({"valid_accuracy": 101}, "valid_accuracy"),
        ({"progress": 5}, "progress"),
        ({"download": 1}, "download"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_at_once(
    options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput) as caught:
        trained(tmp_path / "net", **options)
    assert said in str(caught.value)
    assert not (tmp_path / "net").exists()
    (tmp_path / "file").touch()
    for wrong in ({"dataset": "digit"}, {"space": "tsss"}, {"architecture": 10**6}):
        with pytest.raises(InvalidInput):
            train_final(
                **{
                    "space": SPACE,
                    "architecture": 0,
                    "dataset": "digits",
                    "folder": tmp_path,
                    **wrong,
                }
            )
    with pytest.raises(InvalidInput, match="cannot be a folder"):
        trained(tmp_path / "file")


def colours(key: str, folder: Path, download: bool) -> ImageData:
    """Red pictures and blue ones; who sees grey cannot tell them apart."""
    labels = torch.arange(60) % 2
    images = torch.full((60, 3, 8, 8), 10, dtype=torch.uint8)
    images[labels == 0, 0] = 190
    images[labels == 1, 2] = 190
    rows = torch.arange(60)
    splits = {"train": rows[:30], "x-valid": rows[30:44], "ori-test": rows[44:]}
    if key == "untested":
        del splits["ori-test"]
    return ImageData(key, 2, images, labels, splits, (0.3, 0.1, 0.3), (0.3, 0.1, 0.3), 0)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", ["colours", "untested"])
def test_other_data_sets_are_trained_as_they_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = ("train", "x-valid") if name == "untested" else ("train", "x-valid", "ori-test")
    row = Dataset(
        *(name, 2, 8, 30, 14, 16),
        full_epochs=4,
        recipe={"batch_size": 4, "learning_rate": 0.02, "horizontal_flip": False},
        images=(Images(name, splits, colours),),
        classes=("red", "blue") if name == "colours" else (),
    )
    monkeypatch.setitem(EVERY_DATASET, name, row)
    found = train_final("sss", 0, name, tmp_path / "net", device="cpu")
    figures = found.card.figures
    assert (figures["epochs"], figures["train_images"]) == (4, 44)
    assert (figures["test_images"], figures["test_accuracy"]) == (
        (0, None) if name == "untested" else (16, 100.0)
    )
    assert not found.preprocessing.grey
    red = np.zeros((20, 30, 3), np.uint8)
    red[:, :, 0] = 190
    classes, _ = found.predict([red, red[:, :, ::-1]])
    assert classes == (("0", "1") if name == "untested" else ("red", "blue"))


class Pools(ArchitectureSpace):
    """A space of one's own, that builds its networks itself."""

    name = "final-pools"
    decisions: ClassVar = {"width": ("4", "8")}

    def network(self, choices: Any, dataset: str, **options: Any) -> nn.Module:
        width = 4 * (1 + int(np.asarray(choices)[0]))
        return nn.Sequential(
            *(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, 10)),
        )


def test_spaces_of_ones_own_are_trained_and_loaded(tmp_path: Path) -> None:
    nats_gym.spaces.register_space(Pools)
    found = train_final(Pools, "8", "digits", tmp_path / "net", epochs=1, device="cpu")
    assert (found.card.space, found.card.index) == ("final-pools", 1)
    assert found.network[0].out_channels == 8
    assert found.card.figures["test_accuracy"] > 0


def write_pngs(folder: Path, count: int) -> tuple[list[Path], list[int]]:
    """Test images of digits, each written as a PNG of another mode."""
    data, paths = load_data("digits"), []
    rows = data.rows("x-test")[:count].tolist()
    folder.mkdir()
    for row in rows:
        grey = Image.fromarray(data.images[row, 0].numpy())
        image = grey.convert(("L", "RGB", "RGBA", "P", "LA")[row % 5])
        paths.append(folder / f"{row}.png")
        image.save(paths[-1])
    return paths, data.labels[rows].tolist()


def test_pictures_are_predicted_as_they_were_tested(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """All test images as PNGs: as many are right as the card says."""
    paths, labels = write_pngs(tmp_path / "png", 400)
    found = load(folder)
    classes, probabilities = found.predict(paths)
    right = np.mean([name == str(label) for name, label in zip(classes, labels, strict=True)])
    assert 100 * right == pytest.approx(found.card.figures["test_accuracy"])
    data = load_data("digits")
    own = found.preprocessing.read(paths)
    assert torch.equal(own, data.images[data.rows("x-test")])
    given = ("predict", str(folder), *map(str, paths[:20]), "--json")
    code, told, err = call(monkeypatch, capsys, *given)
    assert code == 0, err
    for line, path, name, row in zip(
        told.splitlines(), paths, classes, probabilities, strict=False
    ):
        said = json.loads(line)
        (first,) = said["classes"]
        assert (said["file"], first["class"]) == (str(path), name)
        assert first["probability"] == pytest.approx(row.max(), abs=1e-6)


@pytest.mark.slow
def test_one_that_was_killed_goes_on(tmp_path: Path) -> None:
    """SIGKILL at three moments; in the end the weights are those of one never cut."""
    command = [sys.executable, "-m", "nats_gym", "train", "sss", "0", "--dataset=digits"]
    command += ["--epochs=4", "--device=cpu"]
    whole = subprocess.run([*command, f"--out={tmp_path / 'whole'}"], capture_output=True)
    assert whole.returncode == 0, whole.stderr
    checkpoint = tmp_path / "cut" / CHECKPOINT
    for _ in range(3):
        seen = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        child = subprocess.Popen([*command, f"--out={tmp_path / 'cut'}"], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and child.poll() is None:
            if checkpoint.exists() and checkpoint.stat().st_mtime_ns != seen:
                break
            time.sleep(0.01)
        if child.poll() is None:
            os.kill(child.pid, signal.SIGKILL)
        child.wait()
    last = subprocess.run([*command, f"--out={tmp_path / 'cut'}"], capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    weights = [(tmp_path / name / WEIGHTS).read_bytes() for name in ("whole", "cut")]
    assert weights[0] == weights[1]
