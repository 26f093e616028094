"""Files and folders: whole or absent, and what a killed writer leaves is swept by the next."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from nats_gym.errors import CannotWrite, InvalidInput
from nats_gym.files.writing import replacing, sweep, unfinished_folder

WRITER = """
import os, signal, sys
from pathlib import Path
from nats_gym.files.writing import replacing, unfinished_folder
folder = Path(sys.argv[1])
with replacing(folder / "runs.npz") as file, unfinished_folder(folder) as other:
    file.write_text("half")
    (other / "half.npy").write_text("half")
    print("writing", flush=True)
    if sys.argv[2] == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()
"""


def writer(folder: Path, fate: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), fate]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, **pipes)  # type: ignore[call-overload]
    assert process.stdout.readline() == "writing\n"
    return process


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    with replacing(path) as temporary:
        temporary.write_text("first")
        assert not path.exists()
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text(f"second, as far as {1 / 0}")
    with pytest.raises(ZeroDivisionError), unfinished_folder(tmp_path) as folder:
        (folder / "half").write_text(f"{1 / 0}")
    assert names(tmp_path) == {"page.md"}
    assert path.read_text() == "first"
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes that have names")
def test_a_device_or_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    kept = {}
    if os.geteuid() == 0:
        with suppress(OSError):  # a node of our own: nobody tries this on the machine's
            os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    for path in [tmp_path / name for name in names(tmp_path)]:
        kept[path] = path.lstat().st_ino
        refusal = pytest.raises(CannotWrite, match=f"{path.name}' cannot be written: it is no file")
        with refusal, replacing(path):
            pass
    assert {path: path.lstat().st_ino for path in tmp_path.iterdir()} == kept


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_where_a_process_prints_is_not_replaced(tmp_path: Path) -> None:
    """As ``/dev/stdout``, which root could rename a file over, though it may lead to one."""
    (tmp_path / "stdout").symlink_to("/proc/self/fd/1")
    program = (
        "import sys\nfrom nats_gym.files.writing import *\nwith replacing(Path(sys.argv[1])): pass"
    )
    with (tmp_path / "printed").open("w") as printed:
        ran = subprocess.run(
            [sys.executable, "-c", program, tmp_path / "stdout"],
            stdout=printed,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert "cannot be written: it is no file" in ran.stderr.splitlines()[-1]
    assert (tmp_path / "stdout").is_symlink()
    assert names(tmp_path) == {"stdout", "printed"}


def test_what_a_killed_writer_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    others = {"notes.txt", ".nats-gym", ".runs-abcdefgh.npz", "x.nats-gym-part-y"}
    for name in others:
        (tmp_path / name).write_text("mine")
    (tmp_path / ".nats-gym-part-link").symlink_to(tmp_path / "notes.txt")
    with writer(tmp_path, "lives") as live, writer(tmp_path, "dies") as dead:
        dead.wait()
        assert len(names(tmp_path) - others) == 4
        sweep(tmp_path, tmp_path / "not there")
        # What a living process writes stays, and it is done as if nothing had been.
        assert len(names(tmp_path) - others) == 2
        with replacing(tmp_path / "own"), unfinished_folder(tmp_path):
            sweep(tmp_path)
        live.communicate("")
    assert live.returncode == 0
    assert names(tmp_path) == {*others, "runs.npz", "own"}
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "runs.npz").read_text() == "half"


def test_the_next_writer_sweeps(tmp_path: Path) -> None:
    with writer(tmp_path, "dies") as dead:
        dead.wait()
    assert len(names(tmp_path)) == 2
    with replacing(tmp_path / "run.json"):
        pass
    assert names(tmp_path) == {"run.json"}


def test_what_the_system_refuses_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "runs.npz"
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(CannotWrite) as caught, replacing(path) as temporary:
            temporary.write_bytes(bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert str(caught.value) == f"{str(path)!r} cannot be written: File too large"
    assert caught.value.errno == 27
    assert names(tmp_path) == set()
    with pytest.raises(CannotWrite, match="No such file"), replacing(tmp_path / "no" / "x"):
        pass
    with pytest.raises(InvalidInput), replacing(path):  # what is ours already stays as it is
        raise InvalidInput("one line")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CannotWrite, match="directory"), replacing(tmp_path / "folder"):
        pass
    assert os.listdir(tmp_path) == ["folder"]
