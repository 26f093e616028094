"""The paper's search protocol: ask, evaluate, charge the clock, tell, until the budget is spent.

Source: NATS-Bench (Dong et al., arXiv 2009.00437), section 5. A run's answer is its best observed
architecture; the evaluation that overshoots the budget counts.
"""

from nats_gym.simulation.clock import MAX_RUNS

from .answers import FromTable
from .searching import MAX_EVALUATIONS, find_kind, search, search_arguments

__all__ = ["MAX_EVALUATIONS", "MAX_RUNS", "FromTable", "find_kind", "search", "search_arguments"]
