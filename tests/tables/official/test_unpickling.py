"""Pickles read without running anything: against Python's own reader, and against forgers."""

from __future__ import annotations

import bz2
import io
import itertools
import pickle
import random
import re
import struct
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from synthetic_archive import SHORT, meta, official_dict, record

from nats_gym.tables.official import opcodes, plain_pickles, weights
from nats_gym.tables.official.opcodes import Admitted, Interpreter
from nats_gym.tables.official.plain_numpy import PLAIN
from nats_gym.tables.official.plain_pickles import is_plain
from nats_gym.tables.official.streaming import StreamUnpickler
from nats_gym.tables.official.unpickling import (
    RECORD_FUNCTIONS,
    ForbiddenPickle,
    UnreadableFile,
    load_bytes,
    unpacked,
)
from nats_gym.training.archives import read_batch

torch.set_num_threads(1)


def load(pickled: bytes, weights: bool = False) -> Any:
    return load_bytes(bz2.compress(pickled, 1), "a file", weights)


def interpreted(pickled: bytes, block: int = 1 << 20) -> Any:
    """What the interpreter reads, given so many bytes at a time."""
    pieces = (pickled[start : start + block] for start in range(0, len(pickled), block))
    reader = Interpreter(pieces, "a file", RECORD_FUNCTIONS, most_bytes=64 << 20)
    content = reader.run()
    reader.finish()
    return content


def refused(name: str = "a file") -> Any:
    """A context in which a file must be refused by its name."""
    return pytest.raises((UnreadableFile, ForbiddenPickle), match=f"^{name}: ")


def same(one: Any, two: Any) -> bool:
    """Equal in every type, too, and a NaN equals a NaN."""
    return described(one) == described(two)


def described(content: Any) -> str:
    return re.sub(" at 0x[0-9a-f]+", "", repr(content))


# ── honest files ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("space", ["tss", "sss"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_record_is_what_pythons_reader_makes_of_it(space: str, protocol: int) -> None:
    content = record(space, 77, schedules=SHORT[space])
    if protocol == 2:  # numbers of numpy's are pickled as text there
        for trial in content["12"]["all_results"].values():
            trial["params"], trial["latency"] = 1.5, [2]
        content = OrderedDict({"12": content["12"]})
    pickled = pickle.dumps(content, protocol=protocol)
    assert same(load(pickled), content)
    for block in (1, 7, 4096, 1 << 20):
        assert same(interpreted(pickled, block), content)


@pytest.fixture(params=[True, False], ids=["possessive", "greedy"])
def quantifiers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Plain pickles are known by one expression, and by another before Python 3.11.5."""
    if request.param and not plain_pickles._POSSESSIVE:
        pytest.skip("this Python's are faulty")
    monkeypatch.setattr(plain_pickles, "_POSSESSIVE", request.param)
    plain_pickles._opcodes.cache_clear()
    yield
    plain_pickles._opcodes.cache_clear()


@pytest.mark.usefixtures("quantifiers")
def test_whole_records_take_the_quick_way_and_metas_the_other() -> None:
    assert is_plain(pickle.dumps(record("tss", 5), protocol=4))
    assert is_plain(pickle.dumps(record("sss", 5), protocol=4))
    pickled = pickle.dumps(meta("sss"), protocol=4)
    assert not is_plain(pickled)
    assert load(pickled) == meta("sss")


@pytest.mark.usefixtures("quantifiers")
def test_official_records_are_what_pythons_reader_makes_of_them(shared_figures: Path) -> None:
    paths = [*(shared_figures / "official").glob("*/0*.pbz2")]
    assert paths
    for path in paths:
        pickled = bz2.decompress(path.read_bytes())
        content = pickle.loads(pickled)
        assert is_plain(pickled)
        assert same(load_bytes(path.read_bytes(), "a file"), content)
        assert same(interpreted(pickled), content)


def test_plain_values_of_every_size() -> None:
    integers = [
        sign * (1 << bits) + more for bits in range(63) for sign in (1, -1) for more in (0, 1)
    ]
    texts = ["", "a", "é", "𐐷", "\ud800", "x" * 255, "y" * 256, "z" * 60_000]
    data = [b"", b"a", bytes(255), bytes(range(256)), bytes(70_000)]
    floats = [0.0, -0.0, float("inf"), float("nan"), 5e-324, 1e308]
    content = {
        "values": [*integers, *texts, *data, *floats, True, False, None, (), (1,), (1, 2, 3, 4)],
        "set": {1, 7, (2, 3)},  # whose order is the same in every process
        (1, 2): {3: {}},
        "ordered": OrderedDict(a=1, b=[[], {}]),
    }
    for protocol in (4, 5):
        assert same(load(pickle.dumps(content, protocol=protocol), weights=True), content)


def test_numbers_of_numpys_are_numpys() -> None:
    for kind in sorted(PLAIN):
        dtype = np.dtype(kind)
        for order in "<>":
            value = np.frombuffer(bytes([1] * dtype.itemsize), dtype)[0]
            forged = np.array(value, dtype.newbyteorder(order))[()]
            pickled = pickle.dumps([value, forged], protocol=4)
            read = load(pickled)
            assert same(read, [value, value])
            assert [type(one) for one in read] == [type(value)] * 2


def test_files_of_several_streams_and_what_follows_one() -> None:
    pickled = pickle.dumps({"a": [1.5] * 9}, protocol=4)
    streams = bz2.compress(pickled[:20]) + bz2.compress(pickled[20:])
    assert load_bytes(streams, "a file") == {"a": [1.5] * 9}
    for more in (b"N.", b"\0", pickled):
        with pytest.raises(UnreadableFile, match="a file: something follows its end"):
            load(pickled + more)
    with pytest.raises(UnreadableFile, match="truncated or not bz2"):
        load_bytes(streams + b"x", "a file")


def test_every_cut_of_a_pickle_is_a_truncated_one() -> None:
    content = record("tss", 3, schedules=SHORT["tss"])["12"]["all_results"]["cifar10", 111]
    for protocol in (2, 4):
        trial = {**content, "params": 1.5, "latency": None} if protocol == 2 else content
        pickled = pickle.dumps(trial, protocol=protocol)
        for end in range(len(pickled)):
            with pytest.raises(UnreadableFile):
                interpreted(pickled[:end])
            if end % 37 == 0:
                with pytest.raises((UnreadableFile, ForbiddenPickle)):
                    load(pickled[:end])


# ── forged values ────────────────────────────────────────────────────────────────────────────


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def dtype(
    name: str, state: bytes = b"(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0t"
) -> bytes:
    return b"cnumpy\ndtype\n" + text(name) + b"\x89\x88\x87R" + state + b"b"


def scalar(made: bytes, data: bytes) -> bytes:
    given = b"C" + bytes([len(data)]) + data
    return b"cnumpy.core.multiarray\nscalar\n" + made + given + b"\x86R"


#: A dtype whose eight bytes are a pointer to an object, as numpy itself would take it.
POINTER = dtype(
    "V8", b"(K\x03\x8c\x01|N\x8c\x01a\x85}\x8c\x01a" + dtype("O") + b"K\0\x86sK\x08K\x01K\0t"
)
WIDE = dtype(
    "V8", b"(K\x03\x8c\x01|N\x8c\x01a\x85}\x8c\x01a" + dtype("f8") + b"M\xff\xff\x86sK\x08K\x01K\0t"
)


@pytest.mark.parametrize(
    "value",
    [
        scalar(POINTER, b"A" * 8),
        scalar(WIDE, b"A" * 8),
        *(
            scalar(dtype(name), b"A" * 8)
            for name in ("O", "V8", "S8", "U2", "c8", "M8[s]", "f1", "")
        ),
        scalar(dtype("V2000000000"), b"A" * 8),
        *(scalar(dtype("f8"), b"A" * size) for size in (0, 7, 9, 16, 255)),
        scalar(b"cnumpy\ndtype\n" + text("f8") + b"\x85R", b"A" * 8),
        scalar(text("f8"), b"A" * 8),
        scalar(dtype("f8"), b"")[:-4] + text("A" * 8) + b"\x86R" + b"K\0\x86b",
        dtype("f8") + b"(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb",
        scalar(dtype("b1", b"(K\x03\x8c\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0t"), b"\x02"),
        scalar(
            dtype("f8", b"(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ft"), b"A" * 8
        ),
        scalar(dtype("f8", b"(K\x03\x8c\x01<NNNJ\xff\xff\xff\x7fK\x01K\0t"), b"A" * 8),
        scalar(dtype("f8", b"(K\x03\x8c\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0t"), b"A" * 8),
    ],
)
def test_a_forged_number_is_refused_by_every_reader(value: bytes) -> None:
    for around in (b"\x80\x04" + value + b".", b"\x80\x04}" + text("params") + value + b"s."):
        with refused():
            load(around)
        with refused():
            interpreted(around)
        with refused():
            load(around, weights=True)
        with refused():
            read_batch(around, "labels", 2, "a file")
        single = b"\x80\x04}" + text("arch2infos") + b"}(K\0" + value + b"us."
        with refused():
            StreamUnpickler(iter([single]), "a file", lambda index, content: None).run()


def functions() -> list[tuple[str, str]]:
    return [
        *RECORD_FUNCTIONS,
        *weights.weight_functions(),
        ("numpy", "ndarray"),
        ("_codecs", "encode"),
    ]


@pytest.mark.parametrize("given", functions())
def test_nothing_can_be_set_on_what_a_pickle_may_name(given: tuple[str, str]) -> None:
    hold = "c{}\n{}\n".format(*given).encode()
    before = {name: function_state(function) for name, function in RECORD_FUNCTIONS.items()}
    slots = b"N}" + text("__defaults__") + b")s\x86"
    for state in (b"}" + text("function") + b"Ns", slots, b"N", b"}"):
        for reader in (
            load,
            lambda p: load(p, True),
            lambda p: read_batch(p, "labels", 2, "a file"),
        ):
            with pytest.raises(ForbiddenPickle, match="not allowed"):
                reader(b"\x80\x04" + hold + state + b"b.")
    for made in (hold + b")\x81", hold + b")}\x92", b"(" + hold + b"o", b"(i" + hold[1:]):
        with pytest.raises(ForbiddenPickle, match="not allowed"):
            load(b"\x80\x04" + made + b".", True)
    assert before == {name: function_state(function) for name, function in RECORD_FUNCTIONS.items()}
    with pytest.raises(ForbiddenPickle):
        Admitted(len).__setstate__((None, {"function": print}))


def function_state(function: Any) -> Any:
    return [
        getattr(function, name, None) for name in ("__defaults__", "__kwdefaults__", "__dict__")
    ]


class WithState:
    """Pickles into an empty object whose attributes are then set."""

    def __init__(self, kind: type, state: Any) -> None:
        self.kind = kind
        self.state = state

    def __reduce__(self) -> Any:
        return self.kind, (), self.state


def test_an_ordered_dict_takes_metadata_and_nothing_else() -> None:
    network = OrderedDict(a=1)
    network._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
    read = load(pickle.dumps(network, protocol=4))
    assert read == network
    assert type(read) is OrderedDict
    assert vars(read) == {"_metadata": {"": {"version": 1}}}
    for name, value in (("items", 1), ("values", []), ("_metadata", "text"), ("__class__", 1)):
        forged = WithState(OrderedDict, {name: value})
        with refused():
            load(pickle.dumps(forged, protocol=4))


@pytest.mark.usefixtures("quantifiers")
def test_what_is_given_to_pythons_reader_cannot_read_it_in_another_way() -> None:
    content = b"}\x94(K\x01G" + bytes(8) + b"K\x02G@\x08" + bytes(6) + b"u."

    def frames(*sizes: int) -> bytes:
        made, at = b"\x80\x04", 0
        for size in sizes:
            made += b"\x95" + struct.pack("<Q", size) + content[at : at + size]
            at += size
        return made + content[at:]

    assert is_plain(frames(len(content)))
    assert is_plain(frames(3, len(content) - 3))
    for start in range(len(content) - 1):  # a frame's end within what follows an opcode
        for size in (1, 2, 5):
            pickled = frames(start, size)
            if is_plain(pickled):
                assert load(pickled) == {1: 0.0, 2: 3.0}
    assert not is_plain(frames(len(content) + 1))
    assert not is_plain(frames(6, len(content) - 6))
    for more in (
        b"r\xff\xff\xff\xff",
        b"q\0",
        b"\x8a\x01\x01",
        b"\x85",
        b"N}b",
        b"\x8f",
        b"i",
        b"t",
        b"0",
    ):
        pickled = b"\x80\x04\x95" + struct.pack("<Q", len(more) + 2) + b"N" + more + b"."
        assert not is_plain(pickled)


@pytest.mark.usefixtures("quantifiers")
@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3, 4, 5))]
)
def test_both_readers_read_the_same(seed: int) -> None:
    draw = random.Random(seed)
    trial = record("tss", 3, schedules=SHORT["tss"])["12"]["all_results"]["cifar10", 111]
    honest = pickle.dumps(trial, protocol=4)
    plain = 0
    for _ in range(1500):
        forged = bytearray(honest)
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(11, len(forged))
            forged[at] = draw.choice(
                [forged[at] ^ (1 << draw.randrange(8)), *b"KG}]()uesaNRhj\x94\x86"]
            )
        pickled = bytes(forged)
        if not is_plain(pickled):
            continue
        plain += 1
        results = []
        for reader in (load, interpreted):
            try:
                results.append(described(reader(pickled)))
            except (UnreadableFile, ForbiddenPickle):
                results.append("refused")
        quick, careful = results
        assert quick == careful or "refused" in results, pickled
    assert plain > 300


# ── what it may take ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("pickled", "reason"),
    [
        (b"\x8d" + struct.pack("<Q", 7 << 30), "a text of 7,516,192,768 bytes"),
        (b"X\xff\xff\xff\xff", "a text of 4,294,967,295 bytes"),
        (b"\x8e" + struct.pack("<Q", 7 << 30), "7,516,192,768 bytes in one"),
        (b"\x96" + struct.pack("<Q", 7 << 30), "opcode"),
        (b"\x8b\xff\xff\xff\x7f", "opcode"),
        (b"\x8a\x10" + b"\xff" * 16 + b".", "an integer of 16 bytes"),
        (b"Nr\xff\xff\xff\xff.", "notes of a pickle out of order"),
        (b"Np4294967295\n.", "opcode"),
        (b"}N" + b"\x85" * 5000 + b"Ns.", "keys that no official file has"),
        (
            b"}("
            + b"".join(b"K\x01M" + struct.pack("<H", n) + b"\x86N" for n in range(3000))
            + b"u.",
            "keys",
        ),
        (b"c" + b"m" * 400 + b"\n", "a name of more than"),
    ],
)
def test_what_asks_for_too_much_is_refused(pickled: bytes, reason: str) -> None:
    with pytest.raises((UnreadableFile, ForbiddenPickle), match=f"^a file: .*{reason}"):
        load(b"\x80\x04" + pickled)


@pytest.mark.parametrize(
    "part", [b"N", b"]", b"\x8f", b"}NNs", b"N\x94", b"K\0", b"(", b"ccollections\nOrderedDict\n)R"]
)
def test_much_of_nothing_is_refused_where_it_becomes_much(part: bytes, monkeypatch) -> None:
    monkeypatch.setattr(opcodes, "MAX_GROWTH", 1 << 20)
    given = 0

    def pieces() -> Any:
        nonlocal given
        yield b"\x80\x04N"
        while True:
            given += 1
            assert given < 100  # 6 MB at most before it is noticed
            yield part * ((1 << 16) // len(part))

    with pytest.raises(UnreadableFile, match="a file: values of more than 1 MB"):
        Interpreter(pieces(), "a file", RECORD_FUNCTIONS, most_bytes=1 << 40).run()


def test_weights_that_are_left_out_take_nothing() -> None:
    large = b"B" + struct.pack("<I", 8 << 20)
    given = itertools.chain(
        [b"\x80\x04ctorch.storage\n_load_from_bytes\n" + large], [bytes(1 << 20)] * 8
    )
    reader = Interpreter(
        itertools.chain(given, [b"\x85R."]),
        "a file",
        RECORD_FUNCTIONS,
        most_bytes=9 << 20,
        keep_bytes=False,
    )
    assert reader.run() is None
    assert len(reader._buffer) < 3 << 20


def test_a_file_that_unpacks_to_far_more_than_its_size_is_refused() -> None:
    bomb = bz2.compress(bytes(20 << 20))
    assert len(bomb) < 1000
    with pytest.raises(UnreadableFile, match=r"a file: unpacks to more than 200 times its size"):
        for _ in unpacked([bomb], "a file"):
            pass


def test_a_single_archive_holds_an_architecture_once() -> None:
    content = official_dict("tss", (0, 3), schedules=SHORT["tss"])
    content["arch2infos"][5] = content["arch2infos"][3]
    pickled = pickle.dumps(content, protocol=4)
    read: dict[int, Any] = {}
    StreamUnpickler(iter([pickled]), "a file", read.__setitem__).run()
    assert read.keys() == {0, 3, 5}
    at = pickled.rindex(b"K\x05j")  # the record of 3 again, fetched
    twice = pickled[:at] + b"K\x03" + pickled[at + 2 :]
    with pytest.raises(UnreadableFile, match="a file: architecture 3 is there twice"):
        StreamUnpickler(iter([twice]), "a file", lambda index, content: None).run()


def test_a_record_that_refers_into_one_before() -> None:
    inner = [1.5]
    pickled = pickle.dumps({"arch2infos": {0: {"a": inner}, 1: {"a": inner}}}, protocol=4)
    with pytest.raises(UnreadableFile, match=r"^a file: .*refers into an earlier one"):
        StreamUnpickler(iter([pickled]), "a file", lambda index, content: None).run()


# ── arrays ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_images_in_either_order(protocol: int, order: Any) -> None:
    pixels = np.arange(36, dtype=np.uint8).reshape(3, 12)
    content = {"data": np.array(pixels, order=order), "labels": np.array([4, 5, 6], ">i4")}
    read = read_batch(pickle.dumps(content, protocol=protocol), "labels", 2, "a batch")
    assert np.array_equal(read.images.reshape(3, 12), pixels)
    assert read.labels.tolist() == [4, 5, 6]


class Forged:
    """Pickles into an array with the state that is given."""

    def __init__(self, *state: Any) -> None:
        self.state = state

    def __reduce__(self) -> Any:
        return (*np.zeros(1).__reduce__()[:2], self.state)


U1 = np.dtype("u1")


@pytest.mark.parametrize(
    "state",
    [
        (1, (2, 12), U1, False, bytes(23)),
        (1, (2, 12), U1, False, bytes(25)),
        (1, (1 << 40, 12), U1, False, bytes(12)),
        (1, (-2, -12), U1, False, bytes(24)),
        (1, (2, 12), np.dtype("O"), False, [None] * 24),
        (1, (2, 12), np.dtype("O"), False, bytes(24 * 8)),
        (1, (2, 12), np.dtype([("a", "O")]), False, bytes(24 * 8)),
        (1, (2, 12), np.dtype("V1"), False, bytes(24)),
        (1, (2, 12), U1, 7, bytes(24)),
        (1, (2, 12), U1, False, [0] * 24),
        (1, [2, 12], U1, False, bytes(24)),
        (1, (True, 24), U1, False, bytes(24)),
        (1, 24, U1, False, bytes(24)),
        (1, (2, 12), "u1", False, bytes(24)),
        (2, (2, 12), U1, False, bytes(24)),
        ((0, 0), (2, 12), U1, False, bytes(24)),
        (1, (1,) * 40, U1, False, bytes(1)),
    ],
)
def test_a_forged_array_is_refused(state: tuple[Any, ...]) -> None:
    for protocol in (2, 4):
        content = {"data": Forged(*state), "labels": [0, 1]}
        with refused("a batch"):
            read_batch(pickle.dumps(content, protocol=protocol), "labels", 2, "a batch")


def test_labels_are_whole_numbers_one_by_one() -> None:
    pixels = np.zeros((2, 12), np.uint8)
    for labels in (
        [0, 1.0],
        [0, "x" * 60_000],
        [0, None],
        [True, False],
        [[0], [1]],
        (0, 1),
        {0, 1},
        5,
    ):
        with pytest.raises(UnreadableFile, match="a batch: 'labels' is not one whole number"):
            read_batch(
                pickle.dumps({"data": pixels, "labels": labels}, protocol=4), "labels", 2, "a batch"
            )


# ── tensors ──────────────────────────────────────────────────────────────────────────────────


class Call:
    """Pickles into a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def tensors() -> dict[str, Any]:
    base = torch.arange(24.0)
    return {
        "float": base.reshape(2, 3, 4),
        "part": base[5:11],
        "columns": base.reshape(4, 6).t(),
        "channels": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "ones": torch.ones(1, 1, 5)[:, :, :1],
        **{str(kind): torch.ones(3).to(kind) for kind in (torch.int8, torch.uint8, torch.int16)},
        **{str(kind): torch.ones(3).to(kind) for kind in (torch.int32, torch.int64, torch.float64)},
        **{
            str(kind): torch.ones(3).to(kind)
            for kind in (torch.float16, torch.bfloat16, torch.bool)
        },
        "gradient": torch.ones(2, requires_grad=True),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }


@pytest.mark.parametrize("protocol", [3, 4])
def test_tensors_are_what_pythons_reader_makes_of_them(protocol: int) -> None:
    content = OrderedDict(tensors())
    pickled = pickle.dumps(content, protocol=protocol)
    read, expected = load(pickled, weights=True), pickle.loads(pickled)
    assert read.keys() == expected.keys()
    for name, tensor in expected.items():
        assert type(read[name]) is type(tensor)
        assert torch.equal(read[name], tensor), name
        assert read[name].dtype == tensor.dtype
        assert read[name].requires_grad == tensor.requires_grad
        assert read[name].stride() == tensor.stride()
    assert load(pickled) == dict.fromkeys(expected)


def rebuilt(*arguments: Any) -> Call:
    return Call(torch._utils._rebuild_tensor_v2, *arguments)


def forged_tensors() -> dict[str, Any]:
    kept = torch.ones(6)._typed_storage()
    none = OrderedDict()
    with_sparse = torch.eye(3).to_sparse()
    return {
        "beyond": rebuilt(kept, 0, (7,), (1,), False, none),
        "beyond by offset": rebuilt(kept, 6, (1,), (1,), False, none),
        "beyond by far": rebuilt(kept, 1 << 40, (1,), (1,), False, none),
        "huge": rebuilt(kept, 0, (1 << 30, 1 << 30), (1 << 30, 1), False, none),
        "negative offset": rebuilt(kept, -1, (1,), (1,), False, none),
        "negative size": rebuilt(kept, 0, (-1,), (1,), False, none),
        "negative stride": rebuilt(kept, 5, (6,), (-1,), False, none),
        "one number often": rebuilt(kept, 0, (1 << 20,), (0,), False, none),
        "gaps": rebuilt(kept, 0, (3,), (2,), False, none),
        "overlapping": rebuilt(kept, 0, (2, 3), (1, 1), False, none),
        "a stride too few": rebuilt(kept, 0, (2, 3), (3,), False, none),
        "lists": rebuilt(kept, 0, [6], [1], False, none),
        "truth": rebuilt(kept, True, (1,), (1,), False, none),
        "hooks": rebuilt(kept, 0, (6,), (1,), False, OrderedDict(a=1)),
        "metadata": rebuilt(kept, 0, (6,), (1,), False, none, {"conj": True}),
        "no storage": rebuilt([1.0] * 6, 0, (6,), (1,), False, none),
        "dimensions": rebuilt(kept, 0, (1,) * 60, (1,) * 60, False, none),
        "complex": torch.ones(2, dtype=torch.complex64),
        "sparse": with_sparse,
        "meta": torch.ones(2, device="meta"),
        "parameter": Call(torch._utils._rebuild_parameter, [1], True, none),
        "hooked": Call(torch._utils._rebuild_parameter, torch.ones(2), True, OrderedDict(a=1)),
    }


@pytest.mark.parametrize("name", forged_tensors())
def test_a_forged_tensor_is_refused(name: str) -> None:
    pickled = pickle.dumps({"net": forged_tensors()[name]}, protocol=4)
    with refused():
        load(pickled, weights=True)


def test_a_forged_storage_is_refused() -> None:
    pickled = torch.ones(4)._typed_storage().__reduce__()[1][0]
    assert torch.load(io.BytesIO(pickled), weights_only=True)._size() == 4
    forged = {
        "cut": pickled[:-1],
        "longer": pickled + b"\0",
        "more": pickled[:-24] + (5).to_bytes(8, "little") + pickled[-16:],
        "another": pickled.replace(b"FloatStorage", b"DoubleStorage"),
        "complex": pickled.replace(b"FloatStorage", b"ComplexFloatStorage"),
        "quantized": pickled.replace(b"FloatStorage", b"QUInt8Storage"),
        "big-endian": pickled.replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89"),
        "hostile": b"cos\nsystem\n(S'true'\ntR.",
        "zip": b"PK\3\4" + pickled,
        "empty": b"",
        "many opcodes": pickled[:15] + b"\x80\x02" + b"N" * 5000 + b".",
    }
    for name, data in forged.items():
        assert data != pickled, name
        with refused():
            load(pickle.dumps(Call(torch.storage._load_from_bytes, data), protocol=4), weights=True)


def test_dense_is_what_covers_its_numbers_once() -> None:
    draw = random.Random(0)
    for _ in range(2000):
        size = tuple(draw.choice([1, 1, 2, 3, 4]) for _ in range(draw.randint(0, 4)))
        stride = tuple(draw.randint(0, 6) for _ in size)
        places = sorted(
            sum(map(int.__mul__, place, stride)) for place in itertools.product(*map(range, size))
        )
        assert weights._is_dense(size, stride) == (places == [*range(len(places))]), (size, stride)
