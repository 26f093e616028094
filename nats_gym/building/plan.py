"""What a build trains: space, data set, recipe and network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from nats_gym import checks
from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, said, shown
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.training.architecture import check_network, preset
from nats_gym.training.data import ImageData
from nats_gym.training.recipe import Recipe

#: What a search validates on.
VALID_SPLIT = "x-valid"


@dataclass(frozen=True)
class Plan:
    """What all trainings of a build share.

    Attributes:
        space: a space's name, such as ``"tss"``.
        dataset: the data set searched on.
        recipe: how to train, its ``epochs`` included.
        network: arguments of :func:`nats_gym.networks.build`.
        splits: which images train, validate and test, official ones or halves drawn by a seed,
            and their digest; empty until data is there to tell.
        definition: digest of the space that it was made with; default that of today's.

    Raises:
        InvalidInput: for an unknown space or data set, or a network that cannot be.
    """

    space: str
    dataset: str
    recipe: Recipe
    network: Mapping[str, Any]
    splits: str = ""
    definition: str = ""

    def __post_init__(self) -> None:
        """Check every field."""
        object.__setattr__(self, "dataset", get_dataset(self.dataset).name)
        object.__setattr__(self, "space", get_space(self.space).name)
        object.__setattr__(self, "splits", checks.text(self.splits, "splits"))
        definition = checks.text(self.definition, "definition") or self.architectures.digest
        object.__setattr__(self, "definition", definition)
        if not isinstance(self.recipe, Recipe):
            raise InvalidInput(f"a plan's recipe is a Recipe, got {shown(self.recipe)}")
        object.__setattr__(self, "network", check_network(self.space, self.network, self.dataset))

    @classmethod
    def of(
        cls,
        space: str,
        dataset: str,
        epochs: int | None = None,
        recipe: Recipe | Mapping[str, Any] | None = None,
        network: Mapping[str, Any] | None = None,
    ) -> Plan:
        """A plan with the data set's own recipe and network, where no other is given.

        Args:
            space, dataset: see above.
            epochs: length of the schedule; default the data set's full one.
            recipe: default the data set's own; a mapping changes fields of that.
            network: default the data set's own.

        Raises:
            InvalidInput: for an unknown space or data set, or a value out of range.
        """
        space, dataset = get_space(space).name, get_dataset(dataset).name
        full = get_space(space).full_epochs_on(dataset)
        own_recipe, own_network = preset(space, dataset)
        recipe = own_recipe.changed({} if recipe is None else recipe)
        recipe = replace(recipe, epochs=full if epochs is None else epochs)
        return cls(space, dataset, recipe, own_network if network is None else network)

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
        return get_dataset(self.dataset).data_key

    @property
    def test_split(self) -> str:
        """What an answer is tested on."""
        return get_dataset(self.dataset).test_split

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
        told = {
            "space": self.space,
            "dataset": self.dataset,
            "recipe": asdict(self.recipe),
            "network": dict(self.network),
            "splits": self.splits,
        }
        return told | ({"definition": self.definition} if self.definition else {})

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Plan:
        """Inverse of :meth:`to_json`; ``InvalidInput`` for any other content."""
        given = checks.mapping(content, "a plan is a dictionary")
        try:
            return cls(**{**given, "recipe": Recipe(**given["recipe"])})
        except (KeyError, TypeError) as error:
            raise InvalidInput(f"no plan, {shown(content)}: {said(error)}") from error

    def splits_of(self, data: ImageData) -> str:
        """Which images of ``data`` train, validate and test, e.g. ``"official 3f2a90bd11c4"``.

        Raises:
            InvalidInput: if the plan is of other ones.
        """
        data = checks.instance(data, ImageData, "data")
        digest = hashlib.sha256()
        for name in ("train", VALID_SPLIT, self.test_split):
            rows = data.rows(name).cpu().numpy().astype("<i8")
            digest.update(f"{name} {len(rows)} ".encode() + rows.tobytes())
        splits = f"{'official' if data.official_splits else 'seeded'} {digest.hexdigest()[:12]}"
        if self.splits not in ("", splits):
            raise InvalidInput(
                f"the build trains and tests on the {self.splits} splits of {self.dataset}, here "
                f"are the {splits} ones: other lists of images lie in the data's folder"
            )
        return splits

    def differences(self, other: Plan) -> list[str]:
        """What ``other`` has otherwise, in words; splits not known yet differ from none."""
        mine, its = _flat(self.to_json()), _flat(checks.instance(other, Plan, "a plan").to_json())
        if not (self.splits and other.splits):
            mine["splits"] = its["splits"]
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
