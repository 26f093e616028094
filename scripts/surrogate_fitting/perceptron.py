"""Training of one small perceptron, in torch, and its layers as plain arrays."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import smooth_l1_loss

from nats_gym.tables.perceptron import Array, LinearAndPerceptron, Perceptron

LEARNING_RATE, BATCH = 3e-3, 256
#: Of the squared weights of a ridge.
PENALTY = 1.0

Layers = list[tuple[Array, Array]]


def train_perceptron(
    features: Array,
    targets: Array,
    weights: Array,
    *,
    width: int,
    epochs: int,
    decay: float,
    seed: int,
    batch: int = BATCH,
    bend: float | None = None,
) -> Layers:
    """Fit a perceptron with two hidden SiLU layers; return its layers on unscaled features.

    Args:
        features: ``(row, feature)``.
        targets: ``(row, target)``.
        weights: of the squared errors, after scaling the targets to unit variance,
            ``(row, target)``.
        width: of the hidden layers.
        epochs: passes over the rows.
        decay: of the weights, AdamW's.
        seed: of the first weights and the order of rows.
        batch: rows of a step.
        bend: scaled error from which on it counts linearly, where outliers are not to rule; None
            for squares throughout.
    """
    torch.manual_seed(seed)
    centre, scale = features.mean(0), features.std(0)
    scale = np.where(scale > 0, scale, 1)
    middle, spread = targets.mean(0), targets.std(0)
    x = torch.tensor((features - centre) / scale, dtype=torch.float32)
    y = torch.tensor((targets - middle) / spread, dtype=torch.float32)
    w = torch.tensor(weights, dtype=torch.float32)
    net = torch.nn.Sequential(
        torch.nn.Linear(x.shape[1], width),
        torch.nn.SiLU(),
        torch.nn.Linear(width, width),
        torch.nn.SiLU(),
        torch.nn.Linear(width, y.shape[1]),
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=decay)
    batches = len(x) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=epochs * batches
    )
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for rows in order[: batches * batch].view(batches, batch):
            if bend is None:
                errors = (net(x[rows]) - y[rows]) ** 2
            else:
                errors = smooth_l1_loss(net(x[rows]), y[rows], reduction="none", beta=bend)
            loss = (errors * w[rows]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    layers = [
        (layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy())
        for layer in net
        if isinstance(layer, torch.nn.Linear)
    ]
    # Fold both scalings into the outer layers, so that inference needs none.
    (first, bias), middle_layer, (last, last_bias) = layers
    first = first / scale
    return [
        (first, bias - first @ centre),
        middle_layer,
        (last * spread[:, None], last_bias * spread + middle),
    ]


def fit_linear_and_perceptron(
    features: Array,
    targets: Array,
    *,
    width: int,
    epochs: int,
    decay: float,
    seed: int,
    bend: float | None = None,
) -> LinearAndPerceptron:
    """Fit a ridge, then a perceptron to what it leaves; arguments as :func:`train_perceptron`."""
    middle, centre = targets.mean(0), features.mean(0)
    x, y = features - centre, targets - middle
    weights = np.linalg.solve(x.T @ x + PENALTY * np.eye(x.shape[1]), x.T @ y)
    rest = y - x @ weights
    layers = train_perceptron(
        features,
        rest,
        np.ones_like(rest),
        width=width,
        epochs=epochs,
        decay=decay,
        seed=seed,
        bend=bend,
    )
    return LinearAndPerceptron(
        weights.T.astype(np.float32),
        (middle - centre @ weights).astype(np.float32),
        as_perceptron(layers),
    )


def as_perceptron(layers: Layers) -> Perceptron:
    """Layers as they are kept: float32."""
    return Perceptron(tuple((w.astype(np.float32), b.astype(np.float32)) for w, b in layers))
