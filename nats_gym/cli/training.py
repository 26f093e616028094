"""``nats-gym train`` and ``nats-gym predict``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nats_gym.errors import InvalidInput, NatsGymError, printable

from .terminal import (
    DATASET_NAMES,
    REFUSED,
    SPACE_NAMES,
    EpochLines,
    app,
    check_data_dir,
    complain,
    interruptible,
    named_values,
    number_or_text,
    path,
    results_folder,
    say,
    space_name,
)

if TYPE_CHECKING:
    from nats_gym.networks import TrainedNetwork
    from nats_gym.networks.card import Card

ONNX = "network.onnx"
#: Pictures that are computed together.
TOGETHER = 256


@app.command("train")
def train_network(
    space: Annotated[str, typer.Argument(parser=space_name, help=SPACE_NAMES)],
    architecture: Annotated[str, typer.Argument(help="official index, or official string")],
    dataset: Annotated[str, typer.Option(help=DATASET_NAMES)],
    epochs: Annotated[int | None, typer.Option(help="default the full schedule")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda:0")] = "auto",
    seed: Annotated[int, typer.Option(help="of weights, order, flips and crops")] = 0,
    network: Annotated[
        list[str] | None,
        typer.Option(help="of the network, NAME=VALUE, e.g. cells_per_stage=3; may be repeated"),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(help="of the recipe, NAME=VALUE, e.g. batch_size=128; may be repeated"),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(parser=path, help="where the data set lies")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=path, help="folder of the network; default results/<what trained>"),
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="network.onnx in that folder too; takes the extra onnx")
    ] = False,
) -> None:
    """Train an architecture in full, test it once, and keep the network.

    It trains on training and validation images together. Interrupted, it goes on where it stopped.
    """
    from nats_gym.networks.onnx_export import export_onnx, require_onnx
    from nats_gym.spaces import get_space
    from nats_gym.training.final import train_final

    if onnx:
        require_onnx()  # before the work, not after it
    check_data_dir(data_dir, dataset)
    found = get_space(space)
    index = found.resolve(number_or_text(architecture))
    changes = named_values(recipe or [], "--recipe")
    options = named_values(network or [], "--network") if network else None
    folder = out or results_folder(
        *("train", found.name, dataset, index, *(() if epochs is None else (f"{epochs}epochs",))),
        *(f"{name}={value}" for name, value in {**(options or {}), **changes}.items()),
        f"seed{seed}",
    )
    lines = EpochLines(f"{found.name} {index} {found.name_of(index)} on {dataset}")
    kept = f"whole epochs are kept in {folder}, and the same command goes on"
    with interruptible(kept):
        trained = train_final(
            *(found, index, dataset, folder),
            epochs=epochs,
            recipe=changes,
            network=options,
            seed=seed,
            device=device,
            data_dir=data_dir,
            progress=lines.tell,
        )
    _tell_figures(trained.card)
    say(f"network: {folder} (nats-gym predict {folder} IMAGE…)")
    if onnx:
        export_onnx(trained, folder / ONNX)
        say(f"as ONNX, which onnxruntime computes alike: {folder / ONNX}")


@app.command()
def predict(
    folder: Annotated[Path, typer.Argument(parser=path, help="of a trained network")],
    images: Annotated[list[Path], typer.Argument(parser=path, help="of any size", metavar="IMAGE")],
    top: Annotated[int, typer.Option(help="classes of each image, the likeliest first")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="a JSON object for each image")] = False,
) -> None:
    """Classify images: a line with file, class and probability for each.

    An image that cannot be read is named on standard error, the others are answered, and the exit
    code is 2.
    """
    from nats_gym.datasets.pixels import read_pixels
    from nats_gym.networks import load

    trained = load(folder)
    if not 1 <= top <= len(trained.card.classes):
        raise InvalidInput(
            f"--top is from 1 to the {len(trained.card.classes)} classes there are, got {top}"
        )
    seen, unreadable = trained.preprocessing, False
    for start in range(0, len(images), TOGETHER):
        read, pixels = [], []
        for image in images[start : start + TOGETHER]:
            try:
                pixels.append(read_pixels(image, seen.resolution, seen.grey))
                read.append(image)
            except NatsGymError as error:
                complain(str(error))
                unreadable = True
        for image, ranked in zip(read, _ranked(trained, pixels, top), strict=True):
            say(_as_json(image, ranked) if as_json else _as_line(image, ranked))
    if unreadable:
        sys.exit(REFUSED)


def _ranked(trained: TrainedNetwork, pixels: Sequence[object], top: int) -> list[dict[str, float]]:
    """The likeliest classes of each image with their probabilities, the likeliest first."""
    found = []
    for row in trained.predict([*pixels]).probabilities:
        order = (-row).argsort(kind="stable")[:top]
        found.append({trained.card.classes[one]: float(row[one]) for one in order})
    return found


def _as_line(image: Path, ranked: dict[str, float]) -> str:
    words = [str(image)]
    for name, probability in ranked.items():
        words += [name, f"{probability:.4f}"]
    # A name may have a tab in it, or the end of a line.
    return "\t".join(map(printable, words))


def _as_json(image: Path, ranked: dict[str, float]) -> str:
    classes = [{"class": name, "probability": probability} for name, probability in ranked.items()]
    return json.dumps({"file": str(image), "classes": classes})


def _tell_figures(card: Card) -> None:
    figures = card.figures
    tested = "nothing to test on"
    if figures.get("test_accuracy") is not None:
        tested = f"{figures['test_accuracy']:.2f} % of {figures['test_images']:,} test images right"
    say(
        f"{tested}; trained on {figures['train_images']:,} images for {figures['epochs']} epochs, "
        f"{figures['seconds']:.1f} s"
    )
