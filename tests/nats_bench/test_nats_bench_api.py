"""``nats_gym.nats_bench`` against the real ``nats_bench``, question by question."""

from __future__ import annotations

import importlib
import itertools
import pickle
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from synthetic_archive import BASE_NAMES, KEYS, SHORT, official_dict, write_archive

import nats_gym.nats_bench as ours_package
from nats_gym.errors import NatsGymError
from nats_gym.nats_bench import api_utils, create, genotype_utils
from nats_gym.tables import load_table

theirs_package = pytest.importorskip("nats_bench")
theirs_genotypes = importlib.import_module("nats_bench.genotype_utils")
#: Theirs copies whole trainings at every question, and that is most of the time here: by pickles it
#: is the same copy in a tenth of the time.
QUICK_COPY = SimpleNamespace(deepcopy=lambda value: pickle.loads(pickle.dumps(value, 4)))
SHARED = Path(__file__).parents[3] / "shared" / "figures" / "official"
SYNTHETIC = (0, 5, 11)  # trials of 5 disagree on FLOPs and parameters
HPS = {"tss": ("12", "200"), "sss": ("01", "12", "90")}
SEARCHED = ("cifar10", "cifar100", "ImageNet16-120")


@dataclass
class Pair:
    """Both APIs on the same files."""

    space: str
    path: Path
    indices: tuple[int, ...]
    ours: Any
    theirs: Any

    def same(self, question: str | Callable[[Any], Any], *args: Any, **named: Any) -> Any:
        """Ask both; the answers, or what they raise, must agree, and what random they use.

        Args:
            question: a method's name, with its arguments, or what to do with either.
        """
        random.seed(7)
        expected, error = _ask(self.theirs, question, *args, **named)
        state = random.getstate()
        random.seed(7)
        answer, our_error = _ask(self.ours, question, *args, **named)
        if error is not None:
            assert isinstance(our_error, type(error)), (our_error, error)
            if isinstance(self.ours, api_utils.NASBenchMetaAPI):
                assert isinstance(our_error, (NatsGymError, AssertionError))
        else:
            assert our_error is None, our_error
            assert_same(answer, expected)
            assert random.getstate() == state
        return answer


def _ask(api: Any, question: Any, *args: Any, **named: Any) -> tuple[Any, Exception | None]:
    try:
        if isinstance(question, str):
            return getattr(api, question)(*args, **named), None
        return question(api), None
    except Exception as error:
        return None, error


def assert_same(ours: Any, theirs: Any) -> None:
    """Equal to one part in a million, whatever it is made of."""
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs) or set(ours) == set(theirs)
        for key, value in theirs.items():
            if key != "comment":
                assert_same(ours[key], value)
    elif isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs)
        for one, two in zip(ours, theirs, strict=True):
            assert_same(one, two)
    elif isinstance(theirs, (float, np.floating)):
        # As pytest.approx(theirs, rel=1e-6), which takes 50 times as long.
        assert ours == theirs or abs(ours - theirs) <= max(1e-6 * abs(theirs), 1e-12)
    elif type(theirs).__name__ in ("ArchResults", "ResultsCount"):
        state = theirs.state_dict()
        # Top-5 accuracies are not imported.
        assert_same(without(ours.state_dict()), without(state))
        assert repr(ours) == repr(theirs)
    elif isinstance(theirs, np.ndarray):
        np.testing.assert_array_equal(ours, theirs)
    else:
        assert ours == theirs


def without(state: dict[str, Any]) -> dict[str, Any]:
    return {
        key: {k: without(run) for k, run in value.items()} if key == "all_results" else value
        for key, value in state.items()
        if key not in ("train_acc5es", "clear_net_done")
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of its own for imports and synthetic archives, and no archive elsewhere."""
    root = tmp_path_factory.mktemp("nats-bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NATS_GYM_HOME", str(root / "home"))
        patch.setenv("HOME", str(root))
        patch.delenv("TORCH_HOME", raising=False)
        patch.setattr("nats_bench.api_utils.copy", QUICK_COPY)
        yield root


@pytest.fixture(scope="module", params=["official-tss", "official-sss", "made-tss", "made-sss"])
def pair(request: pytest.FixtureRequest, folder: Path) -> Pair:
    kind, space = request.param.split("-")
    if kind == "official":
        path, indices = SHARED / f"{BASE_NAMES[space]}-simple", (0, 11)
        if not path.is_dir():
            pytest.skip("the official files are not on this machine")
    else:
        path, indices = write_archive(folder / kind, space, SYNTHETIC), SYNTHETIC
    ours = ours_package.create(str(path), space, fast_mode=True, verbose=False)
    theirs = theirs_package.create(str(path), space, fast_mode=True, verbose=False)
    return Pair(space, path, indices, ours, theirs)


def epochs_of(hp: str) -> list[int | None]:
    last = int(hp) - 1
    return [None, *sorted({0, last // 3, last - 1, last, last + 1, -1})]


# ── agreement ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.one_in(3)
def test_more_info(pair: Pair) -> None:
    for index, key, hp in itertools.product(pair.indices, KEYS, HPS[pair.space]):
        for iepoch in epochs_of(hp):
            for trial in (True, False, 111, 777, 888, 999, 5, "x"):
                pair.same("get_more_info", index, key, iepoch, hp, trial)
    name = pair.ours.arch(0)
    pair.same("get_more_info", name, "cifar10")
    pair.same("get_more_info", 0, "cifar100", hp=12, is_random=False)


@pytest.mark.one_in(3)
def test_final_figures_are_exact(pair: Pair) -> None:
    for index, key, hp in itertools.product(pair.indices, KEYS, HPS[pair.space]):
        ours, theirs = (
            api.get_more_info(index, key, hp=hp, is_random=False)
            for api in (pair.ours, pair.theirs)
        )
        ours.pop("comment", None), theirs.pop("comment", None)
        assert ours == theirs
        assert pair.ours.get_cost_info(index, key, hp) == pair.theirs.get_cost_info(index, key, hp)


@pytest.mark.one_in(3)
def test_simulate_train_eval(pair: Pair) -> None:
    pair.same("reset_time")
    for index, name, hp in itertools.product(pair.indices, SEARCHED, HPS[pair.space]):
        for iepoch in epochs_of(hp):
            pair.same("simulate_train_eval", index, name, iepoch, hp)
    pair.same("simulate_train_eval", 0, "cifar10", account_time=False)
    pair.same(lambda a: a.used_time)
    pair.same(
        lambda a: (a.reset_time(), a.used_time, a.simulate_train_eval(a.arch(11), "cifar100"))
    )


@pytest.mark.one_in(3)
def test_a_seeded_script_keeps_its_numbers(pair: Pair) -> None:
    def script(api: Any) -> list[Any]:
        random.seed(3)
        answers = []
        for _ in range(100):
            index = random.choice(pair.indices)
            hp, name = random.choice(HPS[pair.space]), random.choice(SEARCHED)
            answers.append((api.random(), api.simulate_train_eval(index, name, hp=hp)[:3]))
        return answers

    assert script(pair.ours) == script(pair.theirs)


@pytest.mark.one_in(3)
def test_costs_and_latency(pair: Pair) -> None:
    for index, key, hp in itertools.product(pair.indices, (*KEYS, "cifar"), (*HPS[pair.space], 7)):
        pair.same("get_cost_info", index, key, hp)
        pair.same("get_latency", index, key, hp)


@pytest.mark.one_in(3)
def test_whole_trainings(pair: Pair) -> None:
    for index, hp in itertools.product(pair.indices[::2], HPS[pair.space]):
        pair.same("query_meta_info_by_index", index, hp)
        results = pair.same("query_by_index", index, hp=hp)
        pair.same("query_by_index", index, "cifar", hp)
        for key in KEYS:
            runs = pair.same("query_by_index", index, key, hp)
            expected = pair.theirs.query_by_index(index, key, hp)
            assert results.get_dataset_seeds(key) == list(runs)
            for seed, iepoch in itertools.product(runs, epochs_of(hp)):
                both = Pair(pair.space, pair.path, (), runs[seed], expected[seed])
                both.same("get_train", iepoch)
                for name in ("x-valid", "valid", "x-test", "ori-test"):
                    both.same("get_eval", name, iepoch)
                both.same(lambda run: (run.get_times(), run.get_config(None), run.get_latency()))
                both.same("get_config", str.upper)
                both.same(lambda run: (run.get_total_epoch(), run.get_eval_set()))


@pytest.mark.one_in(3)
def test_result_objects(pair: Pair) -> None:
    index, hp = pair.indices[0], HPS[pair.space][-1]
    both = Pair(
        pair.space,
        pair.path,
        (),
        pair.ours.query_by_index(index, hp=hp),
        pair.theirs.query_by_index(index, hp=hp),
    )
    for key in KEYS:
        both.same("get_compute_costs", key)
        both.same("get_latency", key)
        both.same("get_total_epoch", key)
        for name, trial in itertools.product(("train", "x-valid", "x-test"), (True, False, 777, 3)):
            both.same("get_metrics", key, name, None, trial)
    both.same(lambda r: (r.arch_idx_str(), r.get_total_epoch(), r.get_dataset_names()))
    both.same(lambda r: (r.get_net_param("cifar10"), r.get_net_param("cifar10", 777)))
    both.same("get_net_param", "cifar10", 3)
    both.same(lambda r: (r.reset_latency("cifar10", None, 0.5), r.get_latency("cifar10")))
    both.same(lambda r: (r.reset_pseudo_train_times("cifar10", 777, 2.0), r.query("cifar10")))
    both.same("reset_pseudo_eval_times", "cifar10", None, "ori-test", 3.0)
    both.same("reset_pseudo_eval_times", "cifar10", None, "x-test", 3.0)
    both.same("update", "cifar10", 777, None)
    both.same(lambda r: r.update("cifar10", 5, r.query("cifar10", 777)))
    both.same(lambda r: r)
    both.same(lambda r: type(r).create_from_state_dict(r.state_dict()))
    both.same("clear_params")
    both.same(lambda r: r.query("cifar10", 777).get_net_param(clone=True))


@pytest.mark.one_in(3)
def test_best(pair: Pair) -> None:
    for index in pair.indices:
        pair.same("_prepare_info", index)
    sets = ("train", "valid", "test", "x-valid", "x-test", "ori-test", "nonsense")
    costs = [pair.theirs.get_cost_info(i, "cifar10") for i in pair.indices[::2]]
    flops, params = ([None, *(c[name] for c in costs)] for name in ("flops", "params"))
    for key, name, hp in itertools.product((*KEYS, "svhn"), sets, HPS[pair.space]):
        for flop_max, param_max in [(None, None), (0.1, None), *itertools.product(flops, params)]:
            pair.same("find_best", key, name, flop_max, param_max, hp, False)
    pair.same("find_best", "cifar10", "valid")  # not all are there
    pair.same("find_best", "cifar10", "valid", hp="7", enforce_all=False)


@pytest.mark.one_in(3)
def test_statistics_and_names(pair: Pair) -> None:
    for index in pair.indices:
        pair.same("_prepare_info", index)
    for key, hp in itertools.product((*KEYS, "svhn"), (*HPS[pair.space], 12, "7")):
        pair.same("statistics", key, hp)
    pair.same(lambda a: (len(a), repr(a), str(a), a.meta_archs, a.archstr2index))
    pair.same(lambda a: (a[0], a[-1], a[3:5], a.arch(7), sorted(a.avaliable_hps)))
    pair.same(lambda a: a[len(a)])
    pair.same("arch", -1)
    pair.same(lambda a: (a.full_epochs_in_paper, a.full_train_epochs, a.is_size, a.is_topology))
    pair.same(lambda a: (a.search_space_name, a.fast_mode, a.archive_dir, a.filename))
    pair.same(lambda a: (sorted(a.evaluated_indexes), a.random()))
    for arch in (
        0,
        -1,
        10**6,
        pair.ours[9],
        "no such",
        None,
        1.5,
        Speaks(pair.ours[9]),
        Speaks(""),
    ):
        pair.same("query_index_by_arch", arch)


class Speaks:
    def __init__(self, name: str) -> None:
        self.name = name

    def tostr(self) -> str:
        return self.name


@pytest.mark.one_in(3)
def test_what_is_printed(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    for index in (*pair.indices, 10**6):
        pair.ours.show(index)
        shown = capsys.readouterr().out
        pair.theirs.show(index)
        if index < len(pair.ours):
            assert shown == capsys.readouterr().out
    for index, hp in itertools.product(pair.indices, (*HPS[pair.space], "7")):
        pair.same("query_info_str_by_arch", index, hp)
        pair.same("query_by_arch", pair.ours.arch(index), hp)
    module = {"tss": "api_topology", "sss": "api_size"}[pair.space]
    ours, theirs = (importlib.import_module(f"{p}.{module}") for p in (NAME, "nats_bench"))
    assert ours.ALL_BASE_NAMES == theirs.ALL_BASE_NAMES
    result = pair.ours.query_by_index(0, hp="12")
    capsys.readouterr()
    assert ours.print_information(result, "x", True) == theirs.print_information(result, "x")
    assert capsys.readouterr().out.startswith(pair.ours.arch(0))


NAME = "nats_gym.nats_bench"


@pytest.mark.one_in(3)
def test_networks(pair: Pair) -> None:
    for index, key in itertools.product(pair.indices, (*KEYS, "svhn")):
        pair.same("get_net_config", index, key)
        for seed, hp in itertools.product((None, 777, 5), (*HPS[pair.space], "7")):
            pair.same("get_net_param", index, key, seed, hp)
    pair.same("clear_params", pair.indices[0], 12)
    pair.same("clear_params", pair.indices[0], "7")
    pair.same("clear_params", pair.indices[0])
    for api in (pair.ours, pair.theirs):
        with pytest.warns(UserWarning, match="4321"):
            api.clear_params(4321)


@pytest.mark.one_in(3)
def test_wrong_questions(pair: Pair) -> None:
    for index in (-1, 10**6, 3, "no such"):
        pair.same("get_more_info", index, "cifar10")
        pair.same("simulate_train_eval", index, "cifar10")
        if index != "no such":
            pair.same("get_cost_info", index, "cifar10")
            pair.same("query_by_index", index)
            pair.same("get_net_config", index, "cifar10")
    for dataset in ("cifar10-valid", "svhn"):
        pair.same("simulate_train_eval", 0, dataset)
    pair.same("get_more_info", 0, "svhn")
    pair.same("get_more_info", 0, "cifar10", hp="7")
    pair.same("simulate_train_eval", 0, "cifar10", hp="7")
    pair.same("query_by_index", 0, hp="7")
    pair.same("reload", "/no/such/folder", 0)
    pair.same(lambda a: a.reload(a.archive_dir, 3))
    pair.same(lambda a: a.reload(a.archive_dir, -1))


@pytest.mark.slow
def test_reload(pair: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    fresh = create(pair.path, pair.space, True, False)
    with pytest.warns(UserWarning, match="reloading from"):
        fresh.reload(index=0)
    shutil.copy(pair.path / "000011.pickle.pbz2", tmp_path / "000011.pickle.pbz2")
    fresh.reload(str(tmp_path), 11)
    theirs = theirs_package.create(str(pair.path), pair.space, True, False)
    theirs.reload(str(pair.path), 0), theirs.reload(str(tmp_path), 11)
    both = Pair(pair.space, pair.path, pair.indices, fresh, theirs)
    for test in (test_simulate_train_eval, test_costs_and_latency, test_networks, test_best):
        test(both)
    for index, key, hp in itertools.product((0, 11), KEYS, HPS[pair.space]):
        for iepoch in epochs_of(hp):
            for trial in (True, False, 777, 5):
                question = ("get_more_info", index, key, iepoch, hp, trial)
                both.same(*question)
                if trial in (False, 777):  # nothing random
                    ours, expected = _ask(fresh, *question)[0], _ask(theirs, *question)[0]
                    if expected:  # objects hold what the file does, to the last bit
                        assert {**ours, "comment": 0} == {**expected, "comment": 0}
    loaded = fresh.arch2infos_dict[11]["12"]
    loaded.reset_latency("cifar10", None, 0.5)
    assert fresh.get_latency(11, "cifar10") == 0.5


@pytest.mark.slow
@pytest.mark.parametrize("space", ["tss", "sss"])
def test_single_file_and_dict(space: str, folder: Path) -> None:
    path = write_archive(folder / "single", space, SYNTHETIC, "single")
    content = official_dict(space, SYNTHETIC)
    theirs = theirs_package.create(str(path), space, False, False)
    for given in (str(path), content):
        ours = create(given, space, False, False)
        both = Pair(space, path, SYNTHETIC, ours, theirs)
        both.same(lambda a: (len(a), sorted(a.evaluated_indexes), a.fast_mode, a.archive_dir))
        if given is not content:
            both.same(repr)
        for test in (test_simulate_train_eval, test_costs_and_latency, test_networks):
            test(both)
        for key, name, hp in itertools.product(KEYS, ("valid", "test", "train"), HPS[space]):
            both.same("find_best", key, name, hp=hp)
            both.same("find_best", key, name, 100, hp=hp)
            both.same("statistics", key, hp)
        both.same("find_best", "cifar10", "test", enforce_all=True)
        for index in (3, -1, 10**6):
            both.same("get_more_info", index, "cifar10")
            both.same("query_by_index", index)
        with pytest.warns(UserWarning, match="no results"):
            assert ours.query_info_str_by_arch(3) is None
    del content["arch2infos"]
    with pytest.raises(ValueError, match="arch2infos"):
        create(content, space, False, False)


def test_topology_helpers(folder: Path) -> None:
    assert genotype_utils.topology_str2structure is not None
    space = load_table("tss", "cifar10", "embedded").space
    module = theirs_genotypes
    for index in range(0, 15625, 111):
        name = space.name_of(index)
        ours, theirs = (m.topology_str2structure(name) for m in (genotype_utils, module))
        for zero in (True, False, None):
            assert ours.to_unique_str(zero) == theirs.to_unique_str(zero)
        for question in (
            lambda s: (s.tostr(), s.check_valid(), s.nodes, s.node_N, s.node_num, len(s)),
            lambda s: (repr(s), s[0], s.node(1), s.tolist("none"), s.tolist(None)),
            lambda s: (s.check_valid_op(["none"]), s.check_valid_op(space.choice_names)),
        ):
            assert question(ours) == question(theirs)
        full = [m.TopologyStructure.str2fullstructure(name) for m in (genotype_utils, module)]
        assert full[0].tostr() == full[1].tostr()
        for method in ("str2lists", "str2matrix"):
            mine, other = (
                getattr(p.NATStopology, method)(name) for p in (ours_package, theirs_package)
            )
            assert_same(mine, other)
    assert len(genotype_utils.TopologyStructure.gen_all(["a", "b"], 3, return_ori=False)) == 8
    for bad in ("|a|", 5, "|a~1|", ""):
        for m in (genotype_utils, module):
            with pytest.raises(AssertionError):
                m.topology_str2structure(bad)
    path = write_archive(folder / "unique", "tss", [0], schedules=SHORT["tss"])
    both = [p.create(str(path), "tss", True, False) for p in (ours_package, theirs_package)]
    for index in range(0, 15625, 111):
        assert both[0].get_unique_str(index) == both[1].get_unique_str(index)
    with pytest.raises(ValueError):
        both[0].get_unique_str("no such")


def test_module_names() -> None:
    for question in (
        lambda p: p.version(),
        lambda p: (p.NATS_BENCH_API_VERSIONs, p.NATS_BENCH_SSS_NAMEs, p.NATS_BENCH_TSS_NAMEs),
        lambda p: p.search_space_info("nats-bench", "tss"),
        lambda p: p.search_space_info("nats-bench", "size"),
        lambda p: p.search_space_info("nas-bench-201", None),
    ):
        assert question(ours_package) == question(theirs_package)
    for tags in (("nats-bench", "x"), ("nas-bench-201", "tss"), ("x", "tss")):
        for package in (ours_package, theirs_package):
            with pytest.raises(ValueError):
                package.search_space_info(*tags)
    for module in ("api_size", "api_topology", "api_utils", "genotype_utils"):
        ours, theirs = (importlib.import_module(f"{p}.{module}") for p in (NAME, "nats_bench"))
        public = {
            name
            for name, value in vars(theirs).items()
            if getattr(value, "__module__", None) == theirs.__name__ and not name.startswith("_")
        }
        assert public <= set(vars(ours)), public - set(vars(ours))
    for key, name in itertools.product((*KEYS, "svhn"), ("valid", "test", "train", "x-valid")):
        expected = importlib.import_module("nats_bench.api_utils").remap_dataset_set_names(
            key, name
        )
        assert api_utils.remap_dataset_set_names(key, name) == expected
