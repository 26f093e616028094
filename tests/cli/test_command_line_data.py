"""``nats-gym data``: importing, fetching and removing archives, as a user types it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from archive_server import Server, server
from command_line import call
from nasbench101_files import cells_of
from synthetic_archive import SHORT, record, write_archive, write_record
from synthetic_tfrecord import records, write_file

from nats_gym.spaces import get_space
from nats_gym.tables import official
from nats_gym.tables.named_columns import added_columns

#: What of the tests here is a fixture.
__all__ = ["server"]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))
    return write_archive(tmp_path, "tss", (0, 11, 500), schedules=SHORT["tss"])


def test_a_damaged_import_says_how_it_is_removed(monkeypatch, capsys, archive: Path) -> None:
    call(monkeypatch, capsys, "data", "import", str(archive))
    (imported,) = official.archives()
    (imported.folder.parent / "notes.txt").write_text("mine")
    (imported.folder / "archive.json").write_text("{}")
    remedy = f"nats-gym data remove {imported.folder.name}"
    code, out, err = call(monkeypatch, capsys, "data", "status")
    assert (code, err) == (0, "")
    assert remedy in out
    code, _, err = call(monkeypatch, capsys, "show", "tss", "3", "--dataset", "cifar10")
    assert code == 2  # for it may be what is asked for
    assert remedy in err
    given = ("show", "tss", "3", "--dataset", "cifar10", "--source", "embedded")
    assert call(monkeypatch, capsys, *given)[0] == 0
    assert call(monkeypatch, capsys, *remedy.split()[1:])[0] == 0
    assert call(monkeypatch, capsys, "show", "tss", "3", "--dataset", "cifar10")[0] == 0


def test_import_status_and_remove(monkeypatch, capsys, archive: Path) -> None:
    code, out, err = call(monkeypatch, capsys, "data", "import", str(archive))
    assert (code, err) == (0, "")
    assert "3 of 15,625" in out
    assert re.search(r"without all trials +\S+@200: \d", out) or "none" in out
    name = official.archives()[0].folder.name
    code, out, _ = call(monkeypatch, capsys, "data", "status")
    assert code == 0
    assert name in out
    assert str(archive) in out
    monkeypatch.setattr(official.OfficialArchive, "complete", True)  # so that auto takes it
    code, out, _ = call(monkeypatch, capsys, "show", "tss", "11")
    assert code == 0
    assert "accuracy-test-3" in out
    code, out, _ = call(monkeypatch, capsys, "data", "remove", name)
    assert (code, out) == (0, f"removed {name}\n")
    assert official.archives() == []
    assert archive.is_dir()
    code, _, err = call(monkeypatch, capsys, "data", "remove", name)
    assert code == 2
    assert name in err


def test_import_without_curves(monkeypatch, capsys, archive: Path) -> None:
    code, out, _ = call(monkeypatch, capsys, "data", "import", str(archive), "--no-curves")
    assert code == 0
    assert re.search(r"learning curves +no", out)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data", "import", "nowhere"], ["no archive", "nowhere"]),
        (
            ["data", "import", "{archive}", "--space", "sss"],
            ["archive of tss", "asked for was sss"],
        ),
        (["data", "import", "{archive}", "--space", "ts"], ["Did you mean 'tss'"]),
        (["data", "download", "tsss"], ["Did you mean 'tss'"]),
        (["search", "--source", "{archive}", "--epochs", "12"], ["accuracy-valid-12"]),
    ],
)
def test_bad_input_is_one_line(monkeypatch, capsys, archive, arguments, words) -> None:
    arguments = [word.format(archive=archive) for word in arguments]
    code, _, err = call(monkeypatch, capsys, *arguments)
    assert code == 2
    assert err.count("\n") == 1
    for word in words:
        assert word in err


def test_strict_stops_at_an_unreadable_record(monkeypatch, capsys, archive: Path) -> None:
    broken = archive / "000011.pickle.pbz2"
    broken.write_bytes(broken.read_bytes()[:100])
    code, _, err = call(monkeypatch, capsys, "data", "import", str(archive), "--strict")
    assert code == 2
    assert "000011.pickle.pbz2" in err
    code, out, _ = call(monkeypatch, capsys, "data", "import", str(archive))
    assert code == 0
    assert "2 of 15,625" in out
    assert "000011.pickle.pbz2" in out


def test_a_changed_archive_is_one_line(monkeypatch, capsys, archive: Path) -> None:
    call(monkeypatch, capsys, "data", "import", str(archive))
    write_record(archive / "000000.pickle.pbz2", record("tss", 0, 5, schedules=SHORT["tss"]))
    arguments = ["search", "--source", str(archive), "--epochs", "2", "--agent", "random"]
    code, _, err = call(monkeypatch, capsys, *arguments)
    assert code == 2
    assert "has changed since it was imported" in err


def test_download_imports_what_arrives(monkeypatch, capsys, server: Server) -> None:
    code, out, _ = call(monkeypatch, capsys, "data", "download", "sss", "--url", server.url)
    assert code == 0
    assert f"{len(server.body):,} bytes, SHA-256" in out
    assert "60 of 32,768" in out


def test_a_file_of_nas_bench_101(monkeypatch, capsys, home: Path, tmp_path: Path) -> None:
    path = write_file(tmp_path / "some.tfrecord", records(cells_of([0, 167]), [4]))
    code, out, _ = call(monkeypatch, capsys, "data", "import", str(path))
    assert code == 0
    assert "2 of 423,624" in out
    assert "no, but figures half-way" in out
    (imported,) = official.archives()
    code, out, _ = call(monkeypatch, capsys, "data", "status")
    assert (code, imported.folder.name in out) == (0, True)
    assert call(monkeypatch, capsys, "data", "remove", imported.folder.name)[0] == 0
    assert official.archives() == []
    path.write_bytes(path.read_bytes()[:-7])
    code, _, err = call(monkeypatch, capsys, "data", "import", str(path))
    assert (code, err) == (2, f"nats-gym: {path}: record 5: the file ends within it\n")


def test_a_column_of_ones_own(monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))
    path = tmp_path / "heat.csv"
    path.write_text("".join(f"{index},{index % 977}\n" for index in range(15_625)))
    add = ("data", "add-column", "tss", "cifar10", "heat", str(path), "--unit", "K")
    code, out, err = call(monkeypatch, capsys, *add)
    assert (code, err) == (0, "")
    assert out.startswith("heat [K] of tss cifar10")
    code, out, _ = call(monkeypatch, capsys, "show", "tss", "980", "--dataset", "cifar10")
    assert code == 0
    assert re.search(r"heat \[K\] +3 +measured", out)
    code, out, _ = call(monkeypatch, capsys, "data", "status")
    assert re.search(r"heat \[K\] +lower +measured", out)
    code, _, err = call(monkeypatch, capsys, *add)
    assert (code, err.count("\n")) == (2, 1)
    assert "--replace" in err
    again = ("--replace", "--higher-is-better", "--note", "at noon")
    assert call(monkeypatch, capsys, *add, *again)[0] == 0
    column = added_columns(get_space("tss"), "cifar10")["heat"].column
    assert (column.note, column.what.lower_is_better) == ("at noon", False)
    code, out, _ = call(monkeypatch, capsys, "data", "remove-column", "tss", "cifar10", "heat")
    assert (code, out) == (0, "removed heat of tss cifar10\n")
    code, out, _ = call(monkeypatch, capsys, "show", "tss", "980", "--dataset", "cifar10")
    assert "heat" not in out
