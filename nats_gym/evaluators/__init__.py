"""Who answers for an architecture."""

from typing import TYPE_CHECKING, Any

from nats_gym.evaluators.protocol import (
    UNSTATED,
    Answer,
    Evaluator,
    Outcome,
    StreamingEvaluator,
    checked,
    collect,
)
from nats_gym.evaluators.registry import evaluator_names, evaluator_options, make_evaluator
from nats_gym.evaluators.table import TableEvaluator, check_trial

if TYPE_CHECKING:
    from nats_gym.evaluators.cached import CachedEvaluator
    from nats_gym.evaluators.cluster import RayEvaluator
    from nats_gym.evaluators.proxy import ProxyEvaluator
    from nats_gym.evaluators.training import TrainingEvaluator

# Training brings torch, which nobody pays for who does not ask.
_HOMES = {
    "CachedEvaluator": "cached",
    "ProxyEvaluator": "proxy",
    "RayEvaluator": "cluster",
    "TrainingEvaluator": "training",
}

__all__ = [
    "UNSTATED",
    "Answer",
    "CachedEvaluator",
    "Evaluator",
    "Outcome",
    "ProxyEvaluator",
    "RayEvaluator",
    "StreamingEvaluator",
    "TableEvaluator",
    "TrainingEvaluator",
    "check_trial",
    "checked",
    "collect",
    "evaluator_names",
    "evaluator_options",
    "make_evaluator",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
