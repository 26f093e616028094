"""Named columns: added, looked up everywhere by one name, and refused where they are none."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from command_line import call as command
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

import nats_gym
from nats_gym.errors import CorruptTable, InvalidInput, NotInTable
from nats_gym.spaces import Quantity, get_space
from nats_gym.tables import (
    MEASURED,
    Column,
    add_column,
    known_figures,
    load_table,
    remove_column,
)
from nats_gym.tables.column import OWN_METRICS, RESERVED
from nats_gym.tables.folder import MANIFEST, write_table
from nats_gym.tables.named_columns import added_columns
from nats_gym.tables.score import open_score
from nats_gym.tables.table import named_figure
from nats_gym.tasks import make_tasks
from nats_gym.testing import check_vector_env

TSS = get_space("tss")
#: What a column says of itself in words.
TEXTS = ("label", "source", "licence", "note")
POWER, SCORE = "power/board", "my-score"


@pytest.fixture
def power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NDArray[np.float64]:
    """A cost of every topology and a score that may be negative, added on this machine."""
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))
    values = np.random.default_rng(0).gamma(3.0, 2.0, TSS.size)
    add_column("tss", "cifar10", POWER, values, unit="W", source="a meter")
    add_column("tss", "cifar10", SCORE, np.log(values), unit="nats", lower_is_better=False)
    return values


def test_a_column_is_found_by_its_name(power: NDArray[np.float64]) -> None:
    figure = load_table("tss", "cifar10").figure(POWER)
    assert np.array_equal(figure.values, power)
    assert (figure.quantity.unit, figure.quantity.label) == ("W", "power/board [W]")
    assert figure.provenance == "measured"
    assert not load_table("tss", "cifar10").figure(SCORE).quantity.lower_is_better
    assert {POWER, SCORE} <= set(known_figures(TSS, "cifar10"))
    assert POWER not in known_figures(TSS, "cifar100")
    assert POWER not in known_figures(get_space("sss"), "cifar10")
    env = gym.make("NATS-TSS-cifar10-v0").unwrapped
    assert np.array_equal(env.figure(POWER), power)
    with pytest.raises(InvalidInput, match=r"Did you mean 'power/board'"):
        env.figure("power/boardd")


def test_a_column_that_is_elsewhere_is_said_to_be_there(power: NDArray[np.float64]) -> None:
    there = r"it is known of tss on cifar10; allowed: "
    weighed = {"objectives": ["accuracy", POWER]}
    for call, what in (
        (lambda: gym.make("NATS-SSS-cifar10-v0", limits={POWER: 3}), "limit"),
        (lambda: gym.make("NASBench101-cifar10-v0", figures=[POWER]), "figure"),
        (lambda: load_table("tss", "cifar100").figure(POWER), "figure"),
        (lambda: nats_gym.search("sss", "digits", "nsga2", options=weighed), "objective"),
        (lambda: make_tasks("tss", ["cifar100"], [POWER]), "limit"),
    ):
        with pytest.raises(InvalidInput, match=rf"unknown {what} '{POWER}': {there}") as caught:
            call()
        assert "Did you mean" not in str(caught.value)
    with pytest.raises(InvalidInput, match="known of tss on cifar10, cifar100, ImageNet16-120;"):
        named_figure(TSS, "digits", "latency/raspi4")


def test_what_a_table_lacks_is_not_listed() -> None:
    for call in (
        lambda: gym.make("NASBench101-cifar10-v0", max_latency=0.01),
        lambda: gym.make("mo-NASBench101-cifar10-v0", objectives=["accuracy", "latency"]),
        lambda: open_score("sss", "digits", "latency"),  # for a search without a table
        lambda: open_score("nb101", "cifar10", "latency", load_table("nb101", "cifar10")),
    ):
        with pytest.raises(InvalidInput, match="'latency': the table searched, if any, lacks it;"):
            call()
    for name in ("accuracy_curve", "train_seconds_per_epoch"):  # which tables have, as no figures
        with pytest.raises(InvalidInput, match=f"unknown figure '{name}'; allowed: params"):
            load_table("tss", "cifar10").figure(name)
    with pytest.raises(NotInTable, match="has no latency; give a table that has it") as caught:
        load_table("nb101", "cifar10").figure("latency")
    assert "archive" not in str(caught.value)
    with pytest.raises(InvalidInput, match=r"allowed: params, flops, paths, accuracy\."):
        load_table("nb101", "cifar10").figure("heat")


def test_a_limit_masks_as_brute_force_says(power: NDArray[np.float64]) -> None:
    limits = {POWER: float(np.quantile(power, 0.2)), "flops": 90.0}
    env = gym.make("NATS-TSS-cifar10-v0", limits=limits).unwrapped
    met = (power <= limits[POWER]) & (env.figure("flops") <= 90.0)
    rows = TSS.all_choices()
    rng = np.random.default_rng(1)
    for _ in range(60):
        _, info = env.reset(seed=int(rng.integers(2**31)))
        taken: list[int] = []
        while True:
            fits = (rows[:, : len(taken)] == taken).all(axis=1) & met
            expected = np.bincount(rows[fits, len(taken)], minlength=5) > 0
            assert np.array_equal(info["action_mask"], expected)
            taken.append(int(rng.choice(np.flatnonzero(expected))))
            *_, done, _, info = env.step(taken[-1])
            if done:
                break
        assert met[info["index"]]
        assert info["cost"] == 0
    with pytest.raises(InvalidInput, match=r"power/board ≤ 1e-06 \(the lowest is .* W\)"):
        gym.make("NATS-TSS-cifar10-v0", limits={POWER: 1e-6})
    with pytest.raises(InvalidInput, match="my-score"):
        gym.make("NATS-TSS-cifar10-v0", limits={SCORE: 1.0})


def test_a_violation_costs_what_is_too_much(power: NDArray[np.float64]) -> None:
    env = gym.make("NATS-TSS-cifar10-OneShot-v0", limits={POWER: 4.0}, penalty=0.5)
    env.reset(seed=0)
    worst = int(power.argmax())
    _, reward, _, _, info = env.step(TSS.choices(worst))
    assert info["cost"] == pytest.approx(power[worst] / 4.0 - 1)
    assert reward == pytest.approx(info["accuracy"] / 100 - 0.5 * info["cost"])


@pytest.mark.parametrize("family", ["", "-Budgeted", "-OneShot", "-Edit"])
def test_info_and_observation_say_what_is_asked_for(
    power: NDArray[np.float64], family: str
) -> None:
    name = f"NATS-TSS-cifar10{family}-v0"
    env = gym.make(name, figures=[POWER, SCORE, "params"], observe_figures=True)
    plain = gym.make(name)
    assert env.observation_space.shape[0] == plain.observation_space.shape[0] + 3
    observation, info = env.reset(seed=3)
    shares = (power - power.min()) / np.ptp(power)
    env.action_space.seed(3)
    index = info.get("index", -1)
    for _ in range(30):
        assert observation[-3] == pytest.approx(shares[index] if index >= 0 else 0, abs=1e-6)
        observation, _, done, cut, info = env.step(env.action_space.sample())
        if "index" in info:
            index = info["index"]
            assert info[POWER] == power[index]
            assert info[SCORE] == np.log(power)[index]
            assert info["params"] == env.unwrapped.figure("params")[index]
            assert info[f"{POWER}_provenance"] == "measured"
            assert "params_provenance" not in info
        if done or cut:
            assert observation[-3] == pytest.approx(shares[index], abs=1e-6)
            observation, info = env.reset()
            index = info.get("index", -1)


@pytest.mark.one_in(7)
@pytest.mark.parametrize("family", ["{}", "{}-Budgeted", "{}-OneShot", "{}-Edit", "mo-{}"])
@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_native_as_scalar(power: NDArray[np.float64], family: str, mode: str) -> None:
    options: dict[str, Any] = {"figures": [POWER, "params"], "observe_figures": True}
    if family.startswith("mo-"):
        options["objectives"] = ["accuracy", POWER, SCORE]
    elif "Budgeted" in family:
        options |= {"workers": 2, "max_evaluations": 4}
    elif "Edit" in family:
        options |= {"horizon": 4}
    env_id = family.format("NATS-TSS-cifar10") + "-v0"
    autoreset = AutoresetMode(mode)
    native = gym.make_vec(env_id, num_envs=3, autoreset_mode=autoreset, **options)
    looped_class: type[Any] = SyncVectorEnv
    if family.startswith("mo-"):
        looped_class = pytest.importorskip("mo_gymnasium.wrappers.vector").MOSyncVectorEnv
    copies = [lambda: gym.make(env_id, disable_env_checker=True, **options)] * 3
    if family.startswith("mo-") and autoreset is not AutoresetMode.NEXT_STEP:
        return  # MO-Gymnasium knows no other mode
    more = {} if family.startswith("mo-") else {"autoreset_mode": autoreset}
    check_vector_env(native, looped_class(copies, **more), steps=40)


def said_by(env: Any, steps: int = 60) -> set[str]:
    """Every key of the infos of an environment, or of a vector of some, and of those within."""
    env.action_space.seed(0)
    infos = [env.reset(seed=0)[1]]
    for _ in range(steps):
        *_, ended, cut, info = env.step(env.action_space.sample())
        infos.append(info)
        if np.ndim(ended) == 0 and (ended or cut):
            infos.append(env.reset()[1])
    infos += [info["final_info"] for info in infos if "final_info" in info]
    return {key.removeprefix("_") for info in infos for key in info}


def test_no_column_has_the_name_of_what_info_says(
    power: NDArray[np.float64], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys: set[str] = set()
    judged: dict[str, Any] = {"report_test": True}
    limited: dict[str, Any] = {**judged, "limits": {"flops": 90.0}}
    for env_id, options in (
        ("NATS-TSS-cifar10-v0", limited),
        ("NATS-TSS-cifar10-OneShot-v0", limited),
        ("NATS-TSS-cifar10-Edit-v0", {**limited, "horizon": 4}),
        ("NATS-TSS-cifar10-Budgeted-v0", {**limited, "fidelity_action": True, "workers": 2}),
        ("NASBench101-cifar10-OneShot-v0", judged),
        ("mo-NATS-TSS-cifar10-v0", judged),
        ("NATS-TSS-Tasks-v0", judged),
        ("NATS-TSS-cifar10-v0", {"evaluator": "proxy", "score": "params"}),
    ):
        keys |= said_by(gym.make(env_id, disable_env_checker=True, **options), 14)
        for mode in ("NextStep", "SameStep"):
            modes = {"autoreset_mode": AutoresetMode(mode)}
            keys |= said_by(gym.make_vec(env_id, num_envs=2, **modes, **options), 14)
    assert {"index", "cost", "epochs", "task", "evaluation", "incumbent_index", "final_info"} < keys
    assert {"valid", "action_mask", "score"} < keys
    columns = {column.name for column in load_table("tss", "cifar10").columns}
    for name in keys | RESERVED | OWN_METRICS | columns:
        with pytest.raises(InvalidInput):
            add_column("tss", "cifar10", name, power, unit="W")
    arguments = ("data", "add-column", "tss", "cifar10", "index", "x.npy", "--unit", "W")
    code, out, err = command(monkeypatch, capsys, *arguments)
    assert (code, out) == (2, "")
    assert "choose another, such as 'my/index'" in err
    for name in ("my/index", "heat", "cost_of_ownership", "indexes", "loss"):  # which harm nothing
        add_column("tss", "cifar10", name, power, unit="W")


@pytest.mark.parametrize("name", ["seconds", "index", "clock", "status"])
def test_a_column_that_info_would_lose_its_own_to_is_refused(
    power: NDArray[np.float64], name: str
) -> None:
    """One that an earlier version added, or that was put there by hand."""
    folder = add_column("tss", "cifar10", "heat", power, unit="W")
    there = folder.parent / name
    column = Column(name, MEASURED, "", "", counts=Quantity("W", f"{name} [W]"))
    write_table(there, "tss", "cifar10", [(column, power)])
    for make in (gym.make, gym.make_vec):
        with pytest.raises(InvalidInput, match=f"figures= names '{name}', and info has another"):
            make("NATS-TSS-cifar10-Budgeted-v0", epochs=12, figures=["heat", name])
    assert gym.make("NATS-TSS-cifar10-v0", limits={name: float(np.median(power))})
    remove_column("tss", "cifar10", name)
    assert not there.exists()


def test_objectives_are_shares_by_their_direction(power: NDArray[np.float64]) -> None:
    env = gym.make("mo-NATS-TSS-cifar10-v0", objectives=["accuracy", POWER, SCORE]).unwrapped
    assert np.array_equal(env.reward_space.low, np.float32([0, -1, 0]))
    index = np.arange(0, TSS.size, 501)
    vectors = env.vector(index, 50.0)
    score = np.log(power)
    assert np.allclose(vectors[:, 1], -power[index] / power.max())
    assert np.allclose(vectors[:, 2], ((score - score.min()) / np.ptp(score))[index])
    front = set(env.pareto_indices().tolist())
    # The score rises with the power: what no other dominates, by comparing all pairs of a sample.
    accuracy = env.figure("accuracy")
    for one in np.random.default_rng(2).integers(TSS.size, size=200).tolist():
        no_worse = (accuracy >= accuracy[one]) & (power <= power[one]) & (score >= score[one])
        better = (accuracy > accuracy[one]) | (power < power[one]) | (score > score[one])
        assert (one in front) == (not (no_worse & better).any())


def test_a_reward_looks_a_column_up(power: NDArray[np.float64]) -> None:
    def reward(evaluation: Any) -> Any:
        return evaluation.accuracy / 100 - 0.01 * evaluation.figure(POWER)

    env = gym.make("NATS-TSS-cifar10-OneShot-v0", reward=reward)
    env.reset(seed=0)
    _, got, _, _, info = env.step(TSS.choices(77))
    assert got == pytest.approx(info["accuracy"] / 100 - 0.01 * power[77])


def test_a_copy_keeps_its_columns(power: NDArray[np.float64]) -> None:
    import copy
    import pickle

    env = gym.make("NATS-TSS-cifar10-v0", figures=[POWER], observe_figures=True).unwrapped
    for other in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        for one in (env, other):
            one.reset(seed=5)
        for action in (1, 2, 3, 4, 0):
            env.step(action)
            other.step(action)
        assert env.step(2)[4] == other.step(2)[4]


# ── files ────────────────────────────────────────────────────────────────────────────────────


def small_csv(lines: list[str], path: Path) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))
    return [f"{index},{index / 8}" for index in range(TSS.size)]


def test_csv_by_index_or_string_in_any_order(lines: list[str], tmp_path: Path) -> None:
    by_string = [
        f'"{name}",{index / 8}'
        for index, name in enumerate(TSS.string(TSS.choices(np.arange(TSS.size))))
    ]
    expected = np.arange(TSS.size) / 8
    for number, given in enumerate((lines[::-1], ["architecture,ms", *by_string])):
        path = small_csv(given, tmp_path / f"{number}.csv")
        add_column("tss", "cifar10", f"c{number}", path, unit="ms")
        assert np.array_equal(load_table("tss", "cifar10").figure(f"c{number}").values, expected)
    np.save(tmp_path / "n.npy", expected.astype(np.float32))
    add_column("tss", "cifar10", "n", tmp_path / "n.npy", unit="ms")
    assert np.array_equal(load_table("tss", "cifar10").figure("n").values, expected)


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:-1], r"lacks architecture 15624$"),
        (lambda lines: lines[:-2], r"lacks 2 of 15,625 architectures, the first is 15623$"),
        (lambda lines: [line.replace(",", ";") for line in lines], r"line 2 .*; a comma stands"),
        (lambda lines: [line.replace(",", "\t") for line in lines], r"line 2 .*; a comma stands"),
        (lambda lines: ["a;ms", *(f"{i};{i},5" for i in range(9))], r"line 2 .*; a comma stands"),
        (lambda lines: [*lines[:-1], "9" * 5_000 + ",1"], r"line 15625 of .*: malformed"),
        (lambda lines: [*lines, "7,1"], r"line 15626 of .*: architecture 7 a second time"),
        (lambda lines: [*lines[:-1], "15625,1"], r"line 15625 of .*: an index is in 0…15,624"),
        (lambda lines: [*lines[:-1], "15624,nan"], r"line 15625 of .*: nan is not finite"),
        (lambda lines: [*lines[:-1], "15624"], r"line 15625 .* is no architecture,value"),
        (lambda lines: [*lines[:-1], "15624,fast"], r"line 15625 .* is no architecture,value"),
        (lambda lines: [*lines[:-1], "|no~0|,3"], r"line 15625 of "),
        (lambda lines: [*lines[:-1], '"15624,3'], r"is no CSV"),
    ],
)
def test_a_csv_that_is_none_is_refused(
    lines: list[str], tmp_path: Path, change: Any, said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        add_column("tss", "cifar10", "c", small_csv(change(lines), tmp_path / "c.csv"), unit="ms")
    assert "c" not in known_figures(TSS, "cifar10")


def test_values_that_are_no_column_are_refused(lines: list[str], tmp_path: Path) -> None:
    values = np.ones(TSS.size)
    holed = np.where(np.arange(TSS.size) == 3, np.nan, values)
    for given, said in (
        (values[:-1], r"15,625 figures, got \(15624,\)"),
        (values[:, None], r"got \(15625, 1\)"),
        (holed, r"figure nan of architecture 3 is no finite number$"),
        (np.where(values.cumsum() < 3, np.inf, 1.0), r"figure inf .* 0 .*, nor is that of 1$"),
        (np.where(values.cumsum() < 9, np.nan, 1.0), r"figure nan .*, nor are those of 7 others$"),
        (["fast"] * TSS.size, "numbers"),
        (tmp_path / "none.npy", "no .npy of numbers: "),
        (tmp_path / "none.txt", r"no .npy of numbers \(nor is it called .csv, which is read too\)"),
        (tmp_path / "none.csv", "no CSV"),
    ):
        with pytest.raises(InvalidInput, match=said):
            add_column("tss", "cifar10", "c", given, unit="ms")
    for name in ("accuracy", "flops", "a/b/c", "../x", "", "a b", "x_provenance", "1x", "é"):
        with pytest.raises(InvalidInput):
            add_column("tss", "cifar10", name, values, unit="ms")
    with pytest.raises(InvalidInput, match="Did you mean 'cifar10'"):
        add_column("tss", "cifar1", "c", values, unit="ms")
    for name, texts in (
        ("unit", ("", " ", "\x1b[31m", "a\nb", "x" * 51, None, 3)),
        *((name, ("\x00", "a\nb", "\x1b]0;x\x07", None)) for name in TEXTS),
    ):
        for text in texts:
            with pytest.raises(InvalidInput, match=f"an? {name} is "):
                add_column("tss", "cifar10", "c", values, **{"unit": "ms", name: text})
    assert not (tmp_path / "home").exists()


def test_a_column_is_replaced_only_if_asked_and_removed(lines: list[str]) -> None:
    values = np.ones(TSS.size)
    add_column("tss", "cifar10", "a/b", values, unit="ms")
    with pytest.raises(InvalidInput, match=r"has a column 'a/b' already"):
        add_column("tss", "cifar10", "a/b", values, unit="ms")
    add_column("tss", "cifar10", "a/b", 2 * values, unit="s", replace=True)
    figure = load_table("tss", "cifar10").figure("a/b")
    assert (figure.values[0], figure.quantity.unit) == (2.0, "s")
    with pytest.raises(InvalidInput, match="Did you mean 'a/b'"):
        remove_column("tss", "cifar10", "a/c")
    remove_column("tss", "cifar10", "a/b")
    with pytest.raises(InvalidInput):
        load_table("tss", "cifar10").figure("a/b")


def test_a_csv_may_begin_with_a_byte_order_mark(lines: list[str], tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    for heading in ("", "architecture,ms\n"):
        path.write_text("\ufeff" + heading + "\n".join(lines), encoding="utf-8")
        add_column("tss", "cifar10", "c", path, unit="ms", replace=True)
        values = load_table("tss", "cifar10").figure("c").values
        assert np.array_equal(values, np.arange(TSS.size) / 8)


def test_a_name_that_ships_keeps_its_unit_and_direction(
    lines: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name, values = "latency/raspi4", np.ones(TSS.size)
    for options in ({"unit": "s"}, {"unit": "]"}, {"unit": "ms", "lower_is_better": False}):
        for dataset in ("cifar10", "cifar100"):
            with pytest.raises(InvalidInput, match=r"latency/raspi4 ships in milliseconds, lower"):
                add_column("tss", dataset, name, values, **options)  # type: ignore[arg-type]
    add_column("tss", "digits", name, values, unit="s")  # where none ships
    path = small_csv(lines, tmp_path / "c.csv")
    given = ("data", "add-column", "tss", "cifar10")
    code, out, _ = command(monkeypatch, capsys, *given, name, str(path), "--unit", "ms")
    assert code == 0
    assert "latency/raspi4 of tss cifar10 stands before what ships under its name (surro" in out
    figure = load_table("tss", "cifar10").figure(name)
    assert (figure.quantity.unit, figure.provenance) == ("milliseconds", "measured")
    code, out, _ = command(monkeypatch, capsys, *given, "mine", str(path), "--unit", "ms")
    assert (code, "stands before" in out) == (0, False)
    assert "before the one that ships" in command(monkeypatch, capsys, "data", "status")[1]


def damages() -> Iterator[tuple[str, Any]]:
    yield "bytes", lambda folder: next(folder.glob("*.npy")).write_bytes(b"\x93NUMPY nothing")
    yield "cut", lambda folder: os.truncate(next(folder.glob("*.npy")), 60_000)
    yield "gone", lambda folder: next(folder.glob("*.npy")).unlink()
    yield "manifest", lambda folder: (folder / MANIFEST).write_text("{}")
    yield "no manifest", lambda folder: (folder / MANIFEST).unlink()
    yield (
        "a folder for it",
        lambda folder: (folder / MANIFEST).unlink() or (folder / MANIFEST).mkdir(),
    )
    yield (
        "a link to itself",
        lambda folder: (folder / MANIFEST).unlink() or (folder / MANIFEST).symlink_to(MANIFEST),
    )
    yield "another's", lambda folder: change(folder, '"cifar10"', '"cifar100"')
    yield "unit", lambda folder: change(folder, '"unit": "milliseconds"', '"unit": "s"')
    yield "direction", lambda folder: change(folder, '"lower_is_better": true', '"lower": 1')


def change(folder: Path, old: str, new: str) -> None:
    path = folder / MANIFEST
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.one_in(7)
@pytest.mark.parametrize("damage", [name for name, _ in damages()])
def test_a_damaged_column_says_so_and_harms_no_other(
    lines: list[str],
    damage: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Though one of its name ships, which would be another's figures under it."""
    add_column("tss", "cifar10", "c", np.ones(TSS.size), unit="ms")
    name = "latency/raspi4"
    folder = add_column("tss", "cifar10", name, np.ones(TSS.size), unit="milliseconds")
    dict(damages())[damage](folder)
    remedy = f"nats-gym data remove-column tss cifar10 {name}"
    table = load_table("tss", "cifar10")
    options = {"source": "embedded", "evaluations": 2, "runs": 1}
    for asks in (
        lambda: table.figure(name),
        lambda: gym.make("NATS-TSS-cifar10-v0", limits={name: 5}),
        lambda: gym.make("NATS-TSS-cifar10-v0", figures=[name]),
        lambda: gym.make("mo-NATS-TSS-cifar10-v0", objectives=["accuracy", name]),
        lambda: gym.make("NATS-TSS-cifar10-v0").unwrapped.figure(name),
        lambda: nats_gym.search("tss", "cifar10", "rea", options={"score": name}, **options),
    ):
        with pytest.raises(CorruptTable) as caught:
            asks()
        assert remedy in str(caught.value)
    env = gym.make("NATS-TSS-cifar10-v0", limits={"latency/pixel3": 5}, figures=["c"])
    env.reset(seed=0)
    assert name in known_figures(TSS, "cifar10")
    assert name in known_figures(TSS, "cifar100")
    load_table("tss", "cifar100").figure(name)
    code, out, err = command(monkeypatch, capsys, "show", "tss", "3", "--dataset", "cifar10")
    assert code == 0
    assert re.search(rf"{name} +damaged", out)
    assert re.search(r" c \[ms\] +1 +measured", out)
    assert remedy in err
    code, out, err = command(monkeypatch, capsys, "data", "status")
    assert (code, err) == (0, "")
    assert remedy in out
    assert command(monkeypatch, capsys, *remedy.split()[1:])[0] == 0
    assert table.figure(name).provenance == "surrogate"
    assert remedy not in command(monkeypatch, capsys, "data", "status")[1]
    add_column("tss", "cifar10", name, np.ones(TSS.size), unit="milliseconds")
    dict(damages())[damage](folder)
    with pytest.raises((CorruptTable, InvalidInput), match=rf"remove-column .* {name}|--replace"):
        add_column("tss", "cifar10", name, np.ones(TSS.size), unit="milliseconds")
    twos = np.full(TSS.size, 2.0)
    add_column("tss", "cifar10", name, twos, unit="milliseconds", replace=True)
    assert np.array_equal(table.figure(name).values, twos)


def test_an_analysis_leaves_a_damaged_column_out(lines: list[str]) -> None:
    from nats_gym.analysis import analyse

    add_column("sss", "digits", "c", np.arange(32_768.0), unit="ms")
    folder = add_column("sss", "digits", "d", np.ones(32_768), unit="ms")
    (folder / MANIFEST).write_text("{}")
    found = analyse("sss", "digits", samples=2)
    assert "remove-column sss digits d" in found.left_out["d"]
    assert {one.between[1] for one in found.columns} == {"c"}


def test_what_else_lies_among_columns_is_none(
    lines: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = add_column("tss", "cifar10", "c", np.ones(TSS.size), unit="ms").parent
    for name in ("notes.txt", ".DS_Store", "c2"):
        (folder / name).write_text("mine")
    (folder.parent / "tss").write_text("mine")
    (folder / "my notes").mkdir()
    for name, target in (("loop", "loop"), ("gone", "nowhere")):
        (folder / name).symlink_to(target)
    assert [*added_columns(TSS, "cifar10")] == ["c"]
    gym.make("NATS-TSS-cifar10-v0", figures=["c"])
    for given in (("data", "status"), ("show", "tss", "3", "--dataset", "cifar10")):
        code, out, err = command(monkeypatch, capsys, *given)
        assert (code, err) == (0, "")
        assert "notes" not in out
    with pytest.raises(InvalidInput, match="column added here 'my notes'; allowed: c"):
        remove_column("tss", "cifar10", "my notes")


def test_what_was_made_for_another_data_set_says_so(
    power: NDArray[np.float64],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Wherever provenance is told: of what ships, which was made for cifar10's networks."""
    from nats_gym.analysis.analysis import together

    cpu, phone = "latency/cpu-1-thread-batch1", "latency/pixel3"
    expected = {
        "cifar10": ("measured", "surrogate"),
        "cifar100": ("measured for cifar10", "surrogate for cifar10"),
        "ImageNet16-120": ("measured for cifar10", "surrogate for cifar10"),
    }
    add_column("tss", "cifar100", POWER, power, unit="W")  # measured for that
    for dataset, provenances in expected.items():
        table = load_table("tss", dataset)
        assert (table.figure(cpu).provenance, table.figure(phone).provenance) == provenances
        assert np.array_equal(
            table.figure(cpu).values, load_table("tss", "cifar10").figure(cpu).values
        )
        for vector in (False, True):
            make = (lambda *a, **o: gym.make_vec(*a, num_envs=1, **o)) if vector else gym.make
            env = make(f"NATS-TSS-{dataset}-OneShot-v0", figures=[cpu, phone])
            env.reset(seed=0)
            info = env.step(env.action_space.sample())[4]
            told = [info[f"{name}_provenance"] for name in (cpu, phone)]
            assert tuple(one[0] if vector else one for one in told) == provenances
        code, out, _ = command(monkeypatch, capsys, "show", "tss", "3", "--dataset", dataset)
        assert code == 0
        rows = {line.split()[0]: line for line in out.splitlines() if "[milliseconds]" in line}
        assert rows[cpu].rstrip().endswith(f"  {provenances[0]}")
        assert rows[phone].rstrip().endswith(f"  {provenances[1]}")
    assert load_table("tss", "cifar100").figure(POWER).provenance == "measured"
    assert together("measured", "surrogate for cifar10") == "measured, surrogate for cifar10"
    assert together("measured", "surrogate") == "surrogate"


def test_no_test_accuracy_is_shown_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where validation's estimate bears its name."""
    from nats_gym.analysis import analyse

    test, none = "accuracy-test-90", "none: validation and test are one estimate"
    for dataset in ("cifar10", "cifar100", "ImageNet16-120"):
        code, out, _ = command(monkeypatch, capsys, "show", "sss", "3", "--dataset", dataset)
        assert code == 0
        (row,) = (line for line in out.splitlines() if test in line)
        column = load_table("sss", dataset).column("accuracy", "test", 90)
        if dataset == "cifar10":
            assert row.split()[-1] == "surrogate"
            assert load_table("sss", dataset).rests_on(column) == "surrogate"
        else:
            assert re.search(rf"{test} \[percent\] +— +{none}", row)
            assert load_table("sss", dataset).rests_on(column) == none
        assert not re.search("not measured +measured", out)
    assert command(monkeypatch, capsys, "data", "status")[1].count(none) == 2
    found = analyse("sss", "cifar100", samples=2)
    assert found.left_out["distribution of test, 90 epochs"] == none
    assert [one.split for one in found.distributions] == ["valid"]


def test_a_table_of_ones_own_may_hold_named_columns(tmp_path: Path) -> None:
    from nats_gym.spaces import Quantity
    from nats_gym.tables import MEASURED, Column, write_table

    rng = np.random.default_rng(0)
    accuracy, heat = rng.uniform(20, 90, TSS.size), rng.uniform(1, 2, TSS.size)
    column = Column("accuracy", MEASURED, "us", "", split="valid", epochs=12)
    heats = Column("heat", MEASURED, "us", "", counts=Quantity("K", "heat [K]"))
    write_table(tmp_path / "t", "tss", "cifar10", [(column, accuracy), (heats, heat)])
    table = load_table("tss", "cifar10", tmp_path / "t")
    assert np.array_equal(table.figure("heat").values, heat)
    assert table.known_figures["heat"].label == "heat [K]"
    best = list(itertools.islice(np.argsort(heat), 3))
    assert table.figure("heat").values[best[0]] == heat.min()


def test_a_column_of_a_part_is_refused_where_the_rest_is_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As limit, objective, of a search too, and in `info`."""
    from nats_gym.cli.showing import _figures_grid
    from nats_gym.cli.terminal import print_grid
    from nats_gym.spaces import Quantity
    from nats_gym.tables import MEASURED, Column, write_table

    rng = np.random.default_rng(0)
    embedded = load_table("tss", "cifar10")
    part = rng.random(TSS.size) < 0.3
    heat = np.where(part, rng.uniform(1, 2, TSS.size), np.nan)
    heats = Column("heat", MEASURED, "us", "", counts=Quantity("K", "heat [K]"))
    taken = Column("train_seconds_per_epoch", MEASURED, "us", "")
    passed = Column("evaluation_seconds", MEASURED, "us", "", split="valid")
    column = Column("accuracy", MEASURED, "us", "", split="valid", epochs=12)

    def table_of(folder: str, accuracy: NDArray[np.float64]) -> Any:
        known = [(column, accuracy), (heats, heat)]
        known += [(one, np.ones(TSS.size)) for one in (taken, passed)]
        write_table(tmp_path / folder, "tss", "cifar10", known)
        return tmp_path / folder

    accuracy = embedded.mean_accuracy("valid", 12)
    whole, same = table_of("whole", accuracy), table_of("part", np.where(part, accuracy, np.nan))
    for env_id, options in (
        ("NATS-TSS-cifar10-v0", {"limits": {"heat": 1.5}}),
        ("NATS-TSS-cifar10-v0", {"figures": ["heat"]}),
        ("mo-NATS-TSS-cifar10-v0", {"objectives": ["accuracy", "heat"]}),
    ):
        with pytest.raises(InvalidInput, match=f"has that of {part.sum():,} of 15,625: take flops"):
            gym.make(env_id, source=whole, epochs=12, **options)
        gym.make(env_id, source=same, epochs=12, **options)  # where the rest is not evaluated
    env = gym.make("NATS-TSS-cifar10-v0", source=same, epochs=12, limits={"heat": 1.5}).unwrapped
    assert np.array_equal(np.sort(env.limits.feasible), np.flatnonzero(heat <= 1.5))  # NaN is not
    options = {"objectives": ["accuracy", "heat"]}
    with pytest.raises(InvalidInput, match="objective heat is known of some architectures only"):
        nats_gym.search(
            "tss", "cifar10", "nsga2", 12, source=whole, evaluations=40, options=options
        )
    print_grid(_figures_grid(load_table("tss", "cifar10", whole), int(np.flatnonzero(~part)[0])))
    assert "not measured" in capsys.readouterr().out


def test_what_a_space_computes_is_no_column_of_a_table(
    power: NDArray[np.float64], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = Quantity("W", "power [W]", lower_is_better=False)
    column = Column("flops", MEASURED, "", "", counts=counts)
    with pytest.raises(InvalidInput, match="'flops' is a closed form of tss"):
        write_table(tmp_path / "t", "tss", "cifar10", [(column, power)])
    monkeypatch.setattr("nats_gym.tables.folder.check_stored", lambda *_: None)
    write_table(tmp_path / "t", "tss", "cifar10", [(column, power)])  # as an earlier version did
    table = load_table("tss", "cifar10", tmp_path / "t")
    assert table.known_figures["flops"] == TSS.closed_forms["flops"]
    assert np.array_equal(table.figure("flops").values, TSS.figure("flops", "cifar10").values)


def test_devices_are_columns_of_every_data_set_of_nats_bench() -> None:
    from nats_gym.tables.devices import DEVICES, device_latency

    for dataset in ("cifar10", "cifar100", "ImageNet16-120"):
        table = load_table("tss", dataset)
        assert set(DEVICES) <= set(table.known_figures)
        figure = table.figure("latency/pixel3")
        assert np.array_equal(figure.values, device_latency("tss", "latency/pixel3"))
        assert figure.quantity.unit == "milliseconds"
    assert not set(DEVICES) & set(known_figures(get_space("sss"), "cifar10"))
    assert not set(DEVICES) & set(known_figures(TSS, "digits"))  # other networks


@pytest.mark.slow
def test_maskable_ppo_keeps_to_a_device(tmp_path: Path) -> None:
    """Over 10,000 episodes, from the first on."""
    MaskablePPO = pytest.importorskip("sb3_contrib").MaskablePPO
    from nats_gym.envs import make_sb3

    exceeded: list[float] = []
    limits = {"latency/pixel3": 5.0}
    latency = load_table("tss", "cifar10").figure("latency/pixel3").values
    adapter = make_sb3("NATS-TSS-cifar10-v0", num_envs=64, limits=limits)
    step = adapter.step_wait

    def watched() -> Any:
        answer = step()
        ended = [info for info in answer[3] if "index" in info]
        exceeded.extend(latency[info["index"]] for info in ended)
        return answer

    adapter.step_wait = watched
    MaskablePPO("MlpPolicy", adapter, n_steps=96, batch_size=1024, seed=0, device="cpu").learn(
        62_000
    )
    assert len(exceeded) >= 10_000
    assert max(exceeded) <= 5.0


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        (Quantity("joule"), "the label of the Quantity that column energy counts .* got ''"),
        (Quantity("", "energy [J]"), "the unit of the Quantity that column energy counts"),
        (Quantity("joule", "energy [J]", 3), "lower_is_better of column energy is True or"),
    ],
)
def test_a_column_says_what_it_counts(counts: Quantity, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        Column("energy", MEASURED, "a meter", "CC0-1.0", counts=counts)


def test_columns_of_a_space_without_a_table_are_shown(monkeypatch, capsys, tmp_path: Path) -> None:
    Path(tmp_path / "towers.py").write_text(
        "from nats_gym.spaces import ArchitectureSpace\n"
        "class Towers(ArchitectureSpace):\n"
        "    name = 'towers-of-columns'\n"
        "    decisions = {'a': ('1', '2', '3'), 'b': ('x', 'y')}\n"
    )
    np.save(tmp_path / "six.npy", np.arange(6.0) + 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    added = ("cifar10", "energy/mine", "six.npy", "--unit", "mJ")
    assert command(monkeypatch, capsys, "data", "add-column", "towers:Towers", *added)[0] == 0
    for more in ((), ("--dataset", "cifar10")):
        code, out, _ = command(monkeypatch, capsys, "show", "towers:Towers", "3", *more)
        assert code == 0
        assert re.search(r"energy/mine \[mJ\] +4 +measured", out)
    code, _, err = command(monkeypatch, capsys, "show", "towers:Towers", "3", "--png", "x.png")
    assert code == 2
    assert "no table of towers-of-columns is known" in err
