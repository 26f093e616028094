"""Whether a call answered, refused as documented, or did what nothing may do."""

from __future__ import annotations

import faulthandler
import functools
import importlib.util
import inspect
import itertools
import os
import re
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import hostile_values
import public_surface
import pytest
from hypothesis import HealthCheck, Phase, settings

from nats_gym import checks
from nats_gym.errors import NatsGymError

#: Share of the examples of every profile that is run.
SHARE = float(os.environ.get("NATS_GYM_FUZZ", "1"))
#: Seconds of processor time after which a call counts as hung; of a clock, three times as many.
PATIENCE = 20.0
#: Bytes that a call may add to what the process holds.
HEADROOM = 3 << 29
#: Longest message: what was given takes 200 characters of it, what is allowed 1,000.
LONGEST = 1_600
#: Beginnings of the names of files that are ours.
OURS = tuple(
    os.path.dirname(found.origin) + os.sep
    for name in ("nats_gym", "nats_gym.envs", "nats_gym.agents")
    if (found := importlib.util.find_spec(name)) and found.origin
)


#: Tells where everything is and ends the process, without a thread to be started for each call.
faulthandler.register(signal.SIGVTALRM, file=sys.__stderr__, chain=True)


class Hang(BaseException):
    """A call took longer than it may."""


class Answer(NamedTuple):
    """What a call did: returned ``value``, or raised ``refusal`` as documented."""

    value: Any
    refusal: BaseException | None


class Fault(AssertionError):
    """A call did what nothing may do."""


@contextmanager
def bounded(seconds: float = PATIENCE, memory: int = HEADROOM) -> Iterator[None]:
    """End the block by ``Hang`` after a while, and by ``MemoryError`` where it asks for too much.

    The limit is of this process and lasts for the block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: Any) -> None:
        raise Hang(f"still running after {seconds:g} s")

    with open("/proc/self/statm") as file:
        held = int(file.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    # A busy machine makes nothing hang, and what waits for ever takes no processor.
    clocks = {signal.ITIMER_PROF: signal.SIGPROF, signal.ITIMER_REAL: signal.SIGALRM}
    before = {bell: signal.signal(bell, ring) for bell in clocks.values()}
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 3 * seconds)
    # A loop in C hears no handler of Python's: better no more tests than no end.
    signal.setitimer(signal.ITIMER_VIRTUAL, 6 * seconds)
    resource.setrlimit(resource.RLIMIT_AS, (held + memory, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        for clock, bell in clocks.items():
            signal.setitimer(clock, 0)
            signal.signal(bell, before[bell])


def documented(function: Any) -> tuple[type[BaseException], ...]:
    """Built-in exceptions that a docstring's Raises section names."""
    text = getattr(function, "__doc__", None) or ""
    section = re.search(r"Raises:\n(.*?)(\n\n|\Z)", text, re.S)
    found = re.findall(r"\b([A-Z]\w*(?:Error|Exception))\b", section.group(1)) if section else []
    builtin = __builtins__ if isinstance(__builtins__, dict) else vars(__builtins__)
    return tuple(kind for name in found if isinstance(kind := builtin.get(name), type))


def attack(
    call: Callable[[], Any],
    what: str = "",
    allowed: tuple[type[BaseException], ...] = (),
    seconds: float = PATIENCE,
    others: str | None = None,
) -> Answer:
    """Make a call, and see that it answers or refuses as it may.

    Args:
        call: what is called.
        what: its name in reports.
        allowed: built-in exceptions that it may raise.
        seconds: its patience.
        others: a package whose own code may raise what it likes.

    Raises:
        Fault: for any other exception, a message of several lines or pages, or a hang.
    """
    try:
        with bounded(seconds):
            value = call()
    except NatsGymError as error:
        complaint = _complaint(error)
        if complaint:
            raise Fault(f"{what}: {type(error).__name__} {complaint}") from error
        return Answer(None, error)
    except (gym.error.Error, *allowed) as error:
        return Answer(None, error)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        if others and _raised_in(error, others):
            return Answer(None, error)
        first = " ".join(str(error).split())[:150] if not _evil(error) else "?"
        raise Fault(f"{what}: {type(error).__name__}: {first}") from error
    return Answer(value, None)


def _raised_in(error: BaseException, package: str) -> bool:
    """Whether a package's own code, or what that called, raised an exception: none of ours did."""
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    theirs = [place for place, file in enumerate(files) if f"/{package}/" in file]
    ours = [place for place, file in enumerate(files) if file.startswith(OURS)]
    return max(theirs, default=-1) > max(ours, default=-1)


def _evil(error: BaseException) -> bool:
    try:
        str(error)
    except Exception:
        return True
    return False


def _complaint(error: BaseException) -> str:
    """What is wrong with a message; empty if nothing is."""
    try:
        message = str(error)
    except Exception as inner:
        return f"has no text: {type(inner).__name__}"
    if "\n" in message:
        return f"is of several lines: {message[:150]!r}"
    if len(message) > LONGEST:
        return f"is of {len(message):,} characters: {message[:100]!r}"
    if re.search(r"x{201}|9{201}|(é/){101}", message):
        return f"quotes more than 200 characters: {message[:100]!r}"
    try:
        message.encode()
    except UnicodeEncodeError:
        return f"cannot be printed: {message[:100]!r}"
    return ""


def check_accepted(annotation: str, parameter: str, name: str, value: Any, what: str) -> None:
    """Raise ``Fault`` if an accepted value cannot have been meant."""
    if hostile_values.is_nonsense(annotation, parameter, value):
        raise Fault(f"{what}: {parameter}={name} was accepted; it is {annotation}")


def _is_path(annotation: str, value: Any) -> bool:
    """Whether the file system may have its say about an argument."""
    if "Path" not in annotation:
        return False
    try:
        checks.path(value, "it")
    except NatsGymError:
        return False
    return True


def try_values(
    call: Callable[..., Any],
    plausible: dict[str, Any],
    annotations: dict[str, str],
    values: Iterator[str] | tuple[str, ...],
    what: str,
    allowed: tuple[type[BaseException], ...] = (),
    known: frozenset[tuple[str, str]] = frozenset(),
    done: Callable[[Any], None] = lambda value: None,
    refused: bool = False,
) -> list[str]:
    """Put each hostile value in the place of each argument in turn; the faults found.

    Args:
        call: called by keywords.
        plausible: arguments that it takes.
        annotations: of each parameter to try.
        values: names of hostile values.
        what: its name in reports.
        allowed: built-in exceptions that it may raise.
        known: faults that are known, as (what, parameter).
        done: given each answer, to look at it and close it.
        refused: leave out what may be accepted.
    """
    faults: list[str] = []
    for parameter, annotation in annotations.items():
        if (what, parameter) in known:
            continue
        for name in values:
            with bounded():
                value = hostile_values.HOSTILE[name]()
            if refused and not hostile_values.is_nonsense(annotation, parameter, value):
                continue
            arguments = {**plausible, parameter: value}
            told = f"{what}({parameter}={name})"
            possible = (*allowed, OSError) if _is_path(annotation, value) else allowed
            try:
                answer = attack(lambda arguments=arguments: call(**arguments), told, possible)
                if answer.refusal is None:
                    with bounded():
                        done(answer.value)
                    check_accepted(annotation, parameter, name, value, what)
            except Fault as fault:
                faults.append(str(fault))
            except Exception as error:
                faults.append(f"{told}: its answer fails: {type(error).__name__}: {error}"[:300])
    return faults


def profile(examples: int) -> settings:
    """So many examples, the same in every run; what fails is told as it is, not made smaller."""
    return settings(
        max_examples=int(examples * SHARE) or 1,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )


def faults_of(
    target: public_surface.Target,
    values: tuple[str, ...],
    own: dict[str, Callable[[], Any]] | None = None,
    known: frozenset[tuple[str, str]] = frozenset(),
    done: Callable[[Any], None] = lambda value: None,
    refused: bool = False,
) -> list[str]:
    """Call a public function with each hostile value for each argument; the faults found.

    Args:
        target: what is called; a method of a plausible instance.
        values: names of hostile values.
        own: by parameter, what is plausible for this function alone.
        known: faults that are known, as (target, parameter); parameter ``*`` is all of them, and
            of all targets whose names begin so.
        done: given each answer.
        refused: leave out what may be accepted, because the work takes long.
    """
    if any(target.name.startswith(name) for name, parameter in known if parameter == "*"):
        return []
    function = target.function
    wanted = public_surface.annotations(function)
    allowed = documented(function) + (documented(target.owner) if target.owner else ())
    try:
        plausible = public_surface.plausible(target, own)
    except LookupError:  # of a function that nobody wrote about yet
        plausible = None
    call = function
    if target.owner is not None:
        call = functools.partial(function, public_surface.instance(target.owner))
    if inspect.isgeneratorfunction(function):
        call = functools.partial(_first_of, call)
    if plausible is None:
        faults = []
        for name in values:
            arguments = {key: hostile_values.HOSTILE[name]() for key in wanted}
            try:
                attack(lambda given=arguments: call(**given), f"{target.name}(*={name})", allowed)
            except Fault as fault:
                faults.append(str(fault))
        return faults
    return try_values(call, plausible, wanted, values, target.name, allowed, known, done, refused)


def _first_of(call: Callable[..., Any], **arguments: Any) -> list[Any]:
    """What a generator gives first: it looks at its arguments when it is asked."""
    return list(itertools.islice(call(**arguments), 100))


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Attack in a folder with the nodes of hostile paths, and reach no other machine.

    A module that imports this has all its tests run so.
    """
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def nowhere(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and not str(address[0]).startswith("127."):
            raise OSError("no network while attacked")
        connect(self, address)

    def unnamed(host: Any, *others: Any, **named: Any) -> Any:
        if host not in (None, "localhost") and not str(host).startswith("127."):
            raise socket.gaierror("no network while attacked")
        return resolve(host, *others, **named)

    monkeypatch.setattr(socket.socket, "connect", nowhere)
    monkeypatch.setattr(socket, "getaddrinfo", unnamed)
    monkeypatch.setenv("MPLBACKEND", "agg")
    hostile_values.make_nodes(tmp_path)
    monkeypatch.chdir(tmp_path)
