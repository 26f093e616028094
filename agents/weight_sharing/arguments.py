"""What a weight-sharing search is made with: checked before anything large is made."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nats_gym.datasets import DIGITS
from nats_gym.errors import InvalidInput, shown, unknown_name
from nats_gym.files import check_folder
from nats_gym.spaces import get_space
from nats_gym.training.architecture import preset

from . import METHODS, get_method
from .method import Method

#: Length of the schedule in NATS-Bench, and of the small default.
EPOCHS, DIGITS_EPOCHS = 100, 3
BATCH_SIZE = 64


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
    recipe, built_with = preset(cls.space, dataset)
    small = dataset == DIGITS.name
    if network is not None or cls.space == "sss":  # whose supernet has one size
        built_with = _mapping("network", network)
    switches = {"amp": amp, "channels_last": channels_last, "compile": compile}
    for name, switch in switches.items():
        if not isinstance(switch, bool):
            raise InvalidInput(f"{name} is True or False, got {shown(switch)}")
    arguments = {
        "space": cls.space,
        "dataset": dataset,
        "epochs": _count("epochs", epochs, DIGITS_EPOCHS if small else EPOCHS),
        "seed": _check_seed(seed),
        "batch_size": _count("batch_size", batch_size, recipe.batch_size if small else BATCH_SIZE),
        "settings": {**(cls.digits_settings if small else {}), **_mapping("settings", settings)},
        "network": built_with,
        **switches,
        "among": _check_among(cls.space, among),
    }
    try:
        plain: dict[str, Any] = json.loads(json.dumps(arguments))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"settings and network hold plain values: {error}") from None
    return plain


def _mapping(name: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{name} is a dictionary of arguments, got {shown(value)}")
    return dict(value)


def _count(name: str, value: object, default: int) -> int:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InvalidInput(f"{name} is an integer from 1, got {shown(value)}")
    return int(value)


def _check_seed(seed: object) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InvalidInput(f"a seed is an integer from 0, got {shown(seed)}")
    return int(seed)


def _check_among(space: str, among: object) -> list[list[int]] | None:
    if among is None:
        return None
    try:
        array = np.asarray(among)
    except ValueError:  # rows of several lengths
        raise InvalidInput(f"among is an array of digits, (m, n), got {shown(among)}") from None
    if not array.size:
        raise InvalidInput("a search chooses among one architecture at least, got none")
    digits = get_space(space).check_digits(array)
    rows: list[list[int]] = digits.reshape(-1, digits.shape[-1]).tolist()
    return rows


def check_budget(budget: object) -> None:
    """Raise ``InvalidInput`` unless the budget is real seconds above 0, or None."""
    if budget is None:
        return
    numbers = (int, float, np.integer, np.floating)
    if isinstance(budget, bool) or not isinstance(budget, numbers) or not budget > 0:
        raise InvalidInput(f"budget is a number of seconds above 0, got {shown(budget)}")


def check_checkpoint(checkpoint: object) -> Path | None:
    """Return the path; ``InvalidInput`` unless a file can be there."""
    if checkpoint is None:
        return None
    if not isinstance(checkpoint, (str, os.PathLike)):
        raise InvalidInput(f"checkpoint is the path of a file, or None, got {shown(checkpoint)}")
    path = Path(checkpoint)
    if path.is_dir():
        raise InvalidInput(f"checkpoint is the path of a file; {str(path)!r} is a folder")
    check_folder(path.parent)
    return path


def build_method(cls: type[Method], num_classes: int, arguments: Mapping[str, Any]) -> Method:
    """Make a search's supernet and method; ``InvalidInput`` for what they do not take."""
    supernet = _made("network", cls.supernet_class, num_classes, arguments["network"])
    method: Method = _made("setting", cls, supernet, arguments["settings"])
    return method


def _made(kind: str, make: Callable[..., Any], first: object, options: Mapping[str, Any]) -> Any:
    """Call ``make(first, **options)``; options that it lacks, or needs, are refused."""
    signature = inspect.signature(make)
    allowed = list(signature.parameters)[1:]
    for name in options:
        if not allowed:
            raise InvalidInput(
                f"unknown {kind} argument of {make.__name__} {shown(name)}; it takes none"
            )
        if name not in allowed:
            raise unknown_name(f"{kind} argument of {make.__name__}", name, allowed)
    try:
        signature.bind(first, **options)
    except TypeError as error:
        raise InvalidInput(f"{kind} arguments of {make.__name__}: {error}") from None
    return make(first, **options)
