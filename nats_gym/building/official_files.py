"""A build's trainings in NATS-Bench's official file format, for the public ``nats_bench``.

One bz2 pickle an architecture, which holds built-in types and ``OrderedDict`` alone, and a meta
file. Pickles are written for that package; nothing of ours reads one without a restricted
unpickler.
"""

from __future__ import annotations

import bz2
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from nats_gym import checks
from nats_gym.building.plan import VALID_SPLIT, Plan
from nats_gym.building.trainings import Training, TrainingStore
from nats_gym.errors import InvalidInput, NatsGymError, shown
from nats_gym.files.writing import check_folder, make_folder, write_file
from nats_gym.spaces import DenseSpace
from nats_gym.tables.official.unpickling import load_record

#: Names of the public package that figures may be lent, and the data set keys behind each: its
#: searches on CIFAR-10 take accuracies from cifar10-valid and latency from cifar10.
_KEYS = {
    "cifar10-valid": ("cifar10-valid",),
    "cifar10": ("cifar10-valid", "cifar10"),
    "cifar100": ("cifar100",),
    "ImageNet16-120": ("ImageNet16-120",),
}


#: Where the meta file says which build its folder is of; the public package reads past it.
_ORIGIN = "nats_gym_build"
_META = "meta.pickle.pbz2"


def check_export(plan: Plan, folder: str | os.PathLike[str], name: str | None = None) -> str:
    """Refuse what :func:`export_official` would, before anything is trained.

    Returns:
        The data set that figures are filed under.

    Raises:
        InvalidInput: see there.
    """
    plan = checks.instance(plan, Plan, "plan")
    name = plan.data_key if name is None else checks.word(name, "data set", _keys_of(plan))
    if not isinstance(plan.architectures, DenseSpace):
        raise InvalidInput(
            f"official files are of NATS-Bench's own spaces, not of {shown(plan.space)}"
        )
    if not plan.has_own_network:
        raise InvalidInput(
            f"official files hold FLOPs, which are known for the own network of {plan.dataset}; "
            f"this build's is {dict(plan.network)}"
        )
    folder = checks.path(folder, "a folder of official files")
    check_folder(folder)
    if not any(folder.glob("*.pickle.pbz2")):
        return name
    try:
        origin = load_record(folder / _META)[_ORIGIN]
        differences = plan.differences(Plan.from_json(origin["plan"]))
        if origin["name"] != name:
            differences.append(f"figures filed under {origin['name']}, not {name}")
    except (NatsGymError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"{shown(str(folder))} holds official files that no build has written; "
            "take another folder"
        ) from error
    if differences:
        raise InvalidInput(
            f"{shown(str(folder))} holds official files of another build: "
            f"{'; '.join(differences)}; take another folder"
        )
    return name


def export_official(
    store: TrainingStore,
    folder: str | os.PathLike[str],
    name: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write every architecture of a build in the official format.

    The public package reads files of any schedule and data set key, but its ``simulate_train_eval``
    and ``find_best`` take official data sets alone, and the latter the whole space. So does our own
    importer, which besides knows no schedules but 01, 12, 90 and 200.

    Args:
        store: the build's trainings.
        folder: made if it is not there; an export of the same plan and name is added to.
        name: data set to file the figures under. Default the data's own key; ``"cifar10"``
            (both its keys hold the same trainings), ``"cifar10-valid"`` alone, ``"cifar100"`` or
            ``"ImageNet16-120"`` lends them to tools that know no other. What they were trained
            on stays in ``arch_config["trained_on"]``.
        progress: called with the number of written architectures and of all.

    Returns:
        Number of architectures written. Their schedule's key is its length in two digits
        (``"04"``).

    Raises:
        InvalidInput: for another name, a build of a network whose FLOPs have no closed form, or a
            folder with official files of something else.
    """
    plan = checks.instance(store, TrainingStore, "store").plan
    name = check_export(plan, folder, name)
    folder = Path(folder)
    make_folder(folder)
    space = plan.architectures
    strings = [str(string) for string in space.string(space.all_choices())]
    meta = {
        "meta_archs": strings,
        "total_archs": space.size,
        "arch2infos": None,
        "evaluated_indexes": set(),
        _ORIGIN: {"plan": plan.to_json(), "name": name},
    }
    _write(folder / _META, meta)
    total = len({index for index, _ in store.finished()})
    done = 0
    for index, trainings in groupby(store, attrgetter("architecture")):
        content = _record(plan, _keys_of(plan)[name], strings[index], list(trainings))
        _write(folder / f"{index:06d}.pickle.pbz2", content)
        done += 1
        progress(done, total)
    return done


def _keys_of(plan: Plan) -> Mapping[str, Sequence[str]]:
    """Names that figures may be filed under, and the data set keys behind each."""
    return {plan.data_key: (plan.data_key,), **_KEYS}


def _record(
    plan: Plan, keys: Sequence[str], string: str, trainings: Sequence[Training]
) -> dict[str, Any]:
    """Content of one architecture's file."""
    results = {
        (key, training.trial): _trial(plan, key, string, training)
        for training in trainings
        for key in keys
    }
    return {
        f"{plan.epochs:02d}": {
            "arch_index": trainings[0].architecture,
            "arch_str": string,
            "all_results": results,
            "dataset_seed": {key: [training.trial for training in trainings] for key in keys},
            "clear_net_done": True,
        }
    }


def _trial(plan: Plan, key: str, string: str, training: Training) -> dict[str, Any]:
    epochs = plan.epochs
    choices = plan.architectures.choices(training.architecture)
    # What the package calls validation and test images under that key, and what they are here.
    if key == "cifar10":
        splits = {"ori-test": plan.test_split}
    elif key == "cifar10-valid":
        splits = {VALID_SPLIT: VALID_SPLIT, "ori-test": plan.test_split}
    else:
        splits = {VALID_SPLIT: VALID_SPLIT, "x-test": plan.test_split}
    accuracies, losses, seconds = {}, {}, {}
    for name, split in splits.items():
        for epoch, (accuracy, loss) in enumerate(training.curve(split, epochs)):
            accuracies[f"{name}@{epoch}"] = accuracy
            losses[f"{name}@{epoch}"] = loss
            seconds[f"{name}@{epoch}"] = training.evaluation_seconds(split)
    train = training.record.train
    trained = list(zip(train.accuracy, train.loss, strict=True))
    trained += [(training.record.failed_accuracy, float("nan"))] * (epochs - len(trained))
    return {
        "name": key,
        "train_acc1es": {epoch: accuracy for epoch, (accuracy, _) in enumerate(trained)},
        "train_acc5es": None,
        "train_losses": {epoch: loss for epoch, (_, loss) in enumerate(trained)},
        "train_times": OrderedDict.fromkeys(range(epochs), training.train_seconds(epochs)),
        "arch_config": _config(plan, string),
        "params": training.params,
        "flop": float(plan.architectures.compute("flops", choices, plan.dataset)),
        "seed": f"{training.trial:04d}",
        "epochs": epochs,
        "latency": [training.latency],
        "eval_names": list(splits),
        "eval_acc1es": accuracies,
        "eval_times": seconds,
        "eval_losses": losses,
        "net_state_dict": None,
    }


def _config(plan: Plan, string: str) -> dict[str, Any]:
    classes = {"class_num": plan.number_of_classes, "trained_on": plan.dataset}
    space = checks.instance(plan.architectures, DenseSpace, "a space of official files")
    return {**space.official_config(string, plan.network), "arch_str": string, **classes}


def _write(path: Path, content: Any) -> None:
    write_file(path, bz2.compress(pickle.dumps(content, protocol=4)))
