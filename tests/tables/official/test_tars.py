"""Members of a tar, as tarfile lists them."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from nats_gym.tables.official.tars import list_members

NAMES = [
    "a",
    "NATS-tss/000000.pickle.pbz2",
    "x" * 100,
    "d" * 90 + "/" + "n" * 60,
    "e" * 200 + "/000001.pickle.pbz2",
    "schöne/データ.pickle.pbz2",
]


def expected(path: Path) -> list[tuple[str, bool, int, int]]:
    with tarfile.open(path, "r:") as tar:
        return [(m.name, m.isfile(), m.offset_data, m.size) for m in tar]


def list_words(path: Path) -> list[tuple[str, bool, int, int]]:
    return [(m.name.rstrip("/"), m.is_file, m.offset, m.size) for m in list_members(path)]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("ends", ["whole", "without empty blocks"])
def test_python_s_tars(tmp_path: Path, form: int, ends: str) -> None:
    path = tmp_path / "archive.tar"
    with tarfile.open(path, "w", format=form, pax_headers={"comment": "of all"}) as tar:
        folder = tarfile.TarInfo("NATS-tss")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for position, name in enumerate(NAMES):
            if form == tarfile.USTAR_FORMAT and len(name) > 190:
                continue
            member = tarfile.TarInfo(name)
            member.size, member.mtime = [0, 1, 511, 512, 513, 5000][position], 1234567890.5
            if form == tarfile.USTAR_FORMAT:
                member.mtime = int(member.mtime)
            tar.addfile(member, io.BytesIO(b"\xff" * member.size))
    if ends != "whole":
        path.write_bytes(path.read_bytes()[: end(path)])
    assert list_words(path) == expected(path)
    assert len(list_words(path)) > 5


def end(path: Path) -> int:
    with tarfile.open(path) as tar:
        last = tar.getmembers()[-1]
    return last.offset_data + -(-last.size // 512) * 512


@pytest.mark.skipif(shutil.which("tar") is None, reason="needs tar")
@pytest.mark.parametrize("form", ["gnu", "oldgnu", "pax", "posix", "ustar", "v7"])
def test_tars_of_the_system(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "NATS-sss-simple"
    folder.mkdir()
    for position, name in enumerate(name for name in NAMES if "/" not in name):
        (folder / name[:80]).write_bytes(bytes(position * 700))
    (folder / ("long" * 40)).write_bytes(b"content")
    path = tmp_path / "archive.tar"
    names = sorted(
        p.name for p in folder.iterdir() if form not in ("ustar", "v7") or len(p.name) <= 80
    )
    command = ["tar", f"--format={form}", "-cf", str(path), "-C", str(folder), *names]
    subprocess.run(command, check=True, capture_output=True)
    assert list_words(path) == expected(path)
    assert [name for name, *_ in list_words(path)] == names
