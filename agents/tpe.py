"""TPE through Optuna: a density of the good evaluations, one of the rest, and their ratio.

Source: Bergstra et al., NeurIPS 2011 (Tree-structured Parzen Estimator); Watanabe, arXiv
2304.11127; Optuna (Akiba et al., KDD 2019), whose ``TPESampler`` this is, one study per run. A
decision is a categorical parameter. Optuna is an extra: ``optuna``.

Within the paper's budget (about 150 architectures, topology space, CIFAR-10, embedded figures) its
answers come to 91.36 ± 0.02 % full-schedule validation accuracy (mean of 60 runs and its standard
error), with a density for each decision alone to 91.16 ± 0.05 %; random search's to 91.05 ± 0.01 %
(500 runs).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.checks import integer, switch
from nats_gym.evaluators import Outcome
from nats_gym.extras import require
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams, uniform_integers

from .pending import Pending

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

require("optuna", "the agent tpe")

STARTUP_TRIALS = 10  # uniform architectures before the first density, Optuna's default
SEEDS = 1 << 32  # Optuna seeds numpy's legacy generator


class Tpe:
    """Optuna's TPE in every run: 1 to 2 ms for every evaluation of every run.

    Args:
        space: what to search.
        streams: one random stream per run; a run's first draw seeds its sampler.
        n_startup_trials: uniform architectures at the start, from 1.
        multivariate: one density over all decisions at once (Falkner et al., ICML 2018; Optuna's
            default from version 5 on), or one for each decision, at twice the cost.
        constant_liar: count trials under way as bad ones, which keeps many workers from asking
            for nearly the same; with one worker it changes nothing but the cost.

    Raises:
        InvalidInput: for a bad option.
    """

    batched = False  # a study of Optuna's for every run

    def __init__(
        self,
        space: ArchitectureSpace,
        streams: RunStreams,
        n_startup_trials: int = STARTUP_TRIALS,
        multivariate: bool = True,
        constant_liar: bool = False,
    ) -> None:
        n_startup_trials = integer(n_startup_trials, "n_startup_trials")
        multivariate = switch(multivariate, "multivariate")
        constant_liar = switch(constant_liar, "constant_liar")
        import optuna

        self._distributions: dict[str, BaseDistribution] = {
            f"decision {i}": optuna.distributions.CategoricalDistribution(range(count))
            for i, count in enumerate(space.choice_counts.tolist())
        }
        seeds = uniform_integers(streams, SEEDS, (streams.runs,))
        with _quiet(optuna):
            self._studies: list[Study] = [
                optuna.create_study(
                    direction="maximize",
                    sampler=optuna.samplers.TPESampler(
                        seed=seed,
                        n_startup_trials=n_startup_trials,
                        multivariate=multivariate,
                        constant_liar=constant_liar,
                    ),
                )
                for seed in seeds.tolist()
            ]
        self._pending = Pending(streams.runs)  # Optuna's trials

    def ask(self) -> NDArray[np.int64]:
        """The sampler's next architecture of every run: choices ``(runs, n)``."""
        trials = np.empty(len(self._studies), object)
        trials[:] = [study.ask(self._distributions) for study in self._studies]
        self._pending.add(trials)
        return np.array([[trial.params[name] for name in self._distributions] for trial in trials])

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64] | None = None) -> None:
        """Tell every study what its trial scored.

        Args:
            outcome: arrays ``(runs,)``.
            evaluation: the number of each run's evaluation; None for the last.
        """
        (trials,) = self._pending.take(evaluation)
        accuracy = outcome.accuracy.tolist()
        for study, trial, value in zip(self._studies, trials, accuracy, strict=True):
            study.tell(trial, value)


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """No line for every study made, no warning that an option is experimental."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
