"""Checks for those who plug in their own: agent, space, evaluator, reward, vector environment.

Call them in a test of yours. They return nothing when all is well, and raise at the first thing
that is not, with one sentence on what was found and what is expected.

>>> from nats_gym.testing import check_agent, check_evaluator, check_reward, check_space
>>> from nats_gym.testing import check_vector_env
>>> check_agent(MyAgent)                                                            # doctest: +SKIP
>>> check_space(MySpace())                                                          # doctest: +SKIP
>>> check_evaluator(MyEvaluator(), "tss", "cifar10")                                # doctest: +SKIP
>>> check_reward(my_reward)                                                         # doctest: +SKIP
>>> check_vector_env(MyVectorEnv(num_envs=5), SyncVectorEnv([MyEnv] * 5))           # doctest: +SKIP
"""

from nats_gym.errors import EvaluatorError
from nats_gym.rewards import check_reward
from nats_gym.testing.agent import AgentError, check_agent
from nats_gym.testing.evaluator import check_evaluator
from nats_gym.testing.space import SpaceError, check_space
from nats_gym.testing.vector_env import VectorEnvError, check_vector_env

__all__ = [
    "AgentError",
    "EvaluatorError",
    "SpaceError",
    "VectorEnvError",
    "check_agent",
    "check_evaluator",
    "check_reward",
    "check_space",
    "check_vector_env",
]
