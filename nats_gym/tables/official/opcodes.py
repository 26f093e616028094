"""What the opcodes of a pickle do, where nothing may happen but that values come about.

A pickle is a program: its opcodes may have any function called, or any object's attributes set,
and a few bytes of them may ask for any amount of memory. The interpreter here carries out the
opcodes of plain values alone, calls a few functions of our own under the names that files give
them, and counts what it makes.
"""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nats_gym.errors import NatsGymError, said, shown
from nats_gym.tables.official.plain_numpy import PlainArray, PlainType

#: What the values of a pickle may take besides byte strings, roughly; an honest record's: 10 MB.
MAX_GROWTH = 128 << 20
#: Bytes of a text; official files have names alone.
MAX_TEXT = 1 << 16

# Estimates from above of the memory that reading takes: of a byte of short values, of an opcode
# that makes a container or a call, and of an item's place in a container.
_BYTE, _STEP, _ITEM = 20, 300, 64
#: More than a short string takes, length and opcode included.
_MARGIN = 300
#: So many bytes are read between two looks at what was made of them.
_STRETCH = 1 << 16
#: Hashing tuples within tuples can exhaust the stack; of two numbers, it can collide.
_MAX_KEY_PARTS, _MAX_TUPLE_KEYS = 8, 2000
_DOUBLE = struct.Struct(">d")

Functions = Mapping[tuple[str, str], Callable[..., Any]]


def _ordered_dict() -> OrderedDict[Any, Any]:
    """An empty one, as it is pickled; items follow."""
    return OrderedDict()


ORDERED_DICT: Functions = {("collections", "OrderedDict"): _ordered_dict}


class UnreadableFile(NatsGymError, OSError):
    """An official file that is truncated, damaged or not what it should be."""


class ForbiddenPickle(NatsGymError, pickle.UnpicklingError):
    """A pickle that names something official files never contain. Nothing of it was run."""

    def __init__(self, module: str, name: str) -> None:
        full = f"{module}.{name}"
        full = full if full.isprintable() and len(full) <= 100 else shown(full, 100)
        super().__init__(f"{full} is not allowed in an official file; it was not run")


@contextmanager
def damage_named(name: str) -> Iterator[None]:
    """Turn what a damaged pickle raises, nearly anything, into ``UnreadableFile``."""
    try:
        yield
    except ForbiddenPickle as error:
        error.args = (f"{name}: {said(error)}",)
        raise
    except (NatsGymError, OSError):  # the disk's errors are not the pickle's
        raise
    except Exception as error:
        raise UnreadableFile(f"{name}: a damaged pickle ({shown(error)})") from error


class Admitted:
    """What stands for a function that a pickle may name. It can be called; it cannot be changed.

    Args:
        function: what is called in its place.
    """

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        """What the function makes of these."""
        return self.function(*arguments)

    def __setstate__(self, state: Any) -> None:
        """Refuse it: a state is what a pickle sets."""
        raise ForbiddenPickle("attributes of", "a function")


def named(module: str, name: str, functions: Functions) -> Admitted:
    """What a pickle names; ``ForbiddenPickle`` if it is none of ``functions``."""
    if (module, name) not in functions:
        raise ForbiddenPickle(module, name)
    return Admitted(functions[module, name])


class Interpreter:
    """Carries out the opcodes of plain values, of protocols 2 to 4, as they arrive.

    Args:
        blocks: the pickle, in pieces.
        name: what to call it in messages.
        functions: what is called under the names that the pickle may give.
        most_bytes: how long the pickle may be.
        most_text: how long a text may be.
        most_growth: bytes that all values may take but for byte strings, roughly; by default
            :data:`MAX_GROWTH`.
        keep_bytes: keep byte strings of more than 255 bytes; else they are passed over.
        persistent: makes values of what the pickle calls persistent; by default nothing is.
    """

    def __init__(
        self,
        blocks: Iterator[bytes],
        name: str,
        functions: Functions,
        *,
        most_bytes: int,
        most_text: int = MAX_TEXT,
        most_growth: int | None = None,
        keep_bytes: bool = True,
        persistent: Callable[[Any], Any] | None = None,
    ) -> None:
        self._blocks = blocks
        self._name = name
        self._functions = functions
        self._most_bytes = most_bytes
        self._most_text = most_text
        self._most_growth = MAX_GROWTH if most_growth is None else most_growth
        self._keep_bytes = keep_bytes
        self._persistent = persistent
        self._buffer = b""
        self._at = 0  # in the buffer
        self._counted = 0  # up to here its bytes are in the growth
        self._passed = 0  # bytes before the buffer
        self._end: int | None = None  # of the pickle, in the buffer, once it is known
        self._arrived = 0
        self._growth = 0
        self._tuple_keys = 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: Any = []

    def run(self) -> Any:
        """Read one pickle to its end; another may follow.

        Returns:
            What it holds.

        Raises:
            UnreadableFile: if it is truncated, damaged or too large.
            ForbiddenPickle: if it holds anything but plain values.
        """
        with damage_named(self._name):
            self._run()
            content = self._stack.pop()
            self._stack, self._marks, self._memo = [], [], []
            return content

    @property
    def position(self) -> int:
        """Number of bytes read so far."""
        return self._passed + self._at

    def finish(self) -> None:
        """Raise ``UnreadableFile`` if anything follows what was read."""
        if self._end is None and len(self._buffer) == self._at:
            self._fill(1)
        if self._end is None or self._end > self._at:
            raise self._unreadable("something follows its end")

    def _run(self) -> None:
        step, plain = self._step, self._plain_values
        most = self._most_growth
        while True:
            opcode = plain()
            # _charge, written out: this is done for every opcode but the plainest.
            self._growth += _STEP + _BYTE * (self._at - self._counted)
            self._counted = self._at
            if self._growth > most:
                self._charge()
            if opcode == 0x2E:  # STOP
                return
            step(opcode)

    def _unreadable(self, why: str) -> UnreadableFile:
        return UnreadableFile(f"{self._name}: {why}")

    # ── bytes ────────────────────────────────────────────────────────────────────────────────

    def _charge(self, growth: int = 0) -> None:
        """Count what was made of the bytes since the last count, and ``growth`` besides."""
        self._growth += growth + _BYTE * (self._at - self._counted)
        self._counted = self._at
        if self._growth > self._most_growth:
            raise self._unreadable(f"values of more than {self._most_growth >> 20} MB")

    def _next_block(self) -> bytes:
        block = next(self._blocks, b"")
        self._arrived += len(block)
        if self._arrived > self._most_bytes:
            raise self._unreadable(f"more than {self._most_bytes >> 20} MB, unpacked")
        return block

    def _fill(self, count: int) -> None:
        """Have ``count`` bytes ahead; behind the end of the pickle they are zeros."""
        ahead = len(self._buffer) - self._at
        if ahead >= count:
            return
        if self._end is not None and self._at + count > self._end + _MARGIN:
            raise self._unreadable("a truncated pickle")
        self._charge()
        parts = [self._buffer[self._at :]]
        while ahead < count and self._end is None:
            block = self._next_block()
            if not block:
                self._end = ahead
                if ahead + _MARGIN < count:
                    raise self._unreadable("a truncated pickle")
                block = bytes(2 * _MARGIN)
            parts.append(block)
            ahead += len(block)
        self._passed += self._at
        self._buffer, self._at, self._counted = b"".join(parts), 0, 0

    def _take(self, count: int) -> bytes:
        """The next bytes, which whoever asks has counted."""
        self._charge()
        self._fill(count)
        taken = self._buffer[self._at : self._at + count]
        self._at += count
        self._counted = self._at
        return taken

    def _number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self._take(size), "little", signed=signed)

    def _text(self, count: int) -> bytes:
        if not 0 <= count <= self._most_text:
            raise self._unreadable(f"a text of {count:,} bytes, {self._most_text:,} are allowed")
        self._charge(5 * min(count, MAX_TEXT))  # a longer one was bargained for
        return self._take(count)

    def _bytes(self, count: int) -> bytes:
        if not 0 <= count <= self._most_bytes:
            raise self._unreadable(f"{count:,} bytes in one, {self._most_bytes:,} are allowed")
        if count < 256 or self._keep_bytes:
            return self._take(count)
        self._charge()
        ahead = len(self._buffer) - self._at
        while ahead < count:
            self._passed += len(self._buffer)
            count -= ahead
            self._buffer, self._at, self._counted = self._next_block(), 0, 0
            ahead = len(self._buffer)
            if not ahead:
                raise self._unreadable("a truncated pickle")
        self._at = self._counted = self._at + count
        return b""

    def _line(self) -> str:
        self._fill(_MARGIN)
        end = self._buffer.find(b"\n", self._at, self._at + _MARGIN)
        if end < 0:
            raise self._unreadable(f"a name of more than {_MARGIN} bytes")
        line = self._buffer[self._at : end].decode("ascii")
        self._at = end + 1
        return line

    # ── opcodes ──────────────────────────────────────────────────────────────────────────────

    def _plain_values(self) -> int:
        """Carry out the most frequent opcodes up to another one; that one.

        Nine in ten opcodes are numbers and short strings. They fit into _MARGIN bytes, so there
        is nothing to check between two of them but that much is left.
        """
        stack, memo = self._stack, self._memo
        append, note, unpack = stack.append, memo.append, _DOUBLE.unpack_from
        while True:
            self._fill(_MARGIN)
            buffer, at = self._buffer, self._at
            limit = min(len(buffer) - _MARGIN, at + _STRETCH)
            while at <= limit:
                opcode = buffer[at]
                if opcode == 0x47:  # BINFLOAT
                    append(unpack(buffer, at + 1)[0])
                    at += 9
                elif opcode == 0x94:  # MEMOIZE
                    note(stack[-1])
                    at += 1
                elif opcode == 0x8C:  # SHORT_BINUNICODE
                    end = at + 2 + buffer[at + 1]
                    text = buffer[at + 2 : end].decode("utf-8", "surrogatepass")
                    append(text)
                    at = end
                    if buffer[at] == 0x94:
                        note(text)
                        at += 1
                elif opcode == 0x4B:  # BININT1
                    append(buffer[at + 1])
                    at += 2
                elif opcode == 0x68:  # BINGET
                    append(memo[buffer[at + 1]])
                    at += 2
                elif opcode == 0x6A:  # LONG_BINGET
                    append(memo[int.from_bytes(buffer[at + 1 : at + 5], "little")])
                    at += 5
                else:
                    self._at = at + 1
                    return opcode
            self._at = at
            self._charge()

    def _step(self, opcode: int) -> None:
        """Carry out one of the other opcodes."""
        stack = self._stack
        if opcode == 0x75:  # SETITEMS
            self._set_items(self._pop_mark())
        elif opcode == 0x28:  # MARK
            self._mark()
        elif opcode == 0x7D:  # EMPTY_DICT
            stack.append({})
            self._dict_begun()
        elif opcode in _CONSTANTS:
            stack.append(_CONSTANTS[opcode])
        elif opcode in _EMPTY:
            stack.append(_EMPTY[opcode]())
        elif opcode in _INTEGERS:
            stack.append(self._number(*_INTEGERS[opcode]))
        elif opcode in _TUPLES:
            count = _TUPLES[opcode]
            items = stack[-count:]
            if len(items) != count:
                raise IndexError("a tuple of what is not there")
            stack[-count:] = [tuple(items)]
        elif opcode == 0x52:  # REDUCE
            arguments, function = stack.pop(), stack.pop()
            if type(function) is not Admitted or type(arguments) is not tuple:
                raise ForbiddenPickle("a call of", type(function).__name__)
            result = function(*arguments)
            stack.append(result)
            if type(result) is OrderedDict:
                self._dict_begun()
        elif opcode in _BYTES:
            stack.append(self._bytes(self._number(_BYTES[opcode])))
        elif opcode in _TEXTS:
            size, encoding = _TEXTS[opcode]
            stack.append(self._text(self._number(size)).decode(encoding, "surrogatepass"))
        else:
            self._rare_step(opcode)

    def _rare_step(self, opcode: int) -> None:
        stack = self._stack
        if opcode == 0x73:  # SETITEM
            value, key = stack.pop(), stack.pop()
            self._set_items([key, value])
        elif opcode == 0x65:  # APPENDS
            self._extend(list, self._pop_mark())
        elif opcode == 0x61:  # APPEND
            self._extend(list, [stack.pop()])
        elif opcode == 0x90:  # ADDITEMS
            self._extend(set, self._pop_mark())
        elif opcode == 0x74:  # TUPLE
            items = self._pop_mark()
            self._charge(_ITEM * len(items))
            stack.append(tuple(items))
        elif opcode in (0x71, 0x72):  # BINPUT, LONG_BINPUT: older protocols number their notes
            self._put(self._number(1 if opcode == 0x71 else 4))
        elif opcode == 0x93:  # STACK_GLOBAL
            attribute, module = stack.pop(), stack.pop()
            if type(module) is not str or type(attribute) is not str:
                raise ForbiddenPickle("a name of", type(attribute).__name__)
            stack.append(named(module, attribute, self._functions))
        elif opcode == 0x63:  # GLOBAL, of protocols before 4
            module, attribute = self._line(), self._line()
            stack.append(named(module, attribute, self._functions))
        elif opcode == 0x62:  # BUILD
            state = stack.pop()
            self._set_state(stack[-1], state)
        elif opcode == 0x51 and self._persistent is not None:  # BINPERSID
            stack.append(self._persistent(stack.pop()))
        elif opcode == 0x8A:  # LONG1
            size = self._number(1)
            if size > 8:
                raise self._unreadable(f"an integer of {size} bytes, 8 are allowed")
            stack.append(self._number(size, True))
        elif opcode == 0x80:  # PROTO
            if not 2 <= self._take(1)[0] <= 5:
                raise self._unreadable("an unknown pickle protocol")
        elif opcode == 0x95:  # FRAME: how much is to be read at once
            self._take(8)
        elif self._end is not None and self._at > self._end:
            raise self._unreadable("a truncated pickle")
        else:
            raise ForbiddenPickle("pickle opcode", f"{opcode:#04x}")

    def _set_state(self, target: Any, state: Any) -> None:
        if type(target) in (PlainType, PlainArray):
            target.__setstate__(state)
        elif type(target) is OrderedDict:
            # Networks' weights come with the versions of their modules; nothing else is set.
            if type(state) is not dict or state.keys() != {"_metadata"}:
                raise ForbiddenPickle("attributes of", "OrderedDict")
            if type(state["_metadata"]) not in (dict, OrderedDict):
                raise ForbiddenPickle("metadata of", type(state["_metadata"]).__name__)
            target._metadata = state["_metadata"]  # type: ignore[attr-defined]
        else:
            raise ForbiddenPickle("attributes of", type(target).__name__)

    def _put(self, number: int) -> None:
        """Note the topmost value under a number: the next, or one more (Python 2 begins at 1)."""
        memo = self._memo
        if number == len(memo) + 1:
            memo.append(None)
        if number != len(memo):
            raise self._unreadable("notes of a pickle out of order")
        memo.append(self._stack[-1])

    def _mark(self) -> None:
        self._marks.append(len(self._stack))

    def _pop_mark(self) -> list[Any]:
        mark = self._marks.pop()
        items = self._stack[mark:]
        del self._stack[mark:]
        return items

    def _dict_begun(self) -> None:
        """A dict was begun: what reads record by record wants to know."""

    def _set_items(self, items: list[Any]) -> None:
        target, keys = self._stack[-1], items[::2]
        if type(target) not in (dict, OrderedDict):
            raise TypeError("items of what is no dict")
        self._charge(_ITEM * len(items))
        self._check_keys(keys)
        target.update(zip(keys, items[1::2], strict=True))

    def _extend(self, kind: type[list[Any]] | type[set[Any]], items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not kind:
            raise TypeError("items of what does not hold any")
        self._charge(_ITEM * len(items))
        if kind is set:
            self._check_keys(items)
        add: Any = getattr(target, "extend" if kind is list else "update")
        add(items)

    def _check_keys(self, keys: list[Any]) -> None:
        for key in keys:
            if type(key) is tuple:
                self._tuple_keys += 1
                if (
                    self._tuple_keys > _MAX_TUPLE_KEYS
                    or len(key) > _MAX_KEY_PARTS
                    or any(type(part) is tuple for part in key)
                ):
                    raise self._unreadable("keys that no official file has")


_CONSTANTS = {0x4E: None, 0x88: True, 0x89: False, 0x29: ()}
_EMPTY: dict[int, Callable[[], Any]] = {0x5D: list, 0x8F: set}
_INTEGERS = {0x4D: (2, False), 0x4A: (4, True)}
_TUPLES = {0x85: 1, 0x86: 2, 0x87: 3}
_BYTES = {0x43: 1, 0x42: 4, 0x8E: 8, 0x54: 4}
_TEXTS = {0x58: (4, "utf-8"), 0x8D: (8, "utf-8"), 0x55: (1, "latin1")}
