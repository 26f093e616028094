"""An official record → rows of figures, and their shape: data set keys, schedules, seeds and sets.

A record comes from strange hands: every value is looked at before it is used, and :func:`boundary`
turns whatever a record raises into one line that names it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.datasets import EVERY_DATASET
from nats_gym.errors import InvalidInput, NatsGymError, shown
from nats_gym.spaces import SPACES, DenseSpace, get_space
from nats_gym.tables.official.runs import KEYS, TRAIN
from nats_gym.tables.official.unpickling import UnreadableFile

#: Spaces that NATS-Bench's archives are of.
NATS_BENCH = tuple(name for name, kind in SPACES.items() if issubclass(kind, DenseSpace))

#: What official files call schedules, and the most epochs that each may have: its name says how
#: many. With the evaluation sets these become names of files.
HPS = {"01": 1, "12": 12, "90": 90, "200": 200}
SETS = ("x-valid", "x-test", "ori-test")
#: Official files have three trials at most of a key on a schedule; a build's may have more.
MAX_TRIALS = 16
MAX_SEED = 10**6
#: Official files have one timing.
MAX_TIMINGS = 1_000
#: Values, nesting and characters of an ``arch_config``; official ones have 6, 1 and 200.
MAX_VALUES, MAX_DEPTH, MAX_TEXT = 100, 4, 4_000
#: Where an ``arch_config`` names the architecture; where a build's says what it trained on, and
#: what that may be.
OF_ARCHITECTURE = ("arch_str", "channels")
TRAINED_ON = "trained_on"
ORIGINS = tuple(EVERY_DATASET)

# The types that figures come in. A bool is none, nor a text that reads as a number.
_INTEGERS = frozenset({int, np.int64, np.int32})
_NUMBERS = frozenset({float, np.float64, np.float32, np.float16}) | _INTEGERS
#: Of which equal ones are one and the same.
_FLAT = frozenset({str, int, type(None)})

#: (key, hp): what all trials of a data set key on a schedule share.
RunKey = tuple[str, str]


class MixedArchive(InvalidInput):
    """An archive whose records are trainings of more than one data set under one name."""


@contextmanager
def boundary(name: str) -> Iterator[None]:
    """Turn whatever reading a record raises into one ``UnreadableFile`` that names it.

    Not only what is foreseen: a record can overflow a number, the stack or the memory, and raise
    nearly anything.
    """
    try:
        yield
    except NatsGymError:
        raise
    except Exception as error:
        raise UnreadableFile(f"{name}: not an architecture's record ({shown(error)})") from None


@dataclass(frozen=True)
class Description:
    """What all records of an archive share.

    Attributes:
        space: name of the space.
        schedules: epochs of each hp.
        trained_on: data set that the records say they were trained on, whatever key they are
            filed under; empty if they do not say, as NATS-Bench's do not.
    """

    space: str
    schedules: dict[str, int]
    trained_on: str


@dataclass
class RunShape:
    """What is known of the trials of one data set key on one schedule.

    Attributes:
        epochs: length of the schedule.
        seeds: seeds that occur.
        sets: evaluation sets, in the files' order.
        curve_sets: sets, ``train`` included, with a figure for every epoch.
        arch_config: the files', with None for what names the architecture.
        uneven_times: trials whose epochs did not all take the same recorded time.
        weights: whether the files hold trained weights.
    """

    epochs: int
    seeds: list[int] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)
    curve_sets: list[str] = field(default_factory=list)
    arch_config: dict[str, Any] = field(default_factory=dict)
    uneven_times: int = 0
    weights: bool = False

    def merge(self, other: RunShape, where: str) -> None:
        """Take in what ``other`` has besides; ``UnreadableFile`` if they contradict."""
        if other.epochs != self.epochs:
            raise UnreadableFile(f"{where}: {other.epochs} epochs where others have {self.epochs}")
        self.seeds = sorted({*self.seeds, *other.seeds})
        for mine, more in ((self.sets, other.sets), (self.curve_sets, other.curve_sets)):
            mine.extend(name for name in more if name not in mine)
        self.arch_config = self.arch_config or other.arch_config
        self.uneven_times += other.uneven_times
        self.weights |= other.weights


@dataclass
class Trial:
    """One training run's figures.

    Attributes:
        final: by column name, see ``Runs.names``.
        curves: by set, ``(epoch, 2)`` float32: accuracy and loss.
    """

    final: dict[str, float]
    curves: dict[str, NDArray[np.float32]]


@dataclass
class Record:
    """One architecture's figures: trials by data set key, schedule and seed."""

    index: int
    shapes: dict[RunKey, RunShape]
    trials: dict[tuple[str, str, int], Trial]


def describe(content: Any, index: int, name: str) -> Description:
    """What a record says of its archive; every record of it must agree.

    Args:
        content: see :func:`extract`.
        index: the index that the file's name says.
        name: what to call it in messages.

    Raises:
        UnreadableFile: if it is no architecture's record, or of none of the spaces.
    """
    with boundary(name):
        runs, trained_on = _runs(content)
        schedules = {}
        for hp, trials in runs.items():
            if hp not in HPS:
                raise ValueError(f"unknown hp {shown(hp)}, official ones are {', '.join(HPS)}")
            (schedules[hp],) = {_integer(each["epochs"], 1, HPS[hp]) for each in trials.values()}
        (string,) = {_text(results["arch_str"]) for results in content.values()}
        for space in NATS_BENCH:
            if 0 <= index < get_space(space).size and get_space(space).name_of(index) == string:
                return Description(space, schedules, trained_on)
    raise UnreadableFile(f"{name}: {shown(string)} is not architecture {index} of any space")


def extract(content: Any, index: int, archive: Description, name: str, curves: bool) -> Record:
    """Turn the content of an official record into rows.

    Args:
        content: ``{hp: {arch_index, arch_str, all_results, …}}``.
        index: the index that the file's name says.
        archive: what the records of this archive share.
        name: what to call it in messages.
        curves: keep learning curves.

    Raises:
        UnreadableFile: if it is not such a record, another architecture's, or one whose
            schedules are not the archive's.
        MixedArchive: if it was trained on something else than the archive's other records.
    """
    record = Record(index, {}, {})
    # A loss beyond what 32 bits hold is infinite there.
    with boundary(name), np.errstate(over="ignore"):
        string = _architecture(archive.space, index)
        runs, trained_on = _runs(content)
        if trained_on != archive.trained_on:
            raise _mix(name, trained_on, archive.trained_on)
        for hp, trials in runs.items():
            if _text(content[hp]["arch_str"]) != string:
                raise ValueError(f"it holds {shown(content[hp]['arch_str'])}, not {string}")
            for (key, seed), result in trials.items():
                if _integer(result["epochs"], 1) != archive.schedules.get(hp):
                    raise ValueError(f"{result['epochs']} epochs under hp {shown(hp)}")
                shape, trial = _extract_trial(result, seed, string, curves)
                record.trials[key, hp, seed] = trial
                if (key, hp) in record.shapes:
                    record.shapes[key, hp].merge(shape, name)
                else:
                    record.shapes[key, hp] = shape
        _check_curves(record)
    return record


def _mix(name: str, one: str, other: str) -> MixedArchive:
    said = [origin or "what it does not say" for origin in (one, other)]
    return MixedArchive(
        f"{name} was trained on {said[0]}, another record of the archive on {said[1]}; "
        "an archive holds trainings of one origin"
    )


@cache
def _architecture(space: str, index: int) -> str:
    """An architecture's string; ``ValueError`` for an index out of range."""
    if not 0 <= index < get_space(space).size:
        raise ValueError(f"{index} is out of the range of the {get_space(space).title} space")
    return get_space(space).name_of(index)


def _runs(content: Any) -> tuple[dict[str, dict[tuple[str, int], dict[str, Any]]], str]:
    """All trials of a record by hp, and what they say that they were trained on."""
    runs = {_text(hp): _trials(results) for hp, results in _dict(content).items()}
    origins = {_origin(trial) for trials in runs.values() for trial in trials.values()}
    if len(origins) != 1:
        raise ValueError(f"trained on {sorted(origins)}" if origins else "without a trial")
    return runs, origins.pop()


def _trials(results: Any) -> dict[tuple[str, int], dict[str, Any]]:
    """All trials of a record on one schedule, by key and seed, once these are what they may be."""
    trials = _dict(_dict(results)["all_results"])
    if len(trials) > MAX_TRIALS * len(KEYS):
        raise ValueError(f"{len(trials):,} trials on one schedule")
    count = dict.fromkeys(KEYS, 0)
    for (key, seed), trial in trials.items():
        count[_text(key)] += 1
        _integer(seed, 0, MAX_SEED)
        _dict(trial)
    if max(count.values()) > MAX_TRIALS:
        raise ValueError(f"more than {MAX_TRIALS} trials of a data set on one schedule")
    return trials


def _extract_trial(
    result: Mapping[str, Any], seed: int, string: str, curves: bool
) -> tuple[RunShape, Trial]:
    epochs, sets = result["epochs"], result["eval_names"]
    if type(sets) not in (list, tuple) or len(sets) > len(SETS):
        raise ValueError("eval_names is not a list of evaluation sets")
    sets = [_text(name) for name in sets]
    if not set(SETS).issuperset(sets) or len(set(sets)) < len(sets):
        raise ValueError(f"evaluation sets {shown(sets)}")
    last = epochs - 1
    final = {
        "latency": _mean_latency(result["latency"]),
        "params": _number(result["params"], 0),
        "flops": _number(result["flop"], 0),
        f"{TRAIN}-accuracy": _accuracy(result["train_acc1es"][last]),
        f"{TRAIN}-loss": _loss(result["train_losses"][last]),
    }
    final[f"{TRAIN}-seconds"], uneven = _seconds(result["train_times"], range(epochs))
    for name in sets:
        at_last = f"{name}@{last}"
        final[f"{name}-accuracy"] = _accuracy(result["eval_acc1es"][at_last])
        final[f"{name}-loss"] = _loss(result["eval_losses"][at_last])
        keys = _epoch_keys(name, epochs)
        final[f"{name}-seconds"], also = _seconds(result["eval_times"], keys)
        uneven |= also
    found = _curves(result, epochs, sets) if curves else {}
    config = _config(result["arch_config"], string)
    weights = result["net_state_dict"] is not None
    shape = RunShape(epochs, [seed], sets, list(found), config, int(uneven), weights)
    return shape, Trial(final, found)


# ── values of a record, checked ──────────────────────────────────────────────────────────────


def _dict(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{shown(value)} where a dict is expected")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"{shown(value)} where a text is expected")
    return value


def _integer(value: Any, low: int, high: int | None = None) -> int:
    if type(value) not in _INTEGERS:
        raise TypeError(f"{shown(value)} where an integer is expected")
    if value < low or (high is not None and value > high):
        raise ValueError(f"{shown(value)} is not within {low}…{'' if high is None else high}")
    return int(value)


def _number(value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number within limits."""
    if type(value) not in _NUMBERS:
        raise TypeError(f"{shown(value)} where a number is expected")
    number = float(value)
    if not (math.isfinite(number) and low <= number <= high):
        raise ValueError(f"{number} is not a figure within {low}…{high}")
    return number


def _accuracy(value: Any) -> float:
    """Percent; NaN where a training has diverged."""
    return value if value != value and type(value) in _NUMBERS else _number(value, 0, 100)


def _loss(value: Any) -> float:
    """Any number: that of a training that has diverged is infinite or NaN."""
    if type(value) not in _NUMBERS:
        raise TypeError(f"{shown(value)} where a loss is expected")
    return float(value)


def _numbers(values: Sequence[Any]) -> Sequence[Any]:
    """``values``, if all are numbers: numpy would also read texts, and lists as further axes."""
    if not _NUMBERS.issuperset(map(type, values)):
        raise TypeError("figures that are not numbers")
    return values


def _origin(trial: dict[str, Any]) -> str:
    """What a trial says that it was trained on; empty if nothing."""
    config = _dict(trial["arch_config"])
    if TRAINED_ON not in config:
        return ""
    origin = _text(config[TRAINED_ON])
    if origin not in ORIGINS:
        raise ValueError(f"trained on {shown(origin)}; allowed: {', '.join(ORIGINS)}")
    return origin


def _config(config: Any, string: str) -> dict[str, Any]:
    """A copy of an ``arch_config`` that JSON can hold, None for what names the architecture."""
    if len(_dict(config)) <= MAX_VALUES and _FLAT.issuperset(map(type, config.values())):
        return _config_of(tuple(config.items()), string)  # trials of a record have equal ones
    return _config_of.__wrapped__(config.items(), string)


@lru_cache(maxsize=32)
def _config_of(items: Iterable[tuple[Any, Any]], string: str) -> dict[str, Any]:
    room = [MAX_VALUES, MAX_TEXT]
    copied = {}
    for name, value in items:
        copy = _plain_copy(value, room, MAX_DEPTH)
        if name in OF_ARCHITECTURE:
            if copy != string:
                raise ValueError(f"arch_config is of {shown(copy)}")
            copy = None
        copied[_plain_copy(_text(name), room, 0)] = copy
    return copied


def _plain_copy(value: Any, room: list[int], depth: int) -> Any:
    """A copy of plain values; ``room`` is how many, and how many characters, may still come."""
    kind = type(value)
    room[0] -= 1
    if kind is str:
        value.encode()  # a lone surrogate cannot be written
        room[1] -= len(value)
    elif isinstance(value, (list, tuple, dict)):
        if depth == 0:
            raise ValueError("arch_config is nested too deeply")
        if room[0] < len(value):
            raise ValueError("arch_config holds too many values")
        if isinstance(value, dict):
            value = {
                _plain_copy(_text(name), room, 0): _plain_copy(each, room, depth - 1)
                for name, each in value.items()
            }
        else:
            value = [_plain_copy(each, room, depth - 1) for each in value]
    elif kind in _INTEGERS:
        value = _integer(value, -(2**63), 2**63)
    elif kind in _NUMBERS:
        value = _number(value)
    elif kind is not bool and value is not None:
        raise TypeError(f"a {kind.__name__} in arch_config")
    if min(room) < 0:
        raise ValueError("arch_config holds too many values, or too long ones")
    return value


@cache
def _epoch_keys(name: str, epochs: int) -> tuple[str, ...]:
    """The files' names of an evaluation set's figures after each epoch."""
    return tuple(f"{name}@{epoch}" for epoch in range(epochs))


def _mean_latency(latency: Any) -> float:
    # The files hold a list of timings, or None; the API calls an unknown one -1.
    if latency is None:
        return -1.0
    if type(latency) not in (list, tuple) or len(latency) > MAX_TIMINGS:
        raise ValueError("latency is not a list of timings")
    return _number(sum(_numbers(latency)) / len(latency), 0) if latency else -1.0


def _seconds(times: Mapping[Any, float] | None, keys: Iterable[Any]) -> tuple[float, bool]:
    """Seconds per epoch, NaN if unknown, and whether some epoch took another time."""
    if not times:
        return np.nan, False
    times = _dict(times)
    known: Sequence[Any] = [*map(times.get, keys)]
    if known.count(known[0]) < len(known):  # not all alike, or of some epochs there is none
        known = _numbers([times[key] for key in keys if key in times])
        if known and known.count(known[0]) < len(known):
            _number(min(known), 0)
            return _number(sum(known) / len(known), 0), True
    return (np.nan if not known or known[0] is None else _number(known[0], 0)), False


def _curves(
    result: Mapping[str, Any], epochs: int, sets: list[str]
) -> dict[str, NDArray[np.float32]]:
    curves = {TRAIN: _curve(result["train_acc1es"], result["train_losses"], range(epochs))}
    for name in sets:
        keys = _epoch_keys(name, epochs)
        if keys[0] in result["eval_acc1es"]:  # else the archive has the last epoch alone
            curves[name] = _curve(result["eval_acc1es"], result["eval_losses"], keys)
    return curves


def _curve(
    accuracy: Mapping[Any, float], loss: Mapping[Any, float], keys: Sequence[Any]
) -> NDArray[np.float32]:
    curve = np.empty((len(keys), 2), np.float32)
    for column, figures in enumerate((accuracy, loss)):
        curve[:, column] = _numbers([*map(_dict(figures).__getitem__, keys)])
    return curve


def _check_curves(record: Record) -> None:
    """``ValueError`` if an accuracy of a learning curve is none."""
    curves = [curve for trial in record.trials.values() for curve in trial.curves.values()]
    if curves:
        accuracy = np.concatenate(curves)[:, 0]
        if ((accuracy < 0) | (accuracy > 100)).any():  # NaN is neither
            raise ValueError("an accuracy outside 0…100 percent in a learning curve")
