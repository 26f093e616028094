"""Trained networks in folders: what is saved comes back, what is not whole is refused."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import nn

import nats_gym
from nats_gym.datasets.pixels import UnreadablePicture
from nats_gym.errors import CannotWrite, InvalidInput
from nats_gym.files.untrusted import checksum_of
from nats_gym.networks import TrainedNetwork, build, load, save
from nats_gym.networks.card import CARD, Card
from nats_gym.networks.preprocessing import Normalizer, Preprocessing
from nats_gym.networks.trained import (
    LARGEST_HEADER,
    WEIGHTS,
    MissingNetwork,
    UnreadableNetwork,
)
from nats_gym.spaces import ArchitectureSpace

NAMES = ("ant", "bee", "cat")
PREPROCESSING = Preprocessing(8, (0.2, 0.3, 0.4), (0.5, 0.25, 0.1))


def card(space: str = "sss", index: int = 5, **fields: Any) -> Card:
    name = nats_gym.get_space(space).name_of(index)
    return Card(
        **{"space": space, "architecture": name, "index": index}
        | {"classes": NAMES, "preprocessing": PREPROCESSING, **fields}
    )


def drawn(network: nn.Module, seed: int = 0) -> nn.Module:
    """A network whose weights and running statistics are all its own."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
            else:
                tensor.fill_(seed + 3)
    return network


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "net", drawn(build("sss", 5, 3)), card())
    return tmp_path / "net"


def picture(seed: int = 0, size: tuple[int, int] = (8, 8)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


# ── whole again ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("space", "index", "options"),
    [
        ("tss", 1_462, {"cells_per_stage": 1}),
        ("tss", 0, {}),
        ("sss", 32_767, {}),
        ("nb101", 77, {"cells_per_stage": 1, "stem_width": 16}),
    ],
)
def test_weights_come_back_to_the_bit(
    space: str, index: int, options: dict[str, int], tmp_path: Path
) -> None:
    network = drawn(build(space, index, 3, **options)).to(memory_format=torch.channels_last)
    given = card(space, index, network=options, figures={"test_accuracy": 12.5, "epochs": 2})
    written = save(tmp_path / "a" / "b", network, given)
    state = torch.get_rng_state()
    found = load(tmp_path / "a" / "b")
    assert torch.equal(torch.get_rng_state(), state)  # of no draw is anything left
    assert found.card == written == replace(given, weights=written.weights)
    own, back = network.state_dict(), found.network.state_dict()
    assert own.keys() == back.keys()
    for name, tensor in own.items():
        assert tensor.dtype == back[name].dtype
        assert torch.equal(tensor, back[name]), name
    assert not found.network.training
    images = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(network.eval()(images), found.network(images))


def test_what_another_reader_finds_is_what_was_saved(folder: Path) -> None:
    """The file by its published format: a length, JSON, numbers in a row."""
    content = (folder / WEIGHTS).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    own = drawn(build("sss", 5, 3)).state_dict()
    assert {*header} - {"__metadata__"} == {*own}
    one = header["classifier.weight"]
    start, end = one["data_offsets"]
    numbers = np.frombuffer(content[8 + length :][start:end], "<f4").reshape(one["shape"])
    assert np.array_equal(numbers, own["classifier.weight"].numpy())


def test_a_tied_weight_comes_back_in_both_places(tmp_path: Path) -> None:
    class Tied(ArchitectureSpace):
        name = "tied"
        decisions: ClassVar = {"width": ("4", "8")}

        def network(self, choices: Any, dataset: str, **options: Any) -> nn.Module:
            width = 4 * (1 + int(choices[0]))
            made = nn.Sequential(nn.Flatten(), nn.Linear(192, 3), nn.Linear(3, 3), nn.Linear(3, 3))
            made.width = width
            made[3].weight = made[2].weight
            return made

    space = nats_gym.spaces.register_space(Tied)
    network = space.network(space.choices(1), "cifar10")
    save(tmp_path / "net", network, card("tied", 1, dataset="cifar10"))
    found = load(tmp_path / "net").network
    assert torch.equal(found[2].weight, network[2].weight)
    assert found[2].weight is found[3].weight
    with pytest.raises(InvalidInput, match="weights that do not fit"):
        save(tmp_path / "other", nn.Linear(2, 2), card("tied", 1))


def test_a_space_that_is_not_known_is_to_be_registered(folder: Path) -> None:
    rewrite(folder, space="nowhere")
    with pytest.raises(UnreadableNetwork, match=r"'nowhere' is not known here: register_space\("):
        load(folder)


def test_a_folder_with_a_network_keeps_it(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InvalidInput, match="holds a trained network; move it away"):
        save(folder, build("sss", 5, 3), card())
    assert (
        {path.name: path.read_bytes() for path in folder.iterdir()}
        == before
        == {CARD: before[CARD], WEIGHTS: before[WEIGHTS]}
    )


def test_an_unfinished_write_is_no_network_and_is_written_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / CARD).unlink()
    with pytest.raises(MissingNetwork, match=r"card\.json is not there"):
        load(folder)
    (folder / WEIGHTS).write_bytes(b"half")
    network = drawn(build("sss", 5, 3), 1)
    save(folder, network, card())
    assert torch.equal(load(folder).network.classifier.weight, network.classifier.weight)
    with pytest.raises(InvalidInput, match="cannot be a folder"):
        save(folder / WEIGHTS, network, card())
    with monkeypatch.context() as full:
        write = Path.write_bytes

        def refuse_card(self: Path, content: bytes) -> int:
            if content.startswith(b"{"):
                raise OSError(28, "No space left on device")
            return write(self, content)

        full.setattr(Path, "write_bytes", refuse_card)
        with pytest.raises(CannotWrite, match="No space left"):
            save(tmp_path / "full", network, card())
    assert [path.name for path in (tmp_path / "full").iterdir()] == [WEIGHTS]


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_not_saved(wrong: float, tmp_path: Path) -> None:
    network = build("sss", 5, 3)
    with torch.no_grad():
        network.classifier.bias[1] = wrong
    with pytest.raises(InvalidInput, match=r"classifier.bias is not finite"):
        save(tmp_path / "net", network, card())
    assert not (tmp_path / "net").exists()


# ── what is hostile ──────────────────────────────────────────────────────────────────────────


def rewrite(folder: Path, file: bytes | None = None, sign: bool = True, **fields: Any) -> None:
    """A forger's folder: other weights or fields, with the right digests unless not ``sign``."""
    content = json.loads((folder / CARD).read_text())
    if file is not None:
        (folder / WEIGHTS).write_bytes(file)
        if sign:
            content["weights"] = sha256(file).hexdigest()
    content |= fields
    content = {name: value for name, value in content.items() if value is not ...}
    if sign:
        content["checksum"] = checksum_of(content)
    (folder / CARD).write_text(json.dumps(content))


def with_header(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    def forged(content: bytes) -> bytes:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode().ljust(length)  # as long, if it can be
        return len(text).to_bytes(8, "little") + text + content[8 + length :]

    return forged


def with_tensors(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[bytes], bytes]:
    def forged(content: bytes) -> bytes:
        tensors = from_bytes(content)
        change(tensors)
        return to_bytes({name: one.contiguous() for name, one in tensors.items()})

    return forged


def transpose(tensors: dict[str, torch.Tensor]) -> None:
    tensors["classifier.weight"] = tensors["classifier.weight"].T


FORGED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda content: b"", "0 bytes"),
    "truncated": (lambda content: content[:-1], "bytes, a network of its card"),
    "longer": (lambda content: content + b"\0", "bytes, a network of its card"),
    "a huge header": (
        lambda content: (1 << 62).to_bytes(8, "little") + content[8:],
        f"at most {LARGEST_HEADER:,} are read",
    ),
    "a header beyond the file": (
        lambda content: (1 << 20).to_bytes(8, "little") + content[8:],
        "bytes, a network of its card",
    ),
    "no JSON": (lambda content: content[:8] + b"\xff" + content[9:], "eader"),
    "a pickle": (lambda content: b"\x80\x04" + content[2:], "a network of its card"),
    "another shape": (with_tensors(transpose), "classifier.weight of shape (48, 3)"),
    "another type": (
        with_tensors(
            lambda own: own.update(
                {"classifier.weight": own["classifier.weight"].view(torch.int32)}
            )
        ),
        "torch.int32",
    ),
    "a tensor less": (
        with_tensors(lambda own: own.pop("lastact.0.num_batches_tracked")),
        "bytes, a network of its card",
    ),
    "another name": (
        with_tensors(lambda own: own.update({"x": own.pop("classifier.bias")})),
        "without 'classifier.bias'",
    ),
    "tensors that overlap": (
        with_header(
            lambda head: head["classifier.bias"].update(
                data_offsets=head["classifier.weight"]["data_offsets"]
            )
        ),
        "",
    ),
    "a tensor beyond the file": (
        with_header(lambda head: head["classifier.bias"].update(data_offsets=[0, 1 << 40])),
        "",
    ),
    "NaN": (
        with_tensors(lambda own: own["classifier.bias"].fill_(torch.nan)),
        "classifier.bias is not finite",
    ),
    "NaN in statistics": (
        with_tensors(lambda own: own["lastact.0.running_mean"].fill_(torch.nan)),
        "lastact.0.running_mean is not a number",
    ),
}


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", FORGED)
def test_hostile_weights_are_refused(name: str, folder: Path) -> None:
    forge, said = FORGED[name]
    rewrite(folder, forge((folder / WEIGHTS).read_bytes()))
    with pytest.raises(UnreadableNetwork) as caught:
        load(folder)
    message = str(caught.value)
    assert said in message
    assert message.startswith(f"{folder / WEIGHTS}: no weights of sss ")
    assert "\n" not in message
    assert len(message) < 1_000


def test_weights_of_another_training_are_refused(folder: Path, tmp_path: Path) -> None:
    save(tmp_path / "other", drawn(build("sss", 5, 3), 1), card())
    (folder / WEIGHTS).write_bytes((tmp_path / "other" / WEIGHTS).read_bytes())
    with pytest.raises(UnreadableNetwork, match="SHA-256 differs"):
        load(folder)


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"architecture": "8:8:8:8:8"}, "has index 0 in sss, not 5"),
        ({"architecture": "no such"}, ""),
        ({"index": -1}, "index"),
        ({"index": True}, "index"),
        ({"classes": [*NAMES, "dog"]}, "bytes, a network of its card"),
        ({"classes": []}, "classes"),
        ({"classes": ["a", "a", "b"]}, "two classes"),
        ({"classes": "abc"}, "classes"),
        ({"network": {"cells_per_stage": 2}}, "bytes, a network of its card"),
        ({"network": {"cells_per_stage": 10**9}}, "cells_per_stage"),
        ({"network": {"anything": 1}}, "anything"),
        ({"network": {"num_classes": 3}}, "num_classes"),
        ({"preprocessing": {"resolution": 10**9}}, "lacks"),
        ({"preprocessing": {**PREPROCESSING.to_json(), "resolution": 10**9}}, "resolution"),
        ({"preprocessing": {**PREPROCESSING.to_json(), "std": [0, 1, 1]}}, "std"),
        ({"preprocessing": {**PREPROCESSING.to_json(), "more": 1}}, "more"),
        ({"figures": {"test_accuracy": 101}}, "test_accuracy"),
        ({"figures": {"seconds": "many"}}, "seconds"),
        ({"recipe": 5}, "recipe"),
        ({"weights": "../../x"}, "SHA-256"),
        ({"format": 2}, "format 2"),
        ({"seed": ...}, "without seed"),
        ({"more": 1}, "more"),
        ({"space": 5}, "space"),
    ],
    ids=str,
)
def test_cards_that_disagree_are_refused(fields: dict[str, Any], said: str, folder: Path) -> None:
    rewrite(folder, **fields)
    with pytest.raises(UnreadableNetwork) as caught:
        load(folder)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_card_that_was_changed_is_refused(folder: Path) -> None:
    rewrite(folder, sign=False, figures={"test_accuracy": 100.0})
    with pytest.raises(UnreadableNetwork, match="checksum"):
        load(folder)


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "[" * 100_000, '{"format": 1e999}'])
def test_cards_that_are_none_are_refused(content: str, folder: Path) -> None:
    (folder / CARD).write_text(content)
    with pytest.raises(UnreadableNetwork, match=r"card.json: no card of a trained network"):
        load(folder)


def test_what_is_no_file_is_refused(folder: Path) -> None:
    for name in (WEIGHTS, CARD):
        (folder / name).unlink()
        (folder / name).symlink_to("/dev/zero")
        with pytest.raises(UnreadableNetwork, match="no regular file"):
            load(folder)
    with pytest.raises(MissingNetwork, match="no trained network in"):
        load(folder / "nothing")


# ── pictures ─────────────────────────────────────────────────────────────────────────────────


def test_a_network_sees_what_training_sees() -> None:
    """By the closed form, in float64: bytes as fractions of white, less the mean, over the std."""
    bytes_of_it = picture()
    seen = PREPROCESSING([bytes_of_it, Image.fromarray(bytes_of_it)])
    expected = (bytes_of_it / 255 - PREPROCESSING.mean) / PREPROCESSING.std
    assert np.allclose(seen[0].numpy(), expected.transpose(2, 0, 1), atol=1e-5)
    assert torch.equal(seen[0], seen[1])
    own = torch.from_numpy(bytes_of_it.transpose(2, 0, 1)[None].copy())
    assert torch.equal(Normalizer(PREPROCESSING.mean, PREPROCESSING.std)(own), seen[:1])


def test_predictions_are_the_networks_own(folder: Path) -> None:
    found = load(folder)
    pictures = [picture(seed) for seed in range(300)]  # more than are computed together
    answered = found.predict(pictures)
    with torch.no_grad():
        expected = torch.softmax(found.network(found.preprocessing(pictures)).double(), 1).numpy()
    assert answered.probabilities.shape == (300, 3)
    assert np.allclose(answered.probabilities, expected, atol=1e-6)
    assert answered.classes == tuple(NAMES[one] for one in expected.argmax(1))
    classes, probabilities = found.predict([])
    assert classes == ()
    assert probabilities.shape == (0, 3)
    for wrong in ("a.png", pictures[0], None, 5, {"a": 1}):
        with pytest.raises(InvalidInput, match="a list of images or paths"):
            found.predict(wrong)


@pytest.mark.slow
def test_a_fresh_process_predicts_the_same(folder: Path, tmp_path: Path) -> None:
    Image.fromarray(picture(3, (20, 30))).save(tmp_path / "one.png")
    code = (
        "import nats_gym.networks as n, sys\n"
        f"found = n.load({str(folder)!r}).predict([{str(tmp_path / 'one.png')!r}])\n"
        "print(found.probabilities.tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    own = load(folder).predict([tmp_path / "one.png"])
    assert np.allclose(json.loads(done.stdout), own.probabilities, rtol=0, atol=1e-7)


def test_unreadable_pictures_are_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "note.png").write_text("no picture")
    with pytest.raises(UnreadablePicture, match=r"note.png' is no picture of a kind"):
        load(folder).predict([picture(), tmp_path / "note.png"])


def test_a_trained_network_is_told_in_a_line(folder: Path) -> None:
    assert repr(load(folder)) == "TrainedNetwork(sss 8:8:8:8:48, 3 classes)"
    assert isinstance(load(folder), TrainedNetwork)
