"""Values that nobody means, and how one that was accepted is told to be nonsense.

``HOSTILE`` makes each value anew, by a name that a report can print. Devices and pipes are nodes
of their own in a temporary folder: a writer that runs as root must never meet the machine's.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from nats_gym import checks
from nats_gym.errors import InvalidInput

NAN, INFINITY = float("nan"), float("inf")


class Hostility(Exception):
    """What hostile objects raise: nobody may let it through."""


def _refuse(*_: Any, **__: Any) -> Any:
    raise Hostility("touched")


def _hostile(name: str, bases: tuple[type, ...], *methods: str, **others: Any) -> type:
    return type(name, bases, {**dict.fromkeys(methods, _refuse), **others})


class LookAlike(Mapping):
    """A mapping that is no dictionary, and lies about its length."""

    def __init__(self, content: dict[Any, Any]) -> None:
        self.content = content

    def __getitem__(self, key: Any) -> Any:
        return self.content[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.content)

    def __len__(self) -> int:
        return 10**9


class Endless(Sequence):
    """A sequence with no end."""

    def __getitem__(self, place: Any) -> Any:
        return 0

    def __len__(self) -> int:
        return 10**18


def _recursive_list() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def _recursive_dict() -> dict[str, Any]:
    found: dict[str, Any] = {}
    found["name"] = found
    return found


@functools.cache  # nobody changes one, and it takes long to make, and to unmake
def _deep(depth: int, wrap: Callable[[Any], Any]) -> Any:
    found: Any = 0
    for _ in range(depth):
        found = wrap(found)
    return found


def _twice(inner: Any) -> list[Any]:
    return [inner, inner]


def _in_a_list(inner: Any) -> list[Any]:
    return [inner]


def _in_a_dictionary(inner: Any) -> dict[str, Any]:
    return {"a": inner}


def _shared() -> Any:
    """Thirty lists of two: a line of JSON longer than any disk."""
    return _deep(30, _twice)


class PathLike:
    """An os.PathLike of whatever it is made with."""

    def __init__(self, path: Any) -> None:
        self.path = path

    def __fspath__(self) -> Any:
        return self.path


#: By kind: what each value is, told by how it is made.
NUMBERS: dict[str, Callable[[], Any]] = {
    **{
        repr(n): lambda n=n: n for n in (0, -1, 1, 3, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 2**128)
    },
    "10**400": lambda: 10**400,
    "10**5000": lambda: 10**5000,
    "-10**5000": lambda: -(10**5000),
    **{
        f"float {n!r}": lambda n=n: n
        for n in (0.0, -0.0, 1.0, 1.5, -1.0, 1e308, 5e-324, NAN, INFINITY, -INFINITY)
    },
    "complex": lambda: 1 + 1j,
    "Decimal nan": lambda: Decimal("NaN"),
    "Fraction": lambda: Fraction(1, 3),
    "np.int8(-1)": lambda: np.int8(-1),
    "np.uint8(200)": lambda: np.uint8(200),
    "np.uint64 max": lambda: np.uint64(2**64 - 1),
    "np.float16 nan": lambda: np.float16("nan"),
    "np.float32 inf": lambda: np.float32("inf"),
    "np.float64(2)": lambda: np.float64(2.0),
    "np.longdouble 1e4000": lambda: np.longdouble("1e4000"),
    "np.complex64": lambda: np.complex64(1),
}
FLAGS: dict[str, Callable[[], Any]] = {
    "True": lambda: True,
    "False": lambda: False,
    "np.True_": lambda: np.True_,
    "np.False_": lambda: np.False_,
}
ARRAYS: dict[str, Callable[[], Any]] = {
    "array 1": lambda: np.array(1),
    "array True": lambda: np.array(True),
    "array nan": lambda: np.array(np.nan),
    "array 'auto'": lambda: np.array("auto"),
    "array []": lambda: np.array([]),
    "array [0]": lambda: np.array([0]),
    "array [1, 2]": lambda: np.array([1, 2]),
    "array [True]": lambda: np.array([True]),
    "array [-1]": lambda: np.array([-1]),
    "array [nan]": lambda: np.array([np.nan, 1.0]),
    "array 2**64-1": lambda: np.array([2**64 - 1], np.uint64),
    "array [None]": lambda: np.array([None, object()]),
    "array [10**5000]": lambda: np.array([10**5000], object),
    "array ['tss']": lambda: np.array(["tss", "sss"]),
    "array of bytes": lambda: np.array([b"tss"]),
    "array of times": lambda: np.array(["NaT"], "datetime64[s]"),
    "array (2, 0)": lambda: np.zeros((2, 0)),
    "array (0, 6) int": lambda: np.zeros((0, 6), np.int64),
    "array (1,)*32": lambda: np.zeros((1,) * 32, np.int64),
    "structured": lambda: np.zeros(2, [("a", "i8"), ("b", "f8")]),
    "masked": lambda: np.ma.masked,
    "masked array": lambda: np.ma.array([1, 2], mask=[False, True]),
    "masked choices": lambda: np.ma.array([0, 1, 2, 3, 4, 0], mask=[0, 0, 0, 0, 0, 1]),
    "huge view": lambda: np.broadcast_to(np.int64(-1), (10**7,)),
    "np.datetime64": lambda: np.datetime64("NaT"),
    "np.timedelta64": lambda: np.timedelta64(1, "s"),
    "np.void": lambda: np.void(b"abc"),
    "np.str_": lambda: np.str_("x"),
    "np.bytes_": lambda: np.bytes_(b"auto"),
}
TEXTS: dict[str, Callable[[], Any]] = {
    **{
        repr(text): lambda text=text: text
        for text in (
            *("", " ", "auto ", "AUTO", "line\nbreak", "nul\0", "\ud800", "~nouser/x", "%s{0}{x}"),
            *("nan", "inf", "-1", "1e400", "1.0", "١٢", "⑫", "../x", "a/b", "0/0", "9/3"),
            *("/proc/nothing/x", "file:///x", "null", "zero", "pipe", "folder", "file"),
            "\x1b[31m",
        )
    },
    "'x' * 10,000": lambda: "x" * 10_000,
    "'é/' * 5,000": lambda: "é/" * 5_000,
    "'9' * 5,000": lambda: "9" * 5_000,
    "'a' * 300": lambda: "a" * 300,
    "'|' * 2,000": lambda: "|nor_conv_3x3~0|+" * 2_000,
}
BYTES: dict[str, Callable[[], Any]] = {
    "b''": lambda: b"",
    "b'auto'": lambda: b"auto",
    "bytearray": lambda: bytearray(b"x" * 10_000),
    "memoryview": lambda: memoryview(b"tss"),
}
CONTAINERS: dict[str, Callable[[], Any]] = {
    "[]": list,
    "()": tuple,
    "{}": dict,
    "set()": set,
    "[1]": lambda: [1],
    "[True]": lambda: [True],
    "[None]": lambda: [None],
    "[nan]": lambda: [float("nan")],
    "[-1]": lambda: [-1],
    "[1.0]": lambda: [1.0],
    "['auto']": lambda: ["auto"],
    "[[]]": lambda: [[]],
    "ragged": lambda: [[1], [1, 2]],
    "[10**5000]": lambda: [10**5000],
    "['x'*10,000]": lambda: ["x" * 10_000],
    "{'name': 'x'}": lambda: {"name": "x"},
    "{'x': 1}": lambda: {"x": 1},
    "{1: 2}": lambda: {1: 2},
    "{None: None}": lambda: {None: None},
    "{(): []}": lambda: {(): []},
    "10,000 keys": lambda: {f"k{i}": i for i in range(10_000)},
    "{'x'*10,000: 1}": lambda: {"x" * 10_000: 1},
    "frozenset": lambda: frozenset({1, "a"}),
    "recursive list": _recursive_list,
    "recursive dict": _recursive_dict,
    "deep list": lambda: _deep(100_000, _in_a_list),
    "deep dict": lambda: _deep(100_000, _in_a_dictionary),
    "shared lists": _shared,
    "range(10**9)": lambda: range(10**9),
    "a million": lambda: [0] * 1_000_000,
    "generator": lambda: (i for i in range(3)),
    "endless iterator": lambda: itertools.repeat(0),
    "endless sequence": Endless,
    "look-alike {}": lambda: LookAlike({}),
    "look-alike": lambda: LookAlike({"name": "x", 1: 2}),
    "dict view": lambda: {"a": 1}.keys(),
}
OBJECTS: dict[str, Callable[[], Any]] = {
    "object": object,
    "lambda": lambda: lambda: None,
    "lambda *": lambda: lambda *_, **__: None,
    "type": lambda: int,
    "module": lambda: os,
    "...": lambda: ...,
    "NotImplemented": lambda: NotImplemented,
    "slice": lambda: slice(None),
    "exception": lambda: ValueError("x"),
    "no repr": _hostile("NoRepr", (), "__repr__", "__str__"),
    "no eq": _hostile("NoEq", (), "__eq__", "__ne__", "__hash__"),
    "no bool": _hostile("NoBool", (), "__bool__", "__len__"),
    "no index": _hostile("NoIndex", (), "__index__", "__int__", "__float__", "__array__"),
    "no iter": _hostile("NoIter", (), "__iter__", "__getitem__", "__len__"),
    "no attributes": _hostile("NoAttributes", (), "__getattr__"),
    "nothing": _hostile(
        *("Nothing", (), "__repr__", "__str__", "__eq__", "__hash__", "__bool__", "__len__"),
        *("__index__", "__int__", "__float__", "__iter__", "__getattr__", "__call__", "__lt__"),
        *("__fspath__", "__array__", "__format__", "__contains__"),
    ),
    "text that refuses": lambda: _hostile(
        "Text", (str,), "__repr__", "__str__", "__eq__", "__hash__", "__format__", "lower", "split"
    )("tss"),
    "int that refuses": lambda: _hostile(
        "Int", (int,), "__repr__", "__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__index__"
    )(1),
    "float that refuses": lambda: _hostile(
        "Float", (float,), "__repr__", "__lt__", "__le__", "__gt__", "__ge__", "__float__"
    )(1.0),
    "list that refuses": lambda: _hostile("List", (list,), "__iter__", "__len__", "__repr__")([1]),
    "dict that refuses": lambda: _hostile(
        "Dict", (dict,), "__iter__", "__len__", "__repr__", "keys", "items", "get", "__getitem__"
    )({"name": "x"}),
    "mapping that refuses": lambda: _hostile(
        "Refusing", (Mapping,), "__iter__", "__len__", "__getitem__", "__repr__"
    )(),
    "Path that refuses": lambda: PathLike(property()),
    "PathLike of int": lambda: PathLike(1),
    "PathLike of bytes": lambda: PathLike(b"x"),
    "PathLike that refuses": _hostile("Refusing", (), "__fspath__"),
}
PATHS: dict[str, Callable[[], Any]] = {
    f"Path {name!r}": lambda name=name: Path(name)
    for name in (
        *("nul\0", "~nouser/x", "x" * 5_000, "\ud800", "line\nbreak", "/proc/nothing/x"),
        *("null", "zero", "pipe", "folder", "file", "dangling", "file/below", "null/below"),
    )
}

KINDS = {
    "numbers": NUMBERS,
    "flags": FLAGS,
    "arrays": ARRAYS,
    "texts": TEXTS,
    "bytes": BYTES,
    "containers": CONTAINERS,
    "objects": OBJECTS,
    "paths": PATHS,
}
HOSTILE: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    **{name: make for kind in KINDS.values() for name, make in kind.items()},
}
#: A few that stand for the rest, for the quick suite.
FEW = (
    *("None", "-1", "10**5000", "float nan", "np.True_", "array 1", "array [1, 2]", "masked"),
    *("''", "'x' * 10,000", "'\\ud800'", "b'auto'", "recursive dict", "endless iterator"),
    *("nothing", "text that refuses", "int that refuses", "look-alike", "Path 'zero'"),
)


def names() -> st.SearchStrategy[str]:
    """Names of hostile values; ``HOSTILE[name]()`` makes one."""
    return st.sampled_from(sorted(HOSTILE))


def draw_some(data: st.DataObject, sensible: Mapping[str, Any], most: int = 5) -> dict[str, Any]:
    """Values for up to ``most`` of the names: sensible ones, one in seven hostile."""
    drawn = {}
    for name in data.draw(st.lists(st.sampled_from(sorted(sensible)), unique=True, max_size=most)):
        hostile = data.draw(st.integers(0, 6)) == 0
        drawn[name] = (
            HOSTILE[data.draw(names())]() if hostile else data.draw(st.sampled_from(sensible[name]))
        )
    return drawn


def make_nodes(folder: Path) -> None:
    """Put what a hostile path leads to into a folder: devices, a pipe, a folder, a file."""
    (folder / "folder").mkdir()
    (folder / "file").write_bytes(b"\x93NUMPY\x80\x04 nothing \xff")
    (folder / "dangling").symlink_to("nowhere/at/all")
    with suppress(OSError):
        os.mkfifo(folder / "pipe")
    for name, minor in (("null", 3), ("zero", 5)):
        with suppress(OSError):  # an ordinary user makes none
            os.mknod(folder / name, 0o666 | 0o020000, os.makedev(1, minor))


# ── what an annotation allows ────────────────────────────────────────────────────────────────

#: Words of an annotation, and what they allow.
_ANY = re.compile(
    r"Any|object|ArrayLike|NDArray|Callable|Sequence|Iterable|list|tuple|set|Protocol|TypeVar|Self"
)
#: What may be less than 0, by the name of the parameter.
MAY_BE_NEGATIVE = {
    *("threshold", "bonus", "best", "target", "low", "high", "start", "end", "clock"),
    "protocol",  # of a pickle: the latest is -1
}


def is_nonsense(annotation: str, parameter: str, value: Any) -> bool:
    """Whether ``value``, which was accepted, cannot have been meant for an annotation.

    Types alone tell, but for NaN, and for numbers below 0 where no parameter of the name has
    them. An annotation that says little allows everything.
    """
    words = set(re.findall(r"[A-Za-z_.]+", annotation))
    words = {word.rpartition(".")[2] for word in words}
    if not annotation or any(_ANY.fullmatch(word) for word in words):
        return False
    kind = type(value)
    if value is None:
        return "None" not in words
    if issubclass(kind, (bool, np.bool_)):
        return "bool" not in words
    numbers = {"int", "float", "Epochs", "ArrayLike", "Seconds"}
    if issubclass(kind, (int, np.integer)):
        if not words & numbers or kind is np.timedelta64:  # an integer by its class alone
            return True
        return int.__lt__(int(value), 0) and parameter not in MAY_BE_NEGATIVE
    if issubclass(kind, (float, np.floating)):
        plain = float.__float__(value) if issubclass(kind, float) else float(value)
        if "float" not in words or np.isnan(plain):
            return True
        return plain < 0 and parameter not in MAY_BE_NEGATIVE
    if "PathLike" in words or "Path" in words:
        try:
            checks.path(value, "it")
        except InvalidInput:
            return "str" not in words or not issubclass(kind, str) or "PathLike" in words
        return False
    if issubclass(kind, str):
        return not words & {"str", "Epochs"}
    known = words <= {"None", "bool", "int", "float", "Epochs", "str", "PathLike", "Path", "os"}
    return known


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder with the nodes of :func:`make_nodes`."""
    folder = tempfile.TemporaryDirectory(prefix="nats-gym-attack-")
    make_nodes(Path(folder.name))
    return folder


def told(value: Any) -> str:
    """A value in a report: short, and never an error."""
    try:
        return f"{value!r:.60}"
    except Exception:
        return f"a {type(value).__name__}"


def sha256_of(path: Path) -> str:
    """A file's digest, as a forger would write it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
