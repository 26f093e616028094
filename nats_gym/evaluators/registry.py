"""Evaluators by name: the package's own, and those that other packages register.

A package registers one through the entry-point group ``nats_gym.evaluators``: a function that is
called with the space, the data set and the options given, and returns an evaluator::

    [project.entry-points."nats_gym.evaluators"]
    mine = "my_package:make_evaluator"
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from nats_gym.checks import follows, mapping, word
from nats_gym.errors import InvalidInput, did_you_mean, shown, unknown_option
from nats_gym.evaluators.protocol import Evaluator

GROUP = "nats_gym.evaluators"
_GIVEN = "an evaluator is a name, or a dictionary by name"
_OWN = {
    "train": "nats_gym.evaluators.factories:make_training_evaluator",
    "proxy": "nats_gym.evaluators.factories:make_proxy_evaluator",
    "ray": "nats_gym.evaluators.factories:make_ray_evaluator",
}


def evaluator_names() -> tuple[str, ...]:
    """Names that :func:`make_evaluator` knows here."""
    return (*_OWN, *sorted({entry.name for entry in entry_points(group=GROUP)} - {*_OWN}))


def evaluator_options(given: str | Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the options that an evaluator takes, made by name or dictionary.

    Raises:
        InvalidInput: for an unknown name.
    """
    name = _name_of(given)
    parameters = inspect.signature(_factory(name)).parameters
    return tuple(one for one in parameters if one not in ("space", "dataset"))


def make_evaluator(
    given: str | Mapping[str, Any], space: str, dataset: str, **options: Any
) -> Evaluator:
    """Make the evaluator of a name.

    Args:
        given: the name, or a dictionary of it (under ``"name"``) and options.
        space: a space's name, such as ``"tss"``.
        dataset: the data set searched on.
        options: further options.

    Raises:
        InvalidInput: for an unknown name or option; it lists the known ones.
    """
    name = _name_of(given)
    if not isinstance(given, str):
        options = {**mapping(given, _GIVEN), **options}
        del options["name"]
    factory = _factory(name)
    parameters = inspect.signature(factory).parameters
    takes_any = any(p.kind == p.VAR_KEYWORD for p in parameters.values())
    allowed = [one for one in parameters if one not in ("space", "dataset")]
    for option in options:
        if option not in parameters and not takes_any:
            raise unknown_option(option, allowed, f"evaluator {name}")
    made: Any = factory(space, dataset, **options)
    if not follows(made, Evaluator):
        raise InvalidInput(f"evaluator {name} made {shown(made)}, which has no evaluate()")
    return made


def _name_of(given: str | Mapping[str, Any]) -> str:
    name: Any = given
    if issubclass(type(given), Mapping):
        given = mapping(given, _GIVEN)
        if "name" not in given:
            meant = next((key for key in given if did_you_mean(key, ["name"])), None)
            raise InvalidInput(
                "an evaluator as a dictionary has its name under 'name' "
                f"({', '.join(evaluator_names())}), got {shown(given)}."
                + (f" Did you mean 'name' by {shown(meant)}?" if meant else "")
            )
        name = given["name"]
    if type(name) is str and name in _OWN:  # other packages are asked for their own names alone
        return name
    return word(name, "evaluator", evaluator_names())


def _factory(name: str) -> Callable[..., Any]:
    if name in _OWN:
        module, function = _OWN[name].split(":")
        return getattr(import_module(module), function)
    (entry, *_) = entry_points(group=GROUP, name=name)
    return entry.load()
