"""Who answers for an architecture."""

from nats_gym.evaluators.protocol import UNSTATED, Evaluator, Outcome
from nats_gym.evaluators.table import TableEvaluator, check_trial

__all__ = ["UNSTATED", "Evaluator", "Outcome", "TableEvaluator", "check_trial"]
