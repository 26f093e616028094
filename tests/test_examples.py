"""Every example runs, in a short form, and says what it should; each is short."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
#: Of each example: arguments of its short form, what it prints, a package it needs besides.
RUNS: dict[str, tuple[list[str], str, str | None]] = {
    "cleanrl_ppo.py": (["3"], "best architecture's mean is", None),
    "custom_evaluator.py": ([], "best of 512", None),
    "maskable_ppo.py": (["12288"], " 0 above 60 M", "sb3_contrib"),
    "meta_rl.py": (["30720"], "learned search", None),
    "multi_objective.py": (["480"], "of its hypervolume", "mo_gymnasium"),
    "my_agent.py": ([], "mean and std over runs", None),
    "tabular_reinforce.py": (["50"], "points from the best", None),
    "torchrl_gym.py": (["12"], "64 copies: 128 random architectures", "torchrl"),
    "train_digits.py": (["2"], "2 episodes in", "sklearn"),
    "train_ppo.py": (["sss", "1", "24576"], "points from the best on average", None),
}
#: Those whose only form takes a while: the demo, which `make demo` runs too.
SLOW = {"compare_agents.py": "plot: "}


def run(name: str, arguments: list[str], folder: Path) -> str:
    home = {"NATS_GYM_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env={**os.environ, **home}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_example_is_forgotten_and_each_is_short() -> None:
    found = {path.name: path.read_text().splitlines() for path in EXAMPLES.glob("*.py")}
    assert set(found) == {*RUNS, *SLOW}
    assert {name: len(lines) for name, lines in found.items() if len(lines) >= 60} == {}


@pytest.mark.parametrize("name", RUNS)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    arguments, said, package = RUNS[name]
    if package and find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    assert said in run(name, arguments, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_a_long_example_runs(name: str, tmp_path: Path) -> None:
    assert SLOW[name] in run(name, [], tmp_path)
