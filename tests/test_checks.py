"""The checks of arguments, against values that nobody should give."""

from __future__ import annotations

import enum
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import DEEP, Hostile, Lying, Number

from nats_gym import checks
from nats_gym.errors import InvalidInput, did_you_mean, listed, shown, unknown_name


class Masked(Hostile):  # type: ignore[misc, valid-type]
    """Does not even say what it is."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("never ask me")


#: What no check allows, whatever it is for.
NOTHING: list[Any] = [
    *(None, (), [], object(), Hostile(), Masked(), Hostile, DEEP),
    *(math.nan, np.float64("nan"), np.ma.masked, np.datetime64("NaT"), 1j, 10**5000, -math.inf),
    *(np.array(1), np.array([1, 2]), np.zeros(0), np.array(True), np.array("tss"), np.ma.array(1)),
    *(b"tss", b"x" * 10_000, "\ud800", "x" * 10_000),
]
WORDS: list[Any] = ["", "two\nlines", "\x1b[31m", "tss ", "TSS", Lying("sss?"), "a\0b"]
NUMBERS: list[Any] = [-1, 10, 2**63, math.inf, 0.5, np.float32(0.5), Number(12), 10**300]
FLAGS: list[Any] = [True, np.True_]

CHECKS: dict[str, tuple[Callable[[Any], object], list[Any]]] = {
    "integer": (lambda value: checks.integer(value, "n", 1, 9), [*WORDS, *NUMBERS, *FLAGS, {}]),
    "seed": (checks.seed, [*WORDS, -1, 2**128, 0.5, *FLAGS, {}]),
    "number": (
        lambda value: checks.number(value, "x", above=0, high=9, unit="seconds"),
        [*WORDS, 0, 9.1, *NUMBERS[:4], *FLAGS, {}],
    ),
    "switch": (lambda value: checks.switch(value, "flag"), [*WORDS, *NUMBERS, 0, 1, {}]),
    "text": (lambda value: checks.text(value, "name", 100), [*NUMBERS, *FLAGS, {}]),
    "word": (
        lambda value: checks.word(value, "space", ("tss", "sss")),
        [*WORDS, *NUMBERS, *FLAGS, {}],
    ),
    "path": (
        lambda value: checks.path(value, "out"),
        ["", "a\0b", "x" * 256, "a/" * 2049, *NUMBERS, *FLAGS, {}],
    ),
    "mapping": (
        lambda value: checks.mapping(value, "options are a dictionary"),
        [*WORDS, *NUMBERS, *FLAGS, {1: 2}, {Hostile: 1}],
    ),
}


def one_line(error: BaseException) -> str:
    message = str(error)
    assert message.isprintable(), message
    assert len(message) < 400
    return message


@pytest.mark.parametrize("name", CHECKS)
def test_nonsense_is_refused_in_one_line(name: str) -> None:
    check, beside = CHECKS[name]
    for value in [*NOTHING, *beside]:
        with pytest.raises(InvalidInput) as caught:
            pytest.fail(f"{name} took {shown(value)} as {check(value)!r}")
        one_line(caught.value)


@pytest.mark.parametrize("kind", [int, Number, np.int8, np.uint64, np.longlong])
def test_an_integer_is_a_plain_one(kind: type) -> None:
    found = checks.integer(kind(7), "n", 1, 9)
    assert type(found) is int
    assert found == 7
    assert checks.number(kind(7), "x") == 7.0
    assert type(checks.number(kind(7), "x")) is float


def test_an_enumerations_member_is_what_it_stands_for() -> None:
    class Of(str, enum.Enum):  # noqa: UP042 - whose str() is another
        topology = "tss"

    found = checks.word(Of.topology, "space", ("tss", "sss"))
    assert type(found) is str
    assert found == "tss"
    assert checks.integer(enum.IntEnum("One", "a b").b, "n") == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [float, np.float16, np.float32, np.longdouble])
def test_a_number_is_a_plain_one(kind: type) -> None:
    found = checks.number(kind(0.5), "x", 0, 1)
    assert type(found) is float
    assert found == 0.5
    assert checks.number(kind("inf"), "x", infinite=True) == math.inf
    with pytest.raises(InvalidInput, match=r"x is a number above 0.5 below 1, got"):
        checks.number(kind(0.5), "x", above=0.5, below=1)
    with pytest.raises(InvalidInput, match=r"below 0.5, got"):
        checks.number(kind(0.5), "x", below=0.5)


@pytest.mark.parametrize("value", [True, np.bool_(True), np.array([True])[0]])
def test_a_switch_is_pythons_or_numpys(value: Any) -> None:
    assert checks.switch(value, "flag") is True


def test_a_message_says_what_is_allowed_and_likely_meant() -> None:
    with pytest.raises(InvalidInput, match=r"^runs is an integer from 1 to 10,000, got 10001$"):
        checks.integer(10_001, "runs", 1, 10_000)
    with pytest.raises(
        InvalidInput, match=r"^a seed is an integer from 0 to 2\*\*128 - 1, got -1$"
    ):
        checks.seed(-1)
    meant = "^unknown space 'tsss'; allowed: tss, sss. Did you mean 'tss'\\?$"
    with pytest.raises(InvalidInput, match=meant):
        checks.word("tsss", "space", ("tss", "sss"))


def test_a_path_may_be_a_home_only_where_it_is_asked() -> None:
    assert checks.path("~/x", "out") == Path("~/x")
    assert checks.path("~/x", "out", expand=True) == Path("~/x").expanduser()
    assert checks.path(Path("a"), "out") == Path("a")
    with pytest.raises(InvalidInput, match=r"^out is a path, got '~nobody-here/x': "):
        checks.path("~nobody-here/x", "out", expand=True)


def test_an_array_has_nothing_masked() -> None:
    given = np.arange(3)
    assert checks.array(given, "digits are numbers") is given
    assert checks.array([[1, 2]], "digits are numbers").shape == (1, 2)
    for nothing in (np.ma.masked, np.ma.array([1, 2], mask=[0, 1]), [[1], [1, 2]]):
        with pytest.raises(InvalidInput, match=r"^digits are numbers, got ") as caught:
            checks.array(nothing, "digits are numbers")
        one_line(caught.value)


DEEPER = DEEP
for _ in range(40):
    DEEPER = [DEEPER, DEEPER]
#: What is long, deep, or refuses to be quoted.
UNQUOTABLE: list[Any] = [
    *(
        DEEP,
        DEEPER,
        Hostile(),
        [Hostile()],
        {1: Hostile()},
        Number(3),
        Lying("a"),
        "\ud800\n\u2028",
    ),
    *(10**5000, -(10**5000), [10**5000], 10**4299, "x" * 10**7, b"x" * 10**7, ["x" * 10**7]),
    *(list(range(10**6)), {n: n for n in range(10**5)}, set(range(10**5)), np.zeros((99, 99))),
    *(float("1e308"), type("Two", (), {"__repr__": lambda _: "a\nb\x1b\ud800"})()),
    *(type("None", (), {"__repr__": lambda _: None})(), sys, os.environ, bytearray(10**7)),
]


def test_what_was_given_is_quoted_shortly() -> None:
    for value in UNQUOTABLE:
        quoted = shown(value)
        assert 0 < len(quoted) <= 200
        assert quoted.isprintable()
        assert len(shown(value, 30)) <= 30


def test_what_is_short_is_quoted_as_it_is() -> None:
    for value in ("tss", "x" * 198, 12, 1.5, None, [1, {"a": (2,)}], {"b": 1}, np.int64(3), "é…"):
        assert shown(value) == repr(value)


def test_what_is_no_name_has_none_near() -> None:
    for value in (12, None, b"tss", Hostile(), np.array("tss"), 10**5000, "x" * 10**6):
        assert did_you_mean(value, ("tss", "sss")) == ""
    assert did_you_mean(np.str_("ts"), ("tss", "sss")) == " Did you mean 'tss'?"
    endless = unknown_name("column", "c9", [f"c{n}" for n in range(10**5)])
    assert "(100,000 in all)" in str(endless)
    assert len(str(endless)) < 1200
    groups = ["flops", *(f"{of}/{n}" for of in "abc" for n in range(9))]
    told = (
        "flops, a/0, b/0, c/0, a/1, b/1, c/1, a/2, b/2, c/2, a/3, b/3… (28 in all, which x lists)"
    )
    assert listed(groups, "which x lists") == told
    assert listed(groups[:3], "which x lists") == "flops, a/0, a/1"
