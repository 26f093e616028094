"""The package's own evaluators as they are made by name, with a cache in front."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any, TypeVar

from nats_gym import checks
from nats_gym.evaluators.cached import CachedEvaluator
from nats_gym.evaluators.cluster import RayEvaluator
from nats_gym.evaluators.protocol import Evaluator, StreamingEvaluator
from nats_gym.evaluators.proxy import ProxyEvaluator
from nats_gym.evaluators.training import TrainingEvaluator

Make = TypeVar("Make", bound=Callable[..., Evaluator])


def _options_of(kind: type) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(kind.__init__).parameters  # type: ignore[misc]
    return {name: one for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY}


def _takes(*kinds: type, but: tuple[str, ...] = ()) -> Callable[[Make], Make]:
    """Lets a function that gathers options say that it takes those of classes, but a few."""

    def say(make: Make) -> Make:
        signature = inspect.signature(make)
        own = {name: one for name, one in signature.parameters.items() if name != "options"}
        every = {name: own.pop(name) for name in ("space", "dataset")}
        for kind in kinds:
            every |= {name: one for name, one in _options_of(kind).items() if name not in but}
        said = signature.replace(parameters=[*{**every, **own}.values()])
        make.__signature__ = said  # type: ignore[attr-defined]
        return make

    return say


@_takes(TrainingEvaluator, but=("split",))
def make_training_evaluator(
    space: str,
    dataset: str,
    *,
    cache: bool | str | os.PathLike[str] = True,
    share_isomorphic: bool = False,
    **options: Any,
) -> Evaluator:
    """``evaluator="train"``: a :class:`TrainingEvaluator` behind a :class:`CachedEvaluator`.

    Args:
        space, dataset: what is searched.
        cache: path of the cache; True for the one under nats-gym's home, False for none.
        share_isomorphic: see :class:`CachedEvaluator`.
        options: see :class:`TrainingEvaluator`.
    """
    return _cached(TrainingEvaluator(space, dataset, **options), space, cache, share_isomorphic)


@_takes(TrainingEvaluator, RayEvaluator, but=("split", "workers", "together", "retries"))
def make_ray_evaluator(
    space: str,
    dataset: str,
    *,
    device: str = "auto",
    cache: bool | str | os.PathLike[str] = True,
    share_isomorphic: bool = False,
    **options: Any,
) -> Evaluator:
    """``evaluator="ray"``: the same on a Ray cluster, one training a task.

    Args:
        space, dataset: what is searched.
        device: ``"auto"`` is a GPU only where a task holds one.
        cache: path of the cache, on this machine; True for the one under nats-gym's home, False
            for none.
        share_isomorphic: see :class:`CachedEvaluator`.
        options: see :class:`RayEvaluator`, and :class:`TrainingEvaluator`, which each process of
            the cluster makes. Let a task hold as many processors (``num_cpus``) as it has threads.
    """
    gpus = checks.number(options.get("num_gpus", 0), "num_gpus", 0)
    device = checks.text(device, "device")
    clustering = {name: options.pop(name) for name in _options_of(RayEvaluator) if name in options}
    device = "cpu" if device == "auto" and not gpus else device
    trainer = TrainingEvaluator(space, dataset, device=device, **options)
    return _cached(RayEvaluator(trainer, **clustering), space, cache, share_isomorphic)


@_takes(ProxyEvaluator)
def make_proxy_evaluator(
    space: str,
    dataset: str,
    *,
    cache: bool | str | os.PathLike[str] = True,
    share_isomorphic: bool = False,
    **options: Any,
) -> Evaluator:
    """``evaluator="proxy"``: a :class:`ProxyEvaluator` behind a :class:`CachedEvaluator`.

    Args:
        space, dataset: what is searched.
        cache: path of the cache; True for the one under nats-gym's home, False for none. Answers
            of a function that nothing tells from others, such as a lambda or a script's, are not
            kept; those of others of your own with its code, but not that of what it calls in turn.
        share_isomorphic: see :class:`CachedEvaluator`.
        options: see :class:`ProxyEvaluator`.
    """
    scorer = ProxyEvaluator(space, dataset, **options)
    if not (scorer.named or isinstance(cache, (str, os.PathLike))):
        cache = checks.switch(cache, "cache, unless it is a path,") and False
    return _cached(scorer, space, cache, share_isomorphic)


def _cached(
    evaluator: StreamingEvaluator,
    space: str,
    cache: bool | str | os.PathLike[str],
    share_isomorphic: bool,
) -> Evaluator:
    share_isomorphic = checks.switch(share_isomorphic, "share_isomorphic")
    path = None
    if isinstance(cache, (str, os.PathLike)):
        path = checks.path(cache, "cache")
    elif not checks.switch(cache, "cache, unless it is a path,"):
        return evaluator
    return CachedEvaluator(evaluator, space, path, share_isomorphic=share_isomorphic)
