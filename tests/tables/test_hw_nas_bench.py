"""HW-NAS-Bench's file: a made-up one is imported as columns; what is none is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from command_line import call

from nats_gym.errors import InvalidInput, NatsGymError
from nats_gym.spaces import get_space
from nats_gym.tables import add_column, device_latency, hw_nas_bench, load_table, remove_column
from nats_gym.tables.devices import HW_NAS_BENCH
from nats_gym.tables.hw_nas_bench import METRICS, import_hw_nas_bench, is_pickle
from nats_gym.tables.official.opcodes import ForbiddenPickle
from nats_gym.tables.official.unpickling import UnreadableFile

TSS = get_space("tss")
CELLS = [str(cell) for cell in TSS.string(TSS.all_choices())]
DATASETS = ("cifar10", "cifar100", "ImageNet16-120")
#: What the public file has of architecture 0 on cifar10, as far as it is quoted.
FIRST = {
    "edgegpu_latency": 5.807418537139893,
    "edgegpu_energy": 24.226614330768584,
    "raspi4_latency": 10.481976820010459,
    "edgetpu_latency": 0.9571811309997429,
    "pixel3_latency": 3.6058499999999998,
    "eyeriss_latency": 3.645620000000001,
    "eyeriss_energy": 0.6872827644999999,
    "fpga_latency": 2.57296,
    "fpga_energy": 18.01072,
}


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    """What a file of the public one's form holds: made-up figures but for architecture 0."""
    rng = np.random.default_rng(0)
    spaces: dict[str, Any] = {}
    for number, dataset in enumerate(DATASETS):
        figures = {metric: (rng.random(TSS.size) + number).tolist() for metric in METRICS}
        configs = [{"name": "infer.tiny", "C": 16, "N": 5, "arch_str": cell} for cell in CELLS]
        spaces[dataset] = {**figures, "config": configs}
    for metric, value in FIRST.items():
        spaces["cifar10"][metric][0] = value
    return {"nasbench201": spaces, "fbnet": {"cifar100": {"config": [[0, 1]]}}}


@pytest.fixture(scope="module")
def without_configs(content: dict[str, Any]) -> dict[str, Any]:
    """The same without its cells, which take longest to read: in the official order."""
    spaces = content["nasbench201"]
    figures = {name: {m: spaces[name][m] for m in METRICS} for name in DATASETS}
    return {"nasbench201": figures}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def write(folder: Path, content: Any, protocol: int = 4) -> Path:
    path = folder / "HW-NAS-Bench-v1_0.pickle"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def column(dataset: str, metric: str) -> np.ndarray:
    return load_table("tss", dataset, "embedded").figure(METRICS[metric].name).values


@pytest.mark.one_in(5)
@pytest.mark.parametrize("protocol", [1, 2, 4, 5])
def test_every_metric_is_a_measured_column_of_every_data_set(
    home: Path, tmp_path: Path, content: dict[str, Any], protocol: int
) -> None:
    found = import_hw_nas_bench(write(tmp_path, content, protocol))
    assert found == {dataset: tuple(m.name for m in METRICS.values()) for dataset in DATASETS}
    for dataset in DATASETS:
        table = load_table("tss", dataset, "embedded")
        for metric, (name, unit, _, lower_is_better) in METRICS.items():
            figure = table.figure(name)
            assert np.array_equal(figure.values, content["nasbench201"][dataset][metric])
            assert figure.provenance == "measured"
            assert figure.quantity.unit == unit
            assert figure.quantity.lower_is_better == lower_is_better
    for metric, value in FIRST.items():
        assert column("cifar10", metric)[0] == value
    assert {m.name for m in METRICS.values() if not m.lower_is_better} == {
        "arithmetic_intensity/eyeriss"
    }


def test_measured_columns_stand_before_estimates_until_they_are_removed(
    home: Path, tmp_path: Path, content: dict[str, Any]
) -> None:
    estimate = device_latency("tss", "latency/raspi4")
    assert np.array_equal(column("cifar10", "raspi4_latency"), estimate)
    two = ("raspi4_latency", "fpga_energy")
    some = {name: content["nasbench201"]["cifar10"][name] for name in two}
    path = write(tmp_path, {"nasbench201": {"cifar10": some}})
    import_hw_nas_bench(path)
    measured = column("cifar10", "raspi4_latency")
    assert not np.array_equal(measured, estimate)
    env = gym.make("NATS-TSS-cifar10-v0", limits={"latency/raspi4": 0.5}, figures=["energy/fpga"])
    env.reset(seed=0)
    for _ in range(6):
        allowed = np.flatnonzero(env.unwrapped.action_masks())
        *_, info = env.step(allowed[0])
    assert measured[info["index"]] <= 0.5
    assert info["energy/fpga"] == column("cifar10", "fpga_energy")[info["index"]]
    assert info["energy/fpga_provenance"] == "measured"
    remove_column("tss", "cifar10", "latency/raspi4")
    assert np.array_equal(column("cifar10", "raspi4_latency"), estimate)
    import_hw_nas_bench(path)  # again: what is there is replaced
    assert np.array_equal(column("cifar10", "raspi4_latency"), measured)


def test_rows_are_placed_by_their_cells(
    home: Path, tmp_path: Path, content: dict[str, Any]
) -> None:
    order = np.random.default_rng(1).permutation(TSS.size)
    some = {
        name: [values[i] for i in order]
        for name, values in content["nasbench201"]["cifar10"].items()
    }
    assert import_hw_nas_bench(write(tmp_path, {"nasbench201": {"cifar10": some}})).keys() == {
        "cifar10"
    }
    assert column("cifar10", "edgegpu_energy")[0] == FIRST["edgegpu_energy"]
    bare = {"fpga_energy": content["nasbench201"]["cifar10"]["fpga_energy"]}
    import_hw_nas_bench(write(tmp_path, {"nasbench201": {"cifar10": bare}}))  # in official order
    assert column("cifar10", "fpga_energy")[0] == FIRST["fpga_energy"]


def test_the_command_imports_and_says_what(
    home: Path,
    tmp_path: Path,
    without_configs: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(tmp_path, without_configs)
    code, out, err = call(monkeypatch, capsys, "data", "import", str(path))
    assert (code, err) == (0, "")
    assert "cifar100" in out
    assert "energy/eyeriss" in out
    assert column("ImageNet16-120", "fpga_latency").min() >= 2
    assert "lacks" not in out
    some = {name: without_configs["nasbench201"]["cifar10"][name] for name in [*METRICS][1:]}
    remove_column("tss", "cifar100", "energy/fpga")
    part = {"cifar10": some, "cifar100": {"fpga_latency": some["fpga_latency"]}}
    code, out, err = call(
        monkeypatch, capsys, "data", "import", str(write(tmp_path, {"nasbench201": part}))
    )
    said = " ".join(out.split())
    assert "the file lacks of cifar10 latency/edgegpu (kept from an earlier import: lat" in said
    assert "; of ImageNet16-120 everything (kept from an earlier import: latency/edgegpu," in said
    assert "eyeriss, energy/fpga (kept from an earlier import: latency/edgegpu, energy/ed" in said
    assert "intensity/eyeriss); of ImageNet16" in said  # energy/fpga was removed, and is not kept
    code, out, err = call(monkeypatch, capsys, "data", "import", str(path), "--space", "sss")
    assert (code, out) == (2, "")
    assert "HW-NAS-Bench is of tss, asked for was sss" in err
    path.write_bytes(b"\x80\x04cos\nsystem\n(X\x04\x00\x00\x00echotR.")
    code, out, err = call(monkeypatch, capsys, "data", "import", str(path))
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert "os.system is not allowed" in err


def edited(edit: Callable[[dict[str, Any]], Any], *names: str) -> Callable[[dict[str, Any]], Any]:
    """A file with something wrong in cifar100's metrics."""

    def make(content: dict[str, Any]) -> Any:
        spaces = content["nasbench201"]
        right = {"fpga_energy": spaces["cifar10"]["fpga_energy"]}
        wrong = {name: spaces["cifar100"][name] for name in ("fpga_energy", *names)}
        edit(wrong)
        return {"nasbench201": {"cifar10": right, "cifar100": wrong}}

    return make


def with_first(metric: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    return edited(lambda metrics: metrics.update({metric: [value, *metrics[metric][1:]]}), metric)


WRONG: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a list": (lambda content: [{"nasbench201": {}}], "no HW-NAS-Bench: it holds 'list'"),
    "another dict": (lambda content: {"meta_archs": CELLS[:3]}, "has no 'nasbench201'"),
    "no data set": (lambda content: {"nasbench201": {}}, "none of cifar10"),
    "no metrics": (lambda content: {"nasbench201": {"cifar10": 3}}, "no metrics by name"),
    "other metrics": (lambda content: {"nasbench201": {"cifar10": {"a": [1]}}}, "edgegpu_latency"),
    "too few": (
        edited(lambda m: m.update(fpga_energy=[1.0])),
        "got 1",
    ),
    "no list": (edited(lambda m: m.update(fpga_energy={})), "got 'dict'"),
    "NaN": (with_first("pixel3_latency", float("nan")), "architecture 0 is nan"),
    "infinite": (with_first("pixel3_latency", float("inf")), "architecture 0 is inf"),
    "negative": (with_first("pixel3_latency", -1.0), "architecture 0 is -1"),
    "a text": (with_first("pixel3_latency", "1.0"), "architecture 0 is '1.0'"),
    "a truth": (with_first("pixel3_latency", True), "architecture 0 is True"),
    "a list for a number": (with_first("pixel3_latency", [1.0]), "architecture 0 is "),
    "no such cell": (with_first("config", {"arch_str": "|none~0|"}), "is no cell of tss"),
    "a cell twice": (with_first("config", {"arch_str": CELLS[1]}), "has a cell twice"),
    "a cell without": (with_first("config", {}), "names some cells and not others"),
    "short configs": (edited(lambda m: m.update(config=[])), "no list of 15,625 cells"),
}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_such_file_is_refused_whole(
    home: Path, tmp_path: Path, content: dict[str, Any], what: str
) -> None:
    make, words = WRONG[what]
    path = write(tmp_path, make(content))
    with pytest.raises(UnreadableFile) as caught:
        import_hw_nas_bench(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (home / "columns").exists()  # cifar10's, which are right, neither


def test_hostile_pickles_are_refused_and_not_run(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hw_nas_bench, "MAX_VALUES_BYTES", 32 << 20)  # sooner
    path, mark = tmp_path / "hw.pickle", tmp_path / "mark"

    class Touch:
        def __reduce__(self) -> Any:
            return Path.touch, (mark,)

    metrics = {"nasbench201": {"cifar10": {"fpga_energy": Touch()}}}
    for protocol in (2, 3, 4, 5):
        path.write_bytes(pickle.dumps(metrics, protocol=protocol))
        with pytest.raises(ForbiddenPickle):
            import_hw_nas_bench(path)
    assert not mark.exists()
    for hostile in (
        b"\x80\x04cbuiltins\neval\n(X\x01\x00\x00\x001tR.",
        b"\x80\x04}\x94\x8c\x01a\x94h\x00s.",  # a dict within itself
        b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".",
        b"\x80\x04N" + b"\x8f" * (1 << 20) + b".",  # sets, of 200 MB
        b"\x80\x04\x8d" + b"\xff" * 8,
        b"\x80\x04r\xff\xff\xff\x7f",
        b"\x80\xffN.",
        b"\x80\x04",
        b"\x80",
        b"\x80\x04N.N.",
        pickle.dumps({"nasbench201": {"cifar10": {"fpga_energy": [0.5] * 15_625}}})[:-9],
    ):
        path.write_bytes(hostile)
        with pytest.raises(NatsGymError) as caught:
            import_hw_nas_bench(path)
        assert "\n" not in str(caught.value)
    with path.open("wb") as file:
        file.write(b"\x80\x04")
        file.truncate(1 << 40)  # sparse
    with pytest.raises(UnreadableFile, match="bytes, at most"):
        import_hw_nas_bench(path)
    assert not (home / "columns").exists()


def test_a_column_of_ones_own_is_not_overwritten(
    home: Path, tmp_path: Path, without_configs: dict[str, Any]
) -> None:
    own = np.arange(15_625.0)
    path = write(tmp_path, without_configs)
    for given in ("my meter", "", HW_NAS_BENCH):  # by hand from the same file, too
        add_column("tss", "cifar100", "energy/fpga", own, unit="mJ", source=given, replace=True)
        with pytest.raises(
            InvalidInput, match=r"nothing was imported; .* data remove-column tss cif"
        ):
            import_hw_nas_bench(path)
        assert np.array_equal(column("cifar100", "fpga_energy"), own)
    assert np.array_equal(
        column("cifar10", "raspi4_latency"), device_latency("tss", "latency/raspi4")
    )


def test_a_protocol_that_is_not_read_is_named(
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(tmp_path, {"nasbench201": {"cifar10": {"fpga_energy": [0.5] * 15_625}}}, 0)
    code, out, err = call(monkeypatch, capsys, "data", "import", str(path))
    assert (code, out) == (2, "")
    assert "a pickle of protocol 0, or none; protocols 1 to 5 are read" in err


def test_other_files_are_told_apart(tmp_path: Path) -> None:
    for name, begun, expected in (
        ("a.pickle", b"\x80\x04N.", True),
        ("b.pickle.pbz2", b"BZh91AY", False),
        ("c", b"", False),
        ("d.pickle", b"(dp0", True),
        ("e.tfrecord", b"}\x00", False),
    ):
        (tmp_path / name).write_bytes(begun)
        assert is_pickle(tmp_path / name) == expected
    assert not is_pickle(tmp_path)
    assert not is_pickle(tmp_path / "nowhere")
