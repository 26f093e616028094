"""What a weight-sharing search is made with: checked before anything large is made."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nats_gym import checks
from nats_gym.datasets import find_dataset
from nats_gym.errors import InvalidInput, said, shown
from nats_gym.files.writing import check_folder
from nats_gym.simulation.schedule import LONGEST
from nats_gym.spaces import get_space
from nats_gym.training.architecture import preset

from . import METHODS, get_method
from .method import Method

#: NATS-Bench's schedule, where a data set has none of its own.
EPOCHS, BATCH_SIZE = 100, 64
MAX_BATCH = 1_000_000


def method_class(method: object) -> type[Method]:
    """Return the class of a search by its name, or by itself; ``InvalidInput`` for others."""
    if isinstance(method, str):
        return get_method(method)
    if isinstance(method, type) and issubclass(method, Method):
        return method
    raise InvalidInput(
        f"method is one of {', '.join(METHODS)}, or a subclass of Method; got {shown(method)}"
    )


def identifying_arguments(
    cls: type[Method],
    dataset: str,
    *,
    epochs: object = None,
    seed: object = 0,
    batch_size: object = None,
    settings: object = None,
    network: object = None,
    amp: object = False,
    channels_last: object = False,
    compile: object = False,
    among: object = None,
) -> dict[str, Any]:
    """What identifies a search, as it comes back from JSON, defaults filled in.

    Raises:
        InvalidInput: for a value of the wrong type or out of range.
    """
    _, built_with = preset(cls.space, dataset)
    facts = find_dataset(dataset)
    own = facts.supernet if facts else {}
    own_settings = cls.small_settings if facts and facts.small else {}
    if network is not None or cls.one_size:
        built_with = _mapping("network", network)
    if batch_size is None:
        batch_size = own.get("batch_size", BATCH_SIZE)
    switches: dict[str, Any] = {"amp": amp, "channels_last": channels_last, "compile": compile}
    switches = {name: checks.switch(value, name) for name, value in switches.items()}
    arguments = {
        "space": cls.space,
        "dataset": dataset,
        "epochs": check_epochs(epochs, dataset),
        "seed": checks.seed(seed),
        "batch_size": checks.integer(batch_size, "batch_size", 1, MAX_BATCH),
        "settings": {**own_settings, **_mapping("settings", settings)},
        "network": built_with,
        **switches,
        "among": _check_among(cls.space, among),
    }
    return arguments


def _mapping(name: str, value: object) -> dict[str, Any]:
    given = checks.mapping({} if value is None else value, f"{name} is a dictionary of arguments")
    return checks.plain(given, name)


def _check_among(space: str, among: object) -> list[list[int]] | None:
    if among is None:
        return None
    array = checks.array(among, "among is an array of choices, (m, n)")
    if not array.size:
        raise InvalidInput("a search chooses among one architecture at least, got none")
    choices = get_space(space).check_choices(array)
    rows: list[list[int]] = choices.reshape(-1, choices.shape[-1]).tolist()
    return rows


def check_epochs(epochs: object, dataset: str, what: str = "epochs") -> int:
    """Epochs of a supernet, its default filled in; ``InvalidInput`` unless they are such."""
    if epochs is None:
        facts = find_dataset(dataset)
        epochs = facts.supernet.get("epochs", EPOCHS) if facts else EPOCHS
    return checks.integer(epochs, what, 1, LONGEST)


def check_budget(budget: object) -> None:
    """Raise ``InvalidInput`` unless the budget is real seconds above 0, or None."""
    if budget is not None:
        checks.number(budget, "budget", above=0, unit="seconds", infinite=True)


def check_checkpoint(checkpoint: object) -> Path | None:
    """Return the path; ``InvalidInput`` unless a file can be there."""
    if checkpoint is None:
        return None
    path = checks.path(checkpoint, "checkpoint")
    if path.is_dir():
        raise InvalidInput(f"checkpoint is the path of a file; {shown(str(path))} is a folder")
    check_folder(path.parent)
    return path


def build_method(cls: type[Method], num_classes: int, arguments: Mapping[str, Any]) -> Method:
    """Make a search's supernet and method; ``InvalidInput`` for what they do not take."""
    supernet = _make("network", cls.supernet_class, num_classes, arguments["network"])
    method: Method = _make("setting", cls, supernet, arguments["settings"])
    return method


def _make(kind: str, make: Callable[..., Any], first: object, options: Mapping[str, Any]) -> Any:
    """Call ``make(first, **options)``; options that it lacks, or needs, are refused."""
    signature = inspect.signature(make)
    allowed = list(signature.parameters)[1:]
    for name in options:
        if not allowed:
            raise InvalidInput(
                f"unknown {kind} argument of {make.__name__} {shown(name)}; it takes none"
            )
        checks.word(name, f"{kind} argument of {make.__name__}", allowed)
    try:
        signature.bind(first, **options)
    except TypeError as error:
        raise InvalidInput(f"{kind} arguments of {make.__name__}: {said(error)}") from None
    return make(first, **options)
