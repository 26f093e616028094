"""Whatever searches, studies and saved results are given, they run or refuse."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile_values
import numpy as np
import pytest
from hostile_values import FEW, HOSTILE
from hypothesis import given
from hypothesis import strategies as st
from judging import Fault, alone, attack, bounded, profile

import nats_gym
from nats_gym.agents import AGENTS, GUIDE_OPTIONS, KINDS, find_agent, kind_of
from nats_gym.agents.weight_sharing import METHODS
from nats_gym.protocol import search_arguments
from nats_gym.study import Study, load_study, read_study, run_study, validate, write_report

#: Every test here runs so.
__all__ = ["alone"]

# ── options of agents ────────────────────────────────────────────────────────────────────────


def agent_options(name: str) -> list[str]:
    import inspect

    factory = find_agent(name)[1]
    given, by_name = KINDS[kind_of(factory)]
    parameters = list(inspect.signature(factory).parameters)[len(given) :]
    options = [one for one in parameters if one not in (*by_name, "among")]
    return [*options, *GUIDE_OPTIONS] if "guide" in options else options


def agent_faults(name: str, values: tuple[str, ...]) -> list[str]:
    found = []
    space = "tss"
    if name in METHODS:
        from nats_gym.agents.weight_sharing import get_method

        space = get_method(name).space
    for option in [*agent_options(name), "no such option"]:
        for value in values:
            told = f"{name} {option}={value}"
            options = {option: HOSTILE[value]()}
            try:
                answer = attack(
                    lambda options=options: search_arguments(
                        space, "cifar10", name, options=options
                    ),
                    told,
                )
                if answer.refusal is None:
                    json.dumps(dict(answer.value))  # a result records them
                    if value in ("float nan", "np.True_") or option == "no such option":
                        found.append(f"{told} was accepted")
            except Fault as fault:
                found.append(str(fault))
    return found


@pytest.mark.one_in(17)
@pytest.mark.parametrize("name", AGENTS)
def test_agents_refuse_a_few_hostile_options(name: str) -> None:
    assert not agent_faults(name, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("name", AGENTS)
def test_agents_refuse_hostile_options(name: str) -> None:
    assert not agent_faults(name, tuple(HOSTILE))


# ── searches ─────────────────────────────────────────────────────────────────────────────────

QUICK = ("random", "reinforce", "rea", "local-search", "bandit", "largest", "asha", "hyperband")
SEARCHES: dict[str, list[Any]] = {
    "space": ["tss", "sss"],
    "dataset": ["cifar10", "cifar100", "ImageNet16-120"],
    "agent": list(QUICK),
    "epochs": [None, 12, 90, 200, "4/12"],
    "budget": [1e-9, 1.0, 3_000.0, np.float32(2_000)],
    "runs": [1, 2, np.int64(2)],
    "seed": [0, 1, 2**64, np.uint8(3)],
    "source": ["auto", "embedded"],
    "trial": ["random", "mean", 0, 777],
    "options": [None, {}, {"improvement": "best"}, {"eta": 3}, {"rule": "ucb"}],
    "rungs": [None, (12, 200), [12], ("1/12", 12)],
    "workers": [1, 2, 7],
    "continuing": [None, "difference", "scratch"],
    "first_run": [0, 5, 2**40],
    "supernet_epochs": [None],
    "checkpoints": [None],
    "progress": [None, lambda share: None],
}


def search_once(data: st.DataObject) -> None:
    """Search with drawn arguments; what a search answers is of the table."""
    arguments: dict[str, Any] = {"space": "tss", "dataset": "cifar10"}
    arguments |= {"agent": data.draw(st.sampled_from(QUICK)), "budget": 3_000.0}
    arguments |= hostile_values.draw_some(data, SEARCHES)
    told = ", ".join(f"{name}={hostile_values.told(value)}" for name, value in arguments.items())
    answer = attack(lambda: nats_gym.search(**arguments), f"search({told})")
    if answer.refusal is None:
        check_result(answer.value)


def check_result(result: Any) -> None:
    with bounded():
        space = result.table.space
        known = result.index >= 0
        assert (result.index < space.size).all()
        assert known[:, 0].all()
        for figures in (result.accuracy, result.seconds, result.clock):
            assert np.isfinite(figures[known]).all()
            assert np.isnan(figures[~known]).all()
        assert ((result.accuracy >= 0) & (result.accuracy <= 100))[known].all()
        assert (result.seconds[known] >= 0).all()
        assert (np.diff(result.clock, axis=1)[known[:, 1:]] >= 0).all()
        assert (result.full_schedule_accuracy() <= result.table.best()[1] + 1e-9).all()
        json.dumps(dict(result.arguments))


@given(st.data())
@profile(15)
def test_searches_run_or_refuse_a_little(data: st.DataObject) -> None:
    search_once(data)


@pytest.mark.slow
@given(st.data())
@profile(400)
def test_searches_run_or_refuse(data: st.DataObject) -> None:
    search_once(data)


# ── studies as they are said ─────────────────────────────────────────────────────────────────

SPEC: dict[str, Any] = {
    "name": "small",
    "runs": 2,
    "seed": 0,
    "source": "auto",
    "trial": "random",
    "searches": [
        {"space": "tss", "datasets": ["cifar10"], "epochs": 12, "budget": 3_000.0},
        {"space": "sss", "dataset": "cifar100", "budget": 3_000},
    ],
    "agents": {
        "random": {"spaces": ["tss"]},
        "climb": {"agent": "local-search", "options": {"improvement": "best"}},
        "asha": {"rungs": [12, 200], "workers": 2, "continuing": "scratch", "spaces": ["tss"]},
    },
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested dictionaries and lists."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


def with_value(whole: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at a place."""
    changed = copy.deepcopy(whole)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def spec_faults(values: tuple[str, ...]) -> list[str]:
    found = []
    for path in places(SPEC):
        for value in values:
            spec = with_value(SPEC, path, HOSTILE[value]())
            told = f"Study.of({'.'.join(map(str, path))}={value})"
            try:
                answer = attack(lambda spec=spec: Study.of(spec), told)
            except Fault as fault:
                found.append(str(fault))
                continue
            if answer.refusal is not None:
                continue
            for cell in answer.value.cells:
                try:
                    json.dumps(dict(cell.arguments))
                    assert np.isfinite(cell.arguments["budget"])
                    assert type(cell.arguments["runs"]) is int
                    assert len(cell.name) < 255
                    assert "/" not in cell.name
                except (AssertionError, ValueError, TypeError) as error:
                    found.append(f"{told} was accepted: {error!r:.100}")
    return found


def test_studies_refuse_a_few_hostile_values() -> None:
    assert not spec_faults(FEW)


@pytest.mark.slow
def test_studies_refuse_hostile_values() -> None:
    assert not spec_faults(tuple(HOSTILE))


TOML = """name = "small"
runs = 2
[[searches]]
space = "tss"
datasets = ["cifar10"]
epochs = 12
budget = 3000.0
[agents.random]
[agents.climb]
agent = "local-search"
options = { improvement = "best" }
"""


def read_mangled(data: st.DataObject, folder: Path) -> None:
    """Read a study's file with a part of it cut, doubled or replaced."""
    start = data.draw(st.integers(0, len(TOML)))
    end = data.draw(st.integers(start, min(start + 40, len(TOML))))
    inserted = data.draw(
        st.sampled_from(
            [
                *(b"", b"\xff\xfe", b"\0", b"[[agents]]", b"'", b"= nan", b"= inf", b"1e400"),
                *(b"[agents.", b"9" * 5_000, b"x" * 10_000, b"[" * 5_000, b"{a=" * 2_000, b"\n"),
                *(b"-1", b"true", b'"os:system"', b'"../x"', b"0x7fffffffffffffffff"),
                *(b"1979-05-27", b"a.b.c = 1"),
            ]
        )
    )
    text = TOML.encode()
    path = folder / "study.toml"
    path.write_bytes(text[:start] + inserted + text[end:])
    attack(lambda: read_study(path), f"read_study with {inserted[:20]!r} at {start}…{end}")


@given(st.data())
@profile(60)
def test_a_mangled_study_is_read_or_refused_a_little(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    read_mangled(data, tmp_path_factory.mktemp("study"))


@pytest.mark.slow
@given(st.data())
@profile(1_500)
def test_a_mangled_study_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    read_mangled(data, tmp_path_factory.mktemp("study"))


# ── what was saved, mangled ──────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small finished study."""
    folder = tmp_path_factory.mktemp("ran") / "study"
    spec = with_value(SPEC, ("searches",), SPEC["searches"][:1])
    return run_study(Study.of(spec), folder, jobs=1)


def read_all(folder: Path) -> None:
    """Everything that reads a study's folder."""
    for run in folder.rglob("run.json"):
        answer = attack(lambda run=run: nats_gym.SearchResult.load(run.parent), "load")
        if answer.refusal is None:
            result = answer.value
            attack(result.summary, "summary")
            attack(result.regret, "regret")
            attack(lambda result=result: result.save("saved"), "save")
    attack(lambda: list(validate(folder)), "validate")
    answer = attack(lambda: load_study(folder), "load_study")
    if answer.refusal is None:
        attack(lambda: answer.value.groups(), "groups")


def mangle_json(data: st.DataObject, path: Path) -> str:
    """Put another value at a place of a JSON file."""
    record = json.loads(path.read_text())
    place = data.draw(st.sampled_from(places(record)))
    value = data.draw(
        st.sampled_from(
            [
                *(None, True, -1, 0, 10**30, 1e308, float("nan"), float("inf"), "", "x"),
                *("x" * 10_000, "~nouser/x", "../..", "\0", "\ud800", "cifar100"),
                *([], {}, [[]], {"a": {}}, [1, 2]),
            ]
        )
    )
    path.write_text(json.dumps(with_value(record, place, value)))
    return f"{path.name}: {'.'.join(map(str, place))} = {value!r:.40}"


def mangle_arrays(data: st.DataObject, path: Path) -> str:
    """Change an array of a result, and say its digest anew, as a forger would."""
    with np.load(path) as file:
        arrays = dict(file)
    name = data.draw(st.sampled_from(sorted(arrays)))
    change = data.draw(st.sampled_from(sorted(CHANGES)))
    changed = CHANGES[change](arrays[name])
    if changed is None:
        del arrays[name]
    else:
        arrays[name] = changed
    np.savez_compressed(path, **arrays)
    record = json.loads((path.parent / "run.json").read_text())
    record["runs_sha256"] = hostile_values.sha256_of(path)
    (path.parent / "run.json").write_text(json.dumps(record))
    return f"{name}: {change}"


CHANGES: dict[str, Callable[[Any], Any]] = {
    "gone": lambda a: None,
    "empty": lambda a: a[:0],
    "no evaluations": lambda a: a[:, :0] if a.ndim > 1 else a,
    "another shape": lambda a: a.reshape(-1),
    "scalar": lambda a: np.array(1),
    "text": lambda a: np.full(a.shape, "x"),
    "complex": lambda a: a.astype(complex),
    "bools": lambda a: a.astype(bool),
    "int8": lambda a: np.zeros(a.shape, np.int8),
    "nan": lambda a: np.full(a.shape, np.nan),
    "inf": lambda a: np.full(a.shape, np.inf),
    "-inf": lambda a: np.full(a.shape, -np.inf),
    "huge": lambda a: np.full(a.shape, 2**62),
    "-5": lambda a: np.full(a.shape, -5),
    "half": lambda a: a[: len(a) // 2],
    "three dimensions": lambda a: a[..., None],
    "structured": lambda a: np.zeros(a.shape, [("a", "i8")]),
    "unsigned": lambda a: np.zeros(a.shape, np.uint64),
    "times": lambda a: np.zeros(a.shape, "datetime64[s]"),
    "dates beyond": lambda a: np.full(a.shape, 10**18),
}


def read_mangled_results(data: st.DataObject, ran: Path, folder: Path) -> None:
    shutil.copytree(ran, folder, dirs_exist_ok=True)
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".npz"))
    path = data.draw(st.sampled_from(files))
    kind = data.draw(st.sampled_from(["content", "content", "content", "bytes", "gone", "folder"]))
    told = f"{path.name} {kind}"
    if kind == "content":
        told = (mangle_json if path.suffix == ".json" else mangle_arrays)(data, path)
    elif kind == "bytes":
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=40))
        path.write_bytes(content)
    else:
        path.unlink()
        if kind == "folder":
            path.mkdir()
    try:
        read_all(folder)
    except Fault as fault:
        raise Fault(f"{told}: {fault}") from fault.__cause__


@given(st.data())
@profile(10)
def test_mangled_results_are_read_or_refused_a_little(
    ran: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    read_mangled_results(data, ran, tmp_path_factory.mktemp("mangled"))


@pytest.mark.slow
@given(st.data())
@profile(400)
def test_mangled_results_are_read_or_refused(
    ran: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    read_mangled_results(data, ran, tmp_path_factory.mktemp("mangled"))


def test_a_report_refuses_a_mangled_study(ran: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(ran, folder)
    record = json.loads((folder / "study.json").read_text())
    for place in places(record)[:40]:
        if place[0] == "cells" and len(place) > 2 and place[2] in ("real_seconds", "provenance"):
            continue
        for value in (None, -1, "x", [], {}):
            changed = json.dumps(with_value(record, place, value))
            (folder / "study.json").write_text(changed)
            answer = attack(lambda: load_study(folder), f"{place} = {value!r}")
            if answer.refusal is not None:
                attack(lambda: write_report(folder, "report"), f"{place} = {value!r}")
