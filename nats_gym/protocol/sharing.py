"""Weight-sharing searches: real training on a real clock, answers looked up in the table.

After every epoch the architecture that the supernet stands for is looked up at its full schedule,
so that a whole search is judged without training anything again. The clock is charged the real
seconds of the epoch. A run's answer is its last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nats_gym.agents.weight_sharing import METHODS, get_method
from nats_gym.errors import InvalidInput
from nats_gym.files.writing import check_source
from nats_gym.results.arguments import SearchArguments
from nats_gym.simulation.clock import default_budget
from nats_gym.tables import load_table

from .answers import Columns
from .kind import Kind, Runs, in_columns

if TYPE_CHECKING:
    from nats_gym.agents.weight_sharing.supernet_result import SupernetResult

#: Real seconds that a supernet may take for an epoch where no budget is given: no cap in practice.
SUPERNET_SECONDS = 3600.0


class WeightSharing(Kind):
    """A search that trains a supernet, and is judged by the table.

    Made with the data set and the keyword arguments of
    :class:`~nats_gym.agents.weight_sharing.supernet_search.SupernetSearch`.
    """

    own = ("supernet_epochs",)
    block = 1  # a supernet's run takes longest

    def complete(
        self,
        space: str,
        dataset: str,
        epochs: Any,
        budget: float | None,
        *given: Any,
        supernet_epochs: Any,
        **named: Any,
    ) -> SearchArguments:
        """See :meth:`Kind.complete`; ``epochs`` are the supernet's where nothing else says them."""
        from nats_gym.agents.weight_sharing.arguments import check_epochs

        if supernet_epochs is None:
            epochs, supernet_epochs = None, epochs
        what = "epochs of a weight-sharing search's supernet"
        supernet_epochs = check_epochs(supernet_epochs, dataset, what)
        if budget is None:
            budget = SUPERNET_SECONDS * supernet_epochs
        named["trial"] = "mean"  # it is judged, not sampled
        return super().complete(
            space, dataset, epochs, budget, *given, supernet_epochs=supernet_epochs, **named
        )

    def in_study(self, shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
        """See :meth:`Kind.in_study`; the rest's epochs are none of a supernet's."""
        wanted = {**shared, "epochs": None, "evaluations": None, **own}
        if "budget" not in wanted:  # the rest's, so that all are compared at one cost
            space, dataset = wanted["space"], wanted["dataset"]
            full = load_table(space, dataset, check_source(wanted["source"])).full_epochs
            wanted["budget"] = default_budget(space, dataset, full)
        return wanted

    def check_options(self, space: str, dataset: str) -> None:
        """Refuse a space that the search is not of, and options; no supernet is made."""
        if self.name not in METHODS:
            return
        searched = get_method(self.name).space
        if searched != space:
            raise InvalidInput(f"{self.name} searches {searched}, not {space}")
        if self.options:
            from nats_gym.agents.weight_sharing.supernet_search import SupernetSearch

            SupernetSearch.check(self.name, dataset, **self.options)

    def play(self, runs: Runs) -> Columns:
        """Search for every seed; see :meth:`Kind.play`.

        Where the table is partial, searches choose among what it has.

        Returns:
            Besides the columns ``alphas``, after every epoch ``(runs, epochs, n, k)``; NaN behind
            the end.
        """
        arguments, table, seeds = runs.arguments, runs.answers.table, runs.seeds
        assert table is not None  # such a search takes no evaluator
        budget, checkpoints = arguments.budget, runs.checkpoints
        accuracy = table.mean_accuracy("valid")
        among = table.known_choices(table.full_epochs)
        found: list[SupernetResult] = []
        for run, seed in enumerate(seeds):

            def tell(result: SupernetResult, run: int = run) -> None:
                passed = len(result.index) / int(result.arguments["epochs"])
                spent = float(result.seconds[-1]) / budget
                runs.progress((run + min(max(passed, spent), 1.0)) / len(seeds))

            search = self.make(
                arguments.dataset,
                epochs=arguments.supernet_epochs,
                seed=seed,
                budget=budget,
                among=among,
                checkpoint=None if checkpoints is None else checkpoints / f"{seed}.pt",
                progress=tell,
            )
            searched = search.arguments["space"], search.arguments["dataset"]
            if searched != (arguments.space, arguments.dataset):
                raise InvalidInput(
                    f"the weight-sharing search is of {' '.join(searched)}, the table of "
                    f"{arguments.space} {arguments.dataset}"
                )
            found.append(search.run())
        columns = in_columns(
            [
                {
                    "index": result.index,
                    "accuracy": accuracy[result.index],
                    "seconds": np.diff(result.seconds, prepend=0.0),
                    "clock": result.seconds,
                }
                for result in found
            ]
        )
        alphas = np.full((*columns["index"].shape, *found[0].alphas.shape[1:]), np.nan)
        for run, result in enumerate(found):
            alphas[run, : len(result.alphas)] = result.alphas
        return {**columns, "alphas": alphas}
