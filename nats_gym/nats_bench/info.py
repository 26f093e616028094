"""What ``get_more_info`` returns, and which sets its names stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nats_gym.errors import shown
from nats_gym.nats_bench import arguments
from nats_gym.nats_bench.errors import UnknownRuns
from nats_gym.nats_bench.results import Metrics

#: Name in the answer → evaluation set, for the keys that are not like CIFAR-100's.
_NAMED_SETS = {
    "cifar10-valid": {"valid": "x-valid", "test": "ori-test"},
    "cifar10": {"test": "ori-test"},
}
_NAMED_SETS_ELSE = {"valid": "x-valid", "test": "x-test", "valtest": "ori-test"}
_TRAINED_ON = {
    "cifar10-valid": "half of CIFAR-10's training images (the search's training set)",
    "cifar10": "all of CIFAR-10's training images (the search's training and validation sets)",
}


class PartialInfo(dict[str, Any]):
    """An answer from figures that lack some of what the official files hold."""

    def __missing__(self, name: str) -> Any:
        raise UnknownRuns(
            f"the embedded figures have no {shown(name)} here, only {', '.join(self)}"
        )


def remap_dataset_set_names(
    dataset: str, metric_on_set: str, verbose: bool | int = False
) -> tuple[str, str]:
    """Data set key and evaluation set that ``valid`` and ``test`` of a data set stand for."""
    dataset = arguments.name(dataset, "dataset")
    metric_on_set = arguments.name(metric_on_set, "metric_on_set")
    asked = dataset, metric_on_set
    if dataset == "cifar10":
        answers = {"valid": ("cifar10-valid", "x-valid"), "test": ("cifar10", "ori-test")}
        dataset, metric_on_set = answers.get(metric_on_set, asked)
    elif dataset in ("cifar100", "ImageNet16-120"):
        metric_on_set = {"valid": "x-valid", "test": "x-test"}.get(metric_on_set, metric_on_set)
    if arguments.flag(verbose, "verbose"):
        print(f"{asked} means {(dataset, metric_on_set)}")
    return dataset, metric_on_set


def more_info(
    dataset: str, hp: str, metrics: Callable[[str], Metrics], partial: bool
) -> dict[str, Any]:
    """What ``get_more_info`` answers of one schedule.

    Args:
        dataset: data set key.
        hp: schedule.
        metrics: figures of ``train`` or an evaluation set; may raise KeyError or ValueError for
            what is not there.
        partial: leave out what is None.
    """
    info: dict[str, Any] = {}
    _add(info, "train", metrics("train"))
    if dataset in _TRAINED_ON:
        info["comment"] = (
            f"Trained for {hp} epochs on {_TRAINED_ON[dataset]}; test figures are of CIFAR-10's "
            "test images. Times are seconds: per-time of an epoch, all-time of all up to here."
        )
    for name, setname in _NAMED_SETS.get(dataset, _NAMED_SETS_ELSE).items():
        try:
            found = metrics(setname)
        except (KeyError, ValueError):
            if (dataset, name) == ("cifar10-valid", "valid"):
                raise
            continue
        _add(info, name, found)
    if not partial:
        return info
    return PartialInfo({name: value for name, value in info.items() if value is not None})


def _add(info: dict[str, Any], name: str, metrics: Metrics) -> None:
    epochs, seconds = metrics["iepoch"] + 1, metrics["all_time"]
    info[f"{name}-loss"] = metrics["loss"]
    info[f"{name}-accuracy"] = metrics["accuracy"]
    info[f"{name}-per-time"] = None if seconds is None else seconds / epochs
    info[f"{name}-all-time"] = seconds
