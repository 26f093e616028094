"""Full disks and folders that cannot be written: one line, and nothing half-written."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_study import study_text
from synthetic_archive import SHORT, write_archive

from nats_gym import cli
from nats_gym.errors import CannotWrite, NatsGymError
from nats_gym.evaluators import Answer, CachedEvaluator
from nats_gym.evaluators.cached import UnreadableCache

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs, drops rights")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read."""
    folder = tmp_path_factory.mktemp("here")
    (folder / "study.toml").write_text(study_text(2, 1500, "random", "rea"))
    write_archive(folder / "archive", "tss", range(40), schedules=SHORT["tss"])
    (folder / "home").mkdir()
    return folder


@pytest.fixture(scope="module")
def studied(here: Path) -> Path:
    """The folder of a finished study."""
    from nats_gym.study import read_study, run_study

    return run_study(read_study(here / "study.toml"), here / "studied", jobs=1)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except OSError:
        pytest.skip("no mount here")
    if done.returncode:
        pytest.skip("may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, free: int) -> None:
    """Leave ``free`` bytes of a disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    os.truncate(filler, max(0, filler.stat().st_size - free))


def whole(folder: Path) -> None:
    """Every file that is there is what its name says, from its beginning to its end."""
    for path in folder.rglob("*"):
        assert ".nats-gym-part" not in path.name
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                assert all(arrays[name] is not None for name in arrays.files)
        elif path.suffix == ".npy":
            np.load(path)
        elif path.suffix == ".png":
            Image.open(path).load()
        elif path.suffix in (".svg", ".html"):
            assert path.read_text().rstrip().endswith(f"</{path.suffix[1:]}>")


def refused(arguments: str, monkeypatch: Any, capsys: Any) -> str:
    """Run a command that cannot be done; its line."""
    monkeypatch.setattr(sys, "argv", ["nats-gym", *arguments.split()])
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        cli.main()
    said = capsys.readouterr().err
    assert caught.value.code == 2, said
    (line,) = said.splitlines()
    assert line.startswith("nats-gym: ")
    assert len(line) < 600
    return line


def done(arguments: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["nats-gym", *arguments.split()])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 0


SEARCH = "search --agent random --budget 3000 --out OUT"
#: Commands that write, and whether the disk is big enough for them when it is empty.
WRITERS = {
    SEARCH: True,
    "study HERE/study.toml --jobs 1 --out OUT": True,
    "report HERE/studied --out OUT": False,
    "leaderboard HERE/studied --out OUT": True,
    "show tss 5 --png OUT/five.png": True,
    "data import HERE/archive/NATS-tss-v1_0-3ffb9-simple": False,
}
SLOW = {
    "analyse sss cifar10 --samples 2 --out OUT": False,
    "build --space sss --dataset digits --archs 0,1 --epochs 1 --device cpu --out OUT": True,
    "search --agent gdas --dataset digits --device cpu --out OUT": False,
}
EVERY = [*WRITERS, *(pytest.param(one, marks=pytest.mark.slow) for one in SLOW)]


@pytest.mark.one_in(5)
@pytest.mark.parametrize("command", EVERY)
@pytest.mark.parametrize("free", [0, 4096])
def test_on_a_full_disk_a_command_ends_with_one_line(
    command: str, free: int, here: Path, studied: Path, disk: Path, monkeypatch: Any, capsys: Any
) -> None:
    out = disk / "out"
    monkeypatch.setenv("NATS_GYM_HOME", str(out if "import" in command else here / "home"))
    command = command.replace("HERE", str(here)).replace("OUT", str(out))
    fill(disk, free)
    line = refused(command, monkeypatch, capsys)
    assert "space" in line or "full" in line, line
    whole(out)
    if {**WRITERS, **SLOW}.get(command.replace(str(here), "HERE").replace(str(out), "OUT")):
        (disk / "filler").unlink()
        done(command, monkeypatch)
        whole(out)


class Counting:
    """Answers at once, and counts what it is asked."""

    identity, provenance = "counting", ("measured", "measured")

    def __init__(self) -> None:
        self.asked: list[int] = []

    def trials_of(self, index: Any, trial_keys: Any) -> Any:
        return trial_keys

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Any: ...

    def stream(self, index: Any, epochs: Any, trials: Any) -> Iterator[tuple[int, Answer]]:
        for position, one in enumerate(index.tolist()):
            self.asked.append(one)
            yield position, Answer(50.0, 1.0, {"log": "x" * 500})


def test_a_full_disk_costs_a_cache_no_answer_that_it_had(disk: Path) -> None:
    path = disk / "cache.sqlite"
    counting = Counting()
    cached = CachedEvaluator(counting, "sss", path)
    fill(disk, 60_000)
    with pytest.raises(UnreadableCache, match="full"):
        cached.evaluate(np.arange(500), 12, np.zeros(500, np.uint64))
    kept = len(cached)
    assert 5 < kept < 20
    assert kept == len(counting.asked) - 1
    (disk / "filler").unlink()
    again = Counting()
    CachedEvaluator(again, "sss", path).evaluate(np.arange(20), 12, np.zeros(20, np.uint64))
    assert again.asked == [*range(kept, 20)]
    fill(disk, 0)
    with pytest.raises(UnreadableCache, match=r"cannot be a cache: .*(full|space)"):
        CachedEvaluator(Counting(), "sss", disk / "other.sqlite")


def table(path: Path) -> None:
    from nats_gym.tables import Column, write_table

    figures = np.zeros(32768)
    column = Column("train_seconds_per_epoch", "measured", "made up", "none")
    write_table(path, "sss", "cifar10", [(column, figures)])


def pickled(path: Path) -> None:
    from nats_gym.nats_bench import pickle_save

    pickle_save(os.urandom(100_000), path)


def checkpoint(path: Path) -> None:
    import torch

    from nats_gym.training.checkpoint import write_whole

    write_whole(path, {"alphas": torch.rand(30_000)})


@pytest.mark.parametrize("write", [table, pickled, checkpoint])
def test_a_writer_keeps_what_was_there(write: Callable[[Path], None], disk: Path) -> None:
    path = disk / "written"
    fill(disk, 20_000)
    with pytest.raises(CannotWrite, match="cannot be written: ") as caught:
        write(path)
    assert isinstance(caught.value, NatsGymError)
    assert str(disk) in str(caught.value)
    assert os.listdir(disk) == ["filler"]


# ── without rights ───────────────────────────────────────────────────────────────────────────

_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE = 24, 1


def without_rights() -> None:
    """Have this process keep to the modes of files, which root's do not."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0)


def run_without_rights(
    locked: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run Python as an ordinary user's process; ``locked`` is unlocked in the end."""
    try:
        return subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, **environment},
            preexec_fn=without_rights,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
    finally:
        locked.chmod(0o755)


@pytest.mark.slow
@pytest.mark.parametrize("command", [*WRITERS, *SLOW])
@pytest.mark.parametrize("there", [True, False])
def test_without_rights_a_command_ends_with_one_line(
    command: str, there: bool, here: Path, studied: Path, tmp_path: Path
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    out = locked if there else locked / "out"
    locked.chmod(0o555)
    home = out if "import" in command else here / "home"
    told = command.replace("HERE", str(here)).replace("OUT", str(out)).split()
    process = run_without_rights(locked, "-m", "nats_gym", *told, NATS_GYM_HOME=str(home))
    assert process.returncode == 2, process.stderr
    (line,) = process.stderr.splitlines()
    assert line.startswith("nats-gym: ")
    assert str(locked) in line
    assert os.listdir(locked) == []


#: Trainings whose checkpoints have nowhere to go: none to begin with, or none any more.
TRAININGS = {
    "one": """
from nats_gym.training.architecture import train_architecture
small, path = {"cells_per_stage": 1}, locked / "one.pt"
train_architecture(
    "sss", 0, data, recipe, network=small, seed=0, checkpoint=path, device="cpu"
)
""",
    "a pool": """
with TrainingPool("sss", data, recipe, network=dict(cells_per_stage=1), devices=["cpu"]) as pool:
    list(pool.train([0], [0], checkpoints=locked))
""",
    "a pool, later": """
with TrainingPool("sss", data, recipe, network=dict(cells_per_stage=1), devices=["cpu"]) as pool:
    locked.chmod(0o755)
    trained = pool.train([0], [0], checkpoints=locked)
    locked.chmod(0o555)
    ((_, told),) = trained
    raise told
""",
}
TRAINING = """
import sys
from pathlib import Path
from nats_gym.errors import NatsGymError
from nats_gym.training.batched import TrainingPool
from nats_gym.training.data import load_data
from nats_gym.training.recipe import Recipe
data, recipe, locked = load_data("digits"), Recipe(epochs=1), Path(sys.argv[1])
try:
    exec(sys.argv[2])
except NatsGymError as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.mark.slow
@pytest.mark.parametrize("training", TRAININGS)
def test_without_rights_a_checkpoint_is_refused_in_one_line(training: str, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    process = run_without_rights(locked, "-c", TRAINING, str(locked), TRAININGS[training])
    assert process.returncode == 0, process.stderr
    (line,) = process.stdout.splitlines()
    assert str(locked) in line
    assert len(line) < 300
    assert line.startswith(("CannotWrite: ", "InvalidInput: ")), line
    assert process.stderr == ""
    assert os.listdir(locked) == []
