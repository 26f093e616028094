"""What is said of a trained network beside its weights: a JSON card."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from nats_gym import checks
from nats_gym.errors import InvalidInput, shown
from nats_gym.files.untrusted import checksum_of, read_json
from nats_gym.networks.preprocessing import Preprocessing

CARD = "card.json"
LARGEST_CARD = 32 << 20
#: Of a class, a digest, a machine, a licence: in characters.
_LONGEST_NAME, _LONGEST_LINE = 200, 1_000
_MOST_CLASSES = 100_000
_FORMAT = 1


def seal(card: Any, **plain: Any) -> dict[str, Any]:
    """The fields of a card, a dataclass, or what stands for them, with a checksum over all."""
    told = {one.name: getattr(card, one.name) for one in fields(card)}
    content = {"format": _FORMAT, **told, **plain}
    return {**content, "checksum": checksum_of(content)}


def unseal(kind: type, content: Any) -> dict[str, Any]:
    """Inverse of :func:`seal`: the fields of a ``kind`` of card; ``InvalidInput`` else."""
    given = checks.mapping(content, "a card is a dictionary")
    if type(given.get("format")) is not int or given["format"] != _FORMAT:
        raise InvalidInput(
            f"a card of format {shown(given.get('format'))}, this version reads {_FORMAT}"
        )
    if given.get("checksum") != checksum_of(given):
        raise InvalidInput("a card whose checksum is not that of what it says")
    names = [one.name for one in fields(kind)]
    told = {name: value for name, value in given.items() if name not in ("format", "checksum")}
    if lacking := [name for name in names if name not in told]:
        raise InvalidInput(f"a card without {', '.join(lacking)}")
    for name in told:
        checks.word(name, "field of a card", names)
    return told


@dataclass(frozen=True)
class Card:
    """What a trained network is, what it was trained on, and how well it did.

    Attributes:
        space: name of its space.
        architecture: its official string.
        index: its official index.
        classes: names of the classes, in the order of its logits.
        preprocessing: what is done to a picture before the network sees it.
        network: options of :func:`nats_gym.networks.build`.
        dataset: name of what it was trained on.
        data_digest: hexadecimal digest of the images' content; ``""`` if unknown.
        licence: of the data, as far as known.
        recipe: fields of the recipe that it was trained by.
        seed: of the training.
        figures: by name: accuracies in percent, ``seconds`` of training and test, ``epochs``, …;
            None for what was not measured.
        versions: of Python and the packages that it depends on.
        machine: what it was trained on.
        weights: hexadecimal SHA-256 of the weights' file; filled in when that is written.

    Raises:
        InvalidInput: for a field that is not as said here.
    """

    space: str
    architecture: str
    index: int
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    network: Mapping[str, Any] = field(default_factory=dict)
    dataset: str = ""
    data_digest: str = ""
    licence: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    figures: Mapping[str, float | None] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: str = ""
    weights: str = ""

    def __post_init__(self) -> None:
        """Check every field."""
        plain: dict[str, Any] = {
            "index": checks.integer(self.index, "a card's index", 0),
            "seed": checks.seed(self.seed, "a card's seed"),
            "classes": _classes(self.classes),
            "figures": _figures(self.figures),
        }
        checks.instance(self.preprocessing, Preprocessing, "a card's preprocessing")
        for name in ("space", "dataset", "data_digest", "licence", "machine", "weights"):
            plain[name] = checks.text(getattr(self, name), f"a card's {name}", _LONGEST_LINE)
        plain["architecture"] = checks.text(self.architecture, "a card's architecture", 10_000)
        for name in ("network", "recipe", "versions"):
            what = f"a card's {name}"
            given = checks.mapping(getattr(self, name), f"{what} is a dictionary by name")
            plain[name] = checks.plain(given, what)
        for name, version in plain["versions"].items():
            checks.text(version, f"a card's version of {shown(name)}", _LONGEST_NAME)
        if not re.fullmatch("[0-9a-f]{64}|", plain["weights"]):
            raise InvalidInput(f"weights are a SHA-256 in hexadecimal, got {shown(self.weights)}")
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values, with a checksum over all of it."""
        return seal(self, classes=list(self.classes), preprocessing=self.preprocessing.to_json())

    @classmethod
    def from_json(cls, content: Any) -> Card:
        """Inverse of :meth:`to_json`; ``InvalidInput`` for anything else."""
        told = unseal(cls, content)
        told["preprocessing"] = Preprocessing.from_json(told["preprocessing"])
        return cls(**told)


def read_card(folder: Path) -> Card:
    """The card in a folder.

    Raises:
        OSError, ValueError: for a file that is no card; ``InvalidInput`` is a ValueError.
    """
    return Card.from_json(read_json(folder / CARD, LARGEST_CARD))


def _classes(given: object) -> tuple[str, ...]:
    names = checks.as_list(given) if isinstance(given, (list, tuple)) else None
    if not names or len(names) > _MOST_CLASSES:
        raise InvalidInput(
            f"a card's classes are a list of 1 to {_MOST_CLASSES:,} names, got {shown(given)}"
        )
    plain = tuple(checks.text(name, "a class's name", _LONGEST_NAME) for name in names)
    if len(set(plain)) < len(plain):
        raise InvalidInput("two classes of a card have the same name")
    return plain


def _figures(given: object) -> dict[str, float | None]:
    plain: dict[str, float | None] = {}
    for name, value in checks.mapping(given, "a card's figures are numbers by name").items():
        what = f"a card's figure {shown(name)}"
        name = checks.text(name, what, _LONGEST_NAME)
        high = 100.0 if name.endswith("accuracy") else float("inf")
        whole = checks.as_integer(value)
        number = None if value is None else checks.number(value, what, 0.0, high)
        plain[name] = number if whole is None or value is None else whole
    return plain
