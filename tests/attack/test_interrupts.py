"""Ctrl-C and kills: what runs on, what is left behind, and what the next start makes of it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from cluster_toys import Toy
from processes import alive, descendants, wait_for
from ray_cluster import HEAD, cluster
from synthetic_archive import SHORT, write_archive

from nats_gym.evaluators import CachedEvaluator
from nats_gym.tables.folder import sha256_of

#: What of the tests here is a fixture.
__all__ = ["cluster"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# ── the parent alone is killed ───────────────────────────────────────────────────────────────

SLEEPER = """
import signal, time
def main():
    print("ignores" if signal.getsignal(signal.SIGINT) == signal.SIG_IGN else "hears", flush=True)
    time.sleep(600)
"""
PARENT = """
import os, time
from nats_gym.processes import children
child = children.start("sleeper", text=True)
print(child.stdout.readline().strip(), flush=True)
if os.fork() == 0:  # keeps the pipe to the child open, so that its end tells nothing
    time.sleep(600)
time.sleep(600)
"""


def test_a_child_ends_with_its_parent_though_another_holds_its_pipe(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == "ignores\n"
        wait_for(lambda: len(descendants(parent.pid)) == 2)
        children = descendants(parent.pid)
        parent.kill()
        try:
            wait_for(lambda: len(alive(children)) == 1)
            assert "import attend" not in alive(children)[0]
        finally:
            for pid in children:
                if alive({pid: children[pid]}):
                    os.kill(pid, signal.SIGKILL)


# ── commands, killed and interrupted ─────────────────────────────────────────────────────────

STUDY = """
runs = 30
[[searches]]
space = "tss"
dataset = "cifar10"
epochs = 12
budget = 700
[agents]
rea = {}
ppo = {}
"""


def trained(out: Path) -> list[Any]:
    """Figures of every training of a build."""
    with sqlite3.connect(out / "trainings.sqlite") as connection:
        rows = connection.execute("SELECT architecture, trial, record FROM trainings").fetchall()
    connection.close()
    assert (out / "table" / "manifest.json").is_file()
    return [
        (*row[:2], json.loads(row[2])["evaluated"]["x-valid"]["accuracy"]) for row in sorted(rows)
    ]


def trainings_in(out: Path) -> int:
    if not (out / "trainings.sqlite").is_file():
        return 0
    address = f"file:{out}/trainings.sqlite?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        try:
            return int(connection.execute("SELECT COUNT(*) FROM trainings").fetchone()[0])
        except sqlite3.OperationalError:  # not made yet
            return 0


def searched(out: Path) -> list[Any]:
    with np.load(out / "runs.npz") as runs:
        return runs["index"].tolist()


def played(out: Path) -> dict[str, str]:
    return {str(path.relative_to(out)): sha256_of(path) for path in out.glob("cells/*/runs.npz")}


def imported(home: Path) -> dict[str, str]:
    files = (home / "archives").glob("[!.]*/**/*.npy")
    return {str(path.relative_to(home)): sha256_of(path) for path in files}


class Work(NamedTuple):
    """A command that takes seconds.

    Attributes:
        arguments: of ``nats-gym``; ``OUT`` and ``HERE`` are folders.
        at_work: whether it is in the middle, by its folder.
        found: what it came to, by its folder; the same whenever it is run.
        says: how to go on, in the line that answers Ctrl-C.
    """

    arguments: str
    at_work: Callable[[Path], Any]
    found: Callable[[Path], Any]
    says: str


BUILD = "build --space sss --dataset digits --archs 0-3 --epochs 2 --out OUT --device cpu"
WORKS = {
    "study": Work(
        "study HERE/study.toml --out OUT --jobs 2",
        lambda out: [*out.glob("blocks/*/[0-9]*/runs.npz")],
        played,
        "what is done is kept in OUT, and the same command goes on",
    ),
    "build": Work(
        f"{BUILD} --workers 2",
        trainings_in,
        trained,
        "what is trained is kept in OUT, and the same command goes on",
    ),
    "supernet": Work(
        "search --agent gdas --dataset digits --epochs 3 --out OUT --device cpu",
        lambda out: [*out.glob("checkpoints/*.pt")],
        searched,
        "whole epochs are kept in OUT/checkpoints, and the same command goes on",
    ),
    "import": Work(
        "data import HERE/archive/NATS-tss-v1_0-3ffb9-simple",
        lambda out: [*out.glob("archives/.importing-*/shard-*.npz")],
        imported,
        "what was read is kept, and the same command goes on",
    ),
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read."""
    folder = tmp_path_factory.mktemp("here")
    (folder / "study.toml").write_text(STUDY)
    write_archive(folder / "archive", "tss", range(2000), schedules=SHORT["tss"])
    return folder


def started(
    work: Work, here: Path, out: Path, program: tuple[str, ...] = ("-m", "nats_gym"), **options: Any
) -> subprocess.Popen[str]:
    told = work.arguments.replace("OUT", str(out)).replace("HERE", str(here))
    environment = {**os.environ, "NATS_GYM_HOME": str(out if "import" in told else here / "home")}
    return subprocess.Popen(
        [sys.executable, *program, *told.split()],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def run(work: Work, here: Path, out: Path) -> None:
    """Run it to its end."""
    with started(work, here, out) as process:
        said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said


def at_work(work: Work, here: Path, out: Path) -> tuple[subprocess.Popen[str], dict[int, str]]:
    """Start it; the process and those that came of it, when it is in the middle."""
    process = started(work, here, out)
    wait_for(lambda: process.poll() is not None or work.at_work(out), seconds=240)
    assert process.poll() is None, process.communicate()[1]
    return process, descendants(process.pid)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix != ".lock"}


@pytest.fixture(scope="module")
def undisturbed(here: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder in which a work was run without interruption, by its name."""
    folders: dict[str, Path] = {}

    def folder_of(name: str) -> Path:
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp("undisturbed") / "out"
            run(WORKS[name], here, folders[name])
        return folders[name]

    return folder_of


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKS)
def test_a_killed_parent_leaves_no_process_and_nothing_behind(
    name: str, here: Path, undisturbed: Callable[[str], Path], tmp_path: Path
) -> None:
    work, out = WORKS[name], tmp_path / "out"
    for _ in range(2):
        process, children = at_work(work, here, out)
        process.kill()
        process.communicate()
        wait_for(lambda children=children: not alive(children), seconds=10)
        left = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
        time.sleep(1)
        assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == left
    run(work, here, out)
    assert work.found(out) == work.found(undisturbed(name))
    assert names(out) == names(undisturbed(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKS)
def test_ctrl_c_ends_cleanly_and_the_same_command_goes_on(
    name: str, here: Path, undisturbed: Callable[[str], Path], tmp_path: Path
) -> None:
    work, out = WORKS[name], tmp_path / "out"
    process, children = at_work(work, here, out)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    how = work.says.replace("OUT", str(out))
    assert [line for line in said.splitlines() if line] == [f"nats-gym: interrupted; {how}"]
    wait_for(lambda: not alive(children))
    assert not [path for path in out.rglob("*") if ".nats-gym-part" in path.name]
    run(work, here, out)
    assert work.found(out) == work.found(undisturbed(name))
    assert names(out) == names(undisturbed(name))


@pytest.mark.slow
def test_ctrl_c_of_a_search_says_that_nothing_is_kept(here: Path, tmp_path: Path) -> None:
    work = Work("search --agent ppo --runs 500 --out OUT", lambda out: True, searched, "")
    process = started(work, here, tmp_path / "out")
    maps = Path("/proc", str(process.pid), "maps")
    wait_for(lambda: "_C/_multiarray" in maps.read_text() or "libtorch" in maps.read_text())
    time.sleep(3)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    # While it imports, Python runs text with exec(); interrupted in one, it ends by the signal in
    # the end, whoever caught the exception: 130 to a shell too.
    assert process.returncode in (130, -signal.SIGINT), said
    (line,) = [line for line in said.splitlines() if line]
    assert line.startswith("nats-gym: interrupted")
    assert not (tmp_path / "out").exists()


# ── on a Ray cluster ─────────────────────────────────────────────────────────────────────────

#: The command line, on a cluster that is on loopback alone.
ON_CLUSTER = """
import sys, ray
ray.init(
    address=sys.argv[1], _node_ip_address=sys.argv[2], log_to_driver=False, logging_level="ERROR"
)
del sys.argv[1:3]
from nats_gym.cli import main
main()
"""
RAY_BUILD = Work(f"{BUILD} --ray", trainings_in, trained, WORKS["build"].says)


def tasks(cluster: Any) -> list[str]:
    """Command lines of the cluster's processes that evaluate something now."""
    nodes = [info.process.pid for node in cluster.list_all_nodes() for info in raylets(node)]
    lines = [line for pid in nodes for line in alive(descendants(pid))]
    return [line for line in lines if "_evaluate_one" in line]


def raylets(node: Any) -> Any:
    return node.all_processes["raylet"]


@pytest.mark.slow
def test_ctrl_c_of_a_build_on_ray_ends_cleanly_and_the_same_command_goes_on(
    cluster: Any, here: Path, undisturbed: Callable[[str], Path], tmp_path: Path
) -> None:
    program = ("-c", ON_CLUSTER, cluster.address, HEAD)
    out = tmp_path / "out"
    process = started(RAY_BUILD, here, out, program)
    wait_for(lambda: process.poll() is not None or trainings_in(out), seconds=240)
    children = descendants(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    how = RAY_BUILD.says.replace("OUT", str(out))
    assert [line for line in said.splitlines() if line] == [f"nats-gym: interrupted; {how}"]
    wait_for(lambda: not alive(children) and not tasks(cluster), seconds=30)
    kept = trainings_in(out)
    assert 1 <= kept <= 4
    with started(RAY_BUILD, here, out, program) as process:
        said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    assert trainings_in(out) == 4
    assert trained(out) == trained(undisturbed("build"))


#: A program of one's own: a cache before a cluster.
CACHED = """
import sys
from pathlib import Path
import numpy as np
import ray
from cluster_toys import Toy
from nats_gym.evaluators import CachedEvaluator, RayEvaluator
address, head, folder = sys.argv[1:]
ray.init(address=address, _node_ip_address=head, log_to_driver=False)
cached = CachedEvaluator(RayEvaluator(Toy(Path(folder), 0.5)), "sss", Path(folder) / "cache.sqlite")
try:
    for _ in cached.stream(np.arange(12), 12, np.zeros(12, np.uint64)):
        print("answer", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.slow
def test_ctrl_c_of_a_batch_on_ray_cancels_the_rest_and_keeps_what_came(
    cluster: Any, here: Path, tmp_path: Path
) -> None:
    nothing = Work("", lambda out: True, searched, "")
    for attempt in range(3):
        tmp_path = tmp_path / str(attempt)
        tmp_path.mkdir()
        program = ("-c", CACHED, cluster.address, HEAD, str(tmp_path))
        process = started(nothing, here, tmp_path, program, bufsize=0)
        toy = Toy(tmp_path)
        wait_for(lambda: process.poll() is not None or len(toy.noted("ends")) >= 4)  # noqa: B023
        children = descendants(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=60)[1]
        if "discovered a bug in Ray" not in said:  # where it cancels what is just done
            break
    assert process.returncode == 0, said
    assert "Traceback" not in said
    wait_for(lambda: not alive(children) and not tasks(cluster), seconds=30)
    attempted = len(toy.noted("attempts"))
    assert attempted < 12
    time.sleep(1)
    assert len(toy.noted("attempts")) == attempted  # what waited never begins
    with_cache = CachedEvaluator(toy, "sss", tmp_path / "cache.sqlite")
    kept = len(with_cache)
    assert 1 <= kept < 12
    (tmp_path / "attempts").unlink()
    found = with_cache.evaluate(np.arange(12), 12, np.zeros(12, np.uint64))
    assert found.accuracy.tolist() == [one / 1000 for one in range(12)]
    assert len(toy.noted("attempts")) == 12 - kept
    with_cache.close()
