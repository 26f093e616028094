"""Every example runs, in a short form, and says what it should; each is short."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
#: Of each example: arguments of its short form, what it prints, a package it needs besides.
RUNS: dict[str, tuple[list[str], str, str | None]] = {
    "custom_evaluator.py": ([], "best of 512", None),
    "custom_space.py": (["5"], "PPO's choice: ", None),
    "hardware_aware.py": (["latency/pixel3", "40"], "after 40: ", None),
    "meta_rl.py": (["30720"], "learned search", None),
    "meta_train.py": (["12288"], "deployed on ImageNet16-120: regret", None),
    "multi_objective.py": (["480"], "of its hypervolume", "mo_gymnasium"),
    "my_agent.py": ([], "mean and std over runs", None),
    "tabular_reinforce.py": (["50"], "points from the best", None),
}
#: Those whose shortest form takes a while: likewise. RLlib brings dm-tree, Ray alone does not.
SLOW: dict[str, tuple[list[str], str, str | None]] = {
    "cleanrl_ppo.py": (["3"], "best architecture's mean is", None),
    "maskable_ppo.py": (["12288", "latency/raspi4", "25"], " 0 above 25", "sb3_contrib"),
    "torchrl_gym.py": (["12"], "64 copies: 128 random architectures", "torchrl"),
    "train_ppo.py": (["sss", "1", "24576"], "points from the best on average", None),
    "compare_agents.py": ([], "plot: ", None),
    "rllib_ppo.py": (["2"], "the best architecture's mean is 91.61", "tree"),
    "train_digits.py": (["2"], "2 episodes in", None),
}


def run_here(name: str, arguments: list[str]) -> None:
    """Run an example as a script, in this process, which has loaded most of what it imports."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("default")
        patch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")


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


def skip_without(package: str | None) -> None:
    if package and find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", RUNS)
@pytest.mark.usefixtures("home")
def test_an_example_runs(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments, said, package = RUNS[name]
    skip_without(package)
    monkeypatch.chdir(tmp_path)
    run_here(name, arguments)
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "arguments", "package"),
    [
        ("hardware_aware.py", ["latency/rapsi4"], None),
        ("maskable_ppo.py", ["512", "latency/rapsi4"], "sb3_contrib"),
    ],
)
def test_an_unknown_figure_is_one_line(name: str, arguments: list[str], package: str) -> None:
    skip_without(package)
    with pytest.raises(SystemExit, match=rf"^{name}: unknown .* Did you mean 'latency/raspi4'\?$"):
        run_here(name, arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "package"),
    [
        ("hardware_aware.py", ["latency/raspi4", "many"], None),
        ("maskable_ppo.py", ["many"], "sb3_contrib"),
        ("maskable_ppo.py", ["512", "flops", "little"], "sb3_contrib"),
    ],
)
def test_no_number_is_one_line(name: str, arguments: list[str], package: str) -> None:
    skip_without(package)
    with pytest.raises(SystemExit, match=rf"^{name}: .*'{arguments[-1]}'$"):
        run_here(name, arguments)


@pytest.mark.slow
@pytest.mark.parametrize("name", {**RUNS, **SLOW})
def test_an_example_runs_by_itself(name: str, tmp_path: Path) -> None:
    arguments, said, package = {**RUNS, **SLOW}[name]
    skip_without(package)
    assert said in run(name, arguments, tmp_path)


@pytest.mark.slow
def test_rl_zoo_trains_with_the_settings_that_ship(tmp_path: Path) -> None:
    if find_spec("rl_zoo3") is None:
        pytest.skip("rl_zoo3 is not installed")
    command = [
        *(sys.executable, "-m", "rl_zoo3.train", "--algo", "ppo", "-n", "1000"),
        *("--env", "NATS-SSS-cifar100-v0", "--gym-packages", "nats_gym"),
        *("--conf-file", str(EXAMPLES / "rl_zoo.yml"), "-f", str(tmp_path / "logs")),
    ]
    paths = {"PYTHONPATH": str(EXAMPLES.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, **paths}
    )
    assert done.returncode == 0, done.stderr
    assert next(tmp_path.glob("logs/ppo/NATS-SSS-cifar100-v0_1/*.zip")).is_file()
