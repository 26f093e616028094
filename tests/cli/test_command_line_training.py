"""``nats-gym train`` and ``nats-gym predict``, as they are typed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import call
from PIL import Image

from nats_gym import cli
from nats_gym.networks import load
from nats_gym.training import final

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Typed:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: call(monkeypatch, capsys, *arguments)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "net"
    final.train_final("sss", 3, "digits", folder, epochs=1, device="cpu")
    return folder


def test_train_tells_what_it_does_and_predict_uses_it(typed: Typed, tmp_path: Path) -> None:
    command = ("train", "sss", "8:8:8:8:8", "--dataset", "digits", "--epochs", "1")
    command += ("--recipe", "batch_size=64", "--network", "cells_per_stage=1", "--device", "cpu")
    code, out, err = typed(*command)
    assert (code, err) == (0, "")
    (folder,) = (tmp_path / "results").iterdir()
    assert folder.name == "train-sss-digits-0-1epochs-cells_per_stage=1-batch_size=64-seed0"
    lines = out.splitlines()
    assert lines[0] == "sss 0 8:8:8:8:8 on digits"
    assert lines[1].startswith("epoch 1 of 1: loss ")
    figures = load(folder).card.figures
    assert f"{figures['test_accuracy']:.2f} % of 400 test images right" in lines[2]
    assert f"nats-gym predict results/{folder.name} IMAGE" in lines[3]
    again = typed(*command)
    assert again[1].splitlines() == lines[2:]  # nothing is trained twice


def test_predict_answers_whatever_it_can(typed: Typed, net: Path, tmp_path: Path) -> None:
    for number in range(3):
        grey = np.random.default_rng(number).integers(0, 256, (30, 20), np.uint8)
        Image.fromarray(grey).save(tmp_path / f"{number}.png")
    (tmp_path / "note.txt").write_text("no picture")
    names = [f"{number}.png" for number in range(3)]
    expected = load(net).predict([tmp_path / name for name in names])
    code, out, err = typed("predict", str(net), *names)
    assert (code, err) == (0, "")
    for line, name, one, row in zip(
        out.splitlines(), names, expected.classes, expected.probabilities, strict=True
    ):
        file, told, probability = line.split("\t")
        assert (file, told) == (name, one)
        assert float(probability) == pytest.approx(row.max(), abs=1e-4)
    code, out, err = typed("predict", str(net), "0.png", "note.txt", "gone.png", "1.png")
    assert code == 2
    assert [line.split("\t")[0] for line in out.splitlines()] == ["0.png", "1.png"]
    assert [line.split("'")[1] for line in err.splitlines()] == ["note.txt", "gone.png"]
    code, out, _ = typed("predict", str(net), "0.png", "--json", "--top", "10")
    classes = json.loads(out)["classes"]
    assert len(classes) == 10
    assert sum(one["probability"] for one in classes) == pytest.approx(1)
    ranked = [one["probability"] for one in classes]
    assert ranked == sorted(ranked, reverse=True)


def test_names_that_no_line_has_are_escaped(typed: Typed, net: Path, tmp_path: Path) -> None:
    Image.new("L", (9, 9)).save(tmp_path / "a\n\tb.png")
    code, out, _ = typed("predict", str(net), "a\n\tb.png")
    assert code == 0
    assert out.startswith("a\\n\\tb.png\t")
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["predict", "nowhere", "x.png"], "no trained network in 'nowhere'"),
        (["predict", "NET", "x.png", "--top", "0"], "--top is from 1 to the 10 classes"),
        (["predict", "NET", "x.png", "--top", "11"], "--top is from 1 to the 10 classes"),
        (["train", "sss", "0", "--dataset", "digit"], "Did you mean 'digits'?"),
        (["train", "ss", "0", "--dataset", "digits"], "unknown space 'ss'"),
        (["train", "sss", "99999", "--dataset", "digits"], "99999"),
        (["train", "sss", "0", "--dataset", "digits", "--recipe", "epochs=3"], "its own"),
        (["train", "sss", "0", "--dataset", "digits", "--recipe", "x"], "--recipe is NAME=VALUE"),
        (["train", "sss", "0", "--dataset", "digits", "--network", "x=1"], "x"),
        (["train", "sss", "0", "--dataset", "digits", "--data-dir", "."], "need none"),
        (["train", "sss", "0", "--dataset", "digits", "--out", "NET"], "another trained network"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_is_said_in_a_line(
    command: list[str], said: str, typed: Typed, net: Path
) -> None:
    code, out, err = typed(*(str(net) if word == "NET" else word for word in command))
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


OWN_SPACE = """
from torch import nn
from nats_gym.spaces import ArchitectureSpace

class Widths(ArchitectureSpace):
    name = "cli-widths"
    decisions = {"width": ("4", "8")}

    def network(self, choices, dataset):
        width = 4 * (1 + int(choices[0]))
        pooled = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
        return nn.Sequential(nn.Conv2d(3, width, 3), pooled, nn.Linear(4 * width, 10))
"""


@pytest.mark.slow
def test_a_space_of_ones_own_is_said_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "my_widths.py").write_text(OWN_SPACE)
    Image.new("L", (9, 9)).save(tmp_path / "x.png")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "nats_gym", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    made = run(*"train my_widths:Widths 1 --dataset digits --epochs 1 --out net".split())
    assert made.returncode == 0, made.stderr
    lost = run("predict", "net", "x.png")
    assert lost.returncode == 2
    assert "nats-gym --known-space module:Class predict" in lost.stderr
    found = run("--known-space", "my_widths:Widths", "predict", "net", "x.png")
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("x.png\t")


def test_ctrl_c_says_how_to_go_on(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(final, "train", interrupt)
    code, _, err = typed("train", "sss", "0", "--dataset", "digits", "--out", "net")
    assert code == cli.terminal.INTERRUPTED
    assert "whole epochs are kept in net, and the same command goes on" in err


@pytest.mark.slow
def test_train_writes_onnx_too(typed: Typed, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    command = ("train", "sss", "0", "--dataset", "digits", "--epochs", "1", "--out", "net")
    code, out, err = typed(*command, "--onnx")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].endswith("net/network.onnx")
    assert (tmp_path / "net" / "network.onnx").stat().st_size > 10_000
