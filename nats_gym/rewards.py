"""Outcome → reward: small objects, each a function of one evaluation or of a batch of them.

Accuracies come in percent and rewards go out as fractions, because a fraction trains PPO about
three times faster. ``gym.make(..., reward=...)`` takes a name of :data:`REWARDS`, a dictionary of a
name and its arguments (``{"name": "lagrangian", "multiplier": 0.5}``, which an environment's spec
can write as JSON), one of the objects below, or any function of an :class:`Evaluation`. Native
vector environments call it with arrays, so it is written with numpy's functions rather than
``if``.

| name | range | needs the table |
|---|---|---|
| ``accuracy`` | [0, 1] | no |
| ``improvement`` | [0, 1] | no |
| ``change`` | [-1, 1] | no |
| ``final`` | [0, 1] | no |
| ``negative-regret`` | [-1, 1], at most what a lucky trial adds to 0 | yes: its best |
| ``rank`` | [0, 1] | yes: all of it |
| ``threshold-bonus`` | base's, and up to ``bonus`` above | as its base |
| ``lagrangian`` | base's, and without bound below | as its base |

What needs the table is not available to live training, which knows no optimum.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.checks import array, mapping, number, word
from nats_gym.errors import InvalidInput, NatsGymError, said, shown, unknown_name

#: Looks a figure of every architecture up by its name, ``(arch,)``.
FigureLookUp = Callable[[str], NDArray[np.float64]]


def _no_figures(name: str) -> NDArray[np.float64]:
    raise InvalidInput(
        f"this evaluation knows no figures, and was asked for {shown(name)}; one that has "
        "figures=env.unwrapped.figure does"
    )


class Evaluation(NamedTuple):
    """What a reward may look at: one evaluation, or a batch of them as arrays ``(batch,)``.

    Attributes:
        accuracy: observed, percent.
        incumbent: best accuracy observed before it in the episode, percent; 0 for none. What
            violates a limit is never the incumbent.
        previous: accuracy of the evaluation before it in the episode, percent; 0 for none.
        cost: by how much the architecture exceeds the limits, as fractions of them, summed; 0
            where it meets them.
        last: whether the episode ends with it.
        index: official index of the architecture.
        figures: looks up what :meth:`figure` answers, of every architecture, ``(arch,)``.
    """

    accuracy: Any
    incumbent: Any = 0.0
    previous: Any = 0.0
    cost: Any = 0.0
    last: Any = True
    index: Any = 0
    figures: FigureLookUp = _no_figures

    def figure(self, name: str) -> Any:
        """A figure of the architecture, such as ``"latency"``: see the environments' ``figure``."""
        return self.figures(name)[self.index]


RewardFunction = Callable[[Evaluation], Any]
#: Mean accuracy of every architecture of a table, percent, ``(arch,)``; NaN where it has none.
Accuracies = Callable[[], NDArray[np.float64]]


@dataclass(frozen=True)
class Accuracy:
    """Observed accuracy / 100, in [0, 1]."""

    name: str = field(default="accuracy", init=False)

    def __call__(self, evaluation: Evaluation) -> Any:
        return evaluation.accuracy / 100.0


@dataclass(frozen=True)
class Improvement:
    """What the observation adds to the incumbent, / 100, in [0, 1].

    A budgeted episode's rewards add up to the best accuracy that it observed, an edit episode's
    to what that is above its start. An architecture that violates a limit adds nothing.
    """

    name: str = field(default="improvement", init=False)

    def __call__(self, evaluation: Evaluation) -> Any:
        gain = (evaluation.accuracy - evaluation.incumbent) / 100.0
        return gain * ((gain > 0) & (evaluation.cost <= 0)) + 0.0  # the sum turns -0.0 into 0.0


@dataclass(frozen=True)
class Change:
    """Observed accuracy minus that of the evaluation before it, / 100, in [-1, 1]."""

    name: str = field(default="change", init=False)

    def __call__(self, evaluation: Evaluation) -> Any:
        return (evaluation.accuracy - evaluation.previous) / 100.0


@dataclass(frozen=True)
class Final:
    """0 until the episode's last evaluation, then the best accuracy observed / 100, in [0, 1]."""

    name: str = field(default="final", init=False)

    def __call__(self, evaluation: Evaluation) -> Any:
        counts = np.where(np.asarray(evaluation.cost) <= 0, evaluation.accuracy, 0.0)
        best = np.where(evaluation.last, np.maximum(counts, evaluation.incumbent), 0.0) / 100.0
        return best if best.ndim else float(best)


@dataclass(frozen=True)
class NegativeRegret:
    """Observed accuracy minus the best known, / 100: at least -1, and 0 at the optimum's mean.

    A single trial may lie above the best mean, so a lucky one is a little more than 0.

    Args:
        best: accuracy of the optimum, percent; None for the table's: the highest mean accuracy
            at the environment's schedule. Live training knows none, so has to be given one.
    """

    best: float | None = None
    name: str = field(default="negative-regret", init=False)

    def __post_init__(self) -> None:
        if self.best is not None:
            number(self.best, "best")

    def bind(self, accuracies: Accuracies) -> NegativeRegret:
        """The same with the table's best, unless it was given one."""
        if self.best is not None:
            checks.function(accuracies, "accuracies", optional=False)
            return self
        return replace(self, best=float(np.nanmax(_known(accuracies))))

    def __call__(self, evaluation: Evaluation) -> Any:
        if self.best is None:
            raise InvalidInput("NegativeRegret needs best=..., or a table: see bind()")
        return (evaluation.accuracy - self.best) / 100.0


@dataclass(frozen=True)
class RankNormalised:
    """Share of all architectures whose mean accuracy is no higher than observed, in [0, 1].

    Spreads the crowded top of a space evenly. Needs the table: the mean accuracy of every
    architecture at the environment's schedule. Not available to live training.
    """

    name: str = field(default="rank", init=False)
    _ascending: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)

    def bind(self, accuracies: Accuracies) -> RankNormalised:
        """The same with the table's accuracies."""
        known = _known(accuracies)
        return RankNormalised(_ascending=np.sort(known[~np.isnan(known)]))

    def __reduce__(self) -> tuple[type[RankNormalised], tuple[()]]:
        return RankNormalised, ()  # whoever holds a copy binds it again

    def __call__(self, evaluation: Evaluation) -> Any:
        if self._ascending is None:
            raise InvalidInput("RankNormalised needs a table: see bind()")
        below = np.searchsorted(self._ascending, evaluation.accuracy, side="right")
        share = below / len(self._ascending)
        return share if np.ndim(share) else float(share)


@dataclass(frozen=True)
class ThresholdBonus:
    """Another reward, and ``bonus`` on top where the accuracy reaches a threshold.

    At every evaluation that does, whether or not the architecture meets the limits.

    Args:
        threshold: percent.
        bonus: what reaching it adds.
        base: the reward it is added to, by name, dictionary or object.
    """

    threshold: float
    bonus: float = 1.0
    base: Any = "accuracy"
    name: str = field(default="threshold-bonus", init=False)

    def __post_init__(self) -> None:
        number(self.threshold, "threshold")
        number(self.bonus, "bonus")
        object.__setattr__(self, "base", find_reward(self.base))

    def bind(self, accuracies: Accuracies) -> ThresholdBonus:
        """The same over a bound base."""
        checks.function(accuracies, "accuracies", optional=False)
        return replace(self, base=bind_reward(self.base, accuracies))

    def __call__(self, evaluation: Evaluation) -> Any:
        return self.base(evaluation) + self.bonus * (evaluation.accuracy >= self.threshold)


@dataclass
class Lagrangian:
    """Another reward minus ``multiplier`` times the cost of violating the limits.

    The Lagrangian of maximising the base reward under limits (Altman, "Constrained Markov
    Decision Processes", 1999). ``reward_function.multiplier`` of an environment, scalar or native
    vector (``env.unwrapped.reward_function``), may be changed while an agent trains: dual ascent
    raises it by a step times the mean ``info["cost"]``, and lowers it where limits are met; keep it
    from 0 on.

    Args:
        multiplier: from 0; reward lost per unit of cost (an excess of 100 % of a limit).
        base: the reward it is taken from, by name, dictionary or object.
    """

    multiplier: float = 1.0
    base: Any = "accuracy"
    name: str = field(default="lagrangian", init=False)

    def __post_init__(self) -> None:
        number(self.multiplier, "a multiplier", 0)
        self.base = find_reward(self.base)

    def bind(self, accuracies: Accuracies) -> Lagrangian:
        """A copy over a bound base."""
        checks.function(accuracies, "accuracies", optional=False)
        return Lagrangian(self.multiplier, bind_reward(self.base, accuracies))

    def __call__(self, evaluation: Evaluation) -> Any:
        return self.base(evaluation) - self.multiplier * evaluation.cost


REWARDS: dict[str, Callable[..., RewardFunction]] = {
    "accuracy": Accuracy,
    "improvement": Improvement,
    "change": Change,
    "final": Final,
    "negative-regret": NegativeRegret,
    "rank": RankNormalised,
    "threshold-bonus": ThresholdBonus,
    "lagrangian": Lagrangian,
}


def find_reward(reward: str | Mapping[str, Any] | RewardFunction) -> RewardFunction:
    """The reward of a name, of a dictionary of a name and arguments, or ``reward`` itself.

    Raises:
        InvalidInput: for an unknown name or wrong arguments; it lists the known ones.
    """
    arguments: dict[str, Any] = {}
    name: Any = reward
    if issubclass(type(reward), Mapping):
        given = mapping(reward, "a reward as a dictionary has a name and arguments by name")
        # A spec writes an object's hidden fields too.
        arguments = {key: value for key, value in given.items() if not key.startswith("_")}
        if "name" not in arguments:
            raise InvalidInput(
                f"a reward as a dictionary says its name, and arguments; got {shown(reward)}"
            )
        name = arguments.pop("name")
    elif isinstance(reward, type):
        raise InvalidInput(f"a reward is an object, {reward.__name__}() and not its class")
    elif callable(reward):
        return _takes_one(reward)
    return _make(word(name, "reward", REWARDS), arguments)


def bind_reward(reward: RewardFunction, accuracies: Accuracies | None) -> RewardFunction:
    """Give a reward the table that it needs, if it needs one.

    Args:
        reward: from :func:`find_reward`.
        accuracies: called for the table's accuracies when they are needed; None without a table.

    Raises:
        InvalidInput: if it needs a table and there is none.
    """
    reward = checks.function(reward, "a reward", optional=False)
    accuracies = checks.function(accuracies, "accuracies")
    try:
        bind = getattr(reward, "bind", None)
    except Exception as error:  # an object of others
        raise InvalidInput(f"reward {shown(reward)}: {said(error)}") from error
    if bind is None:
        return reward

    def known() -> NDArray[np.float64]:
        if accuracies is None:
            raise InvalidInput(
                f"reward {type(reward).__name__} needs a table's accuracies, which live training "
                "does not know; NegativeRegret(best=...) takes an accuracy of yours"
            )
        return _known(accuracies)

    try:
        return checks.function(bind(known), "a bound reward", optional=False)
    except NatsGymError:
        raise
    except Exception as error:
        raise InvalidInput(f"bind() of reward {shown(reward)}: {said(error)}") from error


def check_reward(
    reward: RewardFunction, arrays: bool = True, figures: FigureLookUp = _no_figures
) -> None:
    """Call a reward once, on an evaluation or on a batch of two, and look at what it returns.

    Args:
        reward: from :func:`find_reward`.
        arrays: whether on a batch, as native vector environments do; else on plain numbers.
        figures: what it may look up.

    Raises:
        InvalidInput: unless it returns a number, or one for each of the batch.
    """
    figures = checks.function(figures, "figures", optional=False)
    fields: list[Any] = [50.0, 40.0, 30.0, 0.0, True, 0]
    if checks.switch(arrays, "arrays"):
        fields = [np.array([value, value]) for value in fields]
    # Of an architecture whose figure is known, which the first may not be.
    evaluation = Evaluation(*fields)._replace(
        figures=lambda name: np.nanmax(figures(name), keepdims=True)
    )
    try:
        returned = reward(evaluation)
    except NatsGymError:
        raise
    except Exception as error:
        kind = "arrays (batch,), as native vector environments give" if arrays else "plain numbers"
        # What a value of the other kind raises, as math.exp does of an array.
        unlike = isinstance(error, (AttributeError, TypeError, ValueError))
        raise InvalidInput(
            f"reward {shown(reward)} fails on an Evaluation of {kind}: {said(error)}"
            + ("; numpy functions take both" if unlike else "")
        ) from error
    given = array(returned, f"a reward returns numbers, {shown(reward)} returned others")
    is_number = given.dtype.kind in "biuf" and np.isfinite(given).all()
    if not is_number or given.shape not in (((2,), ()) if arrays else ((),)):
        wanted = "a finite number for each of a batch" if arrays else "a finite number"
        raise InvalidInput(f"a reward returns {wanted}, {shown(reward)} returned {shown(returned)}")


def _make(name: str, arguments: dict[str, Any]) -> RewardFunction:
    made = REWARDS[name]
    allowed = {
        name: parameter
        for name, parameter in inspect.signature(made).parameters.items()
        if not name.startswith("_")
    }
    for argument in arguments:
        if argument not in allowed:
            raise unknown_name(f"argument of reward {name}", argument, sorted(allowed) or ["none"])
    for argument, parameter in allowed.items():
        if parameter.default is parameter.empty and argument not in arguments:
            raise InvalidInput(f"reward {shown(name)} needs {argument}=")
    try:
        return made(**arguments)
    except (TypeError, RecursionError) as error:  # bases that have no end
        raise InvalidInput(f"reward {shown(name)}: {said(error)}") from None


def _takes_one(reward: RewardFunction) -> RewardFunction:
    try:
        inspect.signature(reward).bind(None)
    except TypeError:
        raise InvalidInput(
            f"a reward is a function of one nats_gym.rewards.Evaluation, got {shown(reward)}"
        ) from None
    except Exception:  # one that does not say what it takes: see check_reward
        pass
    return reward


def _known(accuracies: Accuracies) -> NDArray[np.float64]:
    """A table's accuracies, ``(arch,)``, some of which are known."""
    what = "a table's accuracies are numbers (arch,), one at least known"
    given = checks.function(accuracies, "accuracies", optional=False)
    try:
        known = given()
    except NatsGymError:
        raise
    except Exception as error:  # of others
        raise InvalidInput(f"{what}, {shown(accuracies)}: {said(error)}") from error
    known = checks.numbers(known, what)
    if known.ndim != 1 or np.isnan(known).all():
        raise InvalidInput(f"{what}, got {shown(known)}")
    return known
