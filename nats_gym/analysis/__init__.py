"""What a space looks like on a data set, as the NATS-Bench paper shows it.

>>> from nats_gym.analysis import analyse
>>> found = analyse("tss", "cifar10", "embedded")
>>> found.provenance, found.neighborhoods[0].local_optima
('measured', 13)
"""

from nats_gym.analysis.analysis import analyse
from nats_gym.analysis.correlations import Correlation
from nats_gym.analysis.findings import Distribution, FitnessDistance, Neighborhood
from nats_gym.analysis.report import Analysis

__all__ = ["Analysis", "Correlation", "Distribution", "FitnessDistance", "Neighborhood", "analyse"]
