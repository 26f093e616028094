"""Evaluators by name: the package's own, those that other packages register, and your own.

A package registers one through the entry-point group ``nats_gym.evaluators``: a function or class
that is called with the space, the data set and the options given, or with the options alone where
it names neither and lacks at most one argument, and returns an evaluator::

    [project.entry-points."nats_gym.evaluators"]
    mine = "my_package:make_evaluator"

What is at ``"my_module:MyEvaluator"`` is called likewise, by that name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any

from nats_gym.checks import follows, imported_maker, mapping, word
from nats_gym.errors import InvalidInput, UnknownOption, did_you_mean, said, shown, unknown_option
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
    _, signature = _maker(_name_of(given))
    return tuple(
        one.name
        for one in signature.parameters.values()
        if one.name not in ("space", "dataset")
        and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    )


def option_of_another(option: object, allowed: Iterable[str], of: str = "") -> UnknownOption:
    """The exception for an option that is not taken; it says whose here it is, if anybody's."""
    takers = [repr(name) for name in _OWN if option in evaluator_options(name)]
    why = f"evaluator={' or '.join(takers)} takes it" if takers else ""
    return unknown_option(option, allowed, of, why)


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
        InvalidInput: for an unknown name or option; it lists the known ones. For an option that is
            given twice, for what cannot be imported, or makes no evaluator.
    """
    name = _name_of(given)
    if not isinstance(given, str):
        told = mapping(given, _GIVEN)
        del told["name"]
        for option in told.keys() & options.keys():
            raise InvalidInput(f"the option {option} of evaluator {name} is given twice")
        options = {**told, **options}
    factory, signature = _maker(name)
    parameters = signature.parameters
    takes_any = any(one.kind == one.VAR_KEYWORD for one in parameters.values())
    for option in options:
        if option not in parameters and not takes_any:
            raise option_of_another(option, evaluator_options(name), f"evaluator {name}")
    lacking = [
        one.name
        for one in parameters.values()
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        and one.default is one.empty
        and one.name not in options
    ]
    takes_all = any(one.kind == one.VAR_POSITIONAL for one in parameters.values())
    of_subject = takes_all or len(lacking) > 1 or {"space", "dataset"} & parameters.keys()
    subject = (space, dataset) if of_subject else ()
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


def _maker(name: str) -> tuple[Callable[..., Any], inspect.Signature]:
    """What makes the evaluator of a name, and what it takes."""
    place = name if ":" in name else _OWN.get(name)
    if place is None:
        (entry, *_) = entry_points(group=GROUP, name=name)
        place = entry.value
    factory = imported_maker(place, "evaluator")
    try:
        return factory, inspect.signature(factory)
    except (TypeError, ValueError) as error:  # a few that are built in
        raise InvalidInput(f"evaluator {name} does not say what it takes: {said(error)}") from None
