"""Zero-cost scores: what is said of a network before it is trained.

A score is a function of a network with its initial weights, a batch of images and their labels;
``score`` says what one is, ``registry`` finds it by name. ``counting``, ``saliency``, ``grasp``,
``synflow``, ``jacobian``, ``naswot`` and ``zen`` hold those of the literature, each with its paper;
``inputs`` makes the batch, ``scoring`` builds the networks, ``combining`` makes one ranking of
several scores, ``shipped`` opens what was measured of whole spaces.

>>> scores = score_architectures("sss", [0, 32_767], ["params", "synflow"], dataset="digits")
>>> scores["params"].round(3)
array([0.006, 0.227])
"""

from __future__ import annotations

from nats_gym.proxies.combining import rank_mean, vote
from nats_gym.proxies.registry import find_score, register_score, score_names
from nats_gym.proxies.score import Score, ScoreFailed
from nats_gym.proxies.scoring import score_architectures, score_network
from nats_gym.proxies.shipped import shipped

__all__ = [
    "Score",
    "ScoreFailed",
    "find_score",
    "rank_mean",
    "register_score",
    "score_architectures",
    "score_names",
    "score_network",
    "shipped",
    "vote",
]
