"""Writes archives in NATS-Bench's official file format, full of made-up but consistent figures.

Every figure is a function of (space, index, seed of the archive), so that a record can be made
again by itself. Layout, types, order of seeds and the gaps in the curves follow the official
files, and what the package knows as measured is as it is known: to an importer these archives are
NATS-Bench's. ``SHORT`` schedules make records small enough to write whole spaces.
"""

from __future__ import annotations

import bz2
import collections
import multiprocessing
import os
import pickle
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from nats_gym.spaces import get_space
from nats_gym.spaces.size import CELL
from nats_gym.tables import load_table

BASE_NAMES = {"tss": "NATS-tss-v1_0-3ffb9", "sss": "NATS-sss-v1_0-50262"}
KEYS = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
SCHEDULES = {"tss": {"12": 12, "200": 200}, "sss": {"01": 1, "12": 12, "90": 90}}
SHORT = {"tss": {"12": 2, "200": 3}, "sss": {"01": 1, "12": 2, "90": 3}}

_IMAGES = {
    "cifar10-valid": 25_000,
    "cifar10": 50_000,
    "cifar100": 50_000,
    "ImageNet16-120": 151_700,
}
_EVALUATED = {
    "cifar10-valid": {"x-valid": 25_000, "ori-test": 10_000},
    "cifar10": {"ori-test": 10_000},
    "cifar100": {"x-valid": 5_000, "x-test": 5_000, "ori-test": 10_000},
    "ImageNet16-120": {"x-valid": 3_000, "x-test": 3_000, "ori-test": 6_000},
}
_CLASSES = {"cifar10-valid": 10, "cifar10": 10, "cifar100": 100, "ImageNet16-120": 120}
_CEILING = {"cifar10-valid": 91.0, "cifar10": 94.0, "cifar100": 73.0, "ImageNet16-120": 47.0}


def seeds_of(space: str, hp: str, key: str, index: int, seed: int = 0) -> list[int]:
    """Seeds of the trials that an architecture has, ascending as in ``dataset_seed``."""
    if space == "sss":
        return [777, 888, 999] if hp == "12" else [777]
    if hp == "12":
        return [111, 777] if key == "cifar10-valid" else [111]
    # About half of the official architectures have a third trial.
    has_third = np.random.default_rng([seed, index, 3]).random() < 0.523
    return [777, 888, 999] if has_third else [777, 888]


@cache
def _costs(space: str) -> dict[str, tuple[Any, Any]]:
    """Closed-form params and FLOPs of every architecture, by data set key."""
    architectures = get_space(space)
    choices = architectures.all_choices()
    names = {key: "cifar10" if key == "cifar10-valid" else key for key in KEYS}
    return {
        key: (architectures.params(choices, name), architectures.flops(choices, name))
        for key, name in names.items()
    }


@cache
def _measured(key: str) -> Any:
    """Official validation accuracies of topology at 200 epochs, ``(arch, trial)``."""
    dataset = "cifar10" if key == "cifar10-valid" else key
    return load_table("tss", dataset, "embedded").accuracy("valid", 200)


def record(
    space: str,
    index: int,
    seed: int = 0,
    schedules: Mapping[str, int] | None = None,
    weights: bool = False,
) -> dict[str, Any]:
    """One architecture's record, as its official file holds it.

    Args:
        space: ``"tss"`` or ``"sss"``.
        index: official index.
        seed: of the archive.
        schedules: epochs of each hp; the official ones if None.
        weights: put small tensors into ``net_state_dict``, as ``-full`` archives have them.
    """
    content: dict[str, Any] = collections.OrderedDict()
    string = get_space(space).name_of(index)
    for hp, epochs in (schedules or SCHEDULES[space]).items():
        dataset_seed = {key: seeds_of(space, hp, key, index, seed) for key in KEYS}
        order = [(key, s) for s in (999, 777, 888, 111) for key in KEYS if s in dataset_seed[key]]
        content[hp] = {
            "arch_index": index,
            "arch_str": string,
            "all_results": {
                (key, s): _trial(space, index, string, hp, epochs, key, s, seed, weights)
                for key, s in order
            },
            "dataset_seed": dataset_seed,
            "clear_net_done": not weights,
        }
    return content


def _trial(
    space: str,
    index: int,
    string: str,
    hp: str,
    epochs: int,
    key: str,
    trial_seed: int,
    seed: int,
    weights: bool,
) -> dict[str, Any]:
    architecture = np.random.default_rng([seed, index])
    quality, seconds, latency = architecture.random(3).tolist()
    rng = np.random.default_rng([seed, index, int(hp), KEYS.index(key), trial_seed])
    sets = list(_EVALUATED[key])
    if space == "tss" and hp == "200" and key in KEYS[2:]:
        sets = ["ori-test", "x-valid", "x-test"]
    # (set, epoch): rises towards a ceiling that depends on the architecture, with some noise.
    ceiling = _CEILING[key] * (0.5 + 0.5 * quality) * (0.9 if hp == "12" else 1.0)
    rise = 1 - 0.6 * np.exp(-3 * np.arange(1, epochs + 1) / epochs)
    noise = rng.normal(0, 0.3, (1 + len(sets), epochs))
    accuracy = np.clip(ceiling * rise + noise, 0.5, 99.9)
    loss = np.log(_CLASSES[key]) * (1.02 - accuracy / 100) + 0.01 * rng.random(accuracy.shape)
    accuracy, loss = accuracy.tolist(), loss.tolist()
    if space == "tss" and hp == "200" and "x-valid" in sets:
        known = float(_measured(key)[index, (777, 888, 999).index(trial_seed)])
        if known == known:  # not every architecture has a third official trial
            accuracy[1 + sets.index("x-valid")][-1] = round(known, 6)
    per_image = (1 + 3 * seconds) * 2e-4
    if space == "sss":
        per_image *= 1 + 0.1 * KEYS.index(key)
    params, flops = (float(cost[index]) for cost in _costs(space)[key])
    if trial_seed == 777 and index % 13 == 5 and (hp == "200" or (space, hp) == ("sss", "12")):
        params, flops = params * 1.1, flops * 1.1  # a few official trials are off like this
    at = {name: [f"{name}@{epoch}" for epoch in range(epochs)] for name in sets}
    with_curve = [name for name in sets if _has_curve(space, hp, key, name)]
    eval_acc1es, eval_losses, eval_times = {}, {}, {}
    for position, name in enumerate(sets, 1):
        first = 0 if name in with_curve else epochs - 1
        eval_acc1es.update(zip(at[name][first:], accuracy[position][first:], strict=True))
        eval_losses.update(zip(at[name][first:], loss[position][first:], strict=True))
        eval_times.update(dict.fromkeys(at[name], per_image * 0.35 * _EVALUATED[key][name]))
    if space == "tss":
        config = {"channel": 16, "num_cells": 5, "arch_str": string}
    else:
        config = {"name": "infer.shape.tiny", "channels": string, "arch_str": string}
        config["genotype"] = CELL
    return {
        "name": key,
        "train_acc1es": dict(enumerate(accuracy[0])),
        "train_acc5es": None if hp == "200" else dict.fromkeys(range(epochs), 99.0),
        "train_losses": dict(enumerate(loss[0])),
        "train_times": collections.OrderedDict.fromkeys(range(epochs), per_image * _IMAGES[key]),
        "arch_config": {**config, "class_num": _CLASSES[key]},
        "params": np.float64(params),
        "flop": flops,
        "seed": f"{trial_seed:04d}",
        "epochs": epochs,
        "latency": [np.float64(0.012 + 0.01 * latency + 0.001 * KEYS.index(key))],
        "eval_names": sets,
        "eval_acc1es": eval_acc1es,
        "eval_times": eval_times,
        "eval_losses": eval_losses,
        "net_state_dict": _weights(rng) if weights else None,
    }


def _has_curve(space: str, hp: str, key: str, name: str) -> bool:
    """Whether the official files have a figure for every epoch, not for the last one alone."""
    if (space, hp) != ("tss", "200"):
        return True
    return name == ("x-valid" if key == "cifar10-valid" else "ori-test")


def _weights(rng: np.random.Generator) -> dict[str, Any]:
    import torch

    # A constant: the same record made twice must be the same bytes.
    return collections.OrderedDict(
        {"stem.0.weight": torch.full((2, 3), float(rng.random())), "classifier.bias": torch.ones(2)}
    )


def meta(space: str) -> dict[str, Any]:
    """Content of ``meta.pickle.pbz2``."""
    strings = get_space(space).names.tolist()
    return {
        "meta_archs": strings,
        "total_archs": len(strings),
        "arch2infos": None,
        "evaluated_indexes": set(),
    }


def official_dict(space: str, indices: Iterable[int], **record_options: Any) -> dict[str, Any]:
    """Content of the single ``.pickle.pbz2``, which ``create`` takes as a dict too."""
    infos = {index: record(space, index, **record_options) for index in indices}
    return {**meta(space), "arch2infos": infos, "evaluated_indexes": set(infos)}


def write_record(path: Path, content: Any) -> None:
    """Write a pickle as the official files are: protocol 4, bz2."""
    path.write_bytes(_packed(content))


def write_archive(
    root: Path,
    space: str,
    indices: Sequence[int] | None = None,
    kind: str = "simple",
    seed: int = 0,
    schedules: Mapping[str, int] | None = None,
    processes: int | None = None,
) -> Path:
    """Write an archive under its official name.

    Args:
        root: folder to write into.
        space: ``"tss"`` or ``"sss"``.
        indices: architectures to write; all if None.
        kind: ``"simple"`` (a directory), ``"full"`` (with weights), ``"tar"`` or ``"single"``.
        seed: other figures for another seed.
        schedules: epochs of each hp; the official ones if None, ``SHORT[space]`` for large
            archives (a record takes about 2 ms then, and 100 ms otherwise).
        processes: how many write; all cores if None, and one for few records.

    Returns:
        The directory or file.
    """
    if indices is None:
        indices = range(get_space(space).size)
    root.mkdir(parents=True, exist_ok=True)
    base = root / BASE_NAMES[space]
    if kind == "single":
        path = Path(f"{base}.pickle.pbz2")
        with bz2.open(path, "wb", compresslevel=1) as file:
            content = official_dict(space, indices, seed=seed, schedules=schedules)
            pickle.dump(content, file, protocol=4)
        return path
    folder = Path(f"{base}-{'full' if kind == 'full' else 'simple'}")
    folder.mkdir()
    (folder / "meta.pickle.pbz2").write_bytes(_packed_meta(space))
    options = (seed, tuple((schedules or SCHEDULES[space]).items()), kind == "full")
    jobs = [(folder, space, index, *options) for index in indices]
    processes = processes or (os.cpu_count() or 1 if len(jobs) > 500 else 1)
    if processes == 1:
        for job in jobs:
            _write(job)
    else:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            pool.map(_write, jobs, chunksize=64)
    if kind != "tar":
        return folder
    path = Path(f"{folder}.tar")
    with tarfile.open(path, "w") as archive:
        archive.add(folder, folder.name)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    return path


def _write(job: tuple[Path, str, int, int, tuple[tuple[str, int], ...], bool]) -> None:
    folder, space, index, *options = job
    (folder / f"{index:06d}.pickle.pbz2").write_bytes(_packed_record(space, index, *options))


def _packed(content: Any) -> bytes:
    return bz2.compress(pickle.dumps(content, protocol=4))


@cache
def _packed_meta(space: str) -> bytes:
    return _packed(meta(space))


# Tests write the same few records again and again.
@lru_cache(maxsize=1000)
def _packed_record(
    space: str, index: int, seed: int, schedules: tuple[tuple[str, int], ...], weights: bool
) -> bytes:
    return _packed(record(space, index, seed, dict(schedules), weights))
