"""Archives from hostile hands: records, tars and sizes that no honest packer writes."""

from __future__ import annotations

import bz2
import copy
import io
import json
import math
import pickle
import random
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_archive import SHORT, official_dict, record, write_archive, write_record

from nats_gym.errors import InvalidInput, NatsGymError
from nats_gym.tables import official
from nats_gym.tables.official import entries, importing, reading, tars
from nats_gym.tables.official.entries import list_archive
from nats_gym.tables.official.store import ArchiveChanged
from nats_gym.tables.official.unpickling import UnreadableFile

HONEST = (0, 12, 500)
VICTIM = 11


pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three honest records of the topology space."""
    return write_archive(tmp_path / "archive", "tss", HONEST, schedules=SHORT["tss"])


def honest(index: int = VICTIM) -> Any:
    return record("tss", index, schedules=SHORT["tss"])


def victim(folder: Path) -> Path:
    return folder / f"{VICTIM:06d}.pickle.pbz2"


def assert_victim_left_out(archive: official.OfficialArchive) -> str:
    """That the honest records are there, and the other is named in one short line, which it is."""
    assert np.flatnonzero(archive.held).tolist() == list(HONEST)
    (line,) = archive.facts["unreadable"]
    assert f"{VICTIM:06d}.pickle.pbz2" in line
    assert "\n" not in line
    assert len(line) < 700
    return line


# ── records ──────────────────────────────────────────────────────────────────────────────────


def shared(depth: int, leaf: Any = 1.0) -> Any:
    """A list of two twice the same list, and so on: small in memory, 2^depth leaves to a walk."""
    for _ in range(depth):
        leaf = [leaf, leaf]
    return leaf


def cycle() -> Any:
    found: dict[str, Any] = {}
    found["again"] = [found]
    return found


def nested(depth: int) -> Any:
    found: Any = 1
    for _ in range(depth):
        found = [found]
    return found


#: Stands for a nesting that the pickler would not follow.
DEEP = "@@deep@@"
NO_NUMBERS = {
    "a huge integer": 10**400,
    "5,000 digits": 10**5000,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "a text": "12",
    "a long text": "9" * 5000,
    "a flag": True,
    "bytes": b"12",
    "a list": [12.0],
    "a set": {12.0},
    "a complex number": 12j,
    "nothing": None,
    "a numpy flag": np.bool_(True),
    "a shared list": shared(30),
    "a surrogate": "\ud800",
}
NO_TRIALS = {**NO_NUMBERS, "below": -1, "not a number": math.nan}
KEY = ("cifar10-valid", 777)


def of_trial(field: str, value: Any) -> Callable[[Any], None]:
    return lambda content: content["12"]["all_results"][KEY].update({field: value})


def inside(field: str, key: Any, value: Any) -> Callable[[Any], None]:
    return lambda content: content["12"]["all_results"][KEY][field].update({key: value})


def with_seed(seed: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        trials = content["12"]["all_results"]
        trials["cifar10-valid", seed] = trials[KEY]

    return change


def with_seeds(count: int) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for seed in range(count):
            with_seed(seed)(content)

    return change


def in_config(value: Any) -> Callable[[Any], None]:
    return inside("arch_config", "more", value)


def cases() -> Iterator[tuple[str, Callable[[Any], None]]]:
    for name, value in NO_TRIALS.items():
        yield f"params: {name}", of_trial("params", value)
        yield f"flop: {name}", of_trial("flop", value)
        yield f"epochs: {name}", of_trial("epochs", value)
        if name != "nothing":
            yield f"latency: {name}", of_trial("latency", [value])
            yield f"seconds: {name}", inside("train_times", 0, value)
        if name != "not a number":
            yield f"accuracy: {name}", inside("train_acc1es", 1, value)
            yield f"early accuracy: {name}", inside("eval_acc1es", "x-valid@0", value)
        if type(value) is not float and type(value) is not int:
            yield f"loss: {name}", inside("eval_losses", "x-valid@0", value)
            yield f"last loss: {name}", inside("eval_losses", "x-valid@1", value)
        if type(value) not in (list, set):
            yield f"seed: {name}", with_seed(value)
    for name, value in {
        "bytes": b"x",
        "a set": {1},
        "a cycle": cycle(),
        "a shared list": shared(30),
        "a wide dict": {str(number): number for number in range(500)},
        "a long list": [0] * 100_000,
        "nested": nested(50),
        "nested deeply": DEEP,
        "a surrogate": "\ud800",
        "a long text": "x" * 100_000,
        "a huge integer": 10**5000,
        "not a number": math.nan,
        "a complex number": 1j,
        "a key that is none": {1: 2},
        "a surrogate for a key": {"\udfff": 2},
    }.items():
        yield f"arch_config: {name}", in_config(value)
    yield "arch_config of another", inside("arch_config", "arch_str", "another")
    yield "arch_config a list", of_trial("arch_config", [])
    for count in (17, 20_000):
        yield f"{count} seeds", with_seeds(count)
    for name, value in {
        "a million": ["x-valid"] * 10**6,
        "one twice": ["x-valid", "x-valid"],
        "a text": "x-valid",
        "shared": [shared(30)],
        "unknown": ["/etc/passwd"],
        "a long one": ["x" * 10**6],
    }.items():
        yield f"eval_names: {name}", of_trial("eval_names", value)
    yield "timings", of_trial("latency", [0.01] * 10**5)
    yield "seconds: a list", of_trial("train_times", [1.0] * 10**5)
    yield "accuracies: a list", of_trial("eval_acc1es", [50.0] * 10**5)
    yield "an accuracy of 101", inside("train_acc1es", 1, 101.0)
    yield "an early accuracy of 101", inside("train_acc1es", 0, 101.0)
    yield "architecture", lambda content: content["12"].update(arch_str=shared(30))
    yield "hp", lambda content: content.update({12: content["12"]})
    yield "no trials", lambda content: [r["all_results"].clear() for r in content.values()]
    yield "trials", lambda content: content["12"].update(all_results=shared(30))
    yield "a trial", lambda content: content["12"]["all_results"].update({KEY: shared(30)})
    yield "a key", lambda content: content["12"]["all_results"].update({("a", "b", "c"): {}})


CASES = dict(cases())


@pytest.mark.slow
def test_records_are_left_out_and_each_is_said_why(folder: Path) -> None:
    for number, change in enumerate(CASES.values(), 1000):
        content = honest(number)
        change(content)
        write_deep(folder / f"{number:06d}.pickle.pbz2", content)
    archive = official.import_archive(folder)
    assert np.flatnonzero(archive.held).tolist() == list(HONEST)
    said = {line.partition(".pickle.pbz2")[0][-6:]: line for line in archive.facts["unreadable"]}
    for number, case in enumerate(CASES, 1000):
        assert said[f"{number:06d}"].isprintable(), case
        assert len(said[f"{number:06d}"]) < 700, case
    with pytest.raises(UnreadableFile, match="001000"):
        official.import_archive(folder, strict=True)


def write_deep(path: Path, content: Any) -> None:
    """:func:`write_record`, with 100,000 lists in each other in place of :data:`DEEP`."""
    data = pickle.dumps(content, protocol=3)  # without frames, which tell lengths
    text = b"X" + len(DEEP).to_bytes(4, "little") + DEEP.encode()
    path.write_bytes(bz2.compress(data.replace(text, b"]" * 100_000 + b"a" * 99_999)))


def test_records_of_a_single_file_are_left_out_too(tmp_path: Path) -> None:
    changes = {13: "params: infinity", 14: "arch_config: a cycle", 15: "hp"}
    content = official_dict("tss", (*HONEST, *changes), schedules=SHORT["tss"])
    for index, case in changes.items():
        CASES[case](content["arch2infos"][index])
    write_record(tmp_path / "one.pickle.pbz2", content)
    archive = official.import_archive(tmp_path / "one.pickle.pbz2")
    assert np.flatnonzero(archive.held).tolist() == list(HONEST)
    assert len(archive.facts["unreadable"]) == len(changes)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("case", ["epochs: below", "hp", "arch_config: bytes"])
def test_the_first_record_does_not_decide_for_the_others(tmp_path: Path, case: str) -> None:
    indices = (VICTIM, 12, 500)
    folder = write_archive(tmp_path / "archive", "tss", indices, schedules=SHORT["tss"])
    content = honest()
    for trial in content["200"]["all_results"].values():
        trial["epochs"] = 2
    CASES[case](content)
    for change in (content, {**honest(), "200": content["200"]}):
        write_record(victim(folder), change)
        archive = official.import_archive(folder)
        assert np.flatnonzero(archive.held).tolist() == [12, 500]


def test_a_name_in_a_message_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "archive.tar"
    with tarfile.open(path, "w") as tar:
        for index in HONEST:
            add(tar, f"{index:06d}.pickle.pbz2", bz2.compress(pickle.dumps(honest(index))))
        add(tar, f"\x1b[2J[/red]\udcff\n/{VICTIM:06d}.pickle.pbz2", b"no record")
    line = assert_victim_left_out(official.import_archive(path))
    assert line.isprintable()


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


# ── mutations by the hundred ─────────────────────────────────────────────────────────────────

STRANGE = [*NO_TRIALS.values(), {}, [], (), "", 0, 1, 50.0, 1e308, {"x": 1}, -0.0, 2**31, 10**6]
BAD_KEYS = [value for value in STRANGE if type(value) not in (list, dict, set)]


def mutated(draw: random.Random, content: Any) -> Any:
    """``content`` with a strange value, key or gap somewhere."""
    content = copy.deepcopy(content)
    place = content
    for _ in range(draw.randrange(1, 6)):
        below = [key for key, value in place.items() if isinstance(value, dict)]
        if not below:
            break
        place = place[draw.choice(below)]
    key = draw.choice(list(place)) if place else "x"
    how = draw.randrange(5)
    if how == 0:
        place.pop(key, None)
    elif how == 1:
        place[draw.choice(BAD_KEYS)] = place.get(key)
    elif how == 2 and isinstance(place.get(key), list):
        place[key] = place[key] * draw.choice([0, 2, 1000]) + [draw.choice(STRANGE)]
    else:
        place[key] = draw.choice(STRANGE)
    return content


def flipped(draw: random.Random, content: Any) -> bytes:
    """The pickle of ``content`` with some bytes changed, or cut, or a piece twice."""
    data = bytearray(pickle.dumps(content, protocol=4))
    for _ in range(draw.choice([1, 1, 2, 8])):
        at = draw.randrange(len(data))
        how = draw.randrange(4)
        if how == 0:
            del data[at : at + draw.randrange(1, 9)]
        elif how == 1:
            data[at:at] = data[at : at + draw.randrange(1, 99)]
        else:
            data[at] = draw.randrange(256)
    return bytes(data)


SLOW = [pytest.param(240, seed, marks=pytest.mark.slow) for seed in (1, 2, 3)]


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("count", "seed"), [(40, 0), *SLOW])
@pytest.mark.parametrize("kind", ["values", "bytes"])
def test_mutations_cost_themselves_alone(tmp_path: Path, kind: str, count: int, seed: int) -> None:
    draw = random.Random(seed)
    folder = write_archive(tmp_path / "archive", "tss", range(8), schedules=SHORT["tss"])
    for index in range(8, count):
        content = honest(index)
        data = flipped(draw, content)
        if kind == "values":
            data = pickle.dumps(mutated(draw, content), protocol=4)
        (folder / f"{index:06d}.pickle.pbz2").write_bytes(bz2.compress(data))
    archive = official.import_archive(folder)
    assert archive.held[:8].all()
    assert archive.held.sum() + len(archive.facts["unreadable"]) == count
    assert all(line.isprintable() for line in archive.facts["unreadable"])
    assert len(archive.facts["unreadable"]) > count / 4
    for hp in archive.hps:
        for key in archive.keys(hp):
            runs = archive.runs(key, hp)
            assert len(runs.seeds) <= 32
            for index in range(8):
                expected = sum(key == each for each, _ in honest(index)[hp]["all_results"])
                assert len(runs.trials(index)) == expected
            for name in runs.names:
                column = runs.column(name)
                assert not np.isinf(column).any() or "loss" in name
                if "accuracy" in name:
                    assert not ((column < 0) | (column > 100)).any()


@pytest.mark.parametrize(("count", "seed"), [(60, 0), *SLOW])
def test_tars_with_flipped_bytes(tmp_path: Path, count: int, seed: int) -> None:
    draw = random.Random(seed)
    path = tmp_path / "some.tar"
    members = [("dir/000000.pickle.pbz2", 700), ("x" * 120 + "/000001.pickle.pbz2", 5)]
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        whole = io.BytesIO()
        with tarfile.open(fileobj=whole, mode="w", format=form) as tar:
            for name, size in members:
                add(tar, name, bytes(size))
        for _ in range(count):
            data = bytearray(whole.getvalue())
            for _ in range(draw.choice([1, 2, 5])):
                block = 512 * draw.randrange(8)
                data[block + draw.choice([*range(100, 160), *range(257, 265), 345])] = draw.choice(
                    [0, 0x20, 0x2D, 0x30, 0x37, 0x39, 0x80, 0xFF, draw.randrange(256)]
                )
            if draw.random() < 0.8:
                fix_checksums(data)
            path.write_bytes(data)
            with suppress(NatsGymError):
                for entry in list_archive(path).entries:
                    assert 0 <= entry.offset <= entry.offset + entry.size <= len(data)


def fix_checksums(data: bytearray) -> None:
    """Give every block that looks like a header the checksum that it should have."""
    for at in range(0, len(data), 512):
        block = data[at : at + 512]
        if b"ustar" in block:
            block[148:156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(block)


# ── tars ─────────────────────────────────────────────────────────────────────────────────────


def header(name: str, size: bytes, kind: bytes = b"0") -> bytes:
    block = bytearray(512)
    block[: len(name)] = name.encode()
    block[100:108], block[124:136], block[156:157] = b"0000644\0", size.ljust(12, b"\0"), kind
    block[257:265] = b"ustar\x0000"
    fix_checksums(block)
    return bytes(block)


def extended(records: dict[str, str], kind: bytes = b"x") -> bytes:
    lines = b""
    for key, value in records.items():
        body = f" {key}={value}\n".encode()
        length = next(n for n in range(len(body), len(body) + 9) if n == len(body) + len(str(n)))
        lines += str(length).encode() + body
    padding = bytes(-len(lines) % 512)
    return header("extended", b"%011o" % len(lines), kind) + lines + padding


NAME = "000000.pickle.pbz2"
TERABYTE = b"\x80" + (1 << 40).to_bytes(11, "big")
TARS: dict[str, tuple[bytes, str]] = {
    "a negative size": (header(NAME, b"-0000001000"), "neither a plain tar"),
    "a negative second size": (header("x", b"0" * 11) + header(NAME, b"-0000001000"), "damaged"),
    "a negative size in base 256": (
        header("x", b"0" * 11) + header(NAME, b"\xff" * 11 + b"\x00"),
        "damaged",
    ),
    "a size beyond the file": (header(NAME, b"\x80" + b"\x7f" * 11), "cut off"),
    "another size": (extended({"size": "-512"}) + header(NAME, b"0" * 11), "'size'"),
    "another size for all": (extended({"size": "9"}, b"g") + header(NAME, b"0" * 11), "'size'"),
    "sparse 0.0": (
        extended({"GNU.sparse.size": "9", "GNU.sparse.numblocks": "1"}) + header(NAME, b"0" * 11),
        r"GNU\.sparse",
    ),
    "sparse 0.1": (extended({"GNU.sparse.map": "0,9"}) + header(NAME, b"0" * 11), r"GNU\.sparse"),
    "sparse 1.0": (
        extended({"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}) + header(NAME, b"0" * 11),
        r"GNU\.sparse",
    ),
    "old sparse": (header(NAME, b"0" * 11, b"S"), "special"),
    "a link's long name": (header("x", b"%011o" % (1 << 20), b"K"), "extended header"),
    "a long name of a terabyte": (header("x", TERABYTE, b"L"), "extended header"),
    "an extended header of a terabyte": (header("x", TERABYTE, b"x"), "extended header"),
    "a damaged extended header": (
        header("x", b"%011o" % 9, b"x") + b"999 a=b\n".ljust(512, b"\0"),
        "damaged",
    ),
    "headers without end": (extended({"comment": "x"}) * 3_001, "more than 3,000 headers"),
    "extended headers alone": (extended({"comment": "x"}) * 2_000, "no architecture"),
    "members that lie elsewhere": (
        extended({"path": "/etc/" + NAME}) + header("x", b"0" * 11),
        "outside",
    ),
    "an endless name": (
        extended({"path": "x" * 10**6}) + header("x", b"0" * 11),
        "extended header",
    ),
    "an index of 5,000 digits": (
        extended({"path": "9" * 5000 + ".pickle.pbz2"}) + header("x", b"0" * 11),
        "no architecture",
    ),
    "digits of another script": (
        extended({"path": "٣٣٣.pickle.pbz2"}) + header("x", b"0" * 11),
        "no architecture",
    ),
}


@pytest.mark.parametrize("case", TARS)
def test_a_tar_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.setattr(tars, "MAX_HEADERS", 3_000)
    content, words = TARS[case]
    path = tmp_path / "archive.tar"
    path.write_bytes(content + bytes(1024))
    with pytest.raises((InvalidInput, UnreadableFile), match=words) as caught:
        official.import_archive(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 500
    assert official.archives() == []


# ── sizes ────────────────────────────────────────────────────────────────────────────────────

SIXTY = 60 << 30


def sparse(path: Path, size: int = SIXTY, begins: bytes = b"") -> Path:
    """A file of holes: it takes no room, and minutes to read."""
    with path.open("wb") as file:
        file.write(begins)
        file.truncate(size)
    return path


def test_a_record_of_60_gigabytes_is_left_out_unread(folder: Path, tmp_path: Path) -> None:
    sparse(victim(folder), begins=bz2.compress(pickle.dumps(honest()))[:5000])
    archive = official.import_archive(folder)
    assert "64,424,509,440 bytes; a record has 128 MB at most" in assert_victim_left_out(archive)
    moved = folder.rename(tmp_path / "moved")
    assert official.find_archive(moved).folder == archive.folder  # by content
    sparse(moved / "000013.pickle.pbz2")
    with pytest.raises(ArchiveChanged):
        official.find_archive(moved)


def test_a_tar_s_record_of_60_gigabytes_is_left_out_unread(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "archive.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(folder, "archive")
    size = path.stat().st_size // 10240 * 10240
    with path.open("r+b") as file:
        file.seek(_end_of(path))
        file.write(header(f"{VICTIM:06d}.pickle.pbz2", b"\x80" + SIXTY.to_bytes(11, "big")))
        file.truncate(size + SIXTY + 10240)
    assert "128 MB at most" in assert_victim_left_out(official.import_archive(path))


def _end_of(path: Path) -> int:
    with tarfile.open(path) as tar:
        last = tar.getmembers()[-1]
    return last.offset_data + -(-last.size // 512) * 512


def test_single_files_of_60_gigabytes_are_refused_unread(tmp_path: Path) -> None:
    path = sparse(tmp_path / "one.pickle.pbz2", begins=b"BZh9")
    with pytest.raises(InvalidInput, match="64,424,509,440 bytes"):
        official.import_archive(path)
    holes = sparse(tmp_path / "holes.tar")
    with pytest.raises(InvalidInput, match="holds no architecture"):
        official.import_archive(holes)


def test_a_large_file_is_not_read_to_know_it_again(tmp_path: Path) -> None:
    small = write_archive(tmp_path, "tss", HONEST, kind="single", schedules=SHORT["tss"])
    official.import_archive(small)
    large = sparse(tmp_path / "large.pickle.pbz2", 8 << 30)
    assert official.find_archive(large) is None
    with pytest.raises(UnreadableFile, match="not bz2"):
        official.import_archive(large)


def test_a_folder_of_a_hundred_thousand_records(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(entries, "MAX_ENTRIES", 50)
    for index in range(51):
        (tmp_path / f"{index:06d}.pickle.pbz2").touch()
    with pytest.raises(InvalidInput, match="more than 50 records"):
        official.import_archive(tmp_path)


def test_seeds_that_add_up(folder: Path) -> None:
    for index in (1, 2, 3):
        content = honest(index)
        trials = content["12"]["all_results"]
        for seed in range(12):
            trials["cifar10-valid", 1000 * index + seed] = trials["cifar10-valid", 777]
        write_record(folder / f"{index:06d}.pickle.pbz2", content)
    with pytest.raises(InvalidInput, match="38 different seeds of cifar10-valid at hp 12"):
        official.import_archive(folder)
    assert official.archives() == []


BOMBS = """
import resource, sys, time
from pathlib import Path
from nats_gym.errors import InvalidInput
from nats_gym.tables import official
official.import_archive(sys.argv[1])  # what an honest import takes
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + (200 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in sys.argv[2:]:
    begun = time.process_time()
    try:
        archive = official.import_archive(path)
        print(len(archive.facts["unreadable"]), "MemoryError" in str(archive.facts["unreadable"]))
    except InvalidInput as error:
        print(1, False)
    assert time.process_time() - begun < 5, (path, time.process_time() - begun)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits memory by /proc")
def test_bombs_cost_little(tmp_path: Path, folder: Path, home: Path) -> None:
    large = ("shared", "seeds", "million", "long", "deep")
    names = [name for name in CASES if any(word in name for word in large)]
    paths = [folder]
    for position, name in enumerate([*names, "arch_config: a cycle"]):
        made = write_archive(tmp_path / str(position), "tss", HONEST, schedules=SHORT["tss"])
        content = honest()
        CASES[name](content)
        write_deep(victim(made), content)
        paths.append(made)
    command = [sys.executable, "-c", BOMBS, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == ["1 False"] * (len(paths) - 1)


# ── records that end a process ───────────────────────────────────────────────────────────────

KILLER = """
import json, os, resource, signal, sys, time
from pathlib import Path
from nats_gym.tables.official import entries, importing, reading, tars
real, plan = reading.load_bytes, json.loads(os.environ["KILLER"])
def load(data, name):
    how = plan.get(name[-18:-12])
    if how == "once" and not Path(os.environ["KILLER_ONCE"]).exists():
        Path(os.environ["KILLER_ONCE"]).touch()
        os.kill(os.getpid(), signal.SIGTERM)
    elif how == "memory":
        bytearray(8 << 30)
    elif how == "recursion":
        load(data, name)
    elif how == "exit":
        os._exit(3)
    elif isinstance(how, int):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), how)
        time.sleep(9)
    return real(data, name)
reading.load_bytes = load
make_reader = reading.make_reader
"""


@pytest.fixture
def kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have records, by index, end the process that reads them."""
    (tmp_path / "killer.py").write_text(KILLER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("KILLER_ONCE", str(tmp_path / "once"))
    monkeypatch.setattr(reading, "READER", "killer:make_reader")

    def plan(hows: dict[int, Any]) -> None:
        told = {f"{index:06d}": how for index, how in hows.items()}
        monkeypatch.setenv("KILLER", json.dumps(told))

    return plan


@pytest.mark.slow
def test_records_that_end_a_process_cost_themselves_alone(tmp_path, monkeypatch, kill) -> None:
    monkeypatch.setattr(reading, "WORTH_A_WORKER", 10)
    monkeypatch.setattr(importing, "WORTH_A_WORKER", 10)
    monkeypatch.setattr(importing, "SHARD_RECORDS", 8)
    folder = write_archive(tmp_path / "archive", "tss", range(12), schedules=SHORT["tss"])
    kill({0: signal.SIGSEGV, 3: "exit", 7: "once", 9: "memory", 10: "recursion"})
    archive = official.import_archive(folder)
    lines = {line.partition(".pickle")[0][-6:]: line for line in archive.facts["unreadable"]}
    assert sorted(map(int, lines)) == [0, 3, 9, 10]
    assert np.flatnonzero(~archive.held[:12]).tolist() == [0, 3, 9, 10]
    assert "a reading process died: Segmentation fault" in lines["000000"]
    assert "a reading process died: status 3" in lines["000003"]
    assert "MemoryError" in lines["000009"]
    assert "RecursionError" in lines["000010"]
    with pytest.raises(UnreadableFile, match=r"000000.*Segmentation fault"):
        official.import_archive(folder, strict=True)


def test_a_small_import_that_was_ended_goes_on_in_other_processes(folder, home, kill) -> None:
    write_record(victim(folder), honest())
    kill({VICTIM: signal.SIGKILL})
    work = f"{importing.WORK}{list_archive(folder).fingerprint[:16]}"
    (home / "archives" / work).mkdir(parents=True)  # as an import that was ended leaves it
    assert "Killed" in assert_victim_left_out(official.import_archive(folder))
    assert not (home / "archives" / work).exists()


@pytest.mark.slow
def test_a_process_that_cannot_be_started_is_said(folder, home, monkeypatch) -> None:
    work = f"{importing.WORK}{list_archive(folder).fingerprint[:16]}"
    (home / "archives" / work).mkdir(parents=True)
    monkeypatch.setattr(reading, "READER", "no_such_module:make_reader")
    with pytest.raises(UnreadableFile, match=r"no record could be read.*No module named"):
        official.import_archive(folder)
