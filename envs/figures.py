"""What an environment knows of every architecture: its figures by name, and which are best."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput, shown
from nats_gym.evaluators import Evaluator, TableEvaluator
from nats_gym.simulation.schedule import Epochs
from nats_gym.spaces import ArchitectureSpace, Figure, Quantity
from nats_gym.tables.column import OWN_METRICS, RESERVED, core_figures
from nats_gym.tables.figure_names import check_figure
from nats_gym.tables.named_columns import known_figures
from nats_gym.tables.table import named_figure

from .ground_truth import GroundTruth
from .sources import judging_table


class Figures:
    """Figures of every architecture, looked up once; a copy opens them again where they lie.

    Args:
        space, dataset, evaluator, epochs: the environment's.
        provenance: of its accuracies.
    """

    def __init__(
        self,
        space: ArchitectureSpace,
        dataset: str,
        evaluator: Evaluator,
        epochs: Epochs,
        provenance: str,
    ) -> None:
        self._of = space, dataset, evaluator, epochs, provenance
        self._space, self._dataset = space, dataset
        self._table = evaluator.table if isinstance(evaluator, TableEvaluator) else None
        self._found: dict[str, Figure] = {}
        self._with_worst: dict[str, NDArray[np.float64]] = {}
        #: Names of those that rewards look up.
        self.rewarded: set[str] = set()
        self._told: dict[tuple[str, ...], Told] = {}
        self._truths: dict[str, GroundTruth] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Figures, self._of

    def find(self, name: str) -> Figure:
        """A figure; `InvalidInput` for another name, and for accuracies of live training."""
        if type(name) is str and name in self._found:
            return self._found[name]
        space, dataset, evaluator, epochs, provenance = self._of
        core = core_figures(space)
        if type(name) is not str or name not in core:
            if self._table is None:
                figure = named_figure(space, dataset, name)
            else:
                figure = self._table.figure(name)
        elif name in space.closed_forms:
            figure = space.figure(name, dataset)
        elif name != "accuracy":
            figure = judging_table(space.name, dataset, evaluator).figure(name)
        elif isinstance(evaluator, TableEvaluator):
            expected = evaluator.expected_accuracy(epochs)
            figure = Figure(name, core[name], expected, provenance)
        else:
            raise InvalidInput("live training knows no architecture's accuracy beforehand")
        return self._found.setdefault(figure.name, figure)

    def values(self, name: str) -> NDArray[np.float64]:
        """A figure by official index, ``(arch,)``, read-only: the same array every time."""
        return self.find(name).values

    def values_or_worst(self, name: str) -> NDArray[np.float64]:
        """:meth:`values`; where rows may be invalid, the worst value follows, at index -1."""
        if self._space.every_row_valid:
            return self.values(name)
        if name not in self._with_worst:
            figure = self.find(name)
            worst = np.nanmax if figure.quantity.lower_is_better else np.nanmin
            self._with_worst[name] = np.append(figure.values, worst(figure.values))
        return self._with_worst[name]

    def of_reward(self, name: str) -> NDArray[np.float64]:
        """:meth:`values_or_worst`, as a reward looks it up: of all that can be evaluated."""
        if type(name) is not str or name not in self.rewarded:
            self.rewarded.add(self.find_complete(name, "the reward").name)
        return self.values_or_worst(name)

    @property
    def known(self) -> dict[str, Quantity]:
        """By name, all that may be known of the architectures."""
        if self._table is None:
            return known_figures(self._space, self._dataset)
        return self._table.known_figures

    def check_told(self, names: Any) -> tuple[str, ...]:
        """Names of what `info` says of every architecture that is evaluated."""
        given = checks.as_list(names)
        if given is None:
            raise InvalidInput(f"figures= is a list of names, got {shown(names)}")
        if not given:
            return ()
        known = {name: of for name, of in self.known.items() if name != "accuracy"}
        if any(type(one) is str and one == "accuracy" for one in given):
            raise InvalidInput("figures= names what info says beside the accuracy")
        found = tuple(check_figure(name, "figure", known) for name in given)
        if taken := (RESERVED | OWN_METRICS).intersection(found):
            raise InvalidInput(
                f"figures= names {shown(min(taken))}, and info has another use for that name: give "
                "the column, or closed form, another"
            )
        if len(set(found)) < len(found):
            raise InvalidInput(f"figures= names one twice: {shown(found)}")
        return found

    def tell(self, names: tuple[str, ...]) -> Told:
        """What `info` says of those; the same object for the same names."""
        if names not in self._told:
            found = [self.find_complete(name, f"figure {name}") for name in names]
            provenances = {  # of closed forms there is nothing to say
                f"{figure.name}_provenance": figure.provenance
                for figure in found
                if figure.name not in self._space.closed_forms
            }
            values = {name: self.values_or_worst(name) for name in names}
            self._told[names] = Told(values, provenances)
        return self._told[names]

    def find_complete(self, name: str, what: str) -> Figure:
        """A figure that is known of all that can be evaluated."""
        figure, space = self.find(name), self._space
        lacking = np.isnan(figure.values)
        if lacking.any() and self._table is not None:  # which may hold only what has the figure
            lacking &= ~np.isnan(self.values("accuracy"))
        if lacking.any():
            known = int((~np.isnan(figure.values)).sum())
            others = sorted(one for one, of in space.closed_forms.items() if of.lower_is_better)
            ways = [f"take {' or '.join(others)} instead"] if others else []
            ways += ["search the table itself (source=)"] if self._table is None else []
            raise InvalidInput(
                f"{what} needs the {name} of every architecture, and the table of {space.name} "
                f"{self._dataset} has that of {known:,} of {space.size:,}"
                f"{': ' if ways else ''}{', or '.join(ways)}"
            )
        return figure

    def truth(self, split: str) -> GroundTruth:
        """What the table that judges knows to be best."""
        split = checks.word(split, "split", ("valid", "test"))
        if split not in self._truths:
            space, dataset, evaluator, *_ = self._of
            table = judging_table(space.name, dataset, evaluator)
            self._truths[split] = GroundTruth(table, split)
        return self._truths[split]


class Told:
    """What `info` says of every architecture that is evaluated.

    Attributes:
        values: figures by name, as :meth:`Figures.values_or_worst`.
        provenances: what they rest on, by the names that `info` has for that.
    """

    def __init__(self, values: dict[str, NDArray[np.float64]], provenances: dict[str, str]) -> None:
        self.values, self.provenances = values, provenances

    @cached_property
    def shares(self) -> NDArray[np.float32]:
        """Each as a share of the way from the least to the most known, ``(arch, figures)``.

        0 where it is unknown.
        """
        return np.stack([_shares_of_range(values) for values in self.values.values()], axis=-1)


def _shares_of_range(values: NDArray[np.float64]) -> NDArray[np.float32]:
    least, most = np.nanmin(values), np.nanmax(values)
    shares = (values - least) / (most - least if most > least else 1.0)
    return np.nan_to_num(shares).astype(np.float32)
