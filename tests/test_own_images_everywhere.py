"""Images of one's own wherever a data set is asked for, by real trainings of a second."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from command_line import call
from PIL import Image

import nats_gym
from nats_gym.building import Built, Plan, build
from nats_gym.datasets import get_dataset, title_of
from nats_gym.datasets import known as known_module
from nats_gym.datasets.own import facts_of, row_of
from nats_gym.errors import CorruptTable, InvalidInput
from nats_gym.evaluators import Outcome, make_evaluator, registry
from nats_gym.networks import load
from nats_gym.results.result import SearchResult
from nats_gym.results.summary import summary_grid
from nats_gym.spaces import get_space
from nats_gym.study import Study, load_study, run_study, write_report
from nats_gym.tables import load_table
from nats_gym.training.data import ImageData, load_data
from nats_gym.training.final import train_final

pytest.importorskip("sklearn")
pytestmark = pytest.mark.usefixtures("one_thread")

#: The digits 0 to 2, as they are called here.
NAMES = ("nought", "one", "two")
TRAIN = {"name": "train", "device": "cpu", "recipe": {"batch_size": 32}}
LAYOUTS = {"flat": (), "tested": ("train", "test"), "parted": ("train", "valid", "test")}


def digits() -> tuple[Any, Any]:
    """A hundred images ``(n, 8, 8)`` of three digits, and their labels."""
    data = load_data("digits")
    rows = torch.nonzero(data.labels < len(NAMES))[:, 0][:100]
    return data.images[rows, 0].numpy(), data.labels[rows].numpy()


def write_digits(folder: Path, parts: tuple[str, ...] = (), first: int = 0) -> Path:
    """Pictures in folders of classes, in turn in each of the parts."""
    images, labels = digits()
    for row, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / (parts[row % len(parts)] if parts else "") / NAMES[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(image, first)).save(place / f"{row:03}.png")
    return folder


def as_data() -> ImageData:
    """The same as an object."""
    images, labels = (torch.from_numpy(one) for one in digits())
    rows = torch.arange(len(labels))
    splits = {"train": rows[:60], "x-valid": rows[60:80], "x-test": rows[80:]}
    whole = images[:, None].expand(-1, 3, -1, -1).contiguous()
    grey = (0.3, 0.3, 0.3)
    return ImageData("objects", 3, whole, labels, splits, grey, grey, 1, classes=NAMES)


def forget(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on another machine."""
    monkeypatch.setenv("NATS_GYM_HOME", str(home))
    monkeypatch.setattr(known_module, "_registered", {})


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    forget(tmp_path / "home", monkeypatch)
    known_module._brought.cache_clear()
    yield
    known_module._brought.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_digits(tmp_path / "pictures")


# ── where data sets are asked for ────────────────────────────────────────────────────────────


@pytest.mark.one_in(4)
@pytest.mark.parametrize("kind", ["path", "object"])
@pytest.mark.parametrize("env_id", ["NATS-SSS-v0", "NATS-TSS-Budgeted-v0", "mo-NATS-SSS-v0"])
def test_environments_train_on_them(kind: str, env_id: str, folder: Path) -> None:
    given: Any = as_data() if kind == "object" else str(folder)
    budget = {"time_budget": 1e6} if "Budgeted" in env_id else {}
    env = gym.make(env_id, dataset=given, evaluator=TRAIN, epochs=1, **budget)
    env.reset(seed=1)
    space = env.unwrapped.architecture_space
    for _ in range(space.num_decisions):
        *_, info = env.step(1 if space.name == "tss" else 0)
    index = np.array([space.index([1 if space.name == "tss" else 0] * space.num_decisions)])
    alone = make_evaluator(TRAIN, space.name, get_dataset(given).name)
    outcome = alone.evaluate(index, 1, np.zeros(1, np.uint64))
    assert info["accuracy"] == outcome.accuracy[0]


def test_vectors_and_searches_take_an_object() -> None:
    data = as_data()
    vector = gym.make_vec(
        "NATS-SSS-OneShot-v0", num_envs=2, dataset=data, evaluator=TRAIN, epochs=1
    )
    vector.reset(seed=0)
    vector.step(np.zeros((2, 5), np.int64))
    found = nats_gym.search("sss", data, "random", 1, evaluations=2, evaluator=TRAIN, seed=3)
    assert found.arguments.dataset == get_dataset(data).name
    by_name = nats_gym.search(
        *("sss", found.arguments.dataset, "random", 1), evaluations=2, evaluator=TRAIN, seed=3
    )
    np.testing.assert_array_equal(found.accuracy, by_name.accuracy)
    assert get_dataset(data).classes == NAMES
    assert load_data(found.arguments.dataset).classes == NAMES


@pytest.fixture
def built(folder: Path, tmp_path: Path) -> Built:
    plan = Plan.of("sss", str(folder), 1, {"batch_size": 32})
    return build(tmp_path / "build", plan, np.array([0, 1, 9]), 2, devices=("cpu",))


def test_a_build_serves_searches_and_studies_and_reports_without_the_images(
    built: Built, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, source = get_dataset(folder).name, str(tmp_path / "build" / "table")
    assert built.table.dataset == name
    shared = nats_gym.search(
        *("sss", str(folder), "tas"),
        supernet_epochs=1,
        source=source,
        options={"batch_size": 32, "device": "cpu"},
    )
    assert np.isin(shared.index, [0, 1, 9]).all()  # a supernet trained on the pictures
    search = {"space": "sss", "dataset": str(folder), "epochs": 1, "evaluations": 2}
    spec = {"runs": 2, "source": source, "searches": [search], "agents": {"random": {}}}
    run_study(Study.of(spec), tmp_path / "study")
    params = float(get_space("sss").params([0] * 5, name))

    shutil.rmtree(folder)
    forget(tmp_path / "elsewhere", monkeypatch)
    with pytest.raises(InvalidInput, match="dataset"):
        get_dataset(name)
    study = load_study(tmp_path / "study")
    ((cell),) = study.cells
    assert cell.result.table.dataset == name
    page = write_report(tmp_path / "study")
    assert title_of(name) == "pictures"
    assert "pictures" in Path(page).read_text(encoding="utf-8")
    assert float(get_space("sss").params([0] * 5, name)) == params  # the table says of what
    assert load_table("sss", name, source).mean_accuracy()[[0, 1, 9]].min() > 0
    with pytest.raises(InvalidInput, match="Give their folder again"):
        load_data(name)


@pytest.mark.slow
def test_a_table_that_forges_what_images_are(
    built: Built, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    from nats_gym.files.untrusted import checksum_of
    from nats_gym.tables.folder import MANIFEST, read_manifest

    place = tmp_path / "build" / "table"
    forget(tmp_path / "elsewhere", monkeypatch)
    whole = json.loads((place / MANIFEST).read_text("utf-8"))
    for changes in ({"resolution": 9}, {"name": "pictures-000000000000"}, {"classes": 3}):
        manifest = {**whole, "images": {**whole["images"], **changes}}
        manifest["checksum"] = checksum_of(manifest)
        (place / MANIFEST).write_text(json.dumps(manifest), "utf-8")
        with pytest.raises(CorruptTable, match=r"manifest\.json"):
            read_manifest(place)
    assert known_module._registered == {}


class Formula:
    """Answers by a formula."""

    identity = "formula"

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Outcome:
        return Outcome(index % 97.0, np.ones(len(index)), "measured", "measured")


def make_formula(space: str, dataset: str) -> Formula:
    return Formula()


@pytest.fixture
def formula(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._OWN, "formula", f"{__name__}:make_formula")


@pytest.mark.usefixtures("formula")
def test_results_of_real_searches_are_read_where_the_images_are_not(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    found = nats_gym.search("sss", str(folder), "rea", 1, evaluations=4, evaluator="formula")
    found.save(tmp_path / "found")
    search = {"space": "sss", "dataset": as_data(), "evaluations": 4, "evaluator": "formula"}
    study = Study.of({"runs": 2, "searches": [search], "agents": {"random": {}}})
    assert get_dataset(as_data()).name in study.text
    run_study(study, tmp_path / "study")
    forget(tmp_path / "elsewhere", monkeypatch)
    again = SearchResult.load(tmp_path / "found")
    np.testing.assert_array_equal(again.index, found.index)
    assert summary_grid({"rea": again}).row_count
    again.save(tmp_path / "copy")
    (cell,) = load_study(tmp_path / "study").cells
    assert title_of(cell.result.arguments.dataset) == "objects"
    forged = (tmp_path / "found" / "run.json").read_text("utf-8")
    (tmp_path / "found" / "run.json").write_text(
        forged.replace(found.arguments.dataset, "../pictures"), "utf-8"
    )
    with pytest.raises(Exception, match="dataset"):
        SearchResult.load(tmp_path / "found")


@pytest.mark.one_in(3)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_command_line_trains_and_predicts(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    own = write_digits(tmp_path / "mine", LAYOUTS[layout])
    line = ("train", "sss", "8:8:8:8:8", "--dataset", "mine", "--epochs", "6", "--device", "cpu")
    told = ("--recipe", "batch_size=8", "--recipe", "learning_rate=0.02", "--out", "net")
    code, _, err = call(monkeypatch, capsys, *line, *told)
    assert code == 0, err
    card = load(tmp_path / "net").card
    assert (card.classes, card.dataset) == (tuple(sorted(NAMES)), get_dataset(own).name)
    pictures = sorted(own.rglob("*.png"))[::9]
    code, out, err = call(monkeypatch, capsys, "predict", "net", *map(str, pictures))
    assert code == 0, err
    told_classes = [row.split("\t")[1] for row in out.splitlines()]
    right = [name == path.parent.name for name, path in zip(told_classes, pictures, strict=True)]
    assert np.mean(right) > 0.6  # of three classes


# ── what changed in between ──────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.usefixtures("formula")
def test_a_folder_that_changed_is_refused_by_what_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def search(evaluations: int = 3) -> Any:
        return nats_gym.search(
            *("sss", str(folder), "rea", 1),
            evaluations=evaluations,
            evaluator="formula",
            checkpoints=tmp_path / "journal",
        )

    spec = {
        "runs": 2,
        "searches": [
            {"space": "sss", "dataset": str(folder), "evaluations": 3, "evaluator": "formula"}
        ],
        "agents": {"random": {}},
    }
    line = ("search", "--space", "sss", "--dataset", str(folder), "--agent", "random")
    line += ("--evaluator", "formula", "--evaluations", "3", "--out", str(tmp_path / "out"))

    def make() -> None:
        search()
        run_study(Study.of(spec), tmp_path / "study")
        build(tmp_path / "build", Plan.of("sss", str(folder), 1), np.array([0]), devices=("cpu",))
        train_final("sss", 0, folder, tmp_path / "final", epochs=1, device="cpu")

    make()
    assert call(monkeypatch, capsys, *line)[0] == 0
    before = get_dataset(folder).name
    make()  # what did not change goes on
    assert call(monkeypatch, capsys, *line)[0] == 0
    write_digits(folder, first=1)
    after = get_dataset(folder).name
    assert before != after
    for going_on, match in (
        (search, "journal of another search.*" + before),
        (lambda: run_study(Study.of(spec), tmp_path / "study"), f"changed.*{before} to {after}"),
        (lambda: build(tmp_path / "build", Plan.of("sss", str(folder), 1), np.array([0])), before),
        (lambda: train_final("sss", 0, folder, tmp_path / "final", epochs=1), "another"),
    ):
        with pytest.raises(InvalidInput, match=match):
            going_on()
    code, _, err = call(monkeypatch, capsys, *line)
    assert code == 2
    assert len(err.strip().splitlines()) == 1


def test_a_study_may_be_given_further_data_sets(
    folder: Path, tmp_path: Path, formula: None
) -> None:
    other = write_digits(tmp_path / "others", first=1)
    search = {"space": "sss", "evaluations": 2, "evaluator": "formula"}
    spec: dict[str, Any] = {"runs": 2, "agents": {"random": {}}}
    for several in ([str(folder)], [str(folder), str(other)]):
        spec["searches"] = [{**search, "datasets": several}]
        run_study(Study.of(spec), tmp_path / "study")
    assert len(load_study(tmp_path / "study").cells) == 2


def test_an_evaluator_of_other_images_is_refused(folder: Path, tmp_path: Path) -> None:
    mine, other = get_dataset(folder).name, write_digits(tmp_path / "others", first=1)
    nats_gym.register_dataset("short", folder)
    evaluator = make_evaluator(TRAIN, "sss", mine)
    assert isinstance(getattr(evaluator, "dataset", None), str)
    named = SimpleNamespace(dataset="short", evaluate=Formula().evaluate)
    for given, own in ((evaluator, mine), (named, "short")):
        gym.make("NATS-SSS-v0", dataset=own, evaluator=given)
        for dataset in (str(other), "digits"):
            with pytest.raises(InvalidInput, match="the evaluator answers for the data set"):
                gym.make("NATS-SSS-v0", dataset=dataset, evaluator=given)


# ── data sets that other packages bring ──────────────────────────────────────────────────────


def test_entry_points_bring_data_sets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each names a path, an object or a row; one that cannot be loaded is one clear error."""
    monkeypatch.setattr("nats_gym.datasets.known.entry_points", entry_points)
    monkeypatch.setattr(f"{__name__}.PATH", folder)
    assert {"by-path", "by-object", "broken"} <= {*known_module.known_datasets()}
    row = get_dataset("by-path")
    assert row.classes == tuple(sorted(NAMES))
    assert get_dataset("by-path") is row
    assert get_dataset("by-object").classes == NAMES
    env = gym.make("NATS-SSS-v0", dataset="by-object", evaluator=TRAIN, epochs=1)
    assert env.unwrapped.dataset == get_dataset(as_data()).name
    with pytest.raises(InvalidInput, match="'broken' cannot be loaded"):
        get_dataset("broken")
    with pytest.raises(InvalidInput, match="Did you mean 'by-path'"):
        get_dataset("by-pathh")


PATH = Path()
OBJECT = SimpleNamespace()


def entry_points(group: str) -> list[metadata.EntryPoint]:
    assert group == "nats_gym.datasets"
    OBJECT.data = as_data()
    places = {"by-path": "PATH", "by-object": "OBJECT.data", "broken": "NOTHING"}
    return [
        metadata.EntryPoint(name, f"{__name__}:{place}", group) for name, place in places.items()
    ]


def test_what_is_kept_says_itself_what_it_is(folder: Path) -> None:
    row = get_dataset(folder)
    facts = facts_of(row.name)
    assert facts is not None
    assert row_of(facts) == row
    for changes in ({"mean": [1, 2, 3]}, {"digest": "0"}, {"name": "pictures"}):
        with pytest.raises(ValueError, match="name of other images"):
            row_of({**facts, **changes})
