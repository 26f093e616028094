"""Studies and replays of searches on an evaluator."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import call
from test_study import forge

import nats_gym
from nats_gym.errors import InvalidInput
from nats_gym.evaluators import Outcome, registry
from nats_gym.results.result import SearchResult
from nats_gym.spaces import get_space
from nats_gym.study import Study, load_study, read_study, run_study, validate, write_report
from nats_gym.study.leaderboard import rank_agents

ASKED: list[int] = []


class Formula:
    """Answers by a formula, until it is asked so often."""

    identity = "formula"
    limit = 10**9

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Outcome:
        if len(ASKED) >= type(self).limit:
            raise RuntimeError("the power is off")
        ASKED.append(int(index[0]))
        return Outcome(index % 97.0, np.ones(1), "measured", "measured")


def make(space: str, dataset: str, *, scale: float = 1.0) -> Formula:
    return Formula()


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._OWN, "formula", f"{__name__}:make")
    monkeypatch.setattr(Formula, "limit", 10**9)
    ASKED.clear()


SPEC: dict[str, Any] = {
    "runs": 3,
    "searches": [
        {
            "space": "sss",
            "dataset": "digits",
            "epochs": 9,
            "evaluations": 12,
            "evaluator": {"name": "formula", "scale": 2.0},
        }
    ],
    "agents": {"rea": {"workers": 2}, "random": {}, "asha": {}},
}


def test_a_study_compares_agents_by_an_evaluator_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study.of(SPEC)
    monkeypatch.setattr(Formula, "limit", 50)  # in the second cell
    with pytest.raises(RuntimeError, match="power is off"):
        run_study(study, tmp_path)
    monkeypatch.setattr(Formula, "limit", 10**9)
    before = len(ASKED)
    run_study(study, tmp_path)
    assert len(ASKED) - before <= 3 * 3 * 12 - before + 4  # what was answered is not asked again
    results = load_study(tmp_path)
    (searches,) = results.groups().values()
    assert {label: one.evaluations.tolist() for label, one in searches.items()} == {
        "rea": [12, 12, 12],
        "random": [12, 12, 12],
        "asha": [12, 12, 12],
    }
    alone = nats_gym.search(
        *("sss", "digits", "random", 9), evaluator="formula", evaluations=12, runs=3
    )
    assert (searches["random"].index == alone.index).all()
    assert all(verdict.holds for verdict in validate(tmp_path))
    done = len(ASKED)
    run_study(study, tmp_path)
    assert len(ASKED) == done
    assert not [*tmp_path.rglob("journal.sqlite")]
    check_report(tmp_path, searches)


class Levelled:
    provenance = "measured", "measured"

    def __init__(self, space: str, dataset: str, level: Any) -> None:
        """All levels answer the same."""

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Outcome:
        ones = np.ones(len(index))
        return Outcome(index % 97 * ones, ones, "measured", "measured")


def test_searches_differ_by_who_answers_alone(tmp_path: Path) -> None:
    table: dict[str, Any] = {"space": "tss", "dataset": "cifar10", "epochs": 12, "evaluations": 4}
    by = [{**table, "evaluator": {"name": "proxy", "score": one}} for one in ("params", "flops")]
    spec = {"runs": 2, "agents": {"random": {}}}
    run_study(Study.of({**spec, "searches": by[:1]}), tmp_path)
    (before,) = tmp_path.glob("cells/*/runs.npz")
    written = before.stat().st_mtime_ns
    run_study(Study.of({**spec, "searches": [*by, table]}), tmp_path)
    assert before.stat().st_mtime_ns == written  # what had run keeps its name
    groups = load_study(tmp_path).groups()
    answered = ["proxy, score=params", "proxy, score=flops", "table auto"]
    assert [group.answered_by for group in groups] == answered
    by_params, by_flops, _ = (one["random"] for one in groups.values())
    assert (by_params.observed.name, by_flops.observed.name) == ("params", "flops")
    known = get_space("tss").figure("params", "cifar10").values[by_params.index].max(axis=1)
    assert by_params.observed.figures(by_params.best_observed) == pytest.approx(known, rel=1e-5)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    for one in answered:
        assert f"CIFAR-10 by {one}</h2>" in page
        assert f"CIFAR-10 by {one}, " in (tmp_path / "report" / "headline.md").read_text()
    assert len([*tmp_path.glob("report/plots/*.png")]) == len(re.findall("<figure", page)) > 3
    assert all(verdict.holds for verdict in validate(tmp_path))
    for first in (table, by[1]):  # whose place another's results have
        with pytest.raises(InvalidInput, match=r"holds this cell with evaluator .*'params'"):
            run_study(Study.of({**spec, "searches": [first, by[0]]}), tmp_path)
    with pytest.raises(InvalidInput, match="two cells of the study are one: tss-cifar10-12-4eval"):
        Study.of({**spec, "searches": [table, *by, by[1]]})


def test_searches_that_differ_by_a_sign_have_folders_and_figures_of_their_own(
    tmp_path: Path,
) -> None:
    table: dict[str, Any] = {"space": "tss", "dataset": "cifar10", "epochs": 12, "evaluations": 4}
    levels = ["é" * 75, "a b", "a-b", 1, -1]
    by = [{**table, "evaluator": {"name": f"{__name__}:Levelled", "level": one}} for one in levels]
    spec = {"runs": 1, "agents": {"ü" * 95: {"agent": "random"}}, "searches": by}
    study = Study.of(spec)
    assert len({cell.name for cell in study.cells}) == 5
    assert all(len(cell.name.encode()) < 250 for cell in study.cells)
    run_study(study, tmp_path)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    pictures = [*tmp_path.glob("report/plots/*.png")]
    assert len(pictures) == len(re.findall("<figure", page)) >= 5


def test_who_answers_is_told_apart_in_few_letters() -> None:
    told = set()
    for path in ("a" * 200, "a" * 201, "b"):
        evaluator = {"name": "train", "data_dir": path}
        one = nats_gym.protocol.search_arguments(
            *("sss", "digits", "random", 9), evaluator=evaluator, evaluations=3
        )
        assert len(one.answered_by) <= 80
        told.add(one.answered_by)
    assert len(told) == 3


MINE = """
import numpy as np
from nats_gym.evaluators import Outcome

class Mine:
    def __init__(self, space, dataset, *, scale=1.0):
        self.scale = scale
    def evaluate(self, index, epochs, trial_keys):
        return Outcome(self.scale * (index % 47), np.ones(len(index)))
"""


@pytest.mark.slow
def test_a_study_names_an_evaluator_of_its_own_and_its_results_import_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    module = tmp_path / "evaluator_beside.py"
    module.write_text(MINE)
    text = """
    [[searches]]
    space = "sss"
    dataset = "digits"
    evaluations = 6
    evaluator = {name = "evaluator_beside:Mine", scale = 2.0}
    [agents]
    rea = {}
    """
    (tmp_path / "study.toml").write_text(text)
    study, out = read_study(tmp_path / "study.toml"), tmp_path / "out"
    run_study(study, out)
    run_study(study, out)  # there is nothing to do
    del sys.modules["evaluator_beside"]
    module.write_text("raise SystemExit('imported')")
    ((result,),) = [found.values() for found in load_study(out).groups().values()]
    assert (result.accuracy == 2.0 * (result.index % 47)).all()
    assert result.arguments.evaluator == {"name": "evaluator_beside:Mine", "scale": 2.0}
    assert all(verdict.holds for verdict in validate(out))
    assert "evaluator_beside:Mine" in write_report(out).read_text(encoding="utf-8")
    assert "evaluator_beside" not in sys.modules
    with pytest.raises(InvalidInput, match=r"no evaluator at .*imported"):
        nats_gym.search(**result.arguments)


def check_report(folder: Path, searches: dict[str, SearchResult]) -> None:
    """What was observed stands in a report, by hand from the arrays, and no regret does."""
    page = write_report(folder).read_text(encoding="utf-8")
    observed = {label: np.nanmax(one.accuracy, axis=1) for label, one in searches.items()}
    for label, best in observed.items():
        text = f"{best.mean():.2f} ± {best.std():.2f}"
        assert f'<th scope="row">{label}</th><td>12.0</td><td>{text}</td>' in page
    with pytest.raises(InvalidInput, match="unknown figure 'accuracy'"):
        write_report(folder, names=["accuracy"])
    report = folder / "report"
    known = max(best.max() for best in observed.values())
    headline = (report / "headline.md").read_text()
    assert "observed validation" in headline
    assert f"| *best known* | {known:.2f} |" in headline
    assert f"{known:.2f}" in (report / "headline.tex").read_text()
    assert "the evaluator formula answering" in page
    assert "no table judges" in page
    # Each takes a second of a worker, whatever the cache spared the clock; asha's are parts.
    assert "evaluations an hour" in page
    for label, one in [*searches.items()][:2]:
        (row,) = re.findall(rf'<th scope="row">{label}</th><td>12.0</td>(.*)</tr>', page)
        an_hour = float(re.findall(r"<td>([^<]*)</td>", row)[1].replace(",", ""))
        assert an_hour <= 3600 * one.arguments.workers
    assert "regret" not in page.split("<main>")[1].split('id="replay"')[0].lower()
    assert [file.name for file in (report / "plots").glob("*.png")] == ["sss-digits-incumbent.png"]
    (data,) = re.findall(r"data-trace='([^']*)'", page)
    lines = dict(json.loads(data)["lines"])
    for label, best in observed.items():
        assert lines[label][-1] == pytest.approx(best.mean(), rel=1e-4)


@pytest.mark.slow
def test_a_report_of_searches_with_and_without_a_table(tmp_path: Path) -> None:
    table = {"space": "sss", "dataset": "cifar10", "evaluations": 12}
    agents = {"rea": {}, "random": {}}
    run_study(
        Study.of({**SPEC, "searches": [*SPEC["searches"], table], "agents": agents}), tmp_path
    )
    page = write_report(tmp_path).read_text(encoding="utf-8")
    headline = (tmp_path / "report" / "headline.md").read_text()
    assert "observed validation" in headline
    assert "CIFAR-10, validation" in headline
    assert "left out here: no table judges their answers" in page
    assert "Simple regret against" in page
    names = {file.name for file in (tmp_path / "report" / "plots").glob("*.png")}
    assert "overall-profile.png" in names


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"evaluator": "formla"}, "Did you mean 'formula'"),
        ({"evaluator": Formula()}, "made anew by every process"),
        ({"evaluator": {"scale": 2}}, "has its name under 'name'"),
        ({"evaluator": "formula", "evaluations": None}, "takes real time"),
    ],
)
def test_what_a_study_cannot_train_is_refused(given: Any, message: str) -> None:
    spec = {**SPEC, "searches": [{**SPEC["searches"][0], **given}], "agents": {"rea": {}}}
    with pytest.raises(InvalidInput, match=message):
        Study.of(spec)


def searched(folder: Path, agent: str = "rea", **given: Any) -> SearchResult:
    given = {"evaluations": 12, "runs": 2, "evaluator": Formula(), **given}
    found = nats_gym.search("sss", "digits", agent, 9, checkpoints=folder, **given)
    found.save(folder)
    return found


@pytest.mark.parametrize("agent", ["rea", "asha", "ppo"])
def test_what_was_observed_holds_and_is_on_no_board(tmp_path: Path, agent: str) -> None:
    if agent == "ppo":
        pytest.importorskip("stable_baselines3")
    workers = {} if agent == "ppo" else {"workers": 3}
    searched(tmp_path, agent, **workers)
    (verdict,) = validate(tmp_path)
    assert verdict.holds, verdict.reasons
    assert "not replayed" in verdict.title
    assert rank_agents([verdict]) == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"observed": "x" * 2_000}, "of what is observed is text of at most"),
        ({"observed": "\x1b[31m"}, "of what is observed is one line of printable text"),
        ({"evaluator": None}, "no 'evaluator'"),
        ({"search_accuracy": None}, "no 'search_accuracy'"),
        ({"seconds": None}, "no 'seconds'"),
        (None, "summary"),
    ],
)
def test_what_no_search_on_an_evaluator_says_does_not_hold(
    tmp_path: Path, given: dict[str, Any] | None, message: str
) -> None:
    say_otherwise(tmp_path, given)
    (verdict,) = validate(tmp_path)
    assert message in verdict.reasons[-1]


def say_otherwise(folder: Path, provenance: dict[str, Any] | None) -> None:
    """A search whose record has another provenance, without what is None; or no summary."""
    searched(folder)
    record = json.loads((folder / "run.json").read_text())
    if provenance is None:
        del record["summary"]
    else:
        told = {**record["provenance"], **provenance}
        record["provenance"] = {name: one for name, one in told.items() if one is not None}
    (folder / "run.json").write_text(json.dumps(record))


def test_a_terminal_does_not_obey_a_result(tmp_path: Path, monkeypatch, capsys) -> None:
    say_otherwise(tmp_path, {"evaluator": "\x1b]0;title\x07\x9b2J"})
    code, out, _ = call(monkeypatch, capsys, "validate", str(tmp_path))
    assert (code, r"on \x1b]0;title\x07\x9b2J, not replayed" in out) == (0, True)
    assert all(one.isprintable() for one in out.splitlines())


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("accuracy", 99.0, "not those of its journal|not its best observed"),
        ("accuracy", 120.0, "a figure is none"),
        ("clock", -1.0, "its clock goes back"),
        ("index", 5, "not those of its journal|not its best observed"),
        ("evaluation", 3, "not in order"),
    ],
)
def test_what_was_changed_does_not_hold(
    tmp_path: Path, column: str, value: float, message: str
) -> None:
    searched(tmp_path)

    def change(arrays: dict[str, Any]) -> None:
        arrays[column][1, 6] = value

    forge(tmp_path, change)
    (verdict,) = validate(tmp_path)
    assert not verdict.holds
    assert verdict.valid.tolist() in ([True, False], [True, True])
    assert re.search(message, verdict.reasons[1])


def test_a_forged_bound_does_not_hold(tmp_path: Path) -> None:
    searched(tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    record["arguments"]["evaluations"] = 11
    (tmp_path / "run.json").write_text(json.dumps(record))
    (verdict,) = validate(tmp_path)
    assert "goes on after its budget" in verdict.reasons[0]
