"""Tells the pickles that Python's own reader may be given: the small and plain ones.

That reader is many times as fast as one written in Python, and does what it is told. A record of
figures is rows of names and floats, some containers and a few numbers of numpy's: of all opcodes it
uses two dozen, in few ways. One regular expression knows them; a pickle that it does not match from
end to end goes to the reader that looks at every opcode.

What is left to such a pickle is to fetch what it noted, to call what stands for the functions that
it names, to fill dicts and lists, and to make less than a hundred times its size of them. It cannot
choose the numbers of notes (a large one makes room for all below), set a state (but a plain dtype's
byte order), write large integers (which can collide as keys) or heap up tuples (whose hash recurs).
"""

from __future__ import annotations

import re
import sys
from functools import cache

#: An official record without weights has a third of this.
MOST_BYTES = 1 << 20
#: Official records have some fifty.
MOST_TUPLES = 2000

_FRAME, _STOP, _TUPLE2 = 0x95, 0x2E, 0x86
# Before it, possessive repetitions of groups miss matches (github.com/python/cpython, 106052).
_POSSESSIVE = sys.version_info >= (3, 11, 5)


def _text(length: int) -> str:
    """A noted text; where a float follows, often the next text does, then a float: rows."""
    head = rf"\x8c\x{length:02x}"
    return rf"{head}(?:.{{{length}}}+\x94G.{{8}}+{head})*+.{{{length}}}+\x94(?:G.{{8}}+)?+"


@cache
def _opcodes() -> re.Pattern[bytes]:
    """Up to a thousand plain opcodes, or rows of them.

    Nothing follows the repetition, so that what does not match ends it and nothing is tried again;
    quantifiers are possessive, which says so, and takes a third less time.
    """
    texts = "|".join(rf"\x{length:02x}.{{{length}}}+" for length in range(256))
    alternatives = (  # the most frequent first; their first bytes tell them apart
        r"K(?:.G.{8}+K)*+.(?:G.{8}+)?+",  # BININT1, BINFLOAT: rows by epoch
        *map(_text, (11, 12, 10)),  # SHORT_BINUNICODE, MEMOIZE: rows by names as x-valid@199
        r"j(?:.{4}+G.{8}+j)*+.{4}+(?:G.{8}+)?+",  # LONG_BINGET: rows by noted names
        r"h.(?:G.{8}+)?+",  # BINGET
        r"[()\]}\x94NReasu\x88\x89\x93]++",  # marks, constants, containers, names, calls
        r"J.{4}+",  # BININT
        # A plain dtype: its byte order is the one state that is set.
        r"\x8c\x02[biuf][1248]\x94(?:\x89\x88|K\x00K\x01)\x87\x94R\x94"
        r"\(K\x03\x8c\x01[<>|]\x94NNN(?:J\xff{4}){2}K\x00t\x94b",
        rf"\x8c(?:{texts})\x94",
        r"G.{8}+",
        r"M..",  # BININT2
        r"C(?:\x08.{8}+|\x04.{4}+|\x02..|\x01.)",  # SHORT_BINBYTES: a number of numpy's
    )
    pattern = f"(?:{'|'.join(alternatives)}){{0,1000}}"
    if not _POSSESSIVE:  # which only takes longer: opcodes can be told apart in one way alone
        pattern = re.sub(r"(?<=[*?+}])\+", "", pattern)
    return re.compile(pattern.encode("latin1"), re.DOTALL)


def is_plain(pickled: bytes) -> bool:
    """Whether a pickle of protocol 4 is small, and consists of plain opcodes alone."""
    if len(pickled) > MOST_BYTES or pickled[:2] != b"\x80\x04" or pickled[-1] != _STOP:
        return False
    match, at, tuples, last = _opcodes().match, 2, 0, len(pickled) - 1
    while at < last:
        if pickled[at] != _FRAME:
            return False
        # What crosses the end of its frame is read in one way or another.
        end = at + 9 + int.from_bytes(pickled[at + 1 : at + 9], "little")
        until = min(end, last)
        if end not in (until, len(pickled)):
            return False
        at += 9
        while at < until:
            found = match(pickled, at, until)
            if found is not None and found.end() > at:
                at = found.end()
            elif pickled[at] == _TUPLE2:
                tuples += 1
                at += 1
            else:
                return False
    return tuples <= MOST_TUPLES
