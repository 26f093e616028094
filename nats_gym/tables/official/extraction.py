"""An official record → rows of figures, and rows of many records → a shard.

A shard holds some architectures' rows and knows its own shape: which data set keys, schedules,
seeds and sets occur. Shards are joined only when all are there, so an archive may vary.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.files import replacing
from nats_gym.spaces import SPACES, ArchitectureSpace, get_space
from nats_gym.tables.official.archive import COSTS, KEYS, TRAIN
from nats_gym.tables.official.unpickling import UnreadableFile
from nats_gym.untrusted import open_arrays

MAX_EPOCHS = 1000
#: What official files call schedules and evaluation sets. Both become names of files.
HPS = ("01", "12", "90", "200")
SETS = ("x-valid", "x-test", "ori-test")

#: (key, hp): what all trials of a data set key on a schedule share.
RunKey = tuple[str, str]


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


def extract(
    content: Any,
    index: int,
    space: ArchitectureSpace,
    name: str,
    curves: bool,
    schedules: Mapping[str, int],
) -> Record:
    """Turn the content of an official record into rows.

    Args:
        content: ``{hp: {arch_index, arch_str, all_results, …}}``.
        index: the index that the file's name says.
        space: the space that it must belong to.
        name: what to call it in messages.
        curves: keep learning curves.
        schedules: epochs of each hp in this archive, see :func:`schedules_of`.

    Raises:
        UnreadableFile: if it is not such a record, another architecture's, or one whose
            schedules are not the archive's.
    """
    record = Record(index, {}, {})
    try:
        for hp, results in content.items():
            _check_architecture(results, index, space, name)
            for (key, seed), result in results["all_results"].items():
                if result["epochs"] != schedules.get(hp):
                    raise ValueError(f"{result['epochs']} epochs under hp {hp!r}")
                shape, trial = _extract_trial(result, key, int(seed), curves)
                record.trials[key, hp, int(seed)] = trial
                if (key, hp) in record.shapes:
                    record.shapes[key, hp].merge(shape, name)
                else:
                    record.shapes[key, hp] = shape
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise UnreadableFile(f"{name}: not an architecture's record ({error!r})") from error
    if not record.trials:
        raise UnreadableFile(f"{name}: an architecture without a trial")
    return record


def space_of(content: Any, index: int, name: str) -> str:
    """Name of the space whose architecture ``index`` a record says it is.

    Raises:
        UnreadableFile: if it is a record of neither, or none at all.
    """
    try:
        string = next(iter(content.values()))["arch_str"]
    except (AttributeError, KeyError, TypeError, StopIteration):
        raise UnreadableFile(f"{name}: not an architecture's record") from None
    for space in SPACES:
        if 0 <= index < get_space(space).size and get_space(space).name_of(index) == string:
            return space
    raise UnreadableFile(f"{name}: {string!r} is not architecture {index} of any space")


def schedules_of(content: Any, name: str) -> dict[str, int]:
    """Epochs of each hp, as a record has them; every record of an archive must agree.

    Raises:
        UnreadableFile: for an hp that official files do not have, or if it is no record.
    """
    schedules = {}
    try:
        for hp, results in content.items():
            if hp not in HPS:
                raise ValueError(f"unknown hp {hp!r}")
            epochs = {int(result["epochs"]) for result in results["all_results"].values()}
            (schedules[hp],) = epochs
            if not 0 < schedules[hp] <= MAX_EPOCHS:
                raise ValueError(f"{schedules[hp]} epochs under hp {hp!r}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableFile(f"{name}: not an architecture's record ({error!r})") from error
    return schedules


def _check_architecture(
    results: Mapping[str, Any], index: int, space: ArchitectureSpace, name: str
) -> None:
    if not 0 <= index < space.size or results["arch_str"] != space.name_of(index):
        raise UnreadableFile(
            f"{name}: holds {results['arch_str']!r}, which is not architecture {index} "
            f"of the {space.title} space ({space.name})"
        )


def _extract_trial(
    result: Mapping[str, Any], key: str, seed: int, curves: bool
) -> tuple[RunShape, Trial]:
    if key not in KEYS:
        raise KeyError(key)
    epochs, sets = int(result["epochs"]), list(result["eval_names"])
    for unknown in set(sets).difference(SETS):
        raise ValueError(f"unknown evaluation set {unknown!r}")
    last = epochs - 1
    final = {
        "latency": _mean_latency(result["latency"]),
        "params": float(result["params"]),
        "flops": float(result["flop"]),
        f"{TRAIN}-accuracy": float(result["train_acc1es"][last]),
        f"{TRAIN}-loss": float(result["train_losses"][last]),
    }
    final[f"{TRAIN}-seconds"], uneven = _seconds(result["train_times"], range(epochs))
    for name in sets:
        at_last = f"{name}@{last}"
        final[f"{name}-accuracy"] = float(result["eval_acc1es"][at_last])
        final[f"{name}-loss"] = float(result["eval_losses"][at_last])
        keys = _epoch_keys(name, epochs)
        final[f"{name}-seconds"], also = _seconds(result["eval_times"], keys)
        uneven |= also
    found = _curves(result, epochs, sets) if curves else {}
    config = {
        name: None if name in ("arch_str", "channels") else value
        for name, value in result["arch_config"].items()
    }
    weights = result["net_state_dict"] is not None
    shape = RunShape(epochs, [seed], sets, list(found), config, int(uneven), weights)
    return shape, Trial(final, found)


@cache
def _epoch_keys(name: str, epochs: int) -> tuple[str, ...]:
    """The files' names of an evaluation set's figures after each epoch."""
    return tuple(f"{name}@{epoch}" for epoch in range(epochs))


def _mean_latency(latency: Any) -> float:
    # The files hold a list of timings, or None; the API calls an unknown one -1.
    return float(sum(latency) / len(latency)) if latency else -1.0


def _seconds(times: Mapping[Any, float] | None, keys: Iterable[Any]) -> tuple[float, bool]:
    """Seconds per epoch, NaN if unknown, and whether some epoch took another time."""
    if not times:
        return np.nan, False
    known = [times[key] for key in keys if key in times]
    if not known:
        return np.nan, False
    first = float(known[0])
    if known.count(known[0]) == len(known):
        return first, False
    return float(sum(known) / len(known)), True


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
    accuracy: Mapping[Any, float], loss: Mapping[Any, float], keys: Iterable[Any]
) -> NDArray[np.float32]:
    keys = list(keys)
    curve = np.empty((len(keys), 2), np.float32)
    curve[:, 0] = [accuracy[key] for key in keys]
    curve[:, 1] = [loss[key] for key in keys]
    return curve


# ── shards ───────────────────────────────────────────────────────────────────────────────────


def write_shard(
    path: Path, records: list[Record], unreadable: list[str], digests: dict[str, str]
) -> None:
    """Write some architectures' rows as one ``.npz``, whole or not at all.

    Args:
        path: the file.
        records: the rows.
        unreadable: what could not be read, in words.
        digests: SHA-256 of each record's bytes by official index, for the archive's content digest.
    """
    shapes = merged_shapes((record.shapes, f"record {record.index}") for record in records)
    arrays: dict[str, NDArray[Any]] = {"index": np.array([r.index for r in records], np.int64)}
    for (key, hp), shape in shapes.items():
        names = column_names(shape.sets)
        final = np.full((len(records), len(shape.seeds), len(names)), np.nan)
        for row, record in enumerate(records):
            for position, seed in enumerate(shape.seeds):
                trial = record.trials.get((key, hp, seed))
                if trial:
                    final[row, position] = [trial.final.get(name, np.nan) for name in names]
        arrays[f"{key}@{hp}"] = final
        for name in shape.curve_sets:
            curve = np.zeros((len(records), len(shape.seeds), shape.epochs, 2), np.float32)
            for row, record in enumerate(records):
                for position, seed in enumerate(shape.seeds):
                    trial = record.trials.get((key, hp, seed))
                    if trial and name in trial.curves:
                        curve[row, position] = trial.curves[name]
            arrays[f"{key}@{hp}/{name}"] = curve
    facts = {
        "shapes": [[*run, vars(shape)] for run, shape in shapes.items()],
        "unreadable": unreadable,
        "digests": digests,
        "count": len(records),
    }
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type,unused-ignore]


@dataclass
class Shard:
    """What :func:`write_shard` wrote; arrays are read when asked for."""

    path: Path
    shapes: dict[RunKey, RunShape]
    unreadable: list[str]
    digests: dict[str, str]
    count: int

    @classmethod
    def read(cls, path: Path) -> Shard:
        """Read a shard's facts."""
        with open_arrays(path) as arrays:
            facts = json.loads(arrays["facts"].tobytes())
        shapes = {(key, hp): RunShape(**shape) for key, hp, shape in facts["shapes"]}
        return cls(path, shapes, facts["unreadable"], facts["digests"], facts["count"])


def column_names(sets: Iterable[str]) -> list[str]:
    """Names of the final figures of a trial evaluated on ``sets``."""
    figures = ("accuracy", "loss", "seconds")
    return [f"{name}-{figure}" for name in (TRAIN, *sets) for figure in figures] + list(COSTS)


def merged_shapes(shapes: Iterable[tuple[dict[RunKey, RunShape], str]]) -> dict[RunKey, RunShape]:
    """One shape per data set key and schedule that holds all of ``shapes``."""
    merged: dict[RunKey, RunShape] = {}
    for some, where in shapes:
        for run, shape in some.items():
            if run not in merged:
                merged[run] = RunShape(shape.epochs)
            merged[run].merge(shape, where)
    return merged
