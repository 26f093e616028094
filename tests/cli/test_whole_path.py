"""From a folder of pictures to a network that names new ones, as typed in a terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

LINE = (
    *("search", "--space", "sss", "--dataset", "photos", "--agent", "rea", "--evaluator", "train"),
    *("--epochs", "4", "--evaluations", "12", "--workers", "2", "--final", "1"),
    *("--device", "cpu", "--out", "found"),
)


def write_photos(folder: Path, pictures: int) -> None:
    """Digits 0, 1 and 7 as PNG, a folder a class; the last three are kept apart."""
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    for name, digit in (("zero", 0), ("one", 1), ("seven", 7)):
        images = digits.images[digits.target == digit][: pictures + 1]
        (folder / "photos" / name).mkdir(parents=True)
        for number, image in enumerate(images.round() * 15):
            place = folder / "photos" / name if number < pictures else folder
            grey = np.asarray(image, np.uint8)
            Image.fromarray(grey).save(place / f"{name}-{number}.png")


def typed(folder: Path, *line: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NATS_GYM_HOME": str(folder / "home")}
    command = [sys.executable, "-m", "nats_gym", *line]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_from_a_folder_of_pictures_to_answers(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    write_photos(tmp_path, 60)
    done = typed(tmp_path, *LINE)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d+ of 12 evaluated, best \d", done.stdout)
    (net,) = (tmp_path / "found" / "final").iterdir()
    shown = re.search(r"nats-gym predict (\S+) IMAGE", done.stdout)
    assert shown is not None, done.stdout
    assert (tmp_path / shown[1]).resolve() == net.resolve()
    pictures = sorted(path.name for path in tmp_path.glob("*.png"))
    answered = typed(tmp_path, "predict", shown[1], *pictures)
    assert answered.returncode == 0, answered.stderr
    rows = answered.stdout.splitlines()
    right = sum(
        any(picture in row and name in row.replace(picture, "") for row in rows)
        for picture in pictures
        for name in [picture.partition("-")[0]]
    )
    assert right == 3, answered.stdout
    # What is answered is not trained again.
    started = time.perf_counter()
    again = typed(tmp_path, *LINE)
    assert again.returncode == 0, again.stderr
    assert time.perf_counter() - started < 30
    assert "of 12 evaluated" not in again.stdout
    # Pictures that changed are another data set, and no search goes on with it.
    (tmp_path / "photos" / "one" / "one-0.png").unlink()
    refused = typed(tmp_path, *LINE)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
