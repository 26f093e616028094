"""Evaluators by name: the package's own, those that other packages register, and your own.

A package registers one through the entry-point group ``nats_gym.evaluators``: a function or class
that is called with the space, the data set and the options given, or with the options alone if they
are all that it needs and it names no space or dataset, and returns an evaluator::

    [project.entry-points."nats_gym.evaluators"]
    mine = "my_package:make_evaluator"

What is at ``"my_module:MyEvaluator"`` is called likewise, by that name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from nats_gym.checks import follows, imported_maker, mapping, word
from nats_gym.errors import InvalidInput, did_you_mean, said, shown, unknown_option
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
        InvalidInput: for an unknown name, or a place that has nothing to call.
    """
    name = _name_of(given)
    parameters = _signature_of(_factory(name), name).parameters
    return tuple(one for one in parameters if one not in ("space", "dataset"))


def make_evaluator(
    given: str | Mapping[str, Any], space: str, dataset: str, **options: Any
) -> Evaluator:
    """Make the evaluator of a name.

    Args:
        given: the name, or a dictionary of it (under ``"name"``) and options; a name may be a
            place, ``"my_module:MyEvaluator"``, which is imported.
        space: a space's name, such as ``"tss"``.
        dataset: the data set searched on.
        options: further options.

    Raises:
        InvalidInput: for an unknown name or option; it lists the known ones. For what cannot be
            imported, or makes no evaluator.
    """
    name = _name_of(given)
    if not isinstance(given, str):
        options = {**mapping(given, _GIVEN), **options}
        del options["name"]
    factory = _factory(name)
    signature = _signature_of(factory, name)
    parameters = signature.parameters
    takes_any = any(p.kind == p.VAR_KEYWORD for p in parameters.values())
    allowed = [one for one in parameters if one not in ("space", "dataset")]
    for option in options:
        if option not in parameters and not takes_any:
            raise unknown_option(option, allowed, f"evaluator {name}")
    required = [one for one in parameters.values() if one.default is one.empty]
    for_any = all(one.name in options or one.kind == one.VAR_KEYWORD for one in required)
    subject = () if for_any and {"space", "dataset"}.isdisjoint(parameters) else (space, dataset)
    try:
        signature.bind(*subject, **options)
    except TypeError as error:
        raise InvalidInput(
            f"evaluator {name} is made with (space, dataset, **options) or (**options): "
            f"{said(error)}"
        ) from None
    made: Any = factory(*subject, **options)
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
    if type(name) is str and (name in _OWN or ":" in name):  # other packages are asked for others
        return name
    try:
        return word(name, "evaluator", evaluator_names())
    except InvalidInput as error:
        raise InvalidInput(
            f"{error} One of your own is 'module:name', or a package brings it by the entry-point "
            f"group {GROUP}"
        ) from None


def _factory(name: str) -> Callable[..., Any]:
    if ":" in name or name in _OWN:
        return imported_maker(_OWN.get(name, name), "evaluator")
    (entry, *_) = entry_points(group=GROUP, name=name)
    return entry.load()


def _signature_of(factory: Callable[..., Any], name: str) -> inspect.Signature:
    try:
        return inspect.signature(factory)
    except (TypeError, ValueError) as error:  # a few that are built in
        raise InvalidInput(f"evaluator {name} does not say what it takes: {said(error)}") from None
