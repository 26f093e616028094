"""Scores by name: the package's own, and those that are registered."""

from __future__ import annotations

import hashlib
import re
from inspect import isfunction, isroutine
from types import CodeType
from typing import Any

from nats_gym.checks import switch, text, word
from nats_gym.errors import InvalidInput, shown
from nats_gym.proxies.counting import flops, params
from nats_gym.proxies.grasp import grasp
from nats_gym.proxies.jacobian import jacob_cov
from nats_gym.proxies.naswot import naswot
from nats_gym.proxies.saliency import fisher, grad_norm, gradient_scores, l2_norm, plain, snip
from nats_gym.proxies.score import Function, Score
from nats_gym.proxies.synflow import flow_scores, logsynflow, synflow
from nats_gym.proxies.zen import zen

_ZERO_COST = "arXiv 2101.08134"
_OWN = {
    score.name: score
    for score in (
        Score("params", params, "parameters [M]"),
        Score("flops", flops, "FLOPs [M]"),
        Score("grad_norm", grad_norm, "gradient norm", _ZERO_COST, gradient_scores),
        Score("plain", plain, "plain", _ZERO_COST, gradient_scores),
        Score("l2_norm", l2_norm, "L2 norm of the weights", _ZERO_COST),
        Score("snip", snip, "SNIP", "arXiv 1810.02340", gradient_scores),
        Score("grasp", grasp, "GraSP", "arXiv 2002.07376"),
        Score("synflow", synflow, "SynFlow [log]", "arXiv 2006.05467", flow_scores),
        Score("logsynflow", logsynflow, "LogSynFlow", "arXiv 2207.05135", flow_scores),
        Score("fisher", fisher, "Fisher", "arXiv 1906.04113", gradient_scores),
        Score("jacob_cov", jacob_cov, "Jacobian covariance", "arXiv 2006.04647v1"),
        Score("naswot", naswot, "NASWOT", "arXiv 2006.04647"),
        Score("zen", zen, "Zen-score", "arXiv 2102.01063"),
    )
}
_registered: dict[str, Score] = {}


def score_names() -> tuple[str, ...]:
    """Names of all scores that are known here."""
    return (*_OWN, *_registered)


def find_score(given: str | Function | Score) -> Score:
    """The score of a name, or the one that a function is.

    Raises:
        InvalidInput: for an unknown name, which names the likely one.
    """
    if type(given) is Score:
        return given
    if callable(given) and not issubclass(type(given), (str, type)):
        # Another object may answer as it likes when it is asked for its name.
        named: Any = given if isroutine(given) else type(given)
        return Score(f"{named.__module__}:{named.__qualname__}", given)
    return {**_OWN, **_registered}[word(given, "score", score_names())]


def version_of(score: Score) -> str | None:
    """What tells a score from others of its name, in other processes too; None where nothing does.

    Of one's own that is its function's code, but not that of what it calls and reads in turn.
    """
    function: Any = score.function
    if score in _OWN.values():
        return ""
    # A lambda, or what depends on what is around it, as decorated ones do; a script's function, or
    # a session's.
    if (
        not isfunction(function)
        or function.__closure__
        or "<" in function.__qualname__
        or function.__module__ == "__main__"
    ):
        return None
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items())
    if not _is_constant(defaults):
        return None
    told = function.__module__, function.__defaults__, function.__kwdefaults__
    return hashlib.sha256(f"{told} {_told(function.__code__)}".encode()).hexdigest()[:16]


def _is_constant(value: object) -> bool:
    """Whether a value is told in full by what it prints as; an array is not, nor an object."""
    if type(value) in (tuple, frozenset):
        return all(map(_is_constant, value))  # type: ignore[call-overload]
    return value is None or type(value) in (bool, int, float, complex, str, bytes)


def _told(constant: object) -> str:
    if isinstance(constant, CodeType):
        return f"{constant.co_code.hex()} {constant.co_names} {_told(constant.co_consts)}"
    if isinstance(constant, (tuple, frozenset)):  # whose order differs from process to process
        told = map(_told, constant)
        return ", ".join(told if isinstance(constant, tuple) else sorted(told))
    return repr(constant)


def register_score(
    name: str, function: Function, *, label: str = "", paper: str = "", replace: bool = False
) -> Score:
    """Make a score of one's own known by a name, in this process.

    Args:
        name: a letter, then up to 63 letters, digits, ``_``, ``-`` and ``.``.
        function: from a network in training mode, images ``(B, 3, H, W)`` and labels ``(B,)`` to
            a number, the higher the better.
        label: what an axis says; default the name.
        paper: where it comes from.
        replace: whether it takes the place of one that was registered before.

    Raises:
        InvalidInput: for a name that another score has, and what is no name or function.
    """
    name = text(name, "a score's name", 64)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", name):
        raise InvalidInput(
            "a score's name is up to 64 letters, digits, '_', '-' and '.', a letter first, "
            f"got {shown(name)}"
        )
    replace = switch(replace, "replace")
    if name in _OWN or (name in _registered and not replace):
        raise InvalidInput(f"a score called {shown(name)} is known already")
    label = text(label, "a label", 100) or name
    _registered[name] = Score(name, function, label, text(paper, "a paper"))
    return _registered[name]
