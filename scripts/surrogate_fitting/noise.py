"""The spread of a trial around its expected accuracy, as a curve over that accuracy."""

from __future__ import annotations

import numpy as np

from nats_gym.spaces import TopologySpace
from nats_gym.tables.surrogates import Array, NoiseCurve

NOISE_KNOTS = 12


def fit_noise(predicted: Array, residual: Array) -> NoiseCurve:
    """Smooth the residuals' sd over predicted accuracy.

    Knots are means of quantile bins, finer at the top, where searches live. Searches see the
    smoothed curve; it never exceeds the largest bin's sd, so the held-out sd bounds it.
    """
    share = np.linspace(0, 1, NOISE_KNOTS + 1)
    edges = np.quantile(predicted, 1 - (1 - share) ** 1.5)
    which = np.clip(np.searchsorted(edges, predicted, side="right") - 1, 0, NOISE_KNOTS - 1)
    knots = np.array([predicted[which == k].mean() for k in range(NOISE_KNOTS)])
    sd = np.array([np.sqrt(np.mean(residual[which == k] ** 2)) for k in range(NOISE_KNOTS)])
    log_sd = np.log(sd)
    padded = np.concatenate([log_sd[:1], log_sd, log_sd[-1:]])
    smooth = np.exp(0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:])
    smooth[-1] = sd[-1]  # the top is what matters most: its own sd, not its neighbour's
    return NoiseCurve(knots.astype(np.float32), smooth.astype(np.float32))


def isomorphic_noise(index: Array, truth: Array) -> NoiseCurve:
    """Noise of a column alone: the spread among cells that compute the same function."""
    classes = TopologySpace().isomorphism_class(TopologySpace().choices(index))
    _, group, size = np.unique(classes, return_inverse=True, return_counts=True)
    mean = (np.bincount(group, truth) / size)[group]
    twins = size[group] > 1
    deviation = (truth - mean) * np.sqrt(size / np.maximum(size - 1, 1))[group]
    return fit_noise(mean[twins], deviation[twins])
