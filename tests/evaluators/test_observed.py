"""What scores under the name of accuracies are shown as: the scores themselves, by their names."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import call

import nats_gym
from nats_gym.errors import InvalidInput
from nats_gym.evaluators.observed import Observed, as_accuracy
from nats_gym.results.plots import plot_incumbent
from nats_gym.results.result import SearchResult
from nats_gym.study import load_study
from nats_gym.study.figures import incumbent_curves
from nats_gym.study.report import write_report
from nats_gym.study.running import run_study
from nats_gym.study.spec import Study
from nats_gym.study.validation import validate

PARAMS = {"name": "proxy", "score": "params", "batch": 2, "cache": False}


def test_a_score_comes_back_from_what_it_was_brought_to() -> None:
    scores = [-math.inf, -1e30, -1593.25, -1.0, -1e-6, 0.0, 0.37, 1.0, 8.0, 1593.25, 1e30, math.inf]
    accuracies = [as_accuracy(score) for score in scores]
    assert accuracies == sorted(accuracies)
    assert (accuracies[0], accuracies[5], accuracies[-1]) == (0.0, 50.0, 100.0)
    assert Observed("naswot").figures(accuracies) == pytest.approx(scores, rel=1e-9, abs=1e-12)
    assert Observed("vote(snip, plain)").figures([0.0, 62.5]).tolist() == [0.0, 0.625]
    assert Observed().figures([62.5]).tolist() == [62.5]
    told = [Observed(name).said(as_accuracy(1593.25)) for name in ("naswot", "")]
    assert told == ["naswot 1593.25", f"{as_accuracy(1593.25):.2f} %"]
    with pytest.raises(InvalidInput, match="naswot and validation accuracy are not compared"):
        Observed.common([Observed("naswot"), Observed()])


def params_of(result: SearchResult) -> float:
    """The most of any architecture that the first run evaluated, in millions."""
    figures = nats_gym.get_space("sss").figure("params", "digits").values
    return float(figures[result.index[0]].max())


def test_a_search_by_a_score_tells_of_the_score(tmp_path: Path) -> None:
    found = nats_gym.search("sss", "digits", "random", evaluator=PARAMS, evaluations=6, runs=1)
    assert found.observed == Observed("params")
    assert found.summary()["observed_score"]["mean"] == pytest.approx(params_of(found))
    assert "observed_valid_accuracy" not in found.summary()
    kept = found.save(tmp_path)
    assert SearchResult.load(kept).observed == found.observed
    (verdict,) = validate(kept)
    assert verdict.holds, verdict.reasons
    several = PARAMS | {"score": ["params", "l2_norm"], "reference": 4}
    other = nats_gym.search("sss", "digits", "random", evaluator=several, evaluations=3)
    assert other.observed == Observed("vote(params, l2_norm)")
    shares = other.accuracy.max() / 100
    assert other.summary()["observed_score"] == {"mean": shares, "std": 0.0}
    plot_incumbent([found], tmp_path / "one.png")
    with pytest.raises(InvalidInput, match="are not compared"):
        plot_incumbent([found, other], tmp_path / "two.png")
    by_table = nats_gym.search("sss", "digits", "random", evaluations=2, source="digits-300")
    assert by_table.observed == Observed()


def test_a_score_of_minus_infinity_is_told_and_not_drawn(tmp_path: Path) -> None:
    evaluator = PARAMS | {"score": "naswot"}
    found = nats_gym.search("tss", "cifar10", "random", evaluator=evaluator, evaluations=2, runs=2)
    found.accuracy[0] = 0.0  # as of cells without a path
    assert found.summary()["observed_score"]["mean"] == -math.inf
    plot_incumbent([found], tmp_path / "incumbent.png")
    lines = incumbent_curves({"random": found}).axes[0].lines[:-1]
    assert all(not np.isfinite(line.get_ydata()).any() for line in lines)


def test_the_command_line_tells_of_the_score(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    line = "search --space sss --dataset digits --agent nsga2 --evaluator proxy --evaluations 4"
    options = [f"--evaluator-option={name}={PARAMS[name]}" for name in ("score", "batch")]
    out = tmp_path / "out"
    given = (*line.split(), *options, "--evaluator-option=cache=false", "--out", str(out))
    code, printed, error = call(monkeypatch, capsys, *given)
    assert code == 0, error
    best = f"{params_of(SearchResult.load(out)):.6g}"
    assert f"observed params {best}: " in printed
    assert f"best params {best} of " in printed + error
    assert "best observed params" in printed
    assert re.search(r"index +params", printed)
    assert "%" not in printed + error


def test_a_report_tells_of_the_score(tmp_path: Path) -> None:
    searches = [{"space": "sss", "datasets": ["digits"], "evaluations": 3, "evaluator": PARAMS}]
    study = Study.of({"runs": 2, "searches": searches, "agents": {"random": {}, "rea": {}}})
    folder = run_study(study, tmp_path, jobs=1)
    page = write_report(folder).read_text()
    (first, _) = load_study(folder).cells
    values = first.result.observed.figures(first.result.best_observed)
    assert f">{values.mean():.6g} ± {values.std():.6g}<" in page
    told = re.sub(r"<style.*?</style>|<script.*?</script>|<[^>]*>", " ", page, flags=re.DOTALL)
    for words in (
        "observed params (proxy)",
        "Best observed params of a run, mean",
        "no accuracies",
    ):
        assert words in told
    headline = (folder / "report" / "headline.md").read_text()
    assert f"{values.mean():.5g} ± {values.std():.5g}" in headline
    assert "observed params (proxy)" in headline
    assert "percent" not in headline
    assert "percent" not in told
    figure = incumbent_curves({"random": first.result})
    assert figure.axes[0].get_ylabel() == "best observed params\nproxy"
