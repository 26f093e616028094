"""A trained network in a folder: its weights as ``safetensors``, and a JSON card.

The card is written last and names the weights by their digest, so a folder with a card is whole.
What is read is checked before torch sees it: the card says which network it is, that network which
tensors it has, and these how long the file is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nats_gym import checks
from nats_gym.datasets.pixels import Picture
from nats_gym.errors import SHOWN, InvalidInput, NatsGymError, said, shown
from nats_gym.files.untrusted import open_file
from nats_gym.files.writing import check_folder, make_folder, write_file
from nats_gym.networks.card import CARD, LARGEST_CARD, Card, read_card
from nats_gym.networks.network import build
from nats_gym.networks.preprocessing import Preprocessing
from nats_gym.networks.weights import check_fit
from nats_gym.spaces import get_space, known_spaces

WEIGHTS = "weights.safetensors"
#: Bytes of what a weights' file says of its tensors; some 100 each.
LARGEST_HEADER = 16 << 20
# The length of that, as the file begins.
_LENGTH_BYTES = 8
# Pictures that are read and computed together.
_BATCH = 256
AnyCard = TypeVar("AnyCard", bound=Any)


class MissingNetwork(NatsGymError, FileNotFoundError):
    """No trained network where one was expected."""


class UnreadableNetwork(NatsGymError, OSError):
    """A trained network's folder is incomplete or damaged, or its card and weights disagree."""


class Predictions(NamedTuple):
    """What a network says of pictures.

    Attributes:
        classes: the name of the likeliest class of each, ``(n,)``.
        probabilities: of every class, in the order of the card's, float64 ``(n, num_classes)``.
    """

    classes: tuple[str, ...]
    probabilities: NDArray[np.float64]


class TrainedNetwork:
    """A network, what is done to a picture before it, and what is known of it.

    Args:
        network: from images ``(B, 3, H, W)`` to logits ``(B, num_classes)``.
        card: what is known of it.

    Attributes:
        network: likewise; :func:`load` returns it on the CPU, in evaluation mode. Where it is moved
            to, predictions are made.
        card: likewise.
    """

    def __init__(self, network: nn.Module, card: Card) -> None:
        self.network = checks.instance(network, nn.Module, "network")
        self.card = checks.instance(card, Card, "card")

    def __repr__(self) -> str:
        card = self.card
        return f"TrainedNetwork({card.space} {card.architecture}, {len(card.classes)} classes)"

    @property
    def preprocessing(self) -> Preprocessing:
        """Turns pictures into what the network sees: call it with a list of them."""
        return self.card.preprocessing

    def predict(self, pictures: Sequence[Picture]) -> Predictions:
        """Classify pictures.

        Args:
            pictures: a list of paths, of Pillow's images of any size and mode, or of arrays of
                bytes, see :func:`nats_gym.datasets.pixels.read_pixels`.

        Raises:
            InvalidInput: for what is no such list.
            UnreadablePicture: for a file that is no picture; it is named.
        """
        if not isinstance(pictures, (list, tuple)):
            raise InvalidInput(f"pictures are a list of images or paths, got {shown(pictures)}")
        device = next((one.device for one in self.network.parameters()), torch.device("cpu"))
        found = np.empty((len(pictures), len(self.card.classes)))
        for start in range(0, len(pictures), _BATCH):
            images = self.preprocessing(pictures[start : start + _BATCH])
            with torch.no_grad():
                logits = self.network(images.to(device))
            found[start : start + _BATCH] = torch.softmax(logits.double(), 1).cpu().numpy()
        likeliest = found.argmax(1) if len(found) else ()
        return Predictions(tuple(self.card.classes[int(one)] for one in likeliest), found)


def save(folder: str | os.PathLike[str], network: nn.Module, card: Card) -> Card:
    """Write a trained network into a folder, which :func:`load` reads.

    Args:
        folder: made if it is not there; what else lies in it stays.
        network: what :func:`nats_gym.networks.build` builds of the card's architecture.
        card: what is known of it.

    Returns:
        The card as it was written, with the weights' digest.

    Raises:
        InvalidInput: for a network that is not the card's or whose weights are no numbers, a space
            that is not known by its name, or a folder that holds a trained network.
        CannotWrite: for what the operating system refuses.
    """
    path = checks.path(folder, "folder", expand=True)
    network = checks.instance(network, nn.Module, "network")
    card = checks.instance(card, Card, "card")
    check_free(path)
    try:
        _check_card(card)
        check_fit(_expected(card), network.state_dict())
        _check_numbers(network)
        content = weights_as_bytes(network)
    except InvalidInput:
        raise
    except Exception as error:  # of a network of others
        raise InvalidInput(f"this network cannot be saved by its card: {said(error)}") from error
    return write_folder(path, CARD, card, content)


def weights_as_bytes(network: nn.Module) -> bytes:
    """A weights' file of a network."""
    from safetensors.torch import save as to_bytes

    # Of its own, for what two names share is refused, and of the order that all write.
    state = network.state_dict().items()
    return to_bytes({name: one.detach().cpu().contiguous().clone() for name, one in state})


def write_folder(
    folder: Path, name: str, card: AnyCard, weights: bytes, largest: int = LARGEST_CARD
) -> AnyCard:
    """Write weights and then the card, of which ``name`` is the file; the card with their digest.

    A card of more than the ``largest`` number of bytes could not be read again.

    Raises:
        InvalidInput: for a card that is too large.
        CannotWrite: for what the operating system refuses.
    """
    card = replace(card, weights=hashlib.sha256(weights).hexdigest())
    text = json.dumps(card.to_json(), indent=1, ensure_ascii=False) + "\n"
    if len(text.encode()) > largest:
        raise InvalidInput(f"a card has at most {largest:,} bytes, got {len(text.encode()):,}")
    make_folder(folder)
    write_file(folder / WEIGHTS, weights)
    write_file(folder / name, text)
    return card


def check_free(folder: Path) -> None:
    """Raise ``InvalidInput`` if no trained network can be written into ``folder``."""
    check_folder(folder)
    if os.path.lexists(folder / CARD):
        raise InvalidInput(
            f"{shown(str(folder))} holds a trained network; move it away, or give another folder"
        )


def load(folder: str | os.PathLike[str]) -> TrainedNetwork:
    """Load a trained network.

    Args:
        folder: what :func:`save`, or ``nats-gym train``, has written.

    Returns:
        The network on the CPU, in evaluation mode, with its card and preprocessing.

    Raises:
        InvalidInput: for what is no path.
        MissingNetwork: if there is none.
        UnreadableNetwork: for a folder that is damaged, of a space that is not known here, or whose
            weights are not those of the network that the card names.
    """
    path = checks.path(folder, "folder", expand=True)
    if not os.path.lexists(path / CARD):
        raise MissingNetwork(f"no trained network in {shown(str(path))}: {CARD} is not there")
    try:
        card = read_card(path)
        if card.space not in known_spaces():
            raise ValueError(
                f"its space {shown(card.space)} is not known here: register_space() of "
                "nats_gym.spaces makes it known, on the command line nats-gym --known-space "
                "module:Class predict …, and so does a package that brings it"
            )
        _check_card(card)
        expected = _expected(card)
    except Exception as error:  # a network of others may raise what it likes
        raise UnreadableNetwork(
            f"{path / CARD}: no card of a trained network ({said(error, 2 * SHOWN)})"
        ) from error
    try:
        weights = read_weights(path / WEIGHTS, card.weights, expected)
        # Initial weights are drawn, and replaced.
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            network = _built(card)
        network.load_state_dict(weights, strict=True)
        _check_numbers(network)
    except Exception as error:
        raise UnreadableNetwork(
            f"{path / WEIGHTS}: no weights of {card.space} {shown(card.architecture)} "
            f"({said(error, 2 * SHOWN)})"
        ) from error
    return TrainedNetwork(network.eval(), card)


def _check_card(card: Card) -> None:
    """Raise ``InvalidInput`` unless the architecture is known and has the card's index."""
    space = get_space(card.space)
    index = space.resolve(card.architecture)
    if index != card.index:
        raise InvalidInput(
            f"{shown(card.architecture)} has index {index} in {space.name}, not {card.index}"
        )


def _built(card: Card) -> nn.Module:
    network = build(
        *(card.space, card.index, len(card.classes)), dataset=card.dataset or None, **card.network
    )
    return checks.instance(network, nn.Module, f"what {card.space} builds")


def _expected(card: Card) -> dict[str, torch.Tensor]:
    """Tensors of the card's network by name, without memory."""
    with torch.device("meta"):
        return dict(_built(card).state_dict())


def read_weights(
    path: Path, digest: str, expected: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Read a weights' file once it is as long as these tensors are.

    Args:
        path: of the file.
        digest: hexadecimal SHA-256 of it, as its card says.
        expected: tensors of the network by name, which may be on the device ``"meta"``.

    Raises:
        OSError, ValueError: for another file.
    """
    from safetensors.torch import load as from_bytes

    numbers = sum(one.nbytes for one in expected.values())
    with open_file(path, _LENGTH_BYTES + LARGEST_HEADER + numbers) as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if length > LARGEST_HEADER:
            raise ValueError(f"a header of {length:,} bytes, at most {LARGEST_HEADER:,} are read")
        size, whole = os.fstat(file.fileno()).st_size, _LENGTH_BYTES + length + numbers
        if size != whole:
            raise ValueError(f"it has {size:,} bytes, a network of its card {whole:,}")
        file.seek(0)
        content = file.read(whole + 1)
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError("not the file that its card names: SHA-256 differs")
    weights = from_bytes(content)
    check_fit(expected, weights)
    return weights


def _check_numbers(network: nn.Module) -> None:
    """Raise ``ValueError`` for weights that are no numbers, which training never leaves."""
    for name, tensor in network.named_parameters():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} is not finite")
    for name, buffer in network.named_buffers():  # a mask of one's own may hold infinity
        if torch.isnan(buffer).any():
            raise ValueError(f"{name} is not a number")
