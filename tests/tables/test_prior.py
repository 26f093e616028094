"""What an agent may know of other data sets, and that it knows nothing of the one searched."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_tables import planted, write

import nats_gym
from nats_gym.errors import InvalidInput, NotInTable
from nats_gym.results.result import SearchResult
from nats_gym.spaces import get_space
from nats_gym.study import Study, load_study, run_study, validate
from nats_gym.study.tables import headline_tables
from nats_gym.tables import Table, load_table
from nats_gym.tables.prior import open_prior, prior_figures, prior_names

OTHERS = ["cifar100", "ImageNet16-120"]


def test_names_of_a_prior() -> None:
    assert prior_names("tss", "cifar10", "others") == OTHERS
    assert prior_names("tss", "cifar100", "others") == ["cifar10", "ImageNet16-120"]
    assert prior_names("tss", "digits", "others") == ["cifar10", *OTHERS]
    assert prior_names("nb101", "cifar10", "others") == []
    assert prior_names("tss", "cifar10", "cifar100") == ["cifar100"]
    for nothing in (None, [], "none"):
        assert prior_names("tss", "cifar10", nothing) == []
    alone = [["others", "cifar100"], ["none"], "", [""]]
    for wrong in (3, [3], {"a": 1}, ["cifar100", "cifar100"], ["x"] * 101, *alone):
        with pytest.raises(InvalidInput, match="prior"):
            prior_names("tss", "cifar10", wrong)


def test_figures_are_full_schedule_means() -> None:
    tables = open_prior("tss", "cifar10", OTHERS)
    for row, name in zip(prior_figures(tables), OTHERS, strict=True):
        assert np.array_equal(row, load_table("tss", name).mean_accuracy("valid"))


def test_what_goes_by_a_prior_alone_needs_one() -> None:
    for nothing in ("none", []):
        options = {"prior": nothing}
        with pytest.raises(InvalidInput, match=r"transfer needs a prior, .* works without"):
            nats_gym.search("tss", "cifar10", "transfer", evaluations=2, options=options)
        found = nats_gym.search("tss", "cifar10", "few-shot", evaluations=2, options=options)
        assert "prior" not in found.provenance
    unset = nats_gym.search("tss", "cifar10", "transfer", evaluations=2, options={"prior": None})
    assert unset.arguments.options == {"prior": OTHERS}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Others", "allowed: .*others, none, the folder of a table. Did you mean 'others'"),
        ("cp/none", "no table's folder, nor a data set, is 'cp/none': no such folder"),
        ("cifar100,ImageNet16-120", r"""'prior=\["cifar100","ImageNet16-120"\]'"""),
    ],
)
def test_what_is_no_table_is_told(name: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        open_prior("tss", "cifar10", [name])


@pytest.mark.parametrize("agent", ["few-shot", "transfer"])
def test_the_searched_data_set_is_refused_by_its_name(agent: str) -> None:
    given = {"epochs": 12, "evaluations": 3}
    for names in (["cifar10"], ["cifar100", "cifar10"], "cifar10"):
        with pytest.raises(InvalidInput, match="cifar10 is searched"):
            nats_gym.search("tss", "cifar10", agent, options={"prior": names}, **given)
    with pytest.raises(InvalidInput, match="Did you mean 'cifar100'"):
        nats_gym.search("tss", "cifar10", agent, options={"prior": ["cifr100"]}, **given)


def test_the_searched_table_is_refused_under_any_name(tmp_path: Path) -> None:
    own = load_table("tss", "cifar10", "embedded")
    accuracy = own.mean_accuracy("valid")
    copied = tmp_path / "elsewhere"
    shutil.copytree(own.folder, copied)
    searched = write(tmp_path / "own", "cifar10", planted(3))
    refused = [
        (str(copied), own),  # at another path
        (write(tmp_path / "named", "cifar100", accuracy), own),  # by another name
        (write(tmp_path / "moved", "cifar100", accuracy.round(5)), own),
        (write(tmp_path / "stored", "cifar100", planted(3)), Table(searched, searched)),
    ]
    for name, table in refused:
        with pytest.raises(InvalidInput, match="is the table of cifar10, which is searched"):
            open_prior("tss", "cifar10", [name], "auto", table)
    options = {"prior": [str(tmp_path / "stored")]}
    with pytest.raises(InvalidInput, match="is the table of cifar10"):
        nats_gym.search(
            "tss", "cifar10", "few-shot", evaluations=3, source=searched, options=options
        )
    again = tmp_path / "again"
    shutil.copytree(load_table("tss", "cifar100", "embedded").folder, again)
    with pytest.raises(InvalidInput, match=r"names the table of cifar100 twice: .*again"):
        open_prior("tss", "cifar10", ["cifar100", str(again)], "embedded")
    other = write(tmp_path / "other", "cifar100", planted(4)[::-1].copy())
    assert open_prior("tss", "cifar10", [other], "auto", own)[0].dataset == "cifar100"


def test_tables_of_another_space_or_of_a_part_are_refused() -> None:
    size = str(load_table("sss", "cifar100", "embedded").folder)
    with pytest.raises(InvalidInput, match="is a table of sss, not of tss"):
        open_prior("tss", "cifar10", [size])
    with pytest.raises(InvalidInput, match="knows 300 of 15,625"):
        open_prior("tss", "cifar10", ["digits"])
    with pytest.raises(InvalidInput, match="goes by the tables of other data sets"):
        nats_gym.search("nb101", "cifar10", "transfer", evaluations=3)


def test_what_is_best_on_the_searched_data_set_alone_is_not_known_beforehand(
    tmp_path: Path,
) -> None:
    """A planted architecture is asked for as any other is, whichever it is."""
    space = get_space("tss")
    given: dict[str, Any] = {"evaluations": 20, "runs": 4, "trial": "mean"}
    ranking = np.argsort(-load_table("tss", "cifar100").mean_accuracy("valid"))
    last, late = int(ranking[-1]), int(ranking[-100])
    asked = {}
    for agent, options in (
        ("transfer", {}),
        ("few-shot", {"prior": OTHERS}),
        ("few-shot", {}),
    ):
        found = [
            nats_gym.search(
                *("tss", "cifar10", agent),
                source=write(tmp_path / f"{agent}{len(options)}{index}", "cifar10", planted(index)),
                options=options,
                **given,
            )
            for index in (last, late)
        ]
        for index, result in zip((last, late), found, strict=True):
            assert (result.index != index).all()
            assert result.index.max() < space.size
        # Neither was seen, and all else is equal: so is everything that was asked for.
        assert np.array_equal(found[0].index, found[1].index)
        asked[agent, bool(options)] = found[0].index
    assert not np.array_equal(asked["few-shot", True], asked["few-shot", False])


def test_a_result_says_what_its_prior_was(tmp_path: Path) -> None:
    given = {"epochs": 12, "evaluations": 6, "source": "embedded"}
    plain = nats_gym.search("tss", "cifar10", "few-shot", **given)
    assert "prior" not in plain.provenance
    assert plain.arguments.options == {}
    default = nats_gym.search("tss", "cifar10", "transfer", **given)
    named = nats_gym.search("tss", "cifar10", "transfer", options={"prior": OTHERS}, **given)
    assert default.arguments == named.arguments
    assert default.arguments.options == {"prior": OTHERS}
    for name in OTHERS:
        checksum = load_table("tss", name, "embedded").checksum
        assert f"{name}: measured, {checksum[:16]}" in default.provenance["prior"]
    again = SearchResult.load(default.save(tmp_path / "kept"))
    assert again.provenance == default.provenance
    (verdict,) = validate(tmp_path / "kept")
    assert verdict.holds, verdict.reasons
    silent = {name: said for name, said in default.provenance.items() if name != "prior"}
    object.__setattr__(default, "provenance", silent)
    (verdict,) = validate(default.save(tmp_path / "silent"))
    assert "does not say what its prior rests on" in verdict.reasons[-1]


def test_a_result_says_what_a_table_is_and_not_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "somebody").mkdir()
    folder = Path(write(tmp_path / "somebody" / "mine", "cifar100", planted(4)))
    write(tmp_path / "somebody" / "cifar100", "cifar100", planted(5))
    monkeypatch.chdir(folder.parent)
    given: dict[str, Any] = {"evaluations": 2, "source": "embedded"}
    found = nats_gym.search("tss", "cifar10", "transfer", options={"prior": ["mine"]}, **given)
    checksum = Table(folder, "mine").checksum
    assert found.provenance["prior"] == f"cifar100: measured, {checksum[:16]}"
    assert found.arguments.options == {"prior": ["mine"]}  # as it was given
    kept = found.save(tmp_path / "kept")
    assert all(b"somebody" not in file.read_bytes() for file in kept.iterdir())
    assert SearchResult.load(kept).provenance == found.provenance
    # A data set's name is that, whatever lies in the working folder.
    (named,) = open_prior("tss", "cifar10", ["cifar100"], "embedded")
    assert named.checksum == load_table("tss", "cifar100", "embedded").checksum


def test_a_prior_in_a_study_is_told(tmp_path: Path) -> None:
    study = Study.of(
        {
            "runs": 3,
            "source": "embedded",
            "searches": [{"space": "tss", "datasets": ["cifar10"], "epochs": 12, "evaluations": 4}],
            "agents": {
                "random": {},
                "transfer": {},
                "few-shot": {},
                "few-shot, prior": {"agent": "few-shot", "options": {"prior": "others"}},
            },
        }
    )
    kept = run_study(study, tmp_path, jobs=1)
    run_study(study, tmp_path, jobs=1)  # nothing is left to do, and nothing differs
    (table,) = headline_tables(load_study(kept))
    told = " ".join(table.notes)
    for label in ("transfer", "few-shot, prior"):
        assert f"{label} has prior knowledge: what every architecture reaches on" in told
    assert "few-shot has prior" not in told
    assert "random has prior" not in told


def test_a_search_on_an_evaluator_takes_a_prior(tmp_path: Path) -> None:
    from nats_gym.evaluators import TableEvaluator

    evaluator = TableEvaluator(load_table("tss", "cifar10", "embedded"))
    found = nats_gym.search(
        *("tss", "cifar10", "few-shot", 12),
        evaluator=evaluator,
        evaluations=5,
        options={"prior": "others"},
        checkpoints=tmp_path / "journal",
    )
    assert found.provenance["prior"].startswith("cifar100: ")
    again = SearchResult.load(found.save(tmp_path / "kept"))
    assert np.array_equal(again.recommended, found.recommended)
    best = load_table("tss", "cifar10", "embedded").mean_accuracy("valid")
    assert best[found.recommended[0]] > 91.3
    with pytest.raises(InvalidInput, match="cifar10 is searched"):
        nats_gym.search(
            *("tss", "cifar10", "few-shot", 12),
            evaluator=evaluator,
            evaluations=5,
            options={"prior": ["cifar10"]},
        )


def test_a_data_set_without_a_table_of_the_space() -> None:
    with pytest.raises((InvalidInput, NotInTable, nats_gym.errors.MissingTable)):
        open_prior("nb101", "cifar10", ["cifar100"])
