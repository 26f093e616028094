"""What an imported archive is taken for: NATS-Bench's, own training, or neither."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import call
from synthetic_archive import SHORT, record, write_archive, write_record

from nats_gym.errors import InvalidInput, OriginWarning
from nats_gym.nats_bench import create
from nats_gym.tables import load_table, official
from nats_gym.tables.official.extraction import MixedArchive

INDICES = (0, 9, 500)


pytestmark = pytest.mark.usefixtures("home")


def own_training(index: int, trained_on: str = "digits", key: str = "cifar10-valid") -> Any:
    """An architecture's record as a build exports it, filed under another data set's key."""
    content = record("sss", index, schedules={"12": 2})
    trials = content["12"]["all_results"]
    lent = {(key, seed): trials[key, 777 + 111 * seed] for seed in (0, 1)}
    for trial in lent.values():
        trial["arch_config"]["trained_on"] = trained_on
        if key == "cifar100":
            trial["eval_names"].remove("ori-test")
    content["12"]["all_results"] = lent
    return content


def export(folder: Path, **options: Any) -> Path:
    folder.mkdir()
    for index in INDICES:
        write_record(folder / f"{index:06d}.pickle.pbz2", own_training(index, **options))
    return folder


@pytest.mark.parametrize("key", ["cifar10-valid", "cifar100"])
def test_own_training_is_a_table_of_what_it_was_trained_on(tmp_path: Path, key: str) -> None:
    path = export(tmp_path / "export", key=key)
    archive = official.import_archive(path)
    assert not archive.official
    assert archive.origin == "own training on digits"
    table = load_table("sss", "digits", path)
    assert {column.source for column in table.columns} == {"own training on digits"}
    assert {column.licence for column in table.columns} == {"unstated"}
    assert {column.note for column in table.columns} == {f"filed under {key}"}
    for split, name in (("valid", "x-valid"), ("test", "x-test" if key[-1] == "0" else "ori-test")):
        for index in INDICES:
            trials = own_training(index, key=key)["12"]["all_results"].values()
            expected = [trial["eval_acc1es"][f"{name}@1"] for trial in trials]
            assert table.accuracy(split, 2)[index].tolist() == expected
    for dataset in ("cifar10", "cifar100", "ImageNet16-120"):
        for source in (path, archive.folder):
            with pytest.raises(InvalidInput, match=f"digits, asked for was {dataset}"):
                load_table("sss", dataset, source)


def test_own_training_is_never_taken_for_the_official_archive(tmp_path, monkeypatch) -> None:
    official.import_archive(export(tmp_path / "export"))
    monkeypatch.setattr(official.OfficialArchive, "complete", True)
    assert official.newest_archive("sss") is None
    assert load_table("sss", "cifar10").source == "embedded"
    with pytest.warns(UserWarning, match="the embedded figures answer"):
        create(None, "sss", verbose=False)


def test_own_training_on_an_official_data_set_is_no_official_archive(tmp_path) -> None:
    archive = official.import_archive(export(tmp_path / "export", trained_on="cifar10"))
    assert not archive.official
    table = load_table("sss", "cifar10", archive.folder)
    assert {column.source for column in table.columns} == {"own training on cifar10"}


def test_the_command_line_and_the_nats_bench_api_say_what_an_archive_is(
    tmp_path, monkeypatch, capsys
) -> None:
    path = export(tmp_path / "export")
    code, out, err = call(monkeypatch, capsys, "data", "import", str(path))
    assert (code, err) == (0, "")
    assert "own training on digits" in out
    code, out, _ = call(monkeypatch, capsys, "data", "status")
    assert "own training on digits" in out
    assert "official NATS-Bench archive" not in out
    with pytest.warns(OriginWarning, match="under cifar10-valid: own training on digits") as told:
        api = create(str(path), "sss", verbose=False)
    assert told[0].filename == __file__
    trials = own_training(9)["12"]["all_results"]
    found = api.get_more_info(9, "cifar10-valid", hp="12", is_random=1)["valid-accuracy"]
    assert found == trials["cifar10-valid", 1]["eval_acc1es"]["x-valid@1"]
    official_one = write_archive(tmp_path, "sss", (0, 9), schedules=SHORT["sss"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create(str(official_one), "sss", verbose=False)


@pytest.mark.parametrize("how", ["other data", "official first", "official last", "one record"])
def test_a_mixed_archive_is_refused(tmp_path: Path, how: str) -> None:
    path = export(tmp_path / "export")
    other = own_training(12, "cifar10") if how == "other data" else record("sss", 12)
    if how == "one record":
        other = own_training(12)
        other["12"]["all_results"]["cifar10-valid", 0]["arch_config"].pop("trained_on")
    if how == "official first":
        (path / "000000.pickle.pbz2").unlink()
        other = record("sss", 5)
    name = {"official first": 5}.get(how, 12)
    write_record(path / f"{name:06d}.pickle.pbz2", other)
    if how == "one record":
        archive = official.import_archive(path)
        assert "000012" in archive.facts["unreadable"][0]
        return
    with pytest.raises(MixedArchive, match=r"trained on .* another record of the archive on"):
        official.import_archive(path)
    assert official.archives() == []


def test_a_mixed_single_file_is_refused(tmp_path: Path) -> None:
    infos = {0: own_training(0), 9: own_training(9), 12: record("sss", 12, schedules={"12": 2})}
    write_record(tmp_path / "one.pickle.pbz2", {"arch2infos": infos})
    with pytest.raises(MixedArchive, match="architecture 12 was trained on what it does not say"):
        official.import_archive(tmp_path / "one.pickle.pbz2")


def test_own_training_under_two_data_sets_is_refused(tmp_path: Path) -> None:
    content = own_training(0)
    content["12"]["all_results"].update(own_training(0, key="cifar100")["12"]["all_results"])
    (tmp_path / "export").mkdir()
    write_record(tmp_path / "export" / "000000.pickle.pbz2", content)
    with pytest.raises(InvalidInput, match="filed under cifar10 and cifar100"):
        official.import_archive(tmp_path / "export")


def test_training_on_unknown_data_is_unreadable(tmp_path: Path) -> None:
    path = export(tmp_path / "export")
    write_record(path / "000009.pickle.pbz2", own_training(9, "svhn"))
    archive = official.import_archive(path)
    assert "trained on 'svhn'" in archive.facts["unreadable"][0]


# ── records that do not say ──────────────────────────────────────────────────────────────────


def unsaid(index: int, change: Any) -> Any:
    content = record("tss", index, schedules=SHORT["tss"])
    for hp, results in content.items():
        for (key, _), trial in results["all_results"].items():
            change(hp, key, trial)
    return content


def other_network(hp: str, key: str, trial: Any) -> None:
    trial["arch_config"]["channel"] = 8


def other_classes(hp: str, key: str, trial: Any) -> None:
    trial["arch_config"]["class_num"] = 10


def other_costs(hp: str, key: str, trial: Any) -> None:
    trial["flop"] /= 16  # as on images of a quarter of the width


def other_accuracies(hp: str, key: str, trial: Any) -> None:
    for name, value in trial["eval_acc1es"].items():
        trial["eval_acc1es"][name] = min(value + 1, 100)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_network, "describes another network"),
        (other_classes, "describes another network"),
        (other_costs, "flops of .* are those of other networks"),
        (other_accuracies, "validation accuracies of .* not those known as measured"),
    ],
)
def test_what_contradicts_the_known_is_not_nats_bench_s(
    tmp_path, monkeypatch, change, words
) -> None:
    path = tmp_path / "archive"
    path.mkdir()
    for index in (0, 11, 500):
        write_record(path / f"{index:06d}.pickle.pbz2", unsaid(index, change))
    archive = official.import_archive(path)
    assert any(re.search(words, line) for line in archive.differences)
    table = load_table("tss", "cifar10", path)
    assert all(column.source.startswith("not NATS-Bench's") for column in table.columns)
    monkeypatch.setattr(official.OfficialArchive, "complete", True)
    assert load_table("tss", "cifar10").source == "embedded"
    with pytest.warns(OriginWarning, match="not NATS-Bench's"):
        create(path, "tss", verbose=False)


def test_other_seeds_are_not_nats_bench_s(tmp_path: Path) -> None:
    content = record("tss", 11, schedules={"12": 2})
    trials = content["12"]["all_results"]
    trials["cifar10", 5] = trials.pop(("cifar10", 111))
    (tmp_path / "archive").mkdir()
    write_record(tmp_path / "archive" / "000011.pickle.pbz2", content)
    archive = official.import_archive(tmp_path / "archive")
    assert archive.differences == ("cifar10 at hp 12 was trained with seed 5",)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("space", ["tss", "sss"])
def test_an_archive_that_agrees_is_nats_bench_s(tmp_path: Path, space: str) -> None:
    indices = (0, 5, 18, 31, 44, 57, 9930)  # some with trials whose costs are off
    archive = official.import_archive(write_archive(tmp_path, space, indices))
    assert archive.official
    assert archive.differences == ()
    columns = load_table(space, "cifar100", archive.folder).columns
    assert {c.source for c in columns} == {"official NATS-Bench archive (arXiv 2009.00437)"}
    assert {c.licence for c in columns} == {"MIT"}


def test_the_official_files_are_nats_bench_s(shared_figures: Path) -> None:
    for folder in (shared_figures / "official").iterdir():
        assert official.import_archive(folder).official


def test_an_import_of_the_first_version_is_looked_at_again(tmp_path: Path) -> None:
    good = official.import_archive(write_archive(tmp_path, "tss", (0, 11), schedules=SHORT["tss"]))
    own = official.import_archive(export(tmp_path / "export"))
    for archive in (good, own):
        facts = json.loads((archive.folder / "archive.json").read_text())
        for name in ("differences", "sizes"):
            facts.pop(name)
        (archive.folder / "archive.json").write_text(json.dumps(facts))
    assert official.find_archive(good.source).official
    assert official.newest_archive("sss") is None
    with pytest.raises(InvalidInput, match="import it again"):
        load_table("sss", "digits", own.folder)
    assert official.find_archive(tmp_path / "export") is None
    table = load_table("sss", "digits", tmp_path / "export")  # imports it
    assert not np.isnan(table.accuracy("valid", 2)[list(INDICES)]).any()
    assert len(official.archives()) == 2
