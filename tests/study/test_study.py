"""Studies: what a file may say, how one runs and goes on, what is replayed, who leads."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import call
from scipy.stats import rankdata
from small_study import study_text

import nats_gym
from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, MissingStudy, NotInTable, UnreadableResult
from nats_gym.results.files import RECORDED
from nats_gym.results.result import SearchResult
from nats_gym.spaces import get_space
from nats_gym.study import (
    Study,
    load_study,
    rank_agents,
    read_study,
    run_study,
    save_leaderboard,
    validate,
)
from nats_gym.tables import MEASURED, Column, write_table
from nats_gym.tables.folder import sha256_of

SPEC: dict[str, Any] = {
    "name": "small",
    "runs": 6,
    "seed": 3,
    "searches": [
        {"space": "tss", "datasets": ["cifar10", "cifar100"], "epochs": 12, "budget": 3000},
        {"space": "sss", "dataset": "cifar10", "budget": 20_000},
    ],
    "agents": {
        "random": {},
        "best improvement": {"agent": "local-search", "options": {"improvement": "best"}},
        "asha": {"workers": 3},
        "ppo": {"runs": 2},
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_study(Study.of(SPEC), tmp_path_factory.mktemp("study") / "small", jobs=1)


def test_a_study_with_rungs_of_its_own_goes_on(tmp_path: Path) -> None:
    spec = {**SPEC, "agents": {"asha": {"rungs": [12, 200], "budget": 30_000.0}}, "runs": 1}
    spec["searches"] = SPEC["searches"][:1]
    run_study(Study.of(spec), tmp_path, jobs=1)
    before = files_of(tmp_path)
    run_study(Study.of(spec), tmp_path, jobs=1)
    assert files_of(tmp_path) == before


def files_of(folder: Path) -> dict[str, str]:
    """Digest of every cell's runs."""
    return {path.parent.name: sha256_of(path) for path in folder.glob("cells/*/runs.npz")}


def test_the_study_of_clothes_searches_tables_of_its_own(tmp_path: Path, monkeypatch) -> None:
    """Such as scripts/train_fashion.py leaves; who is first there, the prior says."""
    monkeypatch.chdir(tmp_path)
    images, trained = Path("results/fashion/fashion-mnist.npz"), np.arange(0, 15_000, 500)
    images.parent.mkdir(parents=True)
    rng = np.random.default_rng(0)
    pictures, labels = rng.integers(0, 256, (50, 28, 28), np.uint8), np.arange(50) % 10
    np.savez(images, images=pictures, labels=labels)
    of = get_dataset(f"{images}?resolution=8").name
    accuracy, seconds, validation = (
        Column(quantity, MEASURED, "own", "none", **facts)
        for quantity, facts in (
            ("accuracy", {"split": "valid", "epochs": 4, "trials": (0,)}),
            ("train_seconds_per_epoch", {}),
            ("evaluation_seconds", {"split": "valid"}),
        )
    )
    for space in ("tss", "sss"):
        figures = np.full((get_space(space).size, 1), np.nan, np.float32)
        figures[trained, 0] = rng.uniform(50, 90, len(trained))
        (images.parent / space).mkdir()
        table = images.parent / space / "table"
        columns = [(accuracy, figures), *((one, figures[:, 0]) for one in (seconds, validation))]
        write_table(table, space, of, columns)
    text = (Path(__file__).parents[2] / "studies" / "transfer-fashion.toml").read_text("utf-8")
    study = Study.of(tomllib.loads(text) | {"runs": 2})
    groups = load_study(run_study(study, tmp_path / "out", jobs=1)).groups()
    assert {group.space for group in groups} == {"tss", "sss"}
    for group, searches in groups.items():
        ranks = [
            rankdata(nats_gym.load_table(group.space, name).mean_accuracy("valid"))[trained]
            for name in ("cifar10", "cifar100", "ImageNet16-120")
        ]
        for label, result in searches.items():
            assert result.index.shape == (2, 10)
            assert np.isin(result.index, trained).all()
            knows = label in ("transfer", "few-shot, prior")
            assert ("prior" in result.provenance) == knows
            if knows:  # none of the 30 is ahead of it on all three
                first = trained.tolist().index(result.index[0, 0])
                assert not np.all([rank > rank[first] for rank in ranks], axis=0).any()


# ── what a file may say ──────────────────────────────────────────────────────────────────────


def test_the_shipped_study_is_the_papers_protocol() -> None:
    study = read_study(Path(__file__).parents[2] / "studies" / "nats-bench.toml")
    budgets = {
        (c.arguments["space"], c.arguments["dataset"]): c.arguments["budget"] for c in study.cells
    }
    assert budgets == {
        ("tss", "cifar10"): 20_000,
        ("tss", "cifar100"): 40_000,
        ("tss", "ImageNet16-120"): 120_000,
        ("sss", "cifar10"): 20_000 * 90 / 12,
        ("sss", "cifar100"): 40_000 * 90 / 12,
        ("sss", "ImageNet16-120"): 60_000 * 90 / 12,
    }
    agents = {"random", "rea", "reinforce", "bohb", "local-search", "hyperband", "asha"}
    assert {cell.label for cell in study.cells} == agents
    assert {cell.arguments["runs"] for cell in study.cells} == {500}
    assert len(study.cells) == 42


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"agents": {}}, "one at least"),
        ({"agents": None}, "one at least"),
        ({"agents": {"random": 3}}, "is a table, got 3"),
        ({"agents": {"rando": {}}}, "agent 'rando' of the study: .*Did you mean 'random'"),
        ({"agents": {"rea": {"worker": 3}}}, "key of agent 'rea'.*Did you mean 'workers'"),
        (
            {"agents": {"rea": {"options": {"n": 3}}}},
            "unknown option of rea 'n'; allowed: population",
        ),
        ({"agents": {"asha": {"options": {"eta": 1}}}}, "agent 'asha' of the study: asha: eta is"),
        ({"agents": {"asha": {"spaces": []}}}, "runs one agent at least"),
        ({"agents": {"asha": {"spaces": ["tts"]}}}, "Did you mean 'tss'"),
        ({"agents": {"asha": {"spaces": "tss"}}}, "are a list"),
        ({"agents": {"a" * 101: {"agent": "rea"}}}, "(of at most|1 to) 100 characters"),
        ({"agents": {"ppo-weights": {"workers": 3}}}, "study: ppo-weights learns in one"),
        (
            {"agents": {"a b": {"agent": "rea"}, "a-b": {"agent": "rea"}}},
            "cells of the study are one",
        ),
        ({"searches": []}, "one at least"),
        ({"searches": [3]}, "is a table, got 3"),
        ({"searches": [{"dataset": "cifar10"}]}, "lacks its space"),
        ({"searches": [{"space": "tss"}]}, "names its datasets"),
        ({"searches": [{"space": "tss", "datasets": []}]}, "one name at least"),
        ({"searches": [{"space": "tss", "datasets": ["cifar11"]}]}, "Did you mean 'cifar10'"),
        ({"searches": [{"space": "ts", "dataset": "cifar10"}]}, "unknown space 'ts'"),
        (
            {"searches": [{"space": "tss", "dataset": "cifar10", "budgets": 1}]},
            "Did you mean 'budget'",
        ),
        ({"runs": 0}, "runs is an integer from 1 to"),
        ({"seed": -1}, "a seed is an integer"),
        ({"source": 3}, "a source other than"),
        ({"name": 3}, "name is text"),
        ({"run": 3}, "Did you mean 'runs'"),
    ],
)
def test_what_no_study_says_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Study.of({**SPEC, **change})


def test_a_study_made_in_python_is_written_as_a_file_that_says_the_same(
    folder: Path, tmp_path: Path
) -> None:
    again = read_study(folder / "study.toml")
    study = Study.of(SPEC)
    assert [cell.name for cell in again.cells] == [cell.name for cell in study.cells]
    assert [cell.arguments for cell in again.cells] == [cell.arguments for cell in study.cells]


def test_files_that_are_no_study_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingStudy, match="no study at"):
        read_study(tmp_path / "none.toml")
    for content, message in ((b"= 3", "is no TOML"), (b"\xff", "no study is read")):
        (tmp_path / "study.toml").write_bytes(content)
        with pytest.raises(InvalidInput, match=message):
            read_study(tmp_path / "study.toml")


# ── running ──────────────────────────────────────────────────────────────────────────────────


def test_every_cell_is_the_search_that_it_says(folder: Path) -> None:
    study = load_study(folder)
    assert study.name == "small"
    assert [cell.label for cell in study.cells[:4]] == list(SPEC["agents"])
    assert len(study.cells) == 11
    assert [(s.label, s.space) for s in study.skipped] == [("asha", "sss")]
    assert "90 epochs only" in study.skipped[0].reason
    for cell in study.cells:
        arguments = dict(cell.result.arguments)
        again = nats_gym.search(**arguments)
        assert arguments["runs"] == (2 if cell.label == "ppo" else 6)
        for name in RECORDED:
            found, expected = getattr(cell.result, name), getattr(again, name)
            np.testing.assert_array_equal(found, expected)
        told = study.record["cells"][cell.name]
        assert told["provenance"] == dict(cell.result.provenance)
        assert told["real_seconds"] > 0
    groups = study.groups()
    assert [tuple(group)[:3] for group in groups] == [
        ("tss", "cifar10", 12),
        ("tss", "cifar100", 12),
        ("sss", "cifar10", 90),
    ]
    assert list(groups[next(iter(groups))]) == list(SPEC["agents"])


@pytest.mark.slow
def test_two_processes_find_the_same(folder: Path, tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    agents = {label: agent for label, agent in SPEC["agents"].items() if label != "ppo"}  # quick
    spec = {**SPEC, "searches": SPEC["searches"][:1], "agents": agents}
    again = run_study(
        Study.of(spec), tmp_path / "again", jobs=2, progress=lambda *told: done.append(told)
    )
    found, expected = files_of(again), files_of(folder)
    assert found.items() <= expected.items()
    assert len(found) == 6
    assert done[0] == (0, 36)
    assert done[-1] == (36, 36)
    assert done == sorted(done)
    assert not list(again.glob("blocks/*"))


def test_a_finished_study_is_left_alone_and_grows(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    times = {path: path.stat().st_mtime_ns for path in copy.glob("cells/*/runs.npz")}
    grown = {**SPEC, "agents": {**SPEC["agents"], "rea": {}}}
    run_study(Study.of(grown), copy, jobs=1)
    assert len(load_study(copy).cells) == 14
    for path, before in times.items():
        assert path.stat().st_mtime_ns == before
    assert all(told["real_seconds"] for told in load_study(copy).record["cells"].values())


@pytest.mark.parametrize("change", [{"seed": 4}, {"runs": 7}, {"trial": "mean"}])
def test_results_of_another_study_are_not_mixed(folder: Path, change: dict[str, Any]) -> None:
    before = files_of(folder)
    record, text = (folder / "study.json").read_text(), (folder / "study.toml").read_text()
    with pytest.raises(InvalidInput, match="take another folder"):
        run_study(Study.of({**SPEC, **change}), folder, jobs=1)
    assert files_of(folder) == before
    assert (folder / "study.json").read_text() == record
    assert (folder / "study.toml").read_text() == text


def test_one_process_at_a_time(tmp_path: Path) -> None:
    from filelock import FileLock

    with FileLock(tmp_path / ".lock"), pytest.raises(InvalidInput, match="another process"):
        run_study(Study.of(SPEC), tmp_path)


def test_wrong_arguments_of_a_run_are_refused(tmp_path: Path) -> None:
    for jobs in (0, -1, 1.5, True):
        with pytest.raises(InvalidInput, match="jobs is an integer from 1 to"):
            run_study(Study.of(SPEC), tmp_path, jobs=jobs)  # type: ignore[arg-type]
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="cannot be a folder"):
        run_study(Study.of(SPEC), tmp_path / "file")
    only = {"searches": SPEC["searches"][1:], "agents": {"asha": {}}}
    with pytest.raises(NotInTable, match="no cell of the study can run"):
        run_study(Study.of({**SPEC, **only}), tmp_path / "none")


OWN = """
import numpy as np

class First:
    def __init__(self, space, streams, digit=0):
        self.choices = np.full((streams.runs, space.num_decisions), digit)
    def ask(self):
        return self.choices
    def tell(self, outcome):
        pass
"""


@pytest.mark.slow
def test_agents_of_ones_own_lie_beside_the_file_or_are_called(tmp_path: Path) -> None:
    (tmp_path / "own_agents_of_a_study.py").write_text(OWN)
    (tmp_path / "own.toml").write_text(
        'runs = 2\n[[searches]]\nspace = "tss"\ndataset = "cifar10"\nepochs = 12\nbudget = 1000\n'
        '[agents.first]\nagent = "own_agents_of_a_study:First"\noptions = {digit = 3}\n'
        '[agents.same]\nagent = "own_agents_of_a_study:First"\n'
    )
    code = (
        "from nats_gym.study import *; "
        f"run_study(read_study({str(tmp_path / 'own.toml')!r}), {str(tmp_path / 'out')!r}, jobs=2)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")
    cells = load_study(tmp_path / "out").cells
    # The copy of the file beside the results says where the module lies.
    again = f"from nats_gym.study import *; read_study({str(tmp_path / 'out' / 'study.toml')!r})"
    subprocess.run([sys.executable, "-c", again], check=True, cwd="/")
    choices = [
        cell.result.table.space.choices(cell.result.recommended[0]).tolist() for cell in cells
    ]
    assert choices == [[3] * 6, [0] * 6]

    class Mine:
        def __init__(self, space, streams):
            self.choices = np.full((streams.runs, space.num_decisions), 2)

        def ask(self):
            return self.choices

        def tell(self, outcome):
            pass

    spec = {**SPEC, "searches": SPEC["searches"][:1], "agents": {"mine": {"agent": Mine}}}
    run_study(Study.of(spec), tmp_path / "mine", jobs=2)
    result = load_study(tmp_path / "mine").cells[0].result
    assert result.table.space.choices(result.recommended).tolist() == [[2] * 6] * 6


# ── killed ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_study_killed_within_a_cell_goes_on_to_the_same_results(tmp_path: Path) -> None:
    (tmp_path / "long.toml").write_text(study_text(20, 1500, "rea", "ppo"))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "nats_gym", "study", str(tmp_path / "long.toml")]
    with subprocess.Popen(
        [*command, "--out", str(out), "--jobs", "1"], start_new_session=True
    ) as process:
        give_up = time.monotonic() + 240
        while not list(out.glob("blocks/*/[0-9]*/runs.npz")):
            assert process.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    kept = list(out.glob("blocks/*/[0-9]*/runs.npz"))
    assert not list(out.glob("cells/*ppo"))
    with pytest.raises(UnreadableResult, match="is not finished: 0 of 2 cells"):
        load_study(out)
    before = {path: path.read_bytes() for path in kept}
    whole = run_study(read_study(tmp_path / "long.toml"), tmp_path / "whole", jobs=2)
    run_study(read_study(tmp_path / "long.toml"), out, jobs=2)
    assert files_of(out) == files_of(whole)
    assert len(files_of(out)) == 2
    first = SearchResult.load(next(out.glob("cells/*ppo"))).index[:10]
    with np.load(_at(before, tmp_path)) as block:
        np.testing.assert_array_equal(first[:, : block["index"].shape[1]], block["index"])


def _at(before: dict[Path, bytes], folder: Path) -> Path:
    """The first block of those that were kept, written again."""
    path = folder / "block.npz"
    path.write_bytes(next(content for at, content in before.items() if at.parent.name == "0"))
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("study.json", b"{"),
        ("study.json", b"[]"),
        ("study.json", b'{"name": "x", "finished": true, "cells": {"a": 3}, "skipped": []}'),
        ("study.json", None),
        ("cells/tss-cifar10-12-3000s-random/runs.npz", b"PK"),
        ("cells/tss-cifar10-12-3000s-random/run.json", None),
    ],
)
def test_damaged_studies_are_refused(folder: Path, tmp_path: Path, name: str, content: Any) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(content)
    with pytest.raises((UnreadableResult, MissingStudy)):
        load_study(copy)


# ── replaying ────────────────────────────────────────────────────────────────────────────────


def forge(folder: Path, change: Any) -> None:
    """Change a search's arrays, and its record so that they fit."""
    with np.load(folder / "runs.npz") as arrays:
        forged = {name: arrays[name].copy() for name in arrays}
    change(forged)
    np.savez_compressed(folder / "runs.npz", **forged)
    record = json.loads((folder / "run.json").read_text())
    record["runs_sha256"] = sha256_of(folder / "runs.npz")
    (folder / "run.json").write_text(json.dumps(record))
    if "summary" in record:
        with suppress(UnreadableResult):  # which has no summary
            record["summary"] = SearchResult.load(folder).summary()
            (folder / "run.json").write_text(json.dumps(record))


def test_what_was_run_holds(folder: Path) -> None:
    verdicts = list(validate(folder))
    assert len(verdicts) == 11
    for verdict in verdicts:
        assert verdict.holds, verdict.reasons
        assert verdict.valid.all()
        assert len(verdict.valid) == verdict.result.runs


def better(arrays: dict[str, Any]) -> None:
    arrays["accuracy"][2, 4] += 1.0


def cheaper(arrays: dict[str, Any]) -> None:
    arrays["seconds"][2, 4] -= 1.0


def slower_clock(arrays: dict[str, Any]) -> None:
    arrays["clock"][2, 4:] -= 1.0


def another(arrays: dict[str, Any]) -> None:
    arrays["index"][2, 4] += 1


def shorter(arrays: dict[str, Any]) -> None:
    there = np.flatnonzero(arrays["index"][2] >= 0)
    for name in ("index", "rung", "evaluation", "continues"):
        arrays[name][2, there[-2:]] = -1
    for name in ("accuracy", "seconds", "clock"):
        arrays[name][2, there[-2:]] = np.nan


def without_the_worst(arrays: dict[str, Any]) -> None:
    """Leaves an evaluation out, and closes the gap."""
    for name in RECORDED:
        row = arrays[name][2]
        row[3:-1] = row[4:].copy()


def chosen_trial(arrays: dict[str, Any]) -> None:
    arrays["evaluation"][2, 4] = 1_234


def padded(arrays: dict[str, Any]) -> None:
    arrays["accuracy"][2, -1] = 99.0
    arrays["index"][2, -1] = -1


def another_answer(arrays: dict[str, Any]) -> None:
    arrays["recommended"][2] = arrays["index"][2, 0] + 1


def out_of_the_space(arrays: dict[str, Any]) -> None:
    arrays["index"][2, 4] = 99_999


def gap(arrays: dict[str, Any]) -> None:
    arrays["index"][2, 4] = -1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (better, "an accuracy is not the table's"),
        (cheaper, "seconds are not the table's"),
        (slower_clock, "clock does not add up"),
        (another, "is not the table's"),
        (shorter, "stops before its budget"),
        (without_the_worst, "not in order"),
        (chosen_trial, "not in order"),
        (padded, "no evaluations, or some behind its last"),
        (another_answer, "not its best observed"),
        (out_of_the_space, "holds architectures that tss has not"),
        (gap, "no evaluations, or some behind its last"),
    ],
)
def test_forged_runs_do_not_hold(folder: Path, tmp_path: Path, change: Any, message: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder / "cells" / "tss-cifar10-12-3000s-random", copy)
    forge(copy, change)
    (verdict,) = validate(copy)
    assert not verdict.holds
    reasons = [reason for run, reason in verdict.reasons.items()]
    assert any(re.search(message, reason) for reason in reasons), reasons
    if len(verdict.valid):
        assert verdict.valid.tolist() == [True, True, False, True, True, True]


def test_alphas_do_not_excuse_a_search_from_its_clock(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder / "cells" / "tss-cifar10-12-3000s-random", copy)

    def add_alphas(arrays: dict[str, Any]) -> None:
        arrays["alphas"] = np.zeros((*arrays["index"].shape, 6, 5))
        arrays["recommended"] = arrays["index"][:, 0]

    forge(copy, add_alphas)
    (verdict,) = validate(copy)
    assert "only weight-sharing searches have alphas" in verdict.reasons[-1]


def test_a_forged_summary_or_budget_does_not_hold(folder: Path, tmp_path: Path) -> None:
    for number, (keys, value, message) in enumerate(
        (
            (("summary", "regret", "mean"), 0.0, "summary"),
            (("arguments", "budget"), 2000.0, "goes on after its budget"),
            (("arguments", "seed"), 9, "accuracy is not"),
            (("arguments", "trial"), "mean", "accuracy is not"),
            (("provenance", "checksum"), "0" * 64, "checksum"),
            (("provenance", "search_accuracy"), "measured", "provenance is not"),
            (("arguments", "runs"), 500, "claims 500 runs and has 6"),
            (("arguments", "continuing"), "scratch", "continuing= is for"),
            (("arguments", "rungs"), [12, 200], "rungs= is for"),
            (("arguments", "budget"), "3000", "a budget is"),
            (("arguments", "first_run"), 10**12, "accuracy is not"),
            (("arguments", "epochs"), "12", "epochs is an integer"),
            (("arguments", "options"), {"n": 3}, "random takes no options"),
            (("arguments",), {}, "space"),
            (("summary",), None, "summary"),
        )
    ):
        copy = tmp_path / str(number)
        shutil.copytree(folder / "cells" / "tss-cifar10-12-3000s-random", copy)
        record = json.loads((copy / "run.json").read_text())
        place = record
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
        (copy / "run.json").write_text(json.dumps(record))
        (verdict,) = validate(copy)
        assert any(message in reason for reason in verdict.reasons.values()), verdict.reasons


@pytest.mark.parametrize("budget", ["3000", [], None, -1])
def test_a_budget_that_is_none_is_not_loaded(folder: Path, tmp_path: Path, budget: Any) -> None:
    copy = shutil.copytree(folder / "cells" / "tss-cifar10-12-3000s-random", tmp_path / "copy")
    record = json.loads((copy / "run.json").read_text())
    record["arguments"]["budget"] = budget
    (copy / "run.json").write_text(json.dumps(record))
    with pytest.raises(UnreadableResult, match="a budget is a positive number of seconds"):
        SearchResult.load(copy)


def test_forged_work_of_many_workers_does_not_hold(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder / "cells" / "tss-cifar10-12-3000s-asha", copy)

    def earlier(arrays: dict[str, Any]) -> None:
        arrays["clock"][1, 5:] -= 7.0

    forge(copy, earlier)
    (verdict,) = validate(copy)
    assert "do not fit on 3 workers" in verdict.reasons[1]
    record = json.loads((copy / "run.json").read_text())
    shutil.copytree(folder / "cells" / "tss-cifar10-12-3000s-asha", copy, dirs_exist_ok=True)
    record = json.loads((copy / "run.json").read_text())
    record["arguments"]["workers"] = 2
    (copy / "run.json").write_text(json.dumps(record))
    (verdict,) = validate(copy)
    assert all("do not fit on 2 workers" in reason for reason in verdict.reasons.values())


def test_a_study_is_replayed_by_any_path(folder: Path, tmp_path: Path, monkeypatch) -> None:
    hidden = tmp_path / ".hidden"
    shutil.copytree(folder / "cells", hidden / "cells")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert len(list(validate("../.hidden"))) == 11


def test_a_folder_without_searches_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingStudy, match="no search in"):
        list(validate(tmp_path))


# ── who leads ────────────────────────────────────────────────────────────────────────────────


def test_the_leaderboard_pools_seeds_counts_once_and_admits_what_holds(tmp_path: Path) -> None:
    def save(name: str, agent: str, **arguments: Any) -> SearchResult:
        given = {"epochs": 12, "budget": 3000, "runs": 4, **arguments}
        result = nats_gym.search("tss", "cifar10", agent, **given)
        result.save(tmp_path / name)
        return result

    first, second = save("a", "random", seed=0), save("b", "random", seed=1)
    save("c", "random", seed=0, runs=3)  # runs of a again
    best = save("d", "local-search", seed=0)
    save("e", "rea", seed=0)
    forge(tmp_path / "e", better)
    save("f", "random", seed=0, budget=4000)
    verdicts = list(validate(tmp_path))
    boards = rank_agents(verdicts)
    assert [board.budget for board in boards] == [3000, 4000]
    entries = next(iter(boards.values()))
    by_agent = {entry.agent: entry for entry in entries}
    assert set(by_agent) == {"random", "local-search"}
    assert by_agent["random"].runs == 8
    expected = np.concatenate([first.full_schedule_accuracy(), second.full_schedule_accuracy()])
    assert sorted(by_agent["random"].valid) == sorted(expected)
    assert sorted(by_agent["local-search"].valid) == sorted(best.full_schedule_accuracy())
    assert by_agent["random"].contradicted == 0
    means = [entry.valid.mean() for entry in entries]
    assert means == sorted(means, reverse=True)
    assert by_agent["random"].test is None
    rejected = [verdict for verdict in verdicts if not verdict.holds]
    page = save_leaderboard(boards, rejected, tmp_path).read_text()
    assert "## Not admitted" in page
    assert f"{expected.mean():.2f} ± {expected.std():.2f}" in page
    content = json.loads((tmp_path / "leaderboard.json").read_text())
    assert [entry["runs"] for entry in content[0]["entries"]] == [e.runs for e in entries]


def test_a_run_claimed_in_two_ways_is_left_out(tmp_path: Path) -> None:
    for name, agent in (("a", "random"), ("b", "rea")):
        nats_gym.search("tss", "cifar10", agent, epochs=12, budget=3000, runs=3).save(
            tmp_path / name
        )
    record = json.loads((tmp_path / "b" / "run.json").read_text())
    record["arguments"]["agent"] = "random"  # which it is not, though every figure is right
    (tmp_path / "b" / "run.json").write_text(json.dumps(record))
    verdicts = list(validate(tmp_path))
    assert all(verdict.holds for verdict in verdicts)
    assert next(iter(rank_agents(verdicts).values())) == []
    shutil.rmtree(tmp_path / "b")
    ((entry,),) = rank_agents(validate(tmp_path)).values()
    assert (entry.runs, entry.contradicted) == (3, 0)


# ── the command line ─────────────────────────────────────────────────────────────────────────


def test_the_commands(monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(
        'runs = 3\n[[searches]]\nspace = "tss"\ndatasets = ["cifar10"]\n'
        "epochs = 12\nbudget = 2000\n[agents]\nrandom = {}\nrea = {}\n"
    )
    code, out, err = call(monkeypatch, capsys, "study", "mine.toml", "--jobs", "1")
    assert (code, err) == (0, "")
    assert "random × 3" in out
    assert "results/mine" in out
    code, out, _ = call(monkeypatch, capsys, "validate", "results")
    assert code == 0
    assert out.count("✓") == 2
    assert "2 of 2 searches hold" in out
    code, out, _ = call(monkeypatch, capsys, "leaderboard", "results")
    assert code == 0
    assert "leaderboard.md" in out
    forge(Path("results/mine/cells/tss-cifar10-12-2000s-rea"), better)
    code, out, _ = call(monkeypatch, capsys, "validate", "results/mine")
    assert code == 1
    assert "✗ run 2: an accuracy is not the table's" in out
    for arguments in (
        ("study", "none.toml"),
        ("study", "mine.toml", "--jobs", "0"),
        ("report", "none"),
        ("validate", "none"),
        ("leaderboard", "none"),
        ("analyse", "tss", "cifar11"),
        ("search", "--option", "x"),
        ("search", "--agent", "asha", "--rungs", "12"),
    ):
        code, out, err = call(monkeypatch, capsys, *arguments)
        assert (code, out) == (2, ""), arguments
        assert err.startswith("nats-gym: ")
        assert err.count("\n") == 1


def test_options_of_an_agent_on_the_command_line(monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    given = ("--epochs", "12", "--budget", "2000", "--agent", "local-search")
    code, _, _ = call(monkeypatch, capsys, "search", *given, "--option", "improvement=best")
    assert code == 0
    found = Path("results/tss-cifar10-local-search-improvement=best-12-2000s-1runs-seed0")
    result = SearchResult.load(found)
    assert result.arguments["options"] == {"improvement": "best"}
    expected = nats_gym.search(
        *("tss", "cifar10", "local-search", 12, 2000), options={"improvement": "best"}
    )
    np.testing.assert_array_equal(result.index, expected.index)


def test_the_former_name_of_a_study_s_cell_warns() -> None:
    import nats_gym.study

    with pytest.warns(DeprecationWarning, match="StudyCell"):
        assert nats_gym.study.Cell is nats_gym.study.StudyCell
