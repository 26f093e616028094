"""Values that nobody should give, and what may come of giving them."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from nats_gym.errors import NatsGymError, SurrogateWarning, shown


def _raise(*_: object, **__: object) -> Any:
    raise RuntimeError("never ask me")


_ASKED = ("repr", "str", "eq", "index", "int", "float", "bool", "len", "iter", "getitem", "lt")
#: Raises whatever it is asked.
Hostile = type("Hostile", (), dict.fromkeys([f"__{name}__" for name in _ASKED], _raise))
Lying = type("Lying", (str,), dict.fromkeys(("__repr__", "__str__", "lower", "split"), _raise))
Number = type("Number", (int,), dict.fromkeys(("__repr__", "__int__", "__le__", "__lt__"), _raise))
Path = type("Path", (os.PathLike,), {"__fspath__": _raise})
DEEP: list[Any] = []
for _ in range(14):  # deeper, and a failing test would never say why
    DEEP = [DEEP, DEEP]

#: What is of no kind that an argument is of.
NOTHING: list[Any] = [
    *((), [], object(), Hostile(), Hostile, DEEP, Path(), 1j, np.datetime64("NaT"), ...),
    *(math.nan, np.float64("nan"), np.ma.masked, 10**5000, -(10**5000), -math.inf),
    *(np.array(1), np.array([1, 2]), np.zeros(0), np.array(True), np.array("tss"), np.ma.array(1)),
    *(np.array([None, Hostile()], object), [[1], [1, 2]], {1: 2}, {Hostile: Hostile()}, b"tss"),
    *(b"x" * 10_000, "x" * 10_000, "\ud800", "a\0b", "", "two\nlines", "\x1b[31m", Lying("sss?")),
]
NUMBERS: list[Any] = [-1, 0, 2**63, 2**64, math.inf, 0.5, np.float32(0.5), Number(-12), 10**300]
FLAGS: list[Any] = [True, np.True_]
WORDS: list[Any] = ["~nobody-here/x", "/dev/null/x", "none", "-1", "nan", {}, {"name": 1}]
EVERYTHING: list[Any] = [*NOTHING, *NUMBERS, *FLAGS, *WORDS]

#: Longest message: what was given (200 characters) and what is allowed.
LONGEST = 1_500


def refusal(call: Callable[[], object], *documented: type[Exception]) -> str | None:
    """Why a call is refused, in one line; None if it is not.

    Args:
        call: what is called; it must not take long.
        documented: exceptions that are not the project's, and allowed.
    """
    started = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SurrogateWarning)
            call()
        message = None
    except (NatsGymError, *documented) as error:
        message = str(error)
    assert time.process_time() - started < 10
    if message is not None:
        assert message.isprintable(), ascii(message)
        assert 0 < len(message) < LONGEST, len(message)
    return message


def attack(
    call: Callable[[Any], object], values: list[Any] | None = None, *documented: type[Exception]
) -> int:
    """Give a function each of the values; how many it took. Says all that went wrong at once."""
    wrong, taken = [], 0
    for value in EVERYTHING if values is None else values:
        try:
            taken += refusal(lambda value=value: call(value), *documented) is None  # type: ignore[misc]
        except Exception as error:
            wrong.append(f"{shown(value, 60)}: {shown(error)}")
    assert not wrong, "\n" + "\n".join(wrong)
    return taken
