"""Where ``nats_gym.nats_bench`` does better than ``nats_bench``, and what ``None`` stands for."""

from __future__ import annotations

import itertools
import os
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_archive import BASE_NAMES, SHORT, write_archive, write_record

from nats_gym.errors import InvalidInput, NatsGymError, SurrogateWarning
from nats_gym.nats_bench import api_utils, create, pickle_load
from nats_gym.nats_bench.api_utils import mean
from nats_gym.nats_bench.errors import MissingArchitecture
from nats_gym.tables import load_table
from nats_gym.tables.official import OfficialArchive
from nats_gym.tables.official.unpickling import ForbiddenPickle, UnreadableFile

INDICES = (0, 5, 11)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of its own for imports and synthetic archives."""
    root = tmp_path_factory.mktemp("nats-bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NATS_GYM_HOME", str(root / "home"))
        yield root


@pytest.fixture(scope="module", params=["tss", "sss"])
def api(request: pytest.FixtureRequest, folder: Path) -> Any:
    path = write_archive(folder / "both", request.param, INDICES)
    return create(path, request.param, fast_mode=True, verbose=False)


def test_numpy_integers_and_integer_schedules(api: Any) -> None:
    expected = api.get_more_info(11, "cifar10", hp="12", is_random=False)
    assert api.get_more_info(np.int64(11), "cifar10", hp=12, is_random=False) == expected
    assert api.query_index_by_arch(np.int32(11)) == 11
    assert api.query_by_index(np.int64(11), "cifar100", np.int64(12))
    random.seed(0)
    one = api.simulate_train_eval(np.int64(11), "cifar100", hp=12, account_time=False)
    random.seed(0)
    assert api.simulate_train_eval(11, "cifar100", account_time=False) == one
    assert api.find_best("cifar10", "valid", hp=12, enforce_all=False)[0] in INDICES
    assert api.query_info_str_by_arch(11, 12) == api.query_info_str_by_arch(11, "12")
    if api.is_size:
        assert api.get_cost_info(11, "cifar10", 1) == api.get_cost_info(11, "cifar10", "01")


def test_show_all(api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.show(-1)
    shown = capsys.readouterr().out
    assert all(api.arch(index) in shown for index in INDICES)


def test_quiet_unless_verbose(api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.simulate_train_eval(0, "cifar10")
    assert capsys.readouterr().out == ""
    api = create(api.archive_dir, api.search_space_name, True, verbose=True)
    assert capsys.readouterr().out.count("\n") == 1
    for question in ("get_more_info", "simulate_train_eval", "get_cost_info", "query_by_index"):
        getattr(api, question)(0, "cifar10")
        assert capsys.readouterr().out.count("\n") == 1


def test_either_mode_takes_either_kind_of_path(folder: Path) -> None:
    for kind in ("simple", "single", "tar"):
        path = write_archive(folder / f"kinds-{kind}", "tss", [0, 7], kind, 1, SHORT["tss"])
        for fast_mode in (True, False):
            api = create(path, "topology", fast_mode, False)
            assert api.evaluated_indexes == (set() if fast_mode else {0, 7})
            assert api.get_latency(7, "cifar10") > 0
            assert (api.archive_dir is not None) == (kind == "simple")
    again = create(api._holdings.source.folder, "tss", False, False)  # the import itself
    assert again.get_more_info(7, "cifar10", is_random=False) == api.get_more_info(
        7, "cifar10", is_random=False
    )


def test_copies_and_processes(api: Any) -> None:
    api.arch2infos_dict[0]["12"].reset_latency("cifar10", None, 0.25)
    twin = pickle.loads(pickle.dumps(api))
    assert repr(twin) == repr(api)
    assert twin.get_latency(0, "cifar10") == 0.25
    assert twin.get_more_info(11, "cifar10", 3, is_random=False) == api.get_more_info(
        11, "cifar10", 3, is_random=False
    )
    api.reload(api.archive_dir, 0)


def test_missing_architecture(api: Any) -> None:
    for kind in (ValueError, AssertionError, NatsGymError):
        with pytest.raises(kind, match="3"):
            api.get_more_info(3, "cifar10")
    with pytest.raises(MissingArchitecture, match="enforce_all"):
        api.find_best("cifar10", "valid")


def test_architectures_added_later_are_read(folder: Path, tmp_path: Path) -> None:
    path = write_archive(folder / "later", "tss", [0], schedules=SHORT["tss"])
    other = write_archive(tmp_path, "tss", [3], seed=1, schedules=SHORT["tss"])
    api = create(path, "tss", True, False)
    api.reset_archive_dir(str(other))
    assert api.get_more_info(3, "cifar100", hp="200")["train-loss"] > 0
    assert api.find_best("cifar10", "valid", enforce_all=False)[0] == 3


def test_weights(folder: Path) -> None:
    torch = pytest.importorskip("torch")
    path = write_archive(folder / "full", "tss", [0, 5], "full", schedules=SHORT["tss"])
    api = create(path, "tss", True, False)
    weights = api.get_net_param(0, "cifar10", None, "200")
    assert set(weights) == set(api.query_by_index(0, "cifar10", "200"))
    assert torch.equal(
        api.get_net_param(0, "cifar10", 777, "200")["classifier.bias"], torch.ones(2)
    )
    with pytest.raises(ValueError):
        api.get_net_param(0, "cifar10", 5)
    api.clear_params(0, 200)
    assert api.get_net_param(0, "cifar10", 777, "200") is None
    assert api.get_net_param(0, "cifar10", 111, "12") is not None
    api.reload(str(path), 0)
    assert api.get_net_param(0, "cifar10", 777, "200") is not None
    api.clear_params(0)
    assert api.get_net_param(0, "cifar10", 777, "200") is None


def test_hostile_and_damaged_files(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "run"),)

    write_record(tmp_path / "hostile.pbz2", {"12": Hostile()})
    with pytest.raises(ForbiddenPickle, match="mkdir"):
        api_utils.pickle_load(tmp_path / "hostile")
    assert not (tmp_path / "run").exists()
    (tmp_path / "damaged.pbz2").write_bytes(b"no bz2")
    with pytest.raises(OSError, match="damaged"):
        api_utils.pickle_load(str(tmp_path / "damaged.pbz2"))
    api_utils.pickle_save({"a": [1, 2.5]}, tmp_path / "plain")
    assert api_utils.pickle_load(tmp_path / "plain") == {"a": [1, 2.5]}


def test_wrong_paths(folder: Path, tmp_path: Path) -> None:
    for given in ("/no/such/file", tmp_path, 5):
        with pytest.raises(ValueError):
            create(given, "tss", True, False)
    path = write_archive(folder / "wrong", "sss", [0], schedules=SHORT["sss"])
    with pytest.raises(InvalidInput, match="sss"):
        create(path, "tss", True, False)
    with pytest.raises(InvalidInput, match="topology"):
        create(path, "topologie")


# ── None: whatever is there ──────────────────────────────────────────────────────────────────


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("NATS_GYM_HOME", "HOME", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    return tmp_path


def test_torch_home_then_imported_then_home(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TORCH_HOME")
    options = {"kind": "single", "schedules": SHORT["tss"]}
    write_archive(empty_home / "home" / ".torch", "tss", [1, 8], **options)
    api = create(None, "tss", False, False)
    assert api.evaluated_indexes == {1, 8}
    api = create(write_archive(empty_home / "a", "tss", [2, 3], **options), "tss", False, False)
    assert create(None, "tss", False, False).evaluated_indexes == {1, 8}  # not a partial import
    monkeypatch.setattr(OfficialArchive, "complete", True)
    assert create(None, "tss", False, False).evaluated_indexes == {2, 3}
    write_archive(empty_home / "torch", "tss", [4], schedules=SHORT["tss"])
    monkeypatch.setenv("TORCH_HOME", str(empty_home / "torch"))
    api = create(None, "tss", True, False)
    assert api.filename == f"{BASE_NAMES['tss']}-simple"
    assert api.get_latency(4, "cifar10") > 0


def test_embedded_figures(empty_home: Path) -> None:
    with pytest.warns(SurrogateWarning, match="measured: accuracy-valid-200.*estimated: accuracy"):
        api = create(None, "tss", False, False)
    table = load_table("tss", "cifar10", "embedded")
    random.seed(0)
    drawn = {api.simulate_train_eval(9, "cifar10", hp="200")[0] for _ in range(50)}
    trials = table.accuracy("valid", 200)[9].astype(float)
    assert drawn == set(trials[~np.isnan(trials)].tolist())
    accuracy, latency, seconds, _ = api.simulate_train_eval(9, "cifar10")
    assert abs(accuracy - table.mean_accuracy("valid", 12)[9]) < 10
    assert latency == pytest.approx(table.latency()[9])
    assert seconds == pytest.approx(table.query_seconds(12)[9])
    assert api.statistics("cifar10-valid", 200) == {3: 8169, 2: 7456}
    assert (
        api.find_best("cifar100", "valid", hp=200)[0]
        == load_table("tss", "cifar100", "embedded").best("valid", 200)[0]
    )
    info = api.get_more_info(9, "cifar10-valid", hp="200", is_random=777)
    assert info["valid-accuracy"] == trials[0]
    with pytest.raises(KeyError, match="valid-accuracy"):
        info["test-accuracy"]
    test = load_table("tss", "cifar10", "embedded").mean_accuracy("test")  # an estimate's trials
    drawn = [
        api.get_more_info(9, "cifar10", hp="200", is_random=seed)["test-accuracy"]
        for seed in (777, 888)
    ]
    assert len(set(drawn)) == 2
    assert drawn == pytest.approx([test[9]] * 2, abs=3)
    assert api.get_cost_info(9, "cifar10")["flops"] == pytest.approx(
        table.space.flops(table.space.choices(9), "cifar10")
    )
    assert api.get_net_config(9, "cifar10")["arch_str"] == api.arch(9)
    for question, args, words in (
        (
            "get_more_info",
            (9, "cifar10"),
            "test accuracies at hp=200 alone, estimated; official files have the rest",
        ),
        ("query_by_index", (9,), "not whole trainings"),
        ("get_more_info", (9, "cifar100", 3), "without learning curves"),
        ("simulate_train_eval", (9, "cifar100", 3), "without learning curves"),
        ("simulate_train_eval", (3, "cifar10", 24), "no epoch 24.*without learning curves"),
        (
            "find_best",
            ("cifar10", "ori-test"),
            "test accuracies at hp=200 alone, estimated; official files have the rest",
        ),
        (
            "find_best",
            ("cifar10", "test"),
            "test accuracies at hp=200 alone, estimated; official files have the rest",
        ),
    ):
        with pytest.raises(NatsGymError, match=words):
            getattr(api, question)(*args)


def test_embedded_size_figures(empty_home: Path) -> None:
    with pytest.warns(SurrogateWarning, match="measured: nothing"):
        api = create(None, "sss", False, False)
    for question, args in (
        ("get_more_info", (0, "cifar10")),
        ("simulate_train_eval", (0, "cifar10")),
        ("find_best", ("cifar10", "ori-test")),
        ("get_cost_info", (0, "cifar10")),
        ("get_latency", (0, "cifar10")),
        ("statistics", ("cifar10", "12")),
    ):
        with pytest.raises((KeyError, ValueError), match="hp=90 alone: ask with hp='90'"):
            getattr(api, question)(*args)
    one = api.get_more_info(0, "cifar10", hp=90)
    assert one == api.get_more_info(0, "cifar10", hp="90", is_random=777)
    assert set(one) == {"test-accuracy", "comment"}
    assert api.simulate_train_eval(0, "cifar100", hp=90)[0] > 0


@pytest.fixture
def embedded(folder: Path) -> Any:
    """The API over the figures inside the package."""
    with pytest.warns(SurrogateWarning):
        return create(None, "tss", fast_mode=True, verbose=False)


@pytest.mark.parametrize("limit", [float("nan"), True, np.True_, -1, -0.5, "10", [1], 10**400])
@pytest.mark.parametrize("name", ["flop_max", "param_max"])
def test_a_limit_is_a_number_from_zero(name: str, limit: Any, embedded: Any) -> None:
    with pytest.raises(InvalidInput, match=name):
        embedded.find_best("cifar10", "valid", hp="200", **{name: limit})


@pytest.mark.filterwarnings("ignore::nats_gym.errors.SurrogateWarning")
def test_what_nats_bench_takes_is_taken(folder: Path) -> None:
    api = create(None, "tss", 1, np.False_)  # type: ignore[arg-type]
    assert api.fast_mode is True
    for hp in ("200", 200, np.int64(200), np.str_("200")):
        assert api.get_more_info(np.uint16(7), np.str_("cifar100"), None, hp, False)
    api.reset_time()
    api.simulate_train_eval(7, "cifar100", hp="200", account_time=0)
    assert api.used_time == 0
    assert api.find_best("cifar100", "valid", np.float32(np.inf), 10**6, 200, 0)[0] == 7
    assert api.query_index_by_arch(1.5) == -1


@pytest.mark.parametrize(
    "question",
    [
        lambda api: api.str2matrix(api[7], itertools.repeat("none")),
        lambda api: mean(itertools.repeat(0)),
        lambda api: api.find_best(["cifar10"], "valid"),
        lambda api: api.simulate_train_eval(7, "cifar10", hp=[12]),
        lambda api: api.simulate_train_eval(7, "cifar10", hp=10**5000),
        lambda api: api.simulate_train_eval(7, "cifar10", 11.0, "12"),
        lambda api: api.simulate_train_eval(True, "cifar10"),
        lambda api: api.get_more_info("x" * 10_000, "cifar10"),
        lambda api: api.get_more_info(7, "x" * 10_000),
        lambda api: api.statistics("cifar10", None),
        lambda api: api.str2lists("|none~" + "9" * 5_000 + "|"),
        lambda api: api.str2matrix("+" * 9_000),
        lambda api: create(None, "tss", float("nan")),
        lambda api: create({"meta_archs": 1}, "tss"),
    ],
)
def test_what_is_no_question_is_refused_in_one_short_line(question: Any, embedded: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        question(embedded)
    assert len(str(caught.value)) < 600
    assert str(caught.value).isprintable()


def test_a_record_is_of_a_bounded_size(tmp_path: Path) -> None:
    path = tmp_path / "sparse.pickle.pbz2"
    path.touch()
    os.truncate(path, 60 << 30)
    with pytest.raises(UnreadableFile, match="bytes, at most"):
        pickle_load(path)
