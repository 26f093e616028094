"""The report of a study: its tables against numpy by hand, its page against an HTML parser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import nats_gym
from nats_gym.errors import InvalidInput, NatsGymError, UnreadableResult
from nats_gym.results.summary import summary_grid
from nats_gym.study import report as report_module
from nats_gym.study.curves import regret_at
from nats_gym.study.figures import regret_curves
from nats_gym.study.page import POLICY, opening
from nats_gym.study.report import write_report
from nats_gym.study.results import StudyResults, load_study
from nats_gym.study.running import run_study
from nats_gym.study.spec import Study
from nats_gym.study.tables import (
    Entry,
    entries,
    entry_text,
    headline_tables,
    latex,
    markdown,
    unlike_the_rest,
)

pytest.importorskip("scipy")

HOSTILE = 'my <b>"R&D"</b> 50% a_b|c'
#: What ends an attribute, an element, a script, a comment, a template's expression.
SCRIPT = """'"></script><script>alert(1)</script><img src=x onerror=alert(1)>--> {{ 7 * 7 }}"""


def test_a_long_note_is_folded_after_its_first_sentence() -> None:
    long = "A regret of 0.5 points: half of all runs come to it. " + "It is so. " * 20
    first, rest = opening(long.strip())
    assert first == "A regret of 0.5 points: half of all runs come to it."
    assert f"{first} {rest}" == long.strip()
    assert opening("Short: as it is. Whole.") == ("Short: as it is. Whole.", "")
    assert opening("x" * 500) == ("x" * 500, "")


# ── tables ───────────────────────────────────────────────────────────────────────────────────


def test_mean_deviation_and_marks_of_a_column() -> None:
    rng = np.random.default_rng(0)
    scores = {
        "best": 90 + rng.normal(size=400),
        "close": 89.95 + rng.normal(size=400),
        "worse": 89 + rng.normal(size=400),
    }
    found = entries(scores)
    for label, values in scores.items():
        assert found[label].mean == pytest.approx(sum(values) / 400)
        assert found[label].std == pytest.approx(
            (sum((values - sum(values) / 400) ** 2) / 400) ** 0.5
        )
    assert [entry.best for entry in found.values()] == [True, False, False]
    assert [entry.close for entry in found.values()] == [False, True, False]
    assert entry_text(found["close"]).endswith(" †")


def test_equal_means_are_all_the_best_and_one_run_has_no_deviation_or_mark() -> None:
    found = entries({"a": np.array([90.0]), "b": np.array([90.0]), "c": np.array([89.0])})
    assert [entry.best for entry in found.values()] == [True, True, False]
    assert not any(entry.close for entry in found.values())
    assert entry_text(found["c"]) == "89.00"


def test_tests_against_the_best_are_corrected_for_their_number() -> None:
    """A rival is worse by itself, and no more beside four others that are the best's equals."""
    from scipy.stats import mannwhitneyu

    best = np.arange(20.0) + 4.3
    rival = np.arange(20.0)
    p_value = mannwhitneyu(best, rival, alternative="greater").pvalue
    assert 0.05 / 5 < p_value < 0.05
    assert not entries({"best": best, "rival": rival})["rival"].close
    others = {f"same {number}": best - 1e-9 for number in range(4)}
    assert entries({"best": best, "rival": rival, **others})["rival"].close


def test_a_rival_of_less_mean_that_mostly_wins_is_not_called_worse() -> None:
    """One run that failed costs the mean; a test of ranks sees the other nineteen."""
    steady = np.full(20, 90.0) + np.arange(20) / 100
    mostly_better = steady + 1
    mostly_better[0] = 50
    found = entries({"steady": steady, "mostly better": mostly_better})
    assert found["steady"].best
    assert found["mostly better"].close


def test_answers_without_a_figure_are_left_out_and_said_so() -> None:
    found = entries({"a": np.array([90.0, np.nan, 92.0]), "b": np.full(3, np.nan)})
    assert found["a"] == Entry(91.0, 1.0, judged=2, runs=3, best=True)
    assert entry_text(found["a"]) == "91.00 ± 1.00 ‡"
    assert entry_text(found["b"]) == entry_text(None) == "–"
    assert all(entry.judged == 0 for entry in entries({"b": np.full(3, np.nan)}).values())


# ── a study ──────────────────────────────────────────────────────────────────────────────────


AGENTS: dict[str, Any] = {"rea": {}, HOSTILE: {"agent": "random"}}
TOPOLOGY = {"space": "tss", "datasets": ["cifar10", "cifar100"], "epochs": 12, "budget": 3000}
SIZE = {"space": "sss", "datasets": ["cifar10"], "budget": 9000}


@pytest.fixture(scope="module", autouse=True)
def unrastered() -> Iterator[None]:
    """Plots as SVG alone: what a PNG of them shows, tests/study/test_study_figures.py asks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            FigureCanvasAgg, "print_png", lambda canvas, path: Path(path).write_bytes(b"")
        )
        yield


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plots, where a report's words and numbers are asked for."""
    monkeypatch.setattr(report_module, "_drawn", lambda *_: ((), ()))


def run(folder: Path, **spec: Any) -> Path:
    """Run a study in a folder."""
    return run_study(Study.of({"runs": 6, **spec}), folder, jobs=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study's."""
    return run(
        tmp_path_factory.mktemp("studies") / "it's a study",
        name="<i>mine</i> & yours",
        searches=[TOPOLOGY, SIZE],
        agents={
            **AGENTS,
            "halving": {"agent": "successive-halving", "epochs": 12},
            "asha": {"workers": 4},
        },
    )


@pytest.fixture(scope="module")
def study(folder: Path) -> StudyResults:
    return load_study(folder)


@pytest.fixture(scope="module")
def report(folder: Path) -> Path:
    """The folder of a report."""
    page = write_report(folder, names=["latency/raspi4", "flops"])
    assert page == folder / "report" / "index.html"
    return page.parent


def test_headline_figures_are_those_of_the_answers(study: StudyResults) -> None:
    topology, size = headline_tables(study)
    assert topology.labels == ("rea", HOSTILE, "halving", "asha")
    assert [column.heading for column in topology.columns] == [
        *("CIFAR-10", "CIFAR-10"),
        *("CIFAR-100", "CIFAR-100"),
    ]
    titles = [[column.title for column in table.columns] for table in (topology, size)]
    assert titles == [
        ["validation", "test (surrogate)"] * 2,
        ["validation (surrogate)", "test (surrogate)"],
    ]
    result = study.cells[0].result
    answers = []
    for indices, accuracies in zip(result.index, result.accuracy, strict=True):
        answers.append(indices[np.nanargmax(accuracies)])
    trials = result.table.accuracy("valid")[answers]
    judged = np.nanmean(trials.astype(float), axis=1)
    entry = topology.columns[0].entries["rea"]
    assert entry.mean == pytest.approx(judged.mean())
    assert entry.std == pytest.approx(judged.std())
    everything = np.nanmean(result.table.accuracy("valid").astype(float), axis=1)
    assert topology.columns[0].best_known == pytest.approx(everything.max())
    assert size.columns[0].entries.keys() == AGENTS.keys()


def test_test_accuracy_is_shown_where_it_is_one_and_says_what_it_is(
    study: StudyResults, tmp_path: Path
) -> None:
    for table in headline_tables(study):
        for column in table.columns:
            assert (column.title == "test (surrogate)") == (column.split == "test")
        assert not any("no test accuracy apart" in note for note in table.notes)
    searches = [{**SIZE, "datasets": ["cifar100"]}]  # one estimate of both splits
    (none,) = headline_tables(
        load_study(run(tmp_path / "study", searches=searches, agents={"random": {}}))
    )
    assert {column.split for column in none.columns} == {"valid"}
    assert any("no test accuracy apart" in note for note in none.notes)
    result = study.cells[0].result
    provenance = {**result.provenance, "full_schedule_test_accuracy": "measured"}
    mean = result.table.mean_accuracy("valid")

    class WithTest(type(result.table)):  # type: ignore[misc]
        def mean_accuracy(self, split: str = "valid", epochs: Any = None) -> Any:
            return mean + 1 if split == "test" else mean

    table = WithTest(result.table.folder, "elsewhere")
    judged = replace(result, provenance=provenance, table=table)
    alone = replace(study, cells=[replace(study.cells[0], result=judged)])
    (headline,) = headline_tables(alone)
    valid, test = headline.columns
    assert (valid.title, test.title) == ("validation", "test")
    assert test.entries["rea"].mean == pytest.approx(valid.entries["rea"].mean + 1)
    assert headline.headings() == [("CIFAR-10", 2)]
    assert "multicolumn{2}" in latex([headline])


RUNGS = (
    "halving and asha searched on rungs of 12 and 200 epochs, the table's only schedules; "
    "trainings that went on were charged the difference."
)
WORKERS = "asha: 4 simulated workers beside each other, whose clock is one"
SPLIT_BASIS = "those at 12 epochs are a surrogate's estimates, those at 200 measured."


def test_a_model_that_never_came_about_is_told() -> None:
    few, many = (
        nats_gym.search("tss", "cifar10", "bohb", epochs=12, budget=budget, runs=3, options=options)
        for budget, options in ((20_000, {}), (200_000, {"density": "normalised"}))
    )
    told = [*unlike_the_rest({"few": few, "many": many})]
    assert [line.split(",")[0] for line in told if "too few for a model" in line] == [
        f"few: {few.evaluations.mean():.0f} evaluations a run"
    ]
    # As the agent's own numbers have it: 14 results on one rung, of 6 decisions.
    assert max((many.rung[0] == rung).sum() for rung in (0, 1)) >= 14
    assert not any("many:" in line for line in told)


def test_rungs_and_workers_are_told_wherever_agents_are_compared(report: Path) -> None:
    topology, size = (report / "headline.md").read_text().split("## Size space")
    for said in (RUNGS, WORKERS, SPLIT_BASIS):
        assert said in topology
        assert said in (report / "headline.tex").read_text()
        assert said not in size
    assert "The accuracies seen during search are a surrogate's estimates." in size
    assert "The accuracies seen during search are" not in topology
    texts = Page((report / "index.html").read_text()).texts
    for said in (RUNGS, WORKERS):  # under the headline table and in each topology group
        assert sum(said in text for text in texts) == 3
    assert "asha (4 workers)" in legend_of_curves(load_study(report.parent))


def legend_of_curves(study: StudyResults) -> list[str]:
    figure = regret_curves(next(iter(study.groups().values())))
    return [text.get_text() for text in figure.legends[0].texts]


def test_what_holds_for_one_data_set_alone_is_said_of_it(study: StudyResults) -> None:
    """Measured on one data set, estimated on the other."""
    topology = [cell for cell in study.cells if cell.group.space == "tss"]
    first = topology[0].group
    changed = [
        replace(
            cell,
            result=replace(cell.result, arguments=replace(cell.result.arguments, epochs=200)),
        )
        if cell.group == first
        else cell
        for cell in topology
        if cell.label == "rea"
    ]
    (table,) = headline_tables(replace(study, cells=changed))
    said = "CIFAR-100: The accuracies seen during search are a surrogate's estimates."
    assert said in table.notes
    only_rungs = [cell for cell in topology if cell.label == "asha"]
    (table,) = headline_tables(replace(study, cells=only_rungs))
    assert (
        "Search schedule and budget of simulated seconds: CIFAR-10 3,000 s; CIFAR-100 3,000 s."
        in (table.notes)
    )


def test_estimated_test_accuracies_are_shown_as_estimates_and_warned_of(
    study: StudyResults, report: Path
) -> None:
    """Those of the size space are a surrogate's."""
    size = [cell.result for cell in study.cells if cell.group.space == "sss"]
    assert {result.provenance["full_schedule_test_accuracy"] for result in size} == {"surrogate"}
    texts = Page((report / "index.html").read_text()).texts
    (warning,) = (text for text in texts if "come from a surrogate model" in text)
    for estimated in (
        *("accuracies seen during search", "seconds charged", "full-schedule validation"),
        *("full-schedule test accuracies", "latency/raspi4"),  # which the report was asked for
    ):
        assert estimated in warning
    assert "flops" not in warning
    assert not any("not shown" in text or "where they are measured" in text for text in texts)
    assert any("headed “test (surrogate)”" in text for text in texts)
    grid = summary_grid({"rea": size[0]})
    rests_on = dict(zip(grid.columns[0].cells, grid.columns[-1].cells, strict=True))
    assert rests_on["full-schedule test [%]"] == "surrogate"


def test_what_a_curve_ends_at_is_the_figure_of_the_table(study: StudyResults, report: Path) -> None:
    page = Page((report / "index.html").read_text())
    alts = [str(found["aria-label"]) for _, found in page.elements if found.get("role") == "img"]
    curves = [alt for alt in alts if alt.startswith("Curves of mean regret")]
    assert len(curves) == 3
    for alt, searches in zip(curves, study.groups().values(), strict=True):
        ends = dict(
            part.rsplit(" ", 1) for part in alt.removesuffix(".").split(": ")[1].split("; ")
        )
        assert ends.keys() == searches.keys()
        for label, result in searches.items():
            assert f"{ends[label]} ± {np.std(result.regret()):.3f}" in page.texts
            assert float(ends[label]) == pytest.approx(result.regret().mean(), abs=5e-4)


def test_the_regret_to_reach_is_named_and_said_to_be_of_this_study(report: Path) -> None:
    texts = Page((report / "index.html").read_text()).texts
    goals = [re.fullmatch(r"runs that reach a regret of ([\d.]+) points", text) for text in texts]
    found = [goal[1] for goal in goals if goal]
    assert len(found) == 3
    for goal in found:
        (caption,) = (text for text in texts if f"Regret to be reached: {goal} points." in text)
        assert "depends on the agents that ran" in caption
    assert sum("compares within this study only" in text for text in texts) == 6


def test_searches_at_two_budgets_are_two_columns(tmp_path: Path) -> None:
    study = load_study(
        run(
            tmp_path / "study",
            searches=[{**TOPOLOGY, "datasets": ["cifar10"]}],
            agents={"short": {"agent": "random", "budget": 1000}, "long": {"agent": "random"}},
        )
    )
    (table,) = headline_tables(study)
    assert [column.heading for column in table.columns] == [
        *["CIFAR-10, 12 epochs, 1,000 s"] * 2,
        *["CIFAR-10, 12 epochs, 3,000 s"] * 2,
    ]
    rows = {line.split(" | ")[0]: line for line in markdown([table]).splitlines()}
    assert rows["| short"].endswith(" | – |")
    assert " | – | " in rows["| long"]


def test_markdown_has_a_cell_per_column_and_nothing_live(report: Path) -> None:
    text = (report / "headline.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for lines in (rows[:7], rows[7:]):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
        assert len(widths) == 1
    assert "my \\<b>" in text
    assert "a\\_b\\|c" in text
    assert text.count("**") == 2 * 6  # one best in each column


def test_latex_has_a_cell_per_column_and_everything_special_escaped(report: Path) -> None:
    text = (report / "headline.tex").read_text()
    tabulars = re.findall(r"\\begin{tabular}{(l)(r+)}(.*?)\\end{tabular}", text, re.DOTALL)
    assert [len(columns) for _, columns, _ in tabulars] == [4, 2]
    for _, columns, body in tabulars:
        for line in body.strip().splitlines():
            if line == r"\hline":
                continue
            spans = [int(span) for span in re.findall(r"\\multicolumn{(\d+)}", line)]
            extra = sum(span - 1 for span in spans)
            assert len(re.findall(r"(?<!\\)&", line)) + extra == len(columns)
            assert line.removesuffix(r" \hline").endswith(r"\\")
    assert r"\textless{}b\textgreater{}" in text
    assert r"R\&D" in text
    assert r"50\% a\_b\textbar{}c" in text
    assert not re.search(r"(?<!\\)[%#]", text)
    assert text.count("{") == text.count("}")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles_without_any_package(report: Path, tmp_path: Path) -> None:
    (tmp_path / "headline.tex").write_text((report / "headline.tex").read_text())
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\begin{document}\input{headline}\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    assert "Overfull" not in (tmp_path / "paper.log").read_text()


class Page(HTMLParser):
    """Balanced tags, and what the page refers to."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        assert len(found) == len(attrs)
        self.elements.append((tag, found))
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in found:
            self.ids.append(str(found["id"]))
        if "href" in found:
            self.links.append(str(found["href"]))
        if "src" in found:
            self.sources.append(str(found["src"]))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_page_is_whole_and_needs_nothing_else(report: Path) -> None:
    text = (report / "index.html").read_text()
    page = Page(text)
    assert len(set(page.ids)) == len(page.ids)
    for link in page.links:
        assert link.removeprefix("#") in page.ids or link.startswith("https://arxiv.org/")
    assert page.sources
    assert all(source.startswith("data:image/svg+xml,<svg ") for source in page.sources)
    tags = [tag for tag, _ in page.elements]
    assert not {"link", "iframe", "object", "base"} & set(tags)
    assert tags.count("script") == 1
    script = text[text.index("<script>") + 8 : text.index("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert POLICY.endswith(f"script-src 'sha256-{digest}'")
    assert ("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}) in page.elements
    assert not {name for _, found in page.elements for name in found if name.startswith("on")}
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert all(attributes["alt"] for attributes in images)
    traced = [attributes for _, attributes in page.elements if "data-trace" in attributes]
    assert len(traced) == 3
    assert tags.count("figcaption") == tags.count("figure") == len(images) / 2 + len(traced)
    assert tags.count("caption") == tags.count("table")
    assert tags.count("h1") == 1
    assert len(text) < 3_000_000


def test_curves_answer_with_the_means_over_runs(study: StudyResults, report: Path) -> None:
    page = Page((report / "index.html").read_text())
    traces = [json.loads(str(f["data-trace"])) for _, f in page.elements if "data-trace" in f]
    for trace, searches in zip(traces, study.groups().values(), strict=True):
        assert trace["unit"] == "simulated seconds"
        assert len(trace["boxes"]) == 2
        for left, top, width, height in trace["boxes"]:
            assert 0 < left < left + width < 1
            assert 0 < top < top + height < 1
        assert [label for label, _ in trace["lines"]] == list(searches)
        for (_, values), result in zip(trace["lines"], searches.values(), strict=True):
            assert values[-1] == pytest.approx(result.regret().mean(), rel=1e-4)
            middle = len(values) // 2
            # Times are rounded: the mean is that of one of the moments around this one.
            time = trace["times"][middle - len(values)]
            around = regret_at(result, [time * (1 - 2e-5), time * (1 + 2e-5)]).mean(axis=0)
            assert np.isclose(values[middle], around, rtol=1e-4).any()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study called as a script would be, as one of its agents is."""
    return run(
        tmp_path_factory.mktemp("hostile") / "study",
        name=SCRIPT,
        runs=2,
        searches=[{**TOPOLOGY, "datasets": ["cifar10"]}],
        agents={SCRIPT: {"agent": "random"}, "rea": {}},
    )


@pytest.fixture(scope="module")
def hostile_page(hostile: Path) -> str:
    return write_report(hostile).read_text()


def test_hostile_names_stay_text(hostile_page: str) -> None:
    text = hostile_page
    found = Page(text)
    assert [tag for tag, _ in found.elements].count("script") == 1
    assert not any("onerror" in attributes for _, attributes in found.elements)
    assert "<img src=x" not in text
    assert SCRIPT in found.texts
    (trace,) = (json.loads(str(f["data-trace"])) for _, f in found.elements if "data-trace" in f)
    assert trace["lines"][0][0] == SCRIPT


def test_page_shows_names_as_they_are(study: StudyResults, report: Path) -> None:
    text = (report / "index.html").read_text()
    page = Page(text)
    assert "<i>mine</i> & yours" in page.texts
    assert HOSTILE in page.texts
    assert study.skipped
    assert {one.reason for one in study.skipped} <= set(page.texts)
    assert "<b>" not in text
    assert "<i>" not in text


def test_page_says_what_figures_rest_on_and_how_to_replay_them(
    study: StudyResults, report: Path
) -> None:
    text = "\n".join(Page((report / "index.html").read_text()).texts)
    for one in study.cells:
        assert one.result.table.checksum in text
    assert "12 epochs" in text
    assert "× 90/12" in text  # of the size space's budget
    for made_with in (*study.record["versions"].values(), study.record["machine"]):
        assert made_with in text
    for command in ("study", "validate", "report"):
        assert re.search(rf"nats-gym {command} .*'.*it'\"'\"'s a study", text)
    calls = re.findall(r"nats_gym\.search\(.*\)", text)
    assert len(calls) == len(study.cells)
    again = eval(calls[0], {"nats_gym": nats_gym})
    np.testing.assert_array_equal(again.accuracy, study.cells[0].result.accuracy)


def test_published_figures_are_marked_as_such(report: Path) -> None:
    texts = Page((report / "index.html").read_text()).texts
    assert "REA (published)" in texts
    assert "rea (this study, surrogate)" in texts
    assert "94.02 ± 0.31" in texts  # topology, CIFAR-10, test
    assert "90.37 ± 0.20" in texts  # size, CIFAR-10, validation
    assert "45.77 ± 0.80" not in texts  # ImageNet16-120 was not searched


def test_numbers_of_a_search_are_those_of_its_runs(study: StudyResults, report: Path) -> None:
    texts = Page((report / "index.html").read_text()).texts
    for one in study.cells:
        result = one.result
        mean = np.nanmean(result.table.accuracy("valid").astype(float), axis=1)
        regrets = []
        for indices, accuracies in zip(result.index, result.accuracy, strict=True):
            regrets.append(np.nanmax(mean) - mean[indices[np.nanargmax(accuracies)]])
        assert f"{np.mean(regrets):.3f} ± {np.std(regrets):.3f}" in texts
        counts = [(indices >= 0).sum() for indices in result.index]
        assert f"{np.mean(counts):,.1f}" in texts


def test_figures_of_the_answers_are_shown_where_they_are_known(
    folder: Path, study: StudyResults, report: Path, tmp_path: Path
) -> None:
    texts = Page((report / "index.html").read_text()).texts
    flops, raspi = texts.count("FLOPs [M]"), texts.count("latency on Raspberry Pi 4 [ms]")
    assert (flops, raspi) == (3, 2)  # sizes have no latency on that device
    assert "mean ± standard deviation over runs. Estimates: latency/raspi4." in " ".join(texts)
    made_for = "Made for other networks: latency/raspi4 (surrogate for cifar10)."
    assert " ".join(texts).count(made_for) == 1  # on cifar100
    for one in study.cells:
        table = one.result.table
        for name in ("flops", "latency/raspi4") if table.space.name == "tss" else ("flops",):
            values = table.figure(name).values[one.result.recommended]
            assert f"{values.mean():,.4g} ± {values.std():,.2g}" in texts
    with pytest.raises(InvalidInput, match="Did you mean 'latency/raspi4'"):
        write_report(folder, tmp_path, ["latency/raspi"])
    with pytest.raises(InvalidInput, match="a list of names"):
        write_report(folder, tmp_path, 3)  # type: ignore[arg-type]
    assert not [*tmp_path.iterdir()]


@pytest.mark.usefixtures("undrawn")
def test_regret_after_so_many_evaluations(tmp_path: Path) -> None:
    search = {"space": "tss", "datasets": ["cifar10"], "epochs": 12, "evaluations": 12}
    folder = run(tmp_path, searches=[search], agents={"rea": {}})
    texts = Page(write_report(folder).read_text()).texts
    (cell,) = load_study(folder).cells
    mean = np.nanmean(cell.result.table.accuracy("valid").astype(float), axis=1)
    for count in (1, 3, 10, 12):
        regrets = []
        for indices, seen in zip(cell.result.index, cell.result.accuracy, strict=True):
            regrets.append(mean.max() - mean[indices[np.argmax(seen[:count])]])
        assert texts[texts.index(f"after {count}") :].count(f"{np.mean(regrets):.3f}") >= 1
    assert "after 30" not in texts


def test_plots_lie_beside_the_page(report: Path) -> None:
    page = Page((report / "index.html").read_text())
    plots = sorted(path.name for path in (report / "plots").iterdir())
    figures = [tag for tag, _ in page.elements if tag == "figure"]
    assert len(plots) == 2 * len(figures)
    assert {path.rsplit(".")[-1] for path in plots} == {"png", "svg"}
    assert "tss-CIFAR-10-regret.svg" in plots
    assert not list(report.rglob(".*"))


@pytest.mark.usefixtures("undrawn")
def test_one_run_of_one_agent_is_reported_without_statistics(tmp_path: Path) -> None:
    study = run(tmp_path / "study", searches=[SIZE], agents={"random": {}}, runs=1)
    out = tmp_path / "elsewhere"
    assert write_report(study, out) == out / "index.html"
    page = Page((out / "index.html").read_text())
    assert "A single agent ran: there is nothing to compare it with." in page.texts
    assert any("of one run" in text for text in page.texts)
    assert not (study / "report").exists()


@pytest.mark.usefixtures("undrawn")
def test_several_agents_of_one_run_are_told_why_they_are_not_compared(tmp_path: Path) -> None:
    page = write_report(run(tmp_path / "study", searches=[SIZE], agents=AGENTS, runs=1))
    assert any("Some agent ran once only" in text for text in Page(page.read_text()).texts)


@pytest.mark.slow
def test_the_same_study_gives_the_same_page(
    hostile: Path, hostile_page: str, tmp_path: Path
) -> None:
    assert write_report(hostile, tmp_path / "other").read_text() == hostile_page


def test_a_study_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(NatsGymError, match=re.escape(str(tmp_path))):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_study_is_one_clear_error(tmp_path: Path) -> None:
    study = run(tmp_path / "study", searches=[SIZE], agents={"random": {}}, runs=1)
    (runs,) = study.glob("cells/*/runs.npz")
    runs.write_bytes(runs.read_bytes()[:-20])
    with pytest.raises(UnreadableResult, match=re.escape(str(runs.parent))):
        write_report(study)
    assert not (study / "report").exists()


def test_a_study_without_a_search_is_one_clear_error(tmp_path: Path) -> None:
    record = {"name": "none", "finished": True, "cells": {}, "skipped": [], "versions": {}}
    (tmp_path / "study.json").write_text(json.dumps({**record, "machine": ""}))
    with pytest.raises(NatsGymError, match="one search at least"):
        write_report(tmp_path)
    assert not (tmp_path / "report").exists()


def test_a_folder_that_cannot_be_written_is_one_clear_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InvalidInput, match="file"):
        write_report(folder, tmp_path / "file" / "report")
