"""A trained network as an ONNX file: from bytes of pictures to probabilities."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import nn

from nats_gym import checks
from nats_gym.errors import InvalidInput, NatsGymError, said, shown
from nats_gym.extras import require
from nats_gym.files.writing import check_folder, make_folder, write_file
from nats_gym.networks.preprocessing import Normalizer
from nats_gym.networks.trained import TrainedNetwork

#: Names of what goes in and comes out.
IMAGES, PROBABILITIES = "images", "probabilities"
#: How far a probability may be from torch's: both add up in float32, each in an order of its own.
TOLERANCE = 1e-4
# Pictures that the file is checked with, other than as many as it was made with.
_CHECKED, _TRACED = 5, 2


class ExportFailed(NatsGymError, RuntimeError):
    """A network cannot be written as ONNX, or what was written does not compute the same."""


def require_onnx() -> None:
    """Raise ``MissingPackage`` now if :func:`export_onnx` would."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        require(package, "an ONNX file of a network")


def export_onnx(trained: TrainedNetwork, path: str | os.PathLike[str]) -> None:
    """Write a network as ONNX, once onnxruntime computes from it what torch does.

    What goes in is ``images``, uint8 ``(n, 3, resolution, resolution)``, pictures as the card's
    preprocessing reads them; what comes out is ``probabilities``, float32 ``(n, num_classes)``.
    Mean and standard deviation are part of the file, and its metadata have the classes by name.

    Args:
        trained: what to write.
        path: of the file, which is replaced.

    Raises:
        InvalidInput: for what is no trained network, or no path.
        MissingPackage: without the extra ``onnx``.
        ExportFailed: for a network of one's own that ONNX cannot say, and where its answers differ.
        CannotWrite: for what the operating system refuses.
    """
    trained = checks.instance(trained, TrainedNetwork, "trained")
    path = checks.path(path, "path of an ONNX file", expand=True)
    if path.is_dir():
        raise InvalidInput(f"an ONNX file is written, {shown(str(path))} is a folder")
    check_folder(path.parent)
    require_onnx()
    whole = _Whole(trained).eval()
    try:
        with _quiet():
            content = _exported(whole, trained)
            differing = _difference(whole, trained, content)
    except Exception as error:  # of an exporter's many
        raise ExportFailed(f"no ONNX file of {shown(trained)}: {said(error)}") from error
    if not differing <= TOLERANCE:
        raise ExportFailed(
            f"no ONNX file of {shown(trained)}: its probabilities differ from torch's by "
            f"{differing:g}"
        )
    make_folder(path.parent)
    write_file(path, content)


class _Whole(nn.Module):
    """From bytes to probabilities."""

    def __init__(self, trained: TrainedNetwork) -> None:
        super().__init__()
        self.network = deepcopy(trained.network).cpu()
        seen = trained.preprocessing
        self.normalize = Normalizer(seen.mean, seen.std)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Uint8 ``(B, 3, H, W)`` → ``(B, num_classes)``."""
        return torch.softmax(self.network(self.normalize(images)), 1)


def _pictures(trained: TrainedNetwork, count: int) -> torch.Tensor:
    size = trained.preprocessing.resolution
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def _exported(whole: _Whole, trained: TrainedNetwork) -> bytes:
    import onnx

    program: Any = torch.onnx.export(
        whole,
        (_pictures(trained, _TRACED),),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
        input_names=[IMAGES],
        output_names=[PROBABILITIES],
        verbose=False,
    )
    model = program.model_proto
    card = trained.card
    told = {
        "classes": json.dumps(card.classes),
        "space": card.space,
        "architecture": card.architecture,
        "preprocessing": json.dumps(trained.preprocessing.to_json()),
        "weights": card.weights,
    }
    onnx.helper.set_model_props(model, told)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _difference(whole: _Whole, trained: TrainedNetwork, content: bytes) -> float:
    """The largest difference of a probability from torch's; NaN for one that is none."""
    import onnxruntime

    images = _pictures(trained, _CHECKED)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (found,) = session.run([PROBABILITIES], {IMAGES: images.numpy()})
    with torch.no_grad():
        expected = whole(images).numpy()
    if found.shape != expected.shape:
        raise ValueError(f"probabilities {found.shape}, not {expected.shape}")
    return float(np.abs(found - expected).max())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what torch's exporter says of packages that are not there, and of its own future."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
