"""``nats-gym search --evaluator``: real trainings, from the first answer to a trained network."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import typer
from command_line import call
from PIL import Image

from nats_gym.cli.searching import best_observed
from nats_gym.cli.terminal import in_words, seconds
from nats_gym.results.result import SearchResult

pytest.importorskip("sklearn")
pytest.importorskip("torch")

RECIPE = 'recipe={"batch_size":256,"learning_rate":0.05}'
TRAIN = (
    *("search", "--space", "sss", "--dataset", "digits", "--evaluator", "train"),
    *("--epochs", "1", "--device", "cpu", "--evaluator-option", RECIPE),
    *("--evaluator-option", 'network={"cells_per_stage":1}'),
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("90", 90.0),
        ("90s", 90.0),
        ("30m", 1800.0),
        ("8h", 28800.0),
        ("1.5d", 129600.0),
        ("1e3", 1e3),
    ],
)
def test_times_have_units(text: str, wanted: float) -> None:
    assert seconds(text) == wanted


@pytest.mark.parametrize("text", ["", "h", "3 weeks", "8hh", "1:30", "٣x"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no time"):
        seconds(text)


def test_times_in_words() -> None:
    told = [in_words(time) for time in (0.4, 42, 420, 11_100)]
    assert told == ["0 s", "42 s", "7 min", "3 h 05 min"]


def test_an_evaluator_of_ones_own_answers(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "evaluator_here.py").write_text(
        "import numpy as np\n"
        "from nats_gym.evaluators import Outcome\n"
        "class Mine:\n"
        "    def __init__(self, scale=1.0):\n"
        "        self.scale = scale\n"
        "    def evaluate(self, index, epochs, trial_keys):\n"
        "        return Outcome(self.scale * (index % 97), np.ones(len(index)))\n"
    )
    command = ["search", "--space", "sss", "--agent", "random", "--evaluations", "5", "--out", "o"]
    command += ["--evaluator", "evaluator_here:Mine", "--evaluator-option", "scale=0.5"]
    assert call(monkeypatch, capsys, *command)[0] == 0
    first = SearchResult.load("o")
    assert (first.accuracy == 0.5 * (first.index % 97)).all()
    assert call(monkeypatch, capsys, *command)[0] == 0
    assert (SearchResult.load("o").index == first.index).all()
    code, _, told = call(monkeypatch, capsys, *command, "--evaluator", "evaluator_here:Miné")
    assert (code, told.count("\n")) == (2, 1)
    assert "no evaluator at" in told


@pytest.mark.slow
def test_from_a_search_to_a_network(monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))
    folder = tmp_path / "found"
    line = (*TRAIN, "--agent", "rea", "--evaluations", "3", "--out", str(folder))
    line += ("--final", "1", "--final-epochs", "1")
    code, out, err = call(monkeypatch, capsys, *line)
    assert code == 0, err
    assert "evaluated, best" in out
    assert "epoch 1 of 1" in out
    assert "trained in full" in out
    result = SearchResult.load(folder)
    ((index, accuracy),) = best_observed(result, 1)
    assert result.incumbent[0, -1] == accuracy
    assert [*(folder / "final" / f"1-{index}").glob("*.safetensors")]
    record = json.loads((folder / "run.json").read_text())
    assert record["provenance"]["search_accuracy"] == "measured"
    assert record["provenance"]["clock"] == "real"
    assert record["arguments"]["evaluator"]["name"] == "train"
    assert not (folder / "trainings").exists()
    started = time.perf_counter()
    code, again, err = call(monkeypatch, capsys, *line)
    assert code == 0, err
    assert "evaluated, best" not in again  # all of it stood in the journal
    assert time.perf_counter() - started < 60
    assert (SearchResult.load(folder).clock == result.clock).all()


def test_what_failed_and_what_differs_is_told(monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))
    line = (*TRAIN[:-4], "--evaluator-option", 'network={"cells_per_stage":1}', "--agent", "random")
    line += ("--evaluations", "2", "--evaluator-option", 'recipe={"learning_rate":1e30}')
    line += ("--out", str(tmp_path / "found"))
    code, out, err = call(monkeypatch, capsys, *line)
    assert code == 0, err
    assert "2 of 2 evaluations failed" in out
    code, _, err = call(monkeypatch, capsys, *line, "--seed", "3")
    assert code == 2
    assert "its arguments have seed 0, not 3" in err
    assert len(err.strip().splitlines()) == 1


def test_a_warning_is_one_line(monkeypatch, capsys, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(6):
            grey = np.full((8, 8), 20 * number, np.uint8)
            Image.fromarray(grey).save(tmp_path / "photos" / name / f"{number}.png")
    (tmp_path / "photos" / "cat" / "bad.png").write_bytes(b"none")
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))
    warned = warnings.formatwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(
            warnings, "showwarning", lambda *given: print(warnings.formatwarning(*given[:4]))
        )
        line = ("search", "--space", "sss", "--dataset", str(tmp_path / "photos"))
        line += ("--agent", "random", "--evaluator", "train", "--epochs", "1", "--evaluations", "1")
        line += ("--device", "cpu", "--out", str(tmp_path / "out"))
        code, out, err = call(monkeypatch, capsys, *line)
    assert code == 0, err
    (told,) = [one for one in out.splitlines() if "bad.png" in one or "cannot be read" in one]
    assert told.startswith("nats-gym: 1 picture")
    assert warnings.formatwarning is warned


@pytest.mark.slow
def test_ctrl_c_ends_it_and_says_how_to_go_on(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "nats_gym", *TRAIN, "--agent", "random", "--workers", "2"]
    line += ["--evaluations", "40", "--out", str(tmp_path / "found")]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()  # an answer is there
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--evaluator trian --evaluations 2", ["Did you mean 'train'"]),
        ("--evaluator train", ["takes real time", "evaluations="]),
        ("--final 2", ["--final go with --evaluator"]),
        ("--evaluator train --evaluations 2 --final -1", ["--final is from 0"]),
        ("--evaluator train --evaluations 2 --final-epochs 3", ["goes with --final"]),
        ("--evaluator train --evaluations 2 --evaluator-option name=ray", ["--evaluator"]),
        ("--evaluator train --evaluations 2 --evaluator-option workers=2", ["--workers"]),
        ("--option score=flops --option score=params", ["option is given once, got 'score'"]),
        ("--evaluator train --evaluations 2 --device cpuu", ["'cpuu'", "'cuda:0' is one"]),
        ("--evaluator train --budget 3x", ["is no time", "8h"]),
        ("--evaluator train --evaluations 2 --evaluator-option devise=cpu", ["'device'"]),
    ],
)
def test_what_cannot_be_is_one_line(monkeypatch, capsys, tmp_path, line, words) -> None:
    given = ("search", "--space", "sss", "--dataset", "digits", "--agent", "rea", *line.split())
    code, _, err = call(monkeypatch, capsys, *given, "--out", str(tmp_path / "out"))
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert all(word in err for word in words), err
