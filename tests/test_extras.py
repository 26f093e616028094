"""What optional packages are for, and that a missing one is said at once: child interpreters."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from nats_gym.errors import MissingPackage
from nats_gym.extras import PACKAGES, require

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

#: Optional packages, and what needs each; run where none of them is installed.
NEEDS = [
    ("optuna", "nats_gym.search('tss', 'cifar10', 'tpe')"),
    ("optuna", "nats_gym.search('tss', 'cifar10', 'tpe', source='no-archive')"),
    ("optuna", "Study.of({**STUDY, 'agents': {'random': {}, 'tpe': {}}})"),
    ("sb3_contrib", "nats_gym.search('tss', 'cifar10', 'maskable-ppo')"),
    ("sklearn", "gym.make('NATS-SSS-digits-v0')"),
    ("sklearn", "gym.make_vec('NATS-TSS-digits-OneShot-v0', num_envs=2)"),
    ("sklearn", "nats_gym.search('tss', 'digits', 'gdas', epochs=1)"),
    ("pooch", "gym.make('NATS-TSS-cifar10-v0', evaluator='train')"),
    ("pooch", "gym.make('NATS-TSS-cifar100-v0', evaluator={'name': 'train', 'data_dir': 'data'})"),
    ("pooch", "nats_gym.search('tss', 'cifar10', 'gdas', epochs=1)"),
    ("ray", "gym.make_vec('NATS-SSS-ImageNet16-120-v0', num_envs=2, evaluator='ray')"),
    ("pygame", "gym.make('NATS-TSS-cifar10-v0', render_mode='human')"),
    ("scikit_posthocs", "nemenyi_p_values({'a': [1, 2], 'b': [2, 3]})"),
    ("scipy", "nats_gym.analysis.analyse('tss', 'cifar10')"),
    ("scipy", "nats_gym.building.fit_table('table')"),
    ("optuna", ["search", "--agent", "tpe"]),
    ("sb3_contrib", ["search", "--agent", "maskable-ppo"]),
    ("gdown", ["data", "download", "tss"]),
    ("ray", "build --space sss --dataset cifar10 --archs 0 --out build --ray".split()),
    ("pooch", "build --space sss --dataset cifar10 --archs 0 --out build".split()),
    ("onnx", "train sss 0 --dataset digits --onnx".split()),
    ("sklearn", "train sss 0 --dataset digits".split()),
    ("pooch", "train sss 0 --dataset cifar10".split()),
    ("scipy", ["report", "study"]),
    ("scipy", ["analyse", "tss", "cifar10"]),
    ("scipy", ["fit", "table"]),
]
#: What needs none of them, as the data are there, or not to be fetched.
NEEDS_NONE = [
    "gym.make('NATS-TSS-cifar10-v0', evaluator='train', data_dir='at hand')",
    "gym.make('NATS-TSS-cifar100-v0', evaluator='train', download=False)",
]
CHILD = """
import json, sys, warnings
warnings.simplefilter("ignore")
for name in {missing!r}:
    sys.modules[name] = None
import gymnasium as gym, nats_gym, nats_gym.analysis, nats_gym.building, nats_gym.cli
from nats_gym.study import Study
from nats_gym.study.statistics import nemenyi_p_values
STUDY = {{"searches": [{{"space": "tss", "datasets": ["cifar10"], "epochs": 12}}]}}
for needs in {none!r}:
    eval(needs).close()
for _, needs in {needs!r}:
    try:
        if isinstance(needs, str):
            eval(needs)
        else:
            nats_gym.cli.app(needs, standalone_mode=False)
        print(json.dumps("nothing"))
    except Exception as error:
        print(json.dumps([[base.__name__ for base in type(error).__mro__], str(error)]))
"""


def child(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NATS_GYM_HOME": str(folder / "home")}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[list[object]]:
    """What each of NEEDS says where it misses its package."""
    folder = tmp_path_factory.mktemp("bare")
    batch = folder / "at hand" / "cifar-10-batches-py" / "test_batch"
    batch.parent.mkdir(parents=True)
    batch.touch()
    done = child(CHILD.format(missing=list(PACKAGES), none=NEEDS_NONE, needs=NEEDS), folder)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.iterdir()} <= {"at hand", "home"}  # nothing was begun
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "needed"), [*enumerate(NEEDS)])
def test_what_is_missing_is_said_at_once(
    said: list[list[object]], number: int, needed: tuple[str, object]
) -> None:
    kinds, message = said[number]
    package, extra = PACKAGES[needed[0]]
    assert "MissingPackage" in kinds, message
    assert "ImportError" in kinds
    assert ("DependencyNotInstalled" in kinds) == (needed[0] == "pygame")  # Gymnasium's convention
    assert f" needs {package}: pip install '{package}'" in message
    assert (f"(nats-gym's extra '{extra}')" in message) == bool(extra)
    assert "\n" not in message


@pytest.mark.parametrize("name", ["maskable_ppo", "multi_objective", "torchrl_gym"])
def test_an_example_says_what_it_misses(name: str, tmp_path: Path) -> None:
    path = ROOT / "examples" / f"{name}.py"
    (module,) = re.findall(r'^require\("(\w+)"', path.read_text(), re.M)
    done = child(
        f"import sys, runpy; sys.modules[{module!r}] = None; runpy.run_path({str(path)!r})",
        tmp_path,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert f"examples/{name}.py needs {PACKAGES[module][0]}: pip install " in last


def test_a_module_is_missing_or_there_however_it_came_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Blocker:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "gdown":
                raise ImportError(name)

    monkeypatch.delitem(sys.modules, "gdown", raising=False)
    with monkeypatch.context() as blocked:
        blocked.setattr(sys, "meta_path", [Blocker(), *sys.meta_path])
        with pytest.raises(MissingPackage, match="this needs gdown"):
            require("gdown", "this")
    fake = type(sys)("gdown")
    fake.__spec__ = None
    monkeypatch.setitem(sys.modules, "gdown", fake)
    require("gdown", "this")


def test_packages_are_what_the_project_states() -> None:
    extras = PROJECT["optional-dependencies"]
    for package, extra in PACKAGES.values():
        assert package in (extras[extra] if extra else PROJECT["dependencies"])
    known = {package for package, _ in PACKAGES.values()}
    people = {name: needs for name, needs in extras.items() if name not in ("dev", "docs")}
    assert {need for needs in people.values() for need in needs} <= known
    (every,) = (need for need in extras["dev"] if need.startswith("nats-gym["))
    assert every == f"nats-gym[{','.join(sorted(people))}]"


def test_every_import_is_a_dependency_or_known_as_optional() -> None:
    core = {re.split(r"[<>=]", need)[0].replace("-", "_") for need in PROJECT["dependencies"]}
    core = {{"pillow": "PIL", "scikit_learn": "sklearn"}.get(name, name) for name in core}
    names = set()
    for folder in ("nats_gym", "envs", "agents"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    names |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    names.add(str(node.module).split(".")[0])
    third_party = names - set(sys.stdlib_module_names) - {"nats_gym"}
    assert core <= third_party, "a dependency that nothing needs"
    # requests is what pooch brings, and triton what torch does where there is CUDA.
    assert third_party <= core | {*PACKAGES, "requests", "triton"}
