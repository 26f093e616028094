"""A small perceptron in numpy, as the surrogates are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
#: Columns a pass: few enough for the caches to hold what is passed on.
BLOCK = 512
#: Widest layer that is read.
WIDEST = 1_024


@dataclass(frozen=True)
class Perceptron:
    """Layers with SiLU between them.

    Attributes:
        layers: ``(weight (out, in), bias (out,))`` of each.
    """

    layers: tuple[tuple[Array, Array], ...]

    @classmethod
    def read(
        cls, arrays: Mapping[str, Array], inputs: int, outputs: int, of: str = ""
    ) -> Perceptron:
        """The layers of a file's arrays, ``<of>weight0``, ``<of>bias0`` and so on.

        Raises:
            ValueError: unless they lead from so many inputs to so many outputs.
        """
        count = sum(name.startswith(f"{of}weight") for name in arrays)
        layers = tuple((arrays[f"{of}weight{k}"], arrays[f"{of}bias{k}"]) for k in range(count))
        width = inputs
        for weight, bias in layers:
            if weight.shape != (len(bias), width) or len(bias) > WIDEST:
                raise ValueError(f"a layer of {weight.shape} and {bias.shape} after {width}")
            width = len(bias)
        if not layers or width != outputs:
            raise ValueError(f"{width} outputs, not {outputs}")
        return cls(layers)

    def arrays(self, of: str = "") -> dict[str, Array]:
        """What :meth:`read` reads."""
        weights = {f"{of}weight{k}": weight for k, (weight, _) in enumerate(self.layers)}
        return weights | {f"{of}bias{k}": bias for k, (_, bias) in enumerate(self.layers)}

    def __call__(self, features: Array) -> NDArray[np.float64]:
        """Outputs ``(row, output)`` of features ``(feature, row)``."""
        layers = [(weight.astype(np.float64), bias[:, None]) for weight, bias in self.layers]
        outputs = np.empty((features.shape[1], len(self.layers[-1][1])))
        for start in range(0, len(outputs), BLOCK):
            block = slice(start, start + BLOCK)
            signal = features[:, block]
            for weight, bias in layers[:-1]:
                signal = weight @ signal
                signal += bias
                _silu_in_place(signal)
            weight, bias = layers[-1]
            outputs[block] = (weight @ signal + bias).T
        return outputs


@dataclass(frozen=True)
class LinearAndPerceptron:
    """A linear model, and a perceptron from the same features for what that leaves.

    Attributes:
        weights: of the linear model, ``(output, feature)``.
        intercepts: its constants, ``(output,)``.
        network: what adds to it.
    """

    weights: Array
    intercepts: Array
    network: Perceptron

    @classmethod
    def read(cls, arrays: Mapping[str, Array], inputs: int, outputs: int) -> LinearAndPerceptron:
        """Of a file's arrays ``linear`` and ``intercept``, and those of :meth:`Perceptron.read`.

        Raises:
            ValueError: unless they lead from so many inputs to so many outputs.
        """
        weights, intercepts = arrays["linear"], arrays["intercept"]
        if weights.shape != (outputs, inputs) or intercepts.shape != (outputs,):
            raise ValueError(
                f"coefficients of {weights.shape} and {intercepts.shape}, not {(outputs, inputs)}"
            )
        return cls(weights, intercepts, Perceptron.read(arrays, inputs, outputs))

    def arrays(self) -> dict[str, Array]:
        """What :meth:`read` reads."""
        return {"linear": self.weights, "intercept": self.intercepts, **self.network.arrays()}

    def __call__(self, features: Array) -> NDArray[np.float64]:
        """Outputs ``(row, output)`` of features ``(feature, row)``."""
        outputs = self.network(features)
        outputs += (self.weights.astype(np.float64) @ features).T
        outputs += self.intercepts
        return outputs


def _silu_in_place(x: Array) -> None:
    # x·sigmoid(x) = x / (1 + exp(-x)); where exp overflows, x / ∞ is the limit, 0.
    gate = np.negative(x)
    with np.errstate(over="ignore"):
        np.exp(gate, out=gate)
    gate += 1
    x /= gate
