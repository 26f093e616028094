"""Who answers for an architecture."""

from nats_gym.evaluators.protocol import Evaluator, Outcome
from nats_gym.evaluators.table import TableEvaluator

__all__ = ["Evaluator", "Outcome", "TableEvaluator"]
