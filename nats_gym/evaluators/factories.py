"""The package's own evaluators as they are made by name, with a cache in front."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from nats_gym import checks
from nats_gym.evaluators.cached import CachedEvaluator
from nats_gym.evaluators.cluster import RayEvaluator
from nats_gym.evaluators.protocol import Evaluator, StreamingEvaluator
from nats_gym.evaluators.proxy import ProxyEvaluator
from nats_gym.evaluators.training import TrainingEvaluator
from nats_gym.proxies.score import Function, Score


def make_training_evaluator(
    space: str,
    dataset: str,
    *,
    device: str = "auto",
    recipe: Mapping[str, Any] | None = None,
    network: Mapping[str, Any] | None = None,
    trials: int | None = 1,
    workers: int = 1,
    threads: int = 1,
    together: int | str = "auto",
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
    time_limit: float | None = None,
    timeout: float | None = None,
    retries: int = 1,
    checkpoints: str | os.PathLike[str] | None = None,
    cache: bool | str | os.PathLike[str] = True,
    share_isomorphic: bool = False,
) -> Evaluator:
    """``evaluator="train"``: a :class:`TrainingEvaluator` behind a :class:`CachedEvaluator`.

    Args:
        space, dataset: what is searched.
        device, recipe, network, trials, workers, threads, together, data_dir, download,
            time_limit, timeout, retries, checkpoints: see :class:`TrainingEvaluator`.
        cache: path of the cache; True for the one under nats-gym's home, False for none.
        share_isomorphic: see :class:`CachedEvaluator`.
    """
    trainer = TrainingEvaluator(
        space,
        dataset,
        device=device,
        recipe=recipe,
        network=network,
        trials=trials,
        workers=workers,
        threads=threads,
        together=together,
        data_dir=data_dir,
        download=download,
        time_limit=time_limit,
        timeout=timeout,
        retries=retries,
        checkpoints=checkpoints,
    )
    return _cached(trainer, space, cache, share_isomorphic)


def make_ray_evaluator(
    space: str,
    dataset: str,
    *,
    device: str = "auto",
    recipe: Mapping[str, Any] | None = None,
    network: Mapping[str, Any] | None = None,
    trials: int | None = 1,
    threads: int = 1,
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
    time_limit: float | None = None,
    checkpoints: str | os.PathLike[str] | None = None,
    timeout: float | None = None,
    num_cpus: float = 1,
    num_gpus: float = 0,
    max_retries: int = 3,
    address: str | None = None,
    cache: bool | str | os.PathLike[str] = True,
    share_isomorphic: bool = False,
) -> Evaluator:
    """``evaluator="ray"``: the same on a Ray cluster, one training a task.

    Args:
        space, dataset: what is searched.
        device, recipe, network, trials, threads, data_dir, download, time_limit, checkpoints: see
            :class:`TrainingEvaluator`, which each process of the cluster makes. Let a task hold
            as many processors (``num_cpus``) as it has threads.
        timeout, num_cpus, num_gpus, max_retries, address: see :class:`RayEvaluator`.
        cache: path of the cache, on this machine; True for the one under nats-gym's home, False
            for none.
        share_isomorphic: see :class:`CachedEvaluator`.
    """
    gpus = checks.number(num_gpus, "num_gpus", 0)
    device = checks.text(device, "device")
    trainer = TrainingEvaluator(
        space,
        dataset,
        device="cpu" if device == "auto" and not gpus else device,
        recipe=recipe,
        network=network,
        trials=trials,
        threads=threads,
        data_dir=data_dir,
        download=download,
        time_limit=time_limit,
        checkpoints=checkpoints,
    )
    cluster = RayEvaluator(
        trainer,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        max_retries=max_retries,
        timeout=timeout,
        address=address,
    )
    return _cached(cluster, space, cache, share_isomorphic)


def make_proxy_evaluator(
    space: str,
    dataset: str,
    *,
    score: str | Function | Score | Sequence[str | Function | Score] = "naswot",
    combine: str = "vote",
    reference: int = 64,
    images: str = "noise",
    batch: int = 64,
    device: str = "cpu",
    network: Mapping[str, Any] | None = None,
    trials: int | None = 1,
    threads: int = 1,
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
    cache: bool | str | os.PathLike[str] = True,
    share_isomorphic: bool = False,
) -> Evaluator:
    """``evaluator="proxy"``: a :class:`ProxyEvaluator` behind a :class:`CachedEvaluator`.

    Args:
        space, dataset: what is searched.
        score, combine, reference, images, batch, device, network, trials, threads, data_dir,
            download: see :class:`ProxyEvaluator`.
        cache: path of the cache; True for the one under nats-gym's home, False for none. Answers
            of a function that no name tells from others, such as a lambda, are not kept.
        share_isomorphic: see :class:`CachedEvaluator`.
    """
    scorer = ProxyEvaluator(
        space,
        dataset,
        score=score,
        combine=combine,
        reference=reference,
        images=images,
        batch=batch,
        device=device,
        network=network,
        trials=trials,
        threads=threads,
        data_dir=data_dir,
        download=download,
    )
    kept = cache if scorer.named or isinstance(cache, (str, os.PathLike)) else False
    checks.switch(share_isomorphic, "share_isomorphic")
    if kept is not cache:
        checks.switch(cache, "cache, unless it is a path,")
    return _cached(scorer, space, kept, share_isomorphic)


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
