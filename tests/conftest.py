"""What several tests need: the shared figures where they are, and small tables of our own."""

from __future__ import annotations

import contextlib
import os

# Small arrays: threads only get in each other's way, and pytest runs one worker per core.
if "OMP_NUM_THREADS" not in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"
    # A filter of warnings names one of ours, so that numpy may be loaded already.
    with contextlib.suppress(ImportError):
        import threadpoolctl

        threadpoolctl.threadpool_limits(1, "blas")

import bz2
import gc
import hashlib
import io
import pickle
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nats_gym.spaces import ArchitectureSpace, SizeSpace, TopologySpace

# Until pytest_collection_finish: what is imported and collected stays.
gc.disable()

# Whatever archives this machine has, tests begin without one.
HOME = tempfile.TemporaryDirectory(prefix="nats-gym-tests-")
os.environ["NATS_GYM_HOME"] = HOME.name

SHARED = Path(__file__).parent.parent.parent / "shared" / "figures"


ATTACKS, ON_GPU = (f"{Path(__file__).parent / folder}{os.sep}" for folder in ("attack", "gpu"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow attacks are a run of their own, `make test-attack`; so is `make gpu`.

    Of the cases of a test marked ``one_in(n)`` every n-th is fast and the others are slow. An n
    that shares no divisor with the numbers of its parameters' values meets each of them.
    """
    cases: Counter[tuple[Path, str]] = Counter()
    for item in items:
        if thinned := item.get_closest_marker("one_in"):
            test = item.path, item.name.partition("[")[0]
            if cases[test] % thinned.args[0]:
                item.add_marker("slow")
            cases[test] += 1
        if str(item.path).startswith(ATTACKS) and item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.attack)
        if str(item.path).startswith(ON_GPU):
            item.add_marker(pytest.mark.gpu)
            item.add_marker(pytest.mark.filterwarnings("default"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The cases of the checks in tests/gpu, which know nothing of pytest."""
    if "case" in metafunc.fixturenames and hasattr(metafunc.function, "cases"):
        metafunc.parametrize("case", metafunc.function.cases, ids=str)


@pytest.fixture
def place(tmp_path: Path) -> Any:
    """Where the checks of tests/gpu run: a GPU; NATS_GYM_GPU=miniature lets the CPU do."""
    import torch
    from gpu_place import Place

    if torch.cuda.is_available():
        return Place(torch.device("cuda", 0), tmp_path)
    if os.environ.get("NATS_GYM_GPU") != "miniature":
        pytest.skip("no GPU here")
    return Place(torch.device("cpu"), tmp_path, miniature=True)


def pytest_collection_finish() -> None:
    # Not frozen: the oldest hypothesis looks for its own random numbers among what is collected.
    gc.enable()


@pytest.fixture(scope="session")
def shared_figures() -> Path:
    """Folder of real NATS-Bench figures, which are not part of the project."""
    if not SHARED.is_dir():
        pytest.skip("the shared NATS-Bench figures are not on this machine")
    return SHARED


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the suite's that nothing else has."""
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch as every test finds it: on one thread, with the same random numbers ahead."""
    import torch

    from nats_gym.agents import threads

    torch.manual_seed(0)
    with threads.one_thread():
        yield


@pytest.fixture(scope="session", params=[TopologySpace(), SizeSpace()], ids=["tss", "sss"])
def space(request: pytest.FixtureRequest) -> ArchitectureSpace:
    return request.param


def official_strings(figures: Path, space: str) -> list[str]:
    """Architecture strings in the order of the official meta file."""
    folder = next((figures / "official").glob(f"NATS-{space}-*"))
    with bz2.open(folder / "meta.pickle.pbz2") as file:
        meta = _PlainUnpickler(io.BytesIO(file.read())).load()
    return list(meta["meta_archs"])


def digest_of_order(strings: Any) -> str:
    """SHA-256 of architecture strings, one a line."""
    return hashlib.sha256("\n".join(map(str, np.asarray(strings))).encode()).hexdigest()


def assert_same_search(one: Any, other: Any) -> None:
    """Two results of weight-sharing searches, but for the seconds, which no two runs share."""
    for name in ("index", "alphas", "loss"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


class _PlainUnpickler(pickle.Unpickler):
    """Reads containers of plain values and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
