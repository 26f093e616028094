"""What a build trains: space, data set, recipe and network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from nats_gym.datasets import get_dataset
from nats_gym.evaluators.training import DATA_KEYS
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.training.architecture import preset
from nats_gym.training.recipe import Recipe

#: What a search validates on.
VALID_SPLIT = "x-valid"


@dataclass(frozen=True)
class Plan:
    """What all trainings of a build share.

    Attributes:
        space: ``"tss"`` or ``"sss"``.
        dataset: the data set searched on.
        recipe: how to train, its ``epochs`` included.
        network: arguments of :func:`nats_gym.networks.build`.
    """

    space: str
    dataset: str
    recipe: Recipe
    network: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        space: str,
        dataset: str,
        epochs: int | None = None,
        recipe: Recipe | None = None,
        network: Mapping[str, Any] | None = None,
    ) -> Plan:
        """A plan with the data set's own recipe and network, where no other is given.

        Args:
            space, dataset: see above.
            epochs: length of the schedule; default the data set's full one.
            recipe: default the data set's own.
            network: likewise.

        Raises:
            InvalidInput: for an unknown space or data set, or epochs out of range.
        """
        full = get_space(space).full_epochs_on(dataset)
        own_recipe, own_network = preset(space, dataset)
        recipe = replace(recipe or own_recipe, epochs=full if epochs is None else epochs)
        return cls(space, dataset, recipe, dict(own_network if network is None else network))

    @property
    def architectures(self) -> ArchitectureSpace:
        """The space itself."""
        return get_space(self.space)

    @property
    def epochs(self) -> int:
        """Length of the schedule."""
        return self.recipe.epochs

    @property
    def data_key(self) -> str:
        """Key of the images in :func:`nats_gym.training.data.load_data`."""
        return DATA_KEYS.get(self.dataset, self.dataset)

    @property
    def test_split(self) -> str:
        """What an answer is tested on: x-test, or on CIFAR-10, which has none, its test images."""
        return "ori-test" if self.dataset == "cifar10" else "x-test"

    @property
    def has_own_network(self) -> bool:
        """Whether the network is the data set's own, whose cost has a closed form."""
        return dict(self.network) == preset(self.space, self.dataset)[1]

    @property
    def number_of_classes(self) -> int:
        """Width of the classifier."""
        return get_dataset(self.dataset).num_classes

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values: what one build must agree on with itself."""
        return {
            "space": self.space,
            "dataset": self.dataset,
            "recipe": asdict(self.recipe),
            "network": dict(self.network),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Plan:
        """Inverse of :meth:`to_json`."""
        return cls(**{**content, "recipe": Recipe(**content["recipe"])})

    def differences(self, other: Plan) -> list[str]:
        """What ``other`` has otherwise, in words."""
        mine, its = _flat(self.to_json()), _flat(other.to_json())
        return [
            f"{name} {json.dumps(its.get(name))}, not {json.dumps(mine.get(name))}"
            for name in dict.fromkeys((*mine, *its))
            if mine.get(name) != its.get(name)
        ]


def _flat(content: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= dict(value) if isinstance(value, dict) else {name: value}
    return flat
